"""The rules of remote executors, besides those of all executors."""

from __future__ import annotations

import inspect
import math
import pickle
import threading
import unittest
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from qelectron_core.errors import TransientError, UnknownJobError
from qelectron_core.remote import Handle, Polling, RemoteExecutor, State
from qelectron_core.testing.conformance.circuits import any_circuits, with_shots
from qelectron_core.testing.conformance.executor import ExecutorConformance
from qelectron_core.testing.conformance.reference import mismatch
from qelectron_core.testing.conformance.remote_session import RemoteSession
from qelectron_core.testing.conformance.rules import (
    RuleBroken,
    calling,
    declared,
    require,
    rule,
    told,
)

#: Circuits that go through a QElectron.
_MANY: Final = 50
#: Jobs that all rules together submit, about, where `limits` does not split them.
N_JOBS: Final = 65


class RemoteExecutorConformance(ExecutorConformance):
    """The rules of remote executors; `make` returns one.

    They obey the rules of all executors, too. Each rule submits few jobs; set
    `shots` lower still for a vendor that bills.

    Example:
        >>> from qelectron_core.testing import FakeCloud
        >>> class TestFakeCloud(RemoteExecutorConformance):
        ...     def make(self):
        ...         return FakeCloud(name="conformance")
    """

    shots: ClassVar[int] = 1000
    largest_job: ClassVar[int] = 20
    rounds: ClassVar[int] = 1

    def make(self) -> RemoteExecutor:
        """Return the executor, made anew each time, with equal options."""
        executor = super().make()
        if not isinstance(executor, RemoteExecutor):
            raise TypeError(f"{executor!r} is no RemoteExecutor. Derive it from that.")
        return executor

    def open(self, bound: Any) -> RemoteSession:
        """Open an executor that was adapted to a device."""
        return RemoteSession(bound)

    @rule
    def test_e17_takes_an_empty_job(self) -> None:
        """A job without circuits has no entries, and is no error."""
        raise unittest.SkipTest("a vendor is never sent a job without circuits")

    @rule
    def test_r01_names_each_job(self) -> None:
        """`submit` returns a text that is not empty, and another one for each job."""
        with self._session() as session:
            ids: list[Any] = []  # whatever submit returns
            ids += [session.submit(self._job(session)).id for _ in range(2)]
            require(
                all(isinstance(name, str) and name for name in ids),
                expected="a non-empty str from submit",
                seen=ids,
                hint="Return what the vendor calls the job.",
            )
            require(len(set(ids)) == len(ids), expected="2 different names", seen=ids)

    @rule
    def test_r02_knows_the_state_of_a_fresh_job(self) -> None:
        """The status of a job that was just submitted is one of the known states."""
        with self._session() as session:
            session.status(session.submit(self._job(session)))

    @rule
    def test_r03_keeps_what_is_done(self) -> None:
        """A job that is done stays done, and can be fetched again."""
        with self._session() as session:
            handle = session.submit(self._job(session))
            session.wait_for(handle)
            first, again = session.fetch(handle), session.fetch(handle)
            state = session.status(handle).state
            require(state == State.DONE, expected="a job to stay 'done'", seen=state)
            require(
                mismatch(_bare(first), _bare(again), 0.0) is None,
                expected=f"the same results when fetched again: {first}",
                seen=again,
            )

    @rule
    def test_r04_ends_a_job_that_is_cancelled(self) -> None:
        """A job that is cancelled ends, or had ended before."""
        with self._session() as session:
            handle = session.submit(self._job(session))
            session.cancel(handle)
            state = session.ended(handle).state
            require(
                state in (State.CANCELLED, State.DONE),
                expected="a cancelled job to be 'cancelled', or 'done' before that",
                seen=state,
            )

    @rule
    def test_r05_cancels_ended_jobs_without_error(self) -> None:
        """To cancel a job that has ended is no error, and leaves its results."""
        with self._session() as session:
            job = self._job(session)
            handle = session.submit(job)
            session.wait_for(handle)
            session.cancel(handle)
            session.cancel(handle)
            state = session.status(handle).state
            require(state == State.DONE, expected="the job to stay 'done'", seen=state)
            session.fetch(handle)

    @rule
    def test_r06_knows_what_it_does_not_know(self) -> None:
        """The status of a job that the vendor does not know is an `UnknownJobError`."""
        with self._session() as session:
            handle = Handle(self.unknown_handle(), self._job(session))
            expected = f"UnknownJobError from status of {handle.id!r}"
            try:
                answer = session.ask("status", handle)
            except UnknownJobError:
                return
            except Exception as error:
                raise RuleBroken(expected, told(error)) from error
            raise RuleBroken(expected, f"{answer!r}")

    @rule
    def test_r07_finds_jobs_by_tag(self) -> None:
        """Where it has `find`, that returns the job with a tag, or `None`."""
        with self._session() as session:
            job = self._job(session)
            try:
                before = session.ask("find", job)
            except NotImplementedError:
                before = NotImplemented
            declared("find", before is not NotImplemented)
            require(
                before is None,
                expected="None from find of a job that was not submitted",
                seen=before,
            )
            handle = session.submit(job)
            found = session.ask("find", job)
            require(
                found == handle.id,
                expected=f"{handle.id!r} from find of the job that was submitted",
                seen=found,
                hint="Send job.id as a tag, and search for it.",
            )

    @rule
    def test_r08_attaches_again(self) -> None:
        """A handle is of use to an equal executor that is opened anew."""
        with self._session() as session:
            job = self._job(session)
            handle = session.submit(job)
        with self._session(pickle.loads(pickle.dumps(session.executor))) as again:
            restored = Handle(handle.id, again.job(job.circuits, job.id))
            again.wait_for(restored)
            again.results_of(restored)

    @rule
    def test_r09_keeps_jobs_apart(self) -> None:
        """Of several jobs in flight, each handle fetches the results of its own."""
        with self._session() as session:
            circuits = self._job_of_thread(session.executor, 1)
            jobs = [session.job([one]) for one in circuits[:2]]
            handles = [session.submit(job) for job in jobs]
            for handle in handles[::-1]:
                session.wait_for(handle)
            for handle in handles[::-1]:
                (result,) = session.results_of(handle)
                if session.executor.capabilities.computes:
                    self.require_close(handle.job.circuits[0], result)

    @rule
    def test_r10_shares_an_account(self) -> None:
        """The `account` of equal executors is equal, and hashable."""
        first, second = self.make(), self.make()
        with calling("hash(account)"):
            hashes = hash(first.account), hash(second.account)
        require(
            first.account == second.account and hashes[0] == hashes[1],
            expected="equal accounts of equal executors",
            seen=f"{first.account!r} and {second.account!r}",
            hint="Rate limits are kept per account: let it follow from the options.",
        )

    @rule
    def test_r11_states_a_price(self) -> None:
        """`cost_usd` is `None` or a number of 0 or more, for every circuit it takes."""
        bound: Any = self.bind()
        taken = [one for one in any_circuits() if bound.refuse(one) is None]
        with calling("cost_usd"):
            prices = [bound.cost_usd([one]) for one in taken] + [bound.cost_usd(taken)]
        declared("cost_usd", any(price is not None for price in prices))
        for price in prices:
            require(
                price is None or (math.isfinite(price) and price >= 0),
                expected="None, or US dollars of 0 or more",
                seen=price,
            )

    @rule
    def test_r12_polls_with_reason(self) -> None:
        """`polling` has a shortest pause above 0 that is no longer than the longest."""
        with calling("polling"):
            polling: Any = self.make().polling
        require(
            isinstance(polling, Polling) and polling.longest_s < math.inf,
            expected="ct.Polling whose longest_s is finite",
            seen=polling,
        )

    @rule
    def test_r13_is_sent_each_circuit_once(self) -> None:
        """Of 50 circuits of a QElectron each is submitted once, and kept in order."""
        executor = self.make_called()
        quantum, qnode = self._simple(executor)
        angles = [math.pi * (number % 3 == 0) for number in range(_MANY)]
        if executor.capabilities.exact:
            angles = [0.06 * number for number in range(_MANY)]
        with _submitted(type(executor)) as sent, calling("map of a QElectron"):
            results = quantum.map(angles)
        require(
            sum(sent) == _MANY,
            expected=f"{_MANY} circuits to be submitted",
            seen=f"{sum(sent)} in {len(sent)} jobs",
        )
        if executor.capabilities.computes:
            self._require_results("map", [qnode(angle) for angle in angles], results)

    def least_price_usd(self) -> float:
        """Return the price of a job of one circuit, in US dollars; 0 if unknown."""
        bound = self.make_plain()
        circuits = with_shots(self.make_circuits()[:1], self.main_shots(bound))
        price = bound.cost_usd(circuits) if isinstance(bound, RemoteExecutor) else None
        return float(price or 0.0)

    def unknown_handle(self) -> str:
        """Return what could name a job, and does not.

        Overridden where a vendor takes handles of a certain form only.
        """
        return f"unknown-{uuid.uuid4()}"

    def _job(self, session: RemoteSession) -> Any:
        bound = session.executor
        shots = self.main_shots(bound)
        return session.job(self.taken(bound, self.make_circuits(), shots)[:1])

    @contextmanager
    def _session(self, executor: Any = None) -> Iterator[RemoteSession]:
        opened = self.open(self.bind() if executor is None else executor)
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def _submitted(kind: type[Any]) -> Iterator[list[int]]:
    """Note how many circuits each `submit` of a class sends, answered or not.

    What the vendor says it did not take does not count.
    """
    sent: list[int] = []
    own, submit = vars(kind).get("submit"), kind.submit
    lock = threading.Lock()

    @contextmanager
    def noting(job: Any) -> Iterator[None]:
        with lock:
            sent.append(len(job))
        try:
            yield
        except TransientError:
            with lock:
                sent.remove(len(job))
            raise

    def plain(executor: Any, job: Any) -> Any:
        with noting(job):
            return submit(executor, job)

    async def waiting(executor: Any, job: Any) -> Any:
        with noting(job):
            return await submit(executor, job)

    kind.submit = waiting if inspect.iscoroutinefunction(submit) else plain
    try:
        yield sent
    finally:
        if own is None:
            del kind.submit
        else:
            kind.submit = own


def _bare(entries: Any) -> list[Any]:
    return [getattr(entry, "value", entry) for entry in entries]

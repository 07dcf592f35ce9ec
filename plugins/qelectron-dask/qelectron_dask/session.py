"""What one lane thread does with a cluster: send circuits, wait, take results."""

from __future__ import annotations

import functools
import pickle
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import attrs
import cloudpickle

from qelectron_core import ExecutorTimeoutError, Job, Outcome
from qelectron_dask.connection import Lease, connect
from qelectron_dask.costs import costs_of
from qelectron_dask.errors import DaskError, NoWorkerError
from qelectron_dask.explaining import explained
from qelectron_dask.packing import pack
from qelectron_dask.planning import Item, plan, share_out, singles
from qelectron_dask.sending import far
from qelectron_dask.versions import own_versions
from qelectron_dask.worker import Order

if TYPE_CHECKING:
    from distributed import Client, Future

    from qelectron_core import Executor
    from qelectron_dask.executor import DaskExecutor

#: Seconds after which it is looked whether the cluster is still there.
LOOK_S: Final = 1.0

_run_order: Final = far("qelectron_dask.worker:run_order")


@attrs.frozen(eq=False)
class Part:
    """A Dask task: what was sent, and where its answer comes from."""

    items: Sequence[Item]
    future: Future[Any]


class Session:
    """Runs jobs on a cluster, one at a time; connects anew if it was lost."""

    def __init__(self, executor: DaskExecutor, lease: Lease) -> None:
        """Use a connection.

        Args:
            executor: The executor whose jobs it runs.
            lease: The right to the connection; given back by `close`.
        """
        self._executor = executor
        self._lease = lease

    def close(self) -> None:
        """Give the connection back."""
        self._lease.release()

    def run(self, job: Job) -> list[Any]:
        """Return per circuit its outcome or its exception.

        Raises:
            DaskError: If the cluster cannot be reached.
            ExecutorTimeoutError: If the job takes longer than it may.
        """
        outcomes: list[Any] = [None] * len(job)
        if not job.circuits:
            return []
        self._reconnect()
        n_tasks = self._executor.tasks_per_job
        again = self._run(job, plan(job, self._inner, n_tasks), n_tasks, outcomes)
        if again:
            self._run(job, singles(job, again), n_tasks, outcomes)
        return outcomes

    def _run(
        self, job: Job, items: list[Item], n_tasks: int, outcomes: list[Any]
    ) -> list[Item]:
        """Fill in outcomes; return the items whose circuits are to be run alone."""
        again: list[Item] = []
        parts = list(self._send(job, items, n_tasks))
        try:
            self._wait(parts, job)
            for part in parts:
                for item, value in zip(part.items, self._values(part), strict=True):
                    if not _take(item, value, outcomes):
                        again.append(item)
        except BaseException:
            with suppress(Exception):
                self._client.cancel([part.future for part in parts], force=True)
            raise
        return again

    def _send(self, job: Job, items: list[Item], n_tasks: int) -> Iterator[Part]:
        costs = [self._executor.expected_s(item.circuit) for item in items]
        for chosen in share_out(items, costs, n_tasks):
            future = self._client.submit(
                _run_order,
                own_versions(),
                self._order(job, chosen),
                key=f"qelectron-{job.id}-{uuid4().hex}",
                pure=False,
            )
            yield Part(chosen, future)

    def _order(self, job: Job, items: Sequence[Item]) -> bytes:
        settings = job.settings
        differentiates = settings.derivatives or settings.gradient_method is not None
        order = Order(
            job.id,
            _pickled(self._inner),
            pack([item.circuit for item in items], by_structure=not differentiates),
            [(item.seed.entropy, item.seed.ordinal) for item in items],
            settings,
        )
        return pickle.dumps(order, protocol=5)

    def _wait(self, parts: Sequence[Part], job: Job) -> None:
        """Wait for all parts.

        Raises:
            NoWorkerError: If no worker is there, and none comes.
            ExecutorTimeoutError: If the time of the job is over.
        """
        start = seen = time.monotonic()
        limit = self._executor.timeout_s
        while not self._are_done(parts):
            now = time.monotonic()
            if limit is not None and now - start > limit:
                message = f"{self._executor!r} did not finish {job.id} in time."
                raise ExecutorTimeoutError(message)
            if self._lease.n_threads:
                seen = now
            elif now - seen > self._executor.connect_s:
                raise NoWorkerError(self._no_worker())

    def _are_done(self, parts: Sequence[Part]) -> bool:
        """Tell whether all parts have ended, waiting a moment for it."""
        from distributed import wait

        try:
            with self._client.as_current():  # which no other way tells `wait`
                wait([part.future for part in parts], timeout=LOOK_S)
        except TimeoutError:
            return False
        except CancelledError:
            pass  # which of them, their results say
        return True

    def _no_worker(self) -> str:
        return (
            f"the cluster of {self._executor!r} has no worker, and none came within "
            f"{self._executor.connect_s:g} s. Start workers, check the queue of the "
            "machine that starts them, or raise connect_s."
        )

    def _values(self, part: Part) -> Sequence[Any]:
        """Return the outcome of each circuit that was sent, or its exception."""
        found: Any
        try:
            content, seconds, worker = part.future.result()
            found = cloudpickle.loads(content)
        except Exception as error:
            n = sum(len(item.places) for item in part.items)
            found = explained(error, f"{n} circuits", self._lease)
        if isinstance(found, Exception):
            return [found] * len(part.items)
        circuits = [item.circuit for item in part.items]
        costs_of(self._inner).learn(circuits, seconds)
        facts = {"worker": worker, "worker_s": seconds}
        return [_with_facts(value, facts) for value in found]

    def _reconnect(self) -> None:
        if not self._lease.is_alive:
            self._lease.give_up()
            self._lease.release()
            self._lease = connect(self._executor)
        _ = self._lease.n_threads  # so that the lane follows the cluster

    @property
    def _client(self) -> Client:
        return self._lease.client

    @property
    def _inner(self) -> Executor:
        return self._executor.executor


def _take(item: Item, value: Any, outcomes: list[Any]) -> bool:
    """Fill in what became of an item; tell whether that is known of its circuits."""
    if len(item.places) == 1:
        outcomes[item.places[0]] = value
        return True
    if isinstance(value, Exception):
        if isinstance(value, DaskError):
            for place in item.places:
                outcomes[place] = value
        return isinstance(value, DaskError)
    try:
        results = item.results(value.value)
    except ValueError:
        return False
    model = None if item.model is None else outcomes[item.model]
    for place, result in zip(item.places, results, strict=True):
        outcomes[place] = attrs.evolve(value, value=_typed(model, result))
    return True


def _typed(model: Any, result: Any) -> Any:
    from qelectron_core.fusion import in_type_of

    return in_type_of(model.value, result) if isinstance(model, Outcome) else result


def _with_facts(value: Any, facts: dict[str, Any]) -> Any:
    if isinstance(value, Exception):
        return value
    if isinstance(value, Outcome):
        return Outcome(value.value, {**facts, **value.metadata})
    return Outcome(value, facts)


@functools.lru_cache(maxsize=64)
def _pickled(executor: Executor) -> bytes:
    return cloudpickle.dumps(executor, protocol=5)  # type: ignore[no-any-return]

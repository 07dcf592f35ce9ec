"""One job at a remote vendor, from its submission to its results."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from qelectron_core.errors import (
    ExecutorError,
    ExecutorTimeoutError,
    JobCancelledError,
    JobFailedError,
    QElectronError,
    UnknownJobError,
    UnsettledJobError,
)
from qelectron_core.ids import new_id
from qelectron_core.remote import Handle, Polling, RemoteExecutor, State, Status
from qelectron_core.runtime.account import NOT_ACCEPTED, PASSING, Account, call, pause
from qelectron_core.runtime.lane import checked, make_job
from qelectron_core.runtime.notes import shown
from qelectron_core.runtime.spending import Charge, spend
from qelectron_core.runtime.task import (
    Ran,
    Task,
    describe,
    note_job,
    places_of,
    recorded,
)

if TYPE_CHECKING:
    from qelectron_core.runtime.remote_lane import RemoteLane
    from qelectron_core.store import Intent

_log: Final = logging.getLogger("qelectron")

#: How often a submit is sent anew after `find` said that it had not arrived.
LOST_SUBMITS: Final = 10
#: Part of a job's age after which its status is asked for again.
PAUSE_PER_AGE: Final = 0.1
#: How long a job is tried to be cancelled that nobody waits for any more.
CANCEL_POLLING: Final = Polling(give_up_s=30.0)
#: Longest wait, in seconds, for a vendor's word that a late job is cancelled.
CANCEL_WAIT_S: Final = 10.0


class RemoteJob:
    """A job, and all that is done about it; called on the loop only.

    Attributes:
        tasks: Its circuits; `None` in the places of those that have ended.
        ran: What is to be said of it to each circuit.
        handle: What the vendor calls it, once known.
        journal: Where it is written down.
    """

    __slots__ = (
        "_account",
        "_charges",
        "_deadline",
        "_detached",
        "_executor",
        "_is_adopted",
        "_lane",
        "_misses",
        "_missing_since",
        "_started",
        "_unsure",
        "ended",
        "handle",
        "journal",
        "ran",
        "tasks",
    )

    def __init__(
        self,
        lane: RemoteLane,
        account: Account,
        tasks: list[Task],
        known: Intent | None = None,
    ) -> None:
        """Make a job that is about to be submitted.

        Args:
            lane: The lane it is in.
            account: Through which the vendor is asked.
            tasks: Its circuits.
            known: What is known of it, if it was submitted before.
        """
        self.tasks: list[Task | None] = list(tasks)
        self.handle: Handle | None = None
        self.ended = False
        self._lane = lane
        self._account = account
        self._executor: RemoteExecutor = lane.executor
        circuits = [task.circuit for task in tasks]
        # Its price stands where it was submitted, and nowhere else.
        elsewhere = known is not None and known.places != places_of(tasks)
        cost = None if elsewhere else self._executor.cost_usd(circuits)
        self.journal = tasks[0].keeper.remote
        self.ran = Ran(
            known.job_id if known else new_id("job"),
            len(tasks),
            cost_usd=None if cost is None else cost / len(tasks),
        )
        self._started = now = lane.loop.time()
        limit = self._executor.timeout_s
        self._deadline = None if limit is None else now + limit
        self._detached = False
        self._is_adopted = known is not None
        self._misses = 0
        self._missing_since = 0.0
        self._charges: list[Charge] = []
        self._unsure = False  # whether the vendor may have accepted it unseen

    async def send(self, resource: Any) -> None:
        """Submit the job, once, and have it watched."""
        tasks = [task for task in self.tasks if task is not None]
        if self.ended or not tasks:
            return
        tasks = await self._paid(tasks)
        if not tasks:
            return
        self.ran = attrs.evolve(self.ran, size=len(tasks))
        job = make_job(self.ran.job_id, tasks, resource)
        await self.journal.intend(self.ran.job_id, self._executor, tasks)
        if self.ended:  # cancelled, while that was being written
            await self.journal.ended(self.ran.job_id)
            await self._give_back()
            return
        try:
            async with asyncio.timeout_at(self._deadline):
                found = await self._submit(job)
        except Exception as error:
            if not self._unsure:
                await self._give_back()
            if self._detached and not self._unsure:
                await self.journal.ended(self.ran.job_id)
            self.end([self._not_sent(job, error)] * self.ran.size)
            return
        await self.adopt(Handle(found, job))

    async def _paid(self, tasks: list[Task]) -> list[Task]:
        """Spend what the job takes; return the circuits that go, none if it stays."""
        self.tasks = list(tasks)  # without those cancelled meanwhile
        if all(task.hold is None for task in tasks):
            return tasks
        self._charges, refused = await self.journal.do(spend, tasks)
        if not self.ended:
            told = [(task, refused[task]) for task in self.tasks if task in refused]
            self._lane.deliver(told, Ran(last=True))
        going = [t for t in self.tasks if t is not None and t not in refused]
        self.tasks = list(going)
        if going and not self.ended:
            return going
        await self._give_back()
        if not self.ended:
            self.ended = True
            self._lane.forget(self)
        return []

    async def _give_back(self) -> None:
        """Give back what was spent: the job did not get to the vendor."""
        charges, self._charges = self._charges, []
        for charge in charges:
            await self.journal.do(charge.give_back)

    async def adopt(self, handle: Handle) -> None:
        """Go on with a job that the vendor has."""
        self.handle = handle
        self.ran = attrs.evolve(self.ran, handle=handle.id)
        await self.journal.submitted(self.ran.job_id, handle.id)
        if self.ended:  # cancelled, while the answer was on its way
            if not self._detached:
                await self.cancel_at_vendor()
            return
        for task in self.tasks:
            if task is not None:
                self._lane.report("started", task)
        self._account.watch(self, self._pause())

    async def look_for(self, job: Any) -> None:
        """Go on with a job of which it is not known whether it was submitted."""
        lost = ConnectionError("the process that was about to submit it ended")
        found = await self._find(job, lost)
        if found is not None:
            await self.adopt(Handle(found, job))
            return
        message = f"{self.ran.job_id} did not arrive at {self._executor!r}"
        self.end([JobFailedError(message)] * self.ran.size)

    async def look(self) -> float | None:
        """Ask the vendor for the status; return the seconds until the next time."""
        if self.ended or self.handle is None:
            return None
        try:
            async with asyncio.timeout_at(self._deadline):
                answer = await self._account.ask(self._executor.status, self.handle)
            status = Status.of(answer)
        except PASSING as error:
            return self._missed(error)
        except JobFailedError as error:
            self.end([error] * self.ran.size)
            return None
        except Exception as error:
            failure = self._no_answer("status()", error)
            if not self._is_open(failure):  # before anybody asks for its circuits
                await self.journal.ended(self.ran.job_id)
            self.end([failure] * self.ran.size)
            return None
        self._misses = 0
        return self._act_on(status)

    def drop(self, places: Sequence[int]) -> None:
        """Let go of circuits that were cancelled; cancel the job with the last one."""
        for place in places:
            self.tasks[place] = None
        if not self.ended and not any(self.tasks):
            self._close(())
            if self.handle is not None:
                self._lane.background(self.cancel_at_vendor())

    def detach(self) -> list[Task]:
        """Leave the job to the vendor; return the circuits that have not ended."""
        self.ended = self._detached = True
        self._lane.forget(self)
        return [task for task in self.tasks if task is not None]

    def end(self, outcomes: Sequence[Any]) -> None:
        """Hand out what became of the circuits."""
        if self.ended:
            return
        self._close(outcomes)
        first = outcomes[0] if outcomes else None
        if isinstance(first, Exception) and all(o is first for o in outcomes):
            note_job(first, self.ran, self._lane.name_of(self))
        ended = [
            (task, outcome)
            for task, outcome in zip(self.tasks, outcomes, strict=True)
            if task is not None
        ]
        self._lane.deliver(ended, self.ran)

    async def cancel_at_vendor(self) -> bool:
        """Ask the vendor to cancel the job; return whether it answered."""
        try:
            await self._account.ask_until_answered(
                CANCEL_POLLING, self._executor.cancel, self.handle
            )
        except Exception as error:
            _log.warning(
                "job %s (%s) of %r could not be cancelled and may still run: %s",
                self.handle,
                self.ran.job_id,
                self._executor,
                describe(error),
                extra={"job_id": self.ran.job_id, "executor": shown(self._executor)},
            )
            return False
        return True

    async def _expire(self) -> None:
        """End a job whose time is over, once the vendor has been told.

        Unless it is known to be cancelled, its circuits are not run again.
        """
        try:
            async with asyncio.timeout(CANCEL_WAIT_S):
                cancelled = await self.cancel_at_vendor()
        except TimeoutError:
            cancelled = False
        failure = (
            self._timeout()
            if cancelled
            else self._unsettled(
                f"it had no result within {self._executor.timeout_s:g} s, and could "
                "not be cancelled"
            )
        )
        self.end([failure] * self.ran.size)

    async def _submit(self, job: Any) -> str:
        for attempt in range(1, LOST_SUBMITS + 1):
            try:
                found = await self._account.ask_until_answered(
                    self._executor.polling,
                    self._submit_once,
                    job,
                    passing=NOT_ACCEPTED,
                )
                return self._checked_id(found)
            except QElectronError:
                raise
            except Exception as error:
                known = await self._find(job, error)
                if known is not None:
                    return known
                await asyncio.sleep(pause(attempt, error, self._executor.polling))
        message = f"submit() was lost {LOST_SUBMITS} times on its way to the vendor"
        raise ExecutorError(f"{self._executor!r}: {message}. Check the connection.")

    async def _submit_once(self, job: Any) -> Any:
        if self.ended:
            raise JobCancelledError(
                f"{self.ran.job_id} was cancelled before its submit"
            )
        self._unsure = True
        try:
            found = await call(self._executor.submit, job)
        except QElectronError:  # by contract it says that nothing was accepted
            self._unsure = False
            raise
        return found

    async def _find(self, job: Any, error: Exception) -> str | None:
        """Return the id of a job whose submit got no answer; `None` if there is none.

        Raises:
            UnsettledJobError: If that cannot be found out.
        """
        reason = describe(error)
        try:
            found: str | None = await self._account.ask_until_answered(
                self._executor.polling, self._executor.find, job
            )
        except NotImplementedError:
            raise self._unsettled(f"submit() ended with {reason}") from error
        except Exception as failure:
            also = describe(failure)
            message = f"submit() ended with {reason}, find() with {also}"
            raise self._unsettled(message) from error
        self._unsure = found is not None
        return None if found is None else self._checked_id(found)

    def _not_sent(self, job: Any, error: Exception) -> Exception:
        """Return what the circuits end in when a submit came to nothing."""
        if not self._is_late():
            return error
        if not self._unsure:
            return self._timeout()
        self._lane.background(self._withdraw(job))
        return self._unsettled("submit() did not answer in time")

    def _checked_id(self, found: Any) -> str:
        if isinstance(found, str) and found:
            return found
        message = (
            f"submit() of {type(self._executor).__name__} returned {found!r}. Expected "
            "the vendor's id of the job, a string that is not empty"
        )
        raise self._unsettled(message)

    async def _withdraw(self, job: Any) -> None:
        """Cancel a job of which it was too late to learn whether it was accepted."""
        try:
            found = await self._account.ask_until_answered(
                CANCEL_POLLING, self._executor.find, job
            )
        except Exception:
            return  # its circuits have been told that it may still run
        if found is not None:
            self.handle = Handle(found, job)
            await self.cancel_at_vendor()

    def _act_on(self, status: Status) -> float | None:
        if status.state == State.DONE:
            self._lane.loop.spawn(self._collect())
        elif status.state == State.FAILED:
            said = status.message or "it does not say why"
            error = JobFailedError(f"job {self.handle} failed at the vendor: {said}")
            self.end([error] * self.ran.size)
        elif status.state == State.CANCELLED:
            said = f". {status.message}" if status.message else ""
            where = f"job {self.handle} was cancelled at the vendor{said}"
            self.end([JobCancelledError(where)] * self.ran.size)
        elif self._is_late():
            self._lane.background(self._expire())
        else:
            self._lane.see_ahead(self, status.ahead)
            return self._pause()
        return None

    async def _collect(self) -> None:
        try:
            async with asyncio.timeout_at(self._deadline):
                outcomes = await self._account.ask_until_answered(
                    self._executor.polling, self._executor.fetch, self.handle
                )
            outcomes = checked(outcomes, self.ran.size, self._executor, "fetch")
        except JobFailedError as error:
            outcomes = [error] * self.ran.size
        except Exception as error:
            outcomes = [self._no_answer("fetch()", error)] * self.ran.size
        self.end(outcomes)

    def _missed(self, error: Exception) -> float | None:
        now = self._lane.loop.time()
        if self._misses == 0:
            self._missing_since = now
        self._misses += 1
        polling = self._executor.polling
        if self._is_late():
            self._lane.background(self._expire())
        elif now - self._missing_since >= polling.give_up_s:
            self.end([self._no_answer("status()", error)] * self.ran.size)
        else:
            return self._until_deadline(pause(self._misses, error, polling))
        return None

    def _pause(self) -> float:
        polling, age = self._executor.polling, self._lane.loop.time() - self._started
        pause_s = max(polling.first_s, min(polling.longest_s, age * PAUSE_PER_AGE))
        # Jobs that were submitted together need not be asked for together.
        return self._until_deadline(pause_s * random.uniform(0.8, 1.2))

    def _until_deadline(self, pause_s: float) -> float:
        if self._deadline is None:
            return pause_s
        return max(0.0, min(pause_s, self._deadline - self._lane.loop.time()))

    def _is_late(self) -> bool:
        return self._deadline is not None and self._lane.loop.time() >= self._deadline

    def _timeout(self) -> ExecutorTimeoutError:
        return ExecutorTimeoutError(
            f"{self._executor!r} had no result of job {self._name} within "
            f"{self._executor.timeout_s:g} s, and it is cancelled. Raise timeout_s if "
            "the vendor's queue is long."
        )

    def _no_answer(self, method: str, error: Exception) -> Exception:
        """Return what the circuits end in when an accepted job cannot be read."""
        if isinstance(error, UnsettledJobError):
            return error
        reason = f"{method} ended with {describe(error)}"
        unsettled = self._unsettled(reason)
        unsettled.__cause__ = error
        return unsettled

    def _unsettled(self, reason: str) -> UnsettledJobError:
        what_next = "take its results with attach()" if self.handle else "look for it"
        return UnsettledJobError(
            f"job {self._name} of {self._executor!r} may be running, or done, at the "
            f"vendor, and is not sent again: {reason.rstrip('.')}. Before you run "
            f"these circuits anew, {what_next}."
        )

    @property
    def _name(self) -> str:
        return str(self.handle) if self.handle else self.ran.job_id

    def _is_open(self, outcome: Any) -> bool:
        """Tell whether the job needs attention after this outcome of a circuit.

        It needs none if an earlier process submitted it, and the vendor has forgotten
        it: it would stand in the way of its circuits for ever.
        """
        forgotten = self._is_adopted and isinstance(outcome, UnknownJobError)
        return isinstance(outcome, UnsettledJobError) and not forgotten

    def _close(self, outcomes: Sequence[Any]) -> None:
        """Let go of the job, with its results in the store."""
        self.ended = True
        if not any(map(self._is_open, outcomes)):
            results = [
                (task, *recorded(task, outcome, self.ran))
                for task, outcome in zip(self.tasks, outcomes, strict=bool(outcomes))
                if task is not None and not isinstance(outcome, BaseException)
            ]
            self._lane.background(self.journal.ended(self.ran.job_id, results))
        self._lane.forget(self)

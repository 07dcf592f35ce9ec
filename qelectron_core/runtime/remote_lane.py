"""The lane of one remote executor: its queue and its jobs in flight."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from qelectron_core.errors import ConfigError
from qelectron_core.recording import install
from qelectron_core.remote import Handle, RemoteExecutor
from qelectron_core.runtime.account import Account, call
from qelectron_core.runtime.lane import jobs_at_once, make_job
from qelectron_core.runtime.logbook import ids_of_task
from qelectron_core.runtime.loop import LoopThread
from qelectron_core.runtime.pending import Pending
from qelectron_core.runtime.remote_job import RemoteJob
from qelectron_core.runtime.services import Services
from qelectron_core.runtime.task import DetachedError, Ran, Task, settle

if TYPE_CHECKING:
    from qelectron_core.contracts import Executor
    from qelectron_core.store import Intent

_log: Final = logging.getLogger("qelectron")

#: Longest wait for cancellations under way when a lane is closed, in seconds: they
#: save money. The same for what is being written into the journal.
CANCEL_S: Final = 5.0


class RemoteLane:
    """Sends circuits to one remote executor, gathering them into jobs.

    While submits are on their way, circuits gather, and the next jobs take all of
    them. Everything but the queue is touched on the loop only.
    """

    def __init__(
        self, executor: RemoteExecutor, account: Account, services: Services
    ) -> None:
        """Make an idle lane.

        Raises:
            ConfigError: If the executor states limits that let nothing run, or if
                PennyLane cannot be used from several threads.
        """
        _require_threads(executor)
        self.executor = executor
        self.origins: set[Executor] = set()
        self.loop = services.loop
        self.report = services.report
        self._account = account
        self._delivery = services.delivery
        self._loads = services.loads
        self._most_jobs = jobs_at_once(executor)
        self._lock = threading.Lock()
        self._pending = Pending(executor)
        self._pump_scheduled = False
        self._sending = 0
        self._jobs: set[RemoteJob] = set()
        self._background = 0
        self._stopped = False
        self._idle = threading.Event()
        self._idle.set()
        self._resource = _Resource(executor)

    def submit(self, tasks: Iterable[Task]) -> None:
        """Queue tasks and submit what can be submitted."""
        with self._lock:
            self._pending.add(tasks)
            scheduled, self._pump_scheduled = self._pump_scheduled, True
        if scheduled:
            return
        try:
            self.loop.call(self._pump)
        except BaseException:  # Ctrl-C, say: the next circuit must try again
            self._pump_scheduled = False
            raise

    submit_here = submit

    def run_here(self, task: Task) -> None:
        """Queue one task: a vendor runs it wherever it is asked from."""
        self.submit([task])

    def adopt(self, tasks: Sequence[Task], intent: Intent) -> None:
        """Wait for a job that was submitted before, instead of submitting one.

        If it is not known whether it was, it is looked for.
        """
        self.loop.call(lambda: self._adopt(list(tasks), intent))

    def cancel(self, wanted: Callable[[Task], bool]) -> int:
        """Cancel tasks, queued ones and those at the vendor; return how many."""
        with self._lock:
            dropped = [(task, Ran()) for task in self._pending.drop(wanted)]
        if self.loop.started:
            dropped += self.loop.ask(self._drop_in_flight, wanted)
        for task, ran in dropped:
            settle(task, CancelledError(), ran)
        return len(dropped)

    def stop(self) -> None:
        """Cancel everything, queued or at the vendor.

        If the store is one that outlives the process, jobs at the vendor go on, to
        be attached to later.
        """
        self._stopped = True
        if self.loop.started:
            for task, ran in self.loop.ask(self._detach):
                settle(task, DetachedError(), ran)
        self.cancel(lambda task: True)

    def close(self, timeout_s: float | None = None) -> None:
        """End everything and free what `open` made."""
        del timeout_s  # no job is waited for, only cancellations
        self.stop()
        if self.loop.started:
            self._idle.wait(CANCEL_S)
            self.loop.ask(self._resource.close_soon, self.loop).wait(CANCEL_S)

    # Called by the lane's jobs, on the loop.

    def deliver(self, ended: list[tuple[Task, Any]], ran: Ran) -> None:
        """Hand outcomes to their tasks, on a worker thread."""
        self._delivery.put(partial(self._settle_all, ended, ran))

    def forget(self, job: RemoteJob) -> None:
        """Let go of a job that has ended."""
        self._jobs.discard(job)
        self._note_idle()
        self._pump()

    def background(self, work: Coroutine[Any, Any, object]) -> None:
        """Do what nobody waits for but the end of the lane."""
        self._background += 1
        self._idle.clear()
        self.loop.spawn(self._do(work))

    def see_ahead(self, job: RemoteJob, ahead: int | None) -> None:
        """Note how many jobs the vendor runs before ours."""
        if ahead is not None:
            self._loads.see_ahead(self.name_of(job), ahead)

    def name_of(self, job: RemoteJob) -> Executor:
        """Return the executor as the user wrote it."""
        return next((t.executor for t in job.tasks if t is not None), self.executor)

    async def _do(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        finally:
            self._background -= 1
            self._note_idle()

    def _note_idle(self) -> None:
        if self._jobs or self._background or self._sending:
            self._idle.clear()
        else:
            self._idle.set()

    def _pump(self) -> None:
        """Submit what has gathered, unless submits are on their way."""
        with self._lock:
            self._pump_scheduled = False
            if self._sending and not self._stopped:
                return
            late = self._pending.drop(lambda _: self._stopped)
            jobs: list[list[Task]] = []
            while self._pending and len(self._jobs) + len(jobs) < self._most_jobs:
                jobs.append(self._pending.take())
        if late:
            self.deliver([(task, CancelledError()) for task in late], Ran())
        for tasks in jobs:
            self._start(tasks)

    def _start(self, tasks: list[Task]) -> None:
        wanted = [task for task in tasks if not task.batch.cancelled]
        dropped = [task for task in tasks if task.batch.cancelled]
        if dropped:
            self.deliver([(task, CancelledError()) for task in dropped], Ran())
        if not wanted:
            return
        try:
            job = self._new_job(wanted)
        except Exception as error:  # of a plugin's cost_usd
            self.deliver([(task, error) for task in wanted], Ran())
            return
        self._sending += 1
        self.loop.spawn(self._send(job))

    def _new_job(self, tasks: list[Task], known: Intent | None = None) -> RemoteJob:
        job = RemoteJob(self, self._account, tasks, known)
        self._jobs.add(job)
        self._idle.clear()
        return job

    def _settle_all(self, ended: Sequence[tuple[Task, Any]], ran: Ran) -> None:
        if self._stopped:  # no attempt follows
            ran = attrs.evolve(ran, last=True)
        for task, outcome in ended:
            try:
                settle(task, outcome, ran)
            except BaseException:  # of a callback; the others are told all the same
                message = "the result of circuit %s of %s could not be handed over"
                ids = ids_of_task(task, ran.job_id)
                _log.exception(message, task.index, task.batch.call_id, extra=ids)

    async def _send(self, job: RemoteJob) -> None:
        try:
            await job.send(await self._resource.get())
        except Exception as error:
            job.end([error] * job.ran.size)
        finally:
            self._sending -= 1
            self._note_idle()
            self._pump()

    def _adopt(self, tasks: list[Task], intent: Intent) -> None:
        job = self._new_job(tasks, intent)

        async def adopt() -> None:
            try:
                resource = await self._resource.get()
                whole = make_job(job.ran.job_id, tasks, resource)
                if intent.handle is None:
                    await job.look_for(whole)
                else:
                    await job.adopt(Handle(intent.handle, whole))
            except Exception as error:
                job.end([error] * job.ran.size)

        self.loop.spawn(adopt())

    def _drop_in_flight(self, wanted: Callable[[Task], bool]) -> list[_Dropped]:
        dropped: list[_Dropped] = []
        for job in list(self._jobs):
            places = [
                (place, task)
                for place, task in enumerate(job.tasks)
                if task is not None and wanted(task)
            ]
            dropped += [(task, job.ran) for _, task in places]
            job.drop([place for place, _ in places])
        return dropped

    def _detach(self) -> list[_Dropped]:
        """Let go of jobs that stay in a store; return their circuits."""
        jobs = [job for job in self._jobs if job.journal.durable]
        return [(task, job.ran) for job in jobs for task in job.detach()]


#: A circuit that was cancelled, and what is to be said of its job.
_Dropped: TypeAlias = tuple[Task, Ran]


class _Resource:
    """What `open` made, once for all jobs of a lane."""

    def __init__(self, executor: RemoteExecutor) -> None:
        self._executor = executor
        self._opened: Any = None
        self._is_open = False
        self._opening: Any = None

    async def get(self) -> Any:
        """Return it, made at first use; a failed attempt is made again next time."""
        import asyncio

        if self._is_open:
            return self._opened
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> Any:
        try:
            self._opened = await call(self._executor.open)
            self._is_open = True
        finally:
            self._opening = None
        return self._opened

    def close_soon(self, loop: LoopThread) -> threading.Event:
        """Close it, if it is open; the event is set when that is done."""
        done = threading.Event()
        loop.spawn(self._close(done))
        return done

    async def _close(self, done: threading.Event) -> None:
        try:
            if self._is_open:
                self._is_open = False
                await call(self._executor.close, self._opened)
        except Exception:
            _log.exception("%r could not close what it had opened", self._executor)
        finally:
            done.set()


def _require_threads(executor: RemoteExecutor) -> None:
    if not install():
        message = (
            f"{executor!r} cannot be used: this PennyLane's recording of operations "
            "could not be made safe for several threads. Install the PennyLane that "
            "qelectron-core asks for."
        )
        raise ConfigError(message)

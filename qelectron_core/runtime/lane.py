"""The lane of one executor: its queue, its running jobs, its resources."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

import attrs

from qelectron_core.contracts import Executor, Job
from qelectron_core.errors import ConfigError, ExecutorError, ExecutorTimeoutError
from qelectron_core.ids import new_id
from qelectron_core.recording import pennylane_code
from qelectron_core.runtime.loop import Timer
from qelectron_core.runtime.pending import Pending
from qelectron_core.runtime.services import Report, Services
from qelectron_core.runtime.spending import spend
from qelectron_core.runtime.task import Ran, Task, note_job, settle

_log: Final = logging.getLogger("qelectron")


class Lane:
    """Sends circuits to one executor, gathering them into jobs.

    A lane that is idle starts at once. While it is busy, circuits gather, and the
    next job takes all of them: batching without a timer and without added
    latency. An executor whose `concurrency` is above one has several jobs running
    and they share what has gathered.
    """

    def __init__(self, executor: Executor, services: Services) -> None:
        """Make an idle lane.

        Args:
            executor: The executor, adapted to the QNode's device.
            services: What all lanes share.

        Raises:
            ConfigError: If the executor states limits that let nothing run.
        """
        self.executor = executor
        self.origins: set[Executor] = set()
        self._concurrency = jobs_at_once(executor)
        self._workers = services.workers
        self._loop = services.loop
        self._report = services.report
        self._condition = threading.Condition()
        self._pending = Pending(executor)
        self._running = 0
        self._gathering = 0
        self._idle_resources: list[Any] = []
        self._closed = False

    def submit(self, tasks: Iterable[Task]) -> None:
        """Queue tasks and start what can start, on worker threads."""
        with self._condition:
            self._pending.add(tasks)
            jobs = self._take_jobs()
        self._start(jobs)

    def submit_here(self, tasks: Sequence[Task]) -> None:
        """Queue tasks and run the first job of an idle lane in this thread.

        For callers that are going to wait anyway: it saves the way to a worker. A
        job whose time is limited runs on one, because a caller can leave it there.
        """
        with self._condition:
            idle = not self._pending and not self._running
            self._pending.add(tasks)
            jobs = self._take_jobs()
        here = idle and jobs and self.executor.timeout_s is None
        own = jobs.pop(0) if here else None
        self._start(jobs)
        if own is not None:
            self._run(own)

    def run_here(self, task: Task) -> None:
        """Run one task in this thread, beside whatever else the lane does."""
        with self._condition:
            self._running += 1
            self._gathering += task.gathers
        self._run([task])

    def cancel(self, wanted: Callable[[Task], bool]) -> int:
        """Drop queued tasks, which end as cancelled; return how many."""
        with self._condition:
            dropped = self._pending.drop(wanted)
        for task in dropped:
            settle(task, CancelledError(), Ran())
        return len(dropped)

    def stop(self) -> None:
        """Start nothing more: cancel what is queued."""
        self.cancel(lambda task: True)

    def close(self, timeout_s: float | None = None) -> None:
        """Cancel what is queued, wait for running jobs, free the resources."""
        self.stop()
        with self._condition:
            self._closed = True
            self._condition.wait_for(lambda: not self._running, timeout_s)
            resources, self._idle_resources = self._idle_resources, []
        for resource in resources:
            self._discard(resource)

    def _take_jobs(self) -> list[list[Task]]:
        if not self._pending:
            return []
        self._follow_executor()
        idle = not self._running
        jobs: list[list[Task]] = []
        while True:
            # An idle lane shares what there is among all jobs that may run. When one
            # job of several ends, it takes only its own part of what has gathered.
            free = self._concurrency - self._running
            job = self._take_job(parts=free if idle else self._concurrency)
            if not job:
                return jobs
            jobs.append(job)

    def _follow_executor(self) -> None:
        """Ask how many jobs may run now: a cluster of machines may have grown."""
        try:
            self._concurrency = jobs_at_once(self.executor)
        except Exception:  # circuits wait already, and would for ever
            message = "%r does not say how many jobs may run now; %s may, as before"
            _log.exception(message, self.executor, self._concurrency)

    def _take_job(self, *, parts: int) -> list[Task]:
        first = self._pending.first()
        if first is None or self._running >= self._concurrency:
            return []
        share, gathers = len(self._pending), first.gathers
        if gathers and self._gathering:
            return []
        if not gathers:
            share = -(-share // parts)
        self._running += 1
        self._gathering += gathers
        return self._pending.take(share)

    def _start(self, jobs: Iterable[list[Task]]) -> None:
        for tasks in jobs:
            self._workers.start(partial(self._run, tasks))

    def _run(self, tasks: list[Task]) -> None:
        """Run a job, let the next ones start, and only then hand out results.

        Whoever receives a result may call this very lane again and wait for it,
        so its place in the lane is given up first.
        """
        job = _RunningJob(tasks)
        timer = self._watch(job)
        outcomes: Sequence[Any] = ()
        try:
            job.start(self._report)
            if job.runnable:
                outcomes = self._outcomes(job)
        finally:
            if timer is not None:
                timer.cancel()
            self._finish(job, outcomes or [CancelledError()] * len(job.runnable))

    def _watch(self, job: _RunningJob) -> Timer | None:
        limit = self.executor.timeout_s
        if limit is None:
            return None
        expire = partial(self._loop.on_worker, partial(self._expire, job))
        return self._loop.later(limit, expire)

    def _expire(self, job: _RunningJob) -> None:
        """End a job whose time is over; what it still computes is dropped."""
        message = (
            f"{self.executor!r} did not finish {job.ran.job_id} within "
            f"{self.executor.timeout_s:g} s. Its result will be dropped. Raise "
            "timeout_s, or send fewer circuits."
        )
        self._finish(job, [ExecutorTimeoutError(message)] * len(job.runnable))

    def _finish(self, job: _RunningJob, outcomes: Sequence[Any]) -> None:
        if not job.end():
            return
        self._start(self._end_job(job.tasks[0]))
        ran = attrs.evolve(job.ran, last=True) if self._closed else job.ran
        settled = [
            *((t, o, ran) for t, o in zip(job.runnable, outcomes, strict=True)),
            *((task, error, Ran(last=True)) for task, error in job.refused.items()),
            *((task, CancelledError(), Ran()) for task in job.dropped()),
        ]
        with ExitStack() as every:  # each is told, whatever another one raises
            for arguments in reversed(settled):
                every.callback(settle, *arguments)

    def _end_job(self, one_of_it: Task) -> list[list[Task]]:
        with self._condition:
            self._running -= 1
            self._gathering -= one_of_it.gathers
            self._condition.notify_all()
            return self._take_jobs()

    def _outcomes(self, job: _RunningJob) -> Sequence[Any]:
        try:
            outcomes = self._run_job(job)
            return checked(outcomes, len(job.runnable), self.executor, "run")
        except KeyboardInterrupt:  # in a thread that runs its own circuits
            raise
        except Exception as error:
            failure = error
        except BaseException as error:  # a plugin that calls sys.exit(), say
            message = f"{self.executor!r} ended with {type(error).__name__}: {error}"
            failure = ExecutorError(message)
            failure.__cause__ = error
        note_job(failure, job.ran, job.tasks[0].executor)
        return [failure] * len(job.runnable)

    def _run_job(self, job: _RunningJob) -> Sequence[Any]:
        resource = self._acquire()
        try:
            with pennylane_code():
                outcomes = self.executor.run(
                    make_job(job.ran.job_id, job.runnable, resource)
                )
        except BaseException:
            self._discard(resource)  # in an unknown state, so not used again
            raise
        self._release(resource)
        return outcomes

    def _acquire(self) -> Any:
        with self._condition:
            if self._idle_resources:
                return self._idle_resources.pop()
        return self.executor.open()

    def _release(self, resource: Any) -> None:
        with self._condition:
            if not self._closed:
                self._idle_resources.append(resource)
                return
        self._discard(resource)

    def _discard(self, resource: Any) -> None:
        try:
            self.executor.close(resource)
        except Exception:
            _log.exception("%r could not close what it had opened", self.executor)


class _RunningJob:
    """A job on a thread; it ends once, by its end or by its timeout."""

    def __init__(self, tasks: list[Task]) -> None:
        self.tasks = tasks
        self.runnable: list[Task] = []
        self.refused: dict[Task, Exception] = {}
        self.ran = Ran(new_id("job"), len(tasks))
        self._lock = threading.Lock()
        self._ended = False

    def start(self, report: Report) -> None:
        """Keep the circuits that nobody cancelled, and say that they start."""
        starting = [task for task in self.tasks if task.batch.start()]
        if any(task.hold is not None for task in starting):
            _, self.refused = spend(starting)
        for task in starting:
            if task not in self.refused:
                self.runnable.append(task)
                report("started", task)
        if len(self.runnable) < len(self.tasks):
            self.ran = attrs.evolve(self.ran, size=len(self.runnable))

    def end(self) -> bool:
        """Tell whether it ends now, and not before."""
        with self._lock:
            first, self._ended = not self._ended, True
        return first

    def dropped(self) -> set[Task]:
        """Return the circuits that were cancelled."""
        return set(self.tasks).difference(self.runnable, self.refused)


def jobs_at_once(executor: Executor) -> int:
    """Return the executor's `concurrency` as a number.

    Raises:
        ConfigError: If it lets nothing run.
    """
    value: Any = executor.concurrency
    if value is None:
        return sys.maxsize
    if not isinstance(value, int) or value < 1:
        message = f"{executor!r} says concurrency={value!r}. Expected 1 or more."
        raise ConfigError(message)
    return value


def make_job(job_id: str, tasks: Sequence[Task], resource: Any) -> Job:
    """Return what an executor is given to run."""
    return Job(
        id=job_id,
        circuits=tuple(task.circuit for task in tasks),
        seeds=tuple(task.seed for task in tasks),
        settings=tasks[0].settings,
        resource=resource,
    )


def checked(
    outcomes: Any, expected: int, executor: Executor, method: str
) -> Sequence[Any]:
    """Return what an executor returned, if it has one entry per circuit.

    Raises:
        ExecutorError: If it has not.
    """
    if isinstance(outcomes, (str, bytes, dict)) or not hasattr(outcomes, "__len__"):
        message = (
            f"{executor!r} returned {type(outcomes).__name__} from {method}(). "
            "Expected a sequence with one entry per circuit."
        )
        raise ExecutorError(message)
    if len(outcomes) != expected:
        message = (
            f"{executor!r} returned {len(outcomes)} results for {expected} circuits. "
            f"{method}() must return one entry per circuit, in order."
        )
        raise ExecutorError(message)
    return list(outcomes)

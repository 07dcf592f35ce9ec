"""The lane of one executor: its queue, its running jobs, its resources."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from qelectron_core.contracts import Executor, Job, Outcome
from qelectron_core.errors import ConfigError, ExecutorError
from qelectron_core.events import EventKind, Execution
from qelectron_core.ids import new_id
from qelectron_core.recording import pennylane_code
from qelectron_core.runtime.task import Task
from qelectron_core.runtime.workers import Workers

_log: Final = logging.getLogger("qelectron")

#: Called with a task and what became of it, in the thread that ran it.
Report = Callable[[EventKind, Task, Execution | None], None]


class Lane:
    """Sends circuits to one executor, gathering them into jobs.

    A lane that is idle starts at once. While it is busy, circuits gather, and the
    next job takes all of them: batching without a timer and without added
    latency. An executor whose `concurrency` is above one has several jobs running
    and they share what has gathered.
    """

    def __init__(self, executor: Executor, workers: Workers, report: Report) -> None:
        """Make an idle lane.

        Args:
            executor: The executor, adapted to the QNode's device.
            workers: Where jobs run.
            report: Called when a circuit starts, completes or fails.

        Raises:
            ConfigError: If the executor states limits that let nothing run.
        """
        self.executor = executor
        self.origins: set[Executor] = set()
        self._concurrency = _positive(executor, "concurrency")
        self._limit = _positive(executor, "max_circuits_per_job")
        self._workers = workers
        self._report = report
        self._condition = threading.Condition()
        self._pending: deque[Task] = deque()
        self._running = 0
        self._gathering = 0
        self._idle_resources: list[Any] = []
        self._closed = False

    def submit(self, tasks: Iterable[Task]) -> None:
        """Queue tasks and start what can start, on worker threads."""
        with self._condition:
            self._pending.extend(tasks)
            jobs = self._take_jobs()
        self._start(jobs)

    def submit_here(self, tasks: Sequence[Task]) -> None:
        """Queue tasks and run the first job of an idle lane in this thread.

        For callers that are going to wait anyway: it saves the way to a worker.
        """
        with self._condition:
            idle = not self._pending and not self._running
            self._pending.extend(tasks)
            jobs = self._take_jobs()
        own = jobs.pop(0) if idle and jobs else None
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
            dropped = [task for task in self._pending if wanted(task)]
            if dropped:
                kept = [task for task in self._pending if not wanted(task)]
                self._pending = deque(kept)
        for task in dropped:
            self._settle(task, CancelledError(), None, time.time())
        return len(dropped)

    def close(self, timeout_s: float | None = None) -> None:
        """Cancel what is queued, wait for running jobs, free the resources."""
        self.cancel(lambda task: True)
        with self._condition:
            self._closed = True
            self._condition.wait_for(lambda: not self._running, timeout_s)
            resources, self._idle_resources = self._idle_resources, []
        for resource in resources:
            self._discard(resource)

    def _take_jobs(self) -> list[list[Task]]:
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

    def _take_job(self, *, parts: int) -> list[Task]:
        if not self._pending or self._running >= self._concurrency:
            return []
        share, gathers = len(self._pending), self._pending[0].gathers
        if gathers and self._gathering:
            return []
        if not gathers:
            share = -(-share // parts)
        self._running += 1
        self._gathering += gathers
        return self._pop_alike(min(share, self._limit))

    def _pop_alike(self, at_most: int) -> list[Task]:
        first = self._pending[0]
        tasks: list[Task] = []
        while self._pending and len(tasks) < at_most:
            task = self._pending[0]
            if (task.settings, task.gathers) != (first.settings, first.gathers):
                break
            tasks.append(self._pending.popleft())
        return tasks

    def _start(self, jobs: Iterable[list[Task]]) -> None:
        for tasks in jobs:
            self._workers.start(partial(self._run, tasks))

    def _run(self, tasks: list[Task]) -> None:
        """Run a job, let the next ones start, and only then hand out results.

        Whoever receives a result may call this very lane again and wait for it,
        so its place in the lane is given up first.
        """
        job_id, started_at = new_id("job"), time.time()
        runnable: list[Task] = []
        outcomes: Sequence[Any] = ()
        try:
            for task in tasks:
                if task.batch.start():
                    runnable.append(task)
                    self._report("started", task, None)
            if runnable:
                outcomes = self._outcomes(job_id, runnable)
        finally:
            self._start(self._end_job(tasks[0]))
            job = (job_id, len(runnable))
            outcomes = outcomes or [CancelledError()] * len(runnable)
            settled: list[tuple[Task, Any, tuple[str, int] | None]]
            settled = [(t, o, job) for t, o in zip(runnable, outcomes, strict=True)]
            dropped = set(tasks).difference(runnable)
            settled += [(task, CancelledError(), None) for task in dropped]
            with ExitStack() as every:  # each is told, whatever another one raises
                for task, outcome, where in reversed(settled):
                    every.callback(self._settle, task, outcome, where, started_at)

    def _end_job(self, one_of_it: Task) -> list[list[Task]]:
        with self._condition:
            self._running -= 1
            self._gathering -= one_of_it.gathers
            self._condition.notify_all()
            return self._take_jobs()

    def _outcomes(self, job_id: str, tasks: list[Task]) -> Sequence[Any]:
        try:
            outcomes = self._run_job(job_id, tasks)
            return _checked(self.executor, outcomes, len(tasks))
        except KeyboardInterrupt:  # in a thread that runs its own circuits
            raise
        except Exception as error:
            failure = error
        except BaseException as error:  # a plugin that calls sys.exit(), say
            message = f"{self.executor!r} ended with {type(error).__name__}: {error}"
            failure = ExecutorError(message)
            failure.__cause__ = error
        _note(failure, f"{job_id} of {len(tasks)} circuits, {tasks[0].executor!r}")
        return [failure] * len(tasks)

    def _run_job(self, job_id: str, tasks: list[Task]) -> Sequence[Any]:
        resource = self._acquire()
        try:
            with pennylane_code():
                outcomes = self.executor.run(_make_job(job_id, tasks, resource))
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

    def _settle(
        self,
        task: Task,
        outcome: Any,
        job: tuple[str, int] | None,
        started_at: float,
    ) -> None:
        metadata = {}
        if isinstance(outcome, Outcome):
            outcome, metadata = outcome.value, dict(outcome.metadata)
        error = outcome if isinstance(outcome, BaseException) else None
        if isinstance(error, Exception) and job and not _has_note(error, job[0]):
            _note(
                error, f"circuit {task.index} of its call, {job[0]}, {task.executor!r}"
            )
        job_id, size = job or ("", 0)
        execution = Execution(
            executor=task.executor,
            job_id=job_id,
            job_size=size,
            shots=task.circuit.shots.total_shots,
            submitted_at=task.submitted_at,
            started_at=started_at,
            finished_at=time.time(),
            metadata=metadata,
            error=None if error is None else f"{type(error).__name__}: {error}",
        )
        self._report("failed" if error else "completed", task, execution)
        task.resolve(outcome, execution)


def _positive(executor: Executor, name: str) -> int:
    value = getattr(executor, name)
    if value is None:
        return sys.maxsize
    if not isinstance(value, int) or value < 1:
        message = f"{executor!r} says {name}={value!r}. Expected 1 or more."
        raise ConfigError(message)
    return value


def _make_job(job_id: str, tasks: list[Task], resource: Any) -> Job:
    return Job(
        id=job_id,
        circuits=tuple(task.circuit for task in tasks),
        seeds=tuple(task.seed for task in tasks),
        settings=tasks[0].settings,
        resource=resource,
    )


def _checked(executor: Executor, outcomes: Any, expected: int) -> Sequence[Any]:
    try:
        count = len(outcomes)
    except TypeError:
        message = (
            f"{executor!r} returned {type(outcomes).__name__} from run(). Expected a "
            "sequence with one entry per circuit."
        )
        raise ExecutorError(message) from None
    if count != expected:
        message = (
            f"{executor!r} returned {count} results for {expected} circuits. "
            "run() must return one entry per circuit, in order."
        )
        raise ExecutorError(message)
    return list(outcomes)


def _note(error: BaseException, where: str) -> None:
    """Say on an error where it happened, without changing its type."""
    error.add_note(f"while running {where}")


def _has_note(error: BaseException, job_id: str) -> bool:
    return any(f"{job_id} of" in note for note in getattr(error, "__notes__", ()))

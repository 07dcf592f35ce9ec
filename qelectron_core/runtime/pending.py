"""The circuits that wait for an executor, and how many of them one job takes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from qelectron_core.contracts import Executor, Limits
from qelectron_core.runtime.task import Task


class Pending:
    """A queue of circuits for one executor; its lane's lock guards it."""

    def __init__(self, executor: Executor) -> None:
        """Make an empty queue.

        Raises:
            ConfigError: If the executor states limits that let nothing run.
        """
        self._tasks: deque[Task] = deque()
        self._executor = executor
        _ = executor.limits  # to refuse them now, if they are refused

    def add(self, tasks: Iterable[Task]) -> None:
        """Queue circuits."""
        self._tasks.extend(tasks)

    def first(self) -> Task | None:
        """Return the circuit that waits longest."""
        return self._tasks[0] if self._tasks else None

    def drop(self, wanted: Callable[[Task], bool]) -> list[Task]:
        """Take circuits out of the queue and return them."""
        dropped = [task for task in self._tasks if wanted(task)]
        if dropped:
            self._tasks = deque(task for task in self._tasks if not wanted(task))
        return dropped

    def take(self, at_most: float = math.inf) -> list[Task]:
        """Take the next job: the circuits at the front that may go together.

        They share settings and store, keep their order, and do not exceed the limits of
        the executor as they are now, unless the first one does so by itself. Those that
        the executor wants in another job stay where they are.
        """
        if not self._tasks:
            return []
        limits = self._executor.limits
        room = _Room(self._executor, limits)
        at_most = min(at_most, limits.circuits_per_job or math.inf)
        first = self._tasks.popleft()
        company = self._executor.company(first.circuit)
        tasks, passed_over = [first], []
        room.take(first)
        while self._tasks and len(tasks) < at_most:
            task = self._tasks[0]
            if not _go_together(task, first):
                break
            if self._executor.company(task.circuit) != company:
                passed_over.append(self._tasks.popleft())
                continue
            if not room.take(task):
                break
            tasks.append(self._tasks.popleft())
        self._tasks.extendleft(reversed(passed_over))
        return tasks

    def __len__(self) -> int:
        """Return the number of circuits that wait."""
        return len(self._tasks)

    def __iter__(self) -> Iterator[Task]:
        """Iterate over circuits, the one that waits longest first."""
        return iter(self._tasks)


class _Room:
    """What a job may still hold."""

    def __init__(self, executor: Executor, limits: Limits) -> None:
        counts: Any = (
            (limits.shots_per_job, executor.executions),
            (limits.payload_bytes_per_job, executor.payload_bytes),
            (limits.seconds_per_job, executor.expected_s),
        )
        self._left = [[most, count] for most, count in counts if most is not None]

    def take(self, task: Task) -> bool:
        """Take a circuit in; tell whether it fitted."""
        for entry in self._left:
            entry[0] -= entry[1](task.circuit)
        return all(left >= 0 for left, _ in self._left)


def _go_together(task: Task, other: Task) -> bool:
    return (
        task.keeper is other.keeper
        and task.gathers == other.gathers
        and task.settings == other.settings
    )

"""The process's runtime: one lane per executor value, one journal, observers."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from qelectron_core.cluster import QCluster
from qelectron_core.contracts import Executor, Value
from qelectron_core.events import Event, Execution, Observer
from qelectron_core.registry import registry
from qelectron_core.runtime.lane import Lane
from qelectron_core.runtime.task import Task
from qelectron_core.runtime.workers import Workers
from qelectron_core.store import Entry, Store

_log: Final = logging.getLogger("qelectron")

#: Seconds that a program that ends waits for jobs that are still running.
EXIT_S: Final = 1.0


class Runtime:
    """Everything that lives between calls."""

    def __init__(self) -> None:
        """Make a runtime with the in-memory store and the installed observers."""
        self.workers = Workers()
        self.store: Store = registry().resolve("store", "memory")()
        self._observers: dict[str, Observer] = {}
        self._lanes: dict[Executor, Lane] = {}
        self._origins: dict[Executor, set[Executor]] = {}
        self._lock = threading.Lock()
        for name, registration in registry().registrations("observer").items():
            self._observers[f"{name} ({registration.plugin})"] = registration.resolve()

    def lane(self, task: Task) -> Lane:
        """Return the lane of a task's executor, made at first use."""
        lane = self._lanes.get(task.bound)
        if lane is None:
            with self._lock:
                lane = self._lanes.get(task.bound)
                if lane is None:
                    lane = Lane(task.bound, self.workers, self._report)
                    self._lanes[task.bound] = lane
                    self._origins.setdefault(task.executor, set()).add(task.bound)
        return lane

    def submitted(self, task: Task) -> None:
        """Tell observers that a circuit was dispatched."""
        if self._observers:
            self._emit("submitted", task, None)

    def cancel(self, wanted: Callable[[Task], bool] = lambda task: True) -> int:
        """Cancel queued circuits; return how many."""
        with self._lock:
            lanes = list(self._lanes.values())
        return sum(lane.cancel(wanted) for lane in lanes)

    def drop_cancelled(self) -> None:
        """Take the circuits of cancelled calls out of their queues."""
        self.cancel(lambda task: task.batch.cancelled)

    def close(self, member: Value) -> None:
        """Close the lanes of an executor or a cluster, as the user wrote it."""
        if isinstance(member, QCluster):
            for part in member.executors:
                self.close(part)
        elif isinstance(member, Executor):
            self._close_executor(member)

    def _close_executor(self, executor: Executor) -> None:
        with self._lock:
            values = self._origins.pop(executor, set())
            lanes = [self._lanes.pop(value) for value in values if value in self._lanes]
        for lane in lanes:
            lane.close()

    def shutdown(self, timeout_s: float | None = None) -> None:
        """Cancel what is queued, wait for what runs, free every resource.

        Args:
            timeout_s: Longest wait for running jobs, in seconds; `None` waits
                until they end.
        """
        with self._lock:
            lanes = list(self._lanes.values())
            self._lanes.clear()
            self._origins.clear()
        for lane in lanes:
            lane.cancel(lambda task: True)
        for lane in lanes:
            lane.close(timeout_s)
        self.store.close()

    @contextmanager
    def observe(self, observer: Observer) -> Iterator[None]:
        """Send events to an observer for the length of a `with` block."""
        name = f"{getattr(observer, '__name__', observer)!s} {id(observer):x}"
        self._observers = {**self._observers, name: observer}
        try:
            yield
        finally:
            rest = {k: v for k, v in self._observers.items() if k != name}
            self._observers = rest

    def _report(self, kind: Any, task: Task, execution: Execution | None) -> None:
        if execution is not None:
            try:
                self.store.record(Entry(task.batch.call_id, task.index, execution))
            except Exception:
                _log.exception("the store failed to record a circuit; the run goes on")
        if self._observers:
            self._emit(kind, task, execution)

    def _emit(self, kind: Any, task: Task, execution: Execution | None) -> None:
        event = Event(
            kind, task.batch.call_id, task.index, task.executor, time.time(), execution
        )
        for name, observer in self._observers.items():
            try:
                observer(event)
            except Exception:
                _log.exception("observer %s failed; the run goes on", name)


class _Holder:
    """Keeps the process's runtime, made at first use and anew after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runtime: Runtime | None = None

    def get(self) -> Runtime:
        current = self._runtime
        if current is None:
            with self._lock:
                current = self._runtime or Runtime()
                self._runtime = current
        return current

    def drop(self) -> Runtime | None:
        with self._lock:
            current, self._runtime = self._runtime, None
        return current

    def after_fork(self) -> None:
        # Threads do not survive a fork, and locks may be held by them for ever.
        self.__init__()  # type: ignore[misc]


_holder: Final = _Holder()
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_holder.after_fork)


def runtime() -> Runtime:
    """Return the process's runtime."""
    return _holder.get()


def shutdown(timeout_s: float | None = None) -> None:
    """Cancel what is queued, wait for what runs, free threads and processes.

    The next call starts afresh. Runs by itself when the program ends.

    Args:
        timeout_s: Longest wait for running jobs, in seconds; `None` waits until
            they end.
    """
    current = _holder.drop()
    if current is not None:
        current.shutdown(timeout_s)


@atexit.register
def _at_exit() -> None:
    shutdown(EXIT_S)


def observe(observer: Observer) -> Any:
    """Send events to an observer for the length of a `with` block.

    Args:
        observer: Called with each `Event`, on worker threads. One that raises is
            logged and never fails a run.

    Example:
        >>> import qelectron_core as ct
        >>> with ct.observe(print):
        ...     pass
    """
    return runtime().observe(observer)

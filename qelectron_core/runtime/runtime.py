"""The process's runtime: one lane per executor value, and the journal."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from qelectron_core.cluster import QCluster
from qelectron_core.contracts import Executor, Value
from qelectron_core.events import EventKind, Execution, Observer
from qelectron_core.registry import registry
from qelectron_core.runtime.lane import Lane
from qelectron_core.runtime.observers import Observers
from qelectron_core.runtime.task import Task
from qelectron_core.runtime.workers import Workers
from qelectron_core.store import Entry, Store

_log: Final = logging.getLogger("qelectron")

#: Seconds that a program that ends waits for jobs that are still running.
EXIT_S: Final = 1.0


class Runtime:
    """Everything that lives between calls."""

    def __init__(self) -> None:
        """Make a runtime without lanes, with the in-memory store."""
        self.store: Store = registry().resolve("store", "memory")()
        self._workers = Workers()
        self._lanes: dict[Executor, Lane] = {}
        self._lock = threading.Lock()
        self._closed = False

    def lane(self, task: Task) -> Lane:
        """Return the lane of a task's executor, made at first use."""
        lane = self._lanes.get(task.bound) or self._make_lane(task)
        lane.origins.add(task.executor)
        return lane

    def _make_lane(self, task: Task) -> Lane:
        with self._lock:
            if not self._closed:
                made = Lane(task.bound, self._workers, self._report)
                return self._lanes.setdefault(task.bound, made)
        return runtime().lane(task)  # shut down meanwhile; there is a new one

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
            return
        with self._lock:
            closing = {k: v for k, v in self._lanes.items() if member in v.origins}
            for bound in closing:
                del self._lanes[bound]
        for lane in closing.values():
            lane.close()

    def shutdown(self, timeout_s: float | None = None) -> None:
        """Cancel what is queued, wait for what runs, free every resource.

        Args:
            timeout_s: Longest wait for running jobs, in seconds; `None` waits
                until they end.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        with self._lock:
            self._closed = True
            lanes = list(self._lanes.values())
            self._lanes.clear()
        for lane in lanes:
            lane.cancel(lambda task: True)
        for lane in lanes:
            lane.close(None if end is None else max(0.0, end - time.monotonic()))
        self.store.close()

    def _report(self, kind: EventKind, task: Task, execution: Execution | None) -> None:
        if execution is not None:
            try:
                self.store.record(Entry(task.batch.call_id, task.index, execution))
            except Exception:
                _log.exception("the store failed to record a circuit; the run goes on")
        observers().tell(kind, task, execution)


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


@functools.cache
def observers() -> Observers:
    """Return the process's observers."""
    return Observers()


def observe(observer: Observer) -> AbstractContextManager[None]:
    """Send events to an observer for the length of a `with` block.

    Args:
        observer: Called with each `Event`, on worker threads. One that raises is
            logged and never fails a run.

    Example:
        >>> import qelectron_core as ct
        >>> with ct.observe(print):
        ...     pass
    """
    return observers().observe(observer)

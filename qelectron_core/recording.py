"""Makes PennyLane's queue of recorded operations per thread.

PennyLane keeps one process-wide list of active recording contexts
(`QueuingManager._active_contexts`), `stop_recording` swaps it, and
`AnnotatedQueue` holds a process-wide lock while it records. With circuits being
built in one thread and decomposed in another, operations were seen to go
missing. This module is the one place that touches those internals. It checks
itself on a second thread; should a later PennyLane differ, it undoes its changes
and asks for the slow, safe way instead: all PennyLane code under one lock.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final


class ThreadStack:
    """A stack with separate contents in every thread.

    Stands where PennyLane keeps its list of active contexts, and offers the part
    of a list that PennyLane uses of it.
    """

    def __init__(self) -> None:
        self._local = _Contents()

    def append(self, context: Any) -> None:
        """Push onto this thread's stack."""
        self._local.contexts.append(context)

    def pop(self) -> Any:
        """Pop off this thread's stack."""
        return self._local.contexts.pop()

    def __bool__(self) -> bool:
        return bool(self._local.contexts)

    def __len__(self) -> int:
        return len(self._local.contexts)

    def __getitem__(self, index: int) -> Any:
        return self._local.contexts[index]

    def suspend(self) -> list[Any]:
        """Empty this thread's stack and return what it held."""
        contexts: list[Any] = self._local.contexts
        self._local.contexts = []
        return contexts

    def resume(self, contexts: list[Any]) -> None:
        """Put back what `suspend` returned."""
        self._local.contexts = contexts


class _Contents(threading.local):
    def __init__(self) -> None:
        self.contexts: list[Any] = []


class _NoLock:
    """Takes the place of a lock that per-thread queues make needless."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _stop_recording(cls: Any) -> Iterator[None]:
    # Its code runs inside PennyLane's function, so it may use nothing but `cls`.
    contexts = cls._active_contexts.suspend()
    try:
        yield
    finally:
        cls._active_contexts.resume(contexts)


class _Guard:
    """Installs per-thread recording once, and knows whether it holds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.installed: bool | None = None

    def install(self) -> bool:
        if self.installed is None:
            with self._lock:
                if self.installed is None:
                    self.installed = _install_and_check()
        elif self.installed and self._stack_lost():
            # A `with stop_recording()` that was entered before has put back the list
            # that it had found.
            _manager()._active_contexts = ThreadStack()
        return self.installed

    def _stack_lost(self) -> bool:
        return type(_manager()._active_contexts) is list


#: Seconds to wait for another thread that is recording to end.
OTHERS_S: Final = 10.0

_guard: Final = _Guard()


def install() -> bool:
    """Make PennyLane's recording per-thread; return whether that succeeded.

    Safe to call often and from any thread; warns once if it fails.
    """
    return _guard.install()


def pennylane_code() -> AbstractContextManager[Any]:
    """Guard a stretch of PennyLane code that may run beside other threads.

    Costs nothing where recording is per-thread. Otherwise it takes the lock that
    PennyLane itself holds while recording, so that only one thread is in
    PennyLane at a time.
    """
    return nullcontext() if install() else _alone()


@contextmanager
def _alone() -> Iterator[None]:
    from pennylane.queuing import AnnotatedQueue, QueuingManager

    with AnnotatedQueue(), QueuingManager.stop_recording():
        yield


def _install_and_check() -> bool:
    from pennylane import queuing

    try:
        undo = _replace_internals(queuing)
    except AttributeError as error:
        reason = str(error)
    else:
        failure = _check(queuing)
        if failure is None:
            return True
        undo()
        reason = failure
    message = (
        f"this release of PennyLane records operations in an unknown way ({reason}); "
        "qelectron runs PennyLane code one thread at a time: right, but slower. "
        "Please upgrade qelectron-core or report the PennyLane version."
    )
    warnings.warn(message, RuntimeWarning, stacklevel=2)
    return False


def _manager() -> Any:
    from pennylane.queuing import QueuingManager

    return QueuingManager


def _replace_internals(queuing: Any) -> Any:
    # PennyLane holds this lock while it records, so nobody else is recording now, and
    # what is in the list of contexts is this thread's own.
    lock = queuing.AnnotatedQueue._lock
    if not lock.acquire(timeout=OTHERS_S):
        message = "another thread does not stop recording"
        raise AttributeError(message)
    try:
        return _replace_while_locked(queuing)
    finally:
        lock.release()


def _replace_while_locked(queuing: Any) -> Any:
    manager, queue, tape = queuing.QueuingManager, queuing.AnnotatedQueue, _tape_class()
    # `__wrapped__` is the generator function that contextmanager wraps. Decorators
    # made at import hold on to it too, so its code is changed, not the attribute.
    function = manager.stop_recording.__func__.__wrapped__
    before = (manager._active_contexts, function.__code__, queue._lock, tape._lock)
    contexts, code, queue_lock, tape_lock = before

    def undo() -> None:
        manager._active_contexts = contexts
        function.__code__ = code
        queue._lock = queue_lock
        tape._lock = tape_lock

    stack = ThreadStack()
    for context in contexts:
        stack.append(context)
    manager._active_contexts = stack
    function.__code__ = _stop_recording.__code__
    queue._lock = tape._lock = _NoLock()
    return undo


def _tape_class() -> Any:
    from pennylane.tape import QuantumTape

    return QuantumTape


def _check(queuing: Any) -> str | None:
    """Return what is wrong with recording in two threads, or nothing."""
    found: list[str] = []
    with queuing.AnnotatedQueue() as here:
        thread = threading.Thread(target=_record_elsewhere, args=(queuing, found))
        thread.start()
        thread.join(timeout=10)
        if thread.is_alive():
            return "a second thread could not record"
        _identity("here")
        recording = queuing.QueuingManager.recording()
    if not recording or [op.wires[0] for op in here.queue] != ["here"]:
        found.append("a second thread disturbed the first")
    return found[0] if found else None


def _record_elsewhere(queuing: Any, found: list[str]) -> None:
    try:
        _identity("unrecorded")
        with queuing.AnnotatedQueue() as queue:
            with queuing.QueuingManager.stop_recording():
                _identity("stopped")
            _identity("there")
        if [op.wires[0] for op in queue.queue] != ["there"]:
            found.append("operations went astray")
    except Exception as error:  # any failure means that the internals differ
        found.append(f"{type(error).__name__}: {error}")


def _identity(wire: str) -> None:
    from pennylane import Identity

    Identity(wire)

"""Tells observers what happens; none of them can make a run fail."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from qelectron_core.events import (
    CircuitEventKind,
    Event,
    Execution,
    ExecutorEventKind,
    Observer,
)
from qelectron_core.registry import Registration, registry
from qelectron_core.runtime.logbook import ids_of, is_logged, log_event

if TYPE_CHECKING:
    from qelectron_core.contracts import Executor
    from qelectron_core.runtime.task import Task

_log: Final = logging.getLogger("qelectron")


class Observers:
    """The observers of installed plugins, and those of `with` blocks."""

    def __init__(self) -> None:
        """Load the observers of plugins; one that does not load is logged."""
        self._lock = threading.Lock()
        installed = registry().registrations("observer").values()
        loaded = [_load(registration) for registration in installed]
        self._named: list[tuple[str, Observer]] = [item for item in loaded if item]

    @contextmanager
    def observe(self, observer: Observer) -> Iterator[None]:
        """Tell one more observer, for the length of a `with` block."""
        item = (str(getattr(observer, "__name__", observer)), observer)
        with self._lock:
            self._named = [*self._named, item]
        try:
            yield
        finally:
            with self._lock:
                rest = self._named[:]
                rest.reverse()
                rest.remove(item)  # the innermost of several equal ones
                rest.reverse()
                self._named = rest

    def tell(
        self, kind: CircuitEventKind, task: Task, execution: Execution | None = None
    ) -> None:
        """Tell all observers, and the log, what happened to a circuit."""
        if not self._named and not is_logged(kind):
            return
        batch = task.batch
        event = Event(
            kind,
            batch.call_id,
            task.index,
            task.executor,
            time.time(),
            execution,
            len(batch.results),
        )
        # As in the caller's thread, wherever this is: whoever traces programs keeps in
        # a context variable what the call is part of. A copy, as threads may not share.
        batch.context.copy().run(self._tell, event)

    def tell_of_executor(self, kind: ExecutorEventKind, executor: Executor) -> None:
        """Tell all observers, and the log, what happened to an executor."""
        self._tell(Event(kind, "", -1, executor, time.time()))

    def _tell(self, event: Event) -> None:
        with suppress(Exception):  # of a filter, or an executor's repr: as of observers
            log_event(event)
        self.send(event)

    def send(self, event: Event | Callable[[], Event]) -> None:
        """Send an event, or what makes one, to all observers."""
        if not self._named:
            return
        made = event if isinstance(event, Event) else event()
        for name, observer in self._named:
            try:
                observer(made)
            except (Exception, SystemExit):
                message = (
                    "observer %s failed at %r of circuit %s of %s; the run goes on"
                )
                told = (name, made.kind, made.index, made.call_id or "no call")
                _log.exception(message, *told, extra=ids_of(made))


def _load(registration: Registration) -> tuple[str, Any] | None:
    name = f"{registration.name} of plugin {registration.plugin}"
    try:
        return name, registration.resolve()
    except Exception:
        _log.exception("observer %s did not load; the run goes on", name)
        return None

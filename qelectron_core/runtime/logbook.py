"""What happens to circuits, as lines of the log, and the ids that lines carry."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from qelectron_core.runtime.notes import shown

if TYPE_CHECKING:
    from qelectron_core.events import Event
    from qelectron_core.runtime.task import Task

_events: Final = logging.getLogger("qelectron.events")

#: What somebody may want to know who does not follow every circuit.
_NOTABLE: Final = frozenset({"retried", "failed", "suspended", "resumed"})
_WORDS: Final[Mapping[str, str]] = {
    "submitted": "submitted to %s",
    "started": "started on %s",
    "retried": "failed on %s and is tried again",
    "completed": "completed on %s",
    "failed": "failed on %s",
    "cached": "not run on %s: an equal one has a result",
    "suspended": "%s kept failing and is left out for a while",
    "resumed": "%s works again",
}


def is_logged(kind: str) -> bool:
    """Tell whether anybody reads the lines about events of a kind."""
    return _events.isEnabledFor(_level(kind))


def log_event(event: Event) -> None:
    """Write a line about what happened to a circuit or an executor."""
    if is_logged(event.kind):
        _events.log(_level(event.kind), "%s", _line(event), extra=ids_of(event))


def ids_of(event: Event) -> dict[str, Any]:
    """Return what a line of the log about an event carries beside its text."""
    job_id = "" if event.execution is None else event.execution.job_id
    return _ids(event.call_id, event.index, job_id, shown(event.executor))


def ids_of_task(task: Task, job_id: str = "") -> dict[str, Any]:
    """Return what a line of the log about a circuit carries beside its text."""
    return _ids(task.batch.call_id, task.index, job_id, shown(task.executor))


def _ids(call_id: str, index: int, job_id: str, executor: str) -> dict[str, Any]:
    return {
        "call_id": call_id,
        "circuit": index,
        "job_id": job_id,
        "executor": executor,
    }


def _level(kind: str) -> int:
    return logging.INFO if kind in _NOTABLE else logging.DEBUG


def _line(event: Event) -> str:
    words = _WORDS[event.kind] % shown(event.executor)
    if not event.call_id:
        return words
    return f"circuit {event.index} of {event.call_id} {words}{_details(event)}"


def _details(event: Event) -> str:
    execution = event.execution
    if execution is None:
        return ""
    job = f" in {execution.job_id}" if execution.job_id else ""
    if execution.handle:
        job += f" ({execution.handle})"
    if execution.error:
        return f"{job}: {execution.error}"
    if execution.cached:
        return job
    times = f"{execution.waited_s:.3g} s, ran {execution.duration_s:.3g} s"
    return f"{job}, waited {times}"

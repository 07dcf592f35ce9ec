"""What happened to circuits: records for the journal, events for observers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from qelectron_core.contracts import Executor


@attrs.frozen(eq=False)
class Execution:
    """Where, when and how one circuit ran.

    Attributes:
        executor: Executor that ran it, as the user wrote it.
        job_id: Job it was part of.
        job_size: Number of circuits in that job.
        shots: Total shots, or `None` for an exact result.
        submitted_at: When it was dispatched, in seconds since the epoch.
        started_at: When its job started, in seconds since the epoch.
        finished_at: When its job ended, in seconds since the epoch.
        metadata: What the executor told about it.
        error: Type and message of the exception it ended in, or `None`.
    """

    executor: Executor
    job_id: str
    job_size: int
    shots: int | None
    submitted_at: float
    started_at: float
    finished_at: float
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    error: str | None = None

    @property
    def waited_s(self) -> float:
        """Seconds between dispatch and start."""
        return self.started_at - self.submitted_at

    @property
    def duration_s(self) -> float:
        """Seconds that the whole job took."""
        return self.finished_at - self.started_at


EventKind: TypeAlias = Literal["submitted", "started", "completed", "failed", "cached"]


@attrs.frozen
class Event:
    """One thing that happened to one circuit.

    Attributes:
        kind: What happened.
        call_id: Id of the call that the circuit belongs to (`future.id`).
        index: Position of the circuit among those of the call.
        executor: Executor chosen for it, as the user wrote it.
        at: When, in seconds since the epoch.
        execution: The full record, once completed or failed.
    """

    kind: EventKind
    call_id: str
    index: int
    executor: Executor
    at: float
    execution: Execution | None = None


#: Receives events; called on worker threads, so it should be quick.
Observer: TypeAlias = Callable[[Event], None]

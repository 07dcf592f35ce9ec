"""What happened to circuits: records for the journal, events for observers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from qelectron_core.contracts import Executor


@attrs.frozen(eq=False)
class Execution:
    """Where, when and how one circuit ran: one attempt of it.

    Attributes:
        executor: Executor that ran it, as the user wrote it.
        job_id: Job it was part of.
        job_size: Number of circuits in that job.
        shots: Total shots, or `None` for an exact result.
        submitted_at: When this attempt was dispatched, in seconds since the epoch.
        started_at: When its job started, in seconds since the epoch.
        finished_at: When its job ended, in seconds since the epoch.
        metadata: What the executor told about it.
        error: Type and message of the exception it ended in, or `None`.
        attempt: 1 for the first attempt, 2 for the next …
        earlier: Earlier attempts of the same circuit, the first one first.
        handle: What a remote vendor calls the job, or `None`.
        cost_usd: Its part of the job's price in US dollars, or `None` if unknown.
        cached: Whether nothing was run: the result is that of an equal circuit, whose
            job is named here.
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
    attempt: int = 1
    earlier: tuple[Execution, ...] = attrs.field(
        default=(), repr=lambda attempts: f"<{len(attempts)}>"
    )
    handle: str | None = None
    cost_usd: float | None = None
    cached: bool = False

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled: by the program, or by somebody at the vendor."""
        kinds = ("CancelledError", "DetachedError", "JobCancelledError")
        return (self.error or "").startswith(kinds)

    @property
    def waited_s(self) -> float:
        """Seconds between dispatch and start."""
        return self.started_at - self.submitted_at

    @property
    def duration_s(self) -> float:
        """Seconds that the whole job took."""
        return self.finished_at - self.started_at


#: What may happen to a circuit.
CircuitEventKind: TypeAlias = Literal[
    "submitted", "started", "retried", "completed", "failed", "cached"
]
#: What may happen to an executor of a cluster with failover.
ExecutorEventKind: TypeAlias = Literal["suspended", "resumed"]
EventKind: TypeAlias = CircuitEventKind | ExecutorEventKind


@attrs.frozen
class Event:
    """One thing that happened to one circuit, or to an executor.

    Attributes:
        kind: What happened. To a circuit: `"submitted"` to its executor, `"started"`,
            `"retried"` (this attempt failed and another one follows), `"completed"`,
            `"failed"`, `"cached"`. To an executor: `"suspended"` (it kept failing and
            is left out for a while: its circuit breaker opened) and `"resumed"`.
        call_id: Id of the call that the circuit belongs to (`future.id`); empty if
            it happened to an executor.
        index: Position of the circuit among those of the call; -1 if it happened to
            an executor.
        executor: The executor, as the user wrote it.
        at: When, in seconds since the epoch.
        execution: The full record, once completed, failed or retried.
        circuits: How many circuits the call has; 0 if it happened to an executor.
    """

    kind: str
    call_id: str
    index: int
    executor: Executor
    at: float
    execution: Execution | None = None
    circuits: int = 0


#: Receives events; called on worker threads, so it should be quick.
Observer: TypeAlias = Callable[[Event], None]

"""Spans of calls, circuits and jobs, with the times that events tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from qelectron_otel.words import (
    ABANDONED,
    ATTEMPTS,
    CACHED,
    CALL_CIRCUITS,
    CALL_ID,
    COST,
    ERROR_TYPE,
    EXECUTOR,
    HANDLE,
    INDEX,
    JOB_ID,
    JOB_SIZE,
    LONGEST,
    MESSAGE,
    OUTCOME,
    SHOTS,
    is_let_go,
    message_of,
    nanoseconds,
    outcome_of,
    text_of,
    told,
    type_of,
)

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

    from qelectron_core import Event, Execution

#: Most circuits that a job links to; an SDK keeps no more by default.
MOST_LINKS: Final = 128


@attrs.define(eq=False)
class OpenCircuit:
    """A circuit that has not ended.

    Attributes:
        span: Its span, or `None` if its call is not recorded.
        began: When, in seconds since the epoch.
        lane: Executor that it is counted as in flight at, or `None`.
    """

    span: Span | None
    began: float
    lane: str | None = None


@attrs.define(eq=False)
class OpenCall:
    """A call that has not ended.

    Attributes:
        span: Its span, or `None` if it is not recorded.
        began: When, in seconds since the epoch.
        left: Number of its circuits that have not ended.
        last: When anything happened to it last.
        circuits: Those that have begun and not ended, by their positions.
        adopted: Whether another process made it, and this one goes on with jobs of it:
            then not all of its circuits need come.
        error: What the first of its circuits to fail ended in.
    """

    span: Span | None
    began: float
    left: int
    last: float
    adopted: bool = False
    circuits: dict[int, OpenCircuit] = attrs.field(factory=dict)
    error: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to come."""
        return self.left <= 0 or (self.adopted and not self.circuits)


@attrs.define(eq=False)
class OpenJob:
    """A job of which not all circuits have ended.

    Attributes:
        left: Number of these.
        span: Its span; `None` while none of its circuits is recorded.
        links: How many circuits it links to.
        finished: When it ended, in seconds since the epoch.
        failed: How many of its circuits failed.
    """

    left: int
    span: Span | None = None
    links: int = 0
    finished: float = 0.0
    failed: int = 0


def begin_call(tracer: Tracer, event: Event) -> OpenCall:
    """Begin the span of a call, within what the caller's span is."""
    execution = event.execution
    began = event.at if execution is None else min(event.at, execution.submitted_at)
    span = tracer.start_span(
        "qelectron call",
        attributes={CALL_ID: event.call_id, CALL_CIRCUITS: event.circuits},
        start_time=nanoseconds(began),
    )
    recorded = span if span.is_recording() else None
    adopted = event.kind == "started"  # and was not submitted here
    return OpenCall(recorded, began, event.circuits, began, adopted)


def begin_circuit(tracer: Tracer, call: OpenCall, event: Event) -> OpenCircuit:
    """Begin the span of a circuit, within that of its call."""
    execution = event.execution
    began = event.at if execution is None else min(event.at, execution.submitted_at)
    began = max(began, call.began)
    if call.span is None:
        return OpenCircuit(None, began)
    span = tracer.start_span(
        "qelectron circuit",
        set_span_in_context(call.span),
        attributes={
            CALL_ID: event.call_id,
            INDEX: event.index,
            EXECUTOR: text_of(event.executor),
        },
        start_time=nanoseconds(began),
    )
    return OpenCircuit(span, began)


def add_to_job(
    tracer: Tracer,
    job: OpenJob,
    call: OpenCall,
    circuit: OpenCircuit,
    execution: Execution,
) -> None:
    """Link a circuit and its job with each other; the first one begins the span."""
    job.left -= 1
    job.failed += execution.error is not None
    job.finished = max(job.finished, execution.started_at, execution.finished_at)
    if call.span is None or circuit.span is None:
        return
    if job.span is None:
        job.span = _begin_job(tracer, call.span, execution)
    circuit.span.add_link(job.span.get_span_context(), {JOB_ID: execution.job_id})
    if job.links < MOST_LINKS:
        job.links += 1
        job.span.add_link(circuit.span.get_span_context())


def _begin_job(tracer: Tracer, within: Span, execution: Execution) -> Span:
    cost, size = execution.cost_usd, execution.job_size
    attributes = {
        JOB_ID: execution.job_id,
        JOB_SIZE: size,
        EXECUTOR: text_of(execution.executor),
        HANDLE: execution.handle,
        COST: None if cost is None else cost * size,
    }
    return tracer.start_span(
        "qelectron job",
        set_span_in_context(within),
        kind=SpanKind.INTERNAL if execution.handle is None else SpanKind.CLIENT,
        attributes=told(attributes),
        start_time=nanoseconds(execution.started_at),
    )


def note(span: Span, event: Event) -> None:
    """Note on the span of a circuit what happened to it meanwhile."""
    attributes: dict[str, Any] = {EXECUTOR: text_of(event.executor)}
    execution = event.execution
    if execution is not None:
        attributes |= {JOB_ID: execution.job_id, **_error(execution.error)}
        attributes[ATTEMPTS] = execution.attempt
    span.add_event(event.kind, attributes, nanoseconds(event.at))


def finish_circuit(circuit: OpenCircuit, event: Event) -> int:
    """Say how a circuit ended; return when, in nanoseconds."""
    execution = event.execution
    if circuit.span is None or execution is None:
        return nanoseconds(max(event.at, circuit.began))
    attributes = {
        OUTCOME: outcome_of(event.kind, execution),
        EXECUTOR: text_of(event.executor),
        JOB_ID: execution.job_id or None,
        SHOTS: execution.shots,
        HANDLE: execution.handle,
        COST: execution.cost_usd,
        ATTEMPTS: execution.attempt,
        CACHED: execution.cached or None,
    }
    circuit.span.set_attributes(told(attributes))
    _set_error(circuit.span, execution.error)
    return nanoseconds(max(execution.finished_at, circuit.began))


def finish_call(call: OpenCall, event: Event) -> int:
    """Say how a call ended; return when, in nanoseconds."""
    if call.span is not None:
        _set_error(call.span, call.error)
    return nanoseconds(max(event.at, call.last))


def finish_job(job: OpenJob, execution: Execution) -> int:
    """Say how a job ended; return when, in nanoseconds."""
    if job.span is not None and job.failed == execution.job_size:
        _set_error(job.span, execution.error)
    return nanoseconds(job.finished)


def abandon(span: Span) -> None:
    """Say that it is not known how something ended."""
    span.set_attribute(ABANDONED, True)


def _set_error(span: Span, error: str | None) -> None:
    if error is None:
        return
    span.set_attribute(ERROR_TYPE, type_of(error))
    if not is_let_go(error):
        span.set_status(Status(StatusCode.ERROR, error[:LONGEST]))


def _error(error: str | None) -> dict[str, Any]:
    if error is None:
        return {}
    return {ERROR_TYPE: type_of(error), MESSAGE: message_of(error)}

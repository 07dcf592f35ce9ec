"""The observer: it makes spans and metrics of events."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics, trace

from qelectron_otel import spans
from qelectron_otel.instruments import Instruments
from qelectron_otel.words import SCOPE, nanoseconds, text_of

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from qelectron_core import Event

#: Most calls, and most jobs, that are followed at a time. Beyond it, the oldest ones
#: are given up: something that never ends must not fill the memory.
MOST_OPEN: Final = 20_000

_ENDS: Final = frozenset({"completed", "failed", "cached"})
_CIRCUITS: Final = frozenset({"submitted", "started", "retried", *_ENDS})


class Telemetry:
    """Makes a span of each call, circuit and job, and counts by executor.

    The one that the plugin registers uses the providers that the program sets up for
    all of OpenTelemetry, now or later, and until then does nothing.

    Args:
        tracer_provider: Where spans go; `None` for the program's own.
        meter_provider: Where metrics go; `None` for the program's own.
        most_open: Most calls, and most jobs, that are followed at a time.

    Example:
        >>> import qelectron_core as ct
        >>> with ct.observe(Telemetry()):
        ...     pass
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        most_open: int = MOST_OPEN,
    ) -> None:
        """Begin with nothing open."""
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        meter = metrics.get_meter(SCOPE, meter_provider=meter_provider)
        self._instruments = Instruments(meter)
        self._most_open = most_open
        # Once they are there, providers stay.
        self._is_on = tracer_provider is not None or meter_provider is not None
        self.renew()

    def renew(self) -> None:
        """Forget all that is open: after a fork, it is another process's."""
        self._lock = threading.RLock()
        self._calls: dict[str, spans.OpenCall] = {}
        self._jobs: dict[str, spans.OpenJob] = {}

    def __call__(self, event: Event) -> None:
        """Take an event; those of executors and of plugins' own things are left out."""
        if event.kind not in _CIRCUITS or not (self._is_on or self._looks(event)):
            return
        ending: list[tuple[Span | None, int]] = []
        with self._lock:
            call, circuit = self._open(event, ending)
            self._count(circuit, event)
            self._note_job(call, circuit, event, ending)
            if event.kind in _ENDS:
                self._end(call, circuit, event, ending)
        for span, at in ending:  # without the lock: a span may be sent off as it ends
            if span is not None:
                span.end(at)

    def _looks(self, event: Event) -> bool:
        """Look whether there are providers by now; once per call is enough."""
        if event.index == 0 and event.kind in ("submitted", "cached"):
            self._is_on = _are_there_providers()
        return self._is_on

    def _open(
        self, event: Event, ending: list[tuple[Span | None, int]]
    ) -> tuple[spans.OpenCall, spans.OpenCircuit]:
        """Return the call and the circuit of an event, begun if they are new."""
        call = self._calls.get(event.call_id)
        if call is None:
            self._make_room(ending)
            call = spans.begin_call(self._tracer, event)
            self._calls[event.call_id] = call
        call.last = max(call.last, event.at)
        circuit = call.circuits.get(event.index)
        if circuit is None:
            circuit = spans.begin_circuit(self._tracer, call, event)
            call.circuits[event.index] = circuit
        elif event.kind not in _ENDS and circuit.span is not None:
            spans.note(circuit.span, event)
        return call, circuit

    def _count(self, circuit: spans.OpenCircuit, event: Event) -> None:
        if event.kind in ("submitted", "started"):
            if circuit.lane is None:
                circuit.lane = text_of(event.executor)
                self._instruments.entered(circuit.lane)
            return
        self._leave(circuit)
        execution = event.execution
        if execution is not None and execution.job_id and not execution.cached:
            self._instruments.attempted(event, execution)
        if event.kind in _ENDS:
            self._instruments.ended(event)

    def _leave(self, circuit: spans.OpenCircuit) -> None:
        if circuit.lane is not None:
            self._instruments.left(circuit.lane)
            circuit.lane = None

    def _note_job(
        self,
        call: spans.OpenCall,
        circuit: spans.OpenCircuit,
        event: Event,
        ending: list[tuple[Span | None, int]],
    ) -> None:
        execution = event.execution
        if execution is None or not execution.job_id or execution.cached:
            return
        job = self._jobs.get(execution.job_id)
        if job is None:
            job = spans.OpenJob(max(1, execution.job_size))
            self._jobs[execution.job_id] = job
        spans.add_to_job(self._tracer, job, call, circuit, execution)
        if job.left == 0:
            del self._jobs[execution.job_id]
            ending.append((job.span, spans.finish_job(job, execution)))

    def _end(
        self,
        call: spans.OpenCall,
        circuit: spans.OpenCircuit,
        event: Event,
        ending: list[tuple[Span | None, int]],
    ) -> None:
        """End a circuit, and its call with the last one."""
        del call.circuits[event.index]
        ending.append((circuit.span, spans.finish_circuit(circuit, event)))
        if call.error is None and event.execution is not None:
            call.error = event.execution.error
        call.left -= 1
        if call.has_ended:
            del self._calls[event.call_id]
            ending.append((call.span, spans.finish_call(call, event)))

    def _make_room(self, ending: list[tuple[Span | None, int]]) -> None:
        """Give up the oldest call, and the oldest job, if there are too many."""
        if len(self._calls) >= self._most_open:
            self._give_up(self._calls.pop(next(iter(self._calls))), ending)
        if len(self._jobs) > self._most_open:
            job = self._jobs.pop(next(iter(self._jobs)))
            ending.append(_abandoned(job.span, job.finished))

    def _give_up(self, call: spans.OpenCall, ending: list[Any]) -> None:
        for circuit in call.circuits.values():
            self._leave(circuit)
            ending.append(_abandoned(circuit.span, max(call.last, circuit.began)))
        ending.append(_abandoned(call.span, call.last))


def _abandoned(span: Span | None, at: float) -> tuple[Span | None, int]:
    if span is not None:
        spans.abandon(span)
    return span, nanoseconds(at)


def _are_there_providers() -> bool:
    """Tell whether the program has set up OpenTelemetry.

    The stand-in for a provider of meters has no public name.
    """
    tracing = trace.get_tracer_provider()
    metering = type(metrics.get_meter_provider()).__name__
    return not isinstance(tracing, trace.ProxyTracerProvider) or metering not in (
        "_ProxyMeterProvider",
        "NoOpMeterProvider",
    )


#: The one that listens to every event of this process.
observer: Final = Telemetry()
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=observer.renew)

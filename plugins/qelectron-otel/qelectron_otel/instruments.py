"""Counters and histograms by executor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qelectron_otel.words import (
    ERROR_TYPE,
    EXECUTOR,
    OUTCOME,
    outcome_of,
    text_of,
    type_of,
)

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter

    from qelectron_core import Event, Execution

#: Bounds of the histograms' buckets, in seconds: a simulator's job to a day's queue.
BOUNDS_S: Final = (
    *(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    *(100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0, 100_000.0),
)


class Instruments:
    """What is counted and measured.

    Args:
        meter: Makes the instruments; without an SDK, they do nothing.
    """

    def __init__(self, meter: Meter) -> None:
        """Make the instruments."""
        self._in_flight = meter.create_up_down_counter(
            "qelectron.circuits.in_flight",
            "{circuit}",
            "Circuits that are queued or run",
        )
        self._circuits = meter.create_counter(
            "qelectron.circuits", "{circuit}", "Circuits that ended"
        )
        self._retries = meter.create_counter(
            "qelectron.retries",
            "{attempt}",
            "Attempts after which another one followed",
        )
        self._shots = meter.create_counter(
            "qelectron.shots", "{shot}", "Shots of circuits that completed"
        )
        self._cost = meter.create_counter(
            "qelectron.cost_usd", "{USD}", "Price of circuits that completed"
        )
        self._waiting = _seconds(
            meter, "qelectron.circuit.waiting", "From dispatch to the start of the job"
        )
        self._running = _seconds(
            meter, "qelectron.circuit.running", "Duration of the circuit's job"
        )

    def entered(self, executor: str) -> None:
        """Count a circuit that is now in flight."""
        self._in_flight.add(1, {EXECUTOR: executor})

    def left(self, executor: str) -> None:
        """Count a circuit that is in flight no more."""
        self._in_flight.add(-1, {EXECUTOR: executor})

    def attempted(self, event: Event, execution: Execution) -> None:
        """Measure an attempt that ran in a job."""
        by = {EXECUTOR: text_of(event.executor)}
        self._waiting.record(max(0.0, execution.waited_s), by)
        self._running.record(max(0.0, execution.duration_s), by)
        if event.kind == "retried":
            self._retries.add(1, by)
        if event.kind != "completed":
            return
        if execution.shots:
            self._shots.add(execution.shots, by)
        if execution.cost_usd:
            self._cost.add(execution.cost_usd, by)

    def ended(self, event: Event) -> None:
        """Count a circuit that has its result, or its error."""
        execution = event.execution
        by: dict[str, Any] = {
            EXECUTOR: text_of(event.executor),
            OUTCOME: outcome_of(event.kind, execution),
        }
        if execution is not None and execution.error:
            by[ERROR_TYPE] = type_of(execution.error)
        self._circuits.add(1, by)


def _seconds(meter: Meter, name: str, description: str) -> Histogram:
    return meter.create_histogram(
        name, "s", description, explicit_bucket_boundaries_advisory=BOUNDS_S
    )

"""Executors and records that kits hand to selectors, stores and observers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs

from qelectron_core.contracts import Capabilities, Executor, Job, Result
from qelectron_core.events import Event, Execution
from qelectron_core.store import Entry, Intent

#: A time like those that records carry, in seconds since the epoch.
NOON: Final = 1_760_000_000.0
#: A value that must never be shown.
SECRET: Final = "canary-8d1f0c5e7b"

_numbers: Final = itertools.count(1)


@attrs.frozen
class Fixed(Executor):
    """Answer every measurement with one number; what the kits' clusters hold.

    Attributes:
        value: The number.
        fails: Whether every circuit ends in an error instead.
        token: A secret, which it does not show.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(computes=False)

    value: float = 0.0
    fails: bool = False
    token: str | None = attrs.field(default=None, repr=False)

    def run(self, job: Job) -> Sequence[Result | Exception]:
        """Return the number once per measurement, or an error per circuit."""
        return [self._answer(circuit) for circuit in job.circuits]

    def _answer(self, circuit: Any) -> Any:
        if self.fails:
            return RuntimeError("this executor always fails")
        values = (self.value,) * len(circuit.measurements)
        one = values[0] if len(values) == 1 else values
        copies = circuit.shots.num_copies
        return (one,) * copies if circuit.shots.has_partitioned_shots else one


def execution(executor: Executor | None = None, **changes: Any) -> Execution:
    """Return the record of a circuit that ran, but for some changes."""
    number = next(_numbers)
    record = Execution(
        executor=Fixed() if executor is None else executor,
        job_id=f"job-{number}",
        job_size=1,
        shots=100,
        submitted_at=NOON + number,
        started_at=NOON + number + 0.25,
        finished_at=NOON + number + 0.75,
    )
    return attrs.evolve(record, **changes)


def rich_execution() -> Execution:
    """Return a record with something in every field."""
    first = execution(Fixed(1.0), error="TimeoutError: no answer", shots=None)
    return execution(
        Fixed(2.0, shots=[10, (5, 2)], seed=7, retries=2, timeout_s=1.5),
        job_size=3,
        metadata={"calibrated_at": NOON, "qubits": 5, "mode": "session", "idle": None},
        error="RuntimeError: no “luck”, néant",
        attempt=2,
        earlier=(first,),
        handle="cl0d-42/ü",
        cost_usd=0.125,
    )


def entry(call_id: str = "call-1", index: int = 0, **changes: Any) -> Entry:
    """Return a line of the journal."""
    return Entry(call_id, index, execution(**changes))


def intent(job_id: str, circuits: Sequence[Any]) -> Intent:
    """Return a job that is about to be submitted."""
    places = tuple((f"call-{job_id}", index) for index in range(len(circuits)))
    return Intent(job_id, Fixed(3.0, seed=1), tuple(circuits), places, at=NOON)


def events() -> list[Event]:
    """Return an event of every kind, with and without a record."""
    done, failed = execution(), execution(error="ValueError: bad", shots=None)
    again = attrs.evolve(rich_execution(), executor=Fixed(fails=True))
    told: list[tuple[Any, Execution | None]] = [
        *(("submitted", None), ("started", None), ("completed", done)),
        *(("failed", failed), ("retried", failed), ("completed", again)),
        *(("failed", again), ("cached", None), ("cached", done)),
    ]
    circuits = [
        Event(kind, f"call-{index}", index, Fixed(float(index)), NOON + index, record)
        for index, (kind, record) in enumerate(told)
    ]
    executors = [
        Event(kind, "", -1, Fixed(fails=True), NOON)
        for kind in ("suspended", "resumed")
    ]
    return circuits + executors

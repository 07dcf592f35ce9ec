"""Executors and records that kits hand to selectors, stores and observers."""

from __future__ import annotations

import itertools
import math
import os
import socket
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs

from qelectron_core.contracts import Capabilities, Executor, Job, Result, Settings
from qelectron_core.events import Event, Execution
from qelectron_core.store import Call, Document, Entry, Intent, Kept, Key

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


def call(call_id: str = "call-1", **changes: Any) -> Call:
    """Return a call of this process, later than all before, but for some changes."""
    made = Call(
        id=call_id,
        name="circuit",
        executors="Fixed()",
        circuits=1,
        at=NOON + next(_numbers),
        process=f"{socket.gethostname()}:{os.getpid()}",
    )
    return attrs.evolve(made, **changes)


def rich_call(call_id: str = "call-é") -> Call:
    """Return a call with something in every field."""
    return call(
        call_id,
        name="énergie_2 “%”",
        executors="[Fixed(1.0), Fixed(2.0, shots=(10, 5))]",
        circuits=3,
        versions={"python": "3.11.7", "pennylane": "0.45.1"},
        output='{"tuple": [0, 1, 2]}',
    )


def entry(call_id: str = "call-1", index: int = 0, **changes: Any) -> Entry:
    """Return a line of the journal, of a circuit that ran, but for some changes."""
    number = next(_numbers)
    line = Entry(
        call_id=call_id,
        index=index,
        state="completed",
        executor="Fixed()",
        submitted_at=NOON + number,
        started_at=NOON + number + 0.25,
        finished_at=NOON + number + 0.75,
        shots=100,
        job_id=f"job-{number}",
        job_size=1,
    )
    return attrs.evolve(line, **changes)


def rich_entry(call_id: str, index: int, circuit: Any, value: Result) -> Entry:
    """Return a line with something in every field."""
    return entry(
        call_id,
        index,
        attempt=2,
        executor="Fixed(2.0, shots=(10, (5, 2)), seed=7)",
        job_size=3,
        handle="cl0d-42/ü",
        cost_usd=0.125,
        error="RuntimeError: no “luck”, néant",
        metadata={"calibrated_at": NOON, "qubits": 5, "mode": "session", "idle": None},
        circuit=circuit,
        value=value,
    )


def kept(key: Key, value: Result = 0.5, **changes: Any) -> Kept:
    """Return a kept result, but for some changes."""
    number = next(_numbers)
    result = Kept(
        key=key,
        value=value,
        shots=int(key.shots) if key.shots.isdigit() else 0,
        executor="Fixed()",
        job_id=f"job-{number}",
        at=NOON + number,
    )
    return attrs.evolve(result, **changes)


def document(id: str, part: str = "", **changes: Any) -> Document:
    """Return what a plugin keeps, later than all before, but for some changes."""
    number = next(_numbers)
    made = Document("kit", id, f"body {number}".encode(), NOON + number, part)
    return attrs.evolve(made, **changes)


def intent(job_id: str, circuits: Sequence[Any] = (), **changes: Any) -> Intent:
    """Return a job that is about to be submitted, but for some changes."""
    places = tuple((f"call-{job_id}", index) for index in range(len(circuits)))
    told: dict[str, Any] = {
        "executor": Fixed(3.0, seed=1),
        "circuits": tuple(circuits),
        "places": places,
        "at": NOON + next(_numbers),
    }
    return Intent(job_id, **{**told, **changes})


def rich_intent(circuits: Sequence[Any]) -> Intent:
    """Return a job with something in every field but its handle."""
    keys = tuple(
        Key(f"pool-{number}", "100", "seed 7, 1") if number % 2 else None
        for number in range(len(circuits))
    )
    return intent(
        "job-é",
        circuits,
        executor=Fixed(3.0, shots=[10, (5, 2)], seed=7, retries=2, timeout_s=1.5),
        keys=keys,
        claims=tuple(key and attrs.evolve(key, shots="pool") for key in keys),
        settings=Settings("deferred", "hw-like", "device", derivatives=True),
        shown="Fixed(3.0, …)",
    )


def results() -> list[Result]:
    """Return results of every type that circuits have."""
    import numpy as np

    grid = np.arange(12.0).reshape(3, 4)
    numbers = [0.1 + 0.2, -0.0, math.nan, -math.inf, 5e-324, 3, True, 1 - 2j]
    scalars = [np.float64(0.1), np.float64(-0.0), np.float32(0.1), np.int64(-3)]
    arrays = [
        *(
            np.array(0.25),
            np.array([]),
            np.array([[True, False]]),
            grid.T,
            grid[:, ::2],
        ),
        *(np.array([0.1, -0.0, np.nan]), np.array([[0, 1], [1, 1]], dtype=np.int8)),
        *(np.array([0.1], np.float32), np.array([1j, -0.5], np.complex128)),
        *(np.array([1j], np.complex64), np.linspace(0.0, 1.0, 2**15)),
    ]
    counts = [{"00": 3, "11": 97}, {np.float64(-1.0): np.int64(4), np.float64(1.0): 6}]
    nested = [
        (np.float64(0.5), np.array([0.5, 0.5]), {"0": 1}),
        ((0.5, np.array(0.25)), (0.5, np.array(-0.0))),
        *((0.5,), (), [0.5, [np.float64(1.0)]]),
    ]
    return [*numbers, *scalars, np.complex64(1j), *arrays, *counts, *nested]


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
        Event(kind, f"call-{i}", i, Fixed(float(i)), NOON + i, record, circuits=i + 1)
        for i, (kind, record) in enumerate(told)
    ]
    executors = [
        Event(kind, "", -1, Fixed(fails=True), NOON)
        for kind in ("suspended", "resumed")
    ]
    return circuits + executors

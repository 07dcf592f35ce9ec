"""How long circuits take on workers: guessed at first, then measured."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

#: Kinds of circuits that are remembered before all of them are forgotten.
MANY: Final = 10_000
#: Weight of what was measured last: circuits get cheaper as more are run together.
NEW: Final = 0.5
#: A guess, before anything was measured: on the safe side, so that the first jobs of
#: circuits that turn out to be slow are small.
OVERHEAD_S: Final = 4e-3
OPERATION_S: Final = 1e-4
AMPLITUDE_S: Final = 1e-8
SHOT_S: Final = 1e-6
#: Wires beyond which a circuit goes alone anyway.
MOST_WIRES: Final = 40


class Costs:
    """Seconds per circuit, by kind, of one executor."""

    def __init__(self) -> None:
        """Know nothing."""
        self._seconds: dict[Hashable, float] = {}
        self._lock = threading.Lock()

    def expected_s(self, circuit: QuantumScript) -> float:
        """Return the seconds that a circuit, or each of an array, is to take."""
        kind = _kind(circuit)
        known = self._seconds.get(kind)
        if known is None:
            known = _guess(circuit)
            with self._lock:
                if len(self._seconds) >= MANY:
                    self._seconds.clear()
                self._seconds[kind] = known
        return known * _count(circuit)

    def learn(self, circuits: Iterable[QuantumScript], seconds: float) -> None:
        """Take what some circuits took together.

        It is shared out among their kinds as they were expected to take.
        """
        expected: dict[Hashable, float] = {}
        for circuit in circuits:
            kind = _kind(circuit)
            expected[kind] = expected.get(kind, 0.0) + self.expected_s(circuit)
        factor = seconds / max(sum(expected.values()), 1e-9)
        with self._lock:
            for kind in expected:
                before = self._seconds.get(kind)
                if before is not None:
                    self._seconds[kind] = before * (1 - NEW + NEW * factor)


def _kind(circuit: QuantumScript) -> Hashable:
    """Return what tells circuits of different cost apart, and is quick to tell.

    The last operator stands for the wires, which take long to collect.
    """
    operations = circuit.operations
    last = operations[-1].wires.labels if operations else ()
    shots = circuit.shots.total_shots
    return len(operations), last, len(circuit.measurements), shots


def _count(circuit: QuantumScript) -> int:
    from qelectron_core.fusion import count_of

    return count_of(circuit) or 1


def _guess(circuit: QuantumScript) -> float:
    amplitudes = 2.0 ** min(len(circuit.wires), MOST_WIRES)
    steps = len(circuit.operations) + len(circuit.measurements)
    shots = circuit.shots.total_shots or 0
    per_step = OPERATION_S + AMPLITUDE_S * amplitudes
    return OVERHEAD_S + steps * per_step + shots * SHOT_S


_of: Final[dict[Any, Costs]] = {}
_lock: Final = threading.Lock()


def costs_of(executor: Any) -> Costs:
    """Return what this process knows of an executor that runs on workers."""
    found = _of.get(executor)
    if found is None:
        with _lock:
            found = _of.setdefault(executor, Costs())
    return found

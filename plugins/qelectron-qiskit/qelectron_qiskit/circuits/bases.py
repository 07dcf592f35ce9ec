"""In which bases a circuit is to be read, and what its results are made of.

Measurements whose bases agree on every wire that they share are read together. An
expectation value of a sum of Pauli words is taken apart into the words; what is no
Pauli word is rotated as a whole to its eigenbasis.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
import pennylane as qml
from pennylane.measurements import (
    ClassicalShadowMP,
    ExpectationMP,
    ShadowExpvalMP,
)
from pennylane.ops import MeasurementValue
from pennylane.ops.op_math import Prod, SProd
from pennylane.tape import QuantumScript

from qelectron_core.structure import structure_of
from qelectron_qiskit.circuits.readings import Reading

#: Plans that are remembered, the least used of which is forgotten for the next.
MOST_PLANS: Final = 256
#: Pauli operators whose eigenbases are known by a letter.
_LETTERS: Final = {qml.PauliX: "X", qml.PauliY: "Y", qml.PauliZ: "Z"}


@attrs.frozen(eq=False)
class Basis:
    """One way to read a circuit.

    Attributes:
        wires: Wires to measure.
        rotations: Operators that come before that.
        shadow: Whether every wire is read in a Pauli basis drawn anew for each shot.
    """

    wires: tuple[Hashable, ...]
    rotations: tuple[Any, ...] = ()
    shadow: Any = None


@attrs.frozen
class _Word:
    """A Pauli word of an expectation value.

    Attributes:
        wires: The wires on which it is not the identity.
        weight: Its coefficient.
        basis: The position of the basis in which it is read.
    """

    wires: tuple[Hashable, ...]
    weight: float
    basis: int


@attrs.frozen(eq=False)
class Plan:
    """The bases to read a circuit in, and how to put its results together.

    Attributes:
        bases: At least one.
    """

    bases: tuple[Basis, ...]
    _parts: tuple[Any, ...]

    def finish(self, readings: Sequence[Reading]) -> Any:
        """Return the result of a circuit from one reading per basis."""
        results = [part.finish(readings) for part in self._parts]
        return results[0] if len(results) == 1 else tuple(results)


@attrs.frozen(eq=False)
class _Whole:
    """A measurement that is made of one reading."""

    measurement: Any
    basis: int

    def finish(self, readings: Sequence[Reading]) -> Any:
        return readings[self.basis].measure(self.measurement)


@attrs.frozen(eq=False)
class _Sum:
    """An expectation value, or the variance, of a sum of Pauli words."""

    words: tuple[_Word, ...]
    offset: float

    def finish(self, readings: Sequence[Reading]) -> Any:
        means = (
            word.weight * readings[word.basis].parity(word.wires) for word in self.words
        )
        return np.float64(self.offset + sum(means))


def plan_of(circuit: QuantumScript, mid: Mapping[Hashable, int]) -> Plan:
    """Return in which bases to read a circuit.

    Args:
        circuit: The circuit.
        mid: Position of each mid-circuit measurement, by its id.
    """
    if mid:
        return _make(circuit.measurements, circuit, mid)
    key = structure_of(QuantumScript([], circuit.measurements))
    if key is None:
        return _make(circuit.measurements, circuit, mid)
    return _plans.of((key, circuit.wires), circuit)


class _Plans:
    """Plans by the structure of what is measured."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Plan] = OrderedDict()

    def of(self, key: Hashable, circuit: QuantumScript) -> Plan:
        plan = self._known.get(key)
        if plan is None:
            plan = _make(circuit.measurements, circuit, {})
            self._known[key] = plan
            while len(self._known) > MOST_PLANS:
                self._known.popitem(last=False)
        return plan


_plans: Final = _Plans()


def mid_wire(place: int) -> str:
    """Return the name of the bit of a mid-circuit measurement, among wires."""
    return f"mid-circuit measurement {place}"


# --- Which bases ----------------------------------------------------------------------


class _Planner:
    """Finds as few bases as it can, each for the first that fits."""

    def __init__(self) -> None:
        self._bases: list[dict[Hashable, Hashable]] = []  # what is said of each wire
        self._rotations: dict[Hashable, Sequence[Any]] = {}
        self._blocks: list[Any] = []
        self._shadows: list[Any] = []

    def place(self, letters: Mapping[Hashable, Hashable]) -> int:
        """Return the position of a basis that says this of wires, be it a new one."""
        for place, basis in enumerate(self._bases):
            if all(basis.get(wire, said) == said for wire, said in letters.items()):
                basis.update(letters)
                return place
        self._bases.append(dict(letters))
        return len(self._bases) - 1

    def letters(self, observable: Any) -> dict[Hashable, Hashable]:
        """Return what an observable asks of its wires."""
        word = _word(observable)
        if word is not None:
            return word
        gates = observable.diagonalizing_gates()
        if not gates:
            return dict.fromkeys(observable.wires, "Z")
        block = self._block(observable)
        self._rotations[block] = gates
        return dict.fromkeys(observable.wires, block)

    def shadow(self, measurement: Any) -> int:
        """Return the position, behind all bases, of a shadow."""
        self._shadows.append(measurement)
        return len(self._shadows) - 1

    def bases(self, circuit: QuantumScript) -> list[Basis]:
        """Return the bases; shadows come last."""
        made = [self._basis(basis, circuit) for basis in self._bases]
        made += [Basis(tuple(mp.wires), shadow=mp) for mp in self._shadows]
        return made or [Basis(tuple(circuit.wires[:1]))]

    @property
    def n_bases(self) -> int:
        """How many bases there are besides shadows."""
        return len(self._bases)

    def _basis(
        self, letters: Mapping[Hashable, Hashable], circuit: QuantumScript
    ) -> Basis:
        rotations = [_rotation(wire, said) for wire, said in letters.items()]
        for block in dict.fromkeys(letters.values()):
            rotations.append(self._rotations.get(block, ()))
        ordered = [wire for wire in circuit.wires if wire in letters]
        return Basis(tuple(ordered), tuple(op for ops in rotations for op in ops))

    def _block(self, observable: Any) -> Hashable:
        """Return a name that equal observables share."""
        for place, other in enumerate(self._blocks):
            if qml.equal(observable, other):
                return place
        self._blocks.append(observable)
        return len(self._blocks) - 1


def _make(
    measurements: Sequence[Any], circuit: QuantumScript, mid: Mapping[Hashable, int]
) -> Plan:
    planner = _Planner()
    wires = circuit.wires
    parts = [_part(planner, measurement, mid, wires) for measurement in measurements]
    shadows = [part for part in parts if isinstance(part, _Shadow)]
    for part in shadows:
        part.basis += planner.n_bases
    return Plan(tuple(planner.bases(circuit)), tuple(parts))


def _part(
    planner: _Planner,
    measurement: Any,
    mid: Mapping[Hashable, int],
    wires: Iterable[Hashable],
) -> Any:
    if isinstance(measurement, (ClassicalShadowMP, ShadowExpvalMP)):
        return _Shadow(measurement, planner.shadow(measurement))
    if mid and measurement.mv is not None:  # else it was deferred to a wire
        return _Whole(_of_mid_bits(measurement, mid), planner.place({}))
    observable = measurement.obs
    if observable is None:
        letters = dict.fromkeys(measurement.wires or wires, "Z")
        return _Whole(measurement, planner.place(letters))
    if isinstance(measurement, ExpectationMP) and observable.pauli_rep is not None:
        return _sum(planner, observable.pauli_rep)
    return _Whole(measurement, planner.place(planner.letters(observable)))


def _sum(planner: _Planner, sentence: Any) -> _Sum:
    """Place the words of a sum, those that fix most wires first."""
    words, offset = [], 0.0
    for word, weight in sorted(sentence.items(), key=lambda item: -len(item[0])):
        if len(word):
            place = planner.place(dict(word))
            words.append(_Word(tuple(word), float(np.real(weight)), place))
        else:
            offset += float(np.real(weight))
    return _Sum(tuple(words), offset)


def _word(observable: Any) -> dict[Hashable, Hashable] | None:
    """Return the letters of a product of Pauli operators, each on a wire of its own.

    Of other observables the order of eigenvalues is that of their own rotations.
    """
    if isinstance(observable, SProd):
        return _word(observable.base)
    if type(observable) in _LETTERS:
        return {observable.wires[0]: _LETTERS[type(observable)]}
    if not isinstance(observable, Prod):
        return None
    letters: dict[Hashable, Hashable] = {}
    for operand in observable.operands:
        word = _word(operand)
        if word is None or not letters.keys().isdisjoint(word):
            return None
        letters.update(word)
    return letters


def _rotation(wire: Hashable, letter: Hashable) -> Iterable[Any]:
    if letter == "X":
        return [qml.Hadamard(wire)]
    if letter == "Y":
        return [qml.adjoint(qml.S(wire)), qml.Hadamard(wire)]
    return ()


def _of_mid_bits(measurement: Any, mid: Mapping[Hashable, int]) -> Any:
    """Return a measurement of mid-circuit values as one of the wires of their bits."""
    value = measurement.mv
    if isinstance(value, MeasurementValue):
        moved: Any = _moved(value, mid)
    else:
        moved = [_moved(each, mid) for each in value]
    options = {}
    if hasattr(measurement, "all_outcomes"):
        options["all_outcomes"] = measurement.all_outcomes
    return type(measurement)(obs=moved, **options)


def _moved(value: MeasurementValue, mid: Mapping[Hashable, int]) -> MeasurementValue:
    measurements = [
        qml.map_wires(m, {m.wires[0]: mid_wire(mid[m.meas_uid])})
        for m in value.measurements
    ]
    return MeasurementValue(
        measurements, value.processing_fn if value.has_processing else None
    )


# --- Shadows --------------------------------------------------------------------------


@attrs.define(eq=False)
class _Shadow:
    """A classical shadow, or an expectation value that is estimated from one."""

    measurement: Any
    basis: int

    def finish(self, readings: Sequence[Any]) -> Any:
        shadow = readings[self.basis]
        if isinstance(self.measurement, ClassicalShadowMP):
            return np.stack([shadow.bits, shadow.recipes]).astype(np.int8)
        wires = list(self.measurement.wires)
        found = qml.ClassicalShadow(shadow.bits, shadow.recipes, wire_map=wires)
        return found.expval(self.measurement.H, self.measurement.k)

"""Circuits that kits try plugins on, with as few operations as show the point."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
import pennylane as qml
from pennylane.tape import QuantumScript

#: Numbers without a pattern, none of them special.
ANGLES: Final = (0.37, 1.21, -0.83, 2.05, 0.59, -1.47)


class Unrunnable(qml.operation.Operation):
    """An operator without a matrix and without a decomposition."""

    num_wires = 1
    num_params = 0


def circuit(
    operations: Iterable[Any], measurements: Iterable[Any], shots: Any = None
) -> QuantumScript:
    """Return a circuit."""
    return QuantumScript(list(operations), list(measurements), shots=shots)


def with_shots(circuits: Iterable[QuantumScript], shots: Any) -> list[QuantumScript]:
    """Return circuits with these shots."""
    return [one.copy(shots=shots) for one in circuits]


def entangled(wires: Sequence[Any] = (0, 1), turn: float = 0.0) -> list[Any]:
    """Return operations whose results tell wires, signs and their order apart."""
    first, second = wires
    one, two, three, *_ = (angle + turn for angle in ANGLES)
    return [
        qml.RX(one, first),
        qml.RY(two, second),
        qml.CNOT([first, second]),
        qml.Rot(three, one, two, second),
    ]


def plain_circuits() -> list[QuantumScript]:
    """Return circuits of plain gates, one measurement each, of every simple kind."""
    gates = [qml.H(0), qml.S(0), qml.T(1), qml.X(1), qml.CZ([0, 1]), qml.RZ(0.7, 0)]
    return [
        circuit(entangled(), [qml.expval(qml.Z(0))]),
        circuit(entangled(), [qml.expval(qml.X(0) @ qml.Y(1))]),
        circuit([*gates, qml.RX(0.9, 0)], [qml.expval(qml.Y(0))]),
        circuit([*gates, qml.SWAP([0, 1])], [qml.expval(qml.X(1))]),
        circuit([qml.RY(np.array(0.8), 0)], [qml.expval(qml.Z(0))]),
    ]


def spread_circuits() -> list[QuantumScript]:
    """Return circuits whose results are variances and probabilities."""
    return [
        circuit(entangled(), [qml.var(qml.Z(1))]),
        circuit(entangled(), [qml.var(qml.X(0) @ qml.Z(1))]),
        circuit(entangled(), [qml.probs(wires=[0, 1])]),
        circuit(entangled(), [qml.probs(wires=[1])]),
        circuit(entangled(), [qml.probs(op=qml.Y(0))]),
    ]


def several_measurements() -> list[QuantumScript]:
    """Return circuits with several measurements."""
    mixed = [qml.expval(qml.Z(0)), qml.probs(wires=[0, 1]), qml.var(qml.X(1))]
    return [
        circuit(entangled(), [qml.expval(qml.Z(0)), qml.expval(qml.Z(1))]),
        circuit(entangled(), [qml.expval(qml.X(0)), qml.expval(qml.Z(0))]),
        circuit(entangled(), mixed),
    ]


def labelled_circuits() -> list[QuantumScript]:
    """Return circuits with other labels of wires than 0, 1 …, and in other orders."""
    return [
        circuit(entangled((1, 0)), [qml.expval(qml.Z(0)), qml.expval(qml.Z(1))]),
        circuit(entangled(), [qml.probs(wires=[1, 0])]),
        circuit(entangled((5, 3)), [qml.probs(wires=[3, 5])]),
        circuit(entangled(("b", "a")), [qml.probs(wires=["a", "b"])]),
        circuit(entangled(("q", 7)), [qml.expval(qml.Z("q") @ qml.X(7))]),
        circuit(entangled((2, 0)), [qml.expval(qml.Z(1)), qml.expval(qml.Z(0))]),
    ]


def composite_circuits() -> list[QuantumScript]:
    """Return circuits with operators that most backends must take apart."""
    weights = np.array(ANGLES).reshape(1, 2, 3)
    return [
        circuit(
            [qml.StronglyEntanglingLayers(weights, [0, 1])], [qml.expval(qml.Z(0))]
        ),
        circuit([*entangled(), qml.QFT([0, 1])], [qml.expval(qml.X(1))]),
        circuit([*entangled(), qml.adjoint(qml.S(0))], [qml.expval(qml.X(0))]),
        circuit([*entangled(), qml.ctrl(qml.RX(0.9, 1), 0)], [qml.expval(qml.Y(1))]),
        circuit([*entangled(), qml.pow(qml.X(0), 0.5)], [qml.expval(qml.Z(0))]),
    ]


def hamiltonian_circuits() -> list[QuantumScript]:
    """Return circuits that measure sums of products of Pauli operators."""
    energy = qml.Hamiltonian(
        [0.5, -1.2, 0.3], [qml.Z(0), qml.X(0) @ qml.Z(1), qml.Y(1)]
    )
    return [
        circuit(entangled(), [qml.expval(energy)]),
        circuit(entangled(), [qml.expval(2.0 * qml.Z(0) + qml.X(1))]),
    ]


def certain_circuits(measure: Callable[[], Any]) -> list[QuantumScript]:
    """Return circuits whose results are certain, in turn 1 and 0 of a bit.

    They have different structures, so that those who sort by structure must put
    the results back in order.

    Args:
        measure: Makes a measurement of wire 0.
    """
    flips = [
        [[qml.X(0)], [qml.I(0)]],
        [[qml.RX(math.pi, 0)], [qml.RX(0.0, 0)]],
        [[qml.H(0), qml.Z(0), qml.H(0)], [qml.X(0), qml.X(0)]],
        [[qml.X(1), qml.CNOT([1, 0])], [qml.CNOT([1, 0])]],
        [[qml.RY(math.pi, 0)], [qml.RX(2 * math.pi, 0)]],
        [[qml.RX(math.pi, 0)], [qml.RX(0.0, 0)]],
    ]
    return [circuit(gates, [measure()]) for pair in flips for gates in pair]


def any_circuits() -> list[QuantumScript]:
    """Return circuits of every kind that a selector, a store or `refuse` may meet."""
    wide = [qml.RX(0.1, wire) for wire in range(40)]
    array = [qml.RX(np.array([0.1, 0.2]), 0)]
    kinds = [
        *(*plain_circuits()[:2], *labelled_circuits()[2:5]),
        *(*composite_circuits()[:2], hamiltonian_circuits()[0]),
        circuit([], [qml.expval(qml.Z(0))]),
        circuit(entangled(), []),
        circuit(wide, [qml.expval(qml.Z(0))]),
        circuit(array, [qml.probs(wires=[0])]),
    ]
    sampled = [qml.sample(wires=[0, 1]), qml.counts(wires=[0, 1])]
    return [
        *kinds,
        *with_shots(kinds[:3], 100),
        circuit(entangled(), sampled, shots=[10, (5, 2)]),
        circuit(entangled(), [qml.state()]),
    ]

"""Structures as circuits of Qiskit, with parameters in place of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qelectron_qiskit.circuits.gates import Instruction, makers
from qelectron_qiskit.circuits.structures import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit

#: Names of the classical registers of mid-circuit and of final measurements.
MID: Final = "mid"
FINAL: Final = "final"


def build(structure: Structure) -> QuantumCircuit:
    """Return a structure as a circuit of Qiskit, with its parameters in their order."""
    from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
    from qiskit.circuit import ParameterVector

    registers: list[Any] = [QuantumRegister(structure.n_qubits, "q")]
    if structure.n_mid:
        registers.append(ClassicalRegister(structure.n_mid, MID))
    if structure.measured:
        registers.append(ClassicalRegister(len(structure.measured), FINAL))
    circuit = QuantumCircuit(*registers)
    n_params = sum(step.n_params for step in structure.instructions)
    params = iter(ParameterVector("x", n_params))
    for step in structure.instructions:
        _append(circuit, step, params)
    if structure.measured:
        circuit.measure(list(structure.measured), circuit.cregs[-1])
    return circuit


def _append(circuit: QuantumCircuit, step: Instruction, params: Iterator[Any]) -> None:
    if step.gate in _STEPS:
        _STEPS[step.gate](circuit, step, params)
        return
    values = [next(params) for _ in range(step.n_params)]
    if step.gate == "controlled":
        gate, states = step.detail
        made = makers()[gate](*values).control(
            len(states), ctrl_state=states, annotated=False
        )
    else:
        made = makers()[step.gate](*values)
    circuit.append(made, step.qubits)


def _unitary(circuit: QuantumCircuit, step: Instruction, _: Iterator[Any]) -> None:
    matrix = _array(step.detail)
    size = 2 ** len(step.qubits)
    circuit.unitary(matrix.reshape(size, size), step.qubits)


def _state(circuit: QuantumCircuit, step: Instruction, _: Iterator[Any]) -> None:
    circuit.prepare_state(_array(step.detail), step.qubits)


def _barrier(circuit: QuantumCircuit, step: Instruction, _: Iterator[Any]) -> None:
    circuit.barrier(step.qubits)


def _measure(circuit: QuantumCircuit, step: Instruction, _: Iterator[Any]) -> None:
    place, reset = step.detail
    (qubit,) = step.qubits
    circuit.measure(qubit, circuit.cregs[0][place])
    if reset:
        circuit.reset(qubit)


def _if(circuit: QuantumCircuit, step: Instruction, params: Iterator[Any]) -> None:
    places, true, body = step.detail
    bits = [circuit.cregs[0][place] for place in places]
    condition = _condition(bits, true)
    if condition is None:  # never true
        for _ in range(step.n_params):
            next(params)
        return
    with circuit.if_test(condition):
        for inner in body:
            _append(circuit, inner, params)


def _condition(bits: Sequence[Any], true: Sequence[Sequence[int]]) -> Any:
    """Return the condition that bits take one of some values."""
    from qiskit.circuit.classical import expr

    if not true:
        return None
    if len(bits) == 1 and len(true) == 1:
        return bits[0], true[0][0]
    branches = []
    for branch in true:
        terms = [
            bit if value else expr.logic_not(bit)
            for bit, value in zip(bits, branch, strict=True)
        ]
        branches.append(_joined(expr.logic_and, terms))
    return _joined(expr.logic_or, branches)


def _joined(operation: Any, terms: Sequence[Any]) -> Any:
    from qiskit.circuit.classical import expr

    joined = expr.lift(terms[0])
    for term in terms[1:]:
        joined = operation(joined, term)
    return joined


def _array(content: Any) -> NDArray[np.complex128]:
    return np.frombuffer(content, dtype=complex)


_STEPS: Final = {
    "unitary": _unitary,
    "state": _state,
    "barrier": _barrier,
    "measure": _measure,
    "if": _if,
}

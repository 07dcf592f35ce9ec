"""Circuits as structures and numbers: Qiskit compiles the former once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from pennylane.tape import QuantumScript

from qelectron_qiskit.circuits.gates import Instruction, Written
from qelectron_qiskit.circuits.parts import TEMPLATES, in_turn, layout_of, native

if TYPE_CHECKING:
    from numpy.typing import NDArray


@attrs.frozen(cache_hash=True)
class Structure:
    """A circuit without the values of its parameters; equal ones are compiled once.

    Attributes:
        n_qubits: Number of qubits.
        instructions: What is done to them.
        measured: Qubits that are measured in the end; bit i is that of the i-th.
        n_mid: Number of mid-circuit measurements.
    """

    n_qubits: int
    instructions: tuple[Instruction, ...]
    measured: tuple[int, ...] = ()
    n_mid: int = 0

    @property
    def is_dynamic(self) -> bool:
        """Whether it measures in the middle."""
        return self.n_mid > 0


@attrs.frozen(eq=False)
class Prepared:
    """The operations of one circuit, ready to be measured in any basis.

    Attributes:
        qubits: The qubit of each wire.
        instructions: What is done to them.
        params: The parameters, shape `(n_params,)`.
        mid: Position of each mid-circuit measurement among those, by its id.
        postselected: Bits that a mid-circuit measurement must give, by position.
    """

    qubits: Mapping[Hashable, int]
    instructions: tuple[Instruction, ...]
    params: NDArray[np.float64]
    mid: Mapping[Hashable, int]
    postselected: Mapping[int, int]

    def structure(
        self, wires: Sequence[Hashable] = (), rotations: Iterable[Any] = ()
    ) -> tuple[Structure, NDArray[np.float64]]:
        """Return a structure and its parameters.

        Args:
            wires: Wires to measure in the end.
            rotations: Operators to apply before that.
        """
        instructions, params = self.instructions, self.params
        written = Written(self.qubits)
        for op in native(rotations):
            written.add(op)
        if written.instructions:
            instructions = (*instructions, *written.instructions)
            params = np.append(params, written.params)
        measured = tuple([self.qubits[wire] for wire in wires])
        structure = Structure(len(self.qubits), instructions, measured, len(self.mid))
        return structure, params


def prepare(
    circuit: QuantumScript, wires: Iterable[Hashable] | None = None
) -> Prepared:
    """Write down the operations of a circuit.

    Args:
        circuit: The circuit.
        wires: The wires in the order of their qubits; by default the circuit's own.

    Raises:
        DeviceError: If one has no counterpart in Qiskit and cannot be taken apart.
    """
    order = circuit.wires if wires is None else wires
    qubits = {wire: place for place, wire in enumerate(order)}
    written = Written(qubits)
    for op in in_turn(circuit.operations):
        if type(op) in TEMPLATES:
            layout_of(op, qubits).write(written, op)
        else:
            written.add(op)
    return Prepared(
        qubits,
        tuple(written.instructions),
        np.array(written.params, dtype=float),
        written.mid,
        written.postselected,
    )

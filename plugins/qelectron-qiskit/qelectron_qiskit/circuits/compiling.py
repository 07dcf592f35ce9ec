"""Structures as a machine runs them: transpiled once, and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np

from qelectron_qiskit.circuits.building import build
from qelectron_qiskit.circuits.experiments import Row
from qelectron_qiskit.circuits.structures import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit

#: Structures that are kept for one machine; the least used is dropped for the next.
MOST_COMPILED: Final = 256


@attrs.frozen(eq=False)
class Compiled:
    """A structure in the gates of a machine, on its qubits.

    Attributes:
        circuit: The circuit, with its parameters.
        columns: Which parameters of the structure it takes, in the order that it does.
    """

    circuit: QuantumCircuit
    columns: tuple[int, ...]

    def values(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """Return the parameters of rows, shape `(n_rows, n_parameters)`."""
        table = np.array([row.params for row in rows]).reshape(len(rows), -1)
        return table[:, self.columns]

    @property
    def places(self) -> tuple[int, ...]:
        """The qubit on which each of the structure's ends up."""
        layout = self.circuit.layout
        if layout is None:
            return tuple(range(self.circuit.num_qubits))
        return tuple(layout.final_index_layout())

    def phases(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """Return the global phases of rows, in radians, shape `(n_rows,)`."""
        phase = self.circuit.global_phase
        if not getattr(phase, "parameters", None):
            return np.full(len(rows), float(phase))
        bound = (
            phase.bind(
                {
                    p: v
                    for p, v in zip(self.circuit.parameters, values, strict=True)
                    if p in phase.parameters
                }
            )
            for values in self.values(rows).tolist()
        )
        return np.array([float(value) for value in bound])


class Compiler:
    """Transpiles for one machine; safe to use from several threads."""

    def __init__(self, target: Any, level: int, seed: int) -> None:
        """Make a compiler that has compiled nothing yet.

        Args:
            target: What the circuits are to run on: Qiskit's `Target`.
            level: Qiskit's optimization level, 0 to 3.
            seed: Seeds the choices of the transpiler.
        """
        self._target = target
        self._level = level
        self._seed = seed
        self._kept: OrderedDict[Structure, Compiled] = OrderedDict()
        self._lock = threading.Lock()

    def compile(self, structure: Structure) -> Compiled:
        """Return a structure as the machine runs it."""
        with self._lock:
            known = self._kept.get(structure)
            if known is not None:
                self._kept.move_to_end(structure)
                return known
            made = self._kept[structure] = self._transpile(structure)
            while len(self._kept) > MOST_COMPILED:
                self._kept.popitem(last=False)
        return made

    def _transpile(self, structure: Structure) -> Compiled:
        from qiskit.transpiler import generate_preset_pass_manager

        manager = generate_preset_pass_manager(
            optimization_level=self._level,
            target=self._target,
            seed_transpiler=self._seed,
        )
        circuit = manager.run(build(structure))
        columns = tuple(parameter.index for parameter in circuit.parameters)
        return Compiled(circuit, columns)

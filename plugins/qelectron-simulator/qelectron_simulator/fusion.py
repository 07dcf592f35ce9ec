"""Runs circuits of equal structure as one circuit over an array of parameters."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pennylane as qml
from pennylane.ops.qubit.attributes import supports_broadcasting
from pennylane.tape import QuantumScript

from qelectron_core.structure import structure_of

#: Above this many wires the arithmetic outweighs what is saved per operation.
MAX_WIRES: Final = 10
#: Most amplitudes of one fused run (16 bytes each).
MAX_AMPLITUDES: Final = 2**20

_FUSIBLE_MEASUREMENTS: Final = (
    qml.measurements.ExpectationMP,
    qml.measurements.VarianceMP,
    qml.measurements.ProbabilityMP,
    qml.measurements.StateMP,
)


def groups(
    circuits: Sequence[QuantumScript], n_wires: int
) -> Iterator[tuple[Hashable | None, list[int]]]:
    """Split circuits into those that can be fused, and single ones.

    Args:
        circuits: Circuits of one job.
        n_wires: Wires of the state that is simulated.

    Yields:
        The circuits' structure, or `None`, and their positions; together the
        positions are those of all circuits.
    """
    by_structure: dict[Hashable, list[int]] = {}
    for index, circuit in enumerate(circuits):
        structure = structure_of(circuit)
        if structure is None or not _is_fusible(circuit, n_wires):
            yield structure, [index]
        else:
            by_structure.setdefault(structure, []).append(index)
    size = max(1, MAX_AMPLITUDES >> n_wires)
    for structure, indices in by_structure.items():
        for start in range(0, len(indices), size):
            yield structure, indices[start : start + size]


def fuse(circuits: Sequence[QuantumScript]) -> QuantumScript:
    """Return one circuit whose parameters are arrays over circuits.

    Args:
        circuits: At least one, all of equal structure and accepted by `groups`.
            Parameters in which they agree stay numbers.
    """
    operations = [
        _fuse_operators(operators)
        for operators in zip(*(c.operations for c in circuits), strict=True)
    ]
    return QuantumScript(operations, circuits[0].measurements)


def split(result: Any, fused: QuantumScript, count: int) -> list[Any]:
    """Undo `fuse` for a result: return one result per circuit."""
    if fused.batch_size is None:  # the circuits were all equal
        return [_copied(result) for _ in range(count)]
    if len(fused.measurements) == 1:
        return [_item(result, index) for index in range(count)]
    return [tuple(_item(part, index) for part in result) for index in range(count)]


def _is_fusible(circuit: QuantumScript, n_wires: int) -> bool:
    if circuit.shots or n_wires > MAX_WIRES or circuit.batch_size is not None:
        return False
    if not all(isinstance(mp, _FUSIBLE_MEASUREMENTS) for mp in circuit.measurements):
        return False
    return all(not op.data or op in supports_broadcasting for op in circuit.operations)


def _fuse_operators(operators: Sequence[Any]) -> Any:
    first = operators[0]
    columns = list(zip(*(op.data for op in operators), strict=True))
    if all(value == column[0] for column in columns for value in column):
        return first
    return type(first)(*map(np.array, columns), wires=first.wires)


def _item(values: Any, index: int) -> Any:
    item = values[index]
    return item.copy() if isinstance(item, np.ndarray) else item


def _copied(result: Any) -> Any:
    if isinstance(result, tuple):
        return tuple(_copied(part) for part in result)
    return result.copy() if isinstance(result, np.ndarray) else result

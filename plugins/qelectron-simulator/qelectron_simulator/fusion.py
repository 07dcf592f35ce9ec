"""Runs circuits of equal structure as one circuit over an array of parameters."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pennylane as qml
from pennylane.ops.op_math import SProd, Sum
from pennylane.ops.qubit.attributes import supports_broadcasting
from pennylane.tape import QuantumScript

from qelectron_core.structure import structure_of

#: Above this many wires the arithmetic outweighs what is saved per operation.
MAX_WIRES: Final = 10
#: Most amplitudes of one fused run (16 bytes each).
MAX_AMPLITUDES: Final = 2**20

# With the dimensions of their weights, which they index from the last axis.
_BROADCASTING_TEMPLATES: Final = {
    qml.AngleEmbedding: 1,
    qml.BasicEntanglerLayers: 2,
    qml.StronglyEntanglingLayers: 3,
}
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


def fuse(circuits: Sequence[QuantumScript]) -> QuantumScript | None:
    """Return one circuit whose parameters are arrays over circuits.

    Args:
        circuits: All of equal structure and accepted by `groups`. Parameters in
            which they agree stay numbers.

    Returns:
        The circuit, or nothing if the circuits agree in every parameter.
    """
    operations = [
        _fuse_operators(operators)
        for operators in zip(*(c.operations for c in circuits), strict=True)
    ]
    if all(map(operator.is_, operations, circuits[0].operations)):
        return None
    return QuantumScript(operations, circuits[0].measurements)


def split(result: Any, circuits: Sequence[QuantumScript]) -> list[Any]:
    """Undo `fuse` for a result: return one result per circuit.

    Raises:
        ValueError: If the result is not an array over the circuits.
    """
    count = len(circuits)
    parts = [result] if len(circuits[0].measurements) == 1 else list(result)
    if any(np.shape(part)[:1] != (count,) for part in parts):
        message = f"expected results of {count} circuits, not shapes {parts!r}."
        raise ValueError(message)
    if len(parts) == 1:
        return [_item(parts[0], index) for index in range(count)]
    return [tuple(_item(part, index) for part in parts) for index in range(count)]


def _is_fusible(circuit: QuantumScript, n_wires: int) -> bool:
    if circuit.shots or n_wires > MAX_WIRES or circuit.batch_size is not None:
        return False
    if not all(isinstance(mp, _FUSIBLE_MEASUREMENTS) for mp in circuit.measurements):
        return False
    return all(map(_broadcasts, circuit.operations))


def _broadcasts(op: Any) -> bool:
    if type(op) in _BROADCASTING_TEMPLATES:
        return np.ndim(op.data[0]) == _BROADCASTING_TEMPLATES[type(op)]
    return not op.data or op in supports_broadcasting


def _fuse_operators(operators: Sequence[Any]) -> Any:
    first = operators[0]
    columns = list(zip(*(op.data for op in operators), strict=True))
    if all(np.array_equal(value, column[0]) for column in columns for value in column):
        return first
    # Built anew: a copy would keep what PennyLane has worked out of a single operator.
    stacked = [np.stack(column) for column in columns]
    return type(first)(*stacked, wires=first.wires, **_settings(first))


def _settings(op: Any) -> dict[str, Any]:
    """Return the arguments that an operator needs besides parameters and wires."""
    if isinstance(
        op, qml.AngleEmbedding
    ):  # which keeps the class, and takes its letter
        return {"rotation": op.hyperparameters["rotation"].__name__[-1]}
    return dict(op.hyperparameters) if type(op) in _BROADCASTING_TEMPLATES else {}


def _item(values: Any, index: int) -> Any:
    item = values[index]
    return item.copy() if isinstance(item, np.ndarray) else item


def needs_model(circuit: QuantumScript) -> bool:
    """Tell whether only a single run shows the type of a result.

    PennyLane adds up a sum of observables in several ways, some of which return an
    array without dimensions and others a number.
    """
    return any(isinstance(mp.obs, (Sum, SProd)) for mp in circuit.measurements)


def in_type_of(models: Sequence[Any], result: Any) -> Any:
    """Return a result of a fused run in the type that a single run returns.

    Some devices return Python's numbers, or arrays without dimensions; taken out of
    an array they are NumPy's numbers.

    Args:
        models: Results of single runs of the same structure; may be empty.
        result: What `split` returned.
    """
    if not models:
        return result
    if isinstance(result, tuple) and isinstance(models[0], tuple):
        pairs = zip(models[0], result, strict=True)
        return tuple(in_type_of([model], part) for model, part in pairs)
    if type(models[0]) is float:
        return float(result)
    is_array = type(models[0]) is np.ndarray and models[0].ndim == 0
    return np.asarray(result) if is_array else result

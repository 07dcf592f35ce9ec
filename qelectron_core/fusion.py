"""Runs circuits of equal structure as one circuit over arrays of parameters.

For executors whose backend takes such a circuit (PennyLane calls it broadcasting)
faster than the single ones. Each result is that of the circuit by itself, but for
the order in which numbers were added up.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pennylane as qml
from pennylane.ops.op_math import SProd, Sum
from pennylane.ops.qubit.attributes import supports_broadcasting
from pennylane.queuing import QueuingManager
from pennylane.tape import QuantumScript

from qelectron_core.structure import TEMPLATES, structure_of, with_parameters

#: Measurements whose results over arrays are arrays of the single results.
FUSIBLE_MEASUREMENTS: Final = (
    qml.measurements.ExpectationMP,
    qml.measurements.VarianceMP,
    qml.measurements.ProbabilityMP,
    qml.measurements.StateMP,
    qml.measurements.PurityMP,
    qml.measurements.VnEntropyMP,
    qml.measurements.MutualInfoMP,
)


def group(
    circuits: Sequence[QuantumScript],
) -> Iterator[tuple[Hashable | None, list[int]]]:
    """Sort circuits by their structure.

    Args:
        circuits: Any circuits.

    Yields:
        A structure and the positions of its circuits in their order, or `None` and
        the position of a circuit that has none; every position comes up once.
    """
    known: dict[int, Hashable] = {}
    groups: dict[Hashable, list[int]] = {}
    for position, circuit in enumerate(circuits):
        structure = structure_of(circuit, known)
        if structure is None:
            yield None, [position]
        else:
            groups.setdefault(structure, []).append(position)
    yield from groups.items()


def is_fusible(circuit: QuantumScript) -> bool:
    """Tell whether circuits of the structure of this one can be run as one.

    Not those that are sampled, whose random numbers come from seeds of their own;
    that hold arrays of parameters already; or an operator or a measurement of which
    it is not known that its results over arrays are those of the single ones.

    Args:
        circuit: A circuit that has a structure.
    """
    if circuit.shots or not any(op.data for op in circuit.operations):
        return False
    if not all(isinstance(mp, FUSIBLE_MEASUREMENTS) for mp in circuit.measurements):
        return False
    return all(map(_broadcasts, circuit.operations)) and circuit.batch_size is None


def count_of(circuit: QuantumScript) -> int | None:
    """Return over how many circuits the arrays of a circuit go.

    Args:
        circuit: Any circuit.

    Returns:
        The length of the arrays; `None` if it has none, or none that are known.
    """
    for op in circuit.operations:
        if not any(getattr(value, "ndim", 0) for value in op.data):
            continue  # the quick answer for nearly all operations
        if type(op) in TEMPLATES:  # which do not say so themselves
            shape = np.shape(op.data[0])
            count = shape[0] if len(shape) > TEMPLATES[type(op)] else None
        else:
            count = op.batch_size
        if count is not None:
            return int(count)
    return None


def _broadcasts(op: Any) -> bool:
    if type(op) in TEMPLATES:
        return bool(np.ndim(op.data[0]) == TEMPLATES[type(op)])
    return not op.data or op in supports_broadcasting


def fuse(circuits: Sequence[QuantumScript]) -> QuantumScript | None:
    """Return one circuit whose parameters are arrays over circuits.

    Args:
        circuits: At least one, all of one structure, and fusible. Parameters in which
            they agree stay numbers.

    Returns:
        The circuit, or `None` if the circuits agree in every parameter.
    """
    operations = list(circuits[0].operations)
    varies = False
    columns = [circuit.operations for circuit in circuits]
    with QueuingManager.stop_recording():
        for position, first in enumerate(operations):
            if not first.data:
                continue
            stacked = _stack([operators[position].data for operators in columns])
            if stacked is not None:
                operations[position] = with_parameters(first, stacked)
                varies = True
    return QuantumScript(operations, circuits[0].measurements) if varies else None


def _stack(rows: Sequence[tuple[Any, ...]]) -> list[Any] | None:
    """Return arrays over circuits, or `None` if all circuits agree."""
    stacked = [np.array(column) for column in zip(*rows, strict=True)]
    if all((column == column[0]).all() for column in stacked):
        return None
    return stacked


def unfuse(result: Any, count: int, measurements: int) -> list[Any]:
    """Return the result of every circuit from that of the fused one.

    Args:
        result: What the fused circuit returned: an array over circuits, or several
            for several measurements.
        count: How many circuits there were.
        measurements: How many measurements each has.

    Returns:
        One result per circuit, none of which shares memory with another.

    Raises:
        ValueError: If the result is no array over the circuits.
    """
    parts = list(result) if measurements > 1 else [result]
    if any(np.shape(part)[:1] != (count,) for part in parts):
        shapes = [np.shape(part) for part in parts]
        message = f"expected results of {count} circuits, not shapes {shapes!r}."
        raise ValueError(message)
    columns = [_items(part) for part in parts]
    return columns[0] if measurements == 1 else list(zip(*columns, strict=True))


def _items(values: Any) -> list[Any]:
    if getattr(values, "ndim", 0) > 1:
        return [value.copy() for value in values]
    return list(values)


def needs_model(circuit: QuantumScript) -> bool:
    """Tell whether only a single run shows the type of a result.

    PennyLane adds up a sum of observables in several ways, some of which return an
    array without dimensions and others a number.
    """
    return any(isinstance(mp.obs, (Sum, SProd)) for mp in circuit.measurements)


def in_type_of(model: Any, result: Any) -> Any:
    """Return a result of a fused run in the type that a single run returns.

    Some devices return Python's numbers, or arrays without dimensions; taken out of
    an array they are NumPy's numbers.

    Args:
        model: Result of a single run of the same structure.
        result: One that `unfuse` returned.
    """
    if isinstance(result, tuple) and isinstance(model, tuple):
        pairs = zip(model, result, strict=True)
        return tuple(in_type_of(part, other) for part, other in pairs)
    if type(model) is float:
        return float(result)
    is_array = type(model) is np.ndarray and model.ndim == 0
    return np.asarray(result) if is_array else result

"""Circuits as canonical bytes.

Gates that their class, wires and real parameters determine, most of most circuits,
take a quick road: a remembered token each, and the parameters of all of them
together. Which road a gate takes depends on its content only, so equal circuits
have equal bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, Final

import numpy as np
import pennylane as qml
import scipy.sparse as sp
from pennylane.measurements import ExpectationMP, Shots, VarianceMP
from pennylane.wires import Wires

from qelectron_core.errors import FormatError
from qelectron_core.formats.parts import (
    MEASURES,
    PARTS,
    Conditional,
    MeasurementValue,
    Numbering,
    is_own,
    name_of,
    take_apart,
)
from qelectron_core.formats.tokens import Node, as_float, doubles, pack, token
from qelectron_core.formats.writing import (
    CONTROLLED,
    DOUBLES,
    labels_of,
    write_shots,
)

#: Per plain operator, whether it is controlled, and whether it has parameters.
_PLAIN: Final = {
    kind: (is_controlled, kind.num_params > 0)
    for kind, is_controlled in CONTROLLED.items()
}
_QUICK_MEASUREMENTS: Final = frozenset({ExpectationMP, VarianceMP})
_QUICK_OBSERVABLES: Final = frozenset(
    {qml.PauliX, qml.PauliY, qml.PauliZ, qml.Hadamard}
)


def circuit_bytes(circuit: Any) -> bytes:
    """Return the operations and measurements of a circuit as canonical bytes.

    Raises:
        FormatError: If one cannot be compared faithfully; names it.
    """
    describer = _Describer()
    operations = _quick(circuit.operations) or describer.operations(circuit.operations)
    measurements = b"".join([describer.measurement(mp) for mp in circuit.measurements])
    return operations + pack(b"M", measurements)


def _quick(operations: list[Any]) -> bytes | None:
    """Return the bytes of plain gates with floats; `None` if there are others."""
    tokens: list[bytes] = []
    numbers: list[Any] = []
    for op in operations:
        kind: Any = type(op)
        plain = _PLAIN.get(kind)
        if plain is None:
            return None
        tokens.append(_gate(kind, labels_of(op, controlled=plain[0])))
        if plain[1]:
            numbers += op.data
    return _joined(tokens, numbers) if DOUBLES.issuperset(map(type, numbers)) else None


def _joined(tokens: list[bytes], numbers: list[float]) -> bytes:
    content = doubles(numbers) if numbers else b""
    return pack(b"O", b"".join(tokens)) + pack(b"P", content)


@functools.lru_cache(maxsize=4096)
def _gate(kind: Any, labels: tuple[Hashable, ...]) -> bytes:
    """Return the token of a plain gate without its parameters.

    Labels that Python takes for equal, as 0 and False, have equal tokens, so it
    does not matter which of them was remembered.
    """
    try:
        return token(Node("plain", kind.__name__, *labels), _refuse)
    except FormatError as error:
        raise _without_fingerprint(kind, error) from error


def _without_fingerprint(kind: type, error: FormatError) -> FormatError:
    return FormatError(f"{kind.__name__!r} has no fingerprint: {error}")


def _refuse(value: Any) -> Any:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    message = f"it holds a {kind}, which cannot be compared"
    raise FormatError(f"{message}. Expected numbers, strings, arrays or operators.")


#: Tokens of measurements that are asked for again and again.
_remembered: Final[dict[Any, bytes]] = {}
_MOST_REMEMBERED: Final = 4096


class _Describer:
    """Describes the parts of one circuit, in order."""

    def __init__(self) -> None:
        self._numbering = Numbering()
        self._kinds: tuple[tuple[Any, Callable[[Any], Node]], ...] = (
            (PARTS, self._part),
            (Wires, lambda wires: Node("wires", *wires)),
            (MeasurementValue, self._value),
            (type, lambda kind: Node("class", _own_name(kind))),
            (Shots, lambda shots: Node("shots", write_shots(shots))),
        )

    def operations(self, operations: list[Any]) -> bytes:
        tokens: list[bytes] = []
        numbers: list[float] = []
        for op in operations:
            kind: Any = type(op)
            floats = _floats(op) if kind in _PLAIN else None
            if floats is None:
                tokens.append(self._token(op))
            else:
                tokens.append(_gate(kind, tuple(op.wires)))
                numbers += floats
        return _joined(tokens, numbers)

    def measurement(self, mp: Any) -> bytes:
        obs = mp.obs
        if type(mp) not in _QUICK_MEASUREMENTS or type(obs) not in _QUICK_OBSERVABLES:
            return self._token(mp)
        key = (type(mp), type(obs), obs.wires.labels)
        found = _remembered.get(key)
        if found is None:
            found = self._token(mp)
            if len(_remembered) >= _MOST_REMEMBERED:
                _remembered.clear()
            _remembered[key] = found
        return found

    def _token(self, part: Any) -> bytes:
        try:
            return token(part, self._extend)
        except FormatError as error:
            raise _without_fingerprint(type(part), error) from error

    def _extend(self, value: Any) -> Any:
        for kinds, describe in self._kinds:
            if isinstance(value, kinds):
                return describe(value)
        return _sparse(value) if sp.issparse(value) else _array(value)

    def _value(self, value: Any) -> Node:
        numbers, table = self._numbering.tabulate(value)
        return Node("value", numbers, _typed(table))

    def _part(self, part: Any) -> Node:
        kind = type(part)
        if kind in _PLAIN:
            return Node("gate", kind.__name__, tuple(part.wires), *part.data)
        if isinstance(part, MEASURES):
            options = {**part.hyperparameters, "meas_uid": self._numbering.add(part)}
            return Node("measure", _own_name(kind), part.wires, options)
        if isinstance(part, Conditional):
            settings = part.hyperparameters
            return Node("if", settings["meas_val"], settings["base"])
        leaves, metadata = take_apart(part)
        return Node("part", _own_name(kind), leaves, metadata)


def _own_name(kind: type) -> str:
    if not is_own(kind):
        message = f"operator {kind.__qualname__!r} is not PennyLane's own"
        raise FormatError(f"{message}, so it is not known when its code changes.")
    return name_of(kind)


def _floats(op: Any) -> list[float] | None:
    """Return the parameters of a plain gate, or `None` if they are no real numbers."""
    found = [as_float(_scalar(value)) for value in op.data]
    return None if None in found else found  # type: ignore[return-value]


def _scalar(value: Any) -> Any:
    if isinstance(value, (int, float, complex, np.number, np.ndarray)):
        return value
    return _array(value)


def _typed(table: list[Any] | None) -> Any:
    """Tell False from 0, as the keys of counts do."""
    return table and [(type(value).__name__, value) for value in table]


def _sparse(value: Any) -> Node:
    matrix = value.tocsr().copy()
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return Node("sparse", matrix.shape, matrix.data, matrix.indices, matrix.indptr)


def _array(value: Any) -> Any:
    """Return the array or number that a tensor of any interface holds."""
    if qml.math.get_interface(value) not in {"autograd", "torch", "jax", "tensorflow"}:
        return _refuse(value)
    try:
        found = np.array(qml.math.to_numpy(value))
    except Exception as error:  # a tracer has no value
        kind = type(value).__name__
        raise FormatError(f"it holds a {kind} without a value.") from error
    return found if found.dtype.kind in "biufc" else _refuse(value)

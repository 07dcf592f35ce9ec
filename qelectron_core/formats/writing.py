"""Circuits as JSON's own types."""

from __future__ import annotations

import functools
import json
import math
import weakref
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pennylane as qml
import scipy.sparse as sp
from pennylane.measurements import Shots
from pennylane.ops.op_math import Controlled
from pennylane.wires import Wires

from qelectron_core.errors import FormatError
from qelectron_core.formats import plain
from qelectron_core.formats.parts import (
    MEASURES,
    PARTS,
    Conditional,
    MeasurementValue,
    Numbering,
    name_of,
    take_apart,
)
from qelectron_core.structure import PLAIN_OPERATORS

#: Sparse matrices that can be written, and the functions that read them.
SPARSE: Final = {
    "csr_matrix": sp.csr_matrix,
    "csr_array": sp.csr_array,
    "csc_matrix": sp.csc_matrix,
    "csc_array": sp.csc_array,
}


#: Per plain operator, whether it is controlled.
CONTROLLED: Final = {kind: issubclass(kind, Controlled) for kind in PLAIN_OPERATORS}
DOUBLES: Final = frozenset({float, np.float64})
_BARE_LABELS: Final = frozenset({int, str})


def labels_of(op: Any, *, controlled: bool) -> tuple[Any, ...]:
    """Return the wire labels of an operator, quickly."""
    if controlled:  # whose `wires` are put together at every call
        labels: tuple[Any, ...] = op.control_wires.labels + op.target_wires.labels
        return labels
    found: tuple[Any, ...] = op.wires.labels
    return found


def write_circuit(circuit: Any, most_bytes: float = math.inf) -> str:
    """Return a circuit as the inside of a JSON object.

    Raises:
        FormatError: Also if the arrays of its parameters take more than `most_bytes`.
    """
    writer = _CircuitWriter(most_bytes)
    operations = [
        _shared.get(op) or _quick(op) or _json(writer.top(op))
        for op in circuit.operations
    ]
    measurements = [
        _shared.get(mp) or _noted(mp, _json(writer.top(mp)))
        for mp in circuit.measurements
    ]
    rest = {
        "shots": write_shots(circuit.shots),
        "trainable": list(map(int, circuit.trainable_params)),
    }
    return (
        f'"operations":[{",".join(operations)}],'
        f'"measurements":[{",".join(measurements)}],{_json(rest)[1:-1]}'
    )


class _Shared:
    """Texts of operators and measurements that many circuits have in common.

    Known by the object itself, which is written a second time while it lives.
    """

    def __init__(self) -> None:
        self._texts: dict[int, tuple[Any, str]] = {}
        self._seen: set[int] = set()

    def get(self, part: Any) -> str | None:
        """Return the text of an object, if it is known."""
        found = self._texts.get(id(part))
        return found[1] if found is not None and found[0]() is part else None

    def note(self, part: Any, text: str) -> None:
        """Take the text of an object that nothing changes."""
        number = id(part)
        if number not in self._seen:
            self._seen.add(number)
            if len(self._seen) > MOST_SEEN:
                self._seen.clear()
            return
        if len(self._texts) > MOST_SEEN:
            self._texts.clear()
        self._texts[number] = (weakref.ref(part), text)


#: Objects that are remembered before all of them are forgotten.
MOST_SEEN: Final = 4096
_shared: Final = _Shared()


def _noted(part: Any, text: str) -> str:
    """Note the text of a measurement, unless it has numbers that may change."""
    if part.mv is None and not getattr(part.obs, "data", ()):
        _shared.note(part, text)
    return text


def _json(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def _quick(op: Any) -> str | None:
    """Write a plain gate with plain labels and finite doubles; `None` for others.

    As the slow way does: most gates are such, and there are many.
    """
    kind: Any = type(op)
    controlled = CONTROLLED.get(kind)
    if controlled is None:
        return None
    beginning = _beginning(kind, *labels_of(op, controlled=controlled))
    try:
        numbers = ",".join(map(float.__repr__, op.data))
    except TypeError:  # of what is no double
        return None
    if beginning is None or "n" in numbers:  # nan, inf
        return None
    text = f"{beginning}{numbers}]]"
    if not numbers:
        _shared.note(op, text)
    return text


@functools.lru_cache(maxsize=4096, typed=True)  # or False could stand for 0
def _beginning(kind: Any, *labels: Any) -> str | None:
    if not _BARE_LABELS.issuperset(map(type, labels)):
        return None
    return f"{_json([kind.__name__, list(labels)])[:-1]},["


def write_shots(shots: Any) -> Any:
    """Return shots as `None`, a number, or pairs of number and repetitions."""
    if not shots.has_partitioned_shots:
        return shots.total_shots
    return [[int(part.shots), int(part.copies)] for part in shots.shot_vector]


class _CircuitWriter:
    """Writes the parts of one circuit, in order."""

    def __init__(self, most_bytes: float) -> None:
        self._room = most_bytes
        self._numbering = Numbering()
        self._kinds: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
            (Wires, self._wires),
            (PARTS, lambda part: {"part": self._part(part)}),
            (MeasurementValue, self._value),
            (type, self._class),
            (Shots, lambda shots: {"shots": write_shots(shots)}),
            (qml.numpy.tensor, self._tensor),
        )

    def top(self, part: Any) -> Any:
        """Write an operation or a measurement of the circuit."""
        values = getattr(part, "data", ())
        self._room -= sum(getattr(value, "nbytes", 8) for value in values)
        if self._room < 0:
            raise FormatError("the circuit is too large: its parameters are arrays.")
        try:
            return self._part(part)
        except FormatError as error:
            name = type(part).__name__
            raise FormatError(f"{name!r} cannot be written: {error}") from error

    def _part(self, part: Any) -> Any:
        if type(part) in PLAIN_OPERATORS:
            return self._gate(part)
        if isinstance(part, MEASURES):
            return self._measure(part)
        if isinstance(part, Conditional):
            value, base = part.hyperparameters["meas_val"], part.hyperparameters["base"]
            return {"if": self._node(value), "then": self._node(base)}
        name = name_of(type(part))
        leaves, metadata = take_apart(part)
        written = [self._node(one) for one in leaves]
        return {"type": name, "leaves": written, "metadata": self._node(metadata)}

    def _gate(self, op: Any) -> list[Any]:
        kind: Any = type(op)
        labels = labels_of(op, controlled=CONTROLLED[kind])
        if _BARE_LABELS.issuperset(map(type, labels)):
            wires = list(labels)
        else:
            wires = [self._node(label) for label in labels]
        return [kind.__name__, wires, [self._number(value) for value in op.data]]

    def _number(self, value: Any) -> Any:
        """Write a parameter; of doubles, only the number."""
        if type(value) in DOUBLES and math.isfinite(value):
            return float(value)
        return self._node(value)

    def _measure(self, op: Any) -> dict[str, Any]:
        options = {k: v for k, v in op.hyperparameters.items() if k != "meas_uid"}
        return {
            "measure": self._numbering.add(op),
            "type": name_of(type(op)),
            "wires": self._node(op.wires),
            "options": self._node(options),
        }

    def _node(self, value: Any) -> Any:
        return plain.write(value, self._extend)

    def _extend(self, value: Any) -> Any:
        for kinds, write in self._kinds:
            if isinstance(value, kinds):
                return write(value)
        return self._sparse(value)

    def _wires(self, wires: Any) -> Any:
        return {"wires": [self._node(label) for label in wires]}

    def _value(self, value: Any) -> Any:
        of, table = self._numbering.tabulate(value)
        return {"value": [of, None if table is None else self._node(table)]}

    def _class(self, kind: type) -> Any:
        return {"class": name_of(kind)}

    def _tensor(self, value: Any) -> Any:
        # Not `unwrap()`, which makes a Python number of a single one.
        array = self._node(np.asarray(value))
        return {"tensor": [bool(value.requires_grad), array]}

    def _sparse(self, value: Any) -> Any:
        name = type(value).__name__
        if SPARSE.get(name) is not type(value):
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            raise FormatError(
                f"it holds a {kind}, which is neither number nor operator."
            )
        arrays = (value.data, value.indices, value.indptr)
        shape = [int(length) for length in value.shape]
        return {"sparse": [name, shape, *map(self._node, arrays)]}

"""Circuits from what `writing` made of them, with every check."""

from __future__ import annotations

import uuid
from typing import Any, Final

import numpy as np
import pennylane as qml
from pennylane.measurements import MeasurementProcess, Shots
from pennylane.operation import Operator
from pennylane.tape import QuantumScript
from pennylane.wires import Wires

from qelectron_core.errors import FormatError
from qelectron_core.formats import plain
from qelectron_core.formats.parts import (
    MEASURES,
    MOST_MEASUREMENTS,
    Conditional,
    MeasurementValue,
    put_together,
    type_named,
)
from qelectron_core.formats.writing import SPARSE
from qelectron_core.structure import PLAIN_OPERATORS

_GATES: Final = {kind.__name__: kind for kind in PLAIN_OPERATORS}


def read_circuit(found: dict[str, Any]) -> QuantumScript:
    """Return the circuit that JSON's own types describe."""
    reader = _CircuitReader()
    with qml.QueuingManager.stop_recording():
        circuit = QuantumScript(
            [reader.operation(node) for node in found["operations"]],
            [reader.measurement(node) for node in found["measurements"]],
            shots=read_shots(found["shots"]),
        )
    circuit.trainable_params = _trainable(circuit, found["trainable"])
    return circuit


def _trainable(circuit: QuantumScript, nodes: Any) -> list[int]:
    known = range(len(circuit.get_parameters(trainable_only=False)))
    if not all(_integer(index) in known for index in nodes):
        raise FormatError(f"the circuit has no parameters {nodes!r}, only {known!r}.")
    return list(nodes)


def read_shots(node: Any) -> Shots:
    """Return the shots that `write_shots` wrote."""
    if isinstance(node, list):
        return Shots([(_integer(shots), _integer(copies)) for shots, copies in node])
    return Shots(node)


class Lookup:
    """What a value of mid-circuit measurements is, for every outcome.

    Stands in the place of the function that calculated it.
    """

    def __init__(self, table: list[Any]) -> None:
        """Keep the table, in the order of the outcomes as binary numbers."""
        self._table = table

    def __call__(self, *outcomes: Any) -> Any:
        """Return the value for one outcome, or for arrays of outcomes."""
        row: Any = 0
        for bit in outcomes:
            row = 2 * row + (bit if qml.math.ndim(bit) else int(bit))
        if qml.math.ndim(row):
            return np.asarray(self._table)[np.asarray(row).astype(int)]
        return self._table[row]


class _CircuitReader:
    """Reads the parts of one circuit, in order."""

    def __init__(self) -> None:
        self._measures: dict[int, Any] = {}
        self._kinds = {
            "wires": self._wires,
            "part": self._part,
            "value": self._value,
            "class": self._class,
            "shots": read_shots,
            "tensor": self._tensor,
            "sparse": self._sparse,
        }

    def operation(self, node: Any) -> Any:
        return _require(self._part(node), Operator)

    def measurement(self, node: Any) -> Any:
        return _require(self._part(node), MeasurementProcess)

    def _part(self, node: Any) -> Any:
        if isinstance(node, list):
            return self._gate(*node)
        if "if" in node:
            return self._conditional(node["if"], node["then"])
        kind = type_named(node["type"])
        if issubclass(kind, MEASURES):
            return self._measure(kind, node)
        leaves = [self._node(leaf) for leaf in node["leaves"]]
        return put_together(kind, leaves, self._node(node["metadata"]))

    def _gate(self, name: Any, wires: Any, parameters: Any) -> Any:
        kind = _GATES.get(name)
        if kind is None:
            raise FormatError(f"{name!r} is no gate of wires and parameters only.")
        return kind(*map(self._node, parameters), wires=self._wires(wires))

    def _conditional(self, value: Any, base: Any) -> Any:
        condition = _require(self._node(value), MeasurementValue)
        return Conditional(condition, _require(self._node(base), Operator))

    def _measure(self, kind: Any, node: Any) -> Any:
        options = self._node(node["options"])
        made = kind(
            wires=self._node(node["wires"]), meas_uid=str(uuid.uuid4()), **options
        )
        return self._measures.setdefault(_integer(node["measure"]), made)

    def _value(self, content: Any) -> Any:
        numbers, node = content
        table = self._node(node)
        if table is None:
            return MeasurementValue([self._measures[n] for n in numbers])
        if len(numbers) > MOST_MEASUREMENTS or len(table) != 2 ** len(numbers):
            raise FormatError("the table of a mid-circuit measurement has other rows.")
        return MeasurementValue([self._measures[n] for n in numbers], Lookup(table))

    def _node(self, node: Any) -> Any:
        return plain.read(node, self._kinds)

    def _wires(self, content: Any) -> Wires:
        return Wires([self._node(label) for label in content])

    def _class(self, content: Any) -> Any:
        return type_named(content)

    def _tensor(self, content: Any) -> Any:
        requires_grad, node = content
        return qml.numpy.tensor(self._node(node), requires_grad=bool(requires_grad))

    def _sparse(self, content: Any) -> Any:
        name, shape, *nodes = content
        arrays = tuple(_require(self._node(node), np.ndarray) for node in nodes)
        made = SPARSE[name](arrays, shape=tuple(map(_integer, shape)))
        made.check_format(full_check=True)  # else indices may point anywhere
        return made


def _require(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise FormatError(f"{value!r} is in a place for {kind.__name__}.")
    return value


def _integer(node: Any) -> int:
    if type(node) is not int:
        raise FormatError(f"{node!r} is in a place for an integer.")
    return node

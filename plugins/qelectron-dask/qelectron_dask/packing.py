"""Circuits as bytes: those of equal structure as one of them and its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import cloudpickle
import numpy as np

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

#: Fewer circuits than these gain nothing by leaving their structure out.
FEW: Final = 4

#: How the values of one parameter over circuits are taken apart again, by their
#: common type. Other types, such as tensors, travel with their circuits.
_READERS: Final[dict[type, Callable[[Any], list[Any]]]] = {
    float: lambda values: values.tolist(),
    int: list,
    np.float64: list,
    np.ndarray: lambda values: [np.array(value) for value in values],
}


@attrs.frozen(eq=False)
class Family:
    """Circuits of equal structure.

    Attributes:
        model: The first of them.
        places: Their positions among all circuits.
        columns: Per operator with parameters its position, and per parameter the type
            and the values over circuits.
    """

    model: QuantumScript
    places: Sequence[int]
    columns: Sequence[tuple[int, Sequence[tuple[type, Any]]]]

    def circuits(self) -> Iterator[QuantumScript]:
        """Yield the circuits, built anew."""
        from pennylane.tape import QuantumScript

        from qelectron_core.structure import with_parameters

        model, operations = self.model, list(self.model.operations)
        rows = [
            (place, list(zip(*(_read(*c) for c in columns), strict=True)))
            for place, columns in self.columns
        ]
        for number in range(len(self.places)):
            for place, parameters in rows:
                like = model.operations[place]
                operations[place] = with_parameters(like, parameters[number])
            yield QuantumScript(operations, model.measurements, shots=model.shots)


def _read(kind: type, values: Any) -> list[Any]:
    return _READERS[kind](values)


def pack(circuits: Sequence[QuantumScript], *, by_structure: bool = True) -> bytes:
    """Write circuits down.

    Args:
        circuits: The circuits.
        by_structure: Whether what circuits have in common is written once. What is
            no part of their structure, such as which parameters are trainable, is
            that of one of them then.
    """
    families = list(_families(circuits)) if by_structure else []
    covered = {place for family in families for place in family.places}
    rest = {n: one for n, one in enumerate(circuits) if n not in covered}
    return cloudpickle.dumps((families, rest), protocol=5)  # type: ignore[no-any-return]


def unpack(content: bytes) -> list[QuantumScript]:
    """Return the circuits that `pack` wrote, in their order."""
    from pennylane.queuing import QueuingManager

    families, found = cloudpickle.loads(content)
    with QueuingManager.stop_recording():
        for family in families:
            found.update(zip(family.places, family.circuits(), strict=True))
    return [found[place] for place in range(len(found))]


def _families(circuits: Sequence[QuantumScript]) -> Iterator[Family]:
    from qelectron_core import fusion

    for structure, places in fusion.group(circuits):
        if structure is None or len(places) < FEW:
            continue
        columns = _columns([circuits[place].operations for place in places])
        if columns is not None:
            yield Family(circuits[places[0]], places, columns)


def _columns(
    rows: Sequence[Sequence[Any]],
) -> list[tuple[int, list[tuple[type, Any]]]] | None:
    """Return the parameters over circuits; `None` if their types may not survive."""
    found = []
    for place, first in enumerate(rows[0]):
        if not first.data:
            continue
        datas = [operations[place].data for operations in rows]
        columns = [_column(values) for values in zip(*datas, strict=True)]
        if None in columns:
            return None
        found.append((place, columns))
    return found  # type: ignore[return-value]  # there is no None in it


def _column(values: tuple[Any, ...]) -> tuple[type, Any] | None:
    kind = type(values[0])
    if kind not in _READERS or any(type(value) is not kind for value in values):
        return None
    if kind is int:  # of any size
        return kind, values
    if kind is np.ndarray and len({(v.dtype, v.shape) for v in values}) > 1:
        return None
    return kind, np.array(values)

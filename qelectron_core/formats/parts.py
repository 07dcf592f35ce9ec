"""What operators and measurements consist of, for those who write them down.

PennyLane flattens every operator and measurement into leaves and metadata, and
knows them by name; this module asks it, and no other place here does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pennylane as qml
from pennylane.measurements import MeasurementProcess, SampleMP
from pennylane.operation import Operator
from pennylane.ops import Conditional, MeasurementValue, MidMeasure
from pennylane.ops.mid_measure import PauliMeasure
from pennylane.pytrees import PyTreeStructure, leaf
from pennylane.pytrees.pytrees import get_typename, get_typename_type

from qelectron_core.errors import FormatError

__all__ = ["MEASURES", "PARTS", "Conditional", "MeasurementValue"]

#: What circuits consist of.
PARTS: Final = (Operator, MeasurementProcess)
#: Operators that measure amid a circuit; each has an id of its own.
MEASURES: Final = (MidMeasure, PauliMeasure)
#: Most measurements of which a value may be calculated: its table has 2**10 rows.
MOST_MEASUREMENTS: Final = 10

_PREFIX: Final = "qp."


def name_of(kind: type) -> str:
    """Return the name that tells an operator or a measurement from all others.

    PennyLane's own go by the names of their classes, others with their modules.

    Raises:
        FormatError: If PennyLane does not know it by that name.
    """
    name = kind.__qualname__
    if not _is_known(kind):
        message = f"operator {name!r} cannot be written: PennyLane's registry of types"
        raise FormatError(f"{message} has no class, or another one, by this name.")
    return name if is_own(kind) else f"{kind.__module__}:{name}"


def type_named(name: Any) -> Any:
    """Return the operator or measurement that `name_of` named; import nothing.

    Raises:
        FormatError: If PennyLane knows none by this name.
    """
    module, _, qualname = str(name).rpartition(":")
    try:
        found = get_typename_type(_PREFIX + qualname)
    except ValueError:
        found = None
    if found is None or not _is_part(found) or name_of(found) != name:
        hint = f" Import {module!r} first, which defines it." if module else ""
        raise FormatError(f"{name!r} is no operator that is known here.{hint}")
    return found


def is_own(kind: type) -> bool:
    """Tell whether PennyLane, or a part of it, defines a class."""
    return kind.__module__.partition(".")[0].startswith("pennylane")


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, PARTS)


def _is_known(kind: type) -> bool:
    try:
        return get_typename_type(get_typename(kind)) is kind and _is_part(kind)
    except (TypeError, ValueError):
        return False


def take_apart(part: Any) -> tuple[list[Any], Any]:
    """Return the leaves of an operator or measurement, and its metadata."""
    leaves, structure = qml.pytrees.flatten(part, lambda inner: inner is not part)
    # PennyLane forgets the type of samples, and there is no public way to ask for it.
    dtype = getattr(part, "_dtype", None) if isinstance(part, SampleMP) else None
    if dtype is None:
        return leaves, structure.metadata
    return leaves, (*structure.metadata, ("dtype", np.dtype(dtype).name))


def put_together(kind: type, leaves: Sequence[Any], metadata: Any) -> Any:
    """Return the operator or measurement that was taken apart."""
    structure = PyTreeStructure(kind, metadata, (leaf,) * len(leaves))
    return qml.pytrees.unflatten(list(leaves), structure)


class Numbering:
    """Numbers mid-circuit measurements by appearance, as their ids are random."""

    def __init__(self) -> None:
        """Begin at 0."""
        self._numbers: dict[Any, int] = {}

    def add(self, measure: Any) -> int:
        """Return the number of a measurement that appears in the circuit."""
        return self._numbers.setdefault(_identity(measure), len(self._numbers))

    def tabulate(self, value: Any) -> tuple[list[int], list[Any] | None]:
        """Return on which measurements a value depends, and what it then is.

        PennyLane puts the measurements in the order of their random ids; here they
        are in the order of their numbers.

        Returns:
            The numbers of the measurements; and the value for each outcome of them,
            in the order of the outcomes as binary numbers, or `None` for an outcome
            itself.

        Raises:
            FormatError: If it cannot be tabulated.
        """
        numbers = self._of(value)
        if not value.has_processing:
            return numbers, None
        if len(numbers) > MOST_MEASUREMENTS:
            message = f"a value of {len(numbers)} mid-circuit measurements is too large"
            raise FormatError(f"{message}. Expected at most {MOST_MEASUREMENTS}.")
        order = sorted(range(len(numbers)), key=numbers.__getitem__)
        return sorted(numbers), _table(value.processing_fn, order)

    def _of(self, value: Any) -> list[int]:
        try:
            return [self._numbers[_identity(one)] for one in value.measurements]
        except KeyError as error:
            message = "a value depends on a mid-circuit measurement that the circuit"
            raise FormatError(f"{message} does not make before it.") from error


def _table(function: Callable[..., Any], order: Sequence[int]) -> list[Any]:
    """Return what a function makes of all outcomes, given in another order."""
    places = [order.index(place) for place in range(len(order))]
    outcomes = itertools.product((0, 1), repeat=len(order))
    try:
        return [function(*(bits[place] for place in places)) for bits in outcomes]
    except Exception as error:  # it is the user's function
        message = "the function of a mid-circuit measurement cannot be tabulated"
        raise FormatError(f"{message}: {type(error).__name__}: {error}.") from error


def _identity(measure: Any) -> Any:
    return (type(measure), measure.meas_uid, measure.wires)

"""Finds where a record differs from what it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from qelectron_core.contracts import Value


@attrs.frozen
class Difference:
    """The first place where two values differ.

    Attributes:
        expected: The place, and the value that should be there.
        seen: The value that is there.
    """

    expected: str
    seen: str


def difference(before: Any, after: Any, where: str) -> Difference | None:
    """Return where two values differ, field by field, or `None` if they do not.

    Args:
        before: What it should be.
        after: What it is.
        where: What the values are, for the message.
    """
    if _are_circuits(before, after):
        import pennylane as qml

        same = qml.equal(before, after) and before.shots == after.shots
        return None if same else _differ(where, _drawn(before), _drawn(after))
    if type(before) is type(after) and _is_record(before):
        return _first(
            _in_field(name, getattr(before, name), getattr(after, name), where)
            for name in _names(before)
        )
    if isinstance(before, (tuple, list)) and isinstance(after, (tuple, list)):
        if len(before) != len(after):
            return _differ(f"len({where})", len(before), len(after))
        return _first(
            difference(one, other, f"{where}[{number}]")
            for number, (one, other) in enumerate(zip(before, after, strict=True))
        )
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        before, after = dict(before), dict(after)
    return None if before == after else _differ(where, before, after)


def identical(before: Any, after: Any) -> bool:
    """Return whether two results agree in types, shapes and every bit."""
    import numpy as np

    if type(before) is not type(after):
        return False
    if isinstance(before, (tuple, list)):
        pairs = zip(before, after, strict=False)
        return len(before) == len(after) and all(identical(*pair) for pair in pairs)
    if isinstance(before, dict):
        return identical([*before.items()], [*after.items()])
    if isinstance(before, np.ndarray):
        same_form = (before.dtype, before.shape) == (after.dtype, after.shape)
        return same_form and before.tobytes() == after.tobytes()
    if isinstance(before, (float, complex, np.generic)):
        return np.asarray(before).tobytes() == np.asarray(after).tobytes()
    return bool(before == after)


def _in_field(name: str, before: Any, after: Any, where: str) -> Difference | None:
    if name != "value":
        return difference(before, after, f"{where}.{name}")
    if identical(before, after):
        return None
    return _differ(f"{where}.value", _told(before), _told(after))


def _told(value: Any) -> str:
    return f"{value!r}, {type(value).__name__} {getattr(value, 'dtype', '')}".rstrip()


def _is_record(value: Any) -> bool:
    # Records such as `Execution` are not equal by content; executors are.
    return attrs.has(type(value)) and not isinstance(value, Value)


def _names(value: Any) -> list[str]:
    return [field.name for field in attrs.fields(type(value))]


def _are_circuits(before: Any, after: Any) -> bool:
    return hasattr(before, "measurements") and hasattr(after, "measurements")


def _drawn(circuit: Any) -> str:
    return f"{circuit.operations} {circuit.measurements} {circuit.shots}"


def _differ(where: str, before: Any, after: Any) -> Difference:
    return Difference(f"{where} to be {before!s}", str(after))


def _first(found: Any) -> Difference | None:
    return next((item for item in found if item is not None), None)

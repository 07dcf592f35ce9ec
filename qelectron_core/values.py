"""Copies of results, and their sizes."""

from __future__ import annotations

import copy
from typing import Any, Final

#: Types whose values cannot change, and roughly how many bytes one takes.
_PLAIN: Final[dict[type, int]] = {
    float: 24,
    int: 32,
    complex: 32,
    bool: 28,
    type(None): 16,
}
#: Bytes of an object besides what it holds, and of a reference to what it holds.
_OBJECT_BYTES: Final = 64
_REFERENCE_BYTES: Final = 8


def copy_value(value: Any) -> Any:
    """Return a result that shares nothing with another one that could be changed.

    Args:
        value: An array, a number, a dictionary, or nested tuples of these.

    Example:
        >>> counts = {"00": 3}
        >>> copy_value(counts) == counts, copy_value(counts) is counts
        (True, False)
    """
    kind = type(value)
    if kind in _PLAIN or kind is str:
        return value
    if kind is tuple:
        return tuple([copy_value(part) for part in value])
    if kind is list:
        return [copy_value(part) for part in value]
    if kind is dict:
        return {key: copy_value(part) for key, part in value.items()}
    return _copy_array(value)


def _copy_array(value: Any) -> Any:
    import numpy as np

    if isinstance(value, np.generic) and not isinstance(value, np.void):
        return value
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.copy()
    return copy.deepcopy(value)


def size_of(value: Any) -> int:
    """Return how many bytes a result takes, roughly.

    Args:
        value: An array, a number, a dictionary, or nested tuples of these.

    Example:
        >>> size_of((0.5, 0.5)) < 200
        True
    """
    kind = type(value)
    plain = _PLAIN.get(kind)
    if plain is not None:
        return plain
    if kind is str or kind is bytes:
        return _OBJECT_BYTES + len(value)
    if kind is dict:
        parts = [*value, *value.values()]
    elif kind is tuple or kind is list:
        parts = value
    else:  # arrays and numbers of NumPy, tensors of other libraries
        return _OBJECT_BYTES + int(getattr(value, "nbytes", _OBJECT_BYTES))
    return _OBJECT_BYTES + sum([_REFERENCE_BYTES + size_of(part) for part in parts])

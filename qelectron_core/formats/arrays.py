"""Which arrays can be written down, and how they are read with every check."""

from __future__ import annotations

import math
from typing import Any, Final, Literal

import numpy as np

from qelectron_core.errors import FormatError

_ORDERS: Final[tuple[Literal["<", ">"], ...]] = ("<", ">")
#: Types of numbers, in both byte orders. No objects: reading those executes code.
DTYPES: Final = frozenset(
    np.dtype(code).newbyteorder(order).str
    for code in "?bBhHiIlLqQefdgFDG"
    for order in _ORDERS
)


def read_array(dtype: Any, shape: Any, data: bytes, offset: int = 0) -> Any:
    """Return a copy of an array that lies in raw bytes.

    Args:
        dtype: Type of its numbers, as `numpy.dtype.str` names it.
        shape: Its shape, a list of integers.
        data: The bytes.
        offset: Where in them it begins.

    Raises:
        FormatError: If there is no such type or shape, or too few bytes.
    """
    length = array_bytes(dtype, shape)
    if offset < 0 or offset + length > len(data):
        message = f"an array of shape {shape!r} and type {dtype!r} takes {length} bytes"
        raise FormatError(f"{message}, and there are fewer: the data is damaged.")
    if not length:
        return np.empty(shape, dtype)
    return np.ndarray(tuple(shape), dtype, data, offset).copy()


def array_bytes(dtype: Any, shape: Any) -> int:
    """Return how many bytes an array takes, if there can be such an array.

    Raises:
        FormatError: If there cannot.
    """
    if not (isinstance(dtype, str) and dtype in DTYPES):
        raise FormatError(f"{dtype!r} is no type of numbers. Expected one as '<f8'.")
    if not (isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)):
        raise FormatError(f"{shape!r} is no shape. Expected integers of 0 or more.")
    return math.prod(shape) * np.dtype(dtype).itemsize

"""Values as canonical bytes: equal for equal values, in every process.

A token is a letter, the length of what follows, and that. So tokens can be put
behind each other, and no two sequences of them look alike.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable
from types import NoneType
from typing import Any, Final, TypeAlias

import attrs
import numpy as np

#: Turns what is not plain into something that is, or into a `Node`; raises
#: `FormatError` for what it does not know.
Extend: TypeAlias = Callable[[Any], Any]

_DOUBLE: Final = struct.Struct("<d")
#: Integers up to this size are floats of the same value.
_MOST_EXACT: Final = 2**53
_NUMBERS: Final = (bool, int, float, complex, np.number, np.bool_)


@attrs.frozen(init=False)
class Node:
    """Something that is no plain value, told apart by its name."""

    name: str
    parts: tuple[Any, ...]

    def __init__(self, name: str, *parts: Any) -> None:
        """Name some parts."""
        self.__attrs_init__(name, parts)


def pack(letter: bytes, content: bytes) -> bytes:
    """Return a token."""
    return b"%b%d:%b" % (letter, len(content), content)


def token(value: Any, extend: Extend) -> bytes:
    """Return the token of a value.

    Numbers and arrays of numbers are equal when their values are, whatever their
    types; so are tuples and lists of equal items.

    Args:
        value: The value.
        extend: Called with each part of it that is not plain.
    """
    if isinstance(value, str):
        return pack(b"s", value.encode("utf-8", "surrogatepass"))
    if isinstance(value, _NUMBERS):
        return _number(value)
    kind = type(value)
    writer = _WRITERS.get(kind)
    if writer is not None:
        return writer(value, extend)
    return token(extend(value), extend)


def as_float(value: Any) -> float | None:
    """Return the float of the same value as a scalar, or `None` if there is none."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = np.asarray(value)[()]  # of a tensor, `[()]` is a tensor
    if isinstance(value, (complex, np.complexfloating)):
        return None if value.imag != 0 else as_float(value.real)
    if isinstance(value, (bool, int, np.integer, np.bool_)):
        return float(value) if -_MOST_EXACT <= int(value) <= _MOST_EXACT else None
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return number if number == value or math.isnan(number) else None
    return None


def doubles(numbers: Any) -> bytes:
    """Return floats or complex numbers as bytes; 0.0 is -0.0, and one NaN another."""
    array = np.array(numbers, copy=True) + 0.0
    array[array != array] = np.nan  # noqa: PLR0124  # so are NaNs found
    return array.tobytes()


def _number(value: Any) -> bytes:
    number = as_float(value)
    if number is not None:
        return pack(
            b"f", _DOUBLE.pack(math.nan if math.isnan(number) else number + 0.0)
        )
    if isinstance(value, (complex, np.complexfloating)):
        return pack(b"c", _number(value.real) + _number(value.imag))
    plain = int(value) if isinstance(value, (int, np.integer)) else value
    return pack(b"i", repr(plain).encode())


def _array(value: Any) -> bytes:
    if value.ndim == 0:
        return _number(value[()])
    shape = repr(tuple(map(int, value.shape))).encode()
    exact = _as_doubles(np.asarray(value))
    if exact is None:
        raw = value.astype(value.dtype.newbyteorder("<"))
        return pack(b"r", pack(raw.dtype.str.encode(), shape) + raw.tobytes())
    letter = b"z" if exact.dtype.kind == "c" else b"a"
    return pack(letter, pack(b"s", shape) + doubles(exact))


def _as_doubles(array: Any) -> Any:
    """Return an array of doubles of the same values, or `None` if there is none."""
    if array.dtype.kind == "c":
        if not array.imag.any():
            return _as_doubles(array.real)
        found = array.astype("<c16")
    elif array.dtype.kind in "iu" and array.size:
        small = int(array.min()) >= -_MOST_EXACT and int(array.max()) <= _MOST_EXACT
        return array.astype("<f8") if small else None
    else:
        found = array.astype("<f8")
    return found if np.array_equal(found, array, equal_nan=True) else None


def _sequence(value: Any, extend: Extend) -> bytes:
    if value and _is_numeric(value):
        try:
            return _array(np.array(value))
        except ValueError:  # of uneven lengths, which no array is
            pass
    return pack(b"l", b"".join(token(item, extend) for item in value))


def _is_numeric(value: Any) -> bool:
    """Tell whether nested tuples and lists hold nothing but small numbers.

    Integers that no double holds are left alone: NumPy would round them.
    """
    if isinstance(value, (tuple, list)):
        return bool(value) and all(map(_is_numeric, value))
    return (
        isinstance(value, _NUMBERS)
        and not isinstance(value, np.longdouble)
        and (
            as_float(value) is not None
            or isinstance(value, (complex, np.complexfloating))
        )
    )


def _dict(value: Any, extend: Extend) -> bytes:
    pairs = (token(key, extend) + token(one, extend) for key, one in value.items())
    return pack(b"d", _sorted(pairs))


def _set(value: Any, extend: Extend) -> bytes:
    return pack(b"e", _sorted(token(item, extend) for item in value))


def _sorted(tokens: Iterable[bytes]) -> bytes:
    return b"".join(sorted(tokens))


def _node(value: Any, extend: Extend) -> bytes:
    parts = b"".join([token(part, extend) for part in value.parts])
    return pack(b"N", pack(b"s", value.name.encode()) + parts)


_WRITERS: Final[dict[type, Callable[[Any, Extend], bytes]]] = {
    NoneType: lambda _, __: b"n0:",
    bytes: lambda value, _: pack(b"b", value),
    tuple: _sequence,
    list: _sequence,
    dict: _dict,
    set: _set,
    frozenset: _set,
    Node: _node,
    np.ndarray: lambda value, extend: (
        _array(value) if value.dtype.kind in "biufc" else token(extend(value), extend)
    ),
}

"""Plain values as readable JSON, and back, types included.

Numbers, strings, booleans and `null` stand for themselves, and a JSON list is a
tuple. Everything else is an object with one key, which names its kind.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, Final, TypeAlias

import numpy as np

from qelectron_core.errors import FormatError
from qelectron_core.formats.arrays import DTYPES, read_array

#: Writes what is not plain; raises `FormatError` for what it does not know.
Extend: TypeAlias = Callable[[Any], Any]
#: Per kind of object, how to read what the key holds.
Kinds: TypeAlias = Mapping[str, Callable[[Any], Any]]

_BARE: Final = frozenset({NoneType, bool, int, str})
#: Arrays of floats up to this size are written as numbers that people can read.
_READABLE_SIZE: Final = 64


def write(value: Any, extend: Extend) -> Any:
    """Return a value as JSON's own types.

    Args:
        value: The value.
        extend: Called with each part of it that is not plain.
    """
    kind = type(value)
    if kind in _BARE:
        return value
    if isinstance(value, (np.number, np.bool_)):
        return _write_array(value, extend)
    writer = _WRITERS.get(kind)
    return extend(value) if writer is None else writer(value, extend)


def read(node: Any, kinds: Kinds) -> Any:
    """Return the value that `write` made JSON of.

    Args:
        node: What was read from JSON.
        kinds: How to read kinds of objects that are not plain.

    Raises:
        FormatError: If there is no such kind.
    """
    if type(node) in _BARE or type(node) is float:
        return node
    if type(node) is list:
        return tuple([read(item, kinds) for item in node])
    if type(node) is not dict or len(node) != 1:
        raise FormatError(f"{_short(node)} is no value. Expected an object of one key.")
    ((kind, content),) = node.items()
    if kind in kinds:
        return kinds[kind](content)
    if kind in _READERS:
        return _READERS[kind](content, kinds)
    raise FormatError(f"{kind!r} is no kind of value that this release knows.")


def parse(text: str, what: str, version: int) -> dict[str, Any]:
    """Return the JSON object that a text holds.

    Args:
        text: The text.
        what: What it should be, as its key `format` says.
        version: The version of the format that is understood.

    Raises:
        FormatError: If it is no such object.
    """
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError(f"this is no text of a {what}: {error}.") from error
    if not isinstance(found, dict) or found.get("format") != f"{what} {version}":
        message = f"this is no text of a {what}: expected 'format': '{what} {version}'"
        raise FormatError(f"{message}. A newer release may have written it.")
    return found


def _write_items(value: Any, extend: Extend) -> list[Any]:
    return [write(item, extend) for item in value]


def _write_set(value: Any, extend: Extend) -> Any:
    items = _write_items(value, extend)
    return {type(value).__name__: sorted(items, key=json.dumps)}


def _write_dict(value: Any, extend: Extend) -> Any:
    pairs = [[write(key, extend), write(one, extend)] for key, one in value.items()]
    return {"dict": pairs}


def _write_array(value: Any, extend: Extend) -> Any:
    dtype = value.dtype.str
    if dtype not in DTYPES:
        return extend(value)
    kind = "array" if isinstance(value, np.ndarray) else "number"
    return {kind: [dtype, list(value.shape), _numbers(value, dtype)]}


_WRITERS: Final[dict[type, Callable[[Any, Extend], Any]]] = {
    float: lambda value, _: value if math.isfinite(value) else {"float": repr(value)},
    complex: lambda value, _: {"complex": [repr(value.real), repr(value.imag)]},
    bytes: lambda value, _: {"bytes": base64.b64encode(value).decode()},
    tuple: _write_items,
    list: lambda value, extend: {"list": _write_items(value, extend)},
    set: _write_set,
    frozenset: _write_set,
    dict: _write_dict,
    np.ndarray: _write_array,
}


def _numbers(value: Any, dtype: str) -> Any:
    if dtype == "<f8" and value.size <= _READABLE_SIZE and np.isfinite(value).all():
        return value.ravel().tolist()
    return base64.b64encode(value.tobytes()).decode()


def _read_array(content: Any, _: Kinds) -> Any:
    dtype, shape, numbers = content
    if isinstance(numbers, str):
        data = base64.b64decode(numbers, validate=True)
    elif all(type(number) is float for number in numbers):
        data = np.array(numbers, "<f8").tobytes()
    else:
        raise FormatError("the numbers of an array are no floats.")
    found = read_array(dtype, shape, data)
    if found.nbytes != len(data):
        raise FormatError(f"there are more numbers than an array of {shape!r} holds.")
    return found


def _read_complex(content: Any, _: Kinds) -> complex:
    real, imag = content
    return complex(float(real), float(imag))


def _read_items(content: Any, kinds: Kinds) -> list[Any]:
    return [read(item, kinds) for item in content]


def _read_pairs(content: Any, kinds: Kinds) -> dict[Any, Any]:
    return {read(key, kinds): read(value, kinds) for key, value in content}


_READERS: Final[dict[str, Callable[[Any, Kinds], Any]]] = {
    "float": lambda content, _: float(content),
    "complex": _read_complex,
    "bytes": lambda content, _: base64.b64decode(content, validate=True),
    "list": _read_items,
    "set": lambda content, kinds: set(_read_items(content, kinds)),
    "frozenset": lambda content, kinds: frozenset(_read_items(content, kinds)),
    "dict": _read_pairs,
    "array": _read_array,
    "number": lambda content, kinds: _read_array(content, kinds)[()],
}


def _short(node: Any) -> str:
    return repr(node)[:60]

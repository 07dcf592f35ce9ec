"""Results as bytes, and back: bit for bit, types included.

A value is a header, its structure as JSON, and the raw numbers of its arrays one
after the other. In the structure plain numbers, strings, booleans and `null` stand
for themselves; everything else is a list that begins with a letter.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from types import NoneType
from typing import Any, Final, TypeAlias

import numpy as np

from qelectron_core.errors import FormatError
from qelectron_core.formats.arrays import DTYPES, array_bytes, read_array

#: The place of a value in the whole: the place of what holds it, and the key there.
_Place: TypeAlias = "tuple[_Place, Any] | None"

#: "QEV", and the version of the format; then CRC-32 of what follows it, and the
#: length of the structure, both 32 bits.
MAGIC: Final = b"QEV1"
_HEADER: Final = struct.Struct("<4sII")
_LENGTH: Final = struct.Struct("<I")
_CHECKED_FROM: Final = 8
_BARE: Final = frozenset({NoneType, bool, int, float, str})
_encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_decode: Final = json.JSONDecoder().decode
#: What reading damaged bytes may end in.
_DAMAGE: Final = (
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    RecursionError,
    MemoryError,
)


def dump_value(value: Any) -> bytes:
    """Return a circuit's result as bytes.

    Args:
        value: Python's and NumPy's numbers, strings, booleans, `None`, NumPy's
            arrays, PennyLane's tensors, and tuples, lists and dicts of these.

    Raises:
        FormatError: If it holds anything else; says what, and where.

    Example:
        >>> load_value(dump_value((0.5, {"00": 3})))
        (0.5, {'00': 3})
    """
    buffers: list[bytes] = []
    try:
        text = _encode(_Writer(buffers).node(value, None)).encode()
    except (RecursionError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        message = f"a result cannot be written: {error}. Expected finite nesting"
        raise FormatError(f"{message} and integers of moderate length.") from error
    checked = b"".join((_LENGTH.pack(len(text)), text, *buffers))
    return b"".join((MAGIC, _LENGTH.pack(zlib.crc32(checked)), checked))


def load_value(data: bytes) -> Any:
    """Return the result that `dump_value` wrote.

    Raises:
        FormatError: If the bytes are damaged, or of another kind or version.
    """
    end = _check_header(data)
    try:
        reader = _Reader(data, end)
        value = reader.value(_decode(data[_HEADER.size : end].decode()))
    except FormatError:
        raise
    except _DAMAGE as error:
        raise _damaged(f"{type(error).__name__}: {error}") from error
    if reader.position != len(data):
        raise _damaged("bytes are left over")
    return value


def _check_header(data: bytes) -> int:
    """Return where the structure ends."""
    if len(data) < _HEADER.size or data[: len(MAGIC)] != MAGIC:
        message = f"these are no bytes of a result: expected {MAGIC!r} first"
        raise FormatError(f"{message}. A newer release may have written them.")
    _, checksum, length = _HEADER.unpack_from(data)
    end: int = _HEADER.size + length
    if end > len(data) or zlib.crc32(memoryview(data)[_CHECKED_FROM:]) != checksum:
        raise _damaged("the checksum does not fit")
    return end


def _damaged(reason: str) -> FormatError:
    return FormatError(f"the bytes of a result are damaged ({reason}). Run it again.")


class _Writer:
    """Turns a value into its structure, and gathers the numbers of its arrays."""

    def __init__(self, buffers: list[bytes]) -> None:
        self._buffers = buffers
        self._position = 0

    def node(self, value: Any, place: _Place) -> Any:
        kind = type(value)
        if kind in _BARE:
            return value
        write: Any = _WRITERS.get(kind, _Writer.other)
        return write(self, value, place)

    def array(self, value: Any, place: _Place) -> list[Any]:
        return ["a", *self._numbers(value, place)]

    def tuple_(self, value: Any, place: _Place) -> list[Any]:
        return ["t", *[self.node(item, (place, n)) for n, item in enumerate(value)]]

    def list_(self, value: Any, place: _Place) -> list[Any]:
        return ["l", *[self.node(item, (place, n)) for n, item in enumerate(value)]]

    def dict_(self, value: Any, place: _Place) -> list[Any]:
        return ["d", *[self._pair(pair, place) for pair in value.items()]]

    def other(self, value: Any, place: _Place) -> list[Any]:
        if isinstance(value, np.generic):
            return ["n", *self._numbers(value, place)]
        if not _is_tensor(type(value)):
            raise _unwritable(value, place)
        return [
            "g",
            bool(value.requires_grad),
            *self._numbers(np.asarray(value), place),
        ]

    def _pair(self, pair: tuple[Any, Any], place: _Place) -> list[Any]:
        inner = (place, pair[0])
        return [self.node(pair[0], inner), self.node(pair[1], inner)]

    def _numbers(self, array: Any, place: _Place) -> tuple[str, list[int], int]:
        dtype = array.dtype.str
        if dtype not in DTYPES or array.dtype.metadata:
            raise _unwritable(array, place)
        position, data = self._position, array.tobytes()
        self._buffers.append(data)
        self._position += len(data)
        return dtype, list(array.shape), position


_WRITERS: Final[dict[type, Callable[[_Writer, Any, _Place], Any]]] = {
    np.ndarray: _Writer.array,
    tuple: _Writer.tuple_,
    list: _Writer.list_,
    dict: _Writer.dict_,
    complex: lambda _, value, __: ["c", value.real, value.imag],
    np.float64: lambda _, value, __: ["f", float(value)],
    np.int64: lambda _, value, __: ["i", int(value)],
    np.str_: lambda _, value, __: ["s", str(value)],
}


def _unwritable(value: Any, place: _Place) -> FormatError:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, (np.ndarray, np.generic)):
        kind = f"{kind} of {value.dtype}"
    message = (
        f"a result cannot be written: {_path(place)} is a {kind}. Expected numbers"
    )
    return FormatError(f"{message}, strings, NumPy arrays, tuples, lists or dicts.")


def _path(place: _Place) -> str:
    keys: list[str] = []
    while place is not None:
        place, key = place
        keys.append(f"[{key!r}]")
    return "result" + "".join(reversed(keys))


def _is_tensor(kind: type) -> bool:
    # By name, so that PennyLane is imported only where there is a tensor.
    return kind.__name__ == "tensor" and kind.__module__.startswith("pennylane.numpy")


class _Reader:
    """Turns a structure into the value, and takes the arrays one by one.

    Each array must begin where the one before it ends, so that what is read is
    never larger than what was given.
    """

    def __init__(self, data: bytes, start: int) -> None:
        self.position = start
        self._data = data
        self._start = start

    def value(self, node: Any) -> Any:
        if type(node) in _BARE:
            return node
        if type(node) is not list:  # JSON has objects as well
            raise _damaged("a part is of no kind")
        return _READERS[node[0]](self, node[1:])

    def array(self, items: list[Any]) -> Any:
        dtype, shape, offset = items
        length = array_bytes(dtype, shape)
        if type(offset) is not int or self._start + offset != self.position:
            raise _damaged("an array is not in its place")
        found = read_array(dtype, shape, self._data, self.position)
        self.position += length
        return found

    def scalar(self, items: list[Any]) -> Any:
        return self.array(items)[()]

    def tensor(self, items: list[Any]) -> Any:
        from pennylane import numpy as pnp

        requires_grad, *array = items
        if type(requires_grad) is not bool:
            raise _damaged("a tensor is neither trainable nor not")
        return pnp.tensor(self.array(array), requires_grad=requires_grad)

    def dict_(self, items: list[Any]) -> Any:
        return {self.value(key): self.value(value) for key, value in items}

    def list_(self, items: list[Any]) -> Any:
        return [self.value(item) for item in items]

    def tuple_(self, items: list[Any]) -> Any:
        return tuple([self.value(item) for item in items])


def _reader_of(made: Callable[..., Any], kind: type) -> Callable[..., Any]:
    """Return the reader of what is made of items of one type."""

    def read(_: _Reader, items: list[Any]) -> Any:
        for item in items:
            if type(item) is not kind:
                raise _damaged(f"{item!r} is in a place for a {kind.__name__}")
        return made(*items)

    return read


_READERS: Final[dict[str, Callable[[_Reader, list[Any]], Any]]] = {
    "a": _Reader.array,
    "n": _Reader.scalar,
    "g": _Reader.tensor,
    "t": _Reader.tuple_,
    "l": _Reader.list_,
    "d": _Reader.dict_,
    "c": _reader_of(complex, float),
    "f": _reader_of(np.float64, float),
    "i": _reader_of(np.int64, int),
    "s": _reader_of(np.str_, str),
}

"""The arguments of each call of a `map`, taken from what it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

#: The positional arguments of one call.
Row: TypeAlias = tuple[Any, ...]


def rows_of(iterables: tuple[Any, ...]) -> Iterator[Row]:
    """Return the arguments of each call of a `map`, taken as they are asked for.

    Raises:
        TypeError: If there is no iterable.
        ValueError: If iterables differ in length; at once where lengths are known.
    """
    if not iterables:
        message = "map() needs at least one iterable of arguments: circuit.map(xs)."
        raise TypeError(message)
    for item in iterables:
        if not isinstance(item, Iterable) or getattr(item, "ndim", 1) == 0:
            message = (
                "map() takes an iterable per parameter of the circuit, as in "
                f"circuit.map([0.1, 0.2]), not {item!r}."
            )
            raise TypeError(message)
    lengths = [len(item) for item in iterables if hasattr(item, "__len__")]
    if len(set(lengths)) > 1:
        raise ValueError(_uneven("of lengths " + ", ".join(map(str, lengths))))
    return _zipped(iterables)


def length_of(iterables: tuple[Any, ...]) -> int | None:
    """Return how many calls a `map` makes, or `None` if that is not known."""
    return next((len(item) for item in iterables if hasattr(item, "__len__")), None)


def are_quiet(iterables: tuple[Any, ...]) -> bool:
    """Tell whether nothing happens between one item and the next.

    What yields items may change one that it has yielded, or what others read.
    """
    return all(type(item) in _QUIET for item in iterables)


_QUIET: Final = (list, tuple, range, np.ndarray)


def _zipped(iterables: Sequence[Iterable[Any]]) -> Iterator[Row]:
    columns = [iter(item) for item in iterables]
    while True:
        row = [next(column, _END) for column in columns]
        ended = [value is _END for value in row]
        if all(ended):
            return
        if any(ended):
            shorter = ended.index(True) + 1
            raise ValueError(_uneven(f"of which number {shorter} is shorter"))
        yield tuple(row)


_END: Final = object()


def _uneven(what: str) -> str:
    return f"map() takes iterables of equal length, not {what}."

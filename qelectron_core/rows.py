"""The arguments of each call of a `map`, taken from what it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from qelectron_core.tracing.arguments import as_it_is

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
        raise ValueError(_uneven(", ".join(map(str, lengths))))
    # A generator may change an array that it has handed out, and hand it out again.
    kept = [i if hasattr(i, "__len__") else map(as_it_is, i) for i in iterables]
    return _zipped(kept)


def length_of(iterables: tuple[Any, ...]) -> int | None:
    """Return how many calls a `map` makes, or `None` if that is not known."""
    return next((len(item) for item in iterables if hasattr(item, "__len__")), None)


def _zipped(iterables: Sequence[Iterable[Any]]) -> Iterator[Row]:
    rows = zip(*iterables, strict=True)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except ValueError as error:
            if "zip()" not in str(error):
                raise
            raise ValueError(_uneven(str(error))) from error
        yield row


def _uneven(what: str) -> str:
    return f"map() takes iterables of equal length, not of lengths {what}."

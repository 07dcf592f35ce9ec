"""What holds placeholders: how they are found in it, and replaced by results."""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs

from qelectron_dask.workflow.placeholders import (
    OPERATIONS,
    Applied,
    Output,
    Placeholder,
    Term,
    folded,
    term_of,
)

#: Where a term gets the results of electrons from, by their number.
Outputs: TypeAlias = Mapping[int, Any]


def _items(value: Any) -> Iterable[Any]:
    """Return what a container holds; nothing, if it is none."""
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return value
    if isinstance(value, dict):
        return (*value.keys(), *value.values())
    if isinstance(value, slice):
        return value.start, value.stop, value.step
    return ()


def placeholders_in(value: Any) -> Iterator[Placeholder]:
    """Yield the placeholders that a value is, or holds."""
    following, seen = [value], set()
    while following:
        part = following.pop()
        if isinstance(part, Placeholder):
            yield part
        elif id(part) not in seen and (items := _items(part)):
            seen.add(id(part))
            following += items


def nodes_in(value: Any) -> frozenset[int]:
    """Return the electrons that a value, or what it holds, needs."""
    found: set[int] = set()
    made: dict[int, None] = {}

    def note(term: Term, _: Any) -> None:
        if isinstance(term, Output):
            found.add(term.node)

    for placeholder in placeholders_in(value):
        folded(term_of(placeholder), made, note)
    return frozenset(found)


def captured(value: Any) -> Any:
    """Return an argument as it is now: what it holds may change before it is used.

    Lists, tuples, dicts, sets and NumPy's arrays are copied; other objects are not.

    Raises:
        TypeError: If it holds a placeholder where it is not found.
    """
    return mapped(value, lambda placeholder: placeholder, _copied)


def settled(value: Any) -> Any:
    """Return a copy, like `captured`, of what holds no placeholder any more.

    Raises:
        RuntimeError: If it holds one.
    """
    return mapped(value, _refuse_stray, _copied)


def _refuse_stray(placeholder: Placeholder) -> Any:
    message = (
        f"{placeholder!r} came into an electron by a default or by another way that is "
        "not seen. Pass it as an argument, as it is, or in a list, tuple, dict or set."
    )
    raise RuntimeError(message)


def resolved(value: Any, outputs: Outputs) -> Any:
    """Return a value with results in the place of what was not there yet."""
    made: dict[int, Any] = {}

    def make(term: Term, made: dict[int, Any]) -> Any:
        if isinstance(term, Output):
            return outputs[term.node]
        operands = mapped(term.operands, lambda one: made[id(term_of(one))])
        return OPERATIONS[term.operation](*operands)

    return mapped(value, lambda one: folded(term_of(one), made, make))


def mapped(
    value: Any,
    at_placeholder: Callable[[Any], Any],
    at_leaf: Callable[[Any], Any] = lambda leaf: leaf,
) -> Any:
    """Return containers anew, with something else for placeholders and for leaves."""

    def go(part: Any) -> Any:
        return mapped(part, at_placeholder, at_leaf)

    if isinstance(value, Placeholder):
        return at_placeholder(value)
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        return kind(map(go, value))
    if kind is dict:
        return {go(key): go(part) for key, part in value.items()}
    special = _SPECIAL.get(kind)
    if special is not None:
        return special(value, go)
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a named tuple
        return kind(*map(go, value))
    return at_leaf(value)


def _pairs(value: Any, go: Callable[[Any], Any]) -> Iterator[tuple[Any, Any]]:
    return ((go(key), go(part)) for key, part in value.items())


#: Containers that are not made again from what they hold alone.
_SPECIAL: Final[dict[type, Callable[[Any, Callable[[Any], Any]], Any]]] = {
    OrderedDict: lambda value, go: OrderedDict(_pairs(value, go)),
    defaultdict: lambda value, go: defaultdict(
        value.default_factory, _pairs(value, go)
    ),
    deque: lambda value, go: deque(map(go, value), value.maxlen),
    slice: lambda value, go: slice(go(value.start), go(value.stop), go(value.step)),
}


def _copied(leaf: Any) -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(leaf, numpy.ndarray):
        return leaf.copy()
    inside = next(placeholders_in(leaf), None)
    if inside is not None:
        message = (
            f"{inside!r} is in a {type(leaf).__name__}, in which it is not replaced by "
            "its value. Put it into a plain list, tuple, dict or set, and make the "
            f"{type(leaf).__name__} of that in an electron."
        )
        raise TypeError(message)
    return leaf


@attrs.frozen(eq=False)
class _Place:
    """Stands for a term in a list of them."""

    index: int


def reduced(placeholder: Placeholder) -> tuple[Any, tuple[Any]]:
    """Return how a placeholder is pickled where it is known to be made sense of."""
    rows: list[Any] = []

    def add(term: Term, places: dict[int, _Place]) -> _Place:
        # A list of terms, because pickle follows none that is thousands deep.
        rows.append(_row(term, places))
        return _Place(len(rows) - 1)

    folded(term_of(placeholder), {}, add)
    return _from_rows, (rows,)


def _row(term: Term, places: dict[int, _Place]) -> Any:
    if isinstance(term, Output):
        return term
    operands = mapped(term.operands, lambda one: places[id(term_of(one))])
    return term.operation, operands, term.length


def _from_rows(rows: Iterable[Any]) -> Placeholder:
    made: list[Placeholder] = []

    def leaf(value: Any) -> Any:
        return made[value.index] if isinstance(value, _Place) else value

    for row in rows:
        if not isinstance(row, Output):
            operation, operands, length = row
            row = Applied(operation, mapped(operands, leaf, leaf), length)
        made.append(Placeholder(row))
    return made[-1]

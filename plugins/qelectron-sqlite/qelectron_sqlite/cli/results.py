"""Results as text: numbers, abbreviated arrays, and counts as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from qelectron_core.cli.signs import bar
from qelectron_sqlite.cli.texts import safe

if TYPE_CHECKING:
    from rich.console import Console

#: Items of a tuple, a list or a dictionary that are shown.
MOST_ITEMS: Final = 16
#: Numbers of an array that are shown, unless they are cut to the first and last.
MOST_NUMBERS: Final = 32
_DIGITS: Final = 6
#: Depth below which what is nested is shown on one line.
_DEEPEST: Final = 3


def result_lines(console: Console, value: Any, depth: int = 0) -> list[str]:
    """Return the lines that show a result.

    Args:
        console: Where they will be printed.
        value: The result: numbers, arrays, counts, and tuples or lists of these.
        depth: How deep it is nested in what is shown.
    """
    if depth > _DEEPEST:
        return [safe(repr(value))[: console.width]]
    if isinstance(value, Mapping):
        if value and all(_is_count(number) for number in value.values()):
            return _bars(console, value)
        return _items(console, list(value.items()), depth)
    if isinstance(value, (tuple, list)):
        return _items(console, list(enumerate(value)), depth)
    return _number_lines(value)


def _is_count(value: Any) -> bool:
    import numpy as np

    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _bars(console: Console, counts: Mapping[Any, Any]) -> list[str]:
    """Show counts, the most frequent outcome first."""
    ordered = sorted(counts.items(), key=lambda pair: -int(pair[1]))
    shown = [(safe(str(key)), int(number)) for key, number in ordered[:MOST_ITEMS]]
    most = max(1, *(number for _, number in shown)) if shown else 1
    left = max((len(key) for key, _ in shown), default=0)
    right = max((len(f"{number:,}") for _, number in shown), default=0)
    lines = [
        f"{key:>{left}}  {number:>{right},}  {bar(console, number / most)}"
        for key, number in shown
    ]
    return lines + _more(len(ordered) - MOST_ITEMS, "outcomes")


def _items(console: Console, items: Sequence[tuple[Any, Any]], depth: int) -> list[str]:
    """Show items below each other, each with its place or key."""
    lines: list[str] = []
    for key, item in items[:MOST_ITEMS]:
        label = f"{safe(str(key))}: "
        first, *others = result_lines(console, item, depth + 1) or ["nothing"]
        lines += [label + first, *(" " * len(label) + line for line in others)]
    return lines + _more(len(items) - MOST_ITEMS, "items")


def _more(number: int, things: str) -> list[str]:
    return [f"… {number:,} more {things}"] if number > 0 else []


def _number_lines(value: Any) -> list[str]:
    import numpy as np

    if isinstance(value, (bool, int, str)) or not isinstance(
        value, (float, complex, np.ndarray, np.generic)
    ):
        return [safe(str(value))]
    array = np.asarray(value)
    if array.ndim == 0:
        return [_scalar(array[()])]
    text = np.array2string(
        array, precision=_DIGITS, threshold=MOST_NUMBERS, edgeitems=3
    )
    cut = array.size > MOST_NUMBERS
    shape = [f"shape {array.shape}, {array.dtype}"] if cut else []
    return [safe(line) for line in text.splitlines()] + shape


def _scalar(number: Any) -> str:
    if isinstance(number, (float, complex)):
        return f"{number:.{_DIGITS + 2}g}"
    return safe(str(number))

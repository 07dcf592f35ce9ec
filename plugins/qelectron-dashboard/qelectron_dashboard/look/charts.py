"""Small drawings without axes; what they show is said in words as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nicegui import ui

from qelectron_dashboard.look import css

#: Shares of a limit from which on a bar has another colour.
_MUCH: Final = 0.8
_ALL: Final = 1.0
#: How much of its place a column takes, and how low one that counts something may be.
_COLUMN: Final = 0.8
_LOWEST: Final = 6


class Bar:
    """A bar that is filled to a share.

    Args:
        colour: Of what is filled; `None` for one that tells when the bar is nearly
            full, and when it is.
    """

    def __init__(self, colour: str | None = None) -> None:
        self._colour = colour
        with ui.element("div").classes("bar") as self.element:
            self._filled = ui.element("div")
        self.element.props('role="img"')

    def show(self, share: float, said: str) -> None:
        """Fill it.

        Args:
            share: How far, in [0, 1]; what is more is shown as 1.
            said: What it shows, in words.
        """
        percent = 100 * min(_ALL, max(0.0, share))
        colour = self._colour or _warning(share)
        self._filled.style(f"width: {percent:.2f}%; background: {colour}")
        self.element.props["aria-label"] = said


class Columns:
    """Columns as high as numbers are: a histogram, or what happened over time.

    Args:
        colour: Of the columns.
    """

    def __init__(self, colour: str = css.BLUE) -> None:
        self._known: tuple[float, ...] = ()
        with ui.element("svg").classes("columns") as self.element:
            self._path = ui.element("path").props(f'fill="{colour}"')
        self.element.props('role="img" preserveAspectRatio="none"')

    def show(self, numbers: Sequence[float], said: str) -> None:
        """Draw them.

        Args:
            numbers: How high each is, 0 or more.
            said: What is shown, in words.
        """
        self.element.props["aria-label"] = said
        if self._known != tuple(numbers):
            self._known = tuple(numbers)
            self.element.props["viewBox"] = f"0 0 {len(numbers)} 100"
            self._path.props["d"] = outline(numbers)


def _warning(share: float) -> str:
    if share < _MUCH:
        return css.BLUE
    return css.COLOURS["running" if share < _ALL else "failed"]


def outline(numbers: Sequence[float]) -> str:
    """Return columns as the outline of an SVG path, in a field 100 high."""
    most = max(numbers, default=0) or 1
    return " ".join(
        f"M{place + (1 - _COLUMN) / 2:.2f} 100v{-_height(number / most):.2f}"
        f"h{_COLUMN}V100z"
        for place, number in enumerate(numbers)
        if number > 0
    )


def _height(share: float) -> float:
    """Return how high a column is: what is there is seen, however little it is."""
    return max(_LOWEST, 100 * share)

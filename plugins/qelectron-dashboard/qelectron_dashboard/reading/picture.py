"""Where the electrons of a dispatch are drawn, and the lines between them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Final

import attrs

#: Electrons that are drawn at most, and lines between them.
MOST_DRAWN: Final = 1000
MOST_LINES_DRAWN: Final = 5000
#: Electrons beside each other, before those of equal depth go on below.
MOST_BESIDE: Final = 10
#: Sizes in pixels: of an electron, and of what is between them.
WIDE: Final = 150
HIGH: Final = 34
_BESIDE: Final = 14
_BELOW: Final = 10
_BETWEEN_LAYERS: Final = 46


@attrs.frozen
class Electron:
    """One electron, as it is shown.

    Attributes:
        number: Its place in the order of the lattice.
        name: Its name, of one line.
        state: What became of it.
        parents: Numbers of the electrons that it waits for.
    """

    number: int
    name: str
    state: str
    parents: tuple[int, ...]


@attrs.frozen
class Picture:
    """Where everything is drawn, in pixels.

    Attributes:
        places: Per number of an electron, left and top of it.
        width: Width of all.
        height: Height of all.
        pairs: From which electron to which a line is drawn.
        left_out: Electrons that are not drawn, because there are so many.
    """

    places: Mapping[int, tuple[int, int]]
    width: int
    height: int
    pairs: tuple[tuple[int, int], ...]
    left_out: int

    def lines(self, of: int | None = None) -> str:
        """Return lines to electrons from those that they wait for, as an SVG path.

        Args:
            of: The electron whose lines are wanted, instead of all.
        """
        return " ".join(
            _line(self.places[above], self.places[below])
            for above, below in self.pairs
            if of is None or of in (above, below)
        )


def drawn(electrons: tuple[Electron, ...]) -> Picture:
    """Return where electrons are drawn: below those that they wait for.

    Those of equal depth that are many are drawn in several lines.
    """
    some = tuple(
        attrs.evolve(one, parents=tuple(p for p in one.parents if p < MOST_DRAWN))
        for one in electrons[:MOST_DRAWN]
    )
    pairs = ((p, one.number) for one in some for p in one.parents)
    layers = _layers(some)
    beside = min(MOST_BESIDE, max(map(len, layers), default=1))
    width = beside * (WIDE + _BESIDE) - _BESIDE
    places: dict[int, tuple[int, int]] = {}
    top = 0
    for layer in layers:
        for begin in range(0, len(layer), beside):
            line = layer[begin : begin + beside]
            left = (width - len(line) * (WIDE + _BESIDE) + _BESIDE) // 2
            for number in line:
                places[number] = left, top
                left += WIDE + _BESIDE
            top += HIGH + _BELOW
        top += _BETWEEN_LAYERS - _BELOW
    return Picture(
        places=places,
        width=width,
        height=max(HIGH, top - _BETWEEN_LAYERS),
        pairs=tuple(itertools.islice(pairs, MOST_LINES_DRAWN)),
        left_out=len(electrons) - len(some),
    )


def _layers(electrons: tuple[Electron, ...]) -> list[list[int]]:
    """Return the electrons of each depth, in the order of those they wait for."""
    from qelectron_dask.workflow.drawing import layout
    from qelectron_dask.workflow.states import ElectronRun

    runs = tuple(ElectronRun(e.number, e.name, parents=e.parents) for e in electrons)
    layers: dict[float, list[tuple[float, int]]] = {}
    for number, (place, depth) in layout(runs).items():
        layers.setdefault(depth, []).append((place, number))
    return [[number for _, number in sorted(layers[depth])] for depth in sorted(layers)]


def _line(above: tuple[int, int], below: tuple[int, int]) -> str:
    x0, y0 = above[0] + WIDE // 2, above[1] + HIGH
    x1, y1 = below[0] + WIDE // 2, below[1]
    bend = max(16, (y1 - y0) // 2)
    return f"M{x0} {y0}C{x0} {y0 + bend} {x1} {y1 - bend} {x1} {y1}"

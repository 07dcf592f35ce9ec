"""What depends on what: boxes in layers, with lines between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import attrs
from nicegui import ui

from qelectron_dashboard.look import css

#: The style of it; sizes come with each picture.
RULES: Final = """
.graph { overflow: auto; max-height: 68vh; width: 100%; min-width: 0; padding: 4px; }
.graph > div { position: relative; margin: 0 auto; }
.graph svg { position: absolute; inset: 0; }
.graph path { fill: none; stroke: var(--quiet); stroke-width: 1.3; }
.graph path + path { stroke: #0072B2; stroke-width: 2.5; }
.box { position: absolute; padding: 0 .5rem; text-align: left; color: inherit;
  font: inherit; font-size: .82rem; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; cursor: pointer; border-radius: 6px;
  border: 1px solid var(--line); border-left: 5px solid var(--state);
  background: color-mix(in srgb, var(--state) 14%, var(--panel)); }
.box:hover { border-color: var(--state); }
.box.chosen { outline: 2px solid #0072B2; outline-offset: 1px; }
"""
#: Lines above which they are drawn the fainter the more there are, and how faint.
_MANY_LINES: Final = 60
_FAINTEST: Final = 0.12
_PLAIN: Final = 0.6


@attrs.frozen
class Box:
    """One box.

    Attributes:
        name: What it says, behind the sign of its state.
        state: Its state.
        place: Left and top of it, in pixels.
    """

    name: str
    state: str
    place: tuple[int, int]


class _Box(ui.label):
    """A box that can be clicked and has the focus in turn."""

    def __init__(self, box: Box, size: tuple[int, int]) -> None:
        super().__init__()
        self.tag = "button"
        (left, top), (width, height) = box.place, size
        self.classes("box")
        self.style(f"left:{left}px;top:{top}px;width:{width}px;height:{height}px")
        self.props("type=button")
        self.show(box)

    def show(self, box: Box) -> None:
        """Show what has changed of it."""
        self.text = f"{css.SIGNS.get(box.state, '·')} {box.name}"
        self.style(f"--state: {css.COLOURS.get(box.state, css.QUIET)}")
        # Not as a text of properties, out of which a name could break.
        self.props["title"] = f"{box.name}: {box.state}"
        self.props["aria-label"] = f"{box.name}, {box.state}"


class Graph:
    """Boxes that can be chosen, and are told anew as often as one likes.

    Args:
        size: Width and height of a box, in pixels.
        chooses: Is told the number of a box that is clicked.
    """

    def __init__(self, size: tuple[int, int], chooses: Callable[[int], object]) -> None:
        self._size = size
        self._chooses = chooses
        self._boxes: list[Box] = []
        self._made: list[_Box] = []
        self._chosen: int | None = None
        self.element = ui.element("div").classes("graph")
        ui.add_css(RULES)

    def draw(self, boxes: Sequence[Box], lines: str, size: tuple[int, int]) -> None:
        """Draw it.

        Args:
            boxes: The boxes, each known by its place in this list.
            lines: The lines between them, an SVG path.
            size: Width and height of the whole, in pixels.
        """
        width, height = size
        self._boxes = [*boxes]
        self.element.clear()
        with self.element, ui.element("div") as ground:
            ground.style(f"width:{width}px;height:{height}px")
            with ui.element("svg").props(f"width={width} height={height}") as drawing:
                self._lines = ui.element("path")
                self._lines.props["d"] = lines
                self._lines.style(f"stroke-opacity: {_opacity(lines.count('M')):.2f}")
                self._chosen_lines = ui.element("path")
            drawing.props("aria-hidden=true")
            self._made = [_Box(box, self._size) for box in boxes]
        for number, made in enumerate(self._made):
            made.on("click", partial(self._chooses, number), [])

    def show(self, boxes: Sequence[Box]) -> None:
        """Show what has become of the boxes, which are where they were."""
        for place, (made, old, new) in enumerate(
            zip(self._made, self._boxes, boxes, strict=False)
        ):
            if old != new:
                made.show(new)
                self._boxes[place] = new

    def choose(self, number: int | None, lines: str = "") -> None:
        """Mark a box and its lines, and no other one."""
        self._chosen_lines.props["d"] = lines
        for one, other in ((self._chosen, False), (number, True)):
            if one is not None and one < len(self._made):
                self._made[one].classes(
                    add="chosen" if other else None, remove=None if other else "chosen"
                )
                self._made[one].props["aria-pressed"] = "true" if other else "false"
        self._chosen = number


def _opacity(lines: int) -> float:
    return max(_FAINTEST, _PLAIN * min(1.0, _MANY_LINES / max(1, lines)))

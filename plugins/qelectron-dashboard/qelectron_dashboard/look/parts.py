"""Small parts that several pages are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from nicegui import ui

from qelectron_dashboard.look import css


def state(name: str) -> ui.element:
    """Show a state by its colour, its sign and its name."""
    with ui.element("span").classes("state") as made:
        sign = ui.element("i").style(f"color: {css.text_colour(name)}")
        with sign.props("aria-hidden=true"):
            ui.label(css.SIGNS.get(name, "·"))
        ui.label(name)
    return made


def empty(what: str, then: str, command: str = "") -> None:
    """Say that there is nothing yet, and what would make it come.

    Args:
        what: What there is not.
        then: What to do.
        command: What to type for it, if anything.
    """
    with ui.element("div").classes("panel empty"):
        ui.label(what).classes("subtitle")
        ui.label(then).classes("quiet")
        if command:
            ui.label(command).classes("mono q-mt-sm")


def facts(pairs: Mapping[str, str]) -> None:
    """Show what is known, each behind its name; what is empty is left out."""
    with ui.element("div").classes("facts"):
        for name, told in pairs.items():
            if told:
                ui.label(name)
                ui.label(told)


def heading(text: str) -> None:
    """Show the heading of a part of a page."""
    with ui.element("h2").classes("subtitle"):
        ui.label(text)


def title(text: str) -> None:
    """Show the heading of a page."""
    with ui.element("h1").classes("title"):
        ui.label(text)


def tell(what: str, *, good: bool) -> None:
    """Say what came of something that was asked for; it stays until it is read."""
    kind: Literal["positive", "negative"] = "positive" if good else "negative"
    ui.notify(what, type=kind, multi_line=True, close_button="OK", timeout=0)

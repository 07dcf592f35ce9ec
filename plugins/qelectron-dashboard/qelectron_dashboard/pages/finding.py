"""Whether there is what an address names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from nicegui import run, ui

from qelectron_dashboard.look import frame, parts
from qelectron_dashboard.reading import whole
from qelectron_dashboard.site import Site

#: Seconds for which a page waits for what it shows before it is sent without it.
_SOON_S: Final = 1.0
#: Digits of the largest index that an address may name.
_MOST_DIGITS: Final = 9


async def is_known(read: Callable[[], object | None]) -> bool | None:
    """Tell whether there is something to show; `None` if that is not known soon.

    An id that nobody knows is told at once: what takes longer is there, and large.
    """

    def is_there() -> bool:
        try:
            whole.pennylane()
            return read() is not None
        except Exception:
            return True  # there is something to show: why it cannot be read

    looking = asyncio.ensure_future(run.io_bound(is_there))
    done, _ = await asyncio.wait([looking], timeout=_SOON_S)
    return bool(looking.result()) if done else None


def index_of(text: str) -> int:
    """Return the circuit that an address names; the first one if it names none."""
    return number_of(text) or 0


def number_of(text: str) -> int | None:
    """Return the number that an address names, or `None` if it names none."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None


def show_unknown(site: Site) -> None:
    """Show that there is no such call, and where there are others."""
    ui.context.client.status_code = HTTPStatus.NOT_FOUND
    with frame.page(site, "No such call", "/"):
        parts.title("No such call")
        with ui.element("div").classes("panel empty"):
            ui.label("No call is kept here by this id.").classes("subtitle")
            told = "It may be in another store, or so old that it has left the journal."
            ui.label(told).classes("quiet")
            ui.link("See all calls", "/")

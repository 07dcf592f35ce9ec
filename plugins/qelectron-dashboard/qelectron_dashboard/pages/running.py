"""Runs a call again, from a button; tells first what that would do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from nicegui import ui

from qelectron_dashboard.look import asking, parts
from qelectron_dashboard.look.apart import apart
from qelectron_dashboard.reading.again import Offer, Runs, why

T = TypeVar("T")


async def run_again(runs: Runs, call_id: str) -> str | None:
    """Run a call again; ask first if it is remote, has a price, or cannot be run.

    Returns:
        The id of the new call, or `None` if there is none.
    """
    executor = ""
    offer = await _tried(lambda: runs.offer(call_id))
    if isinstance(offer, Exception) or offer.asks or offer.refusal:
        answer = await _Question(runs, call_id, offer).answer()
        if answer is None:
            return None
        executor = answer
    new = await _tried(lambda: runs.begin(call_id, executor))
    if not isinstance(new, Exception):
        return new
    parts.tell(why(new), good=False)
    return None


async def _tried(do: Callable[[], T]) -> T | Exception:
    """Return what was done, or why it cannot be."""
    try:
        return await apart(do)
    except Exception as error:  # of a plugin or an SDK, too
        return error


class _Question:
    """Asks whether, and on which executor, a call is to run."""

    def __init__(self, runs: Runs, call_id: str, offer: Offer | Exception) -> None:
        self._runs = runs
        self._call_id = call_id
        #: The executor whose offer is shown.
        self._shown = ""
        with ui.dialog() as dialog, ui.card().style("width: 40rem; max-width: 95vw"):
            ui.label("Run it again?").classes("subtitle")
            self._told = ui.label().classes("wrap").props("aria-live=polite")
            self._executor = ui.input("Executor", placeholder="as before")
            self._executor.props("outlined dense stack-label debounce=400")
            self._executor.classes("full-width").on_value_change(self._ask)
            with ui.row().classes("full-width justify-end"):
                leave = ui.button("Do not run it", on_click=lambda: dialog.submit(None))
                leave.props("flat no-caps autofocus")
                self._go = ui.button("Run", on_click=self._agree).props("no-caps")
        self._dialog = dialog
        self._show(offer)

    async def answer(self) -> str | None:
        """Return the executor, empty for those of before, or `None` for not at all."""
        asking.drop_once_hidden(self._dialog)
        answer = await self._dialog
        return None if answer is None else str(answer)

    @property
    def _wanted(self) -> str:
        return str(self._executor.value or "").strip()

    async def _ask(self) -> None:
        self._go.disable()
        wanted = self._wanted
        offer = await _tried(lambda: self._runs.offer(self._call_id, wanted))
        if self._dialog.is_deleted:  # with the page
            return
        if wanted == self._wanted:  # else another one is being asked about
            self._shown = wanted
            self._show(offer)

    def _show(self, offer: Offer | Exception) -> None:
        is_possible = not isinstance(offer, Exception) and not offer.refusal
        if isinstance(offer, Exception):
            self._told.text = why(offer)
        else:
            self._told.text = "\n".join(filter(None, [offer.told, offer.refusal]))
        self._go.set_enabled(is_possible)

    def _agree(self) -> None:
        if self._wanted == self._shown:  # nothing is run that was not told
            self._dialog.submit(self._shown)

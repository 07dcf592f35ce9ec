"""The page with which everybody begins: the list of calls."""

from __future__ import annotations

import time
from typing import Any, Final, get_args
from urllib.parse import quote

from nicegui import ui

from qelectron_core.store import RunState
from qelectron_dashboard.look import frame, grid, parts
from qelectron_dashboard.look.live import PATIENCE_S, watch
from qelectron_dashboard.reading import calls
from qelectron_dashboard.site import Site

_SPANS: Final[dict[float | None, str]] = {
    None: "any time",
    3600.0: "the last hour",
    86400.0: "the last day",
    7 * 86400.0: "the last week",
}
_STATES: Final[dict[str | None, str]] = {
    None: "any state",
    **{str(one): str(one) for one in get_args(RunState)},
}
#: How many calls are compared.
_TWO: Final = 2


def register(site: Site) -> None:
    """Make the page known."""

    @ui.page("/", response_timeout=PATIENCE_S)
    async def show(name: str = "", executor: str = "", state: str = "") -> None:
        known = next((one for one in get_args(RunState) if one == state), None)
        wanted = calls.Wanted(name=name, executor=executor, state=known)
        with frame.page(site, "Calls", "/"):
            await _Calls(site, wanted).begin()


class _Calls:
    def __init__(self, site: Site, wanted: calls.Wanted) -> None:
        self._site = site
        self._wanted = wanted
        self._span: float | None = None
        self._selected: list[str] = []
        parts.title("Calls")
        self._filters()
        self._said = ui.label().classes("quiet").props("aria-live=polite")
        self._nothing = ui.element("div").classes("full-width")
        with self._nothing:
            parts.empty(
                "Nothing is kept here yet.",
                "Call a QElectron in any program that uses this store, and it is "
                "listed here at once. To see one now, type",
                "qelectron demo",
            )
        self._nothing.visible = False
        self._grid = grid.Grid(
            [
                grid.column("at", "when", grid.MOMENT, width=150),
                grid.column("name", "circuit", flex=2, minWidth=140),
                grid.column("state", "state", grid.STATE, width=130),
                grid.column("executors", "executors", flex=3, minWidth=160),
                grid.column("circuits", "circuits", grid.NUMBER, width=100),
                grid.column("shots", "shots", grid.NUMBER, width=100),
                grid.column("seconds", "time", grid.SPAN, width=100),
                grid.column("cost_usd", "cost", grid.DOLLARS, width=90),
                grid.column("id", "id", minWidth=120, flex=1),
            ],
            label="Calls",
            opens="/call/",
            selects=self._select,
        )
        self._grid.element.classes("tall")
        with ui.row().classes("items-center"):
            self._more = ui.button("Show older ones", on_click=self._show_more)
            self._more.props("outline no-caps")

    async def begin(self) -> None:
        """Show the calls, and go on showing them."""
        self._watching = await watch(self._read, self._show)

    def _filters(self) -> None:
        with ui.row().classes("full-width items-center"):
            wanted = self._wanted
            search = ui.input(
                value=wanted.name, placeholder="Search names", on_change=self._filter
            )
            search.props(
                'outlined dense clearable debounce=200 aria-label="Search names"'
            )
            search.bind_value_to(self._wanted, "name", forward=lambda text: text or "")
            executor = ui.input(
                value=wanted.executor, placeholder="Executor", on_change=self._filter
            )
            executor.props(
                'outlined dense clearable debounce=200 aria-label="Executor"'
            )
            executor.bind_value_to(
                self._wanted, "executor", forward=lambda text: text or ""
            )
            state = ui.select(_STATES, value=wanted.state, on_change=self._filter)
            state.props('outlined dense aria-label="State"')
            state.bind_value_to(self._wanted, "state")
            span = ui.select(_SPANS, value=None, on_change=self._filter)
            span.props('outlined dense aria-label="Since"').bind_value_to(self, "_span")
            self._compare = ui.button("Compare", on_click=self._go_compare)
            self._compare.props("outline no-caps").tooltip("Select two calls")
            self._compare.disable()

    def _read(self) -> tuple[list[dict[str, Any]], int]:
        if self._span is not None:
            self._wanted.since = time.time() - self._span
        store = self._site.store
        return calls.rows(store, self._wanted), store.usage().calls

    def _show(self, read: tuple[list[dict[str, Any]], int]) -> None:
        rows, total = read
        self._nothing.visible = not total
        self._grid.element.visible = bool(total)
        self._grid.show(rows)
        self._more.visible = len(rows) >= self._wanted.limit
        running = sum(row["state"] == "running" for row in rows)
        told = f"{len(rows):,} of {total:,} calls"
        self._said.text = f"{told}, {running:,} running" if running else told

    async def _filter(self) -> None:
        self._wanted.since = None
        await self._watching.now()

    async def _show_more(self) -> None:
        self._wanted.limit *= 4
        await self._watching.now()

    def _select(self, rows: list[dict[str, Any]]) -> None:
        self._selected = [str(row["id"]) for row in rows]
        self._compare.set_enabled(len(self._selected) == _TWO)

    def _go_compare(self) -> None:
        one, other = (quote(call_id, safe="") for call_id in self._selected)
        ui.navigate.to(f"/compare?one={one}&other={other}")

"""The pages of dispatches: their list, and the graph of one."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from nicegui import events, run, ui

from qelectron_core.errors import QElectronError
from qelectron_dashboard.look import asking, charts, css, frame, graph, grid, parts
from qelectron_dashboard.look.live import soon, watch
from qelectron_dashboard.pages import finding
from qelectron_dashboard.reading import dispatches, picture
from qelectron_dashboard.site import Site
from qelectron_sqlite.cli.texts import count

#: States of electrons, in the order in which they are counted.
_STATES: Final = (
    *("failed", "running", "queued", "waiting"),
    *("completed", "cancelled", "skipped"),
)
#: Dispatches that are listed at first, and how many times as many at the next click.
_LIMIT: Final = 200
_MORE: Final = 4
#: How one goes on with a dispatch that came to no result.
_AGAIN: Final = "ct.redispatch({id!r})()"


def register(site: Site) -> None:
    """Make the pages known."""
    reader = dispatches.Reader(site.store)

    @ui.page("/dispatches")
    def show() -> None:
        with frame.page(site, "Dispatches", "/dispatches"):
            parts.title("Dispatches")
            if _can_read(site):
                soon(_Dispatches(reader).begin)

    @ui.page("/dispatch/{dispatch_id:path}")  # an id may have a slash in it
    def show_one(dispatch_id: str, electron: str = "") -> None:
        with frame.page(site, "Dispatch", "/dispatches"):
            if _can_read(site):
                chosen = finding.number_of(electron)
                soon(_Dispatch(reader, dispatch_id, chosen).begin)


def _can_read(site: Site) -> bool:
    """Tell whether dispatches can be read; if not, say what is missing."""
    if dispatches.is_readable(site.store):
        return True
    parts.empty(
        "Workflows of electrons need qelectron-dask.",
        "With it, what is dispatched is listed here, and its graph is drawn. Type",
        "pip install qelectron-dask",
    )
    return False


def _address(dispatch_id: str) -> str:
    return f"/dispatch/{quote(dispatch_id, safe='', errors='replace')}"


class _Dispatches:
    def __init__(self, reader: dispatches.Reader) -> None:
        self._reader = reader
        self._limit = _LIMIT
        self._said = ui.label().classes("quiet").props("aria-live=polite")
        self._nothing = ui.element("div").classes("full-width")
        with self._nothing:
            parts.empty(
                "Nothing is dispatched yet.",
                "Dispatch a lattice in any program that uses this store, and it is "
                "listed here at once:",
                "ct.dispatch(workflow)(…)",
            )
        self._nothing.visible = False
        self._grid = grid.Grid(
            [
                grid.column("at", "when", grid.MOMENT, width=150),
                grid.column("name", "lattice", flex=2, minWidth=140),
                grid.column("state", "state", grid.STATE, width=130),
                grid.column("ended", "electrons", width=120),
                grid.column("failed", "failed", grid.NUMBER, width=90),
                grid.column("seconds", "time", grid.SPAN, width=110),
                grid.column("process", "process", minWidth=120, flex=1),
                grid.column("id", "id", minWidth=180, flex=1),
            ],
            label="Dispatches",
            opens="/dispatch/",
        )
        self._grid.element.classes("tall")
        self._more = ui.button("Show older ones", on_click=self._show_more)
        self._more.props("outline no-caps")
        self._more.visible = self._grid.element.visible = False

    async def begin(self) -> None:
        """Show the dispatches, and go on showing them."""
        self._watching = await watch(lambda: self._reader.rows(self._limit), self._show)

    def _show(self, rows: list[dict[str, Any]]) -> None:
        self._nothing.visible = not rows
        self._grid.element.visible = bool(rows)
        self._grid.show(rows)
        self._more.visible = len(rows) >= self._limit
        running = sum(row["state"] == "running" for row in rows)
        listed = "1 dispatch" if len(rows) == 1 else f"{len(rows):,} dispatches"
        self._said.text = f"{listed}, {running:,} running" if running else listed

    async def _show_more(self) -> None:
        self._limit *= _MORE
        await self._watching.now()


class _Dispatch:
    def __init__(
        self, reader: dispatches.Reader, dispatch_id: str, chosen: int | None
    ) -> None:
        self._reader = reader
        self._id = dispatch_id
        self._chosen = chosen
        self._shown: dispatches.Shown | None = None
        self._picture: picture.Picture | None = None
        with ui.element("div").classes("full-width") as self._nothing:
            parts.empty(
                "This dispatch is not known here.",
                "Its id may be wrong, its record too old and gone, or in another "
                "store. List those that there are with",
                "qelectron dispatches",
            )
        self._nothing.visible = False
        with ui.element("div").classes("content") as self._content:
            self._head()
            with ui.element("div").classes("beside"):
                self._graph_panel()
                self._details = ui.element("section").classes("panel stack")
                self._details.props('aria-label="The chosen electron"')
            self._table_panel()
        self._content.visible = False
        ui.add_css(
            ".beside { display: grid; gap: 1rem; width: 100%; align-items: start;"
            " grid-template-columns: minmax(0, 1fr) 22rem; }"
            "@media (max-width: 900px) {"
            " .beside { grid-template-columns: minmax(0, 1fr); } }"
        )

    async def begin(self) -> None:
        """Show the dispatch, and go on showing it."""
        self._show_details(None)
        self._watching = await watch(self._read, self._show)

    # --- What it is made of -----------------------------------------------------------

    def _head(self) -> None:
        with ui.row().classes("full-width items-center"):
            with ui.element("h1").classes("title"):
                self._title = ui.label()
            self._state = ui.element("div")
            ui.space()
            self._cancel = ui.button("Cancel", on_click=self._ask_to_cancel)
            self._cancel.props("outline no-caps color=negative")
        with ui.element("section").classes("panel stack"):
            self._progress = charts.Bar(css.BLUE)
            self._counts: dict[str, tuple[ui.element, ui.label]] = {}
            with ui.row().classes("items-center"):
                for state in _STATES:
                    with ui.element("span").classes("state") as said:
                        parts.state(state)
                        self._counts[state] = said, ui.label()
            with ui.element("div").classes("told"):
                self._facts = ui.element("div")
                self._outcome = ui.element("div").classes("stack")

    def _graph_panel(self) -> None:
        with ui.element("section").classes("panel"):
            self._graph = graph.Graph((picture.WIDE, picture.HIGH), self._choose)
            self._graph.element.props('role="group" aria-label="Graph of electrons"')
            self._left_out = ui.label().classes("quiet q-mt-sm")

    def _table_panel(self) -> None:
        parts.heading("Electrons")
        self._grid = grid.Grid(
            [
                grid.column("number", "no.", grid.NUMBER, width=80),
                grid.column("name", "electron", flex=1, minWidth=140),
                grid.column("state", "state", grid.STATE, width=130),
                grid.column("where", "where", flex=1, minWidth=110),
                grid.column("seconds", "time", grid.SPAN, width=110),
                grid.column("attempt", "attempt", grid.NUMBER, width=95),
                grid.column("circuits", "circuits", grid.NUMBER, width=95),
                grid.column("error", "error", flex=2, minWidth=140),
            ],
            label="Electrons",
        )
        self._grid.element.style("height: 24rem")
        self._grid.element.on("cellClicked", self._choose_row, ["data"])

    # --- What changes -----------------------------------------------------------------

    def _read(self) -> dispatches.Shown | bool | None:
        """Return how it stands; nothing if that cannot have changed."""
        known, chosen = self._shown, self._chosen
        if known is not None and known.state != "running":
            same = known.chosen is not None and known.chosen.number == chosen
            if same or chosen not in range(len(known.electrons)):
                return None
        shown = self._reader.shown(self._id, chosen)
        if shown is not None and self._picture is None:
            self._picture = picture.drawn(shown.electrons)
        return shown or False

    def _show(self, shown: dispatches.Shown | bool | None) -> None:
        self._nothing.visible = not shown
        self._content.visible = bool(shown)
        if not isinstance(shown, dispatches.Shown):
            return
        before, self._shown = self._shown, shown
        self._title.text = shown.lattice
        self._cancel.visible = shown.state == "running"
        self._show_counts(shown)
        if self._picture is not None:
            boxes = _boxes(shown, self._picture)
            if before is None:
                self._draw_graph(self._picture, boxes)
            self._graph.show(boxes)
        self._grid.show(shown.rows)
        if before is None or before.state != shown.state:
            _fill(self._state, lambda: parts.state(shown.state))
            _fill(self._facts, lambda: _facts(shown))
        if before is None or _outcome(before) != _outcome(shown):
            _fill(self._outcome, lambda: _show_outcome(shown))
        if shown.chosen is not None or self._chosen is None:
            old = None if before is None else before.chosen
            if before is None or old != shown.chosen:
                self._show_details(shown.chosen)

    def _show_counts(self, shown: dispatches.Shown) -> None:
        counts = shown.counts
        for state, (said, label) in self._counts.items():
            label.text = f"{counts.get(state, 0):,}"
            said.visible = state in counts
        total = len(shown.electrons)
        progress = f"{shown.ended:,} of {count(total, 'electron')} ended"
        self._progress.show(shown.ended / max(1, total), progress)

    def _draw_graph(self, made: picture.Picture, boxes: list[graph.Box]) -> None:
        self._graph.draw(boxes, made.lines(), (made.width, made.height))
        if self._chosen is not None:
            self._mark(self._chosen)
        self._left_out.visible = bool(made.left_out)
        self._left_out.text = (
            f"{count(made.left_out, 'electron')} more are not drawn; the table has all."
        )

    def _show_details(self, details: dispatches.Details | None) -> None:
        _fill(self._details, lambda: _show_electron(details))

    # --- What is clicked --------------------------------------------------------------

    async def _choose_row(self, event: events.GenericEventArguments) -> None:
        await self._choose(int(event.args["data"]["number"]))

    async def _choose(self, number: int) -> None:
        self._chosen = number
        self._mark(number)
        ui.navigate.history.replace(f"{_address(self._id)}?electron={number}")
        await self._watching.now()

    def _mark(self, number: int) -> None:
        if self._picture is not None:
            self._graph.choose(number, self._picture.lines(number))

    async def _ask_to_cancel(self) -> None:
        question = (
            "Cancel this dispatch? Electrons that have not started will not; circuits "
            "that they wait for are cancelled, at vendors, too."
        )
        if not await asking.agreed(question, yes="Cancel it", no="Let it go on"):
            return
        problem = await run.io_bound(_cancelled, self._id)
        if not self._content.is_deleted:  # with the page
            told = problem or "It is being cancelled."
            ui.notify(told, type="negative" if problem else "info")


def _cancelled(dispatch_id: str) -> str:
    """Cancel a dispatch; return why it cannot be, or nothing."""
    try:
        dispatches.cancel(dispatch_id)
    except QElectronError as error:
        return str(error)
    return ""


def _fill(element: ui.element, make: Any) -> None:
    """Make the content of an element anew."""
    element.clear()
    with element:
        make()


def _boxes(shown: dispatches.Shown, made: picture.Picture) -> list[graph.Box]:
    drawn = shown.electrons[: len(made.places)]
    return [graph.Box(one.name, one.state, made.places[one.number]) for one in drawn]


def _facts(shown: dispatches.Shown) -> None:
    parts.facts(dict(shown.facts))
    if shown.before:
        with ui.row().classes("items-center q-mt-xs"):
            ui.label("goes on with").classes("quiet")
            ui.link(shown.before, _address(shown.before))


def _outcome(shown: dispatches.Shown) -> tuple[str, str, str]:
    return shown.state, shown.error, shown.result


def _show_outcome(shown: dispatches.Shown) -> None:
    if shown.error:
        parts.heading("Error")
        ui.label(shown.error).classes("mono wrap")
    if shown.result:
        parts.heading("Result")
        ui.label(shown.result).classes("mono")
    if shown.state in ("failed", "cancelled", "lost"):
        ui.label("To run what has not finished:").classes("quiet")
        ui.label(_AGAIN.format(id=shown.id)).classes("mono")


def _show_electron(details: dispatches.Details | None) -> None:
    if details is None:
        parts.heading("Electron")
        ui.label(
            "Choose one in the graph or in the table: its times, its calls and what "
            "became of it are shown here."
        ).classes("quiet")
        return
    parts.heading(f"{details.number} · {details.name}")
    parts.state(details.state)
    parts.facts(dict(details.facts))
    if details.inner:
        ui.link(f"Its own dispatch: {details.inner}", _address(details.inner))
    if details.error:
        ui.label(details.error).classes("mono wrap").style(
            f"border-left: 3px solid {css.COLOURS['failed']}; padding-left: .5rem"
        )
    if details.traceback:
        with ui.expansion("Traceback").classes("full-width").props("dense"):
            ui.label(details.traceback).classes("mono")
    if details.result:
        ui.label("returned").classes("quiet")
        ui.label(details.result).classes("mono")
    if details.calls:
        ui.label("calls of QElectrons").classes("quiet")
        for call in details.calls:
            with ui.element("div"):
                ui.link(call.id, f"/call/{quote(call.id, safe='', errors='replace')}")
                ui.label(call.told).classes("quiet")

"""The page of executors: what each does, and what was spent of the daily budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nicegui import ui

from qelectron_core.store import keeps_tallies
from qelectron_dashboard.look import charts, css, frame, parts
from qelectron_dashboard.look.live import Watching, soon, watch
from qelectron_dashboard.pages import spend
from qelectron_dashboard.reading import executors
from qelectron_dashboard.site import Site

#: What stands below a histogram of times, and how far to the right: at the place of
#: its bound among those of tallies.
_TICKS: Final = (("1 ms", 1 / 22), ("1 s", 10 / 22), ("1 min", 0.69), ("1 h", 21 / 22))
_RULES: Final = """
.figures { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr));
  gap: .5rem .75rem; }
.figures b { display: block; font-weight: 600; overflow-wrap: anywhere; }
.figures span { color: var(--quiet); font-size: .8rem; }
.ticks { position: relative; height: 1.1rem; color: var(--quiet); font-size: .72rem; }
.ticks > * { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.small { font-size: .85rem; }
"""


def register(site: Site) -> None:
    """Make the page known."""

    @ui.page("/executors")
    def show() -> None:
        with frame.page(site, "Executors", "/executors"):
            ui.add_css(_RULES)
            parts.title("Executors")
            soon(spend.Spend(site.store).begin)
            soon(_Executors(site).begin)


class _Executors:
    def __init__(self, site: Site) -> None:
        self._store = site.store
        self._span = executors.USUAL_SPAN
        self._tiles: dict[str, _Tile] = {}
        self._watching: Watching[list[executors.Tile]] | None = None
        with ui.row().classes("full-width items-center"):
            parts.heading("What they did")
            choice = ui.toggle([*executors.SPANS], value=self._span)
            choice.props('no-caps dense unelevated aria-label="Time looked at"')
            choice.bind_value_to(self, "_span").on_value_change(self._look_again)
            self._said = ui.label().classes("quiet").props("aria-live=polite")
        with ui.element("div").classes("full-width") as self._nothing:
            parts.empty(
                "No circuit ran in this time.",
                "Look at a longer one above, or call a QElectron in any program that "
                "uses this store. To see one now, type",
                "qelectron demo",
            )
        self._nothing.visible = False
        self._place = ui.element("div").classes("tiles")

    async def begin(self) -> None:
        """Show them, and go on showing them."""
        if not keeps_tallies(self._store):
            self._said.text = "This store does not tell what executors did. Upgrade it."
            return
        self._watching = await watch(self._read, self._show)

    def _read(self) -> list[executors.Tile]:
        return executors.tiles(self._store, executors.SPANS[self._span])

    async def _look_again(self) -> None:
        if self._watching is not None:  # else the first look is still to come
            await self._watching.now()

    def _show(self, found: list[executors.Tile]) -> None:
        shown = found[: executors.MOST]
        self._nothing.visible = not found
        left_out = len(found) - len(shown)
        self._said.text = f"{left_out:,} more are not shown" if left_out else ""
        if [one.text for one in shown] != [*self._tiles]:
            self._place_tiles(shown)
        for one in shown:
            self._tiles[one.text].show(one)

    def _place_tiles(self, shown: Sequence[executors.Tile]) -> None:
        """Make tiles for those that are new, and take away those that are gone."""
        known, self._tiles = self._tiles, {}
        for one in shown:
            with self._place:
                old = known.pop(one.text) if one.text in known else _Tile()
            self._tiles[one.text] = old
        for gone in known.values():
            gone.element.delete()
        for index, made in enumerate(self._tiles.values()):
            made.element.move(self._place, index)


class _Tile:
    """The tile of one executor, which changes where it stands."""

    def __init__(self) -> None:
        self._shown: executors.Tile | None = None
        with ui.element("section").classes("panel stack") as self.element:
            with ui.row().classes("full-width items-center no-wrap justify-between"):
                self._name = ui.label().classes("subtitle ellipsis")
                self._state = ui.element("div")
            self._options = ui.label().classes("quiet small wrap")
            with ui.expansion("All options").props("dense") as self._more:
                self._full = ui.label().classes("mono wrap")
            self._more.classes("full-width")
            self._left_out = _quoted("cancelled")
            self._figures: dict[str, ui.label] = {}
            self._numbers = ui.element("div").classes("figures")
            self._throughput = _Drawn()
            self._failures = ui.label().classes("small")
            self._failed = charts.Bar(css.COLOURS["failed"])
            self._error = _quoted("failed")
            self._ran = _Drawn(ticks=True)
            self._waited = _Drawn(ticks=True, colour=css.QUIET)
            self._calls = ui.link("Its calls", "/")

    def show(self, new: executors.Tile) -> None:
        """Show how it stands, if that has changed."""
        old, self._shown = self._shown, new
        if old == new:
            return
        if old is None or old.state != new.state:
            self._state.clear()
            with self._state:
                parts.state(new.state)
        self._name.text = new.name
        self._options.text = new.options
        self._options.visible = bool(new.options)
        self._more.visible = bool(new.full)
        self._full.text = new.full
        self._left_out.text = new.left_out
        self._left_out.visible = bool(new.left_out)
        self._show_figures(new)
        self._throughput.show(new.throughput)
        self._ran.show(new.ran)
        self._waited.show(new.waited)
        self._failures.text = new.failures
        self._failures.visible = bool(new.failures)
        self._failed.element.visible = new.failed > 0
        self._failed.show(new.failed, new.failures)
        self._error.text = new.error
        self._error.visible = bool(new.error)
        self._calls.props["href"] = new.calls

    def _show_figures(self, new: executors.Tile) -> None:
        for name, told in new.figures.items():
            if name not in self._figures:
                with self._numbers, ui.element("div"):
                    with ui.element("b"):
                        self._figures[name] = ui.label()
                    with ui.element("span"):
                        ui.label(name)
            self._figures[name].text = told


def _quoted(state: str) -> ui.label:
    """Return where what a program said is shown, marked with the colour of a state."""
    made = ui.label().classes("small wrap")
    return made.style(
        f"border-left: 3px solid {css.COLOURS[state]}; padding-left: .5rem"
    )


class _Drawn:
    """Columns, and below them what they tell."""

    def __init__(self, *, ticks: bool = False, colour: str = css.BLUE) -> None:
        with ui.element("div").classes("full-width"):
            self._columns = charts.Columns(colour)
            if ticks:
                with ui.element("div").classes("ticks").props("aria-hidden=true"):
                    for text, share in _TICKS:
                        ui.label(text).style(f"left: {share:.1%}")
            self._said = ui.label().classes("quiet small")

    def show(self, counted: executors.Counted) -> None:
        """Show other numbers."""
        self._columns.show(counted.numbers, counted.said)
        self._said.text = counted.said

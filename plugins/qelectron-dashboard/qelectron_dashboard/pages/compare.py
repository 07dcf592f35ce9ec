"""The page that shows two calls beside each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

from nicegui import ui

from qelectron_core.errors import ConfigError
from qelectron_core.store import Run
from qelectron_dashboard.look import frame, grid, outcomes, parts
from qelectron_dashboard.look.live import PATIENCE_S, watch
from qelectron_dashboard.pages import finding
from qelectron_dashboard.reading import call, calls
from qelectron_dashboard.reading.comparison import (
    Compared,
    Comparing,
    Fact,
    Pair,
    Results,
)
from qelectron_dashboard.site import Site
from qelectron_sqlite.cli.texts import safe, short

#: Calls that are offered to be compared with.
_MOST_OFFERED: Final = 200
_SMALL: Final = "p => p.value == null ? '' : p.value.toPrecision(3)"
_SIDES: Final = ("one", "other")
_RULES: Final = """
.facing { display: grid; width: 100%; gap: .35rem 1rem;
  grid-template-columns: 7rem minmax(0, 1fr) minmax(0, 1fr) 7rem; }
.facing > div { display: contents; }
.facing > div > :first-child { color: var(--quiet); }
.facing > div > * { overflow-wrap: anywhere; }
.facing .differs { font-weight: 600; background: rgba(230, 159, 0, .18);
  border-radius: 4px; padding: 0 .35rem; margin: 0 -.35rem; }
.sides { display: grid; gap: 1rem; width: 100%; }
.sides > div { min-width: 0; }
.pairs { height: 20rem; width: 100%; }
@media (min-width: 800px) { .sides { grid-template-columns: 1fr 1fr; } }
@media (max-width: 600px) {
  .facing { grid-template-columns: 1fr; gap: 0; }
  .facing > div { display: block; padding: .35rem 0;
    border-bottom: 1px solid var(--line); }
  .facing .differs { margin: 0; width: fit-content; }
  .facing > div > * { display: block; }
  .facing > div:not(:first-child) > :nth-child(2)::before { content: "one: "; }
  .facing > div:not(:first-child) > :nth-child(3)::before { content: "other: "; }
}
"""


def register(site: Site) -> None:
    """Make the page known."""

    @ui.page("/compare", response_timeout=PATIENCE_S)
    async def show(one: str = "", other: str = "", circuit: str = "") -> None:
        if not other:
            await _show_offers(site, one)
            return
        comparing = Comparing(site.store, one, other, finding.index_of(circuit))
        is_known = await finding.is_known(comparing.read)
        if is_known is False:
            finding.show_unknown(site)
            return
        with frame.page(site, "Two calls", "/"):
            page = _Compare(comparing, one, other)
            if is_known is None:
                await ui.context.client.connected()
            await page.begin()


async def _show_offers(site: Site, one: str) -> None:
    """Show the calls of the same quantum function that a call can be compared with."""
    reading = call.Reading(site.store, one)
    is_known = await finding.is_known(reading.read)
    if is_known is False:
        finding.show_unknown(site)
        return
    with frame.page(site, "Compare", "/"):
        parts.title("Compare with which call?")
        said = ui.label().classes("quiet")
        table = grid.Grid(
            [
                grid.column("at", "when", grid.MOMENT, width=170),
                grid.column("name", "circuit", flex=2, minWidth=140),
                grid.column("state", "state", grid.STATE, width=130),
                grid.column("executors", "executors", flex=3, minWidth=160),
                grid.column("circuits", "circuits", grid.NUMBER, width=100),
                grid.column("shots", "shots", grid.NUMBER, width=100),
                grid.column("seconds", "time", grid.SPAN, width=100),
                grid.column("id", "id", minWidth=120, flex=1),
            ],
            label="Calls to compare with",
            opens=f"/compare?one={quote(one, safe='')}&other=",
        )
        table.element.classes("tall")

        def read() -> tuple[Run, list[dict[str, Any]]]:
            seen = reading.read()
            if seen is None:
                raise ConfigError(f"{safe(one)} is not kept here any more.")
            wanted = calls.Wanted(name=seen.run.call.name, limit=_MOST_OFFERED)
            found = calls.rows(site.store, wanted)
            return seen.run, [row for row in found if row["id"] != one]

        def show(found: tuple[Run, list[dict[str, Any]]]) -> None:
            run, rows = found
            name = short(run.call.name, 80)
            which = "Calls whose name contains" if rows else "No other call is named"
            said.text = f"{which} {name}. Others: select two in the list of calls."
            table.show(rows)

        if is_known is None:
            await ui.context.client.connected()
        await watch(read, show)


class _Compare:
    def __init__(self, comparing: Comparing, one: str, other: str) -> None:
        self._comparing = comparing
        self._ids = one, other
        self._known: dict[str, Any] = {}
        self._is_marked = False
        ui.add_css(_RULES + outcomes.RULES)
        parts.title("Two calls")
        with ui.element("section").classes("panel"):
            self._facts = ui.element("div").classes("facing")
        with ui.element("section").classes("panel stack") as self._listed:
            parts.heading("Circuits")
            self._grid = _grid(self._choose)
        with ui.element("section").classes("panel stack") as self._pair:
            with ui.element("h2").classes("subtitle"):
                self._title = ui.label()
            self._circuits = ui.element("div").classes("sides")
            self._results = ui.element("div").classes("stack full-width")

    async def begin(self) -> None:
        """Show the calls, and go on showing them."""
        self._watching = await watch(self._read, self._show)

    def _read(self) -> Compared:
        found = self._comparing.read()
        if found is None:
            raise ConfigError("One of these calls is not kept here any more.")
        return found

    def _show(self, compared: Compared) -> None:
        if self._is_new("facts", compared.facts):
            self._facts.clear()
            with self._facts:
                self._show_heads()
                for fact in compared.facts:
                    _show_fact(fact)
        self._listed.visible = len(compared.rows) > 1
        if self._listed.visible:
            self._grid.show(compared.rows)
        self._pair.visible = compared.pair is not None
        if compared.pair is not None and self._is_new("pair", compared.pair):
            self._show_pair(compared.pair)

    def _is_new(self, part: str, value: Any) -> bool:
        is_new = part not in self._known or self._known[part] != value
        self._known[part] = value
        return is_new

    def _show_heads(self) -> None:
        with ui.element("div"):
            ui.label("call")
            for side, call_id in zip(_SIDES, self._ids, strict=True):
                link = ui.link(target=f"/call/{quote(call_id, safe='')}")
                with link:
                    ui.label(f"{side}: {short(call_id, 60)}").style("display: inline")
            ui.label()

    def _show_pair(self, pair: Pair) -> None:
        if self._listed.visible and not self._is_marked:
            self._is_marked = True
            self._grid.choose(str(pair.index))
        self._title.text = f"Circuit {pair.index}"
        self._circuits.clear()
        with self._circuits:
            _show_circuits(pair)
        self._results.clear()
        with self._results:
            for results in pair.results:
                _show_results(results)

    async def _choose(self, row_id: str) -> None:
        index = finding.index_of(row_id)
        if index != self._comparing.chosen:
            self._comparing.chosen = index
            one, other = (quote(call_id, safe="") for call_id in self._ids)
            ui.navigate.history.replace(
                f"/compare?one={one}&other={other}&circuit={index}"
            )
            await self._watching.now()


def _show_fact(fact: Fact) -> None:
    with ui.element("div"):
        ui.label(fact.name)
        for told in (fact.one, fact.other):
            shown = ui.label(told or "–")
            if fact.differs:
                shown.classes("differs")
        ui.label(f"≠ {fact.by}" if fact.differs else "")


def _show_circuits(pair: Pair) -> None:
    sides = pair.one, pair.other
    drawings = {side.drawing for side in sides if side is not None}
    is_same = len(drawings) == 1 and None not in sides and "" not in drawings
    for name, side in zip(_SIDES, sides, strict=True):
        with ui.element("div"):
            with ui.element("div").classes("row items-center").style("gap: .75rem"):
                ui.label(name).classes("quiet")
                if side is None:
                    ui.label("has no such circuit")
                    continue
                parts.state(side.state)
                ui.label(side.executor).classes("quiet wrap")
            if is_same and name == _SIDES[1]:
                ui.label("The same drawing.").classes("quiet")
            elif side.drawing:
                ui.label(side.drawing).classes("mono").props("tabindex=0")
            else:
                ui.label(side.remark).classes("quiet wrap")
            for attempt in side.attempts[-1:]:
                if attempt.error:
                    ui.label(attempt.error).classes("wrap mono q-mt-sm")


def _show_results(results: Results) -> None:
    some = results.one or results.other
    if some is not None and some.name:
        ui.label(some.name).classes("quiet mono")
    if results.shares is not None:
        one, other = results.shares
        outcomes.chart({_SIDES[0]: one, _SIDES[1]: other}, "probabilities")
    else:
        with ui.element("div").classes("sides"):
            for name, side in zip(_SIDES, (results.one, results.other), strict=True):
                _show_side(name, side)
    if results.by:
        ui.label(f"difference: {results.by}")


def _show_side(name: str, side: Any) -> None:
    with ui.element("div"):
        ui.label(name).classes("quiet")
        if side is None:
            ui.label("no result")
        else:
            outcomes.show_values(side)


def _grid(choose: Callable[[str], Awaitable[None]]) -> grid.Grid:
    made = grid.Grid(
        [
            grid.column("index", "circuit", grid.NUMBER, width=90),
            grid.column("one", "one", grid.STATE, width=130),
            grid.column("result_one", "result of one", minWidth=140, flex=1),
            grid.column("other", "other", grid.STATE, width=130),
            grid.column("result_other", "result of other", minWidth=140, flex=1),
            grid.column("difference", "difference", _SMALL, width=120),
        ],
        label="Circuits",
        chooses=choose,
    )
    made.element.classes("pairs")
    return made

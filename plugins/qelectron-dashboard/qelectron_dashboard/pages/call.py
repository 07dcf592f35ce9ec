"""The page of one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import quote

from nicegui import ui

from qelectron_core.errors import ConfigError
from qelectron_core.store import Intent
from qelectron_dashboard.look import asking, frame, grid, outcomes, parts
from qelectron_dashboard.look.apart import apart
from qelectron_dashboard.look.live import PATIENCE_S, watch
from qelectron_dashboard.look.timeline import Timeline
from qelectron_dashboard.pages import finding, running
from qelectron_dashboard.pages.circuit import CircuitPanel
from qelectron_dashboard.reading import again, call
from qelectron_dashboard.site import Site
from qelectron_sqlite.cli.texts import count, safe, short

_LONGEST_FACT: Final = 2_000
_ELSEWHERE: Final = (
    "It runs in the process {process}. No job of it is at a vendor, so that only that "
    "program can stop it: with Ctrl-C there."
)
_FACTS: Final = (
    "when",
    "time",
    "executors",
    "circuits",
    "shots",
    "cost",
    "process",
    "versions",
)
_RULES: Final = """
.split { display: grid; gap: 1rem; width: 100%; }
.split > * { min-width: 0; }
.summary { display: grid; gap: .3rem 1rem; width: 100%;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.fact { display: grid; grid-template-columns: 5.5rem minmax(0, 1fr); gap: 0 .5rem; }
.fact > :last-child { overflow-wrap: anywhere; }
.timeline { max-height: 22rem; overflow-y: auto; width: 100%; }
.circuits { height: 24rem; width: 100%; }
.heads { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center;
  width: 100%; }
.failure { border-left: 3px solid #D55E00; padding-left: .75rem; width: 100%;
  max-height: 24rem; overflow-y: auto; }
@media (min-width: 1100px) {
  .split.two { grid-template-columns: 25rem minmax(0, 1fr); align-items: start; }
  .split.two > :first-child { position: sticky; top: 4rem; }
  .split.two .circuits { height: calc(100vh - 10rem); min-height: 20rem; }
}
"""


def register(site: Site) -> None:
    """Make the page known."""
    runs = again.Runs(site.store)

    @ui.page("/call/{call_id:path}", response_timeout=PATIENCE_S)
    async def show(call_id: str, circuit: str = "") -> None:
        reading = call.Reading(site.store, call_id, finding.index_of(circuit))
        is_known = await finding.is_known(reading.read)
        if is_known is False:
            finding.show_unknown(site)
            return
        with frame.page(site, f"Call {short(call_id, 60)}", "/"):
            page = _Call(site, call_id, reading, runs)
            if is_known is None:
                await ui.context.client.connected()
            await page.begin()


class _Call:
    def __init__(
        self, site: Site, call_id: str, reading: call.Reading, runs: again.Runs
    ) -> None:
        self._store = site.store
        self._id = call_id
        self._reading = reading
        self._runs = runs
        self._jobs: Sequence[Intent] = ()
        self._state = ""
        self._is_marked = False
        ui.add_css(_RULES + outcomes.RULES)
        self._head()
        with ui.element("div").classes("panel stack"):
            with ui.element("div").classes("summary"):
                self._facts = {name: _Fact(name) for name in _FACTS}
            self._progress = ui.linear_progress(show_value=False)
            self._progress.props('aria-label="Circuits that have ended"')
            self._note = ui.label().classes("quiet wrap")
        with ui.element("section").classes("panel stack") as self._timing:
            with ui.element("div").classes("heads"):
                parts.heading("Timeline")
                self._legend()
                self._part = ui.label().classes("quiet")
            self._timeline = Timeline(self._choose_in_timeline)
        with ui.element("div").classes("split") as self._split:
            with ui.element("section").classes("panel stack") as self._listed:
                parts.heading("Circuits")
                self._grid = _grid(self._choose)
            self._circuit = CircuitPanel()
        self._waiting = ui.label("Reading…").classes("quiet")
        self._parts = (self._timing, self._split)
        for part in self._parts:
            part.visible = False

    async def begin(self) -> None:
        """Show the call, and go on showing it."""
        self._watching = await watch(self._read, self._show, share=1)

    def _head(self) -> None:
        with ui.element("div").classes("heads"):
            with ui.element("h1").classes("title"):
                self._name = ui.label()
            self._state_place = ui.element("div")
            with ui.row().classes("items-center no-wrap").style("gap: 0"):
                ui.label(safe(self._id)).classes("mono quiet")
                copy = ui.button(icon="content_copy", on_click=self._copy)
                copy.props('flat round dense size=sm aria-label="Copy the id"')
            ui.space()
            self._cancel = ui.button("Cancel", on_click=self._ask_cancel)
            self._cancel.props("outline no-caps color=negative")
            self._cancel.visible = False
            compare = ui.button("Compare", on_click=self._compare)
            compare.props("outline no-caps").tooltip("With another call")
            self._again = ui.button("Run again", on_click=self._run_again)
            self._again.props("no-caps")

    def _legend(self) -> None:
        with ui.row().classes("quiet items-center").style("gap: .25rem .75rem"):
            for sign, told in (("─", "queued"), ("▬", "running"), ("⟲", "cached")):
                ui.label(f"{sign} {told}")

    # --- Showing ----------------------------------------------------------------------

    def _show(self, seen: call.Seen) -> None:
        self._jobs = seen.jobs
        self._waiting.visible = False
        self._name.text = short(seen.run.call.name, 120)
        self._show_state(seen.run.state)
        for name, fact in self._facts.items():
            fact.show(seen.facts.get(name, ""))
        self._show_progress(seen)
        self._cancel.visible = bool(seen.jobs) or self._runs.holds(self._id)
        for part in self._parts:
            part.visible = seen.circuit is not None
        if seen.circuit is not None:
            self._show_circuits(seen, seen.circuit)

    def _show_state(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self._state_place.clear()
            with self._state_place:
                parts.state(state)

    def _show_progress(self, seen: call.Seen) -> None:
        circuits = seen.run.call.circuits
        is_running = seen.run.state == "running"
        self._progress.visible = is_running and circuits > 1
        self._progress.value = seen.ended / max(1, circuits)
        told = [call.at_vendor(job) for job in seen.jobs]
        if seen.is_stuck_elsewhere and not self._runs.holds(self._id):
            told.append(_ELSEWHERE.format(process=safe(seen.run.call.process)))
        if seen.circuit is None:
            told.append("No circuit of it has begun.")
        self._note.text = "\n".join(told)
        self._note.visible = bool(told)

    def _show_circuits(self, seen: call.Seen, circuit: call.Circuit) -> None:
        timeline = seen.timeline
        chosen = circuit.index if timeline.known > 1 else -1
        self._timeline.show(timeline.bars, timeline.seconds, chosen)
        is_part = timeline.circuits < timeline.known
        last = timeline.first + timeline.circuits
        self._part.text = (
            f"{timeline.first + 1:,} to {last:,} of "
            f"{count(timeline.known, 'circuit')}; choose others in the table"
        )
        self._part.visible = is_part
        has_others = len(seen.rows) > 1
        self._listed.visible = has_others
        self._split.classes(**{"add" if has_others else "remove": "two"})
        if has_others:
            self._grid.show(seen.rows)
            if not self._is_marked:  # later ones are chosen in it, or marked then
                self._is_marked = True
                place = timeline.first + timeline.place
                self._grid.choose(str(circuit.index), place)
        self._circuit.show(circuit)

    # --- Choosing ---------------------------------------------------------------------

    async def _choose(self, row_id: str) -> None:
        await self._go(finding.index_of(row_id))

    async def _choose_in_timeline(self, index: int) -> None:
        self._grid.choose(str(index))
        await self._go(index)

    async def _go(self, index: int) -> None:
        """Look at another circuit."""
        if index == self._reading.chosen:
            return
        self._reading.chosen = index
        address = f"/call/{quote(self._id, safe='')}?circuit={index}"
        ui.navigate.history.replace(address)
        await self._watching.now()

    def _read(self) -> call.Seen:
        seen = self._reading.read()
        if seen is None:  # it was there when the page was opened
            raise ConfigError(f"{safe(self._id)} is not kept here any more.")
        return seen

    # --- Doing ------------------------------------------------------------------------

    def _copy(self) -> None:
        ui.clipboard.write(self._id)
        ui.notify("The id is copied.")

    def _compare(self) -> None:
        ui.navigate.to(f"/compare?one={quote(self._id, safe='')}")

    async def _run_again(self) -> None:
        self._again.props("loading")
        try:
            new = await running.run_again(self._runs, self._id)
        finally:
            if not self._again.is_deleted:  # with the page
                self._again.props(remove="loading")
        if new is not None and not self._again.is_deleted:
            ui.navigate.to(f"/call/{quote(new, safe='')}")

    async def _ask_cancel(self) -> None:
        jobs = self._jobs
        if self._runs.holds(self._id):
            question = f"Cancel {safe(self._id)}? What it has not run is not run."
            if await asking.agreed(question, yes="Cancel it", no="Let it run"):
                parts.tell(await apart(self._runs.cancel, self._id), good=True)
        elif await asking.agreed(again.asked(jobs), yes="Cancel", no="Let it run"):
            for told, is_settled in await apart(again.cancel_jobs, self._store, jobs):
                parts.tell(told, good=is_settled)
        await self._watching.now()


class _Fact:
    """A fact in a list of facts, told in place."""

    def __init__(self, name: str) -> None:
        with ui.element("div").classes("fact") as self._element:
            ui.label(name).classes("quiet")
            self._told = ui.label()

    def show(self, told: str) -> None:
        """Tell it; what is empty is not shown."""
        self._element.visible = bool(told)
        self._told.text = short(told, _LONGEST_FACT)


def _grid(choose: Callable[[str], Awaitable[None]]) -> grid.Grid:
    made = grid.Grid(
        [
            grid.column("index", "circuit", grid.NUMBER, width=90),
            grid.column("state", "state", grid.STATE, width=125),
            grid.column("result", "result", minWidth=110, flex=1),
            grid.column("ran", "ran", grid.SPAN, width=90),
            grid.column("queued", "queued", grid.SPAN, width=90),
            grid.column("attempts", "attempts", grid.NUMBER, width=95),
            grid.column("executor", "executor", minWidth=160),
            grid.column("shots", "shots", grid.NUMBER, width=90),
            grid.column("cost_usd", "cost", grid.DOLLARS, width=90),
            grid.column("job", "job", minWidth=140),
        ],
        label="Circuits",
        chooses=choose,
    )
    made.element.classes("circuits")
    return made

"""The page of jobs at vendors: what waits there, who for, and what one can do."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

from nicegui import app, ui

from qelectron_dashboard.look import asking, css, frame, parts
from qelectron_dashboard.look.apart import apart
from qelectron_dashboard.look.live import PATIENCE_S, watch
from qelectron_dashboard.reading import jobs
from qelectron_dashboard.reading.jobs import JobRow, Outcome, Waiting
from qelectron_dashboard.site import Site
from qelectron_sqlite.cli.texts import count, safe, short
from qelectron_sqlite.cli.times import date, moment, span

_RULES: Final = """
.job { display: flex; flex-direction: column; gap: .6rem; }
.job > .head { display: flex; flex-wrap: wrap; justify-content: space-between;
  gap: .2rem 1rem; align-items: baseline; }
.job .handle { overflow-wrap: anywhere; }
.job .buttons { display: flex; flex-wrap: wrap; gap: .5rem; }
.job .said { border-left: 3px solid var(--line); padding-left: .6rem; }
.jobs { grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); }
.outcome { display: flex; flex-wrap: wrap; gap: 0 .6rem; overflow-wrap: anywhere; }
"""
#: Jobs that are shown at first, and calls of a job.
_SHOWN: Final = 50
_CALLS: Final = 5
#: Characters of an id that are shown.
_LONGEST_ID: Final = 120
_ALL: Final = "all"
_ORPHANS: Final = "orphans"
#: What tells whether a program waits: colour, sign and words.
_ALIVE: Final = (css.COLOURS["running"], css.SIGNS["running"], "its program waits")
_HERE: Final = (css.BLUE, css.SIGNS["running"], "this dashboard waits for it")
_ORPHAN: Final = (css.COLOURS["lost"], css.SIGNS["lost"], "orphan: its program ended")
_MAYBE: Final = (
    "Its program ended while it submitted the job, so it may be at the vendor or not. "
    "Its tag there is the id of the job; asking, attaching and cancelling look for it."
)
_NOT_MADE: Final = (
    "Its executor cannot be made again by this dashboard, which cannot ask the vendor "
    "therefore. Name the module of its class: qelectron attach {job} --import MODULE"
)


def register(site: Site) -> None:
    """Make the page known."""
    waiting = Waiting(site.store)
    app.on_shutdown(waiting.close)

    @ui.page("/jobs", response_timeout=PATIENCE_S)
    async def show() -> None:
        with frame.page(site, "Jobs", "/jobs"):
            ui.add_css(_RULES)
            page = _Jobs(site, waiting)
        # To read circuits, PennyLane is imported, which takes its time.
        await ui.context.client.connected()
        await page.begin()


class _Jobs:
    def __init__(self, site: Site, waiting: Waiting) -> None:
        self._site = site
        self._waiting = waiting
        self._cards: dict[str, _Card] = {}
        self._outcomes: list[Outcome] | None = None
        self._limit = _SHOWN
        with ui.row().classes("full-width items-center justify-between"):
            parts.title("Jobs at vendors")
            self._which = ui.toggle([_ALL, _ORPHANS], value=_ALL)
            self._which.on_value_change(self._look).props("no-caps unelevated")
        self._said = ui.label("Reading…").classes("quiet").props("aria-live=polite")
        with ui.element("div").classes("full-width") as self._nothing:
            parts.empty(
                "No job is open at a vendor.",
                "Jobs of remote executors are listed here from when they are submitted "
                "until their results are there. One whose program ends before that "
                "stays, so that you can fetch what it was paid for. To list them, type",
                "qelectron jobs",
            )
        self._nothing.visible = False
        self._list = ui.element("div").classes("tiles jobs")
        self._more = ui.button("Show more", on_click=self._show_more)
        self._more.props("outline no-caps")
        self._more.visible = False
        with ui.element("section").classes("panel") as self._ended:
            parts.heading("What came of jobs")
            self._lines = ui.element("div").props("aria-live=polite")
        self._ended.visible = False
        self._place = ui.element("div")

    async def begin(self) -> None:
        """Show the jobs, and go on showing them."""
        with self._place:
            self._watching = await watch(self._read, self._show)

    def _read(self) -> tuple[list[JobRow], dict[str, float]]:
        since = self._waiting.since()
        return jobs.rows(self._site.store), since

    def _show(self, read: tuple[list[JobRow], dict[str, float]]) -> None:
        found, since = read
        orphans = [job for job in found if not job.alive]
        wanted = orphans if self._which.value == _ORPHANS else found
        self._said.text = f"{count(len(found), 'job')}, {count(len(orphans), 'orphan')}"
        self._said.visible = bool(found)
        self._nothing.visible = not wanted
        self._more.visible = len(wanted) > self._limit
        self._show_cards(wanted[: self._limit], since)
        self._show_outcomes()

    def _show_cards(self, shown: list[JobRow], since: dict[str, float]) -> None:
        for gone in self._cards.keys() - {job.id for job in shown}:
            self._cards.pop(gone).element.delete()
        for place, job in enumerate(shown):
            card = self._cards.get(job.id)
            if card is None:
                with self._list:
                    card = self._cards[job.id] = _Card(self, job.id)
                if place < len(self._cards) - 1:
                    card.element.move(target_index=place)
            card.show(job, since.get(job.id))

    def _show_outcomes(self) -> None:
        outcomes = [*self._waiting.outcomes.copy()]  # others add to it
        known = self._outcomes
        if outcomes == known:
            return
        self._outcomes = outcomes
        self._ended.visible = bool(outcomes)
        self._lines.clear()
        with self._lines:
            for one in outcomes:
                _line(one)
        new = [] if known is None else [one for one in outcomes if one not in known]
        with self._place:  # the card whose button was pressed may be gone
            for one in new:
                ui.notify(one.said, type="positive" if one.good else "warning")

    async def _look(self) -> None:
        await self._watching.now()

    async def _show_more(self) -> None:
        self._limit *= 4
        await self._look()

    async def ask(self, job_id: str) -> str:
        """Ask the vendor of a job."""
        return await apart(jobs.ask, self._site.store, job_id)

    async def attach(self, job_id: str) -> str:
        """Wait for a job."""
        await apart(self._waiting.attach, job_id)
        return ""

    async def cancel(self, job_id: str) -> str:
        """Cancel a job at its vendor."""
        return await self._end(jobs.cancel, job_id)

    async def forget(self, job_id: str) -> str:
        """Take a job off the record."""
        return await self._end(jobs.forget, job_id)

    async def _end(self, how: Callable[..., Outcome], job_id: str) -> str:
        outcome = await apart(how, self._site.store, job_id)
        self._waiting.outcomes.appendleft(outcome)
        return outcome.said

    async def changed(self) -> None:
        """Show at once what came of it."""
        await self._look()


def _line(outcome: Outcome) -> None:
    with ui.element("div").classes("outcome"):
        ui.label(date(outcome.at)).classes("quiet")
        ui.label(outcome.said)
        _links(outcome.calls)


def _links(calls: tuple[str, ...]) -> None:
    for call_id in calls[:_CALLS]:
        ui.link(short(call_id, _LONGEST_ID), f"/call/{quote(call_id, safe='')}")
    if len(calls) > _CALLS:
        ui.label(f"and {len(calls) - _CALLS:,} more")


class _Card:
    """One job, which stays where it is while what is told of it changes."""

    def __init__(self, page: _Jobs, job_id: str) -> None:
        self._page = page
        self._id = job_id
        self._job: JobRow | None = None
        self._busy = False
        with ui.element("article").classes("panel job") as self.element:
            with ui.element("div").classes("head"):
                self._handle = ui.label().classes("subtitle handle")
                with ui.element("span").classes("state"):
                    self._sign = ui.label().props("aria-hidden=true")
                    self._state = ui.label()
            with ui.element("div").classes("facts"):
                self._facts = {name: self._fact(name) for name in _FACTS}
                ui.label("calls")
                self._calls = ui.element("div").classes("outcome")
            self._note = ui.label().classes("quiet wrap")
            self._said = ui.label().classes("said wrap").props("role=status")
            self._said.visible = False
            with ui.element("div").classes("buttons"):
                self._ask = self._button("Ask the vendor", self._on_ask, "outline")
                self._attach = self._button("Attach", self._on_attach, "unelevated")
                looks = "outline color=negative"
                self._cancel = self._button("Cancel", self._on_cancel, looks)
                self._forget = self._button("Forget", self._on_forget, looks)
        self._attach.tooltip("Waits for its results, and keeps them")
        self._forget.tooltip("Takes it off the record; the vendor is not asked")

    def _fact(self, name: str) -> ui.label:
        ui.label(name)
        return ui.label()

    def _button(self, text: str, act: Callable[[], Any], looks: str) -> ui.button:
        button = ui.button(text, on_click=act).props(f"no-caps dense {looks}")
        button.props["aria-label"] = f"{text}: {short(self._id, _LONGEST_ID)}"
        return button.classes("q-px-sm")

    def show(self, job: JobRow, since: float | None) -> None:
        """Show it.

        Args:
            job: The job.
            since: When this dashboard began to wait for it, if it does.
        """
        if self._job is None:
            with self._calls:
                _links(job.calls)
        self._job = job
        self._handle.text = (
            "handle unknown" if job.handle is None else short(job.handle, _LONGEST_ID)
        )
        state = _HERE if since is not None else _ALIVE if job.alive else _ORPHAN
        colour, self._sign.text, self._state.text = state
        self._sign.style(f"color: {colour}; font-weight: 700")
        for name, tell in _FACTS.items():
            self._facts[name].text = tell(job)
        is_orphan = not job.alive and since is None
        self._note.text = _noted(job, is_orphan=is_orphan, since=since)
        self._note.visible = bool(self._note.text)
        can_ask = job.can_be_asked_for and not self._busy
        self._ask.set_enabled(can_ask)
        self._cancel.set_enabled(can_ask)
        self._attach.set_enabled(can_ask and is_orphan)
        self._attach.visible = self._forget.visible = is_orphan
        self._forget.set_enabled(not self._busy)

    async def _on_ask(self) -> None:
        await self._do("Asking the vendor…", self._page.ask)

    async def _on_attach(self) -> None:
        await self._do("Attaching…", self._page.attach)

    async def _on_cancel(self) -> None:
        job = self._job
        waits = ", and its program waits for it" if job and job.alive else ""
        question = f"Cancel {self._named()} at the vendor? What has run is lost{waits}."
        if await asking.agreed(question, yes="Cancel the job"):
            await self._do("Cancelling…", self._page.cancel)

    async def _on_forget(self) -> None:
        question = (
            f"Forget {self._named()}? It is not cancelled at the vendor, and its "
            "results cannot be fetched any more. Circuits of it may be run, and paid "
            "for, again."
        )
        if await asking.agreed(question, yes="Forget the job"):
            await self._do("Forgetting…", self._page.forget)

    def _named(self) -> str:
        job = self._job
        if job is None or job.handle is None:
            return f"job {safe(self._id)}"
        holds = count(job.circuits, "circuit")
        return f"job {short(job.handle, 80)} ({safe(self._id)}, {holds})"

    async def _do(self, doing: str, do: Callable[[str], Awaitable[str]]) -> None:
        self._busy = True
        self._say(doing)
        try:
            said = await do(self._id)
        except Exception as error:  # of the vendor's software
            said = jobs.told(error)
        self._busy = False
        if not self.element.is_deleted:
            self._say(said)
        await self._page.changed()

    def _say(self, said: str) -> None:
        self._said.text = said
        self._said.visible = bool(said)


def _noted(job: JobRow, *, is_orphan: bool, since: float | None) -> str:
    if since is not None:
        return (
            f"Waiting for its results, {span(time.time() - since)} so far. They are "
            "kept in the store, also if you close this page: the dashboard waits."
        )
    if not job.can_be_asked_for:
        return _NOT_MADE.format(job=safe(job.id))
    return _MAYBE if is_orphan and job.handle is None else ""


_FACTS: Final[dict[str, Callable[[JobRow], str]]] = {
    "job": lambda job: short(job.id, _LONGEST_ID),
    "executor": lambda job: short(job.executor, 300),
    "circuits": lambda job: f"{job.circuits:,}",
    "submitted": lambda job: f"{date(job.at)}, {moment(job.at)}",
}

"""The page of kept results: their size, what they are good for, and dropping them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import run, ui

from qelectron_core.errors import QElectronError
from qelectron_core.store import Usage
from qelectron_dashboard.look import asking, charts, css, frame, parts
from qelectron_dashboard.look.live import Watching, soon, watch
from qelectron_dashboard.reading import cache
from qelectron_dashboard.site import Site
from qelectron_sqlite.cli.texts import count, safe, size


def register(site: Site) -> None:
    """Make the page known."""

    @ui.page("/cache")
    def show() -> None:
        with frame.page(site, "Cache", "/cache"):
            soon(_Cache(site).begin)


class _Cache:
    def __init__(self, site: Site) -> None:
        self._store = site.store
        self._results = 0
        self._usage: Watching[Usage] | None = None
        parts.title("Cache")
        self._nothing = ui.element("div").classes("full-width")
        with self._nothing:
            parts.empty(
                "No result is kept yet.",
                "A QElectron with cache=True keeps what its circuits gave, and asks "
                "for none of them twice, in this program or the next.",
                "@ct.qelectron(cache=True)",
            )
        self._nothing.visible = False
        with ui.element("div").classes("tiles"):
            self._size_panel()
            self._answers_panel()
            self._drop_panel()

    async def begin(self) -> None:
        """Show it, and go on showing it."""
        self._usage = await watch(self._store.usage, self._show_usage)
        await watch(lambda: cache.answers(self._store), self._show_answers)

    def _size_panel(self) -> None:
        with ui.element("section").classes("panel stack"):
            parts.heading("Size")
            self._size = ui.label().classes("title")
            self._bar = charts.Bar()
            with ui.element("div").classes("facts"):
                self._facts = {title: _fact(title) for title in _FACTS}

    def _answers_panel(self) -> None:
        with ui.element("section").classes("panel stack"):
            parts.heading("Answered without running")
            self._untold = ui.label().classes("quiet")
            self._untold.text = "This store does not count what executors did."
            self._answers: dict[str, tuple[ui.label, charts.Bar]] = {}
            with ui.element("div").classes("stack") as self._told:
                for title in cache.SPANS:
                    with ui.element("div"):
                        with ui.row().classes("full-width justify-between no-wrap"):
                            ui.label(title).classes("quiet")
                            said = ui.label().classes("text-right")
                        self._answers[title] = said, charts.Bar(css.BLUE)

    def _drop_panel(self) -> None:
        why_not = cache.pruning(self._store)
        with ui.element("section").classes("panel stack"):
            parts.heading("Drop results")
            ui.label(
                why_not
                or "Those that were not used for longest go until the file holds so "
                "many MB; or those that were not used for a time. Calls stay listed."
            ).classes("quiet")
            with ui.row().classes("full-width items-start"):
                self._size_wanted = ui.number("MB to keep", min=0)
                self._size_wanted.props("outlined dense").classes("col")
                self._age_wanted = ui.input("Unused for", placeholder="30d")
                self._age_wanted.props("outlined dense").classes("col")
            with ui.row().classes("full-width"):
                pruning = ui.button("Drop these", on_click=self._prune)
                clearing = ui.button("Drop all", on_click=self._clear)
                clearing.props("outline no-caps color=negative")
                pruning.props("no-caps")
            for one in (self._size_wanted, self._age_wanted, pruning):
                one.visible = not why_not

    def _show_usage(self, usage: Usage) -> None:
        self._results = usage.results
        self._nothing.visible = not usage.results
        said = cache.size_of(usage)
        self._size.text = said
        share = cache.share_of(usage)
        self._bar.element.visible = share is not None
        self._bar.show(share or 0.0, said)
        for title, told in _FACTS.items():
            self._facts[title].text = told(usage)

    def _show_answers(self, answers: dict[str, cache.Answers]) -> None:
        self._told.visible = bool(answers)
        self._untold.visible = not answers
        for title, one in answers.items():
            said, bar = self._answers[title]
            said.text = str(one)
            bar.show(one.share, f"{title}: {one}")

    async def _prune(self) -> None:
        max_mb, age = self._size_wanted.value, self._age_wanted.value or ""
        which = [f"until the file holds {max_mb:g} MB"] if max_mb is not None else []
        which += [f"that were not used for {safe(age)}"] if age else []
        question = f"Drop kept results {' and those '.join(which)}?"
        if not which or await asking.agreed(question, yes="Drop them"):
            await self._do(lambda: cache.prune(self._store, max_mb, age))

    async def _clear(self) -> None:
        question = (
            f"Drop {count(self._results, 'kept result')}? Circuits that are equal to "
            "theirs will be run, and paid for, again."
        )
        if not self._results or await asking.agreed(question, yes="Drop all"):
            await self._do(lambda: cache.clear(self._store))

    async def _do(self, drop: Callable[[], str]) -> None:
        tried: Any = await run.io_bound(_tried, drop)
        if tried is None or self._nothing.is_deleted:  # it stops, or the page is gone
            return
        said, good = tried
        ui.notify(said, type="positive" if good else "negative")
        if self._usage is not None:  # else the first look is still to come
            await self._usage.now()


def _tried(drop: Callable[[], str]) -> tuple[str, bool]:
    """Return what came of it, and whether that was what somebody wanted."""
    try:
        return drop(), True
    except QElectronError as error:
        return str(error), False


_FACTS: dict[str, Callable[[Usage], str]] = {
    "results": lambda usage: f"{usage.results:,}, {size(usage.result_bytes)}",
    "calls": lambda usage: f"{usage.calls:,}",
    "circuits": lambda usage: f"{usage.circuits:,}",
    "open jobs": lambda usage: f"{usage.jobs:,}",
    "kept in": lambda usage: safe(usage.location),
}


def _fact(title: str) -> ui.label:
    """Show the name of a fact, and return where it is to be told."""
    ui.label(title)
    return ui.label()

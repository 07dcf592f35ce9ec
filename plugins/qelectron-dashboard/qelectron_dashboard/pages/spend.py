"""The part of a page that tells what was spent of the daily budget."""

from __future__ import annotations

from typing import Any, Final

from nicegui import ui

from qelectron_core.store import Store
from qelectron_dashboard.look import charts, css, parts
from qelectron_dashboard.look.live import watch
from qelectron_dashboard.reading import spend

#: Colours of a chart that can be read on light and on dark ground.
_TEXT: Final = "#8a94a0"
_LINE: Final = "#8a94a040"


class Spend:
    """What was spent today, and a chart of the days before.

    Args:
        store: Where it is counted.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unit: str | None = None
        self._known: spend.Spend | None = None
        with ui.element("section").classes("panel"), ui.element("div").classes("told"):
            with ui.element("div").classes("stack"):
                parts.heading("Spent today (UTC)")
                self._parts = ui.element("div").classes("stack")
                self._bars: dict[str, tuple[ui.label, charts.Bar]] = {}
                with ui.element("div").classes("stack") as self._no_budget:
                    ui.label(
                        "No daily budget is set: what is sent now is not counted. "
                        "Set one with"
                    ).classes("quiet")
                    ui.label(
                        "qelectron config set daily_budget shots=100000,cost_usd=5"
                    ).classes("mono")
                    ui.link("or in the settings", "/settings")
                self._not_counted = ui.label().classes("quiet")
            with ui.element("div") as self._before:
                with ui.row().classes("full-width items-center justify-between"):
                    parts.heading("The last days")
                    self._units = ui.select({}, on_change=self._choose)
                    self._units.props('dense outlined aria-label="What was spent"')
                self._chart = ui.echart(_options((), ())).style("height: 11rem")
                self._chart.props("role=img")
        self._not_counted.text = "This store does not count what is spent. Upgrade it."
        self._not_counted.visible = self._before.visible = False

    async def begin(self) -> None:
        """Show it, and go on showing it."""
        await watch(lambda: spend.spend(self._store) or False, self._show)

    def _show(self, found: spend.Spend | bool) -> None:
        if not isinstance(found, spend.Spend):
            self._not_counted.visible = True
            self._no_budget.visible = False
            return
        if found == self._known:
            return
        self._known = found
        self._no_budget.visible = not found.has_budget
        units = found.spent_units
        self._before.visible = bool(units)
        self._parts.visible = found.has_budget or bool(units)
        self._show_parts(found)
        if units:
            self._unit = self._unit if self._unit in units else units[0]
            titles = {unit: spend.UNITS[unit] for unit in units}
            if self._units.options != titles:
                self._units.set_options(titles, value=self._unit)
            self._draw(found, self._unit)

    def _show_parts(self, found: spend.Spend) -> None:
        for part in found.parts:
            if part.title not in self._bars:
                with self._parts, ui.element("div"):
                    with ui.row().classes("full-width justify-between no-wrap"):
                        ui.label(part.title).classes("quiet")
                        said = ui.label().classes("text-right")
                    self._bars[part.title] = said, charts.Bar()
            said, bar = self._bars[part.title]
            said.text = part.said
            bar.element.visible = part.share is not None
            bar.show(part.share or 0.0, f"{part.title}: {part.said}")

    def _choose(self) -> None:
        unit = self._units.value
        if self._known is not None and unit in self._known.spent_units:
            self._unit = unit
            self._draw(self._known, unit)

    def _draw(self, found: spend.Spend, unit: str) -> None:
        made = _options(found.days, found.amounts[unit], found.limits.get(unit))
        self._chart.options.update(made)
        self._chart.update()
        title = spend.UNITS[unit]
        self._chart.props["aria-label"] = f"{title} per day: {found.on(unit)}"


def _options(
    days: tuple[str, ...], amounts: tuple[float, ...], limit: float | None = None
) -> dict[str, Any]:
    """Return a chart of bars, one per day, and a line for the limit."""
    text = {"color": _TEXT}
    bars: dict[str, Any] = {
        "type": "bar",
        "data": [*amounts],
        "itemStyle": {"color": css.BLUE},
        "barMaxWidth": 24,
    }
    # An empty one takes away the line of another unit.
    at_limit = [] if limit is None else [{"yAxis": limit, "name": "limit"}]
    bars["markLine"] = {
        "silent": True,
        "symbol": "none",
        "data": at_limit,
        "lineStyle": {"color": css.COLOURS["failed"], "type": "dashed"},
        "label": {"formatter": "{b}", "position": "insideEndTop", **text},
    }
    return {
        "backgroundColor": "transparent",
        "animation": False,
        "grid": {"left": 8, "right": 8, "top": 16, "bottom": 4, "containLabel": True},
        "tooltip": {"trigger": "axis"},
        "xAxis": {
            "type": "category",
            "data": [day[5:] for day in days],
            "axisLabel": text,
            "axisLine": {"lineStyle": {"color": _LINE}},
            "axisTick": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "axisLabel": text,
            "splitLine": {"lineStyle": {"color": _LINE}},
        },
        "series": [bars],
    }

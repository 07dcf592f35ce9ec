"""A chart of when attempts to run circuits waited and ran."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from nicegui import events, ui

from qelectron_dashboard.look import css
from qelectron_dashboard.reading.call import Bar, said

#: Pixels that an attempt takes, and those of the axis and above the first one.
_ROW: Final = 22
_AROUND: Final = 34
#: Pixels that are seen at least without scrolling.
_SEEN: Final = 280

# What draws one attempt: a thin line while it waits, a bar while it runs, and the sign
# of what became of it. What is short is still seen.
_DRAW: Final = (
    f"(params, api) => {{ const signs = {json.dumps(dict(css.SIGNS))}, "
    f"colours = {json.dumps(dict(css.COLOURS))}, quiet = {json.dumps(css.QUIET)};"
    """
  const row = api.value(0), state = api.value(4), height = api.size([0, 1])[1];
  const at = seconds => api.coord([seconds, row]);
  const [x0, y] = at(api.value(1)), [x1] = at(api.value(2)), [x2] = at(api.value(3));
  const colour = colours[state] ?? quiet, thick = Math.min(12, height * 0.6);
  const left = state === "cached" ? x2 : x1;
  const right = state === "submitted" ? x2 : Math.max(x2, left + 3);
  const rect = (x, to, thick, fill) => ({type: "rect", style: {fill}, shape: {
    x, y: y - thick / 2, width: Math.max(0, to - x), height: thick}});
  const sign = {type: "text", style: {x: right + 4, y, text: signs[state] ?? "",
    fill: colour, font: "bold 12px sans-serif", verticalAlign: "middle"}};
  return {type: "group", children: [
    rect(x0, left, 3, quiet), rect(left, right, thick, colour), sign]}; }"""
)
_SECONDS: Final = """s => s === 0 ? "0" : s < 1 ? (s * 1000).toFixed(s < 0.01 ? 1 : 0)
  + " ms" : s < 60 ? +s.toFixed(1) + " s" : s < 3600 ? +(s / 60).toFixed(1) + " min"
  : +(s / 3600).toFixed(1) + " h" """
#: Places of what an item of the chart tells: see `_item`.
_INDEX: Final = 5
_TOLD: Final = "p => p.data[6]"


class Timeline:
    """Shows attempts below each other.

    Args:
        choose: Is told the circuit whose attempt was clicked; may be asynchronous.
    """

    def __init__(self, choose: Callable[[int], Any]) -> None:
        self._known: tuple[Sequence[Bar], float, int] | None = None
        self._choose = choose
        with ui.element("div").classes("timeline") as self._window:
            self._chart = ui.echart(_options(), on_point_click=self._click)
        self._chart.props('role="img"')

    def show(self, bars: Sequence[Bar], seconds: float, chosen: int) -> None:
        """Show attempts.

        Args:
            bars: The attempts.
            seconds: How long it all took, which is how wide the chart is.
            chosen: The circuit that is looked at; -1 if that need not be told.
        """
        if self._known == (bars, seconds, chosen):
            return
        if self._known is None:
            self._scroll_to(bars, chosen)
        self._known = bars, seconds, chosen
        self._chart.style(f"height: {len(bars) * _ROW + _AROUND}px")
        self._chart.props["aria-label"] = "Timeline. " + ". ".join(map(said, bars[:20]))
        options = self._chart.options
        options["yAxis"]["data"] = [_label(bar, chosen) for bar in bars]
        options["xAxis"]["max"] = seconds or 1.0
        options["series"][0]["data"] = [_item(bar) for bar in bars]
        self._chart.update()

    def _scroll_to(self, bars: Sequence[Bar], chosen: int) -> None:
        row = next((bar.row for bar in bars if bar.index == chosen), 0)
        if row * _ROW > _SEEN:
            self._window.run_method("scrollTo", 0, row * _ROW - _SEEN // 2)

    def _click(self, event: events.EChartPointClickEventArguments) -> Any:
        data: Any = event.data
        return self._choose(int(data[_INDEX]))


def _options() -> dict[str, Any]:
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "grid": {"left": 56, "right": 28, "top": 24, "bottom": 6},
        "tooltip": {"trigger": "item", "renderMode": "richText", ":formatter": _TOLD},
        "xAxis": {
            "type": "value",
            "min": 0,
            "position": "top",
            "axisLabel": {
                ":formatter": _SECONDS,
                "color": css.QUIET,
                "showMaxLabel": False,
                "hideOverlap": True,
            },
            "splitLine": {"lineStyle": {"color": css.QUIET, "opacity": 0.25}},
        },
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": [],
            "axisTick": {"show": False},
            "axisLine": {"show": False},
            "axisLabel": {"color": css.QUIET, "interval": 0},
        },
        "series": [
            {
                "type": "custom",
                ":renderItem": _DRAW,
                "encode": {"x": [1, 2, 3], "y": 0},
                "data": [],
                "clip": False,
            }
        ],
    }


def _label(bar: Bar, chosen: int) -> str:
    if bar.attempt > 1:
        return f"{css.SIGNS['retried']} {bar.attempt}"
    return f"▸ {bar.index}" if bar.index == chosen else f"{bar.index}"


def _item(bar: Bar) -> list[Any]:
    moments = bar.submitted, bar.started, bar.ended
    return [bar.row, *moments, bar.state, bar.index, said(bar)]

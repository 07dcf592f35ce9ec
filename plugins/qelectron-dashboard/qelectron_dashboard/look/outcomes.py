"""Shows what circuits gave: numbers as text, counts and probabilities as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nicegui import ui

from qelectron_dashboard.look import css
from qelectron_dashboard.reading.outcomes import Bars, Outcome
from qelectron_sqlite.cli.texts import count

#: The rules of style of what is shown here; each page that uses it adds them once.
RULES: Final = """
.outcomes { display: grid; gap: 1rem; width: 100%; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.outcomes > div { min-width: 0; }
.listed { max-height: 26rem; width: 100%; background: transparent; }
"""
#: How tables look that show all they have, and scroll.
TABLE: Final = 'flat dense virtual-scroll hide-pagination :rows-per-page-options="[0]"'
#: Outcomes that a chart shows, the most frequent ones; tables show more.
MOST_DRAWN: Final = 20
_ROW: Final = 22
_AROUND: Final = 40
#: The share from which an outcome fills the chart.
_MOSTLY: Final = 0.8
#: Outcomes that are read out to those who do not see the chart.
_MOST_SAID: Final = 12
_SHARE: Final = "v => +(100 * v).toPrecision(3) + ' %'"
_COLUMNS: Final = (
    {"name": "outcome", "label": "outcome", "field": "outcome", "align": "left"},
    {"name": "number", "label": "", "field": "number"},
    {"name": "share", "label": "share", "field": "share"},
)


def show(outcome: Outcome) -> None:
    """Show what one measurement gave."""
    if outcome.name:
        ui.label(outcome.name).classes("quiet mono")
    show_values(outcome)


def show_values(outcome: Outcome) -> None:
    """Show what one measurement gave, without its name."""
    if outcome.text:
        ui.label(outcome.text).classes("mono")
    if outcome.bars:
        with ui.element("div").classes("outcomes"):
            with ui.element("div"):
                chart({"": outcome.bars}, outcome.counted)
            _table(outcome)


def chart(series: Mapping[str, Bars], counted: str) -> None:
    """Draw how often outcomes came, the most frequent of the first series above.

    Args:
        series: What is drawn, each by what it is called; names are ours.
        counted: What numbers are: `"counts"` or `"probabilities"`.
    """
    drawn = _drawn([*series.values()])
    lists = {name: dict(bars) for name, bars in series.items()}
    made = ui.echart(_options(drawn, lists, counted))
    made.style(f"height: {len(drawn) * _ROW * len(lists) + _AROUND}px")
    made.props('role="img"').props["aria-label"] = _said(drawn, lists, counted)
    outcomes = len({name for bars in series.values() for name, _ in bars})
    if outcomes > len(drawn):
        told = f"The {len(drawn)} most frequent of {count(outcomes, 'outcome')}"
        ui.label(told).classes("quiet")


def _drawn(series: Sequence[Bars]) -> list[str]:
    """Return the outcomes that are drawn, in order."""
    most: dict[str, float] = {}
    for bars in series:
        for name, number in bars:
            most[name] = max(number, most.get(name, number))
    return sorted(most, key=lambda name: -most[name])[:MOST_DRAWN]


def _options(
    drawn: Sequence[str], lists: Mapping[str, Mapping[str, float]], counted: str
) -> dict[str, Any]:
    is_share = counted == "probabilities"
    longest = max(map(len, drawn), default=0)
    label: dict[str, Any] = {"show": True, "position": "right", "color": css.QUIET}
    axis: dict[str, Any] = {"color": css.QUIET, "hideOverlap": True}
    highest = max((n for one in lists.values() for n in one.values()), default=0.0)
    if is_share:
        axis[":formatter"] = _SHARE
        label[":formatter"] = "p => +(100 * p.value).toPrecision(3) + ' %'"
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "grid": {
            "left": 16 + min(220, 8 * longest),
            "right": 64,
            "top": 4 if len(lists) == 1 else 32,
            "bottom": 24,
        },
        "legend": {
            "show": len(lists) > 1,
            "top": 0,
            "left": 0,
            "textStyle": {"color": css.QUIET},
        },
        "xAxis": {
            "type": "value",
            "axisLabel": axis,
            "splitNumber": 4,
            # Rounded up, all but certain outcomes would stand before 120 %.
            "max": 1 if is_share and _MOSTLY < highest <= 1 else None,
            "splitLine": {"lineStyle": {"color": css.QUIET, "opacity": 0.25}},
        },
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": [*drawn],
            "axisTick": {"show": False},
            "axisLabel": {
                "color": css.QUIET,
                "interval": 0,
                "fontFamily": "monospace",
                "width": 220,
                "overflow": "truncate",
            },
        },
        "series": [
            {
                "type": "bar",
                "name": name,
                "data": [numbers.get(outcome, 0) for outcome in drawn],
                "label": label,
                "itemStyle": {"color": colour, "borderRadius": 2, **decal},
                "barCategoryGap": "25%",
            }
            for (name, numbers), (colour, decal) in zip(
                lists.items(), _LOOKS, strict=False
            )
        ],
    }


#: How series look: the second one is striped as well.
_LOOKS: Final[tuple[tuple[str, Mapping[str, Any]], ...]] = (
    (css.BLUE, {}),
    (
        css.COLOURS["running"],
        {
            "decal": {
                "symbol": "rect",
                "color": "rgba(0, 0, 0, .45)",
                "dashArrayX": [1, 0],
                "dashArrayY": [2, 4],
                "rotation": -0.8,
            }
        },
    ),
)


def _said(
    drawn: Sequence[str], lists: Mapping[str, Mapping[str, float]], counted: str
) -> str:
    told = [
        f"{name} {', '.join(_pair(one, numbers) for one in drawn[:_MOST_SAID])}"
        for name, numbers in lists.items()
    ]
    return f"{counted.capitalize()}: {'; '.join(told)}"


def _pair(outcome: str, numbers: Mapping[str, float]) -> str:
    return f"{outcome} {numbers.get(outcome, 0):.4g}"


def _told(number: float, counted: str) -> str:
    return f"{number:,.0f}" if counted == "counts" else f"{number:.6g}"


def _table(outcome: Outcome) -> None:
    total = sum(number for _, number in outcome.bars) or 1.0
    columns = [dict(column) for column in _COLUMNS]
    columns[1]["label"] = outcome.counted
    if outcome.counted == "probabilities":
        columns.pop()
    with ui.element("div"):
        ui.table(
            columns=columns,
            rows=[
                {
                    "id": place,
                    "outcome": name,
                    "number": _told(number, outcome.counted),
                    "share": f"{100 * number / total:.2f} %",
                }
                for place, (name, number) in enumerate(outcome.bars)
            ],
            row_key="id",
        ).props(TABLE).classes("listed mono")
        if outcome.left_out:
            ui.label(f"… and {count(outcome.left_out, 'more outcome')}").classes(
                "quiet"
            )

"""Tables of many rows, which stay as they are while rows come and change.

The framework runs what stands behind a key that begins with a colon as a script. So
rows are flat: their keys are ours, and their values text, numbers, or nothing.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from nicegui import ui

from qelectron_dashboard.look import css

Row = Mapping[str, str | float | None]

# How values are shown, by the browser, so that it can sort by the values themselves.
# All of it is text: what a cell holds is never taken for HTML.
MOMENT: Final = """p => { if (p.value == null) return "";
  const then = new Date(p.value * 1000), today = new Date();
  return then.toDateString() === today.toDateString()
    ? then.toLocaleTimeString() : then.toLocaleString(); }"""
SPAN: Final = """p => { const s = p.value; if (s == null) return "";
  if (s < 1) return (s * 1000).toFixed(s < 0.01 ? 1 : 0) + " ms";
  if (s < 60) return s.toFixed(s < 10 ? 1 : 0) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + Math.round(s % 60) + " s";
  return Math.floor(s / 3600) + " h " + Math.round(s % 3600 / 60) + " min"; }"""
NUMBER: Final = """p => p.value == null ? "" : p.value.toLocaleString("en-US")"""
DOLLARS: Final = """p => p.value == null ? "" : "$" +
  (p.value && Math.abs(p.value) < 0.01 ? p.value.toPrecision(2) : p.value.toFixed(2))"""
STATE: Final = (
    f"p => p.value == null ? '' : (({json.dumps(dict(css.SIGNS))})[p.value] ?? '·') "
    "+ ' ' + p.value"
)
_LINK: Final = """p => { const a = document.createElement("a");
  a.href = %s + encodeURIComponent(p.data.id); a.textContent = p.value ?? "";
  return a; }"""
_OPEN: Final = """p => { if (p.data && p.column.getColDef().headerName)
  window.location.href = %s + encodeURIComponent(p.data.id); }"""
_OPEN_BY_KEY: Final = """p => { if (p.event?.key === "Enter" && p.data)
  window.location.href = %s + encodeURIComponent(p.data.id); }"""
_COLOURS: Final = {state: css.text_colour(state) for state in css.COLOURS}
_STATE_STYLE: Final = (
    f"p => ({{color: ({json.dumps(_COLOURS)})[p.value] ?? 'inherit', fontWeight: 600}})"
)


def column(field: str, heading: str, shown: str = "", **options: Any) -> dict[str, Any]:
    """Return a column.

    Args:
        field: What of a row it shows.
        heading: What stands above it.
        shown: How its values are shown: one of the texts of this module.
        options: Further ones, as AG Grid calls them.
    """
    made: dict[str, Any] = {"field": field, "headerName": heading, **options}
    if shown:
        made[":valueFormatter"] = shown
    if shown in (NUMBER, SPAN, DOLLARS):
        made["type"] = "rightAligned"
    if shown == STATE:
        made[":cellStyle"] = _STATE_STYLE
    return made


class Grid:
    """A table whose rows are told anew as often as one likes; it sends what changed.

    Args:
        columns: What `column` returned.
        label: What it is called for those who do not see it.
        opens: What the address of a row's page begins with, before the row's id. A
            click, the enter key and the link in the column `linked` open it.
        linked: The field that is a link.
        selects: Whether rows can be selected; `None` if not, else who is told.
        chooses: Whether one row is chosen; `None` if not, else who is told its id.
    """

    def __init__(  # noqa: PLR0913  # an option each
        self,
        columns: Sequence[Mapping[str, Any]],
        *,
        label: str,
        opens: str | None = None,
        linked: str = "name",
        selects: Callable[[list[dict[str, Any]]], None] | None = None,
        chooses: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._known: Mapping[str, Row] | None = None
        options: dict[str, Any] = {
            "columnDefs": [_linked(one, opens, linked) for one in columns],
            "rowData": [],
            "defaultColDef": {"sortable": True, "resizable": True, "minWidth": 80},
            ":getRowId": "p => p.data.id",
            "animateRows": False,
            "ensureDomOrder": True,
            "overlayNoRowsTemplate": "<span>Nothing is like that.</span>",
        }
        if opens is not None:
            options[":onCellClicked"] = _OPEN % json.dumps(opens)
            options[":onCellKeyDown"] = _OPEN_BY_KEY % json.dumps(opens)
        if selects is not None:
            options["rowSelection"] = {
                "mode": "multiRow",
                "enableClickSelection": False,
                "headerCheckbox": False,
            }
        if chooses is not None:
            options["rowSelection"] = {
                "mode": "singleRow",
                "checkboxes": False,
                "enableClickSelection": True,
            }
        self.element = ui.aggrid(options, auto_size_columns=False)
        self.element.props(f'aria-label="{label}"').classes("full-width")
        if selects is not None:
            self._selects = selects
            self.element.on("selectionChanged", self._tell_selected, [])
        if chooses is not None:
            self._chooses = chooses
            self.element.on("selectionChanged", self._tell_chosen, [])

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows, in this order.

        While new ones come above the others, only what is new, other or gone is sent.
        """
        new = {str(row["id"]): row for row in rows}
        if self._known is None:
            self.element.options["rowData"] = [*rows]
            self.element.update()
        elif not _only_adds_above(self._known, new):
            self.element.run_grid_method("setGridOption", "rowData", [*rows])
        elif change := _change(self._known, new):
            self.element.run_grid_method("applyTransaction", change)
        self._known = new

    def choose(self, row_id: str, place: int | None = None) -> None:
        """Choose a row; scroll to its place if that is given."""
        if place is not None:
            self.element.run_grid_method("ensureIndexVisible", place)
        self.element.run_row_method(row_id, "setSelected", True, True)

    async def _tell_chosen(self) -> None:
        for row in await self.element.get_selected_rows():
            await self._chooses(str(row["id"]))

    async def _tell_selected(self) -> None:
        self._selects(await self.element.get_selected_rows())


def _linked(
    given: Mapping[str, Any], opens: str | None, linked: str
) -> Mapping[str, Any]:
    if opens is None or given["field"] != linked:
        return given
    return {**given, ":cellRenderer": _LINK % json.dumps(opens)}


def _only_adds_above(known: Mapping[str, Row], new: Mapping[str, Row]) -> bool:
    """Tell whether what is new comes first, and the others stay in their order."""
    added = [key for key in new if key not in known]
    stay = [key for key in known if key in new]
    return [*new] == added + stay


def _change(known: Mapping[str, Row], new: Mapping[str, Row]) -> dict[str, Any]:
    """Return what makes one table of another, as AG Grid calls it; empty if nothing."""
    added = [row for key, row in new.items() if key not in known]
    changed = [row for key, row in new.items() if known.get(key, row) != row]
    gone: list[Row] = [{"id": key} for key in known if key not in new]
    change = {"add": added, "addIndex": 0, "update": changed, "remove": gone}
    return change if added or changed or gone else {}

"""A dispatch as a table, in a terminal and in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from qelectron_core import showing
from qelectron_dask.workflow.drawing import COLOURS
from qelectron_dask.workflow.states import ElectronRun, inert

if TYPE_CHECKING:
    from qelectron_dask.workflow.result import DispatchResult

_COLUMNS = ("", "electron", "state", "where", "seconds", "attempt", "circuits", "error")


def table(result: DispatchResult) -> Table:
    """Return the electrons of a dispatch as a table for a terminal."""
    title = escape(f"{inert(result.dispatch_id)}  {inert(result.lattice)}")
    made = Table(*_COLUMNS, title=title, box=None)
    for run in result.electrons:
        made.add_row(*map(escape, cells(run)))
    return made


def html(result: DispatchResult) -> str:
    """Return it as HTML for a notebook; whatever names and errors hold is inert."""
    return showing.table(_COLUMNS, map(cells, result.electrons), repr(result))


def cells(run: ElectronRun) -> tuple[str, ...]:
    """Return what is to be read of one electron, as texts."""
    circuits = sum(call.circuits for call in run.calls)
    texts = (
        str(run.number),
        run.name,
        f"{COLOURS[run.state][1]} {run.state}" + (" (reused)" if run.reused else ""),
        run.worker or run.executor,
        "" if run.duration_s is None else f"{run.duration_s:.3f}",
        str(run.attempt or ""),
        str(circuits or ""),
        (run.error or "").partition("\n")[0],
    )
    return tuple(map(inert, texts))

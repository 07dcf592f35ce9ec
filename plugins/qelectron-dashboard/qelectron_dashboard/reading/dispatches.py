"""Dispatches of lattices, and what became of their electrons.

They are what qelectron-dask keeps in the store, and it is what reads them. It need not
be installed, so it is imported when something is read.
"""

from __future__ import annotations

import importlib.util
import io
import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import attrs

from qelectron_core.errors import FormatError
from qelectron_core.store import Document, Store, keeps_documents
from qelectron_dashboard.reading import whole
from qelectron_dashboard.reading.picture import Electron
from qelectron_sqlite.cli.results import result_lines
from qelectron_sqlite.cli.texts import count, dollars, safe, short
from qelectron_sqlite.cli.times import date, span

if TYPE_CHECKING:
    from qelectron_dask.workflow.dispatches import Recorded
    from qelectron_dask.workflow.states import CallSummary, ElectronRun

#: Dispatches that have ended and need not be read again.
_MOST_KNOWN: Final = 2000
#: Characters that are shown of an error, of a traceback, and of a line of a result.
_MOST_ERROR: Final = 4000
_MOST_TRACEBACK: Final = 20_000
_MOST_LINE: Final = 300
#: Lines of a result that are shown, and calls of an electron.
_MOST_LINES: Final = 40
_MOST_CALLS: Final = 200
#: Characters of a line, where results are long.
_WIDTH: Final = 80
_MOST_NUMBER: Final = 2**53
#: What parts the facts of an electron from what it returned.
_SPLIT: Final = b"\n"


@attrs.frozen
class CallOf:
    """A call of a QElectron that an electron made.

    Attributes:
        id: Its id.
        told: Its numbers, in words.
    """

    id: str
    told: str


@attrs.frozen
class Details:
    """What there is to know of one electron.

    Attributes:
        number: Its place in the order of the lattice.
        name: Its name, of one line.
        state: What became of it.
        facts: Pairs of a name and what it stands for; what is empty is unknown.
        error: What it raised, or why it did not run.
        traceback: Where it was raised.
        result: What it returned, as lines.
        calls: The calls that it made.
        inner: Of a lattice within the lattice, the id of its dispatch; or empty.
    """

    number: int
    name: str
    state: str
    facts: tuple[tuple[str, str], ...]
    error: str
    traceback: str
    result: str
    calls: tuple[CallOf, ...]
    inner: str


@attrs.frozen
class Shown:
    """A dispatch, as it is shown.

    Attributes:
        id: Its id.
        lattice: Name of its lattice.
        state: What became of it.
        facts: As those of `Details`.
        before: Id of the dispatch that it goes on with, or empty.
        error: What the first electron that failed raised, or empty.
        result: What the lattice returned, as lines.
        electrons: Its electrons, in the order of the lattice.
        rows: A row of a table for each of them.
        chosen: What there is to know of the one that was asked for.
    """

    id: str
    lattice: str
    state: str
    facts: tuple[tuple[str, str], ...]
    before: str
    error: str
    result: str
    electrons: tuple[Electron, ...]
    rows: tuple[dict[str, Any], ...]
    chosen: Details | None = None

    @property
    def counts(self) -> dict[str, int]:
        """How many electrons are in which state."""
        states = [one.state for one in self.electrons]
        return {state: states.count(state) for state in dict.fromkeys(states)}

    @property
    def ended(self) -> int:
        """How many electrons are over."""
        return sum(bool(row["over"]) for row in self.rows)


def is_readable(store: Store) -> bool:
    """Tell whether dispatches can be read: what keeps them is installed."""
    found = importlib.util.find_spec("qelectron_dask")
    return found is not None and keeps_documents(store)


class Reader:
    """Reads dispatches; those that have ended are not read twice for the list.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ended: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def rows(self, limit: int) -> list[dict[str, Any]]:
        """Return a row for each dispatch that can be read, the newest first."""
        whole.pennylane()
        from qelectron_dask.workflow.records import KIND

        found = self._store.documents(KIND, limit=limit)
        ids = [one.id for one in found if one.id.isprintable()]
        return [row for one in ids if (row := self._row(one)) is not None]

    def shown(self, dispatch_id: str, chosen: int | None = None) -> Shown | None:
        """Return a dispatch, or `None` if the store does not know it.

        Args:
            dispatch_id: Its id.
            chosen: The electron of which everything is wanted.

        Raises:
            FormatError: If its record is damaged.
        """
        recorded = self._recorded(dispatch_id, valued=chosen)
        return None if recorded is None else _shown(recorded, chosen)

    def _row(self, dispatch_id: str) -> dict[str, Any] | None:
        known = self._ended.get(dispatch_id)
        if known is not None:
            return known
        try:
            recorded = self._recorded(dispatch_id)
        except FormatError:
            return None
        if recorded is None:
            return None
        row = _row(recorded)
        if recorded.status != "running":
            self._ended[dispatch_id] = row
            while len(self._ended) > _MOST_KNOWN:
                self._ended.popitem(last=False)
        return row

    def _recorded(
        self, dispatch_id: str, *, valued: int | None = None
    ) -> Recorded | None:
        """Return what is kept of a dispatch, with what one electron returned."""
        whole.pennylane()
        from qelectron_dask.workflow import records
        from qelectron_dask.workflow.dispatches import Recorded

        found = self._store.documents(records.KIND, id=dispatch_id)
        parts = {one.part: one for one in found}
        if "" not in parts or records.ARGUMENTS not in parts:
            return None
        wanted = None if valued is None else records.electron_part(valued)
        header = records.read_header(parts[""])
        output = parts.get(records.OUTPUT)
        lean = {
            part: one if part == wanted else _without_value(one)
            for part, one in parts.items()
        }
        return Recorded(
            id=dispatch_id,
            header=header,
            alive=parts[""].alive,
            runs=records.read_electrons(header, lean),
            output=None if output is None else records.read_output(output),
            arguments=parts[records.ARGUMENTS],
        )


def cancel(dispatch_id: str) -> None:
    """Cancel a dispatch, whoever runs it.

    Raises:
        ConfigError: If no such dispatch is known.
    """
    from qelectron_dask.workflow.dispatching import cancel

    cancel(dispatch_id)


def _without_value(document: Document) -> Document:
    """Return what is kept of an electron without what it returned, which may be big."""
    told, _, _ = document.body.partition(_SPLIT)
    return attrs.evolve(document, body=told + _SPLIT)


def _row(recorded: Recorded) -> dict[str, Any]:
    result = recorded.result()
    over = sum(run.has_ended for run in recorded.runs)
    ended_at = result.finished_at
    return {
        "id": recorded.id,
        "at": result.started_at,
        "name": short(result.lattice, 80),
        "state": result.status,
        "ended": f"{over:,} of {len(recorded.runs):,}",
        "failed": result.states["failed"] or None,
        "seconds": None if ended_at is None else ended_at - result.started_at,
        "process": short(result.process, 80),
    }


def _shown(recorded: Recorded, chosen: int | None) -> Shown:
    runs = recorded.runs
    result = recorded.result()
    ended_at = result.finished_at
    took = None if ended_at is None else ended_at - result.started_at
    output = result.output
    return Shown(
        id=recorded.id,
        lattice=short(result.lattice, 80),
        state=result.status,
        facts=(
            ("id", safe(recorded.id)),
            ("function", short(recorded.header.path, 120)),
            ("dispatched", date(result.started_at)),
            ("took", _span(took)),
            ("process", short(result.process, 80)),
        ),
        before=safe(result.redispatched or ""),
        error=_cut(result.error or "", _MOST_ERROR),
        result="" if output is None else _lines(output.value, output.unkept),
        electrons=tuple(map(_electron, runs)),
        rows=tuple(map(_electron_row, runs)),
        chosen=next((_details(run) for run in runs if run.number == chosen), None),
    )


def _electron(run: ElectronRun) -> Electron:
    return Electron(run.number, short(run.name, 60), run.state, run.parents)


def _electron_row(run: ElectronRun) -> dict[str, Any]:
    return {
        "id": str(run.number),
        "number": run.number,
        "name": short(run.name, 60),
        "state": run.state,
        "where": short(run.worker or run.executor, 80),
        "seconds": run.duration_s,
        "attempt": _number(run.attempt),
        "circuits": _number(sum(call.circuits for call in run.calls)),
        "error": short((run.error or "").partition("\n")[0], 200),
        "over": run.has_ended,
    }


def _details(run: ElectronRun) -> Details:
    is_done = run.state == "completed"
    return Details(
        number=run.number,
        name=short(run.name, 60),
        state=run.state,
        facts=tuple(_facts(run)),
        error=_cut(run.error or "", _MOST_ERROR),
        traceback=_cut(run.traceback or "", _MOST_TRACEBACK),
        result=_lines(run.result, run.unkept) if is_done else "",
        calls=tuple(map(_call, run.calls[:_MOST_CALLS])),
        inner=safe(run.dispatch_id or ""),
    )


def _facts(run: ElectronRun) -> Iterator[tuple[str, str]]:
    yield "started", "" if run.started_at is None else date(run.started_at)
    yield "ended", "" if run.finished_at is None else date(run.finished_at)
    yield "took", _span(run.duration_s)
    yield "attempts", str(run.attempt) if run.attempt else ""
    yield "where", short(run.executor, 200)
    yield "worker", short(run.worker, 80)
    yield "reused", "of an earlier dispatch; nothing was run" if run.reused else ""
    yield "waits for", ", ".join(map(str, run.parents[:_MOST_LINES]))


def _call(call: CallSummary) -> CallOf:
    told = [count(call.circuits, "circuit")]
    if call.shots:
        told.append(count(call.shots, "shot"))
    if call.cost_usd is not None:
        told.append(dollars(call.cost_usd))
    if call.cached:
        told.append(f"{call.cached:,} cached")
    if call.failed:
        told.append(f"{call.failed:,} failed")
    executors = ", ".join(call.executors)
    return CallOf(safe(call.id), " · ".join([*told, short(executors, 60)]))


def _lines(value: Any, unkept: str | None) -> str:
    """Return what was returned as lines of text, or why it is not there."""
    from rich.console import Console

    if unkept is not None:
        return f"not kept: {_cut(unkept, _MOST_LINE)}"
    if isinstance(value, str):
        value = value[:_MOST_ERROR]
    console = Console(file=io.StringIO(), width=_WIDTH)
    lines = result_lines(console, value)
    shown = [line[:_MOST_LINE] for line in lines[:_MOST_LINES]]
    left = len(lines) - _MOST_LINES
    return "\n".join([*shown, f"… {left:,} more lines"] if left > 0 else shown)


def _span(seconds: float | None) -> str:
    """Return a span of time, of a file that somebody may have written."""
    return "" if seconds is None or not math.isfinite(seconds) else span(seconds)


def _number(number: int) -> int | None:
    """Return a number for a table, if it tells something; a browser knows no larger."""
    return min(number, _MOST_NUMBER) or None


def _cut(text: str, most: int) -> str:
    """Return a text of some lines without what would steer, cut if it is long."""
    lines = (safe(line) for line in text[:most].splitlines())
    return "\n".join(lines) + ("…" if len(text) > most else "")

"""Reads the journal: which calls there were, and what became of them."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import attrs

from qelectron_core.store import ENDED, Call, Run, RunState, run_of
from qelectron_sqlite.owners import is_running
from qelectron_sqlite.rows import Row, to_call, to_entry

#: Calls of which it is looked up together what became of them.
_AT_ONCE: Final = 200
_STATES: Final = ("submitted", "started", "retried", "completed", "failed", "cached")

_COLUMNS: Final = """
    calls.number, id, name, executors,
    coalesce(
        circuits, (SELECT count(DISTINCT idx) FROM entries WHERE call = calls.number)
    ),
    at, process, born, versions, output
"""
_BEFORE: Final = ":before IS NULL"
_CALLS: Final = f"""
    SELECT {_COLUMNS} FROM calls
    WHERE (:name IS NULL OR instr(name, :name))
      AND (:since IS NULL OR at > :since)
      AND {_BEFORE}
      AND (:executor IS NULL OR EXISTS (
        SELECT 1 FROM entries JOIN executors ON executors.number = entries.executor
        WHERE entries.call = calls.number AND instr(shown, :executor)))
    ORDER BY at DESC, number DESC
"""
# Only as a condition of its own is it found in the index, however old the page is.
_PAGE: Final = _CALLS.replace(_BEFORE, "at < :before")
_CALL: Final = f"SELECT {_COLUMNS} FROM calls WHERE id = ?"
_ENTRIES: Final = """
    SELECT
        idx, attempt, state, shown, submitted_at, started_at, finished_at, shots,
        job_id, job_size, handle, cost_usd, error, metadata, circuit, value
    FROM entries
    JOIN executors ON executors.number = entries.executor
    LEFT JOIN bodies ON bodies.entry = entries.number
    WHERE call = ? ORDER BY idx, attempt
"""
# The rules of `run_of`, without making an object of each line. A line counts as the
# last one of its circuit if no later attempt is in the (nearly empty) index of those.
_OUTCOMES: Final = f"""
    SELECT
        call,
        {", ".join(f"sum(last AND state = '{state}')" for state in _STATES)},
        sum(last AND state = 'failed' AND (
            substr(error, 1, 14) = 'CancelledError'
            OR substr(error, 1, 17) = 'JobCancelledError')),
        CAST(total(CASE WHEN state <> 'cached' THEN shots END) AS INTEGER),
        sum(cost_usd),
        max(CASE WHEN last THEN finished_at END),
        group_concat(DISTINCT CASE WHEN last THEN executor END)
    FROM (
        SELECT *, NOT EXISTS (
            SELECT 1 FROM entries AS later INDEXED BY entries_again
            WHERE later.attempt > 1 AND later.call = entries.call
              AND later.idx = entries.idx AND later.attempt > entries.attempt) AS last
        FROM entries WHERE call IN (SELECT value FROM json_each(?)))
    GROUP BY call
"""


_HAS_JOBS: Final = "SELECT 1 FROM job_circuits WHERE call = ? LIMIT 1"


@attrs.frozen
class Filters:
    """Which calls are wanted; see `Store.runs`."""

    name: str | None = None
    executor: str | None = None
    state: RunState | None = None
    since: float | None = None
    before: float | None = None
    limit: int | None = None

    def allow(self, run: Run) -> bool:
        """Tell whether a call with its entries is wanted."""
        shown = (entry.executor for entry in run.entries)
        return (
            self.state in (None, run.state)
            and (self.name is None or self.name in run.call.name)
            and (self.since is None or run.call.at > self.since)
            and (self.before is None or run.call.at < self.before)
            and (self.executor is None or any(self.executor in one for one in shown))
            and self.limit != 0
        )


def runs(connection: sqlite3.Connection, which: Filters) -> list[Run]:
    """Return calls and what became of them, without their entries; newest first."""
    at_once = min(_AT_ONCE, which.limit or _AT_ONCE)
    found = _runs(connection, attrs.asdict(which), at_once)
    wanted = (run for run in found if which.state in (None, run.state))
    return list(islice(wanted, which.limit))


def run(connection: sqlite3.Connection, call_id: str) -> Run | None:
    """Return one call with its entries, or `None` if there is none by this id."""
    row = connection.execute(_CALL, (call_id,)).fetchone()
    if row is None:
        return None
    lines = connection.execute(_ENTRIES, (row[0],)).fetchall()
    call, born = to_call(row[1:])
    alive = _is_awaited(connection, call, born)
    entries = tuple(to_entry(call_id, line) for line in lines)
    return attrs.evolve(run_of(call, entries, alive=alive), entries=entries)


def _runs(
    connection: sqlite3.Connection, filters: dict[str, Any], at_once: int
) -> Iterator[Run]:
    shown = dict(connection.execute("SELECT number, shown FROM executors"))
    rows = connection.execute(_CALLS if filters["before"] is None else _PAGE, filters)
    while some := rows.fetchmany(at_once):
        numbers = json.dumps([row[0] for row in some])
        outcomes = {
            row[0]: row[1:] for row in connection.execute(_OUTCOMES, (numbers,))
        }
        for number, *row in some:
            yield _run(connection, tuple(row), outcomes.get(number), shown)


def _run(
    connection: sqlite3.Connection,
    row: Row,
    outcome: Row | None,
    shown: dict[int, str],
) -> Run:
    call, born = to_call(row)
    if outcome is None:
        return run_of(call, (), alive=_is_awaited(connection, call, born))
    counts = dict(zip(_STATES, outcome, strict=False))
    cancelled, shots, cost, finished_at, executors = outcome[len(_STATES) :]
    states = Counter({state: count for state, count in counts.items() if count})
    ended = sum(states.values()) >= call.circuits and states.keys() <= ENDED
    become = _state(states, cancelled, ended=ended)
    if become == "running" and not _is_awaited(connection, call, born):
        become = "lost"
    return Run(
        call=call,
        state=become,
        executors=tuple(shown[int(number)] for number in executors.split(",")),
        states=states,
        shots=shots,
        cost_usd=cost,
        finished_at=finished_at if ended else None,
    )


def _is_awaited(connection: sqlite3.Connection, call: Call, born: Any) -> bool:
    """Tell whether its process lives, or a vendor has jobs of it."""
    if is_running(connection, call.process, born):
        return True
    return connection.execute(_HAS_JOBS, (call.id,)).fetchone() is not None


def _state(states: Mapping[str, int], cancelled: int, *, ended: bool) -> RunState:
    """Return what became of a call whose process lives."""
    if "failed" in states:
        return "cancelled" if cancelled == states["failed"] else "failed"
    if not ended:
        return "running"
    return "cached" if states.keys() == {"cached"} else "completed"


def counts(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many calls and entries there are."""
    query = "SELECT (SELECT count(*) FROM calls), (SELECT count(*) FROM entries)"
    calls, entries = connection.execute(query).fetchone()
    return calls, entries

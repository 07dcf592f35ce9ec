"""The journal in the file: calls, and what became of their circuits."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import attrs

from qelectron_core.store import Call, Entry
from qelectron_sqlite.owners import Owner
from qelectron_sqlite.rows import Row, body_row, call_row, entry_row

_ADD_CALL: Final = """
    INSERT INTO calls
        (id, name, executors, circuits, at, process, born, versions, output)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET
        name = excluded.name, executors = excluded.executors,
        circuits = excluded.circuits, at = excluded.at, process = excluded.process,
        born = excluded.born, versions = excluded.versions, output = excluded.output
"""
# Of a call that is not known: as far as its entries tell.
_ADD_UNKNOWN: Final = """
    INSERT INTO calls (id, name, executors, circuits, at, process, born, versions)
    VALUES (?, '', ?, NULL, ?, ?, ?, '{}') ON CONFLICT (id) DO NOTHING
"""
_ADD_EXECUTOR: Final = "INSERT OR IGNORE INTO executors (shown) VALUES (?)"
_ADD_ENTRY: Final = """
    INSERT INTO entries
        (call, idx, attempt, state, executor, submitted_at, started_at, finished_at,
         shots, job_id, job_size, handle, cost_usd, error, metadata)
    VALUES
        ((SELECT number FROM calls WHERE id = ?), ?, ?, ?,
         (SELECT number FROM executors WHERE shown = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (call, idx, attempt) DO UPDATE SET
        state = excluded.state, executor = excluded.executor,
        submitted_at = excluded.submitted_at, started_at = excluded.started_at,
        finished_at = excluded.finished_at, shots = excluded.shots,
        job_id = excluded.job_id, job_size = excluded.job_size,
        handle = excluded.handle, cost_usd = excluded.cost_usd,
        error = excluded.error, metadata = excluded.metadata
"""
_PLACE: Final = """
    (SELECT number FROM entries
     WHERE call = (SELECT number FROM calls WHERE id = ?) AND idx = ? AND attempt = ?)
"""
_ADD_BODY: Final = f"""
    INSERT INTO bodies (circuit, value, entry) VALUES (?, ?, {_PLACE})
    ON CONFLICT (entry) DO UPDATE SET
        circuit = coalesce(excluded.circuit, circuit), value = excluded.value
"""
_NO_VALUE: Final = f"UPDATE bodies SET value = NULL WHERE entry = {_PLACE}"


@attrs.frozen
class Lines:
    """Calls and entries, ready to be written."""

    calls: Sequence[Row]
    unknown: Sequence[Row]
    executors: Sequence[Row]
    entries: Sequence[Row]
    bodies: Sequence[Row]
    bare: Sequence[Row]


def prepare(calls: Sequence[Call], entries: Sequence[Entry], owner: Owner) -> Lines:
    """Write calls and entries down, as far as that is possible."""
    rows = [entry_row(entry) for entry in entries]
    bodies = [body_row(entry) for entry in entries]
    firsts = {row[0]: row for row in reversed(rows)}
    return Lines(
        calls=[call_row(call, owner) for call in calls],
        unknown=[
            (call_id, row[4], row[5], owner.process, owner.born)
            for call_id, row in firsts.items()
        ],
        executors=[(shown,) for shown in {row[4] for row in rows}],
        entries=rows,
        bodies=[row for row in bodies if row[:2] != (None, None)],
        bare=[row[2:] for row in bodies if row[:2] == (None, None)],
    )


def put(connection: sqlite3.Connection, lines: Lines) -> None:
    """Write calls and entries; those in the same place are replaced."""
    write = connection.executemany
    write(_ADD_CALL, lines.calls)
    write(_ADD_UNKNOWN, lines.unknown)
    write(_ADD_EXECUTOR, lines.executors)
    write(_ADD_ENTRY, lines.entries)
    write(_ADD_BODY, lines.bodies)
    write(_NO_VALUE, lines.bare)

"""Jobs at vendors, in the file: from before they are submitted until they ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from qelectron_core.formats import dump_circuit, dump_executor, load_executor
from qelectron_core.store import Intent
from qelectron_sqlite.owners import is_alive
from qelectron_sqlite.rows import (
    Row,
    if_possible,
    key_text,
    settings_text,
    text,
    to_circuits,
    to_key,
    to_settings,
)

_ADD: Final = """
    INSERT OR REPLACE INTO jobs (id, executor, shown, settings, at, handle, owner)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_ADD_CIRCUIT: Final = "INSERT INTO job_circuits VALUES (?, ?, ?, ?, ?, ?, ?)"
# A claim that another process holds stays its own.
_CLAIM: Final = """
    INSERT INTO claims (key, owner, job) VALUES (?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET job = excluded.job WHERE owner = excluded.owner
"""
_ALL: Final = """
    SELECT id, executor, shown, settings, at, handle, owner FROM jobs
    WHERE :call IS NULL OR id IN (SELECT job FROM job_circuits WHERE call = :call)
    ORDER BY at, number
"""
_ONE: Final = """
    SELECT id, executor, shown, settings, at, handle, owner FROM jobs WHERE id = ?
"""
_CIRCUITS: Final = """
    SELECT call, idx, key, claim, circuit FROM job_circuits
    WHERE job = ? ORDER BY position
"""


@attrs.frozen(eq=False)
class Lines:
    """A job, ready to be written."""

    job: Row
    circuits: Sequence[Row]
    claims: Sequence[str]


@attrs.frozen(eq=False)
class Found:
    """A job as it was read, still to be made into an `Intent`."""

    job: Row
    circuits: Sequence[Row]
    alive: bool = True


def prepare(intent: Intent) -> Lines:
    """Write a job down, as far as that is possible."""
    job_id = text(intent.job_id)
    parts = zip(intent.places, intent.keys, intent.claims, intent.circuits, strict=True)
    return Lines(
        job=(
            job_id,
            if_possible(dump_executor, intent.executor),
            text(intent.shown),
            settings_text(intent.settings),
            float(intent.at),
            None if intent.handle is None else text(intent.handle),
        ),
        circuits=[
            (
                *(job_id, position, text(call_id), int(index)),
                *(key_text(key), key_text(claim)),
                if_possible(dump_circuit, circuit),
            )
            for position, ((call_id, index), key, claim, circuit) in enumerate(parts)
        ],
        claims=[str(claim) for claim in intent.claims if claim is not None],
    )


def put(connection: sqlite3.Connection, lines: Lines, owner_id: str) -> None:
    """Write a job and claim its circuits."""
    job_id = lines.job[0]
    connection.execute("DELETE FROM job_circuits WHERE job = ?", (job_id,))
    connection.execute(_ADD, (*lines.job, owner_id))
    connection.executemany(_ADD_CIRCUIT, lines.circuits)
    connection.executemany(_CLAIM, [(key, owner_id, job_id) for key in lines.claims])


def name(connection: sqlite3.Connection, job_id: str, handle: str) -> None:
    """Keep what the vendor calls a job."""
    connection.execute(
        "UPDATE jobs SET handle = ? WHERE id = ?", (text(handle), job_id)
    )


def remove(connection: sqlite3.Connection, job_id: str) -> None:
    """Forget a job and the claims to its circuits."""
    connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
    connection.execute("DELETE FROM job_circuits WHERE job = ?", (job_id,))
    connection.execute("DELETE FROM claims WHERE job = ?", (job_id,))


def owner_of(connection: sqlite3.Connection, job_id: str) -> str | None:
    """Return who has a job, or `None` if it has ended."""
    query = "SELECT owner FROM jobs WHERE id = ?"
    row = connection.execute(query, (job_id,)).fetchone()
    return None if row is None else row[0]


def take(connection: sqlite3.Connection, job_id: str, owner_id: str) -> Found:
    """Give a job, and the claims to its circuits, to an owner."""
    values = (owner_id, job_id)
    connection.execute("UPDATE jobs SET owner = ? WHERE id = ?", values)
    connection.execute("UPDATE claims SET owner = ? WHERE job = ?", values)
    return get(connection, job_id)


def get(connection: sqlite3.Connection, job_id: str) -> Found:
    """Return one job, which there must be, as one of a living process."""
    row = connection.execute(_ONE, (job_id,)).fetchone()
    return Found(row, connection.execute(_CIRCUITS, (job_id,)).fetchall())


def found(connection: sqlite3.Connection, call_id: str | None) -> list[Found]:
    """Return the jobs that have not ended, oldest first."""
    rows = connection.execute(_ALL, {"call": call_id}).fetchall()
    return [
        Found(
            row,
            connection.execute(_CIRCUITS, (row[0],)).fetchall(),
            is_alive(connection, row[-1]),
        )
        for row in rows
    ]


def to_intent(job: Found) -> Intent:
    """Return a job as the core knows it.

    If a circuit of it cannot be read, neither is the executor: such a job must never
    be sent again by somebody who does not know what it holds.
    """
    from pennylane.tape import QuantumScript

    job_id, executor, shown, settings, at, handle, _ = job.job
    circuits = to_circuits([row[-1] for row in job.circuits])
    options: Mapping[str, Any] = {
        "executor": None if circuits is None else if_possible(load_executor, executor),
        "circuits": circuits or (QuantumScript(),) * len(job.circuits),
    }
    return Intent(
        job_id=job_id,
        **options,
        places=tuple((row[0], row[1]) for row in job.circuits),
        at=at,
        keys=tuple(to_key(row[2]) for row in job.circuits),
        claims=tuple(to_key(row[3]) for row in job.circuits),
        settings=to_settings(settings),
        shown=shown,
        handle=handle,
        alive=job.alive,
    )

"""Results in the file, found by their keys."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from qelectron_core.store import Kept, Key
from qelectron_sqlite.rows import RESULT_BYTES, Row, key_row, result_row, to_kept

_COLUMNS: Final = "n_shots, executor, job_id, at, handle, metadata, value"
_FIND: Final = f"""
    SELECT {_COLUMNS} FROM results WHERE pool = ? AND shots = ? AND draw = ?
"""
_POOL: Final = f"""
    SELECT shots, draw, {_COLUMNS} FROM results WHERE pool = ?
    ORDER BY n_shots DESC, number
"""
_INSERT: Final = """
    INSERT INTO results
        (pool, shots, draw, n_shots, executor, job_id, at, handle, metadata, bytes,
         value, used_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (pool, shots, draw) DO UPDATE SET
        n_shots = excluded.n_shots, executor = excluded.executor,
        job_id = excluded.job_id, at = excluded.at, handle = excluded.handle,
        metadata = excluded.metadata, bytes = excluded.bytes, value = excluded.value,
        used_at = excluded.used_at
"""
_ADD_NEWER: Final = f"{_INSERT} WHERE excluded.at > results.at"
_USED: Final = """
    UPDATE results SET used_at = ? WHERE pool = ? AND shots = ? AND draw = ?
"""
_FREE: Final = "DELETE FROM claims WHERE key = ?"


def prepare(results: Iterable[Kept], most_bytes: int) -> list[Row]:
    """Write results down; those that cannot be, or are too large, are left out."""
    rows = (result_row(kept) for kept in results)
    return [row for row in rows if row is not None and size(row) <= most_bytes]


def size(row: Row) -> int:
    """Return how many bytes the row of a result takes, roughly."""
    return int(row[-2])


def put(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Keep results in place of those with equal keys."""
    now = time.time()
    connection.executemany(_INSERT, [(*row, now) for row in rows])


def free(connection: sqlite3.Connection, results: Iterable[Kept]) -> None:
    """Give back the claims to results, also to those that could not be written."""
    connection.executemany(_FREE, [(str(kept.key),) for kept in results])


def put_newer(connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
    """Keep results that are newer than those with equal keys; return how many."""
    now = time.time()
    return connection.executemany(_ADD_NEWER, [(*row, now) for row in rows]).rowcount


def used(connection: sqlite3.Connection, used_at: Mapping[Key, float]) -> None:
    """Keep when results were last used."""
    rows = [(at, *key_row(key)) for key, at in used_at.items()]
    connection.executemany(_USED, rows)


def find(connection: sqlite3.Connection, key: Key) -> Kept | None:
    """Return a result, or `None` if there is none, or it is damaged."""
    row = connection.execute(_FIND, (key.pool, key.shots, key.draw)).fetchone()
    return None if row is None else to_kept(key, row)


def pool(connection: sqlite3.Connection, of: str) -> list[Kept]:
    """Return the results of one pool, those with most shots first."""
    rows = connection.execute(_POOL, (of,))
    found = (to_kept(Key(of, shots, draw), tuple(row)) for shots, draw, *row in rows)
    return [kept for kept in found if kept is not None]


def counts(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many results there are, and the bytes of their values."""
    query = "SELECT count(*), coalesce(sum(bytes), 0) FROM results"
    number, size_bytes = connection.execute(query).fetchone()
    return number, size_bytes - RESULT_BYTES * number

"""Keeps the file within its limits: what is least worth keeping goes first."""

from __future__ import annotations

import math
import sqlite3
import time
from typing import Final

import attrs

from qelectron_core.errors import ConfigError
from qelectron_sqlite import ledgers, shelves

#: What is deleted at once, so that nobody waits for long.
_MOST_RESULTS: Final = 10_000
_MOST_CALLS: Final = 2_000
_MOST_PAGES: Final = 4_000
#: To how much of its limit the file is trimmed, so that this is not done all the time.
_TRIMMED_TO: Final = 0.9
#: Executors of which the journal has the text, before unused ones go.
_MOST_EXECUTORS: Final = 1_000
_DAY_S: Final = 24 * 3600

# Of a job that has not ended, the calls stay.
_OLDEST: Final = """
    SELECT number, at, (SELECT count(*) FROM entries WHERE call = calls.number)
    FROM calls
    WHERE id NOT IN (SELECT call FROM job_circuits)
      AND number <> (SELECT number FROM calls ORDER BY at DESC, number DESC LIMIT 1)
    ORDER BY at, number LIMIT ?
"""
_FORGET: Final = (
    "DELETE FROM bodies WHERE entry IN (SELECT number FROM entries WHERE call = ?)",
    "DELETE FROM entries WHERE call = ?",
    "DELETE FROM calls WHERE number = ?",
)
_UNUSED: Final = f"""
    DELETE FROM executors WHERE (SELECT count(*) FROM executors) > {_MOST_EXECUTORS}
    AND number NOT IN (SELECT executor FROM entries)
"""


@attrs.frozen
class Limits:
    """How much is kept.

    Attributes:
        max_bytes: Size above which results go, those first that were not used for
            longest, and calls, if they take more than half of it, and what plugins
            keep, if that takes more than half of it.
        max_age_days: Age in days at which calls go, what plugins keep, and what was
            spent of budgets.
        max_circuits: Number of entries above which the oldest calls go.
    """

    max_bytes: int
    max_age_days: float
    max_circuits: int

    def __attrs_post_init__(self) -> None:
        """Refuse limits that keep nothing."""
        for name, value in attrs.asdict(self).items():
            if not value > 0:
                message = f"{name}={value!r} is no limit. Expected a number above 0."
                raise ConfigError(message)

    @property
    def bytes_of_one(self) -> int:
        """Size above which one result is not kept: it would push out all others."""
        return self.max_bytes // 4


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the file that hold something."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _empty_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of a file with nothing in it: a page per table and index."""
    query = "SELECT count(*) FROM sqlite_schema"
    pages: int = connection.execute(query).fetchone()[0]
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((1 + pages) * size)


def trim(
    connection: sqlite3.Connection, limits: Limits, max_bytes: int | None = None
) -> int:
    """Delete some of what is too much; return how many results that were.

    Args:
        connection: The file, in a transaction.
        limits: What is too much.
        max_bytes: Size of the file to come down to, instead of some way below the
            limit once it is exceeded.
    """
    lines = _lines(connection)
    oldest_at = time.time() - limits.max_age_days * _DAY_S
    _forget_calls(connection, lines - limits.max_circuits, oldest_at)
    ledgers.forget(connection, oldest_at)
    plugins = shelves.used_bytes(connection)
    shelves.forget(connection, plugins - limits.max_bytes // 2, oldest_at)
    used = used_bytes(connection)
    if max_bytes is not None:
        return evict(connection, used - max_bytes)
    if used <= limits.max_bytes:
        return 0
    excess = used - int(_TRIMMED_TO * limits.max_bytes)
    results = connection.execute("SELECT sum(bytes) FROM results").fetchone()[0] or 0
    others = results + shelves.used_bytes(connection) + _empty_bytes(connection)
    journal = max(1, used - others)
    if journal > limits.max_bytes // 2:
        share = min(1.0, excess / journal)
        _forget_calls(connection, math.ceil(share * _lines(connection)), -math.inf)
        excess -= used - used_bytes(connection)
    return evict(connection, excess)


def evict(connection: sqlite3.Connection, excess: int) -> int:
    """Delete the results that were not used for longest; return how many.

    Args:
        connection: The file, in a transaction.
        excess: Bytes to make free.
    """
    query = "SELECT number, bytes FROM results ORDER BY used_at LIMIT ?"
    gone = []
    for number, size in connection.execute(query, (_MOST_RESULTS,)):
        if excess <= 0:
            break
        gone.append((number,))
        excess -= size
    connection.executemany("DELETE FROM results WHERE number = ?", gone)
    return len(gone)


def evict_unused(connection: sqlite3.Connection, since: float) -> int:
    """Delete the results that were not used since a time; return how many."""
    return connection.execute(
        "DELETE FROM results WHERE used_at < ?", (since,)
    ).rowcount


def _lines(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM entries").fetchone()[0]
    return count


def _forget_calls(
    connection: sqlite3.Connection, excess: int, oldest_at: float
) -> None:
    """Delete the oldest calls: those made earlier, and so many entries."""
    gone = []
    for number, at, lines in connection.execute(_OLDEST, (_MOST_CALLS,)):
        if excess <= 0 and at >= oldest_at:
            break
        gone.append((number,))
        excess -= lines
    for statement in _FORGET:
        connection.executemany(statement, gone)
    if gone:
        connection.execute(_UNUSED)


def give_back(connection: sqlite3.Connection, pages: int = _MOST_PAGES) -> None:
    """Give pages that hold nothing back to the file system; 0 means all."""
    connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()

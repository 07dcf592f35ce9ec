"""Who holds claims and jobs: one row for each open store, gone when it is closed."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from typing import Final

import attrs

from qelectron_sqlite.processes import SILENT_S, birth, node, space

_DIGITS: Final = 9  # of a process number
_ADD: Final = "INSERT INTO owners VALUES (?, ?, ?, ?, ?, ?)"
_GET: Final = "SELECT node, space, pid, born, beat FROM owners WHERE id = ?"
_NEAR: Final = (
    "SELECT node, space, pid, born, beat FROM owners WHERE node = ? AND pid = ?"
)


@attrs.frozen
class Owner:
    """One open store of this process.

    Attributes:
        id: Identifies it.
        pid: Number of the process.
        born: When the process started, as the system tells.
    """

    id: str = attrs.field(factory=lambda: secrets.token_hex(8))
    pid: int = attrs.field(factory=os.getpid)
    born: str = attrs.field(factory=lambda: birth(os.getpid()) or "")

    @property
    def process(self) -> str:
        """The process as `Call.process` has it."""
        return f"{node()}:{self.pid}"


def enrol(connection: sqlite3.Connection, owner: Owner) -> None:
    """Add an owner, and tidy up after those whose process has ended."""
    for (other,) in connection.execute("SELECT id FROM owners").fetchall():
        if not is_alive(connection, other):
            leave(connection, other)
    row = (owner.id, node(), space(), owner.pid, owner.born, time.time())
    connection.execute(_ADD, row)


def leave(connection: sqlite3.Connection, owner_id: str) -> None:
    """Remove an owner, what it holds, and its claims, but for those of a job."""
    connection.execute("DELETE FROM owners WHERE id = ?", (owner_id,))
    connection.execute("DELETE FROM held WHERE owner = ?", (owner_id,))
    connection.execute(
        "DELETE FROM claims WHERE owner = ? AND (job IS NULL OR job NOT IN "
        "(SELECT id FROM jobs))",
        (owner_id,),
    )


def beat(connection: sqlite3.Connection, owner: Owner) -> None:
    """Say that an owner lives."""
    values = (time.time(), owner.id)
    connection.execute("UPDATE owners SET beat = ? WHERE id = ?", values)


def is_alive(connection: sqlite3.Connection, owner_id: str) -> bool:
    """Tell whether the process of an owner lives, and has not closed its store."""
    row = connection.execute(_GET, (owner_id,)).fetchone()
    return row is not None and _lives(*row)


def is_running(connection: sqlite3.Connection, process: str, born: str) -> bool:
    """Tell whether the process of a call lives.

    Args:
        connection: The file.
        process: The process as `"host:pid"`.
        born: When it started, or empty if that is not known.
    """
    host, _, number = process.rpartition(":")
    if not number.isdecimal() or len(number) > _DIGITS:
        return False
    pid = int(number)
    if host == node():
        seen = birth(pid)
        return seen is not None and (not born or seen in ("", born))
    return any(_lives(*row) for row in connection.execute(_NEAR, (host, pid)))


def _lives(host: str, within: str, pid: int, born: str, beat_at: float) -> bool:
    if (host, within) == (node(), space()):
        seen = birth(pid)
        if seen is None:
            return False
        if seen and born:
            return seen == born
    return abs(time.time() - beat_at) < SILENT_S

"""Results from one file to another: to take along, or to give to colleagues."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from qelectron_core.errors import StoreError
from qelectron_core.store import Key
from qelectron_sqlite import results, schema
from qelectron_sqlite.connections import Connection, connect
from qelectron_sqlite.problems import reporting
from qelectron_sqlite.rows import Row, result_row, to_kept

#: Results that are in memory at the same time.
_AT_ONCE: Final = 100
_READ: Final = """
    SELECT pool, shots, draw, n_shots, executor, job_id, at, handle, metadata, value
    FROM results ORDER BY number
"""


def export(source: Path, target: Path) -> int:
    """Write all results of a file to a new one; return how many.

    The new file is there as a whole, or not at all.

    Raises:
        StoreError: If there is a file already, or it cannot be written.
    """
    if target.exists():
        message = (
            f"{str(target)!r} is there already and is not replaced. Choose another "
            "name, or remove it first."
        )
        raise StoreError(message)
    draft = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        count = _copy(source, draft)
        with reporting(target):
            os.link(draft, target)  # which replaces nothing
    finally:
        for left in (draft, *(draft.with_name(draft.name + s) for s in _BESIDE)):
            left.unlink(missing_ok=True)
    return count


_BESIDE: Final = ("-wal", "-shm", "-journal")


def _copy(source: Path, draft: Path) -> int:
    schema.prepare(draft)
    count = 0
    with reporting(draft), closing(connect(draft)) as connection:
        with _read_only(source) as rows:
            for some in rows:
                connection.execute("BEGIN")
                results.put(connection, some)
                connection.execute("COMMIT")
                count += len(some)
        # One file that can be carried away, without a log beside it.
        connection.execute("PRAGMA journal_mode = DELETE")
    return count


def import_(source: Path, target: Connection, most_bytes: int) -> int:
    """Take over the results of another file that are not here, or newer.

    Each is read and checked; what is damaged stays behind. Nothing of the file is
    executed.

    Args:
        source: The other file.
        target: Where to keep them.
        most_bytes: Size above which a result is left behind.

    Returns:
        How many results were taken over.

    Raises:
        StoreError: If the other file cannot be read, or is none of ours.
    """
    count = 0
    with _read_only(source) as rows:
        for some in rows:
            whole = [row for row in some if results.size(row) <= most_bytes]
            with target.writing() as connection:
                count += results.put_newer(connection, whole)
    return count


@contextmanager
def _read_only(path: Path) -> Iterator[Iterator[list[Row]]]:
    """Open a file of ours to read its results, a few at a time, checked."""
    with reporting(path), closing(_open(path)) as connection:
        version = schema.version_of(connection, path)
        if version == 0:
            message = (
                f"{str(path)!r} holds nothing that can be imported. Expected a file "
                "that qelectron-sqlite has written."
            )
            raise StoreError(message)
        schema.check(connection, path, version)  # the results are the same in all
        yield _checked(connection.execute(_READ))


def _open(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _checked(rows: sqlite3.Cursor) -> Iterator[list[Row]]:
    while some := rows.fetchmany(_AT_ONCE):
        kept = [to_kept(Key(*row[:3]), (*row[3:],)) for row in some]
        again = [result_row(one) for one in kept if one is not None]
        yield [row for row in again if row is not None]

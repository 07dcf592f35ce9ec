"""The tables of the file, and how those of an earlier version become them."""

from __future__ import annotations

import functools
import os
import sqlite3
import time
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from typing import Final

from qelectron_core.errors import StoreError
from qelectron_sqlite.connections import BUSY_S, connect
from qelectron_sqlite.problems import reporting

#: Says that a file is ours: "qele".
APPLICATION_ID: Final = 0x71656C65
#: The first SQLite that has all that is used here: STRICT tables and JSON functions.
OLDEST_SQLITE: Final = (3, 38)
_RETRY_S: Final = 0.01

_FIRST: Final = (
    # A row per open store. One whose process has ended counts as none.
    """CREATE TABLE owners (
        id TEXT PRIMARY KEY,
        node TEXT NOT NULL,
        space TEXT NOT NULL,
        pid INTEGER NOT NULL,
        born TEXT NOT NULL,
        beat REAL NOT NULL
    ) STRICT, WITHOUT ROWID""",
    # `circuits` is NULL in a call that is known by its entries only.
    """CREATE TABLE calls (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        executors TEXT NOT NULL,
        circuits INTEGER,
        at REAL NOT NULL,
        process TEXT NOT NULL,
        born TEXT NOT NULL,
        versions TEXT NOT NULL,
        output TEXT
    ) STRICT""",
    "CREATE INDEX calls_at ON calls (at)",
    # Executors as text: few, and long.
    """CREATE TABLE executors (
        number INTEGER PRIMARY KEY,
        shown TEXT NOT NULL UNIQUE
    ) STRICT""",
    """CREATE TABLE entries (
        number INTEGER PRIMARY KEY,
        call INTEGER NOT NULL,
        idx INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        state TEXT NOT NULL,
        executor INTEGER NOT NULL,
        submitted_at REAL NOT NULL,
        started_at REAL,
        finished_at REAL,
        shots INTEGER,
        job_id TEXT NOT NULL,
        job_size INTEGER NOT NULL,
        handle TEXT,
        cost_usd REAL,
        error TEXT,
        metadata TEXT NOT NULL,
        UNIQUE (call, idx, attempt)
    ) STRICT""",
    # Nearly empty, so that it is quickly seen that an attempt was the last one.
    "CREATE INDEX entries_again ON entries (call, idx, attempt) WHERE attempt > 1",
    # Apart from the entries, so that a list of calls does not read them.
    """CREATE TABLE bodies (
        entry INTEGER PRIMARY KEY,
        circuit TEXT,
        value BLOB
    ) STRICT""",
    """CREATE TABLE results (
        number INTEGER PRIMARY KEY,
        pool TEXT NOT NULL,
        shots TEXT NOT NULL,
        draw TEXT NOT NULL,
        n_shots INTEGER NOT NULL,
        executor TEXT NOT NULL,
        job_id TEXT NOT NULL,
        at REAL NOT NULL,
        handle TEXT,
        metadata TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        used_at REAL NOT NULL,
        value BLOB NOT NULL,
        UNIQUE (pool, shots, draw)
    ) STRICT""",
    "CREATE INDEX results_used ON results (used_at, bytes)",
    """CREATE TABLE jobs (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        executor TEXT,
        shown TEXT NOT NULL,
        settings TEXT NOT NULL,
        at REAL NOT NULL,
        handle TEXT
    ) STRICT""",
    """CREATE TABLE job_circuits (
        job TEXT NOT NULL,
        position INTEGER NOT NULL,
        call TEXT NOT NULL,
        idx INTEGER NOT NULL,
        key TEXT,
        claim TEXT,
        circuit TEXT,
        PRIMARY KEY (job, position)
    ) STRICT""",
    "CREATE INDEX job_circuits_call ON job_circuits (call)",
    """CREATE TABLE claims (
        key TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        job TEXT
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX claims_owner ON claims (owner)",
    "CREATE INDEX claims_job ON claims (job) WHERE job IS NOT NULL",
)

_SECOND: Final = (
    # What plugins keep. Names are in UTF-8, as bytes: any text has its place, and the
    # order of Python.
    """CREATE TABLE documents (
        number INTEGER PRIMARY KEY,
        kind BLOB NOT NULL,
        id BLOB NOT NULL,
        part BLOB NOT NULL,
        at REAL NOT NULL,
        owner TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        body BLOB NOT NULL,
        UNIQUE (kind, id, part)
    ) STRICT""",
    "CREATE INDEX documents_recent ON documents (kind, at) WHERE part = x''",
    "CREATE INDEX documents_things ON documents (kind, id, at, bytes)",
    # What was spent of budgets, and what open stores hold for circuits under way.
    """CREATE TABLE spent (
        ledger TEXT NOT NULL,
        unit TEXT NOT NULL,
        amount INTEGER NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (ledger, unit)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE held (
        ledger TEXT NOT NULL,
        owner TEXT NOT NULL,
        unit TEXT NOT NULL,
        amount INTEGER NOT NULL,
        PRIMARY KEY (ledger, owner, unit)
    ) STRICT, WITHOUT ROWID""",
)

#: What makes a file of version n one of version n + 1; released ones never change.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST, _SECOND)
VERSION: Final = len(MIGRATIONS)


def prepare(path: Path) -> None:
    """Make the file, or bring its tables up to date, and check that they are ours.

    Raises:
        StoreError: If that is not possible; says why and what to do.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        message = (
            f"Python was built with SQLite {sqlite3.sqlite_version}, and "
            "qelectron-sqlite needs 3.38 or newer. Use a newer build of Python, or set "
            "QELECTRON_STORE=memory."
        )
        raise StoreError(message)
    with reporting(path):
        _make_file(path)
        with closing(connect(path)) as connection:
            if version_of(connection, path) < VERSION:
                _migrate(connection, path)
            _write_ahead(connection)
            check(connection, path, VERSION)


def _make_file(path: Path) -> None:
    """Make the file and its folders, for nobody but the user.

    One that is there is not opened: closing it would drop all locks of this process on
    it (see "How To Corrupt An SQLite Database File" of SQLite's documentation, 2.2).
    """
    _make_folder(path.parent)
    new = os.O_RDWR | os.O_CREAT | os.O_EXCL
    with suppress(FileExistsError):
        os.close(os.open(os.path.realpath(path), new, 0o600))


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the tables, 0 if there are none.

    Raises:
        StoreError: If they are another program's, or of a newer version.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    owner: int = connection.execute("PRAGMA application_id").fetchone()[0]
    if owner == 0 and version == 0 and not _tables(connection):
        return 0
    if owner != APPLICATION_ID:
        message = (
            f"{str(path)!r} is a database of another program, and is left alone. Set "
            "QELECTRON_STORE to another path."
        )
        raise StoreError(message)
    if version > VERSION:
        message = (
            f"{str(path)!r} was written by a newer qelectron-sqlite (schema {version}, "
            f"this one knows {VERSION}). Upgrade with pip install -U qelectron-sqlite, "
            "or set QELECTRON_STORE to another path."
        )
        raise StoreError(message)
    return version


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    # Only takes effect where nothing has been written yet.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("BEGIN EXCLUSIVE")
    try:
        # Once more: another process may have been quicker.
        apply(connection, version_of(connection, path))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def apply(connection: sqlite3.Connection, version: int) -> None:
    """Turn the tables of a version into those of this one."""
    for statement in chain.from_iterable(MIGRATIONS[version:]):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn to the write-ahead log, which takes the file for a moment.

    SQLite does not wait for it as it does elsewhere, so this does.
    """
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
        else:
            return


def check(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Refuse a file that holds anything but the tables of a version.

    Triggers, views and expressions in a schema are run by whoever opens the file.

    Raises:
        StoreError: If it does; names what is unexpected.
    """
    odd = sorted({name for name, _ in _tables(connection) ^ _expected(version)})
    if odd:
        message = (
            f"{str(path)!r} is not trusted: {', '.join(odd[:5])} in its schema is "
            "missing, changed or not ours. Move it away, or set QELECTRON_STORE to "
            "another path."
        )
        raise StoreError(message)


_STATISTICS: Final = frozenset({"sqlite_stat1", "sqlite_stat4"})


def _tables(connection: sqlite3.Connection) -> frozenset[tuple[str, str]]:
    rows = connection.execute(
        "SELECT name, type || coalesce(sql, '') FROM sqlite_schema"
    )
    # What ANALYZE makes; under such a name a trigger would be ours to run.
    return frozenset(
        (name, sql)
        for name, sql in rows
        if not (name in _STATISTICS and sql.startswith(f"tableCREATE TABLE {name}("))
    )


@functools.cache
def _expected(version: int) -> frozenset[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in chain.from_iterable(MIGRATIONS[:version]):
            connection.execute(statement)
        return _tables(connection)

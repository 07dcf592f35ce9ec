"""Connections to the file: one thread at a time each, and every error reported."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from qelectron_core.errors import StoreError
from qelectron_sqlite.problems import reporting

#: Seconds for which a transaction waits for those of other processes.
BUSY_S: Final = 10.0
#: Bytes to which the write-ahead log is cut when it has been written back.
_LOG_BYTES: Final = 16 * 1024**2
_STATEMENTS: Final = 128


def connect(path: Path, *, lasting: bool = False) -> sqlite3.Connection:
    """Open the file.

    Args:
        path: The file.
        lasting: Whether a transaction is on the disk when it has been committed;
            otherwise the last ones may be lost, whole, when the machine fails.
    """
    connection = sqlite3.connect(
        path,
        timeout=BUSY_S,
        isolation_level=None,  # transactions begin where this code says so
        check_same_thread=False,
        cached_statements=_STATEMENTS,
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"PRAGMA synchronous = {'FULL' if lasting else 'NORMAL'}")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    return connection


class Connection:
    """A connection that is opened at first use."""

    def __init__(self, path: Path, *, lasting: bool = False) -> None:
        """Prepare one; see `connect`."""
        self._path = path
        self._lasting = lasting
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None
        self._closed = False

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read; every statement sees what is there when it begins."""
        with self._lock, reporting(self._path):
            yield self._opened or self._open()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read; all statements see what is there when the first one begins."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Read and write; all of it is kept, or, after an exception, none."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self.reading() as connection:
            try:
                connection.execute(begin)  # Ctrl-C may come when it has just begun
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite may have ended it itself
                    connection.execute("ROLLBACK")
                raise

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            message = f"the store {str(self._path)!r} has been closed. Open it again."
            raise StoreError(message)
        self._opened = connect(self._path, lasting=self._lasting)
        return self._opened

    def close(self) -> None:
        """Close it for good."""
        with self._lock, reporting(self._path):
            self._closed = True
            opened, self._opened = self._opened, None
            if opened is not None:
                opened.close()

"""What went wrong with the file, in words for users."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from qelectron_core.errors import StoreError

_ELSEWHERE: Final = "set QELECTRON_STORE to a path elsewhere"
_DAMAGED: Final = (
    "is damaged, or no SQLite database. Move it away, together with the files of the "
    f"same name that end in -wal and -shm, or {_ELSEWHERE}"
)
#: By SQLite's primary result code, https://www.sqlite.org/rescode.html
_WORDS: Final = {
    sqlite3.SQLITE_READONLY: f"cannot be written. Change its mode, or {_ELSEWHERE}",
    sqlite3.SQLITE_PERM: f"may not be opened. Change its mode, or {_ELSEWHERE}",
    sqlite3.SQLITE_CANTOPEN: (
        f"cannot be opened: is its folder there, and may it be written? If not, "
        f"{_ELSEWHERE}"
    ),
    sqlite3.SQLITE_FULL: (
        "cannot grow: the disk is full. Make room, `qelectron cache prune`, or "
        f"{_ELSEWHERE}"
    ),
    sqlite3.SQLITE_BUSY: (
        "stayed locked by another process for too long. End the process that holds "
        f"it, or {_ELSEWHERE}"
    ),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}


@contextmanager
def reporting(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn every error of SQLite, and of the file system, into a `StoreError`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(_message(path, error)) from error


def _message(path: str | os.PathLike[str], error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    words = None if code is None else _WORDS.get(code & 0xFF)
    if words is None:
        words = f"could not be used. If that persists, move it away, or {_ELSEWHERE}"
    return f"the store {os.fspath(path)!r} {words}. ({type(error).__name__}: {error})"

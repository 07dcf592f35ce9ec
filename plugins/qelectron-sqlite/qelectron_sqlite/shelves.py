"""What plugins keep, in the file: plain bytes, which nobody here looks into."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import attrs

from qelectron_core.store import Document
from qelectron_sqlite.owners import is_alive
from qelectron_sqlite.rows import RESULT_BYTES, Row

_ADD: Final = """
    INSERT INTO documents (kind, id, part, at, owner, bytes, body)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (kind, id, part) DO UPDATE SET
        at = excluded.at, owner = excluded.owner, bytes = excluded.bytes,
        body = excluded.body
"""
_PARTS: Final = """
    SELECT kind, id, body, at, part, owner FROM documents
    WHERE kind = ? AND id = ? ORDER BY part LIMIT ?
"""
_THINGS: Final = """
    SELECT kind, id, body, at, part, owner FROM documents
    WHERE kind = ? AND part = x'' ORDER BY at DESC, number DESC LIMIT ?
"""
_DROP: Final = "DELETE FROM documents WHERE kind = ? AND id = ?"
_OLDEST: Final = """
    SELECT kind, id, max(at) AS last_at, sum(bytes) FROM documents
    GROUP BY kind, id ORDER BY last_at LIMIT ?
"""
_EVERYTHING: Final = -1  # as a limit
#: Things that are deleted at once, so that nobody waits for long.
_MOST_THINGS: Final = 500


@attrs.frozen(eq=False)
class Found:
    """A document as it was read, still to be made into a `Document`."""

    row: Row
    alive: bool


def prepare(documents: Sequence[Document]) -> list[Row]:
    """Return documents as rows, still without an owner."""
    return [
        (*map(_blob, one.place), float(one.at), _size(one), bytes(one.body))
        for one in documents
    ]


def put(connection: sqlite3.Connection, rows: Sequence[Row], owner_id: str) -> None:
    """Write documents; those in the same place are replaced."""
    connection.executemany(_ADD, [(*row[:4], owner_id, *row[4:]) for row in rows])


def size(row: Row) -> int:
    """Return how many bytes a document takes, roughly."""
    count: int = row[4]
    return count


def found(
    connection: sqlite3.Connection, kind: str, id: str | None, limit: int | None
) -> list[Found]:
    """Return all parts of a thing, or the empty part of every thing."""
    most = _EVERYTHING if limit is None else limit
    query, which = (_THINGS, [kind]) if id is None else (_PARTS, [kind, id])
    rows = connection.execute(query, (*map(_blob, which), most)).fetchall()
    alive = {one: is_alive(connection, one) for one in {row[-1] for row in rows}}
    return [Found(row[:-1], alive[row[-1]]) for row in rows]


def to_document(given: Found) -> Document:
    """Return a document as the core knows it."""
    kind, id, body, at, part = given.row
    return Document(_text(kind), _text(id), body, at, _text(part), given.alive)


def drop(connection: sqlite3.Connection, kind: str, id: str) -> int:
    """Delete a thing; return how many parts it had."""
    return connection.execute(_DROP, (_blob(kind), _blob(id))).rowcount


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return how many bytes the documents take, roughly."""
    query = "SELECT coalesce(sum(bytes), 0) FROM documents"
    count: int = connection.execute(query).fetchone()[0]
    return count


def forget(connection: sqlite3.Connection, excess: int, oldest_at: float) -> None:
    """Delete the things that were not written for longest, as a whole.

    Args:
        connection: The file, in a transaction.
        excess: Bytes to make free.
        oldest_at: Those that were last written earlier go anyway.
    """
    gone = []
    for kind, id, at, taken in connection.execute(_OLDEST, (_MOST_THINGS,)):
        if excess <= 0 and at >= oldest_at:
            break
        gone.append((kind, id))
        excess -= taken
    connection.executemany(_DROP, gone)


def _size(document: Document) -> int:
    names = sum(map(len, document.place))
    return RESULT_BYTES + names + len(document.body)


def _blob(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")

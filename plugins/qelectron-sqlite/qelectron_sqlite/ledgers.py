"""What was spent of budgets, in the file: one count for all processes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from typing import Final

from qelectron_core.store import Balance
from qelectron_sqlite.owners import is_alive

_SPENT: Final = "SELECT unit, amount FROM spent WHERE ledger = ?"
_HELD: Final = "SELECT owner, unit, amount FROM held WHERE ledger = ?"
_HOLD: Final = """
    INSERT INTO held (ledger, owner, unit, amount) VALUES (?, ?, ?, ?)
    ON CONFLICT (ledger, owner, unit) DO UPDATE SET amount = amount + excluded.amount
"""
_FREE: Final = """
    UPDATE held SET amount = max(0, amount - ?)
    WHERE ledger = ? AND owner = ? AND unit = ?
"""
_EMPTY: Final = "DELETE FROM held WHERE ledger = ? AND owner = ? AND amount = 0"
_SPEND: Final = """
    INSERT INTO spent (ledger, unit, amount, at) VALUES (?, ?, max(0, ?), ?)
    ON CONFLICT (ledger, unit) DO UPDATE SET
        amount = max(0, amount + ?), at = excluded.at
"""
_FORGET: Final = "DELETE FROM spent WHERE at < ?"


def reserve(
    connection: sqlite3.Connection,
    ledger: str,
    wanted: Mapping[str, int],
    limits: Mapping[str, int],
    owner_id: str,
) -> Balance:
    """Hold amounts for an owner, all of them or none, if they fit."""
    before = balance(connection, ledger, owner_id)
    if not before.allows(wanted, limits):
        return Balance(before.spent, before.held, granted=False)
    rows = [(ledger, owner_id, unit, amount) for unit, amount in wanted.items()]
    connection.executemany(_HOLD, rows)
    held = {
        u: before.held.get(u, 0) + wanted.get(u, 0) for u in {*before.held, *wanted}
    }
    return Balance(before.spent, held)


def settle(
    connection: sqlite3.Connection,
    ledger: str,
    held: Mapping[str, int],
    spent: Mapping[str, int],
    owner_id: str,
) -> None:
    """Give back what an owner holds, and note what was spent."""
    freed = [(amount, ledger, owner_id, unit) for unit, amount in held.items()]
    connection.executemany(_FREE, freed)
    connection.execute(_EMPTY, (ledger, owner_id))
    now = time.time()
    rows = [(ledger, unit, amount, now, amount) for unit, amount in spent.items()]
    connection.executemany(_SPEND, rows)


def balance(connection: sqlite3.Connection, ledger: str, owner_id: str = "") -> Balance:
    """Return what is spent, and what those hold whose process lives.

    Args:
        connection: The file.
        ledger: Whose amounts.
        owner_id: Who is known to live, because it asks.
    """
    spent = dict(connection.execute(_SPENT, (ledger,)).fetchall())
    rows = connection.execute(_HELD, (ledger,)).fetchall()
    owners = {row[0] for row in rows}
    alive = {one: one == owner_id or is_alive(connection, one) for one in owners}
    held: dict[str, int] = {}
    for owner, unit, amount in rows:
        if alive[owner]:
            held[unit] = held.get(unit, 0) + amount
    return Balance(spent, held)


def forget(connection: sqlite3.Connection, oldest_at: float) -> None:
    """Delete what was spent of budgets that were not used since."""
    connection.execute(_FORGET, (oldest_at,))

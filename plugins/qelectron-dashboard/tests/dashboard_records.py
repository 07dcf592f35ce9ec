"""Records as programs keep them, written without running anything."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qelectron_core.store import Call, Entry
from qelectron_sqlite.store import SqliteStore


def call_of(number: int, **options: Any) -> Call:
    """Return a call; the higher its number, the later."""
    given: dict[str, Any] = {
        "id": f"call-{number:06x}-1",
        "name": f"circuit_{number % 17}",
        "executors": "Simulator()",
        "circuits": 1,
        "at": time.time() - 10**6 + number,
        "process": "elsewhere:1",
        "versions": {"python": "3.11.7"},
    }
    return Call(**given | options)


def entry_of(call: Call, index: int = 0, **options: Any) -> Entry:
    """Return the line of a circuit of a call that was completed."""
    given: dict[str, Any] = {
        "call_id": call.id,
        "index": index,
        "state": "completed",
        "executor": call.executors,
        "submitted_at": call.at,
        "started_at": call.at + 0.25,
        "finished_at": call.at + 1,
        "shots": 1000,
        "job_id": f"job-{call.id}",
        "job_size": call.circuits,
    }
    return Entry(**given | options)


def write(store: Path, calls: Iterable[Call], entries: Iterable[Entry]) -> None:
    """Write calls and their lines to a store."""
    opened = SqliteStore(store)
    opened.write([*calls], [*entries])
    opened.close()


def fill(store: Path, number: int) -> None:
    """Write so many calls of a circuit each."""
    calls = [call_of(each) for each in range(number)]
    write(store, calls, map(entry_of, calls))

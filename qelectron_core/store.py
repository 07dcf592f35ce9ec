"""Stores: where the journal of what ran is kept."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

import attrs

from qelectron_core.events import Execution

#: Records that the in-memory journal keeps before it forgets the oldest.
MEMORY_LIMIT: Final = 10_000


@attrs.frozen
class Entry:
    """One line of the journal.

    Attributes:
        call_id: Id of the call (`future.id`).
        index: Position of the circuit among those of the call.
        execution: What became of it.
    """

    call_id: str
    index: int
    execution: Execution


class Store(Protocol):
    """Keeps the journal; what plugin authors implement."""

    def record(self, entry: Entry) -> None:
        """Keep one entry; must be quick and safe from any thread."""

    def entries(self, *, call_id: str | None = None) -> Sequence[Entry]:
        """Return kept entries, oldest first, of one call or of all."""

    def close(self) -> None:
        """Write out what is still pending and free resources."""


class MemoryStore:
    """Keeps the newest entries for the life of the process."""

    def __init__(self, limit: int = MEMORY_LIMIT) -> None:
        """Make an empty store that holds at most `limit` entries."""
        self._entries: deque[Entry] = deque(maxlen=limit)
        self._lock = threading.Lock()

    def record(self, entry: Entry) -> None:
        """Keep one entry, forgetting the oldest when full."""
        with self._lock:
            self._entries.append(entry)

    def entries(self, *, call_id: str | None = None) -> Sequence[Entry]:
        """Return kept entries, oldest first."""
        with self._lock:
            kept = tuple(self._entries)
        return [e for e in kept if call_id is None or e.call_id == call_id]

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

"""Stores: where the journal of what ran is kept."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from qelectron_core.contracts import Executor
from qelectron_core.events import Execution

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

#: Records that the in-memory journal keeps before it forgets the oldest.
MEMORY_LIMIT: Final = 10_000


@attrs.frozen
class Entry:
    """One line of the journal: one attempt to run one circuit, and its end.

    Attributes:
        call_id: Id of the call (`future.id`).
        index: Position of the circuit among those of the call.
        execution: What became of it.
    """

    call_id: str
    index: int
    execution: Execution


@attrs.frozen(eq=False)
class Intent:
    """A job that is about to be submitted to a remote vendor.

    Attributes:
        job_id: The core's id of the job, sent to the vendor as its tag.
        executor: Where it goes.
        circuits: What it holds.
        places: Per circuit, the id of its call and its position in it.
        at: When, in seconds since the epoch.
        handle: What the vendor calls it, once that is known.
    """

    job_id: str
    executor: Executor
    circuits: tuple[QuantumScript, ...]
    places: tuple[tuple[str, int], ...]
    at: float
    handle: str | None = None


class Store:
    """Keeps the journal; what plugin authors implement.

    All methods may be called from any thread.
    """

    #: Whether what it keeps outlives the process. If not, remote jobs are
    #: cancelled when the process ends, because nobody could come back for them.
    durable: ClassVar[bool] = False
    #: Whether no method waits for a disk or a network.
    instant: ClassVar[bool] = False

    def record(self, entry: Entry) -> None:
        """Keep one entry; must return quickly."""
        raise NotImplementedError

    def entries(self, *, call_id: str | None = None) -> Sequence[Entry]:
        """Return kept entries, oldest first, of one call or of all."""
        raise NotImplementedError

    def intend(self, intent: Intent) -> None:
        """Keep that a job is about to be submitted.

        Once this returns, the record must survive whatever the store survives.
        """
        raise NotImplementedError

    def submitted(self, job_id: str, handle: str) -> None:
        """Keep what the vendor calls a job; as lasting as `intend`."""
        raise NotImplementedError

    def ended(self, job_id: str) -> None:
        """Keep that a job needs no more attention: it ended, or was cancelled."""
        raise NotImplementedError

    def jobs(self) -> Sequence[Intent]:
        """Return jobs that were intended and have not ended, oldest first."""
        raise NotImplementedError

    def close(self) -> None:
        """Write out what is still pending and free resources."""


class MemoryStore(Store):
    """Keeps the newest entries for the life of the process."""

    instant: ClassVar[bool] = True

    def __init__(self, limit: int = MEMORY_LIMIT) -> None:
        """Make an empty store that holds at most `limit` entries."""
        self._entries: deque[Entry] = deque(maxlen=limit)
        self._jobs: dict[str, Intent] = {}
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

    def intend(self, intent: Intent) -> None:
        """Keep that a job is about to be submitted."""
        with self._lock:
            self._jobs[intent.job_id] = intent

    def submitted(self, job_id: str, handle: str) -> None:
        """Keep what the vendor calls a job."""
        with self._lock:
            intent = self._jobs.get(job_id)
            if intent is not None:
                self._jobs[job_id] = attrs.evolve(intent, handle=handle)

    def ended(self, job_id: str) -> None:
        """Forget a job."""
        with self._lock:
            self._jobs.pop(job_id, None)

    def jobs(self) -> Sequence[Intent]:
        """Return jobs that have not ended, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._jobs.clear()

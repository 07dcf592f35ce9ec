"""The selector that looks at how busy executors are."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import qelectron_core as ct


class LeastBusy:
    """Take the executor with the fewest circuits in flight and jobs ahead of them.

    What counts is `ct.load`: circuits of the whole process, whichever QElectron they
    belong to, and the vendor's queue. A cluster within the cluster counts with all
    its circuits. Executors that are equally busy take turns.

    Safe from any number of threads. A copy or unpickled instance goes on where
    the original stood.
    """

    def __init__(self) -> None:
        """Start with the first executor."""
        self._next = 0
        self._lock = threading.Lock()

    def __call__(
        self, circuit: Any, executors: Sequence[ct.Executor | ct.QCluster]
    ) -> ct.Executor | ct.QCluster:
        """Return the least busy of the executors."""
        del circuit
        # Asked before the lock is taken, so that nobody waits here for the core's.
        busy = [waiting(member) for member in executors]
        with self._lock:
            return executors[self._take_turn(busy)]

    def __repr__(self) -> str:
        """Show the name."""
        return f"{type(self).__name__}()"

    def __getstate__(self) -> int:
        """Keep the turn; locks do not travel."""
        return self._next

    def __setstate__(self, turn: int) -> None:
        """Go on with the turn."""
        self._next = turn
        self._lock = threading.Lock()

    def _take_turn(self, busy: Sequence[int]) -> int:
        """Return the next place, after the last one taken, with the least load."""
        least, count = min(busy), len(busy)
        places = (place % count for place in range(self._next, self._next + count))
        chosen = next(place for place in places if busy[place] == least)
        self._next = chosen + 1
        return chosen


def waiting(member: ct.Executor | ct.QCluster) -> int:
    """Return how many circuits and jobs are to end before a new circuit runs."""
    load = ct.load(member)
    return load.in_flight + load.ahead

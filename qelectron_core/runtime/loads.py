"""How busy each executor is: what selectors ask."""

from __future__ import annotations

import threading
from collections import Counter

import attrs

from qelectron_core.cluster import Member, QCluster
from qelectron_core.contracts import Executor


@attrs.frozen
class Load:
    """How busy an executor is.

    Attributes:
        in_flight: Circuits of this process that were given to it and have not ended.
        ahead: Jobs that the vendor runs before ours, as last reported; 0 if unknown.
    """

    in_flight: int = 0
    ahead: int = 0

    def __add__(self, other: Load) -> Load:
        """Return the load of two executors together."""
        return Load(self.in_flight + other.in_flight, self.ahead + other.ahead)


class Loads:
    """Counts the circuits that each executor, as the user wrote it, has to run."""

    def __init__(self) -> None:
        self._in_flight: Counter[Executor] = Counter()
        self._ahead: dict[Executor, int] = {}
        self._lock = threading.Lock()

    def add(self, executor: Executor) -> None:
        """Count one circuit more."""
        with self._lock:
            self._in_flight[executor] += 1

    def remove(self, executor: Executor) -> None:
        """Count one circuit less."""
        with self._lock:
            self._in_flight[executor] -= 1
            if self._in_flight[executor] <= 0:
                del self._in_flight[executor]
                self._ahead.pop(executor, None)

    def see_ahead(self, executor: Executor, jobs: int) -> None:
        """Note how many jobs a vendor says it runs before ours."""
        with self._lock:
            if executor in self._in_flight:
                self._ahead[executor] = jobs

    def total(self) -> int:
        """Return how many circuits have not ended, on all executors together."""
        with self._lock:
            return sum(self._in_flight.values())

    def of(self, member: Member) -> Load:
        """Return the load of an executor, or of all executors of a cluster."""
        if isinstance(member, QCluster):
            return sum(map(self.of, member.executors), Load())
        return Load(self._in_flight[member], self._ahead.get(member, 0))

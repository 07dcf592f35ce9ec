"""The selectors that need to know nothing about circuits."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Any, TypeVar

Member = TypeVar("Member")


class Cyclic:
    """Go round: the first executor, the second, …, and the first again.

    Safe from any number of threads. A copy or unpickled instance goes on where
    the original stood.
    """

    def __init__(self) -> None:
        """Start with the first executor."""
        self._next = 0
        self._lock = threading.Lock()

    def __call__(self, circuit: Any, executors: Sequence[Member]) -> Member:
        """Return the executor whose turn it is."""
        del circuit
        with self._lock:
            turn, self._next = self._next, self._next + 1
        return executors[turn % len(executors)]

    def __getstate__(self) -> int:
        """Keep the turn; locks do not travel."""
        return self._next

    def __setstate__(self, turn: int) -> None:
        """Go on with the turn."""
        self._next = turn
        self._lock = threading.Lock()


class Random:
    """Pick any executor, each with the same probability.

    `random.Random` is itself safe from several threads and picklable.
    """

    def __init__(self, seed: int | None = None) -> None:
        """Seed the choice.

        Args:
            seed: Equal seeds give equal sequences; `None` differs every time.
        """
        self._random = random.Random(seed)

    def __call__(self, circuit: Any, executors: Sequence[Member]) -> Member:
        """Return one of the executors."""
        del circuit
        return self._random.choice(executors)

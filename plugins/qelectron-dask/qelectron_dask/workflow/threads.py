"""Runs electrons on threads of this process."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from qelectron_core.runtime.workers import Workers

#: Electrons of one dispatch that run at once, at most: many only wait for circuits.
MOST_AT_ONCE: Final = min(32, (os.cpu_count() or 1) + 4)


class _Pool:
    """Idle threads of this process; a forked child begins without any."""

    workers = Workers()

    @classmethod
    def renew(cls) -> None:
        """Forget threads that did not survive a fork."""
        cls.workers = Workers()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_Pool.renew)


def start_thread(work: Callable[[], None]) -> None:
    """Run something on a thread, which does not keep a program from ending."""
    _Pool.workers.start(work)


class Threads:
    """So many threads at once, at most.

    Every dispatch has its own, so that an electron may dispatch a lattice and wait for
    it.
    """

    def __init__(self, at_once: int = MOST_AT_ONCE) -> None:
        """Use no thread yet."""
        self._at_once = at_once
        self._waiting: deque[Callable[[], None]] = deque()
        self._running = 0
        self._lock = threading.Lock()

    def start(self, work: Callable[[], None]) -> None:
        """Run something on a thread, soon."""
        with self._lock:
            self._waiting.append(work)
            if self._running >= self._at_once:
                return
            self._running += 1
        start_thread(self._work)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running -= 1
                    return
                work = self._waiting.popleft()
            work()

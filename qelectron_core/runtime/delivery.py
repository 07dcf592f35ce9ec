"""Hands results from the event loop to worker threads."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from qelectron_core.runtime.loop import LoopThread

_log: Final = logging.getLogger("qelectron")

#: Seconds for which results gather while a thread is busy with earlier ones.
GATHER_S: Final = 0.02


class Delivery:
    """Calls functions on worker threads, many of them on one.

    What receives a result runs PennyLane's post-processing and the user's own
    callbacks, which may run more circuits and wait for them. So it is not called on
    the event loop, and never waits for a thread that is busy.
    """

    def __init__(self, loop: LoopThread) -> None:
        self._loop = loop
        self._ready: list[Callable[[], None]] = []
        self._scheduled = False
        self._busy = 0

    def put(self, function: Callable[[], None]) -> None:
        """Call a function on a worker thread soon; called on the loop."""
        self._ready.append(function)
        if not self._scheduled:
            self._scheduled = True
            self._loop.soon(GATHER_S if self._busy else 0.0, self._flush)

    def drain(self, timeout_s: float) -> None:
        """Hand over what is ready, and wait until it is; called from other threads."""
        end = time.monotonic() + timeout_s
        self._loop.ask(self._flush)
        while self._loop.ask(lambda: self._busy) and time.monotonic() < end:
            time.sleep(GATHER_S)

    def _flush(self) -> None:
        self._scheduled = False
        ready, self._ready = self._ready, []
        if not ready:
            return
        self._busy += 1
        self._loop.on_worker(partial(self._run, ready))

    def _run(self, functions: Sequence[Callable[[], None]]) -> None:
        for function in functions:
            try:
                function()
            except BaseException:  # of a callback; the others are told all the same
                _log.exception("a result could not be handed over")
        self._loop.try_call(self._rest)

    def _rest(self) -> None:
        self._busy -= 1

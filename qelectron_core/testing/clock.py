"""A clock on which waiting costs nothing."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from qelectron_core.runtime.loop import LoopThread

#: Seconds of real time after which it is looked again whether time may pass.
LOOK_S: Final = 0.001


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that skips idle time instead of waiting for it.

    Its time starts at 0 and passes only when nothing is left to do, no worker
    thread is busy for it, and something is to happen later.
    """

    def __init__(self, thread: LoopThread) -> None:
        """Make the loop of a thread, whose `held` stops the time."""
        self._virtual_s = 0.0
        super().__init__(_Skipping(self, thread))

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._virtual_s

    def skip(self, seconds: float) -> None:
        """Let time pass."""
        self._virtual_s += seconds


class _Skipping(selectors.DefaultSelector):
    """Where the loop would wait for its next timer, lets time pass."""

    def __init__(self, loop: VirtualLoop, thread: LoopThread) -> None:
        super().__init__()
        self._loop = loop
        self._thread = thread

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        while True:
            # Asked first: a worker lets go only after it has delivered, so that what
            # the last one delivered is seen below.
            held = self._thread.held
            events = super().select(LOOK_S if held else 0)
            if events:
                return events
            if not held:
                self._loop.skip(timeout)
                return []


class VirtualClock:
    """What `virtual_clock` yields."""

    def __init__(self) -> None:
        """Make a clock at 0, and a runtime that follows it."""
        from qelectron_core.runtime.runtime import Runtime

        self._loop: VirtualLoop | None = None
        self.runtime = Runtime(make_loop=self._make_loop)

    @property
    def now(self) -> float:
        """Virtual seconds since the clock was made."""
        return 0.0 if self._loop is None else self._loop.time()

    def stopped(self) -> AbstractContextManager[None]:
        """Stop the time for the length of a `with` block.

        What is asked for within the block is asked for at one moment, however
        long it takes to ask. Do not wait for results in it: they never come.
        """
        return self.runtime.loop.holding()

    def _make_loop(self, thread: LoopThread) -> VirtualLoop:
        self._loop = VirtualLoop(thread)
        return self._loop


@contextmanager
def virtual_clock() -> Iterator[VirtualClock]:
    """Let remote executors live in virtual time, for the length of a `with` block.

    Whatever waits on the core's event loop (polls, pauses before retries, deadlines,
    and all of a `FakeCloud`) then takes no real time, in the same order as it would.
    The block has lanes and a journal of its own, which end with it.

    Yields:
        A `VirtualClock`, whose `now` says how many seconds have passed.

    Example:
        >>> from qelectron_core.testing import virtual_clock
        >>> with virtual_clock() as clock:
        ...     clock.now
        0.0
    """
    from qelectron_core.runtime.runtime import use

    clock = VirtualClock()
    with use(clock.runtime):
        yield clock

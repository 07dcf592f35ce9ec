"""The line to a fake vendor: slow, metered, and troubled."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final, TypeVar

from qelectron_core.errors import RateLimitError, TransientError
from qelectron_core.testing.faults import Dice, Trouble

if TYPE_CHECKING:
    from qelectron_core.testing.fakecloud import FakeCloud

T = TypeVar("T")

#: Longest time that a 429 of the fault `rate_limited` asks to wait, in seconds.
LONGEST_WAIT_S: Final = 2.0


class Line:
    """Carries requests to a vendor, and its answers back.

    Attributes:
        requests: How many requests were made of each kind.
    """

    def __init__(self, cloud: FakeCloud, dice: Dice, lock: threading.RLock) -> None:
        """Lay a line to the vendor of a cloud, whose lock protects all it keeps."""
        self.requests: Counter[str] = Counter()
        self._cloud = cloud
        self._dice = dice
        self._lock = lock
        self._clock = _Clock()
        self._meter = _Meter(cloud.requests_per_s)

    async def carry(self, kind: str, tag: str, act: Callable[[float], T]) -> T:
        """Have a request answered, unless trouble comes.

        Args:
            kind: Kind of the request.
            tag: Tag of the job that it is about.
            act: What the vendor does about it, given the time on its clock.
        """
        trouble, random = self._leave(kind, tag)
        await self._travel()
        if trouble == "lost_request":
            raise self._lost(kind)
        try:
            if random and trouble in ("rate_limited", "unavailable"):
                raise self._refusal(kind, trouble, random)
            answer = self._arrive(kind, act)
        finally:
            await self._travel()
        if trouble == "lost_answer":
            raise self._lost(kind)
        return answer

    def says(self, code: int, kind: str, reason: str) -> str:
        """Return the message of an answer that nobody likes."""
        return f"FakeCloud {self._cloud.name!r} answers {kind} with {code}: {reason}"

    def _leave(self, kind: str, tag: str) -> tuple[Trouble | None, Random | None]:
        with self._lock:
            self.requests[kind] += 1
            if not self._cloud.faults.troubles_requests:
                return None, None
            random = self._dice.roll(kind, tag)
        return self._cloud.faults.trouble(random), random

    async def _travel(self) -> None:
        if self._cloud.request_s:
            await asyncio.sleep(self._cloud.request_s / 2)

    def _arrive(self, kind: str, act: Callable[[float], T]) -> T:
        with self._lock:
            now = self._clock.now()
            wait_s = self._meter.take(now)
            if wait_s > 0:
                raise RateLimitError(self.says(429, kind, "too many requests"), wait_s)
            return act(now)

    def _refusal(self, kind: str, trouble: Trouble, random: Random) -> TransientError:
        if trouble == "unavailable":
            return TransientError(self.says(503, kind, "not available now"))
        wait_s = random.random() * LONGEST_WAIT_S
        message = self.says(429, kind, "too many requests")
        return RateLimitError(message, random.choice((wait_s, None)))

    def _lost(self, kind: str) -> ConnectionError:
        name = self._cloud.name
        return ConnectionError(f"connection to FakeCloud {name!r} lost during {kind}")


class _Clock:
    """A vendor's clock: follows that of the running loop, and never goes back.

    Another loop, with another clock, may go on where the first one ended.
    """

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._last = 0.0

    def now(self) -> float:
        time = asyncio.get_running_loop().time()
        self._ahead_s = max(self._ahead_s, self._last - time)
        self._last = time + self._ahead_s
        return self._last


class _Meter:
    """Lets through so many requests per second, and as many at once."""

    def __init__(self, per_s: float | None) -> None:
        self._per_s = per_s
        self._most = max(1.0, per_s or 0.0)
        self._left = self._most
        self._at = 0.0

    def take(self, now: float) -> float:
        """Return the seconds to wait; 0 lets the request through."""
        if self._per_s is None:
            return 0.0
        gained = (now - self._at) * self._per_s
        self._left = min(self._most, self._left + gained)
        self._at = now
        if self._left < 1 - 1e-9:  # who waited as told must not fail by a rounding
            return (1 - self._left) / self._per_s
        self._left = max(0.0, self._left - 1)
        return 0.0

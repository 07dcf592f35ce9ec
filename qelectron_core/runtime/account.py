"""All requests of one account at a vendor: paced and repeated together."""

from __future__ import annotations

import asyncio
import heapq
import inspect
import itertools
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from qelectron_core.errors import RateLimitError, TransientError
from qelectron_core.remote import Polling
from qelectron_core.runtime.loop import LoopThread, in_thread

#: Requests that one account may have under way at once.
REQUESTS: Final = 32
#: Seconds before the first repetition of a request; doubled for each next.
FIRST_PAUSE_S: Final = 0.25
#: Shortest wait for a turn, in seconds: rounding must not make it wait for nothing.
SHORTEST_PAUSE_S: Final = 1e-3

#: No answer now; a request that changes nothing at the vendor may be repeated.
PASSING: Final = (TransientError, ConnectionError, TimeoutError)
#: No answer, and nothing was accepted; any request may be repeated.
NOT_ACCEPTED: Final = (TransientError,)


class Watched(Protocol):
    """A job that is asked for its status now and then."""

    def look(self) -> Coroutine[Any, Any, float | None]:
        """Ask once; return the seconds until the next time, or `None` to end."""


class Account:
    """The requests of all jobs of one account.

    A vendor that counts requests counts those of an account. So all of them wait
    when one is told to, and one poller asks for the status of all jobs. Everything
    here is called on the loop.
    """

    def __init__(self, loop: LoopThread) -> None:
        self._loop = loop
        self._turn = asyncio.Semaphore(REQUESTS)
        self._quiet_until = 0.0
        self._due: list[tuple[float, int, Watched]] = []
        self._order = itertools.count()
        self._ready: deque[Watched] = deque()
        self._looking = 0
        self._alarm: asyncio.TimerHandle | None = None

    async def ask(self, method: Callable[..., Any], *args: Any) -> Any:
        """Call a method of an executor once, when it is its turn.

        Plain methods run on a worker thread.
        """
        async with self._turn:
            while (pause_s := self._quiet_until - self._loop.time()) > 0:
                await asyncio.sleep(max(pause_s, SHORTEST_PAUSE_S))
            try:
                return await call(method, *args)
            except RateLimitError as error:
                self._keep_quiet(error.retry_after_s or FIRST_PAUSE_S)
                raise

    async def ask_until_answered(
        self,
        polling: Polling,
        method: Callable[..., Any],
        *args: Any,
        passing: tuple[type[Exception], ...] = PASSING,
    ) -> Any:
        """Call a method of an executor until it gets an answer.

        Args:
            polling: How long to try, and how often.
            method: What to call.
            *args: What with.
            passing: Errors after which it is called again.

        Raises:
            Exception: What it raised last.
        """
        try:
            return await self.ask(method, *args)
        except passing as error:
            first_pause_s = pause(1, error, polling)
        # Made only now: most requests need no repetition, and it costs more than one.
        from tenacity import AsyncRetrying, retry_if_exception_type

        give_up_at = self._loop.time() + polling.give_up_s
        await asyncio.sleep(first_pause_s)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(passing),
            wait=lambda state: pause(state.attempt_number + 1, _error(state), polling),
            stop=lambda _: self._loop.time() >= give_up_at,
            reraise=True,
        )
        return await retrying(self.ask, method, *args)

    def watch(self, job: Watched, pause_s: float) -> None:
        """Ask for the status of a job after a while, and from then on."""
        due = self._loop.time() + pause_s
        heapq.heappush(self._due, (due, next(self._order), job))
        if self._due[0][2] is job:
            self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        delay_s = max(0.0, self._due[0][0] - self._loop.time())
        self._alarm = self._loop.soon(delay_s, self._wake)

    def _wake(self) -> None:
        self._alarm = None
        now = self._loop.time()
        while self._due and self._due[0][0] <= now:
            self._ready.append(heapq.heappop(self._due)[2])
        for _ in range(min(len(self._ready), REQUESTS - self._looking)):
            self._looking += 1
            self._loop.spawn(self._look())
        if self._due:
            self._set_alarm()

    async def _look(self) -> None:
        """Ask for the status of one job after another, as long as some are due."""
        try:
            while self._ready:
                job = self._ready.popleft()
                pause_s = await job.look()
                if pause_s is not None:
                    self.watch(job, pause_s)
        finally:
            self._looking -= 1

    def _keep_quiet(self, pause_s: float) -> None:
        self._quiet_until = max(self._quiet_until, self._loop.time() + pause_s)


async def call(method: Callable[..., Any], *args: Any) -> Any:
    """Call a method of an executor, plain or `async`.

    Raises:
        Exception: What it raises; never anything that would end the loop.
    """
    try:
        if inspect.iscoroutinefunction(method):
            return await method(*args)
        value = await in_thread(method, *args)
        return await value if inspect.isawaitable(value) else value
    except Exception:
        raise
    except BaseException as error:  # a plugin that calls sys.exit(), say
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
            raise  # it is this call that is cancelled, not something within it
        message = f"it ended with {type(error).__name__}: {error}"
        raise RuntimeError(message) from error


def pause(attempt: int, error: BaseException | None, polling: Polling) -> float:
    """Return the seconds before a request is repeated.

    Doubled from one attempt to the next, and never shorter than the vendor asked.
    """
    backed_off = min(polling.longest_s, FIRST_PAUSE_S * 2 ** min(attempt - 1, 20))
    asked = getattr(error, "retry_after_s", None) or 0.0
    return float(max(asked, backed_off * random.uniform(0.5, 1.0)))


def _error(state: Any) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None

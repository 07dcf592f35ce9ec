"""The event loop on which everything waits that would else need a thread each."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from qelectron_core.runtime.workers import Workers

_log: Final = logging.getLogger("qelectron")
T = TypeVar("T")

#: Longest wait for a loop's answer, in seconds; it is blocked if there is none.
ANSWER_S: Final = 10.0
#: Longest wait, in seconds, for what runs on a loop that is closed.
CLOSING_S: Final = 1.0


class _Current(threading.local):
    """The loop thread that is the running one, if it is one."""

    thread: LoopThread | None = None


_current: Final = _Current()


def _new_loop(thread: LoopThread) -> asyncio.AbstractEventLoop:
    del thread
    return asyncio.new_event_loop()


class LoopThread:
    """An event loop in a thread of its own, started when it is first needed.

    A thread of its own, because a caller may have a running loop already, as in
    Jupyter, and because a caller that waits must not stop the others.

    Attributes:
        held: How many functions run on worker threads on behalf of the loop. A
            clock that skips idle time must stand still meanwhile.
    """

    def __init__(
        self,
        workers: Workers,
        make_loop: Callable[[LoopThread], asyncio.AbstractEventLoop] = _new_loop,
    ) -> None:
        """Take where blocking functions run; start nothing yet."""
        self.held = 0
        self._workers = workers
        self._make_loop = make_loop
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def started(self) -> bool:
        """Whether the thread runs."""
        return self._loop is not None

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop, from any thread.

        Raises:
            RuntimeError: If the loop is closed.
        """
        self._started().call_soon_threadsafe(function, *args)

    def ask(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function on the loop and return what it returns.

        Raises:
            Exception: What the function raises.
            RuntimeError: If the loop is closed.
            TimeoutError: If the loop is blocked.
        """
        if _current.thread is self:
            return function(*args)
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(function(*args))
            except Exception as error:
                answer.set_exception(error)

        self.call(run)
        return answer.result(ANSWER_S)

    def try_call(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop, from any thread, unless it is closed."""
        with suppress(RuntimeError):
            self.call(function, *args)

    def soon(
        self, delay_s: float, function: Callable[[], object]
    ) -> asyncio.TimerHandle:
        """Call a function after a while; called on the loop."""
        return self._started().call_later(delay_s, function)

    def time(self) -> float:
        """Return the loop's time in seconds; it need not be the wall clock's."""
        return self._started().time()

    def later(self, delay_s: float, function: Callable[[], object]) -> Timer:
        """Call a function on the loop after a while, from any thread."""
        timer = Timer(function)
        self.call(lambda: timer.start(self._started(), delay_s))
        return timer

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine; called on the loop. What it raises is logged."""
        task = self._started().create_task(coroutine)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._ended)

    def on_worker(self, function: Callable[[], object]) -> None:
        """Run a function on a worker thread, from any thread; wait for nothing."""
        with self._lock:
            self.held += 1

        def run() -> None:
            try:
                function()
            finally:
                self._release()

        self._workers.start(run)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Hold the loop's time for the length of a `with` block."""
        with self._lock:
            self.held += 1
        try:
            yield
        finally:
            self._release()

    def close(self) -> None:
        """Stop the loop and wait for its thread to end."""
        with self._lock:
            self._closed = True
            loop = self._loop
        if loop is None or self._thread is threading.current_thread():
            return
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        self._loop = None
        loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is not None and (not self._closed or _current.thread is self):
            return self._loop
        with self._lock:
            if self._closed:
                raise RuntimeError("the event loop is closed")
            if self._loop is None:
                loop = self._make_loop(self)
                self._thread = threading.Thread(
                    target=self._run, args=(loop,), name="qelectron-loop", daemon=True
                )
                self._thread.start()
                self._loop = loop
            return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        _current.thread = self
        asyncio.set_event_loop(loop)
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=CLOSING_S))
        loop.run_until_complete(loop.shutdown_asyncgens())

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a remote job's task failed", exc_info=task.exception())

    def _release(self) -> None:
        with self._lock:
            self.held -= 1


class Timer:
    """A call that is to come; safe to cancel from any thread."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function: Callable[[], object] | None = function
        self._handle: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop, delay_s: float) -> None:
        """Start to count; called on the loop."""
        if self._function is not None:
            self._loop = loop
            self._handle = loop.call_later(delay_s, self._fire)

    def cancel(self) -> None:
        """Call nothing any more; a timer that is firing goes on."""
        self._function = None
        if self._handle is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._handle.cancel)

    def _fire(self) -> None:
        function, self._function = self._function, None
        if function is not None:
            function()


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Run a blocking function on a worker thread; called on a `LoopThread`."""
    thread = _current.thread
    if thread is None:
        raise RuntimeError("in_thread() is called on an event loop of qelectron only")
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = function(*args)
        except BaseException as error:
            _tell(loop, _fail, future, error)
        else:
            _tell(loop, _succeed, future, result)

    thread.on_worker(run)
    return await future


def _tell(loop: asyncio.AbstractEventLoop, settle: Any, *args: Any) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(settle, *args)


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if future.done():
        return
    if isinstance(error, (StopIteration, KeyboardInterrupt, SystemExit)):
        # A future refuses the first, and a loop ends at the others.
        error = RuntimeError(f"{type(error).__name__}: {error}")
    future.set_exception(error)

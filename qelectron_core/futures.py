"""Futures of QElectron calls, and how to wait for many of them."""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from qelectron_core.events import Execution
from qelectron_core.runtime import runtime

if TYPE_CHECKING:
    from qelectron_core.runtime.task import Batch


class QFuture(cf.Future[Any]):
    """The future result of one call: a `concurrent.futures.Future`, also awaitable.

    Attributes:
        id: Identifies the call.
    """

    def __init__(self, call_id: str) -> None:
        """Make a future that is pending."""
        super().__init__()
        self.id = call_id
        self._executions: tuple[Execution, ...] = ()
        self._batch: Batch | None = None
        self._in_caller: Callable[[Any], Any] | None = None

    @property
    def executions(self) -> tuple[Execution, ...]:
        """Where, when and how each circuit of the call ran; empty until done."""
        return self._executions

    def result(self, timeout: float | None = None) -> Any:
        """Return what the call returns, waiting for it if need be.

        Args:
            timeout: Longest wait in seconds; `None` waits until it is there.

        Raises:
            TimeoutError: If it is not there in time; the call goes on.
            CancelledError: If the call was cancelled.
            Exception: What the call ended in.
        """
        try:
            value = super().result(timeout)
        except KeyboardInterrupt:
            runtime().cancel()
            raise
        return value if self._in_caller is None else self._in_caller(value)

    def cancel(self) -> bool:
        """Cancel the call unless it is running or done; return whether it was."""
        if not super().cancel():
            return False
        batch = self._batch
        if batch is not None:
            batch.cancelled = True
            runtime().cancel(lambda task: task.batch is batch)
        return True

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait inside an event loop without blocking it."""
        yield from asyncio.wrap_future(self).__await__()
        return self.result()

    # How the road of a call drives its future; not for users.

    def _start(self) -> bool:
        if self.running():
            return True
        try:
            return self.set_running_or_notify_cancel()
        except cf.InvalidStateError:  # another circuit of the call was first
            return self.running()

    def _finish(self, batch: Batch, finish: Callable[[Sequence[Any]], Any]) -> None:
        self._executions = tuple(batch.executions)
        self._batch = None
        if self.cancelled():
            return
        try:
            value = finish(batch.outcome())
        except cf.CancelledError:
            self._dropped()
        except BaseException as error:
            self.set_exception(error)
        else:
            self.set_result(value)

    def _dropped(self) -> None:
        # Its circuits were cancelled under it, by Ctrl-C or shutdown.
        if not super().cancel():
            self.set_exception(cf.CancelledError())

    def __repr__(self) -> str:
        """Show id and state."""
        return f"<QFuture {self.id} {self._state.lower()}>"


def as_completed(
    futures: Iterable[cf.Future[Any]],
    *,
    timeout: float | None = None,
    progress: bool = False,
) -> Iterator[cf.Future[Any]]:
    """Yield futures as they end, whatever their order.

    Ctrl-C cancels those that are still queued.

    Args:
        futures: Futures of `run_later`, or any `concurrent.futures.Future`.
        timeout: Longest wait for all of them, in seconds.
        progress: Whether to show a progress bar.

    Raises:
        TimeoutError: If some are not done in time.
    """
    pending = list(futures)
    with _progress_bar(len(pending), shown=progress) as advance:
        try:
            for future in cf.as_completed(pending, timeout):
                advance()
                yield future
        except KeyboardInterrupt:
            cancel_all(pending)
            raise


def gather(
    *futures: cf.Future[Any] | Iterable[cf.Future[Any]], progress: bool = False
) -> list[Any]:
    """Wait for futures and return their results, in the order given.

    If one fails, those still queued are cancelled and its error is raised.

    Args:
        *futures: Futures, or one list of them.
        progress: Whether to show a progress bar.

    Example:
        >>> import qelectron_core as ct
        >>> ct.gather([])
        []
    """
    flat: list[cf.Future[Any]] = []
    for item in futures:
        flat.extend([item] if isinstance(item, cf.Future) else item)
    try:
        for future in as_completed(set(flat), progress=progress):
            if future.cancelled() or future.exception() is not None:
                break
        return [future.result() for future in flat]
    except BaseException:
        cancel_all(flat)
        raise


def cancel_all(futures: Iterable[cf.Future[Any]]) -> None:
    """Cancel every future that has not started."""
    for future in futures:
        future.cancel()


class _NoBar:
    def __enter__(self) -> Callable[[], None]:
        return lambda: None

    def __exit__(self, *_: object) -> None:
        pass


class _Bar:
    """A rich progress bar over a known number of calls."""

    def __init__(self, total: int) -> None:
        from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn())
        self._progress = Progress(*columns, TimeRemainingColumn())
        self._task = self._progress.add_task("circuits", total=total)

    def __enter__(self) -> Callable[[], None]:
        self._progress.start()
        return lambda: self._progress.advance(self._task)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def _progress_bar(total: int, *, shown: bool) -> _Bar | _NoBar:
    return _Bar(total) if shown else _NoBar()

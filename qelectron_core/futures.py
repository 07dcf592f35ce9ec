"""Futures of QElectron calls, and how to wait for many of them."""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from qelectron_core.events import Execution
from qelectron_core.runtime.runtime import runtime
from qelectron_core.showing import live, table

if TYPE_CHECKING:
    from qelectron_core.runtime.keeper import Keeper
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
        self._keeper: Keeper | None = None
        self._in_caller: Callable[[Any], Any] | None = None
        # Several circuits may start, and a user cancel, at the same moment; what
        # comes first decides. `Future` itself allows only one of them to speak up.
        self._fate: Literal["open", "running", "cancelled"] = "open"
        self._deciding = threading.Lock()

    @property
    def executions(self) -> tuple[Execution, ...]:
        """Where, when and how each circuit of the call ran; empty until done."""
        return self._executions

    @property
    def handles(self) -> tuple[str, ...]:
        """What vendors call the remote jobs of the call, as far as they are known.

        Note them down where a program may be lost: `QElectron.attach` leads back.
        """
        ended = (execution.handle for execution in self._executions)
        keeper = self._keeper
        open_jobs = () if keeper is None else (j.handle for j in keeper.jobs(self.id))
        return tuple(dict.fromkeys(h for h in (*ended, *open_jobs) if h is not None))

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
        cancelled = self._cancel_call()
        runtime().drop_cancelled()
        return cancelled

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait inside an event loop without blocking it."""
        yield from asyncio.wrap_future(self).__await__()
        return self.result()

    # How the road of a call drives its future; not for users.

    def _decide(self, fate: Literal["running", "cancelled"]) -> bool:
        with self._deciding:
            if self._fate != "open":
                return False
            self._fate = fate
            return True

    def _cancel_call(self) -> bool:
        """Cancel the call, and leave its circuits in their queues for now."""
        if not self._decide("cancelled"):
            return self._fate == "cancelled"
        if self._batch is not None:
            self._batch.cancelled = True
        super().cancel()
        self.set_running_or_notify_cancel()  # wakes those who wait for several
        return True

    def _start(self) -> bool:
        if self._decide("running"):
            self.set_running_or_notify_cancel()
        return self._fate == "running"

    def _finish(self, batch: Batch, finish: Callable[[Sequence[Any]], Any]) -> None:
        self._executions = tuple(batch.executions)
        self._batch = None
        if self._fate == "cancelled":
            return
        try:
            value = finish(batch.outcome())
        except cf.CancelledError:
            self._dropped()
        except BaseException as error:
            if self._start():  # a remote call can be cancelled until it is done
                self.set_exception(error)
        else:
            if self._start():
                self.set_result(value)

    def _dropped(self) -> None:
        # Its circuits were cancelled under it, by Ctrl-C or shutdown.
        if not self._cancel_call():
            self.set_exception(cf.CancelledError())

    def _repr_html_(self) -> str:
        """Show where its circuits ran in a notebook, once they have."""
        rows = [
            (
                repr(one.executor),
                one.job_id,
                f"{one.waited_s:.3f}",
                f"{one.duration_s:.3f}",
                one.error or ("cached" if one.cached else "completed"),
            )
            for one in self.executions
        ]
        head = ("executor", "job", "waited, s", "ran, s", "outcome") if rows else ()
        return table(head, rows, f"call {self.id}: {self._state.lower()}")

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
    pending = _futures_in(futures)
    with progress_bar(len(pending), shown=progress) as advance:
        try:
            for future in cf.as_completed(pending, timeout):
                advance()
                yield future
        except KeyboardInterrupt:
            cancel_all(pending)
            raise


def gather(
    *futures: cf.Future[Any] | Iterable[cf.Future[Any]],
    timeout: float | None = None,
    progress: bool = False,
    return_exceptions: bool = False,
) -> list[Any]:
    """Wait for futures and return their results, in the order given.

    If one fails, those still queued are cancelled and its error is raised, unless
    exceptions are asked for.

    Args:
        *futures: Futures, or one list of them.
        timeout: Longest wait for all of them, in seconds; those still queued are
            then cancelled.
        progress: Whether to show a progress bar.
        return_exceptions: Whether a future that fails, or is cancelled, has its
            exception in the place of its result.

    Raises:
        TypeError: If something is not a future.
        TimeoutError: If some are not done in time.

    Example:
        >>> import qelectron_core as ct
        >>> ct.gather([])
        []
    """
    flat = [future for item in futures for future in _futures_in(item)]
    try:
        for future in as_completed(set(flat), timeout=timeout, progress=progress):
            if not return_exceptions:
                future.result()  # raises the first error, whatever its place
        return [_outcome(future, as_value=return_exceptions) for future in flat]
    except BaseException:
        cancel_all(flat)
        raise


def _outcome(future: cf.Future[Any], *, as_value: bool) -> Any:
    try:
        return future.result()
    except Exception as error:
        if as_value:
            return error
        raise


def _futures_in(item: Any) -> list[cf.Future[Any]]:
    found = [item] if isinstance(item, cf.Future) else item
    if isinstance(found, Iterable):
        found = list(found)
        if all(isinstance(future, cf.Future) for future in found):
            return found
    message = (
        f"expected futures, as run_later() returns them, not {item!r}. "
        "A plain call has its result already: there is nothing to wait for."
    )
    raise TypeError(message)


def cancel_all(futures: Iterable[cf.Future[Any]]) -> None:
    """Cancel every future that has not started."""
    for future in futures:
        if isinstance(future, QFuture):
            future._cancel_call()
        else:
            future.cancel()
    runtime().drop_cancelled()  # once: it looks at every queued circuit


@contextmanager
def progress_bar(total: int | None, *, shown: bool) -> Iterator[Callable[[], None]]:
    """Show how many calls of a total, if that is known, are done; yield what counts."""
    if not shown:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn())
    # Not where results are printed, which may go to a file.
    console = Console(stderr=True)
    bar = Progress(*columns, TimeRemainingColumn(), console=console)
    task = bar.add_task("circuits", total=total)
    with live(bar):
        yield lambda: bar.advance(task)
        if total is None:  # now it is known
            bar.update(task, total=bar.tasks[task].completed)

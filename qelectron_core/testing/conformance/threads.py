"""Runs something in several threads at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final, TypeVar

T = TypeVar("T")

#: Seconds between switches of threads while the kit looks for races.
_SWITCH_S: Final = 1e-5


def together(count: int, work: Callable[[int], T]) -> list[T]:
    """Call `work(0)`, `work(1)`, … in threads that start at the same moment.

    Returns:
        What each call returned, in order.

    Raises:
        Exception: What the first call that failed raised.
    """
    gate = threading.Barrier(count)

    def wait_and_work(number: int) -> T:
        gate.wait()
        return work(number)

    with _eager_switching():
        futures = [in_thread(wait_and_work, number) for number in range(count)]
        return [future.result() for future in futures]


def in_thread(work: Callable[..., T], *arguments: object) -> Future[T]:
    """Call something in a thread of its own; one that hangs keeps nobody."""
    future: Future[T] = Future()

    def settle() -> None:
        try:
            future.set_result(work(*arguments))
        except BaseException as error:  # a plugin that calls sys.exit(), say
            future.set_exception(error)

    threading.Thread(target=settle, name="qelectron-check", daemon=True).start()
    return future


@contextmanager
def _eager_switching() -> Iterator[None]:
    """Let Python switch threads often, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)

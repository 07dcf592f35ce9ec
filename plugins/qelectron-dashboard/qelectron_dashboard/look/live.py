"""Keeps what a page shows up to date."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

from nicegui import run, ui

from qelectron_core.errors import QElectronError, StoreError
from qelectron_sqlite.cli.texts import short

T = TypeVar("T")

_log: Final = logging.getLogger("qelectron")
#: Characters of an error that are shown.
_LONGEST: Final = 500

#: Seconds between two looks at the store.
_EVERY_S: Final = 0.7
#: Seconds after which a page that shows what it read first gives up: the store may be
#: locked, or on a slow disk.
PATIENCE_S: Final = 60.0
#: Looking takes at most this share of the time, unless what reads sees to it itself.
_SHARE: Final = 0.2


class Watching(Generic[T]):
    """Reads again and again, away from the loop that serves, and shows what was read.

    It ends with the page: a browser that is closed or slow keeps nobody waiting.
    """

    def __init__(
        self, read: Callable[[], T], show: Callable[[T], None], share: float
    ) -> None:
        self._read = read
        self._show = show
        self._share = share
        self._busy = False
        self._again = False
        self._not_before = 0.0
        self._problem = ui.label().classes("panel wrap").props("role=alert")
        self._problem.visible = False
        ui.timer(_EVERY_S, self._look, immediate=False)

    async def now(self) -> None:
        """Read and show at once."""
        self._not_before = 0.0
        if self._busy:
            self._again = True  # what is being read is of before
            return
        await self._look()

    def next_at_once(self) -> None:
        """Do not count the last look, which took long to import what it needs, say."""
        self._not_before = 0.0

    async def _look(self) -> None:
        if self._busy or time.monotonic() < self._not_before:
            return
        self._busy = True
        began = time.monotonic()
        try:
            found: Any = await run.io_bound(caught, self._read)
        finally:
            self._busy = False
        if self._problem.is_deleted:  # with the page
            return
        took = time.monotonic() - began
        self._not_before = time.monotonic() + took / self._share
        if self._again:
            self._again = False
            await self.now()
        elif isinstance(found, QElectronError):
            self._problem.text, self._problem.visible = str(found), True
        elif found is not None:
            self._problem.visible = False
            self._show(found)


def caught(read: Callable[[], T]) -> T | QElectronError:
    """Return what is read, or why it cannot be."""
    try:
        return read()
    except QElectronError as error:
        return error
    except Exception as error:
        # A fault of ours, or a store that somebody wrote what we do not expect in.
        _log.debug("a page cannot be read", exc_info=True)
        told = short(f"{type(error).__name__}: {error}", _LONGEST)
        return StoreError(f"What is kept here cannot be shown. ({told})")


async def watch(
    read: Callable[[], T], show: Callable[[T], None], *, share: float = _SHARE
) -> Watching[T]:
    """Show a part of a page, and keep it up to date for as long as the page is open.

    Args:
        read: Reads what is to be shown; runs on a thread of its own.
        show: Shows it.
        share: The most of the time that reading takes.
    """
    watching = Watching(read, show, share)
    await watching.now()
    watching.next_at_once()
    return watching


def soon(begin: Callable[[], Awaitable[None]]) -> None:
    """Begin once the page is there: what is read first may take longer than it waits.

    Args:
        begin: Shows what is not there yet.
    """
    ui.timer(0.0, begin, once=True)

"""Requests of other processes to cancel a dispatch."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from qelectron_core import Shelf
from qelectron_dask.workflow.threads import start_thread

if TYPE_CHECKING:
    from qelectron_dask.workflow.dispatches import Live

_shelf: Final = Shelf("qelectron-dask.cancel")
#: Seconds between two looks for requests.
_LOOK_S: Final = 0.5
#: Requests that are looked at: those of dispatches that have ended stay for a while.
_MOST: Final = 100


def ask_to_cancel(dispatch_id: str) -> None:
    """Ask the process that carries out a dispatch to cancel it."""
    _shelf.put(dispatch_id, b"", wait=True)


class _Watcher:
    """Looks for requests as long as this process has dispatches under way."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: in a forked child, nobody looks."""
        self._is_looking = False
        self._lock = threading.Lock()
        self._pause = threading.Event()

    def watch(self, live: Live) -> None:
        """Look for requests, unless that is being done."""
        with self._lock:
            if not self._is_looking and _shelf.durable:
                self._is_looking = True
                start_thread(partial(self._look, live))

    def _look(self, live: Live) -> None:
        while True:
            self._pause.wait(_LOOK_S)
            with self._lock:
                running = {dispatch.id: dispatch for dispatch in live.running()}
                if not running:
                    self._is_looking = False
                    return
            for request in _shelf.recent(_MOST):
                if request.id in running:
                    running[request.id].execution.cancel()
                    _shelf.drop(request.id)


_watcher: Final = _Watcher()
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_watcher.forget)


def watch(live: Live) -> None:
    """Carry out requests for the dispatches of this process."""
    _watcher.watch(live)

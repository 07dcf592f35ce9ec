"""Writes down what becomes of dispatches, a little later and many things together."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Final

from qelectron_core import Shelf
from qelectron_dask.workflow import records
from qelectron_dask.workflow.threads import start_thread

#: Seconds for which changes gather: of an electron that starts and ends meanwhile, only
#: the end is written.
GATHER_S: Final = 0.05

shelf: Final = Shelf(records.KIND)
_log: Final = logging.getLogger("qelectron")


class Recorder:
    """Keeps the last word on each part of each dispatch, and puts it on the shelf.

    What is put must not change afterwards.
    """

    def __init__(self) -> None:
        """Start with nothing to write."""
        self.forget()

    def forget(self) -> None:
        """Begin anew: in a forked child, what is to be written is its parent's."""
        self._latest: dict[tuple[str, str], Callable[[], bytes]] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._pause = threading.Event()
        self._is_running = False

    def put(self, dispatch_id: str, part: str, body: Callable[[], bytes]) -> None:
        """Have one part of a dispatch written.

        Args:
            dispatch_id: The dispatch.
            part: The part.
            body: Returns what is to be written; called once, on another thread.
        """
        with self._lock:
            self._latest[dispatch_id, part] = body
            if self._is_running:
                return
            self._is_running = True
        start_thread(self._write_on)

    def flush(self, *, wait: bool = False) -> None:
        """Write what there is; what cannot be written is logged.

        Args:
            wait: Whether to return only when it is as lasting as the store is.
        """
        with self._writing:
            with self._lock:
                latest, self._latest = self._latest, {}
            documents = [(*place, _made(body)) for place, body in latest.items()]
            try:
                shelf.put_all((one for one in documents if one[-1]), wait=wait)
            except Exception:  # the dispatches go on
                _log.exception("what became of dispatches could not be written down")

    def _write_on(self) -> None:
        while True:
            self._pause.wait(GATHER_S)
            self.flush()
            with self._lock:
                if not self._latest:
                    self._is_running = False
                    return


def _made(body: Callable[[], bytes]) -> bytes:
    """Return a body; nothing if it cannot be made, so that the others are written."""
    try:
        return body()
    except Exception:
        _log.exception("what became of a dispatch could not be written down")
        return b""


recorder: Final = Recorder()
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=recorder.forget)

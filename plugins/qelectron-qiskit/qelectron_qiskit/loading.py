"""Imports Qiskit, in a thread that lives as long as it is used.

Qiskit brings a memory allocator (mimalloc) that belongs to the thread which imports it:
when that one has ended, the first use in a new thread crashes the interpreter (seen
with Qiskit 2.6.2). Workers of a QElectron end, so none of them may import it.
"""

from __future__ import annotations

import importlib
import sys
import threading

_importing = threading.Lock()


def load_qiskit() -> None:
    """Import Qiskit, unless it is imported already.

    In the main thread if this is that; else in one that never ends.
    """
    if "qiskit" in sys.modules and not _importing.locked():
        return
    with _importing:
        if "qiskit" in sys.modules:
            return
        if threading.current_thread() is threading.main_thread():
            importlib.import_module("qiskit")
        else:
            _Keeper().load()


class _Keeper(threading.Thread):
    """Imports Qiskit, and then waits for the end of the process."""

    def __init__(self) -> None:
        super().__init__(name="qiskit-keeper", daemon=True)
        self._loaded = threading.Event()
        self._error: BaseException | None = None

    def load(self) -> None:
        self.start()
        self._loaded.wait()
        if self._error is not None:
            raise self._error

    def run(self) -> None:
        try:
            importlib.import_module("qiskit")
        except BaseException as error:
            self._error = error
        self._loaded.set()
        if self._error is None:
            threading.Event().wait()

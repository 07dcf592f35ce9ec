"""Who may use how many cores: workers, and the threads of BLAS below them."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import threadpoolctl

# What the libraries that compute in parallel read when they are loaded.
_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def usable_cores() -> int:
    """Return how many cores this process may use, at least 1."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def environment(n_threads: int) -> Mapping[str, str]:
    """Return variables that let a new process compute on so many threads.

    A variable that already allows fewer is kept.
    """
    return {name: str(_fewer(os.environ.get(name), n_threads)) for name in _VARIABLES}


def limit_threads(n_threads: int) -> None:
    """Let this whole process compute on so many threads, or fewer as before."""
    for library in threadpoolctl.ThreadpoolController().lib_controllers:
        library.set_num_threads(min(library.num_threads or n_threads, n_threads))


class Sharing:
    """Shares the cores among jobs that compute in this process at once.

    Each job's BLAS would start a thread per core. Two jobs were measured to take up
    to three times as long then as with the cores shared between them. BLAS has one
    limit for the whole process, so it is lowered only while several jobs run, and
    not touched while it is another than was set here: the user has changed it.
    """

    def __init__(self) -> None:
        """Start with no job."""
        self._lock = threading.Lock()
        self._running = 0
        self._lowered: list[_Lowered] = []

    @contextmanager
    def job(self) -> Iterator[None]:
        """Count a job while it runs."""
        self._count(+1)
        try:
            yield
        finally:
            self._count(-1)

    def restart(self) -> None:
        """Forget the jobs of the process that this one was forked from."""
        self._lock = threading.Lock()
        self._running = 0
        self._restore()

    def _count(self, change: int) -> None:
        with self._lock:
            self._running += change
            if self._running > 1:
                self._lower()
            else:
                self._restore()

    def _lower(self) -> None:
        if not self._lowered:
            self._lowered = [_Lowered(library) for library in _libraries()]
        share = max(1, usable_cores() // self._running)
        for library in self._lowered:
            library.set(min(library.before, share))

    def _restore(self) -> None:
        for library in self._lowered:
            library.set(library.before)
        # If somebody holds the limit just now, the end of a later job restores it.
        self._lowered = [library for library in self._lowered if not library.is_back]


class _Lowered:
    """The limit of a library: as it was, and as it was last set here."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.before = self._last = library.get_num_threads()

    @property
    def is_back(self) -> bool:
        """Whether the limit is what it was."""
        return bool(self._library.num_threads == self.before)

    def set(self, n_threads: int) -> None:
        """Set the limit, unless the user has changed it or another thread holds it.

        Newer versions of threadpoolctl listen to one thread only, until that thread
        lets go. Jobs begin and end in many, and the user is to have the limit after.
        """
        library = self._library
        if library.num_threads != self._last:
            return
        if n_threads != self._last:
            library.set_num_threads(n_threads)
            self._last = library.num_threads
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread()


#: The limit of BLAS is one for the process, and so is who lowers it.
sharing: Final = Sharing()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=sharing.restart)


@functools.cache  # PennyLane imports NumPy and SciPy, and looking takes milliseconds
def _libraries() -> list[Any]:
    """Return the libraries whose limit may change while they compute.

    An OpenBLAS with threads of its own, as in the wheels of NumPy and SciPy, reads
    the limit when a product starts. One that is built on OpenMP takes buffers away
    from products that are under way.
    """
    found = threadpoolctl.ThreadpoolController().lib_controllers
    return [
        library
        for library in found
        if library.internal_api == "openblas"
        and library.info().get("threading_layer") == "pthreads"
    ]


def _fewer(value: str | None, n_threads: int) -> int:
    # OMP_NUM_THREADS may be a list, of which the first is for the outermost loops.
    first = (value or "").split(",")[0].strip()
    return min(int(first), n_threads) if first.isdecimal() and int(first) else n_threads

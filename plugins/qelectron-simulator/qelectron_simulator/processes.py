"""Workers in processes of their own."""

from __future__ import annotations

import functools
import signal
from collections.abc import Sequence
from typing import Any

from loky import ProcessPoolExecutor
from loky.process_executor import BrokenProcessPool
from pennylane.tape import QuantumScript

from qelectron_core import ExecutorError, Result, Seed, Settings
from qelectron_simulator.devices import DeviceSpec
from qelectron_simulator.worker import Worker


class ProcessWorker:
    """Runs circuits in one process, started at the first job.

    loky starts the process without forking, which is safe beside threads, and
    carries what is defined in a notebook.
    """

    def __init__(self, spec: DeviceSpec) -> None:
        """Prepare a process; it starts with the first job."""
        self._spec = spec
        self._pool = ProcessPoolExecutor(
            max_workers=1, timeout=None, initializer=_ignore_interrupts
        )

    def run(
        self,
        circuits: Sequence[QuantumScript],
        seeds: Sequence[Seed],
        settings: Settings,
    ) -> list[Result | Exception]:
        """Run circuits; return per circuit its result or what it ended in.

        Raises:
            ExecutorError: If the process died.
        """
        job = self._pool.submit(_run, self._spec, circuits, seeds, settings)
        try:
            results: list[Any] = job.result()
        except BrokenProcessPool as error:
            message = (
                "a worker process died while it ran circuits (killed, or out of "
                "memory). The next call starts a new one; try fewer workers if memory "
                "is short."
            )
            raise ExecutorError(message) from error
        return results

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown(wait=True, kill_workers=True)


def _ignore_interrupts() -> None:
    # Ctrl-C reaches every process of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@functools.lru_cache(maxsize=8)
def _worker(spec: DeviceSpec) -> Worker:
    return Worker(spec)


def _run(
    spec: DeviceSpec,
    circuits: Sequence[QuantumScript],
    seeds: Sequence[Seed],
    settings: Settings,
) -> list[Result | Exception]:
    return _worker(spec).run(circuits, seeds, settings)

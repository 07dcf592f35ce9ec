"""Workers that choose between this process and one of their own."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from typing import Final

from pennylane.tape import QuantumScript

from qelectron_core import Result, Seed, Settings
from qelectron_simulator.devices import DeviceSpec
from qelectron_simulator.parallelism import gains_from_processes
from qelectron_simulator.processes import CannotTravelError, ProcessWorker
from qelectron_simulator.worker import Worker

_log = logging.getLogger("qelectron")

#: Seconds that starting a process takes. Whoever waits as long before paying for it
#: pays at most twice of what would have been best, had the future been known.
PATIENCE_S: Final = 3.0

# Held by the job that has Python's lock for itself, among those that need it all the
# time: it needs no process, and a lone caller's circuits never travel.
_seat: Final = threading.Lock()


def _free_seat() -> None:
    if _seat.locked():  # by a job of the process that this one was forked from
        _seat.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_seat)


class AutoWorker:
    """Runs each job where it is done first: in a thread, or in a process.

    Jobs that gain from processes stay here as long as there is one at a time. Those
    beside it go to this worker's process, once they have spent as much time waiting
    for Python's lock as it takes to start. Results are those of the thread, and so
    are errors: a circuit that fails elsewhere, or cannot travel, is run again here.
    Only of a process that died it is said so: it may have run out of memory.

    Attributes:
        process: Its process, once it has one.
    """

    def __init__(
        self, spec: DeviceSpec, n_threads: int, *, patience_s: float = PATIENCE_S
    ) -> None:
        """Make a worker without a process.

        Args:
            spec: The device.
            n_threads: Threads on which its process may compute.
            patience_s: Seconds of running beside others before it gets a process.
        """
        self._spec = spec
        self._n_threads = n_threads
        self._patience_s = patience_s
        self._thread = Worker(spec)
        self._stays = False
        self.process: ProcessWorker | None = None

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
        if self._stays or not gains_from_processes(self._spec, circuits, settings):
            return self._thread.run(circuits, seeds, settings)
        if not _seat.acquire(blocking=False):
            return self._run_beside(circuits, seeds, settings)
        try:
            return self._thread.run(circuits, seeds, settings)
        finally:
            _seat.release()

    def close(self) -> None:
        """End the process, if there is one."""
        process, self.process = self.process, None
        if process is not None:
            process.close()

    def _run_beside(
        self,
        circuits: Sequence[QuantumScript],
        seeds: Sequence[Seed],
        settings: Settings,
    ) -> list[Result | Exception]:
        process = self.process
        if process is None or not process.is_ready:
            return self._run_waiting(circuits, seeds, settings)
        try:
            results = process.run(circuits, seeds, settings)
        except CannotTravelError:
            _log.debug("circuits stay in this process", exc_info=True)
            self._stays = True
            self.close()
            return self._thread.run(circuits, seeds, settings)
        # Errors lose on the way what was raised from what, and sometimes their type.
        failed = [i for i, r in enumerate(results) if isinstance(r, Exception)]
        again = self._thread.run(
            [circuits[i] for i in failed], [seeds[i] for i in failed], settings
        )
        for place, result in zip(failed, again, strict=True):
            results[place] = result
        return results

    def _run_waiting(
        self,
        circuits: Sequence[QuantumScript],
        seeds: Sequence[Seed],
        settings: Settings,
    ) -> list[Result | Exception]:
        """Run here, and start a process if that has taken long by now."""
        start = time.perf_counter()
        try:
            return self._thread.run(circuits, seeds, settings)
        finally:
            self._patience_s -= time.perf_counter() - start
            if self._patience_s <= 0 and self.process is None:
                self._start()

    def _start(self) -> None:
        self.process = ProcessWorker(self._spec, self._n_threads)
        try:
            self.process.start()
        except OSError:  # a machine without semaphores, say, or without memory
            _log.warning("no process can be started; circuits stay on threads")
            self._stays = True

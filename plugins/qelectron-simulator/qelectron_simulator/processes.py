"""Workers in processes of their own."""

from __future__ import annotations

import functools
import signal
from collections.abc import Sequence
from concurrent.futures import Future
from pickle import PicklingError
from typing import Any

from loky import ProcessPoolExecutor
from loky.process_executor import BrokenProcessPool, TerminatedWorkerError
from pennylane.tape import QuantumScript

from qelectron_core import ExecutorError, Result, Seed, Settings
from qelectron_simulator.cores import environment, limit_threads
from qelectron_simulator.devices import DeviceSpec
from qelectron_simulator.worker import Worker


class CannotTravelError(ExecutorError):
    """Circuits or their results cannot be carried between processes."""


class ProcessWorker:
    """Runs circuits in one process, started at the first job.

    loky starts the process without forking, which is safe beside threads, and
    carries what is defined in a notebook.
    """

    def __init__(self, spec: DeviceSpec, n_threads: int) -> None:
        """Prepare a process; it starts with the first job.

        Args:
            spec: The device.
            n_threads: Threads on which BLAS and OpenMP may compute there.
        """
        self._spec = spec
        self._started: Future[None] | None = None
        self._pool = ProcessPoolExecutor(
            max_workers=1,
            timeout=None,
            initializer=_set_up,
            initargs=(n_threads,),
            # Set before anything is imported there, so that no thread is started.
            env=environment(n_threads),
        )

    def start(self) -> None:
        """Start the process now, without waiting for it."""
        self._started = self._pool.submit(_prepare, self._spec)

    @property
    def is_ready(self) -> bool:
        """Whether the process was started ahead of a job and is there."""
        started = self._started
        if started is None or not started.done() or started.cancelled():
            return False
        return started.exception() is None

    def run(
        self,
        circuits: Sequence[QuantumScript],
        seeds: Sequence[Seed],
        settings: Settings,
    ) -> list[Result | Exception]:
        """Run circuits; return per circuit its result or what it ended in.

        Raises:
            ExecutorError: If the process died.
            CannotTravelError: If the circuits or their results do not pickle.
        """
        try:
            job = self._pool.submit(_run, self._spec, circuits, seeds, settings)
            results: list[Any] = job.result()
        except TerminatedWorkerError as error:
            message = (
                "a worker process died while it ran circuits (killed, or out of "
                "memory). The next call starts a new one; try fewer workers if memory "
                "is short."
            )
            raise ExecutorError(message) from error
        except (PicklingError, BrokenProcessPool) as error:
            message = (
                f"{len(circuits)} circuits or their results could not be carried to "
                f"or from a worker process: {error} Expected operators and errors "
                "that pickle. Use parallel='thread' for these circuits."
            )
            raise CannotTravelError(message) from error
        return results

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown(wait=True, kill_workers=True)


def _set_up(n_threads: int) -> None:
    # Ctrl-C reaches every process of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_threads(n_threads)  # of libraries that do not read the environment


@functools.lru_cache(maxsize=8)
def _worker(spec: DeviceSpec) -> Worker:
    return Worker(spec)


def _prepare(spec: DeviceSpec) -> None:
    _worker(spec)


def _run(
    spec: DeviceSpec,
    circuits: Sequence[QuantumScript],
    seeds: Sequence[Seed],
    settings: Settings,
) -> list[Result | Exception]:
    return _worker(spec).run(circuits, seeds, settings)

"""Executors for tests of `DaskExecutor`; workers import this module, too."""

from __future__ import annotations

import atexit
import functools
import os
import signal
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import attrs

import qelectron_core as ct
from qelectron_core.testing.simulation import simulate
from qelectron_dask.connection import Lease, connect
from qelectron_dask.executor import DaskExecutor

#: Environment variable that holds the token of `Tokened`.
VARIABLE = "DASK_TEST_TOKEN"


@functools.cache
def shared() -> Lease:
    """Keep one local cluster of two workers for all tests of a run."""
    lease = connect(DaskExecutor(Local(), workers=2))
    atexit.register(lease.release)
    return lease


class OddError(Exception):
    """Pickles, and cannot be read again."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@attrs.frozen
class Local(ct.Executor):
    """Compute as `default.qubit` does.

    Attributes:
        fused: How many circuits it likes to get as one.
        latency_s: Seconds that each circuit takes besides.
    """

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(
        seeded=True, broadcasting=True
    )

    fused: int = 64
    latency_s: float = 0.0

    def most_fused(self, circuit: Any) -> int:
        """Return what was asked for."""
        del circuit
        return self.fused

    def run(self, job: ct.Job) -> Sequence[Any]:
        """Compute the results."""
        time.sleep(self.latency_s * len(job))
        return simulate(job.circuits, job.seeds, job.settings)


@attrs.frozen
class Floats(Local):
    """Return Python's numbers for single circuits, as some devices do."""

    def run(self, job: ct.Job) -> Sequence[Any]:
        """Compute the results."""
        results = simulate(job.circuits, job.seeds, job.settings)
        return [one.item() if one.ndim == 0 else one for one in results]


@attrs.frozen
class Alone(Local):
    """Take single circuits only, and say how many came, and in which process."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(seeded=True)

    def open(self) -> list[int]:
        """Count what it was used for."""
        return []

    def run(self, job: ct.Job) -> Sequence[Any]:
        """Compute the results."""
        job.resource.append(len(job))
        facts = {"jobs": len(job.resource), "size": len(job), "pid": os.getpid()}
        return [
            result if isinstance(result, Exception) else ct.Outcome(result, facts)
            for result in simulate(job.circuits, job.seeds, job.settings)
        ]


@attrs.frozen
class Failing(ct.Executor):
    """Fail, in one way or another.

    Attributes:
        how: Which way.
    """

    how: str = "raise"

    def run(self, job: ct.Job) -> Sequence[Any]:
        """Fail."""
        if self.how == "raise":
            raise LookupError("no such backend")
        if self.how == "exit":
            raise SystemExit(3)
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "short":
            return []
        return [self._outcome(number) for number in range(len(job))]

    def _outcome(self, number: int) -> Any:
        if number == 0:
            return 1.0
        return OddError(1, 2) if self.how == "odd" else (one for one in "ab")


@attrs.frozen
class FusedFails(Local):
    """Refuse circuits over arrays, which it said that it takes."""

    def run(self, job: ct.Job) -> Sequence[Any]:
        """Compute the results of single circuits."""
        results = simulate(job.circuits, job.seeds, job.settings)
        return [
            ValueError("an array") if circuit.batch_size else result
            for circuit, result in zip(job.circuits, results, strict=True)
        ]


def _token() -> ct.Secret | None:
    text = os.environ.get(VARIABLE)
    return None if text is None else ct.Secret(text)


@attrs.frozen
class Tokened(ct.Executor):
    """Need a token, which is found in the environment of who runs it."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(computes=False)

    token: ct.Secret | None = attrs.field(factory=_token, repr=False)

    def run(self, job: ct.Job) -> Sequence[Any]:
        """Return 1.0 if the token is the one of the environment here."""
        own = _token()  # makes that of the executor whole, if it is the same
        assert self.token is not None
        text = self.token.reveal()
        return [float(own is not None and own.reveal() == text)] * len(job)

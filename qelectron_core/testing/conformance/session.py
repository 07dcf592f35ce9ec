"""Hands jobs to an executor as a lane does, without a lane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from qelectron_core.contracts import Executor, Job, Outcome, Seed, Settings
from qelectron_core.ids import new_id
from qelectron_core.testing.conformance.reference import shown
from qelectron_core.testing.conformance.rules import RuleBroken, calling, require, told

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

#: Where the random numbers of a kit's jobs come from, unless a rule says otherwise.
ENTROPY: Final = 20_260
_ALONE: Final = "Return the exception of a circuit that fails in its result's place."


class Session:
    """An executor and what its `open` returned."""

    def __init__(self, executor: Executor) -> None:
        """Open the executor, as it is adapted to a device."""
        self.executor = executor
        with calling("open()"):
            self.resource = executor.open()

    def close(self) -> None:
        """Close what was opened."""
        with calling("close(resource)"):
            self.executor.close(self.resource)

    def run(
        self,
        circuits: Sequence[QuantumScript],
        seeds: Sequence[Seed] | None = None,
        settings: Settings | None = None,
    ) -> list[Any]:
        """Run circuits, in as many jobs as the limits ask for.

        Returns:
            Per circuit what the executor returned: a result, an `Outcome` or an
            exception.

        Raises:
            RuleBroken: If it raises, or does not return one entry per circuit.
        """
        if seeds is None:
            seeds = [Seed(ENTROPY, ordinal) for ordinal in range(len(circuits))]
        entries: list[Any] = []
        for part in split(self.executor, circuits):
            job = Job(
                id=new_id("job"),
                circuits=tuple(circuits[part]),
                seeds=tuple(seeds[part]),
                settings=settings or Settings(),
                resource=self.resource,
            )
            entries += counted(self.run_job(job), len(job))
        return entries

    def results(
        self, circuits: Sequence[QuantumScript], seeds: Sequence[Seed] | None = None
    ) -> list[Any]:
        """Run circuits and return their results.

        Raises:
            RuleBroken: If one of them ends in an exception.
        """
        entries = self.run(circuits, seeds)
        pairs = zip(entries, circuits, strict=True)
        return [result_of(entry, circuit) for entry, circuit in pairs]

    def run_job(self, job: Job) -> Any:
        """Return what the executor returns for a job."""
        what = f"run(job) of {len(job)} circuits"
        with calling(what, _ALONE if len(job) else "Return []."):
            return self.executor.run(job)


def result_of(entry: Any, circuit: QuantumScript) -> Any:
    """Return the result in an entry.

    Raises:
        RuleBroken: If there is an exception instead.
    """
    if isinstance(entry, BaseException):
        message = f"a result for {shown(circuit)}"
        hint = "If it cannot run such circuits, let refuse() say so."
        raise RuleBroken(message, told(entry), hint) from entry
    return entry.value if isinstance(entry, Outcome) else entry


def counted(entries: Any, count: int) -> list[Any]:
    """Return the entries of a job of `count` circuits.

    Raises:
        RuleBroken: If there are more or fewer, or it is no sequence.
    """
    is_sequence = hasattr(entries, "__len__") and hasattr(entries, "__iter__")
    require(
        is_sequence and len(entries) == count,
        expected=f"a sequence of {count} entries for {count} circuits",
        seen=f"{len(entries)} entries" if is_sequence else f"{entries!r}",
        hint="Return a list with one entry per circuit, in the order of the circuits.",
    )
    return list(entries)


def split(executor: Executor, circuits: Sequence[QuantumScript]) -> Iterator[slice]:
    """Yield the parts of a list of circuits that the executor's limits let through.

    Without circuits there is one empty part.
    """
    limits, start = executor.limits, 0
    most = limits.circuits_per_job or len(circuits)
    shots = payload = 0
    for index, circuit in enumerate(circuits):
        more_shots = circuit.shots.total_shots or 0
        more_payload = (
            executor.payload_bytes(circuit) if limits.payload_bytes_per_job else 0
        )
        if index > start and (
            index - start >= most
            or _exceeds(shots + more_shots, limits.shots_per_job)
            or _exceeds(payload + more_payload, limits.payload_bytes_per_job)
        ):
            yield slice(start, index)
            start, shots, payload = index, 0, 0
        shots += more_shots
        payload += more_payload
    yield slice(start, len(circuits))


def _exceeds(amount: int, limit: int | None) -> bool:
    return limit is not None and amount > limit

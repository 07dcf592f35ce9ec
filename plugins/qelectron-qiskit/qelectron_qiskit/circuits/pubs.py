"""Rows as PUBs of Qiskit's samplers, and the bits of their results."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np

from qelectron_core import ExecutorError
from qelectron_qiskit.circuits.building import FINAL, MID
from qelectron_qiskit.circuits.compiling import Compiler
from qelectron_qiskit.circuits.experiments import Row
from qelectron_qiskit.circuits.structures import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What one more run of a circuit costs beyond its shots, in shots; a guess.
RUN_COSTS: Final = 100


@attrs.frozen(eq=False)
class Pubs:
    """How rows are laid out as PUBs: one per structure, with a run or more per row.

    A sampler runs everything with one number of shots. So a row with more shots is run
    several times, and what is too many in the end is dropped.

    Attributes:
        rows: The rows.
        shots: Shots of each run.
    """

    rows: tuple[Row, ...]
    shots: int

    @classmethod
    def of(cls, rows: Iterable[Row], most: int | None = None) -> Pubs:
        """Lay out rows, with no more than `most` shots in each run."""
        rows = tuple(rows)
        return cls(rows, shots_per_run([row.shots or 0 for row in rows], most))

    @property
    def n_executions(self) -> int:
        """How many shots are run in all."""
        return self.shots * sum(map(self._n_runs, self.rows))

    def make(self, compiler: Compiler) -> list[Any]:
        """Return the PUBs, with their circuits compiled."""
        pubs: list[Any] = []
        for places in self._groups():
            rows = [self.rows[place] for place in places]
            compiled = compiler.compile(rows[0].structure)
            runs = [self._n_runs(row) for row in rows]
            if compiled.columns:
                values = np.repeat(compiled.values(rows), runs, axis=0)
                pubs.append((compiled.circuit, values))
            else:  # without parameters, a PUB is run once
                pubs.extend([(compiled.circuit,)] * sum(runs))
        return pubs

    def bits(self, results: Iterable[Any]) -> list[NDArray[np.int64]]:
        """Return per row the bits of its shots, mid-circuit ones first.

        Args:
            results: What the sampler returned, one entry per PUB.

        Raises:
            ExecutorError: If these are not the results of these rows.
        """
        found: list[Any] = [None] * len(self.rows)
        rest = iter(results)
        for places in self._groups():
            runs = self._runs_of(places, rest)
            for place in places:
                row = self.rows[place]
                parts = [next(runs) for _ in range(self._n_runs(row))]
                found[place] = np.concatenate(parts)[: row.shots]
        if next(rest, None) is not None:
            raise _mismatch("there are more than were asked for")
        return found

    def _groups(self) -> list[list[int]]:
        """Return the positions of the rows of each structure, the first one first."""
        groups: dict[Structure, list[int]] = {}
        for place, row in enumerate(self.rows):
            groups.setdefault(row.structure, []).append(place)
        return list(groups.values())

    def _n_runs(self, row: Row) -> int:
        return max(1, -(-(row.shots or 0) // self.shots))

    def _runs_of(
        self, places: Sequence[int], results: Iterator[Any]
    ) -> Iterator[NDArray[np.int64]]:
        """Yield the bits of each run of a structure."""
        wanted = sum(self._n_runs(self.rows[place]) for place in places)
        structure = self.rows[places[0]].structure
        while wanted > 0:
            result = next(results, None)
            if result is None:
                raise _mismatch("some are missing")
            runs = _bits(result.data, structure)
            wanted -= len(runs)
            yield from runs
        if wanted:
            raise _mismatch("a circuit was run more often than asked for")


def shots_per_run(shots: Sequence[int], most: int | None = None) -> int:
    """Return the one number of shots for runs of circuits that want different ones.

    Args:
        shots: What each circuit wants.
        most: What a machine takes.

    Example:
        >>> shots_per_run([1000, 1000]), shots_per_run([1000, 3000])
        (1000, 1000)
        >>> shots_per_run([150_000], most=100_000)
        75000
    """
    wanted = Counter(shots)
    candidates = {_part(each, most) for each in (math.gcd(*wanted), *wanted)} - {0}

    def cost(size: int) -> int:
        runs = sum(-(-each // size) * times for each, times in wanted.items())
        return runs * (size + RUN_COSTS)

    return min(sorted(candidates), key=cost, default=1)


def _part(shots: int, most: int | None) -> int:
    """Return the shots of one of as few equal runs as a machine allows."""
    if not most or shots <= most:
        return shots
    return -(-shots // -(-shots // most))


def _bits(data: Any, structure: Structure) -> NDArray[np.int64]:
    """Return the bits of a PUB, shape `(n_runs, n_shots, n_bits)`."""
    registers = [(MID, structure.n_mid), (FINAL, len(structure.measured))]
    try:
        columns = [_unpacked(data[name], size) for name, size in registers if size]
    except (KeyError, ValueError) as error:
        raise _mismatch("they are of other circuits") from error
    bits: NDArray[np.int64] = np.concatenate(columns, axis=-1)
    return bits.reshape(-1, *bits.shape[-2:])


def _unpacked(bits: Any, size: int) -> NDArray[np.int64]:
    """Return the bits of a register, the first one first."""
    if bits.num_bits != size:
        message = f"{bits.num_bits} bits, not {size}"
        raise ValueError(message)
    unpacked = np.unpackbits(bits.array, axis=-1)[..., : -size - 1 : -1]
    return unpacked.astype(np.int64)


def _mismatch(reason: str) -> ExecutorError:
    message = f"the results of a job do not fit its circuits: {reason}."
    return ExecutorError(f"{message} Attach with the circuits that it was sent with.")

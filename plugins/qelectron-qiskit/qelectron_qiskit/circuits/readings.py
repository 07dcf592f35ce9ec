"""What was read of a circuit in one basis: bits of every shot, or probabilities."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import numpy as np
from pennylane.measurements import ExpectationMP, ProbabilityMP, VarianceMP
from pennylane.wires import Wires

from qelectron_core import ExecutorError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Reading(Protocol):
    """What was read of some wires, in the basis that they were rotated to."""

    def parity(self, wires: Sequence[Hashable]) -> float:
        """Return the mean of the product of ±1 over wires."""

    def measure(self, measurement: Any) -> Any:
        """Return the result of a measurement whose basis it is."""


@attrs.frozen(eq=False)
class Samples:
    """The bits of some shots.

    Attributes:
        bits: 0 and 1, shape `(n_shots, n_wires)`.
        wires: The wire of each column.
        counts: Whether each shot counts, shape `(n_shots,)`; `None` if all do.
        n_mid: How many of the wires are mid-circuit measurements; they come first.
    """

    bits: NDArray[np.int64]
    wires: tuple[Hashable, ...]
    counts: NDArray[np.bool_] | None = None
    n_mid: int = 0

    def parity(self, wires: Sequence[Hashable]) -> float:
        """Return the mean over shots of the product of ±1 over wires."""
        columns = [self.wires.index(wire) for wire in wires]
        odd = self._counted()[:, columns].sum(axis=1) & 1
        return float(1 - 2 * odd.mean())

    def measure(self, measurement: Any) -> Any:
        """Return what the bits make of a measurement."""
        # One that names no wires is of all, and of nothing else.
        first = 0 if measurement.wires else self.n_mid
        bits, wires = self._counted()[:, first:], self.wires[first:]
        return measurement.process_samples(bits, Wires(wires))

    def part(self, start: int, end: int) -> Samples:
        """Return some of the shots."""
        counts = None if self.counts is None else self.counts[start:end]
        return Samples(self.bits[start:end], self.wires, counts, self.n_mid)

    def _counted(self) -> NDArray[np.int64]:
        """Return the bits of the shots that count.

        Raises:
            ExecutorError: If there are none.
        """
        if self.counts is None:
            return self.bits
        if not self.counts.any():
            message = (
                "no shot met the condition of a postselection. Ask for more shots, or "
                "postselect what is more likely."
            )
            raise ExecutorError(message)
        return self.bits[self.counts]


@attrs.frozen(eq=False)
class Distribution:
    """The exact probabilities of all bit strings.

    Attributes:
        probabilities: Shape `(2**n_wires,)`, the first wire most significant.
        wires: The wires.
    """

    probabilities: NDArray[np.float64]
    wires: tuple[Hashable, ...]

    def parity(self, wires: Sequence[Hashable]) -> float:
        """Return the expectation value of the product of ±1 over wires."""
        signs: Any = np.ones(1)
        for _ in wires:
            signs = np.kron(signs, (1, -1))
        return float(signs @ self._of(wires))

    def measure(self, measurement: Any) -> Any:
        """Return what the probabilities make of a measurement.

        Raises:
            ExecutorError: If it has no exact result.
        """
        probabilities = self._of(measurement.wires or self.wires)
        if isinstance(measurement, ProbabilityMP):
            return probabilities
        if isinstance(measurement, (ExpectationMP, VarianceMP)):
            values = np.real(measurement.eigvals())
            mean = np.float64(values @ probabilities)
            if isinstance(measurement, ExpectationMP):
                return mean
            return np.float64(values**2 @ probabilities - mean**2)
        message = f"{measurement} has no exact result. Ask for shots."
        raise ExecutorError(message)

    def draw(self, shots: int, seed: int) -> Samples:
        """Draw shots."""
        rng = np.random.default_rng(seed)
        # Rounding leaves sums that differ from 1 by more than NumPy allows.
        total = np.clip(self.probabilities, 0, None)
        drawn = rng.choice(len(total), size=shots, p=total / total.sum())
        places = np.arange(len(self.wires))[::-1]
        return Samples((drawn[:, None] >> places) & 1, self.wires)

    def _of(self, wires: Sequence[Hashable]) -> NDArray[np.float64]:
        """Return the probabilities of the bit strings of some wires, in their order."""
        axes = [self.wires.index(wire) for wire in wires]
        others = [axis for axis in range(len(self.wires)) if axis not in axes]
        tensor = self.probabilities.reshape((2,) * len(self.wires))
        ordered = tensor.transpose(*axes, *others)
        kept: NDArray[np.float64] = ordered.reshape(2 ** len(axes), -1).sum(axis=1)
        return kept

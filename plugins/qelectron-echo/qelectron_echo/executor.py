"""An executor that answers every measurement with one number."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from qelectron_core import Capabilities, Estimate, Executor, Job, Result

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript


@attrs.frozen
class Echo(Executor):
    """Return one number for every measurement; compute nothing.

    For tests, for trying things out, and as the folder to copy for a plugin of
    your own.

    Attributes:
        value: The number returned.
        latency_s: Seconds that every job takes.

    Example:
        >>> import qelectron_core as ct
        >>> ct.executor.Echo(value=0.5)
        Echo(value=0.5)
    """

    capabilities: ClassVar[Capabilities] = Capabilities(computes=False)

    value: float = 0.0
    latency_s: float = 0.0

    def estimate(self, circuits: Sequence[QuantumScript]) -> Estimate:
        """Return that nothing is paid, and how long a job takes."""
        del circuits
        return Estimate(cost_usd=0.0, seconds=self.latency_s)

    def run(self, job: Job) -> Sequence[Result]:
        """Return the number once per measurement of each circuit."""
        time.sleep(self.latency_s)
        return [self._answer(circuit) for circuit in job.circuits]

    def _answer(self, circuit: Any) -> Result:
        values = (self.value,) * len(circuit.measurements)
        one = values[0] if len(values) == 1 else values
        if circuit.shots.has_partitioned_shots:
            return (one,) * circuit.shots.num_copies
        return one

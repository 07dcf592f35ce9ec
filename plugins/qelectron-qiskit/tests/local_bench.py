"""Circuits handed to an executor of this machine as one job, without a QNode."""

from collections.abc import Sequence
from typing import Any

import pennylane as qml
from pennylane.tape import QuantumScript

from qelectron_core import Job, Seed, Settings
from qelectron_qiskit.executor import QiskitExecutor

EXACT = QiskitExecutor(shots=None)
SAMPLED = QiskitExecutor(shots="qnode", seed=7)


def outcomes(
    circuits: Sequence[QuantumScript],
    executor: Any = SAMPLED,
    *,
    ordinals: Sequence[int] | None = None,
    **how: Any,
) -> list[Any]:
    """Return the results of circuits that are run as one job, or their errors."""
    bound = executor.for_device(qml.device("default.qubit"))
    assert [bound.refuse(each) for each in circuits] == [None] * len(circuits)
    numbers = range(len(circuits)) if ordinals is None else ordinals
    seeds = tuple(Seed(5, number) for number in numbers)
    job = Job("job", tuple(circuits), seeds, Settings(**how), bound.open())
    return [getattr(outcome, "value", outcome) for outcome in bound.run(job)]


def results(
    circuits: Sequence[QuantumScript], executor: Any = EXACT, **how: Any
) -> list[Any]:
    """Return the results of circuits that are run as one job.

    Raises:
        Exception: The first error of a circuit.
    """
    found = outcomes(circuits, executor, **how)
    for each in found:
        if isinstance(each, Exception):
            raise each
    return found

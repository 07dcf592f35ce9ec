"""Why a circuit cannot be run, known before it is."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from pennylane.exceptions import DeviceError
from pennylane.measurements import (
    ClassicalShadowMP,
    CountsMP,
    ExpectationMP,
    ProbabilityMP,
    SampleMP,
    ShadowExpvalMP,
    VarianceMP,
)
from pennylane.ops import MidMeasure
from pennylane.tape import QuantumScript

from qelectron_qiskit.circuits.structures import prepare
from qelectron_qiskit.machines import Facts

#: What can be read off the probabilities of outcomes.
FROM_PROBABILITIES: Final = (ExpectationMP, VarianceMP, ProbabilityMP)
#: What can be read off samples.
FROM_SAMPLES: Final = (
    *FROM_PROBABILITIES,
    SampleMP,
    CountsMP,
    ClassicalShadowMP,
    ShadowExpvalMP,
)
#: What only samples can tell.
_SAMPLES_ONLY: Final = (SampleMP, CountsMP, ClassicalShadowMP, ShadowExpvalMP)


def measures_in_the_middle(circuit: QuantumScript) -> bool:
    """Tell whether a circuit holds a mid-circuit measurement."""
    return any(isinstance(op, MidMeasure) for op in circuit.operations)


def postselects(circuit: QuantumScript) -> bool:
    """Tell whether a circuit keeps only shots with some outcome in the middle."""
    return any(getattr(op, "postselect", None) is not None for op in circuit.operations)


def refuse_sampled(circuit: QuantumScript) -> str | None:
    """Return why a circuit cannot be sampled, or `None`."""
    for measurement in circuit.measurements:
        if not isinstance(measurement, FROM_SAMPLES):
            name = type(measurement).__name__
            return f"{name} takes exact results: shots=None on this machine"
        if _has_no_basis(measurement):
            return _no_basis(measurement)
        if isinstance(measurement, ClassicalShadowMP | ShadowExpvalMP) and (
            measures_in_the_middle(circuit)
        ):
            return "classical shadows and mid-circuit measurements do not go together"
    return None


def refuse_exact(circuit: QuantumScript, *, noisy: bool) -> str | None:
    """Return why a circuit has no exact result, or `None`."""
    for measurement in circuit.measurements:
        name = type(measurement).__name__
        if isinstance(measurement, _SAMPLES_ONLY):
            return f"{name} takes shots, and exact results were asked for"
        if noisy and not isinstance(measurement, FROM_PROBABILITIES):
            return f"{name} is not to be had from a machine with noise"
        if noisy and _has_no_basis(measurement):
            return _no_basis(measurement)
    if postselects(circuit):
        return "it postselects, which takes shots"
    if noisy and measures_in_the_middle(circuit):
        return "mid-circuit measurements of a machine with noise take shots"
    return None


def _has_no_basis(measurement: Any) -> bool:
    """Tell whether nobody knows how to rotate to the eigenbasis of an observable."""
    obs = measurement.obs
    if obs is None or obs.pauli_rep is not None:
        return False
    return not obs.has_diagonalizing_gates


def _no_basis(measurement: Any) -> str:
    return f"PennyLane knows no eigenbasis of {measurement.obs.name} to measure in"


def refuse_operators(circuit: QuantumScript) -> str | None:
    """Return which operator has no counterpart in Qiskit, or `None`."""
    try:
        prepare(circuit)
    except DeviceError as error:
        return str(error).rstrip(".")
    return None


def refuse_wide(circuit: QuantumScript, facts: Facts) -> str | None:
    """Return that a machine has too few qubits for a circuit, or `None`."""
    width, most = len(circuit.wires), facts.n_qubits
    if most is None or width <= most:
        return None
    return f"it has {width} wires, and {facts.name} has {most} qubits"


def refuse_dynamic(circuit: QuantumScript, names: Collection[str]) -> str | None:
    """Return what a machine cannot do in the middle of a circuit, or `None`.

    Args:
        circuit: The circuit.
        names: Qiskit's names of what the machine can do.
    """
    if not measures_in_the_middle(circuit):
        return None
    kinds = {type(op).__name__ for op in circuit.operations}
    if "Conditional" in kinds and "if_else" not in names:
        return "its operations depend on measurements, and the machine cannot do that"
    return None

"""The structure of a circuit: all of it but the values of its parameters.

Circuits of equal structure can share what depends on structure alone: checks,
decompositions, transpilation, or one run over an array of parameters.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

import pennylane as qml
from pennylane.ops.op_math import Controlled, Prod, SProd, Sum

# Operators that their class, wires and parameters determine completely. Any other
# may carry settings that cannot be compared, so its circuit has no structure.
_PLAIN_NAMES: Final = """
    Identity PauliX PauliY PauliZ Hadamard S T SX CNOT CZ CY CH SWAP ISWAP SISWAP ECR
    CSWAP CCZ Toffoli RX RY RZ Rot PhaseShift ControlledPhaseShift U1 U2 U3 CRX CRY CRZ
    CRot IsingXX IsingYY IsingZZ IsingXY MultiRZ SingleExcitation SingleExcitationPlus
    SingleExcitationMinus DoubleExcitation OrbitalRotation FermionicSWAP
"""
# Templates that their hyperparameters determine as well, all of them hashable.
_TEMPLATES: Final = frozenset(
    {qml.AngleEmbedding, qml.BasicEntanglerLayers, qml.StronglyEntanglingLayers}
)
PLAIN_OPERATORS: Final = frozenset(getattr(qml, name) for name in _PLAIN_NAMES.split())
_PLAIN_OBSERVABLES: Final = frozenset(
    {qml.Identity, qml.PauliX, qml.PauliY, qml.PauliZ, qml.Hadamard}
)
_PLAIN_MEASUREMENTS: Final = frozenset(
    {
        qml.measurements.ExpectationMP,
        qml.measurements.VarianceMP,
        qml.measurements.ProbabilityMP,
        qml.measurements.StateMP,
        qml.measurements.SampleMP,
        qml.measurements.CountsMP,
    }
)


class _NoStructureError(Exception):
    """A part of a circuit cannot be compared with certainty."""


def structure_of(circuit: qml.tape.QuantumScript) -> Hashable | None:
    """Return what two circuits have in common that differ in parameters only.

    Args:
        circuit: The circuit.

    Returns:
        A hashable key, equal for circuits of equal structure, including the
        shapes of parameters, the measurements with their coefficients, and the
        shots; `None` if the circuit holds something that cannot be compared with
        certainty.
    """
    try:
        operations = [_operator(op) for op in circuit.operations]
        measurements = [_measurement(mp) for mp in circuit.measurements]
    except _NoStructureError:
        return None
    return (tuple(operations), tuple(measurements), circuit.shots)


def _operator(op: Any) -> Hashable:
    kind = type(op)
    if kind in _TEMPLATES:
        settings = tuple(sorted(op.hyperparameters.items()))
        return (kind, op.wires, settings, *map(_shape, op.data))
    if kind not in PLAIN_OPERATORS:
        raise _NoStructureError
    if isinstance(op, Controlled):  # whose `wires` are put together at every call
        return (kind, op.control_wires, op.target_wires, *map(_shape, op.data))
    if op.data:
        return (kind, op.wires, *map(_shape, op.data))
    return (kind, op.wires)


def _shape(value: Any) -> Hashable:
    return () if isinstance(value, (float, int)) else tuple(qml.math.shape(value))


def _measurement(mp: Any) -> Hashable:
    if type(mp) not in _PLAIN_MEASUREMENTS or mp.mv is not None:
        raise _NoStructureError
    if getattr(mp, "_dtype", None) is not None:  # of samples; no public way to ask
        raise _NoStructureError
    if mp.obs is None:
        if mp._eigvals is not None:  # no public way to ask
            raise _NoStructureError
        observable: Hashable = None
    else:
        observable = _observable(mp.obs)
    return (type(mp), observable, mp.wires, getattr(mp, "all_outcomes", None))


def _observable(obs: Any) -> Hashable:
    if type(obs) in _PLAIN_OBSERVABLES:
        return (type(obs), obs.wires)
    if isinstance(obs, SProd):
        return (SProd, _number(obs.scalar), _observable(obs.base))
    if isinstance(obs, (Prod, Sum)):  # LinearCombination is a Sum
        return (type(obs), *map(_observable, obs.operands))
    raise _NoStructureError


def _number(value: Any) -> complex:
    if qml.math.get_interface(value) != "numpy" or qml.math.ndim(value):
        raise _NoStructureError
    return complex(value)

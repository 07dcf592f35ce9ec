"""The structure of a circuit: all of it but the values of its parameters.

Circuits of equal structure can share what depends on structure alone: checks,
decompositions, transpilation, or one run over an array of parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
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
#: Templates that their hyperparameters determine as well, all of them hashable, with
#: the dimensions of their parameter.
TEMPLATES: Final = {
    qml.AngleEmbedding: 1,
    qml.BasicEntanglerLayers: 2,
    qml.StronglyEntanglingLayers: 3,
}
PLAIN_OPERATORS: Final = frozenset(getattr(qml, name) for name in _PLAIN_NAMES.split())
#: Operators that a circuit with a structure is made of.
KNOWN_OPERATORS: Final = PLAIN_OPERATORS | TEMPLATES.keys()
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
        qml.measurements.DensityMatrixMP,
        qml.measurements.PurityMP,
        qml.measurements.VnEntropyMP,
        qml.measurements.MutualInfoMP,
    }
)
# What measurements have besides class, observable and wires.
_MEASUREMENT_OPTIONS: Final = ("all_outcomes", "log_base")


class _NoStructureError(Exception):
    """A part of a circuit cannot be compared with certainty."""


def structure_of(
    circuit: qml.tape.QuantumScript, known: dict[int, Hashable] | None = None
) -> Hashable | None:
    """Return what two circuits have in common that differ in parameters only.

    Args:
        circuit: The circuit.
        known: The parts of operators that were seen before, by their `id`, and is
            filled with new ones: for circuits that share operators, while they live.

    Returns:
        A hashable key, equal for circuits of equal structure, including the
        shapes of parameters, the measurements with their coefficients, and the
        shots; `None` if the circuit holds something that cannot be compared with
        certainty.
    """
    known = {} if known is None else known
    try:
        operations = [_known(op, _operator, known) for op in circuit.operations]
        measured = [_known(mp, _measurement, known) for mp in circuit.measurements]
    except _NoStructureError:
        return None
    return (tuple(operations), tuple(measured), circuit.shots)


def _known(
    part: Any, key: Callable[[Any], Hashable], known: dict[int, Hashable]
) -> Hashable:
    found = known.get(id(part))
    if found is None:
        found = known[id(part)] = key(part)
    return found


def _operator(op: Any) -> Hashable:
    kind = type(op)
    if kind in TEMPLATES:
        settings = tuple(sorted(op.hyperparameters.items()))
        return (kind, op.wires.labels, settings, *map(_shape, op.data))
    if kind not in PLAIN_OPERATORS:
        raise _NoStructureError
    if isinstance(op, Controlled):  # whose `wires` are put together at every call
        labels = (op.control_wires.labels, op.target_wires.labels)
        return (kind, *labels, *map(_shape, op.data))
    if op.data:
        return (kind, op.wires.labels, *map(_shape, op.data))
    return (kind, op.wires.labels)


def _shape(value: Any) -> Hashable:
    if isinstance(value, (float, int)):
        return ()
    shape = getattr(value, "shape", None)  # the quick way, for arrays of all kinds
    return tuple(qml.math.shape(value) if shape is None else shape)


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
    options = (getattr(mp, name, None) for name in _MEASUREMENT_OPTIONS)
    return (type(mp), observable, _measured_wires(mp), *options)


def _measured_wires(mp: Any) -> Hashable:
    if isinstance(mp, qml.measurements.MutualInfoMP):  # of which there are two sets
        return tuple(wires.labels for wires in mp.raw_wires)
    return mp.wires.labels  # type: ignore[no-any-return]


def _observable(obs: Any) -> Hashable:
    if type(obs) in _PLAIN_OBSERVABLES:
        return (type(obs), obs.wires.labels)
    if isinstance(obs, SProd):
        return (SProd, _number(obs.scalar), _observable(obs.base))
    if isinstance(obs, (Prod, Sum)):  # LinearCombination is a Sum
        return (type(obs), *map(_observable, obs.operands))
    raise _NoStructureError


def _number(value: Any) -> complex:
    if qml.math.get_interface(value) != "numpy" or qml.math.ndim(value):
        raise _NoStructureError
    return complex(value)


def with_parameters(op: Any, parameters: Sequence[Any]) -> Any:
    """Return an operator like another one, with parameters of its own.

    Built anew: a copy would keep what PennyLane has worked out of the other one.

    Args:
        op: An operator of a class in `KNOWN_OPERATORS`.
        parameters: Its parameters; arrays over several operators, too.
    """
    return type(op)(*parameters, wires=op.wires, **_settings(op))


def _settings(op: Any) -> dict[str, Any]:
    """Return the arguments that an operator needs besides parameters and wires."""
    if isinstance(op, qml.AngleEmbedding):  # which keeps a class, and takes its letter
        return {"rotation": op.hyperparameters["rotation"].__name__[-1]}
    return dict(op.hyperparameters) if type(op) in TEMPLATES else {}

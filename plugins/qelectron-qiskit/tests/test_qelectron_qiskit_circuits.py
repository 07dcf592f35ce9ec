"""Circuits in Qiskit's hands: what they compute, and what is read of them."""

import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pennylane as qml
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pennylane.tape import QuantumScript
from qiskit.quantum_info import Operator
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError

import qelectron_core as ct
from qelectron_core import Job, Seed, Settings
from qelectron_qiskit.circuits.building import build
from qelectron_qiskit.circuits.gates import DIRECT
from qelectron_qiskit.circuits.structures import prepare
from qelectron_qiskit.executor import QiskitExecutor
from qelectron_qiskit.local import aer

sys.path.insert(0, str(Path(__file__).parent))

from local_bench import EXACT, SAMPLED
from local_bench import results as run

ATOL = 1e-8
A, B, C = 0.37, 1.21, -0.83
rng = np.random.default_rng(0)
STATE = rng.normal(size=8) + 1j * rng.normal(size=8)
STATE /= np.linalg.norm(STATE)
UNITARY = qml.matrix(qml.QFT([0, 1])) @ qml.matrix(qml.RX(A, 0) @ qml.RY(B, 1))
HERMITIAN = np.array([[1, 2 - 1j], [2 + 1j, -0.5]])
WIDE_HERMITIAN = UNITARY + UNITARY.conj().T
HAMILTONIAN = qml.Hamiltonian(
    [0.5, -1.2, 0.3, 2.0],
    [qml.Z(0), qml.X(0) @ qml.Z(1), qml.Y(1), qml.I(0)],
)


def reference(circuits: Sequence[QuantumScript], **how: Any) -> list[Any]:
    device = qml.device("default.qubit", seed=1)
    return list(qml.execute(list(circuits), device, diff_method=None, **how))


def assert_close(found: Any, expected: Any, about: Any = None) -> None:
    if isinstance(expected, tuple):
        assert isinstance(found, tuple), about
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other, about)
        return
    assert np.shape(found) == np.shape(expected), about
    assert np.allclose(found, expected, rtol=0, atol=ATOL), about


def assert_near(circuit: QuantumScript, found: Any, exact: Any) -> None:
    """Fail unless samples are as near to exact results as 5 sigma."""
    single = len(circuit.measurements) == 1
    pairs = zip(*(((found,), (exact,)) if single else (found, exact)), strict=True)
    shots = circuit.shots.total_shots
    for measurement, (one, other) in zip(circuit.measurements, pairs, strict=True):
        scale, sigma = deviation(circuit, measurement, other)
        # A few shots more: rare outcomes are not distributed like Gauss's.
        most = 5 * sigma / np.sqrt(shots) + 10 * scale / shots
        assert np.shape(one) == np.shape(other)
        assert (np.abs(one - other) < most).all(), (circuit.operations, measurement)


def deviation(circuit: QuantumScript, measurement: Any, exact: Any) -> Any:
    """Return the largest value of one shot, and the standard deviation of its law."""
    if isinstance(measurement, qml.measurements.ProbabilityMP):
        return 1.0, np.sqrt(np.clip(exact * (1 - exact), 0, None))
    obs = measurement.obs
    if isinstance(obs, qml.ops.Sum):  # of which each term may be measured apart
        weights = np.abs(obs.terms()[0])
        norms = [np.abs(qml.eigvals(term)).max() for term in obs.terms()[1]]
        scale = sigma = float(weights @ norms)
    else:
        scale = np.abs(qml.eigvals(obs)).max()
        (variance,) = reference([circuit.copy(measurements=[qml.var(obs)], shots=None)])
        sigma = np.sqrt(max(variance, 0))
    if isinstance(measurement, qml.measurements.VarianceMP):
        return scale**2, 3 * scale**2  # the square of a shot, and of the mean
    return scale, sigma


# --- Gates ----------------------------------------------------------------------------

KINDS_OF_GATES: list[Any] = list(DIRECT)
NATIVE: list[Any] = [
    kind(*(A, B, C)[: kind.num_params], wires=range(kind.num_wires or 1))
    for kind in KINDS_OF_GATES
]
PARAMETRISED = [op for op in NATIVE if op.data] + [
    qml.Rot(A, B, C, 0),
    qml.GlobalPhase(A, 0),
    *(
        qml.ctrl(kind(A, 2), [0, 1], control_values=[0, 1])
        for kind in (qml.RX, qml.RY, qml.RZ, qml.PhaseShift)
    ),
    qml.ctrl(qml.RX(A, 1), 0, control_values=[0]),
    qml.CRot(A, B, C, [0, 1]),
    qml.MultiRZ(A, [0, 2, 1]),
    qml.DoubleExcitation(A, [0, 1, 2, 3]),
]
OTHERS: list[Any] = [
    qml.QubitUnitary(UNITARY, [2, 0]),
    qml.Barrier(wires=[0, 1]),
    qml.Identity(0),
    qml.MultiControlledX([0, 1, 2, 3], [1, 0, 1]),
    qml.adjoint(qml.S(1)),
    qml.adjoint(qml.T(1)),
    qml.adjoint(qml.SX(1)),
    qml.adjoint(qml.RX(A, 1)),
    qml.adjoint(qml.Rot(A, B, C, 0)),
    *(
        qml.ctrl(op, [2, 3], control_values=[1, 0])
        for op in (
            *(qml.X(0), qml.Y(0), qml.Z(0), qml.H(0), qml.SX(0), qml.SWAP([0, 1])),
            *(qml.S(0), qml.Rot(A, B, C, 0), qml.GlobalPhase(A)),
        )
    ),
    qml.ctrl(qml.QubitUnitary(UNITARY, [0, 1]), 2),
    qml.QFT([2, 0, 1]),
    qml.adjoint(qml.QFT([2, 0, 1])),
    qml.StronglyEntanglingLayers(rng.random((2, 3, 3)), range(3)),
    qml.BasicEntanglerLayers(rng.random((2, 3)), range(3)),
    qml.pow(qml.X(0), 0.5),
    qml.RX(A, 0) ** 0.5,
    qml.DiagonalQubitUnitary(np.exp(1j * rng.random(4)), [2, 0]),
    qml.PauliRot(A, "XYZ", [2, 1, 0]),
    qml.exp(qml.X(0) @ qml.Z(1), -0.3j),
    qml.evolve(qml.Hermitian(WIDE_HERMITIAN, [0, 1]), 0.4),
    qml.prod(qml.X(0), qml.RY(A, 1)),
    qml.SISWAP([0, 1]),
    qml.PSWAP(A, [0, 2]),
    qml.FermionicSWAP(A, [0, 1]),
    qml.OrbitalRotation(A, [0, 1, 2, 3]),
    qml.QubitCarry([0, 1, 2, 3]),
    qml.Select([qml.X(2), qml.Y(2)], [0]),
    qml.ControlledSequence(qml.RX(0.3, 2), [0, 1]),
    qml.GroverOperator([0, 1, 2]),
    qml.TrotterProduct(qml.dot([0.3, 0.4], [qml.X(0), qml.Z(0) @ qml.Y(1)]), 0.5),
    qml.PCPhase(0.3, 2, [0, 1]),
]
GATES = [*NATIVE, *PARAMETRISED, *OTHERS]


def name_of(op: Any) -> str:
    return str(getattr(op, "name", op))


@pytest.mark.parametrize("op", GATES, ids=name_of)
def test_a_gate_has_the_same_matrix_in_qiskit_global_phase_included(op: Any) -> None:
    circuit = QuantumScript([op])
    structure, params = prepare(circuit).structure()
    made = build(structure).assign_parameters(params).reverse_bits()
    expected = qml.matrix(circuit, wire_order=circuit.wires)
    assert np.allclose(Operator(made).data, expected)


def on_all(op: Any) -> QuantumScript:
    """Return a circuit that applies an operator to a state without any symmetry."""
    wires = sorted({*op.wires, 0, 1})
    turns = [qml.Rot(0.3 + w, 1.1 - w / 5, 0.4 * w, w) for w in wires]
    links = [qml.CRY(0.7, pair) for pair in itertools.pairwise(wires)]
    return QuantumScript([*turns, *links, op], [qml.state()])


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_states_agree_at_every_level_global_phase_included(level: int) -> None:
    circuits = [on_all(op) for op in GATES]
    swapped = [*circuits[0].operations, qml.SWAP([0, 1]), qml.CRX(A, [1, 2])]
    circuits.append(QuantumScript([*swapped, qml.SWAP([2, 0])], [qml.state()]))
    executor = QiskitExecutor(shots=None, optimization_level=level)
    for found, expected, circuit in zip(
        run(circuits, executor), reference(circuits), circuits, strict=True
    ):
        assert_close(found, expected, circuit.operations[-1])


def test_states_agree_through_a_qelectron() -> None:
    def function(number: int) -> Any:
        qml.StatePrep(STATE, wires=["a", 1, "c"])
        op = GATES[number]
        qml.apply(
            qml.map_wires(op, dict(zip(op.wires, ["c", 1, "a", 3], strict=False)))
        )
        return qml.state()

    qnode = qml.QNode(function, qml.device("default.qubit", wires=["a", 1, "c", 3]))
    numbers = range(0, len(GATES), 3)
    found = ct.qelectron(qnode, executors=EXACT).map(numbers)
    for state, number in zip(found, numbers, strict=True):
        assert_close(state, qnode(number), GATES[number])


@pytest.mark.parametrize(
    "operations",
    [
        [qml.StatePrep(STATE, [2, 0, 1])],
        [qml.StatePrep(np.array([1.0, 2, 3]), [1, 0], normalize=True, pad_with=0.3)],
        [qml.AmplitudeEmbedding(np.array([0.6, 0.8j]), [0]), qml.X(1)],
        [qml.BasisState([1, 0, 1], [2, 0, 1])],
        [qml.RX(A, 0), qml.StatePrep(STATE[:4] / np.linalg.norm(STATE[:4]), [1, 2])],
        # Not in |0> any more: what becomes of that, the decomposition decides.
        [qml.RX(A, 0), qml.RY(B, 1), qml.StatePrep(STATE, [1, 0, 2])],
        [qml.X(0), qml.BasisState([1, 1], [0, 1])],
    ],
)
def test_prepared_states_agree(operations: list[Any]) -> None:
    circuits = [QuantumScript(operations, [qml.state()])]
    assert_close(run(circuits), reference(circuits))


def shifted(circuit: QuantumScript) -> list[QuantumScript]:
    """Return circuits of one structure, with other parameters."""
    (*others, op) = circuit.operations
    made = []
    for number in range(3):
        data = [value + 0.4 * number for value in op.data]
        made.append(qml.ops.functions.bind_new_parameters(op, data))
    return [QuantumScript([*others, each], circuit.measurements) for each in made]


def almost_ideal() -> Any:
    """Return a simulator with so little noise that nobody sees it.

    As noise is noise, probabilities are computed, and not the state.
    """
    noise = NoiseModel(basis_gates=["u", "cx", "cp", "rzz"])
    error = 1e-12
    noise.add_all_qubit_readout_error(
        ReadoutError([[1 - error, error], [error, 1 - error]])
    )
    return AerSimulator(noise_model=noise)


def test_every_circuit_of_a_job_gets_its_own_parameters() -> None:
    circuits = [each for op in PARAMETRISED for each in shifted(on_all(op))]
    for found, expected, circuit in zip(
        run(circuits), reference(circuits), circuits, strict=True
    ):
        assert_close(found, expected, circuit.operations[-1])


def batches() -> list[QuantumScript]:
    circuits = [each for op in PARAMETRISED for each in shifted(on_all(op))]
    wires = range(4)
    turned = [[*c.operations, *(qml.H(w) for w in c.wires)] for c in circuits]
    return [QuantumScript(ops, [qml.probs(wires=wires)]) for ops in turned]


@pytest.mark.parametrize("level", [0, 2])
def test_in_a_given_aer_simulator_controlled_rotations_are_right(level: int) -> None:
    given = QiskitExecutor(backend=almost_ideal(), shots=None, optimization_level=level)
    circuits = batches()
    for found, expected, circuit in zip(
        run(circuits, given), reference(circuits), circuits, strict=True
    ):
        assert_close(found, expected, circuit.operations)


def test_aer_still_needs_the_guard_against_its_wrong_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Once this fails, Aer binds parameters right, and `_is_bound_right` can go.
    monkeypatch.setattr(aer, "_is_bound_right", lambda _: True)
    given = QiskitExecutor(backend=almost_ideal(), shots=None)
    circuits = batches()
    pairs = zip(run(circuits, given), reference(circuits), strict=True)
    assert not all(np.allclose(*pair) for pair in pairs)


def test_an_operator_without_counterpart_fails_alone_and_is_named() -> None:
    bad = QuantumScript([qml.DepolarizingChannel(0.1, 0)], [qml.expval(qml.Z(0))])
    good = QuantumScript([qml.RX(A, 0)], [qml.expval(qml.Z(0))])
    bound = EXACT.for_device(qml.device("default.qubit"))
    seeds = (Seed(0, 0), Seed(0, 1))
    failed, fine = bound.run(Job("job", (bad, good), seeds, Settings(), bound.open()))
    assert isinstance(failed, qml.exceptions.DeviceError)
    assert "DepolarizingChannel" in str(failed)
    assert isinstance(fine, ct.Outcome)
    assert fine.value == pytest.approx(np.cos(A))


# --- Any circuit ----------------------------------------------------------------------

WIRES = ["a", 1, "c", -3]
ANGLES = st.floats(-7, 7, allow_nan=False).map(lambda x: round(x, 3))
#: Operators on four wires, of three angles.
MAKERS: list[Callable[..., Any]] = [
    *(
        lambda w, a, kind=kind: kind(*a[: kind.num_params], wires=w[: kind.num_wires])
        for kind in DIRECT
    ),
    lambda w, a: qml.Rot(*a, wires=w[0]),
    lambda w, a: qml.GlobalPhase(a[0], wires=w[0]),
    lambda w, a: qml.QubitUnitary(UNITARY, w[:2]),
    lambda w, a: qml.adjoint(qml.S(w[0])),
    lambda w, a: qml.adjoint(qml.CRot(*a, wires=w[:2])),
    lambda w, a: qml.ctrl(qml.RY(a[0], w[0]), w[1:3], control_values=[0, 1]),
    lambda w, a: qml.ctrl(qml.SWAP(w[:2]), w[2]),
    lambda w, a: qml.MultiControlledX(w, [1, 0, 1]),
    lambda w, a: qml.DoubleExcitation(a[0], w),
    lambda w, a: qml.PauliRot(a[0], "XZY", w[:3]),
    lambda w, a: qml.QFT(w[:3]),
    lambda w, a: qml.StronglyEntanglingLayers(np.array([[a, a[::-1]]]), w[:2]),
    lambda w, a: qml.BasicEntanglerLayers([a], w[:3]),
    lambda w, a: qml.BasisState([1, 0], w[:2]),
    lambda w, a: qml.StatePrep(STATE[:4] / np.linalg.norm(STATE[:4]), w[:2]),
    lambda w, a: qml.IsingXY(a[0], w[:2]) ** 2,
]
OBSERVABLES: list[Callable[..., Any]] = [
    lambda w: qml.Z(w[0]),
    lambda w: qml.X(w[1]) @ qml.Y(w[0]),
    lambda w: 0.3 * qml.Z(w[2]) @ qml.Z(w[0]),
    lambda w: qml.H(w[3]),
    lambda w: qml.H(w[0]) @ qml.X(w[2]),
    lambda w: qml.Hermitian(HERMITIAN, w[1]),
    lambda w: qml.Hermitian(WIDE_HERMITIAN, w[:2]),
    lambda w: qml.Projector([0, 1], w[1:3]),
    lambda w: qml.Projector(np.array([1, 1j]) / np.sqrt(2), [w[2]]),
    lambda w: qml.map_wires(HAMILTONIAN, {0: w[1], 1: w[3]}),
    lambda w: qml.sum(qml.Hermitian(HERMITIAN, w[0]), qml.X(w[1])),
    lambda w: qml.I(w[0]),
]
KINDS: list[Callable[..., Any]] = [
    lambda w, obs: qml.expval(obs),
    lambda w, obs: qml.expval(obs),
    lambda w, obs: qml.var(obs),
    lambda w, obs: qml.probs(op=qml.X(w[1]) @ qml.H(w[2])),
    lambda w, obs: qml.probs(wires=[w[2], w[0]]),
    lambda w, obs: qml.probs(wires=w),
]


@st.composite
def scripts(draw: st.DrawFn) -> QuantumScript:
    orders = st.permutations(WIRES)
    angles = st.lists(ANGLES, min_size=3, max_size=3)
    operations: list[Any] = []
    if draw(st.booleans()):
        operations.append(qml.StatePrep(STATE, draw(orders)[:3]))
    for make in draw(st.lists(st.sampled_from(MAKERS), min_size=1, max_size=8)):
        operations.append(make(draw(orders), draw(angles)))
    measurements = []
    for kind in draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4)):
        wires = draw(orders)
        measurements.append(kind(wires, draw(st.sampled_from(OBSERVABLES))(wires)))
    return QuantumScript(operations, measurements)


@given(job=st.lists(scripts(), min_size=10, max_size=10))
@settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # a failure names its circuit; smaller ones take minutes
    suppress_health_check=list(HealthCheck),
)
def test_any_circuit_equals_default_qubit(job: list[QuantumScript]) -> None:
    exact = reference(job)
    for found, expected, circuit in zip(run(job), exact, job, strict=True):
        assert_close(found, expected, (circuit.operations, circuit.measurements))
    sampled = [circuit.copy(shots=2000) for circuit in job]
    for found, expected, circuit in zip(
        run(sampled, SAMPLED), exact, sampled, strict=True
    ):
        assert_near(circuit, found, expected)


class Half(qml.operation.Operation):
    """A rotation by half of its parameter, known by its decomposition."""

    num_wires = 1
    num_params = 1

    @staticmethod
    def compute_decomposition(*params: Any, wires: Any, **_: Any) -> list[Any]:
        return [qml.RX(params[0] / 2, wires)]


def test_a_template_of_a_users_own_rotation_is_taken_apart_each_time() -> None:
    circuits = [
        QuantumScript(
            [qml.BasicEntanglerLayers([[x, 0.5]], [0, 1], rotation=Half)],
            [qml.expval(qml.Z(0)), qml.expval(qml.Z(1))],
        )
        for x in (0.3, 1.1)
    ]
    for found, expected in zip(run(circuits), reference(circuits), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-8)

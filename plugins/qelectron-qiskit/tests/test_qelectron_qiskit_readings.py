"""What is read of circuits: measurements, in the middle too, seeds, and noise."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pennylane.tape import QuantumScript
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error
from qiskit_ibm_runtime import fake_provider

import qelectron_core as ct
from qelectron_core.testing.conformance.reference import estimates, told_by
from qelectron_qiskit.circuits import compiling
from qelectron_qiskit.circuits.compiling import Compiler
from qelectron_qiskit.circuits.experiments import experiment_of
from qelectron_qiskit.executor import QiskitExecutor

sys.path.insert(0, str(Path(__file__).parent))

from local_bench import EXACT, SAMPLED
from local_bench import outcomes as run

DEADLINE_S = 60
HERMITIAN = np.array([[1, 2 - 1j], [2 + 1j, -0.5]])
HAMILTONIAN = qml.Hamiltonian(
    [0.5, -1.2, 0.3], [qml.Z(0), qml.X(0) @ qml.Z(1), qml.Y(1)]
)


def reference(circuits: Sequence[QuantumScript], **how: Any) -> list[Any]:
    device = qml.device("default.qubit", seed=1)
    return list(qml.execute(list(circuits), device, diff_method=None, **how))


def recorded(function: Callable[..., Any], shots: Any = None) -> QuantumScript:
    circuit: QuantumScript = qml.tape.make_qscript(function)()
    return circuit.copy(shots=shots)


def form(result: Any) -> Any:
    """Return how a result is nested, and of which types and shapes its parts are."""
    if isinstance(result, tuple):
        return tuple(map(form, result))
    if isinstance(result, dict):
        kinds = {(type(key), type(count)) for key, count in result.items()}
        return dict, kinds, {len(key) for key in result if isinstance(key, str)}
    return type(result), getattr(result, "dtype", None), np.shape(result)


# --- Measurements ---------------------------------------------------------------------

OPERATIONS = [
    qml.RX(0.7, 0),
    qml.RY(1.1, 1),
    qml.CNOT([0, 1]),
    qml.RZ(0.4, 1),
    qml.RX(0.3, 1),
]
MEASUREMENTS: list[Any] = [
    qml.expval(qml.Z(0)),
    qml.expval(qml.I(0)),
    qml.expval(HAMILTONIAN),
    qml.expval(qml.Hermitian(HERMITIAN, 1)),
    qml.expval(qml.sum(qml.Hermitian(HERMITIAN, 0), qml.X(1))),
    qml.expval(qml.Projector([0, 1], [0, 1])),
    qml.expval(qml.Projector(np.array([1, 1j]) / np.sqrt(2), [1])),
    qml.expval(qml.H(0) @ qml.X(1)),
    qml.var(qml.X(0) @ qml.Y(1)),
    qml.var(HAMILTONIAN),
    qml.var(qml.Hermitian(HERMITIAN, 1)),
    qml.probs(),
    qml.probs(wires=[1, 0]),
    qml.probs(op=qml.X(0)),
    qml.sample(),
    qml.sample(wires=[1, 0]),
    qml.sample(qml.Z(0)),
    qml.sample(qml.Z(0), dtype="int32"),
    qml.sample(2 * qml.X(0) @ qml.Y(1)),
    qml.sample(qml.Hermitian(HERMITIAN, 0)),
    qml.counts(),
    qml.counts(wires=[0, 1]),
    qml.counts(wires=[0, 1], all_outcomes=True),
    qml.counts(qml.Z(0)),
    qml.counts(qml.X(1), all_outcomes=True),
    qml.classical_shadow([0, 1], seed=3),
    qml.shadow_expval(qml.Z(0) @ qml.X(1), seed=3),
    qml.shadow_expval([qml.Z(0), qml.X(1)], seed=3),
    qml.state(),
    qml.density_matrix([1]),
    qml.purity([0]),
    qml.vn_entropy([0]),
    qml.mutual_info([0], [1]),
]
NEED_SHOTS = ("SampleMP", "CountsMP", "ClassicalShadowMP", "ShadowExpvalMP")
NEED_STATE = ("StateMP", "DensityMatrixMP", "PurityMP", "VnEntropyMP", "MutualInfoMP")


def of_kinds(*left_out: str) -> list[QuantumScript]:
    return [
        QuantumScript(OPERATIONS, [one])
        for one in MEASUREMENTS
        if type(one).__name__ not in left_out
    ]


def test_exact_measurements_have_the_types_and_values_of_default_qubit() -> None:
    circuits = of_kinds(*NEED_SHOTS)
    for found, expected, circuit in zip(
        run(circuits, EXACT), reference(circuits), circuits, strict=True
    ):
        assert form(found) == form(expected), circuit.measurements
        assert np.allclose(found, expected, rtol=0, atol=1e-8), circuit.measurements


@pytest.mark.parametrize("shots", [3000, 1, (300, (2000, 2)), (1, 1)])
def test_sampled_measurements_have_the_types_of_default_qubit(shots: Any) -> None:
    circuits = [each.copy(shots=shots) for each in of_kinds(*NEED_STATE)]
    several = [one.measurements[0] for one in circuits[:12]]
    circuits.append(QuantumScript(OPERATIONS, several, shots=shots))
    for found, expected, circuit in zip(
        run(circuits), reference(circuits), circuits, strict=True
    ):
        if isinstance(circuit.measurements[0], qml.measurements.CountsMP):
            found, expected = _keyed(found), _keyed(expected)
        assert form(found) == form(expected), circuit.measurements


def _keyed(counts: Any) -> Any:
    """Return counts without those that say nothing, in one order."""
    if isinstance(counts, tuple):
        return tuple(map(_keyed, counts))
    return {key: counts[key] for key in sorted(counts, key=str)}


def can_be_estimated(measurement: Any) -> bool:
    """Tell whether PennyLane has the probabilities of what one shot gives."""
    if isinstance(measurement, qml.measurements.VarianceMP):
        return isinstance(measurement.obs, qml.ops.Prod)
    return bool(measurement.wires)


def test_sampled_measurements_are_as_near_as_their_noise_allows() -> None:
    left_out = (*NEED_STATE, "ClassicalShadowMP", "ShadowExpvalMP")
    circuits = [one.copy(shots=20_000) for one in of_kinds(*left_out)]
    circuits = [c for c in circuits if can_be_estimated(*c.measurements)]
    for found, circuit in zip(run(circuits), circuits, strict=True):
        (estimate,), (measurement,) = estimates(circuit), circuit.measurements
        assert not estimate.misses(told_by(measurement, found), 1e-3), measurement


def test_counts_name_all_outcomes_if_asked() -> None:
    kinds = [qml.counts(wires=[0, 1], all_outcomes=each) for each in (False, True)]
    few, all_of_them = run([QuantumScript([qml.X(1)], [one], 10) for one in kinds])
    assert few == {"01": 10}
    assert all_of_them == {"00": 0, "01": 10, "10": 0, "11": 0}


@pytest.mark.parametrize(
    ("measurements", "n_bases"),
    [
        ([qml.expval(qml.Z(0)), qml.expval(qml.Z(0) @ qml.Z(1)), qml.probs([1, 0])], 1),
        ([qml.expval(qml.X(0)), qml.expval(qml.Z(0))], 2),
        ([qml.expval(qml.X(0)), qml.expval(qml.Z(1))], 1),
        ([qml.expval(HAMILTONIAN)], 2),
        ([qml.expval(HAMILTONIAN), qml.var(qml.X(0)), qml.counts(wires=[0])], 2),
        ([qml.expval(qml.sum(*map(qml.X, range(5)), *map(qml.Z, range(5))))], 2),
        ([qml.expval(qml.Hermitian(HERMITIAN, 0)), qml.expval(qml.Z(1))], 1),
        ([qml.expval(qml.Hermitian(HERMITIAN, 0)), qml.expval(qml.Z(0))], 2),
        ([qml.var(qml.Hermitian(HERMITIAN, 0)), qml.expval(qml.Y(1))], 1),
        ([qml.expval(qml.I(0))], 1),
    ],
)
def test_what_commutes_on_each_wire_is_read_in_one_basis(
    measurements: list[Any], n_bases: int
) -> None:
    circuit = QuantumScript(OPERATIONS, measurements, shots=100)
    assert len(experiment_of(circuit).rows) == n_bases


def test_a_shadow_is_right_in_each_of_its_bases() -> None:
    bell = [qml.H("a"), qml.CNOT(["a", 1])]
    shadow = qml.classical_shadow([1, "a"], seed=4)
    (found,) = run([QuantumScript(bell, [shadow], shots=5000)])
    bits, recipes = found
    equal = recipes[:, 0] == recipes[:, 1]
    odd = bits.sum(axis=1) % 2
    for recipe, parity in ((0, 0), (1, 1), (2, 0)):  # of XX, YY and ZZ
        assert (odd[equal & (recipes[:, 0] == recipe)] == parity).all()
    others = odd[~equal].mean()
    assert abs(others - 0.5) < 5 * 0.5 / np.sqrt((~equal).sum())
    shares = np.bincount(recipes.reshape(-1), minlength=3) / recipes.size
    assert np.abs(shares - 1 / 3).max() < 5 * np.sqrt(2 / 9 / recipes.size)


def test_a_shadow_estimates_what_it_should() -> None:
    words = [qml.Z(0), qml.X(1), qml.Z(0) @ qml.Y(1)]
    circuit = QuantumScript(OPERATIONS, [qml.shadow_expval(words, seed=2)], 40_000)
    exact = reference([QuantumScript(OPERATIONS, list(map(qml.expval, words)))])
    (found,) = run([circuit])
    assert np.abs(found - exact[0]).max() < 5 * 3 / np.sqrt(40_000)


def test_what_has_no_eigenbasis_is_refused_with_shots() -> None:
    matrix = qml.SparseHamiltonian(qml.Z(0).sparse_matrix(), [0])
    circuit = QuantumScript([], [qml.expval(matrix)], shots=10)
    reason = SAMPLED.for_device(qml.device("default.qubit")).refuse(circuit)
    assert reason == "PennyLane knows no eigenbasis of SparseHamiltonian to measure in"


@pytest.mark.parametrize(
    ("measurement", "shots", "reason"),
    [
        (qml.state(), 10, "StateMP takes exact results: shots=None on this machine"),
        (qml.sample(), None, "SampleMP takes shots, and exact results were asked for"),
    ],
)
def test_a_measurement_that_does_not_go_with_the_shots_is_refused(
    measurement: Any, shots: Any, reason: str
) -> None:
    circuit = QuantumScript([qml.H(0)], [measurement], shots=shots)
    assert SAMPLED.for_device(qml.device("default.qubit")).refuse(circuit) == reason


def test_more_bits_than_can_be_listed_are_sampled_all_the_same() -> None:
    ghz = [qml.H(0), *(qml.CNOT([w, w + 1]) for w in range(15))]
    kinds = [qml.counts(wires=range(16)), qml.expval(qml.Z(3) @ qml.Z(15))]
    counts, parity = run([QuantumScript(ghz, kinds, shots=4000)])[0]
    assert set(counts) == {"0" * 16, "1" * 16}
    assert abs(counts["0" * 16] - 2000) < 5 * np.sqrt(1000)
    assert parity == 1.0


# --- In the middle of a circuit -------------------------------------------------------


def reset_and_repair() -> Any:
    qml.RX(1.0, 0)
    m = qml.measure(0, reset=True)
    qml.cond(m, qml.RY, qml.RX)(0.7, 1)
    return (
        *(qml.expval(qml.Z(0)), qml.expval(qml.X(1)), qml.probs(wires=[1, 0])),
        *(qml.expval(m), qml.var(m), qml.probs(op=[m])),
    )


def several() -> Any:
    qml.RX(1.2, 0)
    qml.RY(0.8, 1)
    m, n = qml.measure(0), qml.measure(1)
    qml.cond(m + n == 1, qml.RY)(0.4, 2)
    qml.cond(m & ~n, qml.X)(0)
    qml.cond(2 * m + n > 1, qml.CRX)(0.9, [0, 2])
    qml.cond(m == 3, qml.RX)(0.9, 2)
    qml.cond(n < 5, qml.adjoint(qml.S(1)).__class__)(qml.S(2))
    return (
        *(qml.probs(wires=[2, 0]), qml.expval(qml.Y(2)), qml.probs(op=[n, m])),
        *(qml.expval(2 * m - n), qml.var(m + n)),
    )


def templates() -> Any:
    qml.H(0)
    m = qml.measure(0)
    qml.RY(0.4, 1)
    qml.cond(m, qml.QFT)([1, 2])
    qml.cond(m, qml.StronglyEntanglingLayers)(np.ones((1, 2, 3)), [1, 2])
    qml.cond(m, qml.Rot)(0.1, 0.2, 0.3, 1)
    qml.cond(m, qml.GlobalPhase)(0.3, wires=1)
    qml.cond(m, qml.Identity)(2)
    qml.cond(m, qml.QubitUnitary)(np.array([[0, 1], [1, 0]]), 2)
    return qml.probs(wires=[1, 2]), qml.expval(qml.X(0) @ qml.X(1))


def postselected() -> Any:
    qml.RX(1.9, 0)
    m = qml.measure(0, postselect=1)
    qml.RY(0.5, 0)
    qml.CRX(0.3, [0, 1])
    n = qml.measure(1)
    return qml.expval(qml.Z(0)), qml.probs(wires=[1]), qml.expval(n), qml.probs(op=[m])


MIDDLE = [reset_and_repair, several, templates, postselected]


@pytest.mark.parametrize("method", [None, "one-shot", "deferred"])
@pytest.mark.parametrize("function", MIDDLE[:3])
def test_measured_in_the_middle_samples_estimate_what_they_should(
    function: Any, method: Any
) -> None:
    (found,) = run([recorded(function, 20_000)], mcm_method=method)
    (expected,) = reference([recorded(function)], mcm_method="deferred")
    for one, other in zip(found, expected, strict=True):
        assert np.shape(one) == np.shape(other)
        # No value lies outside [-1, 2], nor does a variance of one exceed 2.25.
        assert np.abs(one - other).max() < 5 * 1.5 / np.sqrt(20_000)


def test_postselected_samples_estimate_what_they_should() -> None:
    (found,) = run([recorded(postselected, 20_000)])
    (expected,) = reference([recorded(postselected)], mcm_method="deferred")
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one - other).max() < 5 / np.sqrt(20_000 * np.sin(0.95) ** 2)


@pytest.mark.parametrize("function", MIDDLE[:3])
def test_measured_in_the_middle_exact_results_are_those_of_deferral(
    function: Any,
) -> None:
    found = run([recorded(function)], EXACT)[0]
    (expected,) = reference([recorded(function)], mcm_method="deferred")
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one, other, rtol=0, atol=1e-8)


@pytest.mark.parametrize("shots", [200, (100, 150)])
def test_measured_values_are_formed_as_by_default_qubit(shots: Any) -> None:
    def function() -> Any:
        qml.X(0)
        m, n = qml.measure(0), qml.measure(1)
        return (
            *(qml.sample(m), qml.sample([m, n]), qml.sample(2 * m + n)),
            *(qml.counts(m), qml.counts([m, n]), qml.counts(m + n)),
            *(qml.counts([m, n], all_outcomes=True), qml.counts(wires=[0, 1])),
            *(qml.expval(m), qml.var(m - n), qml.probs(op=[m, n])),
            *(qml.sample(wires=[1, 0]), qml.probs(), qml.counts(), qml.sample()),
        )

    circuit = recorded(function, shots)
    (found,) = run([circuit])
    (expected,) = reference([circuit], mcm_method="one-shot")
    for one, other in zip(_flat(found), _flat(expected), strict=True):
        if isinstance(other, dict):
            assert {str(float(k)): n for k, n in one.items()} == {
                str(float(k)): n for k, n in other.items()
            }
        else:
            assert np.shape(one) == np.shape(other)
            assert np.array_equal(one, other)


def _flat(result: Any) -> list[Any]:
    if isinstance(result, tuple):
        return [leaf for part in result for leaf in _flat(part)]
    return [result]


def test_each_part_of_a_shot_vector_is_postselected_by_itself() -> None:
    def function() -> Any:
        qml.H(0)
        qml.measure(0, postselect=1)
        return qml.sample(wires=[0]), qml.expval(qml.Z(0))

    (parts,) = run([recorded(function, (400, 100, 400))])
    for (kept, mean), shots in zip(parts, (400, 100, 400), strict=True):
        assert abs(len(kept) - shots / 2) < 5 * np.sqrt(shots) / 2
        assert kept.all()
        assert mean == -1


@pytest.mark.parametrize(
    "kind", [lambda: qml.expval(qml.Z(0)), lambda: qml.counts(wires=[0])]
)
def test_a_postselection_that_nothing_meets_says_so(kind: Any) -> None:
    def function() -> Any:
        qml.measure(0, postselect=1)
        return kind()

    (error,) = run([recorded(function, 100)])
    assert isinstance(error, ct.ExecutorError)
    assert "no shot met the condition of a postselection. Ask for more" in str(error)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"mcm_method": "deferred"}, "Leave mcm_method out: shots that miss are"),
        ({"postselect_mode": "fill-shots"}, "Leave it out: shots that miss are"),
    ],
)
def test_ways_to_postselect_that_no_machine_has_are_errors(
    how: dict[str, Any], message: str
) -> None:
    (error,) = run([recorded(postselected, 100)], **how)
    assert isinstance(error, ct.ConfigError)
    assert message in str(error)


def test_postselection_takes_shots() -> None:
    reason = EXACT.for_device(qml.device("default.qubit")).refuse(
        recorded(postselected)
    )
    assert reason == "it postselects, which takes shots"


def test_a_machine_that_knows_no_conditions_refuses_them() -> None:
    machine = QiskitExecutor(backend=GenericBackendV2(3, seed=1), shots="qnode")
    reason = machine.refuse(recorded(several, 100))
    assert reason == (
        "its operations depend on measurements, and the machine cannot do that"
    )
    # Deferred, nothing depends on measurements any more.
    assert machine.refuse(recorded(postselected, 100)) is None


# --- Seeds ----------------------------------------------------------------------------


def coin(x: float, n_wires: int, *, middle: bool) -> QuantumScript:
    def function() -> Any:
        for wire in range(n_wires):
            qml.RX(x + wire, wire)
        if middle:
            m = qml.measure(0)
            qml.cond(m, qml.H)(0)
        return qml.sample(wires=range(n_wires)), qml.expval(qml.X(0))

    return recorded(function, 40)


coins = st.builds(
    coin, st.sampled_from([0.5, 1.5]), st.integers(1, 3), middle=st.booleans()
)


@given(circuits=st.lists(coins, min_size=1, max_size=6), data=st.data())
@settings(max_examples=20, deadline=None, derandomize=True, database=None)
def test_a_circuit_draws_the_same_samples_in_whatever_company(
    circuits: list[QuantumScript], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(circuits))))
    together = run([circuits[place] for place in order], ordinals=order)
    for place, (bits, mean) in zip(order, together, strict=True):
        (alone,) = run([circuits[place]], ordinals=[place])
        assert np.array_equal(bits, alone[0])
        assert mean == alone[1]


@pytest.mark.parametrize("backend", [None, "fake_manila"])
def test_seeds_give_equal_samples_and_other_seeds_other_ones(backend: Any) -> None:
    def function(x: float) -> Any:
        qml.RX(x, 0)
        return qml.sample(wires=[0])

    def samples(seed: int) -> list[list[int]]:
        executor = QiskitExecutor(backend=backend, shots=64, seed=seed)
        qnode = qml.QNode(function, qml.device("default.qubit", wires=1))
        found = ct.qelectron(qnode, executors=executor).map([1.5, 1.5, 1.6])
        return [each.reshape(-1).tolist() for each in found]

    first = samples(3)
    assert first == samples(3)
    assert first != samples(4)
    assert first[0] != first[1], "equal circuits do not share their samples"


# --- Noise ----------------------------------------------------------------------------


def noisy_circuit(shots: Any = None) -> QuantumScript:
    links = [qml.CNOT([0, 1]), qml.CRX(1.1, [1, 2])]
    operations = [qml.RX(0.9, 0), *links, qml.RY(0.4, 2), qml.CNOT([2, 0])]
    return QuantumScript(operations, [qml.probs(wires=[2, 0, 1])], shots=shots)


def asymmetric() -> Any:
    noise = NoiseModel()
    noise.add_all_qubit_readout_error(ReadoutError([[0.97, 0.03], [0.2, 0.8]]))
    noise.add_readout_error(ReadoutError([[0.9, 0.1], [0.02, 0.98]]), [1])
    noise.add_all_qubit_quantum_error(depolarizing_error(0.05, 2), ["cx"])
    return AerSimulator(noise_model=noise)


def machines() -> dict[str, Any]:
    names = {
        "manila": "FakeManilaV2",
        "quito": "FakeQuitoV2",
        "nairobi": "FakeNairobiV2",
    }
    fakes = {key: getattr(fake_provider, name) for key, name in names.items()}
    return {**fakes, "asymmetric": asymmetric}


@pytest.mark.parametrize("name", ["manila", "quito", "nairobi", "asymmetric"])
def test_noise_is_that_of_aer_for_the_same_circuit(name: str) -> None:
    backend, shots = machines()[name](), 100_000
    executor = QiskitExecutor(backend=backend, shots="qnode")
    (row,) = experiment_of(noisy_circuit(shots)).rows
    compiler = Compiler(backend.target, executor.level, executor.transpiler_seed)
    whole = name == "asymmetric"
    simulator = backend if whole else AerSimulator.from_backend(backend)
    transpiled = compiler.compile(row.structure)
    circuit = transpiled.circuit.assign_parameters(transpiled.values([row])[0])
    counts = simulator.run(circuit, shots=shots, seed_simulator=1).result().get_counts()
    # Qiskit's strings begin with the last bit; bits are in the order 0, 1, 2.
    by_aer: Any = np.zeros((2, 2, 2))
    for text, number in counts.items():
        by_aer[tuple(int(bit) for bit in reversed(text))] = number / shots
    by_aer = by_aer.transpose(2, 0, 1).reshape(-1)
    (exact,) = run([noisy_circuit()], attrs.evolve(executor, shots=None))
    (sampled,) = run([noisy_circuit(shots)], executor)
    sigma = np.sqrt(exact * (1 - exact) / shots) + 1 / shots
    assert np.abs(by_aer - exact).max() > 0
    assert (np.abs(by_aer - exact) < 5 * sigma).all()
    assert (np.abs(sampled - exact) < 5 * sigma).all()
    (ideal,) = run([noisy_circuit()], EXACT)
    assert (np.abs(ideal - exact) > 20 * sigma).any(), "noise is seen"


def test_on_a_machine_with_noise_only_probabilities_are_exact() -> None:
    bound = QiskitExecutor(backend="fake_manila", shots=None)
    state = QuantumScript([qml.H(0)], [qml.state()])
    assert bound.refuse(state) == "StateMP is not to be had from a machine with noise"
    assert bound.refuse(recorded(several)) == (
        "mid-circuit measurements of a machine with noise take shots"
    )


# --- Transpiled once ------------------------------------------------------------------


@pytest.fixture
def transpiled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The programs that were transpiled, in order."""
    seen: list[Any] = []
    original = Compiler._transpile

    def counting(self: Compiler, program: Any) -> Any:
        seen.append(program)
        return original(self, program)

    monkeypatch.setattr(Compiler, "_transpile", counting)
    return seen


@pytest.mark.parametrize("backend", [None, "fake_manila"])
@pytest.mark.parametrize("shots", [None, 50])
def test_one_structure_is_transpiled_once_for_all_jobs_of_a_lane(
    backend: Any, shots: Any, transpiled: list[Any]
) -> None:
    def function(x: float) -> Any:
        qml.RX(x, 0)
        qml.CRX(x * 2, [0, 1])
        return qml.expval(qml.Z(1)), qml.probs(wires=[0])

    executor = QiskitExecutor(backend=backend, shots=shots)
    qnode = qml.QNode(function, qml.device("default.qubit", wires=2))
    circuit = ct.qelectron(qnode, executors=executor)
    with executor:
        circuit.map(np.linspace(0, 3, 20))
        assert len(transpiled) == 1
        circuit(0.5)
        assert len(transpiled) == 1, "across jobs, too"


def test_no_more_programs_are_kept_than_allowed(
    monkeypatch: pytest.MonkeyPatch, transpiled: list[Any]
) -> None:
    monkeypatch.setattr(compiling, "MOST_COMPILED", 2)
    operations = [[qml.X(0)], [qml.Y(0)], [qml.H(0)]]
    scripts = [QuantumScript(each, [qml.probs(wires=[0])], 5) for each in operations]
    programs = [experiment_of(script).rows[0].structure for script in scripts]
    bench = EXACT.open()
    compiler = bench._machine._compiler
    for number in (0, 1, 0, 2, 0, 1):
        compiler.compile(programs[number])
    # The third drove the second out, which was used less lately than the first.
    assert transpiled == [programs[number] for number in (0, 1, 2, 1)]

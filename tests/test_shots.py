"""More shots than a job may have are split, and the parts make up the whole."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qelectron_core as ct
from qelectron_core.shots import merge, parts_of, split
from qelectron_core.testing import FakeCloud

MEASUREMENTS = {
    "expval": lambda: qml.expval(qml.Z(0) @ qml.Z(1)),
    "hamiltonian": lambda: qml.expval(qml.X(0) + 2 * qml.Z(1)),
    "probs": lambda: qml.probs(wires=[1, 0]),
    "counts": lambda: qml.counts(wires=[0, 1]),
    "all counts": lambda: qml.counts(wires=[0, 1], all_outcomes=True),
    "counts of an observable": lambda: qml.counts(qml.X(1)),
    "sample": lambda: qml.sample(wires=[0, 1]),
    "sample of an observable": lambda: qml.sample(qml.X(1)),
}


def script(*measurements: Any, shots: Any) -> qml.tape.QuantumScript:
    gates = [qml.RY(0.7, 0), qml.CNOT([0, 1]), qml.RX(0.4, 1)]
    return qml.tape.QuantumScript(gates, list(measurements), shots=shots)


@given(shots=st.integers(1, 10_000), most=st.integers(1, 10_000))
def test_parts_are_few_nearly_equal_and_make_up_the_whole(
    shots: int, most: int
) -> None:
    parts = parts_of(shots, most)
    assert sum(parts) == shots
    assert max(parts) <= most
    assert max(parts) - min(parts) <= 1
    assert len(parts) == -(-shots // most)


@pytest.mark.parametrize("kinds", [[kind] for kind in MEASUREMENTS] + [[*MEASUREMENTS]])
@given(shots=st.integers(2, 60), most=st.integers(1, 20), seed=st.integers(0, 99))
def test_merged_parts_are_what_their_samples_together_give(
    kinds: list[str], shots: int, most: int, seed: int
) -> None:
    measurements = [MEASUREMENTS[kind]() for kind in kinds if kind != "hamiltonian"]
    whole = script(*(measurements or [qml.expval(qml.Z(0))]), shots=shots)
    parts = split(whole, most)
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, 2, size=(shots, 2))
    results, start = [], 0
    for part in parts:
        end = start + part.shots.total_shots
        results.append(_processed(part, samples[start:end]))
        start = end
    _same(merge(parts, results), _processed(whole, samples))


def _processed(circuit: Any, samples: Any) -> Any:
    values = tuple(
        measurement.process_samples(samples, wire_order=[0, 1])
        for measurement in circuit.measurements
    )
    return values[0] if len(values) == 1 else values


def _same(found: Any, wanted: Any) -> None:
    if isinstance(wanted, tuple):
        for one, other in zip(found, wanted, strict=True):
            _same(one, other)
    elif isinstance(wanted, dict):
        assert {k: int(v) for k, v in found.items()} == wanted
    else:
        assert np.shape(found) == np.shape(wanted)
        assert np.allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("later", [False, True], ids=["call", "run_later"])
@pytest.mark.parametrize("kind", MEASUREMENTS)
def test_a_cloud_with_few_shots_per_job_gives_all_the_shots(
    kind: str, later: bool
) -> None:
    fake = FakeCloud(name=f"shots {kind} {later}", limits=ct.Limits(shots_per_job=300))

    @ct.qelectron(executors=fake)
    @qml.set_shots(1000)
    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(x: Any) -> Any:
        qml.RY(x, 0)
        qml.CNOT([0, 1])
        return MEASUREMENTS[kind]()

    result = circuit.run_later(0.7).result(timeout=30) if later else circuit(0.7)
    assert sorted(job.shots for job in fake.vendor.jobs) == [250] * 4
    if "counts" in kind:
        assert sum(result.values()) == 1000
    elif "sample" in kind:
        assert np.shape(result)[0] == 1000
    elif kind == "expval":
        assert float(result) == pytest.approx(1.0)


@pytest.mark.parametrize("later", [False, True], ids=["call", "run_later"])
def test_an_executors_own_shots_are_split_as_well(later: bool) -> None:
    fake = FakeCloud(
        name=f"own shots {later}", shots=1000, limits=ct.Limits(shots_per_job=300)
    )
    unlimited = FakeCloud(name=f"no limit {later}", shots=1000)

    @ct.qelectron(executors=[fake, unlimited])
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: Any) -> Any:
        qml.RY(x, 0)
        return qml.counts(wires=0)

    result = circuit.run_later(0.7).result(timeout=30) if later else circuit(0.7)
    assert sum(result.values()) == 1000
    jobs = [*fake.vendor.jobs, *unlimited.vendor.jobs]
    assert sum(job.shots for job in jobs) == 1000


@pytest.mark.parametrize(
    ("measurement", "shots", "reason"),
    [
        (qml.var(qml.Z(0)), 100, "it measures VarianceMP"),
        (qml.classical_shadow(wires=[0, 1]), 100, "it measures ClassicalShadowMP"),
        (qml.expval(qml.Z(0)), (60, 60), "it has a shot vector"),
    ],
)
def test_what_cannot_be_split_is_refused(
    measurement: Any, shots: Any, reason: str
) -> None:
    with pytest.raises(ct.ConfigError, match=reason):
        split(script(measurement, shots=shots), 50)


def test_postselection_is_not_split() -> None:
    qscript = qml.tape.QuantumScript(
        [qml.ops.MidMeasure(0, postselect=1)], [qml.expval(qml.Z(0))], shots=100
    )
    with pytest.raises(ct.ConfigError, match="postselects"):
        split(qscript, 50)


def test_few_enough_shots_are_left_as_they_are() -> None:
    whole = script(qml.var(qml.Z(0)), shots=50)
    assert split(whole, 50) == [whole]
    exact = script(qml.var(qml.Z(0)), shots=None)
    assert split(exact, 50) == [exact]


def test_a_circuit_beyond_a_limit_by_itself_is_refused_before_it_is_sent() -> None:
    fake = FakeCloud(name="tiny", limits=ct.Limits(payload_bytes_per_job=100))

    @ct.qelectron(executors=fake)
    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(x: Any) -> Any:
        qml.RY(x, 0)
        return qml.expval(qml.Z(0))

    with pytest.raises(
        ct.ConfigError, match=r"takes \d+ bytes, and a job may have 100"
    ):
        circuit(0.1)
    assert fake.vendor.submitted == 0


# --- Arrays of parameters -------------------------------------------------------------


@attrs.frozen
class OneByOne(ct.Executor):
    """Takes single parameters only, as most executors do."""

    def run(self, job: ct.Job) -> list[Any]:
        return [np.cos(_single(circuit)) for circuit in job.circuits]


def _single(circuit: Any) -> float:
    (value,) = circuit.get_parameters(trainable_only=False)
    assert np.shape(value) == ()
    return float(value)


@pytest.mark.parametrize("parameter", ["numpy", "autograd"])
@pytest.mark.parametrize("method", ["call", "run_later", "map"])
@pytest.mark.parametrize("size", [1, 5])
def test_arrays_of_parameters_are_taken_apart_for_executors_that_cannot(
    method: str, parameter: str, size: int
) -> None:
    @ct.qelectron(executors=OneByOne())
    @qml.qnode(qml.device("default.qubit", wires=1), diff_method="parameter-shift")
    def circuit(x: Any) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    angles: Any = np.linspace(0, 1, size)
    if parameter == "autograd":
        angles = qml.numpy.array(angles, requires_grad=True)
    result = {
        "call": lambda: circuit(angles),
        "run_later": lambda: circuit.run_later(angles).result(timeout=30),
        "map": lambda: circuit.map([angles])[0],
    }[method]()
    assert np.shape(result) == (size,)
    assert np.allclose(result, np.cos(angles))


# --- Shots that an executor runs where nobody says how many ---------------------------


@attrs.frozen
class Counting(ct.Executor):
    """Answers with the shots that a circuit has come with; -1 if it has none."""

    capabilities = ct.Capabilities(computes=False)
    own: int | None = 64

    @property
    def default_shots(self) -> int | None:
        return self.own

    def run(self, job: ct.Job) -> list[float]:
        return [float(c.shots.total_shots or -1) for c in job.circuits]


@attrs.frozen
class Sampling(Counting):
    """The same, without exact results."""

    capabilities = ct.Capabilities(exact=False, computes=False)


def count(executors: Any, shots: Any = None) -> Any:
    @qml.qnode(qml.device("default.qubit", wires=1), shots=shots)
    def circuit(x: float) -> Any:
        qml.RX(x, 0)
        return qml.expval(qml.Z(0))

    return ct.qelectron(circuit, executors=executors)


def test_an_executors_default_shots_count_where_nobody_says_how_many() -> None:
    assert count(Counting())(0.1) == 64
    assert count(Counting())(0.1) == count(Counting()).run_later(0.1).result()
    assert count(Counting()).map([0.1, 0.2]) == [64, 64]
    assert count(Counting(own=None))(0.1) == -1


def test_the_qnodes_shots_and_the_option_come_before_the_default() -> None:
    assert count(Counting(), shots=7)(0.1) == 7
    assert count(Counting(shots=9), shots=7)(0.1) == 9
    assert count(Counting(shots=None))(0.1) == -1
    assert qml.set_shots(count(Counting()), 5)(0.1) == 5


def test_members_of_a_cluster_have_default_shots_of_their_own() -> None:
    cluster = [Counting(own=3), Counting(own=None), Counting(own=5)]
    assert count(cluster).map([0.1] * 6) == [3, -1, 5, 3, -1, 5]


def test_default_shots_do_not_count_where_all_have_an_equal_vector() -> None:
    cluster = [Counting(shots=(3, 4)), Counting(own=None, shots=(3, 4))]
    assert count(cluster).device.with_own_shots(
        qml.tape.QuantumScript([], [qml.expval(qml.Z(0))])
    ).shots == qml.measurements.Shots((3, 4))


def test_a_selector_is_told_of_the_circuit_with_its_default_shots() -> None:
    exact = qml.tape.QuantumScript([], [qml.expval(qml.Z(0))])
    assert ct.refusal(Sampling(), exact) is None
    assert "takes finite shots only" in str(ct.refusal(Sampling(own=None), exact))

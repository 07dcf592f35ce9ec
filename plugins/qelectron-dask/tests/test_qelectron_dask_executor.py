"""Circuits on workers of a Dask cluster: values, results, errors, the kit."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core.contracts import Seed, Settings
from qelectron_core.formats import load_shown
from qelectron_core.testing import ExecutorConformance, FakeCloud
from qelectron_dask.costs import Costs
from qelectron_dask.executor import MOST_JOBS, TASK_S, DaskExecutor
from qelectron_dask.packing import pack, unpack
from qelectron_dask.planning import plan, share_out

sys.path.insert(0, str(Path(__file__).parent))

from dask_executors import (  # beside this file
    Alone,
    Failing,
    Floats,
    FusedFails,
    Local,
    Tokened,
    shared,
)


@pytest.fixture(autouse=True, scope="module")
def cluster() -> Any:
    return shared().client


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    ct.shutdown()


def dask(executor: Any = None, **options: Any) -> DaskExecutor:
    return DaskExecutor(Local() if executor is None else executor, workers=2, **options)


def make(executor: Any, **options: Any) -> tuple[ct.QElectron, Any]:
    @qml.qnode(qml.device("default.qubit", wires=2, seed=5), **options)
    def circuit(x: Any) -> Any:
        qml.RX(x, wires=0)
        qml.CNOT([0, 1])
        qml.RY(0.5, wires=1)
        return qml.expval(qml.Z(0)), qml.probs(wires=[0, 1])

    return ct.qelectron(circuit, executors=executor), circuit


def one(x: Any, *measured: Any, shots: int | None = None) -> qml.tape.QuantumScript:
    operations = [qml.RX(x, wires=0), qml.CNOT([0, 1])]
    return qml.tape.QuantumScript(
        operations, measured or (qml.expval(qml.Z(0)),), shots=shots
    )


def job_of(circuits: Any, **settings: Any) -> ct.Job:
    seeds = tuple(Seed(1, number) for number in range(len(circuits)))
    return ct.Job("job", tuple(circuits), seeds, Settings(**settings))


class TestDaskExecutorConformance(ExecutorConformance):
    def make(self) -> DaskExecutor:
        return dask()


def test_it_comes_back_from_what_the_journal_shows_of_it() -> None:
    pytest.importorskip("qelectron_echo", reason="needs qelectron-echo")
    pytest.importorskip("qelectron_simulator", reason="needs qelectron-simulator")
    for executor in (
        DaskExecutor(),
        DaskExecutor(ct.executor.Echo(value=2), address="tcp://node7:8786"),
        DaskExecutor(ct.executor.Simulator(shots=10), workers=2, connect_s=1.5),
    ):
        assert load_shown(repr(executor)) == executor


def test_it_is_a_value() -> None:
    first, second = (
        DaskExecutor(Local(), "node:8786"),
        DaskExecutor(Local(), address="tcp://node:8786"),
    )
    assert first == second
    assert hash(first) == hash(second)
    assert pickle.loads(pickle.dumps(first)) == first
    assert repr(first) == "DaskExecutor(executor=Local(), address='tcp://node:8786')"
    assert first != DaskExecutor(Local(), address="tcp://other:8786")


def test_it_takes_a_client_for_an_address(cluster: Any) -> None:
    executor = DaskExecutor(Local(), address=cluster)
    assert executor.address == cluster.scheduler.address
    with executor:
        qelectron, qnode = make(executor)
        assert np.allclose(np.hstack(qelectron(0.3)), np.hstack(qnode(0.3)))
    assert cluster.status == "running"  # it was not ours to close


def test_it_takes_anything_with_a_scheduler_address(cluster: Any) -> None:
    class Cluster:
        scheduler_address = cluster.scheduler.address
        security = cluster.security

    held = Cluster()
    executor = DaskExecutor(Local(), address=held)
    assert executor == DaskExecutor(Local(), address=cluster)
    qelectron, qnode = make(executor)
    assert np.allclose(np.hstack(qelectron(0.3)), np.hstack(qnode(0.3)))


def test_options_of_the_executor_are_those_of_the_whole() -> None:
    inner = Local(shots=10, seed=3, retries=2, timeout_s=5.0)
    assert DaskExecutor(inner) == DaskExecutor(
        Local(), shots=10, seed=3, retries=2, timeout_s=5.0
    )
    assert DaskExecutor(inner, shots=20).shots == 20


@pytest.mark.parametrize(
    ("executor", "reason"),
    [
        (FakeCloud(), "it waits for a vendor and needs no worker"),
        (ct.QCluster([Local(), Local()]), "it is several"),
        (dask(), "it is a DaskExecutor itself"),
        (7, "it is no executor"),
    ],
)
def test_what_cannot_run_on_workers_is_refused(executor: Any, reason: str) -> None:
    with pytest.raises(ct.ConfigError, match=f"cannot run circuits on Dask.*{reason}"):
        DaskExecutor(executor)


def test_a_token_that_would_travel_is_refused() -> None:
    @attrs.frozen
    class Careless(ct.Executor):
        token: str = attrs.field(default="abc", repr=False)

    with pytest.raises(ct.ConfigError, match=r"'token' would tr.*ct\.Secret") as seen:
        DaskExecutor(Careless())
    assert "abc" not in str(seen.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers=0 is no number of workers"),
        ({"connect_s": -1}, "connect_s=-1 is no time"),
        ({"address": 7}, "address=7 is no Dask cluster"),
        ({"address": "node"}, "address='node' is no address of a scheduler"),
        ({"address": "node:1", "workers": 2}, "exclude each other"),
    ],
)
def test_options_are_checked(options: Any, message: str) -> None:
    with pytest.raises(ct.ConfigError, match=message):
        DaskExecutor(Local(), **options)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(LookupError, match="no executor named 'NoSuchExecutor'"):
        DaskExecutor("NoSuchExecutor")


def test_without_the_simulator_it_says_what_to_install() -> None:
    code = "import qelectron_core as ct; ct.executor.DaskExecutor()"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "QELECTRON_DISABLE": "simulator"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "pip install qelectron-simulator" in ended.stderr


def test_results_are_those_of_the_qnode() -> None:
    qelectron, qnode = make(dask())
    xs = np.linspace(0.0, 3.0, 40)
    futures = [qelectron.run_later(float(x)) for x in xs]
    for x, result in zip(xs, ct.gather(futures), strict=True):
        for part, expected in zip(result, qnode(x), strict=True):
            assert np.allclose(part, expected, atol=1e-12)
            assert type(part) is type(expected)


def test_samples_are_those_of_the_executor_by_itself() -> None:
    expected = ct.gather([make(Local(seed=7, shots=50))[0].run_later(0.7)])
    seen = ct.gather([make(dask(seed=7, shots=50))[0].run_later(0.7)])
    assert np.array_equal(np.hstack(seen[0]), np.hstack(expected[0]))


def test_gradients_are_those_of_the_qnode() -> None:
    def cost(circuit: Any) -> Any:
        return lambda x: circuit(x)[0]

    qelectron, qnode = make(dask(), diff_method="parameter-shift")
    x = qml.numpy.array(0.4, requires_grad=True)
    assert np.allclose(qml.grad(cost(qelectron))(x), qml.grad(cost(qnode))(x))


def test_a_circuit_says_where_it_ran(cluster: Any) -> None:
    future = make(dask(Alone()))[0].run_later(0.1)
    future.result(timeout=60)
    metadata = future.executions[0].metadata
    assert metadata["worker"] in cluster.nthreads()
    assert metadata["pid"] in cluster.run(os.getpid).values()
    assert metadata["worker_s"] > 0


def test_the_executor_stays_open_on_its_worker(cluster: Any) -> None:
    bound = dask(Alone())
    session = bound.open()
    found = [session.run(job_of([one(0.1)]))[0].metadata for _ in range(5)]
    bound.close(session)
    jobs: dict[int, list[int]] = {}
    for facts in found:
        jobs.setdefault(facts["pid"], []).append(facts["jobs"])
    for counts in jobs.values():
        assert counts == list(range(counts[0], counts[0] + len(counts)))


def test_a_kept_result_serves_whichever_cluster_ran_it() -> None:
    here, there = dask(), DaskExecutor(Local(), "tcp://node7:8786")
    assert here.cache_key() == there.cache_key()
    assert here.cache_key() != DaskExecutor(Local(fused=1)).cache_key()
    assert here.cache_key() != DaskExecutor(FusedFails()).cache_key()
    circuit = make(here)[0].update(cache=True)
    future = circuit.run_later(0.123)
    future.result(timeout=60)
    again = circuit.update(executors=DaskExecutor(Local(), workers=2, connect_s=9.0))
    second = again.run_later(0.123)
    second.result(timeout=60)
    assert second.executions[0].job_id == future.executions[0].job_id


def test_errors_come_back_with_their_type_and_where_they_were() -> None:
    with pytest.raises(LookupError, match="no such backend") as seen:
        make(dask(Failing()))[0](0.1)
    notes = "\n".join(seen.value.__notes__)
    assert "on the Dask worker 'tls://127.0.0.1:" in notes
    assert 'raise LookupError("no such backend")' in notes


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("exit", "ended with SystemExit: 3"),
        ("short", "returned 0 results for 1 circuits"),
    ],
)
def test_a_job_that_goes_wrong_as_a_whole_says_so(how: str, message: str) -> None:
    with pytest.raises(ct.ExecutorError, match=message):
        make(dask(Failing(how)))[0](0.1)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("odd", "OddError: 1 and 2"),
        ("generator", "cannot be sent back from the worker"),
    ],
)
def test_what_does_not_pickle_harms_only_its_circuit(how: str, message: str) -> None:
    bound = dask(Failing(how))
    session = bound.open()
    first, second = session.run(job_of([one(0.1), one(0.2)]))
    bound.close(session)
    assert first.value == 1.0
    assert isinstance(second, ct.ExecutorError)
    assert message in str(second)


def test_an_error_of_one_circuit_leaves_the_others() -> None:
    bound = dask()
    session = bound.open()
    bad = qml.tape.QuantumScript([qml.RX(0.1, 0)], [qml.sample(wires=0)])
    outcomes = session.run(job_of([one(0.1), bad, one(0.2)]))
    bound.close(session)
    assert np.allclose([outcomes[0].value, outcomes[2].value], np.cos([0.1, 0.2]))
    assert isinstance(outcomes[1], Exception)


def test_circuits_that_fail_as_one_are_run_one_by_one() -> None:
    bound = dask(FusedFails())
    session = bound.open()
    outcomes = session.run(job_of([one(0.1 * n) for n in range(5)]))
    bound.close(session)
    values = [outcome.value for outcome in outcomes]
    assert np.allclose(values, np.cos(0.1 * np.arange(5)))


def test_circuits_of_one_structure_are_sent_as_one() -> None:
    circuits = [one(0.1 * n) for n in range(10)]
    odd = one(0.5, qml.probs(wires=0))
    (first, second) = plan(job_of([*circuits[:4], odd, *circuits[4:]]), Local())
    assert first.places == (0, 1, 2, 3, 5, 6, 7, 8, 9, 10)
    assert second.places == (4,)
    assert len(plan(job_of(circuits), Local(fused=4))) == 3
    assert len(plan(job_of(circuits), Local(), 5)) == 5
    assert len(plan(job_of(circuits), Alone())) == 10
    assert len(plan(job_of(circuits, derivatives=True), Local())) == 10
    assert len(plan(job_of([one(0.1, shots=5)] * 3), Local())) == 3


@pytest.mark.parametrize("executor", [Local(), Floats()])
def test_results_of_circuits_sent_as_one_have_their_types(executor: Local) -> None:
    """A sum of observables is where types differ; see `fusion.needs_model`."""
    observable = qml.Z(0) + 0.5 * qml.X(0)
    circuits = [one(0.1 * n, qml.expval(observable)) for n in range(6)]
    assert len(plan(job_of(circuits), executor)) == 2
    bound = dask(executor)
    session = bound.open()
    outcomes = session.run(job_of(circuits))
    bound.close(session)
    for circuit, outcome in zip(circuits, outcomes, strict=True):
        (alone,) = executor.run(job_of([circuit]))
        assert np.allclose(outcome.value, alone, atol=1e-12)
        assert type(outcome.value) is type(alone)


def test_a_job_is_cut_into_parts_of_equal_cost() -> None:
    items = plan(job_of([one(0.1 * n) for n in range(8)]), Alone())
    assert [len(p) for p in share_out(items, [1.0] * 8, 4)] == [2, 2, 2, 2]
    assert [len(p) for p in share_out(items, [4.0] + [1.0] * 7, 3)] == [1, 3, 4]
    assert [len(p) for p in share_out(items[:1], [1.0], 4)] == [1]


@pytest.mark.parametrize(
    "values",
    [
        [0.1, -0.0, float("nan"), 1e-320, float("inf")],
        [
            np.float64(0.1),
            np.float64(-0.0),
            np.float64(2),
            np.float64(3),
            np.float64(4),
        ],
        [np.array(0.1), np.array(-0.0), np.array(2.0), np.array(3.0), np.array(4.0)],
        [1, 2, 3, 2**70, -5],
        [1, 2.0, np.float32(0.1), True, np.float64(0.1)],
        [2.0, 1, np.float32(0.1), True, np.float64(0.1)],
        [np.float32(0.1)] * 5,
        [qml.numpy.array(0.1)] * 5,
    ],
)
def test_parameters_arrive_to_the_last_bit(values: list[Any]) -> None:
    circuits = [one(value, shots=10) for value in values]
    circuits.insert(2, one(0.5, qml.probs(wires=1)))
    found = unpack(pack(circuits))
    for before, after in zip(circuits, found, strict=True):
        assert after.hash == before.hash or before.data[0] != before.data[0]
        assert after.shots == before.shots
        (x,), (y,) = before.operations[0].data, after.operations[0].data
        assert type(x) is type(y)
        assert pickle.dumps(x) == pickle.dumps(y)


def test_equal_structures_take_little_room() -> None:
    circuits = [one(0.001 * n) for n in range(200)]
    assert len(pack(circuits)) * 5 < len(pack(circuits, by_structure=False))


def test_costs_follow_what_was_measured() -> None:
    costs, quick, slow = Costs(), one(0.1), one(0.1, *[qml.expval(qml.Z(0))] * 2)
    guess = costs.expected_s(quick)
    for _ in range(20):
        costs.learn([quick] * 10, 10 * 0.25)
    assert costs.expected_s(quick) == pytest.approx(0.25, rel=1e-3)
    assert costs.expected_s(slow) < 0.1
    assert guess < 0.1
    array = qml.tape.QuantumScript([qml.RX(np.ones(7), 0), qml.CNOT([0, 1])], [])
    assert costs.expected_s(array) > 6 * Costs().expected_s(one(0.1)) / 7


def test_expensive_circuits_go_in_small_jobs() -> None:
    big = qml.tape.QuantumScript(
        [qml.RX(0.1, w) for w in range(24)], [qml.expval(qml.Z(0))]
    )
    executor = dask(Local(fused=3))
    assert executor.limits.seconds_per_job == TASK_S
    assert executor.expected_s(big) > TASK_S
    assert executor.expected_s(one(0.1)) < TASK_S / 20


def test_a_large_cluster_gets_several_tasks_per_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    executor = DaskExecutor(Local(), "node:8786")
    assert (executor.concurrency, executor.tasks_per_job) == (2, 1)
    monkeypatch.setattr("qelectron_dask.executor.known_threads", lambda place: 100)
    assert (executor.concurrency, executor.tasks_per_job) == (MOST_JOBS, 7)
    assert executor.limits.seconds_per_job == 7 * TASK_S


def test_a_job_of_several_tasks_keeps_its_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(DaskExecutor, "tasks_per_job", 3)
    bound = dask(Alone())
    session = bound.open()
    outcomes = session.run(job_of([one(0.1 * n) for n in range(10)]))
    bound.close(session)
    assert np.allclose([o.value for o in outcomes], np.cos(0.1 * np.arange(10)))
    assert {o.metadata["size"] for o in outcomes} == {3, 4}


def test_a_token_is_found_where_the_worker_is(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(text: str | None) -> None:
        import os

        os.environ.pop("DASK_TEST_TOKEN", None)
        if text is not None:
            os.environ["DASK_TEST_TOKEN"] = text

    monkeypatch.setenv("DASK_TEST_TOKEN", "canary-5e1d")
    bound = dask(Tokened())
    session = bound.open()
    job = job_of([one(0.1)])
    sent = pickle.dumps(session._order(job, plan(job, bound.executor)))
    (unknown,) = session.run(job)
    cluster.run(export, "canary-5e1d")
    (found,) = session.run(job)
    cluster.run(export, None)
    bound.close(session)
    assert b"canary" not in sent
    assert isinstance(unknown, ct.ConfigError)
    assert "a token does not travel to other processes" in str(unknown)
    assert found.value == 1.0

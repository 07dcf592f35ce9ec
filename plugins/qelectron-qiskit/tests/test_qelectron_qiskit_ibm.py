"""Circuits at IBM Quantum: one call is one job, and its results are right."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp

sys.path.insert(0, str(Path(__file__).parent))

from ibm_bench import (
    NOISE,
    QuickExecutor,
    electron_on,
    exact,
    executor_at,
    serving,
    turn,
    wait_until,
)
from ibm_server import IBMServer

import qelectron_core as ct
from qelectron_core.runtime import runtime
from qelectron_core.testing import virtual_clock
from qelectron_core.testing.conformance import RemoteExecutorConformance
from qelectron_qiskit.ibm import executor as ibm

ANGLES = [math.pi * number / 19 for number in range(20)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[IBMServer]:
    with serving(monkeypatch, tmp_path) as server:
        yield server


# --- The rules of all remote executors ------------------------------------------------


class TestConformance(RemoteExecutorConformance):
    shots: ClassVar[int] = 500
    server: ClassVar[IBMServer]
    # It takes long, and is shown with the programs that are killed.
    test_e04_reaches_another_process = None  # type: ignore[assignment]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _serve(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        folder = tmp_path_factory.mktemp("conformance")
        with pytest.MonkeyPatch.context() as patch, serving(patch, folder) as server:
            cls.server = server
            yield

    def make(self) -> Any:
        return executor_at(self.server, kind=QuickExecutor)


# --- One call, one job ----------------------------------------------------------------


def test_a_map_of_20_is_one_job_with_one_circuit_and_20_sets_of_parameters(
    server: IBMServer,
) -> None:
    with virtual_clock():
        results = electron_on(executor_at(server)).map(ANGLES)
    assert results == pytest.approx([exact()(x) for x in ANGLES], abs=NOISE)
    (job,) = server.jobs
    assert (job.items, job.parameter_sets, job.shots) == (1, 20, 1024)
    assert server.requests["POST /jobs"] == 1


def test_a_gradient_of_20_parameters_is_one_job_of_40_shifted_circuits(
    server: IBMServer,
) -> None:
    def layers(angles: Any) -> Any:
        for number in range(10):
            qml.RX(angles[2 * number], wires=0)
            qml.RY(angles[2 * number + 1], wires=1)
            qml.CNOT(wires=[0, 1])
        return qml.expval(qml.Z(0) @ qml.Z(1))

    angles = pnp.array(np.linspace(0.1, 1.3, 20), requires_grad=True)
    circuit = electron_on(executor_at(server), layers, diff_method="parameter-shift")
    with virtual_clock():
        gradient = qml.grad(circuit)(angles)
    expected = qml.grad(exact(layers))(angles)
    assert gradient == pytest.approx(expected, abs=NOISE)
    # The other one is the forward pass.
    assert [(job.items, job.parameter_sets) for job in server.jobs] == [(1, 1), (1, 40)]


def growing(depth: int, x: float) -> Any:
    for _ in range(depth):
        qml.RX(x, wires=0)
        qml.CNOT(wires=[0, 1])
    return qml.expval(qml.Z(1)), qml.expval(qml.X(0) @ qml.X(1))


def test_circuits_of_other_structures_are_further_circuits_of_the_same_job(
    server: IBMServer,
) -> None:
    depths = [1, 2, 3, 2, 1]
    with virtual_clock():
        results = electron_on(executor_at(server), growing).map(depths, [0.3] * 5)
    for depth, result in zip(depths, results, strict=True):
        assert result == pytest.approx(exact(growing)(depth, 0.3), abs=NOISE)
    (job,) = server.jobs
    assert (job.items, job.parameter_sets) == (6, 10)  # 3 depths, each in 2 bases


def sampled(x: float) -> Any:
    qml.RX(x, wires=0)
    return qml.sample(wires=[0])


def both_at_once(server: IBMServer, **options: Any) -> list[Any]:
    """Return the results of circuits with 1000 and with 3000 shots, sent together."""
    executor = executor_at(server, kind=QuickExecutor, **options)
    few, many = electron_on(executor, shots=1000), electron_on(executor, shots=3000)
    let_go = threading.Event()
    runtime().loop.call(let_go.wait, 30)  # so that both gather
    futures = [few.run_later(0.3), many.run_later(0.3), few.run_later(2.0)]
    let_go.set()
    return ct.gather(futures, timeout=60)


def test_circuits_with_other_shots_go_into_jobs_of_their_own(server: IBMServer) -> None:
    results = both_at_once(server)
    assert results == pytest.approx([exact()(x) for x in (0.3, 0.3, 2.0)], abs=NOISE)
    jobs = sorted((job.shots, job.parameter_sets) for job in server.jobs)
    assert jobs == [(1000, 2), (3000, 1)]


def test_single_job_sends_them_as_one_and_runs_those_with_more_shots_more_often(
    server: IBMServer,
) -> None:
    results = both_at_once(server, single_job=True)
    assert results == pytest.approx([exact()(x) for x in (0.3, 0.3, 2.0)], abs=NOISE)
    (job,) = server.jobs
    assert (job.shots, job.parameter_sets, job.items) == (1000, 5, 1)


def test_jobs_are_split_to_the_limit_of_shots_and_put_back_in_order(
    server: IBMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ibm, "SHOTS_OF_A_JOB", 3 * 1024)
    with virtual_clock():
        results = electron_on(executor_at(server)).map(ANGLES)
    assert results == pytest.approx([exact()(x) for x in ANGLES], abs=NOISE)
    assert sorted(job.parameter_sets for job in server.jobs) == [2] + [3] * 6


def test_single_job_is_one_where_the_executor_would_choose_several(
    server: IBMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ibm, "SHOTS_OF_A_JOB", 3 * 1024)
    with virtual_clock():
        results = electron_on(executor_at(server, single_job=True)).map(ANGLES)
    assert results == pytest.approx([exact()(x) for x in ANGLES], abs=NOISE)
    assert [job.parameter_sets for job in server.jobs] == [len(ANGLES)]


def test_jobs_are_split_to_the_limit_of_bytes_and_put_back_in_order(
    server: IBMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = executor_at(server)
    circuit = electron_on(executor)
    size = executor.payload_bytes(circuit.construct((0.1,), {}))
    monkeypatch.setattr(ibm, "BYTES_OF_A_JOB", 8 * size)
    with virtual_clock():
        results = circuit.map(ANGLES)
    assert results == pytest.approx([exact()(x) for x in ANGLES], abs=NOISE)
    assert sorted(job.parameter_sets for job in server.jobs) == [4, 8, 8]


def test_a_job_that_ibm_would_not_take_is_refused_before_it_is_sent(
    server: IBMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ibm, "MOST_EXECUTIONS", 2000)
    circuit = electron_on(executor_at(server), growing)
    with virtual_clock(), pytest.raises(ct.ConfigError, match=r"2,048 .* IBM takes 2"):
        circuit(1, 0.3)  # in two bases
    assert server.submitted == 0


@pytest.mark.parametrize("shots", [100_000, 150_000])
def test_more_shots_than_the_machine_takes_at_once_are_several_runs(
    server: IBMServer, shots: int
) -> None:
    with virtual_clock():
        samples = electron_on(executor_at(server), sampled, shots=shots)(0.3)
    assert np.shape(samples)[0] == shots
    (job,) = server.jobs
    assert job.executions == shots
    assert job.shots == min(shots, 75_000) if shots > 100_000 else shots


def test_no_more_jobs_than_max_jobs_are_at_ibm_at_the_same_time(
    server: IBMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ibm, "SHOTS_OF_A_JOB", 4 * 1024)
    with virtual_clock():
        electron_on(executor_at(server, max_jobs=1)).map(ANGLES)
    wanted = ("POST /jobs", "GET /jobs/{id}/results")
    assert [route for _, route in server.log if route in wanted] == [*wanted] * 5


# --- What is asked, and how often -----------------------------------------------------


def test_the_service_is_made_once_and_each_further_call_asks_for_its_job_only(
    server: IBMServer,
) -> None:
    circuit = electron_on(executor_at(server))
    with virtual_clock():
        circuit(0.1)
        before = server.requests
        for x in (0.2, 0.3, 0.4):
            circuit(x)
    made = server.requests - before
    assert before["POST /v3/resources/search"] == 1
    assert not any("token" in route or "search" in route for route in made)
    assert made.keys() <= {
        "GET /instances/usage",
        "GET /backends",
        "GET /backends/{name}/{page}",
        "POST /jobs",
        "GET /jobs/{id}",
        "GET /jobs/{id}/results",
        "GET /jobs/{id}/metrics",
    }
    assert made["POST /jobs"] == made["GET /jobs/{id}/results"] == 3


def test_each_question_for_the_state_of_a_job_is_one_request(server: IBMServer) -> None:
    server.next_jobs(hold=True)
    asked: list[str] = []

    @attrs.frozen
    class Counting(ibm.IBMExecutor):
        def status(self, handle: ct.Handle) -> Any:
            asked.append(handle.id)
            if len(asked) == 20:
                server.release()
            return ibm.IBMExecutor.status(self, handle)

    with virtual_clock():
        electron_on(executor_at(server, kind=Counting))(0.1)
    assert server.requests["GET /jobs/{id}"] == len(asked) >= 20


# --- What is known of a job afterwards ------------------------------------------------


def test_the_record_tells_of_machine_calibration_use_and_times(
    server: IBMServer,
) -> None:
    with virtual_clock():
        future = electron_on(executor_at(server)).run_later(0.3)
        future.result()
    (execution,), (job,) = future.executions, server.jobs
    told = execution.metadata
    assert execution.handle == job.id
    assert told["backend"] == "ibm_small"
    assert told["calibrated"].startswith("20")
    assert told["usage_s"] == pytest.approx(1 + 1024 * 250e-6, abs=1e-3)
    assert told["created"] <= told["running"] <= told["finished"]
    assert "session" not in told
    assert job.tags == [execution.job_id]


def test_results_do_not_wait_for_what_ibm_does_not_say_of_a_job(
    server: IBMServer,
) -> None:
    server.trouble("status", path="/metrics$", times=None)
    with virtual_clock():
        future = electron_on(executor_at(server)).run_later(0.3)
        assert float(future.result()) == pytest.approx(exact()(0.3), abs=NOISE)
    assert future.executions[0].metadata.keys() == {"backend", "calibrated"}


def test_tags_of_the_user_go_along_with_ours(server: IBMServer) -> None:
    options = {"environment": {"job_tags": ["job-of-mine"]}}
    executor = executor_at(server, options=options)
    with virtual_clock():
        future = electron_on(executor).run_later(0.3)
        future.result()
    (execution,), (job,) = future.executions, server.jobs
    assert job.tags == [execution.job_id, "job-of-mine"]


def test_max_time_of_a_job_is_passed_on(server: IBMServer) -> None:
    with virtual_clock():
        electron_on(executor_at(server, max_time=77))(0.3)
    assert [job.max_time for job in server.jobs] == [77]


@pytest.mark.parametrize(
    "options",
    [
        {"dynamical_decoupling": {"enable": True}},
        {"twirling": {"enable_gates": True, "enable_measure": True}},
    ],
)
def test_options_of_the_sampler_reach_ibm_and_results_are_right(
    server: IBMServer, options: Any
) -> None:
    executor = executor_at(server, options=options, single_job=True)
    with virtual_clock():
        results = electron_on(executor).map(ANGLES)
    assert results == pytest.approx([exact()(x) for x in ANGLES], abs=NOISE)
    assert server.submitted == 1


# --- Jobs of earlier processes --------------------------------------------------------


def test_find_knows_the_job_of_a_tag_and_no_job_of_another(server: IBMServer) -> None:
    server.next_jobs(unlisted=2)  # IBM's list may lag behind
    with virtual_clock():
        future = electron_on(executor_at(server)).run_later(0.3)
        future.result()
    executor = executor_at(server)
    connection = executor.open()
    job = ct.Job(future.executions[0].job_id, (), (), ct.Settings(), connection)
    assert executor.find(job) == future.executions[0].handle
    assert executor.find(attrs.evolve(job, id="job-unknown")) is None


def test_find_looks_where_the_job_was_sent_though_no_instance_was_named(
    server: IBMServer,
) -> None:
    """The client chooses among several instances, and changes its mind."""
    with virtual_clock():
        electron_on(executor_at(server, instance=None))(0.3)
    (sent,) = server.jobs
    executor = executor_at(server, instance=None)
    connection = executor.open()
    tag = ct.Job(sent.tags[0], (), (), ct.Settings(), connection)
    handle = ct.Handle("unknown", tag)
    with pytest.raises(ct.UnknownJobError, match="IBM knows no such job"):
        executor.status(handle)
    assert executor.find(tag) == sent.id


def shadow(x: float) -> Any:
    qml.RY(x, wires=0)
    qml.CNOT(wires=[0, 1])
    return qml.shadow_expval(qml.Z(0) @ qml.Z(1)), qml.classical_shadow(wires=[0, 1])


def several(x: float) -> Any:
    qml.RX(x, wires=0)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.Y(0)), qml.probs(wires=[1]), qml.counts(wires=[0, 1])


@pytest.mark.parametrize("function", [shadow, several])
def test_a_fresh_executor_attached_to_a_job_has_the_same_result(
    server: IBMServer, function: Any
) -> None:
    with virtual_clock():
        future = electron_on(executor_at(server), function, shots=300).run_later(0.3)
        first = future.result()
    with virtual_clock():
        fresh = electron_on(executor_at(server), function, shots=300)
        again = fresh.attach(future.handles[0], 0.3).result()
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one, other) if not isinstance(one, dict) else one == other
    assert server.submitted == 1


def test_a_job_of_other_circuits_is_no_result_of_these(server: IBMServer) -> None:
    with virtual_clock():
        future = electron_on(executor_at(server)).run_later(0.3)
        future.result()
    other = electron_on(executor_at(server), several)
    with virtual_clock(), pytest.raises(ct.ExecutorError, match="do not fit its circ"):
        other.attach(future.handles[0], 0.3).result()


def test_a_job_that_ibm_does_not_know_is_named(server: IBMServer) -> None:
    circuit = electron_on(executor_at(server))
    with virtual_clock(), pytest.raises(ct.UnknownJobError, match="nobody"):
        circuit.attach("nobody", 0.3).result()


# --- Cancelling -----------------------------------------------------------------------


def test_a_future_that_is_cancelled_cancels_its_job_at_ibm(server: IBMServer) -> None:
    server.next_jobs(hold=True)
    future = electron_on(executor_at(server)).run_later(0.3)
    wait_until(lambda: server.submitted == 1)
    assert future.cancel()
    wait_until(lambda: server.cancelled == 1)
    assert [job.state for job in server.jobs] == ["Cancelled"]


def test_the_name_of_old_programs_for_it_works_too(server: IBMServer) -> None:
    executor = executor_at(
        server, kind=lambda _, name, **o: ct.executor.IBMQExecutor(name, **o)
    )
    with virtual_clock():
        result = electron_on(executor, turn)(0.3)
    assert float(result) == pytest.approx(exact()(0.3), abs=NOISE)

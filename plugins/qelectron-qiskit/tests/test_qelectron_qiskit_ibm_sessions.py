"""Sessions and batches at IBM Quantum: opened once, and closed in all cases."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ibm_bench import (
    NOISE,
    OPEN,
    QuickExecutor,
    electron_on,
    exact,
    executor_at,
    serving,
    wait_until,
)
from ibm_server import IBMServer

import qelectron_core as ct
from qelectron_core.testing import virtual_clock
from qelectron_qiskit.executor import QiskitExecutor
from qelectron_qiskit.ibm import executor as ibm

ANGLES = [math.pi * number / 5 for number in range(6)]
BOTH = pytest.mark.parametrize("mode", ["session", "batch"])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[IBMServer]:
    with serving(monkeypatch, tmp_path) as server:
        yield server


def require_closed(server: IBMServer, *, opened: int = 1) -> None:
    assert len(server.sessions) == opened
    assert not any(session.accepting for session in server.sessions)


@BOTH
def test_all_jobs_of_several_calls_are_in_one_that_is_closed_with_the_executor(
    server: IBMServer, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ibm, "SHOTS_OF_A_JOB", 2 * 1024)
    executor = executor_at(server, mode=mode, max_time=99, kind=QuickExecutor)
    circuit = electron_on(executor)
    with executor:
        future = circuit.run_later(0.3)
        assert float(future.result(timeout=60)) == pytest.approx(
            exact()(0.3), abs=NOISE
        )
        results = circuit.map(ANGLES)
        (session,) = server.sessions
        assert session.accepting
    assert results == pytest.approx([exact()(x) for x in ANGLES], abs=NOISE)
    require_closed(server)
    assert {job.session_id for job in server.jobs} == {session.id}
    assert len(server.jobs) == 4
    assert {job.max_time for job in server.jobs} == {None}
    assert session.mode == {"session": "dedicated", "batch": "batch"}[mode]
    assert session.max_time == 99
    assert future.executions[0].metadata["session"] == session.id
    assert server.requests["PATCH /sessions/{id}"] == 1


@BOTH
def test_shutdown_closes_it(server: IBMServer, mode: str) -> None:
    electron_on(executor_at(server, mode=mode, kind=QuickExecutor))(0.3)
    assert server.sessions[0].accepting
    ct.shutdown()
    require_closed(server)


@BOTH
def test_an_exception_in_between_closes_it(server: IBMServer, mode: str) -> None:
    executor = executor_at(server, mode=mode, kind=QuickExecutor)
    circuit = electron_on(executor)

    def experiment() -> None:
        with executor:
            circuit(0.3)
            assert server.sessions[0].accepting
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        experiment()
    require_closed(server)


@BOTH
def test_after_a_failed_job_it_goes_on_and_is_closed(
    server: IBMServer, mode: str
) -> None:
    executor = executor_at(server, mode=mode, kind=QuickExecutor)
    circuit = electron_on(executor)
    server.next_jobs(fail="The fridge is warm.")
    with executor:
        with pytest.raises(ct.JobFailedError, match="fridge"):
            circuit(0.3)
        circuit(0.3)
    require_closed(server)
    assert [job.state for job in server.jobs] == ["Failed", "Completed"]
    assert len({job.session_id for job in server.jobs}) == 1


def test_it_is_closed_with_jobs_that_wait_in_it(server: IBMServer) -> None:
    server.next_jobs(hold=True)
    executor = executor_at(server, mode="session", kind=QuickExecutor)
    with executor:
        future = electron_on(executor).run_later(0.3)
        wait_until(lambda: server.submitted == 1)
    assert future.cancelled()
    require_closed(server)
    assert [job.state for job in server.jobs] == ["Cancelled"]


@BOTH
def test_calls_from_several_threads_open_one_only(server: IBMServer, mode: str) -> None:
    executor = executor_at(server, mode=mode, kind=QuickExecutor)
    circuit = electron_on(executor)
    with executor, ThreadPoolExecutor(4) as pool:
        list(pool.map(circuit, ANGLES))
    require_closed(server)
    assert len({job.session_id for job in server.jobs}) == 1


@BOTH
def test_one_that_reached_its_limit_is_followed_by_another(
    server: IBMServer, mode: str
) -> None:
    executor = executor_at(server, mode=mode)
    circuit = electron_on(executor)
    with virtual_clock():
        circuit(0.3)
        server.end_sessions()
        assert float(circuit(0.3)) == pytest.approx(exact()(0.3), abs=NOISE)
        circuit(0.3)
    require_closed(server, opened=2)
    first, second = server.sessions
    used = [job.session_id for job in server.jobs]
    assert used == [first.id, second.id, second.id]
    assert server.duplicates == 0


def test_jobs_that_find_its_limit_together_open_one_other_only(
    server: IBMServer,
) -> None:
    executor = executor_at(server, mode="session")
    resource = executor.open()
    old = resource._get_mode()
    server.end_sessions()
    meet = threading.Barrier(2)
    run = resource._run

    def together(mode: Any, pubs: Any, shots: int, tag: str) -> Any:
        try:
            return run(mode, pubs, shots, tag)
        finally:
            if mode is old:
                meet.wait(30)

    resource._run = together
    jobs = [ct.Job(f"job-{n}", _circuits(), (), ct.Settings(), resource) for n in "ab"]
    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(executor.submit, jobs))) == 2
    executor.close(resource)
    require_closed(server, opened=2)


def _circuits() -> tuple[Any, ...]:
    return (electron_on(QiskitExecutor(), shots=100).construct((0.3,), {}),)


@pytest.mark.parametrize("instance", [OPEN, None])
def test_a_session_on_the_open_plan_is_refused_before_anything_is_opened(
    server: IBMServer, instance: str | None
) -> None:
    executor = executor_at(server, mode="session", instance=instance)
    circuit = electron_on(executor)
    with (
        virtual_clock(),
        pytest.raises(ct.ConfigError, match=r"'open-instance'.*batch"),
    ):
        circuit(0.3)
    assert (server.sessions, server.submitted) == ([], 0)
    assert server.requests["POST /sessions"] == 0


def test_a_batch_on_the_open_plan_is_opened(server: IBMServer) -> None:
    with virtual_clock():
        electron_on(executor_at(server, mode="batch", instance=OPEN))(0.3)
    require_closed(server)


@BOTH
def test_an_expired_bearer_leaves_it_in_use(server: IBMServer, mode: str) -> None:
    with virtual_clock():
        circuit = electron_on(executor_at(server, mode=mode))
        circuit(0.3)
        server.expire_tokens()
        assert float(circuit(0.3)) == pytest.approx(exact()(0.3), abs=NOISE)
        server.expire_tokens()
    require_closed(server)
    assert len({job.session_id for job in server.jobs}) == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429, "retry_after": 1},
        {"kind": "drop"},
        {"kind": "drop", "act": True},
    ],
)
def test_it_is_closed_though_ibm_does_not_answer_at_once(
    server: IBMServer, fault: Any
) -> None:
    server.trouble(method="PATCH", times=2, **fault)
    with virtual_clock():
        electron_on(executor_at(server, mode="session"))(0.3)
    require_closed(server)


def test_one_that_cannot_be_closed_is_told_of(
    server: IBMServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.trouble("status", method="PATCH", times=None, status=500)
    with virtual_clock():
        electron_on(executor_at(server, mode="session"))(0.3)
    assert "could not close" in caplog.text
    assert server.requests["PATCH /sessions/{id}"] == 3  # and no more


def test_a_session_that_is_not_used_is_not_opened(server: IBMServer) -> None:
    executor = executor_at(server, mode="session")
    with executor:
        electron_on(executor)
    assert server.requests.total() == 0


@pytest.mark.parametrize("text", ["1217", "Session has been closed"])
def test_what_only_sounds_like_a_session_that_is_over_is_not_submitted_again(
    server: IBMServer, text: str
) -> None:
    server.trouble("status", method="POST", path="/jobs$", act=True, text=text)
    with virtual_clock():
        electron_on(executor_at(server, mode="session"))(0.3)
    assert (server.submitted, server.duplicates) == (1, 0)
    require_closed(server)

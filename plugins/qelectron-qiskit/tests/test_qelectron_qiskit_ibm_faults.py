"""Trouble at IBM Quantum: the right result or a clear error, and no job paid twice."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pennylane as qml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
from qelectron_qiskit.ibm import http

SUBMIT, STATUS = "^/jobs$", "^/jobs/[^/]+$"
RESULTS, METRICS = "/results$", "/metrics$"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[IBMServer]:
    with serving(monkeypatch, tmp_path) as server:
        yield server


def right(result: Any) -> bool:
    return float(result) == pytest.approx(exact()(0.3), abs=NOISE)


def require_one_job(server: IBMServer) -> None:
    assert (server.submitted, server.duplicates) == (1, 0)


# --- Trouble that passes --------------------------------------------------------------

#: Where trouble may strike in the life of a job, as method and path.
PLACES = {
    "token": ("POST", "^/identity/token$"),
    "instances": ("POST", "^/v3/resources/search$"),
    "plan": ("GET", "^/catalog/"),
    "machines": ("GET", "^/backends$"),
    "configuration": ("GET", "/configuration$"),
    "properties": ("GET", "/properties$"),
    "usage": ("GET", "/instances/usage$"),
    "submit": ("POST", SUBMIT),
    "state": ("GET", STATUS),
    "results": ("GET", RESULTS),
    "metrics": ("GET", METRICS),
}
#: What may go wrong there: kind and fields of `Trouble`.
FAULTS: dict[str, dict[str, Any]] = {
    "429": {"kind": "status", "status": 429, "retry_after": 3},
    "500": {"kind": "status", "status": 500},
    "500 after it acted": {"kind": "status", "status": 500, "act": True},
    "503": {"kind": "status", "status": 503, "retry_after": 3},
    "504 after it acted": {"kind": "status", "status": 504, "act": True},
    "no JSON": {"kind": "status", "status": 200, "text": "<p>Soon.", "act": True},
    "no connection": {"kind": "drop"},
    "no connection after it acted": {"kind": "drop", "act": True},
    "an answer cut off": {"kind": "cut"},
}
#: What is no trouble, but how things are: to have no results, say.
HARMLESS = {("results", "no JSON")}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", ["submit", "state", "results", "machines", "token"])
def test_a_fault_that_passes_leaves_one_job_and_the_right_result(
    server: IBMServer, place: str, fault: str
) -> None:
    if (place, fault) in HARMLESS:
        pytest.skip("the results are what IBM says they are")
    method, path = PLACES[place]
    server.trouble(method=method, path=path, times=2, **FAULTS[fault])
    with virtual_clock() as clock:
        assert right(electron_on(executor_at(server))(0.3))
        assert clock.now < 120
    require_one_job(server)


@pytest.mark.parametrize("place", ["instances", "plan", "configuration", "properties"])
@pytest.mark.parametrize("fault", ["500", "429", "no connection"])
def test_a_fault_before_anything_is_sent_leads_to_the_right_result(
    server: IBMServer, place: str, fault: str
) -> None:
    method, path = PLACES[place]
    server.trouble(method=method, path=path, times=1, **FAULTS[fault])
    with virtual_clock():
        assert right(electron_on(executor_at(server))(0.3))
    require_one_job(server)


def test_a_fault_where_no_instance_is_named_leads_to_the_right_result(
    server: IBMServer,
) -> None:
    """The client keeps the machines that it got, none, if nobody prevents it."""
    server.trouble("status", path="^/backends$", times=2)
    with virtual_clock():
        assert right(electron_on(executor_at(server, instance=None))(0.3))
    require_one_job(server)


def test_a_connection_closed_without_a_byte_is_one_job_as_well(
    server: IBMServer,
) -> None:
    """Behind a proxy, urllib3 repeats such a request by itself, before it acted."""
    server.trouble("close", method="POST", path=SUBMIT)
    with virtual_clock():
        assert right(electron_on(executor_at(server))(0.3))
    require_one_job(server)


@pytest.mark.parametrize("path", [SUBMIT, STATUS, RESULTS])
def test_an_answer_that_never_comes_is_waited_for_a_while_only(
    server: IBMServer, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(http, "ANSWER_S", 0.5)
    server.trouble("never", path=path, act=True)
    with virtual_clock():
        assert right(electron_on(executor_at(server))(0.3))
    require_one_job(server)


def test_an_answer_that_never_comes_to_the_first_question_is_no_hang(
    server: IBMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "ANSWER_S", 0.5)
    server.trouble("never", path="^/backends$")
    with virtual_clock():
        assert right(electron_on(executor_at(server))(0.3))
    require_one_job(server)


def test_a_lost_submit_that_is_listed_late_is_not_sent_again(server: IBMServer) -> None:
    server.next_jobs(unlisted=2)
    server.trouble("drop", method="POST", path=SUBMIT, act=True)
    with virtual_clock():
        assert right(electron_on(executor_at(server))(0.3))
    require_one_job(server)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [("POST", SUBMIT, "POST /jobs"), ("GET", STATUS, "GET /jobs/{id}")],
)
def test_nothing_is_asked_before_the_time_is_over_that_ibm_said_to_wait(
    server: IBMServer, method: str, path: str, route: str
) -> None:
    server.trouble("status", method=method, path=path, status=429, retry_after=2)
    assert right(electron_on(executor_at(server, kind=QuickExecutor))(0.3))
    log = server.log
    refused = next(at for at, each in log if each == route)
    later = [at - refused for at, _ in log if at > refused]
    assert 1.9 < later[0] < 4
    require_one_job(server)


def test_a_client_that_cannot_be_tamed_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert not http.tame(object())
    assert "a job may be submitted twice" in caplog.text


def test_a_submit_is_made_once_however_often_ibm_fails(server: IBMServer) -> None:
    """The client alone would have made six jobs of it."""
    server.trouble("status", method="POST", path=SUBMIT, status=500, act=True)
    with virtual_clock():
        electron_on(executor_at(server))(0.3)
    assert server.requests["POST /jobs"] == 1
    require_one_job(server)


# --- Trouble that stays ---------------------------------------------------------------


@pytest.mark.parametrize("place", ["submit", "state", "results", "machines", "usage"])
@pytest.mark.parametrize("fault", ["429", "500", "no connection"])
def test_a_fault_that_stays_ends_in_one_error_within_a_bounded_time(
    server: IBMServer, place: str, fault: str
) -> None:
    method, path = PLACES[place]
    server.trouble(method=method, path=path, times=None, **FAULTS[fault])
    circuit = electron_on(executor_at(server))
    with virtual_clock() as clock:
        with pytest.raises((ct.QElectronError, ConnectionError), match=r"IBM|job") as e:
            circuit(0.3)
        assert clock.now < 2000
    assert server.duplicates == 0
    assert server.submitted <= 1
    if server.submitted and place != "submit":
        assert isinstance(e.value, ct.UnsettledJobError)
        assert server.jobs[0].id in str(e.value)


def test_a_job_whose_time_is_over_is_cancelled_at_ibm(server: IBMServer) -> None:
    server.next_jobs(hold=True)
    circuit = electron_on(executor_at(server, timeout_s=3600.0))
    with virtual_clock() as clock:
        with pytest.raises(ct.ExecutorTimeoutError, match=r"3600 s.*Raise timeout_s"):
            circuit(0.3)
        assert 3600 <= clock.now < 3800
    assert [job.state for job in server.jobs] == ["Cancelled"]


def test_a_slow_queue_is_waited_for_and_asked_ever_less_often(
    server: IBMServer,
) -> None:
    server.next_jobs(hold=True)
    asked = itertools.count()

    @attrs.frozen
    class Patient(ibm.IBMExecutor):
        def status(self, handle: ct.Handle) -> Any:
            if next(asked) == 60:
                server.release()
            return ibm.IBMExecutor.status(self, handle)

    with virtual_clock() as clock:
        assert right(electron_on(executor_at(server, kind=Patient))(0.3))
        assert clock.now > 200
    require_one_job(server)


# --- What IBM says of a job -----------------------------------------------------------


def failing(
    server: IBMServer, error: type[Exception], message: str, **options: Any
) -> BaseException:
    """Run a circuit that ends in an error; return that."""
    circuit = electron_on(executor_at(server, **options))
    with virtual_clock(), pytest.raises(error, match=f"(?s){message}") as caught:
        circuit(0.3)
    assert server.duplicates == 0
    return caught.value


def test_the_reason_of_a_failed_job_is_quoted(server: IBMServer) -> None:
    server.next_jobs(fail="The control electronics are on fire.", code=9999)
    failing(server, ct.JobFailedError, "control electronics are on fire")
    assert server.submitted == 1


def test_the_reason_of_a_failed_job_is_quoted_though_it_was_asked_for_twice(
    server: IBMServer,
) -> None:
    server.next_jobs(fail="The control electronics are on fire.")
    server.trouble("status", path=RESULTS)  # where the reason is
    failing(server, ct.JobFailedError, "control electronics are on fire")


def test_a_job_that_ran_too_long_says_so(server: IBMServer) -> None:
    server.next_jobs(fail="Job ran too long.", code=1305)
    failing(server, ct.JobFailedError, "1305.*ran too long", max_time=1)


def test_a_job_cancelled_by_somebody_at_ibm_says_so(server: IBMServer) -> None:
    server.next_jobs(cancelled=True)
    failing(server, ct.JobCancelledError, "was cancelled at the vendor", retries=2)
    assert server.submitted == 1


def test_an_unknown_state_is_quoted(server: IBMServer) -> None:
    server.next_jobs(odd_status="Pondering")
    error = failing(server, ct.UnsettledJobError, "(?i)'pondering'", retries=2)
    assert server.jobs[0].id in str(error)
    assert server.submitted == 1


def test_retries_send_a_failed_job_again_as_another_one(server: IBMServer) -> None:
    server.next_jobs(fail="The fridge is warm.")
    with virtual_clock():
        assert right(electron_on(executor_at(server, retries=1))(0.3))
    assert (server.submitted, server.duplicates) == (2, 0)


# --- Accounts and machines ------------------------------------------------------------


def test_an_expired_bearer_is_renewed(server: IBMServer) -> None:
    server.next_jobs(hold=True)
    executor = executor_at(server, kind=QuickExecutor)
    future = electron_on(executor).run_later(0.3)
    wait_until(lambda: server.submitted == 1)
    server.expire_tokens()
    server.release()
    assert right(future.result(timeout=60))
    server.expire_tokens()
    assert right(electron_on(executor)(0.3))
    assert (server.submitted, server.duplicates) == (2, 0)


def test_a_revoked_token_says_what_to_do(server: IBMServer) -> None:
    with virtual_clock():
        circuit = electron_on(executor_at(server))
        circuit(0.3)
        server.revoke()
        with pytest.raises(ct.ExecutorError, match=r"refused the token.*ibmqx_token="):
            circuit(0.3)
    assert server.submitted == 1


def test_a_token_that_ibm_never_knew_says_what_to_do(server: IBMServer) -> None:
    executor = executor_at(server, ibmqx_token="never-made-by-anybody")
    with virtual_clock() as clock:
        with pytest.raises(
            ct.ExecutorError, match=r"refused the token.*Make a new one"
        ):
            electron_on(executor)(0.3)
        assert clock.now < 60
    assert server.submitted == 0


def test_what_ibm_forbids_is_not_blamed_on_the_token(server: IBMServer) -> None:
    server.trouble("status", method="POST", path="^/jobs$", status=403)
    with virtual_clock(), pytest.raises(ct.ExecutorError, match=r"^IBM refused it: "):
        electron_on(executor_at(server))(0.3)
    assert server.submitted == 0


def test_a_token_that_is_revoked_while_a_job_runs_leaves_its_handle(
    server: IBMServer,
) -> None:
    server.next_jobs(hold=True)
    future = electron_on(executor_at(server, kind=QuickExecutor)).run_later(0.3)
    wait_until(lambda: server.submitted == 1)
    server.revoke()
    with pytest.raises(ct.UnsettledJobError, match=r"refused the token.*attach\(\)"):
        future.result(timeout=60)
    assert future.handles == (server.jobs[0].id,)


def test_no_account_at_all_says_how_to_have_one(server: IBMServer) -> None:
    executor = QiskitExecutor("sampler", "ibm_small")
    with virtual_clock(), pytest.raises(ct.ConfigError, match=r"no account.*save_acc"):
        electron_on(executor)(0.3)


def test_an_account_that_the_file_does_not_hold_is_named(server: IBMServer) -> None:
    executor = QiskitExecutor("sampler", "ibm_small", account="work")
    with (
        virtual_clock(),
        pytest.raises(ct.ConfigError, match="holds no account 'work'"),
    ):
        electron_on(executor)(0.3)


def test_the_account_of_the_environment_is_used(
    server: IBMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QISKIT_IBM_TOKEN", server.token)
    monkeypatch.setenv("QISKIT_IBM_URL", server.url)
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", server.instances[OPEN])
    with virtual_clock():
        assert right(electron_on(QiskitExecutor("sampler", "ibm_small"))(0.3))
    assert server.jobs[0].instance == OPEN


def test_the_account_of_the_file_is_used(server: IBMServer, tmp_path: Path) -> None:
    server.save_account(tmp_path / "accounts.json")  # where the client looks
    with virtual_clock():
        assert right(electron_on(QiskitExecutor("sampler", "ibm_small"))(0.3))
    assert server.jobs[0].instance == OPEN


def test_a_machine_that_the_account_does_not_have_names_those_near(
    server: IBMServer,
) -> None:
    failing(
        server, ct.ConfigError, "no machine 'ibm_smal'.*'ibm_small'", backend="ibm_smal"
    )
    assert server.submitted == 0


def test_a_machine_that_is_too_small_is_not_sent_the_circuit(server: IBMServer) -> None:
    def wide() -> Any:
        for wire in range(6):
            qml.RX(0.3, wires=wire)
        return qml.expval(qml.Z(5))

    circuit = electron_on(executor_at(server), wide, wires=6)
    with virtual_clock(), pytest.raises(ct.ConfigError, match=r"6 wires.*5 qubits"):
        circuit()
    assert server.submitted == 0


def test_a_machine_that_cannot_branch_is_not_sent_the_circuit(
    server: IBMServer,
) -> None:
    def branching() -> Any:
        qml.Hadamard(0)
        qml.cond(qml.measure(0), qml.X)(1)
        return qml.expval(qml.Z(1))

    options: dict[str, Any] = {"mcm_method": "one-shot", "shots": 100}
    circuit = electron_on(executor_at(server), branching, **options)
    with virtual_clock(), pytest.raises(ct.ConfigError, match="depend on measurements"):
        circuit()
    assert server.submitted == 0
    able = electron_on(executor_at(server, backend="ibm_dynamic"), branching, **options)
    with virtual_clock():
        assert abs(float(able())) < 0.5


def test_a_machine_in_maintenance_takes_jobs_with_a_warning(server: IBMServer) -> None:
    server.set_backend("ibm_small", status="maintenance")
    with virtual_clock(), pytest.raises(ct.QElectronError, match="maintenance"):
        electron_on(executor_at(server))(0.3)  # pytest makes errors of warnings
    assert server.submitted == 0


# --- Whatever goes wrong --------------------------------------------------------------

spoilt = st.tuples(
    st.sampled_from([*PLACES]),
    st.sampled_from([*FAULTS]),
    st.integers(1, 3),
    st.integers(0, 2),
)
fates = st.sampled_from(
    [{}, {}, {}, {"fail": "Alas."}, {"cancelled": True}, {"odd_status": "Odd"}]
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    faults=st.lists(spoilt, max_size=4),
    fate=fates,
    retries=st.integers(0, 1),
    n_circuits=st.integers(1, 3),
)
def test_whatever_goes_wrong_a_call_ends_right_or_in_one_error_and_is_paid_once(
    server: IBMServer, faults: Any, fate: Any, retries: int, n_circuits: int
) -> None:
    server.calm()
    before = server.submitted
    server.next_jobs(**fate)
    for place, fault, times, after in faults:
        method, path = PLACES[place]
        order = {"method": method, "path": path, "times": times, "after": after}
        server.trouble(**order, **FAULTS[fault])
    circuit = electron_on(executor_at(server, retries=retries, timeout_s=20_000.0))
    with virtual_clock() as clock:
        futures = [circuit.run_later(0.3) for _ in range(n_circuits)]
        outcomes = ct.gather(futures, return_exceptions=True, timeout=120)
        assert clock.now < 25_000
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, ct.QElectronError), repr(outcome)
            assert str(outcome)
        else:
            assert right(outcome)
    jobs = server.jobs[before:]
    tags = [job.tags[0] for job in jobs]
    assert server.duplicates == 0
    assert len(set(tags)) == len(tags)
    assert len(jobs) <= n_circuits * (1 + retries)
    server.next_jobs(None)

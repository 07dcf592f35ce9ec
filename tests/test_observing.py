"""What observers and the log are told, and whose context it is told in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, ClassVar

import attrs
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core.testing import FakeCloud, Faults

request: ContextVar[str] = ContextVar("request", default="nobody's")


@attrs.frozen
class Flaky(ct.Executor):
    """Fail the first attempts, each on a thread of the lane."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(computes=False)

    name: str = ""  # lanes are shared by equal executors, and each test has its own
    failures: int = 0
    token: str = attrs.field(default="hidden-token", repr=False)
    attempts: list[int] = attrs.field(factory=list, eq=False, repr=False)

    def run(self, job: ct.Job) -> Sequence[Any]:
        self.attempts.append(1)
        if len(self.attempts) <= self.failures:
            raise ct.JobFailedError("out of luck")
        return [0.5 for _ in job.circuits]


@attrs.frozen
class Gate(ct.Executor):
    """Run once the gate is open."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(computes=False)

    gate: threading.Event = attrs.field(factory=threading.Event, eq=False)

    def run(self, job: ct.Job) -> Sequence[Any]:
        assert self.gate.wait(30)
        return [0.5 for _ in job.circuits]


def circuit_on(executors: Any, **options: Any) -> ct.QElectron:
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    made: ct.QElectron = ct.qelectron(circuit, executors=executors, **options)
    return made


def two_circuits() -> ct.QElectron:
    @ct.qelectron(executors=Flaky())
    @qml.transforms.split_non_commuting
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.X(0)), qml.expval(qml.Z(0))

    return circuit


# --- Events ---------------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True])
def test_events_say_how_many_circuits_their_call_has(*, later: bool) -> None:
    circuit = two_circuits()
    seen: list[ct.Event] = []
    with ct.observe(seen.append):
        circuit.run_later(0.1).result(timeout=30) if later else circuit(0.1)
    assert {event.index for event in seen} == {0, 1}
    assert {event.circuits for event in seen} == {2}


def test_an_event_of_an_executor_counts_no_circuits() -> None:
    bad = Flaky("a", failures=9)
    cluster = ct.QCluster([bad, Flaky()], failover=ct.Failover(after=1))
    seen: list[ct.Event] = []
    with ct.observe(seen.append):
        circuit_on(cluster)(0.1)
    (suspended,) = (event for event in seen if event.kind == "suspended")
    assert suspended.circuits == 0


@pytest.mark.parametrize("executor", [Flaky("b", failures=1, retries=2), FakeCloud()])
def test_observers_see_the_context_of_the_call_on_every_thread(executor: Any) -> None:
    seen: list[tuple[str, str]] = []
    threads = set()

    def observer(event: ct.Event) -> None:
        seen.append((event.kind, request.get()))
        threads.add(threading.get_ident())

    token = request.set("mine")
    try:
        with ct.observe(observer):
            future = circuit_on(executor).run_later(0.1)
            request.set("another's")  # of which the call knows nothing
            future.result(timeout=30)
    finally:
        request.reset(token)
    assert len(seen) >= 3
    assert len(threads) > 1
    assert {whose for _, whose in seen} == {"mine"}


def test_a_circuit_that_waits_for_an_equal_one_keeps_its_own_context() -> None:
    executor = Gate()
    circuit = circuit_on(executor, cache=True)
    seen: dict[str, set[str]] = {}

    def observer(event: ct.Event) -> None:
        seen.setdefault(event.call_id, set()).add(request.get())

    with ct.observe(observer):
        futures = []
        for name in ("first", "second"):
            token = request.set(name)
            futures.append(circuit.run_later(0.7))
            request.reset(token)
        executor.gate.set()
        ct.gather(futures)
    assert [seen[future.id] for future in futures] == [{"first"}, {"second"}]


# --- The log --------------------------------------------------------------------------


def records_of(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [one for one in caplog.records if one.name == "qelectron.events"]


def test_the_log_follows_a_circuit_with_its_ids(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="qelectron")
    future = circuit_on(Flaky("c", failures=1, retries=1)).run_later(0.1)
    future.result(timeout=30)
    (execution,) = future.executions
    records = records_of(caplog)
    levels = [record.levelname for record in records]
    assert levels == ["DEBUG", "DEBUG", "INFO", "DEBUG", "DEBUG", "DEBUG"]
    assert {record.call_id for record in records} == {future.id}
    assert {record.circuit for record in records} == {0}
    assert {record.executor for record in records} == {repr(execution.executor)}
    assert [record.job_id for record in records] == [
        *("", "", execution.earlier[0].job_id),
        *("", "", execution.job_id),
    ]
    lines = [record.getMessage() for record in records]
    assert f"circuit 0 of {future.id} failed on" in lines[2]
    assert "is tried again" in lines[2]
    assert "JobFailedError: out of luck" in lines[2]
    assert execution.job_id in lines[-1]
    assert "hidden-token" not in caplog.text


def test_the_log_is_quiet_unless_asked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="qelectron")
    circuit_on(Flaky("d", failures=1, retries=1))(0.1)
    assert records_of(caplog) == []


def test_at_info_only_what_is_notable_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="qelectron")
    bad = Flaky("e", failures=9)
    cluster = ct.QCluster([bad, Flaky()], failover=ct.Failover(after=1))
    circuit_on(cluster)(0.1)
    words = [record.getMessage() for record in records_of(caplog)]
    assert len(words) == 2
    assert "left out for a while" in words[0]
    assert "is tried again" in words[1]


def test_a_kept_result_is_logged_with_the_job_that_it_is_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    circuit = circuit_on(Flaky(), cache=True)
    first = circuit.run_later(0.4321)
    first.result(timeout=30)
    caplog.set_level(logging.DEBUG, logger="qelectron")
    circuit(0.4321)
    (record,) = records_of(caplog)
    assert "not run" in record.getMessage()
    assert first.executions[0].job_id in record.getMessage()


def test_a_vendors_handle_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="qelectron")
    cloud = FakeCloud(name="logged", faults=Faults(crashed=1))
    future = circuit_on(cloud).run_later(0.1)
    assert isinstance(future.exception(timeout=30), ct.JobFailedError)
    (record,) = records_of(caplog)
    handle = future.executions[0].handle
    assert handle is not None
    assert f"({handle})" in record.getMessage()


def test_a_filter_that_fails_fails_no_run() -> None:
    def broken(record: logging.LogRecord) -> bool:
        raise KeyError("what?")

    logger = logging.getLogger("qelectron.events")
    logger.addFilter(broken)
    logger.setLevel(logging.DEBUG)
    try:
        assert float(circuit_on(Flaky("filtered"))(0.1)) == 0.5
    finally:
        logger.removeFilter(broken)
        logger.setLevel(logging.NOTSET)


def test_an_observer_that_fails_is_logged_with_what_it_failed_at(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(event: ct.Event) -> None:
        if event.kind == "completed":
            raise KeyError("what?")

    with ct.observe(broken):
        future = circuit_on(Flaky()).run_later(0.1)
        future.result(timeout=30)
    (record,) = (one for one in caplog.records if one.exc_info)
    assert f"'completed' of circuit 0 of {future.id}" in record.getMessage()
    assert (record.call_id, record.circuit) == (future.id, 0)  # type: ignore[attr-defined]
    assert record.job_id == future.executions[0].job_id  # type: ignore[attr-defined]

"""Retries, timeouts and failover: a circuit that fails is not lost at once."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

import attrs
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core.registry import registry
from qelectron_core.runtime.breakers import Breaker


class Bench:
    """What executors of a test share: what they did, and what they are to do."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.release = threading.Event()
        self.lock = threading.Lock()

    def count(self, name: str) -> int:
        with self.lock:
            self.runs[name] += 1
            return self.runs[name]


@attrs.frozen
class Flaky(ct.Executor):
    """Fails its first `failures` jobs, and then answers `value`."""

    bench: Bench
    name: str = "flaky"
    failures: int = 0
    value: float = 1.0

    def run(self, job: ct.Job) -> Sequence[Any]:
        if self.bench.count(self.name) <= self.failures:
            raise RuntimeError(f"{self.name} is down")
        return [self.value] * len(job)


@attrs.frozen
class Hangs(ct.Executor):
    bench: Bench

    def run(self, job: ct.Job) -> Sequence[Any]:
        self.bench.count("hangs")
        self.bench.release.wait(60)
        return [0.0] * len(job)


@attrs.frozen
class HalfTheTime(ct.Executor):
    """Fails at random, whole jobs and single circuits."""

    bench: Bench
    seed_of_faults: int = 7

    def run(self, job: ct.Job) -> Sequence[Any]:
        number = self.bench.count("half")
        chance = random.Random(f"{self.seed_of_faults}/{number}")
        if chance.random() < 0.5:
            raise ConnectionError("the line went dead")
        answers = [_angle(circuit) for circuit in job.circuits]
        return [
            ValueError("a glitch") if chance.random() < 0.5 else answer
            for answer in answers
        ]


@attrs.frozen
class Angle(ct.Executor):
    """Answers the first parameter, so that mixed up results are seen."""

    name: str = "angle"

    def run(self, job: ct.Job) -> Sequence[Any]:
        return [_angle(circuit) for circuit in job.circuits]


def _angle(circuit: Any) -> float:
    return float(circuit.get_parameters(trainable_only=False)[0])


def circuit_on(executors: Any, **options: Any) -> ct.QElectron:
    @ct.qelectron(executors=executors)
    @qml.qnode(qml.device("default.qubit", wires=3), **options)
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    return circuit


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.release.set()
    ct.shutdown()


@pytest.fixture
def events() -> Iterator[list[ct.Event]]:
    seen: list[ct.Event] = []
    with ct.observe(seen.append):
        yield seen


def kinds(events: list[ct.Event]) -> list[str]:
    return [event.kind for event in events]


# --- Retries --------------------------------------------------------------------------


def test_a_circuit_is_run_again_as_often_as_the_executor_says(
    bench: Bench, events: list[ct.Event]
) -> None:
    future = circuit_on(Flaky(bench, failures=2, retries=2)).run_later(0.1)
    assert float(future.result(timeout=30)) == 1.0
    (execution,) = future.executions
    assert execution.attempt == 3
    assert execution.error is None
    assert [e.error for e in execution.earlier] == ["RuntimeError: flaky is down"] * 2
    assert [e.attempt for e in execution.earlier] == [1, 2]
    failed = ["submitted", "started", "retried"]
    assert kinds(events) == [*failed, *failed, *failed[:2], "completed"]


def test_an_error_is_final_when_the_retries_are_used_up(
    bench: Bench, events: list[ct.Event]
) -> None:
    circuit = circuit_on(Flaky(bench, failures=9, retries=1))
    with pytest.raises(RuntimeError, match="flaky is down"):
        circuit(0.1)
    assert bench.runs["flaky"] == 2
    assert kinds(events)[-1] == "failed"
    assert ct.load(Flaky(bench, failures=9, retries=1)).in_flight == 0


def test_every_attempt_is_in_the_journal(bench: Bench) -> None:
    future = circuit_on(Flaky(bench, failures=1, retries=1)).run_later(0.1)
    future.result(timeout=30)
    (run,) = ct.history(future.id)
    assert [entry.attempt for entry in run.entries] == [1, 2]
    assert [bool(entry.error) for entry in run.entries] == [True, False]


def test_only_the_failed_circuits_of_a_call_are_run_again(bench: Bench) -> None:
    @attrs.frozen
    class OneFails(ct.Executor):
        def run(self, job: ct.Job) -> Sequence[Any]:
            bench.runs["circuits"] += len(job)
            answers: list[Any] = [_angle(circuit) for circuit in job.circuits]
            if len(job) > 1 and bench.count("jobs") == 1:
                answers[1] = ValueError("a glitch")
            return answers

    @ct.qelectron(executors=OneFails(retries=1))
    @qml.qnode(qml.device("default.qubit", wires=1), diff_method="parameter-shift")
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    gradient = qml.grad(circuit)(qml.numpy.array(0.5, requires_grad=True))
    assert float(gradient) == pytest.approx(math.pi / 2)
    assert bench.runs["circuits"] == 1 + 2 + 1


def test_a_call_cancelled_between_two_attempts_is_not_run_again(bench: Bench) -> None:
    failed = threading.Event()

    def see(event: ct.Event) -> None:
        if event.kind == "retried":
            failed.set()

    with ct.observe(see):
        futures = [
            circuit_on(Flaky(bench, name=f"n{i}", failures=99, retries=9)).run_later(
                0.1
            )
            for i in range(3)
        ]
        assert failed.wait(30)
        ct.shutdown()
    runs = dict(bench.runs)
    for future in futures:
        with pytest.raises((CancelledError, RuntimeError), match=r"^$|is down"):
            future.result(timeout=30)
    assert bench.runs == runs


def test_a_circuit_that_fails_while_its_lane_is_closed_is_not_run_again(
    bench: Bench,
) -> None:
    @attrs.frozen
    class Fails(ct.Executor):
        def run(self, job: ct.Job) -> Sequence[Any]:
            bench.count("runs")
            bench.release.wait(60)
            raise RuntimeError("too late")

    future = circuit_on(Fails(retries=9)).run_later(0.1)
    while not bench.runs:
        time.sleep(0.001)
    ct.shutdown(timeout_s=0)
    bench.release.set()
    with pytest.raises(RuntimeError, match="too late"):
        future.result(timeout=30)
    assert bench.runs["runs"] == 1


# --- Timeouts -------------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True], ids=["call", "run_later"])
def test_a_job_that_takes_too_long_ends_in_a_clear_error(
    bench: Bench, later: bool
) -> None:
    circuit = circuit_on(Hangs(bench, timeout_s=0.2))
    started = time.monotonic()
    with pytest.raises(
        ct.ExecutorTimeoutError, match=r"within 0\.2 s.*Raise timeout_s"
    ):
        circuit.run_later(0.1).result(timeout=30) if later else circuit(0.1)
    assert time.monotonic() - started < 20


def test_a_timeout_is_a_timeout_error(bench: Bench) -> None:
    with pytest.raises(TimeoutError):
        circuit_on(Hangs(bench, timeout_s=0.1))(0.1)


def test_a_lane_goes_on_after_a_job_that_hangs(bench: Bench) -> None:
    circuit = circuit_on(Hangs(bench, timeout_s=0.1))
    outcomes = circuit.map([0.1, 0.2, 0.3], return_exceptions=True)
    assert [type(o) for o in outcomes] == [ct.ExecutorTimeoutError] * 3
    assert bench.runs["hangs"] >= 1
    bench.release.set()
    assert float(circuit(0.1)) == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retries": -1}, r"retries=-1 .*0 or more"),
        ({"retries": True}, r"retries=True .*0 or more"),
        ({"timeout_s": 0}, r"timeout_s=0 .*above 0"),
        ({"timeout_s": float("inf")}, r"timeout_s=inf .*None"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ct.ConfigError, match=message):
        Angle(**options)


# --- Failover -------------------------------------------------------------------------


def test_a_failed_circuit_goes_to_another_member(
    bench: Bench, events: list[ct.Event]
) -> None:
    down = Flaky(bench, name="down", failures=99)
    cluster = ct.QCluster([down, Angle()], failover=True)
    future = circuit_on(cluster).run_later(0.25)
    assert float(future.result(timeout=30)) == 0.25
    (execution,) = future.executions
    assert execution.executor == Angle()
    assert [e.executor for e in execution.earlier] == [down]
    assert kinds(events).count("retried") == 1


def test_without_failover_the_error_is_the_users(bench: Bench) -> None:
    cluster = ct.QCluster([Flaky(bench, failures=99), Angle()])
    with pytest.raises(RuntimeError, match="is down"):
        circuit_on(cluster)(0.25)


def test_the_last_error_is_raised_when_no_member_can(bench: Bench) -> None:
    members = [Flaky(bench, name=name, failures=99) for name in "abc"]
    with pytest.raises(RuntimeError, match="is down"):
        circuit_on(ct.QCluster(members, failover=True))(0.1)
    assert bench.runs == {"a": 1, "b": 1, "c": 1}


def test_retries_come_before_failover(bench: Bench) -> None:
    patient = Flaky(bench, name="patient", failures=99, retries=1)
    assert float(circuit_on(ct.QCluster([patient, Angle()], failover=True))(0.2)) == 0.2
    assert bench.runs["patient"] == 2


def test_a_member_that_cannot_run_a_circuit_is_passed_over() -> None:
    @attrs.frozen
    class Narrow(Angle):
        capabilities = ct.Capabilities(max_wires=0)

    with pytest.raises(ct.ConfigError, match=r"1 wires, and it takes 0"):
        circuit_on(ct.QCluster([Narrow(), Angle()]))(0.1)
    assert (
        float(circuit_on(ct.QCluster([Narrow(), Angle()], failover=True))(0.1)) == 0.1
    )


def test_an_inner_cluster_without_failover_counts_as_one_member(bench: Bench) -> None:
    inner = ct.QCluster([Flaky(bench, name=name, failures=99) for name in "ab"])
    outer = ct.QCluster([inner, Angle()], failover=True)
    assert float(circuit_on(outer)(0.3)) == 0.3
    assert sum(bench.runs.values()) == 1


def test_failover_takes_shots_and_seed_of_the_other_member(bench: Bench) -> None:
    @attrs.frozen
    class Facts(ct.Executor):
        def run(self, job: ct.Job) -> Sequence[Any]:
            return [
                ct.Outcome(0.0, {"shots": c.shots.total_shots, "seed": s.entropy})
                for c, s in job
            ]

    down = Flaky(bench, failures=99, shots=7, seed=1)
    cluster = ct.QCluster([down, Facts(shots=9, seed=2)], failover=True)
    future = circuit_on(cluster).run_later(0.1)
    future.result(timeout=30)
    assert dict(future.executions[0].metadata) == {"shots": 9, "seed": 2}


@pytest.mark.parametrize("per", ["circuit", "call"])
def test_one_member_of_three_that_fails_half_of_the_time_is_not_noticed(
    bench: Bench, events: list[ct.Event], per: Any
) -> None:
    members = [HalfTheTime(bench), Angle(name="one"), Angle(name="two")]
    failover = ct.Failover(after=2, pause_s=0.05)
    circuit = circuit_on(ct.QCluster(members, failover=failover, per=per))
    angles = [number / 1000 for number in range(2000)]
    assert [float(result) for result in circuit.map(angles)] == angles
    futures = [circuit.run_later(angle) for angle in angles[:50]]
    assert [float(f.result(timeout=60)) for f in futures] == angles[:50]
    assert kinds(events).count("completed") == 2050
    assert "failed" not in kinds(events)


def test_an_inner_cluster_fails_over_by_itself(bench: Bench) -> None:
    inner = ct.QCluster([Flaky(bench, failures=99), Angle()], failover=True)
    outer = ct.QCluster([inner, Angle(name="other")])
    circuit = circuit_on(outer)
    assert [float(circuit(x)) for x in (0.1, 0.2, 0.3)] == [0.1, 0.2, 0.3]


def test_a_member_that_cannot_be_used_at_all_ends_the_circuit_and_hangs_nothing(
    bench: Bench,
) -> None:
    @attrs.frozen
    class Unusable(ct.Executor):
        @property
        def concurrency(self) -> int:
            return 0

    cluster = ct.QCluster([Flaky(bench, failures=99), Unusable()], failover=True)
    with pytest.raises(ct.ConfigError, match="concurrency=0"):
        circuit_on(cluster).run_later(0.1).result(timeout=30)


def test_a_failing_circuit_with_an_exception_that_takes_no_notes_fails_over(
    bench: Bench,
) -> None:
    @attrs.frozen
    class VendorError(Exception):
        code: int = 0

    @attrs.frozen
    class Fails(ct.Executor):
        def run(self, job: ct.Job) -> Sequence[Any]:
            raise VendorError

    cluster = ct.QCluster([Fails(), Angle()], failover=True)
    assert float(circuit_on(cluster).run_later(0.4).result(timeout=30)) == 0.4


# --- The circuit breaker --------------------------------------------------------------


def test_a_member_that_keeps_failing_is_left_out_and_tried_again(
    bench: Bench, events: list[ct.Event]
) -> None:
    down = Flaky(bench, name="down", failures=3)
    failover = ct.Failover(after=3, pause_s=0.3)
    circuit = circuit_on(ct.QCluster([down, Angle()], failover=failover))
    while "suspended" not in kinds(events):
        assert float(circuit(0.5)) == 0.5
    (suspended,) = (event for event in events if event.kind == "suspended")
    assert (suspended.executor, suspended.call_id, suspended.index) == (down, "", -1)
    assert bench.runs["down"] == 3
    for _ in range(4):  # it is left out now: the other one has all
        circuit(0.5)
    assert bench.runs["down"] == 3
    deadline = time.monotonic() + 30
    while "resumed" not in kinds(events):
        circuit(0.5)
        assert time.monotonic() < deadline
    assert bench.runs["down"] == 4


def test_a_cluster_whose_members_are_all_left_out_still_tries_them(
    bench: Bench,
) -> None:
    members = [Flaky(bench, name=name, failures=2) for name in "ab"]
    failover = ct.Failover(after=1, pause_s=60)
    circuit = circuit_on(ct.QCluster(members, failover=failover))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="is down"):
            circuit(0.1)
    assert float(circuit(0.1)) == 1.0


def test_a_job_counts_once_however_many_circuits_it_takes_down(
    bench: Bench, events: list[ct.Event]
) -> None:
    down = Flaky(bench, name="down", failures=1)
    cluster = ct.QCluster([down, Angle()], failover=ct.Failover(after=2, pause_s=60))
    circuit = circuit_on(cluster, diff_method="parameter-shift")
    x = qml.numpy.array(0.5, requires_grad=True)
    qml.grad(lambda x: sum(circuit(x) for _ in range(3)))(x)
    assert "suspended" not in kinds(events)


def test_the_breaker_opens_after_failures_in_a_row_of_different_jobs() -> None:
    breaker = Breaker(ct.Failover(after=2, pause_s=60))
    assert breaker.record("job-1", failed=True) is None
    assert breaker.record("job-1", failed=True) is None, "the same job"
    assert breaker.record("job-2", failed=False) is None
    assert breaker.record("job-3", failed=True) is None, "one in a row"
    assert not breaker.is_open()
    assert breaker.record("job-4", failed=True) == "suspended"
    assert breaker.is_open()
    assert breaker.record("job-5", failed=True) is None, "it is open already"
    assert breaker.record("job-6", failed=False) == "resumed"
    assert not breaker.is_open()
    assert breaker.record("job-7", failed=True) is None, "it counts anew"


def test_while_one_circuit_tries_a_suspended_executor_no_other_does() -> None:
    breaker = Breaker(ct.Failover(after=1, pause_s=0.05))
    breaker.record("job-1", failed=True)
    while breaker.is_open():
        time.sleep(0.001)
    breaker.chosen()
    assert breaker.is_open()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"after": 0}, "after=0 .*1 or more"), ({"pause_s": -1}, "pause_s=-1 .*0 s or")],
)
def test_a_failover_that_makes_no_sense_is_refused(options: Any, message: str) -> None:
    with pytest.raises(ct.ConfigError, match=message):
        ct.Failover(**options)


@pytest.mark.parametrize("value", ["yes", 3])
def test_failover_is_a_yes_a_no_or_a_failover(value: Any) -> None:
    with pytest.raises(ct.ConfigError, match=r"Expected True, False or a ct\.Failover"):
        ct.QCluster([Angle()], failover=value)


# --- per="call", load -----------------------------------------------------------------


def test_the_circuits_of_one_call_stay_on_one_executor(events: list[ct.Event]) -> None:
    members = [Angle(name=name) for name in "abc"]

    def used(per: Any) -> set[frozenset[ct.Executor]]:
        events.clear()
        circuit = circuit_on(
            ct.QCluster(members, per=per), diff_method="parameter-shift"
        )
        qml.grad(circuit)(qml.numpy.array(0.5, requires_grad=True))
        by_call: dict[str, set[Any]] = {}
        for event in events:
            by_call.setdefault(event.call_id, set()).add(event.executor)
        return {frozenset(executors) for executors in by_call.values()}

    assert all(len(executors) == 1 for executors in used("call"))
    assert any(len(executors) > 1 for executors in used("circuit"))


def test_per_is_circuit_or_call() -> None:
    with pytest.raises(ct.ConfigError, match=r"per='gradient'.*'circuit' or 'call'"):
        ct.QCluster([Angle()], per="gradient")  # type: ignore[arg-type]


def test_load_counts_circuits_from_their_choice_to_their_end(bench: Bench) -> None:
    hangs = Hangs(bench)
    circuit = circuit_on(hangs)
    futures = [circuit.run_later(0.1) for _ in range(5)]
    assert ct.load(hangs) == ct.Load(in_flight=5)
    assert ct.load(ct.QCluster([hangs, Angle()])).in_flight == 5
    bench.release.set()
    ct.gather(futures, timeout=30)
    assert ct.load(hangs) == ct.Load()


def test_load_forgets_circuits_that_never_ran() -> None:
    @attrs.frozen
    class Sampling(Angle):
        capabilities = ct.Capabilities(exact=False)

    angle, sampling = Angle(), Sampling()
    circuit = circuit_on(ct.QCluster([angle, sampling]), diff_method="parameter-shift")
    with pytest.raises(ct.ConfigError, match="finite shots only"):
        qml.grad(circuit)(qml.numpy.array(0.5, requires_grad=True))
    assert ct.load(angle).in_flight == ct.load(sampling).in_flight == 0


def test_load_forgets_the_calls_of_a_map_that_could_not_be_built() -> None:
    circuit = circuit_on(Angle())
    with pytest.raises(ZeroDivisionError):
        circuit.map(angle_or_error for angle_or_error in _angles_with_an_error())

    def division(x: Any) -> Any:
        qml.RX(1 / x, wires=0)
        return qml.expval(qml.Z(0))

    device = qml.device("default.qubit", wires=1)
    with pytest.raises(ZeroDivisionError):
        ct.qelectron(qml.QNode(division, device), executors=Angle()).map([1.0, 0.0])
    assert ct.load(Angle()).in_flight == 0


def _angles_with_an_error() -> Iterator[float]:
    yield 0.1
    raise ZeroDivisionError


def test_a_selector_learns_once_of_every_attempt(bench: Bench) -> None:
    class Learning:
        def __init__(self) -> None:
            self.learned: list[tuple[Any, bool]] = []

        def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
            return executors[0]

        def learn(self, circuit: Any, execution: ct.Execution) -> None:
            self.learned.append((execution.executor, execution.error is None))

    selector = Learning()
    down = Flaky(bench, failures=99)
    circuit = circuit_on(ct.QCluster([down, Angle()], selector, failover=True))
    circuit(0.1)
    assert selector.learned == [(down, False), (Angle(), True)]


def test_a_selector_that_fails_to_learn_fails_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Forgetful:
        def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
            return executors[0]

        def learn(self, circuit: Any, execution: ct.Execution) -> None:
            raise KeyError("what?")

    assert float(circuit_on(ct.QCluster([Angle()], Forgetful()))(0.1)) == 0.1
    assert "a selector failed to learn" in caplog.text


def test_the_simulator_needs_no_failover() -> None:
    simulator = registry().resolve("executor", "Simulator")()
    cluster = ct.QCluster([simulator], failover=True)
    assert float(circuit_on(cluster)(0.0)) == 1.0

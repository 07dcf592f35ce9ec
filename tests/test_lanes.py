"""Lanes: circuits gather into jobs, resources live with workers, errors stay put."""

import concurrent.futures as cf
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core import Executor, Job, Outcome, QFuture, Result

DEADLINE_S = 30


class Log:
    """What an executor was asked to do; jobs wait until it is opened."""

    def __init__(self, *, opened: bool = False) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        if opened:
            self.opened.set()
        self.jobs: list[Job] = []
        self.opens: list[object] = []
        self.closes: list[object] = []
        self.room: Any = 1
        self.most = 100
        self.substitutes: dict[int, Executor] = {}

    @property
    def sizes(self) -> list[int]:
        return [len(job) for job in self.jobs]


@attrs.frozen
class Logged(Executor):
    """Answers each circuit with its first parameter and logs all that happens."""

    log: Log = attrs.field(factory=Log)
    n_workers: int = 1

    @property
    def concurrency(self) -> int:
        return self.n_workers

    def open(self) -> object:
        resource = object()
        self.log.opens.append(resource)
        return resource

    def close(self, resource: object) -> None:
        self.log.closes.append(resource)

    def run(self, job: Job) -> Sequence[Any]:
        self.log.jobs.append(job)
        self.log.entered.set()
        assert self.log.opened.wait(DEADLINE_S)
        return [float(circuit.data[0]) for circuit in job.circuits]


@attrs.frozen
class Limited(Logged):
    @property
    def limits(self) -> ct.Limits:
        return ct.Limits(circuits_per_job=4)


@attrs.frozen
class Dear(Logged):
    """Takes ten executions in a job, and four for each circuit."""

    @property
    def limits(self) -> ct.Limits:
        return ct.Limits(shots_per_job=10)

    def executions(self, circuit: Any) -> int:
        return 4


@attrs.frozen
class Timed(Logged):
    """Expects circuits to take as many seconds as their parameter says."""

    @property
    def limits(self) -> ct.Limits:
        return ct.Limits(seconds_per_job=0.5)

    def expected_s(self, circuit: Any) -> float:
        return float(circuit.data[0])


@attrs.frozen
class Growing(Logged):
    """Runs as many jobs at once as its log has room for."""

    @property
    def concurrency(self) -> Any:
        return self.log.room

    @property
    def limits(self) -> ct.Limits:
        return ct.Limits(circuits_per_job=self.log.most)


@attrs.frozen
class Elsewhere(Logged):
    """Runs nothing itself in threads for which its log has a substitute."""

    def here(self) -> Executor:
        return self.log.substitutes.get(threading.get_ident(), self)


@attrs.frozen
class Gathering(Logged):
    def gathers(self, circuit: Any) -> bool:
        return True


@attrs.frozen
class Choosy(Logged):
    """Wants circuits in one job that agree in the sign of their parameter."""

    most: int | None = None

    @property
    def limits(self) -> ct.Limits:
        return ct.Limits(circuits_per_job=self.most)

    def company(self, circuit: Any) -> bool:
        return bool(circuit.data[0] > 0)


@attrs.frozen
class Answering(Executor):
    """Returns from `run` whatever a function makes of the job."""

    answer: Callable[[Job], Any] = attrs.field(default=len)

    def run(self, job: Job) -> Any:
        return self.answer(job)


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.opened.set()


def make(executors: Any, **options: Any) -> ct.QElectron:
    @ct.qelectron(executors=executors)
    @qml.qnode(qml.device("default.qubit", wires=1), **options)
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.PauliZ(0))

    return circuit


def held(executor: Logged) -> tuple[ct.QElectron, QFuture]:
    """Return a circuit whose executor is busy, and the future it is busy with."""
    circuit = make(executor)
    future = circuit.run_later(0.0)
    assert executor.log.entered.wait(DEADLINE_S)
    return circuit, future


def sizes(futures: Sequence[QFuture]) -> list[int]:
    return [future.executions[0].job_size for future in futures]


# --- Natural batching -----------------------------------------------------------------


def test_an_idle_lane_starts_at_once(log: Log) -> None:
    held(Logged(log))
    assert log.sizes == [1]


def test_circuits_that_gather_leave_as_one_job(log: Log) -> None:
    circuit, first = held(Logged(log))
    futures = [circuit.run_later(0.01 * n) for n in range(50)]
    log.opened.set()
    assert ct.gather(futures) == pytest.approx([0.01 * n for n in range(50)])
    first.result(DEADLINE_S)
    assert log.sizes == [1, 50]
    assert sizes([first, *futures]) == [1, *[50] * 50]


def test_circuits_of_different_qelectrons_gather(log: Log) -> None:
    _, first = held(Logged(log))
    futures = [make(Logged(log)).run_later(0.1 * n) for n in range(3)]
    log.opened.set()
    ct.gather(first, *futures)
    assert log.sizes == [1, 3]


def test_a_job_holds_no_more_than_its_limit(log: Log) -> None:
    circuit, first = held(Limited(log))
    futures = [circuit.run_later(0.1) for _ in range(10)]
    log.opened.set()
    ct.gather(first, *futures)
    assert log.sizes == [1, 4, 4, 2]


@pytest.mark.parametrize(
    ("most", "jobs"),
    [
        (None, [[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]]),
        (2, [[1.0, 2.0], [-1.0, -2.0], [3.0], [-3.0]]),
    ],
)
def test_circuits_that_want_no_company_of_each_other_are_sent_apart(
    log: Log, most: int | None, jobs: list[list[float]]
) -> None:
    circuit, first = held(Choosy(log, most=most))
    numbers = [1.0, -1.0, 2.0, -2.0, 3.0, -3.0]
    futures = [circuit.run_later(number) for number in numbers]
    log.opened.set()
    assert ct.gather(futures) == numbers
    first.result(DEADLINE_S)
    sent = [[float(c.data[0]) for c in job.circuits] for job in log.jobs]
    assert sent == [[0.0], *jobs]


def test_an_executor_says_what_a_circuit_takes_of_the_limit(log: Log) -> None:
    circuit, first = held(Dear(log))
    futures = [circuit.run_later(0.1) for _ in range(5)]
    log.opened.set()
    ct.gather(first, *futures)
    assert log.sizes == [1, 2, 2, 1]


def test_a_job_takes_no_longer_than_it_may(log: Log) -> None:
    circuit, first = held(Timed(log))
    futures = [circuit.run_later(x) for x in [0.125, 0.25, 0.25, 7.0, 0.25, 0.25, 0.1]]
    log.opened.set()
    ct.gather(first, *futures)
    assert log.sizes == [1, 2, 1, 1, 2, 1]


@pytest.mark.parametrize("seconds", [0, -1.0, float("inf"), True, "1"])
def test_seconds_that_let_nothing_through_are_refused(seconds: Any) -> None:
    with pytest.raises(ct.ConfigError, match=r"seconds_per_job=.* is no limit"):
        ct.Limits(seconds_per_job=seconds)


def test_a_lane_follows_an_executor_that_grows(log: Log) -> None:
    circuit, first = held(Growing(log))
    futures = [circuit.run_later(0.1) for _ in range(6)]
    log.room, log.most = 3, 2
    log.entered.clear()
    last = circuit.run_later(0.1)
    assert log.entered.wait(DEADLINE_S)
    log.opened.set()
    ct.gather(first, *futures, last)
    assert sizes([first, *futures, last]) == [1, 2, 2, 2, 2, 1, 1, 1]


def test_an_executor_that_stops_saying_how_many_jobs_keeps_what_it_had(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    circuit, first = held(Growing(log))
    log.room = 0
    future = circuit.run_later(0.1)
    log.opened.set()
    assert ct.gather(first, future) == [0.0, 0.1]
    assert "how many jobs may run now; 1 may, as before" in caplog.text


def test_a_caller_may_be_served_by_another_executor(log: Log) -> None:
    other = Log(opened=True)
    log.opened.set()
    log.substitutes[threading.get_ident()] = Logged(other)
    executor = Elsewhere(log)
    circuit = make(executor)
    future = circuit.run_later(0.1)
    assert future.result(DEADLINE_S) == 0.1
    assert future.executions[0].executor is executor
    assert (log.sizes, other.sizes) == ([], [1])
    with cf.ThreadPoolExecutor(1) as pool:
        assert pool.submit(circuit, 0.2).result(DEADLINE_S) == 0.2
    assert (log.sizes, other.sizes) == ([1], [1])


def test_who_serves_a_caller_tries_again_itself(log: Log) -> None:
    log.substitutes[threading.get_ident()] = Answering(raises, retries=2)
    executor = Elsewhere(log)
    future = make(executor).run_later(0.1)
    with pytest.raises(OSError, match="no route to host"):
        future.result(DEADLINE_S)
    assert future.executions[0].attempt == 3
    assert log.sizes == []


def test_different_settings_are_not_mixed(log: Log) -> None:
    circuit, first = held(Logged(log))

    @ct.qelectron(executors=Logged(log))
    @qml.qnode(qml.device("default.qubit"), postselect_mode="fill-shots", shots=10)
    def other(x: float) -> Any:
        qml.RX(x, wires=0)
        qml.measure(0, postselect=0)
        return qml.expval(qml.PauliZ(0))

    futures = [c.run_later(0.1) for c in (circuit, circuit, other, other, circuit)]
    log.opened.set()
    ct.gather(first, *futures)
    assert log.sizes == [1, 2, 2, 1]
    for job in log.jobs:
        wanted = "fill-shots" if job.circuits[0].shots else None
        assert job.settings.postselect_mode == wanted


def test_shots_do_not_separate_circuits(log: Log) -> None:
    circuit, first = held(Logged(log))
    futures = [qml.set_shots(circuit, n).run_later(0.1) for n in (10, 20)]
    log.opened.set()
    ct.gather(first, *futures)
    assert log.sizes == [1, 2]
    assert [f.executions[0].shots for f in futures] == [10, 20]


def test_several_workers_share_what_has_gathered(log: Log) -> None:
    met = threading.Barrier(3)

    def answer(job: Job) -> list[float]:
        met.wait(DEADLINE_S)  # three jobs are running at once, or it breaks
        return [0.0 for _ in job]

    @attrs.frozen
    class Three(Answering):
        concurrency: ClassVar[int] = 3

    executor = Three(answer=answer)
    results = make(executor).map([0.1] * 9)
    assert [float(r) for r in results] == [0.0] * 9


def test_circuits_that_are_better_together_wait_for_each_other(log: Log) -> None:
    circuit, first = held(Gathering(log, n_workers=4))
    futures = [circuit.run_later(0.1) for _ in range(8)]
    assert log.sizes == [1]
    log.opened.set()
    ct.gather(first, *futures)
    assert log.sizes == [1, 8]


def test_results_come_in_the_order_of_their_circuits(log: Log) -> None:
    log.opened.set()
    values = [n / 128 for n in range(100)]
    assert [float(v) for v in make(Logged(log, n_workers=4)).map(values)] == values


def test_seeds_number_the_circuits_of_a_qelectron(log: Log) -> None:
    log.opened.set()
    circuit = make(Logged(log, seed=5))
    for _ in range(3):
        circuit(0.1)
    seeds = [seed for job in log.jobs for _, seed in job]
    assert [(seed.entropy, seed.ordinal) for seed in seeds] == [(5, 0), (5, 1), (5, 2)]
    assert len({seed.to_int() for seed in seeds}) == 3
    assert seeds[1].to_int() == ct.Seed(5, 1).to_int()


# --- Resources ------------------------------------------------------------------------


def test_a_worker_opens_its_resource_once_and_the_block_closes_it(log: Log) -> None:
    log.opened.set()
    with Logged(log) as executor:
        circuit = make(executor)
        circuit.map([0.1] * 5)
        circuit(0.2)
        circuit.run_later(0.3).result(DEADLINE_S)
        assert len(log.opens) == 1
        assert log.closes == []
        assert {id(job.resource) for job in log.jobs} == {id(log.opens[0])}
    assert log.closes == log.opens
    assert float(circuit(0.5)) == 0.5, "a call after the block starts afresh"
    assert len(log.opens) == 2


def test_every_worker_has_a_resource_of_its_own(log: Log) -> None:
    circuit, first = held(Logged(log, n_workers=3))
    futures = [circuit.run_later(0.1) for _ in range(10)]
    log.opened.set()
    ct.gather(first, *futures)
    assert 1 <= len(log.opens) <= 3  # an idle one is used again
    ct.shutdown()
    assert sorted(map(id, log.closes)) == sorted(map(id, log.opens))


def test_a_cluster_closes_its_members() -> None:
    logs = [Log(opened=True), Log(opened=True)]
    with ct.QCluster([Logged(logs[0]), [Logged(logs[1])]]) as cluster:
        make(cluster).map([0.1, 0.2])
    for log in logs:
        assert len(log.opens) == 1
        assert log.closes == log.opens


def test_the_end_of_the_block_waits_for_what_runs_and_cancels_the_rest(
    log: Log,
) -> None:
    executor = Logged(log)
    entered, done = threading.Event(), threading.Event()

    def leave() -> None:
        with executor:
            entered.set()
        done.set()

    circuit, running = held(executor)
    queued = circuit.run_later(0.5)
    dropped = threading.Event()
    queued.add_done_callback(lambda _: dropped.set())
    threading.Thread(target=leave, daemon=True).start()
    assert entered.wait(DEADLINE_S)
    assert dropped.wait(DEADLINE_S)
    assert queued.cancelled()
    assert not done.is_set()
    log.opened.set()
    assert done.wait(DEADLINE_S)
    assert float(running.result(DEADLINE_S)) == 0.0
    assert log.closes == log.opens


def test_shutdown_frees_everything_and_the_next_call_starts_afresh(log: Log) -> None:
    log.opened.set()
    circuit = make(Logged(log))
    circuit(0.1)
    ct.shutdown()
    assert log.closes == log.opens
    ct.shutdown()
    assert float(circuit(0.25)) == 0.25
    assert len(log.opens) == 2
    ct.shutdown()
    assert log.closes == log.opens


def test_shutdown_waits_no_longer_than_it_was_told(log: Log) -> None:
    _, running = held(Logged(log))
    ct.shutdown(timeout_s=0.01)
    assert running.running()
    assert log.closes == []
    log.opened.set()
    assert float(running.result(DEADLINE_S)) == 0.0


AT_EXIT = """
import attrs, sys
import pennylane as qml
import qelectron_core as ct

@attrs.frozen
class Noted(ct.Executor):
    def open(self):
        print("open", flush=True)
    def close(self, resource):
        print("close", flush=True)
    def run(self, job):
        return [0.5 for circuit in job.circuits]

@ct.qelectron(executors=Noted())
@qml.qnode(qml.device("default.qubit", wires=1))
def circuit(x):
    qml.RX(x, wires=0)
    return qml.expval(qml.PauliZ(0))

futures = [circuit.run_later(0.1) for _ in range(5)]
print(len(ct.gather(futures)), flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise ValueError('the user')"])
def test_resources_are_closed_when_the_program_ends(tmp_path: Path, end: str) -> None:
    path = tmp_path / "script.py"
    path.write_text(AT_EXIT.format(end=end))
    done = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["open", "5", "close"], done.stderr
    assert done.returncode == {"": 0, "sys.exit(3)": 3}.get(end, 1)


# --- Executors that misbehave ---------------------------------------------------------


def raises(_: Job) -> Any:
    raise OSError("no route to host")


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (
            lambda job: [0.5] * (len(job) - 1),
            ct.ExecutorError,
            "returned . results for",
        ),
        (
            lambda job: [0.5] * (len(job) + 1),
            ct.ExecutorError,
            "returned . results for",
        ),
        (lambda _: None, ct.ExecutorError, "returned NoneType from run"),
        (lambda _: 0.5, ct.ExecutorError, "returned float from run"),
        (lambda job: (0.5 for _ in job), ct.ExecutorError, "returned generator"),
        (raises, OSError, "no route to host"),
    ],
    ids=["few", "many", "none", "number", "generator", "raises"],
)
def test_an_executor_that_breaks_its_contract_fails_every_circuit(
    log: Log, answer: Any, error: type[Exception], message: str
) -> None:
    first = True

    def misbehave(job: Job) -> Any:
        nonlocal first
        if first:
            first = False
            log.entered.set()
            assert log.opened.wait(DEADLINE_S)
            return [float(circuit.data[0]) for circuit in job.circuits]
        if len(job) == 1:
            return [float(circuit.data[0]) for circuit in job.circuits]
        return answer(job)

    executor = Answering(answer=misbehave)
    circuit = make(executor)
    running = circuit.run_later(0.25)
    assert log.entered.wait(DEADLINE_S)
    futures = [circuit.run_later(0.1) for _ in range(3)]
    log.opened.set()
    assert float(running.result(DEADLINE_S)) == 0.25
    for future in futures:
        failure = future.exception(DEADLINE_S)
        assert type(failure) is error
        with pytest.raises(error, match=message):
            raise failure
        notes = "\n".join(failure.__notes__)
        assert future.executions[0].job_id in notes
        assert repr(executor) in notes
        assert future.executions[0].error == f"{error.__name__}: {failure}"
    assert float(circuit(0.75)) == 0.75, "the lane works afterwards"
    assert float(circuit.run_later(0.5).result(DEADLINE_S)) == 0.5


def test_a_plain_call_raises_what_the_executor_raised() -> None:
    circuit = make(Answering(answer=raises))
    for _ in range(2):
        with pytest.raises(OSError, match="no route to host") as caught:
            circuit(0.1)
        assert any("Answering" in note for note in caught.value.__notes__)


def test_an_executor_that_exits_leaves_the_lane_working(log: Log) -> None:
    def exits(job: Job) -> Any:
        if not log.opened.is_set():
            log.entered.set()
            assert log.opened.wait(DEADLINE_S)
            raise SystemExit(2)
        return [float(circuit.data[0]) for circuit in job.circuits]

    circuit = make(Answering(answer=exits))
    running = circuit.run_later(0.25)
    assert log.entered.wait(DEADLINE_S)
    queued = circuit.run_later(0.5)
    log.opened.set()
    with pytest.raises(BaseException):  # noqa: B017, PT011  # any will do, none hangs
        running.result(timeout=10)
    assert float(queued.result(timeout=10)) == 0.5
    assert float(circuit.run_later(0.75).result(timeout=10)) == 0.75


def test_an_executor_that_does_not_open_says_so_and_may_open_later() -> None:
    doors: list[Exception] = [ConnectionError("busy")]

    @attrs.frozen
    class Stuck(Executor):
        def open(self) -> None:
            if doors:
                raise doors.pop()

        def run(self, job: Job) -> Sequence[Result]:
            return [0.5 for _ in job]

    circuit = make(Stuck())
    with pytest.raises(ConnectionError, match="busy"):
        circuit(0.1)
    assert float(circuit(0.1)) == 0.5


def test_a_resource_is_not_used_again_after_its_job_failed(log: Log) -> None:
    @attrs.frozen
    class Fragile(Logged):
        def run(self, job: Job) -> Sequence[Any]:
            self.log.jobs.append(job)
            if len(self.log.jobs) == 1:
                raise RuntimeError("torn")
            return [0.5 for _ in job]

    circuit = make(Fragile(log))
    with pytest.raises(RuntimeError, match="torn"):
        circuit(0.1)
    assert log.closes == log.opens
    assert float(circuit(0.1)) == 0.5
    assert len(log.opens) == 2


def test_an_error_while_closing_does_not_hide_what_the_job_ended_in() -> None:
    @attrs.frozen
    class Careless(Executor):
        def close(self, resource: Any) -> None:
            raise ValueError("while closing")

        def run(self, job: Job) -> Sequence[Result]:
            raise RuntimeError("while running")

    with pytest.raises(RuntimeError, match="while running"):
        make(Careless()).run_later(0.1).result(DEADLINE_S)


def test_an_exception_in_the_results_fails_its_circuit_alone(log: Log) -> None:
    def one_bad(job: Job) -> list[Any]:
        if len(job) == 1:
            log.entered.set()
            assert log.opened.wait(DEADLINE_S)
            return [0.0]
        return [0.1, ValueError("dead qubit"), 0.3]

    executor = Answering(answer=one_bad)
    circuit = make(executor)
    circuit.run_later(0.1)
    assert log.entered.wait(DEADLINE_S)
    futures = [circuit.run_later(0.1) for _ in range(3)]
    log.opened.set()
    assert [float(futures[n].result(DEADLINE_S)) for n in (0, 2)] == [0.1, 0.3]
    error = futures[1].exception(DEADLINE_S)
    assert type(error) is ValueError
    (note,) = error.__notes__
    assert futures[1].executions[0].job_id in note
    assert repr(executor) in note
    assert futures[1].executions[0].job_size == 3


def test_the_circuit_of_a_call_that_failed_is_named() -> None:
    def third(job: Job) -> list[Any]:
        return [0.0, 0.0, ValueError("dead qubit")]

    @ct.qelectron(executors=Answering(answer=third))
    @qml.transforms.split_non_commuting
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit() -> Any:
        return [qml.expval(op(0)) for op in (qml.PauliX, qml.PauliY, qml.PauliZ)]

    calls: list[Callable[[], Any]] = [
        circuit,
        lambda: circuit.run_later().result(DEADLINE_S),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="dead qubit") as caught:
            call()
        assert any("circuit 2" in note for note in caught.value.__notes__)


def test_metadata_of_an_outcome_reaches_the_execution() -> None:
    def answer(job: Job) -> list[Outcome]:
        return [Outcome(0.5, {"usage_s": 1.5, "backend": "lab"}) for _ in job]

    future = make(Answering(answer=answer)).run_later(0.1)
    assert float(future.result(DEADLINE_S)) == 0.5
    (execution,) = future.executions
    assert execution.metadata == {"usage_s": 1.5, "backend": "lab"}
    assert float(make(Answering(answer=answer))(0.1)) == 0.5


# --- Observers and the store ----------------------------------------------------------


def test_observers_get_the_events_of_a_circuit_in_order(log: Log) -> None:
    log.opened.set()
    circuit = make(Logged(log))
    events: list[ct.Event] = []
    with ct.observe(events.append):
        future = circuit.run_later(0.5)
        future.result(DEADLINE_S)
    circuit(0.1)
    events = [event for event in events if event.executor == Logged(log)]
    assert [event.kind for event in events] == ["submitted", "started", "completed"]
    assert {event.call_id for event in events} == {future.id}
    assert {event.index for event in events} == {0}
    assert {event.executor for event in events} == {Logged(log)}
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert [event.execution for event in events[:2]] == [None, None]
    assert events[2].execution is future.executions[0]


def test_observers_are_told_of_failures() -> None:
    events: list[ct.Event] = []
    with ct.observe(events.append), pytest.raises(OSError, match="no route"):
        make(Answering(answer=raises))(0.1)
    events = [event for event in events if event.executor == Answering(answer=raises)]
    assert [event.kind for event in events] == ["submitted", "started", "failed"]
    assert events[-1].execution is not None
    assert str(events[-1].execution.error).startswith("OSError: ")


def test_observers_are_told_of_what_was_cancelled(log: Log) -> None:
    circuit, running = held(Logged(log))
    events: list[ct.Event] = []
    with ct.observe(events.append):
        queued = circuit.run_later(0.5)
        queued.cancel()
    kinds = [event.kind for event in events if event.call_id == queued.id]
    assert kinds == ["submitted", "failed"]
    log.opened.set()
    running.result(DEADLINE_S)


def test_an_observer_that_raises_is_logged_and_fails_nothing(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    log.opened.set()
    events: list[ct.Event] = []

    def grumpy(_: ct.Event) -> None:
        raise RuntimeError("not today")

    with (
        caplog.at_level(logging.ERROR, logger="qelectron"),
        ct.observe(grumpy),
        ct.observe(events.append),
    ):
        assert float(make(Logged(log))(0.5)) == 0.5
        assert float(make(Logged(log)).run_later(0.25).result(DEADLINE_S)) == 0.25
    assert len([event for event in events if event.executor == Logged(log)]) == 6
    assert "grumpy" in caplog.text
    assert "not today" in caplog.text


def test_the_journal_is_bounded_and_has_every_circuit() -> None:
    from qelectron_core.runtime import runtime

    ct.shutdown()
    circuit = make(ct.executor.Echo())
    futures = [circuit.run_later(0.1) for _ in range(3)]
    ct.gather(futures)
    (run,) = ct.history(futures[1].id)
    (execution,) = futures[1].executions
    assert [entry.job_id for entry in run.entries] == [execution.job_id]
    assert [run.id for run in ct.history()] == [f.id for f in reversed(futures)]
    call, entry = run.call, run.entries[0]
    for number in range(11_000):
        again = attrs.evolve(call, id=f"call-{number}")
        line = attrs.evolve(entry, call_id=again.id)
        runtime().keeper().store.write([again], [line])
    assert len(ct.history(limit=None)) == 10_000
    ct.shutdown()


@pytest.mark.parametrize("parallel", ["thread", False])
def test_a_callback_may_call_the_same_qelectron(parallel: Any) -> None:
    """Whoever receives a result can use the lane that it came from."""

    @ct.qelectron(executors=ct.executor.Simulator(parallel=parallel))
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.PauliZ(0))

    called: cf.Future[float] = cf.Future()

    def again(future: cf.Future[float]) -> None:
        later = circuit.run_later(future.result())
        called.set_result(float(circuit(0.0)) + float(later.result(timeout=30)))

    circuit.run_later(0.0).add_done_callback(again)
    assert called.result(timeout=30) == pytest.approx(1 + np.cos(1.0))


def test_ctrl_c_before_a_job_runs_leaves_the_lane_working() -> None:
    """An interrupt at any moment of a plain call gives the lane's place back."""
    circuit = make(ct.executor.Echo(value=0.5))

    def interrupt(event: ct.Event) -> None:
        if event.kind == "started":
            raise KeyboardInterrupt

    with ct.observe(interrupt), pytest.raises(KeyboardInterrupt):
        circuit(0.1)
    assert circuit.run_later(0.1).result(DEADLINE_S) == 0.5

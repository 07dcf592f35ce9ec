"""What the journal tells of calls, what it keeps to itself, and what it survives."""

from __future__ import annotations

import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core.memory_store import MemoryStore
from qelectron_core.testing import FakeCloud, Faults
from qelectron_sqlite.store import SqliteStore

WAIT_S = 30
SECRET = "canary-4b9e1d77a0"


class Orders:
    """What an executor is to do."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.began = threading.Event()
        self.failures = 0


@attrs.frozen
class Obedient(ct.Executor):
    """Answers the cosine of the first angle, or fails, when it is told to."""

    orders: Orders = attrs.field(factory=Orders, repr=False)
    token: str = attrs.field(default="", repr=False)
    name: str = "obedient"

    def run(self, job: ct.Job) -> Sequence[Any]:
        self.orders.began.set()
        assert self.orders.go.wait(WAIT_S)
        if self.orders.failures:
            self.orders.failures -= 1
            raise RuntimeError("the line went dead")
        return [np.cos(_angle(circuit)) for circuit in job.circuits]


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {WAIT_S} s"


def _angle(circuit: Any) -> float:
    return float(circuit.get_parameters(trainable_only=False)[0])


def on(executors: Any, store: Any, name: str = "circuit", **options: Any) -> Any:
    """Return a QElectron of a quantum function with a name."""
    shots = options.pop("shots", None)

    def function(x: Any) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    function.__name__ = name
    qnode = qml.QNode(function, qml.device("default.qubit", wires=2))
    qnode = qml.set_shots(qnode, shots) if shots else qnode
    return ct.qelectron(qnode, executors=executors, store=store, **options)


@pytest.fixture(autouse=True)
def _no_leftovers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("QELECTRON_CACHE", raising=False)
    yield
    ct.shutdown()


@pytest.fixture
def orders() -> Iterator[Orders]:
    made = Orders()
    yield made
    made.go.set()


@pytest.fixture
def executor(orders: Orders) -> Obedient:
    return Obedient(orders)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, file: Path) -> Any:
    return MemoryStore() if request.param == "memory" else file


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return what was logged for users."""
    caplog.set_level(logging.INFO, logger="qelectron")
    return lambda: [record.getMessage() for record in caplog.records]


# --- What it tells --------------------------------------------------------------------


def test_calls_are_told_newest_first_however_they_were_made(
    executor: Obedient, store: Any
) -> None:
    circuit = on(executor, store)
    circuit(0.1)
    circuit.run_later(0.2).result(WAIT_S)
    circuit.map([0.3, 0.4])
    runs = ct.history(store=store)
    assert [run.state for run in runs] == ["completed"] * 4
    assert [run.call.name for run in runs] == ["circuit"] * 4
    starts = [run.call.at for run in runs]
    assert starts == sorted(starts, reverse=True)


def test_each_filter_filters(executor: Obedient, orders: Orders, store: Any) -> None:
    on(executor, store, "ground_state")(0.1)
    on(attrs.evolve(executor, name="other"), store, "excited_state")(0.1)
    between = time.time()
    orders.failures = 1
    with pytest.raises(RuntimeError):
        on(executor, store, "excited_again")(0.1)

    def names(**filters: Any) -> list[str]:
        return [run.call.name for run in ct.history(store=store, **filters)]

    assert names() == ["excited_again", "excited_state", "ground_state"]
    assert names(name="excited") == ["excited_again", "excited_state"]
    assert names(name="state") == ["excited_state", "ground_state"]
    assert names(executor="other") == ["excited_state"]
    assert names(executor="Obedient") == names()
    assert names(state="failed") == ["excited_again"]
    assert names(state="cancelled") == []
    assert names(since=between) == ["excited_again"]
    assert names(limit=2) == ["excited_again", "excited_state"]
    assert names(limit=None) == names()
    assert names(name="excited", state="completed", limit=5) == ["excited_state"]
    (run,) = ct.history(store=store, name="ground")
    assert names(call_id=run.id) == ["ground_state"]
    assert names(call_id="nobody") == []


@pytest.mark.parametrize("filters", [{"name": "%"}, {"name": "_x"}, {"executor": "%"}])
def test_signs_in_filters_mean_themselves(
    filters: Any, executor: Obedient, store: Any
) -> None:
    on(executor, store)(0.1)
    assert ct.history(store=store, **filters) == []


def test_only_a_call_that_is_asked_for_comes_with_its_lines(
    executor: Obedient, store: Any
) -> None:
    future = on(executor, store).run_later(0.1)
    future.result(WAIT_S)
    assert ct.history(store=store)[0].entries == ()
    (run,) = ct.history(future.id, store=store)
    (line,), (execution,) = run.entries, future.executions
    assert (line.state, line.index, line.attempt) == ("completed", 0, 1)
    assert (line.job_id, line.job_size) == (execution.job_id, 1)
    assert line.executor == "Obedient()"
    assert line.submitted_at <= line.started_at <= line.finished_at  # type: ignore[operator]
    assert line.value == pytest.approx(np.cos(0.1))


def test_a_file_tells_the_circuit_and_its_shots_to_later_programs(
    executor: Obedient, file: Path
) -> None:
    circuit = on(executor, file, shots=40)
    future = circuit.run_later(0.1)
    value = future.result(WAIT_S)
    ct.shutdown()
    (run,) = ct.history(future.id, store=file)
    (line,) = run.entries
    assert run.shots == line.shots == 40
    assert line.circuit is not None
    assert qml.equal(line.circuit, circuit.construct((0.1,), {}))
    assert line.value == value
    assert {"python", "pennylane"} <= {name.lower() for name in run.call.versions}


# --- States ---------------------------------------------------------------------------


def test_states_of_calls(executor: Obedient, orders: Orders, store: Any) -> None:
    orders.go.clear()
    circuit = on(executor, store)
    running = circuit.run_later(0.1)
    assert orders.began.wait(WAIT_S)
    dropped = circuit.run_later(0.2)
    assert dropped.cancel()
    assert _states(store) == ["cancelled", "running"]
    orders.go.set()
    running.result(WAIT_S)
    orders.failures = 1
    with pytest.raises(RuntimeError):
        circuit(0.3)
    on(executor, store, cache=True)(0.4)
    on(executor, store, cache=True)(0.4)
    expected = ["cached", "completed", "failed", "cancelled", "completed"]
    assert _states(store) == expected
    for state in set(expected):
        found = ct.history(store=store, state=state)  # type: ignore[arg-type]
        assert len(found) == expected.count(state)
    assert ct.history(store=store, state="running") == []


def _states(store: Any) -> list[str]:
    return [run.state for run in ct.history(store=store)]


def test_what_shutdown_did_not_wait_for_is_not_said_to_have_ended(
    executor: Obedient, orders: Orders, file: Path
) -> None:
    orders.go.clear()
    on(executor, file).run_later(0.1)
    assert orders.began.wait(WAIT_S)
    ct.shutdown(timeout_s=0)
    orders.go.set()
    (run,) = ct.history(store=file)
    assert run.state in ("running", "lost", "cancelled")  # its thread goes on


def test_a_reused_result_names_the_job_and_costs_no_shots(
    executor: Obedient, store: Any
) -> None:
    fake = FakeCloud(name=f"journal-{type(store).__name__}", price_usd_per_job=0.25)
    for _ in range(2):
        on(attrs.evolve(fake, seed=1), store, shots=40, cache=True)(0.1)
    again, first = ct.history(store=store)
    assert (first.cost_usd, first.shots) == (0.25, 40)
    assert (again.cost_usd or 0, again.shots) == (0, 0)
    lines = [ct.history(run.id, store=store)[0].entries[0] for run in (first, again)]
    assert lines[0].handle == lines[1].handle == fake.vendor.jobs[0].id
    assert lines[0].job_id == lines[1].job_id
    assert [line.state for line in lines] == ["completed", "cached"]


def test_each_attempt_has_a_line_with_its_error(
    executor: Obedient, orders: Orders, store: Any
) -> None:
    orders.failures = 1
    future = on(attrs.evolve(executor, retries=1), store).run_later(0.1)
    future.result(WAIT_S)
    (run,) = ct.history(future.id, store=store)
    assert run.state == "completed"
    told = [(line.attempt, line.state, line.error) for line in run.entries]
    assert told == [
        (1, "retried", "RuntimeError: the line went dead"),
        (2, "completed", None),
    ]


def test_a_line_says_what_a_circuit_failed_in(
    executor: Obedient, orders: Orders, store: Any
) -> None:
    orders.failures = 1
    future = on(executor, store).run_later(0.1)
    assert future.exception(WAIT_S) is not None
    (run,) = ct.history(future.id, store=store)
    (line,) = run.entries
    assert (line.state, line.value) == ("failed", None)
    assert line.error == "RuntimeError: the line went dead"


def test_members_of_a_cluster_are_told_apart(orders: Orders, store: Any) -> None:
    members = [Obedient(orders, name=name) for name in ("left", "right")]
    circuit = on(ct.QCluster(executors=members, selector="cyclic"), store)
    circuit.map([0.1, 0.2])
    chosen = [run.executors for run in ct.history(store=store)]
    assert sorted(chosen) == [("Obedient(name='left')",), ("Obedient(name='right')",)]
    assert len(ct.history(store=store, executor="left")) == 1


# --- What it leaves out ---------------------------------------------------------------


def test_large_results_are_left_out_but_reused_all_the_same(file: Path) -> None:
    device = qml.device("default.qubit", wires=13)

    @ct.qelectron(store=file, cache=True)
    @qml.qnode(device)
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.probs(wires=range(13))

    futures = []
    for _ in range(2):
        futures.append(circuit.run_later(0.1))
        assert futures[-1].result(WAIT_S).shape == (2**13,)
        ct.shutdown()
    lines = [ct.history(future.id, store=file)[0].entries[0] for future in futures]
    assert [line.state for line in lines] == ["completed", "cached"]
    assert all(line.value is None for line in lines)


def test_no_secret_is_in_the_file_the_log_or_what_is_shown(
    orders: Orders, file: Path, said: Callable[[], list[str]]
) -> None:
    executor = Obedient(orders, token=SECRET, name="shown")
    fake = SecretCloud(name="journal-secret", latency_s=60, token=SECRET)
    on(executor, file, cache=True).map([0.1, 0.2])
    orders.failures = 1
    with pytest.raises(RuntimeError) as caught:
        on(executor, file)(0.3)
    future = on(fake, file, cache=True).run_later(0.1)
    while not future.handles:
        threading.Event().wait(0.01)
    shown = [*map(repr, [executor, fake, future, caught.value]), *said()]
    on_disk = _bytes(file)
    ct.shutdown(timeout_s=0)
    runs = [
        run for one in ct.history(store=file) for run in ct.history(one.id, store=file)
    ]
    shown += [repr((run, run.call, run.entries)) for run in runs]
    assert runs
    assert SECRET not in "\n".join([*shown, *said()])
    for content in (on_disk, _bytes(file)):
        assert b"shown" in content, "so the search would find it"
        assert SECRET.encode() not in content


@attrs.frozen(kw_only=True)
class SecretCloud(FakeCloud):
    token: str = attrs.field(default="", repr=False)


def _bytes(file: Path) -> bytes:
    return b"".join(part.read_bytes() for part in file.parent.glob(f"{file.name}*"))


# --- What goes wrong ------------------------------------------------------------------


class Failing(MemoryStore):
    """A store of which one method fails from some moment on."""

    instant = False

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method
        self.calls = 0

    def fail(self) -> None:
        def raising(*_: Any, **__: Any) -> Any:
            self.calls += 1
            message = "the disk is full. Make room."
            raise ct.StoreError(message)

        setattr(self, self.method, raising)


METHODS = ["write", "find", "claim", "release", "pool", "intend", "submitted", "ended"]


@pytest.mark.parametrize("cache", [True, "top-up", "refresh", False])
@pytest.mark.parametrize("method", METHODS)
def test_a_store_that_fails_in_the_middle_stops_no_run(
    method: str, cache: Any, said: Callable[[], list[str]]
) -> None:
    store = Failing(method)
    name = f"journal-{method}-{cache}"
    circuit = on(FakeCloud(name=name, seed=1), store, shots=400, cache=cache)
    circuit(0.1)
    store.fail()
    futures = [circuit.run_later(x) for x in (0.1, 0.2, 0.3, 0.1)]
    results = [future.result(WAIT_S) for future in futures]
    assert results == pytest.approx(np.cos([0.1, 0.2, 0.3, 0.1]), abs=0.3)
    runs = ct.history(store=store)
    assert store.calls <= 4
    if store.calls:
        _until(lambda: any("store failed" in text for text in said()))
        (told,) = [text for text in said() if "store failed" in text]
        assert "the disk is full" in told
        assert "goes on" in told
        assert {run.state for run in runs} <= {"completed", "cached", "running"}
        circuit(0.4)
        assert ct.history(store=store)[0].state == "completed"


def test_no_result_is_lost_when_writing_fails(
    executor: Obedient, orders: Orders, said: Callable[[], list[str]]
) -> None:
    store = Failing("write")
    store.fail()
    circuit = on(executor, store, cache=True)
    first = circuit.map([0.1, 0.2, 0.3])
    runs = ct.history(store=store)
    assert [run.state for run in runs] == ["completed"] * 3
    orders.failures = 99
    assert circuit.map([0.1, 0.2, 0.3]) == first, "they were kept in memory"
    assert sum("store failed" in text for text in said()) == 1


def _garbage(file: Path) -> None:
    file.write_bytes(b"SQLite format 3\0" + b"this is no database" * 500)


def _newer(file: Path) -> None:
    SqliteStore(file).close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 999")


def _foreign(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


def _folder(file: Path) -> None:
    file.mkdir()


UNUSABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "damaged": (_garbage, "is damaged, or no SQLite database. Move it away"),
    "newer": (_newer, "newer qelectron-sqlite .* Upgrade"),
    "foreign": (_foreign, "database of another program"),
    "folder": (_folder, "QELECTRON_STORE"),
}


@pytest.mark.parametrize(("spoil", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_file_that_cannot_be_used_is_left_alone_and_the_run_goes_on(
    spoil: Any, message: str, executor: Obedient, file: Path, caplog: Any
) -> None:
    spoil(file)
    before = None if file.is_dir() else file.read_bytes()
    circuit = on(executor, file, cache=True)
    assert circuit(0.1) == circuit(0.1) == pytest.approx(np.cos(0.1))
    (told,) = [record.getMessage() for record in caplog.records]
    assert str(file) in told
    assert re.search(message, told)
    assert "The run goes on" in told
    assert _states(file) == ["cached", "completed"], "in memory"
    assert before is None or file.read_bytes() == before


def test_a_place_where_no_file_can_be_is_said(
    executor: Obedient, tmp_path: Path, said: Callable[[], list[str]]
) -> None:
    (tmp_path / "note.txt").write_text("no folder")
    place = tmp_path / "note.txt" / "store.sqlite3"
    assert on(executor, place)(0.1) == pytest.approx(np.cos(0.1))
    (told,) = said()
    assert str(place) in told
    assert "The run goes on" in told


def test_folders_that_are_missing_are_made(executor: Obedient, tmp_path: Path) -> None:
    place = tmp_path / "new" / "deeper" / "store.sqlite3"
    on(executor, place)(0.1)
    ct.shutdown()
    assert _states(place) == ["completed"]


def test_a_file_that_is_spoilt_while_it_is_open_stops_no_run(
    executor: Obedient, file: Path, said: Callable[[], list[str]]
) -> None:
    circuit = on(executor, file, cache=True)
    circuit(0.1)
    assert _states(file) == ["completed"]
    for part in file.parent.glob(f"{file.name}*"):
        part.write_bytes(b"\xff" * part.stat().st_size)
    values = circuit.map([0.1, 0.2, 0.3])
    assert values == pytest.approx(np.cos([0.1, 0.2, 0.3]))
    ct.history(store=file)
    assert circuit(0.4) == pytest.approx(np.cos(0.4))
    assert ct.history(store=file)[0].state == "completed"
    assert sum("store failed" in text for text in said()) <= 1


def test_trouble_at_the_vendor_is_in_the_journal(file: Path) -> None:
    fake = FakeCloud(name="journal-trouble", faults=Faults(crashed=1.0))
    future = on(fake, file).run_later(0.1)
    assert future.exception(WAIT_S) is not None
    ct.shutdown()
    (run,) = ct.history(future.id, store=file)
    assert run.state == "failed"
    (line,) = run.entries
    assert line.handle == fake.vendor.jobs[0].id
    assert line.error is not None
    assert line.error.startswith("JobFailedError")

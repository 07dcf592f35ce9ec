"""Calls that belong together, and pieces of work that go on with earlier ones."""

import math
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import attrs
import pennylane as qml
import pytest

import qelectron_core as ct


@pytest.fixture(scope="module", autouse=True)
def _store(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep circuits, as only a store does that outlives the process."""
    pytest.importorskip("qelectron_sqlite")
    Store.path = tmp_path_factory.mktemp("scopes") / "store.sqlite3"


class Store:
    """Where the QElectrons of these tests are kept."""

    path = Path()


def make(name: str, **options: Any) -> ct.QElectron:
    cloud = ct.executor.FakeCloud(name=f"scopes-{name}", **options)

    @ct.qelectron(executors=cloud, store=Store.path)
    @qml.qnode(qml.device("default.qubit", wires=1), diff_method="parameter-shift")
    def circuit(x: Any) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    return circuit


@attrs.frozen
class Half(ct.Executor):
    """Refuse one angle."""

    def run(self, job: ct.Job) -> Sequence[Any]:
        xs = [c.get_parameters(trainable_only=False)[0] for c in job.circuits]
        return [ValueError("never this one") if x == 0.2 else math.cos(x) for x in xs]


class Submitted:
    """Counts circuits that were submitted, by their call."""

    def __init__(self) -> None:
        self.kinds: Counter[tuple[str, str]] = Counter()

    def __call__(self, event: ct.Event) -> None:
        self.kinds[event.kind, event.call_id] += 1

    def count(self, kind: str) -> int:
        return sum(n for (one, _), n in self.kinds.items() if one == kind)


def test_calls_of_a_block_are_named_after_it_and_numbered() -> None:
    circuit = make("names")
    with ct.scope("names-1") as scope:
        future = circuit.run_later(0.1)
        circuit(0.2)
        circuit.map([0.3, 0.4])
        qml.grad(circuit)(qml.numpy.array(0.5))
    assert future.id == "names-1.0"
    assert scope.calls[:4] == ("names-1.0", "names-1.1", "names-1.2", "names-1.3")
    for call_id in scope.calls:
        (run,) = ct.history(call_id=call_id, store=Store.path)
        assert run.state == "completed"
    assert circuit.run_later(0.1).id not in scope.calls
    executions = scope.executions
    assert list(executions) == list(scope.calls)
    assert all(one is not None for found in executions.values() for one in found)


def test_threads_have_scopes_of_their_own() -> None:
    circuit = make("threads")
    found: dict[str, tuple[str, ...]] = {}
    together = threading.Barrier(4)

    def work(name: str) -> None:
        with ct.scope(name) as scope:
            together.wait(60)
            circuit.map([0.1, 0.2])
        found[name] = scope.calls

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {f"t{n}": (f"t{n}.0", f"t{n}.1") for n in range(4)}


def test_scopes_nest_and_inner_ones_win() -> None:
    circuit = make("nested")
    with ct.scope("outer") as outer:
        with ct.scope("inner") as inner:
            circuit(0.1)
        circuit(0.2)
    assert (outer.calls, inner.calls) == (("outer.0",), ("inner.0",))


def test_what_was_run_before_is_not_run_again() -> None:
    circuit, told = make("resume"), Submitted()
    with ct.scope("resume-1"):
        circuit(0.1)
        circuit.map([0.2, 0.3])
    with ct.scope("resume-2", resumes="resume-1"), ct.observe(told):
        assert float(circuit(0.1)) == pytest.approx(math.cos(0.1))
        again = circuit.map([0.2, 0.3])
        fresh = circuit(0.4)
    assert again == pytest.approx([math.cos(0.2), math.cos(0.3)])
    assert float(fresh) == pytest.approx(math.cos(0.4))
    assert (told.count("cached"), told.count("submitted")) == (3, 1)
    with ct.scope("resume-3", resumes="resume-2"), ct.observe(told):
        circuit(0.1)
    assert (told.count("cached"), told.count("submitted")) == (4, 1)


def test_a_call_with_other_circuits_is_run_as_a_whole() -> None:
    circuit, told = make("changed"), Submitted()
    with ct.scope("changed-1"):
        circuit(0.1)
        circuit(0.2)
    with ct.scope("changed-2", resumes="changed-1"), ct.observe(told):
        assert float(circuit(0.11)) == pytest.approx(math.cos(0.11))
        circuit(0.2)
    assert (told.count("cached"), told.count("submitted")) == (1, 1)


def test_a_circuit_that_failed_is_run_again_and_its_fellows_are_not() -> None:
    told, electron = Submitted(), make("failed").update(executors=Half())

    @qml.transform
    def two(circuit: Any) -> Any:
        return [circuit, circuit.bind_new_parameters([0.2], [0])], sum

    twice = two(electron)
    with ct.scope("failed-1"), pytest.raises(ValueError, match="never this one"):
        twice(0.1)
    (run,) = ct.history(call_id="failed-1.0", store=Store.path)
    assert dict(run.states) == {"completed": 1, "failed": 1}
    with (
        ct.scope("failed-2", resumes="failed-1"),
        ct.observe(told),
        pytest.raises(ValueError, match="never this one"),
    ):
        twice(0.1)
    assert (told.count("cached"), told.count("submitted")) == (1, 1)


def test_what_another_executor_ran_does_not_serve() -> None:
    one, other, told = make("one"), make("other"), Submitted()
    with ct.scope("executor-1"):
        one(0.1)
    with ct.scope("executor-2", resumes="executor-1"), ct.observe(told):
        other(0.1)
    assert (told.count("cached"), told.count("submitted")) == (0, 1)


def test_nothing_is_taken_where_circuits_are_not_kept() -> None:
    electron, told = make("memory").update(store="memory"), Submitted()
    with ct.scope("memory-1"):
        electron(0.1)
    with ct.scope("memory-2", resumes="memory-1"), ct.observe(told):
        assert float(electron(0.2)) == pytest.approx(math.cos(0.2))
    assert (told.count("cached"), told.count("submitted")) == (0, 1)


def test_a_scope_cancels_its_own_circuits_and_no_others() -> None:
    circuit = make("cancel", latency_s=600.0)
    with ct.scope("cancel-1") as scope:
        own = circuit.run_later(0.1)
    other = circuit.run_later(0.2)
    assert scope.cancel() == 1
    assert own.cancelled()
    assert not other.done()
    other.cancel()


def test_a_scope_cancelled_in_its_own_block_ends_cached_calls_too() -> None:
    circuit = make("cancel-in", latency_s=600.0).update(cache=True)
    with ct.scope("cancel-in-1") as scope:
        future = circuit.run_later(0.1)
        scope.cancel()
    with pytest.raises(CancelledError):
        future.result(timeout=30)


def test_an_event_of_a_plugin_reaches_all_observers() -> None:
    events: list[ct.Event] = []
    event = ct.Event("submitted", "", -1, ct.executor.FakeCloud(), 0.0)
    with ct.observe(events.append):
        ct.tell(event)
    assert events == [event]


def test_what_is_to_be_ended_is_ended_once_and_the_last_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[str] = []

    def first() -> None:
        told.append("first")
        assert float(make("farewell")(0.0)) == 1.0  # executors still work

    def broken() -> None:
        raise ValueError("odd")

    def last() -> None:
        told.append("last")

    for callback in (last, first, broken, last):
        ct.at_shutdown(callback)
    ct.shutdown()
    ct.shutdown()
    assert told == ["last", "first"]
    assert "could not be ended at shutdown" in caplog.text


def test_a_piece_of_work_goes_on_with_several_earlier_ones() -> None:
    circuit, told = make("several"), Submitted()
    with ct.scope("several-1"):
        circuit(0.1)
        circuit(0.2)
    with ct.scope("several-2", resumes="several-1"):
        circuit(0.1)  # it ends before it comes to the other one
    before = ("several-2", "several-1")
    with ct.scope("several-3", resumes=before), ct.observe(told):
        assert float(circuit(0.1)) == pytest.approx(math.cos(0.1))
        assert float(circuit(0.2)) == pytest.approx(math.cos(0.2))
    assert (told.count("cached"), told.count("submitted")) == (2, 0)


def test_a_scope_that_was_cancelled_submits_nothing_more() -> None:
    circuit, told = make("cancelled"), Submitted()
    with ct.scope("cancelled-1") as scope, ct.observe(told):
        scope.cancel()
        with pytest.raises(CancelledError):
            circuit(0.1)
        with pytest.raises(CancelledError):
            circuit.run_later(0.1).result()
    assert told.count("submitted") == 0
    assert float(circuit(0.1)) == pytest.approx(math.cos(0.1))

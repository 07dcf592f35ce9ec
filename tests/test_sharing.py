"""Equal circuits under way at the same time: one runs, and all of them end."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core.store import Claim, Key
from qelectron_core.testing import FakeCloud

WAIT_S = 30


@attrs.frozen
class Answers(ct.Executor):
    """Answer a number, or fail, once it is let go."""

    value: float = 0.5
    fails: bool = False
    keyed: bool = True
    gate: threading.Event | None = attrs.field(default=None, eq=False, repr=False)

    def cache_key(self) -> Any:
        return {"value": self.value} if self.keyed else None

    def run(self, job: ct.Job) -> Sequence[Any]:
        if self.gate is not None:
            self.gate.wait(WAIT_S)
        one = ConnectionError("down") if self.fails else self.value
        return [one] * len(job)


def on(
    executors: Any, *, shots: Any = None, measure: Any = None, **options: Any
) -> Any:
    """Return a QElectron of one wire."""

    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: Any) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0)) if measure is None else measure()

    qnode = circuit if shots is None else qml.set_shots(circuit, shots)
    return ct.qelectron(qnode, executors=executors, store="memory", **options)


@pytest.fixture(autouse=True)
def fresh() -> Any:
    """Forget what other tests kept."""
    ct.shutdown()
    yield
    ct.shutdown()


@pytest.mark.parametrize("keyed", [True, False])
def test_those_who_wait_are_told_when_another_executor_stands_in(keyed: bool) -> None:
    gate = threading.Event()
    first, second = Answers(fails=True, gate=gate), Answers(0.25, keyed=keyed)
    cluster = ct.QCluster([first, second], lambda _, known: known[0], failover=True)
    circuit = on(cluster, cache=True)
    futures = [circuit.run_later(0.3) for _ in range(3)]
    gate.set()
    assert [future.result(WAIT_S) for future in futures] == [0.25] * 3
    assert circuit.run_later(0.3).result(WAIT_S) == 0.25


def test_many_equal_circuits_are_topped_up_together() -> None:
    circuit = on(ct.executor.Simulator(), shots=10, cache="top-up")
    assert len(set(map(float, circuit.map([0.3] * 400)))) == 1


def test_counts_of_arrays_of_parameters_are_not_put_together() -> None:
    xs = np.array([0.1, 3.0])
    few = on("Simulator", shots=10, measure=qml.counts, cache="top-up")
    more = on("Simulator", shots=25, measure=qml.counts, cache="top-up")
    few.run_later(xs).result(WAIT_S)
    assert [sum(c.values()) for c in more.run_later(xs).result(WAIT_S)] == [25, 25]


def test_the_journal_has_what_was_returned_and_not_what_became_of_it() -> None:
    future = on("Simulator", measure=qml.probs).run_later(0.3)
    result = future.result(WAIT_S)
    kept = result.copy()
    result *= 1000
    np.testing.assert_array_equal(ct.attach(future.id, store="memory").result(), kept)


def test_a_mistake_of_one_call_is_not_that_of_another() -> None:
    @attrs.frozen
    class Mistaken(Answers):
        def cache_key(self) -> Any:
            raise ZeroDivisionError("a plugin's mistake")

    gate = threading.Event()
    fine = on(Answers(gate=gate), cache=True)
    one, other = fine.run_later(0.3), fine.run_later(0.3)
    assert on(Mistaken(0.75), cache=True)(0.3) == 0.75  # it is run every time
    gate.set()
    assert one.result(WAIT_S) == other.result(WAIT_S) == 0.5


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype:UserWarning")
def test_a_result_of_an_interface_is_not_that_of_another() -> None:
    jax = pytest.importorskip("jax")
    circuit = on("Simulator", measure=lambda: qml.purity(wires=[0]), cache=True)
    circuit(jax.numpy.array(0.3, dtype=jax.numpy.float32))
    found = circuit(qml.numpy.array(0.3, requires_grad=True))
    assert qml.math.get_interface(found) != "jax"


def test_shutdown_ends_those_who_wait_for_another_process() -> None:
    from qelectron_core.memory_store import MemoryStore

    class Busy(MemoryStore):
        looked = threading.Event()

        def claim(self, keys: Sequence[Key]) -> Sequence[Claim]:
            self.looked.set()
            return [Claim(elsewhere=True) for _ in keys]

    store = Busy()
    future = on(Answers(), cache=True).update(store=store).run_later(0.3)
    assert store.looked.wait(WAIT_S)
    assert not future.done()
    ct.shutdown()
    assert future.cancelled()


def test_a_job_of_an_earlier_program_serves_all_who_ask(tmp_path: Path) -> None:
    cloud = FakeCloud(name=str(tmp_path), latency_s=0.2)
    pytest.importorskip("qelectron_sqlite")
    circuit = on(cloud, cache=True).update(store=tmp_path / "store.sqlite3")
    left = circuit.run_later(0.3)
    while not left.handles:
        assert not left.done()
    ct.shutdown()
    assert left.cancelled()
    again = [circuit.run_later(0.3) for _ in range(3)]
    assert [float(f.result(WAIT_S)) for f in again] == pytest.approx([np.cos(0.3)] * 3)
    assert cloud.vendor.submitted == 1


def test_attach_with_other_arguments_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("qelectron_sqlite")
    circuit = on("Simulator").update(store=tmp_path / "store.sqlite3")
    ran = circuit.run_later(0.3)
    value = ran.result(WAIT_S)
    assert circuit.attach(ran.id, 0.3).result(WAIT_S) == value
    with pytest.raises(ct.ConfigError, match="holds other circuits than this call"):
        circuit.attach(ran.id, 0.4)


def test_attaching_to_what_has_ended_is_a_call_that_ends(tmp_path: Path) -> None:
    pytest.importorskip("qelectron_sqlite")
    file = tmp_path / "store.sqlite3"
    cloud = FakeCloud(name=str(tmp_path), price_usd_per_job=0.3)
    circuit = on(cloud).update(store=file)
    ran = circuit.run_later(0.3)
    ran.result(WAIT_S)
    circuit.attach(ran.id, 0.3).result(WAIT_S)
    again, first = ct.history(store=file)
    assert (first.state, first.cost_usd) == ("completed", 0.3)
    assert (again.state, again.cost_usd) == ("cached", None)
    handle = ran.executions[0].handle
    assert handle is not None
    by_handle = circuit.attach(handle, 0.3)
    by_handle.result(WAIT_S)
    assert by_handle.executions[0].cost_usd is None  # it was paid once


@pytest.mark.parametrize("id_", [None, 7])
def test_attach_without_an_id_says_so(id_: Any) -> None:
    with pytest.raises(ct.ConfigError, match="is no id"):
        ct.attach(id_)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"state": "done"}, "state='done' is unknown. Expected one of 'running'"),
        ({"since": "2h"}, "since='2h' is no time"),
    ],
)
def test_history_refuses_what_would_find_nothing(filters: Any, message: str) -> None:
    with pytest.raises(ct.ConfigError, match=message):
        ct.history(**filters)

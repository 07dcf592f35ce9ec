"""Calls on record are run once more, as new calls."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core.memory_store import MemoryStore
from qelectron_core.testing import FakeCloud, Faults, virtual_clock
from qelectron_core.testing.conformance.compare import identical

WAIT_S = 30

_names = (f"again-{number}" for number in itertools.count())


def cloud(**options: Any) -> FakeCloud:
    """Return a fake cloud with a vendor that no other test has."""
    return FakeCloud(name=next(_names), **options)


def on(executors: Any, store: Any, output: Any = None, **options: Any) -> ct.QElectron:
    """Return a QElectron that returns the cosine of its parameter, or an output."""
    shots, own = options.pop("shots", None), {"cache": options.pop("cache", False)}

    def circuit(x: Any) -> Any:
        qml.RX(x, wires=0)
        qml.CNOT(wires=[0, 1])
        return qml.expval(qml.Z(1)) if output is None else output()

    qnode = qml.QNode(circuit, qml.device("default.qubit", wires=2), **options)
    qnode = qml.set_shots(qnode, shots)
    made: ct.QElectron = ct.qelectron(qnode, executors=executors, store=store, **own)
    return made


@attrs.frozen
class Held(ct.Executor):
    """An executor that takes its time."""

    go: threading.Event = attrs.field(repr=False)

    def run(self, job: ct.Job) -> Sequence[Any]:
        assert self.go.wait(WAIT_S)
        return [0.5] * len(job)


@pytest.fixture(autouse=True)
def _no_leftovers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("QELECTRON_CACHE", raising=False)
    yield
    ct.shutdown()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


def ran(circuit: ct.QElectron, x: float = 0.4) -> tuple[str, Any]:
    """Return the id of a call that has ended, and its result."""
    future = circuit.run_later(x)
    return future.id, future.result(WAIT_S)


def recorded(id: str, file: Path) -> ct.Run:
    (run,) = ct.history(id, store=file)
    return run


def values(id: str, file: Path) -> list[Any]:
    """Return the results of the circuits of a call."""
    return [entry.value for entry in recorded(id, file).entries]


# --- Results --------------------------------------------------------------------------

OUTPUTS: dict[str, tuple[Callable[[], Any], Any]] = {
    "one": (lambda: qml.expval(qml.Z(1)), None),
    "several": (lambda: (qml.expval(qml.Z(1)), qml.probs(wires=[0])), None),
    "list of one": (lambda: [qml.expval(qml.Z(1))], None),
    "dict": (lambda: {"z": qml.expval(qml.Z(1)), "p": qml.probs()}, None),
    "state": (qml.state, None),
}


@pytest.mark.parametrize("later", [False, True], ids=["same program", "later program"])
@pytest.mark.parametrize(("output", "shots"), OUTPUTS.values(), ids=OUTPUTS)
def test_an_exact_call_returns_what_it_returned(
    output: Any, shots: Any, later: bool, file: Path
) -> None:
    id, value = ran(on("Simulator", file, output, shots=shots))
    if later:
        ct.shutdown()
    again = ct.run_again(id, store=file)
    assert identical(again.result(WAIT_S), value)
    assert again.id != id
    (execution,) = again.executions
    assert not execution.cached


@pytest.mark.parametrize("shots", [1000, (500, 500)])
def test_a_sampled_call_is_sampled_anew(shots: Any, file: Path) -> None:
    output = lambda: qml.probs(wires=[0])  # noqa: E731
    id, value = ran(on("Simulator", file, output, shots=shots), x=1.2)
    other = ct.run_again(id, store=file).result(WAIT_S)
    assert np.shape(other) == np.shape(value)
    assert not np.array_equal(other, value)
    assert np.allclose(other, value, atol=0.2)


def test_the_new_call_is_on_record_beside_the_old_one(file: Path) -> None:
    id, _ = ran(on("Simulator", file))
    before = recorded(id, file)
    new = ct.run_again(id, store=file)
    new.result(WAIT_S)
    run = recorded(new.id, file)
    assert (run.call.name, run.state) == ("circuit", "completed")
    assert run.call.executors == before.call.executors == "Simulator()"
    assert len(ct.history(store=file)) == 2
    assert recorded(id, file).finished_at == before.finished_at
    third = ct.run_again(new.id, store=file)  # which is a call like any other
    assert third.result(WAIT_S) == new.result()
    assert ct.attach(new.id, store=file).result(WAIT_S) == new.result()


def test_a_run_of_the_history_serves_with_and_without_its_lines(file: Path) -> None:
    id, value = ran(on("Simulator", file))
    (listed,) = ct.history(store=file)
    for run in (listed, recorded(id, file)):
        assert ct.run_again(run, store=file).result(WAIT_S) == value


def test_circuits_that_only_the_program_puts_together_come_as_a_list(
    file: Path,
) -> None:
    circuit = on("Simulator", file, diff_method="parameter-shift")
    qml.grad(circuit)(qml.numpy.array(0.4, requires_grad=True))
    shifted = max(ct.history(store=file), key=lambda run: run.call.circuits)
    found = ct.run_again(shifted.id, store=file).result(WAIT_S)
    kept = values(shifted.id, file)
    assert len(found) == 2
    assert np.allclose(found, kept)


def test_another_process_made_the_call(file: Path) -> None:
    code = (
        "import pennylane as qml, qelectron_core as ct, sys\n"
        "@ct.qelectron(store=sys.argv[1])\n"
        "@qml.qnode(qml.device('default.qubit', wires=1))\n"
        "def theirs(x):\n    qml.RX(x, 0)\n    return [qml.expval(qml.Z(0))]\n"
        "future = theirs.run_later(0.3)\nfuture.result()\nprint(future.id)"
    )
    command = [sys.executable, "-c", code, str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    again = ct.run_again(done.stdout.strip(), store=file)
    assert again.result(WAIT_S) == [pytest.approx(np.cos(0.3))]
    assert recorded(again.id, file).call.name == "theirs"


def test_nothing_is_answered_from_the_cache(file: Path) -> None:
    circuit = on("Simulator", file, shots=1000, cache=True)
    id, value = ran(circuit, x=1.2)
    ct.shutdown()  # so that samples are reused
    with ct.caching(True):
        assert ct.plan_again(id, store=file).cached == 0
        again = ct.run_again(id, store=file)
    assert again.result(WAIT_S) != value
    ct.shutdown()
    assert circuit(1.2) == value  # what was kept stays
    ct.shutdown()
    with ct.caching("refresh"):
        value = ct.run_again(id, store=file).result(WAIT_S)
    ct.shutdown()
    assert circuit(1.2) == value


# --- Executors ------------------------------------------------------------------------


def test_a_call_goes_where_it_went(file: Path) -> None:
    circuit = on([ct.executor.Echo(value=0.25), ct.executor.Echo(value=0.75)], file)
    for id, value in (ran(circuit), ran(circuit)):
        (entry,) = recorded(id, file).entries
        again = ct.run_again(id, store=file)
        assert again.result(WAIT_S) == value
        assert [repr(e.executor) for e in again.executions] == [entry.executor]


def test_the_circuits_of_one_call_go_where_each_of_them_went(file: Path) -> None:
    first, second = ct.executor.Echo(value=0.25), ct.executor.Echo(value=0.75)
    circuit = on([first, second], file, diff_method="parameter-shift")
    qml.grad(circuit)(qml.numpy.array(0.4, requires_grad=True))
    shifted = max(ct.history(store=file), key=lambda run: run.call.circuits)
    kept = values(shifted.id, file)
    again = ct.run_again(shifted.id, store=file)
    assert again.result(WAIT_S) == kept
    assert sorted(kept) == [0.25, 0.75]
    third = ct.run_again(again.id, store=file)
    assert third.result(WAIT_S) == kept


def test_it_can_run_elsewhere(file: Path) -> None:
    id, _ = ran(on("Simulator", file))
    again = ct.run_again(id, executors=ct.executor.Echo(value=0.5), store=file)
    assert again.result(WAIT_S) == 0.5
    assert recorded(again.id, file).executors == ("Echo(value=0.5)",)


def test_an_executor_with_shots_of_its_own_gives_the_call_its_form(file: Path) -> None:
    output = lambda: [qml.expval(qml.Z(1)), qml.probs(wires=[0])]  # noqa: E731
    id, value = ran(on("Simulator", file, output))
    vector = ct.executor.Simulator(shots=(100, 200))
    again = ct.run_again(id, executors=vector, store=file)
    parts = again.result(WAIT_S)
    assert [type(part) for part in parts] == [list, list]
    exact = ct.executor.Simulator(shots=None)
    back = ct.run_again(again.id, executors=exact, store=file).result(WAIT_S)
    assert identical(back, value)


def test_circuits_are_split_to_the_limits_of_another_executor(file: Path) -> None:
    id, _ = ran(on("Simulator", file, lambda: qml.counts(wires=[0]), shots=30))
    small = cloud(limits=ct.Limits(shots_per_job=10))
    again = ct.run_again(id, executors=small, store=file)
    assert sum(again.result(WAIT_S).values()) == 30
    assert small.vendor.submitted == 3
    whole = ct.run_again(again.id, store=file).result(WAIT_S)
    assert [sum(counts.values()) for counts in whole] == [10, 10, 10]


def test_the_device_of_the_qnode_is_said_again(file: Path) -> None:
    @ct.qelectron(store=file)
    @qml.qnode(qml.device("default.mixed", wires=1))
    def noisy() -> Any:
        qml.BitFlip(0.25, 0)
        return qml.expval(qml.Z(0))

    first = noisy.run_later()
    id, _ = first.id, first.result(WAIT_S)
    with pytest.raises(qml.exceptions.DeviceError, match="BitFlip"):
        ct.run_again(id, store=file).result(WAIT_S)
    again = ct.run_again(id, device="default.mixed", store=file)
    assert again.result(WAIT_S) == pytest.approx(0.5)
    device = qml.device("default.mixed", wires=1)
    assert ct.run_again(id, device=device, store=file).result(WAIT_S) == again.result()


def test_a_device_that_cannot_be_made_is_refused(file: Path) -> None:
    id, _ = ran(on("Simulator", file))
    told = "device='nope' cannot be made: .*Expected a name of PennyLane's devices"
    with pytest.raises(ct.ConfigError, match=told):
        ct.run_again(id, device="nope", store=file)


def test_a_remote_call_is_submitted_anew(file: Path) -> None:
    fake = cloud(latency_s=60, price_usd_per_job=0.3)
    with virtual_clock():
        id, value = ran(on(fake, file, cache=True))
    with virtual_clock():  # another program
        assert ct.plan_again(id, store=file).cost_usd == 0.3
        assert fake.vendor.submitted == 1
        again = ct.run_again(id, store=file)
        assert again.result(WAIT_S) == value
    assert again.handles
    assert fake.vendor.submitted == 2
    assert recorded(again.id, file).cost_usd == 0.3


def test_it_can_be_cancelled(file: Path) -> None:
    fake = cloud(latency_s=60)
    with virtual_clock() as clock:
        id, _ = ran(on(fake, file))
        with clock.stopped():
            again = ct.run_again(id, store=file)
            assert again.cancel()
    assert again.cancelled()
    assert recorded(again.id, file).state in ("cancelled", "running")


def test_it_is_observed(file: Path) -> None:
    id, _ = ran(on("Simulator", file))
    seen = []
    with ct.observe(lambda event: seen.append((event.kind, event.call_id))):
        again = ct.run_again(id, store=file)
        again.result(WAIT_S)
    assert ("submitted", again.id) in seen


# --- Calls that did not come to their end ---------------------------------------------


def test_a_call_that_failed_runs_again(file: Path) -> None:
    broken = cloud(faults=Faults(crashed=1.0))
    future = on(broken, file).run_later(0.4)
    with pytest.raises(ct.JobFailedError):
        future.result(WAIT_S)
    with pytest.raises(ct.JobFailedError):
        ct.run_again(future.id, store=file).result(WAIT_S)
    again = ct.run_again(future.id, executors="Simulator", store=file)
    assert again.result(WAIT_S) == pytest.approx(np.cos(0.4))


def test_a_call_that_runs_still_may_be_run_again(file: Path) -> None:
    go = threading.Event()
    future = on(Held(go), file).run_later(0.4)
    again = ct.run_again(future.id, executors="Simulator", store=file)
    assert again.result(WAIT_S) == pytest.approx(np.cos(0.4))
    assert not future.done()
    go.set()
    assert future.result(WAIT_S) == 0.5


def test_budgets_count_it_and_refuse_it(file: Path) -> None:
    fake = cloud(price_usd_per_job=0.3)
    id, value = ran(on(fake, file))
    with ct.Budget(cost_usd=0.5) as budget:
        assert ct.run_again(id, store=file).result(WAIT_S) == value
        assert budget.spent.cost_usd == 0.3
        assert "exceed" in ct.plan_again(id, store=file).refusal
        with pytest.raises(ct.BudgetError, match="exceed"):
            ct.run_again(id, store=file).result(WAIT_S)
    assert fake.vendor.submitted == 2


def test_what_a_budget_refused_runs_once_it_allows_it(file: Path) -> None:
    fake = cloud(price_usd_per_job=0.3)
    with ct.Budget(cost_usd=0.1):
        future = on(fake, file).run_later(0.4)
        with pytest.raises(ct.BudgetError):
            future.result(WAIT_S)
    again = ct.run_again(future.id, store=file)
    assert again.result(WAIT_S) == pytest.approx(np.cos(0.4))


# --- What is refused ------------------------------------------------------------------


def test_an_unknown_call_is_refused(file: Path) -> None:
    with pytest.raises(ct.ConfigError, match=r"'call-x' is known .* ct.history\(\)"):
        ct.run_again("call-x", store=file)
    with pytest.raises(ct.ConfigError, match="call=7 is no call"):
        ct.run_again(7, store=file)  # type: ignore[arg-type]


def test_a_call_from_the_cache_names_the_job_that_has_its_circuit(file: Path) -> None:
    circuit = on("Simulator", file, cache=True)
    first = circuit.run_later(0.4)
    first.result(WAIT_S)
    id, _ = ran(circuit)
    job = first.executions[0].job_id
    with pytest.raises(ct.ConfigError, match=f"equals a circuit of {job}"):
        ct.run_again(id, store=file)


def test_a_store_in_memory_keeps_no_circuits() -> None:
    store = MemoryStore()
    id, _ = ran(on("Simulator", store))
    with pytest.raises(ct.ConfigError, match="in memory keeps no circuits"):
        ct.run_again(id, store=store)


def test_a_circuit_that_is_too_large_for_the_journal_is_refused(file: Path) -> None:
    def large(x: float) -> Any:
        qml.QubitUnitary(np.exp(1j * x) * np.eye(2**8), range(8))
        return qml.expval(qml.Z(0))

    qnode = qml.QNode(large, qml.device("default.qubit", wires=8))
    id, _ = ran(ct.qelectron(qnode, store=file))
    with pytest.raises(ct.ConfigError, match=r"circuit 0 is not kept.*too large"):
        ct.run_again(id, store=file)


def test_an_executor_that_is_not_told_in_full_is_asked_for(file: Path) -> None:
    go = threading.Event()
    go.set()
    id, _ = ran(on(Held(go), file))
    with pytest.raises(ct.ConfigError, match=r"'Held'.*executors=.*--executor"):
        ct.run_again(id, store=file)
    kind = qml.device("default.mixed", wires=2)
    id, _ = ran(on(ct.executor.Simulator(device=kind), file))
    with pytest.raises(ct.ConfigError, match=r"cannot be read.*executors="):
        ct.plan_again(id, store=file)

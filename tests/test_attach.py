"""What was begun is found again: by another program, by its id, or by asking again."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
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
#: Seconds that a job takes; no test waits for them.
JOB_S = 60.0
#: Seed with which, of the jobs of a cloud where half of them crash, the first does
#: and the second does not.
CRASH_FIRST = 0

_names = (f"attach-{number}" for number in itertools.count())


def cloud(**options: Any) -> FakeCloud:
    """Return a fake cloud with a vendor that no other test has."""
    return FakeCloud(name=next(_names), **options)


def on(executors: Any, store: Any, output: Any = None, **options: Any) -> ct.QElectron:
    """Return a QElectron that returns the cosine of its parameter, or an output."""
    cache = options.pop("cache", False)
    shots = options.pop("shots", None)

    def circuit(x: Any) -> Any:
        qml.RX(x, wires=0)
        qml.CNOT(wires=[0, 1])
        return qml.expval(qml.Z(1)) if output is None else output()

    qnode = qml.QNode(circuit, qml.device("default.qubit", wires=2), **options)
    made: ct.QElectron = ct.qelectron(
        qml.set_shots(qnode, shots), executors=executors, cache=cache, store=store
    )
    return made


@attrs.frozen
class Broken(ct.Executor):
    """An executor that fails."""

    def run(self, job: ct.Job) -> Sequence[Any]:
        raise RuntimeError(f"{len(job)} circuits went up in smoke")


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


def left(
    fake: FakeCloud, file: Path, *xs: float, **options: Any
) -> tuple[str, list[str]]:
    """Begin calls in a program that ends; return the last one's id, and handles."""
    with virtual_clock() as clock, clock.stopped():  # so that no job ends meanwhile
        circuit = on(fake, file, **options)
        futures = [circuit.run_later(x) for x in xs]
        _until(lambda: all(future.handles for future in futures))
        return futures[-1].id, [handle for f in futures for handle in f.handles]


def _until(condition: Callable[[], Any]) -> None:
    pause, end = threading.Event(), time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        pause.wait(0.005)


@pytest.fixture
def later() -> Iterator[None]:
    """Make the test a later program, in which waiting takes no time."""
    with virtual_clock():
        yield


# --- Calls that have ended ------------------------------------------------------------

OUTPUTS: dict[str, tuple[Any, Any]] = {
    "one": (lambda: qml.expval(qml.Z(1)), None),
    "several": (lambda: (qml.expval(qml.Z(1)), qml.probs(wires=[0])), None),
    "list": (lambda: [qml.expval(qml.Z(1)), qml.var(qml.Z(0))], None),
    "list of one": (lambda: [qml.expval(qml.Z(1))], None),
    "dict": (lambda: {"z": qml.expval(qml.Z(1)), "p": qml.probs(wires=[0, 1])}, None),
    "nested": (
        lambda: {"z": [qml.expval(qml.Z(1)), qml.var(qml.Z(0))], "p": qml.probs()},
        None,
    ),
    "state": (qml.state, None),
    "counts": (lambda: qml.counts(wires=[0, 1]), 20),
    "samples": (lambda: (qml.sample(wires=[0]), qml.counts(qml.Z(1))), 20),
    "shot vector": (lambda: (qml.expval(qml.Z(1)), qml.probs(wires=[0])), (10, 10, 5)),
}


@pytest.mark.parametrize("later", [False, True], ids=["same program", "later program"])
@pytest.mark.parametrize(("output", "shots"), OUTPUTS.values(), ids=OUTPUTS)
def test_a_call_that_has_ended_is_found_by_its_id(
    output: Any, shots: Any, later: bool, file: Path
) -> None:
    ran = on(ct.executor.Simulator(), file, output, shots=shots).run_later(0.4)
    value = ran.result(WAIT_S)
    if later:
        ct.shutdown()
    found = ct.attach(ran.id, store=file)
    assert identical(found.result(WAIT_S), value)
    assert found.id == ran.id
    (execution,) = found.executions
    assert execution.cached
    assert execution.job_id == ran.executions[0].job_id


def test_without_a_file_calls_of_this_program_are_found() -> None:
    store = MemoryStore()
    ran = on(ct.executor.Simulator(), store).run_later(0.4)
    value = ran.result(WAIT_S)
    assert ct.attach(ran.id, store=store).result(WAIT_S) == value
    ct.shutdown()
    with pytest.raises(ct.ConfigError, match=f"no call or job '{ran.id}' is known"):
        ct.attach(ran.id, store=store)


def test_arrays_of_other_interfaces_come_back_as_numpy(file: Path) -> None:
    x = qml.numpy.array(0.4, requires_grad=True)
    ran = on(ct.executor.Simulator(), file, diff_method="parameter-shift").run_later(x)
    ran.result(WAIT_S)
    found = ct.attach(ran.id, store=file).result(WAIT_S)
    assert type(found) in (float, np.float64, np.ndarray)
    assert float(found) == pytest.approx(np.cos(0.4))


def test_a_call_that_failed_says_in_what_it_ended(file: Path) -> None:
    ran = on(Broken(), file).run_later(0.4)
    with pytest.raises(RuntimeError):
        ran.result(WAIT_S)
    ct.shutdown()
    found = ct.attach(ran.id, store=file)
    with pytest.raises(
        ct.ExecutorError, match=f"{ran.id} ended in RuntimeError: 1 cir"
    ):
        found.result(WAIT_S)


def test_a_cancelled_call_says_so(file: Path) -> None:
    go = threading.Event()
    circuit = on(Held(go), file)
    futures = [circuit.run_later(x) for x in (0.1, 0.2, 0.3)]
    assert futures[-1].cancel()
    go.set()
    futures[0].result(WAIT_S)
    ct.shutdown()
    with pytest.raises(ct.ExecutorError, match="CancelledError"):
        ct.attach(futures[-1].id, store=file).result(WAIT_S)


def test_a_call_that_runs_here_is_told_from_one_that_was_lost(file: Path) -> None:
    go = threading.Event()
    ran = on(Held(go), file).run_later(0.4)
    with pytest.raises(ct.ExecutorError, match="is still being run"):
        ct.attach(ran.id, store=file).result(WAIT_S)
    go.set()
    assert ran.result(WAIT_S) == 0.5
    assert ct.attach(ran.id, store=file).result(WAIT_S) == 0.5


@pytest.mark.parametrize("id", ["call-nobody", "job-nobody", "", "vendor's"])
def test_an_unknown_id_is_refused(id: str, file: Path) -> None:
    on(ct.executor.Simulator(), file)(0.4)
    with pytest.raises(ct.ConfigError, match=r"no call or job .* is known.*history"):
        ct.attach(id, store=file)


# --- Calls that only their program can put together -----------------------------------


@qml.transform
def doubled(tape: qml.tape.QuantumScript) -> Any:
    """Run a circuit at its angle and at twice its angle, and add."""
    twice = tape.copy(
        ops=[qml.RX(2 * tape.operations[0].data[0], 0), *tape.operations[1:]]
    )
    return [tape, twice], sum


def test_a_transformed_call_is_attached_to_by_its_program(file: Path) -> None:
    circuit = doubled(on(ct.executor.Simulator(), file))
    ran = circuit.run_later(0.4)
    value = ran.result(WAIT_S)
    assert value == pytest.approx(np.cos(0.4) + np.cos(0.8))
    ct.shutdown()
    with pytest.raises(ct.ConfigError, match="on the QElectron, with the arguments"):
        ct.attach(ran.id, store=file)
    found = circuit.attach(ran.id, 0.4)
    assert found.result(WAIT_S) == value
    assert len(found.executions) == 2


def test_a_transformed_call_at_a_vendor_is_waited_for(file: Path) -> None:
    fake = cloud(latency_s=JOB_S)
    circuit = doubled(on(fake, file))
    with virtual_clock() as clock, clock.stopped():
        ran = circuit.run_later(0.4)
        _until(lambda: ran.handles)
    with virtual_clock():
        found = circuit.attach(ran.id, 0.4)
        assert found.result(WAIT_S) == pytest.approx(np.cos(0.4) + np.cos(0.8))
    assert fake.vendor.submitted == 1


def test_attach_with_the_arguments_gives_the_interface_of_the_program(
    file: Path,
) -> None:
    circuit = on(ct.executor.Simulator(), file, diff_method="parameter-shift")
    x = qml.numpy.array(0.4, requires_grad=True)
    ran = circuit.run_later(x)
    value = ran.result(WAIT_S)
    ct.shutdown()
    found = circuit.attach(ran.id, x).result(WAIT_S)
    assert type(found) is type(value)
    assert found == value


def test_attach_with_a_call_of_another_size_is_refused(file: Path) -> None:
    circuit = on(ct.executor.Simulator(), file)
    ran = circuit.run_later(0.4)
    ran.result(WAIT_S)
    with pytest.raises(ct.ConfigError, match="circuits"):
        doubled(circuit).attach(ran.id, 0.4)
    assert ct.load(ct.executor.Simulator()).in_flight == 0


# --- Jobs that are still at the vendor ------------------------------------------------


def test_a_program_that_ends_leaves_its_job_at_the_vendor(file: Path) -> None:
    fake = cloud(latency_s=JOB_S)
    call_id, _ = left(fake, file, 0.4)
    assert fake.vendor.cancelled == 0
    (run,) = ct.history(call_id, store=file)
    assert run.state in ("running", "lost")


@pytest.mark.parametrize("by", ["call", "job", "handle"])
@pytest.mark.usefixtures("later")
def test_a_running_job_is_waited_for_and_not_submitted_again(
    by: str, file: Path
) -> None:
    fake = cloud(latency_s=JOB_S)
    call_id, (handle,) = left(fake, file, 0.4)
    job_id = fake.vendor.jobs[0].tag
    found = ct.attach(
        {"call": call_id, "job": job_id, "handle": handle}[by], store=file
    )
    value = found.result(WAIT_S)
    assert (value if by == "call" else value[0]) == pytest.approx(np.cos(0.4))
    assert fake.vendor.submitted == 1
    assert found.executions[0].handle == handle


@pytest.mark.usefixtures("later")
def test_once_attached_the_result_is_in_the_journal(file: Path) -> None:
    fake = cloud(latency_s=JOB_S)
    call_id, _ = left(fake, file, 0.4)
    ct.attach(call_id, store=file).result(WAIT_S)
    assert ct.history(call_id, store=file)[0].state == "completed"
    ct.shutdown()
    assert ct.attach(call_id, store=file).result(WAIT_S) == pytest.approx(np.cos(0.4))
    assert fake.vendor.fetched == 1


def test_one_job_of_several_calls_serves_each_of_them(file: Path) -> None:
    fake = cloud(latency_s=JOB_S)
    angles = [0.1, 0.2, 0.3, 0.4]
    with virtual_clock() as clock, clock.stopped(), ThreadPoolExecutor(1) as thread:
        mapped = thread.submit(on(fake, file).map, angles)
        _until(lambda: any(job.handle for job in clock.runtime.keeper(file).jobs()))
        clock.runtime.shutdown(0)
        with pytest.raises(CancelledError):
            mapped.result(WAIT_S)
    ids = [run.id for run in ct.history(store=file)]
    with virtual_clock():
        found = [ct.attach(id, store=file).result(WAIT_S) for id in ids]
    assert sorted(found) == pytest.approx(sorted(np.cos(angles)))
    assert fake.vendor.submitted == 1


@pytest.mark.parametrize("mode", [True, "top-up"])
@pytest.mark.parametrize("shots", [None, 50])
@pytest.mark.usefixtures("later")
def test_the_same_call_in_the_next_program_takes_its_job_over(
    mode: Any, shots: Any, file: Path
) -> None:
    fake = cloud(latency_s=JOB_S)
    left(fake, file, 0.4, cache=mode, shots=shots)
    again = on(fake, file, cache=mode, shots=shots).run_later(0.4)
    assert again.result(WAIT_S) == pytest.approx(
        np.cos(0.4), abs=0.8 if shots else 1e-9
    )
    assert fake.vendor.submitted == 1
    assert again.executions[0].cached


@pytest.mark.usefixtures("later")
def test_a_call_without_cache_leaves_a_job_for_one_with_it(file: Path) -> None:
    fake = cloud(latency_s=JOB_S)
    left(fake, file, 0.4)
    assert on(fake, file, cache=True)(0.4) == pytest.approx(np.cos(0.4))
    assert fake.vendor.submitted == 1


@pytest.mark.usefixtures("later")
def test_a_program_that_runs_again_submits_only_what_is_new(file: Path) -> None:
    fake = cloud(latency_s=JOB_S)
    left(fake, file, 0.1, 0.2, cache=True)
    before = fake.vendor.circuits
    values = on(fake, file, cache=True).map([0.1, 0.2, 0.3, 0.1])
    assert values == pytest.approx(np.cos([0.1, 0.2, 0.3, 0.1]))
    assert fake.vendor.circuits == before + 1


@pytest.mark.usefixtures("later")
def test_a_job_that_the_vendor_forgot_does_not_block_its_circuit(file: Path) -> None:
    fake = cloud(latency_s=JOB_S)
    left(fake, file, 0.4, cache=True)
    fake.reset()
    circuit = on(fake, file, cache=True)
    with suppress(ct.UnknownJobError):  # the first one may be told
        circuit(0.4)
    assert circuit(0.4) == pytest.approx(np.cos(0.4))
    assert fake.vendor.submitted == 1


@pytest.mark.usefixtures("later")
def test_a_job_that_failed_meanwhile_is_submitted_again_if_it_is_asked_for(
    file: Path,
) -> None:
    fake = cloud(latency_s=JOB_S, faults=Faults(crashed=0.5), vendor_seed=CRASH_FIRST)
    left(fake, file, 0.4, cache=True)
    assert on(fake, file, cache=True)(0.4) == pytest.approx(np.cos(0.4))
    assert fake.vendor.submitted == 2


@pytest.mark.usefixtures("later")
def test_a_job_that_fails_tells_those_who_attach(file: Path) -> None:
    fake = cloud(latency_s=JOB_S, faults=Faults(crashed=1.0))
    call_id, _ = left(fake, file, 0.4)
    with pytest.raises(ct.ExecutorError):
        ct.attach(call_id, store=file).result(WAIT_S)
    assert ct.history(call_id, store=file)[0].state == "failed"
    assert fake.vendor.submitted == 1


def test_an_attached_future_may_be_dropped(file: Path) -> None:
    fake = cloud(latency_s=JOB_S)
    call_id, _ = left(fake, file, 0.4)
    with virtual_clock() as clock, clock.stopped():
        found = ct.attach(call_id, store=file)
    with pytest.raises(CancelledError):
        found.result(WAIT_S)
    with virtual_clock():
        again = ct.attach(call_id, store=file)
        assert again.result(WAIT_S) == pytest.approx(np.cos(0.4))
    assert fake.vendor.submitted == 1

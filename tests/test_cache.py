"""What runs once only, what is run again, and what a reused result looks like."""

from __future__ import annotations

import logging
import os
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core.memory_store import MemoryStore
from qelectron_core.runtime import runtime
from qelectron_core.testing.conformance.compare import identical
from qelectron_simulator.executor import Simulator

WAIT_S = 30
ANGLES = [0.1, 0.2, 0.1, 0.3, 0.2]


class Tally:
    """What an executor ran, circuit by circuit, and what holds it up."""

    def __init__(self) -> None:
        self.shots: list[int | None] = []
        self.began = threading.Event()
        self.go = threading.Event()
        self.go.set()
        self.failure: Exception | None = None

    @property
    def runs(self) -> int:
        return len(self.shots)


@attrs.frozen
class Counting(Simulator):
    """A simulator that counts what it runs."""

    tally: Tally = attrs.field(factory=Tally, repr=False, kw_only=True)

    def run(self, job: ct.Job) -> Sequence[Any]:
        for circuit in job.circuits:  # one of which may stand for several
            self.tally.shots += [circuit.shots.total_shots] * (circuit.batch_size or 1)
        self.tally.began.set()
        assert self.tally.go.wait(WAIT_S)
        if self.tally.failure is not None:
            raise self.tally.failure
        return super().run(job)


@attrs.frozen
class Opaque(Counting):
    """An executor whose results nobody can compare."""

    def cache_key(self) -> None:
        return None


@attrs.frozen
class Noisy(ct.Executor):
    """An executor whose results depend on its option."""

    noise: float
    tally: Tally = attrs.field(repr=False)

    def run(self, job: ct.Job) -> Sequence[Any]:
        self.tally.shots += [None] * len(job)
        return [1 - self.noise] * len(job)


def on(
    executors: Any, store: Any, *measures: Any, shots: Any = None, **options: Any
) -> ct.QElectron:
    """Return a QElectron on two wires that keeps its results in a store."""
    own = {
        name: options.pop(name)
        for name in ("cache", "diff_method", "interface")
        if name in options
    }
    cache = own.pop("cache", True)

    def circuit(x: Any) -> Any:
        qml.RY(x, wires=0)
        qml.CNOT(wires=[0, 1])
        made = tuple(measure() for measure in measures or [_expval])
        return made[0] if len(made) == 1 else made

    qnode = qml.QNode(circuit, qml.device("default.qubit", wires=2), **own)
    if shots is not None:
        qnode = qml.set_shots(qnode, shots)
    made: ct.QElectron = ct.qelectron(
        qnode, executors=executors, cache=cache, store=store, **options
    )
    return made


def _expval() -> Any:
    return qml.expval(qml.Z(0))


def _probs() -> Any:
    return qml.probs(wires=[0, 1])


def _counts() -> Any:
    return qml.counts(wires=[0, 1])


def _sample() -> Any:
    return qml.sample(wires=[0, 1])


@pytest.fixture(autouse=True)
def _no_leftovers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("QELECTRON_CACHE", raising=False)
    yield
    ct.shutdown()


@pytest.fixture
def tally() -> Iterator[Tally]:
    made = Tally()
    yield made
    made.go.set()


@pytest.fixture
def executor(tally: Tally) -> Counting:
    return Counting(tally=tally)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, file: Path) -> Any:
    return MemoryStore() if request.param == "memory" else file


@pytest.fixture
def events() -> Iterator[list[ct.Event]]:
    seen: list[ct.Event] = []
    with ct.observe(seen.append):
        yield seen


# --- The modes ------------------------------------------------------------------------

CALLS: dict[str, Callable[[Any], Any]] = {
    "call": lambda circuit: [circuit(x) for x in ANGLES],
    "later": lambda circuit: [
        future.result(WAIT_S) for future in [circuit.run_later(x) for x in ANGLES]
    ],
    "map": lambda circuit: circuit.map(ANGLES),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_false_runs_always(
    call: Any, executor: Counting, tally: Tally, store: Any
) -> None:
    circuit = on(executor, store, cache=False)
    assert call(circuit) == pytest.approx(np.cos(ANGLES))
    call(circuit)
    assert tally.runs == 10


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_true_runs_equal_circuits_once(
    call: Any, executor: Counting, tally: Tally, store: Any
) -> None:
    circuit = on(executor, store)
    assert call(circuit) == pytest.approx(np.cos(ANGLES))
    assert tally.runs == 3
    assert call(circuit) == pytest.approx(np.cos(ANGLES))
    assert tally.runs == 3


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_refresh_runs_and_replaces(
    call: Any, executor: Counting, tally: Tally, store: Any
) -> None:
    circuit = on(executor, store)
    call(circuit)
    call(circuit.update(cache="refresh"))
    assert tally.runs == 8
    call(circuit)
    assert tally.runs == 8


def test_refresh_has_the_last_word(store: Any) -> None:
    circuit = on(ct.executor.Simulator(seed=1), store, shots=20)
    first = circuit(1.0)
    newer = circuit.update(cache="refresh")(1.0)
    again = on(ct.executor.Simulator(seed=1), store, shots=20)
    assert first != newer, "it is the second sample of its seed"
    assert again(1.0) == first


def test_another_program_finds_the_results(
    executor: Counting, tally: Tally, file: Path
) -> None:
    first = on(executor, file).map(ANGLES)
    ct.shutdown()
    assert on(executor, file).map(ANGLES) == first
    assert tally.runs == 3


@pytest.mark.parametrize("method", ["parameter-shift", "adjoint"])
def test_gradients_run_once(
    method: str, executor: Counting, tally: Tally, store: Any
) -> None:
    circuit = on(executor, store, diff_method=method)
    x = qml.numpy.array(0.4, requires_grad=True)
    gradient = qml.grad(circuit)(x)
    ran = tally.runs
    again = qml.grad(circuit)(x)
    assert ran > 0
    assert tally.runs == ran
    assert identical(gradient, again)
    assert float(gradient) == pytest.approx(-np.sin(0.4))


def test_a_value_without_its_derivative_is_no_answer_to_both(
    executor: Counting, tally: Tally, store: Any
) -> None:
    circuit = on(executor, store, diff_method="adjoint")
    value = circuit(0.4)
    x = qml.numpy.array(0.4, requires_grad=True)
    assert float(qml.grad(circuit)(x)) == pytest.approx(-np.sin(0.4))
    assert circuit(0.4) == value
    assert tally.runs == 2


@pytest.mark.parametrize("method", ["parameter-shift", "adjoint"])
def test_a_derivative_by_one_parameter_is_none_by_another(
    method: str, executor: Counting, store: Any
) -> None:
    @ct.qelectron(executors=executor, cache=True, store=store)
    @qml.qnode(qml.device("default.qubit", wires=1), diff_method=method)
    def circuit(x: Any, y: Any) -> Any:
        qml.RX(x, wires=0)
        qml.RY(y, wires=0)
        return qml.expval(qml.Z(0))

    def derivative(by: str) -> float:
        x = qml.numpy.array(0.3, requires_grad=by == "x")
        y = qml.numpy.array(0.8, requires_grad=by == "y")
        return float(qml.grad(circuit)(x, y))

    assert derivative("x") == pytest.approx(-np.sin(0.3) * np.cos(0.8))
    assert derivative("y") == pytest.approx(-np.cos(0.3) * np.sin(0.8))


def test_backpropagation_runs_always(
    executor: Counting, tally: Tally, store: Any
) -> None:
    circuit = on(executor, store, diff_method="backprop")
    x = qml.numpy.array(0.4, requires_grad=True)
    for _ in range(2):
        assert float(qml.grad(circuit)(x)) == pytest.approx(-np.sin(0.4))
    assert tally.runs == 2


# --- What a hit looks like ------------------------------------------------------------


def test_a_hit_says_so_and_names_the_job_that_ran(
    executor: Counting, store: Any
) -> None:
    circuit = on(executor, store)
    ran, reused = circuit.run_later(0.3), None
    ran.result(WAIT_S)
    reused = circuit.run_later(0.3)
    assert reused.result(WAIT_S) == ran.result()
    (first,), (second,) = ran.executions, reused.executions
    assert not first.cached
    assert second.cached
    assert second.job_id == first.job_id
    assert second.executor == executor


def test_observers_are_told_of_a_hit_and_of_no_submission(
    executor: Counting, store: Any, events: list[ct.Event]
) -> None:
    circuit = on(executor, store)
    circuit(0.3)
    assert [event.kind for event in events] == ["submitted", "started", "completed"]
    del events[:]
    circuit(0.3)
    assert [event.kind for event in events] == ["cached"]
    assert events[0].execution is not None
    assert events[0].execution.cached


def test_a_hit_loads_no_executor(executor: Counting, store: Any) -> None:
    circuit = on(executor, store)
    circuit.map(ANGLES)
    circuit.map(ANGLES)
    assert ct.load(executor).in_flight == 0


def torch_double(value: float) -> Any:
    """Return a number as torch has it."""
    torch = pytest.importorskip("torch")
    return torch.tensor(value, dtype=torch.float64)


ARGUMENTS: dict[str, Callable[[], Any]] = {
    "float": lambda: 0.4,
    "numpy": lambda: np.array(0.4),
    "constant": lambda: qml.numpy.array(0.4, requires_grad=False),
    "autograd": lambda: qml.numpy.array(0.4, requires_grad=True),
    "jax": lambda: _jax(0.4),
    # Of other precisions, PennyLane alone knows the type of the result.
    "torch": lambda: torch_double(0.4),
}


def _jax(value: float) -> Any:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", val=True)
    return jax.numpy.array(value)


MEASURES: dict[str, tuple[Any, ...]] = {
    "expval": (_expval,),
    "probs": (_probs,),
    "state": (qml.state,),
    "several": (_expval, _probs),
}


@pytest.mark.parametrize("method", ["best", "parameter-shift", "backprop"])
@pytest.mark.parametrize("measures", MEASURES.values(), ids=MEASURES)
@pytest.mark.parametrize("argument", ARGUMENTS.values(), ids=ARGUMENTS)
def test_results_are_those_of_the_qnode_also_when_reused(
    argument: Any, measures: Any, method: str, executor: Counting, file: Path
) -> None:
    x = argument()
    circuit = on(executor, file, *measures, diff_method=method)
    bare = qml.QNode(circuit.func, circuit.device.inner, diff_method=method)
    expected = bare(x)
    for _ in range(2):
        _alike(circuit(x), expected)
        _alike(circuit.run_later(x).result(WAIT_S), expected)


def _alike(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            _alike(one, other)
        return
    assert qml.math.shape(found) == qml.math.shape(expected)
    assert getattr(found, "dtype", None) == getattr(expected, "dtype", None)
    assert qml.math.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("argument", ARGUMENTS.values(), ids=ARGUMENTS)
def test_what_is_not_being_differentiated_is_reused_whatever_its_type(
    argument: Any, executor: Counting, tally: Tally, store: Any
) -> None:
    circuit = on(executor, store)  # by default, it would be backpropagated through
    for _ in range(2):
        circuit(argument())
        circuit.run_later(argument()).result(WAIT_S)
    assert tally.runs == 1


@pytest.mark.parametrize("interface", ["auto", "numpy", "autograd", "jax"])
def test_a_named_interface_is_kept_also_when_reused(
    interface: str, executor: Counting, tally: Tally, store: Any
) -> None:
    options = {"interface": interface, "diff_method": "parameter-shift"}
    circuit = on(executor, store, **options)
    expected = qml.QNode(circuit.func, circuit.device.inner, **options)(0.4)
    for _ in range(2):
        _alike(circuit(0.4), expected)
    assert tally.runs == 1


def test_a_result_of_one_interface_serves_the_others(
    executor: Counting, tally: Tally, store: Any
) -> None:
    circuit = on(executor, store, diff_method="parameter-shift")
    circuit(0.4)
    circuit(np.array(0.4))
    circuit(qml.numpy.array(0.4, requires_grad=True))
    assert tally.runs == 1


@pytest.mark.parametrize("measure", [_probs, _counts, _sample])
def test_changing_a_result_changes_no_other(
    measure: Any, executor: Counting, tally: Tally, store: Any
) -> None:
    shots = None if measure is _probs else 10
    circuit = on(attrs.evolve(executor, seed=5), store, measure, shots=shots)
    pristine = pickle.loads(pickle.dumps(circuit(0.7)))
    for _ in range(3):
        again = on(attrs.evolve(executor, seed=5), store, measure, shots=shots)(0.7)
        assert identical(again, pristine)
        _spoil(again)
    assert tally.runs == 1


def test_equal_circuits_in_flight_share_no_result(
    executor: Counting, tally: Tally, store: Any
) -> None:
    circuit = on(executor, store, _probs)
    tally.go.clear()
    futures = [circuit.run_later(0.7) for _ in range(4)]
    tally.go.set()
    for future in futures:
        value = future.result(WAIT_S)
        assert value.sum() == pytest.approx(1)
        _spoil(value)


def _spoil(value: Any) -> None:
    if isinstance(value, dict):
        value.clear()
    else:
        value[...] = 7


# --- Equal circuits at the same time --------------------------------------------------


def test_equal_circuits_in_flight_run_once(
    executor: Counting, tally: Tally, store: Any, events: list[ct.Event]
) -> None:
    circuit = on(executor, store)
    tally.go.clear()
    futures = [circuit.run_later(0.3) for _ in range(50)]
    tally.go.set()
    assert ct.gather(futures, timeout=WAIT_S) == pytest.approx([np.cos(0.3)] * 50)
    assert tally.runs == 1
    assert sum(future.executions[0].cached for future in futures) == 49
    kinds = [event.kind for event in events]
    assert (kinds.count("submitted"), kinds.count("cached")) == (1, 49)


def test_threads_that_ask_for_the_same_run_it_once(
    executor: Counting, tally: Tally, store: Any
) -> None:
    circuit = on(executor, store)
    together = threading.Barrier(8)

    def ask(number: int) -> list[float]:
        together.wait(WAIT_S)
        return [float(circuit(x + number // 8)) for x in ANGLES]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(8)))
    assert answers == [pytest.approx(np.cos(ANGLES))] * 8
    assert tally.runs == 3


def test_two_qelectrons_in_flight_share_a_run(
    executor: Counting, tally: Tally, store: Any
) -> None:
    tally.go.clear()
    one, other = on(executor, store), on(executor, store)
    futures = [one.run_later(0.3), other.run_later(0.3)]
    tally.go.set()
    ct.gather(futures, timeout=WAIT_S)
    assert tally.runs == 1


def test_if_the_one_that_runs_fails_all_get_its_error(
    executor: Counting, tally: Tally, store: Any
) -> None:
    tally.failure = RuntimeError("out of helium")
    tally.go.clear()
    futures = [on(executor, store).run_later(0.3) for _ in range(5)]
    tally.go.set()
    for future in futures:
        with pytest.raises(RuntimeError, match="out of helium"):
            future.result(WAIT_S)
    assert tally.runs == 1
    assert ct.load(executor).in_flight == 0
    tally.failure = None
    assert on(executor, store)(0.3) == pytest.approx(np.cos(0.3)), (
        "an error is no result"
    )


def blocked(executor: Counting, store: Any) -> list[ct.QFuture]:
    """Return equal calls behind another one that takes the only worker."""
    tally = executor.tally
    tally.go.clear()
    alone = attrs.evolve(executor, workers=1)
    on(alone, store).run_later(0.9)
    assert tally.began.wait(WAIT_S)
    circuit = on(alone, store)
    return [circuit.run_later(0.3) for _ in range(4)]


def test_if_the_one_that_was_to_run_is_cancelled_the_others_get_results(
    executor: Counting, tally: Tally, store: Any
) -> None:
    leader, *followers = blocked(executor, store)
    assert leader.cancel()
    tally.go.set()
    results = ct.gather(followers, timeout=WAIT_S)
    assert results == pytest.approx([np.cos(0.3)] * 3)
    assert tally.runs == 2
    with pytest.raises(CancelledError):
        leader.result(WAIT_S)


def test_one_that_waits_can_be_cancelled(
    executor: Counting, tally: Tally, store: Any
) -> None:
    leader, second, third, _ = futures = blocked(executor, store)
    assert second.cancel()
    assert second.cancelled()
    tally.go.set()
    assert leader.result(WAIT_S) == third.result(WAIT_S) == pytest.approx(np.cos(0.3))
    assert futures[3].result(WAIT_S) == leader.result()
    assert tally.runs == 2


def test_all_that_wait_can_be_cancelled_at_once(
    executor: Counting, tally: Tally, store: Any
) -> None:
    futures = blocked(executor, store)
    runtime().cancel()  # what Ctrl-C does
    assert all(future.cancelled() for future in futures)
    tally.go.set()
    ct.shutdown()
    assert tally.runs == 1
    tally.shots.clear()
    assert on(executor, store)(0.3) == pytest.approx(np.cos(0.3)), "it can be run again"
    assert tally.runs == 1


def test_shutdown_ends_all_that_wait(
    executor: Counting, tally: Tally, store: Any
) -> None:
    futures = blocked(executor, store)
    closing = threading.Thread(target=ct.shutdown)
    closing.start()
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(WAIT_S)
    tally.go.set()
    closing.join(WAIT_S)
    assert not closing.is_alive()


def test_shutdown_lets_those_that_wait_for_a_running_one_end(
    executor: Counting, tally: Tally, store: Any
) -> None:
    tally.go.clear()
    circuit = on(executor, store)
    futures = [circuit.run_later(0.3) for _ in range(3)]
    assert tally.began.wait(WAIT_S)
    closing = threading.Thread(target=ct.shutdown)
    closing.start()
    tally.go.set()
    closing.join(WAIT_S)
    assert not closing.is_alive()
    assert all(future.done() for future in futures)
    assert futures[0].result() == pytest.approx(np.cos(0.3))


# --- Samples --------------------------------------------------------------------------


def test_samples_of_one_program_are_independent_and_those_of_its_next_run_the_same(
    executor: Counting, tally: Tally, file: Path
) -> None:
    def program() -> list[Any]:
        circuit = on(executor, file, _sample, shots=60)
        return [circuit(1.5), circuit(1.5), circuit.run_later(1.5).result(WAIT_S)]

    first = program()
    assert not any(identical(first[0], other) for other in first[1:])
    ct.shutdown()
    assert identical(program(), first)
    assert tally.runs == 3


def test_a_program_that_asks_for_more_gets_new_ones(
    executor: Counting, tally: Tally, file: Path
) -> None:
    first = on(executor, file, _sample, shots=60)(1.5)
    ct.shutdown()
    circuit = on(executor, file, _sample, shots=60)
    assert identical(circuit(1.5), first)
    assert not identical(circuit(1.5), first)
    assert tally.runs == 2


def test_two_qelectrons_do_not_share_noise(
    executor: Counting, tally: Tally, store: Any
) -> None:
    one = on(executor, store, _sample, shots=60)(1.5)
    other = on(executor, store, _sample, shots=60)(1.5)
    assert not identical(one, other)
    assert tally.runs == 2


def test_samples_in_flight_are_independent(
    executor: Counting, tally: Tally, store: Any
) -> None:
    results = on(executor, store, _sample, shots=60).map([1.5] * 4)
    assert len({value.tobytes() for value in results}) == 4
    assert tally.runs == 4


def test_a_seed_gives_the_same_samples_with_and_without_the_cache(
    executor: Counting, tally: Tally, store: Any
) -> None:
    seeded = attrs.evolve(executor, seed=7)
    bare = [on(seeded, store, _sample, shots=60, cache=False).map([1.5] * 3)]
    ran = tally.runs
    for _ in range(2):
        bare.append(on(seeded, store, _sample, shots=60).map([1.5] * 3))
    assert identical(bare[1], bare[0])
    assert identical(bare[2], bare[0])
    assert tally.runs == ran + 3


def test_exact_results_and_samples_are_not_mixed_up(
    executor: Counting, tally: Tally, store: Any
) -> None:
    exact = on(executor, store)(0.3)
    sampled = on(executor, store, shots=9)(0.3)
    assert exact == pytest.approx(np.cos(0.3))
    assert round(9 * float(sampled)) == pytest.approx(9 * float(sampled))
    assert tally.shots == [None, 9]


# --- Topping up -----------------------------------------------------------------------

MERGED: dict[str, tuple[Any, ...]] = {
    "expval": (_expval,),
    "probs": (_probs,),
    "counts": (_counts,),
    "sample": (_sample,),
    "several": (_expval, _probs, _counts),
}


@pytest.mark.parametrize("measures", MERGED.values(), ids=MERGED)
def test_top_up_runs_the_missing_shots_only(
    measures: Any, executor: Counting, tally: Tally, store: Any
) -> None:
    options = {"cache": "top-up"}
    few = on(executor, store, *measures, shots=1000, **options)(0.8)
    many = on(executor, store, *measures, shots=4000, **options)(0.8)
    assert tally.shots == [1000, 3000]
    bare = on(executor, store, *measures, shots=4000, cache=False)(0.8)
    _alike_samples(many, bare)
    _holds(many, few)


def _alike_samples(found: Any, expected: Any) -> None:
    """Check type and shape, and that shares agree up to shot noise."""
    assert type(found) is type(expected)
    if isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            _alike_samples(one, other)
        return
    if isinstance(expected, dict):
        assert sum(found.values()) == sum(expected.values())
        assert {type(value) for value in found.values()} == {
            type(value) for value in expected.values()
        }
        found, expected = (np.array([c["00"], c["11"]]) for c in (found, expected))
        assert found == pytest.approx(expected, abs=5 * 4000**0.5)
        return
    assert np.shape(found) == np.shape(expected)
    assert found.dtype == expected.dtype
    if np.shape(found) == (4000, 2):
        found, expected = found.mean(axis=0), expected.mean(axis=0)
    assert found == pytest.approx(expected, abs=0.15)


def _holds(whole: Any, part: Any) -> None:
    """Check that 1000 of 4000 shots are in the whole."""
    if isinstance(whole, tuple):
        for one, other in zip(whole, part, strict=True):
            _holds(one, other)
    elif isinstance(whole, dict):
        assert all(whole[key] >= count for key, count in part.items())
    elif np.shape(whole) == (4000, 2):
        assert identical(whole[:1000], part)
    else:  # a mean: of the other 3000 shots remains a whole number
        rest = (4000 * np.asarray(whole) - 1000 * np.asarray(part)).round(6)
        assert np.all(rest == rest.round())
        assert np.all(np.abs(rest) <= 3000)


@pytest.mark.parametrize("measures", MERGED.values(), ids=MERGED)
def test_top_up_cuts_what_is_there_if_less_is_asked_for(
    measures: Any, executor: Counting, tally: Tally, store: Any
) -> None:
    options = {"cache": "top-up"}
    many = on(executor, store, *measures, shots=4000, **options)(0.8)
    few = on(executor, store, *measures, shots=1000, **options)(0.8)
    assert tally.shots == [4000]
    bare = on(executor, store, *measures, shots=1000, cache=False)(0.8)
    flat = (
        [*zip(few, bare, many, strict=True)]
        if isinstance(few, tuple)
        else [(few, bare, many)]
    )
    for value, expected, _ in flat:
        assert type(value) is type(expected)
        assert np.shape(value) == np.shape(expected)
        if isinstance(value, dict):
            assert sum(value.values()) == 1000


def test_top_up_asked_for_as_much_runs_nothing(
    executor: Counting, tally: Tally, store: Any
) -> None:
    circuit = on(executor, store, _counts, shots=100, cache="top-up")
    first = circuit(0.8)
    assert identical(circuit(0.8), first)
    assert identical(circuit.run_later(0.8).result(WAIT_S), first)
    assert tally.shots == [100]


def test_topped_up_results_are_there_for_the_next_program(
    executor: Counting, tally: Tally, file: Path
) -> None:
    whole = []
    for shots in (100, 300, 300, 250, 400):
        whole.append(on(executor, file, _counts, shots=shots, cache="top-up")(0.8))
        ct.shutdown()
    assert tally.shots == [100, 200, 100]
    assert [sum(value.values()) for value in whole] == [100, 300, 300, 250, 400]
    assert identical(whole[1], whole[2])


def test_topping_up_in_flight_runs_no_shot_twice(
    executor: Counting, tally: Tally, store: Any
) -> None:
    tally.go.clear()
    futures = [
        on(executor, store, _counts, shots=shots, cache="top-up").run_later(0.8)
        for shots in (100, 300, 50, 300)
    ]
    tally.go.set()
    sums = [sum(value.values()) for value in ct.gather(futures, timeout=WAIT_S)]
    assert sums == [100, 300, 50, 300]
    assert sum(filter(None, tally.shots)) == 300


def test_parts_of_a_seeded_result_are_not_equal(
    executor: Counting, tally: Tally, store: Any
) -> None:
    seeded = attrs.evolve(executor, seed=3)
    for shots in (50, 100, 150):
        whole = on(seeded, store, _sample, shots=shots, cache="top-up")(1.5)
    assert tally.shots == [50, 50, 50]
    assert len({part.tobytes() for part in np.split(whole, 3)}) == 3


UNMERGED: dict[str, tuple[Any, Any]] = {
    "var": (lambda: qml.var(qml.Z(0)), 100),
    "shot vector": (_expval, (50, 50)),
}


@pytest.mark.parametrize(("measure", "shots"), UNMERGED.values(), ids=UNMERGED)
def test_what_cannot_be_topped_up_is_reused_as_with_true(
    measure: Any, shots: Any, executor: Counting, tally: Tally, file: Path
) -> None:
    def program() -> list[Any]:
        circuit = on(executor, file, measure, shots=shots, cache="top-up")
        return [circuit(1.5), circuit(1.5)]

    first = program()
    assert tally.shots == [100, 100]
    ct.shutdown()
    assert identical(program(), first)
    assert tally.runs == 2


def test_top_up_of_an_exact_result_reuses_it(
    executor: Counting, tally: Tally, store: Any
) -> None:
    circuit = on(executor, store, cache="top-up")
    assert circuit(0.3) == circuit(0.3) == pytest.approx(np.cos(0.3))
    assert tally.runs == 1


# --- Which executors share results ----------------------------------------------------

ALIKE: list[dict[str, Any]] = [
    {"workers": 3},
    {"parallel": False},
    {"retries": 2},
    {"timeout_s": 20.0},
]


@pytest.mark.parametrize("options", ALIKE, ids=str)
def test_speed_and_patience_change_no_result(
    options: dict[str, Any], executor: Counting, tally: Tally, store: Any
) -> None:
    on(executor, store)(0.3)
    on(attrs.evolve(executor, **options), store)(0.3)
    assert tally.runs == 1


@pytest.mark.parametrize("device", ["default.mixed", "reference.qubit"])
def test_another_device_runs_anew(
    device: str, executor: Counting, tally: Tally, store: Any
) -> None:
    on(executor, store)(0.3)
    for _ in range(2):
        on(attrs.evolve(executor, device=device), store)(0.3)
    assert tally.runs == 2


def test_an_option_that_results_depend_on_runs_anew(tally: Tally, store: Any) -> None:
    values = [on(Noisy(noise, tally), store)(0.3) for noise in (0.0, 0.1, 0.2, 0.1)]
    assert values == pytest.approx([1.0, 0.9, 0.8, 0.9])
    assert tally.runs == 3


def test_executors_of_different_classes_share_nothing(
    executor: Counting, tally: Tally, store: Any
) -> None:
    on(ct.executor.Simulator(), store)(0.3)
    on(executor, store)(0.3)
    assert tally.runs == 1


def pair(tally: Tally, **options: Any) -> ct.QCluster:
    """Return a cluster of two executors whose results differ."""
    members = [
        Counting(device=name, tally=tally)
        for name in ("default.qubit", "default.mixed")
    ]
    return ct.QCluster(executors=members, selector="cyclic", **options)


def test_in_a_cluster_the_chosen_executor_decides(tally: Tally, store: Any) -> None:
    circuit = on(pair(tally), store)
    for _ in range(4):
        circuit(0.3)
    assert tally.runs == 2


def test_with_failover_the_result_of_any_member_serves(
    tally: Tally, store: Any
) -> None:
    circuit = on(pair(tally, failover=True), store)
    for _ in range(4):
        circuit(0.3)
    assert tally.runs == 1


# --- What is run every time -----------------------------------------------------------


def test_what_cannot_be_compared_runs_every_time_and_says_so_once(
    tally: Tally, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"Opaque{type(store).__name__}"
    kind = attrs.make_class(name, [], bases=(Opaque,), frozen=True)
    circuit = on(kind(tally=tally), store)
    with caplog.at_level(logging.WARNING, logger="qelectron"):
        assert circuit.map([0.3] * 3) == pytest.approx([np.cos(0.3)] * 3)
        circuit(0.3)
    assert tally.runs == 4
    assert [name in record.message for record in caplog.records] == [True]
    assert "run every time" in caplog.text


# --- Who decides ----------------------------------------------------------------------


def test_a_block_overrules_the_qelectron_and_that_the_environment(
    executor: Counting, tally: Tally, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = on(executor, store, cache=None)
    silent(0.3), silent(0.3)
    assert tally.runs == 2, "by default everything runs"
    monkeypatch.setenv("QELECTRON_CACHE", "True")
    silent(0.4), silent(0.4)
    assert tally.runs == 3
    never = on(executor, store, cache=False)
    never(0.4)
    assert tally.runs == 4
    with ct.caching(True):
        never(0.4)
        assert tally.runs == 4
        with ct.caching("refresh"):
            never(0.4)
        assert tally.runs == 5
        never(0.4)
    assert tally.runs == 5
    never(0.4)
    assert tally.runs == 6


def test_a_block_ends_when_it_fails(executor: Counting, tally: Tally) -> None:
    circuit = on(executor, MemoryStore(), cache=False)
    with pytest.raises(ZeroDivisionError), ct.caching(True):
        raise ZeroDivisionError
    circuit(0.3), circuit(0.3)
    assert tally.runs == 2


def test_update_changes_mode_and_place_of_the_copy_alone(
    executor: Counting, tally: Tally, store: Any
) -> None:
    circuit = on(executor, store, cache=False)
    caching = circuit.update(cache=True)
    caching(0.3), caching(0.3)
    assert tally.runs == 1
    caching.update(store=MemoryStore())(0.3)
    assert tally.runs == 2
    caching.update(diff_method="parameter-shift", interface="numpy")(0.3)
    assert tally.runs == 2, "mode and place stay"
    circuit(0.3)
    assert tally.runs == 3
    caching.update(executors=attrs.evolve(executor, workers=2))(0.3)
    assert tally.runs == 3
    assert (circuit.policy.cache, caching.policy.cache) == (False, True)


def test_the_environment_names_the_place(
    executor: Counting, tally: Tally, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QELECTRON_STORE", str(file))
    on(executor, None)(0.3)
    ct.shutdown()
    assert file.exists()
    on(executor, file)(0.3)
    assert tally.runs == 1


@pytest.mark.parametrize("mode", ["always", "True", 1, 0, 2.5, [], {}], ids=repr)
def test_an_unknown_mode_is_refused(mode: Any) -> None:
    with pytest.raises(ct.ConfigError, match="'refresh' or 'top-up'"):
        on(None, None, cache=mode)
    with pytest.raises(ct.ConfigError, match="'refresh' or 'top-up'"):
        on(None, None).update(cache=mode)
    with pytest.raises(ct.ConfigError, match="unknown"), ct.caching(mode):
        pass


def test_an_unknown_mode_in_the_environment_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QELECTRON_CACHE", "sometimes")
    with pytest.raises(ct.ConfigError, match="QELECTRON_CACHE='sometimes'"):
        on(None, None, cache=None)(0.3)


def test_a_misspelt_option_is_refused_with_a_hint() -> None:
    with pytest.raises(TypeError, match="cache"):
        on(None, None, cashe=True)
    with pytest.raises(TypeError, match="store"):
        on(None, None, stor="here")


# --- Copies and processes -------------------------------------------------------------


def test_a_pickled_qelectron_keeps_mode_and_place(file: Path) -> None:
    import cloudpickle

    circuit = on(ct.executor.Simulator(), file)
    circuit(0.3)
    copy = pickle.loads(cloudpickle.dumps(circuit))
    future = copy.run_later(0.3)
    assert future.result(WAIT_S) == circuit(0.3)
    assert future.executions[0].cached
    assert copy.policy == circuit.policy


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork.*:RuntimeWarning")
def test_a_fork_finds_what_its_parent_kept_and_leaves_it_whole(
    executor: Counting, tally: Tally, file: Path
) -> None:
    circuit = on(executor, file)
    circuit(0.3)
    ct.history(store=file)  # all is written
    child = os.fork()
    if child == 0:
        found = circuit(0.3) == circuit(0.3) and tally.runs == 1
        circuit(0.4)
        ct.shutdown()
        os._exit(0 if found and tally.runs == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert circuit(0.3) == pytest.approx(np.cos(0.3))
    assert circuit(0.4) == pytest.approx(np.cos(0.4))
    assert tally.runs == 1

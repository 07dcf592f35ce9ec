"""`map`: the results of a loop, whatever is done to get them sooner."""

import gc
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qelectron_core as ct
from qelectron_core import mapping
from qelectron_core.building import Builder
from qelectron_core.futures import QFuture
from qelectron_simulator.executor import Simulator

WAIT_S = 60
XS = [0.1 * n for n in range(12)]


def rotated(x: float, y: float = 0.0, *, twice: bool = False) -> Any:
    qml.RX(x + y, wires=0)
    if twice:
        qml.RX(x + y, wires=0)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.PauliZ(1))


def sampled(x: float) -> Any:
    qml.RX(x, wires=0)
    return qml.sample(wires=[0, 1])


def on(
    executors: Any = None, function: Callable[..., Any] = rotated, **options: Any
) -> ct.QElectron:
    qnode = qml.QNode(function, qml.device("default.qubit", wires=2))
    shots = options.pop("shots", None)
    made = ct.qelectron(
        qnode if shots is None else qml.set_shots(qnode, shots),
        executors=executors,
        **options,
    )
    assert isinstance(made, ct.QElectron)
    return made


@attrs.frozen
class Held(ct.Executor):
    """Runs nothing before it is let go."""

    go: threading.Event = attrs.field(factory=threading.Event, repr=False, kw_only=True)

    def run(self, job: ct.Job) -> Sequence[Any]:
        assert self.go.wait(WAIT_S)
        return [float(circuit.data[0]) for circuit in job.circuits]


# --- Its arguments --------------------------------------------------------------------


def test_keyword_arguments_are_the_same_for_every_call() -> None:
    found = on().map(XS, twice=True)
    assert np.allclose(found, np.cos(2 * np.array(XS)))
    assert np.allclose(on().map(XS, y=0.5), np.cos(np.array(XS) + 0.5))


def test_several_iterables_go_side_by_side() -> None:
    ys = np.linspace(1, 2, len(XS))
    found = on().map(XS, (y for y in ys), twice=True)
    assert np.allclose(found, np.cos(2 * (np.array(XS) + ys)))


@given(lengths=st.lists(st.integers(0, 9), min_size=2, max_size=3))
@settings(max_examples=30, deadline=None)
def test_iterables_of_unknown_lengths_must_end_together(lengths: list[int]) -> None:
    circuit = on(ct.executor.Echo(value=0.5), lambda *_: qml.expval(qml.PauliZ(0)))
    iterables = [iter([0.1] * length) for length in lengths]
    if len(set(lengths)) == 1:
        assert circuit.map(*iterables) == [0.5] * lengths[0]
    else:
        with pytest.raises(ValueError, match=r"map\(\) takes iterables of equal"):
            circuit.map(*iterables)


def test_an_error_of_a_generator_is_raised_and_nothing_is_left_running() -> None:
    executor = ct.executor.Echo()

    def items() -> Iterator[float]:
        yield from XS[:6]
        raise LookupError("no more of these")

    with pytest.raises(LookupError, match="no more of these"):
        on(executor).map(items())
    assert ct.load(executor).in_flight == 0


class NeverQuick(Builder):
    """Calls the quantum function every time."""

    def build_quickly(self, *_: Any) -> None:
        return None


def strong(weights: Any) -> Any:
    qml.StronglyEntanglingLayers(weights, wires=[0, 1])
    return qml.expval(qml.PauliZ(1))


@pytest.mark.parametrize("count", [2, 20])
@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
def test_a_generator_may_hand_out_one_array_again_and_again(
    device: str, count: int
) -> None:
    def items() -> Iterator[Any]:
        weights = np.zeros((1, 2, 3))
        for number in range(count):
            weights[...] = 0.1 * number
            yield weights

    bare = qml.QNode(strong, qml.device(device, wires=2))
    expected = [bare(weights) for weights in items()]
    assert np.allclose(ct.qelectron(bare).map(items()), expected)


@pytest.mark.parametrize("is_known", [True, False])
def test_an_array_may_change_as_soon_as_a_call_is_on_its_way(is_known: bool) -> None:
    circuit, weights = on(None, strong), np.zeros((1, 2, 3))
    for _ in range(4):
        circuit(weights)
    if not is_known:
        circuit.builder = NeverQuick(strong)
    futures = []
    for number in range(20):
        weights[...] = 0.1 * number
        futures.append(circuit.run_later(weights))
    bare = qml.QNode(strong, qml.device("default.qubit", wires=2))
    expected = [bare(np.full((1, 2, 3), 0.1 * number)) for number in range(20)]
    assert np.allclose(ct.gather(futures), expected)


# --- Any number of items --------------------------------------------------------------


def waits_for_room(thread: threading.Thread) -> bool:
    """Tell whether a thread waits until fewer calls are under way, or until the end."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code is not threading.Condition.wait.__code__:
        frame = frame.f_back
    return frame is not None


def test_items_are_taken_as_there_is_room_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mapping, "CHUNK", 8)
    monkeypatch.setattr(mapping, "MAX_IN_FLIGHT", 32)
    taken: list[float] = []

    def items() -> Iterator[float]:
        for number in range(500):
            taken.append(0.001 * number)
            yield taken[-1]

    executor = Held()
    results: list[float] = []
    thread = threading.Thread(
        target=lambda: results.extend(on(executor).map(items())), daemon=True
    )
    thread.start()
    end = time.monotonic() + WAIT_S
    while not (taken and waits_for_room(thread)):
        assert time.monotonic() < end
    assert len(taken) <= 40, "those that may be under way, and a chunk"
    executor.go.set()
    thread.join(WAIT_S)
    assert results == pytest.approx(taken)
    assert len(taken) == 500


def count_of(*kinds: type) -> int:
    """Return how many objects of some types there are."""
    # By their types: to be asked for its class, many an object does something.
    return sum(issubclass(type(thing), kinds) for thing in gc.get_objects())


@pytest.mark.parametrize("as_one", [True, False])
def test_of_calls_that_are_done_only_results_are_kept(
    as_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping, "MAX_IN_FLIGHT", 512)
    executor = Held()
    executor.go.set()
    alive: list[int] = []

    def items() -> Iterator[float]:
        for number in range(3_000):
            if number % 500 == 499:
                gc.collect()
                alive.append(count_of(QFuture, qml.tape.QuantumScript))
            yield 0.001 * number

    before = count_of(qml.tape.QuantumScript)
    assert len(on(None if as_one else executor).map(items())) == 3_000
    # A future and a circuit per call, and what was made for a chunk.
    assert max(alive) <= before + 2 * (512 + mapping.CHUNK) + 100


def test_an_outstanding_call_takes_no_more_than_nine_kilobytes() -> None:
    def function(x: float) -> Any:
        qml.RX(x, wires=0)
        qml.RY(x, wires=1)
        qml.CNOT(wires=[0, 1])
        qml.RZ(x, wires=1)
        return qml.expval(qml.PauliZ(0))

    executor, count = Held(), 2_000
    circuit = on(executor, function)
    first = [circuit.run_later(0.1) for _ in range(4)]
    tracemalloc.start()
    futures = [circuit.run_later(0.001 * n) for n in range(count)]
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    executor.go.set()
    ct.gather(first + futures)
    assert used / count <= 9 * 1024


# --- Run as one -----------------------------------------------------------------------


def runs_of(events: Sequence[ct.Event]) -> int:
    return sum(event.kind == "completed" for event in events)


@pytest.fixture
def events() -> Iterator[list[ct.Event]]:
    seen: list[ct.Event] = []
    with ct.observe(seen.append):
        yield seen


def test_progress_counts_calls_not_circuits(
    capsys: pytest.CaptureFixture[str], events: list[ct.Event]
) -> None:
    on().map(XS, progress=True)
    assert f"{len(XS)}/{len(XS)}" in capsys.readouterr().err
    assert runs_of(events) == 2
    on().map(iter(XS), progress=True)
    assert f"{len(XS)}/{len(XS)}" in capsys.readouterr().err


@pytest.mark.parametrize("function", [sampled, rotated])
def test_samples_are_those_of_a_loop(function: Any) -> None:
    seeded = Simulator(seed=5)
    looped, mapped = (on(seeded, function, shots=10) for _ in range(2))
    expected = [looped(x) for x in XS]
    found = mapped.map(XS)
    assert np.array_equal(found, expected)
    assert len({np.asarray(samples).tobytes() for samples in found[1:]}) > 1


def test_a_selector_sees_every_circuit(events: list[ct.Event]) -> None:
    asked: list[float] = []

    def selector(circuit: Any, executors: Any) -> Any:
        asked.append(circuit.data[0])
        return executors[len(asked) % 2]

    one, other = ct.executor.Simulator(), ct.executor.Simulator(workers=1)
    assert np.allclose(on(ct.QCluster([one, other], selector)).map(XS), np.cos(XS))
    assert asked == XS
    assert runs_of(events) == len(XS)


def test_every_result_is_kept_by_itself(tmp_path: Any, events: list[ct.Event]) -> None:
    circuit = on(cache=True, store=tmp_path / "store.sqlite3")
    assert np.allclose(circuit.map(XS), np.cos(XS))
    run = runs_of(events)
    assert float(circuit(XS[5])) == pytest.approx(np.cos(XS[5]))
    assert runs_of(events) == run, "it was there"


def test_a_transform_of_the_users_is_applied_to_every_circuit() -> None:
    @qml.transform
    def twice(circuit: Any) -> Any:
        again = circuit.copy(operations=[*circuit.operations, qml.RX(0.5, wires=1)])
        return [again], lambda results: 2 * results[0]

    bare = twice(qml.QNode(rotated, qml.device("default.qubit", wires=2)))
    assert np.allclose(ct.qelectron(bare).map(XS), [bare(x) for x in XS])


class NoArraysError(Exception):
    """Raised by an executor that cannot do what it promised."""


@attrs.frozen
class WithoutArrays(Simulator):
    """Says that it takes arrays of parameters, and fails at them."""

    def run(self, job: ct.Job) -> Any:
        if any(np.ndim(value) for circuit in job.circuits for value in circuit.data):
            raise NoArraysError
        return super().run(job)


@pytest.mark.parametrize("return_exceptions", [True, False])
def test_what_fails_as_one_is_run_one_by_one(return_exceptions: bool) -> None:
    found = on(WithoutArrays()).map(XS, return_exceptions=return_exceptions)
    assert np.allclose(found, np.cos(XS))


def test_a_shutdown_ends_calls_that_run_as_one() -> None:
    @attrs.frozen
    class Waiting(Simulator):
        begun: threading.Event = attrs.field(factory=threading.Event, repr=False)
        go: threading.Event = attrs.field(factory=threading.Event, repr=False)

        def run(self, job: ct.Job) -> Any:
            self.begun.set()
            assert self.go.wait(WAIT_S)
            return super().run(job)

    executor, caught = Waiting(workers=1), []

    def work() -> None:
        with pytest.raises(CancelledError) as error:
            on(executor).map(XS * 2000)
        caught.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert executor.begun.wait(WAIT_S)
    end = time.monotonic() + WAIT_S
    while not waits_for_room(thread):
        assert time.monotonic() < end
    ct.shutdown(0)
    executor.go.set()
    thread.join(WAIT_S)
    assert caught


# --- Each item in its turn ------------------------------------------------------------


class Loader:
    """Yields one array again and again, and knows how often."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.buffer = np.zeros((1, 2, 3))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        for number in range(self.count):
            self.buffer[...] = 0.1 * number
            yield self.buffer


def test_what_has_a_length_may_hand_out_one_array_too() -> None:
    bare = qml.QNode(strong, qml.device("default.qubit", wires=2))
    expected = [bare(weights) for weights in Loader(20)]
    assert np.allclose(ct.qelectron(bare).map(Loader(20)), expected)


FACTOR = 1.0


def scaled(x: float) -> Any:
    qml.RX(FACTOR * x, wires=0)
    return qml.expval(qml.PauliZ(0))


def test_a_generator_may_change_what_the_function_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def items() -> Iterator[float]:
        for number in range(20):
            monkeypatch.setattr(sys.modules[__name__], "FACTOR", 0.1 * (number // 7))
            yield 0.5

    expected = np.cos([0.05 * (number // 7) for number in range(20)])
    assert np.allclose(on(None, scaled).map(items()), expected)


def test_a_generator_sees_what_the_function_did_to_its_item() -> None:
    def function(values: Any) -> Any:
        values += 1
        qml.RX(values[0], wires=0)
        return qml.expval(qml.PauliZ(0))

    seen: list[float] = []

    def items() -> Iterator[Any]:
        for _ in range(6):
            item = np.zeros(1)
            yield item
            seen.append(item[0])

    assert np.allclose(on(None, function).map(items()), np.cos(1))
    assert seen == [1.0] * 6


def test_a_call_whose_function_fails_has_its_error_in_its_place() -> None:
    def function(x: float) -> Any:
        qml.RX(1 / x, wires=0)
        return qml.expval(qml.PauliZ(0))

    for xs in ([0.5, 0.0, 0.25, 0.2, 0.0, 0.1], [0.0, 0.5]):
        found = on(None, function).map(xs, return_exceptions=True)
        for x, value in zip(xs, found, strict=True):
            if x:
                assert float(value) == pytest.approx(np.cos(1 / x))
            else:
                assert isinstance(value, ZeroDivisionError)

"""How circuits spread over threads and processes: same results, no crowd on a core."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st
from pennylane.tape import QuantumScript

import qelectron_core as ct
from qelectron_core import Seed, Settings
from qelectron_simulator.auto import AutoWorker
from qelectron_simulator.cores import environment, limit_threads, sharing, usable_cores
from qelectron_simulator.devices import DeviceSpec
from qelectron_simulator.executor import Simulator
from qelectron_simulator.parallelism import gains_from_processes
from qelectron_simulator.processes import ProcessWorker
from qelectron_simulator.worker import Worker

DEADLINE_S = 60
EXACT = Settings()
N_WIRES = 6  # Python works for most of the time, so that threads gain little
SPEC = DeviceSpec("default.mixed", tuple(range(N_WIRES)))
N_THREADED = 15  # enough for kernels that let other threads go on


class Pause(qml.operation.Operation):
    """Lets the worker that decomposes it wait for an event; does nothing else."""

    num_wires = 1
    entered = threading.Event()
    go_on = threading.Event()

    @staticmethod
    def compute_decomposition(*_: Any, **__: Any) -> list[Any]:
        Pause.entered.set()
        assert Pause.go_on.wait(DEADLINE_S)
        return []


def calling(function: Callable[[], None]) -> type[qml.operation.Operation]:
    """Return an operator that calls a function where it is decomposed.

    It is local, so that it travels by value.
    """

    class Calls(qml.operation.Operation):
        num_wires = 1

        @staticmethod
        def compute_decomposition(*_: Any, **__: Any) -> list[Any]:
            function()
            return []

    return Calls


def circuit(
    *first: Any,
    x: float = 0.1,
    n_wires: int = N_WIRES,
    n_operations: int = 40,
    measured: Any = None,
    shots: int | None = None,
) -> QuantumScript:
    rotations = [
        qml.RX(x + 0.1 * place, wires=place % n_wires) for place in range(n_operations)
    ]
    measured = [qml.expval(qml.Z(0))] if measured is None else measured
    return QuantumScript([*first, *rotations], measured, shots=shots)


def run(worker: Any, *circuits: QuantumScript, settings: Settings = EXACT) -> list[Any]:
    seeds = [Seed(5, place) for place in range(len(circuits))]
    results: list[Any] = worker.run(circuits, seeds, settings)
    return results


@contextmanager
def another_at_work() -> Iterator[None]:
    """Keep Python busy, as far as workers can tell, with a job beside others."""
    Pause.entered.clear()
    Pause.go_on.clear()
    busy = AutoWorker(SPEC, n_threads=1)
    other = threading.Thread(target=run, args=(busy, circuit(Pause(wires=0))))
    other.start()
    try:
        assert Pause.entered.wait(DEADLINE_S)
        yield
    finally:
        Pause.go_on.set()
        other.join()


def where(worker: Any, file: Path) -> int:
    """Return the id of the process in which a worker runs circuits."""

    def note() -> None:  # travels by value, so it may use nothing of this module
        file.write_text(str(os.getpid()))

    (result,) = run(worker, circuit(calling(note)(wires=0)))
    assert not isinstance(result, Exception), result
    return int(file.read_text())


def with_process() -> AutoWorker:
    """Return a worker that has got a process, because it had no patience."""
    worker = AutoWorker(SPEC, n_threads=1, patience_s=0)
    with another_at_work():
        run(worker, circuit())
    assert worker.process is not None
    run(worker.process, circuit())  # waits until it is there
    assert worker.process.is_ready
    return worker


@pytest.fixture(scope="module")
def auto() -> Iterator[AutoWorker]:
    """A worker with a process, for many tests: starting one takes seconds."""
    worker = with_process()
    yield worker
    worker.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "found"


# --- A value --------------------------------------------------------------------------


def test_who_works_in_parallel_is_no_part_of_what_is_kept() -> None:
    auto = Simulator(parallel="auto")
    assert auto != Simulator()
    assert auto.cache_key() == Simulator().cache_key()
    assert attrs.evolve(auto, parallel="thread") == Simulator()


def test_threads_stay_the_default() -> None:
    assert Simulator() == Simulator(parallel="thread", workers=10)


# --- Cores ----------------------------------------------------------------------------


class Mine(qml.devices.DefaultQubit):
    """A user's own device, of which nothing is known, whatever its name."""


@pytest.mark.parametrize("parallel", ["thread", "process", "auto"])
@pytest.mark.parametrize(
    "device", ["default.qubit", "lightning.qubit", "default.mixed"]
)
@pytest.mark.parametrize("workers", [1, 2, 1000])
def test_workers_are_never_more_than_the_cores(
    parallel: Any, device: str, workers: int
) -> None:
    simulator = Simulator(device=device, parallel=parallel, workers=workers)
    assert simulator.concurrency == min(workers, usable_cores())


def test_a_users_device_has_the_workers_that_were_asked_for() -> None:
    # It may wait for a network rather than compute.
    mine = DeviceSpec(Mine, (0,))
    assert Simulator(device=mine, workers=1000).concurrency == 1000
    assert Simulator(parallel=False).concurrency == 1


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="threads cannot be bound to a core"
)
def test_cores_that_this_process_may_not_use_do_not_count() -> None:
    found: list[Any] = []

    def work() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # of this thread only
        found.append((usable_cores(), Simulator().concurrency))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(1, 1)]


def test_a_lone_core_has_no_second_worker_to_choose_for() -> None:
    worker = Simulator(parallel="auto", workers=1).open()
    assert type(worker) is Worker


# --- Threads of BLAS ------------------------------------------------------------------


def blas() -> set[int]:
    """Return the limits of NumPy's and SciPy's BLAS, as the process has them."""
    return {
        found["num_threads"]
        for found in threadpoolctl.threadpool_info()
        if found.get("threading_layer") == "pthreads"
    }


@contextmanager
def limited(n_threads: int) -> Iterator[None]:
    """Let BLAS have so many threads, as an environment variable would."""
    libraries = [
        library
        for library in threadpoolctl.ThreadpoolController().lib_controllers
        if library.user_api == "blas"
    ]
    before = [library.num_threads for library in libraries]

    def set_all(numbers: Sequence[int]) -> None:
        for library, number in zip(libraries, numbers, strict=True):
            library.set_num_threads(number)
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread()

    set_all([n_threads] * len(libraries))
    try:
        yield
    finally:
        set_all(before)


needs_threads_of_blas = pytest.mark.skipif(
    not blas(), reason="NumPy's BLAS is not an OpenBLAS with threads of its own"
)


@needs_threads_of_blas
@given(
    own=st.sampled_from([1, 2, 4]),
    steps=st.lists(st.integers(0, 5), max_size=12),
)
@settings(max_examples=30, deadline=None)
def test_jobs_share_the_cores_and_leave_the_limit_as_they_found_it(
    own: int, steps: list[int]
) -> None:
    running: list[AbstractContextManager[None]] = []

    def expected() -> int:
        if len(running) < 2:
            return own
        return min(own, max(1, usable_cores() // len(running)))

    with limited(own):
        for step in steps:  # jobs end in any order
            if step < len(running):
                running.pop(step).__exit__(None, None, None)
            else:
                running.append(sharing.job())
                running[-1].__enter__()
            assert blas() == {expected()}
        while running:
            running.pop(0).__exit__(None, None, None)
        assert blas() == {own}


def looking(met: threading.Barrier, *, fails: bool) -> tuple[Any, list[set[int]]]:
    seen: list[set[int]] = []

    def look() -> None:
        met.wait(DEADLINE_S)  # all are running
        seen.append(blas())
        met.wait(DEADLINE_S)  # none has ended
        if fails:
            raise ArithmeticError("on purpose")

    return calling(look), seen


@needs_threads_of_blas
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("parallel", ["thread", "auto", False])
@pytest.mark.parametrize("at_once", [1, 3])
def test_wide_circuits_that_run_at_once_share_the_threads_of_blas(
    parallel: Any, at_once: int, fails: bool
) -> None:
    met = threading.Barrier(at_once)
    look, seen = looking(met, fails=fails)

    @qml.qnode(qml.device("default.qubit", wires=N_THREADED), diff_method=None)
    def function() -> Any:
        look(wires=0)
        return qml.expval(qml.Z(0))

    # One worker each, so that as many run at once on a machine of one core.
    executors = [
        Simulator(parallel=parallel, workers=1, seed=seed) for seed in range(at_once)
    ]
    with limited(4):
        futures = [ct.qelectron(function, executors=e).run_later() for e in executors]
        errors = [future.exception(DEADLINE_S) for future in futures]
        assert blas() == {4}, "the user's own limit is back"
    assert [type(e) is ArithmeticError for e in errors] == [fails] * at_once
    share = 4 if at_once == 1 else min(4, max(1, usable_cores() // at_once))
    assert seen == [{share}] * at_once


@needs_threads_of_blas
@pytest.mark.skipif(
    not hasattr(threadpoolctl.OpenBLASController, "clear_controlling_thread"),
    reason="this threadpoolctl lets any thread change what another one has set",
)
def test_a_limit_that_the_user_holds_stands() -> None:
    def jobs() -> None:
        with sharing.job(), sharing.job():
            seen.append(blas())

    seen: list[set[int]] = []
    before = blas()
    with threadpoolctl.threadpool_limits(3, user_api="blas"):
        thread = threading.Thread(target=jobs)
        thread.start()
        thread.join()
        assert blas() == {3}
    assert seen == [{3}]
    assert blas() == before


@needs_threads_of_blas
def test_a_limit_that_the_user_set_in_the_meantime_is_no_obstacle_for_ever() -> None:
    with limited(4):
        first, second = sharing.job(), sharing.job()
        first.__enter__()
        second.__enter__()
        with threadpoolctl.threadpool_limits(3, user_api="blas"):
            thread = threading.Thread(target=second.__exit__, args=(None, None, None))
            thread.start()
            thread.join()
        first.__exit__(None, None, None)
        assert blas() == {4}


@pytest.mark.parametrize(
    ("own", "expected"),
    [(None, "3"), ("8", "3"), ("2", "2"), ("2,1", "2"), ("", "3"), ("many", "3")],
)
def test_a_process_never_gets_more_threads_than_its_user_allows(
    monkeypatch: pytest.MonkeyPatch, own: str | None, expected: str
) -> None:
    if own is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", own)
    assert environment(3)["OMP_NUM_THREADS"] == expected


@needs_threads_of_blas
def test_what_reads_no_environment_is_limited_too_and_never_raised() -> None:
    seen: list[set[int]] = []

    def work() -> None:
        for n_threads in (3, 2, 4):
            limit_threads(n_threads)
            seen.append(blas())

    with limited(4):
        thread = threading.Thread(target=work)  # OpenMP's limit is one per thread
        thread.start()
        thread.join()
    assert seen == [{3}, {2}, {2}]


def test_a_process_computes_on_its_share_of_the_cores(
    auto: AutoWorker, file: Path
) -> None:
    def look() -> None:
        qml.device("lightning.qubit", wires=1)  # brings a library of its own
        found = threadpoolctl.threadpool_info()
        file.write_text(",".join(str(library["num_threads"]) for library in found))

    (result,) = run(auto.process, circuit(calling(look)(wires=0)))
    assert not isinstance(result, Exception)
    assert set(file.read_text().split(",")) == {"1"}


# --- The choice -----------------------------------------------------------------------


def test_a_lone_circuit_stays_however_impatient_the_worker(file: Path) -> None:
    worker = AutoWorker(SPEC, n_threads=1, patience_s=0)
    assert {where(worker, file) for _ in range(3)} == {os.getpid()}


def test_circuits_beside_others_go_to_a_process_and_lone_ones_stay(
    auto: AutoWorker, file: Path
) -> None:
    with another_at_work():
        elsewhere = where(auto, file)
        assert elsewhere != os.getpid()
        assert where(auto, file) == elsewhere, "it keeps its process"
    assert where(auto, file) == os.getpid()


def spec(name: str, n_wires: int) -> DeviceSpec:
    return DeviceSpec(name, tuple(range(n_wires)))


@pytest.mark.parametrize(
    ("name", "n_wires", "gains"),
    [
        ("default.qubit", 14, False),
        ("default.qubit", 15, False),
        ("default.mixed", 5, False),
        ("default.mixed", 6, True),
        ("default.mixed", 7, False),
        ("lightning.qubit", 16, False),
        ("lightning.qubit", 17, True),
        ("lightning.qubit", 24, True),
        ("reference.qubit", 12, False),
    ],
)
def test_only_widths_that_were_measured_to_gain_go_to_processes(
    name: str, n_wires: int, gains: bool
) -> None:
    small = circuit(n_wires=n_wires)
    assert gains_from_processes(spec(name, n_wires), [small], EXACT) is gains
    # Without wires of its own, a device is as wide as the circuit.
    assert gains_from_processes(DeviceSpec(name), [small], EXACT) is gains


WIDE = DeviceSpec("lightning.qubit", tuple(range(20)))


@pytest.mark.parametrize(
    ("reason", "circuits", "settings"),
    [
        ("live tensors", [circuit()], Settings(gradient_method="backprop")),
        ("the way is longer", [circuit(n_operations=3)], EXACT),
        ("one of them", [circuit(), circuit(n_operations=3)], EXACT),
        (
            "a large parameter",
            [circuit(qml.StatePrep(np.eye(1, 2**18)[0], wires=range(18)))],
            EXACT,
        ),
        ("a large result", [circuit(n_wires=20, measured=[qml.state()])], EXACT),
        (
            "many probabilities",
            [circuit(n_wires=20, measured=[qml.probs(wires=range(17))])],
            EXACT,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_travel_or_had_better_not_stays(
    reason: str, circuits: Sequence[QuantumScript], settings: Settings
) -> None:
    assert not gains_from_processes(WIDE, circuits, settings), reason
    probs = circuit(measured=[qml.probs(wires=[0, 1])])
    assert gains_from_processes(WIDE, [circuit(), probs], EXACT)


# --- Whichever kind runs it -----------------------------------------------------------


def outcome(result: Any) -> Any:
    if isinstance(result, Exception):
        return type(result), str(result)
    return np.asarray(result).tolist()


@given(bad=st.lists(st.booleans(), min_size=1, max_size=5), shots=st.booleans())
@settings(max_examples=15, deadline=None)
def test_results_samples_and_errors_are_those_of_a_thread(
    auto: AutoWorker, bad: list[bool], shots: bool
) -> None:
    circuits = [
        circuit(
            *([qml.RX("a", wires=0)] if is_bad else []),
            x=0.2 * place,
            measured=[qml.sample(wires=[0, 3]) if shots else qml.expval(qml.Z(0))],
            shots=8 if shots else None,
        )
        for place, is_bad in enumerate(bad)
    ]
    expected = run(Worker(SPEC), *circuits)
    with another_at_work():
        found = run(auto, *circuits)
    assert [isinstance(result, Exception) for result in found] == bad
    assert [outcome(result) for result in found] == [outcome(r) for r in expected]


def chained() -> None:
    raise ArithmeticError("on purpose") from KeyError("the reason")


def test_an_error_keeps_its_cause(auto: AutoWorker) -> None:
    with another_at_work():
        (error,) = run(auto, circuit(calling(chained)(wires=0)))
    assert type(error) is ArithmeticError
    assert type(error.__cause__) is KeyError


class StubbornError(Exception):
    """An error that does not come out of a pickle again."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


def stubborn() -> None:
    raise StubbornError(7, "on purpose")


def hold(lock: Any) -> Callable[[], None]:
    def function() -> None:
        assert lock is not None

    return function


@pytest.mark.parametrize(
    ("function", "error"),
    [(hold(threading.Lock()), None), (stubborn, StubbornError)],
    ids=["circuit", "error"],
)
def test_what_does_not_pickle_runs_here_instead(
    file: Path, function: Callable[[], None], error: type[Exception] | None
) -> None:
    worker = with_process()
    try:
        with another_at_work():
            (result,) = run(worker, circuit(calling(function)(wires=0)))
            assert where(worker, file) == os.getpid()
            assert worker.process is None, "it does not try again"
    finally:
        worker.close()
    if error is None:
        assert float(result) == pytest.approx(float(run(worker, circuit())[0]))
    else:
        assert type(result) is error


def test_a_process_says_what_does_not_pickle() -> None:
    worker = ProcessWorker(SPEC, n_threads=1)
    held = calling(hold(threading.Lock()))
    try:
        with pytest.raises(ct.ExecutorError, match=r"could not be carried .*'thread'"):
            run(worker, circuit(held(wires=0)))
    finally:
        worker.close()


def test_a_killed_process_is_an_error_as_with_processes_alone(file: Path) -> None:
    worker, parent = with_process(), os.getpid()

    def kill() -> None:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        with (
            another_at_work(),
            pytest.raises(ct.ExecutorError, match="a worker process died"),
        ):
            run(worker, circuit(calling(kill)(wires=0)))
    finally:
        worker.close()


# --- As users see it ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["default.qubit", "lightning.qubit", "default.mixed"])
@pytest.mark.parametrize("n_wires", [2, 6, 11])
def test_auto_gives_what_the_bare_qnode_gives(name: str, n_wires: int) -> None:
    if name == "default.mixed" and n_wires > 6:
        pytest.skip("seconds per circuit")

    @qml.qnode(qml.device(name, wires=n_wires))
    def bare(x: float) -> Any:
        for place in range(30):
            qml.RX(x * place, wires=place % n_wires)
            qml.CNOT(wires=[place % n_wires, (place + 1) % n_wires])
        return qml.expval(qml.Z(0)), qml.probs(wires=[0, 1])

    xs = [0.1, 0.2, 0.3]
    found = ct.qelectron(bare, executors=Simulator(parallel="auto")).map(xs)
    for x, (value, probs) in zip(xs, found, strict=True):
        expected = bare(x)
        assert float(value) == pytest.approx(float(expected[0]), abs=1e-9)
        assert np.allclose(probs, expected[1], rtol=0, atol=1e-9)


def test_auto_takes_backprop_and_devices_that_cannot_be_rebuilt() -> None:
    @qml.qnode(Mine(wires=N_WIRES), diff_method="backprop")
    def bare(x: Any) -> Any:
        for wire in range(N_WIRES):
            qml.RX(x, wires=wire)
        return qml.expval(qml.Z(0))

    x = qml.numpy.array(0.4, requires_grad=True)
    own = ct.qelectron(bare, executors=Simulator(parallel="auto"))
    assert float(own(x)) == pytest.approx(np.cos(0.4))
    assert qml.grad(own)(x) == pytest.approx(-np.sin(0.4))
    named = Simulator(device="default.qubit", parallel="auto")
    elsewhere = ct.qelectron(bare, executors=named)
    assert qml.grad(elsewhere)(x) == pytest.approx(-np.sin(0.4))

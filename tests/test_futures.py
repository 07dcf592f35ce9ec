"""Futures of `run_later`: waiting, cancelling, failing, and Ctrl-C."""

import asyncio
import concurrent.futures as cf
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core import Executor, Job, QFuture, Result

DEADLINE_S = 30


class Gate:
    """Where jobs wait until the test lets them through."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.seen: list[float] = []


@attrs.frozen
class Gated(Executor):
    """Answers each circuit with its first parameter, once the gate is open."""

    gate: Gate = attrs.field(factory=Gate)
    n_workers: int = 1

    @property
    def concurrency(self) -> int:
        return self.n_workers

    def run(self, job: Job) -> Sequence[Result]:
        self.gate.entered.set()
        assert self.gate.opened.wait(DEADLINE_S)
        values = [float(circuit.data[0]) for circuit in job.circuits]
        self.gate.seen.extend(values)
        return values


@attrs.frozen
class Failing(Executor):
    """Fails every job."""

    message: str = "out of order"

    def run(self, job: Job) -> Sequence[Result]:
        raise RuntimeError(self.message)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


def make(executors: Any) -> ct.QElectron:
    @ct.qelectron(executors=executors)
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.PauliZ(0))

    return circuit


def aside(function: Callable[..., Any], *arguments: Any) -> cf.Future[Any]:
    """Call a function on a thread that nobody waits for should it hang."""
    future: cf.Future[Any] = cf.Future()

    def call() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return future


def held(gate: Gate) -> tuple[ct.QElectron, QFuture]:
    """Return a circuit whose lane is busy, and the future that keeps it so."""
    circuit = make(Gated(gate))
    running = circuit.run_later(0.0)
    assert gate.entered.wait(DEADLINE_S)
    return circuit, running


# --- One future -----------------------------------------------------------------------


def test_it_is_a_future_of_the_standard_library(gate: Gate) -> None:
    _, future = held(gate)
    assert isinstance(future, cf.Future)
    assert isinstance(future, ct.QFuture)
    assert future.running()
    assert not future.done()
    assert repr(future) == f"<QFuture {future.id} running>"
    gate.opened.set()
    assert float(future.result(DEADLINE_S)) == 0.0
    assert future.done()
    assert not future.running()
    assert repr(future) == f"<QFuture {future.id} finished>"


def test_the_result_may_be_asked_for_again() -> None:
    future = make(ct.executor.Echo(value=0.5)).run_later(0.1)
    assert future.result(DEADLINE_S) == future.result() == 0.5
    assert future.exception() is None


def test_the_error_may_be_asked_for_again() -> None:
    future = make(Failing()).run_later(0.1)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="out of order"):
            future.result(DEADLINE_S)
    assert isinstance(future.exception(), RuntimeError)
    assert future.exception() is future.exception()


def test_waiting_may_time_out_and_be_taken_up_again(gate: Gate) -> None:
    _, future = held(gate)
    with pytest.raises(TimeoutError):
        future.result(timeout=0.01)
    with pytest.raises(TimeoutError):
        future.exception(timeout=0.01)
    gate.opened.set()
    assert float(future.result(DEADLINE_S)) == 0.0


def test_ids_are_unique() -> None:
    circuit = make(ct.executor.Echo())
    futures = [circuit.run_later(0.1) for _ in range(50)]
    ct.gather(futures)
    assert len({future.id for future in futures}) == 50


def test_callbacks_run_once_with_the_future(gate: Gate) -> None:
    _, future = held(gate)
    called, found = threading.Event(), []

    def callback(done: Any) -> None:
        found.append((done, done.result()))
        called.set()

    future.add_done_callback(callback)
    assert found == []
    gate.opened.set()
    assert called.wait(DEADLINE_S)
    assert found == [(future, 0.0)]
    future.add_done_callback(callback)
    assert len(found) == 2, "of a future that is done it is called at once"


def test_a_callback_may_start_the_next_call() -> None:
    circuit = make(ct.executor.Echo(value=0.5))
    started: list[QFuture] = []
    ready = threading.Event()

    def go_on(_: Any) -> None:
        started.append(circuit.run_later(0.2))
        ready.set()

    circuit.run_later(0.1).add_done_callback(go_on)
    assert ready.wait(DEADLINE_S)
    assert float(started[0].result(DEADLINE_S)) == 0.5


def test_run_later_returns_before_the_circuit_runs(gate: Gate) -> None:
    future = make(Gated(gate)).run_later(0.25)
    assert gate.seen == []
    assert not future.done()
    gate.opened.set()
    assert float(future.result(DEADLINE_S)) == 0.25


# --- Executions -----------------------------------------------------------------------


def test_executions_say_where_when_and_how(gate: Gate) -> None:
    circuit, running = held(gate)
    before = time.time()
    futures = [circuit.run_later(0.1 * n) for n in range(1, 4)]
    assert futures[0].executions == ()
    gate.opened.set()
    ct.gather(running, *futures)
    (alone,) = running.executions
    assert (alone.executor, alone.job_size, alone.shots) == (Gated(gate), 1, None)
    records = [future.executions[0] for future in futures]
    assert {record.job_size for record in records} == {3}
    assert {record.job_id for record in records} != {alone.job_id}
    assert len({record.job_id for record in records}) == 1
    for record in records:
        assert before <= record.submitted_at <= record.started_at
        assert record.started_at <= record.finished_at <= time.time()
        assert record.waited_s >= 0
        assert record.duration_s >= 0
        assert record.error is None


def test_executions_tell_shots_and_errors() -> None:
    future = make(ct.executor.Echo(shots=(10, 20))).run_later(0.1)
    future.result(DEADLINE_S)
    assert [e.shots for e in future.executions] == [30]
    failed = make(Failing()).run_later(0.1)
    error = failed.exception(DEADLINE_S)
    assert [e.error for e in failed.executions] == [f"{type(error).__name__}: {error}"]


def test_executions_are_there_when_a_callback_runs() -> None:
    found: list[int] = []
    called = threading.Event()

    def callback(future: Any) -> None:
        found.append(len(future.executions))
        called.set()

    make(ct.executor.Echo()).run_later(0.1).add_done_callback(callback)
    assert called.wait(DEADLINE_S)
    assert found == [1]


# --- Cancelling -----------------------------------------------------------------------


def test_a_queued_call_is_cancelled_and_never_runs(gate: Gate) -> None:
    circuit, running = held(gate)
    queued, kept = circuit.run_later(0.5), circuit.run_later(0.75)
    assert queued.cancel()
    assert queued.cancelled()
    assert queued.done()
    assert queued.cancel(), "again, as of any future"
    with pytest.raises(cf.CancelledError):
        queued.result(DEADLINE_S)
    gate.opened.set()
    assert [float(f.result(DEADLINE_S)) for f in (running, kept)] == [0.0, 0.75]
    assert gate.seen == [0.0, 0.75]


def test_a_running_or_finished_call_is_not_cancelled(gate: Gate) -> None:
    _, running = held(gate)
    assert running.cancel() is False
    gate.opened.set()
    assert float(running.result(DEADLINE_S)) == 0.0
    assert running.cancel() is False


def test_waiting_for_a_cancelled_call_ends(gate: Gate) -> None:
    circuit, running = held(gate)
    waiting = threading.Event()
    queued = [circuit.run_later(0.5) for _ in range(3)]
    queued[0].cancel()
    done, rest = cf.wait([queued[0]], timeout=5)
    assert (done, rest) == ({queued[0]}, set())
    assert list(cf.as_completed([queued[0]], timeout=5)) == [queued[0]]

    def wait() -> Any:
        waiting.set()
        return cf.wait(queued, timeout=5)

    waiter = aside(wait)
    assert waiting.wait(DEADLINE_S)
    for future in queued[1:]:
        future.cancel()
    assert waiter.result(DEADLINE_S).not_done == set()
    gate.opened.set()
    running.result(DEADLINE_S)


def test_cancelling_runs_the_callbacks(gate: Gate) -> None:
    circuit, _ = held(gate)
    queued = circuit.run_later(0.5)
    found: list[bool] = []
    queued.add_done_callback(lambda future: found.append(future.cancelled()))
    queued.cancel()
    assert found == [True]


def test_shutdown_ends_the_wait_for_what_was_queued(gate: Gate) -> None:
    circuit, running = held(gate)
    queued = [circuit.run_later(0.5) for _ in range(3)]
    closing = aside(ct.shutdown)
    assert cf.wait(queued, timeout=5).not_done == set()
    assert all(future.cancelled() for future in queued)
    gate.opened.set()
    closing.result(DEADLINE_S)
    assert float(running.result(DEADLINE_S)) == 0.0


def test_a_call_of_several_circuits_is_cancelled_as_one(gate: Gate) -> None:
    busy, _ = held(gate)
    spread = qml.transforms.split_non_commuting(_two_observables(Gated(gate)))
    queued = spread.run_later(0.5)
    assert busy.executors == spread.executors
    assert queued.cancel()
    gate.opened.set()
    assert float(busy.run_later(0.25).result(DEADLINE_S)) == 0.25
    assert 0.5 not in gate.seen


def _two_observables(executors: Any) -> ct.QElectron:
    @ct.qelectron(executors=executors)
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.PauliX(0)), qml.expval(qml.PauliZ(0))

    return circuit


def test_circuits_of_one_call_may_start_at_the_same_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # `Future.set_running_or_notify_cancel` refuses whoever comes second.
    meet = threading.Barrier(2)

    def running(future: QFuture) -> bool:
        found = cf.Future.running(future)
        with contextlib.suppress(threading.BrokenBarrierError):
            meet.wait(1)  # broken where a lock lets one in at a time: also right
        return found

    monkeypatch.setattr(QFuture, "running", running)
    executors = [ct.executor.Echo(value=float(n)) for n in range(2)]
    circuit = qml.transforms.split_non_commuting(_two_observables(executors))
    assert circuit.run_later(0.1).result(timeout=10) == (0.0, 1.0)


def test_many_calls_of_several_circuits_on_several_executors_all_end() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        executors = [ct.executor.Echo(value=float(n)) for n in range(2)]
        circuit = qml.transforms.split_non_commuting(_two_observables(executors))
        for _ in range(300):
            circuit.run_later(0.1).result(timeout=10)
    finally:
        sys.setswitchinterval(interval)


# --- Many futures ---------------------------------------------------------------------


def test_the_standard_librarys_wait_works() -> None:
    circuit = make(ct.executor.Echo())
    futures = {circuit.run_later(0.1) for _ in range(10)}
    assert cf.wait(futures, timeout=DEADLINE_S).done == futures


def test_as_completed_yields_in_the_order_of_completion() -> None:
    gates = [Gate() for _ in range(3)]
    futures = [make(Gated(gate)).run_later(float(n)) for n, gate in enumerate(gates)]
    order = []
    try:
        completed = ct.as_completed(futures, timeout=DEADLINE_S)
        for n in (2, 0, 1):
            gates[n].opened.set()
            order.append(float(next(completed).result()))
        assert list(completed) == []
    finally:
        for gate in gates:
            gate.opened.set()
    assert order == [2.0, 0.0, 1.0]


def test_as_completed_may_time_out(gate: Gate) -> None:
    _, future = held(gate)
    with pytest.raises(TimeoutError):
        list(ct.as_completed([future], timeout=0.01))


def test_gather_keeps_the_order_given(gate: Gate) -> None:
    circuit = make(Gated(gate))
    futures = [circuit.run_later(0.25 * n) for n in range(4)]
    gate.opened.set()
    assert ct.gather(futures) == [0.0, 0.25, 0.5, 0.75]
    assert ct.gather(*reversed(futures)) == [0.75, 0.5, 0.25, 0.0]
    assert ct.gather(futures[0], futures[1:], futures[0]) == [0, 0.25, 0.5, 0.75, 0]
    assert ct.gather() == ct.gather([]) == []


def test_gather_takes_any_future() -> None:
    with cf.ThreadPoolExecutor(1) as pool:
        assert ct.gather(pool.submit(lambda: 3), [pool.submit(lambda: 4)]) == [3, 4]


def test_gather_raises_the_error_at_once_and_cancels_the_rest(gate: Gate) -> None:
    circuit, running = held(gate)
    queued = circuit.run_later(0.5)
    failing = make(Failing()).run_later(0.1)
    error = aside(ct.gather, [running, failing, queued]).exception(5)
    gate.opened.set()  # only now; `running` was held all the time
    assert isinstance(error, RuntimeError)
    assert queued.cancelled()
    running.result(DEADLINE_S)
    assert gate.seen == [0.0]


def test_gather_ends_when_a_call_was_cancelled(gate: Gate) -> None:
    circuit, _ = held(gate)
    queued = [circuit.run_later(0.5) for _ in range(2)]
    queued[0].cancel()
    error = aside(ct.gather, queued).exception(5)
    assert isinstance(error, cf.CancelledError)
    assert queued[1].cancelled()


def test_gather_and_map_show_progress(capsys: pytest.CaptureFixture[str]) -> None:
    circuit = make(ct.executor.Echo(value=0.5))
    futures = [circuit.run_later(0.1) for _ in range(7)]
    assert ct.gather(futures, progress=True) == [0.5] * 7
    assert "7/7" in capsys.readouterr().err
    assert circuit.map([0.1] * 5, progress=True) == [0.5] * 5
    assert "5/5" in capsys.readouterr().err
    assert len(list(ct.as_completed(futures, progress=True))) == 7
    assert "7/7" in capsys.readouterr().err
    ct.gather(futures)
    assert capsys.readouterr().err == ""


class Notebook:
    """Stands for what a notebook shows: outputs, of which one may be replaced."""

    def __init__(self) -> None:
        self.outputs: list[Any] = []
        self.updated = threading.Event()

    def display(self, shown: Any, *, display_id: bool) -> Any:
        assert display_id
        self.outputs.append(shown._repr_mimebundle_((), ()))
        place = len(self.outputs) - 1

        def update(shown: Any) -> None:
            self.outputs[place] = shown._repr_mimebundle_((), ())
            self.updated.set()

        return types.SimpleNamespace(update=update)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """Make this the process of a notebook, in which IPython is."""
    made, module = Notebook(), types.ModuleType("IPython.display")
    vars(module)["display"] = made.display
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    return made


def test_in_a_notebook_progress_is_one_output_that_changes(
    gate: Gate, notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    circuit, _ = held(gate)
    done = aside(partial(circuit.map, progress=True), [0.1] * 5)
    assert notebook.updated.wait(DEADLINE_S), "it shows that time goes by"
    (output,) = notebook.outputs
    assert "0/5" in output["text/plain"]
    gate.opened.set()
    assert len(done.result(DEADLINE_S)) == 5
    (output,) = notebook.outputs
    assert "5/5" in output["text/plain"]
    assert "5/5" in output["text/html"]
    assert ct.gather([circuit.run_later(0.1)], progress=True) is not None
    assert ["1/1" in one["text/plain"] for one in notebook.outputs] == [False, True]
    assert capsys.readouterr() == ("", "")
    assert not any(one.name == "qelectron-progress" for one in threading.enumerate())


def test_in_a_notebook_progress_ends_where_a_call_failed(notebook: Notebook) -> None:
    def fail() -> Iterator[float]:
        yield 0.1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        make(ct.executor.Echo(value=0.5)).map(fail(), progress=True)
    assert len(notebook.outputs) == 1
    assert not any(one.name == "qelectron-progress" for one in threading.enumerate())


def test_map_wants_arguments_of_equal_length() -> None:
    circuit = make(ct.executor.Echo())
    assert circuit.map([]) == []
    with pytest.raises(TypeError, match="at least one iterable"):
        circuit.map()
    with pytest.raises(ValueError, match="equal length, not of lengths 2, 0"):
        circuit.map([0.1, 0.2], [])


def test_map_gathers_calls_into_jobs() -> None:
    circuit = make(ct.executor.Echo())
    jobs: list[Any] = []
    with ct.observe(lambda event: jobs.append(event.execution)):
        circuit.map([0.1] * 100)
    assert len({record.job_id for record in jobs if record}) <= 2


# --- asyncio --------------------------------------------------------------------------


def test_futures_are_awaitable_without_blocking_the_loop(gate: Gate) -> None:
    circuit = make(Gated(gate))

    async def open_gate() -> None:
        gate.opened.set()

    async def main() -> list[float]:
        futures = [circuit.run_later(0.25 * n) for n in range(3)]

        async def wait(future: QFuture) -> float:
            return float(await future)

        waiting = [asyncio.create_task(wait(future)) for future in futures]
        await asyncio.sleep(0)  # all wait now; a blocked loop would never get on
        await open_gate()
        return await asyncio.gather(*waiting)

    assert asyncio.run(main()) == [0.0, 0.25, 0.5]


def test_errors_arrive_through_await() -> None:
    async def main() -> Any:
        return await make(Failing()).run_later(0.1)

    with pytest.raises(RuntimeError, match="out of order"):
        asyncio.run(main())


def test_a_cancelled_task_cancels_its_queued_call(gate: Gate) -> None:
    circuit, _ = held(gate)

    async def main() -> QFuture:
        future = circuit.run_later(0.5)

        async def wait() -> Any:
            return await future

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return future

    assert asyncio.run(main()).cancelled()
    gate.opened.set()


def test_calls_work_inside_a_running_loop() -> None:
    circuit = make(ct.executor.Echo(value=0.5))

    async def cell() -> list[Any]:  # what a Jupyter cell does
        plain = circuit(0.1)
        later = circuit.run_later(0.2).result(DEADLINE_S)
        return [plain, later, *circuit.map([0.3]), *ct.gather(circuit.run_later(0.4))]

    assert [float(value) for value in asyncio.run(cell())] == [0.5] * 4


# --- Threads and processes ------------------------------------------------------------


def test_ten_thousand_outstanding_calls_need_no_thread_each(gate: Gate) -> None:
    circuit = make(Gated(gate, n_workers=2))
    before = threading.active_count()
    futures = [circuit.run_later(0.5) for _ in range(10_000)]
    assert threading.active_count() <= before + 2
    assert not any(future.done() for future in futures)
    gate.opened.set()
    assert cf.wait(futures, timeout=DEADLINE_S).not_done == set()
    assert len(gate.seen) == 10_000


def test_run_later_works_from_many_threads() -> None:
    circuit = make(Gated(_open_gate()))
    start = threading.Barrier(8)

    def work(offset: int) -> list[tuple[float, float]]:
        start.wait(DEADLINE_S)
        xs = [offset + n / 64 for n in range(40)]
        futures = [circuit.run_later(x) for x in xs]
        return [
            (x, float(f.result(DEADLINE_S))) for x, f in zip(xs, futures, strict=True)
        ]

    with cf.ThreadPoolExecutor(8) as pool:
        for pairs in pool.map(work, range(8)):
            assert all(x == value for x, value in pairs)


def _open_gate() -> Gate:
    gate = Gate()
    gate.opened.set()
    return gate


SCRIPT = """
import os, signal, sys, threading, time
import pennylane as qml
import qelectron_core as ct

@ct.qelectron(executors=ct.executor.Echo(value=0.5, latency_s={latency_s}))
@qml.qnode(qml.device("default.qubit", wires=1))
def circuit(x):
    qml.RX(x, wires=0)
    return qml.expval(qml.PauliZ(0))
"""

INTERRUPTED = """
futures = [circuit.run_later(0.1) for _ in range(500)]
while not futures[0].running():
    time.sleep(0.001)

def waits(frame):
    names = []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names[0] == "wait" and "start" not in names  # as a thread that starts does

def announce():
    main = threading.main_thread().ident
    while not waits(sys._current_frames()[main]):
        time.sleep(0.001)
    time.sleep(0.3)  # CPython misses a signal between its last look and the lock
    print("waiting", flush=True)

try:
    threading.Thread(target=announce, daemon=True).start()
    {wait}
except KeyboardInterrupt:
    print("prompt", {cancelled}, flush=True)
    raise
"""


def script(tmp_path: Path, *parts: str) -> list[str]:
    path = tmp_path / "script.py"
    path.write_text("".join(parts))
    return [sys.executable, str(path)]


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize(
    "wait", ["ct.gather(futures)", "futures[-1].result()", "circuit(0.1)"]
)
def test_ctrl_c_cancels_what_is_queued_and_gives_the_prompt_back(
    tmp_path: Path, wait: str
) -> None:
    slow = SCRIPT.format(latency_s=60)
    # A plain call is interrupted itself; what others queued is none of its business.
    cancelled = "0" if wait == "circuit(0.1)" else "sum(f.cancelled() for f in futures)"
    main = INTERRUPTED.format(wait=wait, cancelled=cancelled)
    command = script(tmp_path, slow, main)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            n_cancelled = 0 if cancelled == "0" else 499
            assert process.stdout.readline() == f"prompt {n_cancelled}\n"
            assert time.monotonic() - started < 2
            _, errors = process.communicate(timeout=20)
            ended = time.monotonic() - started
        finally:
            process.kill()
    assert process.returncode in (130, -signal.SIGINT)
    assert "KeyboardInterrupt" in errors
    assert "Exception ignored" not in errors
    assert "Exception in thread" not in errors
    assert ended < 4, f"the program ended {ended:.1f} s after Ctrl-C"


FORKED = """
assert circuit(0.1) == 0.5 and circuit.run_later(0.1).result() == 0.5
held = [circuit.run_later(0.1) for _ in range(20)]  # threads and locks are in use
pid = os.fork()
if pid == 0:
    threading.Timer(20, lambda: os._exit(3)).start()
    ok = circuit(0.1) == 0.5 and circuit.run_later(0.2).result() == 0.5
    ok = ok and circuit.map([0.1, 0.2]) == [0.5, 0.5]
    os._exit(0 if ok else 4)
_, status = os.waitpid(pid, 0)
assert ct.gather(held) == [0.5] * 20
print("child", os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_it_works_after_a_fork(tmp_path: Path) -> None:
    command = script(tmp_path, SCRIPT.format(latency_s=0.05), FORKED)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "child 0\n", done.stderr


SPAWNED = """
import multiprocessing

def work(x):
    return [circuit(x), circuit.run_later(x).result(), *circuit.map([x])]

if __name__ == "__main__":
    assert work(0.1) == [0.5] * 3
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print("child", *pool.map(work, [0.2]))
"""


def test_it_works_in_a_spawned_process(tmp_path: Path) -> None:
    command = script(tmp_path, SCRIPT.format(latency_s=0), SPAWNED)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stdout.startswith("child "), done.stderr
    assert done.stdout.count("0.5") == 3

"""Electrons on the workers of a real Dask cluster."""

import math
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_dask.connection import connect
from qelectron_dask.executor import DaskExecutor
from qelectron_dask.workflow.events import ElectronEvent
from qelectron_dask.workflow.result import DispatchResult

sys.path.insert(0, str(Path(__file__).parent))

from dask_executors import Local, shared  # beside this file

WAIT_S = 120.0
#: The cluster of `shared`, which is there as long as the tests run.
CLUSTER = DaskExecutor(Local(), workers=2)


@pytest.fixture(scope="module", autouse=True)
def _shared() -> None:
    shared()


def run(lattice: Any, *args: Any) -> DispatchResult:
    result: DispatchResult = ct.get_result(
        ct.dispatch(lattice)(*args), wait=True, timeout=WAIT_S
    )
    return result


def steps() -> tuple[Any, Any, Any]:
    """Return electrons whose functions travel as they are."""

    def add(x: Any, y: Any = 1) -> Any:
        return x + y

    def where(*_: Any) -> int:
        import os

        return os.getpid()

    def fail(x: Any) -> Any:
        raise ValueError(f"no {x} today")

    return add, where, fail


def test_electrons_run_on_workers_and_threads_of_one_lattice() -> None:
    add, where, _ = steps()
    far = ct.electron(executor=CLUSTER)
    add_there, add_here, where_there = far(add), ct.electron(add), far(where)

    @ct.lattice
    def workflow(x: int) -> Any:
        first = add_there(x)
        second = add_here(first, first * 2)
        third = add_there([second, first], [np.arange(3) + second])
        return {"value": third[0], "array": third[2], "pid": where_there(third)}

    result = run(workflow, 1)
    assert result.result["value"] == 6
    np.testing.assert_array_equal(result.result["array"], [6, 7, 8])
    assert result.result["pid"] != os.getpid()
    places = [electron.executor for electron in result.electrons]
    assert places == [repr(CLUSTER), "local", repr(CLUSTER), repr(CLUSTER)]
    assert [bool(electron.worker) for electron in result.electrons] == [
        place != "local" for place in places
    ]


def test_a_lattice_says_where_its_electrons_run() -> None:
    _, where, _ = steps()
    anywhere, here = ct.electron(where), ct.electron(executor="local")(where)
    inner = ct.lattice(lambda: anywhere())
    workflow = ct.lattice(executor=CLUSTER)(lambda: [anywhere(), here(), inner()])
    there, local, within = run(workflow).result
    assert local == os.getpid()
    assert os.getpid() not in (there, within)


def test_a_failure_on_a_worker_is_told_and_what_depends_on_it_is_skipped() -> None:
    add, _, fail = steps()
    far = ct.electron(executor=CLUSTER, retries=1)
    add_there, fail_there = far(add), far(fail)

    @ct.lattice
    def workflow(x: int) -> Any:
        broken = fail_there(add_there(x))
        return add_there(broken), ct.electron(add)(broken), add_there(x, 10)

    result = run(workflow, 1)
    assert [one.state for one in result.electrons] == [
        *("completed", "failed", "skipped", "skipped", "completed")
    ]
    broken = result.electrons[1]
    assert (broken.error, broken.attempt) == ("ValueError: no 2 today", 2)
    assert "raise ValueError" in str(broken.traceback)
    assert "running.py" not in str(broken.traceback)


def test_a_retry_that_succeeds_on_a_worker(tmp_path: Path) -> None:
    def flaky(path: str) -> int:
        with open(path, "a") as file:
            file.write("x")
        with open(path) as file:
            tries = len(file.read())
        if tries < 3:
            raise OSError(f"attempt {tries}")
        return tries

    electron = ct.electron(executor=CLUSTER, retries=4)(flaky)
    result = run(ct.lattice(lambda: electron(str(tmp_path / "tries"))))
    assert result.result == 3
    assert result.electrons[0].attempt == 3


def test_circuits_of_electrons_run_where_the_electron_is() -> None:
    @ct.qelectron(executors=CLUSTER)
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    def energy(xs: Any) -> float:
        return float(sum(circuit.map(xs)))

    electron = ct.electron(executor=CLUSTER)(energy)
    # More of them than threads: were circuits sent on, all would wait for each other.
    workflow = ct.lattice(lambda: [electron([0.1 * n, 0.2]) for n in range(8)])
    result = run(workflow)
    expected = [math.cos(0.1 * n) + math.cos(0.2) for n in range(8)]
    assert result.result == pytest.approx(expected)
    for one in result.electrons:
        assert sum(call.circuits for call in one.calls) >= 1
        assert {call.executors for call in one.calls} == {(repr(CLUSTER),)}


def test_a_worker_that_is_killed_loses_no_electron(tmp_path: Path) -> None:
    def once(path: str, number: int) -> int:
        import os
        import signal
        from pathlib import Path

        marker = Path(path) / f"{number}"
        if number == 3 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    electron = ct.electron(executor=CLUSTER)(once)
    workflow = ct.lattice(lambda: [electron(str(tmp_path), n) for n in range(8)])
    assert run(workflow).result == [*range(8)]
    assert (tmp_path / "3").exists()


def test_what_kills_every_worker_is_told() -> None:
    def deadly() -> None:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    electron = ct.electron(executor=CLUSTER)(deadly)
    result = run(ct.lattice(lambda: electron()))
    assert result.status == "failed"
    assert "workers died, one after the other" in str(result.error)
    shared().client.wait_for_workers(2, timeout=WAIT_S)  # for the tests that follow


def test_resources_that_no_worker_has_are_waited_for_and_can_be_cancelled() -> None:
    _, where, _ = steps()
    electron = ct.electron(executor=CLUSTER, resources={"GPU": 1})(where)
    dispatch_id = ct.dispatch(ct.lattice(lambda: electron()))()
    with pytest.raises(TimeoutError):
        ct.get_result(dispatch_id, wait=True, timeout=1)
    ct.cancel(dispatch_id)
    result = ct.get_result(dispatch_id, wait=True, timeout=WAIT_S)
    assert [one.state for one in result.electrons] == ["cancelled"]


def test_events_tell_when_an_electron_starts_on_a_worker() -> None:
    add, _, _ = steps()
    electron = ct.electron(executor=CLUSTER)(add)
    events: list[Any] = []
    with ct.observe(events.append):
        result = run(ct.lattice(lambda: electron(electron(1))))
    for number in (0, 1):
        kinds = [
            event.kind
            for event in events
            if isinstance(event, ElectronEvent)
            and event.dispatch_id == result.dispatch_id
            and event.index == number
        ]
        assert kinds[0] == "electron queued"
        assert kinds[-1] == "electron completed"
        # What a worker tells of a start may come after the end: it counts no more.
        assert set(kinds[1:-1]) <= {"electron running"}


def test_a_cluster_that_cannot_be_reached_fails_the_electron_with_a_clear_error() -> (
    None
):
    add, _, _ = steps()
    nowhere = DaskExecutor(Local(), address="tcp://127.0.0.1:9", connect_s=0.5)
    far, here = ct.electron(executor=nowhere)(add), ct.electron(add)
    result = run(ct.lattice(lambda: (far(1), here(1))))
    assert [one.state for one in result.electrons] == ["failed", "completed"]
    assert "127.0.0.1:9" in str(result.error)


def test_a_scheduler_that_is_lost_fails_its_electrons_and_keeps_what_finished() -> None:
    def started(x: int) -> int:
        return x

    def long(x: int) -> int:
        import threading

        threading.Event().wait(60)
        return x

    def scheduler() -> int:
        import os

        return os.getpid()

    executor = DaskExecutor(Local(), workers=1, connect_s=20)
    far = ct.electron(executor=executor)
    quick, slow = far(started), far(long)
    here = ct.electron(started)
    workflow = ct.lattice(lambda: (slow(quick(1)), here(quick(2))))
    seen: list[str] = []
    waits = threading.Event()

    def watch(event: Any) -> None:
        seen.append(event.kind)
        # All but the long one, which holds the only worker.
        if seen.count("electron completed") == 3:
            waits.set()

    with executor, ct.observe(watch):
        lease = connect(executor)
        victim = lease.client.run_on_scheduler(scheduler)
        dispatch_id = ct.dispatch(workflow)()
        assert waits.wait(WAIT_S)
        os.kill(victim, signal.SIGKILL)
        result = ct.get_result(dispatch_id, wait=True, timeout=WAIT_S)
        lease.release()
        states = {one.name: one.state for one in result.electrons}
        assert states == {"started": "completed", "long": "failed"}
        assert "was lost while electrons ran" in str(result.error)
        # What comes next connects anew.
        assert run(ct.lattice(lambda: quick(3))).result == 3
    ct.shutdown()

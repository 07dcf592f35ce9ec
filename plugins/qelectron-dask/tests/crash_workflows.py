"""What the tests of records run: programs that dispatch, and are killed.

Run by `test_qelectron_dask_records.py`, as a process of its own without threads, from
which all others are forked: importing PennyLane in each would take too long. It prints
what came of it as JSON.
"""

import json
import math
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import pennylane as qml

FOLDER: Final = Path(sys.argv[1])
# The vendor that counts is that of the store's own crash tests.
sys.path.insert(0, str(Path(__file__).parents[2] / "qelectron-sqlite" / "tests"))

from crash_vendor import Cloud, fork, vendor  # noqa: E402

import qelectron_core as ct  # noqa: E402
import qelectron_sqlite.store  # noqa: E402, F401  # so that no child imports it

WAIT_S: Final = 60.0


def log(text: str) -> None:
    """Write down that something was run."""
    with (FOLDER / "log").open("a") as file:
        file.write(f"{text}\n")


class Gate:
    """Where electrons of the first process stop: it is to be killed there."""

    reached: int | None = None  # the end of a pipe
    where = "end"

    @classmethod
    def stop(cls, where: str) -> None:
        """Say that it is reached, and wait for the end."""
        if cls.reached is not None and where == cls.where:
            os.write(cls.reached, b"!")
            threading.Event().wait()


class Quantum:
    """The circuit of the electrons, and the port of its vendor."""

    port = 0


def circuit() -> ct.QElectron:
    """Return the QElectron that electrons call."""

    @ct.qelectron(executors=Cloud(port=Quantum.port))
    @qml.qnode(qml.device("default.qubit", wires=1))
    def turn(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    return turn


@ct.electron
def prepare(x: float) -> list[float]:
    """Return three angles."""
    log("prepare")
    return [x, x + 0.1, x + 0.2]


@ct.electron
def measure(angles: list[float]) -> float:
    """Run three circuits, and then three more."""
    log("measure")
    Gate.stop("start")
    turn = circuit()
    total = sum(turn.map(angles))
    future = turn.run_later(angles[0] + 1)
    while not future.handles:
        threading.Event().wait(0.01)
    ct.history(limit=1)  # what has ended is in the store now
    Gate.stop("end")
    return float(total + future.result())


@ct.electron
def finish(x: float, angles: list[float]) -> Any:
    """Return what the workflow does."""
    log("finish")
    return {"value": x, "angles": angles}


@ct.lattice
def workflow(x: float) -> Any:
    """Prepare, measure, finish; and a step beside them."""
    angles, beside = prepare(x), prepare(x + 1)
    measured = ct.wait_for(measure(angles), beside)
    return finish(measured, angles), beside


@ct.electron
def unwritable() -> Any:
    """Return what no store can keep without pickle."""
    log("unwritable")
    return {"set": {1, 2}, "lock": Odd()}


class Odd:
    """Something of the program's own."""


@ct.electron
def count(x: Any) -> int:
    """Return how much there is."""
    log("count")
    return len(x)


@ct.lattice
def odd() -> Any:
    """Return what can be kept, and make it of what cannot."""
    thing = unwritable()
    return count(thing), count([thing])


def expected(x: float) -> float:
    """Return what the workflow measures."""
    return sum(math.cos(a) for a in (x, x + 0.1, x + 0.2, x + 1))


# --- Processes ------------------------------------------------------------------------


def told(run: Callable[[], Any]) -> Any:
    """Run something in a process of its own; return what it returned."""
    out, into = os.pipe()

    def child() -> None:
        os.write(into, json.dumps(run()).encode())
        ct.shutdown()

    pid = fork(child)
    os.close(into)
    with os.fdopen(out, "rb") as file:
        answer = file.read()
    os.waitpid(pid, 0)
    return json.loads(answer)


def killed_at_gate(run: Callable[[], Any], where: str = "end") -> str:
    """Run something until an electron reaches the gate, and kill it there."""
    out, into = os.pipe()
    id_out, id_into = os.pipe()

    def child() -> None:
        Gate.reached, Gate.where = into, where
        os.write(id_into, run().encode())
        threading.Event().wait()

    pid = fork(child)
    dispatch_id = os.read(id_out, 100).decode()
    os.read(out, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return dispatch_id


def standing(dispatch_id: str, *, wait: bool = False) -> dict[str, Any]:
    """Return how a dispatch stands."""
    result = ct.get_result(dispatch_id, wait, timeout=WAIT_S if wait else None)
    try:
        value, error = result.result, None
    except ct.QElectronError as failure:
        value, error = None, str(failure)
    return {
        "id": dispatch_id,
        "status": result.status,
        "states": [one.state for one in result.electrons],
        "reused": [one.reused for one in result.electrons],
        "calls": [[call.id for call in one.calls] for one in result.electrons],
        "unkept": [one.unkept for one in result.electrons],
        "value": value,
        "error": error,
    }


def redispatched(dispatch_id: str) -> dict[str, Any]:
    """Go on with a dispatch, and return how it ended."""
    return standing(ct.redispatch(dispatch_id)(), wait=True)


# --- Scenarios ------------------------------------------------------------------------


def after_a_crash(counts: Callable[[], Any]) -> dict[str, Any]:
    """Kill a process in the middle of an electron that has a job at the vendor."""
    dispatch_id = killed_at_gate(lambda: ct.dispatch(workflow)(0.3))
    before = told(partial(standing, dispatch_id))
    after = told(partial(redispatched, dispatch_id))
    submitted, _ = counts()
    return {
        "before": before,
        "after": after,
        "seen by others": told(partial(standing, after["id"])),
        "expected": expected(0.3),
        "submitted": sorted(submitted.values()),
        "log": (FOLDER / "log").read_text().split(),
    }


def after_two_crashes(counts: Callable[[], Any]) -> dict[str, Any]:
    """Kill also the process that goes on, before its electron has called anything."""
    before, _ = counts()
    first = killed_at_gate(lambda: ct.dispatch(workflow)(0.7))
    second = killed_at_gate(lambda: ct.redispatch(first)(), "start")
    after = told(partial(redispatched, second))
    submitted, _ = counts()
    return {
        "after": after,
        "expected": expected(0.7),
        "submitted": sorted((submitted - before).values()),
    }


def cancelled_by_another_process() -> dict[str, Any]:
    """Cancel a dispatch from elsewhere."""
    out, into = os.pipe()
    id_out, id_into = os.pipe()
    end_out, end_into = os.pipe()

    def child() -> None:
        Gate.reached = into
        dispatch_id = ct.dispatch(workflow)(0.4)
        os.write(id_into, dispatch_id.encode())
        own = standing(dispatch_id, wait=True)
        ct.shutdown()
        os.write(end_into, json.dumps(own).encode())

    pid = fork(child)
    dispatch_id = os.read(id_out, 100).decode()
    os.read(out, 1)
    told(lambda: ct.cancel(dispatch_id))
    seen = told(partial(standing, dispatch_id, wait=True))
    own = json.loads(os.read(end_out, 100_000))
    os.waitpid(pid, 0)
    return {"seen": seen, "own": own}


def what_cannot_be_kept() -> dict[str, Any]:
    """Dispatch, and go on elsewhere, with a result that no store keeps."""
    (FOLDER / "log").write_text("")
    own = told(lambda: standing(ct.dispatch(odd)(), wait=True))
    again = told(partial(redispatched, own["id"]))
    return {
        "own": own,
        "seen": told(partial(standing, own["id"])),
        "again": again,
        "log": (FOLDER / "log").read_text().split(),
    }


def main() -> None:
    """Run all scenarios."""
    with vendor() as port:
        Quantum.port = port

        def counts() -> Any:
            return Cloud(port=port).ask("counts")

        found = {
            "after a crash": after_a_crash(counts),
            "after two crashes": after_two_crashes(counts),
            "cancelled": cancelled_by_another_process(),
            "unkept": what_cannot_be_kept(),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()

"""Which executors other processes leave out, as a process that reads the file sees."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qelectron_core.breaker_states import open_breakers
from qelectron_sqlite.store import SqliteStore

WAIT_S = 60.0

#: Opens a breaker, and closes it when it is told to.
PROGRAM = """
import sys, attrs, pennylane as qml
import qelectron_core as ct

@attrs.frozen
class Flaky(ct.Executor):
    number: int
    def run(self, job):
        if not up:
            raise RuntimeError("is down")
        return [0.5] * len(job.circuits)

up = []
members = [Flaky(0), Flaky(1)]
cluster = ct.QCluster(members, failover=ct.Failover(after=1, pause_s=300.0))

@ct.qelectron(executors=cluster, store=sys.argv[1])
@qml.qnode(qml.device("default.qubit", wires=1))
def circuit():
    return qml.expval(qml.Z(0))

for line in sys.stdin:
    up[:] = [True] if line == "up\\n" else []
    try:
        circuit()
    except RuntimeError:
        pass
    print("called", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path)) as opened:
        yield opened


@pytest.fixture
def start(path: Path) -> Iterator[Callable[[], Any]]:
    started: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        with process:
            process.kill()


def tell(process: subprocess.Popen[str], word: str) -> None:
    """Let a process call its QElectron while executors are up, or down."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{word}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "called\n"


def seen_open(store: SqliteStore, count: int) -> list[Any]:
    """Wait until so many are open: it is written soon, not at once."""
    deadline = time.monotonic() + WAIT_S
    while len(found := open_breakers(store)) != count:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def test_a_process_sees_the_breakers_of_others_as_long_as_those_live(
    store: SqliteStore, start: Callable[[], Any]
) -> None:
    pytest.importorskip("qelectron_selectors", reason="needs qelectron-selectors")
    one, other = start(), start()
    began = time.time()
    tell(one, "down")
    found = seen_open(store, 2)  # it went on to the other member, and that failed, too
    assert {state.executor for state in found} == {"Flaky(number=0)", "Flaky(number=1)"}
    for state in found:
        assert state.reason == "RuntimeError: is down"
        assert state.process.endswith(f":{one.pid}")
        assert began < state.opened_at < time.time()
        assert 299 < state.retry_at - state.opened_at <= 301

    tell(other, "down")
    found = seen_open(store, 4)
    assert len({state.process for state in found}) == 2

    tell(one, "up")  # closes the breaker of the member that is chosen
    assert sum(state.process.endswith(f":{one.pid}") for state in seen_open(store, 3))

    other.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    (left,) = seen_open(store, 1)
    assert left.process.endswith(f":{one.pid}")

    one.communicate(timeout=WAIT_S)  # ends as programs do
    assert open_breakers(store) == []

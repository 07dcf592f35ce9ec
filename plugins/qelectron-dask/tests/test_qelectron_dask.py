"""The plugin as a whole: how it is found, imported, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TypeAlias

import qelectron_core as ct
from qelectron_core.registry import registry

HERE = Path(__file__).parent

Program: TypeAlias = "subprocess.Popen[str]"

#: A program as users write it: no `if __name__ == "__main__"`, nothing closed.
PROGRAM = """
import sys
sys.path.insert(0, {here!r})
import pennylane as qml, qelectron_core as ct
from dask_executors import Local

executor = ct.executor.DaskExecutor(Local(latency_s={latency_s}), workers=2)

@ct.qelectron(executors=executor)
@qml.qnode(qml.device("default.qubit", wires=1))
def circuit(x):
    qml.RX(x, wires=0)
    return qml.expval(qml.Z(0))

print(float(circuit(0.0)), flush=True)
"""


def start(tmp_path: Path, more: str = "", latency_s: float = 0.0) -> Program:
    """Start a program from a file."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(here=str(HERE), latency_s=latency_s) + more)
    return subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_the_plugin_offers_it_by_name() -> None:
    from qelectron_dask.executor import DaskExecutor

    (plugin,) = (p for p in registry().plugins if p.name == "dask")
    assert plugin.error is None
    assert plugin.names("executor") == ["DaskExecutor"]
    assert ct.executor.DaskExecutor is DaskExecutor


def test_importing_the_plugin_imports_no_heavy_package() -> None:
    code = (
        "import sys, qelectron_dask, qelectron_dask.worker; "
        "heavy = {'distributed', 'dask', 'pennylane'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_program_ends_in_silence(tmp_path: Path) -> None:
    assert start(tmp_path).communicate(timeout=120) == ("1.0\n", "")


def test_a_program_that_waits_for_nothing_is_told_so_and_no_more(
    tmp_path: Path,
) -> None:
    program = start(tmp_path, "circuit.run_later(1.0)", latency_s=2.0)
    out, err = program.communicate(timeout=120)
    assert out == "1.0\n"
    assert err.startswith("Circuits that had not ended when the program did: 1.")
    assert err.count("\n") == 1


def test_ctrl_c_ends_a_program_at_once_and_its_workers_with_it(tmp_path: Path) -> None:
    more = (
        "from qelectron_dask.connection import connect\n"
        "lease = connect(executor)\n"
        "import os\n"
        "print(*lease.client.run(os.getpid).values(), flush=True)\n"
        "lease.release()\n"
        "[circuit.run_later(0.1) for _ in range(100)][99].result()\n"
    )
    program = start(tmp_path, more, latency_s=0.2)
    assert program.stdout is not None
    assert program.stdout.readline() == "1.0\n"
    workers = [int(word) for word in program.stdout.readline().split()]
    os.killpg(program.pid, signal.SIGINT)
    _, err = program.communicate(timeout=60)
    traceback, _, after = f"{err}\n".partition("\nKeyboardInterrupt\n")
    assert traceback.startswith("Traceback")
    # What runs on the workers by then may be told of besides, and nothing else.
    assert after.strip() == "" or after.startswith("Circuits that had not ended")
    assert "distributed" not in err.replace("distributed/", "")
    assert len(workers) == 2
    assert_end(workers)


def test_workers_end_with_a_program_that_is_killed(tmp_path: Path) -> None:
    more = (
        "from qelectron_dask.connection import connect\n"
        "lease = connect(executor)\n"
        "import os\n"
        "print(*lease.client.run(os.getpid).values(), flush=True)\n"
        "input()\n"
    )
    program = start(tmp_path, more)
    assert program.stdout is not None
    program.stdout.readline()
    workers = [int(word) for word in program.stdout.readline().split()]
    program.kill()
    program.communicate(timeout=60)
    assert len(workers) == 2
    assert_end(workers)


def assert_end(pids: list[int]) -> None:
    """Wait for processes that are not children; the test's time limit is theirs."""
    while any(map(_is_there, pids)):
        os.sched_yield()


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

"""Measure what a dispatch takes on Covalent's own warm server.

Run by the Python of an environment that has the released `covalent`, of which this file
imports nothing else but the standard library:

    python -m venv ENV
    ENV/bin/pip install covalent==0.240.0 "fastapi<0.132" pennylane
    ENV/bin/python tests/benchmarks/covalent_dispatch.py --json covalent.json

The server is started on this machine with its defaults (a Dask worker per core), keeps
all that it writes below a folder that is removed, and is stopped at the end. Electrons
do nothing: one by itself, or some that fan out and one that adds up what they return.
With PennyLane in the environment, there are six of which five run a circuit, too.

Each time is from `ct.dispatch` to what `ct.get_result(id, wait=True)` returns; the
first dispatch of each kind is not counted. `wait=True` asks once a second, so the time
between start and end that the server itself noted is given beside it.
"""

import argparse
import json
import math
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

#: Electrons of a lattice, and how often it is dispatched.
REPETITIONS = {1: 10, 6: 10, 50: 5}
QUICK = {1: 3, 6: 3, 50: 1}
PACKAGES = ("covalent", "dask", "fastapi")


class Case(NamedTuple):
    """A lattice to dispatch, and how often."""

    name: str
    leaf: Callable[[int], float]
    leaves: int
    expected: float
    number: int

    @property
    def electrons(self) -> int:
        """Return the leaves, and the one that adds up what several return."""
        return self.leaves + (self.leaves > 1)


class Measurement(NamedTuple):
    """What the dispatches of a lattice took, in seconds."""

    name: str
    electrons: int
    wall_s: list[float]
    server_s: list[float]

    def __str__(self) -> str:
        """Return a line of the report."""
        wall, server = summary(self.wall_s), summary(self.server_s)
        return f"{self.electrons:2} {self.name:8} {wall} s, at the server {server} s"


def main() -> None:
    """Measure, print a line per lattice, and write the figures where asked."""
    parser = argparse.ArgumentParser(description="Measure dispatches of Covalent.")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="few repetitions")
    options = parser.parse_args()
    print(json.dumps(machine()))
    with tempfile.TemporaryDirectory() as home, warm_server(Path(home)):
        rows = []
        for case in cases(QUICK if options.quick else REPETITIONS):
            rows.append(measured(case))
            print(rows[-1], flush=True)
    if options.json:
        report = {"machine": machine(), "rows": [row._asdict() for row in rows]}
        options.json.write_text(json.dumps(report, indent=1))


@contextmanager
def warm_server(home: Path) -> Iterator[None]:
    """Have Covalent's server run on this machine, with nothing kept outside `home`."""
    for name in [name for name in os.environ if name.startswith(("COVALENT_", "XDG_"))]:
        del os.environ[name]
    os.environ["HOME"] = str(home)  # before `covalent` is imported, which reads it
    covalent("start", "--port", str(free_port()))
    try:
        yield
    finally:
        covalent("stop")


def covalent(*arguments: str) -> None:
    """Run a command of Covalent's, silent unless it fails."""
    script = Path(sys.executable).with_name("covalent")
    command = [str(script), *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        sys.exit(f"{command} ended in {done.returncode}: {done.stderr.decode()}")


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def cases(repetitions: dict[int, int]) -> Iterator[Case]:
    """Yield what is measured."""
    for electrons, number in repetitions.items():
        leaves = max(electrons - 1, 1)
        yield Case("nothing", same, leaves, sum(range(leaves)), number)
    if find_spec("pennylane") is not None:
        expected = sum(math.cos(x) for x in range(5))
        yield Case("circuit", expectation, 5, expected, repetitions[6])


def same(x: int) -> float:
    """Return what comes in."""
    return x


def expectation(x: int) -> float:
    """Run a circuit on two wires."""
    import pennylane as qml

    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        qml.CNOT(wires=[0, 1])
        return qml.expval(qml.Z(1))

    return float(circuit(x))


def added(values: list[float]) -> float:
    """Add up what the leaves returned."""
    return sum(values)


def lattice_of(case: Case) -> Any:
    """Return a lattice that takes the number of its leaves."""
    ct = import_module("covalent")
    leaf, total = ct.electron(case.leaf), ct.electron(added)

    def workflow(leaves: int) -> Any:
        return leaf(0) if leaves == 1 else total([leaf(x) for x in range(leaves)])

    return ct.lattice(workflow)


def measured(case: Case) -> Measurement:
    """Return the seconds of some dispatches, after one that is not counted."""
    lattice = lattice_of(case)
    runs = [dispatched(lattice, case) for _ in range(case.number + 1)][1:]
    wall_s, server_s = [run[0] for run in runs], [run[1] for run in runs]
    return Measurement(case.name, case.electrons, wall_s, server_s)


def dispatched(lattice: Any, case: Case) -> tuple[float, float]:
    """Return the seconds of a dispatch as its caller and as the server saw it."""
    ct = import_module("covalent")
    began = time.perf_counter()
    outcome = ct.get_result(ct.dispatch(lattice)(case.leaves), wait=True)
    wall_s = time.perf_counter() - began
    if not math.isclose(outcome.result, case.expected):
        sys.exit(f"{outcome.status}: {outcome.result!r} is not {case.expected!r}")
    return wall_s, (outcome.end_time - outcome.start_time).total_seconds()


def summary(seconds: list[float]) -> str:
    """Return median, smallest and largest, and of how many."""
    spread = f"{min(seconds):.2f}–{max(seconds):.2f}, {len(seconds)} runs"
    return f"{statistics.median(seconds):.2f} ({spread})"


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    versions = {name: version(name) for name in PACKAGES}
    return {"cores": os.cpu_count(), "python": platform.python_version(), **versions}


if __name__ == "__main__":
    main()

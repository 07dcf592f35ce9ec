"""Measure what workflows cost: against the same graph in plain `dask.delayed`.

Run by hand: `uv run --all-packages python tests/benchmarks/workflows.py`, and with
`--covalent covalent.json`, as `covalent_dispatch.py` wrote it on the same machine, also
against Covalent's warm server. What is compared is measured in turn, one dispatch of
each, because machines drift; both sides are warm. The state of ours is kept in a file
of its own, as it would be. The budgets are those of `docs/explanation/design.md`.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pennylane as qml
from dask.delayed import delayed
from rich.console import Console
from rich.table import Table

import qelectron_core as ct
from qelectron_dask.connection import connect
from qelectron_dask.executor import DaskExecutor

ROUNDS: Final = 15
CLUSTER: Final = DaskExecutor(workers=2)

qnode = qml.QNode(
    lambda x: (qml.RX(x, wires=0), qml.CNOT([0, 1]), qml.expval(qml.Z(1)))[-1],
    qml.device("default.qubit", wires=2),
)
qelectron = ct.qelectron(qnode)


def nothing(*_: Any) -> int:
    """Return at once."""
    return 1


def short(*_: Any) -> int:
    """Compute for about 5 ms."""
    end = time.perf_counter() + 0.005
    while time.perf_counter() < end:
        pass
    return 1


def plain_circuit(*_: Any) -> float:
    """Run a circuit as PennyLane does."""
    return float(qnode(0.3))


def circuit(*_: Any) -> float:
    """Run a circuit as a QElectron."""
    return float(qelectron(0.3))


def fan(step: Callable[..., Any], count: int) -> Any:
    """Call something several times side by side, and once with what came of it."""
    return step(*(step(number) for number in range(count - 1)))


def chain(step: Callable[..., Any], count: int) -> Any:
    """Call something several times, one after the other."""
    value: Any = 0
    for _ in range(count):
        value = step(value)
    return value


CASES: Final = {
    "50 × nothing, fan-out": (fan, nothing, nothing, 50),
    "50 × nothing, chain": (chain, nothing, nothing, 50),
    "50 × 5 ms, fan-out": (fan, short, short, 50),
    "6 × circuit, fan-out": (fan, circuit, plain_circuit, 6),
    "1 × nothing": (chain, nothing, nothing, 1),
    "6 × nothing, fan-out": (fan, nothing, nothing, 6),
}


def ours(shape: Any, step: Any, count: int, executor: Any) -> Callable[[], Any]:
    """Return a dispatch of ours that waits for the result."""
    electron = ct.electron(executor=executor)(step)
    lattice = ct.lattice(lambda: shape(electron, count))

    def run() -> Any:
        return ct.get_result(ct.dispatch(lattice)(), wait=True).result

    return run


def theirs(shape: Any, step: Any, count: int, scheduler: Any) -> Callable[[], Any]:
    """Return the same graph in plain `dask.delayed`."""

    def run() -> Any:
        made = shape(delayed(step, pure=False), count)
        return made.compute(scheduler=scheduler)

    return run


def seconds(run: Callable[[], Any]) -> float:
    """Return how long something takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(one: Callable[[], Any], other: Callable[[], Any]) -> tuple[Any, Any]:
    """Return the seconds of both, measured in turn, after a round that warms up."""
    one(), other()
    pairs = [(seconds(one), seconds(other)) for _ in range(ROUNDS)]
    return tuple(zip(*pairs, strict=True))  # type: ignore[return-value]


def spread(values: Any, unit: float = 1.0) -> str:
    """Return median, least and most."""
    scaled = [value / unit for value in values]
    middle = statistics.median(scaled)
    return f"{middle:.2f} ({min(scaled):.2f}–{max(scaled):.2f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--covalent", type=Path)
    path = parser.parse_args().covalent
    os.environ["QELECTRON_STORE"] = str(Path(tempfile.mkdtemp()) / "store.sqlite3")
    table = Table("graph", "where", "ours, ms", "dask.delayed, ms", "ratio", "ms each")
    medians: dict[int, float] = {}
    lease = connect(CLUSTER)
    places = {"threads": ("local", "threads"), "cluster": (CLUSTER, lease.client)}
    for name, (shape, step, plain, count) in CASES.items():
        for where, (executor, scheduler) in places.items():
            own, bare = compare(
                ours(shape, step, count, executor),
                theirs(shape, plain, count, scheduler),
            )
            ratio = [a / b for a, b in zip(own, bare, strict=True)]
            each = [(a - b) / count for a, b in zip(own, bare, strict=True)]
            table.add_row(
                name,
                where,
                spread(own, 1e-3),
                spread(bare, 1e-3),
                spread(ratio),
                spread(each, 1e-3),
            )
            if (step is nothing and shape is not chain) or count == 1:
                medians[count] = max(medians.get(count, 0), statistics.median(own))
    lease.release()
    Console(width=120).print(table)
    if path is not None:
        print_covalent(json.loads(path.read_text()), medians)


def print_covalent(found: Any, medians: dict[int, float]) -> None:
    """Print how many times faster than Covalent a dispatch is, at our slower place."""
    for row in found["rows"]:
        own = medians.get(row["electrons"])
        if own is not None and row["name"] == "nothing":
            times = statistics.median(row["wall_s"]) / own
            print(f"{row['electrons']} electrons: {times:.0f} × faster than Covalent")


if __name__ == "__main__":
    main()

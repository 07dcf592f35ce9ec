"""Measure remote calls against the latency of the vendor, and what a waiting one takes.

Run by hand: `uv run --all-packages python tests/benchmarks/remote.py`. The budgets are
those of `docs/explanation/design.md`: 1,000 circuits on a vendor of 1 s latency in at
most 1.5 s, and 10,000 calls in flight at no more than 9 KB each, with the circuit.
"""

import gc
import statistics
import threading
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import pennylane as qml
from rich.console import Console
from rich.table import Table

import qelectron_core as ct
from qelectron_core.testing import FakeCloud

CIRCUITS, IN_FLIGHT, ROUNDS = 1_000, 10_000, 5
ONE_BY_ONE = ct.Limits(circuits_per_job=1)


def electron(cloud: FakeCloud) -> ct.QElectron:
    """Return two wires and four gates on a cloud."""

    @ct.qelectron(executors=cloud)
    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(x: Any) -> Any:
        qml.RX(x, wires=0)
        qml.RY(x, wires=1)
        qml.CNOT(wires=[0, 1])
        qml.RZ(x, wires=1)
        return qml.expval(qml.Z(1))

    return circuit


def seconds(function: Callable[[], Any]) -> float:
    """Return how long a function takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def many_circuits(limits: ct.Limits) -> list[float]:
    """Return how long many circuits take on a vendor of 1 s latency."""
    angles = [number / CIRCUITS for number in range(CIRCUITS)]
    times = []
    for number in range(ROUNDS):
        cloud = FakeCloud(name=f"{limits}-{number}", latency_s=1.0, limits=limits)
        circuit = electron(cloud)
        circuit.map(angles[:2])  # both warm
        times.append(seconds(partial(circuit.map, angles)))
        assert cloud.vendor.circuits == CIRCUITS + 2
    return times


def in_flight(limits: ct.Limits) -> tuple[float, int]:
    """Return KB per waiting call, with the vendor's part, and threads added."""
    cloud = FakeCloud(name=f"waiting {limits}", latency_s=600.0, limits=limits)
    circuit = electron(cloud)
    warm = [circuit.run_later(0.1) for _ in range(10)]
    before = threading.active_count()
    gc.collect()
    tracemalloc.start()
    futures = [circuit.run_later(number / 7) for number in range(IN_FLIGHT)]
    while cloud.vendor.circuits < IN_FLIGHT + len(warm):
        time.sleep(0.05)
    time.sleep(1.0)  # until the vendor has computed what it needs memory for
    gc.collect()
    traced, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    threads = threading.active_count() - before
    ct.shutdown()
    assert all(future.cancelled() for future in futures)
    return traced / 1024 / IN_FLIGHT, threads


def main() -> None:
    """Measure everything and print a table."""
    table = Table(title="Remote calls on a FakeCloud")
    circuits = f"{CIRCUITS:,} circuits, 1 s latency"
    for column in ("jobs", circuits, "KB per call", "threads"):
        table.add_column(column)
    kinds = {"as few as may be": ct.Limits(), "one by one": ONE_BY_ONE}
    for name, limits in kinds.items():
        times = many_circuits(limits)
        spread = f"{statistics.median(times):.2f} s ({min(times):.2f}–{max(times):.2f})"
        traced, threads = in_flight(limits)
        table.add_row(name, spread, f"{traced:.1f}", str(threads))
    Console().print(table)


if __name__ == "__main__":
    main()

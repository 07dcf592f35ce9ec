"""Measure `DaskExecutor` against `client.map` with a task per circuit.

Run by hand: `uv run --all-packages python tests/benchmarks/dask_circuits.py`. Both
sides use one local cluster, in turns, and each worker computes on one thread. The
targets: 5 times the circuits per second for small circuits, not behind for large ones,
and an efficiency of 0.85 from one worker to two.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pennylane as qml
from distributed import Client
from rich.console import Console
from rich.table import Table

import qelectron_core as ct
from qelectron_dask.executor import DaskExecutor
from qelectron_dask.local import LocalCluster

LAYERS, CONNECT_S = 5, 120.0


def ansatz(n_wires: int, device: str = "default.qubit") -> qml.QNode:
    """Return rotations and a ring of CNOTs, five times."""

    @qml.qnode(qml.device(device, wires=n_wires))
    def circuit(x: float) -> Any:
        for layer in range(LAYERS):
            for wire in range(n_wires):
                qml.RX(x * (wire + 1), wires=wire)
                qml.RY(x + layer, wires=wire)
            for wire in range(n_wires):
                qml.CNOT(wires=[wire, (wire + 1) % n_wires])
        return qml.expval(qml.Z(0))

    return circuit


def seconds(function: Callable[[], Any]) -> float:
    """Return how long a function takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def by_later(qelectron: Any, xs: Sequence[float]) -> list[Any]:
    """Run a QElectron once per number, by `run_later`."""
    return ct.gather([qelectron.run_later(x) for x in xs])


def by_map(qelectron: Any, xs: Sequence[float]) -> list[Any]:
    """Run a QElectron once per number, by `map`."""
    return list(qelectron.map(xs))


def by_tasks(client: Client, qnode: qml.QNode, xs: Sequence[float]) -> list[Any]:
    """Run a QNode once per number, each as a task."""
    return client.gather(client.map(qnode, xs, pure=False))  # type: ignore[no-any-return]


def against_tasks(
    client: Client, qnode: qml.QNode, n_circuits: int, rounds: int
) -> dict[str, list[float]]:
    """Return seconds per way, in rounds that take turns."""
    qelectron = ct.qelectron(qnode, executors=DaskExecutor(address=client))
    ways: dict[str, Callable[[Sequence[float]], list[Any]]] = {
        "client.map": partial(by_tasks, client, qnode),
        "run_later": partial(by_later, qelectron),
        "map": partial(by_map, qelectron),
    }
    xs = [float(x) for x in np.linspace(0.0, 1.0, n_circuits)]
    results = [way(xs) for way in ways.values()]  # all warm
    assert all(np.allclose(result, results[0]) for result in results)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(seconds(partial(way, xs)))
    return times


def scaling(qnode: qml.QNode, n_circuits: int, rounds: int) -> dict[str, list[float]]:
    """Return seconds on one worker and on two, for both sides, in turns."""
    clusters = {n: LocalCluster(n, CONNECT_S) for n in (1, 2)}
    clients = {
        n: Client(one.scheduler_address, security=one.security, set_as_default=False)
        for n, one in clusters.items()
    }
    ways: dict[str, Callable[[Sequence[float]], list[Any]]] = {}
    for n, client in clients.items():
        executor = DaskExecutor(address=client)
        qelectron = ct.qelectron(qnode, executors=executor)
        ways[f"DaskExecutor, {n}"] = partial(by_later, qelectron)
        ways[f"client.map, {n}"] = partial(by_tasks, client, qnode)
    xs = [float(x) for x in np.linspace(0.0, 1.0, n_circuits)]
    for way in ways.values():
        way(xs)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(seconds(partial(way, xs)))
    ct.shutdown()
    for n, client in clients.items():
        client.close()
        clusters[n].close()
    return times


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the median, and the least and the most."""
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f}-{most:.{digits}f})"


def show_against_tasks(title: str, n: int, times: dict[str, list[float]]) -> None:
    """Print circuits per second, and how many times those of a task per circuit."""
    table = Table("way", "circuits per second", "x client.map", title=title)
    base = times["client.map"]
    for name, values in times.items():
        ratios = [b / v for b, v in zip(base, values, strict=True)]
        rates = [n / value for value in values]
        table.add_row(name, spread(rates, 0), spread(ratios))
    Console().print(table)


def show_scaling(title: str, times: dict[str, list[float]]) -> None:
    """Print seconds, and the efficiency from one worker to two."""
    table = Table("way", "1 worker, s", "2 workers, s", "efficiency", title=title)
    for name in ("DaskExecutor", "client.map"):
        one, two = times[f"{name}, 1"], times[f"{name}, 2"]
        efficiency = [a / (2 * b) for a, b in zip(one, two, strict=True)]
        table.add_row(name, spread(one), spread(two), spread(efficiency))
    Console().print(table)


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    cluster = LocalCluster(2, CONNECT_S)
    client = Client(
        cluster.scheduler_address, security=cluster.security, set_as_default=False
    )
    for n_wires, n_circuits in ((4, 500), (4, 1000), (16, 24)):
        times = against_tasks(client, ansatz(n_wires), n_circuits, rounds)
        title = f"{n_circuits} circuits of {n_wires} wires, two workers"
        show_against_tasks(title, n_circuits, times)
    ct.shutdown()
    client.close()
    cluster.close()
    show_scaling("24 circuits of 16 wires", scaling(ansatz(16), 24, rounds))


if __name__ == "__main__":
    main()

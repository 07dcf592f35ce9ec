"""Compare QElectron calls with the bare QNode, side by side in one process.

Run by hand: `uv run --all-packages python tests/benchmarks/calls.py`. Both sides are
measured in turn, and ratios are medians over pairs, because machines drift. The
budgets are those of `docs/explanation/design.md`.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pennylane as qml
from rich.console import Console
from rich.table import Table

import qelectron_core as ct
from qelectron_core.recording import install

PAIRS, CALLS, ROUNDS = 300, 300, 5
WEIGHTS = np.random.default_rng(0).uniform(0, 3, (5, 4, 3))
DEVICES = ("default.qubit", "lightning.qubit")


def template(weights: Any) -> Any:
    """Entangle four wires in five layers, written as one template."""
    qml.StronglyEntanglingLayers(weights, wires=range(4))
    return qml.expval(qml.PauliZ(0))


def gates(weights: Any) -> Any:
    """Entangle four wires in five layers, written gate by gate."""
    for layer in weights:
        for wire in range(4):
            qml.RY(layer[wire, 0], wires=wire)
        for wire in range(4):
            qml.CNOT(wires=[wire, (wire + 1) % 4])
    return qml.expval(qml.PauliZ(0))


def seconds(function: Callable[[], Any]) -> float:
    """Return how long a function takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def plain_ratio(bare: Any, electron: Any) -> float:
    """Return the time of a plain call over that of the QNode."""
    ratios = []
    for index in range(PAIRS):
        weights = WEIGHTS + 1e-3 * index
        reference = seconds(partial(bare, weights))
        ratios.append(seconds(partial(electron, weights)) / reference)
    return statistics.median(ratios)


def speedup(bare: Any, many: Callable[[list[Any]], list[Any]]) -> float:
    """Return how much faster many calls are than a loop over the QNode."""
    arguments = [WEIGHTS + 1e-2 * index for index in range(CALLS)]
    ratios = []
    for _ in range(ROUNDS):
        loop = seconds(lambda: [bare(weights) for weights in arguments])
        ratios.append(loop / seconds(lambda: many(arguments)))
    return statistics.median(ratios)


def all_later(electron: Any, arguments: list[Any]) -> list[Any]:
    """Start every call, then wait for all."""
    return ct.gather(electron.run_later(weights) for weights in arguments)


def main() -> None:
    """Measure everything and print a table."""
    install()  # so that the bare QNode, too, runs with per-thread recording
    table = Table(title="QElectron against the bare QNode, medians of paired runs")
    for column in ("circuit", "device", "plain call", "300 run_later", "map of 300"):
        table.add_column(column)
    for function in (template, gates):
        for device in DEVICES:
            bare = qml.QNode(function, qml.device(device, wires=4))
            electron = ct.qelectron(bare)
            later = partial(all_later, electron)
            for _ in range(20):  # both warm
                bare(WEIGHTS)
                electron(WEIGHTS)
            figures = (
                f"{plain_ratio(bare, electron):.3f} of the time",
                f"{speedup(bare, later):.1f} × faster",
                f"{speedup(bare, electron.map):.1f} × faster",
            )
            table.add_row(function.__name__, device, *figures)
    Console().print(table)


if __name__ == "__main__":
    main()

"""Measure what the store costs: the journal of a call, a cache hit, a large file.

Run by hand: `uv run --all-packages --with joblib --with diskcache python
tests/benchmarks/store.py`; without joblib and diskcache, the comparison with them is
left out. What is compared is measured in turn, one call of each, because machines
drift. The budgets are those of `docs/explanation/design.md`.
"""

import hashlib
import importlib
import itertools
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pennylane as qml
from rich.console import Console
from rich.table import Table

import qelectron_core as ct
from qelectron_core.memory_store import MemoryStore
from qelectron_core.recording import install
from qelectron_core.store import Kept, Key
from qelectron_sqlite.store import SqliteStore

ROUNDS, WARM_UP = 400, 20
#: Calls of a loop that ends when its journal is written, and how many loops.
CALLS, LOOPS = 50, 20
WEIGHTS = np.random.default_rng(0).uniform(0, 3, (5, 4, 3))
ENTRIES = (1_000, 10_000, 100_000)


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


def qnode(function: Callable[..., Any]) -> qml.QNode:
    """Return a circuit as PennyLane runs it."""
    return qml.QNode(function, qml.device("default.qubit", wires=4))


# --- Measuring ------------------------------------------------------------------------


def in_turn(
    functions: Mapping[str, Callable[[Any], Any]],
    arguments: Iterator[Any],
    rounds: int = ROUNDS,
) -> dict[str, list[float]]:
    """Return the seconds of many calls of each function, made in turn.

    All get the same argument before any gets the next one. Who is first changes.
    """
    names, taken = list(functions), {name: list[float]() for name in functions}
    for number in range(WARM_UP + rounds):
        argument = next(arguments)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.perf_counter()
            functions[name](argument)
            end = time.perf_counter()
            if number >= WARM_UP:
                taken[name].append(end - start)
    return taken


def ratios(taken: Sequence[float], base: Sequence[float]) -> list[float]:
    """Return how much longer calls took than those made beside them."""
    return [mine / its for mine, its in zip(taken, base, strict=True)]


def beyond(taken: Sequence[float], base: Sequence[float]) -> float:
    """Return the milliseconds beyond calls made beside them, at the median."""
    pairs = zip(taken, base, strict=True)
    return 1e3 * statistics.median(mine - its for mine, its in pairs)


def show(title: str, taken: Mapping[str, Sequence[float]]) -> None:
    """Print a table of times; the first is what the others are compared with."""
    table = Table(title=title)
    base = next(iter(taken.values()))
    for column in ("", "min ms", "median ms", "max ms", "ratio", "beyond, ms"):
        table.add_column(column, justify="right" if column else "left")
    for name, seconds in taken.items():
        times = (min(seconds), statistics.median(seconds), max(seconds))
        ratio = statistics.median(ratios(seconds, base))
        table.add_row(
            name,
            *(f"{1e3 * one:.3f}" for one in times),
            f"{ratio:.3f}",
            f"{beyond(seconds, base):+.3f}",
        )
    Console().print(table)


# --- What is measured -----------------------------------------------------------------


def journal(folder: Path, function: Callable[..., Any]) -> None:
    """Compare plain calls with a journal in a file, in memory, and without one."""
    bare = qnode(function)
    stores = {"memory": MemoryStore(), "a file": folder / "journal.sqlite3"}
    kept = {name: ct.qelectron(bare, store=stores[name]) for name in stores}
    sides = {
        "bare QNode": bare,
        "bare QNode, again": bare,  # how far apart equal things are
        **{f"journal in {name}": electron for name, electron in kept.items()},
    }
    arguments = (WEIGHTS + 1e-3 * number for number in itertools.count())
    show(f"A plain call ({function.__name__})", in_turn(sides, arguments))
    loops = {"bare QNode": partial(_loop, bare, arguments, None)}
    loops["bare QNode, again"] = loops["bare QNode"]
    for name, electron in kept.items():
        loop = partial(_loop, electron, arguments, stores[name])
        loops[f"journal in {name}"] = loop
    title = f"{CALLS} plain calls, until the journal is written ({function.__name__})"
    show(title, in_turn(loops, itertools.repeat(None), LOOPS))


def _loop(side: Any, arguments: Iterator[Any], store: Any, _: None) -> None:
    """Make calls, and wait for what is written meanwhile, and after them."""
    for weights in itertools.islice(arguments, CALLS):
        side(weights)
    if store is not None:
        ct.history(limit=1, store=store)  # which first writes what has gathered


def hits(folder: Path, function: Callable[..., Any]) -> None:
    """Compare cache hits with building the circuit, and with caches keyed by hand."""
    bare = qnode(function)
    kept = ct.qelectron(bare, cache=True, store=folder / "hits.sqlite3")
    memory = ct.qelectron(bare, cache=True, store=MemoryStore())
    sides = {
        "build the circuit": lambda weights: bare.construct((weights,), {}),
        "build it, again": lambda weights: bare.construct((weights,), {}),
        "hit, memory": memory,
        "hit, file": kept,
        "hit, file, run_later": lambda weights: kept.run_later(weights).result(),
        **by_hand(folder, bare),
    }
    taken = in_turn(sides, itertools.repeat(WEIGHTS))
    show(f"A cache hit ({function.__name__})", taken)


def by_hand(folder: Path, bare: qml.QNode) -> dict[str, Callable[[Any], Any]]:
    """Return what users write today: a cache of others, and a key of their own."""
    caches = {"joblib": _joblib, "diskcache": _diskcache}
    keys = {"repr": _key_of_repr, "pickle": _key_of_pickle}
    found = {}
    for cache, key in itertools.product(caches, keys):
        try:
            get = caches[cache](folder / f"{cache}-{key}", bare)
        except ImportError:
            continue
        found[f"{cache}, key of {key}"] = _looked_up(get, keys[key], bare)
    return found


def _looked_up(get: Any, key_of: Any, bare: qml.QNode) -> Callable[[Any], Any]:
    def call(weights: Any) -> Any:
        circuit = bare.construct((weights,), {})
        return get(key_of(circuit), circuit)

    return call


def _joblib(folder: Path, bare: qml.QNode) -> Callable[[str, Any], Any]:
    def run(key: str, circuit: Any) -> Any:
        del key
        return qml.execute([circuit], bare.device)

    memory = importlib.import_module("joblib").Memory(folder, verbose=0)
    cached: Callable[[str, Any], Any] = memory.cache(run, ignore=["circuit"])
    return cached


def _diskcache(folder: Path, bare: qml.QNode) -> Callable[[str, Any], Any]:
    cache = importlib.import_module("diskcache").Cache(folder)

    def get(key: str, circuit: Any) -> Any:
        if key not in cache:
            cache[key] = qml.execute([circuit], bare.device)
        return cache[key]

    return get


def _key_of_repr(circuit: Any) -> str:
    """Return a key that a user would write; long arrays in it would be cut short."""
    text = repr((circuit.operations, circuit.measurements, circuit.shots))
    return hashlib.sha256(text.encode()).hexdigest()


def _key_of_pickle(circuit: Any) -> str:
    return hashlib.sha256(pickle.dumps(circuit)).hexdigest()


def lookups(folder: Path) -> None:
    """Compare looking up one result in files of different sizes."""
    sides, keys = {}, [Key(_pool(number)) for number in range(ENTRIES[-1])]
    for size in ENTRIES:
        store = SqliteStore(folder / f"{size}.sqlite3")
        for first in range(0, size, 1000):
            some = keys[first : min(first + 1000, size)]
            store.write([], [], [_kept(key) for key in some])
        picks = np.random.default_rng(0).integers(size, size=WARM_UP + ROUNDS)
        sides[f"{size:,} entries"] = _lookup(store, keys, iter(picks))
    show("Looking up one result of a file", in_turn(sides, itertools.repeat(None)))


def _lookup(store: SqliteStore, keys: Sequence[Key], picks: Iterator[Any]) -> Any:
    def look(_: None) -> None:
        (found,) = store.find([keys[next(picks)]])
        if found is None:
            message = f"a result of {store!r} is gone. Give the store more room."
            raise RuntimeError(message)

    return look


def _pool(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def _kept(key: Key) -> Kept:
    return Kept(key, np.float64(0.5), 0, "Simulator()", "job-1", time.time())


def main() -> None:
    """Measure everything and print tables."""
    install()  # so that the bare QNode, too, runs with per-thread recording
    with tempfile.TemporaryDirectory() as name:
        for function in (template, gates):
            folder = Path(name) / function.__name__
            folder.mkdir()
            journal(folder, function)
            hits(folder, function)
        lookups(Path(name))
        ct.shutdown()


if __name__ == "__main__":
    main()

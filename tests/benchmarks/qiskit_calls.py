"""Compare QElectrons on Qiskit with Qiskit by hand, and with `qiskit.remote`.

Run by hand: `uv run --all-packages python tests/benchmarks/qiskit_calls.py`. Everything
runs on the snapshot `fake_manila`. Each comparison is of one pair of runs after the
other, A B A B, because machines drift; ratios are medians over pairs, with the smallest
and the largest. `qiskit.remote` needs older versions of Qiskit, so it runs in a process
and an environment of its own, which is made with uv in the folder `--env`.

The budgets: at most 1.2 times the time of one PUB written by hand, and at least 20
times faster than `qiskit.remote`. This file is not called `qiskit.py`, because it would
then hide the package of that name.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pennylane as qml
from rich.console import Console
from rich.table import Table

import qelectron_core as ct

MANY, SHOTS, KINDS = 50, 1024, ("gates", "template")
#: Qiskit's optimization level on all sides: what `QiskitExecutor` does on machines.
LEVEL = 2
#: Most structures that `tail_of` can make.
TAILS = 15
#: Largest difference that other qubits and calibrations make, and standard deviations
#: of a difference of means that are left to chance.
TOLERANCE, SIGMAS = 0.05, 5


@attrs.frozen
class Comparison:
    """What two sides took, in seconds, pair by pair."""

    what: str
    other: str
    ours: list[float]
    theirs: list[float]

    def cells(self) -> tuple[str, ...]:
        """Return a row of the table."""
        ratios = [a / b for a, b in zip(self.ours, self.theirs, strict=True)]
        middle = statistics.median(ratios)
        return (
            self.what,
            self.other,
            f"{statistics.median(self.ours) * 1e3:.0f}",
            f"{statistics.median(self.theirs) * 1e3:.0f}",
            f"{middle:.3f} ({min(ratios):.3f}–{max(ratios):.3f})",
            f"{1 / middle:.1f} × ({1 / max(ratios):.1f}–{1 / min(ratios):.1f})",
            str(len(ratios)),
        )


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long a function takes, and what it returns."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def compare(
    what: str,
    other: str,
    ours: Callable[[], tuple[float, Any]],
    theirs: Callable[[], tuple[float, Any]],
    pairs: int,
) -> Comparison:
    """Run two sides in turn; they return their seconds and equal results."""
    runs = [(ours(), theirs()) for _ in range(pairs)]
    means = [[np.mean(side[1], dtype=float) for side in run] for run in runs]
    a, b = np.mean(means, axis=0)
    n_shots = SHOTS * pairs * np.size(runs[0][0][1])
    limit = TOLERANCE + SIGMAS * (2 / n_shots) ** 0.5
    assert abs(a - b) < limit, f"{what}, {other}: {a} and {b} are not equal"
    return Comparison(what, other, [a[0] for a, _ in runs], [b[0] for _, b in runs])


def tail_of(number: int) -> tuple[int, ...]:
    """Return some of four wires, others for each number up to `TAILS`."""
    return tuple(wire for wire in range(4) if (number + 1) >> wire & 1)


def loop(function: Callable[[Any], Any], arguments: Sequence[Any]) -> list[Any]:
    """Call a function with one argument after the other."""
    return [function(each) for each in arguments]


# --- Our side -------------------------------------------------------------------------


def electron(
    function: Callable[..., Any], diff_method: str = "best", **options: Any
) -> ct.QElectron:
    """Return a QElectron on the snapshot, or on another backend."""
    given = {"backend": "fake_manila", "shots": SHOTS, **options}
    executor = ct.executor.QiskitExecutor("local_sampler", **given)
    device = qml.device("default.qubit", wires=4)
    node = qml.QNode(function, device, diff_method=diff_method)
    made: ct.QElectron = ct.qelectron(node, executors=executor)
    return made


# --- By hand --------------------------------------------------------------------------


def by_hand(name: str, tail: tuple[int, ...] = ()) -> Any:
    """Return a circuit of `qiskit_remote.CIRCUITS` as one would write it in Qiskit."""
    from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
    from qiskit.circuit import ParameterVector

    circuit = QuantumCircuit(QuantumRegister(4), ClassicalRegister(1, "final"))
    turns = {"gates": (circuit.rx, circuit.ry)}.get(
        name, (circuit.rz, circuit.ry, circuit.rz)
    )
    angles = iter(ParameterVector("x", 3 * 4 * len(turns)))
    for layer in range(3):
        for wire in range(4):
            for turn in turns:
                turn(next(angles), wire)
        for wire in range(4):
            circuit.cx(wire, (wire + (1 if name == "gates" else layer + 1)) % 4)
    for wire in tail:
        circuit.h(wire)
    circuit.measure(0, 0)
    return circuit


def transpiled(circuit: Any, backend: Any) -> Any:
    """Return a circuit as the backend runs it."""
    from qiskit.transpiler import generate_preset_pass_manager

    manager = generate_preset_pass_manager(LEVEL, backend, seed_transpiler=0)
    return manager.run(circuit)


def expectations(sampler: Any, circuit: Any, weights: Any) -> Any:
    """Return the expectation value for each set of weights, all in one PUB."""
    values = weights.reshape(len(weights), -1)
    (result,) = sampler.run([(circuit, values)], shots=SHOTS).result()
    return 1 - 2 * (result.data.final.array[..., 0] & 1).mean(axis=-1)


def samplers_of(backend: Any) -> dict[str, Any]:
    """Return the samplers that there are for a snapshot."""
    from qiskit.primitives import BackendSamplerV2
    from qiskit_aer.primitives import SamplerV2
    from qiskit_ibm_runtime.executor_sampler import Sampler

    return {
        "Sampler of the runtime": Sampler(mode=backend),
        "BackendSamplerV2": BackendSamplerV2(backend=backend),
        "SamplerV2 of Aer": SamplerV2.from_backend(backend),
    }


# --- What is compared -----------------------------------------------------------------


def with_hand_written(name: str, pairs: int) -> Iterator[Comparison]:
    """Compare many calls, and one call, with each of Qiskit's samplers."""
    from qiskit_ibm_runtime.fake_provider import FakeManilaV2
    from qiskit_remote import CIRCUITS, weights_of

    weights, backend = weights_of(name, MANY), FakeManilaV2()
    mine, circuit = electron(CIRCUITS[name]), transpiled(by_hand(name), backend)
    calls = {MANY: partial(mine.map, list(weights)), 1: partial(mine, weights[0])}
    for number, ours in calls.items():
        for other, sampler in samplers_of(backend).items():
            theirs = partial(expectations, sampler, circuit, weights[:number])
            for _ in range(2):  # both warm
                ours(), theirs()
            sides = (partial(timed, ours), partial(timed, theirs))
            yield compare(f"{number} {name}", other, *sides, pairs)


def with_transpilation(pairs: int) -> Comparison:
    """Compare many calls of a structure that neither side has seen."""
    from qiskit_ibm_runtime.fake_provider import FakeManilaV2
    from qiskit_remote import gates, weights_of

    weights, backend = weights_of("gates", MANY), FakeManilaV2()
    other = "SamplerV2 of Aer"
    sampler, tails = samplers_of(backend)[other], map(tail_of, range(TAILS))
    ours_tails, their_tails = itertools.tee(tails)

    def ours() -> Any:
        tail = next(ours_tails)
        return electron(lambda x: gates(x, tail)).map(list(weights))

    def theirs() -> Any:
        circuit = transpiled(by_hand("gates", next(their_tails)), backend)
        return expectations(sampler, circuit, weights)

    what = f"{MANY} gates, transpiled within"
    sides = (partial(timed, ours), partial(timed, theirs))
    return compare(what, other, *sides, min(pairs, TAILS))


def with_remote(remote: Any, pairs: int) -> Iterator[Comparison]:
    """Compare many calls, one call, and a gradient with `qiskit.remote`."""
    from qiskit_remote import CIRCUITS, angles_of, rotations, weights_of

    gradient, angles = qml.grad(electron(rotations, "parameter-shift")), angles_of()
    sides: dict[str, Any] = {"gradient": (partial(gradient, angles), 1)}
    for name, function in CIRCUITS.items():
        mine, weights = electron(function), list(weights_of(name, MANY))
        sides[f"{MANY} {name}"] = (partial(mine.map, weights), MANY)
        sides[f"1 {name}"] = (partial(mine, weights[0]), 1)
    for what, (ours, number) in sides.items():
        theirs = partial(remote.run, what.split()[-1], number)
        ours(), remote.run(what.split()[-1], 1)  # both warm
        yield compare(what, "qiskit.remote", partial(timed, ours), theirs, pairs)


def without_noise(pairs: int) -> Iterator[Comparison]:
    """Compare exact results of Aer with a loop over `default.qubit`."""
    from qiskit_remote import CIRCUITS, weights_of

    for name, function in CIRCUITS.items():
        mine = electron(function, backend="aer_simulator", shots=None)
        bare = qml.QNode(function, qml.device("default.qubit", wires=4))
        weights = list(weights_of(name, MANY))
        ours = partial(timed, partial(mine.map, weights))
        theirs = partial(timed, partial(loop, bare, weights))
        ours(), theirs()
        yield compare(f"{MANY} {name}, exact", "default.qubit", ours, theirs, pairs)


def comparisons(given: argparse.Namespace, remote: Any) -> list[Comparison]:
    """Measure everything."""
    done = [each for name in KINDS for each in with_hand_written(name, given.pairs)]
    done.append(with_transpilation(given.pairs))
    if remote is not None:
        done += with_remote(remote, given.remote_pairs)
    return [*done, *without_noise(given.pairs)]


def gradient_jobs() -> list[int]:
    """Return how many circuits each job of a gradient has."""
    from qiskit_remote import angles_of, rotations

    events: list[ct.Event] = []
    with ct.observe(events.append):
        qml.grad(electron(rotations, "parameter-shift"))(angles_of())
    jobs = {
        each.execution.job_id: each.execution.job_size
        for each in events
        if each.execution is not None
    }
    return list(jobs.values())


def show(done: Sequence[Comparison], console: Console) -> None:
    """Print a table of all ratios."""
    table = Table(title="QiskitExecutor on fake_manila: medians (smallest–largest)")
    columns = ("what", "against", "ours, ms", "theirs, ms", "of the time", "faster")
    for column in (*columns, "pairs"):
        table.add_column(column)
    for each in done:
        table.add_row(*each.cells())
    console.print(table)


def options() -> argparse.Namespace:
    """Return what the command line says."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "qelectron-benchmarks" / "pennylane-qiskit"
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--env", type=Path, default=folder, help="of qiskit.remote")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--remote-pairs", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write all seconds to this file")
    return parser.parse_args()


def main() -> None:
    """Measure everything and print a table."""
    from qiskit_remote import PACKAGES, start

    given, console = options(), Console(width=120)
    remote = start(given.env)
    machine = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "ours": {name: version(name) for name in PACKAGES},
        "qiskit.remote": None if remote is None else remote.versions,
    }
    console.print_json(data=machine)
    jobs = gradient_jobs()
    done = comparisons(given, remote)
    show(done, console)
    console.print(
        f"Circuits in each job of a gradient: {jobs}. Load: {os.getloadavg()[0]}."
    )
    if remote is not None:
        remote.close()
    if given.json is not None:
        content = {
            "machine": machine,
            "jobs": jobs,
            "comparisons": [attrs.asdict(c) for c in done],
        }
        given.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()

"""What runs circuits here: a simulated machine, or any sampler of Qiskit."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pennylane as qml
from pennylane.devices.qubit import measure
from pennylane.tape import QuantumScript

from qelectron_core import Job, Outcome, Seed
from qelectron_qiskit.circuits.compiling import Compiler
from qelectron_qiskit.circuits.experiments import (
    Experiment,
    Row,
    experiment_of,
    sampled,
)
from qelectron_qiskit.circuits.pubs import Pubs
from qelectron_qiskit.circuits.structures import prepare
from qelectron_qiskit.local.aer import AerMachine
from qelectron_qiskit.refusals import measures_in_the_middle

#: What `Sampler.run` is given and returns: PUBs, shots and a seed; results per PUB.
Sample = Callable[[Sequence[Any], int, int], Iterable[Any]]


class SimulatorBench:
    """Runs circuits on a machine that Aer simulates."""

    def __init__(self, machine: AerMachine, facts: Mapping[str, Any]) -> None:
        """Take a machine, and what is worth keeping with each of its results."""
        self._machine = machine
        self._facts = facts

    def run(self, job: Job) -> list[Any]:
        """Return per circuit its outcome, or the exception that it ended in."""
        outcomes: list[Any] = [None] * len(job)
        kinds: dict[Any, list[int]] = {}
        for place, circuit in enumerate(job.circuits):
            kinds.setdefault(self._way(circuit), []).append(place)
        for way, places in kinds.items():
            some = [(job.circuits[place], job.seeds[place]) for place in places]
            for place, outcome in zip(places, way(some, job), strict=True):
                outcomes[place] = _with(self._facts, outcome)
        return outcomes

    def _way(self, circuit: QuantumScript) -> Any:
        if circuit.shots:
            return self._sampled
        return self._probable if self._machine.is_noisy else self._exact

    def _sampled(self, some: Sequence[tuple[QuantumScript, Seed]], job: Job) -> Any:
        how = job.settings
        experiments = [_try(sampled, c, how, s.to_int()) for c, s in some]
        return finished(experiments, self._machine.bits, Experiment.from_bits)

    def _probable(self, some: Sequence[tuple[QuantumScript, Seed]], _: Job) -> Any:
        experiments = [_try(experiment_of, circuit) for circuit, _ in some]
        return finished(
            experiments, self._machine.probabilities, Experiment.from_probabilities
        )

    def _exact(self, some: Sequence[tuple[QuantumScript, Seed]], _: Job) -> Any:
        experiments = [_try(_State, circuit) for circuit, _ in some]
        return finished(experiments, self._machine.states, _State.result)


class SamplerBench:
    """Runs circuits with a sampler of Qiskit."""

    def __init__(
        self, compiler: Compiler, sample: Sample, facts: Mapping[str, Any]
    ) -> None:
        """Take a sampler, what compiles for it, and what is to be kept with results."""
        self._compiler = compiler
        self._sample = sample
        self._facts = facts

    def run(self, job: Job) -> list[Any]:
        """Return per circuit its outcome, or the exception that it ended in."""
        how = job.settings
        experiments = [_try(sampled, c, how, s.to_int()) for c, s in job]
        seed = job.seeds[0].to_int() % 2**31 if job.seeds else 0
        run = functools.partial(self._bits, seed=seed)
        outcomes = finished(experiments, run, Experiment.from_bits)
        return [_with(self._facts, outcome) for outcome in outcomes]

    def _bits(self, rows: Sequence[Row], seed: int) -> list[Any]:
        pubs = Pubs.of(rows)
        made = pubs.make(self._compiler)
        return list(pubs.bits(self._sample(made, pubs.shots, seed)))


class _State:
    """The one row of a circuit whose exact results are taken from its state."""

    def __init__(self, circuit: QuantumScript) -> None:
        if measures_in_the_middle(circuit):
            (circuit,), _ = qml.defer_measurements(circuit)
        self.circuit = circuit.map_to_standard_wires()
        wires = range(len(self.circuit.wires))
        structure, params = prepare(self.circuit, wires).structure()
        self.rows = (Row(structure, params, None),)

    def result(self, states: Sequence[Any]) -> Any:
        (state,) = states
        results = [measure(each, state) for each in self.circuit.measurements]
        return results[0] if len(results) == 1 else tuple(results)


def finished(
    experiments: Sequence[Any],
    run: Callable[[Sequence[Row]], Sequence[Any]],
    finish: Callable[[Any, Sequence[Any]], Any],
) -> list[Any]:
    """Run the rows of experiments together, and return per experiment its result.

    Args:
        experiments: Experiments, or exceptions in the places of those that are none.
        run: Returns per row what came of it, or the exception that it ended in.
        finish: Makes of an experiment and what came of its rows its result.
    """
    sound = [e for e in experiments if not isinstance(e, Exception)]
    came = iter(run([row for each in sound for row in each.rows]) if sound else ())
    results: list[Any] = []
    for experiment in experiments:
        if isinstance(experiment, Exception):
            results.append(experiment)
            continue
        own = [next(came) for _ in experiment.rows]
        failed = next((each for each in own if isinstance(each, Exception)), None)
        results.append(failed or _try(finish, experiment, own))
    return results


def _try(function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except Exception as error:
        return error


def _with(facts: Mapping[str, Any], outcome: Any) -> Any:
    return outcome if isinstance(outcome, Exception) else Outcome(outcome, facts)

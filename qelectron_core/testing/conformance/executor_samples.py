"""Executor rules E35 to E42: samples and seeds."""

from __future__ import annotations

import unittest
from collections.abc import Sequence
from typing import Any

import numpy as np
import pennylane as qml

from qelectron_core.contracts import Executor, Seed
from qelectron_core.testing.conformance.circuits import (
    circuit,
    entangled,
    plain_circuits,
    several_measurements,
    spread_circuits,
)
from qelectron_core.testing.conformance.executor_kit import ExecutorKit
from qelectron_core.testing.conformance.reference import evaluate, odd_form, shown
from qelectron_core.testing.conformance.rules import declared, require, rule, value_rule

_WIRES = range(4)


class SampleRules(ExecutorKit):
    """What finite shots give, and what decides the samples."""

    @value_rule
    def test_e35_estimates_are_right(self) -> None:
        """Estimates from shots are within 5 standard errors of the exact values."""
        executor = self._sampling()
        circuits = [*plain_circuits(), *spread_circuits(), *several_measurements()]
        self.require_right(executor, circuits, self.finite_shots(executor))

    @value_rule
    def test_e36_counts_are_right(self) -> None:
        """Counts sum up to the shots, and have the right frequencies."""
        kinds = [
            qml.counts(wires=[0, 1]),
            qml.counts(wires=[1, 0]),
            qml.counts(qml.X(0)),
        ]
        for one, result in self._sampled(kinds):
            total = sum(result.values())
            shots = one.shots.total_shots
            require(
                total == shots,
                expected=f"counts that sum up to {shots} for {shown(one)}",
                seen=f"{total}, from {result}",
            )
            self.require_close(one, result)

    @value_rule
    def test_e37_samples_are_right(self) -> None:
        """Samples have a row per shot, a column per wire, and the right frequencies."""
        kinds = [
            *(qml.sample(wires=[0, 1]), qml.sample(wires=[1, 0])),
            *(qml.sample(wires=[1]), qml.sample(qml.Y(1))),
        ]
        for one, result in self._sampled(kinds):
            self.require_close(one, result)

    @rule
    def test_e38_shot_vectors_give_a_result_each(self) -> None:
        """A shot vector gives a tuple with a result for each of its entries."""
        bound, vector = self.bind(), [100, (50, 2), 200]
        declared("samples", bound.capabilities.samples)
        circuits = [*self.make_circuits()[:2], several_measurements()[0]]
        wanted = self.taken(bound, circuits, vector)
        with self.session(bound) as session:
            results = session.results(wanted)
        for one, expected, seen in zip(wanted, evaluate(wanted), results, strict=True):
            found = odd_form(expected, seen)
            require(
                found is None,
                expected=f"a tuple of 4 results, with shots={vector}, for {shown(one)}",
                seen=found or "",
            )

    @rule
    def test_e39_circuits_have_shots_of_their_own(self) -> None:
        """Circuits of one job may differ in their shots."""
        bound = self.bind(self._sampling())
        kind = self._drawn(bound)
        wanted = [circuit(entangled(), [kind], shots) for shots in (30, 70, 30)]
        with self.session(bound) as session:
            results = session.results(wanted)
        for one, result in zip(wanted, results, strict=True):
            found = odd_form(evaluate([one])[0], result)
            drawn = sum(result.values()) if isinstance(result, dict) else len(result)
            require(
                found is None and drawn == one.shots.total_shots,
                expected=f"{one.shots.total_shots} shots for {shown(one)}",
                seen=found or f"{drawn} shots",
            )

    @rule
    def test_e40_draws_anew_for_each_circuit(self) -> None:
        """Equal circuits of one job draw samples of their own."""
        bound = self.bind(self._sampling())
        with self.session(bound) as session:
            results = session.results([self._coins(bound)] * 4)
        _require_different(results, "circuits of one job")

    @rule
    def test_e41_equal_seeds_give_equal_samples(self) -> None:
        """Equal seeds give equal samples, in any job and at any place in it."""
        bound = self.bind(self._seeded())
        coins, seeds = self._coins(bound), [Seed(7, 3), Seed(7, 4), Seed(8, 3)]
        with self.session(bound) as session:
            first = session.results([coins] * 3, seeds)
            later = session.results([coins] * 2, seeds[:0:-1])[::-1]
        with self.session(bound) as session:
            alone = session.results([coins], seeds[:1])
        for number, (one, other) in enumerate(zip(first, alone + later, strict=True)):
            require(
                _as_text(one) == _as_text(other),
                expected=f"{seeds[number]} to give the same samples again",
                seen="they differ",
                hint="Derive all chance from job.seeds: seed.to_int() is a good seed.",
            )

    @rule
    def test_e42_different_seeds_give_different_samples(self) -> None:
        """Seeds that differ in entropy or in ordinal give different samples."""
        bound = self.bind(self._seeded())
        coins = self._coins(bound)
        with self.session(bound) as session:
            for what, seeds in (
                ("ordinals", [Seed(7, ordinal) for ordinal in range(4)]),
                ("entropies", [Seed(entropy, 0) for entropy in range(4)]),
            ):
                results = [session.results([coins], [seed])[0] for seed in seeds]
                _require_different(results, f"seeds of 4 different {what}")

    def _sampling(self) -> Executor:
        executor = self.make_plain()
        declared("samples", executor.capabilities.samples)
        declared("computes", executor.capabilities.computes)
        return executor

    def _seeded(self) -> Executor:
        executor = self._sampling()
        declared("seeded", executor.capabilities.seeded)
        return executor

    def _sampled(self, kinds: Sequence[Any]) -> list[tuple[Any, Any]]:
        """Return circuits with these measurements, and their results, formed well."""
        bound = self.bind(self._sampling())
        circuits = [circuit(entangled(), [kind]) for kind in kinds]
        wanted = self.taken(bound, circuits, self.finite_shots(bound))
        with self.session(bound) as session:
            results = session.results(wanted)
        for one, expected, seen in zip(wanted, evaluate(wanted), results, strict=True):
            found = odd_form(expected, seen)
            require(
                found is None,
                expected=f"a result formed like that of PennyLane for {shown(one)}",
                seen=found or "",
            )
        return list(zip(wanted, results, strict=True))

    def _drawn(self, bound: Executor) -> Any:
        for kind in (qml.sample(wires=_WIRES), qml.counts(wires=_WIRES)):
            if bound.refuse(circuit(entangled(), [kind], 30)) is None:
                return kind
        raise unittest.SkipTest("it refuses samples and counts")

    def _coins(self, bound: Executor) -> Any:
        """Return a circuit whose samples are most unlikely to repeat by chance."""
        gates = [qml.H(wire) for wire in _WIRES]
        kinds = [qml.sample(wires=_WIRES), qml.counts(wires=_WIRES)]
        kinds += [qml.probs(wires=_WIRES), qml.expval(qml.Z(0))]
        for kind in kinds:
            coins = circuit(gates, [kind], self.finite_shots(bound))
            if bound.refuse(coins) is None:
                return coins
        raise unittest.SkipTest("it refuses samples, counts and expectation values")


def _require_different(results: Sequence[Any], what: str) -> None:
    texts = {_as_text(result) for result in results}
    # Few numbers may repeat by chance, so that only all being equal is a fault.
    enough = 2 if np.size(results[0]) == 1 else len(results)
    require(
        len(texts) >= enough,
        expected=f"different samples for {len(results)} {what}",
        seen=f"{len(texts)} different results",
        hint="Seed every circuit from its own entry of job.seeds, or not at all.",
    )


def _as_text(result: Any) -> str:
    if isinstance(result, dict):
        return str(sorted((str(key), int(count)) for key, count in result.items()))
    return repr(np.asarray(result).tolist())

"""Executor rules E27 to E34: results are right."""

from __future__ import annotations

import unittest
from collections.abc import Iterable
from typing import Any

import numpy as np
import pennylane as qml

from qelectron_core.testing.conformance.circuits import (
    circuit,
    composite_circuits,
    entangled,
    hamiltonian_circuits,
    labelled_circuits,
    several_measurements,
    spread_circuits,
)
from qelectron_core.testing.conformance.executor_kit import ExecutorKit
from qelectron_core.testing.conformance.reference import evaluate, mismatch
from qelectron_core.testing.conformance.rules import (
    calling,
    declared,
    require,
    value_rule,
)


class ResultRules(ExecutorKit):
    """Results are those of the reference.

    They are exact where it declares that, to 1e-6; else they are within 5 standard
    errors, from the eigenvalues of what is measured.
    """

    @value_rule
    def test_e27_plain_circuits_are_right(self) -> None:
        """Plain gates and expectation values give what the reference gives."""
        self._require_right(self.make_circuits())

    @value_rule
    def test_e28_variances_and_probabilities_are_right(self) -> None:
        """Variances and probabilities are those of the reference."""
        self._require_right(spread_circuits())

    @value_rule
    def test_e29_several_measurements_are_right(self) -> None:
        """Several measurements of one circuit give a result each, in their order."""
        self._require_right(several_measurements())

    @value_rule
    def test_e30_wires_may_have_any_label(self) -> None:
        """Wires may have any labels, and be measured in any order."""
        self._require_right(labelled_circuits())

    @value_rule
    def test_e31_composite_operators_are_right(self) -> None:
        """Templates and composite operators are taken apart as far as needed."""
        self._require_right(composite_circuits())

    @value_rule
    def test_e32_hamiltonians_are_right(self) -> None:
        """Expectation values of sums of Pauli products are those of the reference."""
        self._require_right(hamiltonian_circuits())

    @value_rule
    def test_e33_other_measurements_are_right(self) -> None:
        """States, purities and entropies are right, unless it refuses them."""
        executor = self.make_plain()
        declared("exact", executor.capabilities.exact)
        kinds = [qml.density_matrix([1]), qml.purity([0]), qml.vn_entropy([1])]
        kinds.append(qml.mutual_info([0], [1]))
        circuits = [circuit(entangled(), [kind]) for kind in [*kinds, qml.state()]]
        declared("computes", executor.capabilities.computes)
        bound = self.bind(executor)
        wanted = self.taken(bound, circuits, None)
        with self.session(bound) as session:
            results = session.results(wanted)
        for one, expected, seen in zip(wanted, evaluate(wanted), results, strict=True):
            if one.measurements == circuits[-1].measurements:
                self.require_same(one, _density(expected), _density(seen))
            else:
                self.require_same(one, expected, seen)

    @value_rule
    def test_e34_measures_all_wires_of_the_device(self) -> None:
        """A measurement without wires is of all wires of the device, in their order."""
        executor = self.make_called()
        declared("computes", executor.capabilities.computes)
        measure = self._measurement_of_all()

        def quantum() -> Any:
            qml.X("a")
            return measure()

        quantum_electron, qnode = self.qelectron(
            quantum, executor, wires=["b", "c", "a"]
        )
        with calling("a QElectron on a device with the wires 'b', 'c' and 'a'"):
            seen = quantum_electron()
        expected = qnode()
        found = mismatch(expected, seen, 1e-6 + self.noise)
        require(
            found is None,
            expected=f"{expected} from {measure()} on wires 'b', 'c', 'a' and X on 'a'",
            seen=found or "",
            hint="Measure every wire that is named, in that order, gates on it or not.",
        )

    def _require_right(self, circuits: Iterable[Any]) -> None:
        executor = self.make_plain()
        declared("computes", executor.capabilities.computes)
        self.require_right(executor, circuits, self.main_shots(executor))

    def _measurement_of_all(self) -> Any:
        bound = self.bind()
        shots = self.main_shots(bound)
        for measure in (qml.probs, qml.counts, qml.sample):
            one = circuit([qml.X("a")], [measure(wires=["a"])], shots)
            if bound.refuse(one) is None and (shots or measure is qml.probs):
                return measure
        raise unittest.SkipTest("it refuses probabilities, counts and samples")


def _density(state: Any) -> Any:
    """Return the density matrix of a state, given as a vector or as one already.

    States that differ in a global phase are equal.
    """
    state = np.asarray(state)
    return np.outer(state, state.conj()) if state.ndim == 1 else state

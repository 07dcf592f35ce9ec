"""Executor rules E14 to E20: what comes back from a job."""

from __future__ import annotations

import pickle
from typing import Any, Final

import numpy as np
import pennylane as qml

from qelectron_core.contracts import Outcome
from qelectron_core.testing.conformance.circuits import (
    Unrunnable,
    certain_circuits,
    circuit,
    entangled,
    several_measurements,
)
from qelectron_core.testing.conformance.compare import difference
from qelectron_core.testing.conformance.executor_kit import ExecutorKit
from qelectron_core.testing.conformance.reference import evaluate, odd_form, shown
from qelectron_core.testing.conformance.rules import (
    RuleBroken,
    declared,
    require,
    rule,
    value_rule,
)
from qelectron_core.testing.conformance.session import result_of

#: Types that a store keeps as they are.
_PLAIN: Final = (str, int, float, bool, type(None))


class JobRules(ExecutorKit):
    """One entry per circuit, in order, formed as PennyLane forms it."""

    @rule
    def test_e14_answers_in_time(self) -> None:
        """A job of one circuit ends before the deadline of the kit."""
        bound = self.bind()
        shots = self.main_shots(bound)
        with self.session(bound) as session:
            session.run(self.taken(bound, self.make_circuits(), shots)[:1])

    @rule
    def test_e15_returns_one_entry_per_circuit(self) -> None:
        """A job has one entry per circuit, however many there are."""
        bound = self.bind()
        circuits = self.taken(bound, self.make_circuits(), self.main_shots(bound))
        with self.session(bound) as session:
            for count in (1, 2, 5):
                session.run((circuits * count)[:count])

    @value_rule
    def test_e16_keeps_the_order(self) -> None:
        """Results are in the order of the circuits, whatever their structure."""
        bound = self.bind()
        declared("computes", bound.capabilities.computes)
        shots = self.main_shots(bound)
        measure = self.measurement(bound, shots)
        circuits = self.taken(bound, certain_circuits(measure), shots)
        with self.session(bound) as session:
            for wanted in (circuits, circuits[::-1]):
                pairs = zip(wanted, session.results(wanted), strict=True)
                for number, (one, result) in enumerate(pairs):
                    expected = evaluate([one])[0]
                    self.require_same(one, expected, result, f"result {number}")

    @rule
    def test_e17_takes_an_empty_job(self) -> None:
        """A job without circuits has no entries, and is no error."""
        with self.session() as session:
            session.run([])

    @rule
    def test_e18_forms_results_as_pennylane(self) -> None:
        """Results are nested, shaped and typed as PennyLane's `Device.execute` does."""
        bound = self.bind()
        circuits = [*self.make_circuits(), *several_measurements()[:2]]
        if bound.capabilities.computes:
            circuits += several_measurements()[2:]
        for shots in self.all_shots(bound):
            wanted = self.taken(bound, circuits, shots)
            with self.session(bound) as session:
                results = session.results(wanted)
            for one, expected, seen in zip(
                wanted, evaluate(wanted), results, strict=True
            ):
                found = odd_form(expected, seen)
                require(
                    found is None,
                    expected=f"a result formed like {expected!r} for {shown(one)}",
                    seen=found or "",
                )

    @rule
    def test_e19_changes_nothing(self) -> None:
        """The circuits of a job and the executor are afterwards what they were."""
        bound = self.bind()
        before = pickle.dumps(bound), hash(bound)
        measure = self.measurement(bound, self.main_shots(bound))
        array = circuit([qml.RY(np.array(0.8), 0), qml.RX(0.1, 0)], [measure()])
        for shots in self.all_shots(bound):
            wanted = self.taken(bound, [*self.make_circuits(), array], shots)
            originals = pickle.loads(pickle.dumps(wanted))  # arrays are copied, too
            with self.session(bound) as session:
                session.run(wanted)
            found = difference(originals, wanted, "circuits")
            if found is not None:
                raise RuleBroken(found.expected, found.seen, "Change a copy.")
        after = pickle.loads(before[0])
        require(
            after == bound and hash(bound) == before[1],
            expected=f"the executor to stay {after!r}",
            seen=f"{bound!r}",
        )

    @rule
    def test_e20_tells_plain_facts(self) -> None:
        """The metadata of an `Outcome` are plain numbers and strings."""
        bound = self.bind()
        circuits = self.taken(bound, self.make_circuits(), self.main_shots(bound))
        with self.session(bound) as session:
            entries = session.run(circuits)
        outcomes = [entry for entry in entries if isinstance(entry, Outcome)]
        declared("metadata", any(outcome.metadata for outcome in outcomes))
        for outcome in outcomes:
            for name, value in outcome.metadata.items():
                require(
                    type(name) is str and type(value) in _PLAIN,
                    expected="metadata of str, int, float, bool or None by name",
                    seen=f"{name!r}: {value!r} of type {type(value).__name__}",
                    hint="Turn NumPy numbers into Python's, and times into numbers.",
                )

    @value_rule
    def test_e21_fails_alone(self) -> None:
        """A circuit that it cannot run is refused or fails alone, with a message."""
        bound = self.bind()
        declared("computes", bound.capabilities.computes)
        shots = self.main_shots(bound)
        measure = self.measurement(bound, shots)
        good = self.taken(bound, certain_circuits(measure)[1:4], shots)
        bad = circuit([*entangled(), Unrunnable(0)], [measure()], shots)
        if bound.refuse(bad) is None:
            with self.session(bound) as session:
                entries = session.run([good[0], bad, good[1]])
                _require_failed(entries.pop(1), bad)
                entries += session.run(good[2:])
        else:
            with self.session(bound) as session:
                entries = session.run(good)
        for one, entry in zip(good, entries, strict=True):
            self.require_entry(one, entry)

    def require_entry(self, one: Any, entry: Any) -> None:
        """Fail unless an entry holds the result of a circuit without chance."""
        self.require_same(one, evaluate([one])[0], result_of(entry, one))


def _require_failed(entry: Any, bad: Any) -> None:
    require(
        isinstance(entry, Exception),
        expected=f"an exception, in its place, for {shown(bad)}",
        seen=f"the result {entry!r}",
        hint="Fail rather than leave out an operator that the backend does not know.",
    )
    require(
        str(entry).strip(),
        expected="an exception that says why the circuit cannot be run",
        seen=f"{type(entry).__name__} without a message",
    )

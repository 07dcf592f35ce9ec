"""Executor rules E8 to E13: what an executor says of itself."""

from __future__ import annotations

import unittest
from collections.abc import Mapping
from typing import Any, Final

import pennylane as qml

from qelectron_core.contracts import Capabilities, Executor, Limits
from qelectron_core.testing.conformance.circuits import (
    Unrunnable,
    any_circuits,
    circuit,
    entangled,
    with_shots,
)
from qelectron_core.testing.conformance.executor_kit import ExecutorKit
from qelectron_core.testing.conformance.reference import shown
from qelectron_core.testing.conformance.rules import (
    calling,
    declared,
    require,
    rule,
)

#: A measurement of every kind, and whether it needs shots.
MEASUREMENTS: Final[Mapping[str, tuple[Any, bool]]] = {
    "ExpectationMP": (qml.expval(qml.Z(0)), False),
    "VarianceMP": (qml.var(qml.Z(0)), False),
    "ProbabilityMP": (qml.probs(wires=[0, 1]), False),
    "SampleMP": (qml.sample(wires=[0, 1]), True),
    "CountsMP": (qml.counts(wires=[0, 1]), True),
    "StateMP": (qml.state(), False),
    "DensityMatrixMP": (qml.density_matrix([0]), False),
    "PurityMP": (qml.purity([0]), False),
    "VnEntropyMP": (qml.vn_entropy([0]), False),
    "MutualInfoMP": (qml.mutual_info([0], [1]), False),
    "ClassicalShadowMP": (qml.classical_shadow([0, 1]), True),
    "ShadowExpvalMP": (qml.shadow_expval(qml.Z(0)), True),
}
_EXTEND: Final = "If you override refuse, start it with `super().refuse(circuit) or …`."


class PromiseRules(ExecutorKit):
    """Capabilities, limits, and what is refused."""

    @rule
    def test_e08_states_valid_numbers(self) -> None:
        """`capabilities`, `limits`, `concurrency`, `gathers` and `payload_bytes` are valid."""  # noqa: E501
        bound = self.bind()
        with calling("capabilities, limits, concurrency"):
            able: Any = bound.capabilities  # a plugin may be wrong about its types
            limits, concurrency = bound.limits, bound.concurrency
        require(
            isinstance(able, Capabilities) and (able.exact or able.samples),
            expected="ct.Capabilities that are exact, or sample, or both",
            seen=able,
        )
        require(isinstance(limits, Limits), expected="limits: ct.Limits", seen=limits)
        require(
            concurrency is None or _is_count(concurrency),
            expected="a concurrency of 1 or more, or None",
            seen=concurrency,
        )
        for one in self.make_circuits():
            with calling(f"gathers of {shown(one)}"):
                bool(bound.gathers(one))
            with calling(f"payload_bytes of {shown(one)}"):
                size = bound.payload_bytes(one)
            require(_is_count(size), expected="payload_bytes of 1 or more", seen=size)

    @rule
    def test_e09_refuses_with_a_sentence(self) -> None:
        """`refuse` returns `None` or a sentence for every circuit, and never raises."""
        bound = self.bind()
        odd = circuit([Unrunnable(0)], [qml.expval(qml.Z(0))])
        for one in [*any_circuits(), odd]:
            with calling(f"refuse of {shown(one)}"):
                reason: Any = bound.refuse(one)
            require(
                reason is None or (isinstance(reason, str) and reason.strip()),
                expected=f"None or a sentence from refuse of {shown(one)}",
                seen=reason,
            )

    @rule
    def test_e10_refuses_shots_it_does_not_declare(self) -> None:
        """Circuits with shots, or without, are refused unless it declares them."""
        bound = self.bind()
        able = bound.capabilities
        if able.exact and able.samples:
            raise unittest.SkipTest("it takes circuits with shots and without")
        shots = self.finite_shots(bound) if able.exact else None
        (one,) = with_shots(self.make_circuits()[:1], shots)
        _require_refused(bound, one, "samples" if able.exact else "exact")

    @rule
    def test_e11_refuses_too_many_wires(self) -> None:
        """A circuit of `max_wires` is taken, and one with a wire more is refused."""
        bound = self.bind()
        most = bound.capabilities.max_wires
        declared("max_wires", most is not None)
        for wires in (int(most or 0), int(most or 0) + 1):
            gates = [qml.X(wire) for wire in range(wires)]
            shots = self.main_shots(bound)
            one = circuit(gates, [self.measurement(bound, shots)()], shots)
            if wires == most:
                _require_taken(bound, one, f"max_wires={most}")
            else:
                _require_refused(bound, one, f"more than max_wires={most}")

    @rule
    def test_e12_refuses_other_measurements(self) -> None:
        """Where it names `measurements`, those are taken and all others refused."""
        bound = self.bind()
        named = bound.capabilities.measurements
        declared("measurements", named is not None)
        for name, (measurement, needs_shots) in MEASUREMENTS.items():
            shots = self.main_shots(bound)
            if needs_shots:
                shots = self.finite_shots(bound)
            if shots and not bound.capabilities.samples:
                continue
            one = circuit(entangled(), [measurement], shots)
            if name in (named or ()):
                _require_taken(bound, one, name)
            else:
                _require_refused(bound, one, name)

    @rule
    def test_e13_takes_what_it_declares(self) -> None:
        """It takes plain circuits, exact or sampled, as it declares."""
        bound = self.bind()
        for shots in self.all_shots(bound):
            wanted = with_shots(self.make_circuits(), shots)
            reasons = [bound.refuse(one) for one in wanted]
            require(
                None in reasons,
                expected=f"one of {len(wanted)} plain circuits to be taken",
                seen=f"all are refused: {reasons[:1]}",
                hint="Override make_circuits with circuits that it takes.",
            )


def _require_refused(bound: Executor, one: Any, capability: str) -> None:
    require(
        bound.refuse(one) is not None,
        expected=f"refuse to give a reason: {capability} is not declared",
        seen=f"None for {shown(one)[:200]}",
        hint=_EXTEND,
    )


def _require_taken(bound: Executor, one: Any, capability: str) -> None:
    reason = bound.refuse(one)
    require(
        reason is None,
        expected=f"{shown(one)[:200]} to be taken: {capability} is declared",
        seen=f"refused: {reason}",
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0

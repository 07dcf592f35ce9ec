"""Executor rules E43 to E47: derivatives, arrays, full jobs, registration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

from qelectron_core.testing.conformance.circuits import ANGLES, circuit, entangled
from qelectron_core.testing.conformance.executor_kit import ExecutorKit
from qelectron_core.testing.conformance.reference import EXACT, evaluate, mismatch
from qelectron_core.testing.conformance.rules import (
    calling,
    declared,
    require,
    rule,
    value_rule,
)


class MoreRules(ExecutorKit):
    """What only some executors can do."""

    @value_rule
    def test_e43_device_derivatives_are_right(self) -> None:
        """Where it supports derivatives of its own, they are those of the reference."""
        bound = self.bind()
        one = circuit(entangled(), [qml.expval(qml.Z(0))])
        offered = [
            method
            for method in ("adjoint", "device")
            if self._supports(bound, method, None)
            and self._supports(bound, method, one)
        ]
        declared("derivatives", offered)
        for method in offered:
            self._require_gradient(method)

    @value_rule
    def test_e44_tensors_pass_through(self) -> None:
        """Where it declares `in_process`, tensors pass through it differentiably."""
        bound = self.bind()
        one = circuit(entangled(), [qml.expval(qml.Z(0))])
        offered = self._supports(bound, "backprop", one)
        require(
            bound.capabilities.in_process or not offered,
            expected="backprop from an executor that declares in_process",
            seen="supports_derivatives('backprop') without in_process",
        )
        declared("in_process", bound.capabilities.in_process)
        declared("backprop", offered)
        self._require_gradient("backprop")

    @value_rule
    def test_e45_takes_arrays_of_parameters(self) -> None:
        """Where it declares `broadcasting`, arrays of parameters give arrays."""
        executor = self.make_plain()
        declared("broadcasting", executor.capabilities.broadcasting)
        declared("computes", executor.capabilities.computes)
        exact = executor.capabilities.exact
        angles = np.array(ANGLES[:3] if exact else [0.0, np.pi, 0.0])
        gates = [qml.RX(angles, 0), qml.CNOT([0, 1])]
        wanted = [
            circuit(gates, [qml.expval(qml.Z(0))]),
            circuit(gates, [qml.probs(wires=[1, 0])]),
            circuit(gates, [qml.expval(qml.Z(1)), qml.probs(wires=[0])]),
        ]
        bound = self.bind(executor)
        wanted = self.taken(bound, wanted, self.main_shots(bound))
        with self.session(bound) as session:
            results = session.results(wanted)
        for one, expected, seen in zip(wanted, evaluate(wanted), results, strict=True):
            self.require_same(one, expected, seen)

    @rule
    def test_e46_takes_a_full_job(self) -> None:
        """A job as large as its `limits` is taken."""
        bound = self.bind()
        limits, shots = bound.limits, self.main_shots(bound)
        bounded = limits.circuits_per_job or limits.shots_per_job
        declared("limits", bounded or limits.payload_bytes_per_job)
        one = self.taken(bound, self.make_circuits(), shots)[0]
        most = min(limits.circuits_per_job or self.largest_job, self.largest_job)
        with self.session(bound) as session:
            session.results([one] * most)
            if limits.shots_per_job and bound.capabilities.samples:
                session.results([one.copy(shots=limits.shots_per_job)])

    @rule
    def test_e47_is_registered_by_name(self) -> None:
        """Registering it imports neither its module nor PennyLane."""
        self.require_light_registration()

    def _supports(self, bound: Any, method: str, one: Any) -> bool:
        with calling(f"supports_derivatives({method!r}, ...)"):
            answer: Any = bound.supports_derivatives(method, one)
        require(
            isinstance(answer, (bool, np.bool_)),
            expected=f"True or False from supports_derivatives({method!r}, ...)",
            seen=answer,
        )
        return bool(answer)

    def _require_gradient(self, method: str) -> None:
        def quantum(angles: Any) -> Any:
            qml.RX(angles[0], 0)
            qml.RY(angles[1], 1)
            qml.CNOT([0, 1])
            qml.RX(angles[2], 1)
            return qml.expval(qml.Z(0) @ qml.Z(1))

        executor = self.make_called()
        differentiated, _ = self.qelectron(
            quantum, executor, wires=2, diff_method=method
        )
        qnode = qml.QNode(quantum, qml.device("default.qubit", wires=2))
        angles = pnp.array(ANGLES[:3], requires_grad=True)
        with calling(f"the gradient of a QElectron with diff_method={method!r}"):
            seen = qml.grad(differentiated)(angles)
        expected = qml.grad(qnode)(angles)
        found = mismatch(expected, seen, EXACT + self.noise)
        require(
            found is None,
            expected=f"the gradient {expected} with diff_method={method!r}",
            seen=found or "",
        )

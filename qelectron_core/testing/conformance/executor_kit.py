"""What the groups of executor rules share."""

from __future__ import annotations

import contextlib
import unittest
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import attrs
import numpy as np
import pennylane as qml
from pennylane.devices import Device
from pennylane.measurements import CountsMP, SampleMP
from pennylane.tape import QuantumScript

import qelectron_core as ct
from qelectron_core.contracts import Executor
from qelectron_core.recording import install
from qelectron_core.registry import Kind
from qelectron_core.runtime import runtime
from qelectron_core.testing.conformance import circuits as examples
from qelectron_core.testing.conformance.kit import Kit
from qelectron_core.testing.conformance.reference import (
    EXACT,
    estimates,
    evaluate,
    mismatch,
    shown,
    told_by,
)
from qelectron_core.testing.conformance.rules import calling, require
from qelectron_core.testing.conformance.session import Session

#: What circuits may measure, the most telling first.
_MEASUREMENTS: tuple[Callable[..., Any], ...] = (
    lambda: qml.expval(qml.Z(0)),
    lambda: qml.probs(wires=[0]),
    lambda: qml.counts(wires=[0]),
    lambda: qml.sample(wires=[0]),
)


class ExecutorKit(Kit):
    """How executors are made, opened, and asked for results.

    Attributes:
        shots: Shots of each sampled circuit.
        noise: How far a result may be off beyond the noise of shots, for machines
            that are not perfect.
        largest_job: Most circuits that the rules put into one job.
    """

    kind: ClassVar[Kind] = "executor"
    shots: ClassVar[int] = 10_000
    noise: ClassVar[float] = 0.0
    largest_job: ClassVar[int] = 100
    _used: tuple[Executor, ...] = ()

    def make(self) -> Executor:
        """Return the executor, made anew each time, with equal options."""
        executor: Executor = super().make()
        return executor

    def make_circuits(self) -> Sequence[QuantumScript]:
        """Return circuits, without shots, that it is sure to take.

        Plain gates, with a measurement that it declares. Overridden for backends
        that do not take those.
        """
        circuits = examples.plain_circuits()
        named = self.make().capabilities.measurements
        if named is None or "ExpectationMP" in named:
            return circuits
        kinds = [qml.probs(wires=[0]), qml.counts(wires=[0]), qml.sample(wires=[0])]
        kind = next((one for one in kinds if type(one).__name__ in named), kinds[0])
        return [one.copy(measurements=[kind]) for one in circuits]

    def make_device(self) -> Device:
        """Return the device of the QNode whose circuits it is to run."""
        return qml.device("default.qubit")

    def make_plain(self) -> Executor:
        """Return the executor, told to keep the shots of each circuit."""
        return attrs.evolve(self.make(), shots="qnode")

    def make_called(self) -> Executor:
        """Return the executor as QElectrons have it: exact, if it can be."""
        executor = self.make_plain()
        if executor.capabilities.exact and executor.default_shots is not None:
            return attrs.evolve(executor, shots=None)
        return executor

    def bind(self, executor: Executor | None = None) -> Executor:
        """Return an executor, or a new one, as it is adapted to a QNode's device."""
        install()  # PennyLane's queue is not safe from threads as it is
        executor = self.make_plain() if executor is None else executor
        with calling("for_device(device)"):
            return executor.for_device(self.make_device())

    def open(self, bound: Executor) -> Session:
        """Open an executor that was adapted to a device."""
        return Session(bound)

    @contextmanager
    def session(self, bound: Executor | None = None) -> Iterator[Session]:
        """Open an executor for the length of a `with` block."""
        opened = self.open(self.bind() if bound is None else bound)
        try:
            yield opened
        finally:
            opened.close()

    def finite_shots(self, executor: Executor) -> int:
        """Return the shots of each sampled circuit: no more than fit into a job."""
        return min(self.shots, executor.limits.shots_per_job or self.shots)

    def main_shots(self, executor: Executor) -> int | None:
        """Return `None` if it gives exact results, else the shots to use."""
        return None if executor.capabilities.exact else self.finite_shots(executor)

    def all_shots(self, executor: Executor) -> list[int | None]:
        """Return the shots to use for each way to run that it declares."""
        able = executor.capabilities
        return [None] * able.exact + [self.finite_shots(executor)] * able.samples

    def taken(
        self, bound: Executor, circuits: Iterable[QuantumScript], shots: Any
    ) -> list[QuantumScript]:
        """Return those of some circuits, with these shots, that it does not refuse.

        Raises:
            SkipTest: If it refuses all of them.
        """
        wanted = examples.with_shots(circuits, shots)
        reasons = {id(circuit): bound.refuse(circuit) for circuit in wanted}
        kept = [circuit for circuit in wanted if reasons[id(circuit)] is None]
        if not kept:
            reason = next(iter(reasons.values()))
            raise unittest.SkipTest(f"it refuses all of them: {reason}")
        return kept

    def measurement(self, bound: Executor, shots: Any) -> Callable[[], Any]:
        """Return what makes a measurement of wire 0 that it does not refuse."""
        for make in _MEASUREMENTS:
            circuit = examples.circuit([qml.X(0)], [make()], shots)
            needs_shots = isinstance(make(), (SampleMP, CountsMP))
            if bound.refuse(circuit) is None and (shots or not needs_shots):
                return make
        raise unittest.SkipTest("it refuses expectations, probabilities and samples")

    def qelectron(
        self, function: Any, executor: Executor, *, wires: Any = None, **options: Any
    ) -> tuple[Any, Any]:
        """Return a QElectron, and the QNode on `default.qubit` that it is to equal.

        Args:
            function: The quantum function.
            executor: What runs the circuits.
            wires: Wires of the QNode's device.
            options: Further options of the QNode.
        """
        device = qml.device("default.qubit", wires=wires)
        qnode = qml.QNode(function, device, **options)
        if not executor.capabilities.exact:
            qnode = qml.set_shots(qnode, self.finite_shots(executor))
        self._used = (*self._used, executor)
        return ct.qelectron(qnode, executors=executor), qnode

    def tidy(self) -> None:
        """Close what QElectrons left open."""
        used, self._used = self._used, ()
        for executor in used:
            with contextlib.suppress(Exception):
                runtime().close(executor)

    def require_right(
        self, executor: Executor, circuits: Iterable[QuantumScript], shots: Any
    ) -> None:
        """Fail unless the results of circuits are those of the reference.

        Circuits that the executor refuses are left out.
        """
        bound = self.bind(executor)
        wanted = self.taken(bound, circuits, shots)
        with self.session(bound) as session:
            results = session.results(wanted)
        for circuit, result in zip(wanted, results, strict=True):
            self.require_close(circuit, result)

    def require_close(self, circuit: QuantumScript, result: Any) -> None:
        """Fail unless the result of one circuit is that of the reference."""
        if circuit.shots:
            self._require_estimates(circuit, result)
        else:
            self.require_same(circuit, evaluate([circuit])[0], result)

    def require_same(
        self, circuit: QuantumScript, expected: Any, seen: Any, where: str = "it"
    ) -> None:
        """Fail unless a result is what is expected, exactly but for noise."""
        slack = EXACT + self.noise
        found = mismatch(expected, seen, slack, where)
        require(
            found is None,
            expected=f"{_plain(expected)} within {slack:g} for {shown(circuit)}",
            seen=found or "",
        )

    def _require_estimates(self, circuit: QuantumScript, result: Any) -> None:
        parts = (result,) if len(circuit.measurements) == 1 else result
        told = zip(circuit.measurements, estimates(circuit), parts, strict=True)
        for measurement, estimate, part in told:
            seen = told_by(measurement, part)
            require(
                not estimate.misses(seen, EXACT + self.noise),
                expected=(
                    f"{_plain(estimate.mean)} within 5 standard errors, "
                    f"{_plain(estimate.error)}, for {measurement} of {shown(circuit)}"
                ),
                seen=_plain(seen),
            )


def _plain(value: Any) -> str:
    """Return numbers without the names of their types."""
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_plain, value))})"
    if isinstance(value, dict):
        return str({str(key): int(count) for key, count in value.items()})
    return np.array2string(np.asarray(value), precision=4)

"""The executor kit catches what is broken, and lets pass what is not.

For every rule there is an executor that breaks it, each in a way that an author might,
and one that keeps it.
"""

from __future__ import annotations

import datetime
import itertools
import re
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

import attrs
import numpy as np
import pennylane as qml
import pytest
from pennylane.devices import ExecutionConfig
from pennylane.math import Interface
from pennylane.tape import QuantumScript

import qelectron_core as ct
from qelectron_core.testing import ExecutorConformance, check
from qelectron_core.testing.conformance import rules_of

#: Rules about files, tested with the kit itself.
ON_DISK = {"E4", "E47"}
CASES: list[Any] = []


def breaks(rule: str, says: str, **attributes: Any) -> Callable[[Any], Any]:
    """Note that a plugin breaks a rule, and what the failure must say."""

    def note(plugin: Any) -> Any:
        make: Callable[[], Any] = plugin if isinstance(plugin, type) else lambda: plugin
        members = {"make": lambda _: make(), **attributes}
        kit = type("Kit", (ExecutorConformance,), members)
        CASES.append(pytest.param(rule, kit, says, id=f"{rule}-{plugin.__name__}"))
        return plugin

    return note


# Good ones.
@attrs.frozen
class Good(ct.Executor):
    """Computes with `default.qubit`, one circuit after the other."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(
        seeded=True, broadcasting=True
    )

    token: str | None = attrs.field(default=None, repr=False)
    wires: tuple[Any, ...] | None = None

    def for_device(self, device: Any) -> Any:
        wires = None if device.wires is None else tuple(device.wires)
        return attrs.evolve(self, wires=wires)

    def run(self, job: ct.Job) -> Any:
        return [self.entry(circuit, seed.to_int()) for circuit, seed in job]

    def entry(self, circuit: QuantumScript, seed: int) -> Any:
        try:
            return self.result(circuit, seed)
        except Exception as error:
            return error

    def result(self, circuit: QuantumScript, seed: int) -> Any:
        device = qml.device("default.qubit", wires=self.wires, seed=seed)
        return qml.execute([circuit], device, diff_method=None)[0]


@attrs.frozen
class ExactOnly(Good):
    """Gives exact results, of few wires and measurements, with metadata."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(
        samples=False,
        max_wires=3,
        measurements=frozenset({"ExpectationMP", "ProbabilityMP"}),
    )

    @property
    def limits(self) -> ct.Limits:
        return ct.Limits(circuits_per_job=4, payload_bytes_per_job=100_000)

    def entry(self, circuit: QuantumScript, seed: int) -> Any:
        entry = super().entry(circuit, seed)
        metadata = {"seconds": 0.5, "mode": "exact"}
        return entry if isinstance(entry, Exception) else ct.Outcome(entry, metadata)


@attrs.frozen
class SampledOnly(Good):
    """Takes few shots only, as hardware does, and knows counts only."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(
        exact=False, measurements=frozenset({"CountsMP"})
    )

    @property
    def limits(self) -> ct.Limits:
        return ct.Limits(circuits_per_job=3, shots_per_job=4_000)

    def run(self, job: ct.Job) -> Any:
        shots = sum(circuit.shots.total_shots or 0 for circuit in job.circuits)
        if len(job) > 3 or shots > 4_000:
            raise ValueError(f"{len(job)} circuits with {shots} shots are too many")
        return super().run(job)


@attrs.frozen
class Differentiating(Good):
    """Computes derivatives, and lets tensors pass."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(
        samples=False, in_process=True
    )
    factor: float = 1.0

    def supports_derivatives(
        self, method: str, circuit: QuantumScript | None = None
    ) -> bool:
        return method in ("adjoint", "backprop") and not (circuit and circuit.shots)

    def run(self, job: ct.Job) -> Any:
        if job.settings.gradient_method is None:
            return super().run(job)
        return [self.differentiated(circuit, job.settings) for circuit in job.circuits]

    def differentiated(self, circuit: QuantumScript, settings: ct.Settings) -> Any:
        device = qml.device("default.qubit", wires=self.wires)
        config = ExecutionConfig(
            interface=Interface(settings.interface),
            gradient_method=settings.gradient_method,
            use_device_gradient=True,
            use_device_jacobian_product=False,
            grad_on_execution=settings.derivatives,
        )
        if not settings.derivatives:
            return device.execute((circuit,), config)[0]
        (result,), (jacobian,) = device.execute_and_compute_derivatives(
            (circuit,), config
        )
        return result, tuple(self.factor * part for part in jacobian)


@attrs.frozen
class AdjointOnly(Differentiating):
    """Computes derivatives elsewhere; its states are density matrices."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(samples=False)

    def supports_derivatives(
        self, method: str, circuit: QuantumScript | None = None
    ) -> bool:
        return method == "adjoint" and super().supports_derivatives(method, circuit)

    def result(self, circuit: QuantumScript, seed: int) -> Any:
        result = super().result(circuit, seed)
        is_state = type(circuit.measurements[0]) is qml.measurements.StateMP
        return np.outer(result, np.conj(result)) if is_state else result


@attrs.frozen
class Constant(ct.Executor):
    """Computes nothing, and says so."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(computes=False)

    def run(self, job: ct.Job) -> Any:
        return [self._answer(circuit) for circuit in job.circuits]

    def _answer(self, circuit: QuantumScript) -> Any:
        count = len(circuit.measurements)
        one = 0.5 if count == 1 else (0.5,) * count
        shots = circuit.shots
        return (one,) * shots.num_copies if shots.has_partitioned_shots else one


GOOD_EXECUTORS = (
    *(Good, ExactOnly, SampledOnly),
    *(Differentiating, AdjointOnly, Constant),
)


# Values.
@breaks("E1", "are not")
@attrs.frozen
class Numbered(Good):
    number: int = attrs.field(factory=itertools.count().__next__)


@breaks("E1", "are not")
@attrs.frozen(eq=False)
class EqualToNone(Good):
    __eq__ = object.__eq__
    __hash__ = object.__hash__


@breaks("E1", "unhashable type: 'list'")
@attrs.frozen
class WithList(Good):
    backends: Any = attrs.field(factory=lambda: ["a", "b"])


@breaks("E1", "equal hashes")
@attrs.frozen
class WithOddHash(Good):
    def __hash__(self) -> int:
        return id(self)


@breaks("E2", "it was set without a word")
@attrs.frozen
class Melting(Good):
    pass


Melting.__setattr__ = object.__setattr__  # type: ignore[method-assign]  # on purpose

LOCK = threading.Lock()


@breaks("E3", "cannot pickle")
@attrs.frozen
class WithLock(Good):
    lock: Any = LOCK


@breaks("E3", "to be equal")
@attrs.frozen
class Forgetful(Good):
    level: int = 3

    def __reduce__(self) -> Any:
        return Forgetful, (None, None, 0)


@breaks("E5", "'api_token'")
@attrs.frozen
class Telltale(Good):
    api_token: str | None = None


@breaks("E5", "'password'")
@attrs.frozen
class TelltaleInWords(Good):
    password: str = attrs.field(
        default="pa55word", repr=False, validator=attrs.validators.max_len(8)
    )

    def __str__(self) -> str:
        return f"as somebody with {self.password}"


@breaks("E6", "it was accepted")
@attrs.frozen
class Swallowing(Good):
    def __new__(cls, *_args: Any, **_options: Any) -> Any:
        return object.__new__(cls)

    def __init__(self, **_options: Any) -> None:
        Good.__init__(self)


@breaks("E6", "unexpected keyword")
@attrs.frozen
class Terse(Good):
    def __new__(cls, *_args: Any, **_options: Any) -> Any:
        return object.__new__(cls)


@breaks("E6", "seen: ValueError")
@attrs.frozen
class Scolding(Good):
    def __new__(cls, *_args: Any, **options: Any) -> Any:
        if not options.keys() <= {"shots", "seed", "retries", "timeout_s"}:
            raise ValueError("wrong")
        return object.__new__(cls)


@breaks("E7", "are not")
@attrs.frozen
class NewForEachDevice(Good):
    device: Any = None

    def for_device(self, device: Any) -> Any:
        return attrs.evolve(self, device=device)


@breaks("E7", "to be kept")
@attrs.frozen
class ForgettingShots(Good):
    def for_device(self, device: Any) -> Any:
        return ForgettingShots(seed=5)


@breaks("E7", "to return an executor")
@attrs.frozen
class BoundToNothing(Good):
    def for_device(self, device: Any) -> Any:
        return None


# Promises.
@breaks("E8", "concurrency of 1 or more")
@attrs.frozen
class NeverRunning(Good):
    @property
    def concurrency(self) -> int:
        return 0


@breaks("E8", "limits: ct.Limits")
@attrs.frozen
class OldLimits(Good):
    limits: Any = 100


@breaks("E8", "exact, or sample, or both")
@attrs.frozen
class Incapable(Good):
    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(False, False)


@breaks("E8", "payload_bytes of 1 or more")
@attrs.frozen
class Weightless(Good):
    def payload_bytes(self, circuit: QuantumScript) -> int:
        return 0


@breaks("E8", "ZeroDivisionError")
@attrs.frozen
class GatheringBadly(Good):
    def gathers(self, circuit: QuantumScript) -> bool:
        return bool(1 / 0)


@breaks("E9", "MatrixUndefinedError|has no matrix")
@attrs.frozen
class RaisingRefusal(Good):
    def refuse(self, circuit: QuantumScript) -> str | None:
        for operation in circuit.operations:
            operation.matrix()
        return None


@breaks("E9", "seen: False")
@attrs.frozen
class RefusingWithTrue(Good):
    def refuse(self, circuit: QuantumScript) -> Any:
        return len(circuit.wires) > 3


class Willing(Good):
    """Refuses nothing, whatever it declares."""

    def refuse(self, circuit: QuantumScript) -> str | None:
        return None


@breaks("E10", "samples is not declared")
@attrs.frozen
class ExactButWilling(Willing):
    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(samples=False)


@breaks("E10", "exact is not declared")
@attrs.frozen
class SampledButWilling(Willing):
    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(exact=False)


@breaks("E11", "more than max_wires=3 is not declared")
@attrs.frozen
class SmallButWilling(Willing):
    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(max_wires=3)


@breaks("E11", "max_wires=5 is declared")
@attrs.frozen
class SmallerThanDeclared(Good):
    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(max_wires=5)

    def refuse(self, circuit: QuantumScript) -> str | None:
        return "it has too many wires" if len(circuit.wires) > 4 else None


@breaks("E12", "VarianceMP is not declared")
@attrs.frozen
class MeasuringAnything(Willing):
    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(
        measurements=frozenset({"ExpectationMP"})
    )


@breaks("E12", "ProbabilityMP is declared")
@attrs.frozen
class MeasuringLess(Good):
    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(
        measurements=frozenset({"ExpectationMP", "ProbabilityMP"})
    )

    def refuse(self, circuit: QuantumScript) -> str | None:
        (measurement, *_) = circuit.measurements or (None,)
        known = isinstance(measurement, qml.measurements.ExpectationMP)
        return None if known else "it measures expectation values only"


@breaks("E13", "all are refused: .*not today")
@attrs.frozen
class Unwilling(Good):
    def refuse(self, circuit: QuantumScript) -> str | None:
        return "not today"


# Jobs.
@breaks("E14", r"had not ended after 0\.3 s", deadline_s=0.3)
@attrs.frozen
class Hanging(Good):
    def run(self, job: ct.Job) -> Any:
        threading.Event().wait(20)
        return super().run(job)


@breaks("E15", "entries")
@attrs.frozen
class DroppingOne(Good):
    def run(self, job: ct.Job) -> Any:
        results = super().run(job)
        return results if len(results) == 1 else results[:-1]


@breaks("E15", "generator")
@attrs.frozen
class Generating(Good):
    def run(self, job: ct.Job) -> Any:
        return (self.entry(circuit, seed.to_int()) for circuit, seed in job)


@breaks("E15", "None")
@attrs.frozen
class ReturningNothing(Good):
    def run(self, job: ct.Job) -> Any:
        super().run(job)


@breaks("E16", "result 0")
@attrs.frozen
class Reversing(Good):
    def run(self, job: ct.Job) -> Any:
        return super().run(job)[::-1]


@breaks("E16", "result")
@attrs.frozen
class SortingByStructure(Good):
    """Runs equal structures together, and forgets to sort the results back."""

    def run(self, job: ct.Job) -> Any:
        names = [
            str([op.name for op in circuit.operations]) for circuit in job.circuits
        ]
        order = sorted(range(len(job)), key=names.__getitem__)
        results = super().run(job)
        return [results[number] for number in order]


@breaks("E17", "arg is an empty sequence|empty")
@attrs.frozen
class NeedingCircuits(Good):
    def run(self, job: ct.Job) -> Any:
        assert max(len(circuit.wires) for circuit in job.circuits) < 30
        return super().run(job)


@breaks("E18", "not a tuple of 2")
@attrs.frozen
class Listing(Good):
    def result(self, circuit: QuantumScript, seed: int) -> Any:
        result = super().result(circuit, seed)
        return list(result) if isinstance(result, tuple) else result


@breaks("E18", r"not of shape \(\)")
@attrs.frozen
class Wrapping(Good):
    def result(self, circuit: QuantumScript, seed: int) -> Any:
        result = super().result(circuit, seed)
        return np.array([result]) if isinstance(result, float) else result


@breaks("E18", "not of numbers")
@attrs.frozen
class Complex(Good):
    def result(self, circuit: QuantumScript, seed: int) -> Any:
        result = super().result(circuit, seed)
        return complex(result) if isinstance(result, float) else result


@breaks("E19", r"circuits\[0\]")
@attrs.frozen
class Appending(Good):
    def result(self, circuit: QuantumScript, seed: int) -> Any:
        circuit.operations.append(qml.Barrier(circuit.wires))
        return super().result(circuit, seed)


@breaks("E19", r"circuits\[\d\]")
@attrs.frozen
class RoundingInPlace(Good):
    def result(self, circuit: QuantumScript, seed: int) -> Any:
        for value in circuit.get_parameters(trainable_only=False):
            if isinstance(value, np.ndarray):
                np.round(value, 1, out=value)
                value += 0.1
        return super().result(circuit, seed)


@breaks("E19", "the executor to stay")
@attrs.frozen
class Counting(Good):
    jobs: int = 0

    def run(self, job: ct.Job) -> Any:
        object.__setattr__(self, "jobs", self.jobs + 1)
        return super().run(job)


@attrs.frozen
class Telling(Good):
    """Adds metadata."""

    facts: ClassVar[dict[Any, Any]] = {}

    def entry(self, circuit: QuantumScript, seed: int) -> Any:
        return ct.Outcome(super().entry(circuit, seed), self.facts)


@breaks("E20", "float64")
@attrs.frozen
class TellingNumpy(Telling):
    facts: ClassVar[dict[Any, Any]] = {"seconds": np.float64(0.1)}


@breaks("E20", "datetime")
@attrs.frozen
class TellingTime(Telling):
    facts: ClassVar[dict[Any, Any]] = {"at": datetime.datetime(2026, 1, 1)}


@breaks("E21", "run\\(job\\) of 3 circuits to raise nothing")
@attrs.frozen
class FailingTogether(Good):
    def entry(self, circuit: QuantumScript, seed: int) -> Any:
        return self.result(circuit, seed)


@breaks("E21", "the result")
@attrs.frozen
class LeavingOut(Good):
    def result(self, circuit: QuantumScript, seed: int) -> Any:
        known = [op for op in circuit.operations if op.has_matrix]
        return super().result(circuit.copy(operations=known), seed)


@breaks("E21", "without a message")
@attrs.frozen
class Silent(Good):
    def entry(self, circuit: QuantumScript, seed: int) -> Any:
        entry = super().entry(circuit, seed)
        return RuntimeError() if isinstance(entry, Exception) else entry


@breaks("E21", "DeviceError")
@attrs.frozen
class FailingOn(Good):
    """Fails for all circuits after one that failed."""

    def open(self) -> list[Exception]:
        return []

    def run(self, job: ct.Job) -> Any:
        if job.resource:
            return job.resource * len(job)
        entries = super().run(job)
        failed = [entry for entry in entries if isinstance(entry, Exception)]
        job.resource.extend(failed[:1])
        return entries


# Life.
@breaks("E22", "it is")
@attrs.frozen
class SharingScratch(Good):
    """Keeps the job that it runs where all threads see it."""

    scratch: ClassVar[dict[str, Any]] = {}

    @property
    def concurrency(self) -> int:
        return 4

    def run(self, job: ct.Job) -> Any:
        self.scratch["job"] = job
        time.sleep(0.01)
        return super().run(self.scratch["job"])


@breaks("E23", "another thread")
@attrs.frozen
class BoundToThread(Good):
    def open(self) -> int:
        return threading.get_ident()

    def run(self, job: ct.Job) -> Any:
        if job.resource != threading.get_ident():
            raise RuntimeError("this was opened in another thread")
        return super().run(job)


@breaks("E24", "the connection is closed")
@attrs.frozen
class SharingConnection(Good):
    """Has one connection for all workers, which the first to end closes."""

    connection: ClassVar[dict[str, bool]] = {"open": False}

    def open(self) -> Any:
        self.connection["open"] = True

    def close(self, resource: Any) -> None:
        self.connection["open"] = False

    def run(self, job: ct.Job) -> Any:
        if not self.connection["open"]:
            raise RuntimeError("the connection is closed")
        return super().run(job)


@breaks("E25", "it was closed for good")
@attrs.frozen
class OpenedOnce(Good):
    state: ClassVar[dict[str, bool]] = {"closed": False}

    def open(self) -> Any:
        if self.state["closed"]:
            raise RuntimeError("it was closed for good")

    def close(self, resource: Any) -> None:
        self.state["closed"] = True


@breaks("E25", "0 calls of close")
@attrs.frozen
class KeptOpen(Good):
    def __exit__(self, *_: object) -> None:
        pass


@breaks("E26", "map")
@attrs.frozen
class RememberingAnswers(Good):
    """Answers circuits of equal gates alike, whatever their parameters."""

    answers: ClassVar[dict[str, Any]] = {}

    def result(self, circuit: QuantumScript, seed: int) -> Any:
        key = str([op.name for op in circuit.operations])
        return self.answers.setdefault(key, super().result(circuit, seed))


# Results.
@attrs.frozen
class Changing(Good):
    """Changes circuits before it runs them."""

    def result(self, circuit: QuantumScript, seed: int) -> Any:
        return super().result(self.changed(circuit), seed)

    def changed(self, circuit: QuantumScript) -> QuantumScript:
        raise NotImplementedError


@breaks("E27", "it is")
@attrs.frozen
class TurningBackwards(Changing):
    def changed(self, circuit: QuantumScript) -> QuantumScript:
        turned = [
            qml.RX(-op.data[0], op.wires) if op.name == "RX" else op
            for op in circuit.operations
        ]
        return circuit.copy(operations=turned)


@breaks("E28", "it is")
@attrs.frozen
class Deviating(Good):
    def result(self, circuit: QuantumScript, seed: int) -> Any:
        result = super().result(circuit, seed)
        is_variance = isinstance(circuit.measurements[0], qml.measurements.VarianceMP)
        return np.sqrt(result) if is_variance else result


@breaks("E29", "it")
@attrs.frozen
class LastMeasurementFirst(Good):
    def result(self, circuit: QuantumScript, seed: int) -> Any:
        result = super().result(circuit, seed)
        return result[::-1] if len(circuit.measurements) == 2 else result


def with_measurements(circuit: QuantumScript, change: Callable[[Any], Any]) -> Any:
    """Return a circuit with its measurements changed."""
    return circuit.copy(measurements=[change(mp) for mp in circuit.measurements])


@breaks("E30", "it is")
@attrs.frozen
class SortingWires(Changing):
    """Measures wires in an order of its own."""

    def changed(self, circuit: QuantumScript) -> QuantumScript:
        def measure(mp: Any) -> Any:
            if mp.obs is not None or not isinstance(mp, qml.measurements.ProbabilityMP):
                return mp
            return qml.probs(wires=sorted(mp.wires, key=str))

        return with_measurements(circuit, measure)


@breaks("E30", "integer wires only")
@attrs.frozen
class NumberingWires(Changing):
    def changed(self, circuit: QuantumScript) -> QuantumScript:
        if any(not isinstance(wire, int) for wire in circuit.wires):
            raise ValueError("integer wires only")
        return circuit


@breaks("E31", "it is")
@attrs.frozen
class PlainGatesOnly(Changing):
    """Knows plain gates only, and leaves the others out."""

    def changed(self, circuit: QuantumScript) -> QuantumScript:
        plain = {"RX", "RY", "CNOT", "Rot"}
        kept = [op for op in circuit.operations if op.name in plain]
        return circuit.copy(operations=kept)


@breaks("E32", "it is")
@attrs.frozen
class FirstTermOnly(Changing):
    def changed(self, circuit: QuantumScript) -> QuantumScript:
        def first(mp: Any) -> Any:
            if not isinstance(mp.obs, qml.ops.Sum):
                return mp
            coefficients, terms = mp.obs.terms()
            return qml.expval(coefficients[0] * terms[0])

        return with_measurements(circuit, first)


@breaks("E33", "it is")
@attrs.frozen
class ConjugatingStates(Good):
    def result(self, circuit: QuantumScript, seed: int) -> Any:
        result = super().result(circuit, seed)
        return result if isinstance(result, tuple) else np.conj(result)


@breaks("E34", "on wires 'b', 'c', 'a'")
@attrs.frozen
class MeasuringWiresInUse(Changing):
    """Leaves out the wires on which no gate acts."""

    def changed(self, circuit: QuantumScript) -> QuantumScript:
        used = {wire for op in circuit.operations for wire in op.wires}

        def measure(mp: Any) -> Any:
            if mp.obs is not None or not isinstance(mp, qml.measurements.ProbabilityMP):
                return mp
            return qml.probs(wires=[wire for wire in mp.wires if wire in used])

        return with_measurements(circuit, measure)


@breaks("E34", "on wires 'b', 'c', 'a'")
@attrs.frozen
class MeasuringInAnotherOrder(Changing):
    def changed(self, circuit: QuantumScript) -> QuantumScript:
        def measure(mp: Any) -> Any:
            if mp.obs is not None or not isinstance(mp, qml.measurements.ProbabilityMP):
                return mp
            return qml.probs(wires=sorted(mp.wires, key=str))

        return with_measurements(circuit, measure)


# Samples.
@breaks("E35", "5 standard errors")
@attrs.frozen
class Biased(Changing):
    """Loses a little in each circuit with shots."""

    def changed(self, circuit: QuantumScript) -> QuantumScript:
        if not circuit.shots:
            return circuit
        shifted = [
            type(op)(op.data[0] + 0.15, op.wires) if op.name in ("RX", "RY") else op
            for op in circuit.operations
        ]
        return circuit.copy(operations=shifted)


@attrs.frozen
class ChangingSamples(Good):
    """Changes samples and counts."""

    def result(self, circuit: QuantumScript, seed: int) -> Any:
        result = super().result(circuit, seed)
        (measurement, *more) = circuit.measurements
        if more or circuit.shots.has_partitioned_shots or measurement.obs is not None:
            return result
        if isinstance(measurement, qml.measurements.CountsMP):
            return self.counts(result)
        if isinstance(measurement, qml.measurements.SampleMP):
            return self.samples(result)
        return result

    def counts(self, counts: Any) -> Any:
        return counts

    def samples(self, samples: Any) -> Any:
        return samples


@breaks("E36", "sum up to 10000")
@attrs.frozen
class LosingShots(ChangingSamples):
    def counts(self, counts: Any) -> Any:
        first = next(iter(counts))
        return {**counts, first: counts[first] - 1}


@breaks("E36", "standard errors")
@attrs.frozen
class LastBitFirst(ChangingSamples):
    def counts(self, counts: Any) -> Any:
        return {key[::-1]: count for key, count in counts.items()}


@breaks("E36", "has the key")
@attrs.frozen
class CountingNumbers(ChangingSamples):
    def counts(self, counts: Any) -> Any:
        return {int(key, 2): count for key, count in counts.items()}


@breaks("E36", "not an integer")
@attrs.frozen
class GivingFrequencies(ChangingSamples):
    def counts(self, counts: Any) -> Any:
        total = sum(counts.values())
        return {key: count / total for key, count in counts.items()}


@breaks("E37", "not of shape")
@attrs.frozen
class Transposing(ChangingSamples):
    def samples(self, samples: Any) -> Any:
        return samples.T


@breaks("E37", "standard errors")
@attrs.frozen
class LastColumnFirst(ChangingSamples):
    def samples(self, samples: Any) -> Any:
        return samples[:, ::-1]


@breaks("E38", "not a tuple of 4")
@attrs.frozen
class PoolingShots(Good):
    """Returns one number for a shot vector."""

    def result(self, circuit: QuantumScript, seed: int) -> Any:
        return super().result(circuit.copy(shots=circuit.shots.total_shots), seed)


@breaks("E39", "70 shots")
@attrs.frozen
class ShotsOfTheFirst(Good):
    def run(self, job: ct.Job) -> Any:
        shots = job.circuits[0].shots if job.circuits else None
        return [self.entry(c.copy(shots=shots), s.to_int()) for c, s in job]


@breaks("E40", "1 different results")
@attrs.frozen
class OneSeedPerJob(Good):
    def run(self, job: ct.Job) -> Any:
        return [self.entry(circuit, job.seeds[0].to_int()) for circuit in job.circuits]


@breaks("E40", "1 different results")
@attrs.frozen
class CachingSamples(Good):
    """Reuses the samples of equal circuits."""

    def run(self, job: ct.Job) -> Any:
        known: dict[Any, Any] = {}
        for circuit, seed in job:
            if circuit.hash not in known:
                known[circuit.hash] = self.entry(circuit, seed.to_int())
        return [known[circuit.hash] for circuit in job.circuits]


@breaks("E41", "they differ")
@attrs.frozen
class IgnoringSeeds(Good):
    def result(self, circuit: QuantumScript, seed: int) -> Any:
        return super().result(circuit, uuid.uuid4().int % 2**62)


@breaks("E41", "they differ")
@attrs.frozen
class SeededByPlace(Good):
    """Seeds the job, so that samples depend on what else is in it."""

    def run(self, job: ct.Job) -> Any:
        random = np.random.default_rng(job.seeds[0].to_int() if job.seeds else 0)
        return [self.entry(c, int(random.integers(2**60))) for c in job.circuits]


@breaks("E42", "ordinals")
@attrs.frozen
class IgnoringOrdinals(Good):
    def run(self, job: ct.Job) -> Any:
        return [self.entry(circuit, seed.entropy) for circuit, seed in job]


@breaks("E42", "entropies")
@attrs.frozen
class IgnoringEntropies(Good):
    def run(self, job: ct.Job) -> Any:
        return [self.entry(circuit, seed.ordinal) for circuit, seed in job]


# What only some can.
@breaks("E43", "the gradient")
@attrs.frozen
class DoublingDerivatives(Differentiating):
    factor: float = 2.0


@breaks("E43", "True or False")
@attrs.frozen
class UndecidedOnDerivatives(Good):
    def supports_derivatives(self, method: str, circuit: Any = None) -> Any:
        return "perhaps"


@breaks("E44", "the gradient|gradient of a QElectron")
@attrs.frozen
class CuttingTensors(Differentiating):
    """Returns numbers for tensors."""

    def differentiated(self, circuit: QuantumScript, settings: ct.Settings) -> Any:
        plain = circuit.bind_new_parameters(
            [float(qml.math.unwrap([value])[0]) for value in circuit.get_parameters()],
            circuit.trainable_params,
        )
        return float(self.result(plain, 0))


@breaks("E44", "without in_process")
@attrs.frozen
class DifferentiatingElsewhere(Differentiating):
    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(samples=False)


@breaks("E45", "it is")
@attrs.frozen
class TakingTheFirst(Changing):
    """Runs the first of an array of parameters only."""

    def changed(self, circuit: QuantumScript) -> QuantumScript:
        parameters = circuit.get_parameters(trainable_only=False)
        first = [np.ravel(value)[0] for value in parameters]
        return circuit.bind_new_parameters(first, range(len(first)))


@breaks("E46", "the vendor takes 5")
@attrs.frozen
class SmallerJobs(Good):
    @property
    def limits(self) -> ct.Limits:
        return ct.Limits(circuits_per_job=10)

    def run(self, job: ct.Job) -> Any:
        if len(job) > 5:
            raise ValueError("the vendor takes 5 circuits at most")
        return super().run(job)


@breaks("E46", "too many shots")
@attrs.frozen
class FewerShots(Good):
    @property
    def limits(self) -> ct.Limits:
        return ct.Limits(shots_per_job=50_000)

    def result(self, circuit: QuantumScript, seed: int) -> Any:
        if (circuit.shots.total_shots or 0) > 20_000:
            raise ValueError("too many shots")
        return super().result(circuit, seed)


# What is good.


def passed_by(executor: type[ct.Executor]) -> Any:
    """Return the report on an executor."""
    kit: Any = type("Kit", (ExecutorConformance,), {"make": lambda _: executor()})
    others = {rule.number for rule in rules_of(kit)} - ON_DISK
    return check(kit(), rules=others)


@pytest.fixture(scope="module")
def reports() -> dict[type, Any]:
    return {executor: passed_by(executor) for executor in GOOD_EXECUTORS}


@pytest.mark.parametrize("executor", GOOD_EXECUTORS)
def test_good_executor_passes(executor: type, reports: dict[type, Any]) -> None:
    report = reports[executor]
    failed = [r.message for r in report.results if r.outcome in ("failed", "error")]
    assert not failed
    assert report.ok
    assert report.proves_values is (executor is not Constant)


def test_every_rule_is_kept_by_a_good_executor(reports: dict[type, Any]) -> None:
    results = [result for report in reports.values() for result in report.results]
    passed = {result.rule.number for result in results if result.outcome == "passed"}
    assert {rule.number for rule in rules_of(ExecutorConformance)} - passed <= ON_DISK


def test_every_rule_is_broken_by_an_executor() -> None:
    numbers = {rule.number for rule in rules_of(ExecutorConformance)}
    assert numbers - ON_DISK == {case.values[0] for case in CASES}


@pytest.mark.parametrize(("rule", "kit", "says"), CASES)
def test_broken_plugin_is_caught(rule: str, kit: Any, says: str) -> None:
    report = check(kit(), rules=[rule])
    (result,) = report.results
    assert result.outcome == "failed", result
    assert not report.ok
    assert result.message.startswith(f"{rule}: {result.rule.sentence}\n  expected: ")
    assert f"\n  seen: {result.seen}" in result.message
    assert re.search(says, result.message), result.message

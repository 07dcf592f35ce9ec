"""What results should be: PennyLane's own device, and how far samples may stray."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
import pennylane as qml
from pennylane.measurements import (
    CountsMP,
    ExpectationMP,
    ProbabilityMP,
    SampleMP,
    VarianceMP,
)
from pennylane.tape import QuantumScript

#: How far an exact result may be off.
EXACT: Final = 1e-6
#: How far a sampled result may be off, in standard errors. One of about two million
#: right results is further off.
STANDARD_ERRORS: Final = 5.0


def evaluate(circuits: Iterable[QuantumScript]) -> list[Any]:
    """Return the results of circuits on `default.qubit`, with the shots they have."""
    device = qml.device("default.qubit", seed=1)
    return list(qml.execute(list(circuits), device, diff_method=None))


@attrs.frozen
class Estimate:
    """What samples of one measurement tell, and should tell.

    Attributes:
        mean: What they should tell on average.
        error: How far each number may be off, the noise of shots included.
    """

    mean: Any
    error: Any

    def misses(self, seen: Any, slack: float) -> bool:
        """Tell whether a number is further off, by more than some slack."""
        return bool(np.any(np.abs(np.asarray(seen) - self.mean) > self.error + slack))


def estimates(circuit: QuantumScript) -> list[Estimate]:
    """Return what samples of each measurement of a circuit should tell."""
    return [
        _estimate(circuit, measurement, circuit.shots.total_shots)
        for measurement in circuit.measurements
    ]


def told_by(measurement: Any, value: Any) -> Any:
    """Return the numbers that the result of a measurement tells.

    Samples and counts become relative frequencies of bit strings, or the mean of
    an observable; other results are such numbers already.
    """
    if isinstance(measurement, CountsMP):
        total = sum(value.values())
        pairs = [(key, count / total) for key, count in value.items()]
    elif isinstance(measurement, SampleMP):
        rows = np.asarray(value)
        keys = rows if measurement.obs is not None else map(_bits, rows.astype(int))
        pairs = [(key, 1 / len(rows)) for key in keys]
    else:
        return np.asarray(value)
    if measurement.obs is not None:
        return sum(float(key) * share for key, share in pairs)
    frequencies = np.zeros(2 ** len(measurement.wires))
    for key, share in pairs:
        frequencies[int(str(key), 2)] += share
    return frequencies


def mismatch(expected: Any, seen: Any, slack: float, where: str = "it") -> str | None:
    """Return where two results differ by more than some slack, or `None`."""
    if isinstance(expected, Mapping):
        if not isinstance(seen, Mapping):
            return f"{where} is {seen!r}"
        keys = {str(key) for key in (*expected, *seen)}
        wanted = {str(key): value for key, value in expected.items()}
        counts = {str(key): value for key, value in seen.items()}
        off = sum(abs(wanted.get(key, 0) - counts.get(key, 0)) for key in keys)
        close = off <= 2 * slack * sum(wanted.values())
        return None if close else f"{where} is {counts}"
    if isinstance(expected, (tuple, list)):
        if not isinstance(seen, (tuple, list)) or len(expected) != len(seen):
            return f"{where} is {seen!r}"
        parts = enumerate(zip(expected, seen, strict=True))
        found = (mismatch(*pair, slack, f"{where}[{n}]") for n, pair in parts)
        return next((text for text in found if text is not None), None)
    one, other = np.asarray(expected), np.asarray(seen)
    if one.shape != other.shape or other.dtype.kind not in "biufc":
        return f"{where} is {seen!r}"
    near = np.allclose(one, other, rtol=0, atol=slack)
    return None if near else f"{where} is {_short(other)}"


def odd_form(expected: Any, seen: Any, where: str = "the result") -> str | None:
    """Return where a result is not nested, shaped and typed like another one."""
    if isinstance(expected, tuple):
        if not isinstance(seen, tuple) or len(seen) != len(expected):
            return f"{where} is {_kind(seen)}, not a tuple of {len(expected)}"
        parts = enumerate(zip(expected, seen, strict=True))
        found = (odd_form(*pair, f"{where}[{n}]") for n, pair in parts)
        return next((text for text in found if text is not None), None)
    if isinstance(expected, Mapping):
        return _odd_counts(expected, seen, where)
    shape = np.shape(expected)
    if shape and not hasattr(seen, "shape"):
        return f"{where} is {_kind(seen)}, not an array of shape {shape}"
    if isinstance(seen, (tuple, list, Mapping, str)) or np.shape(seen) != shape:
        return f"{where} is {_kind(seen)}, not of shape {shape}"
    allowed = "iufc" if np.asarray(expected).dtype.kind == "c" else "iuf"
    numbers = np.asarray(seen).dtype.kind in allowed
    return None if numbers else f"{where} is {_kind(seen)}, not of numbers like float"


def shown(circuit: QuantumScript) -> str:
    """Return a circuit in one line, for messages."""
    shots = f", shots={circuit.shots.total_shots}" if circuit.shots else ""
    operations = ", ".join(map(str, circuit.operations)) or "no operations"
    return f"[{operations}] → {list(circuit.measurements)}{shots}"


def _estimate(circuit: QuantumScript, measurement: Any, shots: int) -> Estimate:
    if isinstance(measurement, ExpectationMP) and _terms(measurement.obs):
        # Terms may be measured apart, each with its share of the shots.
        scales = _terms(measurement.obs)
        (mean,) = _exact(circuit, [measurement])
        return Estimate(mean, _errors(sum(scales) ** 2 * len(scales), shots))
    if isinstance(measurement, VarianceMP):
        return _variance(circuit, measurement.obs, shots)
    if measurement.obs is not None and not isinstance(measurement, ProbabilityMP):
        obs = measurement.obs
        mean, variance = _exact(circuit, [qml.expval(obs), qml.var(obs)])
        return Estimate(mean, _errors(variance, shots))
    if measurement.obs is None:
        measurement = qml.probs(wires=measurement.wires)
    (chances,) = _exact(circuit, [measurement])
    return Estimate(chances, _errors(chances * (1 - chances), shots))


def _variance(circuit: QuantumScript, obs: Any, shots: int) -> Estimate:
    (chances,) = _exact(circuit, [qml.probs(op=obs)])
    offsets = qml.eigvals(obs) - np.sum(chances * qml.eigvals(obs))
    second, fourth = (float(np.sum(chances * offsets**n)) for n in (2, 4))
    # Where all offsets have one size, only the error of the mean squared is left.
    error = _errors(fourth - second**2, shots) + STANDARD_ERRORS**2 * second / shots
    return Estimate(second, error)


def _errors(variance: Any, shots: int) -> Any:
    return STANDARD_ERRORS * np.sqrt(np.maximum(variance, 0.0) / shots)


def _exact(circuit: QuantumScript, measurements: Sequence[Any]) -> list[Any]:
    """Return exact results of other measurements after the same operations.

    One at a time: PennyLane does not take all of them together.
    """
    return evaluate(
        circuit.copy(measurements=[one], shots=None) for one in measurements
    )


def _terms(obs: Any) -> list[float]:
    if not isinstance(obs, (qml.ops.Sum, qml.ops.LinearCombination)):
        return []
    coefficients, _ = obs.terms()
    return [abs(float(one)) for one in coefficients]


def _bits(row: Any) -> str:
    return "".join(map(str, row))


def _odd_counts(expected: Mapping[Any, Any], seen: Any, where: str) -> str | None:
    if not isinstance(seen, Mapping):
        return f"{where} is {_kind(seen)}, not a dict of counts"
    text = isinstance(next(iter(expected)), str)
    for key, count in seen.items():
        if isinstance(key, str) is not text or (
            text and len(key) != len(next(iter(expected)))
        ):
            like = next(iter(expected))
            return f"{where} has the key {key!r}, not one like {like!r}"
        if np.asarray(count).dtype.kind not in "iu":
            return f"{where} has the count {count!r}, not an integer"
    return None


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"an array of shape {tuple(shape)} and type {value.dtype}"
    return f"{type(value).__name__} {value!r}"


def _short(array: Any) -> str:
    return np.array2string(array, precision=4, threshold=8)

"""Shots of circuits: setting them, and splitting what is too much for one job."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qelectron_core.errors import ConfigError

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.contracts import Result


def with_shots(circuit: QuantumScript, shots: Any) -> QuantumScript:
    """Return the circuit with these shots; the same one if it has them already."""
    from pennylane.measurements import Shots

    wanted = Shots(shots)
    return circuit if circuit.shots == wanted else circuit.copy(shots=wanted)


def parts_of(shots: int, most: int) -> list[int]:
    """Split a number of shots into as few parts as may be, of nearly equal size.

    Example:
        >>> parts_of(10, 4)
        [4, 3, 3]
    """
    n_parts = -(-shots // most)
    size, larger = divmod(shots, n_parts)
    return [size + 1] * larger + [size] * (n_parts - larger)


def split(circuit: QuantumScript, most: int) -> list[QuantumScript]:
    """Return circuits that together take the shots of one, each at most so many.

    Raises:
        ConfigError: If the results of parts do not make up the result of the whole.
    """
    shots = circuit.shots.total_shots
    if shots is None or shots <= most:
        return [circuit]
    _require_splittable(circuit, most)
    return [circuit.copy(shots=part) for part in parts_of(shots, most)]


def merge(parts: Sequence[QuantumScript], results: Sequence[Result]) -> Result:
    """Return the result of a circuit from those of the parts that `split` made."""
    if len(parts) == 1:
        return results[0]
    weights = [part.shots.total_shots or 0 for part in parts]
    measurements = parts[0].measurements
    if len(measurements) == 1:
        return _rules()[type(measurements[0])](weights, results)
    return tuple(
        _rules()[type(measurement)](weights, column)
        for measurement, column in zip(
            measurements, zip(*results, strict=True), strict=True
        )
    )


def _require_splittable(circuit: QuantumScript, most: int) -> None:
    reason = None
    if circuit.shots.has_partitioned_shots:
        reason = "it has a shot vector"
    elif any(getattr(op, "postselect", None) is not None for op in circuit.operations):
        reason = "it postselects, so that the parts have unknown weights"
    else:
        for measurement in circuit.measurements:
            if type(measurement) not in _rules():
                reason = f"it measures {type(measurement).__name__}"
    if reason is not None:
        message = (
            f"{circuit.shots.total_shots} shots were asked for, an executor takes "
            f"{most} at once, and this circuit cannot be split: {reason}. Ask for "
            "fewer shots, or measure expectation values, probabilities, counts or "
            "samples."
        )
        raise ConfigError(message)


Rule = Callable[[Sequence[int], Sequence[Any]], Any]


@functools.cache
def _rules() -> dict[type, Rule]:
    """Return how results of parts are put together, by the class of measurement."""
    import pennylane as qml

    return {
        qml.measurements.ExpectationMP: _mean,
        qml.measurements.ProbabilityMP: _mean,
        qml.measurements.CountsMP: _sum_of_counts,
        qml.measurements.SampleMP: _all_samples,
    }


def _mean(weights: Sequence[int], results: Sequence[Any]) -> Any:
    import numpy as np

    return np.average(np.stack(results), axis=0, weights=weights)


def _sum_of_counts(weights: Sequence[int], results: Sequence[Any]) -> Any:
    del weights
    total: dict[Any, Any] = {}
    for counts in results:
        for outcome, count in counts.items():
            total[outcome] = total.get(outcome, 0) + count
    return dict(sorted(total.items()))


def _all_samples(weights: Sequence[int], results: Sequence[Any]) -> Any:
    import numpy as np

    samples = [
        np.reshape(result, (weight, *np.shape(result)[1:]))
        for weight, result in zip(weights, results, strict=True)
    ]
    return np.concatenate(samples)

"""Shots of circuits: setting them, and splitting what is too much for one job."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qelectron_core.errors import ConfigError

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.contracts import Executor, Result


def with_shots(circuit: QuantumScript, shots: Any) -> QuantumScript:
    """Return the circuit with these shots; the same one if it has them already."""
    from pennylane.measurements import Shots

    wanted = Shots(shots)
    return circuit if circuit.shots == wanted else circuit.copy(shots=wanted)


def with_shots_of(executor: Executor, circuit: QuantumScript) -> QuantumScript:
    """Return the circuit with the shots that an executor would run it with."""
    if executor.shots != "qnode":
        return with_shots(circuit, executor.shots)
    if executor.default_shots is None or circuit.shots:
        return circuit
    return with_shots(circuit, executor.default_shots)


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
    weights = [part.shots.total_shots or 0 for part in parts]
    return merge_weighted(parts[0], weights, results)


def merge_weighted(
    circuit: QuantumScript, weights: Sequence[int], results: Sequence[Result]
) -> Result:
    """Return the result of a circuit from results of some shots each.

    Args:
        circuit: The circuit, with any shots.
        weights: The shots of each result.
        results: Results of the circuit that are independent of each other.
    """
    if len(results) == 1:
        return results[0]
    measurements = circuit.measurements
    if len(measurements) == 1:
        return _rules()[type(measurements[0])](weights, results)
    return tuple(
        _rules()[type(measurement)](weights, column)
        for measurement, column in zip(
            measurements, zip(*results, strict=True), strict=True
        )
    )


def is_splittable(circuit: QuantumScript) -> bool:
    """Tell whether results of some shots of a circuit make up one of more."""
    return _unsplittable(circuit) is None


def cut(circuit: QuantumScript, result: Result, has: int, wanted: int) -> Result:
    """Return the result of a circuit with no more shots than wanted.

    The first samples, and a random part of the counts. What is an average already
    stays one of all shots: it is only more precise.

    Args:
        circuit: The circuit, with any shots.
        result: Its result.
        has: The shots that the result is of.
        wanted: The shots that it is to be of.
    """
    if has <= wanted:
        return result
    measurements = circuit.measurements
    if len(measurements) == 1:
        return _cut(type(measurements[0]), result, has, wanted)
    return tuple(
        _cut(type(measurement), part, has, wanted)
        for measurement, part in zip(measurements, result, strict=True)
    )


def _cut(kind: type, result: Any, has: int, wanted: int) -> Any:
    import numpy as np
    import pennylane as qml

    if kind is qml.measurements.SampleMP:
        return np.reshape(result, (has, *np.shape(result)[1:]))[:wanted]
    if kind is not qml.measurements.CountsMP:
        return result
    drawn = np.random.default_rng(has).multivariate_hypergeometric(
        [int(count) for count in result.values()], wanted
    )
    kept = zip(result, drawn.tolist(), strict=True)
    is_full = 0 in result.values()  # all outcomes were asked for, also the unseen
    return {outcome: count for outcome, count in kept if count or is_full}


def _unsplittable(circuit: QuantumScript) -> str | None:
    if circuit.shots.has_partitioned_shots:
        return "it has a shot vector"
    if any(getattr(op, "postselect", None) is not None for op in circuit.operations):
        return "it postselects, so that the parts have unknown weights"
    unknown = (type(m) for m in circuit.measurements if type(m) not in _rules())
    return next((f"it measures {kind.__name__}" for kind in unknown), None)


def _require_splittable(circuit: QuantumScript, most: int) -> None:
    reason = _unsplittable(circuit)
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

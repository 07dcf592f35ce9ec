"""Shapes results as the quantum function shaped its measurements.

A QNode returns its results in the structure that its function returned (a list,
a dict, one measurement …) and in the type of its interface. PennyLane does this
inside `QNode.__call__`; calls that finish later need it on their own. Built on
the public `qml.pytrees` and held to the bare QNode by the differential test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pennylane import math, pytrees
from pennylane.measurements import MeasurementProcess


def like_function(results: Any, output: Any, *, shot_vector: bool) -> Any:
    """Put results into the structure of what the quantum function returned.

    Args:
        results: Results of one circuit: a value per measurement, or just the
            value if there is one; with a shot vector, a tuple of those.
        output: What the quantum function returned.
        shot_vector: Whether the circuit was run with a shot vector.
    """
    if shot_vector:
        return tuple(like_function(r, output, shot_vector=False) for r in results)
    measurements, structure = pytrees.flatten(
        output, is_leaf=lambda item: isinstance(item, MeasurementProcess)
    )
    values, _ = pytrees.flatten(results, is_leaf=lambda item: isinstance(item, dict))
    if len(values) != len(measurements):  # a transform such as metric_tensor
        return _as_container(results, output)
    leaves = (results,) if len(measurements) == 1 else results
    return pytrees.unflatten(leaves, structure)


def _as_container(results: Any, output: Any) -> Any:
    if isinstance(output, (Sequence, MeasurementProcess)):
        return results
    return type(output)(results)


def to_interface(results: Any, interface: str) -> Any:
    """Turn every array of nested results into one of an interface's arrays."""
    like = math.Interface(interface).get_like()
    if like == "numpy":
        return results
    if isinstance(results, dict):
        return {key: to_interface(value, interface) for key, value in results.items()}
    if isinstance(results, (list, tuple)):
        return type(results)(to_interface(item, interface) for item in results)
    return math.asarray(results, like=like)

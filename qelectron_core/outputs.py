"""Shapes results as the quantum function shaped its measurements.

A QNode returns its results in the structure that its function returned (a list,
a dict, one measurement …) and in the type of its interface. PennyLane does this
inside `QNode.__call__`; calls that finish later need it on their own. Built on
the public `qml.pytrees` and held to the bare QNode by the differential test.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
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


def describe(output: Any, *, shot_vector: bool) -> str | None:
    """Return as JSON what `rebuild` needs to shape results like `like_function`.

    Args:
        output: What the quantum function returned.
        shot_vector: Whether the circuit is run with a shot vector.

    Returns:
        The JSON; `None` if the function returned what JSON cannot tell.
    """
    try:
        shape = _shape(output, itertools.count())
    except TypeError:
        return None
    text = json.dumps({"shape": shape, "shot_vector": shot_vector})
    return sys.intern(text)  # most calls of a program are alike


def _shape(output: Any, numbers: Iterator[int]) -> Any:
    if isinstance(output, MeasurementProcess):
        return next(numbers)
    if type(output) in (list, tuple):
        return {type(output).__name__: [_shape(item, numbers) for item in output]}
    if type(output) is dict and all(type(key) is str for key in output):
        return {"dict": {key: _shape(item, numbers) for key, item in output.items()}}
    raise TypeError


def rebuild(results: Any, description: str) -> Any:
    """Shape the results of one circuit as its function returned its measurements.

    Args:
        results: See `like_function`.
        description: What `describe` returned.
    """
    told = json.loads(description)
    if told["shot_vector"]:
        return tuple(_rebuilt(part, told["shape"]) for part in results)
    return _rebuilt(results, told["shape"])


def _rebuilt(results: Any, shape: Any) -> Any:
    leaves = results if _count(shape) > 1 else (results,)
    return _filled(shape, leaves)


def _count(shape: Any) -> int:
    if isinstance(shape, int):
        return 1
    ((_, items),) = shape.items()
    return sum(map(_count, items.values() if isinstance(items, dict) else items))


def _filled(shape: Any, leaves: Any) -> Any:
    if isinstance(shape, int):
        return leaves[shape]
    ((kind, items),) = shape.items()
    if kind == "dict":
        return {key: _filled(item, leaves) for key, item in items.items()}
    filled = [_filled(item, leaves) for item in items]
    return tuple(filled) if kind == "tuple" else filled


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

"""Builds the circuits of a QElectron: by its function, or quicker where it is known."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from qelectron_core.tracing import Blueprint
from qelectron_core.tracing.arguments import arrays_in, as_it_is
from qelectron_core.tracing.functions import (
    MAX_REMEMBERED,
    Arguments,
    Built,
    Known,
    TracedFunction,
    arguments_of,
)

if TYPE_CHECKING:
    from qelectron_core.qnode import QElectron


class Builder:
    """Builds the circuits of one QElectron, and of its copies.

    Args:
        function: The quantum function.
    """

    def __init__(self, function: Any) -> None:
        """Know nothing of the function yet."""
        self._traced = TracedFunction(function)
        self._seen: set[Hashable] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without what is known."""
        return Builder, (self._traced.function,)

    def build(self, call: QElectron, args: Any, kwargs: Mapping[str, Any]) -> Built:
        """Return the circuit of a call.

        Args:
            call: A QElectron that nobody else uses.
            args: Positional arguments.
            kwargs: Keyword arguments.

        Raises:
            Exception: What the function raises.
        """
        known = self.build_quickly(call, args, kwargs)
        return known or build_by_function(call, args, kwargs)

    def build_quickly(
        self, call: QElectron, args: Any, kwargs: Mapping[str, Any]
    ) -> Built | None:
        """Return the circuit of a call, if it is known how to build it.

        A function that is called with the like of some arguments for the second time
        is traced, which takes as long as a few calls.

        Raises:
            Exception: What the function raises while it is traced.
        """
        arguments = self._arguments(call, args, kwargs)
        if arguments is None:
            return None
        known = self._traced.known(arguments)
        if known is not None:
            return bound(call, known.blueprint, arguments.numbers)
        if self._traced.is_settled(arguments) or not self._is_second(arguments.key):
            return None
        built = build_by_function(call, args, kwargs)
        self._traced.learn(arguments, args, kwargs, built)
        return built

    def known(
        self, call: QElectron, args: Any, kwargs: Mapping[str, Any], built: Built
    ) -> tuple[Known, Arguments] | None:
        """Return what builds the circuits of calls like one, while it holds.

        Args:
            call: A QElectron that nobody else uses.
            args: Positional arguments.
            kwargs: Keyword arguments.
            built: What `build` made of them.
        """
        arguments = self._arguments(call, args, kwargs)
        if arguments is None:
            return None
        known = self._traced.known(arguments)
        if known is None:
            known = self._traced.learn(arguments, args, kwargs, built)
        return None if known is None else (known, arguments)

    def _is_second(self, key: Hashable) -> bool:
        """Tell whether there has been such a call before, and note that there is."""
        if key in self._seen:
            return True
        if len(self._seen) >= MAX_REMEMBERED:
            self._seen.clear()
        self._seen.add(key)
        return False

    def _arguments(
        self, call: QElectron, args: Any, kwargs: Mapping[str, Any]
    ) -> Arguments | None:
        traced = self._traced
        if not traced.is_promising() or call.func is not traced.function:
            return None
        if call.compile_pipeline:  # which may change what circuits share
            return None
        return None if "shots" in kwargs else arguments_of(args, kwargs)


def build_by_function(call: QElectron, args: Any, kwargs: Mapping[str, Any]) -> Built:
    """Return the circuit of a call by calling its quantum function.

    It is the circuit as it is now: the caller may change its arrays before it runs.

    Raises:
        Exception: What the function raises.
    """
    function, output = call.func, _Output()
    call.func = partial(output.remember, function)
    try:
        circuit = call.construct(args, kwargs)
    finally:
        call.func = function
    return _as_it_is(Built(circuit, output.value), args, kwargs)


def bound(
    call: QElectron, blueprint: Blueprint, numbers: Sequence[Any]
) -> Built | None:
    """Return the circuit of a call with some numbers.

    Args:
        call: The QElectron.
        blueprint: What builds the circuits of such calls.
        numbers: The numbers in its arguments.

    Returns:
        The circuit; `None` if the arithmetic fails, of which the function itself is
        to tell.
    """
    try:
        # Copies: the caller may change its arrays before the circuit runs.
        circuit = blueprint.bind(as_it_is(list(numbers)), call.shots)
    except ArithmeticError:
        return None
    ready = call.device.with_own_shots(circuit)
    return Built(ready, blueprint.output, is_plain=True)


def _as_it_is(built: Built, args: Any, kwargs: Mapping[str, Any]) -> Built:
    """Return a circuit that shares no array with the arguments of its call."""
    arrays = list(arrays_in((*args, *kwargs.values())))
    if not arrays:
        return built
    parameters = built.circuit.get_parameters(trainable_only=False)
    shared = [
        place
        for place, value in enumerate(parameters)
        if type(value) is np.ndarray
        and any(np.may_share_memory(value, array) for array in arrays)
    ]
    if not shared:
        return built
    copies = [parameters[place].copy() for place in shared]
    return attrs.evolve(
        built, circuit=built.circuit.bind_new_parameters(copies, shared)
    )


class _Output:
    """What a quantum function returned, which tells how to nest the results."""

    def __init__(self) -> None:
        self.value: Any = None

    def remember(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        self.value = function(*args, **kwargs)
        return self.value

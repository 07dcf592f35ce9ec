"""What is known of one quantum function: how to build its circuits without it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
from pennylane.tape import QuantumScript

from qelectron_core import outputs
from qelectron_core.structure import structure_of
from qelectron_core.tracing.arguments import (
    UnknownArgumentError,
    has_containers,
    put_together,
    take_apart,
)
from qelectron_core.tracing.blueprint import (
    Blueprint,
    circuit_inputs,
    trace_function,
)
from qelectron_core.tracing.purity import Purity, purity_of
from qelectron_core.tracing.symbols import NotTraceableError

#: Kinds of arguments that are remembered per function, the oldest going first.
MAX_REMEMBERED: Final = 64
#: Changes of what a function reads after which it is called every time.
MAX_CHANGES: Final = 16


@attrs.frozen
class Built:
    """The circuit of one call.

    Attributes:
        circuit: The circuit, before any transforms.
        output: What the quantum function returned, which tells how results are nested.
        is_plain: Whether its parameters are known to be plain numbers.
    """

    circuit: QuantumScript
    output: Any
    is_plain: bool = False


@attrs.frozen
class Arguments:
    """The arguments of a call, taken apart.

    Attributes:
        key: What calls have in common that differ in numbers only.
        numbers: The numbers.
    """

    key: Hashable
    numbers: list[Any]


@attrs.frozen
class Known:
    """What builds the circuits of calls of one kind.

    Attributes:
        blueprint: Builds a circuit from the numbers of a call.
        purity: What the function read when it was traced.
    """

    blueprint: Blueprint
    purity: Purity


class TracedFunction:
    """A quantum function, and what tracing it has shown.

    Safe from any thread: what is known is replaced, never changed, and threads that
    trace at the same time find out the same.

    Args:
        function: The quantum function.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        """Know nothing yet."""
        self.function = function
        self._known: OrderedDict[Hashable, Known | None] = OrderedDict()
        self._is_pure = self._is_steady = True  # as far as is known
        self._n_changes = 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without what is known, which is soon found out again."""
        return TracedFunction, (self.function,)

    def is_promising(self) -> bool:
        """Tell whether nothing is known that speaks against tracing."""
        return self._is_pure

    def known(self, arguments: Arguments) -> Known | None:
        """Return what builds the circuit of a call, if it is known and still holds."""
        known = self._known.get(arguments.key)
        if known is None or known.purity.still_holds():
            return known
        self._known.pop(arguments.key, None)
        self._n_changes += 1
        if self._n_changes > MAX_CHANGES:
            self._is_pure = False  # to find out again and again is no gain
        return None

    def is_settled(self, arguments: Arguments) -> bool:
        """Tell whether it is of no use to trace such a call between others."""
        return not self._is_steady or arguments.key in self._known

    def learn(
        self,
        arguments: Arguments,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        built: Built,
    ) -> Known | None:
        """Trace the function, and return what builds the circuits of such calls.

        What is known of a function that reads what can be changed in place is
        returned, but not kept.

        Args:
            arguments: Those of a call, taken apart.
            args: The same as they were given.
            kwargs: The same as they were given.
            built: What the function built for them.

        Returns:
            What is known; `None` unless it is certain to build what the function
            builds, whatever the numbers.
        """
        purity = purity_of(self.function)
        if purity is None:
            self._is_pure = False
            return None
        self._is_steady = purity.is_steady
        found = self._trace(purity, arguments, args, kwargs, built)
        if purity.is_steady:
            self._known[arguments.key] = found
            if len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        return found

    def _trace(
        self,
        purity: Purity,
        arguments: Arguments,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        built: Built,
    ) -> Known | None:
        if purity.changes and has_containers(args, kwargs):
            return None

        def call(function: Callable[..., Any], symbols: Sequence[Any]) -> Any:
            filled, named = put_together(args, kwargs, symbols)
            return function(*filled, **named)

        try:
            made = trace_function(self.function, arguments.numbers, call)
            same = _agrees(made, arguments.numbers, built)
        except (NotTraceableError, ArithmeticError):
            return None
        # Somebody may have set a global in the meantime.
        return Known(made, purity) if same and purity.still_holds() else None


def arguments_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments | None:
    """Return the arguments of a call, taken apart; `None` if that cannot be done."""
    try:
        return Arguments(*take_apart(args, kwargs))
    except (UnknownArgumentError, TypeError):  # unhashable names, say
        return None


def _agrees(blueprint: Blueprint, numbers: list[Any], built: Built) -> bool:
    """Tell whether a blueprint builds, for some numbers, what the function built."""
    bound = blueprint.bind(numbers, built.circuit.shots)
    structure = structure_of(built.circuit)
    if structure is None or structure_of(bound) != structure:
        return False
    told = outputs.describe(built.output, shot_vector=False)
    if told is None or outputs.describe(blueprint.output, shot_vector=False) != told:
        return False
    if built.circuit.trainable_params:
        return False
    pairs = zip(circuit_inputs(bound), circuit_inputs(built.circuit), strict=True)
    return all(type(a) is type(b) and np.array_equal(a, b) for a, b in pairs)

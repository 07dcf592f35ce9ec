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


class TracedFunction:
    """A quantum function, and what tracing it has shown.

    Args:
        function: The quantum function.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        """Know nothing yet."""
        self.function = function
        self._purity: Purity | None = None
        self._looked = False
        self._blueprints: OrderedDict[Hashable, Blueprint | None] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without what is known, which is soon found out again."""
        return TracedFunction, (self.function,)

    def is_promising(self) -> bool:
        """Tell whether nothing is known that speaks against tracing."""
        return not self._looked or self._purity is not None

    def blueprint(self, arguments: Arguments) -> Blueprint | None:
        """Return what builds the circuit of a call, if that is known."""
        blueprint = self._blueprints.get(arguments.key)
        if blueprint is None:
            return None
        purity = self._purity
        if purity is None or not purity.is_steady or not purity.still_holds():
            self._blueprints.clear()
            self._looked = False
            return None
        return blueprint

    def learn(
        self,
        arguments: Arguments,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        built: Built,
    ) -> Blueprint | None:
        """Trace the function, and return what builds the circuits of such calls.

        Args:
            arguments: Those of a call, taken apart.
            args: The same as they were given.
            kwargs: The same as they were given.
            built: What the function built for them.

        Returns:
            The blueprint; `None` unless it is certain to build what the function
            builds, whatever the numbers.
        """
        purity = self._look()
        if purity is None or (purity.changes and has_containers(args, kwargs)):
            return None

        def call(function: Callable[..., Any], symbols: Sequence[Any]) -> Any:
            filled, named = put_together(args, kwargs, symbols)
            return function(*filled, **named)

        try:
            made = trace_function(self.function, arguments.numbers, call)
            same = _agrees(made, arguments.numbers, built)
        except (NotTraceableError, ArithmeticError):
            same = False
        found = made if same else None
        self._blueprints[arguments.key] = found
        if len(self._blueprints) > MAX_REMEMBERED:
            self._blueprints.popitem(last=False)
        return found

    def is_known(self, arguments: Arguments) -> bool:
        """Tell whether such a call was traced before, whatever came of it."""
        return arguments.key in self._blueprints

    def _look(self) -> Purity | None:
        if not self._looked:
            self._purity, self._looked = purity_of(self.function), True
        return self._purity


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

"""Numbers without a value, which note down what is computed with them.

A function that is called with symbols in place of numbers shows what it does with
any numbers: which it uses, and by what arithmetic. Whatever depends on a value (a
comparison, a conversion to `float`, an index) is refused, so that a function that
goes through does the same for all.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

import attrs
import autoray
import numpy as np


class NotTraceableError(Exception):
    """A computation depends on the value of a number, or is not known to be safe."""


@attrs.define
class Trace:
    """All symbols of one run of a function.

    Attributes:
        refused: Why the run says nothing about other values, or `None`. Noted here
            as well as raised, because whoever runs may catch what is raised.
        steps: How each value is computed from those before it; the first ones are
            the inputs.
    """

    refused: str | None = None
    steps: list[Step] = attrs.field(factory=list)

    def input(self, example: Any) -> Symbol:
        """Return the symbol of the next input.

        Args:
            example: A value it may have: a float, or an array of floats.
        """
        return self.add(Step(None), example)

    def add(self, step: Step, example: Any) -> Symbol:
        """Return the symbol of a value that is computed from others."""
        self.steps.append(step)
        return Symbol(self, len(self.steps) - 1, example)

    def apply(self, function: Callable[..., Any], operands: tuple[Any, ...]) -> Symbol:
        """Return the symbol of what a function makes of numbers and symbols."""
        examples = [o.example if isinstance(o, Symbol) else o for o in operands]
        with np.errstate(all="ignore"):
            try:
                example = function(*examples)
            except Exception as error:
                self.refuse(f"{type(error).__name__}: {error}")
        # Whole numbers overflow in an array and not by themselves; truth values and
        # complex numbers are nothing that a gate takes.
        if not _is_real(example):
            self.refuse(f"the result of {_name(function)} is no real number")
        places = tuple(_place(self, operand) for operand in operands)
        return self.add(Step(function, places), example)

    def refuse(self, why: str) -> NoReturn:
        """Note that the run depends on a value.

        Raises:
            NotTraceableError: Always.
        """
        self.refused = self.refused or why
        raise NotTraceableError(why)


#: Functions that are exactly rounded (IEEE 754), or only move numbers.
_EXACT: Final = frozenset(
    {
        operator.getitem,
        operator.add,
        operator.sub,
        operator.mul,
        operator.truediv,
        operator.neg,
        operator.pos,
        operator.abs,
        np.add,
        np.subtract,
        np.multiply,
        np.divide,
        np.negative,
    }
)


@attrs.frozen
class Step:
    """How one value comes about.

    Attributes:
        function: What is applied; `None` for an input.
        operands: What it is applied to: positions of values, as `Place`, and
            constants.
        key: Where `function` is `operator.getitem`, what is taken.
    """

    function: Callable[..., Any] | None
    operands: tuple[Any, ...] = ()
    key: tuple[Any, ...] | None = None

    @property
    def is_exact(self) -> bool:
        """Whether it gives the same to the last digit for one number and for many."""
        return self.function is None or self.function in _EXACT


@attrs.frozen
class Place:
    """The position of a value among the steps of a trace.

    Attributes:
        number: The position.
        ndim: Dimensions of the value.
    """

    number: int
    ndim: int


def _operation(function: Callable[..., Any], *, swapped: bool = False) -> Any:
    def method(self: Symbol, other: Any) -> Any:
        if not isinstance(other, _NUMBERS):
            return NotImplemented
        operands = (other, self) if swapped else (self, other)
        return self._trace.apply(function, operands)

    return method


def _in_place(function: Callable[..., Any]) -> Any:
    def method(self: Symbol, other: Any) -> Any:
        if isinstance(self.example, np.ndarray):  # which would change the caller's
            self._refuse("an array is changed in place")
        return function(self, other)

    return method


def _refusal(what: str) -> Any:
    def method(self: Symbol, *_: Any, **__: Any) -> NoReturn:
        self._refuse(what)

    return method


class Symbol:
    """Stands for a number, or an array of numbers, that has no value yet.

    Attributes:
        example: A value that it may have.
    """

    __slots__ = ("_number", "_trace", "example")

    def __init__(self, trace: Trace, number: int, example: Any) -> None:
        """Stand for a value of a trace."""
        self._trace = trace
        self._number = number
        self.example = example

    @property
    def place(self) -> Place:
        """Where the value is among the steps of the trace."""
        return Place(self._number, self.ndim)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, as of an array."""
        return np.shape(self.example)

    @property
    def ndim(self) -> int:
        """Number of dimensions, as of an array."""
        return np.ndim(self.example)

    @property
    def size(self) -> int:
        """Number of entries, as of an array."""
        return int(np.size(self.example))

    @property
    def dtype(self) -> Any:
        """Type of an entry, as of an array."""
        return np.float64().dtype

    def __len__(self) -> int:
        """Return the length of the first dimension."""
        if not self.ndim:
            self._refuse("a number has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Symbol]:
        """Iterate over the first dimension."""
        return iter([self[index] for index in range(len(self))])

    def __getitem__(self, key: Any) -> Symbol:
        """Take a part of an array."""
        parts = key if isinstance(key, tuple) else (key,)
        if not all(map(_is_basic, parts)) or not self.ndim:
            self._refuse(f"[{key!r}] is no plain index")
        try:
            example = self.example[parts]
        except IndexError as error:
            self._refuse(str(error))
        step = Step(operator.getitem, (self.place,), parts)
        return self._trace.add(step, example)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kw: Any) -> Any:
        """Apply a function of NumPy, entry by entry."""
        if method != "__call__" or kw or ufunc.signature or ufunc.nout != 1:
            self._refuse(f"{ufunc.__name__} is not computed entry by entry")
        if not all(isinstance(value, _NUMBERS) for value in inputs):
            return NotImplemented
        return self._trace.apply(ufunc, inputs)

    def __neg__(self) -> Symbol:
        """Change the sign."""
        return self._trace.apply(operator.neg, (self,))

    def __pos__(self) -> Symbol:
        """Keep the sign."""
        return self._trace.apply(operator.pos, (self,))

    def __abs__(self) -> Symbol:
        """Take the absolute value."""
        return self._trace.apply(operator.abs, (self,))

    __add__ = _operation(operator.add)
    __sub__ = _operation(operator.sub)
    __mul__ = _operation(operator.mul)
    __truediv__ = _operation(operator.truediv)
    __pow__ = _operation(operator.pow)
    __radd__ = _operation(operator.add, swapped=True)
    __rsub__ = _operation(operator.sub, swapped=True)
    __rmul__ = _operation(operator.mul, swapped=True)
    __rtruediv__ = _operation(operator.truediv, swapped=True)
    __rpow__ = _operation(operator.pow, swapped=True)
    __iadd__ = _in_place(operator.add)
    __isub__ = _in_place(operator.sub)
    __imul__ = _in_place(operator.mul)
    __itruediv__ = _in_place(operator.truediv)
    __ipow__ = _in_place(operator.pow)

    __array_function__ = _refusal("a function of NumPy takes a whole array")
    __array__ = _refusal("a symbol is made an array")
    __bool__ = _refusal("something is decided by a value")
    __float__ = _refusal("a value is asked for")
    __int__ = _refusal("a value is asked for")
    __index__ = _refusal("a value is used as an index")
    __complex__ = _refusal("a value is asked for")
    __hash__ = _refusal("a value is looked up")
    __eq__ = _refusal("a value is compared")
    __ne__ = _refusal("a value is compared")
    __lt__ = _refusal("a value is compared")
    __le__ = _refusal("a value is compared")
    __gt__ = _refusal("a value is compared")
    __ge__ = _refusal("a value is compared")
    __floordiv__ = __mod__ = __divmod__ = _refusal("a value is rounded")
    __rfloordiv__ = __rmod__ = __rdivmod__ = _refusal("a value is rounded")
    __round__ = __trunc__ = __floor__ = __ceil__ = _refusal("a value is rounded")
    __str__ = __format__ = _refusal("a value is written")
    __copy__ = __deepcopy__ = __reduce_ex__ = _refusal("a symbol is copied")

    def _refuse(self, why: str) -> NoReturn:
        self._trace.refuse(why)


_NUMBERS: Final = (Symbol, float, int, np.ndarray, np.generic)


# What PennyLane's templates do with their parameters before they look at shapes.
autoray.register_function("qelectron_core", "asarray", lambda value, **_: value)


def _is_basic(part: Any) -> bool:
    if isinstance(part, slice):
        ends = (part.start, part.stop, part.step)
        return all(end is None or type(end) is int for end in ends)
    return part is None or part is Ellipsis or type(part) is int


def _is_real(value: Any) -> bool:
    return type(value) is float or getattr(value, "dtype", None) == np.float64


def _place(trace: Trace, operand: Any) -> Any:
    if not isinstance(operand, Symbol):
        return operand
    if operand._trace is not trace:
        trace.refuse("a symbol of another run is used")
    return operand.place


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", function))


def evaluate(steps: list[Step], inputs: list[Any]) -> list[Any]:
    """Return the value of every step.

    Args:
        steps: Of a trace.
        inputs: Values of its inputs, shaped as their examples.
    """
    values = list(inputs)
    for step in steps[len(inputs) :]:
        if step.key is not None:
            values.append(values[step.operands[0].number][step.key])
        else:
            values.append(step.function(*_filled(step.operands, values)))  # type: ignore[misc]
    return values


def evaluate_many(steps: list[Step], inputs: list[Any]) -> list[Any]:
    """Return the values of every step for many inputs at once.

    Args:
        steps: Of a trace.
        inputs: Values of its inputs, each an array with one more dimension in front
            than its example: one entry per run.
    """
    values = list(inputs)
    for step in steps[len(inputs) :]:
        if step.key is not None:
            key = (slice(None), *step.key)
            values.append(values[step.operands[0].number][key])
        else:
            values.append(step.function(*_aligned(step.operands, values)))  # type: ignore[misc]
    return values


def _filled(operands: tuple[Any, ...], values: list[Any]) -> list[Any]:
    return [values[o.number] if isinstance(o, Place) else o for o in operands]


def _aligned(operands: tuple[Any, ...], values: list[Any]) -> list[Any]:
    """Return operands of which the dimensions behind the first one line up."""
    most = max(o.ndim if isinstance(o, Place) else np.ndim(o) for o in operands)
    aligned = []
    for operand in operands:
        if isinstance(operand, Place):
            value = values[operand.number]
            extra = (1,) * (most - operand.ndim)
            aligned.append(value.reshape(value.shape[0], *extra, *value.shape[1:]))
        else:
            aligned.append(operand)
    return aligned

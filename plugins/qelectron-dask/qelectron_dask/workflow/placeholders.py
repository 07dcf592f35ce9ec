"""Values that are not there yet: what electrons return while a lattice is built."""

from __future__ import annotations

import dis
import operator
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

import attrs

_Made = TypeVar("_Made")


@attrs.frozen(eq=False)
class Output:
    """The result of one electron of a lattice.

    Attributes:
        node: Number of the electron.
        name: Its name, for messages.
        length: How many items it has, if that is known.
    """

    #: The terms that it is made of.
    terms: ClassVar[tuple[Term, ...]] = ()

    node: int
    name: str
    length: int | None = None

    def __str__(self) -> str:
        """Return it as one reads it in a program."""
        return f"{self.name}(…)"


@attrs.frozen(eq=False)
class Applied:
    """What an operation makes of other values, some of which are not there yet.

    Attributes:
        operation: Its name in `OPERATIONS`.
        operands: Placeholders, and plain values.
        length: How many items it has, if that is known.
        terms: The terms that it is made of.
    """

    operation: str
    operands: tuple[Any, ...]
    length: int | None = None
    terms: tuple[Term, ...] = attrs.field(init=False)

    @terms.default
    def _terms(self) -> tuple[Term, ...]:
        from qelectron_dask.workflow.containers import placeholders_in

        return tuple(map(term_of, placeholders_in(self.operands)))

    def __str__(self) -> str:
        """Return it as one reads it in a program, more or less."""
        return f"{self.operation}({', '.join(map(_shown, self.operands))})"


Term: TypeAlias = Output | Applied


def _shown(operand: Any) -> str:
    if not isinstance(operand, Placeholder):
        return repr(operand)
    term = term_of(operand)
    # A sum of thousands is as deep as it is long.
    return str(term) if isinstance(term, Output) else f"{term.operation}(…)"


def folded(
    term: Term, made: dict[int, _Made], make: Callable[[Term, dict[int, _Made]], _Made]
) -> _Made:
    """Make something of a term and of all that it is made of, of each once.

    Terms may be thousands deep, and be part of many others.

    Args:
        term: The term.
        made: What was made already, by the `id` of the term; is added to.
        make: Called with a term, after those that it is made of, and what was made.
    """
    following = [term]
    while following:
        top = following[-1]
        missing = [] if id(top) in made else [t for t in top.terms if id(t) not in made]
        if missing:
            following += missing
            continue
        following.pop()
        if id(top) not in made:
            made[id(top)] = make(top, made)
    return made[id(term)]


_ARITHMETIC: Final = (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
)
_BITWISE: Final = ("lshift", "rshift", "and_", "or_", "xor")
_BINARY: Final = (*_ARITHMETIC, *_BITWISE, "divmod")
_COMPARING: Final = ("eq", "ne", "lt", "le", "gt", "ge")
_UNARY: Final = ("neg", "pos", "abs", "invert")

#: What may be done with a value before it is there.
OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    **{
        name: getattr(operator, name)
        for name in (*_ARITHMETIC, *_BITWISE, *_COMPARING, *_UNARY)
    },
    "divmod": divmod,
    "round": round,
    "getitem": operator.getitem,
    "getattr": getattr,
}


class Placeholder:
    """Stands for a value that an electron will return.

    It can be indexed, asked for attributes, computed with, unpacked where its length
    is known, and put into lists, tuples and dicts.
    """

    __slots__ = ("__term",)

    def __init__(self, term: Term) -> None:
        object.__setattr__(self, "_Placeholder__term", term)

    def wait_for(self, *others: Any) -> Placeholder:
        """Let its electron start only once others have ended, whose results it ignores.

        Args:
            *others: What other electrons returned, or lists of that.

        Returns:
            Itself.
        """
        from qelectron_dask.workflow.containers import nodes_in
        from qelectron_dask.workflow.graph import building

        building(self).let_wait(nodes_in(self), nodes_in(others))
        return self

    def __getitem__(self, key: Any) -> Placeholder:
        return _applied("getitem", self, key)

    def __getattr__(self, name: str) -> Placeholder:
        if name.startswith("__"):  # by which Python and libraries look for protocols
            raise AttributeError(name)
        return _applied("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise _refusal(self, f"set its attribute {name!r}", "Return a changed value")

    def __setitem__(self, key: Any, value: Any) -> None:
        raise _refusal(self, f"set its item {key!r}", "Return a changed value")

    def __iter__(self) -> Iterator[Placeholder]:
        length = term_of(self).length
        if length is None:
            length = _unpacked(sys._getframe(1))
        if length is None:
            raise _refusal(
                self,
                "iterate over it, because its length is not known",
                "Unpack it (a, b = …), index it, annotate the function's return value "
                "(-> tuple[float, float]), or iterate",
            )
        return iter([self[index] for index in range(length)])

    def __len__(self) -> int:
        length = term_of(self).length
        if length is None:
            raise _refusal(self, "take its length", "Take it")
        return length

    def __bool__(self) -> bool:
        raise _refusal(self, "decide by it (if, while, and, or, in)", "Decide")

    def __float__(self) -> float:
        raise _refusal(self, "make a number of it", "Compute with it")

    __int__ = __index__ = __complex__ = __float__

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise _refusal(self, "make an array of it", "Compute with it")

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Refuse: what it will be is not there yet."""
        raise _refusal(self, "call it", "Call it")

    def __round__(self, digits: int | None = None) -> Placeholder:
        return _applied("round", self, digits)

    def __format__(self, _: str) -> str:
        raise _refusal(self, "write it into a text", "Write it")

    def __str__(self) -> str:
        raise _refusal(self, "write it as text", "Write it")

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __repr__(self) -> str:
        return f"<not there yet: {term_of(self)}>"

    def __reduce__(self) -> Any:
        raise _refusal(self, "pickle or copy it", "Do that")


#: NumPy must leave `array + placeholder` to the placeholder.
Placeholder.__array_ufunc__ = None  # type: ignore[attr-defined]


def _add_operators() -> None:
    """Give placeholders the operators of Python."""
    for name in (*_BINARY, *_COMPARING, *_UNARY):
        plain = name.rstrip("_")
        setattr(Placeholder, f"__{plain}__", _method(name))
        if name in _BINARY:
            setattr(Placeholder, f"__r{plain}__", _reflected(name))


def _method(name: str) -> Callable[..., Placeholder]:
    def method(self: Placeholder, *others: Any) -> Placeholder:
        return _applied(name, self, *others)

    return method


def _reflected(name: str) -> Callable[[Placeholder, Any], Placeholder]:
    def method(self: Placeholder, other: Any) -> Placeholder:
        return _applied(name, other, self)

    return method


_add_operators()


def _applied(operation: str, *operands: Any) -> Placeholder:
    """Return what stands for the result of an operation.

    Raises:
        RuntimeError: If no lattice is being built.
    """
    from qelectron_dask.workflow.containers import captured
    from qelectron_dask.workflow.graph import building

    for operand in operands:
        if isinstance(operand, Placeholder):
            building(operand)
    return Placeholder(Applied(operation, captured(operands)))


def term_of(placeholder: Placeholder) -> Term:
    """Return what a placeholder stands for."""
    term: Term = object.__getattribute__(placeholder, "_Placeholder__term")
    return term


def _unpacked(frame: FrameType) -> int | None:
    """Return into how many names the statement that runs in a frame unpacks.

    `a, b = electron()` says how many items it expects, and nobody else does.
    """
    for instruction in dis.get_instructions(frame.f_code):
        if instruction.offset == frame.f_lasti:
            found = instruction.opname == "UNPACK_SEQUENCE"
            return instruction.arg if found else None
    return None


def _refusal(placeholder: Placeholder, what: str, instead: str) -> TypeError:
    message = (
        f"{placeholder!r} is a value that is not there yet, because a lattice is built "
        f"before its electrons run: it is not possible to {what}. {instead} in an "
        "electron, or in a lattice within the lattice, which is built once the values "
        "are there."
    )
    return TypeError(message)


def wait_for(child: Any, *parents: Any) -> Any:
    """Let an electron start only once others have ended, whose results it ignores.

    Args:
        child: What the electron returned.
        *parents: What the others returned, or lists of that.

    Returns:
        `child`. Outside a lattice nothing is to be waited for.
    """
    return child.wait_for(*parents) if isinstance(child, Placeholder) else child

"""Tells whether an electron of one dispatch is the same as one of another.

It is if its function has the same code, reads the same globals, and gets the same
arguments from electrons that are the same.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Iterator
from typing import Any, Final

import cloudpickle

from qelectron_core.errors import QElectronError
from qelectron_core.formats import dump_value
from qelectron_dask.workflow.graph import Graph
from qelectron_dask.workflow.placeholders import (
    Output,
    Placeholder,
    mapped,
    term_of,
)

#: Wrappers around a function that are looked through, at most.
_MOST_WRAPPERS: Final = 8


def fingerprints(graph: Graph) -> list[str]:
    """Return, per electron, what an equal one has as well.

    Electrons that are called twice alike differ by their order.
    """
    found: dict[int, str] = {}
    seen: dict[str, int] = {}
    functions: dict[int, str] = {}
    for node in graph.in_order():
        function = node.step.function
        if id(function) not in functions:
            functions[id(function)] = function_digest(function)
        parts = [
            functions[id(function)],
            _arguments_digest((node.args, node.kwargs), found),
            *(found[number] for number in sorted(node.after)),
        ]
        digest = _hash(*parts)
        seen[digest] = seen.get(digest, -1) + 1
        found[node.number] = f"{digest}-{seen[digest]}"
    return [found[number] for number in range(len(graph))]


def _arguments_digest(arguments: Any, found: dict[int, str]) -> str:
    """Return the digest of arguments, in which electrons stand for their results."""
    return value_digest(mapped(arguments, lambda one: _stated(one, found)))


def _stated(placeholder: Placeholder, found: dict[int, str]) -> Any:
    term = term_of(placeholder)
    if isinstance(term, Output):
        return ("output", found[term.node])
    operands = mapped(term.operands, lambda one: _stated(one, found))
    return ("applied", term.operation, operands)


def value_digest(value: Any) -> str:
    """Return the digest of plain data, or of whatever else can be pickled.

    What can be told apart only by where it lies in memory never equals anything.
    """
    try:
        return _hash(dump_value(value))
    except QElectronError:
        pass
    try:
        return _hash(cloudpickle.dumps(value))
    except Exception:
        return _hash(repr(id(value)))


def function_digest(function: Any, seen: frozenset[Any] = frozenset()) -> str:
    """Return the digest of what a function does, as far as its code tells.

    Looks into functions and plain data of its module that it uses, and at what it
    closes over.

    Args:
        function: The function.
        seen: Code of functions that are being looked into.
    """
    plain = _plain_function(function)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    if plain is None or plain.__code__ in seen:
        return _hash(getattr(function, "__module__", ""), name)
    parts = [name, *_code_parts(plain.__code__), value_digest(plain.__defaults__)]
    parts.append(value_digest(plain.__kwdefaults__))
    parts += _surroundings(plain, seen | {plain.__code__})
    return _hash(*parts)


def _plain_function(function: Any) -> types.FunctionType | None:
    """Return the Python function behind one that is wrapped, bound or a QNode."""
    for _ in range(_MOST_WRAPPERS):
        if isinstance(function, types.FunctionType):
            return function
        inner = getattr(function, "__func__", None)
        inner = inner or getattr(function, "function", None)
        inner = inner or getattr(function, "func", None)
        if inner is None:
            return None
        function = inner
    return None


def _code_parts(code: types.CodeType) -> Iterator[Any]:
    """Yield what a function does; where it stands in its file does not matter."""
    yield code.co_code
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_argcount))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code_parts(constant)
        elif isinstance(constant, frozenset):  # whose order is another every time
            yield repr(sorted(map(repr, constant)))
        else:
            yield repr(constant)


def _surroundings(function: types.FunctionType, seen: frozenset[Any]) -> Iterator[str]:
    """Yield the digests of what a function finds outside itself."""
    for cell in function.__closure__ or ():
        try:
            yield _used_digest(cell.cell_contents, function, seen)
        except ValueError:  # not filled yet
            yield "empty"
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            yield _used_digest(function.__globals__[name], function, seen)


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _used_digest(value: Any, user: types.FunctionType, seen: frozenset[Any]) -> str:
    if value is user or isinstance(value, (types.ModuleType, type)):
        return str(getattr(value, "__name__", "itself"))
    plain = _plain_function(value) if callable(value) else None
    if plain is not None:
        own = plain.__globals__ is user.__globals__
        return function_digest(value, seen) if own else plain.__qualname__
    try:
        return _hash(dump_value(value))
    except QElectronError:
        return type(value).__qualname__


def _hash(*parts: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()

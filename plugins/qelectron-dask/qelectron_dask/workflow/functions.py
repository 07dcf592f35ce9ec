"""Tells whether two functions do the same, as far as their code and what they use tell.

Followed are functions, classes and plain data of the module of a function, and
functions that it closes over or is bound to, whatever module those are of. The state of
an object counts if the function is bound to it, as a method is, or a partial.
"""

from __future__ import annotations

import functools
import hashlib
import re
import secrets
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, TypeAlias

from qelectron_core.errors import QElectronError
from qelectron_core.formats import dump_value

#: Where something lies in memory, in its text.
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
#: How a function uses something.
_How: TypeAlias = Literal["global", "closed", "bound"]
#: What a class holds of functions, and where.
_IN_CLASSES: Final = ("fget", "fset", "fdel", "__func__", "func")


def function_digest(function: Any) -> str:
    """Return the digest of what a function does."""
    home = {"__name__": getattr(function, "__module__", None)}
    try:
        return _Digests().of(function, home, how="bound")
    except RecursionError:  # a long list of linked objects, say: is not looked into
        return hashed(secrets.token_bytes(16))


def hashed(*parts: Any) -> str:
    """Return the digest of texts and bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode(errors="replace")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


class _Digests:
    """The digests of a function and of what it uses; everything is visited once."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, Any]] = {}

    def of(self, value: Any, home: dict[str, Any], *, how: _How) -> str:
        """Return the digest of something that a function uses.

        Args:
            value: It.
            home: Globals of the function, or what it is looked into for.
            how: Whether it is a global of the function, or what it closes over, or
                what it is bound to.
        """
        if isinstance(value, types.ModuleType):
            return value.__name__
        if isinstance(value, (bytes, bytearray)):
            return hashed(type(value).__name__, bytes(value))
        try:
            return hashed(dump_value(value))
        except QElectronError:
            pass
        if id(value) in self._seen:
            return f"again {self._seen[id(value)][0]}"
        self._seen[id(value)] = len(self._seen), value  # kept, so that its id is its
        return hashed(*self._parts(value, home, how=how))

    def _parts(self, value: Any, home: dict[str, Any], *, how: _How) -> Iterator[Any]:
        yield _name(value)
        if isinstance(value, type):
            yield from self._class(value, home)
        elif isinstance(value, types.FunctionType):
            if how != "global" or _is_own(value.__globals__.get("__name__"), home):
                yield from self._function(value)
        elif type(value) in (list, tuple, dict, set, frozenset):
            yield from self._items(value, home, how=how)
        else:
            inner = list(_layers(value))
            for one in inner:
                is_part = isinstance(value, functools.partial) and not _is_function(one)
                yield self.of(one, home, how="bound" if is_part else how)
            if not inner:
                yield from self._object(value, home, how=how)

    def _function(self, function: types.FunctionType) -> Iterator[Any]:
        home = function.__globals__
        yield from _code_parts(function.__code__)
        yield self.of(function.__defaults__, home, how="bound")
        yield self.of(function.__kwdefaults__, home, how="bound")
        for cell in function.__closure__ or ():
            try:
                yield self.of(cell.cell_contents, home, how="closed")
            except ValueError:  # not filled yet
                yield "empty"
        for name in sorted(_names(function.__code__)):
            if name in home:
                yield self.of(home[name], home, how="global")

    def _class(self, kind: type, home: dict[str, Any]) -> Iterator[Any]:
        """Yield what the methods of a class of the same module do."""
        if not _is_own(kind.__module__, home):
            return
        for base in kind.__bases__:
            yield self.of(base, home, how="global")
        for name, value in sorted(vars(kind).items()):
            parts = [getattr(value, part, None) for part in _IN_CLASSES]
            for one in (value, *parts):
                if isinstance(one, types.FunctionType):
                    yield name
                    yield self.of(one, home, how="closed")

    def _items(self, value: Any, home: dict[str, Any], *, how: _How) -> Iterable[str]:
        items = (
            (x for pair in value.items() for x in pair)
            if isinstance(value, dict)
            else value
        )
        found = [self.of(item, home, how=how) for item in items]
        return sorted(found) if isinstance(value, (set, frozenset)) else found

    def _object(self, value: Any, home: dict[str, Any], *, how: _How) -> Iterator[Any]:
        """Yield what an object does, and, if it is bound, what it is made of."""
        yield from self._class(type(value), home)
        if how != "bound":
            return
        try:
            made_of = value.__reduce_ex__(4)
        except Exception:  # a lock, say
            return
        if isinstance(made_of, str):  # the name of a global
            yield made_of
            return
        make, arguments, state, *iterators = (*made_of, None)[:5]
        for part in (make, arguments, state, *(list(i) for i in iterators if i)):
            yield self.of(part, home, how="bound")


def _is_own(module: Any, home: dict[str, Any]) -> bool:
    return bool(module == home.get("__name__"))


def _name(value: Any) -> str:
    name = getattr(value, "__qualname__", None)
    kind = type(value)
    own = name if isinstance(name, str) else kind.__qualname__
    return f"{getattr(value, '__module__', kind.__module__)}:{own}"


def _is_function(value: Any) -> bool:
    return isinstance(value, types.FunctionType)


def _layers(value: Any) -> Iterator[Any]:
    """Yield what a callable is made of that calls a function in the end."""
    from qelectron_dask.workflow.electron import Electron
    from qelectron_dask.workflow.lattice import Lattice

    if isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, types.MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, (Electron, Lattice)):
        yield value.function
    elif _is_qnode(value):
        yield from (value.func, _qnode_text(value))
    elif _is_device(value):  # its generator is another every time
        yield _ADDRESS.sub("", repr(value))
    elif callable(value) and hasattr(value, "__wrapped__"):  # of lru_cache, say
        yield value.__wrapped__


def _is_qnode(value: Any) -> bool:
    pennylane = sys.modules.get("pennylane")
    return pennylane is not None and isinstance(value, pennylane.QNode)


def _is_device(value: Any) -> bool:
    devices = sys.modules.get("pennylane.devices")
    return devices is not None and isinstance(value, devices.Device)


def _qnode_text(qnode: Any) -> str:
    """Return device, shots, transforms and executors of a QNode."""
    executors = getattr(qnode, "executors", None)
    text = f"{qnode!r} {qnode.compile_pipeline!r} {executors!r}"
    return _ADDRESS.sub("", text)


def _code_parts(code: types.CodeType) -> Iterator[Any]:
    """Yield what a function does; where it stands in its file does not matter."""
    yield code.co_code
    yield code.co_exceptiontable  # which lines are in which `try`
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
    yield repr((code.co_argcount, code.co_kwonlyargcount, code.co_flags))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code_parts(constant)
        elif isinstance(constant, frozenset):  # whose order is another every time
            yield repr(sorted(map(repr, constant)))
        else:
            yield repr(constant)


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names

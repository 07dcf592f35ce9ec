"""Tells whether a function does nothing but compute its result from its arguments.

A circuit may only be built once for many calls if building it again would build the
same: the function must not draw random numbers, count, print, or read what changes.
That is read off its bytecode. What is not known to be harmless counts as harmful, so
that the answer may well be "no" for a function that is pure. PennyLane and NumPy are
taken to be as they were when they were imported.
"""

from __future__ import annotations

import builtins
import dis
import math
import types
from typing import Any, Final

import attrs
import numpy as np
import pennylane as qml
from pennylane.measurements import MeasurementProcess
from pennylane.operation import Operator
from pennylane.wires import Wires


class _ImpureError(Exception):
    """Something in a function is not known to be harmless."""


@attrs.define
class Purity:
    """What a function reads besides its arguments.

    Attributes:
        is_steady: Whether nothing of this can change in place.
        changes: Whether it may change lists, its own or those of its arguments.
    """

    is_steady: bool = True
    changes: bool = False
    _names: dict[tuple[int, str], tuple[Any, str, Any]] = attrs.field(factory=dict)

    def note(self, place: Any, name: str, value: Any) -> None:
        """Note what was found where: in a dictionary, a cell or a module."""
        self._names[id(place), name] = (place, name, value)

    def still_holds(self) -> bool:
        """Tell whether all names mean what they meant."""
        names = self._names.values()
        return all(read(place, name) is value for place, name, value in names)


def purity_of(function: Any) -> Purity | None:
    """Return what a function reads, or `None` if it may do more than compute.

    Args:
        function: The function that is to be called.
    """
    found = Purity()
    try:
        _Reader(found).function(function)
    except (_ImpureError, RecursionError):  # a list that holds itself, say
        return None
    return found


_MISSING: Final = object()


def read(place: Any, name: str) -> Any:
    """Return what a name means in a dictionary, a cell or a module."""
    if type(place) is dict:
        return place.get(name, _MISSING)
    if isinstance(place, types.CellType):
        return place.cell_contents
    return getattr(place, name, _MISSING)


# Beginnings of the names of instructions that change nothing outside a function.
_HARMLESS: Final = (
    "LOAD_",
    "STORE_FAST",
    "STORE_DEREF",
    "DELETE_FAST",
    "POP_",
    "JUMP_",
    "FOR_ITER",
    "END_FOR",
    "BINARY_",
    "UNARY_",
    "TO_BOOL",
    "COMPARE_OP",
    "CONTAINS_OP",
    "BUILD_",
    "CALL",
    "KW_NAMES",
    "PRECALL",
    "PUSH_NULL",
    "RESUME",
    "RETURN_VALUE",
    "RETURN_CONST",
    "COPY",
    "SWAP",
    "GET_ITER",
    "UNPACK_",
    "LIST_",
    "MAP_ADD",
    "SET_ADD",
    "DICT_",
    "MAKE_FUNCTION",
    "SET_FUNCTION_ATTRIBUTE",
    "MAKE_CELL",
    "FORMAT_",
    "CONVERT_VALUE",
    "RAISE_VARARGS",
    "RERAISE",
    "NOP",
    "NOT_TAKEN",
)
_HARMFUL: Final = ("LOAD_BUILD_CLASS", "LOAD_NAME", "LOAD_LOCALS", "LOAD_SUPER_ATTR")
# What a generator expression has besides.
_OF_GENERATORS: Final = ("RETURN_GENERATOR", "YIELD_VALUE", "CLEANUP_THROW")
# Attributes of what is no module that may be read, or called.
_ATTRIBUTES: Final = frozenset(
    {"shape", "ndim", "size", "T", "real", "keys", "values", "items", "index", "count"}
)
_MUTATORS: Final = frozenset({"append", "extend"})
_BUILTIN_NAMES: Final = """
    range len enumerate zip reversed list tuple dict set int float bool abs min max
    round sorted any all slice map filter
"""
_MEASURE_NAMES: Final = """
    expval var probs state sample counts density_matrix prod sum s_prod dot
"""
_BUILTINS: Final = frozenset(getattr(builtins, name) for name in _BUILTIN_NAMES.split())
_EXCEPTIONS: Final = frozenset(
    value
    for value in vars(builtins).values()
    if isinstance(value, type) and issubclass(value, Exception)
)
_MEASURES: Final = frozenset(getattr(qml, name) for name in _MEASURE_NAMES.split())
_PLAIN: Final = frozenset(
    {str, bytes, int, float, complex, bool, type(None), range, Wires}
)
_SCALARS: Final = (np.number, np.bool_)
# What `is` may ask for: of anything else, two of equal value may be one or not.
_SINGLE: Final = (None, True, False)


class _Reader:
    """Reads functions, and the functions that they call."""

    def __init__(self, found: Purity) -> None:
        self._found = found
        self._seen: set[int] = set()
        self._reads_arrays = self._applies_ufuncs = False

    def function(self, function: Any) -> None:
        """Read a function.

        Raises:
            _ImpureError: If it may do more than compute.
        """
        if type(function) is not types.FunctionType:
            raise _ImpureError
        for name in ("__code__", "__defaults__", "__kwdefaults__"):
            self._found.note(function, name, getattr(function, name))
        if id(function) in self._seen:
            return
        self._seen.add(id(function))
        defaults = (function.__kwdefaults__ or {}).values()
        for default in (*(function.__defaults__ or ()), *defaults):
            self._value(default)
        cells = dict(
            zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        )
        self._code(function.__code__, function.__globals__, cells)
        if self._found.changes and not self._found.is_steady:
            raise _ImpureError  # it may be what it reads
        if self._reads_arrays and self._applies_ufuncs:
            raise _ImpureError  # which may write into an array that they are given

    def _code(self, code: Any, scope: dict[str, Any], cells: dict[str, Any]) -> None:
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._code(constant, scope, cells)
        allowed: tuple[str, ...] = _HARMLESS
        if code.co_name == "<genexpr>":
            allowed = (*_HARMLESS, *_OF_GENERATORS)
        owner: Any = _MISSING  # a module that an attribute is about to be taken of
        before: Any = None
        for instruction in dis.get_instructions(code):
            name = instruction.opname
            if name in ("EXTENDED_ARG", "CACHE"):
                continue
            harmless = name.startswith(allowed) and not name.startswith(_HARMFUL)
            if not harmless and not (name == "IS_OP" and _is_single(before)):
                raise _ImpureError
            before = instruction
            if name == "STORE_DEREF" and instruction.argval in cells:
                raise _ImpureError
            self._note_in_place(instruction)
            owner = self._follow(instruction, owner, scope, cells)

    def _note_in_place(self, instruction: Any) -> None:
        if instruction.opname == "BINARY_OP" and instruction.argrepr.endswith("="):
            self._found.changes = True

    def _follow(self, instruction: Any, owner: Any, scope: Any, cells: Any) -> Any:
        """Return the module that an instruction leaves for the next one, if any."""
        name = instruction.opname
        if name.startswith(("LOAD_ATTR", "LOAD_METHOD")):
            return self._attribute(owner, instruction.argval)
        if owner is not _MISSING:
            raise _ImpureError  # a module is passed around
        if name == "LOAD_GLOBAL":
            return self._name(scope, instruction.argval)
        if name in _CELL_READS and instruction.argval in cells:
            return self._name(cells[instruction.argval], instruction.argval)
        return _MISSING

    def _name(self, place: Any, name: str) -> Any:
        try:
            value = read(place, name)
        except ValueError as error:  # a cell that is empty yet
            raise _ImpureError from error
        if value is _MISSING:
            self._found.note(place, name, value)
            place, value = builtins, getattr(builtins, name, _MISSING)
        self._found.note(place, name, value)
        if isinstance(value, types.ModuleType):
            return value
        self._value(value)
        return _MISSING

    def _attribute(self, owner: Any, name: str) -> Any:
        if owner is _MISSING:
            if name in _MUTATORS:
                self._found.changes = True
            elif name not in _ATTRIBUTES:
                raise _ImpureError
            return _MISSING
        return self._name(owner, name)

    def _value(self, value: Any) -> None:
        """Accept a value that a function reads, or raise."""
        if isinstance(value, types.FunctionType) and value not in _MEASURES:
            self.function(value)
        elif type(value) is np.ndarray and value.dtype.kind in "biufc":
            self._found.is_steady, self._reads_arrays = False, True
        elif type(value) in (list, set, dict):
            self._found.is_steady = False
            values = value.values() if type(value) is dict else ()
            for part in (*value, *values):
                self._value(part)
        elif type(value) in (tuple, frozenset):
            for part in value:
                self._value(part)
        elif isinstance(value, np.ufunc):
            self._applies_ufuncs = True
            if getattr(np, value.__name__, None) is not value:
                raise _ImpureError  # one that calls a function of the user's
        elif not _is_harmless(value):
            raise _ImpureError


_CELL_READS: Final = ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF")


def _is_single(instruction: Any) -> bool:
    """Tell whether an instruction loads what there is only one of."""
    loads = instruction is not None and instruction.opname == "LOAD_CONST"
    return loads and any(instruction.argval is value for value in _SINGLE)


def _is_harmless(value: Any) -> bool:
    kind = type(value)
    if kind in _PLAIN or (isinstance(value, _SCALARS) and kind.__module__ == "numpy"):
        return True
    if isinstance(value, type):
        if issubclass(value, (Operator, MeasurementProcess)):
            return _is_pennylanes(value)
        return value in _BUILTINS or value in _EXCEPTIONS
    if isinstance(value, types.BuiltinFunctionType):
        return value in _BUILTINS or value.__module__ == math.__name__
    if isinstance(value, types.FunctionType):
        return value in _MEASURES
    return isinstance(value, Operator) and _is_pennylanes(type(value))


def _is_pennylanes(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "pennylane"

"""Executors from the text that people see, as the journal keeps it and users write it.

The text is parsed and never run. What it may name is listed: registered executors, the
classes of values that are types of their options, and Python's own plain values.
"""

from __future__ import annotations

import ast
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias, get_args

import attrs

from qelectron_core.cluster import Member, QCluster
from qelectron_core.config import unconfigured
from qelectron_core.contracts import Executor
from qelectron_core.errors import FormatError, QElectronError, install_hint, suggest
from qelectron_core.registry import Registration, registry

#: Longest text that is looked at.
MOST_CHARACTERS: Final = 65_536
#: How deep values may be nested.
_DEEPEST: Final = 32
_SHOWN: Final = 60
#: Bits of a whole number, at most: Python writes out no endless ones.
_LONGEST: Final = 1024
_NAME: Final = re.compile(r"[\w.-]{1,200}")
_IDENTIFIER: Final = re.compile(r"[^\W\d]\w*")
_CORE: Final = "qelectron_core"
#: What makes each class of values that a text may name, by its name.
Names: TypeAlias = Mapping[str, Callable[..., Any]]
_PLAIN: Final[Names] = {"set": set, "frozenset": frozenset}


def load_shown(text: str) -> Executor:
    """Return the executor of a text that its `repr` made.

    Its class must be registered by an installed plugin. Options that the text does not
    tell take their defaults, whatever config says; secrets are found where a new
    executor finds them.

    Raises:
        FormatError: If it is no such text, or the executor made of it would show as
            another one: what is hidden or cannot be read back is not made up.

    Example:
        >>> load_shown("FakeCloud(name='docs', latency_s=2.0)")
        FakeCloud(name='docs', latency_s=2.0)
    """
    with unconfigured():
        made = _made(text)
    if not isinstance(made, Executor):
        raise FormatError(f"{_short(text)} is no executor.")
    if repr(made) != text and _canonical(repr(made)) != _canonical(text):
        raise FormatError(f"{_short(text)} does not tell all of its options.")
    return made


def parse_executors(text: str) -> Member:
    """Return the executor or cluster that a user wrote as Python would have it.

    As in a program, options that are not given are those of config. A name alone, such
    as `Simulator`, is an executor without options, and a list is a cluster.

    Raises:
        FormatError: If it is none.
        UnknownNameError: If no plugin offers a name that stands alone.

    Example:
        >>> parse_executors("[Echo(), Echo(value=1)]")
        QCluster(executors=(Echo(), Echo(value=1)))
    """
    from qelectron_core.cluster import to_member

    if _NAME.fullmatch(text):
        return to_member(text)
    made = _made(text)
    try:
        return to_member(made)
    except QElectronError as error:
        raise FormatError(str(error)) from error


def _made(text: str) -> Any:
    if len(text) > MOST_CHARACTERS:
        message = f"a text of {len(text):,} characters is no executor"
        raise FormatError(f"{message}: expected {MOST_CHARACTERS:,} at most.")
    return _Reader(text).value(_tree(text), {}, 0)


def _tree(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        message = f"{_short(text)} cannot be read as an executor: expected one such as"
        raise FormatError(f"{message} Simulator(workers=2).") from error


def _canonical(text: str) -> str:
    """Return what a text says, whatever the order in which sets show their items."""
    tree = _tree(text)
    for node in reversed([*ast.walk(tree)]):  # the inner ones first
        if isinstance(node, ast.Set):
            node.elts.sort(key=ast.dump)
    return ast.dump(tree)


class _Reader:
    """Turns the tree of a text into values."""

    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, node: ast.AST, names: Names, depth: int) -> Any:
        """Return the value of a node.

        Args:
            node: The node.
            names: The classes of values that may stand here, besides executors.
            depth: How deep it is nested.
        """
        if depth > _DEEPEST:
            raise FormatError(f"{_short(self._text)} is nested too deeply.")
        read: Any = _READERS.get(type(node), _Reader._refused)
        return read(self, node, names, depth + 1)

    def _refused(self, node: ast.AST, *_: Any) -> Any:
        found = ast.get_source_segment(self._text.strip(), node) or ""
        message = f"{_short(found)} is neither a value nor an executor that is known"
        raise FormatError(f"{message} here, in {_short(self._text)}.")

    def _constant(self, node: ast.Constant, *_: Any) -> Any:
        value = node.value
        is_long = isinstance(value, int) and value.bit_length() > _LONGEST
        return self._refused(node) if is_long or value is ... else value

    def _name(self, node: ast.Name, *_: Any) -> Any:
        return math.inf if node.id == "inf" else self._refused(node)

    def _tuple(self, node: ast.Tuple, names: Names, depth: int) -> Any:
        return tuple(self._list(node, names, depth))

    def _list(self, node: Any, names: Names, depth: int) -> list[Any]:
        return [self.value(item, names, depth) for item in node.elts]

    def _set(self, node: ast.Set, names: Names, depth: int) -> Any:
        return self._build(set, node, [self._list(node, names, depth)], {})

    def _dict(self, node: ast.Dict, names: Names, depth: int) -> Any:
        keys = [self._key(key, names, depth) for key in node.keys]
        values = [self.value(value, names, depth) for value in node.values]
        return self._build(dict, node, [zip(keys, values, strict=True)], {})

    def _key(self, node: ast.expr | None, names: Names, depth: int) -> Any:
        if node is None:  # as in {**other}
            raise FormatError(f"{_short(self._text)} has a dictionary without a key.")
        return self.value(node, names, depth)

    def _signed(self, node: ast.UnaryOp, names: Names, depth: int) -> Any:
        number = self.value(node.operand, names, depth)
        if not isinstance(node.op, ast.USub) or not _is_number(number):
            return self._refused(node)
        return -number

    def _complex(self, node: ast.BinOp, names: Names, depth: int) -> Any:
        """Read a complex number, which Python shows as a sum."""
        real = self.value(node.left, names, depth)
        imag = self.value(node.right, names, depth)
        if not (type(real) in (int, float) and type(imag) is complex):
            return self._refused(node)
        if isinstance(node.op, ast.Add):
            return real + imag
        return real - imag if isinstance(node.op, ast.Sub) else self._refused(node)

    def _call(self, node: ast.Call, names: Names, depth: int) -> Any:
        if not isinstance(node.func, ast.Name):
            return self._refused(node)
        kind = _kind_of(node.func.id, names)
        inner = _value_classes(kind)
        args = [self.value(one, inner, depth) for one in node.args]
        options: dict[str, Any] = {}
        for one in node.keywords:
            name = self._option(one, kind)
            if name in options:
                message = f"{_short(self._text)} has the option {name!r} twice."
                raise FormatError(message)
            options[name] = self.value(one.value, inner, depth)
        return self._build(kind, node, args, options)

    def _option(self, keyword: ast.keyword, kind: Any) -> str:
        if keyword.arg is None:  # as in f(**other)
            raise FormatError(f"{_short(self._text)} has an option without a name.")
        fields = attrs.fields_dict(kind).values() if attrs.has(kind) else ()
        if any(f.alias == keyword.arg and callable(f.repr) for f in fields):
            message = f"{keyword.arg!r} hides a part of itself, which may be a secret"
            raise FormatError(f"{message}, so that it cannot be read back.")
        return keyword.arg

    def _build(self, kind: Any, node: ast.AST, args: Any, options: Any) -> Any:
        try:
            return kind(*args, **options)
        except FormatError:
            raise
        except Exception as error:  # converters and validators may raise anything
            written = ast.get_source_segment(self._text.strip(), node) or self._text
            raise FormatError(f"{_short(written)} is refused: {error}") from error


_READERS: Final[dict[type, Any]] = {
    ast.Constant: _Reader._constant,
    ast.Name: _Reader._name,
    ast.Tuple: _Reader._tuple,
    ast.List: _Reader._list,
    ast.Set: _Reader._set,
    ast.Dict: _Reader._dict,
    ast.UnaryOp: _Reader._signed,
    ast.BinOp: _Reader._complex,
    ast.Call: _Reader._call,
}


def _kind_of(name: str, names: Names) -> Callable[..., Any]:
    """Return what makes the values of a name, if a text may use it.

    Raises:
        FormatError: If it may not.
    """
    found = names.get(name) or _PLAIN.get(name)
    if found is not None:
        return found
    if name == QCluster.__name__:
        return QCluster
    known = registry().registrations("executor")
    registered = known.get(name) or _by_class(name, known)
    if registered is None:
        hint = install_hint(name) or suggest(name, known)
        message = f"no plugin that is installed here offers an executor {name!r}."
        raise FormatError(f"{message}{hint}")
    try:
        kind: Callable[..., Any] = registered.resolve()
    except QElectronError as error:
        raise FormatError(str(error)) from error
    return kind


def _by_class(name: str, known: Mapping[str, Registration]) -> Registration | None:
    """Return the executor whose class has a name, if there is only one."""
    named = [one for one in known.values() if _class_name(one.target) == name]
    return named[0] if len(named) == 1 else None


def _class_name(target: Any) -> str:
    if isinstance(target, str):  # not imported in order to be compared
        return target.rpartition(":")[2]
    return str(getattr(target, "__name__", ""))


def _value_classes(kind: Any) -> Names:
    """Return the classes of values that are types of the options of a class.

    Of its own package, or of the core; nothing is imported to find them.
    """
    if not attrs.has(kind):
        return {}
    packages = {_package(kind), _CORE}
    modules = [vars(sys.modules[k.__module__]) for k in kind.__mro__]
    found = {}
    for field in attrs.fields(kind):
        for one in _types_in(field.type, modules):
            if attrs.has(one) and _package(one) in packages:
                found[one.__name__] = one
    return found


def _types_in(annotation: Any, modules: list[dict[str, Any]]) -> Iterator[type]:
    """Yield the classes that the annotation of an option mentions."""
    if isinstance(annotation, str):
        for name in _IDENTIFIER.findall(annotation):
            found = next((m[name] for m in modules if name in m), None)
            if isinstance(found, type):
                yield found
    elif isinstance(annotation, type):
        yield annotation
    for part in get_args(annotation):
        yield from _types_in(part, modules)


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, complex)) and not isinstance(value, bool)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

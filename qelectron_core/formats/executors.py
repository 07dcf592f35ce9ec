"""Executors as readable JSON, without secrets, and back."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from qelectron_core.config import unconfigured
from qelectron_core.contracts import Executor, default_of
from qelectron_core.errors import FormatError, QElectronError
from qelectron_core.formats import plain
from qelectron_core.formats.arrays import DTYPES
from qelectron_core.registry import registry

_WHAT: Final = "qelectron executor"
_VERSION: Final = 1
_CORE: Final = "qelectron_core"


def dump_executor(executor: Executor) -> str:
    """Return an executor as text: its class, and the options that were given.

    Options that hide from `repr` are secrets and left out. Those that cannot be
    written are left out as well, and named under `unwritten`.

    Example:
        >>> import attrs
        >>> from qelectron_core.testing import FakeCloud
        >>> load_executor(dump_executor(FakeCloud(name="docs", latency_s=2.0)))
        FakeCloud(name='docs', latency_s=2.0)
    """
    options, unwritten = {}, {}
    for field, value in _given(executor):
        try:
            options[field.alias] = _write_option(field, value)
        except FormatError as error:
            unwritten[field.alias] = str(error)
    content = {
        "format": f"{_WHAT} {_VERSION}",
        "class": _path(type(executor)),
        "name": _registered_name(type(executor)),
        "options": options,
        **({"unwritten": unwritten} if unwritten else {}),
    }
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def load_executor(text: str) -> Executor:
    """Return the executor that `dump_executor` wrote.

    Its class must be registered by an installed plugin, or imported already;
    secrets take their defaults.

    Raises:
        FormatError: If the text is damaged or of another version, if it names no
            executor that is known here, or if an option is missing or refused.
    """
    found = plain.parse(text, _WHAT, _VERSION)
    kind = _executor_class(found.get("class"), found.get("name"))
    missing = found.get("unwritten")
    if missing:
        message = f"{kind.__name__!r} cannot be restored: option"
        raise FormatError(f"{message} {', '.join(missing)} could not be written.")
    with unconfigured():  # what was not written had its default, whatever config says
        made = _Reader(kind).build(kind, found.get("options"))
    if not isinstance(made, Executor):
        raise FormatError(f"{kind.__name__!r} makes no executor.")
    return made


def _given(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the options of a value that are neither secret nor at their default."""
    for field in attrs.fields(type(value)):
        content = getattr(value, field.name)
        if field.init and field.repr is not False and not _is_default(value, field):
            yield field, content


def _is_default(instance: Any, field: Any) -> bool:
    try:
        default = default_of(instance, field)
    except QElectronError:  # it cannot be made here, and so was given
        return False
    value = getattr(instance, field.name)
    # True is no 1 here: options are restored in the type they had.
    return type(value) is type(default) and bool(value == default)


def _write_option(field: Any, value: Any) -> Any:
    if callable(field.repr):
        raise FormatError("it hides a part of itself, which may be a secret.")
    return plain.write(value, _extend)


def _extend(value: Any) -> Any:
    if isinstance(value, Enum):
        return {"enum": [_path(type(value)), value.name]}
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, type) and issubclass(value, np.generic):
        return {"dtype": _dtype(value)}
    if isinstance(value, type) and issubclass(value, _device_class()):
        return {"device": _path(value)}
    if attrs.has(type(value)):
        options = {f.alias: _write_option(f, one) for f, one in _given(value)}
        return {"value": [_path(type(value)), options]}
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise FormatError(f"it is, or holds, a {kind}, which cannot be written.")


class _Reader:
    """Reads options; its values are of the executor's package, or of the core."""

    def __init__(self, executor: type) -> None:
        self._packages = {_package(executor.__module__), _CORE}
        self._kinds = {
            "enum": self._enum,
            "path": lambda content: Path(_text(content)),
            "device": _read_device,
            "dtype": _read_dtype,
            "value": self._value,
        }

    def build(self, kind: type, options: Any) -> Any:
        """Make a value of a class from its options.

        Raises:
            FormatError: If the class does not take them; says why.
        """
        fields: Any = attrs.fields(kind)
        known = {field.alias for field in fields if field.init}
        if not isinstance(options, dict) or not known.issuperset(options):
            raise FormatError(f"{kind.__name__!r} has no such options: {options!r}.")
        try:
            given = {
                name: plain.read(one, self._kinds) for name, one in options.items()
            }
            return kind(**given)
        except FormatError:
            raise
        except Exception as error:  # validators may raise anything
            message = f"{kind.__name__!r} refuses its options: {error}"
            raise FormatError(message) from error

    def _value(self, content: Any) -> Any:
        path, options = content
        kind = self._own(path)
        if not attrs.has(kind):
            raise FormatError(f"{path!r} is no class of values.")
        return self.build(kind, options)

    def _enum(self, content: Any) -> Any:
        path, name = content
        kind = self._own(path)
        if not issubclass(kind, Enum):
            raise FormatError(f"{path!r} is no enumeration.")
        return kind[name]

    def _own(self, path: Any) -> type:
        found = _imported(path)
        if found is None or _package(found.__module__) not in self._packages:
            raise FormatError(f"{path!r} is no class of {sorted(self._packages)}.")
        return found


def _executor_class(path: Any, name: Any) -> type:
    found = _imported(path)
    if found is None and isinstance(name, str):
        registration = registry().registrations("executor").get(name)
        found = _class_beside(_resolve(registration) if registration else None, path)
    if found is None or not (issubclass(found, Executor) and attrs.has(found)):
        message = f"{path!r} is no executor that is known here. Install its plugin"
        raise FormatError(f"{message}, or import the module that defines it.")
    return found


def _class_beside(registered: type | None, path: Any) -> type | None:
    """Return a class by its path: a registered one, or one of its package."""
    module, _, _ = str(path).partition(":")
    if registered is None or _package(module) != _package(registered.__module__):
        return None
    with suppress(ImportError):
        importlib.import_module(module)
    return _imported(path)


def _registered_name(kind: type) -> str | None:
    """Return the name of a class, or of one of its package that it derives from.

    A registered class may make instances of others of its package.
    """
    for candidate in kind.__mro__:
        if _package(candidate.__module__) != _package(kind.__module__):
            continue
        for name, registration in registry().registrations("executor").items():
            # A target given by name need not be imported to be compared.
            target = registration.target
            if target is candidate or target == _path(candidate):
                return name
            if _resolve(registration) is candidate:
                return name
    return None


def _resolve(registration: Any) -> type | None:
    """Return the class that a plugin registered, if it is one and can be imported."""
    try:
        target = registration.resolve()
    except QElectronError:
        return None
    return target if isinstance(target, type) else None


def _imported(path: Any) -> type | None:
    """Return a class of a module that is imported already, if there is one.

    Looks into namespaces only: to ask a module for an attribute may import others.
    """
    module, _, qualname = str(path).partition(":")
    known: Any = sys.modules.get(module)
    found = sys.modules["__main__"] if module == _program() else known
    for part in qualname.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return found if isinstance(found, type) and _path(found) == path else None


def _path(kind: type) -> str:
    module = _program() if kind.__module__ == "__main__" else kind.__module__
    return f"{module}:{kind.__qualname__}"


def _program() -> str:
    """Return the name by which others import the program that runs.

    `"__main__"` if it has none, as in a notebook.
    """
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return str(spec.name)
    return Path(file).stem if file else "__main__"


def _package(module: str) -> str:
    return module.partition(".")[0]


def _text(content: Any) -> str:
    if not isinstance(content, str):
        raise FormatError(f"{content!r} is in a place for a string.")
    return content


def _dtype(kind: type) -> str:
    name = np.dtype(kind).str
    if name not in DTYPES:
        raise FormatError(f"it is, or holds, {kind!r}, which is no type of numbers.")
    return name


def _read_dtype(content: Any) -> type:
    if content not in DTYPES:
        raise FormatError(f"{content!r} is no type of numbers.")
    found: type = np.dtype(content).type
    return found


def _device_class() -> type:
    from pennylane.devices import Device

    found: type = Device
    return found


def _read_device(content: Any) -> type:
    """Return the class of a device, imported by PennyLane's registry if need be."""
    found = _imported(content)
    if found is None:
        _import_devices(_package(_text(content).partition(":")[0]))
        found = _imported(content)
    if found is None or not issubclass(found, _device_class()):
        raise FormatError(f"{content!r} is no device that is installed here.")
    return found


def _import_devices(package: str) -> None:
    """Import the devices that an installed package registers with PennyLane."""
    from importlib_metadata import entry_points

    for entry_point in entry_points(group="pennylane.plugins"):
        if _package(entry_point.module) == package:
            entry_point.load()

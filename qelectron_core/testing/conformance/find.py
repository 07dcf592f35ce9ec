"""Finds the kit for something that is installed, or anywhere in a module."""

from __future__ import annotations

import importlib
import inspect
import itertools
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs

from qelectron_core.contracts import Executor
from qelectron_core.errors import ConfigError, UnknownNameError, install_hint, suggest
from qelectron_core.registry import Kind, registry
from qelectron_core.remote import RemoteExecutor
from qelectron_core.store import Store
from qelectron_core.testing.conformance.executor import ExecutorConformance
from qelectron_core.testing.conformance.kit import Kit
from qelectron_core.testing.conformance.observer import ObserverConformance
from qelectron_core.testing.conformance.remote import RemoteExecutorConformance
from qelectron_core.testing.conformance.rules import told
from qelectron_core.testing.conformance.selector import SelectorConformance
from qelectron_core.testing.conformance.store import StoreConformance

#: What kits there are for.
CHECKED: Final[tuple[Kind, ...]] = ("executor", "selector", "store", "observer")
Options: TypeAlias = Mapping[str, Any]


def find_kit(name: str, *, kind: str | None = None, options: Options) -> Kit:
    """Return the kit that checks what goes by a name.

    Args:
        name: What a plugin registered, or `"module:attribute"`: an executor, a
            selector, a store, an observer, a class of them, or a kit of one's own.
        kind: What it is, where the name does not tell.
        options: What to make it with.

    Raises:
        UnknownNameError: If there is nothing of this name.
        ConfigError: If it is nothing that a kit checks, or cannot be made.
    """
    target = _imported(name) if ":" in name else None
    kit: Kit
    if inspect.isclass(target) and issubclass(target, Kit):
        kit = target()
    elif target is not None:
        kit = _kit(kind or _guess(name, target), target, options)
    else:
        kind, target = _registered(name, kind)
        kit = _kit(kind, target, options)
    _require_made(name, kit)
    return kit


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # a module may raise anything
        message = (
            f"{name!r} cannot be imported: {told(error)}. Expected module:attribute, "
            "as in qelectron_acme.executor:Acme."
        )
        raise UnknownNameError(message) from error
    return found


def _registered(name: str, kind: str | None) -> tuple[str, Any]:
    """Return the kind of what is registered under a name, and what it is."""
    kinds = [one for one in CHECKED if kind in (None, one)]
    spelt = [(one, key) for one in kinds for key in _names(one) if key == name]
    found = spelt or [
        (one, key)
        for one in kinds
        for key in _names(one)
        if key.lower() == name.lower()
    ]
    if not found:
        raise UnknownNameError(_unknown(name, kinds))
    if len(found) > 1:
        several = " and ".join(f"a {one}" for one, _ in found)
        message = f"{name!r} is {several}. Say which, as in --kind {found[0][0]}."
        raise ConfigError(message)
    ((only, key),) = found
    return only, registry().resolve(only, key)


def _names(kind: Kind) -> list[str]:
    return list(registry().registrations(kind))


def _unknown(name: str, kinds: list[Kind]) -> str:
    known = list(itertools.chain.from_iterable(map(_names, kinds)))
    listing = ", ".join(map(repr, known)) or "none"
    hint = install_hint(name) or suggest(name, known)
    broken = [plugin for plugin in registry().plugins if plugin.error]
    reasons = "".join(f" Plugin {p.name!r} did not load: {p.error}." for p in broken)
    what = kinds[0] if len(kinds) == 1 else "plugin"
    return f"no {what} offers {name!r}. Installed: {listing}.{hint}{reasons}"


def _guess(name: str, target: Any) -> Kind:
    made = target if inspect.isclass(target) else type(target)
    if issubclass(made, Executor):
        return "executor"
    if issubclass(made, Store):
        return "store"
    guess = _kind_of_call(target)
    if guess is None:
        message = (
            f"{name!r} is {target!r}: it cannot be told what it is. Say so with "
            f"--kind, one of {', '.join(CHECKED)}."
        )
        raise ConfigError(message)
    return guess


def _kind_of_call(target: Any) -> Kind | None:
    """Tell a selector from an observer by the number of its parameters."""
    call = target
    if inspect.isclass(target):
        call = next(
            (vars(c)["__call__"] for c in target.__mro__ if "__call__" in vars(c)), None
        )
    try:
        count = len(inspect.signature(call).parameters) - inspect.isclass(target)
    except (TypeError, ValueError):  # it cannot be called, or is written in C
        return None
    kinds: dict[int, Kind] = {1: "observer", 2: "selector"}
    return kinds.get(count)


def _kit(kind: str, target: Any, options: Options) -> Kit:
    if kind == "store":
        return _InstalledStore(target, options)
    kits: dict[str, type[Kit]] = {
        "executor": ExecutorConformance,
        "selector": SelectorConformance,
        "observer": ObserverConformance,
    }
    made = target if inspect.isclass(target) else type(target)
    if issubclass(made, RemoteExecutor):
        kits["executor"] = RemoteExecutorConformance
    kit = kits[kind]
    maker = _maker(kind, target, options)
    installed: type[Kit] = type(kit.__name__, (kit,), {"make": lambda _: maker()})
    return installed()


def _maker(kind: str, target: Any, options: Options) -> Callable[[], Any]:
    if isinstance(target, Executor):
        return lambda: attrs.evolve(target, **options)
    is_made = inspect.isclass(target) and kind != "observer"
    if is_made or options:
        return lambda: target(**options)
    return lambda: target


class _InstalledStore(StoreConformance):
    """Checks a store class, which gets a new location each time."""

    def __init__(self, target: Any, options: Options) -> None:
        self._target = target
        self._options = dict(options)
        self._folder = Path(tempfile.mkdtemp(prefix="qelectron-check-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._numbers = itertools.count()
        self._locations: weakref.WeakKeyDictionary[Store, Path]
        self._locations = weakref.WeakKeyDictionary()

    def make(self) -> Store:
        """Return a store in a place of its own."""
        return self._at(self._folder / f"store-{next(self._numbers)}")

    def reopen(self, store: Store) -> Store:
        """Return another store in the same place."""
        return self._at(self._locations[store])

    def _at(self, location: Path) -> Store:
        where = [location] if _takes_location(self._target) else []
        if not where and getattr(self._target, "durable", False):
            raise ConfigError(
                f"{self._target.__name__} is durable and takes no location, so that "
                "its own records would be changed. Check a kit of your own instead, "
                "whose make and reopen use an empty place."
            )
        store: Store = self._target(*where, **self._options)
        self._locations[store] = location
        return store


def _takes_location(target: Any) -> bool:
    """Tell whether something can be called with one argument without a name."""
    try:
        inspect.signature(target).bind_partial("")
    except (TypeError, ValueError):  # no signature, say
        return False
    return True


def _require_made(name: str, kit: Kit) -> None:
    try:
        kit.make()
    except Exception as error:
        message = (
            f"{name!r} cannot be made: {told(error)} Give options, as in "
            "--option token=abc, or check a kit of your own: module:TestClass."
        )
        raise ConfigError(message) from error

"""Finds installed plugins and keeps what they registered.

Entry points are loaded one at a time, sorted by name: a plugin that fails is
kept with its reason and never stops the others.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

import attrs
import pluggy

import qelectron_core.builtin as builtin  # noqa: PLR0402  # `from` would ask plugins
import qelectron_core.hookspecs as hookspecs  # noqa: PLR0402  # the same
from qelectron_core.errors import (
    ConfigError,
    PluginLoadError,
    UnknownNameError,
    install_hint,
    suggest,
)

Kind: TypeAlias = Literal[
    "executor", "selector", "store", "observer", "name", "command", "token"
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

#: Plugins named here (comma-separated entry-point names) are not loaded.
DISABLE_VARIABLE: Final = "QELECTRON_DISABLE"


class EntryPoint(Protocol):
    """The part of an installed entry point that loading needs."""

    @property
    def name(self) -> str:
        """Name of the entry point."""

    @property
    def dist(self) -> Any:
        """Distribution it belongs to, with `name` and `version`, or `None`."""

    def load(self) -> Any:
        """Import and return the plugin."""


@attrs.frozen
class Registration:
    """One name that a plugin registered."""

    kind: Kind
    name: str
    target: Any
    plugin: str

    def resolve(self) -> Any:
        """Return the registered object, importing it if it was given by name.

        Raises:
            PluginLoadError: If the import fails; gives the reason.
        """
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except Exception as error:
            message = (
                f"{self.kind} {self.name!r} of plugin {self.plugin!r} did not load: "
                f"{type(error).__name__}: {error}. Others are unaffected."
            )
            raise PluginLoadError(message) from error


@attrs.frozen
class Plugin:
    """An installed plugin and what came of loading it.

    Attributes:
        name: Name of its entry point.
        distribution: Name of the distribution that installed it.
        version: Version of that distribution.
        registrations: What it offers; empty when it did not load.
        error: Why it did not load, or `None`.
    """

    name: str
    distribution: str
    version: str
    registrations: tuple[Registration, ...] = ()
    error: str | None = None

    def names(self, kind: Kind) -> list[str]:
        """Return the names of one kind that the plugin registered, sorted."""
        return sorted(r.name for r in self.registrations if r.kind == kind)


@attrs.frozen
class Registry:
    """What all installed plugins offer."""

    plugins: tuple[Plugin, ...]

    def registrations(self, kind: Kind) -> Mapping[str, Registration]:
        """Return everything of one kind, by name, in alphabetical order."""
        found = {
            r.name: r for p in self.plugins for r in p.registrations if r.kind == kind
        }
        return dict(sorted(found.items()))

    def resolve(self, kind: Kind, name: str) -> Any:
        """Return what is registered under a name.

        Names are matched as written, else without regard to case.

        Raises:
            UnknownNameError: If there is none; says what is installed and what
                to install.
            PluginLoadError: If it cannot be imported.
        """
        known = self.registrations(kind)
        folded = {key.lower(): key for key in known}
        key = name if name in known else folded.get(name.lower())
        if key is None:
            raise UnknownNameError(self._unknown(kind, name, known))
        return known[key].resolve()

    def _unknown(self, kind: Kind, name: str, known: Iterable[str]) -> str:
        listing = ", ".join(repr(item) for item in known) or "none"
        hint = install_hint(name) or suggest(name, known)
        broken = "".join(
            f" Plugin {p.name!r} did not load: {p.error}."
            for p in self.plugins
            if p.error
        )
        return f"no {kind} named {name!r}. Installed: {listing}.{hint}{broken}"


def load(
    entry_points: Iterable[EntryPoint],
    *,
    disabled: Iterable[str] = (),
    trace: bool = False,
) -> Registry:
    """Load plugins and collect what they register.

    Args:
        entry_points: Entry points of the group `qelectron`.
        disabled: Names of entry points to leave out.
        trace: Whether to print every hook call to standard error.

    Returns:
        The core's own plugin and one `Plugin` per entry point, sorted by name.
    """
    loader = _Loader(trace=trace)
    version = _distribution_version("qelectron-core")
    loader.add("core", builtin, distribution="qelectron-core", version=version)
    skipped = set(disabled)
    for entry_point in sorted(entry_points, key=lambda ep: ep.name):
        if entry_point.name not in skipped:
            loader.add_entry_point(entry_point)
    return Registry(tuple(loader.plugins))


@functools.cache
def registry() -> Registry:
    """Return the registry of the installed plugins, loaded at first use."""
    from importlib_metadata import entry_points

    found: Any = entry_points(group=hookspecs.PROJECT)
    disabled, trace = _configured("disable"), _configured("trace")
    return load(found, disabled=disabled, trace=trace)


def _configured(name: str) -> Any:
    """Return a setting. Plugins load whatever is wrong with it, so as to mend it."""
    from qelectron_core.config.layers import Config, setting

    try:
        return setting(name)
    except ConfigError as error:
        from qelectron_core.saying import say_once

        say_once(str(error))
        return Config().setting(name).value


class _Loader:
    """Calls the hooks of one plugin after another."""

    def __init__(self, *, trace: bool) -> None:
        self.plugins: list[Plugin] = []
        self._taken: dict[tuple[Kind, str], str] = {}
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        if trace:
            self._manager.trace.root.setwriter(_print_trace)
            self._manager.enable_tracing()

    def add_entry_point(self, entry_point: EntryPoint) -> None:
        distribution = entry_point.dist
        name = str(distribution.name) if distribution else "unknown"
        version = str(distribution.version) if distribution else "unknown"
        try:
            module = entry_point.load()
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            self.plugins.append(Plugin(entry_point.name, name, version, error=reason))
            return
        self.add(entry_point.name, module, distribution=name, version=version)

    def add(self, name: str, module: Any, *, distribution: str, version: str) -> None:
        registrations: list[Registration] = []
        error = None
        try:
            _refuse_defaults(module)
            self._manager.register(module, name)
            self._manager.check_pending()
            self._call_hooks(name, module, registrations)
        except (Exception, SystemExit) as failure:  # a plugin may raise anything
            error = f"{type(failure).__name__}: {failure}"
            registrations = []
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
        self._taken.update({(r.kind, r.name): name for r in registrations})
        self.plugins.append(
            Plugin(name, distribution, version, tuple(registrations), error)
        )

    def _call_hooks(
        self, plugin: str, module: Any, registrations: list[Registration]
    ) -> None:
        others = [p for p in self._manager.get_plugins() if p is not module]
        for kind in KINDS:
            hook_name = f"qelectron_register_{kind}s"
            caller = self._manager.subset_hook_caller(hook_name, others)
            register = functools.partial(self._register, plugin, kind, registrations)
            caller(register=register)

    def _register(
        self,
        plugin: str,
        kind: Kind,
        registrations: list[Registration],
        name: str,
        target: Any,
    ) -> None:
        here = any(r.kind == kind and r.name == name for r in registrations)
        owner = plugin if here else self._taken.get((kind, name))
        if owner is not None:
            message = (
                f"{kind} {name!r} of plugin {plugin!r} is already offered by plugin "
                f"{owner!r}. Uninstall one of them, or set {DISABLE_VARIABLE}={plugin}"
            )
            raise ConfigError(message)
        registrations.append(Registration(kind, name, target, plugin))


def _refuse_defaults(module: Any) -> None:
    # pluggy releases disagree on whether such parameters are passed, so the same
    # plugin would behave differently from one machine to the next.
    for hook in (f"qelectron_register_{kind}s" for kind in KINDS):
        implementation = getattr(module, hook, None)
        if implementation is None:
            continue
        for parameter in inspect.signature(implementation).parameters.values():
            if parameter.default is not inspect.Parameter.empty:
                message = (
                    f"{hook}() gives its argument {parameter.name!r} a default value; "
                    "hook implementations must not. Remove the default."
                )
                raise ConfigError(message)


def _distribution_version(name: str) -> str:
    from importlib_metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _print_trace(text: str) -> None:
    import sys

    sys.stderr.write(text)


class Namespace(ModuleType):
    """Everything registered of one kind, as attributes: `ct.executor.Simulator`."""

    def __init__(self, kind: Kind, extra: Mapping[str, Any] | None = None) -> None:
        """Make the namespace of one kind, with names of the core's own."""
        super().__init__(f"qelectron_core.{kind}", f"Every registered {kind}, by name.")
        self._kind: Kind = kind
        self._extra = dict(extra or {})

    def __getattr__(self, name: str) -> Any:
        """Return what is registered under `name`, imported at first use.

        A hyphen in a registered name is written as an underscore here.

        Raises:
            AttributeError: If nothing is; says what is and what to install.
        """
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self._extra:
            return self._extra[name]
        known = registry().registrations(self._kind)
        hyphenated = name.replace("_", "-")
        if name not in known and hyphenated in known:
            name = hyphenated
        try:
            return registry().resolve(self._kind, name)
        except UnknownNameError as error:
            raise AttributeError(str(error)) from error

    def __dir__(self) -> list[str]:
        """List registered names, as they are written here."""
        registered = registry().registrations(self._kind)
        return sorted({*self._extra, *(name.replace("-", "_") for name in registered)})

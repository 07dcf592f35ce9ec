"""Run PennyLane circuits on many executors at once.

Importing this package imports neither PennyLane nor a plugin; names are loaded
when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qelectron_core.cluster import QCluster, Selector
    from qelectron_core.contracts import (
        Capabilities,
        Executor,
        Job,
        Outcome,
        Result,
        Seed,
        Settings,
    )
    from qelectron_core.errors import (
        ConfigError,
        ExecutorError,
        PluginLoadError,
        QElectronError,
        SelectorError,
        UnknownNameError,
    )
    from qelectron_core.events import Event, Execution, Observer
    from qelectron_core.futures import QFuture, as_completed, gather
    from qelectron_core.hookspecs import Register, hookimpl
    from qelectron_core.qnode import QElectron, qelectron
    from qelectron_core.registry import Namespace
    from qelectron_core.runtime import observe, shutdown
    from qelectron_core.store import Entry, Store

    executor: Namespace
    executors: Namespace
    selector: Namespace

__version__ = "0.1.0"

_MODULES = {
    "cluster": ("QCluster", "Selector"),
    "errors": (
        "ConfigError",
        "ExecutorError",
        "PluginLoadError",
        "QElectronError",
        "SelectorError",
        "UnknownNameError",
    ),
    "events": ("Event", "Execution", "Observer"),
    "contracts": (
        "Capabilities",
        "Executor",
        "Job",
        "Outcome",
        "Result",
        "Seed",
        "Settings",
    ),
    "futures": ("QFuture", "as_completed", "gather"),
    "hookspecs": ("Register", "hookimpl"),
    "qnode": ("QElectron", "qelectron"),
    "runtime": ("observe", "shutdown"),
    "store": ("Entry", "Store"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
_NAMESPACES = {"executor": "executor", "executors": "executor", "selector": "selector"}

__all__ = [
    "Capabilities",
    "ConfigError",
    "Entry",
    "Event",
    "Execution",
    "Executor",
    "ExecutorError",
    "Job",
    "Observer",
    "Outcome",
    "PluginLoadError",
    "QCluster",
    "QElectron",
    "QElectronError",
    "QFuture",
    "Register",
    "Result",
    "Seed",
    "Selector",
    "SelectorError",
    "Settings",
    "Store",
    "UnknownNameError",
    "as_completed",
    "executor",
    "executors",
    "gather",
    "hookimpl",
    "observe",
    "qelectron",
    "selector",
    "shutdown",
]


def __getattr__(name: str) -> Any:
    """Load a name when it is first used: the core's own, then what plugins add."""
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    elif name in _NAMESPACES:
        value = _namespace(name)
    elif name.startswith("_"):
        raise AttributeError(name)
    else:
        return _from_plugin(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the core's names and those that plugins add."""
    from qelectron_core.registry import registry

    return sorted({*__all__, "__version__", *registry().registrations("name")})


def _namespace(name: str) -> Any:
    from qelectron_core.registry import Namespace

    kind = _NAMESPACES[name]
    if kind == "selector":
        return Namespace("selector")
    from qelectron_core.cluster import QCluster

    return Namespace("executor", {"QCluster": QCluster})


def _from_plugin(name: str) -> Any:
    from qelectron_core.errors import UnknownNameError, install_hint, suggest
    from qelectron_core.registry import registry

    try:
        return registry().resolve("name", name)
    except UnknownNameError:
        if name in registry().registrations("executor"):
            hint = f" It is ct.executor.{name}."
        else:
            hint = install_hint(name) or suggest(name, __all__)
        message = f"qelectron_core has no attribute {name!r}.{hint}"
        raise AttributeError(message) from None

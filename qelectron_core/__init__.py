"""Run PennyLane circuits on many executors at once.

Importing this package imports neither PennyLane nor a plugin; names are loaded
when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qelectron_core.again import plan_again, run_again
    from qelectron_core.attaching import attach
    from qelectron_core.budget import Budget, Ledger, Spent
    from qelectron_core.cluster import Failover, QCluster, Selector, refusal
    from qelectron_core.contracts import (
        Capabilities,
        Estimate,
        Executor,
        Job,
        Limits,
        Outcome,
        Result,
        Seed,
        Settings,
    )
    from qelectron_core.errors import (
        BudgetError,
        ConfigError,
        ExecutorError,
        ExecutorTimeoutError,
        FormatError,
        JobCancelledError,
        JobFailedError,
        PluginLoadError,
        QElectronError,
        RateLimitError,
        SelectorError,
        StoreError,
        TransientError,
        UnknownJobError,
        UnknownNameError,
        UnsettledJobError,
    )
    from qelectron_core.events import Event, Execution, Observer
    from qelectron_core.futures import QFuture, as_completed, gather
    from qelectron_core.hookspecs import Register, hookimpl
    from qelectron_core.journal import history
    from qelectron_core.plans import Plan, PlannedJob
    from qelectron_core.policy import CacheMode, Policy, caching
    from qelectron_core.qnode import QElectron, qelectron
    from qelectron_core.registry import Namespace
    from qelectron_core.remote import (
        Handle,
        Polling,
        RemoteExecutor,
        State,
        Status,
        retry_after_s,
    )
    from qelectron_core.runtime import (
        Load,
        at_shutdown,
        load,
        observe,
        shutdown,
        tell,
    )
    from qelectron_core.scopes import Scope, scope
    from qelectron_core.secret import Secret
    from qelectron_core.shelf import Shelf
    from qelectron_core.store import (
        Balance,
        Call,
        Claim,
        Document,
        Entry,
        Intent,
        Kept,
        Key,
        Run,
        Store,
        Usage,
    )
    from qelectron_core.tally import Tally
    from qelectron_core.tokens.vendor import VendorTokens, kept_token

    executor: Namespace
    executors: Namespace
    selector: Namespace

__version__ = "0.1.0"

_MODULES = {
    "again": ("plan_again", "run_again"),
    "attaching": ("attach",),
    "budget": ("Budget", "Ledger", "Spent"),
    "cluster": ("Failover", "QCluster", "Selector", "refusal"),
    "errors": (
        "BudgetError",
        "ConfigError",
        "ExecutorError",
        "ExecutorTimeoutError",
        "FormatError",
        "JobCancelledError",
        "JobFailedError",
        "PluginLoadError",
        "QElectronError",
        "RateLimitError",
        "SelectorError",
        "StoreError",
        "TransientError",
        "UnknownJobError",
        "UnknownNameError",
        "UnsettledJobError",
    ),
    "events": ("Event", "Execution", "Observer"),
    "contracts": (
        "Capabilities",
        "Estimate",
        "Executor",
        "Job",
        "Limits",
        "Outcome",
        "Result",
        "Seed",
        "Settings",
    ),
    "futures": ("QFuture", "as_completed", "gather"),
    "journal": ("history",),
    "hookspecs": ("Register", "hookimpl"),
    "plans": ("Plan", "PlannedJob"),
    "policy": ("CacheMode", "Policy", "caching"),
    "qnode": ("QElectron", "qelectron"),
    "remote": (
        "Handle",
        "Polling",
        "RemoteExecutor",
        "State",
        "Status",
        "retry_after_s",
    ),
    "runtime": ("Load", "at_shutdown", "load", "observe", "shutdown", "tell"),
    "scopes": ("Scope", "scope"),
    "secret": ("Secret",),
    "shelf": ("Shelf",),
    "store": (
        "Balance",
        "Call",
        "Claim",
        "Document",
        "Entry",
        "Intent",
        "Kept",
        "Key",
        "Run",
        "Store",
        "Usage",
    ),
    "tally": ("Tally",),
    "tokens.vendor": ("VendorTokens", "kept_token"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
_NAMESPACES = {"executor": "executor", "executors": "executor", "selector": "selector"}

__all__ = [
    "Balance",
    "Budget",
    "BudgetError",
    "CacheMode",
    "Call",
    "Capabilities",
    "Claim",
    "ConfigError",
    "Document",
    "Entry",
    "Estimate",
    "Event",
    "Execution",
    "Executor",
    "ExecutorError",
    "ExecutorTimeoutError",
    "Failover",
    "FormatError",
    "Handle",
    "Intent",
    "Job",
    "JobCancelledError",
    "JobFailedError",
    "Kept",
    "Key",
    "Ledger",
    "Limits",
    "Load",
    "Observer",
    "Outcome",
    "Plan",
    "PlannedJob",
    "PluginLoadError",
    "Policy",
    "Polling",
    "QCluster",
    "QElectron",
    "QElectronError",
    "QFuture",
    "RateLimitError",
    "Register",
    "RemoteExecutor",
    "Result",
    "Run",
    "Scope",
    "Secret",
    "Seed",
    "Selector",
    "SelectorError",
    "Settings",
    "Shelf",
    "Spent",
    "State",
    "Status",
    "Store",
    "StoreError",
    "Tally",
    "TransientError",
    "UnknownJobError",
    "UnknownNameError",
    "UnsettledJobError",
    "Usage",
    "VendorTokens",
    "as_completed",
    "at_shutdown",
    "attach",
    "caching",
    "executor",
    "executors",
    "gather",
    "history",
    "hookimpl",
    "kept_token",
    "load",
    "observe",
    "plan_again",
    "qelectron",
    "refusal",
    "retry_after_s",
    "run_again",
    "scope",
    "selector",
    "shutdown",
    "tell",
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

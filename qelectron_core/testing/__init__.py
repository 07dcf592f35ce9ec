"""What plugin authors and users test with: the conformance kit, and a fake cloud.

Importing this package imports neither PennyLane nor pytest; names are loaded when
they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qelectron_core.testing.clock import virtual_clock
    from qelectron_core.testing.conformance import (
        ExecutorConformance,
        ObserverConformance,
        RemoteExecutorConformance,
        Report,
        SelectorConformance,
        StoreConformance,
        check,
    )
    from qelectron_core.testing.fakecloud import FakeCloud
    from qelectron_core.testing.faults import Faults
    from qelectron_core.testing.vendor import Vendor

_MODULES = {
    "clock": ("virtual_clock",),
    "conformance": (
        "ExecutorConformance",
        "ObserverConformance",
        "RemoteExecutorConformance",
        "Report",
        "SelectorConformance",
        "StoreConformance",
        "check",
    ),
    "fakecloud": ("FakeCloud",),
    "faults": ("Faults",),
    "vendor": ("Vendor",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "ExecutorConformance",
    "FakeCloud",
    "Faults",
    "ObserverConformance",
    "RemoteExecutorConformance",
    "Report",
    "SelectorConformance",
    "StoreConformance",
    "Vendor",
    "check",
    "virtual_clock",
]


def __getattr__(name: str) -> Any:
    """Load a name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"{__name__} has no attribute {name!r}.")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the names that can be used."""
    return __all__

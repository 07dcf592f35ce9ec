"""What all kits share."""

from __future__ import annotations

import sys
import unittest
from typing import Any, ClassVar, Final

from qelectron_core.registry import Kind, Registration, registry
from qelectron_core.testing.conformance.fresh import imported_by_registering
from qelectron_core.testing.conformance.rules import DEADLINE_S, require


class Kit:
    """Base of every kit: says how the thing to check is made.

    A subclass implements `make`; pytest collects its rules, and
    `qelectron_core.testing.check` runs them without pytest.

    Attributes:
        kind: What it checks, as the registry calls it.
        deadline_s: Seconds that one rule may take.
    """

    kind: ClassVar[Kind]
    deadline_s: ClassVar[float] = DEADLINE_S

    def make(self) -> Any:
        """Return a new one of what is to be checked, each time alike."""
        name = type(self).__name__
        message = f"{name} has no make(). Write `def make(self): return ...` in it."
        raise NotImplementedError(message)

    def tidy(self) -> None:
        """Free what was made for a rule; called at the end of each."""

    def subject(self) -> str:
        """Return what is checked, for people."""
        try:
            return repr(self.make())
        except Exception:
            return type(self).__name__

    def registration(self, made: object) -> Registration | None:
        """Return under which name a plugin registered what was made, if one did."""
        for found in registry().registrations(self.kind).values():
            target = _if_imported(found.target)
            if target is made or target is type(made):
                return found
        return None

    def require_light_registration(self) -> None:
        """Fail if the hook that registers it imports it, or PennyLane."""
        made = self.make()
        registered = self.registration(made)
        if registered is None:
            raise unittest.SkipTest("not registered by an installed plugin")
        heavy = (_module(made), _PENNYLANE)
        imported = imported_by_registering(registered.plugin, heavy)
        require(
            not imported,
            expected=f"plugin {registered.plugin!r} to register it by name only",
            seen=f"its hooks import {', '.join(map(repr, imported))}",
            hint='Pass "module:attribute" to register(), and import nothing else.',
        )


_PENNYLANE: Final = "pennylane"


def _module(made: object) -> str:
    home = made if hasattr(made, "__qualname__") else type(made)
    return str(home.__module__)


def _if_imported(target: Any) -> Any:
    """Return what a registration means, unless nobody has imported it yet."""
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    return getattr(sys.modules.get(module), attribute, None)

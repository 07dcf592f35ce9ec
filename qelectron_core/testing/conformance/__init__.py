"""The conformance kit: what a plugin inherits in three lines to prove its work.

Kits need no pytest: they are classes whose `test_...` methods pytest collects, and
that `check` runs without it.
"""

from qelectron_core.testing.conformance.executor import ExecutorConformance
from qelectron_core.testing.conformance.kit import Kit
from qelectron_core.testing.conformance.observer import ObserverConformance
from qelectron_core.testing.conformance.remote import RemoteExecutorConformance
from qelectron_core.testing.conformance.report import Report, RuleResult
from qelectron_core.testing.conformance.rules import (
    NotDeclared,
    Rule,
    RuleBroken,
    rules_of,
)
from qelectron_core.testing.conformance.runner import check
from qelectron_core.testing.conformance.selector import SelectorConformance
from qelectron_core.testing.conformance.store import StoreConformance

__all__ = [
    "ExecutorConformance",
    "Kit",
    "NotDeclared",
    "ObserverConformance",
    "RemoteExecutorConformance",
    "Report",
    "Rule",
    "RuleBroken",
    "RuleResult",
    "SelectorConformance",
    "StoreConformance",
    "check",
    "rules_of",
]

"""Runs the rules of a kit one after the other."""

from __future__ import annotations

import time
import unittest
from collections.abc import Callable, Collection
from typing import Final

import attrs

from qelectron_core.errors import ConfigError, suggest
from qelectron_core.testing.conformance.kit import Kit
from qelectron_core.testing.conformance.report import Report, RuleResult
from qelectron_core.testing.conformance.rules import (
    NotDeclared,
    OutOfTime,
    Rule,
    RuleBroken,
    rules_of,
    told,
)

#: Rules that may run out of time before the others are left out: they would, too.
PATIENCE: Final = 2


def check(
    kit: Kit | type[Kit],
    *,
    rules: Collection[str] = (),
    starting: Callable[[Rule], None] | None = None,
    ended: Callable[[RuleResult], None] | None = None,
) -> Report:
    """Check a plugin by the rules of a kit.

    Args:
        kit: A class derived from a kit such as `ExecutorConformance`, whose `make`
            says what is checked, or an instance of it.
        rules: Numbers of the rules to check; all of them if none is named.
        starting: Called with each rule before it is checked.
        ended: Called with what came of each rule.

    Returns:
        What came of each rule, whatever the plugin raises.

    Raises:
        ConfigError: If the kit has no rule of such a number.
    """
    kit = kit() if isinstance(kit, type) else kit
    results: list[RuleResult] = []
    for rule in _wanted(kit, rules):
        if starting is not None:
            starting(rule)
        late = sum(result.out_of_time for result in results)
        result = _run(kit, rule) if late < PATIENCE else _left_out(rule)
        results.append(result)
        if ended is not None:
            ended(result)
    return Report(kit.subject(), tuple(results))


def _wanted(kit: Kit, numbers: Collection[str]) -> list[Rule]:
    known = {rule.number: rule for rule in rules_of(type(kit))}
    wanted = [number.upper() for number in numbers] or list(known)
    for number in wanted:
        if number not in known:
            message = (
                f"{type(kit).__name__} has no rule {number!r}."
                f"{suggest(number, known)} Rules: {', '.join(known)}."
            )
            raise ConfigError(message)
    return [rule for number, rule in known.items() if number in wanted]


def _run(kit: Kit, rule: Rule) -> RuleResult:
    start = time.perf_counter()
    result = _result(kit, rule)
    return attrs.evolve(result, seconds=time.perf_counter() - start)


def _result(kit: Kit, rule: Rule) -> RuleResult:
    try:
        getattr(kit, rule.method)()
    except RuleBroken as broken:
        return RuleResult(
            rule,
            "failed",
            str(broken),
            expected=broken.expected,
            seen=broken.seen,
            hint=broken.hint,
            out_of_time=isinstance(broken, OutOfTime),
        )
    except unittest.SkipTest as skip:
        capability = skip.capability if isinstance(skip, NotDeclared) else None
        return RuleResult(rule, "skipped", str(skip), undeclared=capability)
    except Exception as error:
        return RuleResult(
            rule, "error", told(error), expected="no exception", seen=told(error)
        )
    return RuleResult(rule, "passed")


def _left_out(rule: Rule) -> RuleResult:
    message = f"not checked, because {PATIENCE} rules ran out of time"
    return RuleResult(rule, "skipped", message)

"""What came of checking a plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs

from qelectron_core.testing.conformance.rules import Rule

#: How a rule ended; `"error"` if something raised that no rule speaks of.
RuleOutcome: TypeAlias = Literal["passed", "failed", "skipped", "error"]


@attrs.frozen
class RuleResult:
    """What came of one rule.

    Attributes:
        rule: The rule.
        outcome: `"passed"`, `"failed"`, `"skipped"` or `"error"`.
        message: Why it failed or was skipped; empty if it passed.
        expected: What a rule that failed expects.
        seen: What there was instead.
        hint: What to do about it.
        undeclared: The capability whose absence made it skip, or `None`.
        out_of_time: Whether it failed because it did not end in time.
        seconds: How long it took.
    """

    rule: Rule
    outcome: RuleOutcome
    message: str = ""
    expected: str = ""
    seen: str = ""
    hint: str = ""
    undeclared: str | None = None
    out_of_time: bool = False
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain numbers and strings."""
        return {
            "rule": self.rule.number,
            "sentence": self.rule.sentence,
            "outcome": self.outcome,
            "message": self.message,
            "expected": self.expected,
            "seen": self.seen,
            "hint": self.hint,
            "undeclared": self.undeclared,
            "out_of_time": self.out_of_time,
            "seconds": round(self.seconds, 6),
        }


@attrs.frozen
class Report:
    """What came of the rules of one kit.

    Attributes:
        subject: What was checked.
        results: One per rule, in order.
    """

    subject: str
    results: tuple[RuleResult, ...]

    @property
    def ok(self) -> bool:
        """Whether a rule passed and none failed."""
        counts = self.counts
        return counts["passed"] > 0 and not (counts["failed"] or counts["error"])

    @property
    def counts(self) -> Mapping[RuleOutcome, int]:
        """Number of rules per outcome."""
        counts: dict[RuleOutcome, int] = dict.fromkeys(
            ("passed", "failed", "skipped", "error"), 0
        )
        for result in self.results:
            counts[result.outcome] += 1
        return counts

    @property
    def undeclared(self) -> tuple[str, ...]:
        """Capabilities that are not declared, so that their rules were skipped."""
        named = (result.undeclared for result in self.results)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def proves_values(self) -> bool:
        """Whether results were compared with a reference, if there are any."""
        comparing = [r for r in self.results if r.rule.compares_values]
        return not comparing or any(r.outcome != "skipped" for r in comparing)

    @property
    def summary(self) -> str:
        """The counts, in one line."""
        counts = self.counts
        line = f"{counts['passed']} passed, {counts['failed'] + counts['error']} failed"
        line += f", {counts['skipped']} skipped"
        if self.undeclared:
            line += f" (not declared: {', '.join(self.undeclared)})"
        return line

    @property
    def note(self) -> str:
        """What the counts do not say, or an empty string."""
        if self.proves_values:
            return ""
        return (
            "No result was compared with a reference: every rule about values was "
            "skipped. Nothing is known of whether the results are right."
        )

    def of(self, number: str) -> RuleResult:
        """Return what came of one rule.

        Raises:
            KeyError: If the rule was not checked.
        """
        for result in self.results:
            if result.rule.number == number:
                return result
        raise KeyError(number)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain dictionaries, lists, numbers and strings."""
        return {
            "subject": self.subject,
            "ok": self.ok,
            "counts": dict(self.counts),
            "undeclared": list(self.undeclared),
            "proves_values": self.proves_values,
            "rules": [result.to_json() for result in self.results],
        }

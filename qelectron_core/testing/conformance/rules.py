"""What a rule is, how it is broken, and how one is left out.

No rule relies on pytest: it fails with a sentence of its own, skips with
`unittest.SkipTest`, which pytest honours, and never outlasts its deadline.
"""

from __future__ import annotations

import contextvars
import functools
import re
import unittest
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, TypeVar

import attrs

from qelectron_core.testing.conformance.threads import in_thread

T = TypeVar("T")
#: A method of a kit that checks one rule.
RuleMethod: TypeAlias = Callable[[Any], None]

_NAME: Final = re.compile(r"test_([a-z])(\d\d)_")
#: Seconds that a rule may take where its kit says nothing.
DEADLINE_S: Final = 60.0


@attrs.frozen
class Rule:
    """One thing that a plugin must do.

    Attributes:
        number: Its number, such as `"E5"`.
        method: Name of the kit's method that checks it.
        sentence: What it says.
        compares_values: Whether it compares results with those of a reference.
    """

    number: str
    method: str
    sentence: str
    compares_values: bool = False


class RuleBroken(AssertionError):  # noqa: N818  # it is no error of the kit's
    """A plugin broke a rule.

    Attributes:
        rule: The rule, once it is known.
        expected: What the rule expects.
        seen: What the plugin did.
        hint: What to do about it, or an empty string.
    """

    def __init__(self, expected: str, seen: str, hint: str = "") -> None:
        super().__init__(expected, seen, hint)
        self.rule: Rule | None = None
        self.expected = expected
        self.seen = seen
        self.hint = hint

    def __str__(self) -> str:
        """Return the rule, what was expected, what was seen, and what to do."""
        title = f"{self.rule.number}: {self.rule.sentence}" if self.rule else "broken"
        lines = [title, f"  expected: {self.expected}", f"  seen: {self.seen}"]
        return "\n".join(lines + ([f"  to do: {self.hint}"] if self.hint else []))


class OutOfTime(RuleBroken):
    """A rule did not end in time."""


class NotDeclared(unittest.SkipTest):
    """A rule is left out because the plugin does not declare the capability.

    Attributes:
        capability: What is not declared.
    """

    def __init__(self, capability: str) -> None:
        super().__init__(f"not declared: {capability}")
        self.capability = capability


def require(held: object, *, expected: str, seen: object, hint: str = "") -> None:
    """Fail unless something holds.

    Args:
        held: Whether it holds.
        expected: What the rule expects.
        seen: What there was instead.
        hint: What to do about it.

    Raises:
        RuleBroken: If it does not hold.
    """
    __tracebackhide__ = True
    if not held:
        raise RuleBroken(expected, seen if isinstance(seen, str) else repr(seen), hint)


def declared(capability: str, value: object) -> None:
    """Leave the rule out unless a capability is declared.

    Raises:
        NotDeclared: If `value` is false.
    """
    __tracebackhide__ = True
    if not value:
        raise NotDeclared(capability)


@contextmanager
def calling(what: str, hint: str = "") -> Iterator[None]:
    """Turn whatever a call of the plugin raises into a broken rule."""
    try:
        yield
    except (RuleBroken, unittest.SkipTest):
        raise
    except Exception as error:
        raise RuleBroken(f"{what} to raise nothing", told(error), hint) from error


def told(error: BaseException) -> str:
    """Return the type and the message of an exception."""
    message = str(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def within(seconds: float, work: Callable[[], T], what: str) -> T:
    """Return what a call returns, or fail if it takes too long.

    It runs in a thread of its own, which is left behind if it hangs.

    Args:
        seconds: Longest time that it may take.
        work: What to call.
        what: What it is, for the message.

    Raises:
        OutOfTime: If it has not ended by then.
        Exception: What the call raises.
    """
    context = contextvars.copy_context()
    future: Future[T] = in_thread(lambda: context.run(work))
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():  # the call's own
            raise
    raise OutOfTime(
        f"{what} to end within {seconds:g} s",
        f"it had not ended after {seconds:g} s",
        "If it only needs longer, set deadline_s on the kit's class.",
    )


def rule(method: RuleMethod) -> RuleMethod:
    """Make a method of a kit the check of the rule that its docstring states."""
    return _rule(method, compares_values=False)


def value_rule(method: RuleMethod) -> RuleMethod:
    """Make a method a rule that compares results with those of a reference."""
    return _rule(method, compares_values=True)


def rules_of(kit: type) -> tuple[Rule, ...]:
    """Return the rules of a kit, in the order of their letters and numbers.

    A rule that a subclass put something else in place of is not among them.
    """
    methods = (getattr(kit, name) for name in dir(kit))
    found: list[Rule] = [m.rule for m in methods if isinstance(_rule_of(m), Rule)]
    return tuple(sorted(found, key=lambda rule: (rule.number[0], int(rule.number[1:]))))


def _rule_of(member: object) -> object:
    return getattr(member, "rule", None)


def _rule(method: RuleMethod, *, compares_values: bool) -> RuleMethod:
    name = method.__name__
    match = _NAME.match(name)
    if match is None:
        raise NameError(f"{name!r} has no number. Expected a name like 'test_e01_…'.")
    number = f"{match[1].upper()}{int(match[2])}"
    sentence = " ".join((method.__doc__ or "").split())
    stated = Rule(number, name, sentence, compares_values)

    @functools.wraps(method)
    def checked(self: Any) -> None:
        __tracebackhide__ = True
        seconds = getattr(self, "deadline_s", DEADLINE_S)
        try:
            within(seconds, functools.partial(_run, method, self), f"rule {number}")
        except RuleBroken as broken:
            broken.rule = stated
            raise
        except Exception as error:
            error.add_note(f"while checking {number}: {sentence}")
            raise

    checked.rule = stated  # type: ignore[attr-defined]  # functions take attributes
    return checked


def _run(method: RuleMethod, kit: Any) -> None:
    try:
        method(kit)
    finally:
        kit.tidy()

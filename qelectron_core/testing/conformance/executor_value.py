"""Executor rules E1 to E7: an executor is a value."""

from __future__ import annotations

import contextlib
import pickle
import re
from typing import Any, Final

import attrs

from qelectron_core.contracts import Executor
from qelectron_core.testing.conformance.doubles import SECRET
from qelectron_core.testing.conformance.executor_kit import ExecutorKit
from qelectron_core.testing.conformance.fresh import sent_through
from qelectron_core.testing.conformance.rules import (
    RuleBroken,
    calling,
    require,
    rule,
    told,
)

_SECRET_WORDS: Final = frozenset(
    ("token", "secret", "password", "passwd", "passphrase", "key", "credentials")
)
_HASHABLE: Final = (
    "Put @attrs.frozen above the class, and use tuples and frozen classes for its "
    "options, not lists or dicts."
)


class ValueRules(ExecutorKit):
    """Equal, hashable, frozen, picklable, without secrets on display."""

    @rule
    def test_e01_is_equal_by_content(self) -> None:
        """Made twice with equal options, it is equal, and so is its hash."""
        first, second = self.make(), self.make()
        _require_equal(first, second, "two executors made alike", _HASHABLE)

    @rule
    def test_e02_is_frozen(self) -> None:
        """Its options cannot be set once it is made."""
        executor = self.make()
        for field in attrs.fields(type(executor)):
            value = getattr(executor, field.name)
            try:
                setattr(executor, field.name, value)
            except AttributeError:
                continue
            raise RuleBroken(
                f"an error when option {field.name!r} is set",
                "it was set without a word",
                "Put @attrs.frozen above the class.",
            )

    @rule
    def test_e03_pickles(self) -> None:
        """Pickled and unpickled, it is equal."""
        executor = self.make()
        with calling("pickle.dumps and pickle.loads of it"):
            restored = pickle.loads(pickle.dumps(executor))
        _require_equal(executor, restored, "the executor and its unpickled copy")

    @rule
    def test_e04_reaches_another_process(self) -> None:
        """Pickled and sent to a fresh process, it comes back equal."""
        executor = self.make()
        restored, there = sent_through(executor)
        _require_equal(executor, restored, "the executor and what comes back")
        for name, value in there.items():
            require(
                getattr(executor, name) == value,
                expected=f"{name}={getattr(executor, name)!r} in another process",
                seen=f"{name}={value!r} there",
            )

    @rule
    def test_e05_shows_no_secret(self) -> None:
        """Its `repr` and `str` show no token, secret, password or key."""
        executor = self.make()
        for field in attrs.fields(type(executor)):
            if _SECRET_WORDS.isdisjoint(re.split(r"_+", field.name.lower())):
                continue
            secret, shown = _shown_with_secret(executor, field)
            require(
                secret is None or secret not in shown,
                expected=f"a repr and a str without the value of {field.name!r}",
                seen="the value is shown in full",
                hint=f"{field.name}: str = attrs.field(repr=False)",
            )

    @rule
    def test_e06_explains_a_misspelt_option(self) -> None:
        """A misspelt option is a `TypeError` that names the option that was meant."""
        kind: Any = type(self.make())
        names = [field.alias for field in attrs.fields(kind) if field.init]
        meant = max(names, key=lambda name: (len(name), name))
        misspelt = f"{meant[:-2]}{meant[-1]}{meant[-2]}x"
        expected = f"TypeError naming {meant!r} for {kind.__name__}({misspelt}=None)"
        try:
            kind(**{misspelt: None})
        except TypeError as error:
            require(meant in str(error), expected=expected, seen=told(error))
        except Exception as error:
            raise RuleBroken(expected, told(error)) from error
        else:
            raise RuleBroken(expected, "it was accepted")

    @rule
    def test_e07_adapts_to_equal_devices_alike(self) -> None:
        """Adapted to two devices made alike, it is equal: their QNodes share it."""
        executor = self.make()
        first, second = self.bind(executor), self.bind(executor)
        require(
            isinstance(first, Executor),
            expected="for_device(device) to return an executor",
            seen=first,
        )
        _require_equal(first, second, "what for_device returns for two equal devices")
        kept = (first.shots, first.seed) == (executor.shots, executor.seed)
        require(
            kept,
            expected=f"shots={executor.shots!r} and seed={executor.seed!r} to be kept",
            seen=f"shots={first.shots!r} and seed={first.seed!r}",
        )


def _require_equal(first: Any, second: Any, what: str, hint: str = "") -> None:
    require(
        first == second,
        expected=f"{what} to be equal",
        seen=f"{first!r} and {second!r} are not",
        hint=hint,
    )
    with calling("hash(executor)", _HASHABLE):
        hashes = hash(first), hash(second)
    require(
        hashes[0] == hashes[1],
        expected=f"{what} to have equal hashes",
        seen=f"{hashes[0]} and {hashes[1]}",
        hint=hint,
    )


def _shown_with_secret(executor: Any, field: Any) -> tuple[str | None, str]:
    """Return a secret in a field of an executor, and how the executor is shown."""
    value = getattr(executor, field.name)
    if field.init and (value is None or isinstance(value, str)):
        with contextlib.suppress(Exception):  # not every text passes for a secret
            filled = attrs.evolve(executor, **{field.alias: SECRET})
            return SECRET, f"{filled!r}{filled!s}"
    secret = value if isinstance(value, str) and value else None
    return secret, f"{executor!r}{executor!s}"

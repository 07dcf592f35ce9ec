"""Budgets: the most that calls may spend, and what they have spent of it."""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from numbers import Integral, Real
from typing import Any, Final, Self
from weakref import WeakSet

import attrs

from qelectron_core.config.layers import setting
from qelectron_core.errors import ConfigError, check_options
from qelectron_core.memory_ledgers import Ledgers
from qelectron_core.store import Balance

#: What is counted, as users write it, and as it is counted: in integers, so that many
#: small amounts make up what they should. Dollars and seconds are counted in 10^-9.
UNITS: Final[Mapping[str, str]] = {
    "shots": "shots",
    "circuits": "circuits",
    "jobs": "jobs",
    "cost_usd": "nano_usd",
    "seconds": "nano_seconds",
}
_PER: Final[Mapping[str, int]] = {"nano_usd": 10**9, "nano_seconds": 10**9}
#: The largest limit of each kind, so that no store runs over.
_MOST: Final = 10**9
_MOST_COUNTED: Final = 10**15
#: Above every limit, and small enough that a few of them fit into 64 bits.
_MOST_HELD: Final = 10**18

#: Taken wherever ledgers in memory are changed: several are, or none.
lock: Final = threading.RLock()
#: All ledgers of this process.
_ledgers: Final[WeakSet[Ledger]] = WeakSet()


def _after_fork() -> None:
    for ledger in _ledgers:
        ledger.let_go()
    lock.release()


if hasattr(os, "register_at_fork"):  # not on Windows; so that no child gets it locked
    os.register_at_fork(
        before=lock.acquire, after_in_parent=lock.release, after_in_child=_after_fork
    )
_blocks: ContextVar[tuple[Ledger, ...]] = ContextVar("qelectron_budgets", default=())


def _check_count(_: Any, attribute: Any, value: Any) -> None:
    is_count = isinstance(value, Integral) and not isinstance(value, bool)
    if value is not None and not (is_count and 0 <= int(value) <= _MOST_COUNTED):
        _refuse(attribute.name, value, "a whole number")


def _check_amount(_: Any, attribute: Any, value: Any) -> None:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    fits = is_number and math.isfinite(value) and 0 <= value <= _MOST
    if value is not None and not fits:
        what = "US dollars" if attribute.name == "cost_usd" else "seconds"
        _refuse(attribute.name, value, what)


def _refuse(name: str, value: Any, what: str) -> None:
    message = f"{name}={value!r} is no limit. Expected {what} of 0 or more, or None."
    raise ConfigError(message)


def _limit(validator: Any) -> Any:
    return attrs.field(default=None, validator=validator)


@attrs.frozen(kw_only=True)
class Budget:
    """The most that calls may spend; what would exceed it is refused, and not sent.

    Given to a QElectron, it holds for all its calls together. As a `with` block, it
    holds for the calls of the block, those of `run_later`, `map` and gradients, too;
    blocks nest, and all of them hold.

    Attributes:
        shots: Shots; `None` means any number, as below.
        circuits: Circuits.
        jobs: Jobs.
        cost_usd: Price in US dollars, as executors know it.
        seconds: Seconds on backends, as executors know them.

    Raises:
        ConfigError: If a limit is below 0, or none.

    Example:
        >>> import qelectron_core as ct
        >>> with ct.Budget(shots=10_000, cost_usd=2.5) as ledger:
        ...     pass  # call QElectrons
        >>> ledger.spent
        Spent(shots=0, circuits=0, jobs=0, cost_usd=0.0, seconds=0.0)
    """

    shots: int | None = _limit(_check_count)
    circuits: int | None = _limit(_check_count)
    jobs: int | None = _limit(_check_count)
    cost_usd: float | None = _limit(_check_amount)
    seconds: float | None = _limit(_check_amount)

    def __new__(cls, **limits: Any) -> Self:
        """Refuse misspelt limits with a message that helps."""
        check_options("Budget", limits, UNITS)
        return super().__new__(cls)

    def __repr__(self) -> str:
        """Show the limits that there are."""
        return f"Budget({self._shown()})"

    @property
    def limits(self) -> Mapping[str, int]:
        """The limits, as they are counted."""
        given = ((unit, getattr(self, name)) for name, unit in UNITS.items())
        return {
            unit: counted(unit, limit) for unit, limit in given if limit is not None
        }

    def __enter__(self) -> Ledger:
        """Begin a block; return what counts its spending."""
        ledger = Ledger(self, f"the budget {self._shown() or 'without limits'}")
        _blocks.set((*_blocks.get(), ledger))
        return ledger

    def __exit__(self, *_: object) -> None:
        """End the block, which need not be the last one that began."""
        ledgers = _blocks.get()
        own = [one for one in ledgers if one.budget is self][-1:]
        _blocks.set(tuple(one for one in ledgers if one not in own))

    def _shown(self) -> str:
        given = {name: getattr(self, name) for name in UNITS}
        return ", ".join(f"{n}={v!r}" for n, v in given.items() if v is not None)


@attrs.frozen
class Spent:
    """Amounts that were spent, or are left.

    Attributes:
        shots: Shots; `None` means any number, where this is what is left.
        circuits: Circuits.
        jobs: Jobs.
        cost_usd: US dollars; `None` if an executor did not know its price.
        seconds: Seconds on backends; `None` if an executor did not know them.
    """

    shots: int | None
    circuits: int | None
    jobs: int | None
    cost_usd: float | None
    seconds: float | None


class Ledger:
    """What calls have spent of a budget; what a `with` block of one gives.

    Attributes:
        budget: The budget.
        title: What messages call it.
    """

    def __init__(self, budget: Budget, title: str) -> None:
        self.budget = budget
        self.title = title
        self.limits = budget.limits
        self._counts = Ledgers()
        self._unknown: set[str] = set()
        _ledgers.add(self)

    @property
    def spent(self) -> Spent:
        """What was spent; what a job is expected to take is spent when it is sent."""
        return to_spent(self.balance().spent, self._unknown)

    @property
    def held(self) -> Spent:
        """What is kept free for circuits that are about to be sent."""
        return to_spent(self.balance().held)

    @property
    def left(self) -> Spent:
        """What is neither spent nor held; `None` where there is no limit."""
        balance = self.balance()
        free = {unit: m - balance.used(unit) for unit, m in self.limits.items()}
        return to_spent(free, UNITS.values() - self.limits.keys())

    def __repr__(self) -> str:
        """Show the budget, and what was spent of it."""
        return f"<Ledger of {self.budget!r}: {self.spent!r}>"

    # What the runtime asks.

    def reserve(self, wanted: Mapping[str, int]) -> Balance:
        """Hold amounts, all of them or none, if they fit."""
        with lock:
            return self._counts.reserve("", wanted, self.limits)

    def settle(self, held: Mapping[str, int], spent: Mapping[str, int]) -> None:
        """Give back what was held, and note what was spent."""
        with lock:
            self._counts.settle("", held, spent)

    def note_unknown(self, amounts: Mapping[str, int]) -> None:
        """Note that a job was sent, of which some amounts are not known."""
        missing = UNITS.values() - amounts.keys()
        if missing:
            with lock:
                self._unknown |= missing

    def balance(self) -> Balance:
        """Return what is spent and held, as it is counted."""
        with lock:
            return self._counts.balance("")

    def __deepcopy__(self, _: Any) -> Ledger:
        """Return itself: copies of a QElectron spend together."""
        return self

    def let_go(self) -> None:
        """Hold nothing any more: in a forked child, what is held is its parent's."""
        spent = self._counts.balance("").spent
        self._counts = Ledgers()
        self._counts.settle("", {}, spent)

    def __getstate__(self) -> dict[str, Any]:
        """Take along what was spent; what is held belongs to this process."""
        copied, state = Ledgers(), dict(vars(self))
        copied.settle("", {}, self.balance().spent)
        return {**state, "_counts": copied, "_unknown": set(self._unknown)}


def counted(unit: str, value: float) -> int:
    """Return an amount as it is counted; what no store could hold, as the most."""
    per = _PER.get(unit, 1)
    return min(int(value) if per == 1 else round(value * per), _MOST_HELD)


def to_spent(amounts: Mapping[str, int], unknown: Any = ()) -> Spent:
    """Return amounts as users read them; `None` for units that are unknown."""

    def of(unit: str) -> Any:
        if unit in unknown:
            return None
        amount, per = amounts.get(unit, 0), _PER.get(unit, 1)
        return amount if per == 1 else amount / per

    return Spent(**{name: of(unit) for name, unit in UNITS.items()})


def to_ledger(budget: Any) -> Ledger | None:
    """Return what counts the spending of a QElectron.

    Raises:
        ConfigError: If what is given is no `Budget`.
    """
    if budget is None or isinstance(budget, Ledger):
        return budget
    if isinstance(budget, Budget):
        return Ledger(budget, f"the budget of the QElectron, {budget!r}")
    message = (
        f"budget={budget!r} is no budget. Expected a Budget, as in "
        "ct.Budget(shots=10_000), or None for no limit."
    )
    raise ConfigError(message)


def blocks() -> tuple[Ledger, ...]:
    """Return the ledgers of the `with` blocks that this code runs in."""
    return _blocks.get()


# --- Per day --------------------------------------------------------------------------


def daily_text() -> str:
    """Return the daily budget as config has it; maybe empty."""
    return str(setting("daily_budget") or "")


def daily_budget() -> Budget | None:
    """Return the daily budget, or `None` if there is none.

    Raises:
        ConfigError: If it cannot be read.
    """
    text = daily_text()
    return parse(text) if text else None


def today() -> str:
    """Return the day, in UTC, so that it is the same one everywhere."""
    return datetime.now(UTC).date().isoformat()


@functools.lru_cache(maxsize=16)
def parse(text: str) -> Budget:
    """Return the budget that a text such as `"shots=1000,cost_usd=5"` tells.

    Raises:
        ConfigError: If it tells none; says which part and what was expected.
    """
    limits: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (side.strip() for side in part.partition("="))
        if name not in UNITS or name in limits:
            what = "is there twice" if name in limits else "is no limit"
            raise ConfigError(_unreadable(text, f"{name!r} {what}"))
        limits[name] = _number(text, name, value)
    if not limits:
        raise ConfigError(_unreadable(text, "there is no limit in it"))
    return Budget(**limits)


def _number(text: str, name: str, value: str) -> float:
    try:
        return float(value) if name in ("cost_usd", "seconds") else int(value)
    except ValueError:
        raise ConfigError(_unreadable(text, f"{name}={value!r} is no number")) from None


def _unreadable(text: str, why: str) -> str:
    return (
        f"daily_budget={text!r} cannot be read: {why}. Expected limits of "
        f"{', '.join(UNITS)}, as in 'shots=100000,cost_usd=5'. Unset it for no limit."
    )

"""The budget of a day, which all processes of a store share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from qelectron_core.budget import UNITS, Budget, Ledger, Spent, parse, to_spent, today
from qelectron_core.store import Balance, Store

if TYPE_CHECKING:
    from qelectron_core.runtime.keeper import Keeper


class DailyLedger(Ledger):
    """What the processes of a store have spent on one day."""

    def __init__(self, text: str, day: str, keeper: Keeper) -> None:
        """Take what the environment says, on a day.

        Raises:
            ConfigError: If it cannot be read.
        """
        budget = parse(text)
        super().__init__(budget, f"the daily budget of {day} (UTC), {budget!r}")
        self._text = text
        self._day = day
        self._keeper = keeper

    def is_of_now(self, text: str) -> bool:
        """Tell whether it is the one of today."""
        return text == self._text and today() == self._day

    def reserve(self, wanted: Mapping[str, int]) -> Balance:
        """Hold amounts, all of them or none, if they fit.

        Raises:
            BudgetError: If the store failed, so that the budget cannot be guaranteed.
        """
        return self._keeper.reserve(self._name, self.title, wanted, self.limits)

    def settle(self, held: Mapping[str, int], spent: Mapping[str, int]) -> None:
        """Give back what was held, and note what was spent."""
        self._keeper.settle(self._name, held, spent)

    def balance(self) -> Balance:
        """Return what is spent and held, by all processes."""
        return self._keeper.balance(self._name)

    @property
    def _name(self) -> str:
        return _ledger_of(self._day)

    def __reduce__(self) -> Any:
        """Refuse: it belongs to a store that is open in this process."""
        message = "the ledger of a day cannot be pickled: it belongs to a store"
        raise TypeError(message)


@attrs.frozen
class DaySpent:
    """What all processes of a store spent on one day while a daily budget was set.

    Attributes:
        day: The day, in UTC, such as `"2026-11-04"`.
        spent: What was spent; price and seconds are `None` if no executor knew them,
            and else those of the executors that did.
        held: What is held for circuits that are about to be sent.
        left: What is neither spent nor held of the daily budget today; `None` where
            there is no limit, and on earlier days, whose limits nobody keeps.
    """

    day: str
    spent: Spent
    held: Spent
    left: Spent


def days(store: Store, n: int = 7, budget: Budget | None = None) -> list[DaySpent]:
    """Return what was spent on each of the last days, the newest first.

    Days without spending are left out, except today. Changes nothing.

    Args:
        store: Where it is counted.
        n: How many days to look at, of which today is the first.
        budget: The daily budget that holds today; see `budget.daily_budget`.
    """
    now = date.fromisoformat(today())
    names = [(now - timedelta(back)).isoformat() for back in range(n)]
    found = [(day, store.balance(_ledger_of(day))) for day in names]
    limits = budget.limits if budget else {}
    return [
        _day_spent(day, balance, limits if day == names[0] else {})
        for day, balance in found
        if day == names[0] or any((*balance.spent.values(), *balance.held.values()))
    ]


def _day_spent(day: str, balance: Balance, limits: Mapping[str, int]) -> DaySpent:
    spent, units = balance.spent, UNITS.values()
    left = {u: max(0, most - balance.used(u)) for u, most in limits.items()}
    return DaySpent(
        day=day,
        spent=to_spent(spent, units - spent.keys() if spent.get("jobs") else ()),
        held=to_spent(balance.held),
        left=to_spent(left, units - limits.keys()),
    )


def _ledger_of(day: str) -> str:
    return f"day {day}"

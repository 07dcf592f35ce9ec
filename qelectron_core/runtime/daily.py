"""The budget of a day, which all processes of a store share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qelectron_core.budget import Ledger, parse, today
from qelectron_core.store import Balance

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
        return f"day {self._day}"

    def __reduce__(self) -> Any:
        """Refuse: it belongs to a store that is open in this process."""
        message = "the ledger of a day cannot be pickled: it belongs to a store"
        raise TypeError(message)

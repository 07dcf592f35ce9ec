"""What was spent of budgets, in memory."""

from __future__ import annotations

from collections.abc import Mapping

from qelectron_core.store import Balance


class Ledgers:
    """Counts what is spent, and what is held, by the name of the ledger.

    Whoever uses it sees to it that no two threads do so at once.
    """

    def __init__(self) -> None:
        self._spent: dict[str, dict[str, int]] = {}
        self._held: dict[str, dict[str, int]] = {}

    def reserve(
        self, ledger: str, wanted: Mapping[str, int], limits: Mapping[str, int]
    ) -> Balance:
        """Hold amounts, all of them or none, if no limit is exceeded by it."""
        before = self.balance(ledger)
        if not before.allows(wanted, limits):
            return Balance(before.spent, before.held, granted=False)
        _add(self._held.setdefault(ledger, {}), wanted)
        return self.balance(ledger)

    def settle(
        self, ledger: str, held: Mapping[str, int], spent: Mapping[str, int]
    ) -> None:
        """Give back what was held, and note what was spent."""
        if held:
            _add(self._held.setdefault(ledger, {}), held, -1)
        if spent:
            _add(self._spent.setdefault(ledger, {}), spent)

    def balance(self, ledger: str) -> Balance:
        """Return what is spent and held."""
        spent, held = self._spent.get(ledger, {}), self._held.get(ledger, {})
        return Balance(dict(spent), dict(held))

    def clear(self) -> None:
        """Forget everything."""
        self._spent.clear()
        self._held.clear()


def _add(to: dict[str, int], amounts: Mapping[str, int], sign: int = 1) -> None:
    for unit, amount in amounts.items():
        to[unit] = max(0, to.get(unit, 0) + sign * amount)

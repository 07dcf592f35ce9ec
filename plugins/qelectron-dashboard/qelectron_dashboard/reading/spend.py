"""What was spent of the daily budget."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

import attrs

from qelectron_core.budget import Budget, daily_budget, today
from qelectron_core.plans import shown
from qelectron_core.runtime.daily import DaySpent, days
from qelectron_core.store import Store, keeps_ledgers

#: What each unit is called; the keys are those of budgets.
UNITS: Final[Mapping[str, str]] = {
    "cost_usd": "cost",
    "shots": "shots",
    "circuits": "circuits",
    "jobs": "jobs",
    "seconds": "time",
}
#: Days that are shown, today included.
_DAYS: Final = 14


@attrs.frozen
class Part:
    """What was spent of one unit today.

    Attributes:
        title: What the unit is called.
        said: How much, of how much.
        share: Of the limit, in [0, 1]; `None` without a limit.
    """

    title: str
    said: str
    share: float | None


@attrs.frozen
class Spend:
    """What was spent, today and on the days before.

    Attributes:
        day: Today, in UTC.
        has_budget: Whether a daily budget is set.
        parts: What was spent today, per unit.
        days: The days that are shown, the oldest first.
        amounts: Per unit, what was spent on each of these days.
        limits: Per unit that has one, today's limit.
    """

    day: str
    has_budget: bool
    parts: tuple[Part, ...]
    days: tuple[str, ...]
    amounts: Mapping[str, tuple[float, ...]]
    limits: Mapping[str, float]

    @property
    def spent_units(self) -> tuple[str, ...]:
        """The units of which something was spent, or may be."""
        return tuple(u for u in UNITS if any(self.amounts[u]) or u in self.limits)

    def on(self, unit: str) -> str:
        """Return in words what was spent of a unit on each day."""
        pairs = zip(self.days, self.amounts[unit], strict=True)
        told = [f"{day}: {shown(unit, amount)}" for day, amount in pairs if amount]
        return "; ".join(told) or "nothing"


def spend(store: Store) -> Spend | None:
    """Return what was spent; `None` if the store does not count it.

    Raises:
        ConfigError: If the daily budget that is set cannot be read.
    """
    if not keeps_ledgers(store):
        return None
    budget = daily_budget()
    return _spend(days(store, _DAYS, budget), budget, today())


def _spend(found: list[DaySpent], budget: Budget | None, day: str) -> Spend:
    first = date.fromisoformat(day) - timedelta(_DAYS - 1)
    shown_days = [(first + timedelta(n)).isoformat() for n in range(_DAYS)]
    by_day = {one.day: one.spent for one in found}
    limits = {unit: getattr(budget, unit, None) for unit in UNITS}
    return Spend(
        day=day,
        has_budget=budget is not None,
        parts=tuple(_part(unit, found[0], limits[unit]) for unit in UNITS),
        days=tuple(shown_days),
        amounts={
            unit: tuple(getattr(by_day.get(one), unit, None) or 0 for one in shown_days)
            for unit in UNITS
        },
        limits={unit: limit for unit, limit in limits.items() if limit is not None},
    )


def _part(unit: str, of_today: DaySpent, limit: float | None) -> Part:
    spent, held = getattr(of_today.spent, unit), getattr(of_today.held, unit)
    said = shown(unit, spent)
    if held:
        said += f", {shown(unit, held)} held"
    if limit is None:
        return Part(UNITS[unit], said, None)
    left = getattr(of_today.left, unit)
    said += f" of {shown(unit, limit)} · {shown(unit, left)} left"
    return Part(UNITS[unit], said, (limit - left) / limit if limit else 1.0)

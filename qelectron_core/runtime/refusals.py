"""What is said of circuits that a budget does not allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from qelectron_core.budget import UNITS, Ledger
from qelectron_core.errors import BudgetError
from qelectron_core.plans import Plan, money
from qelectron_core.store import Balance

_NAMES: Final = {unit: name for name, unit in UNITS.items()}


def exceeded(
    ledger: Ledger, balance: Balance, wanted: Mapping[str, int], plan: Plan
) -> BudgetError:
    """Return the error of circuits that want more than is left."""
    reasons = [
        _reason(unit, amount, balance, ledger.limits[unit])
        for unit, amount in wanted.items()
        if not balance.allows({unit: amount}, ledger.limits)
    ]
    return BudgetError(
        f"not sent, because it would exceed {ledger.title}: {'; '.join(reasons)}. "
        f"Ask for less, or raise the budget.\n{plan!r}",
        plan,
    )


def unknown(ledgers: Sequence[Ledger], plan: Plan) -> BudgetError | None:
    """Return the error of circuits of which a budget counts what is not known."""
    for job in plan.jobs:
        amounts = job.amounts
        for ledger in ledgers:
            missing = [unit for unit in ledger.limits if unit not in amounts]
            if missing:
                return _unknown(ledger, job.executor, _NAMES[missing[0]], plan)
    return None


def broken(title: str, error: object) -> BudgetError:
    """Return the error of circuits that are counted in a store that failed."""
    return BudgetError(
        f"not sent, because {title} cannot be guaranteed: the store that counts it "
        f"failed ({error}). Mend the store, or unset daily_budget."
    )


def _unknown(ledger: Ledger, executor: object, name: str, plan: Plan) -> BudgetError:
    what = "what it costs" if name == "cost_usd" else "how long it takes"
    return BudgetError(
        f"not sent, because {ledger.title} limits {name}, and {executor!r} does not "
        f"know {what}: the limit could not be guaranteed. Limit shots, circuits or "
        f"jobs instead, or use an executor whose estimate() tells.\n{plan!r}",
        plan,
    )


def _reason(unit: str, amount: int, balance: Balance, limit: int) -> str:
    spent, held = balance.spent.get(unit, 0), balance.held.get(unit, 0)
    under_way = f" and {_shown(unit, held)} held for circuits under way" if held else ""
    left = max(0, limit - spent - held)
    return (
        f"it wants {_shown(unit, amount)}; of {_shown(unit, limit)}, "
        f"{_shown(unit, spent)} are spent{under_way}, and {_shown(unit, left)} are left"
    )


def _shown(unit: str, amount: int) -> str:
    if unit == "nano_usd":
        return money(amount / 10**9)
    if unit == "nano_seconds":
        return f"{amount / 1e9:,.6g} s"
    return f"{amount:,} {unit}"

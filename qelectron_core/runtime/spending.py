"""Sees to it that circuits spend no more than budgets allow.

Before circuits are queued, what they are expected to take is held; when a job of them
is about to leave, that is spent. What is held is given back if they are not sent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from qelectron_core.budget import Ledger, blocks, daily_text, lock
from qelectron_core.errors import BudgetError
from qelectron_core.plans import Plan, PlannedJob
from qelectron_core.remote import RemoteExecutor
from qelectron_core.runtime.pending import Pending
from qelectron_core.runtime.refusals import exceeded, unknown
from qelectron_core.runtime.task import Ran, Task, settle

if TYPE_CHECKING:
    from qelectron_core.contracts import Executor
    from qelectron_core.policy import Policy
    from qelectron_core.runtime.keeper import Keeper

#: All ledgers that count a circuit, those of a store last.
LedgersOf: TypeAlias = tuple[Ledger, ...]
Amounts: TypeAlias = Mapping[str, int]


class Hold:
    """What is held for the circuits of one planned job that have not left yet."""

    __slots__ = ("count", "job", "ledgers", "left", "whole")

    def __init__(self, ledgers: LedgersOf, job: PlannedJob, count: int) -> None:
        self.ledgers = ledgers
        self.job = job
        self.left = job.amounts
        self.count = self.whole = count

    def take(self, count: int, wanted: dict[str, int], own: Amounts) -> dict[str, int]:
        """Take what some circuits want, or all that is left with the last of them.

        Args:
            count: How many circuits.
            wanted: What is wanted, by others in their job, too; what is taken is
                subtracted.
            own: What they want alone, of units of which each circuit has its part.
        """
        self.count -= count
        most = {**wanted, **{u: min(n, wanted.get(u, 0)) for u, n in own.items()}}
        taken = {u: min(n, most.get(u, 0)) for u, n in self.left.items()}
        if self.count <= 0:
            taken = dict(self.left)
        for unit, amount in taken.items():
            self.left[unit] -= amount
            if unit in wanted:
                wanted[unit] = max(0, wanted[unit] - amount)
        return taken


@attrs.frozen(eq=False)
class Charge:
    """What was spent on a job, to be given back if it is not sent after all."""

    ledgers: LedgersOf
    amounts: Amounts

    def give_back(self) -> None:
        """Note that it was not spent."""
        for ledger in self.ledgers:
            ledger.settle({}, {unit: -amount for unit, amount in self.amounts.items()})


def ledgers_of(policy: Policy, keeper: Keeper) -> LedgersOf:
    """Return what counts the circuits of a call that is made here and now.

    Raises:
        ConfigError: If the daily budget cannot be read.
    """
    found = blocks()
    if policy.budget is not None and policy.budget not in found:  # to count it once
        found = (*found, policy.budget)
    text = daily_text()
    return (*found, keeper.daily(text)) if text else found


def may_refuse(policy: Policy) -> bool:
    """Tell whether a budget may refuse a call that is made here and now."""
    budget = policy.budget
    ledgers = blocks() if budget is None else (*blocks(), budget)
    return any(ledger.limits for ledger in ledgers) or bool(daily_text())


def admitted(tasks: Sequence[Task]) -> Sequence[Task]:
    """Return the circuits that budgets allow; the others end in a `BudgetError`."""
    if not any(task.ledgers for task in tasks):
        return tasks
    refused: dict[Task, Exception] = {}
    for ledgers, group in _by_ledgers(tasks).items():
        error = hold(ledgers, group) if ledgers else None
        if error is not None:
            refused |= dict.fromkeys(group, error)
    for task, error in refused.items():
        settle(task, error, Ran(last=True))
    return [task for task in tasks if task not in refused]


def hold(ledgers: LedgersOf, tasks: Sequence[Task]) -> Exception | None:
    """Hold what circuits are expected to take, or return why they must not run."""
    try:
        parts = parts_of(tasks)
        plan = Plan(tuple(map(planned, parts)))
        amounts = [job.amounts for job in plan.jobs]
    except Exception as error:  # of a plugin's estimate
        return error
    refusal = unknown(ledgers, plan) or _reserve(ledgers, _total(amounts), plan)
    if refusal is not None:
        return refusal
    for part, job in zip(parts, plan.jobs, strict=True):
        one = Hold(ledgers, job, len(part))
        for task in part:
            task.hold = one
    return None


def release(task: Task) -> None:
    """Give back what is held for a circuit that does not leave."""
    if task.hold is None:
        return
    with lock:
        held = _untied(task)
        taken = {} if held is None else held.take(1, {}, {})
    if held is not None and any(taken.values()):
        for ledger in held.ledgers:
            ledger.settle(taken, {})


def spend(tasks: Sequence[Task]) -> tuple[list[Charge], dict[Task, Exception]]:
    """Note that a job is about to leave; return what it costs, and who must not go.

    Lanes put other circuits together than was planned, so that it may turn out here
    that a job takes more than is held for it.
    """
    charges: list[Charge] = []
    refused: dict[Task, Exception] = {}
    for ledgers, group in _by_ledgers([t for t in tasks if t.hold is not None]).items():
        charge = _spend(ledgers, group)
        if isinstance(charge, Charge):
            charges.append(charge)
        else:
            refused |= dict.fromkeys(group, charge)
    return charges, refused


def _spend(ledgers: LedgersOf, tasks: Sequence[Task]) -> Charge | Exception:
    try:
        job = _job_of(tasks)
    except Exception as error:  # of a plugin's estimate
        for task in tasks:
            release(task)
        return error
    amounts = job.amounts
    plan = Plan((job,))
    taken, missing = _taken(tasks, amounts)
    refusal: Exception | None = unknown(ledgers, plan)
    if refusal is None and any(missing.values()):
        refusal = _reserve(ledgers, missing, plan)
        taken = taken if refusal else _total([taken, missing])
    for ledger in ledgers:
        ledger.settle(taken, {} if refusal else amounts)
        if refusal is None:
            ledger.note_unknown(amounts)
    return refusal or Charge(ledgers, amounts)


def _untied(task: Task) -> Hold | None:
    """Return what is held for a circuit, which is no longer told."""
    held, task.hold = task.hold, None
    return held


def _job_of(tasks: Sequence[Task]) -> PlannedJob:
    """Return what is to be said of a job; mostly that is known from its plan."""
    held = tasks[0].hold
    if held is None or not held.whole == held.count == len(tasks):
        return planned(tasks)
    return held.job if all(task.hold is held for task in tasks) else planned(tasks)


def _taken(
    tasks: Sequence[Task], wanted: Amounts
) -> tuple[dict[str, int], dict[str, int]]:
    """Take what is held for circuits; return it, and what they want beyond it."""
    missing, parts = dict(wanted), dict[Hold, list[Task]]()
    with lock:  # a circuit may be cancelled at this moment
        for task in tasks:
            one = _untied(task)
            if one is not None:
                parts.setdefault(one, []).append(task)
        taken = [one.take(len(p), missing, _counts(p)) for one, p in parts.items()]
    return _total(taken), missing


def _reserve(ledgers: LedgersOf, wanted: Amounts, plan: Plan) -> BudgetError | None:
    """Hold amounts in all ledgers, or in none and return why not.

    One at a time, so that nobody sees what is held in one and then refused by another.
    """
    with lock:
        for place, ledger in enumerate(ledgers):
            refusal = _reserve_in(ledger, wanted, plan)
            if refusal is not None:
                for earlier in ledgers[:place]:
                    earlier.settle(wanted, {})
                return refusal
    return None


def _reserve_in(ledger: Ledger, wanted: Amounts, plan: Plan) -> BudgetError | None:
    try:
        balance = ledger.reserve(wanted)
    except BudgetError as error:  # of a store that failed
        return error
    return None if balance.granted else exceeded(ledger, balance, wanted, plan)


def refusal_of(ledgers: LedgersOf, plan: Plan) -> str:
    """Return why budgets would refuse a plan now, or nothing; holds nothing."""
    error: Exception | None = unknown(ledgers, plan)
    wanted = _total([job.amounts for job in plan.jobs])
    for ledger in ledgers:
        balance = ledger.balance()
        if error is None and not balance.allows(wanted, ledger.limits):
            error = exceeded(ledger, balance, wanted, plan)
    return "" if error is None else str(error).partition("\n")[0]


def parts_of(tasks: Sequence[Task]) -> list[list[Task]]:
    """Return circuits by the jobs that idle lanes would make of them."""
    if len(tasks) == 1:
        return [[*tasks]]
    by_executor: dict[Executor, list[Task]] = {}
    for task in tasks:
        by_executor.setdefault(task.bound, []).append(task)
    return [part for own in by_executor.values() for part in _jobs(own)]


def _jobs(tasks: Sequence[Task]) -> Iterable[list[Task]]:
    executor = tasks[0].bound
    pending, parts = Pending(executor), 1
    pending.add(tasks)
    if not isinstance(executor, RemoteExecutor):
        most = executor.concurrency
        parts = sys.maxsize if most is None else most
    free = parts
    while (first := pending.first()) is not None:
        share = len(pending) if first.gathers else -(-len(pending) // free)
        yield pending.take(share)
        free = free - 1 or parts


def planned(tasks: Sequence[Task]) -> PlannedJob:
    """Return what is to be said of the circuits of one job."""
    estimate = tasks[0].bound.estimate([task.circuit for task in tasks])
    return PlannedJob(tasks[0].executor, **_counts(tasks), estimate=estimate)


def _counts(tasks: Sequence[Task]) -> dict[str, int]:
    """Return the units of which each circuit has its part, whatever its job."""
    circuits = [task.circuit for task in tasks]
    sizes = [circuit.batch_size or 1 for circuit in circuits]
    shots = [circuit.shots.total_shots or 0 for circuit in circuits]
    total = sum(n * size for n, size in zip(shots, sizes, strict=True))
    return {"circuits": sum(sizes), "shots": total}


def _by_ledgers(tasks: Iterable[Task]) -> dict[LedgersOf, list[Task]]:
    groups: dict[LedgersOf, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.ledgers, []).append(task)
    return groups


def _total(amounts: Iterable[Amounts]) -> dict[str, Any]:
    total: dict[str, int] = {}
    for one in amounts:
        for unit, amount in one.items():
            total[unit] = total.get(unit, 0) + amount
    return total

"""What may be done about a circuit that failed."""

from __future__ import annotations

import random
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Final

from qelectron_core.errors import BudgetError, JobCancelledError, UnsettledJobError

if TYPE_CHECKING:
    from qelectron_core.runtime.task import Task

#: Seconds before the first repetition on the same executor; doubled for each next.
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 30.0

#: Errors after which a circuit is run nowhere again: somebody cancelled it, or it may
#: be running, and costing, still; or a budget does not allow it.
FINAL: Final = (CancelledError, JobCancelledError, UnsettledJobError, BudgetError)


def may_follow(task: Task) -> bool:
    """Tell whether another attempt may follow at all.

    Not once the call is cancelled, and not for tensors that are bound to the thread
    that called.
    """
    backprop = task.settings.gradient_method == "backprop"
    return not task.batch.cancelled and not backprop


def may_fail_over(error: Exception) -> bool:
    """Tell whether a circuit that ended in this error may be run elsewhere."""
    return not isinstance(error, FINAL)


def is_executors(error: Exception | None) -> bool:
    """Tell whether an error, if there is one, speaks against the executor."""
    not_its = (CancelledError, JobCancelledError, BudgetError)
    return error is not None and not isinstance(error, not_its)


def pause_before_retry(task: Task, error: Exception) -> float | None:
    """Return the seconds until a circuit is run again on its executor.

    `None` if it is not: the executor's `retries` are used up, or the error is final.
    """
    made = _attempts_here(task)
    if isinstance(error, FINAL) or made > task.bound.retries:
        return None
    pause_s: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (made - 1))
    return pause_s * random.uniform(0.5, 1.5)  # so that many do not come back at once


def _attempts_here(task: Task) -> int:
    """Return how many attempts in a row the executor has had, this one included."""
    made = 1
    for execution in reversed(task.earlier):
        if execution.executor is not task.executor:
            break
        made += 1
    return made

"""The selector that learns how fast executors are."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import qelectron_core as ct
from qelectron_selectors.least_busy import waiting

#: Weight of the newest job in an executor's mean; 1 would forget all earlier ones.
NEWEST: Final = 0.3
#: A failed job counts as this many times the slowest success known. With the weight
#: above, one failure may be forgiven; the second in a row puts an executor last.
FAILURE: Final = 2.0
#: A slow executor is tried again once the fastest could have done its work this many
#: times, so that trials add no more than about one part in this many.
TRIAL: Final = 20
#: Executors remembered; of more, the one that was chosen longest ago is forgotten.
REMEMBERED: Final = 1000
#: Least time that counts, in seconds: a coarse clock may say 0.
LEAST_S: Final = 1e-6
#: Errors that say nothing about an executor: somebody did not want the result.
NOT_COUNTED: Final = ("BudgetError", "CancelledError", "JobCancelledError")


class Fastest:
    """Take the executor that is expected to be done first, as learned from outcomes.

    Of each executor it keeps the mean seconds per circuit, in which newer jobs weigh
    more. They count from the start of a job to its end: for a remote executor from
    its submission, with the vendor's queue and the polling. Waiting for other
    circuits of this process is left out, because the expected time adds it: the mean,
    once for the circuit and once for each circuit in flight and each job ahead.

    Executors that have not been tried come first. A failed job counts as a slow one,
    a cancelled one not at all. A slow executor is tried now and then, and what comes
    of it replaces what was known, so that one that has recovered is soon used again.

    A cluster within the cluster counts as one executor, with all that it holds. Safe
    from any number of threads. A copy or unpickled instance keeps what was learned.
    """

    def __init__(self) -> None:
        """Start with nothing known."""
        self._known: dict[ct.Executor | ct.QCluster, _Known] = {}
        self._choices = 0
        self._lock = threading.Lock()

    def __call__(
        self, circuit: Any, executors: Sequence[ct.Executor | ct.QCluster]
    ) -> ct.Executor | ct.QCluster:
        """Return the executor that is expected to be done first."""
        del circuit
        # Asked before the lock is taken, so that nobody waits here for the core's.
        busy = [waiting(member) for member in executors]
        with self._lock:
            known = [self._known.get(member) for member in executors]
            place = self._place(known, busy)
            self._note(executors[place], known[place] or _Known())
        return executors[place]

    def learn(self, circuit: Any, execution: ct.Execution) -> None:
        """Take into account how long a circuit took, or that it failed."""
        del circuit
        failed = execution.error is not None
        if failed and str(execution.error).startswith(NOT_COUNTED):
            return
        part = 1 / max(1, execution.job_size)
        seconds = max(LEAST_S, execution.duration_s * part)
        with self._lock:
            if failed:
                slowest_s = max((k.success_s for k in self._known.values()), default=0)
                seconds = FAILURE * max(seconds, slowest_s)
            for known in self._holding(execution.executor):
                known.add(seconds, NEWEST * part, failed=failed)

    def __repr__(self) -> str:
        """Show the name."""
        return f"{type(self).__name__}()"

    def __getstate__(self) -> tuple[Any, ...]:
        """Keep what was learned; locks do not travel."""
        with self._lock:
            known = {member: replace(known) for member, known in self._known.items()}
        return known, self._choices

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Go on with what was learned."""
        self._known, self._choices = state
        self._lock = threading.Lock()

    def _place(self, known: Sequence[_Known | None], busy: Sequence[int]) -> int:
        """Return the place of the executor to take."""
        tried = [one for one in known if one is not None]
        if len(tried) < len(known):
            return known.index(None)
        # Until its first outcome, an executor is thought to be as good as the best.
        best_s = min((one.mean_s for one in tried if one.mean_s), default=1.0)
        for place, one in enumerate(tried):
            if (self._choices - one.chosen) * best_s > TRIAL * (one.mean_s or best_s):
                one.on_trial = True
                return place
        expected = [
            ((one.mean_s or best_s) * (ahead + 1), one.chosen)
            for one, ahead in zip(tried, busy, strict=True)
        ]
        return expected.index(min(expected))

    def _note(self, member: ct.Executor | ct.QCluster, known: _Known) -> None:
        """Keep that an executor was chosen, as the last of them."""
        self._choices += 1
        known.chosen = self._choices
        self._known.pop(member, None)
        self._known[member] = known
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]

    def _holding(self, executor: ct.Executor) -> Iterator[_Known]:
        return (k for member, k in self._known.items() if _holds(member, executor))


@dataclass(slots=True)
class _Known:
    """What is known of one executor.

    Attributes:
        mean_s: Mean seconds per circuit; 0 until there is an outcome.
        success_s: Seconds per circuit of its last success; 0 if there was none.
        chosen: Which of the choices was the last one that it was given.
        on_trial: Whether the next outcome replaces what is known.
    """

    mean_s: float = 0.0
    success_s: float = 0.0
    chosen: int = 0
    on_trial: bool = True

    def add(self, seconds: float, weight: float, *, failed: bool) -> None:
        """Take an outcome into the mean."""
        self.mean_s += (1.0 if self.on_trial else weight) * (seconds - self.mean_s)
        self.on_trial = False
        if not failed:
            self.success_s = seconds


def _holds(member: ct.Executor | ct.QCluster, executor: ct.Executor) -> bool:
    if isinstance(member, ct.QCluster):
        return any(_holds(part, executor) for part in member.executors)
    return member == executor

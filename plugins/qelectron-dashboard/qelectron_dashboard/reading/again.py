"""Calls that are run once more from a page, and jobs that are cancelled from one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

import qelectron_core as ct
from qelectron_core.errors import QElectronError
from qelectron_core.formats import parse_executors
from qelectron_core.plans import Plan
from qelectron_core.redaction import redacted
from qelectron_core.store import Intent, Store
from qelectron_dashboard.reading.call import lines
from qelectron_sqlite.cli.again import amounts, is_to_be_asked
from qelectron_sqlite.cli.cancel import cancelled
from qelectron_sqlite.cli.texts import count, safe


@attrs.frozen
class Offer:
    """What running a call again would do.

    Attributes:
        told: What would run where and at what price, a line for each executor.
        asks: Whether it is to be asked first.
        refusal: Why a budget would refuse it; empty if none does.
    """

    told: str
    asks: bool
    refusal: str


class Runs:
    """Runs calls again, and keeps hold of them while they run.

    Args:
        store: Where calls are, and new ones are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._futures: dict[str, ct.QFuture] = {}

    def offer(self, call_id: str, executor: str = "") -> Offer:
        """Tell what running a call again would do, without running it.

        Raises:
            QElectronError: If it cannot be run; says why.
        """
        return offered(ct.plan_again(call_id, **self._how(executor)))

    def begin(self, call_id: str, executor: str = "") -> str:
        """Run a call again, and return the id of the new one once it is on record.

        Raises:
            QElectronError: If it cannot be run; says why.
        """
        how = self._how(executor)
        future = ct.run_again(call_id, **how)
        self._futures[future.id] = future
        future.add_done_callback(lambda _: self._futures.pop(future.id, None))
        ct.history(future.id, store=how["store"])  # writes what is not written yet
        return future.id

    def holds(self, call_id: str) -> bool:
        """Tell whether a call was begun here, and runs."""
        return call_id in self._futures

    def cancel(self, call_id: str) -> str:
        """Cancel a call that was begun here; return what came of it."""
        future = self._futures.get(call_id)
        if future is None or not future.cancel():
            return f"{safe(call_id)} has ended already."
        return f"{safe(call_id)} is cancelled."

    def _how(self, executor: str) -> dict[str, Any]:
        given = executor.strip()
        return {
            "executors": parse_executors(given) if given else None,
            # By its place, as a program has it: not the session that pages read from.
            "store": self._store.usage().location,
        }


def offered(plan: Plan) -> Offer:
    """Return what a plan says, for people.

    Executors in full: the journal may be another's, and tokens go where it says.
    """
    told = [
        f"{amounts(plan, executor)} on {safe(repr(executor))}"
        for executor in plan.executors
    ]
    return Offer("\n".join(told), is_to_be_asked(plan), plan.refusal)


def asked(jobs: Sequence[Intent]) -> str:
    """Return the question whether jobs are to be cancelled at their vendors."""
    told = []
    for job in jobs:
        handle = "handle unknown" if job.handle is None else f"handle {job.handle}"
        waits = ", and its program waits for it" if job.alive else ""
        holds = count(len(job.circuits), "circuit")
        told.append(safe(f"{job.job_id}: {handle}, {holds} on {job.shown}{waits}"))
    which = "this job at its vendor" if len(jobs) == 1 else f"these {len(jobs)} jobs"
    return "\n".join([f"Cancel {which}?", *told])


def cancel_jobs(store: Store, jobs: Sequence[Intent]) -> list[tuple[str, bool]]:
    """Cancel jobs at vendors; return what came of each, and if it is settled."""
    return [_cancelled(store, job) for job in jobs]


def why(error: Exception) -> str:
    """Return what an error says, for people."""
    kind = "" if isinstance(error, QElectronError) else f"{type(error).__name__}: "
    return lines(redacted(f"{kind}{error}"))


def _cancelled(store: Store, job: Intent) -> tuple[str, bool]:
    try:
        return cancelled(store, job)
    except Exception as error:  # of the vendor's software
        return f"{safe(job.job_id)} is not cancelled: {why(error)}", False

"""The vendor behind a fake cloud: takes jobs, runs them, and counts."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from qelectron_core.contracts import Job
from qelectron_core.errors import (
    ExecutorError,
    JobFailedError,
    RateLimitError,
    UnknownJobError,
)
from qelectron_core.remote import Handle, State, Status
from qelectron_core.testing.computer import Computer, Work
from qelectron_core.testing.faults import Dice, Fate
from qelectron_core.testing.line import Line
from qelectron_core.testing.machines import Machines
from qelectron_core.testing.orders import Order, VendorJob

if TYPE_CHECKING:
    from qelectron_core.testing.fakecloud import FakeCloud

T = TypeVar("T")

#: What a vendor says of a job with the fault `odd_status`.
ODD_STATUS: Final = "calibrating"
#: What becomes of a job where nothing can go wrong.
UNTROUBLED: Final = Fate()

_MESSAGES: Final = {
    State.FAILED: "the machine crashed while the job ran",
    State.CANCELLED: "an operator stopped the machine",
}


class Vendor:
    """Runs the jobs of equal fake clouds, and counts what it is asked to do.

    Safe to read from any thread. What it says of jobs is as of the last request:
    at a vendor that nobody asks, nothing happens.
    """

    def __init__(self, cloud: FakeCloud) -> None:
        """Found the vendor that a cloud describes."""
        self._cloud = cloud
        self._lock = threading.RLock()
        self._computer = Computer()
        self.reset()

    def reset(self) -> None:
        """Forget all jobs and counts; faults begin with the first one again."""
        with self._lock:
            self._dice = Dice(self._cloud.vendor_seed)
            self._line = Line(self._cloud, self._dice, self._lock)
            self._machines = Machines(self._cloud.machines)
            self._orders: dict[str, Order] = {}
            self._by_tag: dict[str, Order] = {}

    # --- What it counts ---------------------------------------------------------------

    @property
    def jobs(self) -> tuple[VendorJob, ...]:
        """The jobs that were accepted, the first one first."""
        with self._lock:
            return tuple(order.view() for order in self._orders.values())

    @property
    def requests(self) -> Counter[str]:
        """How many requests were made of each kind, whatever became of them.

        Kinds are `"submit"`, `"status"`, `"fetch"`, `"cancel"` and `"find"`.
        """
        with self._lock:
            return self._line.requests.copy()

    @property
    def submitted(self) -> int:
        """How many jobs were accepted."""
        return len(self._orders)

    @property
    def duplicates(self) -> int:
        """How many jobs were accepted that another one with the same tag preceded."""
        with self._lock:
            return len(self._orders) - len(self._by_tag)

    @property
    def circuits(self) -> int:
        """How many circuits the accepted jobs hold."""
        return sum(job.circuits for job in self.jobs)

    @property
    def fetched(self) -> int:
        """Of how many jobs the results were handed out."""
        with self._lock:
            return sum(order.was_fetched for order in self._orders.values())

    @property
    def cancelled(self) -> int:
        """How many jobs were cancelled because a request asked for it."""
        with self._lock:
            return sum(order.was_recalled for order in self._orders.values())

    @property
    def billed_usd(self) -> float:
        """Price in US dollars of the jobs that neither failed nor were cancelled."""
        free = (State.FAILED, State.CANCELLED)
        with self._lock:
            orders = list(self._orders.values())
        return sum(order.price_usd for order in orders if order.state not in free)

    # --- What it is asked -------------------------------------------------------------

    async def submit(self, job: Job, wires: tuple[Hashable, ...] | None = None) -> str:
        """Accept a job; see `RemoteExecutor.submit`.

        Args:
            job: The job.
            wires: Labels of the wires to simulate; `None` takes each circuit's own.
        """

        def accept(now: float) -> str:
            return self._accept(job, wires, now)

        return await self._request("submit", job, accept)

    async def status(self, handle: Handle) -> Status | str:
        """Return the state of a job; see `RemoteExecutor.status`."""

        def look(_: float) -> Status | str:
            return self._status(self._known("status", handle))

        return await self._request("status", handle.job, look)

    async def fetch(self, handle: Handle) -> Sequence[Any]:
        """Return the results of a job that is done; see `RemoteExecutor.fetch`."""

        def hand_out(_: float) -> Sequence[Any]:
            return self._results(self._known("fetch", handle))

        return await self._request("fetch", handle.job, hand_out)

    async def cancel(self, handle: Handle) -> None:
        """Cancel a job, unless it has ended; see `RemoteExecutor.cancel`."""

        def recall(now: float) -> None:
            order = self._known("cancel", handle)
            order.was_recalled |= self._machines.cancel(order, now)

        await self._request("cancel", handle.job, recall)

    async def find(self, job: Job) -> str | None:
        """Return the first job with a tag; see `RemoteExecutor.find`."""

        def look(_: float) -> str | None:
            order = self._by_tag.get(job.id)
            return None if order is None else order.id

        return await self._request("find", job, look)

    async def _request(self, kind: str, job: Job, act: Callable[[float], T]) -> T:
        def answer(now: float) -> T:
            self._machines.advance(now)
            return act(now)

        return await self._line.carry(kind, job.id, answer)

    # --- What it does -----------------------------------------------------------------

    def _accept(self, job: Job, wires: tuple[Hashable, ...] | None, now: float) -> str:
        self._check_in_flight()
        self._check_limits(job)
        order = self._order(job, now)
        self._orders[order.id] = order
        self._by_tag.setdefault(order.tag, order)
        self._machines.add(order, now)
        deliver = order.deliver
        self._computer.add(Work(job.circuits, job.seeds, job.settings, wires, deliver))
        return order.id

    def _order(self, job: Job, now: float) -> Order:
        cloud = self._cloud
        number = len(self._orders)
        run_s, fate = self._draw(job)
        return Order(
            id=f"{cloud.name}-{number + 1}",
            tag=job.id,
            number=number,
            n_circuits=len(job),
            shots=_shots(job),
            price_usd=cloud.cost_usd(job.circuits),
            run_s=run_s,
            fate=fate,
            accepted_at=now,
        )

    def _draw(self, job: Job) -> tuple[float, Fate]:
        """Draw how long a job runs and what becomes of it."""
        cloud = self._cloud
        if not (cloud.jitter_s or cloud.faults.troubles_jobs):
            return cloud.latency_s, UNTROUBLED
        random = self._dice.roll("job", job.id)
        run_s = cloud.latency_s + cloud.jitter_s * random.random()
        return run_s, cloud.faults.fate(random, len(job))

    def _check_in_flight(self) -> None:
        most = self._cloud.jobs_in_flight
        if most is not None and self._machines.in_flight >= most:
            reason = f"{most} jobs are in flight, and more are not allowed"
            raise RateLimitError(self._line.says(429, "submit", reason))

    def _check_limits(self, job: Job) -> None:
        limits = self._cloud.limits
        most_bytes = limits.payload_bytes_per_job
        n_bytes = most_bytes and sum(map(self._cloud.payload_bytes, job.circuits))
        for count, most, unit in (
            (len(job), limits.circuits_per_job, "circuits"),
            (_shots(job), limits.shots_per_job, "shots"),
            (n_bytes or 0, most_bytes, "bytes"),
        ):
            if most is not None and count > most:
                reason = f"job {job.id!r} has {count} {unit}, and {most} are allowed"
                message = self._line.says(413, "submit", reason)
                raise ExecutorError(f"{message}. Split it into several jobs.")

    def _known(self, kind: str, handle: Handle) -> Order:
        order = self._orders.get(handle.id)
        if order is None or order.is_forgotten:
            reason = f"there is no job {handle.id!r}"
            raise UnknownJobError(self._line.says(404, kind, reason))
        return order

    def _status(self, order: Order) -> Status | str:
        if order.state is State.QUEUED:
            return Status(State.QUEUED, ahead=self._machines.ahead(order))
        if order.fate.end == "odd_status" and order.state is State.RUNNING:
            return ODD_STATUS
        if order.results is None:
            self._computer.wake()
        return Status(order.shown_state, _MESSAGES.get(order.state, ""), ahead=0)

    def _results(self, order: Order) -> Sequence[Any]:
        if order.shown_state is not State.DONE or order.results is None:
            failed = order.state in (State.FAILED, State.CANCELLED)
            message = f"job {order.id!r} has no results: it is {order.shown_state}"
            raise (JobFailedError if failed else ExecutorError)(message)
        order.was_fetched = True
        results = list(order.results)
        if order.fate.broken is not None and results:
            message = f"circuit {order.fate.broken} of job {order.id!r} failed"
            results[order.fate.broken] = JobFailedError(message)
        return results[:-1] if order.fate.is_short else results


def _shots(job: Job) -> int:
    return sum(circuit.shots.total_shots or 0 for circuit in job.circuits)


class _Vendors:
    """The vendors of this process, one for all clouds that describe the same one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vendors: dict[Hashable, Vendor] = {}

    def of(self, cloud: FakeCloud) -> Vendor:
        known = self._vendors.get(cloud.account)
        if known is not None:
            return known
        with self._lock:
            return self._vendors.setdefault(cloud.account, Vendor(cloud))

    def after_fork(self) -> None:
        # Their locks may be held by threads that did not survive the fork.
        self.__init__()  # type: ignore[misc]


_vendors: Final = _Vendors()
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_vendors.after_fork)


def vendor_of(cloud: FakeCloud) -> Vendor:
    """Return the vendor of a cloud, founded when it is first asked for."""
    return _vendors.of(cloud)

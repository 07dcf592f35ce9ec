"""The machines of a fake vendor, and the queue in front of them."""

from __future__ import annotations

from bisect import bisect_left
from heapq import heappop, heappush

from qelectron_core.remote import State
from qelectron_core.testing.orders import Order

#: How a job ends that ran to its end.
_ENDS = {"crashed": State.FAILED, "cancelled": State.CANCELLED}


class Machines:
    """Runs orders one after the other on each machine, as they came.

    Nothing happens by itself: whoever looks first lets pass what time has passed.
    """

    def __init__(self, count: int | None) -> None:
        """Make idle machines; `None` makes as many as there are orders."""
        self._count = count
        self._n_running = 0
        self._queue: list[Order] = []  # by number
        self._ends: list[tuple[float, int, Order]] = []  # a heap

    @property
    def in_flight(self) -> int:
        """How many orders have not ended."""
        return self._n_running + len(self._queue)

    def add(self, order: Order, now: float) -> None:
        """Queue an order."""
        self._queue.append(order)
        self._fill(now)
        self.advance(now)

    def advance(self, now: float) -> None:
        """Let everything happen that happens until `now`, in its order."""
        while self._ends and self._ends[0][0] <= now:
            at, _, order = heappop(self._ends)
            if order.state is State.RUNNING:  # not cancelled meanwhile
                self._end(order, _ENDS.get(order.fate.end, State.DONE), at)

    def cancel(self, order: Order, now: float) -> bool:
        """Cancel an order; return whether there was anything to cancel."""
        if order.ended_at is not None:
            return False
        self._end(order, State.CANCELLED, now)
        return True

    def ahead(self, order: Order) -> int:
        """Return how many orders are to start before this one."""
        return self._place(order) if order.state is State.QUEUED else 0

    def _fill(self, at: float) -> None:
        while self._queue and (self._count is None or self._n_running < self._count):
            order = self._queue.pop(0)
            order.state = State.RUNNING
            order.started_at = at
            self._n_running += 1
            if not order.fate.is_endless:
                heappush(self._ends, (at + order.run_s, order.number, order))

    def _end(self, order: Order, state: State, at: float) -> None:
        if order.state is State.RUNNING:
            self._n_running -= 1
        else:
            del self._queue[self._place(order)]
        order.state = state
        order.ended_at = at
        self._fill(at)

    def _place(self, order: Order) -> int:
        return bisect_left(self._queue, order.number, key=lambda queued: queued.number)

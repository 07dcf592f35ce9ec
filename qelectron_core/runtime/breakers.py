"""Circuit breakers: executors that keep failing are left out for a while."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Literal

from qelectron_core.breaker_states import BreakerState, closed_document, open_document
from qelectron_core.cluster import Failover
from qelectron_core.contracts import Executor
from qelectron_core.runtime.notes import shown
from qelectron_core.store import keeps_documents
from qelectron_core.versions import process

if TYPE_CHECKING:
    from qelectron_core.runtime.keeper import Keeper

Change = Literal["suspended", "resumed"]
#: How many failed jobs a breaker remembers, so that each counts once.
REMEMBERED: Final = 64


class Breaker:
    """Whether one executor is left out, by the rules of one `Failover`."""

    def __init__(self, failover: Failover) -> None:
        """Start with an executor in good standing."""
        self._failover = failover
        self._lock = threading.Lock()
        self._failures = 0
        self._counted: deque[str] = deque(maxlen=REMEMBERED)
        self._retry_at: float | None = None
        self._id = secrets.token_hex(8)
        self._telling = threading.Lock()
        self._told_at: float | None = None  # the `_retry_at` that was told last
        self._told: dict[Keeper, None] = {}
        self._opened_at = 0.0

    def is_open(self) -> bool:
        """Tell whether the executor is left out now."""
        retry_at = self._retry_at
        return retry_at is not None and time.monotonic() < retry_at

    def chosen(self) -> None:
        """Note that a circuit is sent there; while it runs, no other one is tried."""
        with self._lock:
            if self._retry_at is not None:
                self._retry_at = time.monotonic() + self._failover.pause_s

    def record(self, job_id: str, *, failed: bool) -> Change | None:
        """Note what became of a circuit; return what changed by it, if anything.

        A job counts once, however many circuits it took down.
        """
        with self._lock:
            if not failed:
                return self._succeeded()
            if job_id in self._counted:
                return None
            self._counted.append(job_id)
            self._failures += 1
            return self._failed()

    def tell(self, keeper: Keeper, executor: Executor, error: str | None) -> None:
        """Keep in the store, for other processes, what changed since it was told.

        Args:
            keeper: Keeps it, soon; so do those that were told that it is open.
            executor: The executor, as the user wrote it.
            error: What the last circuit ended in, or `None`.
        """
        if self._retry_at == self._told_at:  # as nearly always
            return
        with self._telling:  # one after the other, so that what is told last holds
            retry_at, was_open = self._retry_at, self._told_at is not None
            now, text = time.time(), shown(executor)
            if retry_at is None:
                document = closed_document(self._id, text, now)
            else:
                self._opened_at = self._opened_at if was_open else now
                self._told[keeper] = None
                state = BreakerState(
                    executor=text,
                    reason=error or "",
                    opened_at=self._opened_at,
                    retry_at=now + retry_at - time.monotonic(),
                    process=process(),
                )
                document = open_document(self._id, state, now)
            for told in self._told:
                if keeps_documents(told.store):
                    told.put([document])
            if retry_at is None:
                self._told.clear()
            self._told_at = retry_at

    def _succeeded(self) -> Change | None:
        was_suspended = self._retry_at is not None
        self._failures, self._retry_at = 0, None
        return "resumed" if was_suspended else None

    def _failed(self) -> Change | None:
        if self._failures < self._failover.after:
            return None
        was_suspended = self._retry_at is not None
        self._retry_at = time.monotonic() + self._failover.pause_s
        return None if was_suspended else "suspended"


class Breakers:
    """The breakers of this process, one per executor and `Failover`."""

    def __init__(self) -> None:
        self._breakers: dict[tuple[Executor, Failover], Breaker] = {}
        self._lock = threading.Lock()

    def of(self, executor: Executor, failover: Failover) -> Breaker:
        """Return the breaker of an executor as the user wrote it."""
        key = (executor, failover)
        breaker = self._breakers.get(key)
        if breaker is None:
            with self._lock:
                breaker = self._breakers.setdefault(key, Breaker(failover))
        return breaker

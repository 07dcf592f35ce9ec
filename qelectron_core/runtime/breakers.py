"""Circuit breakers: executors that keep failing are left out for a while."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final, Literal

from qelectron_core.cluster import Failover
from qelectron_core.contracts import Executor

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

"""One circuit on its way to an executor, and the batch it belongs to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.contracts import Executor, Result, Seed, Settings
    from qelectron_core.events import Execution


@attrs.define(eq=False)
class Task:
    """One circuit, the executor chosen for it, and where its outcome goes.

    Attributes:
        circuit: What to run.
        executor: The executor as the user wrote it; told to users.
        bound: The executor as it runs, adapted to the QNode's device.
        seed: Where its random numbers come from.
        settings: How to run it.
        gathers: Whether it is better run with others than beside them.
        batch: The circuits dispatched together with it.
        index: Its position in the batch.
        submitted_at: Seconds since the epoch.
    """

    circuit: QuantumScript
    executor: Executor
    bound: Executor
    seed: Seed
    settings: Settings
    gathers: bool
    batch: Batch
    index: int
    submitted_at: float

    def resolve(self, outcome: Result | Exception, execution: Execution) -> None:
        """Hand over the outcome."""
        self.batch.resolve(self.index, outcome, execution)


class Batch:
    """Collects the outcomes of circuits that were dispatched together.

    Attributes:
        call_id: Id of the call it belongs to.
        results: Outcome per circuit, in order; complete once done.
        executions: Record per circuit, in order; complete once done.
    """

    __slots__ = (
        "_lock",
        "_on_done",
        "_on_start",
        "_remaining",
        "_waiter",
        "call_id",
        "cancelled",
        "executions",
        "results",
    )

    def __init__(
        self,
        call_id: str,
        size: int,
        on_done: Callable[[Batch], None] | None = None,
        on_start: Callable[[], bool] | None = None,
    ) -> None:
        """Await `size` outcomes, then call `on_done` in the thread of the last.

        `on_start` is called when a circuit is about to run; if it returns false,
        the batch was cancelled and none of its circuits runs any more.
        """
        self.call_id = call_id
        self.results: list[Any] = [None] * size
        self.executions: list[Any] = [None] * size
        self.cancelled = False
        self._remaining = size
        self._lock = threading.Lock()
        self._on_done = on_done
        self._on_start = on_start
        self._waiter: threading.Event | None = None

    def start(self) -> bool:
        """Tell whether a circuit of the batch may start to run."""
        if self.cancelled:
            return False
        return self._on_start is None or self._on_start()

    def resolve(self, index: int, outcome: Any, execution: Execution) -> None:
        """Take the outcome of one circuit."""
        with self._lock:
            self.results[index] = outcome
            self.executions[index] = execution
            self._remaining -= 1
            done = self._remaining == 0
            waiter = self._waiter
        if done and self._on_done is not None:
            self._on_done(self)
        if done and waiter is not None:
            waiter.set()

    def wait(self) -> None:
        """Block until done."""
        with self._lock:
            if self._remaining and self._waiter is None:
                self._waiter = threading.Event()
            waiter = self._waiter if self._remaining else None
        if waiter is not None:
            waiter.wait()

    def outcome(self) -> Sequence[Any]:
        """Return the results of a batch that is done, or raise its first error."""
        for result in self.results:
            if isinstance(result, BaseException):
                raise result
        return self.results

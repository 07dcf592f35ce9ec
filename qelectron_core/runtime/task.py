"""One circuit on its way to an executor, and the batch it belongs to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from qelectron_core.contracts import Outcome
from qelectron_core.events import Execution
from qelectron_core.redaction import redact, redacted

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.budget import Ledger
    from qelectron_core.contracts import Executor, Result, Seed, Settings
    from qelectron_core.policy import CacheMode
    from qelectron_core.router import Route
    from qelectron_core.runtime.keeper import Keeper
    from qelectron_core.runtime.spending import Hold
    from qelectron_core.store import Kept, Key


class Sink(Protocol):
    """Where the end of an attempt is told; it decides whether another follows."""

    def ended(
        self, task: Task, outcome: Any, execution: Execution, *, last: bool
    ) -> None:
        """Take what became of a circuit; after the `last` attempt, none may follow."""


@attrs.define(eq=False)
class Task:
    """One attempt to run one circuit, and where its outcome goes.

    Attributes:
        circuit: What to run, with the executor's own shots.
        requested: The circuit as it was dispatched.
        route: The way to the executor chosen for it.
        bound: The executor as it runs, adapted to the QNode's device and to the
            caller's thread.
        seed: Where its random numbers come from.
        settings: How to run it.
        gathers: Whether it is better run with others than beside them.
        batch: The circuits dispatched together with it.
        index: Its position in the batch.
        submitted_at: Seconds since the epoch.
        sink: Told how it ended.
        keeper: Keeps the journal and the results.
        cache: Whether, and how, a kept result serves.
        digest: Fingerprint of the circuit alone, once computed.
        key: What its result is kept by, or `None` if it is not kept.
        claim: What it was found to be the first to run by, or `None`.
        parts: Kept results that its own is to be put together with.
        earlier: Attempts before this one.
        tried: Routes that are not to be tried again.
        ledgers: What counts it, of the budgets that hold for it.
        hold: What is held for it in these, until its job leaves.
    """

    circuit: QuantumScript
    requested: QuantumScript
    route: Route
    bound: Executor
    seed: Seed
    settings: Settings
    gathers: bool
    batch: Batch
    index: int
    submitted_at: float
    sink: Sink
    keeper: Keeper
    cache: CacheMode = False
    digest: str | None = None
    key: Key | None = None
    claim: Key | None = None
    parts: tuple[Kept, ...] = ()
    earlier: tuple[Execution, ...] = ()
    tried: tuple[Route, ...] = ()
    ledgers: tuple[Ledger, ...] = ()
    hold: Hold | None = None

    @property
    def executor(self) -> Executor:
        """The executor as the user wrote it; told to users."""
        return self.route.member

    @property
    def is_settled(self) -> bool:
        """Whether its call has its outcome."""
        return self.batch.executions[self.index] is not None

    def resolve(self, outcome: Result | Exception, execution: Execution) -> None:
        """Hand over the final outcome."""
        self.batch.resolve(self.index, outcome, execution)


def places_of(tasks: Sequence[Task]) -> tuple[tuple[str, int], ...]:
    """Return, per circuit, the id of its call and its position in it."""
    return tuple((task.batch.call_id, task.index) for task in tasks)


class DetachedError(CancelledError):
    """A circuit is let go of, whose job goes on at the vendor."""


@attrs.frozen
class Ran:
    """What is to be said of a job to each of its circuits.

    Attributes:
        job_id: Id of the job; empty for circuits that were in none.
        size: Number of its circuits.
        started_at: Seconds since the epoch.
        handle: What a remote vendor calls it.
        cost_usd: Each circuit's part of its price, if known.
        last: Whether its lane is closed, so that no attempt follows.
    """

    job_id: str = ""
    size: int = 0
    started_at: float = attrs.field(factory=time.time)
    handle: str | None = None
    cost_usd: float | None = None
    last: bool = False


def settle(task: Task, outcome: Any, ran: Ran) -> None:
    """Tell a task's sink how the attempt ended."""
    value, execution = recorded(task, outcome, ran)
    if isinstance(value, Exception) and ran.job_id and not _is_noted(value, ran.job_id):
        where = f"circuit {task.index} of its call, {ran.job_id}, {task.executor!r}"
        add_note(value, where)
    task.sink.ended(task, value, execution, last=ran.last)


def recorded(task: Task, outcome: Any, ran: Ran) -> tuple[Any, Execution]:
    """Return the result, or the error, of a circuit and the record of its attempt."""
    metadata = {}
    if isinstance(outcome, Outcome):
        outcome, metadata = outcome.value, dict(outcome.metadata)
    error = outcome if isinstance(outcome, BaseException) else None
    if error is not None:
        redact(error)
    return outcome, Execution(
        executor=task.executor,
        job_id=ran.job_id,
        job_size=ran.size,
        shots=task.circuit.shots.total_shots,
        submitted_at=task.submitted_at,
        started_at=ran.started_at,
        finished_at=time.time(),
        metadata=metadata,
        error=None if error is None else describe(error),
        attempt=len(task.earlier) + 1,
        earlier=task.earlier,
        handle=ran.handle,
        cost_usd=ran.cost_usd,
    )


def describe(error: BaseException) -> str:
    """Return type and message of an error, or its type if it has no message."""
    try:
        return redacted(f"{type(error).__name__}: {error}")
    except Exception:
        return type(error).__name__


def add_note(error: BaseException, where: str) -> None:
    """Say on an error where it happened, without changing its type."""
    with suppress(Exception):  # some exceptions take no notes
        error.add_note(f"while running {where}")


def note_job(error: BaseException, ran: Ran, executor: Executor) -> None:
    """Say on an error that ended a whole job which job it was."""
    add_note(error, f"{ran.job_id} of {ran.size} circuits, {executor!r}")


def _is_noted(error: BaseException, job_id: str) -> bool:
    return any(f"{job_id} of" in note for note in getattr(error, "__notes__", ()))


class Batch:
    """Collects the outcomes of circuits that were dispatched together.

    Attributes:
        call_id: Id of the call it belongs to.
        results: Outcome per circuit, in order; complete once done.
        executions: Record per circuit, in order; complete once done.
        context: The caller's context variables, for observers on whatever thread.
    """

    __slots__ = (
        "_lock",
        "_on_done",
        "_on_start",
        "_remaining",
        "_waiter",
        "call_id",
        "cancelled",
        "context",
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
        self.context: Context = copy_context()
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
        """Take the outcome of one circuit; a second one is ignored."""
        with self._lock:
            if self.executions[index] is not None:
                return
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

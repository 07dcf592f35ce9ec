"""What a remote executor is: the contract for backends that answer later."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Hashable, Sequence
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import attrs

from qelectron_core.contracts import Estimate, Executor, Job, Outcome, Result
from qelectron_core.errors import ConfigError, ExecutorError

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

T = TypeVar("T")
#: What a method may return: the thing itself, or something to await.
MaybeAwaitable: TypeAlias = T | Awaitable[T]


class State(StrEnum):
    """What a vendor may say of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@attrs.frozen
class Status:
    """What a vendor says of a job.

    Attributes:
        state: `"queued"`, `"running"`, `"done"`, `"failed"` or `"cancelled"`.
        message: The vendor's words, such as why it failed.
        ahead: How many jobs are to run before it, or `None` if unknown.
    """

    state: State
    message: str = ""
    ahead: int | None = None

    @classmethod
    def of(cls, value: Any) -> Status:
        """Return what `RemoteExecutor.status` returned, as a `Status`.

        Raises:
            ExecutorError: If it is none of the known states.
        """
        given = value if isinstance(value, cls) else cls(value)
        try:
            return attrs.evolve(given, state=State(given.state))
        except ValueError:
            known = ", ".join(repr(state.value) for state in State)
            message = (
                f"status() returned {given.state!r}. Expected one of {known}, or a "
                "Status with one of them."
            )
            raise ExecutorError(message) from None


@attrs.frozen(eq=False)
class Handle:
    """A submitted job, as `status`, `fetch` and `cancel` receive it.

    Attributes:
        id: What the vendor calls the job; what `submit` returned.
        job: The job; `job.resource` is what `open` returned.
    """

    id: str
    job: Job

    def __str__(self) -> str:
        """Return the vendor's id."""
        return self.id


@attrs.frozen
class Polling:
    """How often a vendor is asked for the status of a job.

    The pause before the next question is a tenth of the time that the job has
    taken so far, so that polling adds no more than a tenth to any job.

    Attributes:
        first_s: Shortest pause, in seconds.
        longest_s: Longest pause, in seconds.
        give_up_s: Seconds for which a question is repeated that gets no answer
            (no connection, 429, 5xx), before the job ends in an error.

    Raises:
        ConfigError: If a number makes no sense.
    """

    first_s: float = 1.0
    longest_s: float = 30.0
    give_up_s: float = 600.0

    def __attrs_post_init__(self) -> None:
        """Refuse numbers that would poll without a pause, or never."""
        if not (0 < self.first_s < math.inf and self.first_s <= self.longest_s):
            message = (
                f"first_s={self.first_s!r} and longest_s={self.longest_s!r} are no "
                "shortest and longest pause. Expected seconds above 0, in this order."
            )
            raise ConfigError(message)
        if not self.give_up_s >= 0:
            message = f"give_up_s={self.give_up_s!r} is no time. Expected 0 s or more."
            raise ConfigError(message)


@attrs.frozen
class RemoteExecutor(Executor):
    """An executor whose backend takes jobs and answers later.

    Implement `submit`, `status`, `fetch` and `cancel`, each plain or `async`, as may be
    `open` and `close`, which are called once for all jobs. The core splits to the
    limits, keeps the journal, polls, retries, times out, cancels and puts results back
    in order, for all jobs from one event loop. Plain methods are called on worker
    threads, several at once.

    What the methods raise tells the core what to do:

    - `TransientError`, `RateLimitError`: the vendor took nothing (429, 503, no
      connection made). The request is repeated, after `retry_after_s` if it says so.
    - `ConnectionError`, `TimeoutError`: no answer. `status`, `fetch`, `cancel` and
      `find` are repeated; a `submit` never is, unless `find` says it did not arrive.
    - anything else: final; the circuits of the job end in it.

    Example:
        >>> import attrs
        >>> @attrs.frozen
        ... class Acme(RemoteExecutor):
        ...     async def submit(self, job):
        ...         return await job.resource.post(job.circuits, tag=job.id)
        ...     async def status(self, handle):
        ...         return await handle.job.resource.state(handle.id)
        ...     async def fetch(self, handle):
        ...         return await handle.job.resource.results(handle.id)
        ...     async def cancel(self, handle):
        ...         await handle.job.resource.delete(handle.id)
        >>> Acme(timeout_s=3600)
        Acme(timeout_s=3600)
    """

    def open(self) -> MaybeAwaitable[Any]:
        """Make what all jobs share, such as a client; closed by `close`."""
        return None

    def close(  # type: ignore[override]  # whoever calls it knows it may be async
        self, resource: Any
    ) -> MaybeAwaitable[None]:
        """Give back what `open` made."""

    def submit(self, job: Job) -> MaybeAwaitable[str]:
        """Send a job and return what the vendor calls it.

        Send `job.id` along where the vendor takes a tag or a name, so that `find`
        can tell whether the job arrived.
        """
        raise _missing(self, "submit(job)")

    def status(self, handle: Handle) -> MaybeAwaitable[Status | str]:
        """Return the state of a job: a `Status`, or just its `state`.

        Raises:
            UnknownJobError: If the vendor knows no such job.
        """
        raise _missing(self, "status(handle)")

    def fetch(
        self, handle: Handle
    ) -> MaybeAwaitable[Sequence[Result | Outcome | Exception]]:
        """Return the results of a job that is done; see `Executor.run`.

        Circuits that failed while others did not are exceptions in their places.
        """
        raise _missing(self, "fetch(handle)")

    def cancel(self, handle: Handle) -> MaybeAwaitable[None]:
        """Ask the vendor to cancel a job; one that has ended is left as it is."""
        raise _missing(self, "cancel(handle)")

    def find(self, job: Job) -> MaybeAwaitable[str | None]:
        """Return what the vendor calls the job with the tag `job.id`.

        Optional. Asked when the answer to a `submit` was lost: `None` says that the
        job did not arrive, and it is then sent again. Without `find`, it is not,
        and the circuits end in an `UnsettledJobError`.
        """
        del job
        raise NotImplementedError

    @property
    def account(self) -> Hashable:
        """Whose requests the vendor counts: equal accounts share rate limits."""
        return type(self).__qualname__

    @property
    def concurrency(self) -> int | None:
        """How many jobs may be in flight; `None` means any number."""
        return None

    @property
    def polling(self) -> Polling:
        """How often to ask for the status of a job."""
        return Polling()

    def estimate(self, circuits: Sequence[QuantumScript]) -> Estimate:
        """Return what a job of these circuits is expected to take.

        By default its price, as `cost_usd` tells it, and no seconds.
        """
        return Estimate(cost_usd=self.cost_usd(circuits))

    def cost_usd(self, circuits: Sequence[QuantumScript]) -> float | None:
        """Return the price of a job of these circuits in US dollars, if known."""
        del circuits
        return None


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, if it does.

    Both forms of RFC 9110, section 10.2.3: seconds, and a date.

    Example:
        >>> retry_after_s("120")
        120.0
    """
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


def _missing(executor: RemoteExecutor, method: str) -> ExecutorError:
    name = type(executor).__name__
    return ExecutorError(
        f"remote executor class {name!r} has no {method}. Implement submit, status, "
        "fetch and cancel."
    )

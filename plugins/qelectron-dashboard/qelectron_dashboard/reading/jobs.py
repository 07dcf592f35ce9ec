"""Jobs at vendors: which there are, what vendors say of them, and how each is ended."""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
import inspect
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from qelectron_core.errors import ConfigError, UnknownJobError
from qelectron_core.redaction import redacted
from qelectron_core.store import Intent, Store
from qelectron_dashboard.reading import whole
from qelectron_sqlite.cli.cancel import cancelled, forgotten
from qelectron_sqlite.cli.texts import count, safe, short

#: Outcomes that are remembered.
_REMEMBERED: Final = 50
_LONGEST: Final = 600
#: Seconds that what runs has to end when the dashboard does.
_CLOSES_IN_S: Final = 1.0
_ABSENT: Final = "It never arrived: the vendor knows no job with this tag."
_GONE: Final = "The vendor does not know it any more."
_NOT_ASKED: Final = (
    "Its handle is unknown, and the vendor cannot be asked for its tag. Look there for "
    "{job}."
)


@attrs.frozen
class JobRow:
    """A job at a vendor, as it is shown.

    Attributes:
        id: The core's id, and its tag at the vendor.
        handle: What the vendor calls it, if that is known.
        executor: Where it went.
        circuits: How many it holds.
        at: When it was submitted, in seconds since the epoch.
        calls: The calls that it has circuits of.
        alive: Whether a program waits for it.
        can_be_asked_for: Whether its executor can be made again here.
    """

    id: str
    handle: str | None
    executor: str
    circuits: int
    at: float
    calls: tuple[str, ...]
    alive: bool
    can_be_asked_for: bool


@attrs.frozen
class Outcome:
    """What came of a job.

    Attributes:
        job_id: Which job.
        said: What came of it, in a sentence.
        good: Whether that was what somebody wanted.
        calls: The calls that it had circuits of.
        at: When, in seconds since the epoch.
    """

    job_id: str
    said: str
    good: bool
    calls: tuple[str, ...] = ()
    at: float = attrs.field(factory=time.time)


def rows(store: Store) -> list[JobRow]:
    """Return the jobs that have not ended: orphans first, then the oldest."""
    whole.pennylane()
    return sorted(map(row, store.jobs()), key=lambda job: (job.alive, job.at))


def row(job: Intent) -> JobRow:
    """Return the row of a job."""
    return JobRow(
        id=job.job_id,
        handle=job.handle,
        executor=job.shown,
        circuits=len(job.circuits),
        at=job.at,
        calls=(*dict.fromkeys(call_id for call_id, _ in job.places),),
        alive=job.alive,
        can_be_asked_for=job.executor is not None,
    )


def ask(store: Store, job_id: str) -> str:
    """Ask the vendor once for the state of a job; return what it says.

    Raises:
        Exception: What the executor raises if the vendor cannot be reached.
    """
    return asyncio.run(_ask(_job(store, job_id)))


def cancel(store: Store, job_id: str) -> Outcome:
    """Cancel a job at its vendor; return what came of it.

    Raises:
        Exception: What the executor raises if the vendor cannot be reached.
    """
    job = _job(store, job_id)
    return Outcome(job_id, *cancelled(store, job), calls=row(job).calls)


def forget(store: Store, job_id: str) -> Outcome:
    """Take a job off the record that nobody waits for; return what came of it.

    Raises:
        ConfigError: If it has ended.
    """
    job = _job(store, job_id)
    return Outcome(job_id, *forgotten(store, job), calls=row(job).calls)


def told(error: Exception) -> str:
    """Return what an error of a vendor's software says."""
    name = "" if isinstance(error, ConfigError) else f"{type(error).__name__}: "
    return short(redacted(f"{name}{error}"), _LONGEST)


class Waiting:
    """Waits for the results of jobs, whether or not a page is open.

    Attributes:
        outcomes: What came of jobs, the last first.
    """

    def __init__(self, store: Store) -> None:
        self.outcomes: deque[Outcome] = deque(maxlen=_REMEMBERED)
        self._store = store
        self._since: dict[str, float] = {}
        self._has_attached = False
        self._lock = threading.Lock()

    def attach(self, job_id: str) -> None:
        """Wait for a job from now on; nothing is submitted.

        Raises:
            ConfigError: If its executor cannot be made again here, or it has ended.
        """
        import qelectron_core as ct

        with self._lock:
            if job_id in self._since:
                return
            self._since[job_id] = time.time()
        try:
            calls = row(_job(self._store, job_id)).calls
            self._has_attached = True
            future = ct.attach(job_id, store=self._store)
        except BaseException:
            del self._since[job_id]
            raise
        future.add_done_callback(lambda done: self._ended(job_id, calls, done))

    def close(self) -> None:
        """Wait no longer, before the store is closed; cancel nothing at vendors."""
        import qelectron_core as ct

        if self._has_attached:
            ct.shutdown(_CLOSES_IN_S)

    def since(self) -> dict[str, float]:
        """Return the jobs that are waited for, and since when."""
        with self._lock:
            return self._since.copy()

    def _ended(
        self, job_id: str, calls: tuple[str, ...], future: cf.Future[Any]
    ) -> None:
        self.outcomes.appendleft(_came_of(job_id, calls, future))
        with self._lock:
            del self._since[job_id]


def _came_of(job_id: str, calls: tuple[str, ...], future: cf.Future[Any]) -> Outcome:
    try:
        results: Sequence[Any] = future.result(timeout=0)
    except cf.CancelledError:
        said, good = "was cancelled, so that there is no result", False
    except Exception as error:
        said, good = f"failed: {told(error)}", False
    else:
        said, good = f"is done: {count(len(results), 'result')} kept in the store", True
    return Outcome(job_id, f"{safe(job_id)} {said}.", good, calls)


def _job(store: Store, job_id: str) -> Intent:
    found = next((job for job in store.jobs() if job.job_id == job_id), None)
    if found is None:
        raise ConfigError(f"{safe(job_id)} is not at a vendor any more.")
    return found


async def _ask(job: Intent) -> str:
    executor: Any = job.executor
    resource = await _done(executor.open)
    try:
        return await _answer(job, executor, resource)
    except NotImplementedError:
        return _NOT_ASKED.format(job=safe(job.job_id))
    except UnknownJobError:
        return _GONE
    finally:
        await _done(executor.close, resource)


async def _answer(intent: Intent, executor: Any, resource: Any) -> str:
    from qelectron_core.contracts import Job, Seed
    from qelectron_core.remote import Handle, Status

    seeds = tuple(Seed(0, place) for place in range(len(intent.circuits)))
    job = Job(intent.job_id, intent.circuits, seeds, intent.settings, resource)
    name = intent.handle or await _done(executor.find, job)
    if name is None:
        return _ABSENT
    status = Status.of(await _done(executor.status, Handle(name, job)))
    ahead = f", {count(status.ahead, 'job')} ahead of it" if status.ahead else ""
    known = "" if intent.handle else f"It is there as {safe(name)}. "
    message = f": {short(status.message, _LONGEST)}" if status.message else ""
    return f"{known}The vendor says: {status.state}{ahead}{message}"


async def _done(method: Callable[..., Any], *args: Any) -> Any:
    """Call a method of an executor, plain or `async`, on this thread."""
    value = method(*args)
    return await value if inspect.isawaitable(value) else value

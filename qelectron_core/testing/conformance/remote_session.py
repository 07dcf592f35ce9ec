"""Hands jobs to a remote executor as the core does, one request after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from qelectron_core.contracts import Job, Seed, Settings
from qelectron_core.errors import TransientError
from qelectron_core.ids import new_id
from qelectron_core.remote import Handle, RemoteExecutor, State, Status
from qelectron_core.runtime import runtime
from qelectron_core.runtime.account import NOT_ACCEPTED, PASSING, call
from qelectron_core.testing.conformance.rules import RuleBroken, calling
from qelectron_core.testing.conformance.session import (
    ENTROPY,
    Session,
    counted,
    result_of,
)

T = TypeVar("T")

_ENDED: Final = (State.DONE, State.FAILED, State.CANCELLED)
#: Pause before a request that a vendor could not answer is repeated, in seconds.
_PAUSE_S: Final = 0.2


class RemoteSession(Session):
    """A remote executor and what its `open` returned.

    Its methods are called where the core calls them: `async` ones on the core's
    event loop, plain ones on worker threads.
    """

    executor: RemoteExecutor

    def job(self, circuits: Sequence[Any], name: str = "") -> Job:
        """Return a job of these circuits."""
        seeds = tuple(Seed(ENTROPY, ordinal) for ordinal in range(len(circuits)))
        resource = self.resource
        return Job(name or new_id("job"), tuple(circuits), seeds, Settings(), resource)

    def run_job(self, job: Job) -> Any:
        """Submit a job, wait until it is done, and fetch it."""
        handle = self.submit(job)
        self.wait_for(handle)
        return self.fetch(handle)

    def submit(self, job: Job) -> Handle:
        """Submit a job; repeat that only if it is sure that the vendor took nothing."""
        with calling("submit(job)"):
            return Handle(_on_loop(self._submit(job)), job)

    def status(self, handle: Handle) -> Status:
        """Return the status of a job."""
        with calling("status(handle)"):
            return Status.of(self.ask("status", handle))

    def ended(self, handle: Handle) -> Status:
        """Return the status of a job once it has ended."""
        while True:  # the deadline of the rule ends it
            status = self.status(handle)
            if status.state in _ENDED:
                return status
            _on_loop(asyncio.sleep(self.executor.polling.first_s))

    def wait_for(self, handle: Handle) -> None:
        """Wait until a job is done.

        Raises:
            RuleBroken: If it ends in another state.
        """
        status = self.ended(handle)
        if status.state != State.DONE:
            seen = f"{status.state.value!r}: {status.message}"
            raise RuleBroken("a job of plain circuits to be 'done'", seen)

    def fetch(self, handle: Handle) -> Any:
        """Return the entries of a job that is done."""
        with calling("fetch(handle)"):
            return self.ask("fetch", handle)

    def results_of(self, handle: Handle) -> list[Any]:
        """Return the results of a job that is done."""
        entries = counted(self.fetch(handle), len(handle.job))
        pairs = zip(entries, handle.job.circuits, strict=True)
        return [result_of(*pair) for pair in pairs]

    def cancel(self, handle: Handle) -> None:
        """Cancel a job."""
        with calling("cancel(handle)"):
            self.ask("cancel", handle)

    def ask(self, method: str, about: Job | Handle) -> Any:
        """Call a method that changes nothing until it gives an answer."""
        return _on_loop(self._ask(method, about, PASSING))

    async def _submit(self, job: Job) -> Any:
        while True:
            try:
                return await self._ask("submit", job, NOT_ACCEPTED)
            except (ConnectionError, TimeoutError) as lost:
                try:
                    found = await self._ask("find", job, PASSING)
                except NotImplementedError:
                    raise lost from None
                if found is not None:
                    return found

    async def _ask(self, method: str, about: Any, passing: Any) -> Any:
        while True:  # the deadline of the rule ends it
            try:
                return await call(getattr(self.executor, method), about)
            except passing as error:
                asked = (
                    error.retry_after_s if isinstance(error, TransientError) else None
                )
                await asyncio.sleep(asked or _PAUSE_S)


def _on_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Wait for a coroutine on the core's event loop; return its result."""
    future: Future[T] = Future()
    loop = runtime().loop

    async def run() -> None:
        try:
            future.set_result(await coroutine)
        except BaseException as error:
            future.set_exception(error)

    loop.call(lambda: loop.spawn(run()))
    return future.result()

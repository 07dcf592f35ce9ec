"""What a store is told of remote jobs, before and after they are submitted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from qelectron_core.remote import RemoteExecutor
from qelectron_core.runtime.loop import in_thread
from qelectron_core.runtime.notes import ended_line, kept_of, shown
from qelectron_core.runtime.task import Task, places_of
from qelectron_core.store import Intent

if TYPE_CHECKING:
    from qelectron_core.events import Execution
    from qelectron_core.runtime.keeper import Keeper

T = TypeVar("T")
#: The result of a circuit, and how it came about.
_Result: TypeAlias = "tuple[Task, Any, Execution]"


class RemoteJournal:
    """Writes to a store from the event loop, and waits until it is written."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    @property
    def durable(self) -> bool:
        """Whether what is written outlives the process."""
        return self._keeper.store.durable

    async def intend(
        self, job_id: str, executor: RemoteExecutor, tasks: Sequence[Task]
    ) -> None:
        """Write that a job is about to be submitted."""
        await self._do(self._intend, job_id, executor, tasks)

    async def submitted(self, job_id: str, handle: str) -> None:
        """Write what the vendor calls a job."""
        await self._do(lambda: self._keeper.store.submitted(job_id, handle))

    async def ended(self, job_id: str, results: Sequence[_Result] = ()) -> None:
        """Write the results of a job, and that it needs no more attention."""
        await self._do(self._ended, job_id, results)

    async def do(self, work: Callable[..., T], *args: Any) -> T:
        """Do what may wait for the store."""
        if self._keeper.store.instant:
            return work(*args)
        return await in_thread(work, *args)

    def _intend(
        self, job_id: str, executor: RemoteExecutor, tasks: Sequence[Task]
    ) -> None:
        store = self._keeper.store
        if store.durable:  # so that who runs these circuits again finds the job
            for task in tasks:
                self._keeper.cache.name(task)
        intent = Intent(
            job_id=job_id,
            executor=executor,
            circuits=tuple(task.circuit for task in tasks),
            places=places_of(tasks),
            at=time.time(),
            keys=tuple(task.key for task in tasks),
            claims=tuple(task.claim or task.key for task in tasks),
            settings=tasks[0].settings,
            shown=shown(executor),
        )
        store.intend(intent)

    def _ended(self, job_id: str, results: Sequence[_Result]) -> None:
        kept = [kept_of(*result) for result in results]
        whole = [one for one in kept if one is not None]
        if (
            self._keeper.store.durable
        ):  # or a crash could leave it neither here nor there
            lines = [ended_line(*result) for result in results]
            self._keeper.store.write((), lines)
        self._keeper.store.ended(job_id, whole)

    async def _do(self, write: Callable[..., None], *args: Any) -> None:
        store = self._keeper.store
        try:
            if store.instant:
                write(*args)
            else:
                await in_thread(write, *args)
        except Exception as error:
            self._keeper.failed(error, store)
            with suppress(Exception):
                write(*args)  # to the one in memory, which is there instead

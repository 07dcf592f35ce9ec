"""What the journal is told of remote jobs, before and after they are submitted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from qelectron_core.remote import RemoteExecutor
from qelectron_core.runtime.loop import in_thread
from qelectron_core.runtime.task import Task
from qelectron_core.store import Intent, Store

_log: Final = logging.getLogger("qelectron")


class RemoteJournal:
    """Writes to the store from the event loop, and waits until it is written."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def intend(
        self, job_id: str, executor: RemoteExecutor, tasks: Sequence[Task]
    ) -> None:
        """Write that a job is about to be submitted."""
        intent = Intent(
            job_id=job_id,
            executor=executor,
            circuits=tuple(task.circuit for task in tasks),
            places=tuple((task.batch.call_id, task.index) for task in tasks),
            at=time.time(),
        )
        await self._write(self._store.intend, intent)

    async def submitted(self, job_id: str, handle: str) -> None:
        """Write what the vendor calls a job."""
        await self._write(self._store.submitted, job_id, handle)

    async def ended(self, job_id: str) -> None:
        """Write that a job needs no more attention."""
        await self._write(self._store.ended, job_id)

    async def _write(self, method: Callable[..., None], *args: Any) -> None:
        try:
            if self._store.instant:
                method(*args)
            else:
                await in_thread(method, *args)
        except Exception:
            _log.exception("the store failed to record a job; the run goes on")

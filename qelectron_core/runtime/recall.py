"""Cancels jobs at vendors that this process did not submit."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from qelectron_core.contracts import Job, Seed
from qelectron_core.errors import UnknownJobError
from qelectron_core.remote import Handle, RemoteExecutor, State, Status
from qelectron_core.runtime.account import Account, call
from qelectron_core.runtime.remote_job import CANCEL_POLLING
from qelectron_core.runtime.runtime import runtime

if TYPE_CHECKING:
    from qelectron_core.store import Intent, Store

#: What came of it: the vendor was told; it knows no such job; there is nothing left to
#: cancel; or neither the handle is known, nor can the vendor be asked for the tag.
Answer: TypeAlias = Literal["cancelled", "absent", "ended", "unknown"]


def cancel_job(store: Store, intent: Intent) -> Answer:
    """Cancel a job at its vendor, and forget it if that settles it.

    Raises:
        Exception: What the executor raises if the vendor cannot be reached.
    """
    answer = _on_loop(intent)
    if answer in ("cancelled", "absent"):
        store.ended(intent.job_id)
    return answer


def _on_loop(intent: Intent) -> Answer:
    loop, told = runtime().loop, Future[Answer]()

    async def recall() -> None:
        try:
            told.set_result(await _recall(intent, Account(loop)))
        except Exception as error:
            told.set_exception(error)

    loop.call(lambda: loop.spawn(recall()))
    return told.result()


async def _recall(intent: Intent, account: Account) -> Answer:
    executor: Any = intent.executor
    resource = await call(executor.open)
    try:
        return await _cancel(intent, executor, account, resource)
    finally:
        await call(executor.close, resource)


async def _cancel(
    intent: Intent, executor: RemoteExecutor, account: Account, resource: Any
) -> Answer:
    async def ask(method: Any, *args: Any) -> Any:
        return await account.ask_until_answered(CANCEL_POLLING, method, *args)

    seeds = tuple(Seed(0, place) for place in range(len(intent.circuits)))
    job = Job(intent.job_id, intent.circuits, seeds, intent.settings, resource)
    try:
        name = intent.handle or await ask(executor.find, job)
        if name is None:
            return "absent"
        handle = Handle(name, job)
        if Status.of(await ask(executor.status, handle)).state is State.DONE:
            return "ended"
        await ask(executor.cancel, handle)
    except NotImplementedError:
        return "unknown"
    except UnknownJobError:
        return "absent"
    return "cancelled"

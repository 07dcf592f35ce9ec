"""Jobs at vendors that another process, or an earlier call, has submitted."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from qelectron_core.contracts import Seed
from qelectron_core.errors import UnknownJobError, UnsettledJobError
from qelectron_core.runtime.task import Batch, Task

if TYPE_CHECKING:
    from qelectron_core.events import Execution
    from qelectron_core.router import Route
    from qelectron_core.runtime.keeper import Keeper
    from qelectron_core.runtime.runtime import Runtime
    from qelectron_core.store import Intent

_log: Final = logging.getLogger("qelectron")


class Adopted:
    """Takes what becomes of circuits whose job another process submitted.

    They are not run again if they fail: whoever still wants them does that.
    """

    adopted: Final = True

    def __init__(
        self, runtime: Runtime, keeper: Keeper, whole: Batch | None = None
    ) -> None:
        """Take who wants the results of the whole job, by their places in it."""
        self._runtime = runtime
        self._keeper = keeper
        self._whole = whole

    def ended(
        self, task: Task, outcome: Any, execution: Execution, *, last: bool
    ) -> None:
        """Keep a result, and hand it to those who want it."""
        del last
        outcome = self._keeper.cache.ended(task, outcome, execution)
        if isinstance(outcome, UnsettledJobError):
            _say_how_to_go_on(outcome, execution.job_id)
        if isinstance(outcome, BaseException):
            self._runtime.report("failed", task, execution)
        else:
            self._runtime.report("completed", task, execution, outcome)
        task.resolve(outcome, execution)
        if self._whole is not None:
            self._whole.resolve(task.seed.ordinal, outcome, execution)


def adopt(  # noqa: PLR0913  # what waits, where, and for whom
    intent: Intent,
    route: Route,
    runtime: Runtime,
    keeper: Keeper,
    *,
    batches: Mapping[str, Batch] | None = None,
    whole: Batch | None = None,
) -> None:
    """Wait for a job that the vendor has, or may have, and keep its results.

    Args:
        intent: The job; it is this process's.
        route: The way to its executor.
        runtime: Where to wait.
        keeper: Where to keep the results.
        batches: Who wants the results of circuits, by the id of their call.
        whole: Who wants all of them, by their places in the job.
    """
    sink = Adopted(runtime, keeper, whole)
    tasks = _tasks(intent, route, sink, keeper, batches or {})
    keeper.cache.expect(tasks)
    ids = {"job_id": intent.job_id, "executor": intent.shown}
    _log.warning("%s", _announcement(intent), extra=ids)
    runtime.remote_lane(tasks[0]).adopt(tasks, intent)


def _tasks(
    intent: Intent,
    route: Route,
    sink: Adopted,
    keeper: Keeper,
    batches: Mapping[str, Batch],
) -> list[Task]:
    """Return the circuits of a job, as parts of the calls that they belong to."""
    sizes: dict[str, int] = {}
    for call_id, index in intent.places:
        sizes[call_id] = max(sizes.get(call_id, 0), index + 1)
    own = {call_id: Batch(call_id, size) for call_id, size in sizes.items()}
    return [
        Task(
            circuit=circuit,
            requested=circuit,
            route=route,
            bound=route.bound,
            seed=Seed(0, place),
            settings=intent.settings,
            gathers=False,
            batch=batches.get(call_id) or own[call_id],
            index=index,
            submitted_at=intent.at,
            sink=sink,
            keeper=keeper,
            key=intent.keys[place],
            claim=intent.claims[place],
        )
        for place, (circuit, (call_id, index)) in enumerate(
            zip(intent.circuits, intent.places, strict=True)
        )
    ]


def _say_how_to_go_on(error: UnsettledJobError, job_id: str) -> None:
    if isinstance(error, UnknownJobError):
        note = f"{job_id} is taken off the record: the next call submits it anew."
    else:
        note = (
            f"{job_id} stays on record. Once you have looked for it at the vendor, "
            f"`qelectron cancel {job_id} --forget` lets its circuits be run anew."
        )
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def _announcement(intent: Intent) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(intent.at))
    if intent.handle is not None:
        return (
            f"Going on with job {intent.handle} ({intent.job_id}) of {intent.shown}, "
            f"which was submitted at {at}; nothing is submitted again."
        )
    return (
        f"{intent.job_id} was about to be submitted to {intent.shown} at {at}, by a "
        "process that ended; looking for it there by its tag before anything is "
        "submitted again."
    )

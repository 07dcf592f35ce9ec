"""Takes the results of calls and jobs that were begun earlier, maybe elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import attrs

from qelectron_core import outputs
from qelectron_core.cluster import Member
from qelectron_core.contracts import Executor
from qelectron_core.errors import ConfigError, ExecutorError, FormatError
from qelectron_core.events import Execution
from qelectron_core.formats import circuit_digest
from qelectron_core.futures import QFuture
from qelectron_core.ids import new_id
from qelectron_core.router import Route
from qelectron_core.runtime import runtime
from qelectron_core.runtime.adoption import Adopted, adopt
from qelectron_core.runtime.keeper import Keeper
from qelectron_core.runtime.task import Batch, Task
from qelectron_core.scopes import Scope
from qelectron_core.store import Entry, Intent, Run


@attrs.frozen(repr=False)
class Recorded(Executor):
    """An executor of which only the text in the journal is known; it runs nothing."""

    text: str

    def __repr__(self) -> str:
        """Return the text."""
        return self.text


def attach(id: str, *, store: Any = None) -> QFuture:  # as users say
    """Take the result of a call, or of a job, that any process has begun.

    What has finished comes from the store, and jobs at vendors are waited for.
    Nothing is submitted.

    Args:
        id: Id of a call (`future.id`), of a job, or what the vendor calls the job.
        store: Where to look it up; see `qelectron`.

    Returns:
        The future of what the call returns, as NumPy arrays; of a job, the list of
        the results of its circuits.

    Raises:
        ConfigError: If nothing is known by this id, or only the program that made
            the call knows how to put its results together.
    """
    if not isinstance(id, str):
        message = f"id={id!r} is no id. Expected that of a call or a job, a string."
        raise ConfigError(message)
    keeper = runtime().keeper(store)
    keeper.flush()
    job = _job_of(id, keeper)
    if job is not None:
        return _attach_job(job, keeper)
    # Jobs are read before results: what ends in between is then found twice, not never.
    jobs = keeper.jobs(id)
    return _attach_call(known_run(id, keeper), jobs, keeper)


def attach_tasks(tasks: Sequence[Task], id: str) -> None:
    """Give tasks the results of circuits that were begun under another id.

    Args:
        tasks: The circuits of a call, made anew by its program.
        id: Of the call, of a job, or what the vendor calls the job.

    Raises:
        ConfigError: If it does not hold these circuits.
    """
    try:
        _attach_tasks(tasks, id)
    except BaseException as error:
        runtime().forget(tasks, error)
        raise


def _attach_tasks(tasks: Sequence[Task], id: str) -> None:
    keeper = tasks[0].keeper
    keeper.flush()
    current, sink = runtime(), Adopted(runtime(), keeper)
    jobs = keeper.jobs(id)
    runs = keeper.store.runs(call_id=id)
    if runs:
        _require_size(id, runs[0].call.circuits, len(tasks))
        first = {e.index: e.circuit for e in runs[0].entries if e.attempt == 1}
        _require_same(id, tasks, [first.get(task.index) for task in tasks])
        routes = {task.index: task.route for task in tasks}
        _fill(_follow(id, tasks, len(tasks)), runs[0], jobs, keeper, routes)
        return
    intent = _job_of(id, keeper) or _unknown_job(tasks, id)
    _require_size(id, len(intent.circuits), len(tasks))
    _require_same(id, tasks, intent.circuits)
    for task in tasks:
        current.loads.remove(task.executor)
        task.sink = sink
    current.remote_lane(tasks[0]).adopt(tasks, _ours(intent, keeper))


def resume_tasks(tasks: Sequence[Task], scope: Scope) -> list[Task]:
    """Give tasks what an earlier piece of work left; return those that are to run.

    Results that were kept are taken, and jobs at vendors waited for. A call whose
    circuits are not those of the earlier one is run as a whole.

    Args:
        tasks: Circuits of one or more calls.
        scope: The piece of work that they belong to.
    """
    fresh: list[Task] = []
    for batch in dict.fromkeys(task.batch for task in tasks):
        own: Sequence[Task] = [task for task in tasks if task.batch is batch]
        size = len(own)
        for earlier in scope.earlier(batch.call_id):
            own = _resume_call(own, earlier, size) if own else own
        fresh += own
    return fresh


def _resume_call(tasks: Sequence[Task], id: str, size: int) -> Sequence[Task]:
    """Give the circuits of one call what is there of an earlier one."""
    keeper = tasks[0].keeper
    keeper.flush()
    jobs = keeper.jobs(id)
    runs = keeper.store.runs(call_id=id)
    if not runs or runs[0].call.circuits != size:
        return tasks
    same = _same_circuits(runs[0], tasks)
    there = _results(runs[0]).keys() | _jobs_by_circuit(runs[0], jobs).keys()
    taken = [task for task in tasks if task.index in there & same]
    if taken:
        routes = {task.index: task.route for task in taken}
        _fill(_follow(id, taken, size), runs[0], jobs, keeper, routes)
    left = {task.index for task in tasks} - {task.index for task in taken}
    return [task for task in tasks if task.index in left]


def _same_circuits(run: Run, tasks: Sequence[Task]) -> set[int]:
    """Return which circuits an earlier call had as well: nobody asked for others.

    It may have had some of them from a still earlier one; none may be another.
    """
    first = {e.index: e.circuit for e in run.entries if e.attempt == 1}
    found = {task.index: _is_same(first.get(task.index), task) for task in tasks}
    if (
        run.call.executors != repr(_as_written(tasks[0].route))
        or False in found.values()
    ):
        return set()
    return {index for index, same in found.items() if same}


def _as_written(route: Route) -> Member:
    """Return the executor or cluster that a user gave to the QElectron."""
    return route.clusters[0].member if route.clusters else route.member


def _is_same(circuit: Any, task: Task) -> bool | None:
    """Tell whether a circuit that was kept is that of a task; `None` is not known."""
    if circuit is None:
        return None
    try:
        return circuit_digest(circuit) == circuit_digest(task.circuit)
    except FormatError:
        return None


def _require_size(id: str, holds: int, wanted: int) -> None:
    if holds != wanted:
        message = (
            f"{id!r} holds {holds} circuits, and this call has {wanted}. Attach to the "
            "call that made it, by its id, on the same QElectron and with the same "
            "arguments."
        )
        raise ConfigError(message)


def _require_same(id: str, tasks: Sequence[Task], circuits: Sequence[Any]) -> None:
    """Refuse circuits that are known not to be those that were begun."""
    for task, circuit in zip(tasks, circuits, strict=True):
        if _is_same(circuit, task) is False:
            message = (
                f"{id!r} holds other circuits than this call. Attach to it on the same "
                "QElectron and with the same arguments."
            )
            raise ConfigError(message)


def _unknown_job(tasks: Sequence[Task], handle: str) -> Intent:
    """Return a job that the store does not know, but the vendor may."""
    executors = {task.bound for task in tasks}
    if len(executors) > 1:
        message = (
            f"there is no job {handle!r} to attach to: the circuits of this call do "
            "not run on one remote executor. Use the executor that the job was "
            "submitted with, and no cluster."
        )
        raise ConfigError(message)
    return Intent(
        job_id=new_id("job"),
        executor=executors.pop(),
        circuits=tuple(task.circuit for task in tasks),
        places=(),
        at=time.time(),
        handle=handle,
    )


def _follow(call_id: str, tasks: Sequence[Task], size: int) -> Batch:
    """Return a batch for the circuits of an earlier call, that feeds these tasks."""

    def hand_over(batch: Batch) -> None:
        for task in tasks:
            current = task.keeper.runtime
            current.loads.remove(task.executor)
            task.batch.start()
            value, execution = batch.results[task.index], batch.executions[task.index]
            failed = isinstance(value, BaseException)
            # With its circuit, so that it can be gone on with from here as well.
            task.keeper.note("submitted", task)
            current.report(
                "failed" if failed else "cached",
                task,
                attrs.evolve(execution, cost_usd=None, cached=True),
                None if failed else value,
            )
            task.resolve(value, execution)

    return Batch(call_id, size, hand_over)


def _attach_job(intent: Intent, keeper: Keeper) -> QFuture:
    future = QFuture(intent.job_id)
    whole = _batch(future, len(intent.circuits), list)
    adopt(_ours(intent, keeper), _route_of(intent), runtime(), keeper, whole=whole)
    return future


def _attach_call(run: Run, jobs: Sequence[Intent], keeper: Keeper) -> QFuture:
    description = run.call.output
    if description is None:
        message = (
            f"only its program can put the results of call {run.id} of "
            f"{run.call.name!r} together. Call attach({run.id!r}, …) on the QElectron, "
            "with the arguments of the call."
        )
        raise ConfigError(message)
    future = QFuture(run.id)
    finish = partial(_finish, description=description)
    _fill(_batch(future, run.call.circuits, finish), run, jobs, keeper, {})
    return future


def _finish(results: Sequence[Any], description: str) -> Any:
    return outputs.rebuild(results[0], description)


def _batch(future: QFuture, size: int, finish: Callable[[Sequence[Any]], Any]) -> Batch:
    def on_done(batch: Batch) -> None:
        future._finish(batch, finish)

    batch = Batch(future.id, size, on_done, future._start)
    future._batch = batch
    return batch


def _fill(
    batch: Batch,
    run: Run,
    open_jobs: Sequence[Intent],
    keeper: Keeper,
    routes: Mapping[int, Route],
) -> None:
    """Give a batch what has finished of a call, and wait for jobs at vendors."""
    last, results = _last_entries(run), _results(run)
    jobs = _jobs_by_circuit(run, open_jobs)
    for index in range(run.call.circuits):
        entry = last.get(index)
        if index in results:
            batch.resolve(index, results[index], _execution(entry))
        elif index not in jobs:
            batch.resolve(index, _lost(run, index, entry), _execution(entry))
    for intent in {intent.job_id: intent for intent in jobs.values()}.values():
        route = next((r for i, r in routes.items() if jobs.get(i) is intent), None)
        adopt(
            _ours(intent, keeper),
            route or _route_of(intent),
            runtime(),
            keeper,
            batches={run.id: batch},
        )


def _last_entries(run: Run) -> dict[int, Entry]:
    """Return the last line of the journal of each circuit."""
    return {entry.index: entry for entry in sorted(run.entries, key=lambda e: e.place)}


def _results(run: Run) -> dict[int, Any]:
    """Return the results that were kept, by the position of their circuit."""
    last = _last_entries(run).items()
    return {index: entry.value for index, entry in last if entry.value is not None}


def _jobs_by_circuit(run: Run, jobs: Sequence[Intent]) -> dict[int, Intent]:
    """Return jobs that have not ended, by the positions of the circuits in them."""
    return {
        index: intent
        for intent in jobs
        for (call_id, index), claim in zip(intent.places, intent.claims, strict=True)
        if call_id == run.id and not (claim is not None and claim.shots == "pool")
    }


def _ours(intent: Intent, keeper: Keeper) -> Intent:
    """Take over a job, unless a living process has it, which then ends it."""
    taken = keeper.store.adopt(intent.job_id)
    job_id = intent.job_id if taken else new_id("job")
    return attrs.evolve(intent, job_id=job_id)


def _route_of(intent: Intent) -> Route:
    if intent.executor is None:
        message = (
            f"executor {intent.shown} of {intent.job_id} cannot be made again here. "
            "Import the module of its class first (on the command line: --import "
            "MODULE), or call attach on the QElectron."
        )
        raise ConfigError(message)
    return Route(intent.executor, intent.executor)


def _job_of(id: str, keeper: Keeper) -> Intent | None:
    jobs = (job for job in keeper.jobs() if id in (job.job_id, job.handle))
    return next(jobs, None)


def known_run(id: str, keeper: Keeper) -> Run:
    """Return a call, with its lines of the journal.

    Raises:
        ConfigError: If it is not known.
    """
    runs = keeper.store.runs(call_id=id)
    if runs:
        return runs[0]
    message = (
        f"no call or job {id!r} is known to {type(keeper.store).__name__}. "
        "ct.history() lists the calls, `qelectron jobs` the jobs that have not ended."
    )
    raise ConfigError(message)


def _lost(run: Run, index: int, entry: Entry | None) -> ExecutorError:
    """Return what a circuit ends in of which there is neither a result nor a job."""
    if entry is not None and entry.error is not None:
        return ExecutorError(f"circuit {index} of {run.id} ended in {entry.error}")
    if run.state == "running":
        what, then = "is still being run by the process that made the call", "Wait"
    else:
        # Or it was topping up: its job has only the shots that were missing.
        what, then = "has no result that was kept", "Call the QElectron again"
    return ExecutorError(
        f"circuit {index} of {run.id} {what}. {then}; with cache=True nothing runs "
        "twice."
    )


def _execution(entry: Entry | None) -> Any:
    """Return the record of a circuit, as far as the journal tells it."""
    if entry is None:
        now = time.time()
        return Execution(Recorded("unknown"), "", 0, None, now, now, now)
    return Execution(
        executor=Recorded(entry.executor),
        job_id=entry.job_id,
        job_size=entry.job_size,
        shots=entry.shots,
        submitted_at=entry.submitted_at,
        started_at=entry.started_at or entry.submitted_at,
        finished_at=entry.finished_at or entry.submitted_at,
        metadata=entry.metadata,
        error=entry.error,
        attempt=entry.attempt,
        handle=entry.handle,
        cost_usd=entry.cost_usd,
        cached=True,
    )

"""The one road from circuits to executors.

A plain call, `run_later`, `map` and a gradient all come through here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs

from qelectron_core.contracts import Seed, Settings
from qelectron_core.errors import ConfigError
from qelectron_core.ids import new_id
from qelectron_core.recording import install
from qelectron_core.recovery import (
    is_executors,
    may_fail_over,
    may_follow,
    pause_before_retry,
)
from qelectron_core.router import AnyRoute, Choices, Route
from qelectron_core.runtime import runtime
from qelectron_core.runtime.remote_lane import RemoteLane
from qelectron_core.runtime.task import Batch, Task, describe
from qelectron_core.shots import with_shots

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.contracts import Result
    from qelectron_core.events import Execution


class Dispatcher:
    """Gives the circuits of one QElectron to their executors.

    Picklable, with whatever its selectors hold.
    """

    def __init__(
        self, route: AnyRoute, entropy: int, *, own_shots: bool = True
    ) -> None:
        """Make a dispatcher.

        Args:
            route: Chooses executors.
            entropy: Seeds the samples of executors without a seed of their own.
            own_shots: Whether executors' own shots replace those of circuits;
                otherwise circuits come with the shots that they are to have.
        """
        self.route = route
        self._entropy = entropy
        self._own_shots = own_shots
        self._dispatched = Counter()

    def tasks(
        self, circuits: Iterable[QuantumScript], settings: Settings, batch: Batch
    ) -> list[Task]:
        """Choose an executor and a seed for each circuit, in their order.

        Raises:
            ConfigError: If the executor chosen for a circuit cannot run it.
            SelectorError: If a selector fails.
        """
        now, call = time.time(), Choices()
        tasks: list[Task] = []
        try:
            for index, circuit in enumerate(circuits):
                route, ready = self._choose(circuit, call)
                task = Task(
                    circuit=ready,
                    requested=circuit,
                    route=route,
                    seed=self._seed(route, self._dispatched.next()),
                    settings=settings,
                    gathers=bool(route.bound.gathers(ready)),
                    batch=batch,
                    index=index,
                    submitted_at=now,
                    sink=self,
                )
                runtime().chosen(route)
                tasks.append(task)
        except BaseException:
            forget(tasks)
            raise
        return tasks

    def run(
        self, circuits: Sequence[QuantumScript], settings: Settings
    ) -> Sequence[Result]:
        """Run circuits, wait, and return their results in order.

        Raises:
            Exception: What the first failed circuit ended in.
        """
        return self.run_batch(circuits, settings, new_id("call")).outcome()

    def run_batch(
        self, circuits: Sequence[QuantumScript], settings: Settings, call_id: str
    ) -> Batch:
        """Run circuits as part of a call, wait, and return all about them."""
        batch = Batch(call_id, len(circuits))
        tasks = self.tasks(circuits, settings, batch)
        try:
            if settings.gradient_method == "backprop" or not install():
                run_here(tasks)
            else:
                submit(tasks, wait=True)
            batch.wait()
        except BaseException:
            batch.cancelled = True
            runtime().drop_cancelled()
            raise
        return batch

    def ended(
        self, task: Task, outcome: Any, execution: Execution, *, last: bool
    ) -> None:
        """Take what became of a circuit: try again, or hand it over."""
        current = runtime()
        current.loads.remove(task.executor)
        error = outcome if isinstance(outcome, Exception) else None
        if task.route.clusters:
            current.learned(task, execution, failed=is_executors(error))
        following = None
        if error is not None and not last and may_follow(task):
            following = self._following(task, error, execution)
        if following is not None:
            current.report("retried", task, execution)
            current.resubmit(*following)
            return
        failed = isinstance(outcome, BaseException)
        current.report("failed" if failed else "completed", task, execution)
        task.resolve(outcome, execution)

    def _choose(
        self,
        circuit: QuantumScript,
        call: Choices | None = None,
        tried: tuple[Route, ...] = (),
    ) -> tuple[Route, QuantumScript]:
        """Choose a route, and return the circuit with the executor's own shots.

        In a cluster with failover, a member that cannot run it is passed over.
        """
        while True:
            route = self.route.choose(circuit, call, tried)
            ready = with_own_shots(circuit, route) if self._own_shots else circuit
            reason = route.bound.refuse(ready)
            if reason is None:
                return route, ready
            tried = (*tried, route)
            if not self.route.is_open(tried):
                raise ConfigError(_refusal(route, reason))
            call = None

    def _seed(self, route: Route, ordinal: int) -> Seed:
        own = route.bound.seed
        return Seed(self._entropy if own is None else own, ordinal)

    def _following(
        self, task: Task, error: Exception, execution: Execution
    ) -> tuple[Task, float] | None:
        """Return the next attempt and the seconds until it starts, if there is one."""
        try:
            pause_s = pause_before_retry(task, error)
            if pause_s is not None:
                again = self._again(task, execution, task.route, task.circuit)
                return again, pause_s
            tried = (*task.tried, task.route)
            if not may_fail_over(error) or not self.route.is_open(tried):
                return None
            route, ready = self._choose(task.requested, None, tried)
        except Exception as failure:
            with suppress(Exception):  # some exceptions take no notes
                error.add_note(f"no other executor was tried: {describe(failure)}")
            return None
        return attrs.evolve(
            self._again(task, execution, route, ready), tried=tried
        ), 0.0

    def _again(
        self, task: Task, execution: Execution, route: Route, circuit: QuantumScript
    ) -> Task:
        again = attrs.evolve(
            task,
            circuit=circuit,
            route=route,
            seed=self._seed(route, task.seed.ordinal),
            gathers=bool(route.bound.gathers(circuit)),
            submitted_at=time.time(),
            earlier=(*task.earlier, execution),
        )
        runtime().chosen(route)
        return again


def _refusal(route: Route, reason: str) -> str:
    return (
        f"{route.member!r} cannot run this circuit: {reason}. Choose another executor, "
        "or set its shots with qml.set_shots or shots=."
    )


def with_own_shots(circuit: QuantumScript, route: Route) -> QuantumScript:
    """Return the circuit with the shots that an executor asks for.

    Raises:
        ConfigError: If that changes the number of results.
    """
    shots = route.bound.shots
    if shots == "qnode":
        return circuit
    changed = with_shots(circuit, shots)
    if _n_results(changed) == _n_results(circuit):
        return changed
    message = (
        f"{route.member!r} asks for another number of results than the rest of its "
        f"cluster or the circuit: {changed.shots} instead of {circuit.shots}. Give all "
        "executors the same shot vector, or set it with qml.set_shots."
    )
    raise ConfigError(message)


def _n_results(circuit: QuantumScript) -> int | None:
    shots = circuit.shots
    return shots.num_copies if shots.has_partitioned_shots else None


def submit(tasks: Sequence[Task], *, wait: bool = False) -> None:
    """Queue tasks on the lanes of their executors.

    Args:
        tasks: What to run.
        wait: Whether the caller is about to wait for them, so that this thread
            may run circuits itself instead of idling.
    """
    current = runtime()
    by_lane = _by_lane(tasks)
    for task in tasks:
        current.report("submitted", task)
    *others, last = by_lane.items() if by_lane else [(None, [])]
    for lane, lane_tasks in others:
        lane.submit(lane_tasks)
    lane, lane_tasks = last
    if lane is not None:
        enter: Callable[[Sequence[Task]], None] = (
            lane.submit_here if wait else lane.submit
        )
        enter(lane_tasks)


def _by_lane(tasks: Sequence[Task]) -> dict[Any, list[Task]]:
    """Return tasks by the lane of their executor.

    Raises:
        ConfigError: If a lane cannot be made; then none of the tasks will run.
    """
    current = runtime()
    by_lane: dict[Any, list[Task]] = {}
    try:
        for task in tasks:
            by_lane.setdefault(current.lane(task), []).append(task)
    except BaseException:
        forget(tasks)
        raise
    return by_lane


def forget(tasks: Iterable[Task]) -> None:
    """Note that executors were chosen for circuits that will never run."""
    for task in tasks:
        runtime().loads.remove(task.executor)


def attach(tasks: Sequence[Task], handle: str) -> None:
    """Take the results of tasks from a job that their executor's vendor has.

    Raises:
        ConfigError: If they do not all belong to one remote executor.
    """
    current = runtime()
    by_lane = _by_lane(tasks)
    lane = next(iter(by_lane)) if len(by_lane) == 1 else None
    if not isinstance(lane, RemoteLane):
        forget(tasks)
        message = (
            f"there is no job {handle!r} to attach to: the circuits of this call do "
            "not run on one remote executor. Use the executor that the job was "
            "submitted with, and no cluster."
        )
        raise ConfigError(message)
    for task in tasks:
        current.report("submitted", task)
    lane.attach(tasks, handle)


def run_here(tasks: Iterable[Task]) -> None:
    """Run tasks one by one in this thread."""
    current = runtime()
    for task in tasks:
        current.report("submitted", task)
        current.lane(task).run_here(task)


class Counter:
    """Counts from 0; safe from any thread; survives pickling."""

    def __init__(self, start: int = 0) -> None:
        """Start to count."""
        self._next = start
        self._lock = threading.Lock()

    def next(self) -> int:
        """Return the next number."""
        with self._lock:
            number, self._next = self._next, self._next + 1
        return number

    def __reduce__(self) -> tuple[type[Counter], tuple[int]]:
        """Go on, in the copy, with the number that would come next."""
        return Counter, (self._next,)

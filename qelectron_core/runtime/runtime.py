"""The process's runtime: one lane per executor value, and the journal."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from qelectron_core.cluster import Member, QCluster, to_member
from qelectron_core.contracts import Executor, Value
from qelectron_core.errors import ConfigError
from qelectron_core.events import CircuitEventKind, Event, Execution, Observer
from qelectron_core.remote import RemoteExecutor
from qelectron_core.runtime.account import Account
from qelectron_core.runtime.breakers import Breakers
from qelectron_core.runtime.cache import Cache
from qelectron_core.runtime.delivery import Delivery
from qelectron_core.runtime.keeper import Keeper
from qelectron_core.runtime.lane import Lane
from qelectron_core.runtime.loads import Load, Loads
from qelectron_core.runtime.logbook import ids_of_task
from qelectron_core.runtime.loop import LoopThread, Timer
from qelectron_core.runtime.observers import Observers
from qelectron_core.runtime.remote_lane import RemoteLane
from qelectron_core.runtime.services import Services
from qelectron_core.runtime.spending import admitted, release
from qelectron_core.runtime.stores import open_or_memory, wanted
from qelectron_core.runtime.task import Ran, Task, recorded, settle
from qelectron_core.runtime.workers import Workers
from qelectron_core.scopes import current_scope

if TYPE_CHECKING:
    from qelectron_core.router import Route
    from qelectron_core.scopes import Scope

_log: Final = logging.getLogger("qelectron")

#: Seconds that a program that ends waits for jobs that are still running.
EXIT_S: Final = 1.0

AnyLane: TypeAlias = Lane | RemoteLane


class Runtime:
    """Everything that lives between calls.

    Attributes:
        loads: How busy each executor is.
        breakers: Which executors of clusters with failover are left out.
        loop: Where everything waits that would else need a thread each.
    """

    def __init__(self, make_loop: Any = None) -> None:
        """Make a runtime without lanes, and with no store open.

        Args:
            make_loop: Makes the event loop of a `LoopThread`; `None` makes asyncio's.
        """
        self.loads = Loads()
        self.breakers = Breakers()
        self._workers = Workers()
        self.loop = LoopThread(self._workers, *([make_loop] if make_loop else []))
        self._services = Services(
            self._workers,
            self.loop,
            Delivery(self.loop),
            self.loads,
            self.report,
        )
        self._lanes: dict[Executor, AnyLane] = {}
        self._accounts: dict[Hashable, Account] = {}
        self._keepers: dict[Any, Keeper] = {}
        self._waiting: dict[Task, Timer] = {}
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._farewells: list[Callable[[], object]] = []
        self._closed = False

    def keeper(self, location: Any = None) -> Keeper:
        """Return the keeper of a store, opened at first use.

        Args:
            location: A path, the name of a store, or a `Store`; `None` for the usual.
        """
        keeper = self._keepers.get(location)
        if keeper is not None:
            return keeper
        place = wanted(location)
        with self._opening:
            keeper = self._keepers.get(place)
            if keeper is None:
                store, make = open_or_memory(place), partial(Cache, runtime=self)
                keeper = Keeper(store, make, is_usual=place is None)
                self._keepers[place] = keeper
            self._keepers[location] = keeper
        return keeper

    def submit(self, tasks: Sequence[Task], *, wait: bool = False) -> None:
        """Have circuits run, but for those whose results are kept.

        Args:
            tasks: The circuits.
            wait: Whether the caller is about to wait for them, so that this thread
                may run circuits itself instead of idling.
        """
        scope = current_scope()
        try:
            if scope is not None:
                scope.require_wanted()
            fresh = self.admitted(_unfinished(tasks, scope))
        except BaseException as error:  # Ctrl-C, say: nobody may wait for these
            self.forget(tasks, error)
            raise
        self.send(fresh, wait=wait)
        if scope is not None and scope.is_cancelled:
            scope.cancel()  # again: it may not have found these

    def admitted(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Return the circuits that are to run now; the others get their results."""
        if not any(task.cache for task in tasks):
            return tasks
        fresh: list[Task] = []
        for keeper in dict.fromkeys(task.keeper for task in tasks):
            own = [task for task in tasks if task.keeper is keeper]
            fresh += keeper.cache.admit(own)
        return fresh

    def send(self, tasks: Sequence[Task], *, wait: bool = False) -> None:
        """Queue circuits on the lanes of their executors, if budgets allow them."""
        tasks = admitted(tasks)
        by_lane = self.by_lane(tasks)
        for task in tasks:
            self.report("submitted", task)
        *others, last = by_lane.items() if by_lane else [(None, [])]
        for lane, lane_tasks in others:
            lane.submit(lane_tasks)
        lane, lane_tasks = last
        if lane is not None:
            enter: Callable[[Sequence[Task]], None] = (
                lane.submit_here if wait else lane.submit
            )
            enter(lane_tasks)

    def by_lane(self, tasks: Sequence[Task]) -> dict[Any, list[Task]]:
        """Return circuits by the lane of their executor.

        Raises:
            ConfigError: If a lane cannot be made; then none of the circuits will run.
        """
        by_lane: dict[Any, list[Task]] = {}
        try:
            for task in tasks:
                by_lane.setdefault(self.lane(task), []).append(task)
        except BaseException as error:
            self.forget(tasks, error)
            raise
        return by_lane

    def forget(self, tasks: Iterable[Task], error: BaseException | None = None) -> None:
        """Note that executors were chosen for circuits that will never run."""
        for task in tasks:
            if task.is_settled:
                continue
            self.loads.remove(task.executor)
            release(task)
            if task.claim is not None:
                reason = error or CancelledError()
                task.keeper.cache.ended(task, *recorded(task, reason, Ran()))

    def lane(self, task: Task) -> AnyLane:
        """Return the lane of a task's executor, made at first use."""
        lane = self._lanes.get(task.bound) or self._make_lane(task)
        lane.origins.add(task.executor)
        return lane

    def remote_lane(self, task: Task) -> RemoteLane:
        """Return the lane of a task that is at a vendor.

        Raises:
            ConfigError: If its executor is none of a vendor.
        """
        lane = self.lane(task)
        if isinstance(lane, RemoteLane):
            return lane
        message = (
            f"there is no job to attach to: {task.executor!r} is no remote executor. "
            "Use the executor that the job was submitted with, and no cluster."
        )
        raise ConfigError(message)

    def _make_lane(self, task: Task) -> AnyLane:
        with self._lock:
            if not self._closed:
                made = self._new_lane(task.bound)
                return self._lanes.setdefault(task.bound, made)
        return runtime().lane(task)  # shut down meanwhile; there is a new one

    def _new_lane(self, executor: Executor) -> AnyLane:
        if not isinstance(executor, RemoteExecutor):
            return Lane(executor, self._services)
        account = self._accounts.setdefault(executor.account, Account(self.loop))
        return RemoteLane(executor, account, self._services)

    def chosen(self, route: Route) -> None:
        """Note that a circuit is given to an executor."""
        self.loads.add(route.member)
        for cluster in route.clusters:
            if cluster.member.failover is not None:
                self.breakers.of(route.member, cluster.member.failover).chosen()

    def learned(self, task: Task, execution: Execution, *, failed: bool) -> None:
        """Note what became of a circuit that a selector chose an executor for."""
        try:
            task.route.learn(task.circuit, execution)
        except Exception:
            message = (
                "a selector failed to learn from circuit %s of %s; the run goes on"
            )
            ids = ids_of_task(task, execution.job_id)
            _log.exception(message, task.index, task.batch.call_id, extra=ids)
        for cluster in task.route.clusters:
            if cluster.member.failover is None or (execution.error and not failed):
                continue
            breaker = self.breakers.of(task.executor, cluster.member.failover)
            change = breaker.record(execution.job_id, failed=failed)
            with suppress(Exception):  # of an executor's repr: as of observers
                breaker.tell(task.keeper, task.executor, execution.error)
            if change is not None:
                observers().tell_of_executor(change, task.executor)

    def resubmit(self, task: Task, delay_s: float) -> None:
        """Queue another attempt of a circuit, now or after a while."""
        with self._lock:
            if delay_s > 0 and not self._closed:
                due = partial(self.loop.on_worker, partial(self._due, task))
                self._waiting[task] = self.loop.later(delay_s, due)
                return
        self._submit_again(task)

    def _due(self, task: Task) -> None:
        with self._lock:
            waited = self._waiting.pop(task, None)
        if waited is not None:
            self._submit_again(task)

    def _submit_again(self, task: Task) -> None:
        if self._closed:
            settle(task, CancelledError(), Ran(last=True))
            return
        try:
            lane = self.lane(task)
        except Exception as error:  # an executor that cannot be used at all
            settle(task, error, Ran())
            return
        self.report("submitted", task)
        lane.submit([task])

    def cancel(self, wanted: Callable[[Task], bool] = lambda task: True) -> int:
        """Cancel queued circuits; return how many."""
        with self._lock:
            lanes = list(self._lanes.values())
        dropped = self._drop_waiting(wanted)
        dropped += sum(keeper.cache.drop(wanted) for keeper in self._open_keepers())
        return dropped + sum(lane.cancel(wanted) for lane in lanes)

    def _drop_waiting(self, wanted: Callable[[Task], bool]) -> int:
        """Cancel circuits that wait for their next attempt."""
        with self._lock:
            waiting = [task for task in self._waiting if wanted(task)]
            for task in waiting:
                self._waiting.pop(task).cancel()
        for task in waiting:
            settle(task, CancelledError(), Ran(last=True))
        return len(waiting)

    def drop_cancelled(self) -> None:
        """Take the circuits of cancelled calls out of their queues."""
        self.cancel(lambda task: task.batch.cancelled)

    def close(self, member: Value) -> None:
        """Close the lanes of an executor or a cluster, as the user wrote it."""
        if isinstance(member, QCluster):
            for part in member.executors:
                self.close(part)
            return
        with self._lock:
            closing = {k: v for k, v in self._lanes.items() if member in v.origins}
            for bound in closing:
                del self._lanes[bound]
        for lane in closing.values():
            lane.close()

    def shutdown(self, timeout_s: float | None = None) -> None:
        """Cancel what is queued, wait for what runs, free every resource.

        Args:
            timeout_s: Longest wait for running jobs, in seconds; `None` waits
                until they end.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        with self._lock:
            self._closed = True
            lanes = list(self._lanes.values())
        self._drop_waiting(lambda task: True)
        keepers = self._open_keepers()
        for keeper in keepers:
            keeper.cache.drop(lambda task: True)
        for lane in lanes:
            lane.stop()
        with self._lock:
            self._lanes.clear()
        for lane in lanes:
            lane.close(None if end is None else max(0.0, end - time.monotonic()))
        if self.loop.started:
            self._services.delivery.drain(EXIT_S)
        self.loop.close()
        for keeper in keepers:
            keeper.close()

    def at_shutdown(self, callback: Callable[[], object]) -> None:
        """Call something once before anything is shut down, in the last place given."""
        if callback in self._farewells:
            self._farewells.remove(callback)
        self._farewells.append(callback)

    def say_farewell(self) -> None:
        """Call what is to be called before anything is shut down."""
        while self._farewells:
            try:
                self._farewells.pop()()
            except Exception:
                _log.exception("something could not be ended at shutdown")

    def _open_keepers(self) -> list[Keeper]:
        with self._opening:
            return list(dict.fromkeys(self._keepers.values()))

    def report(
        self,
        kind: CircuitEventKind,
        task: Task,
        execution: Execution | None = None,
        value: Any = None,
    ) -> None:
        """Tell the journal and the observers what happened to a circuit."""
        task.keeper.note(kind, task, execution, value)
        observers().tell(kind, task, execution)


def _unfinished(tasks: Sequence[Task], scope: Scope | None) -> Sequence[Task]:
    """Return the circuits that an earlier piece of work has not run already."""
    if scope is None or not scope.resumes:
        return tasks
    from qelectron_core.attaching import resume_tasks  # it stands above this module

    return resume_tasks(tasks, scope)


class _Holder:
    """Keeps the process's runtime, made at first use and anew after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runtime: Runtime | None = None
        self._left_behind: Runtime | None = None

    def get(self) -> Runtime:
        current = self._runtime
        if current is None:
            with self._lock:
                current = self._runtime or Runtime()
                self._runtime = current
        return current

    def swap(self, new: Runtime | None) -> Runtime | None:
        with self._lock:
            current, self._runtime = self._runtime, new
        return current

    def take_leave(self) -> Runtime | None:
        """Return the runtime that is to be shut down, and have none from then on."""
        if self._runtime is not None:
            self._runtime.say_farewell()  # while it still is the process's own
        return self.swap(None)

    def after_fork(self) -> None:
        # Threads do not survive a fork, and locks may be held by them for ever. What
        # the parent has open, a database say, must not be closed by the child.
        left_behind = self._runtime
        self.__init__()  # type: ignore[misc]
        self._left_behind = left_behind


_holder: Final = _Holder()
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_holder.after_fork)


def runtime() -> Runtime:
    """Return the process's runtime."""
    return _holder.get()


def shutdown(timeout_s: float | None = None) -> None:
    """Cancel what is queued, wait for what runs, free threads and processes.

    The next call starts afresh. Runs by itself when the program ends.

    Args:
        timeout_s: Longest wait for running jobs, in seconds; `None` waits until
            they end.
    """
    current = _holder.take_leave()
    if current is not None:
        current.shutdown(timeout_s)


def at_shutdown(callback: Callable[[], object]) -> None:
    """Call something once: at the next `shutdown`, or when the program ends.

    For plugins that hold what is to be ended in good order. The last one that was
    registered is called first; executors still work.

    Args:
        callback: Called without arguments. Given twice, it is called once, as if it had
            been given the second time only. What it raises is logged.
    """
    runtime().at_shutdown(callback)


@contextmanager
def use(new: Runtime) -> Iterator[Runtime]:
    """Make another runtime the process's own, for the length of a `with` block.

    It is shut down at the end of the block, without waiting for running jobs.
    """
    before = _holder.swap(new)
    try:
        yield new
    finally:
        new.say_farewell()
        _holder.swap(before)
        new.shutdown(0)


def load(member: Member | str) -> Load:
    """Return how busy an executor is, or all executors of a cluster together.

    Counts every circuit of this process from the moment an executor is chosen for
    it until it has ended, whichever QElectron it belongs to.

    Example:
        >>> import qelectron_core as ct
        >>> ct.load(ct.executor.Echo())
        Load(in_flight=0, ahead=0)
    """
    return runtime().loads.of(to_member(member))


@atexit.register
def _at_exit() -> None:
    current = _holder.take_leave()
    if current is None:
        return
    waiting = current.loads.total()
    current.shutdown(EXIT_S)
    if waiting:
        _log.warning(
            "Circuits that had not ended when the program did: %d. Wait for their "
            "futures, as with ct.gather(futures), to keep their results.",
            waiting,
        )


@functools.cache
def observers() -> Observers:
    """Return the process's observers."""
    return Observers()


def observe(observer: Observer) -> AbstractContextManager[None]:
    """Send events to an observer for the length of a `with` block.

    Args:
        observer: Called with each `Event`, on worker threads. One that raises is
            logged and never fails a run.

    Example:
        >>> import qelectron_core as ct
        >>> with ct.observe(print):
        ...     pass
    """
    return observers().observe(observer)


def tell(event: Event | Callable[[], Event]) -> None:
    """Send an event of a plugin's own to all observers.

    Args:
        event: An `Event`, or an instance of a class of the plugin that derives from it;
            or what makes one, called only if somebody observes.
    """
    observers().send(event)

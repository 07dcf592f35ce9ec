"""The one road from circuits to executors.

A plain call, `run_later`, `map` and a gradient all come through here.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import attrs

from qelectron_core.contracts import Seed, Settings
from qelectron_core.errors import ConfigError
from qelectron_core.policy import Policy
from qelectron_core.recording import install
from qelectron_core.recovery import (
    is_executors,
    may_fail_over,
    may_follow,
    pause_before_retry,
)
from qelectron_core.router import AnyRoute, Choices, Route
from qelectron_core.runtime import runtime
from qelectron_core.runtime.spending import admitted, hold, ledgers_of, release
from qelectron_core.runtime.task import Batch, Task, describe
from qelectron_core.scopes import add_to_scope, new_call_id
from qelectron_core.shots import with_shots
from qelectron_core.store import Call
from qelectron_core.versions import process, versions

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.contracts import Result
    from qelectron_core.events import Execution

#: What holds for circuits of which nobody says how they are kept.
USUAL: Final = Policy()


class Dispatcher:
    """Gives the circuits of one QElectron to their executors.

    Picklable, with whatever its selectors hold.
    """

    def __init__(
        self, route: AnyRoute, entropy: int, *, own_shots: bool = True, name: str = ""
    ) -> None:
        """Make a dispatcher.

        Args:
            route: Chooses executors.
            entropy: Seeds the samples of executors without a seed of their own.
            own_shots: Whether executors' own shots replace those of circuits;
                otherwise circuits come with the shots that they are to have.
            name: What calls are called in the journal.
        """
        self.route = route
        self._entropy = entropy
        self._own_shots = own_shots
        self._name = name
        self._shown = repr(route.member)
        self._dispatched = Counter()

    def tasks(
        self,
        circuits: Sequence[QuantumScript],
        settings: Settings,
        batch: Batch,
        policy: Policy = USUAL,
        output: str | None = None,
    ) -> list[Task]:
        """Choose an executor and a seed for each circuit, in their order.

        Args:
            circuits: What to run.
            settings: How to run them.
            batch: Where their outcomes go.
            policy: Whether kept results serve, and where new ones are kept.
            output: How the call returns the results; see `Call`.

        Raises:
            ConfigError: If the executor chosen for a circuit cannot run it, or if the
                daily budget cannot be read.
            SelectorError: If a selector fails.
        """
        current, tasks = runtime(), list[Task]()
        keeper = current.keeper(policy.store)
        try:
            for task in self._made(circuits, settings, batch, policy):
                current.chosen(task.route)
                tasks.append(task)
        except BaseException:
            current.forget(tasks)
            raise
        add_to_scope(batch.call_id, batch.executions)
        keeper.begin(
            Call(
                id=batch.call_id,
                name=self._name,
                executors=self._shown,
                circuits=len(tasks),
                at=tasks[0].submitted_at if tasks else time.time(),
                process=process(),
                versions=versions(),
                output=output,
            )
        )
        return tasks

    def planned(
        self,
        circuits: Sequence[QuantumScript],
        settings: Settings,
        policy: Policy = USUAL,
    ) -> list[Task]:
        """Return the tasks that `tasks` would, and leave everything as it is.

        Raises:
            ConfigError: If the executor chosen for a circuit cannot run it.
            SelectorError: If a selector fails.
        """
        aside = copy.copy(self)
        aside.route = self.route.copied()
        aside._dispatched = Counter(self._dispatched.coming)
        batch = Batch("", len(circuits))
        return list(aside._made(circuits, settings, batch, policy))

    def run(
        self,
        circuits: Sequence[QuantumScript],
        settings: Settings,
        policy: Policy = USUAL,
    ) -> Sequence[Result]:
        """Run circuits, wait, and return their results in order.

        Raises:
            Exception: What the first failed circuit ended in.
        """
        return self.run_batch(circuits, settings, new_call_id(), policy).outcome()

    def run_batch(
        self,
        circuits: Sequence[QuantumScript],
        settings: Settings,
        call_id: str,
        policy: Policy = USUAL,
    ) -> Batch:
        """Run circuits as part of a call, wait, and return all about them."""
        batch = Batch(call_id, len(circuits))
        tasks = self.tasks(circuits, settings, batch, policy)
        in_this_thread = settings.gradient_method == "backprop" or not install()
        try:
            if in_this_thread:
                run_here(runtime().admitted(tasks))
            else:
                runtime().submit(tasks, wait=True)
            batch.wait()
        except BaseException as error:
            batch.cancelled = True
            runtime().drop_cancelled()
            if in_this_thread:  # those that were still to come are in no lane
                runtime().forget(tasks, error)
            raise
        return batch

    def ended(
        self, task: Task, outcome: Any, execution: Execution, *, last: bool
    ) -> None:
        """Take what became of a circuit: try again, or hand it over."""
        current = task.keeper.runtime  # of the call; there may be another one by now
        current.loads.remove(task.executor)
        release(task)
        error = outcome if isinstance(outcome, Exception) else None
        if task.route.clusters:
            current.learned(task, execution, failed=is_executors(error))
        following = None
        if error is not None and not last and may_follow(task):
            following = self._following(task, error, execution)
        if following is not None:
            refusal = _refused(following[0])
            if refusal is None:
                current.report("retried", task, execution)
                current.resubmit(*following)
                return
            current.loads.remove(following[0].executor)
            refusal.__cause__ = error
            outcome = refusal
        outcome = task.keeper.cache.ended(task, outcome, execution)
        if isinstance(outcome, BaseException):
            current.report("failed", task, execution)
        else:
            current.report("completed", task, execution, outcome)
        task.resolve(outcome, execution)

    def _made(
        self,
        circuits: Sequence[QuantumScript],
        settings: Settings,
        batch: Batch,
        policy: Policy,
    ) -> Iterator[Task]:
        now, call = time.time(), Choices()
        live = settings.gradient_method == "backprop"  # bound to tensors of now
        mode = False if live else policy.mode
        keeper = runtime().keeper(policy.store)
        ledgers = ledgers_of(policy, keeper)
        for index, circuit in enumerate(circuits):
            route, ready = self._choose(circuit, call)
            bound = route.bound.here()
            yield Task(
                circuit=ready,
                requested=circuit,
                route=route,
                bound=bound,
                seed=self._seed(route, self._dispatched.next()),
                settings=settings,
                gathers=bool(bound.gathers(ready)),
                batch=batch,
                index=index,
                submitted_at=now,
                sink=self,
                keeper=keeper,
                cache=mode,
                ledgers=ledgers,
            )

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
            ready = route.with_own_shots(circuit) if self._own_shots else circuit
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
        if task.parts:  # which it is to be put together with
            circuit = with_shots(circuit, task.circuit.shots)
        same = route is task.route
        bound = task.bound if same else route.bound.here()
        again = attrs.evolve(
            task,
            circuit=circuit,
            route=route,
            bound=bound,
            seed=task.seed if same else self._seed(route, task.seed.ordinal),
            gathers=bool(bound.gathers(circuit)),
            hold=None,
            submitted_at=time.time(),
            earlier=(*task.earlier, execution),
        )
        if not same:
            again.keeper.cache.rename(again)
        again.keeper.runtime.chosen(route)
        return again


def _refused(task: Task) -> Exception | None:
    """Hold what another attempt is expected to take, or return why it must not be."""
    return hold(task.ledgers, [task]) if task.ledgers else None


def _refusal(route: Route, reason: str) -> str:
    return (
        f"{route.member!r} cannot run this circuit: {reason}. Choose another executor, "
        "or set its shots with qml.set_shots or shots=."
    )


def run_here(tasks: Iterable[Task]) -> None:
    """Run tasks one by one in this thread."""
    current = runtime()
    for task in admitted(list(tasks)):
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

    @property
    def coming(self) -> int:
        """The number that comes next."""
        return self._next

    def __reduce__(self) -> tuple[type[Counter], tuple[int]]:
        """Go on, in the copy, with the number that would come next."""
        return Counter, (self._next,)

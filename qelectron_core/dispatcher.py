"""The one road from circuits to executors.

A plain call, `run_later`, `map` and a gradient all come through here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from qelectron_core.contracts import Executor, Seed, Settings
from qelectron_core.errors import ConfigError
from qelectron_core.ids import new_id
from qelectron_core.recording import install
from qelectron_core.router import AnyRoute
from qelectron_core.runtime import observers, runtime
from qelectron_core.runtime.task import Batch, Task

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.contracts import Result


class Dispatcher:
    """Gives the circuits of one QElectron to their executors.

    Picklable, with whatever its selectors hold.
    """

    def __init__(self, route: AnyRoute, entropy: int) -> None:
        """Make a dispatcher.

        Args:
            route: Chooses executors.
            entropy: Seeds the samples of executors without a seed of their own.
        """
        self.route = route
        self._entropy = entropy
        self._dispatched = Counter()

    def tasks(
        self, circuits: Iterable[QuantumScript], settings: Settings, batch: Batch
    ) -> list[Task]:
        """Choose an executor and a seed for each circuit, in their order."""
        now = time.time()
        return [
            self._task(circuit, settings, batch, index, now)
            for index, circuit in enumerate(circuits)
        ]

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

    def _task(
        self,
        circuit: QuantumScript,
        settings: Settings,
        batch: Batch,
        index: int,
        now: float,
    ) -> Task:
        route = self.route.choose(circuit)
        bound = route.bound
        if bound.shots != "qnode":
            circuit = _with_own_shots(circuit, bound.shots, route.member)
        _check_capabilities(route.member, circuit)
        entropy = self._entropy if bound.seed is None else bound.seed
        seed = Seed(entropy, self._dispatched.next())
        return Task(
            circuit=circuit,
            executor=route.member,
            bound=bound,
            seed=seed,
            settings=settings,
            gathers=bool(bound.gathers(circuit)),
            batch=batch,
            index=index,
            submitted_at=now,
        )


def _check_capabilities(executor: Executor, circuit: QuantumScript) -> None:
    able = executor.capabilities
    if able.samples if circuit.shots else able.exact:
        return
    wanted = f"{circuit.shots.total_shots} shots" if circuit.shots else "exact results"
    offered = "finite shots" if able.samples else "exact results"
    message = (
        f"{executor!r} cannot give {wanted}, only {offered}. Set shots with "
        "qml.set_shots, or shots= on the executor."
    )
    raise ConfigError(message)


def _with_own_shots(circuit: QuantumScript, shots: Any, executor: Executor) -> Any:
    changed = with_shots(circuit, shots)
    if _n_results(changed) == _n_results(circuit):
        return changed
    message = (
        f"{executor!r} asks for another number of results than the rest of its "
        f"cluster or the circuit: {changed.shots} instead of {circuit.shots}. Give all "
        "executors the same shot vector, or set it with qml.set_shots."
    )
    raise ConfigError(message)


def _n_results(circuit: QuantumScript) -> int | None:
    shots = circuit.shots
    return shots.num_copies if shots.has_partitioned_shots else None


def with_shots(circuit: QuantumScript, shots: Any) -> QuantumScript:
    """Return the circuit with these shots; the same one if it has them already."""
    from pennylane.measurements import Shots

    wanted = Shots(shots)
    return circuit if circuit.shots == wanted else circuit.copy(shots=wanted)


def submit(tasks: Sequence[Task], *, wait: bool = False) -> None:
    """Queue tasks on the lanes of their executors.

    Args:
        tasks: What to run.
        wait: Whether the caller is about to wait for them, so that this thread
            may run circuits itself instead of idling.
    """
    current = runtime()
    by_lane: dict[Any, list[Task]] = {}
    for task in tasks:
        observers().tell("submitted", task)
        by_lane.setdefault(current.lane(task), []).append(task)
    *others, last = by_lane.items() if by_lane else [(None, [])]
    for lane, lane_tasks in others:
        lane.submit(lane_tasks)
    lane, lane_tasks = last
    if lane is not None:
        enter: Callable[[Sequence[Task]], None] = (
            lane.submit_here if wait else lane.submit
        )
        enter(lane_tasks)


def run_here(tasks: Iterable[Task]) -> None:
    """Run tasks one by one in this thread."""
    current = runtime()
    for task in tasks:
        observers().tell("submitted", task)
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

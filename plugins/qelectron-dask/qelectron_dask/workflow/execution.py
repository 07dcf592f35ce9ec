"""Carries out one dispatch: starts electrons when they can, and notes how they end."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from qelectron_dask.workflow.graph import Graph, Node
from qelectron_dask.workflow.lattice import Lattice
from qelectron_dask.workflow.places import Job, Place, Places
from qelectron_dask.workflow.running import Ran, Work, described
from qelectron_dask.workflow.states import DispatchState, ElectronRun, state_of


class Execution:
    """One dispatch under way, in this process.

    Attributes:
        id: Id of the dispatch.
        graph: Its electrons.
    """

    def __init__(
        self,
        id: str,
        graph: Graph,
        runs: Iterable[ElectronRun],
        *,
        on_change: Callable[[ElectronRun], None],
        resumes: Callable[[int], tuple[str, ...]],
    ) -> None:
        """Take electrons, some of which may have ended already.

        Args:
            id: Id of the dispatch.
            graph: Its electrons.
            runs: What became of each of them so far.
            on_change: Told of every change of an electron, one after the other.
            resumes: Returns, for the number of an electron, what leads to what earlier
                dispatches that were interrupted began of it, the latest first.
        """
        self.id = id
        self.graph = graph
        self._runs = list(runs)
        self._resumes = resumes
        self._on_change = on_change
        self._children = graph.children()
        ended = {run.number for run in self._runs if run.has_ended}
        #: Per electron, how many that it waits for have not begun, or not completed.
        self._unbegun = [len(node.parents - ended) for node in graph]
        self._missing = list(self._unbegun)
        self._places = Places(self)
        self._cancelled = self._stopped = self._telling = False
        self._over = self._is_done = False
        self._news: deque[ElectronRun] = deque()
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    # --- What it is asked -------------------------------------------------------------

    @property
    def runs(self) -> tuple[ElectronRun, ...]:
        """What became of each electron so far."""
        with self._lock:
            return tuple(self._runs)

    @property
    def state(self) -> DispatchState:
        """What became of it so far."""
        state = state_of(self.runs, alive=not self._stopped)
        return "running" if state == "completed" and not self._over else state

    @property
    def is_over(self) -> bool:
        """Whether all electrons have ended, and everybody was told."""
        return self._is_done

    def outputs(self) -> dict[int, Any]:
        """Return what electrons returned, by their numbers."""
        return {run.number: run.result for run in self.runs if run.state == "completed"}

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is over, or stopped; tell whether it is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._is_done or self._stopped, timeout_s
            )

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call something once it is over; at once, if it is."""
        with self._lock:
            if not self._over:
                self._callbacks.append(callback)
                return
        callback()

    # --- What it is told --------------------------------------------------------------

    def start(self) -> None:
        """Start the electrons that wait for none."""
        self._start_ready(range(len(self.graph)))
        self._tell()

    def cancel(self) -> None:
        """Cancel electrons that have not ended, and the circuits they wait for.

        A function that runs goes on until it returns; what it returns is dropped.
        """
        with self._lock:
            self._cancelled = True
            for number in range(len(self._runs)):
                self._change(number, state="cancelled", error="CancelledError")
        self._places.cancel()
        self._tell()

    def stop(self) -> None:
        """Start nothing more, because the program ends; a redispatch goes on."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def is_wanted(self) -> bool:
        """Whether electrons are to start."""
        return not (self._cancelled or self._stopped)

    def started(
        self,
        number: int,
        attempt: int,
        at: float,
        worker: str = "",
        dispatch_id: str | None = None,
    ) -> None:
        """Note that an electron starts, or does so once more."""
        with self._lock:
            first = self._runs[number].started_at or at
            self._change(
                number,
                state="running",
                attempt=attempt,
                started_at=first,
                worker=worker,
                dispatch_id=dispatch_id,
            )
        self._tell()

    def ended(self, ran: Ran) -> None:
        """Note how an electron ended, and start those that waited for it."""
        self._end(
            ran.number,
            state="completed" if ran.error is None else "failed",
            attempt=ran.attempt,
            started_at=ran.started_at,
            finished_at=ran.finished_at,
            result=ran.value,
            error=ran.error,
            traceback=ran.traceback,
            calls=ran.calls,
            worker=ran.worker,
        )

    def failed(self, number: int, error: BaseException) -> None:
        """Note that an electron ended before, or without, its function."""
        notes = "\n".join(getattr(error, "__notes__", ()))
        self._end(
            number,
            state="failed",
            error=described(error),
            traceback=f"{described(error)}\n{notes}".strip(),
            finished_at=time.time(),
        )

    # --- What follows -----------------------------------------------------------------

    def _end(self, number: int, **changes: Any) -> None:
        with self._lock:
            if self._stopped and changes["state"] == "failed":
                return  # because all was shut down: a redispatch goes on with it
            ended = self._change(number, **changes)
            if ended and changes["state"] == "failed":
                self._skip(number)
            elif ended:
                for child in self._children[number]:
                    self._missing[child] -= 1
        if ended:
            self._start_ready(self._children[number])
        self._tell()

    def _skip(self, number: int) -> None:
        """Give up the electrons that wait for one that failed."""
        why = f"not run: {self._runs[number].name!r} (electron {number}) failed"
        following = list(self._children[number])
        while following:
            child = following.pop()
            if self._change(child, state="skipped", error=why):
                following += self._children[child]

    def _change(self, number: int, **changes: Any) -> bool:
        """Change what is known of an electron, unless it has ended."""
        run = self._runs[number]
        if run.has_ended:
            return False
        self._runs[number] = attrs.evolve(run, **changes)
        self._news.append(self._runs[number])
        return True

    def _tell(self) -> None:
        """Tell what is new, one thing after the other, outside the lock."""
        while True:
            with self._lock:
                if self._telling:
                    return
                if not self._news:
                    break
                self._telling, run = True, self._news.popleft()
            try:
                self._on_change(run)
            finally:
                self._telling = False
        self._finish_if_ended()

    def _finish_if_ended(self) -> None:
        with self._changed:
            if self._over or not all(run.has_ended for run in self._runs):
                return
            self._over = True
            callbacks, self._callbacks = self._callbacks, []
        self._places.close()
        for callback in callbacks:
            callback()
        with self._changed:
            self._is_done = True
            self._changed.notify_all()

    # --- Starting electrons -----------------------------------------------------------

    def _start_ready(self, numbers: Iterable[int]) -> None:
        waiting = deque(numbers)
        while waiting:
            node = self.graph.nodes[waiting.popleft()]
            if not self._could_start(node):
                continue
            try:
                place = self._places.of(node)
                job = self._claim(node, place)
                if job is not None and place.start(job):
                    waiting += self._children[node.number]
            except Exception as error:  # a cluster that cannot be reached, say
                self.failed(node.number, error)
        self._places.flush()

    def _could_start(self, node: Node) -> bool:
        """Tell, quickly, whether it is worth a closer look."""
        coming = self._places.takes_coming(node)
        with self._lock:
            waits_for = (self._unbegun if coming else self._missing)[node.number]
            waits = self._runs[node.number].state == "waiting"
            return waits and not waits_for and self.is_wanted

    def _claim(self, node: Node, place: Place) -> Job | None:
        """Return what is to be run, if it can start and nobody else has started it."""
        with self._lock:
            if self._runs[node.number].state != "waiting" or not self.is_wanted:
                return None
            outputs: dict[int, Any] = {}
            for parent in node.parents:
                if self._runs[parent].state == "completed":
                    outputs[parent] = self._runs[parent].result
                    continue
                coming = place.coming(parent)
                if coming is None:
                    return None
                outputs[parent] = coming
            self._change(node.number, state="queued", executor=place.shown)
            for child in self._children[node.number]:
                self._unbegun[child] -= 1
        return Job(self._work(node), node, outputs)

    def _resumes_of(self, node: Node) -> Any:
        """Return names of calls; of a lattice, the dispatch that it goes on with."""
        traces = self._resumes(node.number)
        return next(iter(traces), None) if isinstance(node.step, Lattice) else traces

    def _work(self, node: Node) -> Work:
        return Work(
            number=node.number,
            name=node.name,
            function=node.step.function,
            scope=f"{self.id}-{node.number}",
            retries=node.step.options.retries,
            resumes=self._resumes_of(node),
        )

"""Where electrons run: on threads here, on a Dask cluster, or as a dispatch within."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from qelectron_core import Scope
from qelectron_dask.workflow.containers import resolved
from qelectron_dask.workflow.graph import Node
from qelectron_dask.workflow.lattice import Lattice
from qelectron_dask.workflow.running import Ran, Work, run
from qelectron_dask.workflow.threads import Threads

if TYPE_CHECKING:
    from qelectron_dask.executor import DaskExecutor
    from qelectron_dask.workflow.execution import Execution


@attrs.frozen(eq=False)
class Job:
    """An electron that can start.

    Attributes:
        work: What is to be run.
        node: The electron.
        outputs: What those that it waits for returned, or what stands for it where the
            electron runs.
    """

    work: Work
    node: Node
    outputs: Mapping[int, Any]


class Place(Protocol):
    """Runs electrons of one dispatch."""

    @property
    def shown(self) -> str:
        """What it is called in the record of electrons."""

    def start(self, job: Job) -> bool:
        """Run an electron, soon; tell whether what it returns is `coming`."""

    def flush(self) -> None:
        """Send what was started and waits to be sent with others."""

    def coming(self, number: int) -> Any:
        """Return what stands here for the result of an electron under way, if any."""

    def cancel(self) -> None:
        """Cancel what waits, and the circuits of what runs."""

    def close(self) -> None:
        """Let go of what it holds."""


class Local:
    """Threads of this process."""

    shown = "local"

    def __init__(self, report: Execution, threads: Threads) -> None:
        """Take whom to tell how electrons end."""
        self._report = report
        self._threads = threads
        self._scopes: dict[int, Scope] = {}

    def start(self, job: Job) -> bool:
        """Run an electron on a thread."""
        self._threads.start(partial(self._run, job))
        return False

    def flush(self) -> None:
        """Do nothing: it has started."""

    def coming(self, number: int) -> Any:
        """Return `None`: a thread needs the result itself."""
        del number

    def cancel(self) -> None:
        """Cancel the circuits that electrons wait for."""
        for scope in list(self._scopes.values()):
            scope.cancel()

    def close(self) -> None:
        """Do nothing: threads without work end by themselves."""

    def _run(self, job: Job) -> None:
        begin = partial(self._begin, job.node.number)
        ran = run(job.work, job.node.args, job.node.kwargs, job.outputs, begin)
        self._scopes.pop(job.node.number, None)
        self._report.ended(ran)

    def _begin(self, number: int, attempt: int, scope: Scope) -> bool:
        self._scopes[number] = scope
        wanted = self._report.is_wanted
        if wanted:
            self._report.started(number, attempt, time.time())
        return wanted


class Within:
    """Dispatches of their own, for lattices within the lattice."""

    shown = "lattice"

    def __init__(self, report: Execution, threads: Threads) -> None:
        """Take whom to tell how they end."""
        self._report = report
        self._threads = threads
        self._inner: list[Execution] = []

    def start(self, job: Job) -> bool:
        """Build a lattice on a thread, because that calls the user's function."""
        self._threads.start(partial(self._dispatch, job))
        return False

    def flush(self) -> None:
        """Do nothing: it has started."""

    def coming(self, number: int) -> Any:
        """Return `None`: a lattice is built with results."""
        del number

    def cancel(self) -> None:
        """Cancel all of them."""
        for execution in list(self._inner):
            execution.cancel()

    def close(self) -> None:
        """Do nothing: they have ended."""

    def _dispatch(self, job: Job) -> None:
        from qelectron_dask.workflow.dispatching import dispatch_within

        number, lattice = job.node.number, job.node.step
        if not (self._report.is_wanted and isinstance(lattice, Lattice)):
            return
        began = time.time()
        try:
            args, kwargs = resolved((job.node.args, job.node.kwargs), job.outputs)
            inner = dispatch_within(
                lattice,
                args,
                kwargs,
                executor=self._report.graph.executor,
                earlier_id=job.work.resumes,
            )
        except BaseException as error:  # whatever it is, somebody waits for an end
            self._report.failed(number, error)
            return
        self._inner.append(inner)
        self._report.started(number, 1, began, dispatch_id=inner.id)
        inner.on_end(partial(self._ended, number, began, inner))
        if not self._report.is_wanted:
            inner.cancel()

    def _ended(self, number: int, began: float, inner: Execution) -> None:
        error, value = None, None
        if inner.state != "completed":
            error = (
                f"DispatchError: {inner.id} of {inner.graph.lattice!r} {inner.state}"
            )
        else:
            try:
                value = inner.graph.result(inner.outputs())
            except BaseException as failure:
                self._report.failed(number, failure)
                return
        self._report.ended(
            Ran(number, 1, began, time.time(), value, error, _tracebacks(inner))
        )


def _tracebacks(execution: Execution) -> str | None:
    found = [run.traceback for run in execution.runs if run.traceback]
    return "\n".join(found) or None


class OnDask:
    """The workers of a Dask cluster."""

    def __init__(self, report: Execution, executor: DaskExecutor) -> None:
        """Describe it; it is connected to when an electron is sent."""
        from qelectron_dask.workflow.on_dask import Cluster

        self.shown = repr(executor)
        self._report = report
        self._cluster = Cluster(executor, report.id, report.started)
        self._tasks: dict[int, Any] = {}
        self._futures: dict[int, Any] = {}
        self._waiting: list[int] = []
        self._is_fetching = False
        self._threads = Threads(1)
        self._lock = threading.Lock()

    def start(self, job: Job) -> bool:
        """Prepare to send an electron to the cluster, with others."""
        node = job.node
        task = self._cluster.prepare(
            job.work,
            (node.args, node.kwargs),
            job.outputs,
            node.step.options.resources,
        )
        with self._lock:
            self._tasks[node.number] = task
        return True

    def flush(self) -> None:
        """Send electrons to the cluster; on a thread, because it may have to start."""
        self._threads.start(self._send)

    def _send(self) -> None:
        with self._lock:
            tasks, self._tasks = self._tasks, {}
        if not tasks or not self._report.is_wanted:
            return
        try:
            sent = self._cluster.send([*tasks.values()])
        except Exception as error:  # a cluster that cannot be reached, say
            for number in tasks:
                self._report.failed(number, error)
            return
        with self._lock:
            self._futures |= zip(tasks, sent, strict=True)
        for number, future in zip(tasks, sent, strict=True):
            future.add_done_callback(partial(self._arrived, number))

    def coming(self, number: int) -> Any:
        """Return what stands for an electron, by which others get its result there.

        While it is being sent there is nothing: they then start when it has ended.
        """
        with self._lock:
            return self._futures.get(number) or self._tasks.get(number)

    def cancel(self) -> None:
        """Cancel what waits for a worker."""
        for future in list(self._futures.values()):
            future.cancel()

    def close(self) -> None:
        """Let go of results and of the cluster."""
        self._futures.clear()
        self._cluster.close()

    def _arrived(self, number: int, _: Any) -> None:
        """Have a result fetched; on another thread, where several are as one."""
        with self._lock:
            self._waiting.append(number)
            if self._is_fetching:
                return
            self._is_fetching = True
        self._threads.start(self._fetch)

    def _fetch(self) -> None:
        while True:
            with self._lock:
                numbers, self._waiting = self._waiting, []
                if not numbers:
                    self._is_fetching = False
                    return
                # A dispatch that was cancelled has let go of them.
                futures = {n: self._futures[n] for n in numbers if n in self._futures}
            outcomes = self._cluster.outcomes([*futures.values()])
            for one, outcome in zip(futures, outcomes, strict=True):
                self._take(one, outcome)

    def _take(self, number: int, outcome: Ran | Exception) -> None:
        if isinstance(outcome, Exception):  # a lost cluster, say, or killed workers
            self._report.failed(number, outcome)
        elif outcome.number == number:  # and not the failure of one that it needs
            self._report.ended(outcome)


class Places:
    """The places of one dispatch, each made when an electron first needs it."""

    def __init__(self, report: Execution) -> None:
        """Take whom to tell how electrons end."""
        self._report = report
        self._threads = Threads()
        self._made: dict[Any, Place] = {}
        self._lock = threading.Lock()

    def of(self, node: Node) -> Place:
        """Return where an electron runs."""
        key = self._key(node)
        with self._lock:
            place = self._made.get(key)
            if place is None:
                place = self._made[key] = self._make(key)
            return place

    def takes_coming(self, node: Node) -> bool:
        """Tell whether an electron runs where results of others may be on their way."""
        return self._key(node) not in ("local", Within)

    def flush(self) -> None:
        """Send what was started, wherever it is to be sent."""
        for place in self._all():
            place.flush()

    def cancel(self) -> None:
        """Cancel what waits in all of them."""
        for place in self._all():
            place.cancel()

    def close(self) -> None:
        """Let go of all of them."""
        for place in self._all():
            place.close()

    def _all(self) -> list[Place]:
        with self._lock:
            return list(self._made.values())

    def _key(self, node: Node) -> Any:
        if isinstance(node.step, Lattice):
            return Within
        graph = self._report.graph
        return node.step.options.executor or graph.executor or "local"

    def _make(self, key: Any) -> Place:
        if key is Within:
            return Within(self._report, self._threads)
        if key == "local":
            return Local(self._report, self._threads)
        if key == "dask":
            from qelectron_dask.executor import DaskExecutor

            key = DaskExecutor()
        return OnDask(self._report, key)

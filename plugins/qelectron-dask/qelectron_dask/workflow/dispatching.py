"""What users call: `dispatch`, `get_result`, `cancel`, `redispatch`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import attrs

from qelectron_core import ConfigError, FormatError
from qelectron_core.formats import load_value
from qelectron_dask.workflow import waiting
from qelectron_dask.workflow.dispatches import (
    Dispatch,
    Recorded,
    header_of,
    known,
    live,
)
from qelectron_dask.workflow.execution import Execution
from qelectron_dask.workflow.graph import Graph, build
from qelectron_dask.workflow.lattice import Lattice
from qelectron_dask.workflow.recorder import recorder, shelf
from qelectron_dask.workflow.requests import ask_to_cancel, watch
from qelectron_dask.workflow.result import DispatchResult
from qelectron_dask.workflow.states import ElectronRun
from qelectron_dask.workflow.threads import start_thread

#: Interrupted dispatches that one goes on with, at most.
_MOST_TRACES: Final = 16


def dispatch(lattice: Lattice) -> Callable[..., str]:
    """Return a function that dispatches a lattice.

    Args:
        lattice: The lattice.

    Returns:
        A function that takes the arguments of the lattice, builds its graph, starts it,
        and returns the id of the dispatch at once.

    Raises:
        TypeError: If it is no lattice.

    Example:
        >>> import qelectron_core as ct
        >>> @ct.electron
        ... def add(x, y):
        ...     return x + y
        >>> @ct.lattice
        ... def workflow(x):
        ...     return [add(x, n) for n in range(3)]
        >>> dispatch_id = ct.dispatch(workflow)(10)
        >>> ct.get_result(dispatch_id, wait=True).result
        [10, 11, 12]
    """
    _require_lattice(lattice, "dispatch")

    def start(*args: Any, **kwargs: Any) -> str:
        """Build the graph, start it, and return the id of the dispatch."""
        graph = lattice.build(*args, **kwargs)
        return _start(Dispatch(graph, header_of(graph)))

    return start


def get_result(
    dispatch_id: str,
    wait: bool = False,
    *,
    timeout: float | None = None,
    progress: bool = False,
) -> DispatchResult:
    """Return how a dispatch stands, of this process or of any other one.

    Ctrl-C while this process waits for a dispatch of its own cancels it.

    Args:
        dispatch_id: What `dispatch(…)(…)` returned.
        wait: Whether to wait until it has ended.
        timeout: Longest wait in seconds; `None` waits until it has ended.
        progress: Whether to show, meanwhile, how many electrons have ended.

    Returns:
        Status, result, and what became of each electron; see `DispatchResult`.

    Raises:
        ConfigError: If no such dispatch is known.
        TimeoutError: If it has not ended in time; it goes on.
    """
    if wait:
        waiting.wait(dispatch_id, timeout_s=timeout, progress=progress)
    return known(dispatch_id).result()


def cancel(dispatch_id: str) -> None:
    """Cancel a dispatch, of this process or of any other one.

    Electrons that have not started do not; circuits that they wait for are cancelled,
    at vendors too. A function that runs goes on until it returns; what it returns is
    dropped. What has ended stays, for `redispatch`.

    Args:
        dispatch_id: What `dispatch(…)(…)` returned.

    Raises:
        ConfigError: If no such dispatch is known.
    """
    found = known(dispatch_id)
    if isinstance(found, Dispatch):
        found.execution.cancel()
    elif found.status == "running":
        ask_to_cancel(dispatch_id)


def redispatch(
    dispatch_id: str, lattice: Lattice | None = None, *, reuse: bool = True
) -> Callable[..., str]:
    """Return a function that goes on with a dispatch, as a new one.

    What finished is not run again; the rest is. In an electron in which the earlier
    dispatch was interrupted, calls of QElectrons take the results, and the jobs at
    vendors, that their circuits have already. An electron counts as the same if its
    function, its arguments, and the electrons they come from are the same.

    Args:
        dispatch_id: The dispatch to go on with; one that has ended, or whose process
            has.
        lattice: The lattice, maybe mended; by default the same, which must have been
            defined or imported in this process.
        reuse: Whether to reuse what finished; else all is run again.

    Returns:
        A function that starts it and returns the id of the new dispatch. Called without
        arguments, it takes those of the earlier dispatch.

    Raises:
        ConfigError: If no such dispatch is known, it has not ended, or its lattice is
            not known here.
    """
    earlier = known(dispatch_id)
    if earlier.status == "running":
        message = (
            f"{dispatch_id} has not ended. Wait for it with ct.get_result(…, "
            "wait=True), or cancel it first."
        )
        raise ConfigError(message)
    found = _lattice_of(earlier) if lattice is None else lattice
    _require_lattice(found, "redispatch")

    def start(*args: Any, **kwargs: Any) -> str:
        """Build the graph, start what is to be run, and return the new id."""
        given = (args, kwargs) if args or kwargs else _arguments_of(earlier)
        graph = found.build(*given[0], **given[1])
        return _start(_continued(graph, earlier if reuse else None, dispatch_id))

    return start


def dispatch_within(
    lattice: Lattice,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    executor: Any,
    earlier_id: str | None,
) -> Execution:
    """Start the dispatch of a lattice that is a step of another one; return it.

    Args:
        lattice: The lattice.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        executor: Where electrons run if neither they nor the lattice say it.
        earlier_id: The dispatch to go on with, or `None`.
    """
    graph = build(lattice, args, kwargs, executor)
    earlier = None if earlier_id is None else known(earlier_id)
    made = _continued(graph, earlier, earlier_id)
    _start(made)
    return made.execution


def _start(made: Dispatch) -> str:
    made.begin()
    live.add(made)
    watch(live)
    # On a thread, because it may take a while to connect to a cluster.
    start_thread(partial(_start_recorded, made))
    return made.id


def _start_recorded(made: Dispatch) -> None:
    # First, so that nothing is submitted that nobody could go on with after a crash.
    recorder.flush(wait=shelf.durable)
    made.execution.start()


# --- Going on with an earlier dispatch ------------------------------------------------


def _continued(
    graph: Graph, earlier: Dispatch | Recorded | None, redispatched: str | None
) -> Dispatch:
    """Return a dispatch that takes over what has finished of an earlier one."""
    header = header_of(graph, redispatched)
    if earlier is None:
        return Dispatch(graph, header)
    electrons = earlier.runs
    before = dict(zip(earlier.header.fingerprints, electrons, strict=True))
    runs: dict[int, ElectronRun] = {}
    resumes: dict[int, tuple[str, ...]] = {}
    waiting_runs = header.waiting()
    for node in graph.in_order():
        number = node.number
        same = before.get(header.fingerprints[number])
        fresh = waiting_runs[number]
        parents_reused = all(runs[parent].reused for parent in node.parents)
        if same is not None and parents_reused and _is_reusable(same):
            runs[number] = attrs.evolve(
                same, number=number, parents=fresh.parents, reused=True
            )
            continue
        runs[number] = fresh
        if same is not None and same.state not in ("failed", "skipped"):
            resumes[number] = _traces(earlier, same, isinstance(node.step, Lattice))
    ordered = [runs[number] for number in range(len(graph))]
    numbers = range(len(graph))
    header = attrs.evolve(header, resumes=tuple(resumes.get(n, ()) for n in numbers))
    return Dispatch(graph, header, ordered)


def _is_reusable(run: ElectronRun) -> bool:
    return run.state == "completed" and run.unkept is None


def _traces(
    earlier: Dispatch | Recorded, run: ElectronRun, is_lattice: bool
) -> tuple[str, ...]:
    """Return what leads to what was begun of an electron, the latest first.

    Also where nothing tells that it had started: that may not be written yet.
    """
    before = earlier.header.traces(run.number)
    if is_lattice:
        return before if run.dispatch_id is None else (run.dispatch_id, *before)
    again = f"-{run.attempt}" if run.attempt > 1 else ""
    return (f"{earlier.id}-{run.number}{again}", *before)[:_MOST_TRACES]


def _arguments_of(earlier: Dispatch | Recorded) -> tuple[Any, Any]:
    if isinstance(earlier, Dispatch):
        return earlier.graph.args, earlier.graph.kwargs
    if not earlier.arguments.body:
        message = (
            f"the arguments of {earlier.id} could not be kept. Pass them again: "
            f"ct.redispatch({earlier.id!r})(…)."
        )
        raise ConfigError(message)
    args, kwargs = load_value(earlier.arguments.body)
    if not isinstance(args, tuple) or not isinstance(kwargs, dict):
        raise FormatError(f"the arguments of {earlier.id} are damaged.")
    return args, kwargs


def _lattice_of(earlier: Dispatch | Recorded) -> Any:
    """Return the lattice of a dispatch, if its module has been imported here."""
    if isinstance(earlier, Dispatch):
        return earlier.graph.lattice
    module, _, name = earlier.header.path.partition(":")
    # Nothing is imported by a name that stands in a file.
    for candidate in (module, "__main__"):
        found = vars(sys.modules.get(candidate, object)).get(name)
        if isinstance(found, Lattice) and found.name == earlier.header.lattice:
            return found
    message = (
        f"the lattice {earlier.header.lattice!r} of {earlier.id} is not known here. "
        f"Import {module!r} first, or pass it: ct.redispatch({earlier.id!r}, lattice)."
    )
    raise ConfigError(message)


def _require_lattice(lattice: Any, who: str) -> None:
    if not isinstance(lattice, Lattice):
        kind = type(lattice).__name__
        message = (
            f"{who}() takes a lattice, not {kind} {lattice!r}. Put @ct.lattice above "
            "the function that calls your electrons; its arguments follow in brackets: "
            "ct.dispatch(workflow)(x)."
        )
        raise TypeError(message)

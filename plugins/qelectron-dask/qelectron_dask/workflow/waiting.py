"""Waits for a dispatch, and shows meanwhile how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Final

from qelectron_core.showing import live
from qelectron_dask.workflow.dispatches import Dispatch, Recorded, known
from qelectron_dask.workflow.result import DispatchResult
from qelectron_dask.workflow.states import inert

#: Seconds between two looks at a dispatch of another process.
_LOOK_S: Final = 0.2
#: Seconds between two looks while a progress bar is shown.
_SHOW_S: Final = 0.1


def wait(dispatch_id: str, *, timeout_s: float | None, progress: bool) -> None:
    """Wait until a dispatch has ended, or its process has.

    Raises:
        TimeoutError: If it has not in time.
    """
    end = None if timeout_s is None else time.monotonic() + timeout_s
    found = known(dispatch_id)
    showing = _bar(found.result()) if progress else nullcontext(lambda result: None)
    try:
        with showing as show:
            while found.status == "running":
                if progress:
                    show(found.result())
                pause_s = _pause(end, progress=progress)
                if isinstance(found, Dispatch):
                    found.execution.wait(pause_s)
                else:
                    time.sleep(min(_LOOK_S, pause_s or _LOOK_S))
                    found = known(dispatch_id)
                _refuse_late(found, end)
            show(found.result())
    except KeyboardInterrupt:
        if isinstance(found, Dispatch):
            found.execution.cancel()
        raise


def _pause(end: float | None, *, progress: bool) -> float | None:
    """Return how long to wait until the next look, in seconds; `None` for ever."""
    left = None if end is None else max(0.0, end - time.monotonic())
    if not progress:
        return left
    return _SHOW_S if left is None else min(left, _SHOW_S)


def _refuse_late(found: Dispatch | Recorded, end: float | None) -> None:
    if end is None or time.monotonic() < end or found.status != "running":
        return
    result = found.result()
    over = sum(run.has_ended for run in result.electrons)
    message = (
        f"{result.dispatch_id} has not ended in time: {over} of "
        f"{len(result.electrons)} electrons have. It goes on; ask again, or cancel it."
    )
    raise TimeoutError(message)


@contextmanager
def _bar(result: DispatchResult) -> Iterator[Callable[[DispatchResult], None]]:
    """Show a bar of electrons that have ended, and how many are in which state."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[states]}"),
    )
    # Not where results are printed, which may go to a file.
    bar = Progress(*columns, console=Console(stderr=True))
    name = escape(inert(result.lattice))
    task = bar.add_task(name, total=len(result.electrons), states="")

    def show(now: DispatchResult) -> None:
        over = sum(run.has_ended for run in now.electrons)
        states = ", ".join(f"{n} {state}" for state, n in sorted(now.states.items()))
        bar.update(task, completed=over, states=states)

    with live(bar):
        yield show

"""What `get_result` returns: how a dispatch stands, or how it ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from qelectron_core import QElectronError
from qelectron_dask.workflow.states import DispatchState, ElectronRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@attrs.frozen(eq=False)
class LatticeOutput:
    """What a lattice returned, once its electrons had ended.

    Attributes:
        value: It.
        error: Type and message of what putting it together ended in, or `None`.
        unkept: Why the store does not have it, or `None`.
    """

    value: Any = None
    error: str | None = None
    unkept: str | None = None


class DispatchError(QElectronError):
    """A dispatch has no result: it failed, was cancelled, or has not ended."""


@attrs.frozen(eq=False, repr=False)
class DispatchResult:
    """How a dispatch stood at the moment it was asked for.

    Attributes:
        dispatch_id: Id of the dispatch.
        lattice: Name of the lattice.
        status: What became of it.
        electrons: What became of each electron, in the order in which the lattice
            called them.
        started_at: When it was dispatched, in seconds since the epoch.
        process: The process that carries it out, as `"host:pid"`.
        redispatched: Id of the dispatch that it goes on with, or `None`.
        output: What the lattice returned, once it is there.
    """

    dispatch_id: str
    lattice: str
    status: DispatchState
    electrons: tuple[ElectronRun, ...]
    started_at: float
    process: str
    redispatched: str | None
    output: LatticeOutput | None = None

    @property
    def result(self) -> Any:
        """What the lattice returned.

        Raises:
            DispatchError: If there is nothing; says why, with the traceback of each
                electron that failed.
        """
        output = self.output
        if self.status != "completed" or output is None or output.unkept is not None:
            raise DispatchError(_why(self))
        return output.value

    @property
    def failed(self) -> tuple[ElectronRun, ...]:
        """The electrons that failed."""
        return tuple(run for run in self.electrons if run.state == "failed")

    @property
    def error(self) -> str | None:
        """Type and message of what the first electron that failed raised."""
        failed = sorted(self.failed, key=lambda run: run.finished_at or 0.0)
        if failed:
            return failed[0].error
        return None if self.output is None else self.output.error

    @property
    def finished_at(self) -> float | None:
        """When its last electron ended, in seconds since the epoch; or `None`."""
        if self.status in ("running", "lost"):
            return None
        ends = [run.finished_at for run in self.electrons if run.finished_at]
        return max([self.started_at, *ends])  # what is reused ended before it began

    @property
    def states(self) -> Counter[str]:
        """How many electrons are in which state."""
        return Counter(run.state for run in self.electrons)

    def draw(self, path: Any = None) -> Figure:
        """Draw the graph, with the states of the electrons.

        Args:
            path: Where to save the picture (`.svg`, `.png`, `.pdf`), if anywhere.

        Returns:
            The figure, which notebooks show.

        Raises:
            ImportError: If matplotlib is missing; says what to install.
        """
        from qelectron_dask.workflow.drawing import draw

        return draw(self, path)

    def __repr__(self) -> str:
        """Show id, lattice, status and how many electrons are how far."""
        states = ", ".join(f"{count} {state}" for state, count in self.states.items())
        return (
            f"<dispatch {self.dispatch_id} of {self.lattice!r}: {self.status}"
            f" ({states or 'no electrons'})>"
        )

    def _repr_html_(self) -> str:
        """Show a table of the electrons in a notebook."""
        from qelectron_dask.workflow.tables import html

        return html(self)


def _why(result: DispatchResult) -> str:
    """Return why there is no result, and what to do."""
    begin = f"{result.dispatch_id} of {result.lattice!r}"
    over = sum(run.has_ended for run in result.electrons)
    if result.status == "running":
        return (
            f"{begin} has not ended: {over} of {len(result.electrons)} electrons have. "
            "Wait for it: ct.get_result(dispatch_id, wait=True)."
        )
    again = f"ct.redispatch({result.dispatch_id!r})()"
    if result.status == "lost":
        return (
            f"{begin} was not carried to its end: its process ({result.process}) ended "
            f"first, after {over} of {len(result.electrons)} electrons. Go on with "
            f"{again}."
        )
    if result.status == "cancelled":
        return f"{begin} was cancelled. To run the rest of it: {again}."
    output = result.output
    if output is not None and output.unkept is not None:
        return (
            f"what {begin} returned is not in the store: {output.unkept} Its process "
            f"({result.process}) has it as long as it runs; {again} computes it anew."
        )
    if output is not None and output.error is not None:
        return (
            f"{begin} failed when its electrons had ended: what it returns could not "
            f"be put together: {output.error}."
        )
    return (
        f"{begin} failed: {_listing(result.failed)}. Once it is mended, {again} runs "
        f"what has not finished.\n\n{_tracebacks(result.failed)}"
    )


def _listing(failed: Sequence[ElectronRun]) -> str:
    most = 3
    named = [f"{r.name!r} (electron {r.number}): {r.error}" for r in failed[:most]]
    more = len(failed) - most
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "")


def _tracebacks(failed: Sequence[ElectronRun]) -> str:
    most = 3
    return "\n".join(run.traceback or "" for run in failed[:most]).rstrip()


def shown_time(at: float | None) -> str:
    """Return a moment as people read it."""
    return "" if at is None else time.strftime("%H:%M:%S", time.localtime(at))

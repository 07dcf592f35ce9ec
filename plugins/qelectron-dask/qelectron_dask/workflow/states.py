"""What becomes of electrons and of dispatches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias

import attrs

#: What became of an electron. A `"waiting"` one needs others first, a `"queued"` one
#: could start; a `"skipped"` one does not run, because one that it needs failed.
ElectronState: TypeAlias = Literal[
    "waiting", "queued", "running", "completed", "failed", "cancelled", "skipped"
]
#: What became of a dispatch. Of a `"lost"` one, the process ended before it did.
DispatchState: TypeAlias = Literal[
    "running", "completed", "failed", "cancelled", "lost"
]

#: States of electrons that are over.
ENDED: Final = frozenset({"completed", "failed", "cancelled", "skipped"})


@attrs.frozen(eq=False)
class CallSummary:
    """One call of a QElectron that an electron made.

    Attributes:
        id: Id of the call; `ct.history(call_id=…)` tells the rest, where the electron
            ran.
        circuits: How many circuits it had.
        executors: The executors chosen for them, each once, as text without secrets.
        shots: Shots of all circuits together.
        cost_usd: Price of all circuits in US dollars, or `None` if unknown.
        failed: How many circuits failed.
        cached: How many circuits were not run, because their results were there.
    """

    id: str
    circuits: int
    executors: tuple[str, ...] = ()
    shots: int = 0
    cost_usd: float | None = None
    failed: int = 0
    cached: int = 0


@attrs.frozen(eq=False)
class ElectronRun:
    """What became of one electron of a dispatch.

    Attributes:
        number: Its place in the order in which the lattice called its electrons.
        name: Name of the function.
        state: What became of it.
        executor: Where it runs: `"local"`, `"lattice"` for a lattice within the
            lattice, or a `DaskExecutor` as text.
        parents: Numbers of the electrons that it waits for.
        attempt: 1 for the first attempt, 2 for the next …; 0 before it starts.
        started_at: When it first started, in seconds since the epoch.
        finished_at: When it ended, in seconds since the epoch.
        result: What it returned; `None` unless it is completed.
        error: Type and message of what it raised, or why it did not run.
        traceback: Where it was raised, from the function of the electron on.
        calls: The calls of QElectrons that its last attempt made.
        worker: Address of the Dask worker that ran it, or empty.
        reused: Whether nothing was run: the result is that of an earlier dispatch.
        dispatch_id: Of a lattice within the lattice, the id of its own dispatch.
        unkept: Why the store does not keep what it returned, or `None`.
    """

    number: int
    name: str
    state: ElectronState = "waiting"
    executor: str = "local"
    parents: tuple[int, ...] = ()
    attempt: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    result: Any = attrs.field(default=None, repr=False)
    error: str | None = None
    traceback: str | None = attrs.field(default=None, repr=False)
    calls: tuple[CallSummary, ...] = attrs.field(default=(), repr=False)
    worker: str = ""
    reused: bool = False
    dispatch_id: str | None = None
    unkept: str | None = attrs.field(default=None, repr=False)

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self.state in ENDED

    @property
    def duration_s(self) -> float | None:
        """Seconds from its first start to its end."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at


def state_of(runs: Iterable[ElectronRun], *, alive: bool = True) -> DispatchState:
    """Return what became of a dispatch, from what became of its electrons."""
    states = {run.state for run in runs}
    if not states <= ENDED:
        return "running" if alive else "lost"
    if "failed" in states:
        return "failed"
    return "cancelled" if states & {"cancelled", "skipped"} else "completed"


def inert(text: str) -> str:
    """Return a text without what a terminal obeys instead of showing it."""
    return "".join(one if one.isprintable() else "�" for one in text)

"""The list of calls."""

from __future__ import annotations

from typing import Any, Final

import attrs

from qelectron_core.store import Run, RunState, Store
from qelectron_sqlite.cli.texts import short

#: Characters of a name, and of the executors, that a list shows.
_LONGEST: Final = 300


@attrs.define
class Wanted:
    """Which calls are listed.

    Attributes:
        name: Only those with this in their name.
        executor: Only those on executors with this in their text.
        state: Only those in this state.
        since: Only later ones, in seconds since the epoch.
        limit: At most so many, the newest.
    """

    name: str = ""
    executor: str = ""
    state: RunState | None = None
    since: float | None = None
    limit: int = 1000


def rows(store: Store, wanted: Wanted) -> list[dict[str, Any]]:
    """Return a row for each call that is wanted, the newest first."""
    found = store.runs(
        name=wanted.name or None,
        executor=wanted.executor or None,
        state=wanted.state,
        since=wanted.since,
        limit=wanted.limit,
    )
    return [row(run) for run in found]


def row(run: Run) -> dict[str, Any]:
    """Return the row of a call."""
    return {
        "id": run.id,
        "at": run.call.at,
        "name": short(run.call.name, _LONGEST),
        "state": run.state,
        "executors": short(", ".join(run.executors) or run.call.executors, _LONGEST),
        "circuits": run.call.circuits,
        "shots": run.shots or None,
        "seconds": run.duration_s,
        "cost_usd": run.cost_usd,
    }

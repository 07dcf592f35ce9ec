"""What ran: the journal, as users read it."""

from __future__ import annotations

from typing import Any, get_args

from qelectron_core.errors import ConfigError
from qelectron_core.runtime import runtime
from qelectron_core.store import Run, RunState


def history(  # noqa: PLR0913  # a filter each
    call_id: str | None = None,
    *,
    name: str | None = None,
    executor: str | None = None,
    state: RunState | None = None,
    since: float | None = None,
    limit: int | None = 20,
    store: Any = None,
) -> list[Run]:
    """Return calls and what became of them, the newest first.

    Args:
        call_id: Only this one (`future.id`), with its lines of the journal: its
            circuits, results, times and errors.
        name: Only calls of quantum functions whose name contains this.
        executor: Only calls that ran on an executor whose text contains this.
        state: Only those that are `"running"`, `"completed"`, `"cached"`, `"failed"`,
            `"cancelled"` or `"lost"` (its process ended first).
        since: Only those made later, in seconds since the epoch.
        limit: At most so many; `None` for all.
        store: Where to look; see `qelectron`.

    Raises:
        ConfigError: If there is no such state, or `since` is no number.

    Example:
        >>> import qelectron_core as ct
        >>> failed = ct.history(state="failed", limit=3)
        >>> all(run.state == "failed" for run in failed)
        True
    """
    if state is not None and state not in get_args(RunState):
        known = ", ".join(map(repr, get_args(RunState)))
        raise ConfigError(f"state={state!r} is unknown. Expected one of {known}.")
    if since is not None and not isinstance(since, (int, float)):
        message = f"since={since!r} is no time. Expected seconds since the epoch."
        raise ConfigError(message)
    keeper = runtime().keeper(store)
    keeper.flush()
    runs = keeper.store.runs(
        call_id=call_id,
        name=name,
        executor=executor,
        state=state,
        since=since,
        limit=limit,
    )
    return list(runs)

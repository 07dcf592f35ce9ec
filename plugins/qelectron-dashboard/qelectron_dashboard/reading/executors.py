"""What each executor did in the time that is looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

import attrs

from qelectron_core.breaker_states import BreakerState, open_breakers
from qelectron_core.store import Store
from qelectron_core.tally import BOUNDS_S, Tally
from qelectron_sqlite.cli.texts import NOTHING, dollars, safe, short
from qelectron_sqlite.cli.times import moment, span

#: The times that are looked at, in seconds before now; `None` is all that is known.
SPANS: Final[Mapping[str, float | None]] = {
    "15 min": 900.0,
    "1 hour": 3600.0,
    "1 day": 86400.0,
    "1 week": 7 * 86400.0,
    "all": None,
}
USUAL_SPAN: Final = "1 day"
#: Executors that are shown at most.
MOST: Final = 100
#: Characters that are shown of a name, of options, of all of it, and of an error.
_MOST_NAME: Final = 40
_MOST_OPTIONS: Final = 90
_MOST_TEXT: Final = 4000
_MOST_ERROR: Final = 240
#: Characters of an executor by which its calls are found: these are enough.
_MOST_FILTER: Final = 500
#: Share of failures from which on an executor is called failing.
_FAILING: Final = 0.5
_QUANTILES: Final = ((0.5, "half in"), (0.9, "90% in"), (0.99, "99% in"))


@attrs.frozen
class Counted:
    """Numbers that are drawn, and said.

    Attributes:
        numbers: The numbers.
        said: What they tell, in words.
    """

    numbers: tuple[int, ...]
    said: str


@attrs.frozen
class Tile:
    """One executor, as it is shown.

    Attributes:
        text: The executor, as the journal has it; it tells tiles apart.
        name: Its class, or what stands first in its text.
        options: The rest of its text, of one line.
        full: All of its text, if more of it is to be shown.
        state: "left out", "failing", "working" or "idle".
        left_out: Why and until when nothing is sent there; empty if that is not so.
        figures: What is counted, by what it is called.
        throughput: How many circuits were completed, over time.
        ran: How long circuits ran: a histogram.
        waited: How long circuits waited to start: a histogram.
        failed: Share of circuits that failed, in [0, 1].
        failures: It in words.
        error: The last error, and when that was; empty if there is none.
        calls: Address of its calls.
    """

    text: str
    name: str
    options: str
    full: str
    state: str
    left_out: str
    figures: Mapping[str, str]
    throughput: Counted
    ran: Counted
    waited: Counted
    failed: float
    failures: str
    error: str
    calls: str


def tiles(store: Store, span_s: float | None) -> list[Tile]:
    """Return what each executor did, in the order of their texts.

    Also those that did nothing, but are left out by circuit breakers.

    Args:
        store: Where it is kept.
        span_s: Seconds before now that are looked at; `None` for all.

    Raises:
        StoreError: If the store, one of an earlier version, does not tell.
    """
    now = time.time()
    since = None if span_s is None else now - span_s
    found = {one.executor: one for one in store.tallies(since=since)}
    breakers: dict[str, list[BreakerState]] = {}
    for breaker in open_breakers(store):
        breakers.setdefault(breaker.executor, []).append(breaker)
    for text in breakers.keys() - found.keys():
        found[text] = Tally(text, since=now, until=now)
    return [tile(found[text], breakers.get(text, ())) for text in sorted(found)]


def tile(tally: Tally, breakers: Sequence[BreakerState] = ()) -> Tile:
    """Return an executor as it is shown.

    Args:
        tally: What it did.
        breakers: Those that leave it out, the last opened first.
    """
    name, _, options = tally.executor.partition("(")
    ended = tally.completed + tally.failed
    failed = tally.failed / max(1, ended)
    is_long = len(options) > _MOST_OPTIONS
    return Tile(
        text=tally.executor,
        name=short(name, _MOST_NAME) or NOTHING,
        options=short(options.removesuffix(")"), _MOST_OPTIONS),
        full=safe(tally.executor[:_MOST_TEXT]) if is_long else "",
        state="left out" if breakers else _state(tally, failed),
        left_out=_left_out(breakers),
        figures=_figures(tally),
        throughput=_throughput(tally),
        ran=_times(tally.run_times, tally.run_s, "ran"),
        waited=_times(tally.wait_times, tally.wait_s, "waited"),
        failed=failed,
        failures=f"{tally.failed:,} of {ended:,} failed ({failed:.0%})"
        if ended
        else "",
        error=_error(tally),
        calls=f"/?executor={_quoted(tally.executor)}",
    )


def _state(tally: Tally, failed: float) -> str:
    if failed >= _FAILING:
        return "failing"
    return "working" if tally.under_way else "idle"


def _left_out(breakers: Sequence[BreakerState]) -> str:
    if not breakers:
        return ""
    first, *others = breakers
    left_s = first.retry_at - time.time()
    again = f"in {span(left_s)}" if left_s > 0 else "with the next circuit"
    more = f" and {len(others):,} more" if others else ""
    return (
        f"Left out by a circuit breaker of {short(first.process, _MOST_NAME)}{more}, "
        f"since {moment(first.opened_at)}; tried again {again}. "
        f"{short(first.reason[:_MOST_TEXT], _MOST_ERROR)}"
    )


def _figures(tally: Tally) -> dict[str, str]:
    return {
        "in flight": f"{tally.under_way:,}",
        "completed": f"{tally.completed:,}",
        "cached": f"{tally.cached:,}",
        "retried": f"{tally.retried:,}",
        "cancelled": f"{tally.cancelled:,}",
        "shots": f"{tally.shots:,}",
        "jobs": f"{tally.jobs:,}",
        "cost": NOTHING if tally.cost_usd is None else dollars(tally.cost_usd),
    }


def _throughput(tally: Tally) -> Counted:
    counts, slice_s = tally.throughput, span(tally.slice_s)
    if not any(counts):
        return Counted(counts, "none completed")
    return Counted(counts, f"at most {max(counts):,} completed in {slice_s}")


def _times(
    counts: tuple[int, ...], quantile: Callable[[float], float | None], verb: str
) -> Counted:
    """Return a histogram of times; words say how long most of them were."""
    known = [(said, quantile(share)) for share, said in _QUANTILES]
    said = " · ".join(f"{name} {_time(one)}" for name, one in known if one is not None)
    return Counted(counts, f"{verb}: {said}" if said else f"{verb}: {NOTHING}")


def _time(seconds: float) -> str:
    return "over 1 h" if seconds >= BOUNDS_S[-1] else span(seconds)


def _error(tally: Tally) -> str:
    if tally.last_error is None:
        return ""
    at = "" if tally.last_error_at is None else f"{moment(tally.last_error_at)}: "
    return f"{at}{short(tally.last_error[:_MOST_TEXT], _MOST_ERROR)}"


def _quoted(executor: str) -> str:
    return quote(executor[:_MOST_FILTER], safe="", errors="replace")

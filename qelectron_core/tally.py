"""What executors did: numbers and times of circuits, from the journal."""

from __future__ import annotations

import bisect
import itertools
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from qelectron_core.errors import ConfigError

if TYPE_CHECKING:
    from qelectron_core.store import Entry

#: Seconds that a time is at most to be counted with a bound: 1, 2 and 5 per decade,
#: from a millisecond to an hour. Longer times are counted behind the last one.
BOUNDS_S: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 3600.0),
)
#: Counts of a histogram of times: one per bound, and one for longer times.
BUCKETS: Final = len(BOUNDS_S) + 1
#: Equal slices of the time looked at, of which the throughput is told.
SLICES: Final = 60
_SHORTEST_S: Final = 1e-3  # time looked at


@attrs.frozen
class Tally:
    """What one executor did with the circuits that were submitted since a time.

    Every attempt to run a circuit, which is a line of the journal, is counted once: as
    under way, completed, failed, cancelled, cached, retried or lost. What the journal
    has forgotten is not counted.

    Attributes:
        executor: The executor, as the user wrote it, without secrets.
        since: Begin of the time looked at, in seconds since the epoch: that asked for,
            or when the first circuit of the journal was submitted.
        until: End of it: now.
        under_way: Circuits submitted or started that have not ended, of calls whose
            process lives or of which a vendor has jobs.
        completed: Circuits that have a result.
        failed: Circuits that ended in an error, but for those that were cancelled.
        cancelled: Circuits cancelled, by the program or by somebody at the vendor.
        cached: Circuits that were not run: there was the result of an equal one.
        retried: Attempts that failed, and another one followed.
        lost: Circuits submitted or started whose process ended first, and no vendor has
            jobs of their call.
        shots: Shots of all attempts together, but for cached ones.
        jobs: Number of jobs that they were part of, but for cached ones.
        cost_usd: Price of all in US dollars, or `None` if that of none is known.
        last_error: Type and message of the last exception that a failed or retried
            attempt ended in, or `None` if there is none.
        last_error_at: When that attempt ended, in seconds since the epoch, or `None`.
        run_times: Completed circuits by the seconds from the start to the end of their
            job: how many took at most `BOUNDS_S[0]`, at most `BOUNDS_S[1]` …; the last
            number is that of longer ones.
        wait_times: Circuits that completed, or have started, by the seconds from when
            they were submitted to the start of their job; as `run_times`.
        throughput: How many circuits completed in each of 60 equal slices of the time
            looked at, oldest first.

    Example:
        >>> from qelectron_core.memory_store import MemoryStore
        >>> from qelectron_core.store import Entry
        >>> store = MemoryStore()
        >>> line = Entry("call", 0, "completed", "Echo()", 10.0, 1, 10.1, 11.0)
        >>> store.write([], [line])
        >>> (tally,) = store.tallies()
        >>> tally.completed, 0.5 < tally.run_s(0.5) < 1.0
        (1, True)
    """

    executor: str
    since: float
    until: float
    under_way: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    cached: int = 0
    retried: int = 0
    lost: int = 0
    shots: int = 0
    jobs: int = 0
    cost_usd: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None
    run_times: tuple[int, ...] = attrs.field(default=(0,) * BUCKETS, repr=False)
    wait_times: tuple[int, ...] = attrs.field(default=(0,) * BUCKETS, repr=False)
    throughput: tuple[int, ...] = attrs.field(default=(0,) * SLICES, repr=False)

    @property
    def slice_s(self) -> float:
        """Seconds that one slice of the throughput takes."""
        return (self.until - self.since) / SLICES

    def run_s(self, quantile: float) -> float | None:
        """Estimate how many seconds completed circuits ran, by their histogram.

        Args:
            quantile: Share of the circuits that ran no longer, in [0, 1]; 0.5 is the
                median.

        Returns:
            Seconds, between the bounds where the true value is; 3600 if that is longer;
            `None` if no circuit has completed.

        Raises:
            ConfigError: If the quantile is none.
        """
        return _quantile(self.run_times, quantile)

    def wait_s(self, quantile: float) -> float | None:
        """Estimate how many seconds circuits waited to start, by their histogram.

        Args:
            quantile: Share of the circuits that waited no longer, in [0, 1].

        Returns:
            Seconds, as of `run_s`; `None` if no circuit has started.

        Raises:
            ConfigError: If the quantile is none.
        """
        return _quantile(self.wait_times, quantile)


def _quantile(counts: Sequence[int], quantile: float) -> float | None:
    if not 0 <= quantile <= 1:
        message = (
            f"quantile={quantile!r} is none. Expected a number from 0 to 1, such as "
            "0.5 for the median."
        )
        raise ConfigError(message)
    total = sum(counts)
    if not total:
        return None
    rank = quantile * total
    found = next(
        number
        for number, seen in enumerate(itertools.accumulate(counts))
        if seen and seen >= rank
    )
    if found == len(BOUNDS_S):
        return BOUNDS_S[-1]
    share = max(0.0, rank - sum(counts[:found])) / counts[found]
    if found == 0:
        return BOUNDS_S[0] * share
    low, high = BOUNDS_S[found - 1 : found + 1]
    return float(low * (high / low) ** share)


# --- For those who write stores -------------------------------------------------------


@attrs.frozen
class Window:
    """The time that tallies look at.

    Attributes:
        since: Its begin, in seconds since the epoch.
        until: Its end.
    """

    since: float
    until: float

    @property
    def slice_s(self) -> float:
        """Seconds of one slice."""
        return (self.until - self.since) / SLICES

    def slice_of(self, at: float) -> int:
        """Return the slice of a moment; the first or the last one if it is outside."""
        return int(max(0.0, min(SLICES - 1.0, (at - self.since) / self.slice_s)))


def window(since: float | None, first_at: float | None) -> Window:
    """Return the time to look at, until now.

    Args:
        since: Its begin, if one was asked for.
        first_at: When the first circuit was submitted, if there is one.
    """
    now = time.time()
    begin = since if since is not None and math.isfinite(since) else first_at
    begin = now if begin is None else begin
    return Window(begin, max(now, begin + _SHORTEST_S))


def bucket_of(seconds: float) -> int:
    """Return the place of a time in a histogram."""
    return bisect.bisect_left(BOUNDS_S, seconds)


@attrs.define
class Counts:
    """The tally of one executor, while it is being made; fields as those of `Tally`."""

    states: Counter[str] = attrs.field(factory=Counter)
    shots: int = 0
    jobs: int = 0
    cost_usd: float | None = None
    last_error: tuple[float, str] | None = None
    run_times: list[int] = attrs.field(factory=lambda: [0] * BUCKETS)
    wait_times: list[int] = attrs.field(factory=lambda: [0] * BUCKETS)
    throughput: list[int] = attrs.field(factory=lambda: [0] * SLICES)

    def pay(self, cost_usd: float | None) -> None:
        """Add a price, if it is known."""
        if cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost_usd

    def tally(self, executor: str, looked_at: Window) -> Tally:
        """Return the tally."""
        at, error = self.last_error or (None, None)
        return Tally(
            executor,
            looked_at.since,
            looked_at.until,
            **self.states,
            shots=self.shots,
            jobs=self.jobs,
            cost_usd=self.cost_usd,
            last_error=error,
            last_error_at=at,
            run_times=tuple(self.run_times),
            wait_times=tuple(self.wait_times),
            throughput=tuple(self.throughput),
        )


def tallies_of(
    lines: Iterable[tuple[Entry, bool]], *, since: float | None = None
) -> list[Tally]:
    """Return the tallies of lines of the journal, by the text of the executor.

    What `Store.tallies` returns, for stores that have no quicker way.

    Args:
        lines: Each line, and whether its call is awaited: its process lives, or a
            vendor has a job of it that has not ended.
        since: Only circuits submitted later, in seconds since the epoch.
    """
    some = [one for one in lines if since is None or one[0].submitted_at > since]
    looked_at = window(since, min((e.submitted_at for e, _ in some), default=None))
    counts: defaultdict[str, Counts] = defaultdict(Counts)
    jobs: defaultdict[str, set[str]] = defaultdict(set)
    for entry, awaited in some:
        of = counts[entry.executor]
        state = _counted_as(entry, awaited=awaited)
        of.states[state] += 1
        of.pay(entry.cost_usd)
        if entry.state != "cached":
            of.shots += entry.shots or 0
            jobs[entry.executor].add(entry.job_id)
        if state in ("failed", "retried") and entry.error is not None:
            end = entry.finished_at
            at = entry.submitted_at if end is None else end
            of.last_error = max(of.last_error or (at, ""), (at, entry.error))
        _add_times(of, entry, looked_at)
    for executor, ids in jobs.items():
        counts[executor].jobs = len(ids - {""})
    return [counts[executor].tally(executor, looked_at) for executor in sorted(counts)]


def _counted_as(entry: Entry, *, awaited: bool) -> str:
    if entry.state in ("submitted", "started"):
        return "under_way" if awaited else "lost"
    if entry.state == "failed" and entry.cancelled:
        return "cancelled"
    return entry.state


def _add_times(counts: Counts, entry: Entry, looked_at: Window) -> None:
    start, end = entry.started_at, entry.finished_at
    if entry.state in ("started", "completed") and start is not None:
        counts.wait_times[bucket_of(start - entry.submitted_at)] += 1
    if entry.state != "completed" or end is None:
        return
    counts.throughput[looked_at.slice_of(end)] += 1
    if start is not None:
        counts.run_times[bucket_of(end - start)] += 1

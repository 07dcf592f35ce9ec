"""Rules of stores about tallies and pages; left out where a store has none."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import attrs

from qelectron_core.store import Entry, Key, Store, keeps_tallies, pages_runs
from qelectron_core.tally import BOUNDS_S, SLICES, Tally, tallies_of
from qelectron_core.testing.conformance.doubles import NOON, call, entry, intent, kept
from qelectron_core.testing.conformance.rules import calling, declared, require, rule
from qelectron_core.testing.conformance.store_kit import (
    StoreKit,
    require_runs,
    require_same,
    write,
)

#: Time looked at for the throughput, so that one slice is a minute.
_LOOKED_AT_S: Final = 3600.0
_MINUTE_S: Final = 60.0


class TallyRules(StoreKit):
    """What is told of executors, and of calls page by page."""

    @rule
    def test_t58_counts_every_line_once(self) -> None:
        """A tally is what `tallies_of` makes of the lines of its executor."""
        store, lines = self._telling(), _of_every_state()
        _write(store, lines)
        _require_tallies(store, lines)
        ended = [attrs.evolve(line, state="completed") for line in lines[:3]]
        write(store, *ended)  # in place of the earlier ones
        _require_tallies(store, [*ended, *lines[3:]])

    @rule
    def test_t59_counts_what_came_later(self) -> None:
        """`tallies(since=...)` counts circuits that were submitted later, not then."""
        store = self._telling()
        lines = [entry("call-1", n, executor=f"Fixed({n % 2})") for n in range(6)]
        _write(store, lines)
        for line in lines:
            _require_tallies(store, lines, since=line.submitted_at)
        _require_tallies(store, lines, since=lines[0].submitted_at - 0.5)

    @rule
    def test_t60_tells_times_by_bounds(self) -> None:
        """Seconds of running and waiting are counted with the bound that they do not exceed."""  # noqa: E501
        store, start = self._telling(), float(2**20)  # so that they are exact
        lines = [
            entry(
                "call-1",
                number,
                submitted_at=start,
                started_at=start + seconds,
                finished_at=start + seconds + more,
            )
            for number, (seconds, more) in enumerate(
                zip((*BOUNDS_S[9:], 0.0, -1.0), (1e4, -1.0, *BOUNDS_S[9:]), strict=True)
            )
        ]
        lines += [
            entry("call-1", 90, state="started", finished_at=None),
            entry("call-1", 91, state="started", started_at=None, finished_at=None),
            *(entry("call-1", 92, attempt=n, state="retried") for n in (1, 2)),
            entry("call-1", 93, state="failed", error="E: x"),
            entry("call-1", 94, state="cached"),
        ]
        _write(store, lines)
        _require_tallies(store, lines)

    @rule
    def test_t61_tells_the_throughput(self) -> None:
        """The throughput is of circuits that completed, in equal slices until now."""
        store, now = self._telling(), time.time()
        since = now - _LOOKED_AT_S
        wanted = [0] * SLICES
        lines = [entry("call-1", 90, state="failed", submitted_at=now, finished_at=now)]
        for number, part in enumerate((0, 7, 7, 30, SLICES - 1)):
            wanted[part] += 1
            at = since + (part + 0.5) * _MINUTE_S
            lines.append(
                entry("call-1", number, submitted_at=since + 1, finished_at=at)
            )
        _write(store, lines)
        (found,) = _tallies(store, since)
        require(
            list(found.throughput) == wanted,
            expected=f"tallies(since=<an hour ago>) with a throughput of {wanted}",
            seen=list(found.throughput),
        )
        require(
            found.since == since and now <= found.until < now + _MINUTE_S,
            expected=f"since to be {since} as asked for, and until to be now, {now}",
            seen=f"since {found.since}, until {found.until}",
        )

    @rule
    def test_t62_tells_of_the_journal_alone(self) -> None:
        """Tallies are of the journal: `clear` leaves them, and a new store has none."""
        store = self._telling()
        line = entry("kit")
        write(store, call("kit"), line, kept(Key("pool"), 0.5))
        store.intend(intent("kit"))
        store.clear()
        _require_tallies(store, [line])
        _require_tallies(self._new(), [])

    @rule
    def test_t63_tells_what_is_lost(self) -> None:
        """Where it declares `durable`, what a killed process left is lost, but for calls with jobs at a vendor."""  # noqa: E501
        from qelectron_core.testing.conformance.circuits import plain_circuits

        first = self._telling(durable=True)
        begun = [
            entry(f"call-{n}", state=state, finished_at=None)
            for n, state in enumerate(("submitted", "started", "started"))
        ]
        done = entry("call-1", 1)

        def crash(store: Store) -> None:
            job = intent("job", plain_circuits()[:1], places=(("call-0", 0),))
            store.intend(job)
            store.write([call(f"call-{n}") for n in range(3)], [*begun, done])

        again = self._after_crash(first, crash)
        mine = entry("call-9", state="started", finished_at=None)
        write(again, call("call-9"), mine)
        (found,) = _tallies(again)
        seen = (found.under_way, found.lost, found.completed)
        require(
            seen == (2, 2, 1),
            expected="2 circuits under way (one of a living process, one at a vendor), "
            "2 lost and 1 completed",
            seen=f"{seen[0]} under way, {seen[1]} lost and {seen[2]} completed",
        )
        require_runs(again, ["call-2", "call-1"], state="lost")

    @rule
    def test_t64_pages_calls(self) -> None:
        """`runs(before=...)` returns calls made earlier, not then, with all other filters."""  # noqa: E501
        store = self._new()
        declared("before", pages_runs(store))
        calls = [call(f"call-{n}", name=f"f{n % 2}") for n in range(6)]
        write(store, *calls)
        newest = [one.id for one in calls[::-1]]
        for number, one in enumerate(calls[::-1]):
            require_runs(store, newest[number + 1 :], before=one.at)
            require_runs(store, newest[number + 1 :][:2], before=one.at, limit=2)
        middle = calls[3].at
        require_runs(store, ["call-2", "call-0"], before=middle, name="f0")
        require_runs(store, ["call-2", "call-1"], before=middle, since=calls[0].at)
        require_runs(store, [], before=middle, call_id="call-3")
        require_runs(store, ["call-2"], before=middle, call_id="call-2")
        require_runs(store, newest, before=None)

    def _telling(self, *, durable: bool = False) -> Store:
        """Return a store that tells what executors did."""
        store = self._durable() if durable else self._new()
        declared("tallies", keeps_tallies(store))
        return store


def _of_every_state() -> list[Entry]:
    """Return lines of two calls on three executors, of everything that may happen."""
    cancelled = "CancelledError: by the program"
    told: list[dict[str, Any]] = [
        {"state": "submitted", "started_at": None, "finished_at": None},
        {"state": "started", "finished_at": None, "shots": 7},
        {"state": "started", "started_at": None, "finished_at": None, "shots": None},
        {"job_id": "job-a", "job_size": 2, "cost_usd": 0.5},
        {"job_id": "job-a", "job_size": 2, "cost_usd": 0.25, "shots": 10**12},
        {"job_id": "job-b", "job_size": 1, "executor": "Acme(“é”)", "shots": None},
        {"state": "cached", "executor": "Acme(“é”)", "cost_usd": None},
        {"state": "cached", "job_id": "job-b"},
        {"state": "retried", "error": "E: first"},
        {"state": "failed", "error": "E: “last” – néant", "executor": "Acme(“é”)"},
        {"state": "failed", "error": cancelled, "executor": "Acme()"},
        {"state": "failed", "error": "JobCancelledError: there", "executor": "Acme()"},
        {"state": "failed", "error": "E: CancelledError", "executor": "Acme()"},
        {"state": "retried", "error": cancelled, "executor": "Acme(“é”)"},
        {"state": "failed", "error": "E: early", "finished_at": NOON - 5},
    ]
    return [
        entry(f"call-{number % 2}", number, **changes)
        for number, changes in enumerate(told)
    ]


def _write(store: Store, lines: Sequence[Entry]) -> None:
    ids = {line.call_id: len(lines) for line in lines}
    write(store, *(call(of, circuits=count) for of, count in ids.items()), *lines)


def _tallies(store: Store, since: float | None = None) -> list[Tally]:
    with calling(f"tallies(since={since})"):
        return list(store.tallies(since=since))


def _require_tallies(
    store: Store, lines: Sequence[Entry], since: float | None = None
) -> None:
    """Fail unless tallies are what `tallies_of` makes of lines, but for the time."""
    found = _tallies(store, since)
    wanted = tallies_of([(line, True) for line in lines], since=since)
    executors = [one.executor for one in wanted]
    require(
        [one.executor for one in found] == executors,
        expected=f"tallies(since={since}) of {executors}, in this order",
        seen=[one.executor for one in found],
    )
    timed = [
        attrs.evolve(one, until=seen.until, throughput=seen.throughput)
        for one, seen in zip(wanted, found, strict=True)
    ]
    require_same(f"tallies(since={since})", timed, found)
    counts = [sum(one.throughput) for one in wanted]
    require(
        [sum(one.throughput) for one in found] == counts,
        expected=f"a throughput of {counts} circuits in all, one number per tally",
        seen=[sum(one.throughput) for one in found],
    )

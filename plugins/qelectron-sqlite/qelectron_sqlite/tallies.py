"""What executors did, counted in the file: the rules of `tallies_of`, but quicker."""

from __future__ import annotations

import functools
import sqlite3
from collections import defaultdict
from typing import Any, Final

from qelectron_core.tally import BOUNDS_S, SLICES, Counts, Tally, Window, window
from qelectron_sqlite.owners import is_running

_SINCE: Final = "(:since IS NULL OR submitted_at > :since)"
_CANCELLED: Final = """(
    substr(error, 1, 14) = 'CancelledError'
    OR substr(error, 1, 17) = 'JobCancelledError'
)"""
#: As what a line may be counted here; those under way are told apart by their calls.
_KINDS: Final = ("completed", "failed", "cancelled", "cached", "retried", "open")
_NONE: Final = 31  # for a time that there is not
_SIZES: Final = (8, 32, 32, 64)  # of what is packed into one number, which sorts faster


def _bucket(seconds: str, first: int = 0, last: int = len(BOUNDS_S)) -> str:
    """Return an expression for `bucket_of`: a search by halves."""
    if first == last:
        return str(first)
    middle = (first + last) // 2
    return (
        f"CASE WHEN {seconds} <= :bound{middle} THEN {_bucket(seconds, first, middle)} "
        f"ELSE {_bucket(seconds, middle + 1, last)} END"
    )


def _bucket_or_none(seconds: str) -> str:
    return f"CASE WHEN {seconds} IS NULL THEN {_NONE} ELSE {_bucket(seconds)} END"


_FIRST: Final = f"SELECT min(submitted_at) FROM entries WHERE {_SINCE}"
# The limit keeps SQLite from making one query of two, in which the times would be
# computed anew for each bound that they are compared with.
_LINES: Final = f"""
    SELECT
        number, executor, cost_usd,
        CASE state WHEN 'completed' THEN 0 WHEN 'cached' THEN 3 WHEN 'retried' THEN 4
        WHEN 'failed' THEN CASE WHEN {_CANCELLED} THEN 2 ELSE 1 END ELSE 5 END AS kind,
        CASE WHEN state <> 'cached' THEN shots END AS shots,
        state <> 'cached' AND job_size = 1 AND job_id <> '' AS alone,
        CASE WHEN state = 'completed' THEN finished_at - started_at END AS run,
        CASE WHEN state IN ('completed', 'started')
            THEN started_at - submitted_at END AS wait,
        CASE WHEN state = 'completed'
            THEN (finished_at - :begin) / :slice_s END AS part,
        CASE WHEN error IS NOT NULL
            THEN coalesce(finished_at, submitted_at) END AS erred_at
    FROM entries WHERE {_SINCE} LIMIT -1
"""
_SLICE: Final = f"""
    CASE WHEN part IS NULL THEN {SLICES}
    ELSE CAST(max(0.0, min({SLICES - 1}.0, part)) AS INTEGER) END
"""
_PACKED: Final = functools.reduce(
    lambda packed, part: f"({packed}) * {part[0]} + ({part[1]})",
    zip(
        _SIZES,
        ("kind", _bucket_or_none("run"), _bucket_or_none("wait"), _SLICE),
        strict=True,
    ),
    "executor",
)
# SQLite takes the number from the line that has the maximum.
_GROUPS: Final = f"""
    SELECT {_PACKED} AS packed, count(*), CAST(total(shots) AS INTEGER),
        sum(cost_usd), sum(alone),
        max(CASE WHEN kind IN (1, 4) THEN erred_at END), number
    FROM ({_LINES}) GROUP BY packed
"""
# Circuits that are alone in their job are counted as they are, which is quicker.
_JOBS: Final = f"""
    SELECT executor, count(DISTINCT job_id) FROM entries
    WHERE job_size <> 1 AND state <> 'cached' AND job_id <> '' AND {_SINCE}
    GROUP BY executor
"""
_OPEN: Final = f"""
    SELECT executor, process, born,
        EXISTS (SELECT 1 FROM job_circuits AS of WHERE of.call = calls.id) AS has_job,
        count(*)
    FROM entries JOIN calls ON calls.number = entries.call
    WHERE state IN ('submitted', 'started') AND {_SINCE}
    GROUP BY executor, process, born, has_job
"""
_ERROR: Final = "SELECT error FROM entries WHERE number = ?"
_BOUNDS: Final = {f"bound{number}": bound for number, bound in enumerate(BOUNDS_S)}


def tallies(connection: sqlite3.Connection, since: float | None) -> list[Tally]:
    """Return what each executor did, in the order of the executors' texts."""
    asked: dict[str, Any] = {"since": since}
    looked_at = window(since, connection.execute(_FIRST, asked).fetchone()[0])
    counts = _counts(connection, asked, looked_at)
    for executor, jobs in connection.execute(_JOBS, asked):
        counts[executor].jobs += jobs
    running = functools.cache(functools.partial(is_running, connection))
    for executor, process, born, has_job, count in connection.execute(_OPEN, asked):
        awaited = has_job or running(process, born)
        counts[executor].states["under_way" if awaited else "lost"] += count
    shown = dict(connection.execute("SELECT number, shown FROM executors"))
    by_text = sorted((shown[number], of) for number, of in counts.items())
    return [of.tally(text, looked_at) for text, of in by_text]


def _counts(
    connection: sqlite3.Connection, asked: dict[str, Any], looked_at: Window
) -> defaultdict[int, Counts]:
    """Return what a line tells by itself, by the number of the executor."""
    counts: defaultdict[int, Counts] = defaultdict(Counts)
    last: dict[int, tuple[float, int]] = {}
    values = {"begin": looked_at.since, "slice_s": looked_at.slice_s, **_BOUNDS}
    rows = connection.execute(_GROUPS, asked | values)
    for packed, count, shots, cost, alone, erred_at, number in rows:
        executor, kind, run, wait, part = _unpacked(packed)
        of = counts[executor]
        of.shots += shots
        of.pay(cost)
        of.jobs += alone
        if _KINDS[kind] != "open":
            of.states[_KINDS[kind]] += count
        if run != _NONE:
            of.run_times[run] += count
        if wait != _NONE:
            of.wait_times[wait] += count
        if part != SLICES:
            of.throughput[part] += count
        if erred_at is not None:
            last[executor] = max(last.get(executor, (erred_at, 0)), (erred_at, number))
    for executor, (at, number) in last.items():
        error = connection.execute(_ERROR, (number,)).fetchone()[0]
        counts[executor].last_error = (at, error)
    return counts


def _unpacked(packed: int) -> tuple[int, ...]:
    """Return the executor, and what it was packed with."""
    parts = []
    for size in reversed(_SIZES):
        packed, part = divmod(packed, size)
        parts.append(part)
    return packed, *reversed(parts)

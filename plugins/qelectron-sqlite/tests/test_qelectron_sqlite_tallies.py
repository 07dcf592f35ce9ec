"""What executors did, counted in the file: as in memory, and quickly."""

import os
import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qelectron_core.memory_store import MemoryStore
from qelectron_core.store import Call, Entry, Intent
from qelectron_core.tally import BOUNDS_S, SLICES, Tally
from qelectron_sqlite import history
from qelectron_sqlite.store import SqliteStore

NOW = 1_800_000_000.0
HERE = f"{socket.gethostname()}:{os.getpid()}"
#: A number that no process of this machine has.
GONE = f"{socket.gethostname()}:{2**22 + 1}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "store.sqlite3")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qelectron_core.tally.time", SimpleNamespace(time=lambda: NOW))


def call(call_id: str, process: str = HERE, **changes: Any) -> Call:
    return attrs.evolve(Call(call_id, "f", "Echo()", 1, NOW, process), **changes)


def entry(call_id: str = "call-1", index: int = 0, **changes: Any) -> Entry:
    line = Entry(call_id, index, "completed", "Echo()", NOW - 9, 1, NOW - 8, NOW - 7)
    return attrs.evolve(line, **changes)


# --- As in memory ---------------------------------------------------------------------

CANCELLED = ["CancelledError", "JobCancelledError: by the vendor"]
NOT_CANCELLED = ["", "E: a", "E: é", "E: 😀", "JobCancelledErr", "é CancelledError"]
ERRORS = st.sampled_from([None, *CANCELLED, *NOT_CANCELLED])
SPANS = st.sampled_from([*BOUNDS_S, -1.0, 0.0, 1e9]) | st.floats(-1, 5000)
TIMES = st.none() | st.builds(lambda span: NOW - span, SPANS)


@st.composite
def lines(draw: st.DrawFn) -> Entry:
    submitted_at = NOW - draw(SPANS)
    started_at = draw(st.none() | SPANS.map(lambda span: submitted_at + span))
    later = SPANS.map(lambda span: (started_at or submitted_at) + span)
    job_size = draw(st.integers(0, 3))
    return Entry(
        call_id=draw(st.sampled_from(["call-1", "call-2", "call-3"])),
        index=draw(st.integers(0, 3)),
        attempt=draw(st.integers(1, 3)),
        state=draw(st.sampled_from(["submitted", "started", "retried", "completed"]))
        if draw(st.booleans())
        else draw(st.sampled_from(["completed", "failed", "cached"])),
        executor=draw(st.sampled_from(["Echo()", "Aé()", "😀", "\ufffd"])),
        submitted_at=submitted_at,
        started_at=started_at,
        finished_at=draw(st.none() | later),
        shots=draw(st.none() | st.integers(0, 10**6)),
        # What is alone in its job shares its id with no other line.
        job_id=f"job-{draw(st.integers(0, 3))}" if job_size > 1 else "",
        job_size=job_size,
        cost_usd=draw(st.none() | st.integers(0, 99).map(lambda n: n / 8)),
        error=draw(ERRORS),
    )


def named(entries: list[Entry]) -> list[Entry]:
    """Give lines of jobs of one circuit an id of their own, but for one in five."""
    return [
        attrs.evolve(one, job_id=f"alone-{number}")
        if one.job_size == 1 and number % 5
        else one
        for number, one in enumerate(entries)
    ]


@given(
    entries=st.lists(lines(), max_size=30).map(named),
    since=st.none() | st.builds(lambda span: NOW - span, SPANS),
)
@settings(max_examples=100, deadline=None)
def test_it_counts_as_memory_does(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry], since: float | None
) -> None:
    path = tmp_path_factory.mktemp("tallies") / "store.sqlite3"
    memory = MemoryStore()
    with closing(SqliteStore(path)) as store:
        for one in (store, memory):
            one.write([call("call-1"), call("call-2")], entries)  # call-3 is unknown
        check(store.tallies(since=since), memory.tallies(since=since), entries)


def check(found: Sequence[Tally], wanted: Sequence[Tally], lines: list[Entry]) -> None:
    """Compare tallies; of errors that came at the same time, either is the last."""
    assert [attrs.evolve(one, last_error=None) for one in found] == [
        attrs.evolve(one, last_error=None) for one in wanted
    ]
    errors = {(e.executor, e.error) for e in lines}
    for one, other in zip(found, wanted, strict=True):
        assert (one.executor, one.last_error) in {*errors, (one.executor, None)}
        assert (one.last_error is None) == (other.last_error is None)


def test_clocks_that_differ_do_no_harm(store: SqliteStore) -> None:
    ends = [NOW - 1000, NOW - 600, NOW + 1000, float("inf")]
    entries = [entry("call-1", n, finished_at=at) for n, at in enumerate(ends)]
    memory = MemoryStore()
    for one in (store, memory):
        one.write([call("call-1")], entries)
    found = store.tallies(since=NOW - 500)
    check(found, memory.tallies(since=NOW - 500), entries)
    assert found[0].throughput == (2, *(0,) * (SLICES - 2), 2)


def test_the_last_error_is_that_which_came_last(store: SqliteStore) -> None:
    told = [("E: early", 0), ("E: last", 9), ("E: between", 5)]
    entries = [
        entry("call", n, state="failed", error=error, finished_at=NOW + at)
        for n, (error, at) in enumerate(told)
    ]
    entries.append(entry("call", 9, state="retried", error="E: 😀"))
    store.write([call("call")], [entries[3], *entries[:3]])
    (one,) = store.tallies()
    assert (one.last_error, one.last_error_at) == ("E: last", NOW + 9)


# --- What is under way ----------------------------------------------------------------


def test_what_a_process_left_is_lost_unless_a_vendor_has_a_job_of_its_call(
    store: SqliteStore,
) -> None:
    from pennylane.tape import QuantumScript

    calls = [call("lives"), call("gone", GONE), call("at-vendor", GONE)]
    begun = [
        entry(one.id, n, state=state, finished_at=None)
        for one in calls
        for n, state in enumerate(["started", "submitted"])
    ]
    ended = entry("gone", 5)
    job = Intent("job-1", None, (QuantumScript(),), (("at-vendor", 0),), NOW)
    store.intend(job)
    store.write(calls, [*begun, ended])
    (one,) = store.tallies()
    assert (one.under_way, one.lost, one.completed) == (4, 2, 1)
    assert {run.id: run.state for run in store.runs()} == {
        "lives": "running",
        "gone": "lost",
        "at-vendor": "running",
    }
    store.ended("job-1")
    (one,) = store.tallies()
    assert (one.under_way, one.lost, one.completed) == (2, 4, 1)


# --- Pages ----------------------------------------------------------------------------


def test_a_page_of_calls_is_found_by_an_index(store: SqliteStore) -> None:
    which = {"name": None, "since": None, "executor": None, "before": NOW}
    with store._here.viewer.reading() as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {history._PAGE}", which)
        told = " ".join(row[-1] for row in plan)
    assert "SEARCH calls USING INDEX calls_at (at<?)" in told
    assert "TEMP B-TREE" not in told


# --- Quickly --------------------------------------------------------------------------


def test_it_costs_little_per_line(store: SqliteStore) -> None:
    """Counts the steps of SQLite's machine: times depend on who else is at work."""
    drawn, count = random.Random(7), 5000
    entries = [
        entry(
            f"call-{n // 10}",
            n,
            submitted_at=NOW - n,
            started_at=NOW - n + drawn.lognormvariate(0, 2),
            finished_at=NOW - n + 9 + drawn.lognormvariate(0, 2),
            executor=f"Echo({n % 9})",
            state=drawn.choice(["completed", "completed", "failed"]),
            error="E: x" if n % 2 else None,
            job_id=f"job-{n // 5}",
            job_size=5,
        )
        for n in range(count)
    ]
    store.write([], entries)
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 100

    with store._here.viewer.reading() as connection:
        connection.set_progress_handler(step, 100)
    store.tallies()
    assert steps / count < 250

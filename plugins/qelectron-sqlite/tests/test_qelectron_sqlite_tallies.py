"""What executors did, counted in the file: as in memory, and quickly."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qelectron_core.memory_store import MemoryStore
from qelectron_core.store import Call, Entry
from qelectron_core.tally import BOUNDS_S
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
@settings(max_examples=200, deadline=None)
def test_it_counts_as_memory_does(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry], since: float | None
) -> None:
    path = tmp_path_factory.mktemp("tallies") / "store.sqlite3"
    memory = MemoryStore()
    with closing(SqliteStore(path)) as store:
        for one in (store, memory):
            one.write([call("call-1"), call("call-2")], entries)  # call-3 is unknown
        assert store.tallies(since=since) == memory.tallies(since=since)

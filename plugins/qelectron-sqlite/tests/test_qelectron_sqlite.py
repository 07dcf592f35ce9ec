"""The store in one SQLite file: what lasts, who runs what, and what is refused."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pennylane.tape import QuantumScript

from qelectron_core.errors import ConfigError, StoreError
from qelectron_core.store import Call, Entry, Intent, Kept, Key, Store, run_of
from qelectron_core.testing import StoreConformance
from qelectron_core.testing.conformance.doubles import SECRET, Fixed
from qelectron_sqlite import connections, results, schema
from qelectron_sqlite.processes import node, space
from qelectron_sqlite.store import SqliteStore

PROCESSES = 8
NOW = time.time()


class TestSqliteStore(StoreConformance):
    """The rules of stores."""

    folder: Path

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        type(self).folder = tmp_path

    def make(self) -> SqliteStore:
        return SqliteStore(self.folder / f"{len(list(self.folder.iterdir()))}.sqlite3")

    def reopen(self, store: Store) -> SqliteStore:
        assert isinstance(store, SqliteStore)
        return SqliteStore(store.path)


# --- Help -----------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path)) as opened:
        yield opened


def kept(key: Key, value: Any = 0.5, **changes: Any) -> Kept:
    return attrs.evolve(Kept(key, value, 0, "Simulator()", "job-1", NOW), **changes)


def call(call_id: str = "call-1", circuits: int = 1, at: float = NOW) -> Call:
    return Call(call_id, "circuit", "Simulator()", circuits, at)


def entry(call_id: str = "call-1", index: int = 0, **changes: Any) -> Entry:
    done = Entry(call_id, index, "completed", "Simulator()", NOW, finished_at=NOW + 1)
    return attrs.evolve(done, **changes)


def circuit(angle: float = 0.5) -> QuantumScript:
    return QuantumScript([qml.RX(angle, 0)], [qml.expval(qml.Z(0))])


def job(job_id: str = "job-1", *circuits: QuantumScript, **changes: Any) -> Intent:
    held = circuits or (circuit(),)
    places = tuple((f"call-{job_id}", index) for index in range(len(held)))
    intent = Intent(job_id, Fixed(1.0, token=SECRET), held, places, at=NOW)
    return attrs.evolve(intent, **changes)


def edit(path: Path, statement: str, *values: Any) -> None:
    """Change a file behind the back of the stores."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)


def pragma(path: Path, name: str) -> Any:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


PRELUDE = """
import os, signal, sys, time
from qelectron_core.store import *
from qelectron_sqlite.store import SqliteStore
store = SqliteStore(sys.argv[1])
def say(*words):
    print(*words, flush=True)
    sys.stdin.read()  # until the test has seen enough
"""


@pytest.fixture
def start(path: Path) -> Iterator[Callable[..., Any]]:
    """Start a process that has opened the store, and goes on with a script."""
    started: list[subprocess.Popen[str]] = []

    def begin(script: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(script), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process, and leave its number to a zombie."""
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


# --- Several processes ----------------------------------------------------------------


def test_eight_processes_open_a_new_file_at_once_and_share_the_work(
    path: Path, start: Callable[..., Any]
) -> None:
    workers = [
        start(
            f"""
            lines = [Entry("call-{n}", i, "completed", "E", 1.0) for i in range(50)]
            store.write([Call("call-{n}", "f", "E", 50, 1.0)], lines)
            mine = store.claim([Key("pool", draw=str(i)) for i in range(20)])
            say(sum(not claim.elsewhere for claim in mine))
            """
        )
        for n in range(PROCESSES)
    ]
    leaves = [int(said(worker)[0]) for worker in workers]
    assert sum(leaves) == 20
    with closing(SqliteStore(path)) as store:
        runs = store.runs()
        assert len(runs) == PROCESSES
        assert all(run.states == {"completed": 50} for run in runs)
    assert pragma(path, "integrity_check") == "ok"
    assert pragma(path, "journal_mode") == "wal"
    assert pragma(path, "auto_vacuum") == 2


def test_a_file_that_is_open_twice_keeps_what_is_written(
    path: Path, store: SqliteStore, start: Callable[..., Any]
) -> None:
    assert not store.runs()  # so that it holds locks
    with closing(SqliteStore(path)):
        assert said(start("store.close(); say('closed')")) == ["closed"]
        store.write([call()], [entry()])
    assert said(start("say(*[run.id for run in store.runs()])")) == ["call-1"]


def test_the_claims_of_a_killed_process_are_free_at_once(
    path: Path, store: SqliteStore, start: Callable[..., Any]
) -> None:
    process = start("store.claim([Key('a')]); say('claimed')")
    assert said(process) == ["claimed"]
    assert store.claim([Key("a")])[0].elsewhere
    kill(process)
    assert not store.claim([Key("a")])[0].elsewhere
    with closing(SqliteStore(path)) as other:
        assert other.claim([Key("a")])[0].elsewhere


def test_the_job_of_a_killed_process_is_taken_over_by_one(
    path: Path, start: Callable[..., Any]
) -> None:
    submitter = start(
        """
        import pennylane as qml
        from pennylane.tape import QuantumScript
        from qelectron_core.testing.conformance.doubles import Fixed
        held = (QuantumScript([qml.RX(0.5, 0)], [qml.expval(qml.Z(0))]),) * 2
        keys, places = (Key("a"), Key("b")), (("c", 0), ("c", 1))
        store.claim(keys)
        store.intend(Intent("job-1", Fixed(), held, places, 1.0, keys=keys))
        store.submitted("job-1", "handle-1")
        say("submitted")
        """
    )
    assert said(submitter) == ["submitted"]
    with closing(SqliteStore(path)) as early:
        assert early.adopt("job-1") is None
        assert early.jobs()[0].alive
    kill(submitter)
    heirs = [start(f"say(store.adopt('job-1') is not None, {n})") for n in range(3)]
    assert sorted(said(heir)[0] for heir in heirs) == ["False", "False", "True"]
    with closing(SqliteStore(path)) as late:
        assert [claim.elsewhere for claim in late.claim([Key("a"), Key("b")])] == [1, 1]
        (found,) = late.jobs()
        assert (found.handle, found.alive, len(found.circuits)) == ("handle-1", True, 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_claims_and_connections_of_its_own(
    store: SqliteStore, start: Callable[..., Any]
) -> None:
    parent = start(
        """
        store.claim([Key("a")])
        store._here.writer._lock.acquire()  # as if another thread was writing
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # the end of a child that hangs
            there = store.claim([Key("a"), Key("b")])
            store.write([Call("call-child", "f", "E", 0, 1.0)], [])
            print(*(claim.elsewhere for claim in there), flush=True)
            os._exit(0)
        store._here.writer._lock.release()
        os.waitpid(child, 0)
        store.write([Call("call-parent", "f", "E", 0, 2.0)], [])
        say(*(claim.elsewhere for claim in store.claim([Key("a"), Key("b")])))
        """
    )
    assert said(parent) == ["True", "False"]
    # The child has ended, so what it had claimed is free.
    assert said(parent) == ["False", "False"]
    assert [run.id for run in store.runs()] == ["call-parent", "call-child"]


OTHER_HOST = ("another-host", "", 1, "1")


@pytest.mark.parametrize(
    ("process", "beat_s_ago", "lives"),
    [
        (OTHER_HOST, 5, True),
        (OTHER_HOST, 90, False),
        ((node(), space(), os.getpid(), "another start"), 0, False),
        ((node(), space(), 2**22 + 1, "1"), 0, False),
        ((node(), "another container", 1, "1"), 5, True),
    ],
    ids=["fresh", "silent", "number used again", "gone", "container"],
)
def test_a_process_counts_as_living(
    path: Path, store: SqliteStore, process: Any, beat_s_ago: float, lives: bool
) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system does not tell when a process started")
    beat = time.time() - beat_s_ago
    edit(path, "INSERT INTO owners VALUES ('x', ?, ?, ?, ?, ?)", *process, beat)
    edit(path, "INSERT INTO claims VALUES ('a::', 'x', NULL)")
    assert store.claim([Key("a")])[0].elsewhere == lives


def test_a_beat_says_that_the_process_lives_and_what_it_used(
    path: Path, store: SqliteStore
) -> None:
    store.write([], [], [kept(Key("a"))])
    edit(path, "UPDATE owners SET beat = 0")
    edit(path, "UPDATE results SET used_at = 0")
    store.find([Key("a")])
    store._here.beat()
    with closing(sqlite3.connect(path)) as connection:
        for query in ("SELECT beat FROM owners", "SELECT used_at FROM results"):
            assert time.time() - connection.execute(query).fetchone()[0] < 60


def test_what_was_used_last_is_kept_at_the_end(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.write([], [], [kept(Key("a"))])
        edit(path, "UPDATE results SET used_at = 0")
        store.find([Key("a")])
    with closing(SqliteStore(path)) as store:
        assert store.prune(older_than_s=3600) == 0


def test_a_store_that_nobody_holds_gives_its_claims_back(path: Path) -> None:
    forgotten = SqliteStore(path)
    forgotten.claim([Key("a")])
    del forgotten
    with closing(SqliteStore(path)) as store:
        assert not store.claim([Key("a")])[0].elsewhere


# --- What lasts -----------------------------------------------------------------------


def test_the_usual_place_is_in_the_data_folder_and_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "platformdirs.user_data_path", lambda *_, **__: tmp_path / "d/q"
    )
    with closing(SqliteStore()) as store:
        store.write([call()], [])
        assert store.path == tmp_path / "d/q/store.sqlite3"
        if os.name == "posix":
            modes = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.rglob("*")}
            assert {modes["d"], modes["q"]} == {0o700}
            assert {m for name, m in modes.items() if "sqlite3" in name} == {0o600}


def test_what_must_last_is_on_the_disk_when_it_returns(store: SqliteStore) -> None:
    full, normal = 2, 1
    for connection, level in [
        (store._here.lasting, full),
        (store._here.writer, normal),
    ]:
        with connection.reading() as opened:
            assert opened.execute("PRAGMA synchronous").fetchone() == (level,)


def test_no_secret_is_in_the_file_or_its_log(path: Path, store: SqliteStore) -> None:
    store.intend(job())
    store.submitted("job-1", "handle-1")
    store.write([call()], [entry(executor=repr(Fixed(token=SECRET)))])
    (found,) = store.jobs()
    assert found.executor == Fixed(1.0)
    written = b"".join(p.read_bytes() for p in path.parent.iterdir())
    assert b"handle-1" in written
    assert SECRET.encode() not in written


class Odd(qml.operation.Operation):
    """An operator that only this program knows."""

    num_wires = 1

    def __init__(self, wires: Any) -> None:
        super().__init__(wires=wires)
        self.hyperparameters["function"] = lambda: None


def test_what_cannot_be_written_down_is_left_out(store: SqliteStore) -> None:
    odd = QuantumScript([Odd(0)], [qml.expval(qml.Z(0))])
    store.write(
        [call()], [entry(circuit=odd, value=object())], [kept(Key("a"), object())]
    )
    store.intend(job("job-1", odd))
    (run,) = store.runs(call_id="call-1")
    assert (run.state, run.entries[0].circuit) == ("completed", None)
    assert store.find([Key("a")]) == [None]
    # It must not be sent again by somebody who does not know what it holds.
    assert (store.jobs()[0].executor, store.jobs()[0].shown) == (
        None,
        "Fixed(value=1.0)",
    )


def test_an_executor_that_cannot_be_made_again_is_none(
    path: Path, store: SqliteStore
) -> None:
    store.intend(job())
    edit(
        path, "UPDATE jobs SET executor = '{\"class\": \"os:system\"}', settings = '?'"
    )
    (found,) = store.jobs()
    assert (found.executor, len(found.circuits)) == (None, 1)


def test_damaged_rows_are_shown_without_what_is_damaged(
    path: Path, store: SqliteStore
) -> None:
    store.write([call()], [entry(circuit=circuit(), value=0.5)], [kept(Key("a"))])
    edit(path, "UPDATE bodies SET circuit = 'no circuit', value = x'80049531'")
    edit(path, "UPDATE results SET value = x'80049531'")
    edit(path, "UPDATE calls SET versions = '[1'")
    (run,) = store.runs(call_id="call-1")
    assert (run.entries[0].circuit, run.entries[0].value) == (None, None)
    assert store.find([Key("a")]) == [None]
    assert store.claim([Key("a")])[0].kept is None
    store.write([], [], [kept(Key("a"), 0.25)])
    assert store.claim([Key("a")])[0].kept is not None


def test_texts_and_facts_of_any_kind_are_kept(store: SqliteStore) -> None:
    facts = {
        "number": np.float64(0.5),
        "many": np.arange(2),
        "odd": {1},
        "nan": np.nan,
    }
    store.write([call()], [entry(error="bad name: \udcff", metadata=facts)])
    (run,) = store.runs(call_id="call-1")
    assert run.entries[0].error == "bad name: \\udcff"
    assert {**run.entries[0].metadata, "nan": 0} == {
        "number": 0.5,
        "many": [0, 1],
        "odd": "{1}",
        "nan": 0,
    }


ATTEMPTS = st.builds(
    Entry,
    call_id=st.just("call-1"),
    index=st.integers(0, 3),
    attempt=st.integers(1, 3),
    state=st.sampled_from(
        ["submitted", "started", "retried", "completed", "failed", "cached"]
    ),
    executor=st.sampled_from(["A()", "B(x=',')"]),
    submitted_at=st.just(NOW),
    finished_at=st.none() | st.floats(NOW, NOW + 9),
    shots=st.none() | st.integers(1, 100),
    cost_usd=st.none() | st.integers(0, 4).map(float),
    error=st.sampled_from(
        [None, "ValueError: no", "CancelledError: ", "JobCancelledError: by hand"]
    ),
)


@given(
    lines=st.lists(ATTEMPTS, unique_by=lambda line: line.place, max_size=8),
    circuits=st.integers(0, 4),
    alive=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_a_list_of_calls_tells_what_run_of_tells(
    tmp_path_factory: pytest.TempPathFactory,
    lines: Sequence[Entry],
    circuits: int,
    alive: bool,
) -> None:
    path = tmp_path_factory.mktemp("journal") / "store.sqlite3"
    made = attrs.evolve(call(circuits=circuits), process="" if alive else f"{node()}:0")
    with closing(SqliteStore(path)) as store:
        store.write([made], lines)
        (listed,), (shown,) = store.runs(), store.runs(call_id="call-1")
    expected = run_of(made, sorted(lines, key=lambda line: line.place), alive=alive)
    for field in ("state", "states", "shots", "cost_usd", "finished_at"):
        assert getattr(listed, field) == getattr(expected, field)
        assert getattr(shown, field) == getattr(expected, field)
    assert set(listed.executors) == set(expected.executors)


def test_a_result_is_looked_up_by_an_index(store: SqliteStore) -> None:
    with store._here.reader.reading() as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {results._FIND}", ("", "", ""))
        assert "USING INDEX" in plan.fetchone()[3]


# --- Files that are refused, and other trouble ----------------------------------------


def refused(path: Path, match: str) -> None:
    with pytest.raises(StoreError, match=match):
        SqliteStore(path)


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    SqliteStore(path).close()
    edit(path, "PRAGMA user_version = 7")
    refused(
        path,
        r"newer qelectron-sqlite \(schema 7, this one knows 2\)\. Upgrade .*or set",
    )
    assert pragma(path, "user_version") == 7


def test_a_file_of_another_program_is_left_alone(path: Path) -> None:
    edit(path, "CREATE TABLE recipes (name TEXT)")
    refused(path, "database of another program, and is left alone")


def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.write_text("Dear diary, " * 1000)
    refused(path, "is damaged, or no SQLite database. Move it away")
    assert path.read_text().startswith("Dear diary")


def test_a_damaged_file_is_reported(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        lines = [entry(index=n, error="x" * 500) for n in range(500)]
        store.write([call()], lines, [kept(Key(str(n))) for n in range(500)])
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(size - 8192))
    with pytest.raises(StoreError, match="is damaged, or no SQLite database"):  # noqa: PT012
        store = SqliteStore(path)
        store.find([Key("1")])
        store.runs()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON calls BEGIN DELETE FROM results; END",
        "CREATE VIEW v AS SELECT * FROM calls",
        "CREATE TABLE t (x)",
        "CREATE INDEX i ON calls (upper(name))",
        "DROP INDEX calls_at",
    ],
)
def test_a_file_with_anything_that_is_not_ours_is_refused(
    path: Path, store: SqliteStore, statement: str
) -> None:
    edit(path, statement)
    refused(path, "is not trusted: .* is missing, changed or not ours. Move it away")
    with pytest.raises(StoreError, match="is not trusted"):
        store.import_results(path)


def test_a_folder_that_is_none_is_reported(path: Path) -> None:
    path.write_text("")
    refused(path / "below" / "store.sqlite3", "could not be used.*set QELECTRON_STORE")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_that_cannot_be_written_is_reported(path: Path) -> None:
    path.parent.chmod(0o500)
    refused(path, "set QELECTRON_STORE")


def test_a_file_that_cannot_be_written_is_reported(
    path: Path, store: SqliteStore
) -> None:
    with store._here.writer.reading() as connection:
        connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match=r"cannot be written\. Change its mode"):
        store.write([call()], [])
    with store._here.writer.reading() as connection:
        connection.execute("PRAGMA query_only = OFF")


def test_a_full_disk_is_reported_and_what_is_there_stays(store: SqliteStore) -> None:
    store.write([call()], [entry()], [kept(Key("a"))])
    with store._here.writer.reading() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    large = [kept(Key(str(n)), np.zeros(4096)) for n in range(9)]
    with pytest.raises(StoreError, match=r"the disk is full\. Make room"):
        store.write([call("call-2")], [entry("call-2")], large)
    assert [run.id for run in store.runs()] == ["call-1"]
    assert store.find([Key("a"), Key("0")])[1] is None
    store.write([call("call-3")], [])


def test_a_file_that_stays_locked_is_reported(
    path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_S", 0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another process for too long"):
            store.intend(job())
    store.intend(job())


def test_a_closed_store_says_so(store: SqliteStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match=r"store\.sqlite3' has been closed"):
        store.find([Key("a")])


def test_an_old_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 26, 0))
    refused(path, "needs 3.38 or newer. Use a newer build of Python")


def test_versions_are_applied_one_after_the_other(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqliteStore(path)) as store:
        store.write([call()], [], [kept(Key("a"))])
    later = (*schema.MIGRATIONS, ("ALTER TABLE calls ADD COLUMN note TEXT",))
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    monkeypatch.setattr(schema, "VERSION", len(later))
    schema._expected.cache_clear()
    try:
        with closing(SqliteStore(path)) as store:
            assert [run.id for run in store.runs()] == ["call-1"]
            assert store.find([Key("a")])[0] is not None
    finally:
        schema._expected.cache_clear()
    assert pragma(path, "user_version") == len(later)


# --- Limits ---------------------------------------------------------------------------


def test_the_results_go_first_that_were_not_used_for_longest(path: Path) -> None:
    keys = [Key(f"{number:03}") for number in range(400)]
    with closing(SqliteStore(path, max_bytes=1_000_000)) as store:
        for key in keys:
            store.write([], [], [kept(key, np.zeros(1000))])
            store.find(keys[:1])
            assert store.usage().total_bytes < 1_200_000
        found = store.find(keys)
    gone = [number for number, one in enumerate(found) if one is None]
    assert gone == list(range(1, len(gone) + 1))
    assert 200 < len(gone) < 360
    assert path.stat().st_size < 1_200_000


def test_a_result_that_would_push_out_all_others_is_not_kept(path: Path) -> None:
    with closing(SqliteStore(path, max_bytes=1_000_000)) as store:
        store.write([], [], [kept(Key("a")), kept(Key("b"), np.zeros(100_000))])
        assert [one is not None for one in store.find([Key("a"), Key("b")])] == [1, 0]


def test_a_training_loop_does_not_fill_the_disk(path: Path) -> None:
    with closing(SqliteStore(path, max_circuits=1000)) as store:
        store.intend(job("job-0", circuit()))
        for number in range(40):
            made = [call(f"call-{number}-{n}", at=NOW + number) for n in range(100)]
            store.write(
                [*made, *([call("call-job-0", at=NOW - 9)] if not number else [])],
                [entry(one.id, circuit=circuit()) for one in made],
            )
            assert store.usage().circuits <= 1600
        left = {run.id for run in store.runs()}
    assert {"call-job-0", "call-39-99"} < left
    assert "call-0-0" not in left


def test_old_calls_leave_the_journal_but_not_those_of_open_jobs(path: Path) -> None:
    old = NOW - 5 * 24 * 3600
    with closing(SqliteStore(path, max_age_days=4)) as store:
        store.intend(job("job-0"))
        lines = [entry("call-old"), entry("call-new")]
        ids = {"call-old": old, "call-job-0": old, "call-new": NOW}
        store.write([call(one, at=at) for one, at in ids.items()], lines)
        store.prune()
        assert {run.id for run in store.runs()} == {"call-job-0", "call-new"}
        assert store.usage().circuits == 1


def test_a_large_journal_makes_room_before_results_do(path: Path) -> None:
    with closing(SqliteStore(path, max_bytes=1_000_000)) as store:
        store.write([], [], [kept(Key(str(n))) for n in range(100)])
        for number in range(30):
            lines = [entry(f"c{number}", n, value=np.zeros(64)) for n in range(100)]
            store.write([call(f"c{number}", 100, NOW + number)], lines)
        assert store.usage().results == 100
        assert store.usage().total_bytes < 1_300_000


def test_prune_and_clear_delete_results_and_nothing_else(
    path: Path, store: SqliteStore
) -> None:
    results = [kept(Key(str(n)), np.zeros(1000)) for n in range(100)]
    store.write([call()], [entry()], results)
    edit(path, "UPDATE results SET used_at = 0 WHERE pool < '2'")
    assert store.prune(older_than_s=3600) == 12
    pruned = store.prune(max_bytes=500_000)
    assert store.usage().total_bytes <= 500_000
    assert store.clear() == 100 - 12 - pruned > 20
    assert store.usage().results == 0
    assert [run.id for run in store.runs()] == ["call-1"]


@pytest.mark.parametrize("option", ["max_bytes", "max_age_days", "max_circuits"])
def test_a_limit_that_keeps_nothing_is_refused(path: Path, option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option}=0 is no limit"):
        SqliteStore(path, **{option: 0})


# --- Export and import ----------------------------------------------------------------


def test_results_are_taken_along(store: SqliteStore, tmp_path: Path) -> None:
    store.write([call()], [], [kept(Key("a"), 1.0), kept(Key("b"), (np.arange(3), 2))])
    target = tmp_path / "taken"
    assert store.export_results(target) == 2
    assert sorted(p.name for p in tmp_path.iterdir() if "taken" in p.name) == ["taken"]
    with closing(SqliteStore(tmp_path / "other")) as other:
        newer, older = NOW + 9, NOW - 9
        other.write(
            [], [], [kept(Key("a"), 9.0, at=newer), kept(Key("b"), 9.0, at=older)]
        )
        assert other.import_results(target) == 1
        assert other.import_results(target) == 0
        assert [one and one.value for one in other.find([Key("a")])] == [9.0]
        (found,) = other.find([Key("b")])
        assert found is not None
        assert found.value[0].tolist() == [0, 1, 2]
        assert other.runs() == []


def test_an_export_replaces_nothing(store: SqliteStore, tmp_path: Path) -> None:
    target = tmp_path / "thesis.tex"
    target.write_text("precious")
    with pytest.raises(StoreError, match="is there already and is not replaced"):
        store.export_results(target)
    assert target.read_text() == "precious"


def test_damaged_results_are_not_imported(store: SqliteStore, tmp_path: Path) -> None:
    store.write([], [], [kept(Key("a")), kept(Key("b"))])
    target = tmp_path / "taken"
    store.export_results(target)
    edit(target, "UPDATE results SET value = x'80049531' WHERE pool = 'a'")
    store.clear()
    assert store.import_results(target) == 1
    assert [one is not None for one in store.find([Key("a"), Key("b")])] == [0, 1]


def test_what_is_no_export_is_not_imported(store: SqliteStore, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all" * 100)
    sqlite3.connect(tmp_path / "empty").close()
    for name, match in [
        ("text", "no SQLite database"),
        ("empty", "nothing that can be imported"),
        ("absent", "cannot be opened"),
    ]:
        with pytest.raises(StoreError, match=match):
            store.import_results(tmp_path / name)


def test_a_trigger_under_a_name_of_sqlite_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        hostile = (
            "CREATE TRIGGER sqlite_stat1 AFTER INSERT ON calls "
            "BEGIN DELETE FROM results; END"
        )
        row = ("trigger", "sqlite_stat1", "calls", 0, hostile)
        connection.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)
        connection.commit()
    with pytest.raises(StoreError, match="not trusted: sqlite_stat1"):
        SqliteStore(path)


def test_ctrl_c_while_a_transaction_begins_leaves_none_open(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite3")

    class Interrupted:
        """A connection that is interrupted when a transaction has just begun."""

        def __init__(self, connection: sqlite3.Connection) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        def execute(self, statement: str, *arguments: Any) -> Any:
            done = self._connection.execute(statement, *arguments)
            if statement.startswith("BEGIN"):
                raise KeyboardInterrupt
            return done

    writer = store._here.writer
    opened: Any = writer._opened or writer._open()
    writer._opened = Interrupted(opened)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        store.claim([Key("a")])
    writer._opened = opened
    assert store.claim([Key("a")])[0].kept is None
    store.close()

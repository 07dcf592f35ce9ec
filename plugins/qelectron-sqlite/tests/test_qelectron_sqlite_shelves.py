"""What plugins keep in the file: as a dictionary would, of whom, and for how long."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qelectron_core.errors import StoreError
from qelectron_core.store import Call, Document, Entry, Kept, Key
from qelectron_sqlite import schema, shelves
from qelectron_sqlite.store import SqliteStore

KIND = "kit.thing"
NOW = time.time()
DAY_S = 24 * 3600


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path)) as opened:
        yield opened


def document(id: str = "a", part: str = "", **changes: Any) -> Document:
    return attrs.evolve(Document(KIND, id, b"body", NOW, part), **changes)


def bodies(store: SqliteStore, id: str = "a") -> dict[str, bytes]:
    return {one.part: one.body for one in store.documents(KIND, id=id)}


def alive(store: SqliteStore, id: str = "a") -> list[str]:
    return [one.part for one in store.documents(KIND, id=id) if one.alive]


def edit(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


# --- As a dictionary would ------------------------------------------------------------

NAMES = st.sampled_from(["", "1", "10", "a", "\udcff", "\0"]) | st.text(max_size=3)
DOCUMENTS = st.builds(
    Document,
    kind=st.sampled_from([KIND, "kit.other"]),
    id=NAMES,
    body=st.binary(max_size=50),
    at=st.floats(0, NOW),
    part=st.just("") | NAMES,
)
STEPS = st.lists(
    st.tuples(st.just("put"), st.lists(DOCUMENTS, max_size=4))
    | st.tuples(st.just("drop"), NAMES)
    | st.tuples(st.just("open again"), st.none()),
    max_size=10,
)


@given(steps=STEPS)
@settings(max_examples=60, deadline=None)
def test_it_keeps_what_a_dictionary_would(
    tmp_path_factory: pytest.TempPathFactory, steps: Any
) -> None:
    path = tmp_path_factory.mktemp("shelf") / "store.sqlite3"
    store, model = SqliteStore(path), dict[tuple[str, str, str], Document]()
    for step, told in steps:
        if step == "put":
            store.put(told)
            model |= {one.place: one for one in told}
        elif step == "drop":
            gone = [place for place in model if place[:2] == (KIND, told)]
            assert store.drop(KIND, told) == len(gone)
            for place in gone:
                del model[place]
        else:
            store.close()
            store = SqliteStore(path)
    with closing(store):
        for kind in (KIND, "kit.other"):
            check(store, kind, [one for one in model.values() if one.kind == kind])


def check(store: SqliteStore, kind: str, kept: list[Document]) -> None:
    for id in {one.id for one in kept}:
        wanted = sorted((one.part, one.body, one.at) for one in kept if one.id == id)
        found = store.documents(kind, id=id)
        assert [(one.part, one.body, one.at) for one in found] == wanted
    things = store.documents(kind)
    assert sorted(one.id for one in things) == sorted(o.id for o in kept if not o.part)
    times = [one.at for one in things]
    assert times == sorted(times, reverse=True)


def test_things_are_listed_by_an_index(store: SqliteStore) -> None:
    for query, index in [
        (shelves._THINGS, "documents_recent"),
        (shelves._OLDEST, "COVERING INDEX documents_things"),
        (shelves._PARTS, "autoindex_documents"),
    ]:
        with store._here.reader.reading() as connection:
            values = [b"", b"", 1][-query.count("?") :]
            plan = connection.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()
        assert index in plan[0][3], plan


# --- Several processes ----------------------------------------------------------------

PRELUDE = """
import sys
import qelectron_core as ct
shelf = ct.Shelf("kit.thing", store=sys.argv[1])
def say(*words):
    print(*words, flush=True)
    sys.stdin.readline()  # until the test has seen enough
"""


@pytest.fixture
def start(path: Path) -> Iterator[Callable[[str], Any]]:
    """Start a process that has a shelf in the file, and goes on with a script."""
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


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process, and leave its number to a zombie."""
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def test_two_processes_see_what_each_other_keeps(
    path: Path, store: SqliteStore, start: Callable[[str], Any]
) -> None:
    other = start(
        """
        shelf.put_all([("a", "", b"1"), ("a", "1", b"2")], wait=True)
        say("kept")
        say(*(one.body.decode() for one in shelf.read("a").values()))
        say(shelf.drop("a"))
        """
    )
    assert said(other) == ["kept"]
    assert bodies(store) == {"": b"1", "1": b"2"}
    assert alive(store) == ["", "1"]
    store.put([document(part="1", body=b"changed"), document(part="2", body=b"new")])
    go_on(other)
    assert said(other) == ["1", "changed", "new"]
    go_on(other)
    assert said(other) == ["3"]
    assert bodies(store) == {}


def test_what_a_killed_process_waited_for_is_there_and_not_alive(
    path: Path, store: SqliteStore, start: Callable[[str], Any]
) -> None:
    other = start(
        """
        shelf.put_all([("a", "", b"1"), ("a", "1", b"2")], wait=True)
        say("kept")
        """
    )
    assert said(other) == ["kept"]
    store.put([document(part="2", body=b"3")])
    kill(other)
    assert bodies(store) == {"": b"1", "1": b"2", "2": b"3"}
    assert alive(store) == ["2"]
    assert [one.alive for one in store.documents(KIND)] == [False]
    store.put([document(part="1", body=b"taken over")])
    assert alive(store) == ["1", "2"]


def test_a_killed_process_leaves_no_half_of_what_it_kept_together(
    path: Path, start: Callable[[str], Any]
) -> None:
    for number in range(5):
        other = start(
            """
            say("ready")
            for number in range(10**6):
                body = b"%d" % number
                shelf.put_all([("a", str(n), body) for n in range(20)], wait=True)
                if number == 3:
                    print("some", flush=True)
            """
        )
        assert said(other) == ["ready"]
        go_on(other)
        assert said(other) == ["some"]
        kill(other)
        with closing(SqliteStore(path)) as store:
            assert len(set(bodies(store).values())) == 1, number
            assert len(bodies(store)) == 20


def test_a_process_that_ends_as_usual_leaves_what_it_did_not_wait_for(
    path: Path, start: Callable[[str], Any]
) -> None:
    other = start("shelf.put('a', b'1')")
    assert other.wait(60) == 0
    with closing(SqliteStore(path)) as store:
        assert bodies(store) == {"": b"1"}
        assert alive(store) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_documents_of_its_own(
    store: SqliteStore, start: Callable[[str], Any]
) -> None:
    parent = start(
        """
        import os, signal
        shelf.put("a", b"parent", wait=True)
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # the end of a child that hangs
            shelf.put("a", b"child", part="1", wait=True)
            print(*(one.alive for one in shelf.read("a").values()), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        say(*(one.alive for one in shelf.read("a").values()))
        """
    )
    assert said(parent) == ["True", "True"]
    assert said(parent) == ["True", "False"]
    assert alive(store) == [""]


# --- Files of the first version -------------------------------------------------------


def make_first(path: Path) -> None:
    """Make a file as the first version did, with a call and a result in it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for statement in schema._FIRST:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute(
            "INSERT INTO calls "
            "(id, name, executors, circuits, at, process, born, versions) "
            "VALUES ('call-1', 'circuit', 'S()', 1, 1.0, 'host:1', '', '{}')"
        )


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def test_a_file_of_the_first_version_is_brought_up_to_date(path: Path) -> None:
    make_first(path)
    with closing(SqliteStore(path)) as store:
        assert [run.id for run in store.runs()] == ["call-1"]
        assert store.documents(KIND) == []
        store.put([document()])
    assert version(path) == schema.VERSION == 2
    with closing(SqliteStore(path)) as store:
        assert bodies(store) == {"": b"body"}


def test_the_tables_of_the_first_version_have_not_changed() -> None:
    digest = hashlib.sha256("\n".join(schema._FIRST).encode()).hexdigest()
    assert digest == "ae340fcf3822831db8ef77b93dabdad0ce201fadacb4506cad15a95b68467f8a"


def test_a_file_of_the_first_version_with_more_in_it_is_refused(path: Path) -> None:
    make_first(path)
    edit(path, "CREATE TABLE documents (x)")
    with pytest.raises(StoreError, match=r"could not be used\. If that persists"):
        SqliteStore(path)
    assert version(path) == 1


def test_results_of_the_first_version_are_imported(
    path: Path, store: SqliteStore, tmp_path: Path
) -> None:
    store.write([], [], [Kept(Key("a"), 0.5, 0, "S()", "job-1", NOW)])
    taken = tmp_path / "taken"
    store.export_results(taken)
    for table in ("documents", "spent", "held"):
        edit(taken, f"DROP TABLE {table}")
    edit(taken, "PRAGMA user_version = 1")
    store.clear()
    assert store.import_results(taken) == 1
    assert version(taken) == 1
    edit(taken, "CREATE TABLE t (x)")
    with pytest.raises(StoreError, match="not trusted: t"):
        store.import_results(taken)


# --- How much, and for how long -------------------------------------------------------


def test_a_thing_goes_as_a_whole_when_all_of_it_is_old(path: Path) -> None:
    old = NOW - 5 * DAY_S
    with closing(SqliteStore(path, max_age_days=4)) as store:
        store.put([document("old", f"{part}", at=old) for part in range(3)])
        store.put([document("half", at=old), document("half", "1")])
        store.put([document("new")])
        store.prune()
        found = [len(bodies(store, id)) for id in ("old", "half", "new")]
        assert found == [0, 2, 1]


def test_the_oldest_things_go_before_they_take_more_than_half_of_the_file(
    path: Path,
) -> None:
    with closing(SqliteStore(path, max_bytes=1_000_000)) as store:
        store.write(
            [Call("call-1", "circuit", "S()", 1, NOW)],
            [],
            [Kept(Key("a"), 0.5, 0, "S()", "job-1", NOW)],
        )
        for number in range(100):
            body = bytes(10_000)
            parts = [document(f"{number}", p, at=NOW + number, body=body) for p in "12"]
            store.put([document(f"{number}", at=NOW + number), *parts])
            assert store.usage().total_bytes < 1_000_000
        left = [int(one.id) for one in store.documents(KIND)]
        assert left == list(range(99, 99 - len(left), -1))
        assert 15 < len(left) < 40
        assert all(len(bodies(store, f"{number}")) == 3 for number in left)
        assert [run.id for run in store.runs()] == ["call-1"]
        assert store.usage().results == 1


def test_documents_do_not_push_calls_out_of_the_journal(path: Path) -> None:
    with closing(SqliteStore(path, max_bytes=1_000_000)) as store:
        calls = [Call(f"call-{n}", "circuit", "S()", 1, NOW + n) for n in range(100)]
        lines = [Entry(one.id, 0, "completed", "S()", NOW) for one in calls]
        store.write(calls, lines)
        store.put([document(f"{number}", body=bytes(10_000)) for number in range(45)])
        results = [
            Kept(Key(f"{number}"), (0.5,) * 1000, 0, "S()", "job-1", NOW)
            for number in range(100)
        ]
        store.write([], [], results)
        store.prune()
        assert 0 < store.usage().results < 100
        assert store.usage().calls == 100
        assert len(store.documents(KIND)) == 45


def test_results_and_documents_leave_each_other_alone(store: SqliteStore) -> None:
    store.write([], [], [Kept(Key("a"), 0.5, 0, "S()", "job-1", NOW)])
    store.put([document(body=bytes(100_000))])
    assert store.usage().total_bytes > 100_000
    assert store.clear() == 1
    assert store.prune(max_bytes=1) == 0
    assert len(bodies(store)[""]) == 100_000

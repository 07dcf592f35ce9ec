"""The pages of dispatches: the list, and the graph of one with its states."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dashboard_browser import Seen, looking_at, needs_browser

pytest.importorskip("qelectron_dask", reason="needs qelectron-dask")

from qelectron_core.errors import FormatError
from qelectron_core.memory_store import MemoryStore
from qelectron_core.store import Document, Store
from qelectron_dashboard.reading import dispatches, picture
from qelectron_dask.workflow import records
from qelectron_dask.workflow.result import LatticeOutput
from qelectron_dask.workflow.states import CallSummary, ElectronRun
from qelectron_sqlite.store import SqliteStore

#: What would change a page that took it for HTML, or be run as a script.
HOSTILE = "<img src=x onerror=\"document.title='owned'\">:x\u202e\x1b[31m"
PARENTS = ((), (0,), (0,), (1, 2))

#: A program whose lattice does not end by itself.
PROGRAM = """
import threading
import qelectron_core as ct

@ct.electron
def wait(x):
    threading.Event().wait(0.3)
    return x

@ct.lattice
def chain():
    x = 0
    for _ in range(500):
        x = wait(x)
    return x

ct.get_result(ct.dispatch(chain)(), wait=True)
"""


def header_of(
    parents: Sequence[tuple[int, ...]] = PARENTS, name: str = "step", **changes: Any
) -> records.Header:
    """Return what is written down of a dispatch once."""
    header = records.Header(
        lattice="chemistry",
        path="laboratory:chemistry",
        at=time.time(),
        process="here:1",
        names=tuple(f"{name}_{number}" for number in range(len(parents))),
        parents=tuple(parents),
        fingerprints=("",) * len(parents),
    )
    return attrs.evolve(header, **changes)


def run_of(number: int, state: Any = "completed", **changes: Any) -> ElectronRun:
    """Return what became of an electron."""
    run = ElectronRun(
        number, f"step_{number}", state, attempt=1, started_at=1.0, finished_at=3.5
    )
    return attrs.evolve(run, **changes)


def put(
    store: Store,
    dispatch_id: str,
    header: records.Header | None = None,
    runs: Sequence[ElectronRun] = (),
    output: Any = None,
) -> None:
    """Write down a dispatch, or what has become of it."""
    bodies = {records.electron_part(r.number): records.write_electron(r) for r in runs}
    if header is not None:
        bodies |= {"": records.write_header(header), records.ARGUMENTS: b""}
    if output is not None:
        bodies[records.OUTPUT] = records.write_output(LatticeOutput(output))[1]
    now = time.time()
    store.put(
        [
            Document(records.KIND, dispatch_id, body, now, part)
            for part, body in bodies.items()
        ]
    )


# --- What is read ---------------------------------------------------------------------


@pytest.fixture
def kept() -> MemoryStore:
    return MemoryStore()


def shown(store: Store, chosen: int | None = None) -> dispatches.Shown:
    """Return the dispatch "d", as it is shown."""
    found = dispatches.Reader(store).shown("d", chosen)
    assert found is not None
    return found


def test_without_qelectron_dask_nothing_is_read(
    kept: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dispatches.is_readable(kept)
    monkeypatch.setitem(sys.modules, "qelectron_dask", None)
    assert not dispatches.is_readable(kept)


def test_dispatches_are_listed_with_their_progress(kept: MemoryStore) -> None:
    put(kept, "d", header_of(), [run_of(0), run_of(1, "failed", error="E: no")])
    (row,) = dispatches.Reader(kept).rows(10)
    assert (row["name"], row["state"], row["ended"]) == (
        "chemistry",
        "running",
        "2 of 4",
    )
    assert row["failed"] == 1


def test_what_has_ended_is_read_once_for_the_list(
    kept: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(kept, "d", header_of(), [run_of(number) for number in range(4)], output=1.5)
    reader = dispatches.Reader(kept)
    (row,) = reader.rows(10)
    assert row["state"] == "completed"
    monkeypatch.setattr(reader, "_recorded", None)
    assert reader.rows(10) == [row]


def test_what_cannot_be_read_is_not_listed(kept: MemoryStore) -> None:
    put(kept, "d", header_of())
    put(kept, "other", header_of())
    kept.put([Document(records.KIND, "d", b"{}", 0.0)])
    reader = dispatches.Reader(kept)
    assert [row["id"] for row in reader.rows(10)] == ["other"]
    with pytest.raises(FormatError, match="the record of d cannot be read"):
        reader.shown("d")
    assert reader.shown("unknown") is None


def test_only_the_chosen_electron_is_read_with_its_result(kept: MemoryStore) -> None:
    runs = [run_of(number, result={"00": 3 + number}) for number in range(4)]
    put(kept, "d", header_of(), runs, output=(0.25, 1.0))
    found = shown(kept, chosen=2)
    assert found.result == "0: 0.25\n1: 1"
    assert found.counts == {"completed": 4}
    assert found.ended == 4
    assert found.chosen is not None
    assert found.chosen.result.startswith("00  5")
    assert ("took", "2.5 s") in found.chosen.facts
    assert shown(kept).chosen is None
    assert shown(kept, chosen=4).chosen is None


def test_details_tell_of_errors_and_of_calls(kept: MemoryStore) -> None:
    call = CallSummary("call-1", 2, ("Echo()",), shots=10, cost_usd=0.5, failed=1)
    run = run_of(
        1, "failed", error="E: no", traceback="line 1\nline 2", calls=(call,), attempt=3
    )
    put(kept, "d", header_of(), [run_of(0), run])
    details = shown(kept, chosen=1).chosen
    assert details is not None
    assert (details.error, details.traceback) == ("E: no", "line 1\nline 2")
    assert ("attempts", "3") in details.facts
    assert details.calls == (
        dispatches.CallOf(
            "call-1", "2 circuits · 10 shots · $0.50 · 1 failed · Echo()"
        ),
    )


def test_huge_and_strange_records_stay_small_and_plain(kept: MemoryStore) -> None:
    call = CallSummary("call\udcff", 10**30)
    strange = run_of(
        0,
        "failed",
        error=HOSTILE + "x" * 10**6,
        started_at=float("-inf"),
        attempt=10**30,
        calls=(call,),
    )
    put(kept, "d", header_of(), [strange, run_of(1, result="y" * 10**6)])
    found = shown(kept, chosen=0)
    details = found.chosen
    assert details is not None
    assert len(details.error) < 10**4
    assert "\x1b" not in details.error
    assert details.calls[0].id.isprintable()
    assert found.rows[0]["circuits"] == 2**53
    second = shown(kept, chosen=1).chosen
    assert second is not None
    assert len(second.result) < 1000


def electrons(*parents: tuple[int, ...]) -> tuple[picture.Electron, ...]:
    return tuple(
        picture.Electron(number, "e", "waiting", above)
        for number, above in enumerate(parents)
    )


def test_electrons_are_drawn_below_those_that_they_wait_for() -> None:
    made = picture.drawn(electrons(*PARENTS))
    tops = [made.places[number][1] for number in range(4)]
    assert tops[0] < tops[1] == tops[2] < tops[3]
    assert made.pairs == ((0, 1), (0, 2), (1, 3), (2, 3))
    assert made.lines(of=3).count("M") == 2
    assert made.height == tops[3] + picture.HIGH


def test_many_electrons_go_on_below_and_none_hides_another() -> None:
    made = picture.drawn(electrons((), *[(0,)] * 300))
    places = set(made.places.values())
    assert len(places) == 301
    assert max(left for left, _ in places) + picture.WIDE <= made.width
    assert made.width < 2000


def test_of_too_many_some_are_not_drawn() -> None:
    number = picture.MOST_DRAWN + 7
    chain = [(each - 1,) if each else () for each in range(number)]
    assert picture.drawn(electrons(*chain)).left_out == 7
    assert picture.drawn(()).places == {}


# --- What is seen ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path_factory.mktemp("dispatches") / "store.sqlite3")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def seen(
    store: SqliteStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    needs_browser()
    with looking_at(store.path, tmp_path_factory.mktemp("browser")) as seen:
        yield seen


def test_what_is_dispatched_is_seen_at_once(seen: Seen, store: SqliteStore) -> None:
    page = seen.open("/dispatches")
    page.get_by_text("Nothing is dispatched yet.").wait_for()
    put(store, "dispatch-new", header_of())
    page.get_by_text("dispatch-new").wait_for(timeout=2000)
    page.get_by_role("link", name="chemistry").click()
    page.wait_for_url("**/dispatch/dispatch-new")


def test_states_change_while_one_looks_and_nothing_else_does(
    seen: Seen, store: SqliteStore
) -> None:
    put(store, "dispatch-live", header_of(), [run_of(0, "running", finished_at=None)])
    page = seen.open("/dispatch/dispatch-live")
    first = page.get_by_role("button", name="step_0, running")
    first.click()
    panel = page.get_by_label("The chosen electron")
    panel.get_by_text("0 · step_0").wait_for()
    put(store, "dispatch-live", runs=[run_of(0), run_of(1, "failed", error="E: no")])
    done = page.get_by_role("button", name="step_0, completed")
    done.wait_for(timeout=2000)
    assert done.get_attribute("aria-pressed") == "true"
    assert done.evaluate("element => element === document.activeElement")
    page.get_by_label("2 of 4 electrons ended").wait_for()
    panel.get_by_text("completed").wait_for()


def test_a_chosen_electron_leads_to_its_calls(seen: Seen, store: SqliteStore) -> None:
    call = CallSummary("call-000001-1", 3, ("Echo()",))
    run = run_of(3, "failed", error="E: no", traceback="line 7", calls=(call,))
    put(store, "dispatch-calls", header_of(), [run_of(n) for n in range(3)] + [run])
    page = seen.open("/dispatch/dispatch-calls")
    page.get_by_text("ct.redispatch('dispatch-calls')()").wait_for()
    page.get_by_role("gridcell", name="step_3").click()
    panel = page.get_by_label("The chosen electron")
    panel.get_by_text("Traceback").click()
    panel.get_by_text("line 7").wait_for()
    link = panel.get_by_role("link", name="call-000001-1")
    assert link.get_attribute("href") == "/call/call-000001-1"
    page.reload()
    panel.get_by_text("3 · step_3").wait_for()


def test_hostile_names_and_errors_are_inert(seen: Seen, store: SqliteStore) -> None:
    header = header_of(name=HOSTILE, lattice=HOSTILE, path=HOSTILE, process=HOSTILE)
    run = run_of(
        0, "failed", name=HOSTILE, error=HOSTILE, traceback=HOSTILE, executor=HOSTILE
    )
    put(store, "dispatch-bad", header, [run], output=HOSTILE)
    page = seen.open("/dispatches")
    page.get_by_text("dispatch-bad").wait_for()
    page = seen.open("/dispatch/dispatch-bad?electron=0")
    page.get_by_label("The chosen electron").get_by_text("Traceback").click()
    page.locator(".box").first.wait_for()
    assert page.locator("main img").count() == 0
    assert page.title() == "Dispatch · qelectron"


def test_an_unknown_dispatch_says_what_to_do(seen: Seen) -> None:
    page = seen.open("/dispatch/nothing")
    page.get_by_text("This dispatch is not known here.").wait_for()


def test_hundreds_of_electrons_are_drawn(seen: Seen, store: SqliteStore) -> None:
    header = header_of([(), *[(0,)] * 299])
    put(store, "dispatch-wide", header, [run_of(0)])
    page = seen.open("/dispatch/dispatch-wide")
    page.locator(".box").nth(299).wait_for()
    put(store, "dispatch-wide", runs=[run_of(number) for number in range(1, 300)])
    page.locator(".box[aria-label$=completed]").nth(299).wait_for(timeout=5000)


def test_a_dispatch_of_another_process_is_cancelled(
    seen: Seen, store: SqliteStore
) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"QELECTRON_STORE": str(store.path)},
    )
    try:
        page = seen.open("/dispatches")
        page.get_by_role("link", name="chain").click()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Let it go on").click()
        page.get_by_role("dialog").wait_for(state="detached")
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Cancel it").click()
        page.get_by_text("It is being cancelled.").wait_for()
        page.get_by_text("To run what has not finished:").wait_for()
        assert program.wait(timeout=20) == 0
    finally:
        program.kill()
        program.wait()

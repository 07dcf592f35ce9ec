"""Stores that are damaged, or that somebody else wrote, break no page."""

from __future__ import annotations

import json
import math
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dashboard_browser import Seen, looking_at, needs_browser
from dashboard_records import call_of, entry_of, write

from qelectron_core.errors import QElectronError
from qelectron_core.store import Call, Document, Entry, Intent
from qelectron_core.testing import FakeCloud
from qelectron_dashboard.look.live import caught
from qelectron_dashboard.reading import calls, executors
from qelectron_dashboard.reading.call import Reading
from qelectron_dashboard.reading.comparison import Comparing
from qelectron_dashboard.reading.outcomes import bars_of, line
from qelectron_sqlite.store import SqliteStore

INF = math.inf
#: What the framework cannot send: half of a sign, as JSON writes it.
HALF = "\ud800"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.sqlite3")
    yield opened
    opened.close()


def keep(store: SqliteStore, *entries: Entry, **options: Any) -> Call:
    made = call_of(1, **options)
    store.write([made], [*entries] or [entry_of(made)])
    return made


@pytest.mark.parametrize("which", ["submitted_at", "started_at", "finished_at"])
@pytest.mark.parametrize("when", [INF, -INF])
def test_a_time_that_never_comes_is_shown(
    store: SqliteStore, which: str, when: float
) -> None:
    options: dict[str, Any] = {which: when}
    made = keep(store, entry_of(call_of(1), **options))
    assert Reading(store, made.id).read() is not None
    assert executors.tiles(store, None)
    assert calls.rows(store, calls.Wanted())


def test_shots_too_many_to_be_added_hide_no_other_call(store: SqliteStore) -> None:
    lines = [entry_of(call_of(1), index=place, shots=2**63 - 1) for place in (0, 1)]
    keep(store, *lines, circuits=2)
    (row,) = calls.rows(store, calls.Wanted())
    (tile,) = executors.tiles(store, None)
    assert row["shots"] == 2**63 - 1
    assert tile.figures["shots"] == f"{2**63 - 1:,}"


def test_counts_larger_than_any_number_of_the_browser_are_shown() -> None:
    counts = {"00": 10**400, "01": 5, "10": -(10**400)}
    assert bars_of("CountsMP", counts) == ("counts", {"00": INF, "01": 5, "10": -INF})
    assert line(counts).startswith("00: 1000")


def test_samples_that_are_no_numbers_are_not_counted() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bars_of("SampleMP", np.array([[math.nan, 1.0]])) == ("", {})
        assert line({"one": np.complex128(1j)}) == "one: 0+1j"


def test_versions_can_be_called_anything(store: SqliteStore) -> None:
    made = keep(store, versions={HALF: HALF, "x" * 10_000: "1"})
    found = Comparing(store, made.id, made.id).read()
    assert found is not None
    told = [text for fact in found.facts for text in (fact.name, fact.one, fact.other)]
    assert "\\ud800" in told
    assert max(map(len, told)) <= 1000
    "".join(told).encode()  # which half a sign cannot be


def test_a_list_is_short_however_long_its_names_are(store: SqliteStore) -> None:
    long = "x" * 100_000
    made = call_of(1, name=long, executors=long)
    store.write([made], [entry_of(made, executor=long)])
    (row,) = calls.rows(store, calls.Wanted())
    assert len(json.dumps(row)) < 1000


def test_whatever_goes_wrong_is_told_on_the_page() -> None:
    def read() -> None:
        raise OverflowError("of a kind that nobody thought of")

    error = caught(read)
    assert isinstance(error, QElectronError)
    assert "OverflowError: of a kind that nobody thought of" in str(error)


#: PennyLane is imported, and while that is under way, what needs parts of it is read.
_AT_ONCE = """
import sys, threading, time
from qelectron_dashboard.reading import settings
def whole():
    import pennylane
thread = threading.Thread(target=whole)
thread.start()
while "pennylane.math" not in sys.modules:
    time.sleep(0.001)
print([group.problem for group in settings.overview().groups])
thread.join()
"""


def test_settings_are_read_while_pennylane_is_imported() -> None:
    command = [sys.executable, "-c", _AT_ONCE]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert "Traceback" not in ran.stderr
    assert "ImportError" not in ran.stdout


# --- In a browser ---------------------------------------------------------------------

needs_browser()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd") / "store.sqlite3"


@pytest.fixture(scope="module")
def seen(path: Path) -> Iterator[Seen]:
    store = path
    made = call_of(1, id="one", versions={HALF: HALF}, executors="Unknown()")
    write(store, [made], [entry_of(made)])
    _dispatch(store, "a/b")
    _intend(store)
    with looking_at(store, store.with_name("browser")) as seen:
        yield seen


def _intend(store: Path) -> None:
    job: dict[str, Any] = {"circuits": (), "places": (), "shown": "FakeCloud()"}
    opened = SqliteStore(store)
    opened.intend(Intent("job-1", executor=FakeCloud(), at=1e9, handle="h1", **job))
    opened.close()


def _dispatch(store: Path, name: str) -> None:
    header = {"version": 1, "lattice": "bell", "path": "here:bell", "at": 1e9}
    header |= {"process": "elsewhere:1", "names": ["first"], "parents": [[]]}
    header |= {"fingerprints": [""], "redispatched": None, "resumes": []}
    kind = "qelectron-dask.dispatch"
    opened = SqliteStore(store)
    body = json.dumps(header).encode()
    opened.put([Document(kind=kind, id=name, body=body, at=1e9)])
    opened.put([Document(kind=kind, id=name, part="arguments", body=b"", at=1e9)])
    opened.close()


def test_calls_with_odd_versions_are_compared(seen: Seen) -> None:
    page = seen.open("/compare?one=one&other=one")
    page.get_by_text("\\ud800").first.wait_for()


@pytest.mark.parametrize("electron", ["", "?electron=0", "?electron=x"])
def test_a_dispatch_with_a_slash_in_its_id_is_opened(seen: Seen, electron: str) -> None:
    pytest.importorskip("qelectron_dask")
    page = seen.open(f"/dispatch/a%2Fb{electron}")
    page.get_by_role("heading", name="bell").wait_for()


@pytest.mark.parametrize("key", ["Escape", "Enter"])
@pytest.mark.parametrize(
    ("address", "button"), [("/call/one", "Run again"), ("/jobs", "Cancel: job-1")]
)
def test_questions_give_back_the_focus(
    seen: Seen, address: str, button: str, key: str
) -> None:
    page = seen.open(address)
    opener = page.get_by_role("button", name=button)
    opener.focus()
    page.keyboard.press("Enter")
    refuse = page.locator(".q-dialog button:focus")
    refuse.wait_for()
    page.keyboard.press(key)
    refuse.wait_for(state="detached")
    page.wait_for_function(
        "name => (document.activeElement.ariaLabel ?? "
        "document.activeElement.textContent).includes(name)",
        arg=button,
    )
    page.locator(".q-dialog").wait_for(state="detached")


def test_a_page_that_is_left_while_it_waits_for_the_store_is_not_told(
    seen: Seen, path: Path
) -> None:
    page = seen.open("/cache")
    page.get_by_text(f"{path}", exact=True).last.wait_for()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        page.get_by_role("button", name="Drop all").click()
        seen.open("/")
        other.execute("ROLLBACK")
    write(path, [call_of(2, name="later")], [])  # after what was waiting
    page.get_by_text("later").wait_for()


def test_a_page_that_is_left_with_its_question_open_leaves_no_trace(seen: Seen) -> None:
    page = seen.open("/call/one")
    page.get_by_role("button", name="Run again").click()
    page.get_by_role("dialog").wait_for()
    seen.open("/")
    # Last of all: what it has printed is complete when it has ended.
    seen.dashboard.process.terminate()
    said = seen.dashboard.process.communicate(timeout=60)[0]
    assert "Traceback" not in said
    assert "deleted" not in said

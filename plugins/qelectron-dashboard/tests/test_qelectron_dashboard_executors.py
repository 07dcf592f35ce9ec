"""The page of executors: what each does, and what was spent of the daily budget."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dashboard_browser import Seen, looking_at, needs_browser
from dashboard_records import call_of, entry_of

from qelectron_core.breaker_states import BreakerState, closed_document, open_document
from qelectron_core.budget import today
from qelectron_core.errors import StoreError
from qelectron_core.memory_store import MemoryStore
from qelectron_core.store import Store
from qelectron_core.tally import BUCKETS, SLICES, Tally
from qelectron_core.versions import process
from qelectron_dashboard.look import charts
from qelectron_dashboard.reading import executors, spend
from qelectron_sqlite.store import SqliteStore

NOW = time.time()
BUDGET = "shots=1000,cost_usd=5"
HOSTILE = "Bad<img src=x onerror=\"document.title='owned'\">(:a='\x1b[31m')"


def tally(**changes: Any) -> Tally:
    given: dict[str, Any] = {"executor": "Echo()", "since": NOW - 60, "until": NOW}
    return Tally(**given | changes)


def write(store: Store, number: int, executor: str, **options: Any) -> None:
    """Keep a call of one circuit that was submitted a minute ago."""
    call = call_of(number, at=NOW - 60, executors=executor, process=process())
    store.write([call], [entry_of(call, **options)])


# --- What is read ---------------------------------------------------------------------


def test_an_executor_is_told_by_its_class_and_its_options() -> None:
    one = executors.tile(tally(executor="Acme(qubits=3, shots=None)"))
    assert (one.name, one.options, one.full) == ("Acme", "qubits=3, shots=None", "")
    assert one.calls == "/?executor=Acme%28qubits%3D3%2C%20shots%3DNone%29"
    bare = executors.tile(tally(executor="Acme"))
    assert (bare.name, bare.options) == ("Acme", "")


def test_a_long_text_is_cut_and_shown_in_full() -> None:
    text = f"Acme(token={'x' * 10**6})"
    one = executors.tile(tally(executor=text))
    assert len(one.options) < 100 < len(one.full) < 5000
    assert len(one.calls) < 1000


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "idle"),
        ({"completed": 3}, "idle"),
        ({"under_way": 1, "completed": 3, "failed": 1}, "working"),
        ({"under_way": 1, "completed": 3, "failed": 3}, "failing"),
    ],
)
def test_states_of_executors(changes: dict[str, Any], state: str) -> None:
    assert executors.tile(tally(**changes)).state == state


def breaker(executor: str, **changes: Any) -> BreakerState:
    """Return an open circuit breaker of a process."""
    now = time.time()
    state = BreakerState(executor, "RuntimeError: is down", now - 5, now + 300, "lab:7")
    return attrs.evolve(state, **changes)


def test_executors_that_are_left_out_say_until_when() -> None:
    store = MemoryStore()
    states = [breaker("Echo()"), breaker("Echo()", process="lab:8", opened_at=NOW - 9)]
    store.put([open_document(str(n), one, NOW) for n, one in enumerate(states)])
    (tile,) = executors.tiles(store, 60)
    assert (tile.name, tile.state) == ("Echo", "left out")
    assert "by a circuit breaker of lab:7 and 1 more, since" in tile.left_out
    assert re.search(r"tried again in \d min \d+ s\. RuntimeError", tile.left_out)
    past = executors.tile(tally(), [breaker("Echo()", retry_at=NOW - 1)])
    assert "tried again with the next circuit" in past.left_out


def test_times_and_failures_are_said_in_words() -> None:
    times = [0] * BUCKETS
    times[3] = 100
    late = [*[0] * (BUCKETS - 1), 1]
    one = executors.tile(
        tally(
            completed=99,
            failed=1,
            run_times=tuple(times),
            wait_times=tuple(late),
            throughput=(*[0] * (SLICES - 1), 99),
            last_error="ValueError: no\x1b",
            last_error_at=NOW,
        )
    )
    assert one.failures == "1 of 100 failed (1%)"
    assert one.ran.said.startswith("ran: half in 7.1 ms · 90% in 9.3 ms")
    assert (
        one.waited.said
        == "waited: half in over 1 h · 90% in over 1 h · 99% in over 1 h"
    )
    assert one.throughput.said == "at most 99 completed in 1.0 s"
    assert one.error.endswith("ValueError: no\\x1b")
    assert executors.tile(tally()).ran.said == "ran: –"


def test_only_the_time_looked_at_counts() -> None:
    store = MemoryStore()
    write(store, 1, "Echo()")
    write(store, 2, "Old()", submitted_at=NOW - 7200)
    assert [one.name for one in executors.tiles(store, 3600)] == ["Echo"]
    assert [one.name for one in executors.tiles(store, None)] == ["Echo", "Old"]


def test_stores_of_old_do_not_tell_what_executors_did() -> None:
    with pytest.raises(StoreError, match="keeps no tallies"):
        executors.tiles(Store(), None)


def test_spending_is_told_by_unit_with_its_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QELECTRON_DAILY_BUDGET", BUDGET)
    store = MemoryStore()
    store.reserve(f"day {today()}", {"shots": 200}, {})
    store.settle(f"day {today()}", {"shots": 100}, {"shots": 300, "jobs": 2})
    found = spend.spend(store)
    assert found is not None
    parts = {part.title: part for part in found.parts}
    assert parts["shots"].said == "300, 100 held of 1,000 · 600 left"
    assert parts["shots"].share == 0.4
    assert (parts["jobs"].said, parts["jobs"].share) == ("2", None)
    assert found.spent_units == ("cost_usd", "shots", "jobs")
    assert found.on("shots") == f"{today()}: 300"


def test_days_without_spending_are_there_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QELECTRON_DAILY_BUDGET", raising=False)
    store = MemoryStore()
    before = (date.fromisoformat(today()) - timedelta(3)).isoformat()
    store.settle(f"day {before}", {}, {"circuits": 7})
    found = spend.spend(store)
    assert found is not None
    assert not found.has_budget
    assert found.amounts["circuits"] == (*[0] * 10, 7, 0, 0, 0)
    assert found.days[-1] == today()
    assert spend.spend(Store()) is None


def test_columns_show_also_what_is_little() -> None:
    assert charts.outline([0, 0]) == ""
    low, high = charts.outline([1, 0, 1000]).split("M")[1:]
    assert low.startswith("0.10 100v-6.00")
    assert high.startswith("2.10 100v-100.00")


# --- What is seen ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path_factory.mktemp("executors") / "store.sqlite3")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def seen(
    store: SqliteStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    needs_browser()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "QELECTRON_DAILY_BUDGET", BUDGET)
        with looking_at(store.path, tmp_path_factory.mktemp("browser")) as seen:
            yield seen


def test_what_another_process_does_is_seen_at_once(
    seen: Seen, store: SqliteStore
) -> None:
    page = seen.open("/executors")
    page.get_by_text("No circuit ran in this time.").wait_for()
    write(store, 1, "Acme(qubits=3)", state="started", finished_at=None)
    tile = page.locator(".tiles > section", has_text="Acme")
    tile.get_by_text("working").wait_for(timeout=2000)
    write(store, 1, "Acme(qubits=3)")
    tile.get_by_text("idle").wait_for(timeout=2000)
    tile.get_by_text("ran: half in").wait_for()
    store.settle(f"day {today()}", {}, {"shots": 250, "jobs": 1})
    page.get_by_label("shots: 250 of 1,000 · 750 left").wait_for(timeout=2000)


def test_executors_that_are_left_out_are_seen_at_once(
    seen: Seen, store: SqliteStore
) -> None:
    page = seen.open("/executors")
    store.put([open_document("breaker", breaker("Broken(x=1)"), NOW)])
    tile = page.locator(".tiles > section", has_text="Broken")
    tile.get_by_text("left out", exact=True).wait_for(timeout=2000)
    tile.get_by_text("RuntimeError: is down").wait_for()
    store.put([closed_document("breaker", "Broken(x=1)", NOW)])
    tile.wait_for(state="detached", timeout=2000)


def test_new_executors_come_to_their_place(seen: Seen, store: SqliteStore) -> None:
    write(store, 2, "Zeta()")
    write(store, 8, "Alpha()")
    page = seen.open("/executors")
    page.get_by_text("Zeta").wait_for()
    write(store, 3, "Middle()")
    page.get_by_text("Middle").wait_for(timeout=2000)
    names = page.locator(".tiles > section .subtitle").all_inner_texts()
    assert names.index("Alpha") < names.index("Middle") < names.index("Zeta")


def test_a_tile_leads_to_its_calls(seen: Seen, store: SqliteStore) -> None:
    write(store, 4, "Other(x=1)")
    page = seen.open("/executors")
    tile = page.locator(".tiles > section", has_text="Other")
    tile.get_by_role("link", name="Its calls").click()
    page.get_by_label("Executor").wait_for()
    assert page.get_by_label("Executor").input_value() == "Other(x=1)"
    page.locator(".ag-center-cols-container .ag-row").first.wait_for()
    assert page.locator(".ag-center-cols-container .ag-row").count() == 1


def test_calls_are_found_by_what_the_address_says(
    seen: Seen, store: SqliteStore
) -> None:
    write(store, 5, "Seeked()", state="failed", error="E: no")
    write(store, 9, "Elsewhere()", state="failed", error="E: no")
    write(store, 10, "Seeked()")
    page = seen.open("/?executor=Seeked&state=failed&name=circuit")
    page.get_by_text("1 of ").wait_for()
    assert page.get_by_label("Search names").input_value() == "circuit"
    seen.open("/?state=nonsense").get_by_text("any state").wait_for()


def test_another_time_is_looked_at(seen: Seen, store: SqliteStore) -> None:
    at = NOW - 3 * 86400
    write(store, 6, "Ancient()", submitted_at=at, started_at=at, finished_at=at + 1)
    page = seen.open("/executors")
    page.get_by_role("button", name="1 week").click()
    page.get_by_text("Ancient").wait_for()
    page.get_by_role("button", name="15 min").click()
    page.get_by_text("Ancient").wait_for(state="detached")


def test_the_days_are_drawn_and_said(seen: Seen, store: SqliteStore) -> None:
    store.settle(f"day {today()}", {}, {"circuits": 12})
    page = seen.open("/executors")
    page.get_by_label("What was spent").click()
    page.get_by_role("option", name="circuits").click()
    page.get_by_label(f"circuits per day: {today()}: 12").wait_for()


def test_hostile_executors_and_errors_are_inert(seen: Seen, store: SqliteStore) -> None:
    write(store, 7, HOSTILE, state="failed", error=HOSTILE * 50)
    page = seen.open("/executors")
    tile = page.locator(".tiles > section", has_text="Bad<img")
    tile.get_by_text("failing").wait_for()
    assert page.locator("main img").count() == 0
    assert page.title() == "Executors · qelectron"
    tile.get_by_role("link", name="Its calls").click()
    page.get_by_text("1 of ").wait_for()

"""The page of kept results: their size, their use, and how they are dropped."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dashboard_browser import Seen, looking_at, needs_browser
from dashboard_records import call_of, entry_of

from qelectron_core.errors import ConfigError
from qelectron_core.memory_store import MemoryStore
from qelectron_core.store import Entry, Kept, Key, Store, Usage
from qelectron_dashboard.reading import cache
from qelectron_sqlite.store import SqliteStore

NOW = time.time()
USAGE = Usage("here", 3, 300, 2, 5, 0, total_bytes=512, limit_bytes=1024)


class Old(MemoryStore):
    """A store of an earlier version, which keeps no tallies."""

    tallies = Store.tallies


def keep(store: Store, number: int) -> None:
    """Keep so many results."""
    keys = [Key(f"pool-{each}") for each in range(number)]
    kept = [Kept(key, np.ones(4), 0, "Echo()", "job-1", NOW) for key in keys]
    store.write([], [], kept)


def keep_answers(store: Store, *, cached: int, completed: int) -> None:
    """Keep lines of circuits that were answered, or run, a minute ago."""
    call = call_of(1, at=NOW - 60, circuits=cached + completed)
    entries: list[Entry] = [
        entry_of(call, index, state="cached" if index < cached else "completed")
        for index in range(call.circuits)
    ]
    store.write([call], entries)


# --- What is read ---------------------------------------------------------------------


def test_answers_are_counted_by_the_time_of_their_circuits() -> None:
    store = MemoryStore()
    keep_answers(store, cached=3, completed=1)
    before = entry_of(call_of(2, at=NOW - 2 * 86400), state="cached")
    store.write([], [before])
    found = cache.answers(store)
    assert found["the last day"] == cache.Answers(kept=3, ran=1)
    assert found["the last week"] == cache.Answers(kept=4, ran=1)
    assert str(found["the last day"]) == "3 of 4 circuits (75%)"
    assert str(cache.Answers()) == "no circuit"


def test_stores_of_old_do_not_tell_what_was_answered() -> None:
    assert cache.answers(Old()) == {}


def test_the_size_is_told_with_its_limit_and_without_one() -> None:
    assert cache.size_of(USAGE) == "512 B of 1.0 KiB (50%)"
    assert cache.share_of(USAGE) == 0.5
    without = MemoryStore().usage()
    assert cache.share_of(without) is None or without.limit_bytes


@pytest.mark.parametrize(
    ("max_mb", "older_than", "told"),
    [
        (None, " ", "Say which results are to go"),
        (None, "soon", "'soon' is no span of time"),
        (0.0, "", "0.0 MB is no size"),
    ],
)
def test_what_cannot_be_pruned_is_told(
    max_mb: float | None, older_than: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=told):
        cache.prune(SqliteStore(tmp_path / "s.sqlite3"), max_mb, older_than)


def test_stores_that_cannot_prune_say_so() -> None:
    store = Store()
    assert cache.pruning(store).startswith("This store cannot drop some")
    with pytest.raises(ConfigError, match="cannot drop some"):
        cache.prune(store, 1.0, "")


# --- What is seen ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path_factory.mktemp("cache") / "store.sqlite3")
    keep_answers(opened, cached=3, completed=1)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def seen(
    store: SqliteStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    needs_browser()
    with looking_at(store.path, tmp_path_factory.mktemp("browser")) as seen:
        yield seen


def test_what_is_kept_is_seen_at_once(seen: Seen, store: SqliteStore) -> None:
    store.clear()
    page = seen.open("/cache")
    page.get_by_text("No result is kept yet.").wait_for()
    keep(store, 3)
    page.get_by_text("No result is kept yet.").wait_for(state="hidden", timeout=2000)
    page.get_by_text(re.compile(r"3, \d+ B")).wait_for()


def test_answers_are_drawn_and_said(seen: Seen) -> None:
    page = seen.open("/cache")
    page.get_by_label("the last day: 3 of 4 circuits (75%)").wait_for()


def test_results_are_pruned_by_age(seen: Seen, store: SqliteStore) -> None:
    store.clear()
    keep(store, 2)
    page = seen.open("/cache")
    page.get_by_label("Unused for").fill("30d")
    page.get_by_role("button", name="Drop these").click()
    page.get_by_text("that were not used for 30d?").wait_for()
    page.get_by_role("button", name="Drop them").click()
    page.get_by_text("Dropped 0 results; 2 are left").wait_for()


def test_a_mistake_is_told(seen: Seen) -> None:
    page = seen.open("/cache")
    page.get_by_role("button", name="Drop these").click()
    page.get_by_text("Say which results are to go").wait_for()


def test_all_go_only_if_one_agrees(seen: Seen, store: SqliteStore) -> None:
    store.clear()
    keep(store, 4)
    page = seen.open("/cache")
    page.get_by_text(re.compile(r"4, \d+ B")).wait_for()
    page.get_by_role("button", name="Drop all").click()
    page.get_by_role("button", name="Leave it as it is").click()
    page.get_by_role("dialog").wait_for(state="detached")
    assert store.usage().results == 4
    page.get_by_role("button", name="Drop all").click()
    page.get_by_text("Drop 4 kept results?").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Drop all").click()
    page.get_by_text("Dropped 4 results; 0 are left").wait_for()
    page.get_by_text("No result is kept yet.").wait_for()
    assert store.usage().results == 0

"""What the store in memory promises beyond the rules of stores: it stays small."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qelectron_core import memory_journal
from qelectron_core.memory_store import MemoryStore
from qelectron_core.store import Key
from qelectron_core.testing.conformance.compare import identical
from qelectron_core.testing.conformance.doubles import call, entry, kept, results
from qelectron_core.values import copy_value, size_of

KB = 1024
VALUES = st.recursive(
    st.floats() | st.integers() | st.booleans() | st.sampled_from(results()),
    lambda parts: (
        st.lists(parts).map(tuple)
        | st.lists(parts)
        | st.dictionaries(st.text(max_size=2), parts)
    ),
    max_leaves=8,
)


def ids(store: MemoryStore, **filters: Any) -> list[str]:
    return [run.id for run in store.runs(**filters)]


def test_oldest_calls_are_forgotten_with_their_lines() -> None:
    store = MemoryStore(most_calls=2)
    for number in range(4):
        store.write([call(f"call-{number}")], [entry(f"call-{number}")])
    assert ids(store) == ["call-3", "call-2"]
    assert store.usage().circuits == 2
    store.write([], [entry("call-1", 1)])  # it comes too late
    assert ids(store) == ["call-3", "call-2"]


def test_lines_are_limited_but_the_newest_call_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_journal, "MOST_ENTRIES", 10)
    store = MemoryStore()
    store.write([call("call-1")], [entry("call-1", n) for n in range(8)])
    store.write([call("call-2")], [entry("call-2", n) for n in range(30)])
    assert ids(store) == ["call-2"]
    assert len(store.runs(call_id="call-2")[0].entries) == 30


def test_journal_with_large_results_is_limited() -> None:
    store = MemoryStore(most_result_bytes=100 * KB)
    for number in range(20):
        line = entry(f"call-{number}", value=np.zeros(KB))
        store.write([call(f"call-{number}")], [line])
    assert 0 < len(ids(store)) < 20
    assert store.usage().total_bytes <= 100 * KB


def test_lines_of_an_unknown_call_are_shown_without_a_name() -> None:
    store = MemoryStore()
    store.write([], [entry("call-1"), entry("call-1", 1)])
    (run,) = store.runs()
    assert (run.call.name, run.call.circuits, run.state) == ("", 2, "completed")


def test_results_that_were_not_used_for_longest_go_first() -> None:
    store = MemoryStore(most_result_bytes=100 * KB)
    keys = [Key(f"pool-{number}") for number in range(20)]
    for key in keys:
        store.write([], [], [kept(key, np.zeros(KB))])
        assert store.find(keys[:1]) != [None]
    found = [one is not None for one in store.find(keys)]
    held = sum(found)
    assert 2 < held < 20
    assert found == [True, *[False] * (20 - held), *[True] * (held - 1)]
    assert store.usage().result_bytes <= 100 * KB
    assert not store.pool("pool-1")


def test_result_larger_than_all_that_may_be_kept_is_not_kept() -> None:
    store = MemoryStore(most_result_bytes=KB)
    store.write([], [], [kept(Key("pool"), np.zeros(KB))])
    assert store.find([Key("pool")]) == [None]
    assert store.usage().result_bytes == 0


@given(VALUES)
def test_copy_is_equal_bit_for_bit(value: Any) -> None:
    copied = copy_value(value)
    assert identical(value, copied)
    assert size_of(copied) == size_of(value) > 0


def test_copy_shares_nothing() -> None:
    value = (np.zeros(2), [{"a": np.zeros(2)}], np.array([{}], dtype=object))
    copied = copy_value(value)
    copied[0][0] = copied[1][0]["a"][0] = copied[2][0]["b"] = 1
    assert value[0][0] == value[1][0]["a"][0] == 0
    assert value[2][0] == {}


def test_size_follows_what_is_held() -> None:
    assert 8 * KB < size_of(np.zeros(KB)) < 9 * KB
    assert size_of((0.5,) * 100) > 100 * size_of(0.5)
    assert size_of({"0" * KB: 1}) > KB

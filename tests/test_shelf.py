"""What plugins keep: what is put is read at once, whole, whatever the store does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qelectron_core as ct
from qelectron_core import shelf as shelves
from qelectron_core.memory_store import MemoryStore
from qelectron_core.runtime import runtime
from qelectron_core.testing.conformance.doubles import NOON, call, document

KIND = "kit.thing"
WAIT_S = 30


class Slow(MemoryStore):
    """Is written by the thread of its keeper; notes each batch, and who wrote it."""

    instant: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Sequence[ct.Document]] = []
        self.writers: list[str] = []
        self.written = threading.Event()

    def put(self, documents: Sequence[ct.Document]) -> None:
        super().put(documents)
        self.batches.append(documents)
        self.writers.append(threading.current_thread().name)
        self.written.set()


class Early(MemoryStore):
    """Has no place for documents."""

    durable: ClassVar[bool] = True
    put = ct.Store.put
    documents = ct.Store.documents
    drop = ct.Store.drop


@pytest.fixture(autouse=True)
def _shutdown() -> Iterator[None]:
    yield
    ct.shutdown()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, logger="qelectron")
    return lambda: [record.getMessage() for record in caplog.records]


def bodies(shelf: ct.Shelf, id: str) -> dict[str, bytes]:
    return {part: one.body for part, one in shelf.read(id).items()}


# --- As a dictionary would ------------------------------------------------------------

NAMES = st.sampled_from(["", "1", "10", "a"]) | st.text(max_size=2)
ITEMS = st.tuples(NAMES, NAMES, st.binary(max_size=20))
STEPS = st.lists(
    st.tuples(st.just("put"), st.lists(ITEMS, max_size=4))
    | st.tuples(st.just("drop"), NAMES),
    max_size=12,
)


@given(steps=STEPS, instant=st.booleans())
def test_a_shelf_keeps_what_a_dictionary_would(steps: Any, instant: bool) -> None:
    store = MemoryStore() if instant else Slow()
    shelf, model = ct.Shelf(KIND, store=store), dict[tuple[str, str], bytes]()
    for step, given_ in steps:
        if step == "put":
            shelf.put_all(given_)
            model |= {(id, part): body for id, part, body in given_}
        else:
            gone = [place for place in model if place[0] == given_]
            assert shelf.drop(given_) == len(gone)
            model = {place: b for place, b in model.items() if place not in gone}
    for id in {place[0] for place in model} | {"absent"}:
        kept = sorted((part, b) for (of, part), b in model.items() if of == id)
        assert [*bodies(shelf, id).items()] == kept
    things = {of for of, part in model if not part}
    assert {one.id for one in shelf.recent()} == things
    runtime().keeper(store).close()


def test_things_are_listed_last_written_first() -> None:
    shelf = ct.Shelf(KIND, store=MemoryStore())
    for id in ("a", "b", "a"):
        shelf.put(id, b"")
    assert [one.id for one in shelf.recent()] == ["a", "b"]
    assert [one.id for one in shelf.recent(1)] == ["a"]
    assert list(ct.Shelf("kit.other", store="memory").recent()) == []


# --- Who writes, and when -------------------------------------------------------------


def test_what_is_put_is_written_by_another_thread_and_read_at_once() -> None:
    store = Slow()
    shelf = ct.Shelf(KIND, store=store)
    shelf.put("a", b"1")
    assert store.written.wait(WAIT_S)
    assert store.writers == ["qelectron-journal"]
    shelf.put("a", b"2")
    assert bodies(shelf, "a") == {"": b"2"}


def test_waiting_returns_when_it_is_written() -> None:
    store = Slow()
    ct.Shelf(KIND, store=store).put("a", b"1", wait=True)
    assert [one.body for one in store.documents(KIND, id="a")] == [b"1"]


def test_what_is_put_together_is_written_together() -> None:
    store = Slow()
    keeper = runtime().keeper(store)

    class Interrupted(list[ct.Document]):
        """Lets the writing thread come in between."""

        def __iter__(self) -> Iterator[ct.Document]:
            for one in [*super().__iter__()]:
                yield one
                keeper.flush()

    keeper.put(Interrupted([document("a", "1"), document("a", "2")]))
    keeper.flush()
    assert [len(batch) for batch in store.batches] == [2]


def test_what_is_pending_is_written_at_shutdown() -> None:
    class Kept(Slow):
        def close(self) -> None:
            pass

    store = Kept()
    ct.Shelf(KIND, store=store).put("a", b"1")
    ct.shutdown()
    assert [one.body for one in store.documents(KIND, id="a")] == [b"1"]


# --- Trouble --------------------------------------------------------------------------


def test_a_store_without_a_place_is_told_of_once_and_goes_on(
    said: Callable[[], list[str]],
) -> None:
    store = Early()
    shelf = ct.Shelf(KIND, store=store)
    assert not shelf.durable
    shelf.put("a", b"1")
    shelf.put("a", b"2", part="1", wait=True)
    assert bodies(shelf, "a") == {"": b"1", "1": b"2"}
    assert shelf.drop("a") == 2
    (told,) = said()
    assert "has no place for what plugins keep" in told
    assert "until the program ends, that is in memory. Upgrade the store" in told
    keeper = runtime().keeper(store)
    keeper.begin(call("call-1"))
    keeper.flush()
    assert [run.id for run in store.runs()] == ["call-1"]


def test_where_a_store_fails_what_is_put_is_kept_in_memory(
    said: Callable[[], list[str]],
) -> None:
    class Full(Slow):
        durable: ClassVar[bool] = True

        def put(self, documents: Sequence[ct.Document]) -> None:
            raise ct.StoreError("the disk is full. Make room.")

    shelf = ct.Shelf(KIND, store=Full())
    assert shelf.durable
    shelf.put_all([("a", "", b"1"), ("a", "1", b"2")], wait=True)
    shelf.put("a", b"3")
    assert bodies(shelf, "a") == {"": b"3", "1": b"2"}
    assert not shelf.durable
    (told,) = said()
    assert told.startswith("The store failed: the disk is full. Make room.")


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ((1, "", b""), r"id=1 is no name\. Expected text; write str\(id\)"),
        (("a", None, b""), r"part=None is no name\. Expected text"),
        (("a", "", "text"), r"type 'str' cannot be kept\. Expected bytes; write"),
        (("a", "", b"123456"), r"6 bytes cannot be kept\. Expected 5 at most\. Keep"),
    ],
)
def test_what_cannot_be_kept_is_refused_as_a_whole(
    item: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelves, "MOST_BYTES", 5)
    shelf = ct.Shelf(KIND, store=MemoryStore())
    with pytest.raises(ct.ConfigError, match=message):
        shelf.put_all([("a", "1", b"12345"), item])
    assert shelf.read("a") == {}


def test_a_kind_is_text() -> None:
    with pytest.raises(ct.ConfigError, match=r"kind=None is no name\. Expected text"):
        ct.Shelf(None)  # type: ignore[arg-type]
    assert repr(ct.Shelf("kit.thing")) == "Shelf('kit.thing')"


def test_what_can_change_is_copied() -> None:
    shelf, body = ct.Shelf(KIND, store=MemoryStore()), bytearray(b"before")
    shelf.put("a", body)
    body[:] = b"after!"
    assert bodies(shelf, "a") == {"": b"before"}
    assert type(shelf.read("a")[""].body) is bytes


# --- What the store in memory promises beyond the rules -------------------------------


def test_in_memory_the_things_go_first_that_were_not_written_for_longest() -> None:
    store = MemoryStore(most_result_bytes=20_000)
    store.put([document("0", part=f"{part}", body=bytes(1000)) for part in range(4)])
    for number in range(1, 9):
        store.put([document(f"{number}", part=p, body=bytes(1000)) for p in ("", "1")])
        store.put([document("0", "0", body=bytes(1000))])
    left = [one.id for one in store.documents("kit")]
    assert left == ["8", "7", "6", "5"]
    assert len(store.documents("kit", id="0")) == 4
    assert len(store.documents("kit", id="8")) == 2
    assert store.usage().total_bytes <= 20_000
    for id in ("0", *left):
        store.drop("kit", id)
    assert store.usage().total_bytes == 0


def test_in_memory_the_last_thing_stays_whole() -> None:
    store = MemoryStore(most_result_bytes=1000)
    store.put([document("a", part=f"{part}", body=bytes(1000)) for part in range(9)])
    assert len(store.documents("kit", id="a")) == 9


def test_in_memory_who_wrote_it_lives() -> None:
    store = MemoryStore()
    store.put([attrs.evolve(document("a"), alive=False, at=NOON)])
    assert [one.alive for one in store.documents("kit")] == [True]
    store.close()
    assert store.documents("kit") == []

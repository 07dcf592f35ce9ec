"""Rules of stores about what plugins keep; left out where there is no place for it."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from qelectron_core.store import Document, Key, Store, keeps_documents
from qelectron_core.testing.conformance.doubles import (
    NOON,
    call,
    document,
    entry,
    intent,
    kept,
)
from qelectron_core.testing.conformance.rules import calling, declared, require, rule
from qelectron_core.testing.conformance.store_kit import (
    StoreKit,
    require_found,
    require_jobs,
    require_runs,
    require_same,
    write,
)
from qelectron_core.testing.conformance.threads import together

#: Names that have to be told apart, in the order of Python.
_NAMES: Final = ("", "\0", " ", "%", "1", "10", "2", "A", "_", "a", "a\0b", "a ", "é")
_ODD_NAMES: Final = (*_NAMES, "node:1:2", "e\u0301", "\udcff", "\ue000", "\U0001f600")
_BODIES: Final = (b"", b"\0", bytes(range(256)), b"\xff" * 2**16, b'{"a": 1}\n', b"\r")
#: Threads that use a store at once, what each keeps, and batches that one writes.
_THREADS: Final = 8
_EACH: Final = 20
_BATCHES: Final = 30
_PARTS: Final = ("", "1", "2")
#: What ran while a body was read.
_sprung: Final[list[str]] = []


class DocumentRules(StoreKit):
    """What comes back of documents, and what becomes of them."""

    @rule
    def test_t40_keeps_every_document(self) -> None:
        """Every field of a document comes back as it was put, and every byte of it."""
        store = self._keeping()
        bodies = [_BODIES[n % len(_BODIES)] for n in range(len(_ODD_NAMES))]
        for id in _ODD_NAMES:
            pairs = zip(_ODD_NAMES, bodies, strict=True)
            _put(store, *(document(id, part, body=body) for part, body in pairs))
        for kind in _ODD_NAMES[1:]:
            _put(store, document("thing", kind, kind=kind))
        for id in _ODD_NAMES:
            found = _documents(store, id=id)
            wanted = [(id, *pair) for pair in zip(_ODD_NAMES, bodies, strict=True)]
            seen = [(one.id, one.part, one.body) for one in found]
            require_same(f"the parts of {id!r}", sorted(wanted), sorted(seen))
        for kind in _ODD_NAMES[1:]:
            parts = [one.part for one in _documents(store, kind, id="thing")]
            require_same(f"the parts of kind {kind!r}", [kind], parts)
        one = document("whole", "part", at=NOON + 0.123456789)
        _put(store, one)
        require_same("documents(…)", [one], _documents(store, id="whole"))

    @rule
    def test_t41_replaces_documents(self) -> None:
        """A document replaces the one of its kind, id and part, and no other."""
        store = self._keeping()
        first = [document("a", part) for part in _PARTS]
        others = [document("b"), document("a", kind="other")]
        _put(store, *first, *others)
        second = document("a", "1", body=b"second", at=NOON - 1)
        last = document("a", "1", body=b"last")
        for one in (second, last):
            _put(store, one)
            wanted = [first[0], one, first[2]]
            require_same("the parts of 'a'", wanted, _documents(store, id="a"))
        _put(store, second, last)  # together, too
        require_same("the parts of 'a'", wanted, _documents(store, id="a"))
        require_same("the parts of 'b'", others[:1], _documents(store, id="b"))
        require_same("kind 'other'", others[1:], _documents(store, "other", id="a"))

    @rule
    def test_t42_orders_documents(self) -> None:
        """Parts come in their order; things as their empty parts, the newest first."""
        store = self._keeping()
        _put(store, *(document("a", part) for part in _NAMES[::-1]))
        _require_names(store, [("a", part) for part in _NAMES], id="a")
        _require_names(store, [("a", part) for part in _NAMES[:3]], id="a", limit=3)
        _put(store, document("b"), document("early", at=NOON - 9), document("c"))
        _put(store, document("part only", "1"), document("d", kind="other"))
        things = [(id, "") for id in ("c", "b", "a", "early")]
        _require_names(store, things)
        _require_names(store, things[:2], limit=2)
        _put(store, document("b"))
        _require_names(store, [things[1], things[0], *things[2:]])
        _require_names(store, [], id="absent")

    @rule
    def test_t43_drops_things(self) -> None:
        """`drop` forgets a thing with all of its parts, says how many, and no other."""
        store = self._keeping()
        _put(store, *(document("a", part) for part in _PARTS))
        _put(store, document("ab"), document("a", kind="other"))
        for count in (len(_PARTS), 0):
            with calling("drop"):
                gone = store.drop("kit", "a")
            require(gone == count, expected=f"drop to return {count}", seen=gone)
            _require_names(store, [], id="a")
            _require_names(store, [("ab", "")])
        require(
            len(_documents(store, "other", id="a")) == 1,
            expected="drop('kit', 'a') to leave what is of another kind",
            seen="it is gone",
        )

    @rule
    def test_t44_puts_all_or_nothing(self) -> None:
        """Of documents that are put together, others see all or nothing."""
        store, written = self._keeping(), threading.Event()

        def work(thread: int) -> None:
            if thread:
                _read_while(store, written)
                return
            try:
                for number in range(_BATCHES):
                    body = str(number).encode()
                    store.put([document("a", part, body=body) for part in _PARTS])
            finally:
                written.set()

        with calling("put and documents from several threads at once"):
            together(3, work)

    @rule
    def test_t45_loses_no_document_among_threads(self) -> None:
        """Documents of several threads are all kept, while others look and drop."""
        store = self._keeping()

        def keep(thread: int) -> None:
            for number in range(_EACH):
                store.put([document("a", f"{thread}-{number}")])
                store.put([document(f"{thread}", f"{number}")])
                store.documents("kit", id="a")
            store.drop("kit", f"{thread}")

        with calling(f"put, documents and drop from {_THREADS} threads at once"):
            together(_THREADS, keep)
        wanted = sorted(f"{t}-{n}" for t in range(_THREADS) for n in range(_EACH))
        found = [one.part for one in _documents(store, id="a")]
        require(
            found == wanted,
            expected=f"{len(wanted)} parts that threads put, each once, in their order",
            seen=f"{len(found)}",
        )

    @rule
    def test_t46_executes_nothing(self) -> None:
        """What a body says is not done: it is not even looked into."""
        store, traps = self._keeping(), _traps()
        _sprung.clear()
        _put(store, *(document("a", f"{n}", body=one) for n, one in enumerate(traps)))
        bodies = [one.body for one in _documents(store, id="a")]
        require(
            not _sprung and bodies == traps,
            expected="bodies that are a pickle, or Python, to come back as bytes",
            seen=f"{bodies}{'; they were executed' if _sprung else ''}",
            hint="Keep the bytes as they are.",
        )

    @rule
    def test_t47_keeps_documents_apart(self) -> None:
        """`clear` and `drop` leave alone what is not theirs; a new store has none."""
        store, key = self._keeping(), Key("pool")
        write(store, call("kit"), entry("kit"), kept(key, 0.5))
        store.intend(intent("kit"))
        _put(store, document("kit"), document("a"))
        store.drop("kit", "kit")
        require_found(store, [key], [0.5])
        require_runs(store, ["kit"])
        require_jobs(store, {"kit": None})
        store.clear()
        _require_names(store, [("a", "")])
        _require_names(self._new(), [])

    @rule
    def test_t48_outlasts_the_process(self) -> None:
        """Where it declares `durable`, documents outlast a close, and a killed process."""  # noqa: E501
        first, dropped = self._keeping(durable=True), document("dropped")
        before = [document("a", part) for part in _PARTS]
        _put(first, *before, dropped)
        changed, added = document("a", "1", body=b"changed"), document("a", "3")

        def crash(store: Store) -> None:
            store.put([changed, added])
            store.drop("kit", "dropped")

        again = self._after_crash(first, crash)
        wanted = [before[0], changed, before[2], added]
        seen = [attrs.evolve(one, alive=True) for one in _documents(again, id="a")]
        require_same("the parts once opened again", wanted, seen)
        _require_names(again, [("a", "")])

    @rule
    def test_t49_knows_who_lives(self) -> None:
        """Where it declares `durable`, a document is alive while the store is open that wrote it last."""  # noqa: E501

        def crash(store: Store) -> None:
            store.put([document("a", part) for part in _PARTS])

        one = self._after_crash(self._keeping(durable=True), crash)
        other = self._again(one)
        _require_alive(other, [], "once the process that wrote them was killed")
        _put(one, document("a", "1"))
        _require_alive(other, ["1"], "once one of them was written anew")
        _put(other, document("a", ""), document("a", "2", alive=False))
        _require_alive(one, ["", "1", "2"], "whatever `alive` was when it was put")
        things = _documents(one)
        require(
            [thing.alive for thing in things] == [True],
            expected="the thing to be alive, read without its parts, too",
            seen=things,
        )
        one.close()
        _require_alive(other, ["", "2"], "once the store that wrote '1' was closed")

    def _keeping(self, *, durable: bool = False) -> Store:
        """Return a store with a place for documents."""
        store = self._durable() if durable else self._new()
        declared("documents", keeps_documents(store))
        return store


def document_calls(store: Store) -> list[tuple[str, Callable[[int], object]]]:
    """Return the calls that an instant store answers at once."""
    if not keeps_documents(store):
        return []
    return [
        ("put", lambda n: store.put([document(f"{n}")])),
        ("documents", lambda n: store.documents("kit", id=f"{n}")),
        ("drop", lambda n: store.drop("kit", f"{n}")),
    ]


def _put(store: Store, *documents: Document) -> None:
    with calling("put"):
        store.put(documents)


def _documents(store: Store, kind: str = "kit", **filters: Any) -> list[Document]:
    with calling("documents"):
        return list(store.documents(kind, **filters))


def _require_names(
    store: Store, names: Sequence[tuple[str, str]], **filters: Any
) -> None:
    """Fail unless `documents` returns those with this id and part, in this order."""
    what = ", ".join(["'kit'", *(f"{name}={one!r}" for name, one in filters.items())])
    found = [(one.id, one.part) for one in _documents(store, **filters)]
    require(
        found == list(names),
        expected=f"documents({what}) to return, as id and part, {list(names)}",
        seen=found,
    )


def _require_alive(store: Store, parts: Sequence[str], when: str) -> None:
    alive = [one.part for one in _documents(store, id="a") if one.alive]
    require(
        alive == list(parts),
        expected=f"of the parts {list(_PARTS)}, {list(parts)} to be alive {when}",
        seen=alive,
    )


def _read_while(store: Store, written: threading.Event) -> None:
    """Look at all that is put, until all is; fail on half a batch."""
    last = False
    while not last:
        last = written.is_set()
        bodies = [one.body for one in store.documents("kit", id="a")]
        require(
            len(bodies) in ((len(_PARTS),) if last else (0, len(_PARTS)))
            and len(set(bodies)) <= 1,
            expected=f"{len(_PARTS)} parts that were put together to be seen together",
            seen=bodies,
        )


def _spring() -> str:
    _sprung.append("executed")
    return ""


class _Trap:
    def __reduce__(self) -> Any:
        return _spring, ()


def _traps() -> list[bytes]:
    """Return bodies that do something if somebody executes them."""
    python = f"__import__({__name__!r}, fromlist=['_spring'])._spring()"
    return [*(pickle.dumps(_Trap(), n) for n in (0, 2, 5)), python.encode()]

"""The rules of stores."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from qelectron_core.registry import Kind
from qelectron_core.store import Entry, Intent, Store
from qelectron_core.testing.conformance.compare import difference
from qelectron_core.testing.conformance.doubles import (
    SECRET,
    Fixed,
    entry,
    execution,
    intent,
    rich_execution,
)
from qelectron_core.testing.conformance.kit import Kit
from qelectron_core.testing.conformance.rules import calling, declared, require, rule
from qelectron_core.testing.conformance.threads import together

#: Threads that use a store at once, and what each of them keeps.
_THREADS: Final = 8
_EACH: Final = 50
#: Longest median time of one call where nothing waits for a disk, in seconds.
INSTANT_S: Final = 1e-3


class StoreConformance(Kit):
    """The rules of stores; `make` returns a new, empty one.

    A durable store also needs `reopen`, which returns another store in the same
    place.

    Example:
        >>> from qelectron_core.store import MemoryStore
        >>> class TestMemoryStore(StoreConformance):
        ...     def make(self):
        ...         return MemoryStore()
    """

    kind: ClassVar[Kind] = "store"
    _opened: tuple[Store, ...] = ()

    def make(self) -> Store:
        """Return a new, empty store."""
        store: Store = super().make()
        return store

    def reopen(self, store: Store) -> Store:
        """Return another store that keeps its records where `store` does."""
        del store
        name = type(self).__name__
        message = (
            f"{name} has no reopen(store). A store that declares durable=True is "
            "opened again to see what it kept: return a store in the same place."
        )
        raise NotImplementedError(message)

    def tidy(self) -> None:
        """Close the stores of a rule."""
        opened, self._opened = self._opened, ()
        for store in opened:
            with contextlib.suppress(Exception):  # a rule of its own says so
                store.close()

    def _new(self) -> Store:
        return self._noted(self.make())

    def _again(self, store: Store) -> Store:
        return self._noted(self.reopen(store))

    def _noted(self, store: Store) -> Store:
        self._opened = (*self._opened, store)
        return store

    @rule
    def test_t01_returns_entries_in_order(self) -> None:
        """What `record` kept, `entries` returns at once, the oldest first."""
        store, kept = self._new(), [entry(f"call-{n % 7}", n) for n in range(100)]
        for number, one in enumerate(kept):
            _record(store, one)
            require(
                len(store.entries()) == number + 1,
                expected=f"{number + 1} entries after {number + 1} calls of record",
                seen=f"{len(store.entries())} entries",
            )
        _require_same("entries()", kept, store.entries())

    @rule
    def test_t02_filters_by_call(self) -> None:
        """`entries(call_id=...)` returns those of one call, and no others."""
        store, kept = self._new(), [entry(f"call-{n % 3}", n) for n in range(12)]
        for one in kept:
            _record(store, one)
        wanted = [one for one in kept if one.call_id == "call-1"]
        _require_same("entries(call_id='call-1')", wanted, _of_call(store, "call-1"))
        _require_same("entries(call_id='call-9')", [], _of_call(store, "call-9"))

    @rule
    def test_t03_keeps_every_field_of_an_entry(self) -> None:
        """Every field of an entry comes back as it was recorded."""
        store = self._new()
        kept = [Entry("call-é", 5, rich_execution()), Entry("c", 0, execution())]
        for one in kept:
            _record(store, one)
        _require_same("entries()", kept, store.entries())

    @rule
    def test_t04_follows_jobs(self) -> None:
        """A job is in `jobs` from `intend` on, with its handle after `submitted`, until `ended`."""  # noqa: E501
        store, kept = self._new(), [intent(f"job-{n}", []) for n in range(3)]
        with calling("intend, submitted, ended and jobs"):
            for one in kept:
                store.intend(one)
            _require_jobs(store, {"job-0": None, "job-1": None, "job-2": None})
            store.submitted("job-1", "handle-1")
            _require_jobs(store, {"job-0": None, "job-1": "handle-1", "job-2": None})
            store.ended("job-0")
            _require_jobs(store, {"job-1": "handle-1", "job-2": None})
            store.ended("job-1")
            store.ended("job-2")
            _require_jobs(store, {})

    @rule
    def test_t05_keeps_every_field_of_a_job(self) -> None:
        """Every field of an intended job comes back, its circuits included."""
        from qelectron_core.testing.conformance.circuits import any_circuits

        store, kept = self._new(), intent("job-é", any_circuits())
        with calling("intend and jobs"):
            store.intend(kept)
            _require_same("jobs()", [kept], store.jobs())

    @rule
    def test_t06_takes_unknown_jobs(self) -> None:
        """`submitted` and `ended` of a job that it does not know change nothing."""
        store = self._new()
        with calling("submitted and ended with an unknown job id"):
            store.submitted("job-unknown", "handle")
            store.ended("job-unknown")
            store.intend(intent("job-1", []))
            store.ended("job-unknown")
            _require_jobs(store, {"job-1": None})
            store.ended("job-1")
            store.ended("job-1")
            _require_jobs(store, {})

    @rule
    def test_t07_loses_no_entry_among_threads(self) -> None:
        """Entries of several threads are all kept, those of each thread in order."""
        store = self._new()

        def keep(thread: int) -> None:
            for number in range(_EACH):
                store.record(entry(f"call-{thread}", number))
                store.entries(call_id=f"call-{thread}")

        with calling(f"record and entries from {_THREADS} threads at once"):
            together(_THREADS, keep)
        for thread in range(_THREADS):
            numbers = [one.index for one in _of_call(store, f"call-{thread}")]
            require(
                numbers == list(range(_EACH)),
                expected=f"entries 0 to {_EACH - 1} of each thread, in order",
                seen=f"{len(numbers)} of one thread: {numbers}",
            )

    @rule
    def test_t08_loses_no_job_among_threads(self) -> None:
        """Jobs of several threads are all kept, each with its own handle and end."""
        store = self._new()

        def keep(thread: int) -> None:
            for number in range(_EACH):
                name = f"job-{thread}-{number}"
                store.intend(intent(name, []))
                store.submitted(name, f"handle of {name}")
                if number % 2:
                    store.ended(name)
                store.jobs()

        with calling(f"intend, submitted and ended from {_THREADS} threads at once"):
            together(_THREADS, keep)
        names = [f"job-{t}-{n}" for t in range(_THREADS) for n in range(0, _EACH, 2)]
        found = {one.job_id: one.handle for one in store.jobs()}
        missing = [name for name in names if found.get(name) != f"handle of {name}"]
        require(
            not missing and len(found) == len(names),
            expected=f"{len(names)} jobs that have not ended, each with its handle",
            seen=f"{len(found)} jobs; wrong or missing: {missing[:3]}",
        )

    @rule
    def test_t09_gives_away_copies(self) -> None:
        """Changing the list that `entries` or `jobs` returned changes no record."""
        store = self._new()
        _record(store, entry())
        store.intend(intent("job-1", []))
        for returned in (store.entries(), store.jobs()):
            if isinstance(returned, list):
                returned.clear()
        counts = (len(store.entries()), len(store.jobs()))
        require(
            counts == (1, 1),
            expected="1 entry and 1 job, after the returned lists were cleared",
            seen=f"{counts[0]} and {counts[1]}",
            hint="Return a new list.",
        )

    @rule
    def test_t10_shares_nothing(self) -> None:
        """A new store is empty, whatever another one keeps."""
        first = self._new()
        _record(first, entry())
        first.intend(intent("job-1", []))
        second = self._new()
        counts = (len(second.entries()), len(second.jobs()))
        require(
            counts == (0, 0),
            expected="no entries and no jobs in a new store",
            seen=f"{counts[0]} entries and {counts[1]} jobs of another store",
            hint="Keep records in the instance, and let make() return an empty store.",
        )

    @rule
    def test_t11_closes_twice(self) -> None:
        """`close` may be called again."""
        store = self._new()
        _record(store, entry())
        with calling("close, called twice"):
            store.close()
            store.close()

    @rule
    def test_t12_shows_no_secret(self) -> None:
        """Its `repr` and `str` show no secret of the executors in its records."""
        store = self._new()
        _record(store, entry(executor=Fixed(token=SECRET)))
        shown = (repr(store), str(store))
        require(
            all(SECRET not in text for text in shown),
            expected="a repr and a str without the token of a recorded executor",
            seen="the token is in " + ("repr" if SECRET in shown[0] else "str"),
        )

    @rule
    def test_t13_is_instant(self) -> None:
        """Where it declares `instant`, each call takes less than a millisecond."""
        store = self._new()
        declared("instant", store.instant)
        calls: list[tuple[str, Callable[[int], object]]] = [
            ("record", lambda n: store.record(entry("call", n))),
            ("intend", lambda n: store.intend(intent(f"job-{n}", []))),
            ("submitted", lambda n: store.submitted(f"job-{n}", f"handle-{n}")),
            ("ended", lambda n: store.ended(f"job-{n}")),
        ]
        for name, call in calls:
            median = statistics.median(_seconds(call, n) for n in range(100))
            require(
                median < INSTANT_S,
                expected=f"a median of less than {INSTANT_S * 1e3:g} ms for {name}",
                seen=f"{median * 1e3:.3g} ms",
                hint="Leave instant=False if it waits for a disk or a network.",
            )

    @rule
    def test_t14_outlasts_a_close(self) -> None:
        """Where it declares `durable`, all of it is there when it is opened again."""
        store = self._new()
        declared("durable", store.durable)
        kept, job = [entry("call-1", n) for n in range(20)], intent("job-1", [])
        for one in kept:
            _record(store, one)
        store.intend(job)
        store.close()
        again = self._again(store)
        _require_same("entries() once opened again", kept, again.entries())
        _require_same("jobs() once opened again", [job], again.jobs())

    @rule
    def test_t15_outlasts_a_crash(self) -> None:
        """Where it declares `durable`, jobs are there even if it was never closed."""
        store = self._new()
        declared("durable", store.durable)
        for number in range(3):
            store.intend(intent(f"job-{number}", []))
        store.submitted("job-1", "handle-1")
        store.ended("job-2")
        _require_jobs(self._again(store), {"job-0": None, "job-1": "handle-1"})

    @rule
    def test_t16_is_registered_by_name(self) -> None:
        """Registering it imports neither its module nor PennyLane."""
        self.require_light_registration()


def _record(store: Store, one: Entry) -> None:
    with calling("record"):
        store.record(one)


def _of_call(store: Store, call_id: str) -> Sequence[Entry]:
    with calling(f"entries(call_id={call_id!r})"):
        return store.entries(call_id=call_id)


def _require_same(what: str, kept: Sequence[Any], returned: Sequence[Any]) -> None:
    require(
        len(returned) == len(kept),
        expected=f"{what} to return {len(kept)}",
        seen=f"{len(returned)}",
    )
    for number, (before, after) in enumerate(zip(kept, returned, strict=True)):
        found = difference(before, after, f"{what}[{number}]")
        if found is not None:
            require(False, expected=found.expected, seen=found.seen)


def _require_jobs(store: Store, handles: dict[str, str | None]) -> None:
    jobs: Sequence[Intent] = store.jobs()
    require(
        [(job.job_id, job.handle) for job in jobs] == list(handles.items()),
        expected=f"jobs() with the handles {handles}, the oldest first",
        seen={job.job_id: job.handle for job in jobs},
    )


def _seconds(call: Callable[[int], object], number: int) -> float:
    start = time.perf_counter()
    call(number)
    return time.perf_counter() - start

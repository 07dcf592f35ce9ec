"""Rules of stores about threads, time, copies and their end."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from typing import Final

from qelectron_core.store import Key, Store
from qelectron_core.testing.conformance.doubles import (
    SECRET,
    Fixed,
    call,
    entry,
    intent,
    kept,
)
from qelectron_core.testing.conformance.rules import calling, declared, require, rule
from qelectron_core.testing.conformance.store_documents import document_calls
from qelectron_core.testing.conformance.store_kit import StoreKit, write
from qelectron_core.testing.conformance.store_ledgers import ledger_calls
from qelectron_core.testing.conformance.threads import together

#: Threads that use a store at once, and what each of them keeps.
_THREADS: Final = 8
_EACH: Final = 20
#: Batches that one thread writes while others read.
_BATCHES: Final = 30
_LINES: Final = 3
#: Longest median time of one call where nothing waits for a disk, in seconds.
INSTANT_S: Final = 1e-3


class LifeRules(StoreKit):
    """What holds however a store is used, and when it is no longer."""

    @rule
    def test_t25_writes_all_or_nothing(self) -> None:
        """Of a batch that one thread writes, others see all or nothing."""
        store, written = self._new(), threading.Event()

        def work(thread: int) -> None:
            if thread:
                _read_while(store, written)
                return
            try:
                for number in range(_BATCHES):
                    of = f"call-{number}"
                    batch = [entry(of, index) for index in range(_LINES)]
                    store.write([call(of)], batch, [kept(Key(of))])
            finally:
                written.set()

        with calling("write, runs and find from several threads at once"):
            together(3, work)
        found = {one.id: sum(one.states.values()) for one in store.runs()}
        require(
            found == {f"call-{number}": _LINES for number in range(_BATCHES)},
            expected=f"{_BATCHES} calls with {_LINES} lines each",
            seen=f"{len(found)} calls, with {sum(found.values())} lines",
        )

    @rule
    def test_t26_loses_no_job_among_threads(self) -> None:
        """Jobs of several threads are all kept, each with its own handle and end."""
        store = self._new()

        def keep(thread: int) -> None:
            for number in range(_EACH):
                name = f"job-{thread}-{number}"
                store.intend(intent(name))
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
    def test_t27_loses_no_result_among_threads(self) -> None:
        """Results of several threads are all kept, while others look and claim."""
        store = self._new()

        def keep(thread: int) -> None:
            for number in range(_EACH):
                keys = [Key("pool", f"{thread}", f"{n}") for n in range(number + 1)]
                store.claim(keys[-1:])
                store.ended("job", [kept(keys[-1], float(number))])
                values = [one and one.value for one in store.find(keys)]
                require(
                    values == [*map(float, range(number + 1))],
                    expected=f"find to return the values 0.0 to {number}.0",
                    seen=values,
                )

        with calling(f"claim, ended and find from {_THREADS} threads at once"):
            together(_THREADS, keep)
        count = len(store.pool("pool"))
        require(
            count == _THREADS * _EACH,
            expected=f"{_THREADS * _EACH} results in their pool",
            seen=f"{count}",
        )

    @rule
    def test_t28_gives_away_lists(self) -> None:
        """Changing the lists that it returned changes nothing that it keeps."""
        store, key = self._new(), Key("pool")
        write(store, call(), entry(), kept(key))
        store.intend(intent("job-1"))
        looks: dict[str, Callable[[], object]] = {
            "runs": store.runs,
            "jobs": store.jobs,
            "pool": lambda: store.pool("pool"),
            "find": lambda: store.find([key]),
        }
        for name, look in looks.items():
            returned = look()
            if isinstance(returned, list):
                returned.clear()
            again = look()
            require(
                isinstance(again, (list, tuple)) and len(again) == 1,
                expected=f"{name} to return 1, after the list it gave was cleared",
                seen=again,
                hint="Return a new list.",
            )

    @rule
    def test_t29_shares_nothing(self) -> None:
        """A new store is empty, whatever another one keeps."""
        first = self._new()
        write(first, call(), entry(), kept(Key("pool")))
        first.intend(intent("job-1"))
        second = self._new()
        counts = [*map(len, (second.runs(), second.jobs(), second.pool("pool")))]
        require(
            counts == [0, 0, 0] and second.find([Key("pool")]) == [None],
            expected="no calls, no jobs and no results in a new store",
            seen=f"{counts[0]} calls, {counts[1]} jobs and {counts[2]} results",
            hint="Keep records in the instance, and let make() return an empty store.",
        )

    @rule
    def test_t30_closes_twice(self) -> None:
        """`close` may be called again."""
        store = self._new()
        write(store, call(), entry(), kept(Key("pool")))
        with calling("close, called twice"):
            store.close()
            store.close()

    @rule
    def test_t31_shows_no_secret(self) -> None:
        """Its `repr`, `str` and `usage` show no secret of the executors of its jobs."""
        store = self._new()
        store.intend(intent("job-1", executor=Fixed(token=SECRET)))
        shown = {"repr": repr(store), "str": str(store), "usage": str(store.usage())}
        shown["jobs"] = "".join(job.shown for job in store.jobs())
        showing = [name for name, text in shown.items() if SECRET in text]
        require(
            not showing,
            expected="no text with the token of a job's executor",
            seen=f"the token is in {', '.join(showing)}",
        )

    @rule
    def test_t32_is_instant(self) -> None:
        """Where it declares `instant`, each call takes less than a millisecond."""
        store = self._new()
        declared("instant", store.instant)
        calls: list[tuple[str, Callable[[int], object]]] = [
            ("write", lambda n: store.write([], [entry("call", n)], [kept(_key(n))])),
            ("intend", lambda n: store.intend(intent(f"job-{n}"))),
            ("submitted", lambda n: store.submitted(f"job-{n}", f"handle-{n}")),
            ("ended", lambda n: store.ended(f"job-{n}", [kept(_key(n))])),
            ("find", lambda n: store.find([_key(n)])),
            ("claim", lambda n: store.claim([_key(n + 50)])),
            ("release", lambda n: store.release([_key(n + 50)])),
            *document_calls(store),
            *ledger_calls(store),
        ]
        write(store, call("call"))
        for name, one in calls:
            median = statistics.median(_seconds(one, n) for n in range(100))
            require(
                median < INSTANT_S,
                expected=f"a median of less than {INSTANT_S * 1e3:g} ms for {name}",
                seen=f"{median * 1e3:.3g} ms",
                hint="Leave instant=False if it waits for a disk or a network.",
            )

    @rule
    def test_t33_is_registered_by_name(self) -> None:
        """Registering it imports neither its module nor PennyLane."""
        self.require_light_registration()


def _read_while(store: Store, written: threading.Event) -> None:
    """Look at all that is written, until all is; fail on half a batch."""
    last = False
    while not last:
        last = written.is_set()
        for seen in store.runs(limit=3):
            lines = sum(seen.states.values())
            whole = lines == _LINES and store.find([Key(seen.id)]) != [None]
            require(
                whole,
                expected=f"a call that was written with {_LINES} lines and a result to "
                "come with all of them",
                seen=f"{lines} lines, and result {store.find([Key(seen.id)])}",
            )


def _key(number: int) -> Key:
    return Key(f"pool-{number}")


def _seconds(call: Callable[[int], object], number: int) -> float:
    start = time.perf_counter()
    call(number)
    return time.perf_counter() - start

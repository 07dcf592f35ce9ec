"""Rules of stores about results."""

from __future__ import annotations

import numpy as np

from qelectron_core.store import Key
from qelectron_core.testing.conformance.doubles import (
    NOON,
    call,
    entry,
    intent,
    kept,
    results,
)
from qelectron_core.testing.conformance.rules import calling, require, rule
from qelectron_core.testing.conformance.store_kit import (
    StoreKit,
    require_claim,
    require_found,
    require_jobs,
    require_lines,
    require_same,
    write,
)


class ResultRules(StoreKit):
    """What is found of results, and who is to run what is not."""

    @rule
    def test_t15_finds_results(self) -> None:
        """`find` returns what was kept, key by key, and `None` for what was not."""
        store, keys = self._new(), [Key(f"pool-{n}", "100", "0") for n in range(20)]
        require_found(store, keys[:2], [None, None])
        write(store, *(kept(key, float(n)) for n, key in enumerate(keys[:10])))
        wanted = [*map(float, range(10)), *(None,) * 10]
        require_found(store, keys, wanted)
        require_found(store, keys[::-1], wanted[::-1])
        require_found(store, [keys[3], keys[3]], [3.0, 3.0])
        require_found(store, [], [])

    @rule
    def test_t16_keeps_results_of_every_type(self) -> None:
        """Results of every type come back bit for bit, with every field beside them."""
        store = self._new()
        details = {"job_id": "job-é", "handle": "cl0d-42/ü", "executor": "Fixed(2.0)"}
        metadata = {"calibrated_at": NOON, "qubits": 5, "mode": "session", "idle": None}
        wanted = [
            kept(Key(f"pool-{n}", "100", "é"), value, metadata=metadata, **details)
            for n, value in enumerate(results())
        ]
        write(store, *wanted)
        with calling("find"):
            found = store.find([one.key for one in wanted])
        require_same("what find returns", wanted, found)

    @rule
    def test_t17_tells_keys_apart(self) -> None:
        """Keys that differ in pool, shots or draw only are different keys."""
        store = self._new()
        keys = [
            *(Key("a"), Key("a", "10"), Key("a", "10", "1"), Key("a", "", "1")),
            *(Key("b"), Key("a", "100"), Key("a", "10", "seed 1, 1"), Key("a", "10x2")),
            *(Key("A"), Key("a", "10", "01"), Key("a", "10,5"), Key("a", "1", "0")),
        ]
        for number, key in enumerate(keys):
            require_found(store, [key], [None])
            write(store, kept(key, float(number), shots=number))
        require_found(store, keys, [*map(float, range(len(keys)))])

    @rule
    def test_t18_replaces_results(self) -> None:
        """A result replaces one with an equal key."""
        store, key = self._new(), Key("pool", "10", "0")
        write(store, kept(key, 0.25))
        write(store, kept(key, 0.75))
        require_found(store, [key], [0.75])
        count = len(store.pool("pool"))
        require(count == 1, expected="1 result in its pool", seen=f"{count}")

    @rule
    def test_t19_returns_pools(self) -> None:
        """`pool` returns the results of a pool, and no others, most shots first."""
        store = self._new()
        numbers = [(100, "0"), (1000, "0"), (10, "1"), (1000, "1"), (20, "0")]
        for shots, draw in numbers:
            key = Key("pool", str(shots), draw)
            write(store, kept(key, 0.5, shots=shots), kept(Key("other", draw=draw)))
        with calling("pool"):
            found, none = store.pool("pool"), store.pool("nothing")
        require(
            [one.shots for one in found] == [1000, 1000, 100, 20, 10],
            expected="pool to return results of 1000, 1000, 100, 20 and 10 shots",
            seen=[one.shots for one in found],
        )
        require(
            {one.key for one in found} == {Key("pool", str(s), d) for s, d in numbers},
            expected="each of them with its own key",
            seen=[str(one.key) for one in found],
        )
        require(not none, expected="nothing from a pool without results", seen=none)

    @rule
    def test_t20_keeps_copies(self) -> None:
        """Changing an array, before or after it is looked up, changes no kept result."""  # noqa: E501
        store, key = self._new(), Key("pool")
        given, counts = np.array([0.5, 0.5]), {"00": 3}
        write(store, kept(key, (given, counts)))
        given[0], counts["00"] = 7.0, 7
        for look in (store.find, lambda keys: [one.kept for one in store.claim(keys)]):
            with calling("find, claim"):
                (found,) = look([key])
            require(found is not None, expected="the result to be kept", seen="None")
            assert found is not None  # as just required
            array, count = found.value
            require(
                (array[0], count) == (0.5, {"00": 3}),
                expected="a kept result to stay [0.5 0.5] and {'00': 3}",
                seen=found.value,
                hint="Copy arrays and dictionaries on their way in and out.",
            )
            if array.flags.writeable:
                array[0] = 7.0
            count["00"] = 7

    @rule
    def test_t21_gives_leave_to_run(self) -> None:
        """A claim is the caller's, who may repeat it, until the result is kept."""
        store, key, other = self._new(), Key("pool", "10", "0"), Key("pool", "10", "1")
        require_claim(store, key, "run")
        require_claim(store, key, "run", "again to the store that has it")
        write(store, kept(key, 0.25))
        require_claim(store, key, "kept", "after write with its result")
        require_claim(store, other, "run", "where only the draw differs")
        with calling("claim of both"):
            answers = store.claim([other, key])
        values = [None if one.kept is None else one.kept.value for one in answers]
        require(
            values == [None, 0.25],
            expected="claim to answer key by key, with the values [None, 0.25]",
            seen=values,
        )

    @rule
    def test_t22_takes_claims_back(self) -> None:
        """`release` of a claim, of none, or of a kept result changes no result."""
        store, keys = self._new(), [Key(f"pool-{n}") for n in range(3)]
        write(store, kept(keys[1], 0.25))
        with calling("claim and release"):
            store.claim(keys[:2])
            store.release(keys)
            store.release(keys)
            store.release([])
        require_claim(store, keys[0], "run", "after release")
        require_found(store, keys, [None, 0.25, None])

    @rule
    def test_t23_clears_results_only(self) -> None:
        """`clear` forgets the results and says how many, not the journal, not the jobs."""  # noqa: E501
        store, keys, line = self._new(), [Key("a"), Key("b")], entry()
        write(store, call(), line, *map(kept, keys))
        store.intend(intent("job-1"))
        for wanted in (2, 0):
            with calling("clear"):
                count = store.clear()
            require(count == wanted, expected=f"clear to return {wanted}", seen=count)
        require_found(store, keys, [None, None])
        require(not store.pool("a"), expected="an empty pool", seen=store.pool("a"))
        require_claim(store, keys[0], "run", "after clear")
        require_lines(store, "call-1", [line])
        require_jobs(store, {"job-1": None})

    @rule
    def test_t24_counts_what_it_keeps(self) -> None:
        """`usage` counts results, calls, lines and jobs, and their bytes."""
        store = self._new()
        write(store, call("call-1"), call("call-2"))
        write(store, entry("call-1"), entry("call-1", 1), entry("call-2"))
        array = np.ones(1000)
        write(store, entry("call-2"), kept(Key("a")), kept(Key("a"), array))
        store.intend(intent("job-1"))
        with calling("usage"):
            seen = store.usage()
        counts = (seen.results, seen.calls, seen.circuits, seen.jobs)
        require(
            counts == (1, 2, 3, 1),
            expected="a usage of 1 result, 2 calls, 3 circuits and 1 job",
            seen=f"{counts}",
        )
        require(
            array.nbytes <= seen.result_bytes <= seen.total_bytes,
            expected=f"result_bytes of {array.nbytes} or more, and total_bytes no less",
            seen=f"{seen.result_bytes} and {seen.total_bytes}",
        )
        require(
            bool(seen.location) and (seen.limit_bytes is None or seen.limit_bytes > 0),
            expected="a location to read, and a limit above 0 or None",
            seen=seen,
        )

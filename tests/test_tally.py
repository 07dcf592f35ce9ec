"""What executors did: how it is counted, and what is estimated from it."""

import random
import statistics
import time
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

import qelectron_core as ct
from qelectron_core.memory_store import MemoryStore
from qelectron_core.store import keeps_tallies
from qelectron_core.tally import BOUNDS_S, BUCKETS, SLICES, Counts, Window, tallies_of

NOW = 1_800_000_000.0
NOTHING = {"under_way": 0, "completed": 0, "failed": 0, "cancelled": 0, "cached": 0}


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qelectron_core.tally.time", SimpleNamespace(time=lambda: NOW))


def entry(index: int = 0, **changes: Any) -> ct.Entry:
    line = ct.Entry("call", index, "completed", "Echo()", NOW - 9, 1, NOW - 8, NOW - 7)
    return attrs.evolve(line, **changes)


def tally(*lines: ct.Entry, since: float | None = None, awaited: bool = True) -> Any:
    (one,) = tallies_of([(line, awaited) for line in lines], since=since)
    return one


# --- How it is counted ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({}, "completed"),
        ({"state": "cached"}, "cached"),
        ({"state": "submitted"}, "under_way"),
        ({"state": "started"}, "under_way"),
        ({"state": "retried", "error": "E: x"}, "retried"),
        ({"state": "failed", "error": "E: x"}, "failed"),
        ({"state": "failed"}, "failed"),
        ({"state": "failed", "error": "CancelledError"}, "cancelled"),
        ({"state": "failed", "error": "JobCancelledError: there"}, "cancelled"),
    ],
)
def test_a_line_is_counted_once(changes: Any, counted: str) -> None:
    one = tally(entry(**changes))
    states = ("under_way", "completed", "failed", "cancelled", "cached", "retried")
    assert [s for s in (*states, "lost") for _ in range(getattr(one, s))] == [counted]


def test_what_nobody_waits_for_is_lost() -> None:
    one = tally(entry(state="started"), entry(1, state="submitted"), awaited=False)
    assert (one.lost, one.under_way) == (2, 0)
    assert tally(entry(), awaited=False).completed == 1


def test_executors_are_told_apart_and_in_order() -> None:
    lines = [entry(n, executor=f"E{n % 3}()") for n in (2, 1, 0, 5)]
    found = tallies_of([(line, True) for line in lines])
    assert [(one.executor, one.completed) for one in found] == [
        ("E0()", 1),
        ("E1()", 1),
        ("E2()", 2),
    ]


def test_only_circuits_submitted_later_count() -> None:
    lines = [entry(n, submitted_at=NOW - 10 + n) for n in range(4)]
    one = tally(*lines, since=NOW - 9)
    assert (one.completed, one.since, one.until) == (2, NOW - 9, NOW)
    assert tally(*lines).since == NOW - 10
    assert tallies_of([(line, True) for line in lines], since=NOW) == []


def test_shots_jobs_and_cost_leave_out_what_was_cached() -> None:
    one = tally(
        entry(0, shots=10, job_id="job-1", job_size=2, cost_usd=0.5),
        entry(1, shots=10, job_id="job-1", job_size=2),
        entry(2, shots=None, job_id="job-2", job_size=1, cost_usd=0.25),
        entry(3, shots=99, job_id="job-3", job_size=1, state="cached"),
        entry(4, shots=5, state="submitted"),
    )
    assert (one.shots, one.jobs, one.cost_usd) == (25, 2, 0.75)
    assert tally(entry()).cost_usd is None


def test_the_last_error_is_that_which_came_last() -> None:
    one = tally(
        entry(0, state="failed", error="E: early", finished_at=NOW - 5),
        entry(1, state="retried", error="E: late", finished_at=NOW - 1),
        entry(2, state="failed", error="CancelledError", finished_at=NOW),
        entry(3, error="E: of no failure", finished_at=NOW),
    )
    assert (one.last_error, one.last_error_at) == ("E: late", NOW - 1)
    one = tally(entry(0, state="failed", error="E: x", finished_at=None))
    assert (one.last_error, one.last_error_at) == ("E: x", NOW - 9)
    one = tally(entry(0, state="failed"))
    assert (one.last_error, one.last_error_at) == (None, None)


def test_times_are_counted_with_the_bound_that_they_do_not_exceed() -> None:
    start = 2.0**20  # so that differences are exact
    for number, bound in enumerate(BOUNDS_S[9:], 9):
        line = entry(submitted_at=start, started_at=start + bound)
        one = tally(attrs.evolve(line, finished_at=start + 2 * bound))
        wanted = tuple(int(place == number) for place in range(BUCKETS))
        assert one.wait_times == one.run_times == wanted
    later = tally(entry(started_at=NOW, finished_at=NOW + 3601))
    assert later.run_times[-1] == 1
    before = tally(entry(started_at=NOW - 10, finished_at=NOW - 11))  # clocks differ
    assert before.run_times[0] == before.wait_times[0] == 1


@pytest.mark.parametrize(
    ("changes", "waited", "ran"),
    [
        ({}, 1, 1),
        ({"state": "started", "finished_at": None}, 1, 0),
        ({"state": "started", "started_at": None}, 0, 0),
        ({"started_at": None}, 0, 0),
        ({"finished_at": None}, 1, 0),
        ({"state": "failed"}, 0, 0),
        ({"state": "retried"}, 0, 0),
        ({"state": "cached"}, 0, 0),
    ],
)
def test_times_are_those_of_circuits_that_ran(
    changes: Any, waited: int, ran: int
) -> None:
    one = tally(entry(**changes))
    assert (sum(one.wait_times), sum(one.run_times)) == (waited, ran)


def test_throughput_is_counted_in_slices_of_the_time_looked_at() -> None:
    ends = [NOW - 600, NOW - 591, NOW - 589, NOW - 5, NOW, NOW + 50, NOW - 700]
    lines = [entry(n, finished_at=at) for n, at in enumerate(ends)]
    lines += [entry(20, state="failed"), entry(21, state="cached")]
    one = tally(*lines, since=NOW - 600)
    assert one.slice_s == 10
    assert one.throughput == (3, 1, *(0,) * (SLICES - 3), 3)


def test_a_time_without_a_length_has_slices_too() -> None:
    one = tally(entry(submitted_at=NOW + 50, started_at=NOW + 51, finished_at=NOW + 52))
    assert one.slice_s > 0
    assert one.throughput == (*(0,) * (SLICES - 1), 1)
    assert Window(0.0, 60.0).slice_of(float("inf")) == SLICES - 1
    assert tally(entry(), since=float("-inf")).since == NOW - 9


# --- What is estimated ----------------------------------------------------------------


def of_times(*seconds: float) -> ct.Tally:
    lines = [
        entry(n, submitted_at=1.0, started_at=1.0 + one, finished_at=1.0 + 2 * one)
        for n, one in enumerate(seconds)
    ]
    return tally(*lines)  # type: ignore[no-any-return]


@pytest.mark.parametrize("quantile", [0.01, 0.1, 0.5, 0.9, 0.99])
def test_quantiles_are_near_those_of_the_times(quantile: float) -> None:
    drawn = random.Random(7)
    seconds = [drawn.lognormvariate(0, 1.5) for _ in range(2000)]
    one = of_times(*seconds)
    wanted = statistics.quantiles(seconds, n=100)[round(quantile * 100) - 1]
    for found in (one.run_s(quantile), one.wait_s(quantile)):
        assert found is not None
        assert wanted / 1.25 < found < wanted * 1.25


def test_quantiles_never_fall() -> None:
    one = of_times(0.0005, 0.03, 0.03, 7.0, 4000.0)
    found = [one.run_s(number / 100) or 0.0 for number in range(101)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0.0, 3600.0)


def test_quantiles_are_between_the_bounds_of_the_time() -> None:
    one = of_times(0.3)
    assert (one.run_s(0), one.run_s(1)) == (0.2, 0.5)
    assert of_times(0.0001).run_s(1) == 0.001


def test_without_times_there_is_no_quantile() -> None:
    one = tally(entry(state="cached"))
    assert (one.run_s(0.5), one.wait_s(0.5)) == (None, None)


@pytest.mark.parametrize("quantile", [-0.1, 1.1, 50, float("nan")])
def test_what_is_no_quantile_is_refused(quantile: float) -> None:
    for method in (of_times(1.0).run_s, of_times(1.0).wait_s):
        with pytest.raises(ct.ConfigError, match=f"quantile={quantile!r} is none"):
            method(quantile)


def test_fields_have_room_for_every_bucket_and_slice() -> None:
    one = Counts().tally("Echo()", Window(0.0, 1.0))
    assert one == ct.Tally("Echo()", 0.0, 1.0)
    assert [*map(len, (one.run_times, one.throughput))] == [len(BOUNDS_S) + 1, SLICES]
    assert list(BOUNDS_S) == sorted(BOUNDS_S)


# --- Stores ---------------------------------------------------------------------------


class OldStore(MemoryStore):
    """Was written before there were tallies."""

    tallies = ct.Store.tallies


def test_a_store_without_tallies_says_so() -> None:
    with pytest.raises(ct.StoreError, match=r"OldStore.* keeps no tallies.*Upgrade it"):
        OldStore().tallies()
    assert not keeps_tallies(OldStore())
    assert keeps_tallies(MemoryStore())


def test_the_store_in_memory_is_told_by_a_run() -> None:
    store, began = MemoryStore(), time.time()
    import pennylane as qml

    @ct.qelectron(executors=ct.executor.Echo(), store=store)
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, 0)
        return qml.expval(qml.Z(0))

    circuit(0.1)
    ct.history(store=store)  # by then it is written
    (one,) = store.tallies(since=began)
    assert (one.completed, one.under_way, one.jobs) == (1, 0, 1)
    assert "Echo" in one.executor

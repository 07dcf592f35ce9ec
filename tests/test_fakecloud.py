"""The fake cloud: right results, honest counts, and trouble that repeats."""

import asyncio
import functools
import itertools
import os
import pickle
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pennylane.tape import QuantumScript

import qelectron_core as ct
import qelectron_core.testing
from qelectron_core import Handle, Job, Limits, Seed, Settings, State, Status
from qelectron_core.runtime.loop import LoopThread
from qelectron_core.structure import PLAIN_OPERATORS
from qelectron_core.testing import FakeCloud, Faults, virtual_clock
from qelectron_core.testing.clock import VirtualClock
from qelectron_core.testing.faults import Dice, Fate
from qelectron_core.testing.machines import Machines
from qelectron_core.testing.orders import Order
from qelectron_core.testing.simulation import simulate
from qelectron_core.testing.vendor import ODD_STATUS

DEADLINE_S = 30
names = map("test-{}".format, itertools.count())


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    with virtual_clock() as clock:
        yield clock


class Bench:
    """Calls the methods of a cloud as the core would, one by one."""

    def __init__(self, clock: VirtualClock, **options: Any) -> None:
        self.cloud = FakeCloud(name=next(names), **options)
        self.vendor = self.cloud.vendor
        self._loop = clock.runtime.loop.ask(asyncio.get_running_loop)

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result(DEADLINE_S)

    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    def submit(self, job: Job) -> Handle:
        return Handle(self.do(self.cloud.submit(job)), job)

    def status(self, handle: Handle) -> Any:
        return self.do(self.cloud.status(handle))

    def fetch(self, handle: Handle) -> Any:
        return self.do(self.cloud.fetch(handle))

    def cancel(self, handle: Handle) -> None:
        self.do(self.cloud.cancel(handle))

    def find(self, job: Job) -> Any:
        return self.do(self.cloud.find(job))

    def job(self, tag: str = "tag", circuits: Sequence[Any] = ()) -> Job:
        return make_job(self.cloud, tag, circuits or [rotation(0.5)])

    def finish(self, handle: Handle) -> Any:
        """Ask until a job does not run any more; return its last status."""
        return self.do(finish(self.cloud, handle))


@pytest.fixture
def bench(clock: VirtualClock) -> Callable[..., Bench]:
    def make(**options: Any) -> Bench:
        return Bench(clock, **options)

    return make


async def finish(cloud: FakeCloud, handle: Handle) -> Any:
    while True:
        status = Status.of(await cloud.status(handle))
        if status.state not in (State.QUEUED, State.RUNNING):
            return status
        await asyncio.sleep(0.125)


def make_job(cloud: FakeCloud, tag: str, circuits: Sequence[Any]) -> Job:
    seeds = tuple(Seed(7, place) for place in range(len(circuits)))
    return Job(tag, tuple(circuits), seeds, Settings(), cloud.open())


def rotation(x: float, shots: Any = None) -> QuantumScript:
    return QuantumScript([qml.RX(x, 0)], [qml.expval(qml.PauliZ(0))], shots=shots)


def make_qelectron(executors: Any, wires: Any = 2, **options: Any) -> ct.QElectron:
    @ct.qelectron(executors=executors)
    @qml.qnode(qml.device("default.qubit", wires=wires), **options)
    def circuit(x: Any) -> Any:
        qml.RX(x, wires=0)
        qml.CNOT(wires=[0, 1])
        return qml.expval(qml.PauliZ(1))

    return circuit


# --- A value --------------------------------------------------------------------------


def test_equal_options_make_one_cloud_with_one_vendor() -> None:
    name = next(names)
    cloud, equal = FakeCloud(name=name, latency_s=1), FakeCloud(name=name, latency_s=1)
    assert cloud == equal
    assert hash(cloud) == hash(equal)
    assert cloud.vendor is equal.vendor
    assert cloud.account == equal.account


def test_a_cloud_comes_out_of_a_pickle_with_its_vendor() -> None:
    cloud = FakeCloud(name=next(names), faults=Faults(stuck=0.5), limits=Limits(2))
    copy = pickle.loads(pickle.dumps(cloud))
    assert copy == cloud
    assert copy.vendor is cloud.vendor


@pytest.mark.parametrize(
    "change",
    [
        {"shots": 10},
        {"seed": 3},
        {"retries": 2},
        {"timeout_s": 9.0},
        {"wires": (0, 1)},
        {"findable": False},
        {"polling": ct.Polling(first_s=9.0)},
    ],
    ids=str,
)
def test_what_is_no_business_of_the_vendor_makes_no_other_vendor(
    change: dict[str, Any],
) -> None:
    cloud = FakeCloud(name=next(names))
    changed = attrs.evolve(cloud, **change)
    assert changed != cloud
    assert changed.vendor is cloud.vendor


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"latency_s": 1.0},
        {"machines": 3},
        {"faults": Faults(stuck=1)},
        {"vendor_seed": 1},
    ],
    ids=str,
)
def test_what_makes_a_vendor_makes_another_one(change: dict[str, Any]) -> None:
    cloud = FakeCloud(name=next(names))
    assert attrs.evolve(cloud, **change).vendor is not cloud.vendor


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("name", 3, "name=3 is no str"),
        ("latency_s", -1, "latency_s=-1 cannot be. Expected 0 or more"),
        ("latency_s", float("nan"), "latency_s=nan cannot be"),
        ("jitter_s", "1", "jitter_s='1' cannot be"),
        ("machines", 0, "machines=0 is no number of things. Expected 1 or more, or"),
        ("jobs_in_flight", 1.5, "jobs_in_flight=1.5 is no number"),
        ("requests_per_s", 0, "requests_per_s=0 is no rate. Expected a number above"),
        ("faults", {"stuck": 1}, "is no Faults. Expected one, as in Faults()"),
        ("limits", 10, "limits=10 is no Limits"),
        ("price_usd_per_shot", True, "price_usd_per_shot=True cannot be"),
    ],
)
def test_an_option_that_cannot_be_is_refused(
    option: str, value: Any, message: str
) -> None:
    with pytest.raises(ct.ConfigError, match=re.escape(message)):
        FakeCloud(**{option: value})


def test_a_fault_that_is_no_probability_is_refused() -> None:
    with pytest.raises(ct.ConfigError, match=r"stuck=1.5 is no probability"):
        Faults(stuck=1.5)


def test_a_cloud_shows_the_options_that_were_given() -> None:
    cloud = FakeCloud(latency_s=2, faults=Faults(stuck=0.5))
    assert repr(cloud) == "FakeCloud(latency_s=2, faults=Faults(stuck=0.5))"


def test_the_testing_package_lists_and_refuses_names() -> None:
    assert "FakeCloud" in dir(qelectron_core.testing)
    with pytest.raises(AttributeError, match="no attribute 'FakeClod'"):
        qelectron_core.testing.FakeClod  # noqa: B018  # it is the access that counts


def test_it_polls_at_the_pace_of_its_latency() -> None:
    firsts = [FakeCloud(latency_s=s).polling.first_s for s in (0, 1, 100)]
    assert firsts == [0.01, 0.1, 1.0]
    assert FakeCloud(polling=ct.Polling(first_s=7)).polling.first_s == 7


# --- Right results --------------------------------------------------------------------

RICH = [
    QuantumScript([qml.RX(0.1, 0)], [qml.expval(qml.PauliZ(0))]),
    QuantumScript([qml.RX(0.2, 0)], [qml.expval(qml.PauliZ(0))]),
    QuantumScript([qml.Hadamard(1)], [qml.probs(wires=[1])]),
    QuantumScript([qml.Hadamard(1)], [qml.probs(wires=[1])]),
    QuantumScript(
        [qml.RY(0.3, 0), qml.CNOT([0, 1])], [qml.probs(), qml.expval(qml.PauliX(1))]
    ),
    QuantumScript(
        [qml.RY(0.4, 0), qml.CNOT([0, 1])], [qml.probs(), qml.expval(qml.PauliX(1))]
    ),
    QuantumScript([qml.RX(0.3, 0)], [qml.var(0.5 * qml.PauliZ(0))]),
    QuantumScript([qml.RX(0.4, 0)], [qml.var(0.5 * qml.PauliZ(0))]),
    QuantumScript([qml.RX(0.3, 0)], [qml.state()]),
    QuantumScript([qml.QFT([0, 1])], [qml.expval(qml.PauliX(0))]),
    QuantumScript([qml.PauliRot(0.2, "XY", [0, 1])], [qml.expval(qml.PauliZ(0))]),
    QuantumScript([qml.PauliRot(0.4, "XY", [0, 1])], [qml.expval(qml.PauliZ(0))]),
]


def reference(circuit: QuantumScript, seed: Any = None) -> Any:
    device = qml.device("default.qubit", wires=2, seed=seed)
    config = device.setup_execution_config(circuit=circuit)
    prepared, finish = device.preprocess_transforms(config)((circuit,))
    return finish(device.execute(prepared, config))[0]


def assert_equal(actual: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert actual == expected
    elif isinstance(expected, tuple):
        assert isinstance(actual, tuple)
        for parts in zip(actual, expected, strict=True):
            assert_equal(*parts)
    else:
        assert np.shape(actual) == np.shape(expected)
        np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_results_are_those_of_default_qubit_in_order() -> None:
    seeds = [Seed(0, place) for place in range(len(RICH))]
    results = simulate(RICH, seeds, Settings(), (0, 1))
    for result, expected in zip(results, expected_of_rich(), strict=True):
        assert_equal(result, expected)


@functools.cache
def expected_of_rich() -> list[Any]:
    return [reference(circuit) for circuit in RICH]


@given(st.permutations(range(len(RICH))))
def test_the_order_of_circuits_changes_no_result(order: list[int]) -> None:
    seeds = [Seed(0, place) for place in order]
    results = simulate([RICH[i] for i in order], seeds, Settings(), (0, 1))
    for result, place in zip(results, order, strict=True):
        assert_equal(result, expected_of_rich()[place])


@pytest.mark.parametrize(
    "kind", sorted(PLAIN_OPERATORS, key=str), ids=lambda kind: str(kind.__name__)
)
def test_every_operator_gives_the_same_beside_others(kind: Any) -> None:
    def build(x: float) -> QuantumScript:
        wires = range(kind.num_wires or 2)
        values = [x + step for step in range(kind.num_params)]
        before = [qml.RY(1 + x * wire, wire) for wire in wires]
        after = [qml.RX(0.7 - wire * x, wire) for wire in wires]
        ops = [*before, kind(*values, wires=wires), *after]
        return QuantumScript(ops, [qml.probs(wires=wires), qml.expval(qml.PauliY(0))])

    circuits = [build(x) for x in (0.1, 0.2, 0.2, 1.3)]
    seeds = [Seed(0, 0)] * 4
    together = simulate(circuits, seeds, Settings())
    alone = [simulate([circuit], seeds[:1], Settings())[0] for circuit in circuits]
    for one, other in zip(together, alone, strict=True):
        assert_equal(one, other)


def test_wide_circuits_and_arrays_of_parameters_are_computed_too() -> None:
    def wide(x: float) -> QuantumScript:
        ops = [qml.RX(x, wire) for wire in range(11)]
        return QuantumScript(ops, [qml.expval(qml.PauliZ(10))])

    def angles(x: float) -> QuantumScript:
        ops = [qml.AngleEmbedding([x, 2 * x], [0, 1])]
        return QuantumScript(ops, [qml.expval(qml.PauliZ(1))])

    circuits = [wide(0.1), wide(0.2), angles(0.1), angles(0.2)]
    results = simulate(circuits, [Seed(0, 0)] * 4, Settings())
    assert_equal(results, np.cos([0.1, 0.2, 0.2, 0.4]))


@pytest.mark.parametrize(
    "measurement",
    [qml.sample(), qml.counts(), qml.expval(qml.PauliX(0)), qml.probs(wires=[1])],
)
@pytest.mark.parametrize("shots", [50, (20, 30)], ids=repr)
def test_samples_follow_their_seed_whatever_they_run_beside(
    measurement: Any, shots: Any
) -> None:
    ops = [qml.RX(1.0, 0), qml.CNOT([0, 1])]
    circuits = [QuantumScript(ops, [measurement], shots=shots) for _ in range(4)]
    seeds = [Seed(1, place) for place in range(4)]
    together = simulate(circuits, seeds, Settings(), (0, 1))
    backwards = simulate(circuits[::-1], seeds[::-1], Settings(), (0, 1))[::-1]
    for place, circuit in enumerate(circuits):
        assert_equal(together[place], reference(circuit, seeds[place].to_int()))
        assert_equal(backwards[place], together[place])
    assert len({str(result) for result in together}) > 1


def test_mid_circuit_measurements_follow_the_settings() -> None:
    measured = qml.measure(0, postselect=1)
    ops = [qml.Hadamard(0), *measured.measurements]
    circuit = QuantumScript(ops, [qml.sample(wires=[0])], shots=200)
    sizes = []
    for method, mode in (("deferred", "fill-shots"), ("one-shot", "hw-like")):
        settings = Settings(mcm_method=method, postselect_mode=mode)
        (result,) = simulate([circuit], [Seed(0, 0)], settings)
        assert set(np.asarray(result).ravel()) == {1}
        sizes.append(len(result))
    assert sizes[0] == 200
    assert sizes[1] < 200


def test_numpys_global_generator_is_left_alone() -> None:
    np.random.seed(5)
    before = str(np.random.get_state())
    simulate([rotation(0.1), rotation(0.1, 10)], [Seed(0, 0)] * 2, Settings())
    assert str(np.random.get_state()) == before


def test_a_circuit_that_cannot_be_computed_fails_alone() -> None:
    bad = QuantumScript([qml.RX(0.5, 9)], [qml.expval(qml.PauliZ(0))])
    good = [rotation(x) for x in (0.1, 0.2)]
    results = simulate(
        [good[0], bad, bad, good[1]], [Seed(0, 0)] * 4, Settings(), (0, 1)
    )
    assert isinstance(results[1], Exception)
    assert isinstance(results[2], Exception)
    assert_equal([results[0], results[3]], [np.cos(0.1), np.cos(0.2)])


def test_what_is_known_of_many_structures_is_forgotten_again() -> None:
    circuits = [
        QuantumScript([qml.PauliX(0)] * length, [qml.expval(qml.PauliZ(0))])
        for length in range(300)
    ]
    results = simulate(circuits, [Seed(0, 0)] * 300, Settings())
    assert_equal(results, [(-1.0) ** length for length in range(300)])


def test_a_thousand_small_circuits_are_computed_as_one() -> None:
    circuits = [rotation(x) for x in np.linspace(0, 3, 1000)]
    seeds = [Seed(0, 0)] * 1000
    simulate(circuits, seeds, Settings(), (0, 1))
    start = time.process_time()
    results = simulate(circuits, seeds, Settings(), (0, 1))
    assert time.process_time() - start < 0.35
    np.testing.assert_allclose(results, np.cos(np.linspace(0, 3, 1000)))


# --- Time and the queue ---------------------------------------------------------------


def test_a_job_takes_its_latency(bench: Callable[..., Bench]) -> None:
    desk = bench(latency_s=10.0)
    handle = desk.submit(desk.job())
    assert desk.status(handle) == Status(State.RUNNING, ahead=0)
    desk.wait(9.5)
    assert desk.status(handle).state == State.RUNNING
    desk.wait(0.5)
    assert desk.status(handle).state == State.DONE
    assert_equal(desk.fetch(handle), [np.cos(0.5)])


def test_jobs_queue_for_machines(bench: Callable[..., Bench]) -> None:
    desk = bench(latency_s=10.0, machines=2)
    handles = [desk.submit(desk.job(f"tag-{i}")) for i in range(5)]
    assert [desk.status(handle) for handle in handles] == [
        Status(State.RUNNING, ahead=0),
        Status(State.RUNNING, ahead=0),
        Status(State.QUEUED, ahead=0),
        Status(State.QUEUED, ahead=1),
        Status(State.QUEUED, ahead=2),
    ]
    desk.cancel(handles[2])
    assert desk.status(handles[4]).ahead == 1
    desk.cancel(handles[0])
    assert desk.status(handles[3]).state == State.RUNNING
    desk.wait(10)
    assert desk.status(handles[4]).state == State.RUNNING
    desk.finish(handles[4])
    jobs = desk.vendor.jobs
    started = [job.started_at for job in jobs]
    assert [None if at is None else round(at) for at in started] == [0, 0, None, 0, 10]
    assert [round(job.ended_at or 0) for job in jobs] == [0, 10, 0, 10, 20]


def test_requests_take_their_time(
    clock: VirtualClock, bench: Callable[..., Bench]
) -> None:
    desk = bench(request_s=2.0)
    handle = desk.submit(desk.job())
    assert clock.now == pytest.approx(2.0, abs=0.1)
    assert desk.vendor.jobs[0].accepted_at == pytest.approx(1.0, abs=0.1)
    desk.status(handle)
    assert clock.now == pytest.approx(4.0, abs=0.1)


def test_jitter_differs_from_job_to_job_and_repeats(
    bench: Callable[..., Bench],
) -> None:
    runs = []
    for seed in (1, 1, 2):
        desk = bench(latency_s=1.0, jitter_s=2.0, vendor_seed=seed)
        for tag in "abc":
            desk.finish(desk.submit(desk.job(tag)))
        jobs = desk.vendor.jobs
        runs.append([round(j.ended_at - j.started_at, 9) for j in jobs])  # type: ignore[operator]
    assert runs[0] == runs[1] != runs[2]
    assert len(set(runs[0])) == 3
    assert all(1 <= took <= 3 for took in runs[0])


def make_order(number: int, run_s: float, end: Any = "done") -> Order:
    return Order(
        id=str(number),
        tag=str(number),
        number=number,
        n_circuits=1,
        shots=0,
        price_usd=0.0,
        run_s=run_s,
        fate=Fate(end=end),
        accepted_at=0.0,
    )


steps = st.lists(
    st.tuples(
        st.floats(0, 3),  # how long to wait before
        st.floats(0, 5),  # how long the job runs
        st.sampled_from(["done", "crashed", "cancelled", "stuck"]),
        st.integers(0, 9),  # which job to cancel, if there is one by this number
    ),
    max_size=12,
)


@given(st.none() | st.integers(1, 3), steps)
def test_machines_run_jobs_as_they_came_and_not_too_many(
    count: int | None, steps: list[Any]
) -> None:
    machines, orders, recalled, now = Machines(count), [], set(), 0.0
    for number, (wait_s, run_s, end, victim) in enumerate(steps):
        now += wait_s
        machines.advance(now)
        orders.append(make_order(number, run_s, end))
        machines.add(orders[-1], now)
        if victim < len(orders) and machines.cancel(orders[victim], now):
            recalled.add(victim)
    machines.advance(now + 1000)

    started = [order for order in orders if order.started_at is not None]
    assert [o.started_at for o in started] == sorted(o.started_at for o in started)  # type: ignore[type-var]
    for order in started:
        beside = [
            other
            for other in started
            if other.started_at <= order.started_at  # type: ignore[operator]
            and (other.ended_at is None or other.ended_at > order.started_at)  # type: ignore[operator]
        ]
        assert count is None or len(beside) <= count
        if order.ended_at is not None and order.number not in recalled:
            assert order.ended_at == order.started_at + order.run_s  # type: ignore[operator]
    unended = [order for order in orders if order.ended_at is None]
    assert machines.in_flight == len(unended)
    waiting = [order for order in unended if order.started_at is None]
    assert [machines.ahead(order) for order in waiting] == list(range(len(waiting)))


# --- Counts and prices ----------------------------------------------------------------


def test_the_vendor_counts(bench: Callable[..., Bench]) -> None:
    desk = bench(latency_s=1.0, price_usd_per_job=0.3, price_usd_per_shot=0.01)
    done = desk.submit(desk.job("done", [rotation(0.1, 10), rotation(0.2, 20)]))
    gone = desk.submit(desk.job("gone", [rotation(0.3, 1000)]))
    assert desk.vendor.billed_usd == pytest.approx(0.6 + 10.3)
    desk.cancel(gone)
    desk.finish(done)
    for _ in range(2):
        desk.fetch(done)
    desk.cancel(done)  # too late

    vendor = desk.vendor
    assert (vendor.submitted, vendor.circuits, vendor.duplicates) == (2, 3, 0)
    assert (vendor.fetched, vendor.cancelled) == (1, 1)
    assert vendor.billed_usd == pytest.approx(0.6)
    assert vendor.requests["submit"] == 2
    assert vendor.requests["fetch"] == 2
    assert vendor.requests["cancel"] == 2
    first, second = vendor.jobs
    assert (first.id, first.tag, first.circuits, first.shots) == (
        done.id,
        "done",
        2,
        30,
    )
    times = (first.accepted_at, first.started_at, first.ended_at)
    assert times == pytest.approx((0, 0, 1), abs=0.1)
    assert (first.state, second.state) == (State.DONE, State.CANCELLED)


def test_a_price_is_known_before_it_is_billed(bench: Callable[..., Bench]) -> None:
    desk = bench(price_usd_per_job=0.3, price_usd_per_shot=0.01)
    circuits = [rotation(0.1, 10), rotation(0.2)]
    assert desk.cloud.cost_usd(circuits) == pytest.approx(0.4)
    desk.submit(desk.job("tag", circuits))
    assert desk.vendor.billed_usd == pytest.approx(0.4)


def test_a_tag_that_comes_twice_is_counted_and_not_merged(
    bench: Callable[..., Bench],
) -> None:
    desk = bench()
    first, second = desk.submit(desk.job("twin")), desk.submit(desk.job("twin"))
    assert first.id != second.id
    assert (desk.vendor.submitted, desk.vendor.duplicates) == (2, 1)
    assert desk.find(first.job) == first.id


def test_a_reset_forgets_everything(bench: Callable[..., Bench]) -> None:
    desk = bench(machines=1, faults=Faults(stuck=1.0))
    handle = desk.submit(desk.job())
    desk.cloud.reset()
    assert desk.vendor.jobs == ()
    assert desk.vendor.requests == Counter()
    with pytest.raises(ct.UnknownJobError, match=r"status with 404: there is no job"):
        desk.status(handle)
    assert desk.find(handle.job) is None
    assert desk.status(desk.submit(desk.job())).state == State.RUNNING


def test_results_are_not_handed_out_before_they_exist(
    bench: Callable[..., Bench],
) -> None:
    desk = bench(latency_s=5.0)
    handle = desk.submit(desk.job())
    with pytest.raises(ct.ExecutorError, match=r"has no results: it is run") as info:
        desk.fetch(handle)
    assert not isinstance(info.value, ct.JobFailedError)  # it is not to be retried
    assert desk.vendor.fetched == 0


# --- Limits ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(circuits_per_job=2), r"has 3 circuits, and 2 are allowed"),
        (Limits(shots_per_job=29), r"has 30 shots, and 29 are allowed"),
        (Limits(payload_bytes_per_job=100), r"has \d+ bytes, and 100 are"),
    ],
    ids=["circuits", "shots", "bytes"],
)
def test_a_job_beyond_a_limit_is_refused(
    bench: Callable[..., Bench], limits: Limits, message: str
) -> None:
    desk = bench(limits=limits)
    with pytest.raises(ct.ExecutorError, match=f"with 413: job 'tag' {message}"):
        desk.submit(desk.job("tag", [rotation(0.1, 10)] * 3))
    assert desk.vendor.submitted == 0


def test_a_job_at_its_limits_is_accepted(bench: Callable[..., Bench]) -> None:
    circuits = [rotation(0.1, 10)] * 3
    size = sum(map(FakeCloud().payload_bytes, circuits))
    desk = bench(limits=Limits(3, 30, size))
    desk.submit(desk.job("tag", circuits))
    assert desk.vendor.submitted == 1


def test_no_more_jobs_are_taken_than_may_be_in_flight(
    bench: Callable[..., Bench],
) -> None:
    desk = bench(latency_s=1.0, machines=1, jobs_in_flight=2)
    assert desk.cloud.concurrency == 2
    handles = [desk.submit(desk.job(tag)) for tag in "ab"]
    with pytest.raises(ct.RateLimitError, match=r"429: 2 jobs are in flight"):
        desk.submit(desk.job("c"))
    desk.finish(handles[0])
    desk.submit(desk.job("c"))
    assert desk.vendor.submitted == 3


def test_who_waits_as_told_is_answered(bench: Callable[..., Bench]) -> None:
    desk = bench(requests_per_s=3)
    handle = desk.submit(desk.job())
    refusals = []
    for _ in range(50):
        try:
            desk.status(handle)
        except ct.RateLimitError as error:
            refusals.append(error)
            desk.wait(error.retry_after_s or 0.0)
            desk.status(handle)
    assert len(refusals) == 48
    assert all("429: too many requests" in str(error) for error in refusals)
    assert all(0 < (error.retry_after_s or 0) <= 1 / 3 for error in refusals)


def test_requests_are_counted_by_the_second(
    clock: VirtualClock, bench: Callable[..., Bench]
) -> None:
    desk = bench(requests_per_s=0.5)
    handle = desk.submit(desk.job())
    with pytest.raises(ct.RateLimitError) as info:
        desk.status(handle)
    assert info.value.retry_after_s == pytest.approx(2.0)
    desk.wait(1.0)
    with pytest.raises(ct.RateLimitError) as info:
        desk.status(handle)
    assert info.value.retry_after_s == pytest.approx(1.0)
    desk.wait(100.0)
    desk.status(handle)
    with pytest.raises(ct.RateLimitError):  # waiting longer saves nothing up
        desk.status(handle)


# --- Faults of requests ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("rate_limited", ct.RateLimitError),
        ("unavailable", ct.TransientError),
        ("lost_request", ConnectionError),
    ],
)
def test_what_does_not_arrive_changes_nothing(
    bench: Callable[..., Bench], fault: str, error: type[Exception]
) -> None:
    desk = bench(faults=Faults(**{fault: 1.0}))
    job = desk.job()
    handle = Handle("x-1", job)
    for request, about in (
        (desk.submit, job),
        (desk.find, job),
        (desk.status, handle),
        (desk.fetch, handle),
        (desk.cancel, handle),
    ):
        ask: Callable[[Any], Any] = request
        with pytest.raises(error, match=r"FakeCloud '.*'") as info:
            ask(about)
        assert type(info.value) is error
    assert desk.vendor.submitted == 0
    assert set(desk.vendor.requests.values()) == {1}


def test_a_lost_answer_leaves_a_job(bench: Callable[..., Bench]) -> None:
    desk = bench(latency_s=5.0, faults=Faults(lost_answer=1.0))
    job = desk.job()
    with pytest.raises(ConnectionError, match="lost during submit"):
        desk.submit(job)
    (left,) = desk.vendor.jobs
    assert (left.tag, left.state) == (job.id, State.RUNNING)
    with pytest.raises(ConnectionError, match="lost during cancel"):
        desk.cancel(Handle(left.id, job))
    assert desk.vendor.cancelled == 1


def test_some_rate_limits_say_how_long_to_wait(bench: Callable[..., Bench]) -> None:
    desk = bench(faults=Faults(rate_limited=1.0))
    waits: list[float | None] = []
    for _ in range(20):
        with pytest.raises(ct.RateLimitError) as info:
            desk.submit(desk.job())
        waits.append(info.value.retry_after_s)
    said = [wait for wait in waits if wait is not None]
    assert 0 < len(said) < 20
    assert all(0 < wait <= 2 for wait in said)


def test_a_lost_job_can_be_found_by_its_tag(bench: Callable[..., Bench]) -> None:
    desk = bench()
    known = desk.submit(desk.job("known"))
    assert desk.find(known.job) == known.id
    assert desk.find(desk.job("unknown")) is None


def test_a_cloud_need_not_be_able_to_find(bench: Callable[..., Bench]) -> None:
    desk = bench(findable=False)
    with pytest.raises(NotImplementedError):
        desk.find(desk.job())


# --- Faults of jobs -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "state", "message"),
    [
        ("crashed", State.FAILED, "the machine crashed while the job ran"),
        ("cancelled", State.CANCELLED, "an operator stopped the machine"),
    ],
)
def test_a_job_that_ends_badly_has_no_results_and_no_price(
    bench: Callable[..., Bench], fault: str, state: State, message: str
) -> None:
    desk = bench(latency_s=2.0, price_usd_per_job=1.0, faults=Faults(**{fault: 1.0}))
    handle = desk.submit(desk.job())
    assert desk.status(handle).state == State.RUNNING
    assert desk.vendor.billed_usd == 1
    assert desk.finish(handle) == Status(state, message, 0)
    assert desk.vendor.billed_usd == 0
    assert desk.vendor.cancelled == 0
    with pytest.raises(ct.JobFailedError, match="has no results"):
        desk.fetch(handle)


@pytest.mark.parametrize(
    ("fault", "said"),
    [("stuck", Status(State.RUNNING, ahead=0)), ("odd_status", ODD_STATUS)],
)
def test_a_job_that_never_ends_can_be_cancelled(
    bench: Callable[..., Bench], fault: str, said: Any
) -> None:
    desk = bench(faults=Faults(**{fault: 1.0}))
    handle = desk.submit(desk.job())
    desk.wait(1e6)
    assert desk.status(handle) == said
    desk.cancel(handle)
    assert desk.status(handle).state == State.CANCELLED


def test_a_forgotten_job_is_unknown_once_it_has_ended(
    bench: Callable[..., Bench],
) -> None:
    desk = bench(latency_s=5.0, faults=Faults(forgotten=1.0))
    handle = desk.submit(desk.job())
    assert desk.status(handle).state == State.RUNNING
    with pytest.raises(ct.UnknownJobError, match=r"status with 404: there is no job"):
        desk.finish(handle)
    assert desk.find(handle.job) == handle.id  # it did arrive


def test_one_circuit_of_a_job_may_fail(bench: Callable[..., Bench]) -> None:
    desk = bench(faults=Faults(partial=1.0))
    xs = [0.1, 0.2, 0.3, 0.4]
    places = []
    for tag in range(6):
        handle = desk.submit(desk.job(str(tag), [rotation(x) for x in xs]))
        desk.finish(handle)
        results = desk.fetch(handle)
        (place,) = [i for i, r in enumerate(results) if isinstance(r, Exception)]
        assert str(results[place]) == f"circuit {place} of job {handle.id!r} failed"
        del results[place]
        assert_equal(results, [np.cos(x) for i, x in enumerate(xs) if i != place])
        places.append(place)
    assert len(set(places)) > 1


def test_a_result_may_be_missing(bench: Callable[..., Bench]) -> None:
    desk = bench(faults=Faults(wrong_count=1.0))
    handle = desk.submit(desk.job("tag", [rotation(0.1), rotation(0.2)]))
    desk.finish(handle)
    assert_equal(desk.fetch(handle), [np.cos(0.1)])


def test_a_job_without_circuits_is_a_job(bench: Callable[..., Bench]) -> None:
    desk = bench(faults=Faults(partial=1.0, wrong_count=1.0))
    handle = desk.submit(make_job(desk.cloud, "empty", []))
    desk.finish(handle)
    assert desk.fetch(handle) == []


# --- Trouble repeats ------------------------------------------------------------------

likely = st.floats(0, 1)
faults = st.builds(
    Faults,
    **dict.fromkeys((field.name for field in attrs.fields(Faults)), likely),
)


def decisions(faults: Faults, seed: int, tags: Sequence[str]) -> list[Any]:
    dice = Dice(seed)
    return [
        (
            faults.trouble(dice.roll("submit", tag)),
            faults.fate(dice.roll("job", tag), 5),
        )
        for tag in tags
    ]


@given(faults, st.integers(0, 99))
def test_decisions_do_not_depend_on_who_comes_first(faults: Faults, seed: int) -> None:
    tags = [f"tag-{i}" for i in range(6)]
    dice, wanted = Dice(seed), decisions(faults, seed, tags)
    for tag in tags:  # met in this order, asked in another
        dice.roll("hello", tag)
    fates = [faults.fate(dice.roll("job", tag), 5) for tag in reversed(tags)]
    troubles = [faults.trouble(dice.roll("submit", tag)) for tag in tags]
    assert list(zip(troubles, reversed(fates), strict=True)) == wanted
    assert decisions(faults, seed, list("uvwxyz")) == wanted


@given(faults, faults, st.integers(0, 99))
def test_a_likelier_fault_leaves_the_others_where_they_were(
    first: Faults, second: Faults, seed: int
) -> None:
    likelier = attrs.evolve(first, partial=max(first.partial, second.partial))
    before = [fate for _, fate in decisions(first, seed, "abc")]
    after = [fate for _, fate in decisions(likelier, seed, "abc")]
    for one, other in zip(before, after, strict=True):
        assert (one.end, one.is_short) == (other.end, other.is_short)
        assert one.broken in (None, other.broken)


def test_equal_seeds_make_equal_trouble(bench: Callable[..., Bench]) -> None:
    def live(seed: int) -> list[str]:
        desk = bench(
            faults=Faults(rate_limited=0.3, lost_answer=0.2, crashed=0.3, partial=0.3),
            vendor_seed=seed,
        )
        seen = []
        for tag in range(30):
            try:
                desk.submit(desk.job(f"{desk.cloud.name}-{tag}"))
                seen.append("accepted")
            except Exception as error:
                seen.append(type(error).__name__)
        desk.wait(1)
        for job in desk.vendor.jobs:
            handle = Handle(job.id, desk.job(job.tag))
            try:
                seen.append(desk.status(handle).state)
            except Exception as error:
                seen.append(type(error).__name__)
        return seen

    assert live(1) == live(1) != live(2)


# --- The clock ------------------------------------------------------------------------


def test_hours_pass_in_no_time(clock: VirtualClock) -> None:
    assert clock.now == pytest.approx(0, abs=0.1)
    circuit = make_qelectron(FakeCloud(name=next(names), latency_s=3600))
    start = time.monotonic()
    assert_equal(circuit(0.5), np.cos(0.5))
    assert time.monotonic() - start < DEADLINE_S
    assert 3600 <= clock.now < 3600 * 1.2


def test_time_stands_still_while_nothing_is_to_come(
    bench: Callable[..., Bench], clock: VirtualClock
) -> None:
    desk = bench()
    time.sleep(0.05)  # what is under way when the clock starts may move it once
    start = clock.now
    time.sleep(0.05)
    assert clock.now == pytest.approx(start, abs=0.1)
    desk.wait(2.0)
    assert clock.now == pytest.approx(start + 2.0, abs=0.1)


def test_time_stands_still_while_it_is_stopped(
    bench: Callable[..., Bench], clock: VirtualClock
) -> None:
    desk = bench()
    with clock.stopped():
        sleeping = asyncio.run_coroutine_threadsafe(asyncio.sleep(9), desk._loop)
        time.sleep(0.05)
        desk.do(asyncio.sleep(0))  # who needs no time is served
        assert clock.now == pytest.approx(0, abs=0.1)
        assert not sleeping.done()
    sleeping.result(DEADLINE_S)
    assert clock.now == pytest.approx(9, abs=0.1)


def test_time_stands_still_while_a_worker_thread_is_busy(
    bench: Callable[..., Bench], clock: VirtualClock
) -> None:
    desk = bench()
    seen: list[float] = []

    async def both() -> None:
        from qelectron_core.runtime.loop import in_thread

        def work() -> None:
            time.sleep(0.05)
            seen.append(clock.now)

        await asyncio.gather(in_thread(work), asyncio.sleep(100))

    desk.do(both())
    assert seen == [0.0]
    assert clock.now == pytest.approx(100, abs=0.1)


def test_timers_fire_in_their_order(bench: Callable[..., Bench]) -> None:
    desk, fired = bench(), []

    async def fire(at: float) -> None:
        await asyncio.sleep(at)
        fired.append(at)

    async def all_of_them() -> None:
        await asyncio.gather(*map(fire, [5.0, 0.1, 86_400.0 * 3, 2.5, 0.0]))

    desk.do(all_of_them())
    assert fired == sorted(fired)
    assert len(fired) == 5


def test_a_vendors_clock_never_goes_back() -> None:
    cloud = FakeCloud(name=next(names), latency_s=1.0, machines=1)
    for tag in ("first", "second"):
        with virtual_clock() as clock:  # begins at 0 each time
            desk = Bench(clock)
            desk.cloud = cloud
            desk.finish(desk.submit(desk.job(tag)))
    first, second = cloud.vendor.jobs
    assert first.ended_at is not None
    assert second.accepted_at >= first.ended_at


async def submit_and_leave(cloud: FakeCloud, job: Job) -> Handle:
    """Submit a job, and end everything on this loop before anything is computed."""
    handle = Handle(await cloud.submit(job), job)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    return handle


def test_a_vendor_goes_on_where_another_loop_gave_up() -> None:
    cloud = FakeCloud(name=next(names))
    job = make_job(cloud, "tag", [rotation(0.5)])
    handle = asyncio.run(submit_and_leave(cloud, job))
    assert asyncio.run(within(finish(cloud, handle))).state == State.DONE
    assert_equal(asyncio.run(cloud.fetch(handle)), [np.cos(0.5)])


def test_a_vendor_outlives_a_loop_that_just_stops() -> None:
    cloud = FakeCloud(name=next(names))
    loop = asyncio.new_event_loop()
    lost = loop.run_until_complete(cloud.submit(make_job(cloud, "1", [rotation(0.1)])))
    loop.close()
    job = make_job(cloud, "2", [rotation(0.5)])
    handle = Handle(asyncio.run(within(cloud.submit(job))), job)
    assert handle.id != lost
    assert asyncio.run(within(finish(cloud, handle))).state == State.DONE


async def within(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.wait_for(coroutine, DEADLINE_S)


def test_many_jobs_are_computed_by_one_task(bench: Callable[..., Bench]) -> None:
    desk = bench()

    async def submit_all() -> int:
        for tag in range(50):
            await desk.cloud.submit(desk.job(str(tag)))
        return len(asyncio.all_tasks())

    assert desk.do(submit_all()) == 2  # this one, and the one that computes


def test_jobs_computed_together_keep_their_settings(
    bench: Callable[..., Bench],
) -> None:
    desk = bench()
    circuit = QuantumScript([qml.PauliX(0)], [qml.probs()])
    clouds = [attrs.evolve(desk.cloud, wires=range(n)) for n in (1, 2, 3)]

    async def run_all() -> list[Any]:
        jobs = [make_job(desk.cloud, str(i), [circuit]) for i in range(3)]
        pairs = list(zip(clouds, jobs, strict=True))
        handles = [Handle(await cloud.submit(job), job) for cloud, job in pairs]
        for cloud, handle in zip(clouds, handles, strict=True):
            await finish(cloud, handle)
        return [await desk.cloud.fetch(handle) for handle in handles]

    assert [len(result) for (result,) in desk.do(run_all())] == [2, 4, 8]


def test_a_vendor_serves_several_loops_at_once() -> None:
    cloud = FakeCloud(name=next(names), machines=3)

    async def live(tag: str) -> Any:
        job = make_job(cloud, tag, [rotation(0.5)])
        handle = Handle(await cloud.submit(job), job)
        await finish(cloud, handle)
        return await cloud.fetch(handle)

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        tags = map(str, range(40))
        results = list(pool.map(lambda tag: asyncio.run(live(tag)), tags))
    assert_equal([r for (r,) in results], [np.cos(0.5)] * 40)
    assert (cloud.vendor.submitted, cloud.vendor.fetched) == (40, 40)


FORKED = """
import os
from qelectron_core.testing import FakeCloud, vendor

cloud = FakeCloud()
before = cloud.vendor
with vendor._vendors._lock:  # as if another thread were just founding a vendor
    pid = os.fork()
if pid == 0:
    os._exit(0 if cloud.vendor is not before and cloud.vendor is cloud.vendor else 4)
print("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_vendors_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "child 0\n", done.stderr


# --- Through a QElectron --------------------------------------------------------------


def test_a_qelectron_runs_on_a_fake_cloud(clock: VirtualClock) -> None:
    cloud = FakeCloud(name=next(names), latency_s=60, limits=Limits(100), machines=3)
    circuit = make_qelectron(cloud)
    xs = np.linspace(0, 3, 500)
    assert_equal(np.array(circuit.map(xs)), np.cos(xs))
    assert cloud.vendor.circuits == 500
    assert max(job.circuits for job in cloud.vendor.jobs) <= 100
    assert cloud.vendor.fetched == cloud.vendor.submitted
    assert cloud.vendor.duplicates == 0


def test_a_gradient_runs_on_a_fake_cloud(clock: VirtualClock) -> None:
    circuit = make_qelectron(FakeCloud(name=next(names), latency_s=60))
    x = qml.numpy.array(0.4, requires_grad=True)
    np.testing.assert_allclose(qml.grad(circuit)(x), -np.sin(0.4))


def test_all_wires_of_the_qnodes_device_are_measured(clock: VirtualClock) -> None:
    @ct.qelectron(executors=FakeCloud(name=next(names)))
    @qml.qnode(qml.device("default.qubit", wires=["a", "b", "c"]))
    def circuit() -> Any:
        qml.PauliX("b")
        return qml.probs()

    assert_equal(circuit(), np.eye(8)[0b010])
    fixed = FakeCloud(wires=[0]).for_device(qml.device("default.qubit", wires=3))
    assert fixed.wires == (0,)
    assert FakeCloud().for_device(qml.device("default.qubit")).wires is None


def test_equal_seeds_give_equal_samples(clock: VirtualClock) -> None:
    def sample(seed: int, **options: Any) -> Any:
        cloud = FakeCloud(name=next(names), shots=50, seed=seed, **options)
        return make_qelectron(cloud).map(np.linspace(0, 3, 10))

    first = sample(5)
    assert sample(5, limits=Limits(3), latency_s=9) == first
    assert sample(6) != first


def test_right_results_come_through_trouble(clock: VirtualClock) -> None:
    trouble = Faults(
        rate_limited=0.2, unavailable=0.2, lost_request=0.2, lost_answer=0.2
    )
    cloud = FakeCloud(
        name=next(names), latency_s=10, limits=Limits(5), request_s=0.1, faults=trouble
    )
    xs = np.linspace(0, 3, 100)
    assert_equal(np.array(make_qelectron(cloud).map(xs)), np.cos(xs))
    assert cloud.vendor.duplicates == 0
    assert cloud.vendor.circuits == 100


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("crashed", "the machine crashed while the job ran"),
        ("cancelled", "an operator stopped the machine"),
        ("partial", "circuit 0 of job .* failed"),
        ("odd_status", "status.. returned 'calibrating'"),
        ("forgotten", "there is no job"),
        ("wrong_count", "returned 0 results for 1 circuits"),
        ("stuck", "had no result of job .* within 7200 s"),
    ],
)
def test_each_fault_of_a_job_is_one_clear_error(
    clock: VirtualClock, fault: str, error: str
) -> None:
    faults = Faults(**{fault: 1.0})
    cloud = FakeCloud(name=next(names), latency_s=60, timeout_s=7200, faults=faults)
    with pytest.raises(ct.ExecutorError, match=error):
        make_qelectron(cloud)(0.5)


def test_it_is_found_by_name() -> None:
    assert ct.executor.FakeCloud is FakeCloud
    assert isinstance(ct.executor.FakeCloud().vendor, qelectron_core.testing.Vendor)


def test_the_clock_has_a_loop_thread_of_its_own(clock: VirtualClock) -> None:
    assert isinstance(clock.runtime.loop, LoopThread)
    assert ct.runtime.runtime() is clock.runtime

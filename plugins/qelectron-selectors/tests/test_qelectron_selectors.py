"""The selectors: which executor of a cluster runs which circuit."""

import copy
import math
import pickle
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, ClassVar

import attrs
import pennylane as qml
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import qelectron_core as ct
from qelectron_core import Executor, Job, Result
from qelectron_core.registry import registry
from qelectron_core.testing import FakeCloud, SelectorConformance
from qelectron_selectors.by_capability import ByCapability
from qelectron_selectors.fastest import Fastest
from qelectron_selectors.least_busy import LeastBusy
from qelectron_selectors.selectors import Cyclic, Random
from qelectron_selectors.weighted import Weighted

MEMBERS = ("first", "second", "third")


@attrs.frozen
class Constant(Executor):
    """Answers every circuit with one number."""

    value: float = 0.0

    def run(self, job: Job) -> Sequence[Result]:
        return [self.value for _ in job.circuits]


A, B, C = (Constant(value=float(number)) for number in range(3))
ABC = (A, B, C)


@attrs.frozen
class Gated(Constant):
    """Answers once its gate is open."""

    gates: ClassVar[dict[float, threading.Event]] = {}

    def run(self, job: Job) -> Sequence[Result]:
        assert self.gates[self.value].wait(timeout=60)
        return super().run(job)


@attrs.frozen
class Failing(Constant):
    """Fails at once."""

    def run(self, job: Job) -> Sequence[Result]:
        raise OSError("out of order")


@attrs.frozen
class Small(Constant):
    """Takes two wires, and expectation values."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(
        max_wires=2, samples=False, measurements=frozenset({"ExpectationMP"})
    )


@attrs.frozen
class Sampler(Constant):
    """Takes circuits with shots."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(exact=False)


def make(selector: Any, n_executors: int = 3) -> ct.QElectron:
    return make_with([Constant(value=float(n)) for n in range(n_executors)], selector)


def make_with(
    executors: Sequence[Any], selector: Any, wires: int = 1, **options: Any
) -> ct.QElectron:
    @ct.qelectron(executors=ct.QCluster(executors, selector=selector, **options))
    @qml.qnode(qml.device("default.qubit", wires=wires))
    def circuit(x: float) -> Any:
        for wire in range(wires):
            qml.RX(x, wires=wire)
        return qml.expval(qml.PauliZ(0))

    return circuit


@contextmanager
def closed(*values: float) -> Iterator[dict[float, threading.Event]]:
    """Keep `Gated` executors of these values from answering."""
    gates = {value: threading.Event() for value in values}
    Gated.gates.update(gates)
    try:
        yield gates
    finally:
        for gate in gates.values():
            gate.set()


def picks(selector: Any, count: int, members: Sequence[Any] = MEMBERS) -> list[Any]:
    return [selector(None, members) for _ in range(count)]


def in_threads(work: Any, n_threads: int = 8) -> None:
    """Do some work in several threads at the same time; raise what one raises."""
    start, errors = threading.Barrier(n_threads), list[BaseException]()
    interval = sys.getswitchinterval()

    def run() -> None:
        try:
            start.wait(timeout=10)
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(n_threads)]
    sys.setswitchinterval(1e-6)  # as many changes of threads as can be had
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]


def outcome(
    executor: Executor,
    seconds: float,
    *,
    size: int = 1,
    waited: float = 0.0,
    error: str | None = None,
) -> ct.Execution:
    """Return the record of a circuit in a job of `size` that took some seconds."""
    return ct.Execution(
        executor=executor,
        job_id="job",
        job_size=size,
        shots=None,
        submitted_at=0.0,
        started_at=waited,
        finished_at=waited + seconds,
        error=error,
    )


class Loads:
    """Stands for `ct.load` where a test says itself how busy executors are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.in_flight: Counter[Any] = Counter()
        self.ahead: Counter[Any] = Counter()
        monkeypatch.setattr(ct, "load", self)

    def __call__(self, member: Any) -> ct.Load:
        return ct.Load(self.in_flight[member], self.ahead[member])

    def pick(self, selector: Any, members: Sequence[Any] = ABC) -> Any:
        """Choose as the core does, which counts at once what was chosen."""
        chosen = selector(None, members)
        self.in_flight[chosen] += 1
        return chosen


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    return Loads(monkeypatch)


SELECTORS = {
    "by-capability": ByCapability,
    "cyclic": Cyclic,
    "fastest": Fastest,
    "least-busy": LeastBusy,
    "random": Random,
    "weighted": Weighted,
}


class TestByCapability(SelectorConformance):
    def make(self) -> Any:
        return ByCapability()


class TestCyclic(SelectorConformance):
    def make(self) -> Any:
        return Cyclic()


class TestFastest(SelectorConformance):
    def make(self) -> Any:
        return Fastest()


class TestLeastBusy(SelectorConformance):
    def make(self) -> Any:
        return LeastBusy()


class TestRandom(SelectorConformance):
    def make(self) -> Any:
        return Random()


class TestWeighted(SelectorConformance):
    def make(self) -> Any:
        return Weighted({member: n for n, member in enumerate(self.executors)})


def test_the_plugin_offers_them_by_name() -> None:
    (plugin,) = (p for p in registry().plugins if p.name == "selectors")
    assert plugin.error is None
    assert plugin.names("selector") == sorted(SELECTORS)
    for name, cls in SELECTORS.items():
        assert getattr(ct.selector, name) is cls


@pytest.mark.parametrize("name", SELECTORS)
def test_finding_a_selector_does_not_import_pennylane(name: str) -> None:
    code = (
        f"import sys, qelectron_core as ct; found = getattr(ct.selector, {name!r}); "
        "assert found.__module__ in sys.modules; "
        "assert 'pennylane' not in sys.modules; assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_cyclic_goes_round_in_order() -> None:
    assert picks(Cyclic(), 7) == [*MEMBERS, *MEMBERS, "first"]


def test_cyclic_serves_all_alike_from_many_threads() -> None:
    selector, found, start = Cyclic(), Counter[str](), threading.Barrier(8)
    lock = threading.Lock()

    def pick() -> None:
        start.wait(timeout=10)
        mine = Counter(picks(selector, 300))
        with lock:
            found.update(mine)

    threads = [threading.Thread(target=pick) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert found == dict.fromkeys(MEMBERS, 800)


@pytest.mark.parametrize(
    "duplicate",
    [lambda s: pickle.loads(pickle.dumps(s)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
def test_a_copied_cyclic_goes_on_where_the_original_stood(duplicate: Any) -> None:
    selector = Cyclic()
    picks(selector, 4)
    other = duplicate(selector)
    assert picks(other, 2) == ["second", "third"]
    assert picks(selector, 1) == ["second"], "the copy has a turn of its own"


def test_random_picks_every_member_about_as_often() -> None:
    found = Counter(picks(Random(seed=1), 3000))
    assert set(found) == set(MEMBERS)
    # 1000 each; the standard deviation is 26.
    assert all(abs(count - 1000) < 130 for count in found.values())


def test_random_repeats_with_its_seed_and_differs_without() -> None:
    assert picks(Random(seed=3), 50) == picks(Random(seed=3), 50)
    assert picks(Random(seed=3), 50) != picks(Random(seed=4), 50)
    assert picks(Random(), 50) != picks(Random(), 50)


def test_a_pickled_random_goes_on_with_the_same_sequence() -> None:
    selector = Random(seed=5)
    picks(selector, 10)
    other = pickle.loads(pickle.dumps(selector))
    assert picks(other, 20) == picks(selector, 20)


def test_cyclic_spreads_the_calls_of_a_qelectron_in_order() -> None:
    circuit = make("cyclic")
    assert float(circuit(0.1)) == 0.0
    assert float(circuit.run_later(0.1).result()) == 1.0
    assert [float(r) for r in circuit.map([0.1] * 4)] == [2.0, 0.0, 1.0, 2.0]


def test_every_qelectron_starts_with_the_first_executor() -> None:
    one, other = make("cyclic"), make("cyclic")
    assert [float(one(0.1)), float(other(0.1))] == [0.0, 0.0]


def test_a_seeded_random_selector_repeats_in_a_qelectron() -> None:
    xs = [0.1] * 30
    runs = [[float(r) for r in make(Random(seed=8)).map(xs)] for _ in range(2)]
    assert runs[0] == runs[1]
    assert set(runs[0]) == {0.0, 1.0, 2.0}


@pytest.mark.parametrize("selector", [LeastBusy(), Fastest(), Weighted({A: 1, B: 2})])
def test_an_adaptive_selector_serves_many_threads(selector: Any) -> None:
    found = list[Any]()

    def pick_and_learn() -> None:
        mine = []
        for number in range(1500):
            mine.append(selector(None, (A, B)))
            if hasattr(selector, "learn"):
                selector.learn(None, outcome(mine[-1], 1.0 + number % 3))
            if number % 500 == 0:
                pickle.dumps(selector)
        found.extend(mine)

    in_threads(pick_and_learn)
    counts = Counter(found)
    assert counts.total() == 12000
    assert set(counts) == {A, B}
    if isinstance(selector, Weighted):
        assert counts == {A: 4000, B: 8000}


@pytest.mark.parametrize(
    "duplicate",
    [lambda s: pickle.loads(pickle.dumps(s)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
@pytest.mark.parametrize(
    "make_selector",
    [LeastBusy, Fastest, lambda: Weighted({A: 5, B: 2, C: 1}), ByCapability],
    ids=["least-busy", "fastest", "weighted", "by-capability"],
)
def test_a_copy_goes_on_where_the_original_stood(
    make_selector: Any, duplicate: Any
) -> None:
    def go_on(selector: Any) -> list[Any]:
        found = []
        for _ in range(60):
            found.append(selector(SMALL, ABC))
            if hasattr(selector, "learn"):
                selector.learn(None, outcome(found[-1], 1.0 + found[-1].value))
        return found

    selector = make_selector()
    go_on(selector)
    selector(SMALL, ABC)
    other = duplicate(selector)
    first = go_on(selector)
    assert go_on(other) == first, "the copy has a state of its own"


@pytest.mark.parametrize("cls", [ByCapability, Fastest, LeastBusy])
def test_a_cluster_shows_its_selector(cls: Any) -> None:
    cluster = ct.QCluster([A], selector=cls())
    assert f"selector={cls.__name__}()" in repr(cluster)


# --- least-busy ----------------------------------------------------------------------


def test_least_busy_goes_round_while_nobody_is_busy() -> None:
    assert picks(LeastBusy(), 7, ABC) == [A, B, C, A, B, C, A]


def test_least_busy_prefers_the_fewest_in_flight_and_ahead(loads: Loads) -> None:
    loads.in_flight.update({A: 3, B: 1, C: 2})
    assert loads.pick(LeastBusy()) is B
    loads.in_flight.update({B: 1})  # 3, 3, 2
    loads.ahead.update({C: 5})
    assert {loads.pick(LeastBusy()), loads.pick(LeastBusy())} == {A, B}


def test_the_idle_ones_take_turns_while_one_is_busy(loads: Loads) -> None:
    loads.in_flight[A] = 9
    assert picks(LeastBusy(), 6, ABC) == [B, C, B, C, B, C]


@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=80),
    n_members=st.integers(1, 5),
)
def test_least_busy_keeps_executors_balanced(
    steps: list[tuple[bool, int]], n_members: int
) -> None:
    members = [Constant(value=float(number)) for number in range(n_members)]
    selector = LeastBusy()
    with pytest.MonkeyPatch.context() as monkeypatch:
        loads = Loads(monkeypatch)
        for ends, number in steps:
            if ends and loads.in_flight[members[number % n_members]]:
                loads.in_flight[members[number % n_members]] -= 1
                continue
            # As with failover, which leaves out some members.
            offered = members[number % n_members :]
            least = min(loads.in_flight[member] for member in offered)
            chosen = loads.pick(selector, offered)
            assert loads.in_flight[chosen] == least + 1


@given(n_members=st.integers(1, 6), count=st.integers(0, 50))
def test_least_busy_spreads_a_batch_evenly(n_members: int, count: int) -> None:
    members = [Constant(value=float(number)) for number in range(n_members)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        loads, selector = Loads(monkeypatch), LeastBusy()
        for _ in range(count):
            loads.pick(selector, members)
    counts = [loads.in_flight[member] for member in members]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("make_selector", [LeastBusy, Fastest])
def test_no_lock_is_held_while_the_core_is_asked(
    make_selector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    selector, asked = make_selector(), threading.Lock()

    def load(member: Any) -> ct.Load:
        if asked.acquire(blocking=False):
            other = threading.Thread(target=selector, args=(None, ABC), daemon=True)
            other.start()
            other.join(timeout=10)
            assert not other.is_alive(), "a second thread could not choose meanwhile"
        return ct.Load()

    monkeypatch.setattr(ct, "load", load)
    assert selector(None, ABC) in ABC


def test_least_busy_sees_what_other_qelectrons_do() -> None:
    slow, idle = Gated(value=11.0), Constant(value=12.0)
    with closed(11.0) as gates:
        others = [make_with([slow], "cyclic").run_later(0.1) for _ in range(3)]
        circuit = make_with([slow, idle], "least-busy")
        assert [float(circuit(0.1)) for _ in range(4)] == [12.0] * 4
        gates[11.0].set()
        ct.gather(others)
    assert {float(circuit(0.1)) for _ in range(4)} == {11.0, 12.0}


def test_least_busy_spreads_what_is_in_flight() -> None:
    executors = [Gated(value=value) for value in (21.0, 22.0, 23.0)]
    with closed(21.0, 22.0, 23.0):
        circuit = make_with(executors, "least-busy")
        futures = [circuit.run_later(0.1) for _ in range(30)]
        assert [ct.load(executor).in_flight for executor in executors] == [10] * 3
    assert Counter(float(f.result(timeout=30)) for f in futures) == {
        21.0: 10,
        22.0: 10,
        23.0: 10,
    }


def test_least_busy_counts_a_cluster_with_all_that_it_holds() -> None:
    one, two, three = (Gated(value=value) for value in (31.0, 32.0, 33.0))
    with closed(31.0, 32.0, 33.0):
        circuit = make_with([one, ct.QCluster([two, three])], "least-busy")
        futures = [circuit.run_later(0.1) for _ in range(8)]
        loads = [ct.load(executor).in_flight for executor in (one, two, three)]
        assert loads == [4, 2, 2]
    ct.gather(futures)


# --- fastest -------------------------------------------------------------------------


def run_for(
    selector: Any, seconds: dict[Any, float], count: int, failing: Any = ()
) -> Counter[Any]:
    """Run circuits one after the other, on executors that take these seconds."""
    found = Counter[Any]()
    for _ in range(count):
        chosen = selector(None, list(seconds))
        error = "OSError: out of order" if chosen in failing else None
        took = 0.0 if error else seconds[chosen]
        selector.learn(None, outcome(chosen, took, error=error))
        found[chosen] += 1
    return found


def test_fastest_tries_each_and_stays_with_the_fastest() -> None:
    selector = Fastest()
    found = [*run_for(selector, {A: 2.0, B: 1.0, C: 3.0}, 3)]
    assert found == [A, B, C]
    assert run_for(selector, {A: 2.0, B: 1.0, C: 3.0}, 18) == {B: 18}


@settings(max_examples=50)
@given(seconds=st.permutations([1.0, 2.0, 7.0, 40.0]))
def test_trials_of_slow_executors_cost_little(seconds: list[float]) -> None:
    members = [Constant(value=float(number)) for number in range(4)]
    times = dict(zip(members, seconds, strict=True))
    found = run_for(Fastest(), times, 2000)
    spent = sum(times[member] * count for member, count in found.items())
    assert all(found.values())
    assert spent / 2000 <= 1.0 + 3 / 20 + 0.05
    assert min(found[member] for member in members) >= 2, "tried again later on"


def test_fastest_leaves_one_that_has_become_slow() -> None:
    selector = Fastest()
    run_for(selector, {A: 1.0, B: 2.0}, 50)
    found = run_for(selector, {A: 30.0, B: 2.0}, 50)
    assert found[A] <= 3


def test_fastest_finds_one_that_has_recovered() -> None:
    selector = Fastest()
    run_for(selector, {A: 10.0, B: 1.0}, 50)
    found = run_for(selector, {A: 0.1, B: 1.0}, 400)
    assert found[B] <= 220, "20 times the work of the slow one, and a few"


def test_fastest_counts_what_is_in_flight_and_ahead(loads: Loads) -> None:
    selector = Fastest()
    run_for(selector, {A: 1.0, B: 5.0}, 2)
    found = [loads.pick(selector, (A, B)) for _ in range(6)]
    assert found == [A, A, A, A, B, A]
    loads.in_flight.clear()
    loads.ahead[A] = 5
    assert loads.pick(selector, (A, B)) is B


def test_until_there_are_outcomes_fastest_spreads_evenly(loads: Loads) -> None:
    selector = Fastest()
    assert Counter(loads.pick(selector) for _ in range(30)) == {A: 10, B: 10, C: 10}


def test_one_that_does_not_answer_is_not_flooded(loads: Loads) -> None:
    selector, found = Fastest(), Counter[Any]()
    for _ in range(20):
        chosen = loads.pick(selector, (A, B))
        found[chosen] += 1
        if chosen is A:  # B keeps silent
            selector.learn(None, outcome(A, 1.0))
            loads.in_flight[A] -= 1
    assert found[B] == 1


def test_the_time_of_a_job_is_shared_by_its_circuits() -> None:
    selector = Fastest()
    picks(selector, 2, (A, B))
    selector.learn(None, outcome(A, 1.0))
    for _ in range(10):
        selector.learn(None, outcome(B, 5.0, size=10))
    assert selector(None, (A, B)) is B


def test_a_job_weighs_the_same_whatever_its_size() -> None:
    selector = Fastest()
    run_for(selector, {A: 1.0, B: 2.0}, 10)
    for _ in range(50):  # one bad job: 3 seconds per circuit
        selector.learn(None, outcome(A, 150.0, size=50))
    assert selector(None, (A, B)) is A


def test_waiting_for_earlier_circuits_does_not_count() -> None:
    selector = Fastest()
    picks(selector, 2, (A, B))
    selector.learn(None, outcome(A, 1.0, waited=100.0))
    selector.learn(None, outcome(B, 2.0))
    assert selector(None, (A, B)) is A


def test_a_failing_executor_counts_as_slow_however_quickly_it_fails() -> None:
    selector = Fastest()
    times = {A: 1.0, B: 2.0, C: 10.0}
    run_for(selector, times, 20)
    found = run_for(selector, times, 300, failing={A})
    assert 1 <= found[A] <= 10
    assert run_for(selector, times, 400)[A] > 200, "found again once it works"


def test_one_failure_is_forgiven_where_others_are_much_slower() -> None:
    selector = Fastest()
    run_for(selector, {A: 1.0, B: 10.0}, 20)
    assert run_for(selector, {A: 1.0, B: 10.0}, 1, failing={A}) == {A: 1}
    assert run_for(selector, {A: 1.0, B: 10.0}, 2, failing={A}) == {A: 1, B: 1}


def test_where_all_fail_all_are_tried_and_the_first_to_recover_is_found() -> None:
    selector, times = Fastest(), {A: 1.0, B: 2.0, C: 3.0}
    assert len(run_for(selector, times, 2000, failing=ABC)) == 3
    assert run_for(selector, times, 200, failing={A, B})[C] > 150


@pytest.mark.parametrize(
    "error",
    ["BudgetError: no", "CancelledError: ", "JobCancelledError: job 7 was cancelled"],
)
def test_a_cancelled_circuit_does_not_count(error: str) -> None:
    selector = Fastest()
    run_for(selector, {A: 1.0, B: 2.0}, 2)
    for size in (0, 1):  # one that never started is in no job
        selector.learn(None, outcome(A, 500.0, size=size, error=error))
    assert selector(None, (A, B)) is A


def test_a_clock_too_coarse_to_measure_says_quick() -> None:
    assert len(run_for(Fastest(), dict.fromkeys(ABC, 0.0), 100)) == 3
    assert run_for(Fastest(), {A: 1.0, B: 0.0}, 30) == {A: 1, B: 29}


def test_a_circuit_in_no_job_counts_as_one() -> None:
    selector = Fastest()
    run_for(selector, {A: 1.0, B: 2.0}, 2)
    selector.learn(None, outcome(A, 1.0, size=0))
    assert selector(None, (A, B)) is A


def test_a_cluster_learns_from_the_executors_it_holds() -> None:
    inner = ct.QCluster([B, ct.QCluster([C])])
    selector = Fastest()
    picks(selector, 2, (A, inner))
    selector.learn(None, outcome(A, 3.0))
    selector.learn(None, outcome(C, 1.0))
    assert selector(None, (A, inner)) is inner
    for _ in range(20):
        selector.learn(None, outcome(B, 9.0))
    assert selector(None, (A, inner)) is A


def test_fastest_chooses_among_those_that_are_offered() -> None:
    selector = Fastest()
    run_for(selector, {A: 1.0, B: 2.0, C: 3.0}, 10)
    assert selector(None, (B, C)) is B
    assert selector(None, (C,)) is C


def test_outcomes_of_unknown_executors_are_ignored() -> None:
    selector = Fastest()
    selector.learn(None, outcome(A, 1.0))
    assert picks(selector, 1, (B,)) == [B]


def test_what_fastest_remembers_is_bounded() -> None:
    selector, sizes = Fastest(), []
    for number in range(4000):
        executor = Constant(value=float(number))
        selector(None, (executor,))
        if number % 1000 == 999:
            sizes.append(len(pickle.dumps(selector)))
    assert max(sizes) <= 1.1 * sizes[0]


def test_a_qelectron_learns_which_executor_is_the_fastest() -> None:
    slow, quick = Gated(value=41.0), Constant(value=42.0)
    circuit = make_with([slow, quick], "fastest")
    with closed(41.0) as gates:
        first = circuit.run_later(0.1)
        opener = threading.Timer(0.3, gates[41.0].set)
        opener.start()
        assert float(first.result(timeout=30)) == 41.0
        opener.join()
    assert [float(circuit(0.1)) for _ in range(10)] == [42.0] * 10


def test_the_time_of_a_remote_executor_counts_with_its_queue() -> None:
    one_by_one = ct.Limits(circuits_per_job=1)
    queues = FakeCloud(name="queues", latency_s=0.2, machines=1, limits=one_by_one)
    quick = FakeCloud(name="quick", latency_s=0.02)
    ahead = [make_with([queues], "cyclic").run_later(0.1) for _ in range(2)]
    circuit = make_with([queues, quick], "fastest")
    events: list[ct.Event] = []
    with ct.observe(events.append):
        for _ in range(5):
            circuit(0.1)
    ct.gather(ahead)
    mine = [e.executor for e in events if e.kind == "submitted"]
    assert mine == [queues, quick, quick, quick, quick]


def test_with_failover_fastest_leaves_a_failing_executor_alone() -> None:
    broken, works = Failing(value=51.0), Constant(value=52.0)
    circuit = make_with([broken, works], "fastest", failover=ct.Failover(after=1000))
    events: list[ct.Event] = []
    with ct.observe(events.append):
        assert [float(circuit(0.1)) for _ in range(15)] == [52.0] * 15
    assert 1 <= sum(event.kind == "retried" for event in events) <= 3


# --- weighted ------------------------------------------------------------------------

WEIGHTS = st.lists(
    st.one_of(
        st.integers(0, 20),
        st.floats(0, 5, allow_nan=False).map(lambda x: round(x, 2)),
        st.fractions(0, 3, max_denominator=9),
    ),
    min_size=1,
    max_size=7,
).filter(any)


def members_with(weights: Sequence[Any]) -> dict[Constant, Any]:
    return {Constant(value=float(n)): weight for n, weight in enumerate(weights)}


@given(weights=WEIGHTS, count=st.integers(1, 150))
@example(weights=[1, 1, 1, 3, 3, 3], count=12)  # where the largest credit is not enough
def test_everyone_has_its_share_at_any_time(weights: list[Any], count: int) -> None:
    given_weights = members_with(weights)
    exact = {m: Fraction(str(weight)) for m, weight in given_weights.items()}
    total, selector, found = (
        sum(exact.values()),
        Weighted(given_weights),
        Counter[Any](),
    )
    for so_far in range(1, count + 1):
        found[selector(None, list(given_weights))] += 1
        for member, weight in exact.items():
            share = so_far * weight / total
            assert math.floor(share) <= found[member] <= math.ceil(share)


@given(
    weights=st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any),
    start=st.integers(0, 60),
)
def test_shares_are_exact_over_any_window(weights: list[int], start: int) -> None:
    given_weights = members_with(weights)
    selector = Weighted(given_weights)
    picks(selector, start, list(given_weights))
    found = Counter(picks(selector, sum(weights), list(given_weights)))
    assert all(found[member] == weight for member, weight in given_weights.items())


@given(
    weights=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    left_out=st.lists(st.integers(0, 4), max_size=60),
)
def test_who_is_left_share_where_some_are_left_out(
    weights: list[int], left_out: list[int]
) -> None:
    given_weights = members_with(weights)
    members, selector = list(given_weights), Weighted(given_weights)
    found: dict[tuple[Any, ...], Counter[Any]] = {}
    for number in left_out:
        offered = tuple(m for n, m in enumerate(members) if n != number)
        found.setdefault(offered, Counter())[selector(None, list(offered))] += 1
    for offered, counts in found.items():
        part = Fraction(counts.total(), sum(given_weights[m] for m in offered))
        for member in offered:
            assert abs(counts[member] - part * given_weights[member]) < 1


def test_turns_are_spread_evenly() -> None:
    selector = Weighted({A: 3, B: 1})
    assert picks(selector, 8, (A, B)) == [A, A, B, A, A, A, B, A]
    assert picks(Weighted({A: 1, B: 1, C: 1}), 6, ABC) == [A, B, C, A, B, C]


def test_decimal_weights_are_meant_as_written() -> None:
    selector = Weighted({A: 0.7, B: 0.2, C: 0.1})
    for _ in range(5):
        assert Counter(picks(selector, 10, ABC)) == {A: 7, B: 2, C: 1}
    assert repr(selector).endswith(
        ": 7, Constant(value=1.0): 2, Constant(value=2.0): 1})"
    )


def test_weight_zero_runs_only_what_no_other_may() -> None:
    selector = Weighted({A: 0, B: 1, C: 0})
    assert picks(selector, 5, ABC) == [B] * 5
    assert picks(selector, 4, (A, C)) == [A, C, A, C]


def test_an_executor_listed_twice_has_one_share() -> None:
    selector = Weighted({A: 1, B: 1})
    assert Counter(picks(selector, 10, (A, A, B))) == {A: 5, B: 5}


def test_turns_are_remembered_for_a_bounded_number_of_lists() -> None:
    members = [Constant(value=float(number)) for number in range(300)]
    selector, sizes = Weighted(dict.fromkeys(members, 1)), []
    for number in range(300):
        selector(None, (members[number],))
        sizes.append(len(pickle.dumps(selector)))
    assert sizes[-1] == pytest.approx(sizes[100], rel=0.05)


def test_clusters_have_weights_too() -> None:
    inner = ct.QCluster([B, C])
    circuit = make_with([A, inner], Weighted({A: 1, inner: 2}))
    assert Counter(float(x) for x in circuit.map([0.1] * 12)) == {
        0.0: 4,
        1.0: 4,
        2.0: 4,
    }


@pytest.mark.parametrize("weights", [None, {}, [1, 2]], ids=repr)
def test_without_weights_the_message_shows_how_to_write_them(weights: Any) -> None:
    expected = (
        r"needs a weight per .*=ct\.selector\.weighted\(\{executor: 3, other: 1\}\)"
    )
    with pytest.raises(ct.ConfigError, match=expected):
        Weighted(weights)


def test_by_name_it_has_no_weights() -> None:
    with pytest.raises(ct.ConfigError, match=r"Write selector=ct\.selector\.weighted"):
        make("weighted")(0.1)


@pytest.mark.parametrize(
    "weight", [-1, math.nan, math.inf, True, "3", None, 1j], ids=repr
)
def test_what_is_no_weight_is_refused(weight: Any) -> None:
    with pytest.raises(
        ct.ConfigError, match=r"is no weight for Constant\(value=1\.0\)"
    ):
        Weighted({A: 1, B: weight})


def test_all_weights_zero_are_refused() -> None:
    with pytest.raises(ct.ConfigError, match=r"all weights are 0: {Constant\("):
        Weighted({A: 0, B: 0.0})


def test_weights_belong_to_executors_and_not_to_names() -> None:
    with pytest.raises(ct.ConfigError, match="'Simulator' has a weight and is no exec"):
        Weighted({"Simulator": 1})


def test_an_executor_without_weight_is_named() -> None:
    selector = Weighted({A: 1, B: 2})
    with pytest.raises(ct.ConfigError, match=r"Constant\(value=2\.0\) has no weight"):
        selector(None, ABC)
    with pytest.raises(
        ct.QElectronError, match=r"Constant\(value=2\.0\) has no weight"
    ):
        make_with(ABC, selector)(0.1)


# --- by-capability -------------------------------------------------------------------


def script(wires: int = 1, shots: int | None = None, measure: Any = qml.expval) -> Any:
    operations = [qml.RX(0.1, wires=wire) for wire in range(wires)]
    return qml.tape.QuantumScript(operations, [measure(qml.PauliZ(0))], shots=shots)


SMALL = script()


@pytest.mark.parametrize(
    ("circuit", "expected"),
    [
        (script(wires=2), Small()),
        (script(wires=3), A),
        (script(shots=10), Sampler()),
        (script(measure=qml.var), A),
    ],
    ids=["small", "wires", "shots", "measurement"],
)
def test_the_first_that_can_run_the_circuit(circuit: Any, expected: Any) -> None:
    assert ByCapability()(circuit, [Small(), Sampler(), A]) == expected


def test_the_order_is_the_order_of_preference() -> None:
    assert picks_for(SMALL, [A, Small()]) == A
    assert picks_for(SMALL, [Small(), A]) == Small()


def picks_for(circuit: Any, members: Sequence[Any]) -> Any:
    return ByCapability()(circuit, members)


def test_the_shots_of_an_executor_count_before_the_circuits() -> None:
    assert picks_for(SMALL, [Sampler(), Sampler(shots=5), A]) == Sampler(shots=5)
    assert picks_for(script(shots=3), [Small(shots=None), A]) == Small(shots=None)


def test_a_cluster_can_run_what_one_of_its_members_can() -> None:
    inner = ct.QCluster([Small(), Sampler()], selector="by-capability")
    assert picks_for(script(wires=3, shots=5), [Small(), inner]) == inner
    assert picks_for(script(wires=3), [inner, A]) == A


def test_if_nobody_can_each_reason_is_given() -> None:
    with pytest.raises(ct.SelectorError, match="none of 2 executors") as caught:
        picks_for(script(wires=3), [Small(), Sampler(value=2.0)])
    assert "Small(): the circuit has 3 wires, and it takes 2" in str(caught.value)
    assert "Sampler(value=2.0): exact results were asked for" in str(caught.value)


def test_a_qelectron_sends_each_circuit_to_whom_can_run_it() -> None:
    members = [Small(value=61.0), Constant(value=62.0)]
    assert float(make_with(members, "by-capability", wires=2)(0.1)) == 61.0
    assert float(make_with(members, "by-capability", wires=3)(0.1)) == 62.0
    with pytest.raises(ct.SelectorError, match=r"none of 1 executors .* takes 2"):
        make_with([Small()], "by-capability", wires=3)(0.1)

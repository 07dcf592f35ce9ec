"""Budgets: what fits runs, what would exceed is not sent, and nothing is lost."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from contextvars import copy_context
from typing import Any, ClassVar

import attrs
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pennylane import numpy as pnp

import qelectron_core as ct
from qelectron_core import budget as budgets
from qelectron_core.memory_store import MemoryStore
from qelectron_core.runtime import runtime, spending
from qelectron_core.testing import FakeCloud, Faults
from qelectron_core.testing.conformance.threads import together

WAIT_S = 30
NOTHING = ct.Spent(shots=0, circuits=0, jobs=0, cost_usd=0.0, seconds=0.0)


@pytest.fixture(autouse=True)
def _shutdown() -> Iterator[None]:
    yield
    ct.shutdown()


def cloud(name: str, **options: Any) -> FakeCloud:
    made = FakeCloud(name=f"budget {name}", **options)
    made.reset()
    return made


def circuit_on(executors: Any, *, shots: Any = 100, **options: Any) -> ct.QElectron:
    options = {"store": MemoryStore(), **options}

    @ct.qelectron(executors=executors, **options)
    @qml.qnode(qml.device("default.qubit", wires=2), shots=shots)
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    made: ct.QElectron = circuit
    return made


class Bench:
    """What an executor of a test runs, and what holds it up."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.failures = 0
        self.go = threading.Event()
        self.go.set()
        self.began = threading.Event()


@attrs.frozen
class Priced(ct.Executor):
    """Runs here, and has a price; fails as often as its bench says."""

    bench: Bench = attrs.field(factory=Bench, repr=False)
    usd: float | None = 0.1
    seconds: float | None = None
    at_once: int = 1
    limits: ct.Limits = attrs.field(factory=ct.Limits)

    @property
    def concurrency(self) -> int:
        return self.at_once

    def estimate(self, circuits: Sequence[Any]) -> ct.Estimate:
        usd = None if self.usd is None else self.usd * len(circuits)
        return ct.Estimate(usd, self.seconds)

    def run(self, job: ct.Job) -> Sequence[Any]:
        self.bench.began.set()
        assert self.bench.go.wait(WAIT_S)
        self.bench.runs.append(len(job))
        if self.bench.failures:
            self.bench.failures -= 1
            raise RuntimeError("out of order")
        return [0.5] * len(job)


# --- What a budget is -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"shots": -1}, "shots=-1 is no limit. Expected a whole number of 0 or more"),
        ({"circuits": 1.5}, "circuits=1.5 is no limit"),
        ({"jobs": True}, "jobs=True is no limit"),
        ({"cost_usd": float("nan")}, "cost_usd=nan is no limit. Expected US dollars"),
        ({"seconds": float("inf")}, "seconds=inf is no limit. Expected seconds of 0"),
        ({"cost_usd": "5"}, "cost_usd='5' is no limit"),
        ({"shots": np.array([1, 2])}, "is no limit"),
    ],
)
def test_limits_that_are_none_are_refused(limits: Any, says: str) -> None:
    with pytest.raises(ct.ConfigError, match=says):
        ct.Budget(**limits)


def test_a_misspelt_limit_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Budget has no option 'cost'.*'cost_usd'"):
        ct.Budget(cost=5)  # type: ignore[call-arg]


def test_a_budget_is_a_value() -> None:
    assert ct.Budget(shots=5) == ct.Budget(shots=5)
    assert len({ct.Budget(shots=5), ct.Budget(shots=5), ct.Budget()}) == 2
    assert repr(ct.Budget(cost_usd=1.5, shots=5)) == "Budget(shots=5, cost_usd=1.5)"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ct.Budget().shots = 1  # type: ignore[misc]


def test_what_is_given_as_budget_must_be_one() -> None:
    with pytest.raises(ct.ConfigError, match=r"budget=5 is no budget. Expected a Bud"):
        circuit_on("Echo", budget=5)


# --- Blocks ---------------------------------------------------------------------------


def test_what_would_exceed_is_refused_before_anything_is_sent() -> None:
    machine = cloud("refused", price_usd_per_shot=0.001)
    circuit = circuit_on(machine)
    with ct.Budget(shots=250) as ledger:
        circuit(0.1)
        circuit(0.2)
        with pytest.raises(ct.BudgetError) as caught:
            circuit(0.3)
    assert machine.vendor.submitted == 2
    assert ledger.spent == ct.Spent(200, 2, 2, 0.2, 0.0)
    assert ledger.left == ct.Spent(50, None, None, None, None)
    assert ledger.held == NOTHING
    message = str(caught.value)
    assert "would exceed the budget shots=250: it wants 100 shots" in message
    assert "of 250 shots, 200 shots are spent, and 50 shots are left" in message
    assert "Ask for less, or raise the budget." in message
    assert "FakeCloud" in message
    assert "$0.10" in message
    assert caught.value.plan.shots == 100
    circuit(0.3)  # the block is over
    assert machine.vendor.submitted == 3


def test_an_error_of_a_budget_can_be_pickled() -> None:
    circuit = circuit_on("Echo")
    with ct.Budget(circuits=0), pytest.raises(ct.BudgetError) as caught:
        circuit(0.1)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.plan == caught.value.plan


def test_blocks_nest_and_all_of_them_hold() -> None:
    circuit = circuit_on("Echo")
    with ct.Budget(circuits=3) as outer:
        with ct.Budget(circuits=2) as inner:
            circuit(0.1)
            circuit(0.1)
            with pytest.raises(ct.BudgetError, match="budget circuits=2"):
                circuit(0.1)
        circuit(0.1)
        with ct.Budget(circuits=5), pytest.raises(ct.BudgetError, match="circuits=3"):
            circuit(0.1)
    assert outer.spent.circuits == 3
    assert inner.spent.circuits == 2


def test_one_budget_may_begin_many_blocks() -> None:
    circuit, budget = circuit_on("Echo"), ct.Budget(circuits=1)
    for _ in range(2):
        with budget, budget as ledger:
            circuit(0.1)
        assert ledger.spent.circuits == 1


def test_a_budget_without_limits_counts() -> None:
    with ct.Budget() as ledger:
        circuit_on(Priced(usd=0.1)).map([0.1] * 10)
    assert ledger.spent == ct.Spent(1000, 10, 1, 1.0, None)


def test_what_is_started_in_a_block_counts_in_it() -> None:
    bench = Bench()
    bench.go.clear()
    circuit = circuit_on(Priced(bench))
    with ct.Budget(circuits=1) as ledger:
        future = circuit.run_later(0.1)
        refused = circuit.run_later(0.2)
    assert isinstance(refused.exception(WAIT_S), ct.BudgetError)
    bench.go.set()
    assert future.result(WAIT_S) == 0.5
    assert ledger.spent.circuits == 1


def test_a_map_is_refused_as_a_whole() -> None:
    machine = cloud("map", limits=ct.Limits(circuits_per_job=5))
    circuit = circuit_on(machine)
    with ct.Budget(jobs=2) as ledger:
        with pytest.raises(ct.BudgetError, match="wants 3 jobs; of 2 jobs, 0 jobs are"):
            circuit.map([0.1 * n for n in range(11)])
        errors = circuit.map([0.1 * n for n in range(11)], return_exceptions=True)
        assert {type(error) for error in errors} == {ct.BudgetError}
        assert machine.vendor.submitted == 0
        assert len(circuit.map([0.1 * n for n in range(10)])) == 10
    assert ledger.spent.jobs == machine.vendor.submitted == 2


@pytest.mark.parametrize("limits", [{"shots": 59_900}, {"jobs": 5}])
def test_a_long_map_is_refused_before_anything_is_sent(limits: Any) -> None:
    machine = cloud("long map", limits=ct.Limits(circuits_per_job=100))
    circuit = circuit_on(machine)
    with ct.Budget(**limits) as ledger:
        with pytest.raises(ct.BudgetError, match=r"wants (60,000 shots|6 jobs)"):
            circuit.map(np.linspace(0, 1, 600))
        assert machine.vendor.submitted == 0
        assert len(circuit.map([0.1 * n for n in range(500)])) == 500
    assert ledger.spent.shots == 50_000
    assert ledger.held == NOTHING


@pytest.mark.parametrize("own", [True, False])
def test_a_map_as_few_circuits_is_refused_before_any_of_them_runs(own: bool) -> None:
    limits = ct.Budget(circuits=9_999)
    circuit = circuit_on("Simulator", shots=None, budget=limits if own else None)
    with nullcontext() if own else limits:
        ledger = circuit.policy.budget or budgets.blocks()[0]
        with pytest.raises(ct.BudgetError, match="it wants 10,000 circuits"):
            circuit.map(np.linspace(0, 1, 10_000))
        assert ledger.spent == NOTHING
        xs = np.linspace(0, 1, 9_999)
        np.testing.assert_allclose(circuit.map(xs), np.cos(xs))
        assert ledger.spent.circuits == 9_999
        assert ledger.spent.jobs is not None
        assert ledger.spent.jobs < 100, "many calls are one circuit, as without budgets"


def test_a_map_is_refused_as_a_whole_by_the_budget_of_the_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QELECTRON_DAILY_BUDGET", "circuits=400")
    machine = cloud("map of a day")
    with pytest.raises(ct.BudgetError, match="it wants 401 circuits"):
        circuit_on(machine).map([0.1] * 401)
    assert machine.vendor.submitted == 0


def test_a_map_over_a_generator_is_refused_in_parts() -> None:
    machine = cloud("map of a generator")
    with ct.Budget(circuits=400), pytest.raises(ct.BudgetError):
        circuit_on(machine).map(0.1 for _ in range(600))
    assert machine.vendor.submitted > 0


def test_what_only_counts_holds_up_no_map() -> None:
    class Items(list[float]):
        def __iter__(self) -> Iterator[float]:
            yield from [0.1] * 300
            assert ledger.balance().used("circuits") > 0
            yield from [0.1] * 300

    with ct.Budget() as ledger:
        assert len(circuit_on(cloud("counts")).map(Items([0.1] * 600))) == 600


def test_circuits_over_arrays_count_as_often_as_they_are_long() -> None:
    circuit = circuit_on("Simulator", shots=None)
    with ct.Budget(circuits=10) as ledger:
        assert len(circuit.map([0.1 * n for n in range(10)])) == 10
        with pytest.raises(ct.BudgetError):
            circuit.map([0.1 * n for n in range(10)])
    assert ledger.spent.circuits == 10


def test_gradients_count() -> None:
    circuit = circuit_on(cloud("gradient"))
    with ct.Budget(circuits=3) as ledger:
        qml.grad(circuit)(pnp.array(0.1, requires_grad=True))
        assert ledger.spent.circuits == 3  # the call, and two shifted ones
        with pytest.raises(ct.BudgetError):
            qml.grad(circuit)(pnp.array(0.1, requires_grad=True))


def test_backpropagation_counts() -> None:
    circuit = circuit_on("Simulator", shots=None)
    x = pnp.array(0.1, requires_grad=True)
    with ct.Budget(circuits=1) as ledger:
        qml.grad(circuit)(x)
        assert ledger.spent.circuits == 1
        with pytest.raises(ct.BudgetError):
            qml.grad(circuit)(x)


# --- QElectrons -----------------------------------------------------------------------


def test_a_qelectron_and_its_copies_share_one_budget() -> None:
    circuit = circuit_on("Echo", budget=ct.Budget(circuits=2))
    other = circuit.update(interface="numpy")
    circuit(0.1)
    other(0.1)
    with pytest.raises(ct.BudgetError, match="budget of the QElectron, Budget\\(circ"):
        circuit(0.1)
    more = circuit.update(budget=ct.Budget(circuits=1))
    more(0.1)
    with pytest.raises(ct.BudgetError):
        more(0.1)
    circuit.update(budget=None)(0.1)


def test_a_qelectron_that_is_decorated_again_keeps_its_budget() -> None:
    circuit = circuit_on("Echo", budget=ct.Budget(circuits=3), shots=None)
    circuit(0.1)
    cached = ct.qelectron(circuit, cache=True)
    elsewhere = ct.qelectron(circuit, executors="Simulator")
    cached(0.2)
    elsewhere(0.3)
    for one in (circuit, cached, elsewhere):
        with pytest.raises(ct.BudgetError, match="budget of the QElectron"):
            one(0.4)
    ct.qelectron(circuit, budget=ct.Budget(circuits=1))(0.4)


def test_the_ledger_of_a_block_that_is_given_to_a_qelectron_counts_once() -> None:
    with ct.Budget(circuits=1) as ledger:
        circuit = circuit_on("Echo", budget=ledger, shots=None)
        circuit(0.1)
    assert ledger.spent.circuits == 1
    with pytest.raises(ct.BudgetError):  # it holds beyond the block, too
        circuit(0.1)
    assert ledger.held == NOTHING


def test_a_pickled_ledger_takes_along_what_was_spent() -> None:
    circuit = circuit_on("Echo", budget=ct.Budget(circuits=2))
    circuit(0.1)
    ledger = circuit.policy.budget
    assert ledger is not None
    again = pickle.loads(pickle.dumps(ledger))
    circuit(0.1)
    assert again.spent.circuits == 1
    assert ledger.spent.circuits == 2


# --- What is not spent ----------------------------------------------------------------


def test_what_is_kept_costs_nothing() -> None:
    circuit = circuit_on(Priced(bench := Bench()), cache=True, shots=None)
    with ct.Budget(circuits=1) as ledger:
        assert [circuit(0.1) for _ in range(3)] == [0.5] * 3
        with pytest.raises(ct.BudgetError):
            circuit(0.2)
        circuit(0.1)
    assert bench.runs == [1]
    assert ledger.spent.circuits == 1


def test_who_follows_a_refused_circuit_is_not_refused_with_it() -> None:
    bench = Bench()
    bench.go.clear()
    circuit = circuit_on(Priced(bench, retries=1), cache=True, shots=None)
    bench.failures = 1
    with ct.Budget(circuits=1):
        leader = circuit.run_later(0.1)
    assert bench.began.wait(WAIT_S)
    follower = circuit.run_later(0.1)
    bench.go.set()
    assert isinstance(leader.exception(WAIT_S), ct.BudgetError)  # of its repetition
    assert follower.result(WAIT_S) == 0.5
    assert bench.runs == [1, 1]


def test_cancelled_circuits_give_back_what_is_held() -> None:
    bench = Bench()
    bench.go.clear()
    circuit = circuit_on(Priced(bench))
    with ct.Budget(circuits=3) as ledger:
        first = circuit.run_later(0.1)
        assert bench.began.wait(WAIT_S)
        waiting = [circuit.run_later(0.1) for _ in range(2)]
        assert ledger.held.circuits == 2
        for future in waiting:
            future.cancel()
        assert ledger.held == NOTHING
        waiting = [circuit.run_later(0.2) for _ in range(2)]
    bench.go.set()
    ct.gather([first, *waiting])
    assert ledger.spent.circuits == 3


def test_what_a_vendor_did_not_accept_is_given_back() -> None:
    machine = cloud(
        "down", faults=Faults(unavailable=1.0), polling=ct.Polling(0.01, 0.01, 0)
    )
    circuit = circuit_on(machine)
    with ct.Budget(circuits=1) as ledger:
        for _ in range(2):
            with pytest.raises(ct.TransientError):
                circuit(0.1)
    assert ledger.spent == ledger.held == NOTHING


def test_what_a_vendor_accepted_stays_spent_though_it_failed() -> None:
    circuit = circuit_on(cloud("crashing", faults=Faults(crashed=1.0)))
    with ct.Budget(circuits=1) as ledger, pytest.raises(ct.JobFailedError):
        circuit(0.1)
    assert ledger.spent.circuits == 1


def test_what_cannot_be_queued_is_given_back() -> None:
    circuit = circuit_on(Priced(at_once=1, limits=ct.Limits()))
    broken = circuit_on(Priced(at_once=0))
    with ct.Budget(circuits=1) as ledger:
        with pytest.raises((ct.ConfigError, ZeroDivisionError)):
            broken(0.1)
        assert ledger.held == NOTHING
        circuit(0.1)


# --- Again, and elsewhere -------------------------------------------------------------


def test_a_repetition_that_would_exceed_is_not_sent() -> None:
    bench = Bench()
    bench.failures = 1
    circuit = circuit_on(Priced(bench, retries=3))
    with ct.Budget(circuits=1) as ledger, pytest.raises(ct.BudgetError) as caught:
        circuit(0.1)
    assert bench.runs == [1]
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert str(caught.value.__cause__) == "out of order"
    assert ledger.spent.circuits == 1
    assert ct.load(Priced(bench, retries=3)).in_flight == 0
    bench.failures = 1
    with ct.Budget(circuits=2) as ledger:
        assert circuit(0.1) == 0.5
    assert ledger.spent.circuits == 2


def test_failover_that_would_exceed_is_not_sent() -> None:
    bench, other = Bench(), Bench()
    bench.failures = 1
    first, second = Priced(bench, usd=0.1), Priced(other, usd=2.0)
    cluster = ct.executor.QCluster(
        executors=[first, second], selector="cyclic", failover=ct.Failover()
    )
    circuit = circuit_on(cluster)
    with ct.Budget(cost_usd=2.0) as ledger, pytest.raises(ct.BudgetError) as caught:
        circuit(0.1)
    assert str(caught.value.__cause__) == "out of order"
    assert other.runs == []
    assert ledger.spent.cost_usd == 0.1


def test_a_lane_that_makes_more_jobs_than_were_planned_stays_within() -> None:
    """A busy lane of two shares what has gathered among both."""
    bench = Bench()
    bench.go.clear()
    circuit = circuit_on(Priced(bench, at_once=2))
    with ct.Budget(jobs=4) as ledger:
        first = [circuit.run_later(0.1), circuit.run_later(0.1)]
        rest = circuit.run_later  # each is planned as a job, and they leave together
        last = [rest(0.1), rest(0.1)]
        bench.go.set()
        ct.gather(first + last)
        spent = ledger.spent.jobs
        assert spent is not None
        assert spent == len(bench.runs) <= 4


# --- What is not known ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "says"), [("cost_usd", "costs"), ("seconds", "take")]
)
def test_what_is_not_known_is_refused(limit: str, says: str) -> None:
    executor = Priced(bench := Bench(), usd=None)
    with ct.Budget(**{limit: 10**6}), pytest.raises(ct.BudgetError, match=says) as got:
        circuit_on(executor)(0.1)
    assert "could not be guaranteed" in str(got.value)
    assert bench.runs == []


def test_what_costs_nothing_fits_a_budget_of_nothing() -> None:
    with ct.Budget(cost_usd=0) as ledger:
        circuit_on("Simulator")(0.1)
        circuit_on("Echo")(0.1)
    assert ledger.spent.cost_usd == 0.0
    assert ledger.spent.seconds is None


def test_small_prices_add_up() -> None:
    circuit = circuit_on(Priced(usd=0.1))
    with ct.Budget(cost_usd=0.3) as ledger:
        for _ in range(3):
            circuit(0.1)
        with pytest.raises(
            ct.BudgetError, match=r"wants \$0.10; of \$0.30, \$0.30 are"
        ):
            circuit(0.1)
    assert ledger.spent.cost_usd == 0.3


def test_an_estimate_that_fails_fails_the_call() -> None:
    @attrs.frozen
    class Odd(ct.Executor):
        def estimate(self, circuits: Sequence[Any]) -> ct.Estimate:
            return ct.Estimate(cost_usd=-1)

    with ct.Budget() as ledger, pytest.raises(ct.ConfigError, match="is no estimate"):
        circuit_on(Odd())(0.1)
    assert ledger.held == NOTHING


# --- Many at once ---------------------------------------------------------------------


@given(
    calls=st.lists(st.integers(1, 4), min_size=1, max_size=12),
    limit=st.integers(0, 20),
    retries=st.integers(0, 1),
    failures=st.integers(0, 3),
)
@settings(max_examples=40, deadline=None)
def test_calls_at_once_never_overspend_and_nothing_is_refused_that_fits(
    calls: list[int], limit: int, retries: int, failures: int
) -> None:
    bench = Bench()
    bench.failures = failures
    circuit = circuit_on(Priced(bench, retries=retries, at_once=2))
    refused: list[int] = []

    with ct.Budget(circuits=limit) as ledger:
        context = copy_context()

    def work(number: int) -> None:
        size = calls[number]
        ended = context.copy().run(circuit.map, [0.1] * size, return_exceptions=True)
        errors = [error for error in ended if isinstance(error, ct.BudgetError)]
        if errors and errors[0].__cause__ is None:  # else of an attempt to repeat it
            assert len(errors) == size
            refused.append(size)

    together(len(calls), work)
    spent = ledger.spent.circuits
    assert spent is not None
    assert sum(bench.runs) == spent <= limit
    assert ledger.held == NOTHING
    # What was refused did not fit beside what was spent, now or then.
    assert all(spent + size > limit for size in refused) or failures


def test_a_job_takes_what_is_held_for_its_own_circuits() -> None:
    circuit = circuit_on(Priced(), budget=ct.Budget(circuits=7, shots=700))
    policy, script = circuit.policy, qml.tape.QuantumScript([], [qml.expval(qml.Z(0))])
    assert policy.budget is not None
    parts = []
    for count in (4, 3):
        circuits = [script.copy(shots=100)] * count
        planned = circuit.device.dispatcher.planned(circuits, ct.Settings(), policy)
        assert spending.hold((policy.budget,), planned) is None
        parts.append(planned)
    one, other = parts
    for job in ([*one[:2], *other[:2]], one[2:], other[2:]):
        assert spending.spend(job)[1] == {}
    assert (policy.budget.spent.circuits, policy.budget.spent.shots) == (7, 700)
    assert policy.budget.held == NOTHING


def test_what_one_budget_refuses_takes_nothing_from_another_meanwhile() -> None:
    shared = budgets.Ledger(ct.Budget(circuits=1), "shared")
    began, others = threading.Event(), list[ct.Balance]()

    def other() -> None:
        assert began.wait(WAIT_S)
        with budgets.lock:
            others.append(shared.reserve({"circuits": 1}))

    thread = threading.Thread(target=other)

    class Refusing(budgets.Ledger):
        def reserve(self, wanted: Mapping[str, int]) -> ct.Balance:
            began.set()
            thread.join(0.2)  # it would not wait, were what is held here to be seen
            return ct.Balance({}, {}, granted=False)

    refusing = Refusing(ct.Budget(circuits=1), "refusing")
    thread.start()
    plan = ct.Plan((ct.PlannedJob(Priced(), 1, 0),))
    assert spending._reserve((shared, refusing), {"circuits": 1}, plan) is not None
    thread.join(WAIT_S)
    assert [balance.granted for balance in others] == [True]


# --- Per day --------------------------------------------------------------------------


@pytest.fixture
def daily(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda text: monkeypatch.setenv("QELECTRON_DAILY_BUDGET", text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("shots", "shots='' is no number"),
        ("shots=many", "shots='many' is no number"),
        ("cost=5", "'cost' is no limit. Expected limits of shots, circuits"),
        ("shots=5,shots=6", "'shots' is there twice"),
        (" , ", "there is no limit in it"),
        ("jobs=-1", "jobs=-1 is no limit"),
    ],
)
def test_a_daily_budget_that_cannot_be_read_is_refused(
    daily: Callable[[str], None], text: str, says: str
) -> None:
    daily(text)
    with pytest.raises(ct.ConfigError, match=says):
        circuit_on("Echo")(0.1)


def test_a_daily_budget_is_shared_by_all_that_use_a_store(
    daily: Callable[[str], None],
) -> None:
    daily("shots=250, cost_usd=5")
    store = MemoryStore()
    one, other = circuit_on("Echo", store=store), circuit_on("Echo", store=store)
    one(0.1)
    other(0.1)
    with pytest.raises(ct.BudgetError, match=r"daily budget of 20\d\d-\d\d-\d\d \(UTC"):
        one(0.1)
    circuit_on("Echo", store=MemoryStore())(0.1)


def test_a_day_begins_with_nothing_spent(
    daily: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    daily("circuits=1")
    circuit = circuit_on("Echo")
    for day in ("2026-11-26", "2026-11-27"):
        for module in ("daily", "keeper"):
            name = f"qelectron_core.runtime.{module}.today"
            monkeypatch.setattr(name, lambda day=day: day)
        circuit(0.1)
        with pytest.raises(ct.BudgetError, match=f"of {day}"):
            circuit(0.1)


class Failing(MemoryStore):
    """Counts no more after a while."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False

    def reserve(
        self, ledger: str, wanted: Mapping[str, int], limits: Mapping[str, int]
    ) -> ct.Balance:
        if self.fails:
            raise OSError("the disk is full")
        return super().reserve(ledger, wanted, limits)


def test_nothing_is_sent_while_nobody_knows_what_was_spent(
    daily: Callable[[str], None],
) -> None:
    daily("circuits=5")
    store = Failing()
    circuit = circuit_on("Echo", store=store)
    circuit(0.1)
    store.fails = True
    for _ in range(2):
        with (
            ct.Budget() as ledger,
            pytest.raises(ct.BudgetError, match="guaranteed: the"),
        ):
            circuit(0.1)
        assert ledger.held == NOTHING


class Early(MemoryStore):
    """Counts nothing, as no store did at first."""

    durable: ClassVar[bool] = True
    reserve = ct.Store.reserve
    settle = ct.Store.settle
    balance = ct.Store.balance


@pytest.mark.parametrize("make", [Early, MemoryStore])
def test_it_is_said_once_that_other_processes_are_not_seen(
    make: type[MemoryStore],
    daily: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, logger="qelectron")
    daily("circuits=2")
    circuit = circuit_on("Echo", store=make())
    circuit(0.1)
    circuit(0.1)
    with pytest.raises(ct.BudgetError):
        circuit(0.1)
    said = [record.getMessage() for record in caplog.records]
    assert [one for one in said if "for this process alone" in one] == said
    assert len(said) == 1


def test_a_daily_budget_holds_at_vendors_too(daily: Callable[[str], None]) -> None:
    daily("cost_usd=0.5")
    machine, store = cloud("daily", price_usd_per_job=0.2), MemoryStore()
    circuit = circuit_on(machine, store=store)
    circuit(0.1)
    circuit(0.1)
    with pytest.raises(ct.BudgetError):
        circuit(0.1)
    assert machine.vendor.billed_usd == 0.4
    balance = store.balance(f"day {budgets.today()}")
    assert balance.spent["nano_usd"] == 400_000_000
    assert not any(balance.held.values())
    assert runtime().keeper(store).daily("cost_usd=0.5").left.cost_usd == 0.1


# --- What a review found --------------------------------------------------------------


def test_numbers_of_numpy_are_limits() -> None:
    numbers: dict[str, Any] = {
        "shots": np.int64(5),
        "cost_usd": np.float32(1.5),
        "seconds": np.int64(2),
    }
    limits = ct.Budget(**numbers)
    assert (limits.shots, limits.cost_usd, limits.seconds) == (5, 1.5, 2)


def test_equal_circuits_that_are_refused_all_say_so_and_hold_nothing() -> None:
    executor = Priced()
    circuit = circuit_on(executor, shots=None, cache=True)
    with ct.Budget(circuits=0):
        futures = [circuit.run_later(0.1) for _ in range(300)]
        outcomes = ct.gather(futures, return_exceptions=True, timeout=WAIT_S)
    assert {type(one) for one in outcomes} == {ct.BudgetError}
    assert ct.load(executor).in_flight == 0
    assert float(circuit(0.1)) == 0.5  # nobody is waited for in vain


def test_blocks_may_end_in_any_order() -> None:
    circuit = circuit_on(Priced())

    def block(budget: ct.Budget) -> Iterator[ct.Ledger]:
        with budget as ledger:
            yield ledger

    wide, tight = block(ct.Budget()), block(ct.Budget(shots=0))
    next(wide)
    next(tight)
    wide.close()  # type: ignore[attr-defined]  # it is a generator
    with pytest.raises(ct.BudgetError):
        circuit(0.1)
    tight.close()  # type: ignore[attr-defined]  # likewise
    circuit(0.1)


def test_copies_of_a_qelectron_spend_together() -> None:
    circuit = circuit_on("Simulator", store="memory", budget=ct.Budget(shots=100))
    other = copy.deepcopy(circuit)
    circuit(0.1)
    with pytest.raises(ct.BudgetError):
        other(0.1)


def test_what_is_interrupted_in_the_callers_thread_is_not_held() -> None:
    stops = Interrupted()
    circuit = circuit_on("Simulator", shots=None).update(diff_method="backprop")
    with ct.Budget(circuits=4) as ledger:
        with pytest.raises(KeyboardInterrupt), stops:
            qml.grad(three(circuit))(pnp.array(0.3))
        assert ledger.held == NOTHING
        qml.grad(three(circuit))(pnp.array(0.3))
    assert ct.load("Simulator").in_flight == 0


@qml.transform
def three(circuit: Any) -> Any:
    return [circuit] * 3, sum


class Interrupted:
    """Interrupts the first circuit that runs in a `with` block."""

    def __enter__(self) -> None:
        from qelectron_core.runtime.lane import Lane

        def stop(*_: Any) -> Any:
            raise KeyboardInterrupt

        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(Lane, "_run_job", stop)

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork.*:RuntimeWarning")
def test_a_forked_child_does_not_hold_what_its_parent_does() -> None:
    bench = Bench()
    bench.go.clear()
    circuit = circuit_on(Priced(bench))
    with ct.Budget(shots=300) as ledger:
        futures = [circuit.run_later(0.1 * n) for n in range(3)]
        assert bench.began.wait(WAIT_S)
        child = os.fork()
        if child == 0:
            os._exit(0 if ledger.held == NOTHING else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert ledger.held.shots == 200
        bench.go.set()
        ct.gather(futures, timeout=WAIT_S)
    assert ledger.spent.shots == 300


def test_an_absurd_price_does_not_break_the_store() -> None:
    circuit = circuit_on(Priced(usd=1e30))
    with ct.Budget(shots=1000) as ledger:
        circuit(0.1)
    assert ledger.spent.shots == 100
    with ct.Budget(cost_usd=1e6), pytest.raises(ct.BudgetError):
        circuit(0.1)

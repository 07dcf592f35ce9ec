"""Plans: what they say is what the call then does, and they leave no trace."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp

import qelectron_core as ct
from qelectron_core.memory_store import MemoryStore
from qelectron_core.testing import FakeCloud


@pytest.fixture(autouse=True)
def _shutdown() -> Iterator[None]:
    yield
    ct.shutdown()


def cloud(name: str, **options: Any) -> FakeCloud:
    made = FakeCloud(name=f"plan {name}", **options)
    made.reset()
    return made


def circuit_on(executors: Any, *, shots: Any = 100, **options: Any) -> ct.QElectron:
    options = {"store": MemoryStore(), **options}

    @ct.qelectron(executors=executors, **options)
    @qml.qnode(qml.device("default.qubit", wires=2, seed=7), shots=shots)
    def circuit(x: Any) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    made: ct.QElectron = circuit
    return made


def asking_every() -> Any:
    """Return a selector that is a function, and keeps its turn to itself."""
    turn = 0

    def select(circuit: Any, executors: Sequence[Any]) -> Any:
        nonlocal turn
        turn += 1
        return executors[turn % len(executors)]

    return select


SELECTORS = ["cyclic", "random", asking_every]
X = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("most", [None, 2])
def test_what_is_planned_is_what_happens(selector: Any, most: int | None) -> None:
    if callable(selector):
        selector = selector()
    limits = ct.Limits(circuits_per_job=most)
    machines = [
        cloud(f"happens {n}", price_usd_per_job=0.1 * n, limits=limits)
        for n in range(3)
    ]
    circuit = circuit_on(machines, selector=selector)
    circuit(0.1)
    for machine in machines:
        machine.reset()

    plan = circuit.plan(np.array(X))
    assert [m.vendor.submitted for m in machines] == [0, 0, 0]
    future = circuit.run_later(np.array(X))
    future.result(30)
    chosen = [execution.executor for execution in future.executions]
    assert len(chosen) == plan.circuits == len(X)
    for machine in machines:
        own = [job for job in plan.jobs if job.executor == machine]
        assert sum(job.circuits for job in own) == chosen.count(machine)
        assert len(own) == machine.vendor.submitted
    billed = sum(machine.vendor.billed_usd for machine in machines)
    assert plan.cost_usd == pytest.approx(billed)


def test_a_plan_leaves_no_trace() -> None:
    store, machines = MemoryStore(), [cloud(f"trace {n}") for n in range(2)]

    def results(*, planning: bool) -> list[Any]:
        circuit = circuit_on(machines, selector="cyclic", store=store, shots=20)
        found = []
        for _ in range(3):
            if planning:
                plans = [circuit.plan(0.5) for _ in range(3)]
                assert plans[0] == plans[1] == plans[2]
            future = circuit.run_later(0.5)
            found.append((future.result(30), future.executions[0].executor))
        return found

    assert results(planning=True) == results(planning=False)
    assert ct.load(machines[0]).in_flight == 0
    assert len(ct.history(store=store)) == 6


def test_a_plan_takes_no_number_of_a_scope() -> None:
    circuit = circuit_on("Echo")
    with ct.scope("plans") as scope:
        circuit.plan(0.1)
        assert scope.calls == ()


def test_shots_that_are_split_are_planned_so() -> None:
    machine = cloud("split", limits=ct.Limits(shots_per_job=40))
    plan = circuit_on(machine).plan(0.1)
    assert [job.shots for job in plan.jobs] == [34, 33, 33]


def test_what_is_kept_is_planned_as_kept() -> None:
    machine = cloud("kept")
    circuit = circuit_on(machine, cache=True)
    assert circuit.plan(0.1).cached == 0
    circuit(0.1)
    circuit(0.1)  # other samples
    assert (circuit.plan(0.1).cached, circuit.plan(0.1).circuits) == (0, 1)
    again = circuit_on(machine, cache=True, store=circuit.policy.store, shots=None)
    again(0.1)
    plan = again.plan(0.1)
    assert (plan.cached, plan.jobs) == (1, ())
    assert again.plan(0.2).cached == 0
    assert again.update(cache="refresh").plan(0.1).cached == 0


def test_only_the_shots_that_are_missing_are_planned() -> None:
    machine = cloud("top-up")
    circuit = circuit_on(machine, cache="top-up", shots=None)
    qml.set_shots(circuit, 60)(0.1)
    assert qml.set_shots(circuit, 100).plan(0.1).shots == 40
    assert qml.set_shots(circuit, 60).plan(0.1).cached == 1


def test_what_is_not_known_is_shown_as_unknown() -> None:
    @attrs.frozen
    class Odd(ct.Executor):
        pass

    plan = circuit_on(Odd()).plan(0.1)
    assert (plan.cost_usd, plan.seconds) == (None, None)
    assert repr(plan).count("unknown") == 4
    assert json.loads(plan.to_json())["cost_usd"] is None


def test_a_plan_is_shown() -> None:
    machine = cloud("<shown>", price_usd_per_job=0.3, latency_s=2)
    plan = circuit_on(machine).plan(0.1)
    assert repr(plan).splitlines()[0].split() == [
        *("executor", "circuits", "shots", "jobs", "cost", "time")
    ]
    assert repr(plan).splitlines()[-1].split() == [
        *("in", "all", "1", "100", "1", "$0.30", "2", "s")
    ]
    shown = plan._repr_html_()
    assert "&lt;shown&gt;" in shown
    assert "<shown>" not in shown
    assert json.loads(plan.to_json()) == {
        "circuits": 1,
        "shots": 100,
        "jobs": 1,
        "cost_usd": 0.3,
        "seconds": 2.0,
        "cached": 0,
        "refusal": "",
        "parts": [
            {
                "executor": repr(machine),
                "circuits": 1,
                "shots": 100,
                "jobs": 1,
                "cost_usd": 0.3,
                "seconds": 2.0,
            }
        ],
    }


def test_a_plan_says_that_a_budget_would_refuse_it() -> None:
    circuit = circuit_on("Echo", budget=ct.Budget(shots=150))
    assert circuit.plan(0.1).refusal == ""
    circuit(0.1)
    plan = circuit.plan(0.1)
    assert "wants 100 shots; of 150 shots, 100 shots are spent" in plan.refusal
    assert plan.refusal in repr(plan)
    assert circuit.plan(0.1) == plan


def test_a_selector_that_cannot_be_copied_is_told_of() -> None:
    class Stuck:
        def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
            return executors[0]

        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("it holds a socket")

    circuit = circuit_on(["Echo", "Echo"], selector=Stuck())
    with pytest.raises(ct.ConfigError, match="cannot be copied: TypeError: it holds a"):
        circuit.plan(0.1)


def test_what_cannot_run_cannot_be_planned() -> None:
    @attrs.frozen
    class Exact(ct.Executor):
        capabilities = ct.Capabilities(samples=False)

    with pytest.raises(ct.ConfigError, match="cannot run this circuit"):
        circuit_on(Exact()).plan(0.1)


def test_a_gradient_is_planned_as_a_transform() -> None:
    machine = cloud("gradient", price_usd_per_job=0.1)
    circuit = circuit_on(machine)
    x = pnp.array(0.3)
    parts = [circuit.plan(x), qml.gradients.param_shift(circuit).plan(x)]
    assert machine.vendor.submitted == 0
    with ct.Budget() as ledger:
        qml.grad(circuit)(x)
    assert ledger.spent.circuits == sum(part.circuits for part in parts) == 3
    assert ledger.spent.jobs == sum(len(part.jobs) for part in parts) == 2
    assert ledger.spent.cost_usd == 0.2

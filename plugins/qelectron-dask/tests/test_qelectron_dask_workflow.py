"""Workflows on threads: what a lattice builds, and what becomes of its electrons."""

import math
import os
import random
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_dask.workflow.dispatches import live
from qelectron_dask.workflow.events import ElectronEvent
from qelectron_dask.workflow.result import DispatchError, DispatchResult

WAIT_S = 60.0


@ct.electron
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@ct.electron
def halves(x: float) -> tuple[float, float]:
    return x / 2, x / 2


@ct.electron
def record(x: Any) -> Any:
    return {"list": [x, x + 1], "array": np.arange(3) * x, "complex": complex(x, 1)}


@ct.electron
def fail(x: Any) -> Any:
    raise ValueError(f"no {x} today")


def run(lattice: Any, *args: Any, **kwargs: Any) -> DispatchResult:
    """Dispatch a lattice and wait for it."""
    dispatch_id = ct.dispatch(lattice)(*args, **kwargs)
    result: DispatchResult = ct.get_result(dispatch_id, wait=True, timeout=WAIT_S)
    return result


def value(lattice: Any, *args: Any, **kwargs: Any) -> Any:
    return run(lattice, *args, **kwargs).result


# --- What a lattice may do with values that are not there yet -------------------------


def test_an_electron_outside_a_lattice_simply_runs() -> None:
    assert add(1, y=2) == 3
    assert add.__name__ == "add"


def test_a_lattice_that_is_called_simply_runs() -> None:
    workflow = ct.lattice(lambda x: add(add(x), y=x))
    assert workflow(3) == 7


def _arithmetic(x: int) -> Any:
    a, b = add(x), add(x, 3)
    return [
        *(
            a + 1,
            1 + a,
            a - b,
            7 - a,
            a * b,
            b / a,
            7 / a,
            b // a,
            9 // a,
            b % a,
            9 % a,
        ),
        *(a**2, 2**a, -a, +a, abs(-a), divmod(b, a), divmod(9, a), round(b / a, 2)),
        *(a << 1, 1 << a, b >> 1, a & b, 6 & a, a | b, a ^ b, ~a),
        *(a == b, a != b, a < b, a <= b, a > b, a >= b),
    ]


def _containers(x: int) -> Any:
    found = record(x)
    return {
        "items": (found["list"][0], found["list"][-1], found["array"][1:]),
        "attributes": [found["complex"].real, found["array"].shape],
        "put in": add([x], [add(x), (add(x), {"deep": add(x)})]),
        "index": found["list"][add(x) - x - 1],
    }


def _iteration(x: float) -> Any:
    a, b = halves(x)
    c, d = add((x, x), (x,))[:2]
    listed = [part + 1 for part in halves(a)]
    return a, b, c, d, listed, len(halves(x))


def _loops(x: int) -> Any:
    total: Any = x
    kept = []
    for step in range(5):
        total = add(total, y=step)
        kept.append(total)
        if step == 2:  # known while it is built
            kept.append(add(kept, [0]))
    return kept


@pytest.mark.parametrize("function", [_arithmetic, _containers, _iteration, _loops])
def test_a_dispatch_returns_what_the_plain_function_does(function: Any) -> None:
    workflow = ct.lattice(function)
    np.testing.assert_equal(value(workflow, 4), workflow(4))


class Pair(NamedTuple):
    left: Any
    right: Any


def test_named_tuples_sets_and_keyword_arguments_are_looked_into() -> None:
    @ct.electron
    def total(pair: Pair, *, more: Any) -> Any:
        return pair.left + pair.right + sum(more)

    @ct.lattice
    def workflow(x: int, *, y: int = 5) -> Any:
        return total(Pair(add(x), y), more={add(y), 100})

    assert value(workflow, 1) == 2 + 5 + 106
    assert value(workflow, 1, y=2) == 2 + 2 + 103


def test_an_array_is_left_to_the_placeholder() -> None:
    workflow = ct.lattice(lambda x: np.arange(3) * add(x))
    np.testing.assert_array_equal(value(workflow, 1), [0, 2, 4])


def test_arguments_are_taken_as_they_are_when_an_electron_is_called() -> None:
    @ct.lattice
    def workflow(start: Any) -> Any:
        steps = [start]
        array = np.zeros(2)
        first = add(steps, []), add(array, 0)
        steps.append(99)
        array += 99
        return first

    kept, zeros = value(workflow, 1)
    assert kept == [1]
    np.testing.assert_array_equal(zeros, [0, 0])


def test_no_electron_changes_what_another_one_gets() -> None:
    @ct.electron
    def make() -> Any:
        return [1, 2], np.zeros(2)

    @ct.electron
    def spoil(made: Any) -> Any:
        made[0].append(3)
        made[1][:] = 7
        return made

    @ct.lattice
    def workflow() -> Any:
        made = make()
        spoilt = spoil(made)
        return ct.wait_for(add(made[0], [0]), spoilt), spoilt[0]

    assert value(workflow) == ([1, 2, 0], [1, 2, 3])


@pytest.mark.parametrize(
    ("misuse", "told"),
    [
        (lambda a: 1 if a else 2, "decide by it"),
        (lambda a: a == 1 or a, "decide by it"),
        (lambda a: [*a], "its length is not known"),
        (len, "take its length"),
        (float, "make a number of it"),
        (lambda a: [1, 2][a], "make a number of it"),
        (lambda a: math.sqrt(a), "make a number of it"),
        (np.asarray, "make an array of it"),
        (lambda a: f"energy {a}", "write it into a text"),
        (lambda a: a(), "call it"),
        (lambda a: setattr(a, "x", 1), "set its attribute 'x'"),
    ],
)
def test_what_needs_the_value_is_refused_while_the_graph_is_built(
    misuse: Any, told: str
) -> None:
    workflow = ct.lattice(lambda x: misuse(add(x)))
    with pytest.raises(TypeError, match=f"not there yet.*{told}.* in an electron"):
        ct.dispatch(workflow)(1)


def test_arguments_that_a_function_does_not_take_are_refused_before_anything_runs() -> (
    None
):
    ran: list[int] = []

    @ct.electron
    def one(x: int) -> int:
        ran.append(x)
        return x

    workflow = ct.lattice(lambda: (one(1), one(1, 2)))
    with pytest.raises(TypeError, match=r"one\(\): too many .* It takes \(x: int\)"):
        ct.dispatch(workflow)()
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        ct.dispatch(ct.lattice(lambda x: add(x)))()
    assert ran == []


def test_a_value_hidden_in_another_object_is_found_out() -> None:
    class Box:
        def __init__(self, content: Any) -> None:
            self.content = content

    open_box = ct.electron(lambda box: box.content + 1)
    result = run(ct.lattice(lambda x: open_box(Box(add(x)))), 1)
    assert result.status == "failed"
    assert "in lists, tuples and dicts; within other objects" in str(result.error)


# --- Options --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"executor": "slurm"}, "executor='slurm' runs no electrons"),
        ({"executor": ct.executor.FakeCloud()}, "runs no electrons"),
        ({"retries": -1}, "retries=-1 is no number"),
        ({"resources": {"GPU": 1}}, "dealt out by Dask"),
        ({"resources": {"GPU": "many"}, "executor": "dask"}, "are none"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: Any, told: str) -> None:
    with pytest.raises(ct.ConfigError, match=told):
        ct.electron(**options)(abs)


def test_a_misspelt_option_says_which_was_meant() -> None:
    with pytest.raises(TypeError, match=r"no option 'retry'.*'retries'"):
        ct.electron(retry=2)
    with pytest.raises(TypeError, match="Did you mean 'executor'"):
        ct.lattice(executer="dask")


def test_what_is_no_lattice_is_not_dispatched() -> None:
    with pytest.raises(TypeError, match="takes a lattice, not Electron"):
        ct.dispatch(add)


# --- What becomes of electrons --------------------------------------------------------


def test_a_dispatch_returns_its_id_before_its_electrons_have_run() -> None:
    gate = threading.Event()
    held = ct.electron(lambda: gate.wait(WAIT_S))
    dispatch_id = ct.dispatch(ct.lattice(lambda: held()))()
    early = ct.get_result(dispatch_id)
    assert early.status == "running"
    with pytest.raises(DispatchError, match="has not ended: 0 of 1 electrons"):
        _ = early.result
    with pytest.raises(TimeoutError, match="0 of 1 electrons have"):
        ct.get_result(dispatch_id, wait=True, timeout=0.01)
    gate.set()
    assert ct.get_result(dispatch_id, wait=True).result is True


def test_fifty_electrons_with_a_diamond_a_fan_out_a_failure_and_a_retry() -> None:
    tries: Counter[str] = Counter()

    @ct.electron(retries=2)
    def flaky(x: int) -> int:
        tries["flaky"] += 1
        if tries["flaky"] < 3:
            raise OSError("not yet")
        return x

    @ct.lattice
    def workflow(x: int) -> Any:
        top = add(x)  # 0
        left, right = add(top, 1), add(top, 2)  # 1, 2
        bottom = add(left, right)  # 3
        fan = [add(bottom, number) for number in range(30)]  # 4 to 33
        broken = fail(bottom)  # 34
        after = [add(broken, fan[number]) for number in range(5)]  # 35 to 39
        deep = add(after[0], 1)  # 40
        patient = flaky(bottom)  # 41
        rest = [add(patient, number) for number in range(8)]  # 42 to 49
        return [fan, after, deep, rest]

    result = run(workflow, 1)
    states = [one.state for one in result.electrons]
    assert len(states) == 50
    assert result.status == "failed"
    assert states[34] == "failed"
    assert states[35:41] == ["skipped"] * 6
    assert states[:34] + states[41:] == ["completed"] * 43
    assert [one.result for one in result.electrons[4:34]] == [7 + n for n in range(30)]
    assert [one.attempt for one in result.electrons[33:42]] == [1, 1, *[0] * 6, 3]
    assert tries["flaky"] == 3
    assert result.electrons[35].error == "not run: 'fail' (electron 34) failed"
    broken = result.electrons[34]
    assert broken.error == "ValueError: no 7 today"
    assert 'raise ValueError(f"no {x} today")' in str(broken.traceback)
    assert "running.py" not in str(broken.traceback)
    with pytest.raises(
        DispatchError, match=r"'fail' \(electron 34\): ValueError: no 7"
    ):
        _ = result.result


def test_an_electron_that_keeps_failing_fails_with_its_last_error() -> None:
    tries: list[int] = []

    @ct.electron(retries=3)
    def broken() -> None:
        tries.append(1)
        raise OSError(f"attempt {len(tries)}")

    (electron,) = run(ct.lattice(lambda: broken())).electrons
    assert (electron.state, electron.attempt) == ("failed", 4)
    assert electron.error == "OSError: attempt 4"


def test_times_and_order_are_told() -> None:
    workflow = ct.lattice(lambda x: add(add(x)))
    result = run(workflow, 1)
    first, second = result.electrons
    for electron in (first, second):
        assert electron.started_at is not None
        assert electron.finished_at is not None
        assert electron.duration_s is not None
        assert electron.duration_s >= 0
    assert result.started_at <= float(first.started_at or 0)
    assert float(first.finished_at or 0) <= float(second.started_at or 0)
    assert result.finished_at == second.finished_at


def test_an_electron_waits_for_one_whose_result_it_ignores() -> None:
    order: list[str] = []
    gate = threading.Event()

    @ct.electron
    def late() -> None:
        gate.wait(WAIT_S)
        order.append("late")

    @ct.electron
    def early() -> None:
        order.append("early")

    @ct.electron
    def opens() -> None:
        gate.set()

    @ct.lattice
    def workflow() -> Any:
        follower = early()  # called first, and waits for one that is called later
        follower.wait_for([late()])
        return [follower, opens()]

    assert run(workflow).status == "completed"
    assert order == ["late", "early"]
    circle = ct.lattice(lambda: _in_a_circle())
    with pytest.raises(ValueError, match="neither would ever start"):
        ct.dispatch(circle)()


def _in_a_circle() -> Any:
    first = add(1)
    return first.wait_for(add(first))


def test_what_a_lattice_cannot_put_together_is_its_own_failure() -> None:
    result = run(ct.lattice(lambda x: record(x)["nothing"]), 1)
    assert result.status == "failed"
    assert [one.state for one in result.electrons] == ["completed"]
    with pytest.raises(DispatchError, match="could not be put together: KeyError"):
        _ = result.result


def test_a_lattice_without_electrons_returns_what_it_returns() -> None:
    assert value(ct.lattice(lambda x: {"x": x}), 3) == {"x": 3}


# --- Lattices within lattices ---------------------------------------------------------


@ct.lattice
def inner(n: int) -> Any:
    return [add(number) for number in range(n)]  # of a length that is known by now


def test_a_lattice_within_a_lattice_is_built_once_its_arguments_are_there() -> None:
    outer = ct.lattice(lambda x: add(inner(add(x)), ["end"]))
    result = run(outer, 2)
    assert result.result == [1, 2, 3, "end"]
    within = result.electrons[1]
    assert (within.name, within.executor) == ("inner", "lattice")
    assert len(ct.get_result(str(within.dispatch_id)).electrons) == 3
    assert ct.electron(inner) is inner


def test_a_failure_within_is_told_outside() -> None:
    broken = ct.lattice(lambda x: fail(x))
    result = run(ct.lattice(lambda x: add(broken(add(x)))), 2)
    assert [one.state for one in result.electrons] == ["completed", "failed", "skipped"]
    assert "no 3 today" in str(result.electrons[1].traceback)


def test_a_lattice_within_that_gives_up_ends_its_electron() -> None:
    def stop(x: int) -> Any:
        raise SystemExit(x)

    result = run(ct.lattice(lambda x: add(ct.lattice(stop)(x))), 2)
    assert [one.state for one in result.electrons] == ["failed", "skipped"]
    assert "SystemExit: 2" in str(result.error)


def test_an_electron_may_dispatch_and_wait() -> None:
    @ct.electron
    def outer(n: int) -> Any:
        return value(inner, n)

    assert value(ct.lattice(lambda: [outer(n) for n in range(40)])) == [
        [*range(1, n + 1)] for n in range(40)
    ]


# --- Cancelling, and going on ---------------------------------------------------------


class Held:
    """A lattice of four electrons, the second of which waits until it may go on."""

    def __init__(self) -> None:
        self.reached, self.gate = threading.Event(), threading.Event()
        self.ran: Counter[str] = Counter()

        @ct.electron
        def step(x: int, name: str) -> int:
            self.ran[name] += 1
            if name == "held":
                self.reached.set()
                self.gate.wait(WAIT_S)
            return x + 1

        @ct.lattice
        def workflow(x: int) -> Any:
            first = step(x, "first")
            return step(step(first, "held"), "last"), step(first, "beside")

        self.workflow, self.step = workflow, step


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.gate.set()


def test_a_cancelled_dispatch_starts_nothing_more(held: Held) -> None:
    dispatch_id = ct.dispatch(held.workflow)(1)
    assert held.reached.wait(WAIT_S)
    ct.cancel(dispatch_id)
    result = ct.get_result(dispatch_id, wait=True, timeout=WAIT_S)
    held.gate.set()
    assert result.status == "cancelled"
    states = {one.number: one.state for one in result.electrons}
    assert (states[0], states[1], states[2]) == ("completed", "cancelled", "cancelled")
    with pytest.raises(DispatchError, match="was cancelled"):
        _ = result.result
    assert held.ran["last"] == 0


def test_a_redispatch_reuses_what_finished_and_runs_the_rest(held: Held) -> None:
    dispatch_id = ct.dispatch(held.workflow)(1)
    assert held.reached.wait(WAIT_S)
    with pytest.raises(ct.ConfigError, match="has not ended"):
        ct.redispatch(dispatch_id)
    ct.cancel(dispatch_id)
    held.gate.set()
    again = ct.redispatch(dispatch_id)()
    result = ct.get_result(again, wait=True, timeout=WAIT_S)
    assert result.result == (4, 3)
    assert result.redispatched == dispatch_id
    assert result.electrons[0].reused
    assert held.ran["first"] == 1
    assert held.ran["held"] == 2


def test_a_redispatch_runs_what_was_changed_and_what_depends_on_it() -> None:
    ran: Counter[str] = Counter()

    def steps(factor: int) -> Any:
        @ct.electron
        def same(x: int) -> int:
            ran["same"] += 1
            return x

        @ct.electron
        def scaled(x: int) -> int:
            ran["scaled"] += 1
            return factor * x

        return ct.lattice(lambda x: add(scaled(same(x)), same(x)))

    first = run(steps(2), 3)
    again = ct.redispatch(first.dispatch_id, steps(5))()
    assert ct.get_result(again, wait=True).result == 18
    reused = [one.reused for one in ct.get_result(again).electrons]
    assert reused == [True, False, True, False]
    assert ran == {"same": 2, "scaled": 2}


def test_a_redispatch_takes_other_arguments_and_reuses_nothing_if_asked() -> None:
    workflow = ct.lattice(lambda x, y: [add(x), add(y)])
    first = run(workflow, 1, 2)
    other = ct.get_result(ct.redispatch(first.dispatch_id)(1, 5), wait=True)
    assert [one.reused for one in other.electrons] == [True, False]
    assert other.result == [2, 6]
    anew = ct.redispatch(first.dispatch_id, reuse=False)()
    assert not any(one.reused for one in ct.get_result(anew, wait=True).electrons)


def test_what_is_cancelled_may_be_asked_for_circuits_no_more() -> None:
    cloud = ct.executor.FakeCloud(latency_s=600.0, name="workflow-cancel")
    began = threading.Event()

    @ct.qelectron(executors=cloud)
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    @ct.electron
    def waits(x: float) -> Any:
        future = circuit.run_later(x)
        began.set()
        return future.result()

    dispatch_id = ct.dispatch(ct.lattice(lambda: waits(0.3)))()
    assert began.wait(WAIT_S)
    ct.cancel(dispatch_id)
    assert ct.get_result(dispatch_id, wait=True, timeout=WAIT_S).status == "cancelled"
    # The circuits end as well: nobody pays for them.
    assert ct.load(cloud).in_flight == 0


def test_an_unknown_dispatch_is_named() -> None:
    with pytest.raises(ct.ConfigError, match="no dispatch 'dispatch-nowhere' is known"):
        ct.get_result("dispatch-nowhere")
    with pytest.raises(ct.ConfigError, match="dispatch_id=3 is no id"):
        ct.get_result(3)


# --- What it tells --------------------------------------------------------------------


def test_circuits_of_an_electron_are_told_with_it() -> None:
    cloud = ct.executor.FakeCloud(name="workflow-calls")

    @ct.qelectron(executors=cloud)
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    @ct.electron
    def energy(x: float) -> float:
        return float(sum(circuit.map([x, 2 * x])) + circuit(x))

    result = run(ct.lattice(lambda: [energy(0.1), energy(0.2)]))
    assert result.result == pytest.approx(
        [2 * math.cos(x) + math.cos(2 * x) for x in (0.1, 0.2)]
    )
    for electron in result.electrons:
        assert sum(call.circuits for call in electron.calls) == 3
        assert {call.executors for call in electron.calls} == {(repr(cloud),)}
        for call in electron.calls:
            assert call.id.startswith(f"{result.dispatch_id}-{electron.number}.")
            (told,) = ct.history(call_id=call.id)
            assert told.state == "completed"


def test_observers_are_told_of_electrons_in_order() -> None:
    events: list[Any] = []
    with ct.observe(events.append):
        result = run(ct.lattice(lambda x: fail(add(x))), 1)
    told = [
        (event.index, event.kind)
        for event in events
        if isinstance(event, ElectronEvent) and event.dispatch_id == result.dispatch_id
    ]
    assert told == [
        (0, "electron queued"),
        (0, "electron running"),
        (0, "electron completed"),
        (1, "electron queued"),
        (1, "electron running"),
        (1, "electron failed"),
    ]


def test_an_observer_that_asks_for_the_dispatch_does_not_stop_it() -> None:
    seen: list[str] = []

    def look(event: Any) -> None:
        if isinstance(event, ElectronEvent):
            seen.append(ct.get_result(event.dispatch_id).status)

    with ct.observe(look):
        assert value(ct.lattice(lambda x: add(add(x))), 1) == 3
    assert len(seen) >= 6


def test_a_bar_shows_how_far_a_dispatch_is(capsys: pytest.CaptureFixture[str]) -> None:
    dispatch_id = ct.dispatch(ct.lattice(lambda: [add(n) for n in range(4)]))()
    ct.get_result(dispatch_id, wait=True, progress=True)
    captured = capsys.readouterr()
    assert "4/4" in captured.err
    assert "4 completed" in captured.err
    assert captured.out == ""


def test_the_graph_is_drawn_with_the_states_of_its_electrons(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    cost = ct.electron(lambda x: x)
    cost.name = "cost $x_1$ <b>"
    result = run(ct.lattice(lambda: (fail(add(cost(1))), add(2))))
    figure = result.draw(tmp_path / "graph.svg")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert [text for text in texts if text] == [
        r"✓ cost \$x_1\$ <b>",
        "✓ add",
        "✗ fail",
        "✓ add",
    ]
    drawn = (tmp_path / "graph.svg").read_text(encoding="utf-8")
    assert drawn.startswith("<?xml")
    places = [text.get_position() for text in figure.axes[0].texts if text.get_text()]
    assert len(set(places)) == 4
    assert [y for _, y in places] == [0.0, 1.0, 2.0, 0.0]


def test_what_names_and_errors_hold_is_inert_in_a_notebook() -> None:
    evil = ct.electron(lambda: 1 / 0)
    evil.name = "<script>alert(1)</script>"
    shown = run(ct.lattice(lambda: evil()))._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "ZeroDivisionError" in shown


def test_a_result_says_in_one_line_how_it_stands() -> None:
    result = run(ct.lattice(lambda x: fail(add(x))), 1)
    assert repr(result) == (
        f"<dispatch {result.dispatch_id} of '<lambda>': failed (1 completed, 1 failed)>"
    )


# --- The description that users were given --------------------------------------------

SEED_WORKFLOW = """\
# Create Electrons for a simple workflow.
@ct.electron
def generate_rand_input():
    return random.uniform(0, 3.14159)

@ct.electron
def run_qiskit_experiment(x):
    # Workflow task that uses the `circuit` QElectron.
    return circuit(x)

@ct.lattice
def workflow():
    results = []
\t\t
\t# Six independent experiments.
    for _ in range(6):
        x = generate_rand_input()
        results.append(run_qiskit_experiment(x))

    return results

# Dispatch workflow.
dispatch_id = ct.dispatch(workflow)()
print(dispatch_id)
results = ct.get_result(dispatch_id, wait=True).result
"""

SEED_RUN_LATER = """\
# Immediately submit 6 circuits for concurrent execution.
futures = [circuit.run_later(generate_rand_input()) for _ in range(6)]

# Retrieve results as required.
results = [future.result() for future in futures]

# NOTE: Users can multiply this by using the patten inside multiple Electron.
"""


def test_the_examples_that_users_were_given(capsys: pytest.CaptureFixture[str]) -> None:
    @ct.qelectron(executors=ct.executor.FakeCloud(name="workflow-seed"))
    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        qml.Hadamard(wires=1)
        qml.CNOT(wires=[0, 1])
        return qml.expval(qml.PauliY(0))

    names = {"ct": ct, "circuit": circuit, "random": random}
    exec(compile(SEED_WORKFLOW, "quantum-electrons.md", "exec"), names)
    assert capsys.readouterr().out == f"{names['dispatch_id']}\n"
    electrons = ct.get_result(str(names["dispatch_id"])).electrons
    drawn = [one.result for one in electrons if one.name == "generate_rand_input"]
    assert names["results"] == pytest.approx([-math.sin(x) for x in drawn])
    exec(compile(SEED_RUN_LATER, "quantum-electrons.md", "exec"), names)
    later: Any = names["results"]
    assert len(later) == 6
    assert all(-1 <= float(one) <= 0 for one in later)


# --- What was broken once -------------------------------------------------------------


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_whatever_an_electron_raises_is_its_end(kind: type[BaseException]) -> None:
    @ct.electron
    def raises() -> None:
        raise kind("now")

    result = run(ct.lattice(lambda: (raises(), add(1))))
    assert [one.state for one in result.electrons] == ["failed", "completed"]
    assert result.error == f"{kind.__name__}: now"


def test_sums_of_thousands_and_values_used_again_and_again() -> None:
    assert value(ct.lattice(lambda: sum([add(k) for k in range(1500)]))) == sum(
        range(1, 1501)
    )

    def doubled() -> Any:
        x = add(0)
        for _ in range(60):  # a tree of it has 2 ** 60 leaves
            x = x + x
        return add(x, 0)

    assert value(ct.lattice(doubled)) == 2**60


def test_slices_and_special_containers_of_placeholders() -> None:
    def built() -> Any:
        x = add(1)
        lists = defaultdict(list)
        lists["a"].append(x)
        return (
            add([1, 2, 3, 4], [])[x:],
            same(OrderedDict(b=x)),
            same(lists),
            same(deque([x], 1)),
        )

    same = ct.electron(lambda x: x)
    expected = [3, 4], OrderedDict(b=2), defaultdict(list, a=[2]), deque([2], 1)
    assert value(ct.lattice(built)) == expected


def test_a_container_in_which_placeholders_are_not_found_is_refused() -> None:
    class Row(list[Any]):
        """A list of the user's own."""

    with pytest.raises(TypeError, match="is in a Row, in which it is not replaced"):
        ct.dispatch(ct.lattice(lambda: add(Row([add(1)]), [])))()


def test_no_text_is_made_of_what_is_not_there_yet() -> None:
    with pytest.raises(TypeError, match="write it as text"):
        ct.dispatch(ct.lattice(lambda: add("x" + str(add(1)), "")))()


def test_what_is_there_only_once_is_no_result() -> None:
    @ct.electron
    async def later() -> int:
        return 1

    def lazy() -> Any:
        return ct.electron(lambda: (x for x in "ab"))(), later()

    result = run(ct.lattice(lazy))
    assert [one.state for one in result.electrons] == ["failed", "failed"]
    assert "it returned a generator, which is used up" in str(result.electrons[0].error)
    assert "it returned a coroutine" in str(result.electrons[1].error)


def test_a_placeholder_that_comes_in_by_a_default_is_no_result() -> None:
    def built() -> Any:
        x = add(1)
        return ct.electron(lambda y=x: y)()

    assert "came into an electron by a default" in str(run(ct.lattice(built)).error)


def test_a_lattice_may_be_a_method() -> None:
    class Model:
        factor = 3

        @ct.lattice
        def scaled(self, x: int) -> Any:
            return self.factor * add(x)

    assert value(Model().scaled, 1) == 6
    assert Model().scaled(1) == 6


def test_what_is_shut_down_is_lost_and_not_failed(held: Held) -> None:
    dispatch_id = ct.dispatch(held.workflow)(1)
    assert held.reached.wait(WAIT_S)
    ct.shutdown()
    found = live.get(dispatch_id)
    assert found is not None
    for number in (1, 3):  # one that ran, and one whose turn comes too late
        found.execution.failed(number, CancelledError())
    result = ct.get_result(dispatch_id)
    assert (result.status, result.failed) == ("lost", ())
    held.gate.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork.*:RuntimeWarning")
def test_a_forked_child_does_not_wait_for_what_its_parent_carries_out(
    held: Held,
) -> None:
    dispatch_id = ct.dispatch(held.workflow)(1)
    assert held.reached.wait(WAIT_S)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            own = value(ct.lattice(lambda: add(1))) == 2
            code = 0 if own and dispatch_id not in running_here() else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    held.gate.set()
    assert ct.get_result(dispatch_id, wait=True, timeout=WAIT_S).result == (4, 3)


def running_here() -> list[str]:
    """Return the dispatches that this process carries out."""
    return [one.id for one in live.running()]


def test_what_no_store_keeps_lives_as_long_as_the_process() -> None:
    made = ct.electron(lambda: object())
    dispatch_id = ct.dispatch(ct.lattice(lambda: made()))()
    ct.get_result(dispatch_id, wait=True, timeout=WAIT_S)
    one = ct.lattice(lambda: add(1))
    for _ in range(40):
        run(one)
    assert type(ct.get_result(dispatch_id).result) is object

"""Circuits built without their function are those that the function builds."""

import math
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qelectron_core as ct
from qelectron_core.structure import PLAIN_OPERATORS
from qelectron_core.tracing import trace_function
from qelectron_core.tracing.purity import purity_of

DEADLINE_S = 60
CONSTANT = 0.25
LAYERS = ((0, 1), (1, 2))
TABLE = [0.1, 0.2, 0.3]
COUNTED: list[float] = []
FILLED = [0.0]
RANDOM = np.random.default_rng(0)


def on(function: Callable[..., Any], device: str = "default.qubit") -> ct.QElectron:
    made = ct.qelectron(qml.QNode(function, qml.device(device, wires=4)))
    assert isinstance(made, ct.QElectron)
    return made


@contextmanager
def calls_of(function: Any) -> Iterator[list[None]]:
    """Count how often Python enters a function in this thread."""
    entered: list[None] = []
    code = function.__code__

    def profile(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is code:
            entered.append(None)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield entered
    finally:
        sys.setprofile(before)


# --- Functions that only compute ------------------------------------------------------


def single(x: float) -> Any:
    qml.RX(x, wires=0)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.PauliZ(1))


def arithmetic(x: float) -> Any:
    angle = 2 * x + CONSTANT
    angle += np.sin(x) ** 2 / 3
    qml.Rot(angle, -x, abs(x) - math.pi, wires=0)
    qml.RY(0.5**x, wires=1)
    return [qml.expval(qml.PauliX(0)), {"probs": qml.probs(wires=[0, 1])}]


def helper(angles: Any, wires: Any) -> None:
    for angle, wire in zip(angles, wires, strict=True):
        qml.RY(angle, wires=wire)


def layered(weights: Any) -> Any:
    for layer in weights:
        helper(layer, range(4))
        for first, second in LAYERS:
            qml.CZ(wires=[first, second])
    qml.StronglyEntanglingLayers(weights.reshape(2, 4, 1) * np.ones(3), range(4))
    return tuple(qml.expval(qml.PauliZ(wire)) for wire in range(weights.shape[1]))


def sliced(weights: Any) -> Any:
    helper(weights[0, ::-1], range(4))
    helper(weights[-1] + weights[0, 1:2], [3, 2, 1, 0])
    qml.AngleEmbedding(weights[1, :3], wires=range(3), rotation="Y")
    return qml.var(qml.PauliZ(0) @ qml.PauliX(1))


def nested(parts: Any, *, scale: float = 1.0, depth: int = 2) -> Any:
    for _ in range(depth):
        qml.RX(scale * parts["angle"], wires=0)
        helper([part * 1.0 for part in parts["list"]], [1, 2])
    return qml.probs(wires=[0, 1, 2])


def keeps_a_default(x: float, scale: Any = None) -> Any:
    if scale is None:
        scale = 2.0
    qml.RX(scale * x, wires=0)
    return qml.expval(qml.PauliZ(0))


def branching(x: float, *, twice: bool = False) -> Any:
    qml.RX(x, wires=0)
    if twice:
        qml.RX(x, wires=0)
    return qml.expval(qml.PauliZ(0))


def mixed(x: float) -> Any:
    if len(TABLE) != 3:
        raise ValueError("three numbers are wanted")
    qml.CRot(x, 0.1, 0.2, wires=[0, 1])
    qml.U3(0.3, x, 0.1, wires=0)
    qml.Rot(0.3, 0.1, x, wires=1)
    return qml.expval(qml.PauliX(0) @ qml.PauliY(1))


def tabled(x: float) -> Any:
    for value in TABLE:
        qml.RX(value * x, wires=0)
    return qml.expval(qml.PauliZ(0))


REAL = st.floats(-7, 7, allow_nan=False)
MATRIX = st.lists(REAL, min_size=8, max_size=8).map(lambda v: np.reshape(v, (2, 4)))
PURE: dict[str, tuple[Callable[..., Any], Any]] = {
    "one gate": (single, REAL),
    "arithmetic": (arithmetic, REAL),
    "slices": (sliced, MATRIX),
    "containers": (
        nested,
        st.fixed_dictionaries(
            {"angle": REAL, "list": st.lists(REAL, min_size=2, max_size=2)}
        ),
    ),
    "a default": (branching, REAL),
    "a default of none": (keeps_a_default, REAL),
    "a global list": (tabled, REAL),
    "numbers of its own": (mixed, REAL),
}


def same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        same(list(found.values()), list(expected.values()))
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    else:
        assert np.shape(found) == np.shape(expected)
        assert np.allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
@pytest.mark.parametrize("name", PURE)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_way_to_call_gives_what_a_loop_gives(
    name: str, device: str, data: st.DataObject
) -> None:
    function, arguments = PURE[name]
    items = data.draw(st.lists(arguments, min_size=4, max_size=8))
    electron = on(function, device)
    bare = qml.QNode(function, qml.device(device, wires=4))
    expected = [bare(item) for item in items]
    same(electron.map(items), expected)
    same([electron(item) for item in items], expected)
    same(ct.gather([electron.run_later(item) for item in items]), expected)


@pytest.mark.parametrize("name", PURE)
def test_functions_that_only_compute_are_known_as_such(name: str) -> None:
    assert purity_of(PURE[name][0]) is not None


def test_a_map_calls_its_function_twice_however_many_items() -> None:
    electron = on(single)
    with calls_of(single) as entered:
        electron.map(np.linspace(0, 1, 50))
    assert len(entered) == 2, "once for the first circuit, and once with symbols"


def test_a_loop_stops_calling_its_function() -> None:
    electron = on(single)
    with calls_of(single) as entered:
        values = [electron(x) for x in np.linspace(0, 1, 20)]
        values += ct.gather([electron.run_later(x) for x in np.linspace(0, 1, 20)])
    assert np.allclose(values, 2 * [*np.cos(np.linspace(0, 1, 20))])
    assert len(entered) == 3


def test_a_map_that_runs_as_one_is_one_circuit_in_the_journal() -> None:
    electron = on(single)
    events: list[ct.Event] = []
    with ct.observe(events.append):
        electron.map([0.1 * n for n in range(30)])
    assert len([e for e in events if e.kind == "completed"]) == 2


# --- Functions that do more -----------------------------------------------------------

count = 0


def draws(x: float) -> Any:
    qml.RX(x + 0.01 * RANDOM.normal(), wires=0)
    return qml.expval(qml.PauliZ(0))


def draws_globally(x: float) -> Any:
    qml.RX(x + np.random.normal(), wires=0)
    return qml.expval(qml.PauliZ(0))


def draws_plainly(x: float) -> Any:
    qml.RX(x + random.random(), wires=0)
    return qml.expval(qml.PauliZ(0))


def watches(x: float) -> Any:
    qml.RX(x + 1e-9 * (time.perf_counter() % 1), wires=0)
    return qml.expval(qml.PauliZ(0))


def counts(x: float) -> Any:
    global count
    count += 1
    qml.RX(x + count, wires=0)
    return qml.expval(qml.PauliZ(0))


def collects(x: float) -> Any:
    COUNTED.append(x)
    qml.RX(x + len(COUNTED), wires=0)
    return qml.expval(qml.PauliZ(0))


def collects_under_another_name(x: float) -> Any:
    here = COUNTED
    here += [x]
    qml.RX(x + len(here), wires=0)
    return qml.expval(qml.PauliZ(0))


def writes(x: float) -> Any:
    print(x)
    qml.RX(x, wires=0)
    return qml.expval(qml.PauliZ(0))


def fills(x: float) -> Any:
    FILLED[0] += 1
    qml.RX(x + FILLED[0], wires=0)
    return qml.expval(qml.PauliZ(0))


def remembers(x: float, seen: list[float] = []) -> Any:  # noqa: B006
    seen.append(x)
    qml.RX(x + len(seen), wires=0)
    return qml.expval(qml.PauliZ(0))


def sets_attribute(x: float) -> Any:
    remembers.last = x  # type: ignore[attr-defined]
    qml.RX(x, wires=0)
    return qml.expval(qml.PauliZ(0))


def counter() -> Callable[[float], Any]:
    calls = 0

    def function(x: float) -> Any:
        nonlocal calls
        calls += 1
        qml.RX(x + calls, wires=0)
        return qml.expval(qml.PauliZ(0))

    return function


def drains() -> Callable[[float], Any]:
    numbers = iter(range(100))

    def function(x: float) -> Any:
        for number in numbers:
            qml.RX(x + number, wires=0)
            break
        return qml.expval(qml.PauliZ(0))

    return function


def and_counts(x: float) -> float:
    COUNTED.append(x)
    return x + len(COUNTED)


def calls_out(x: float) -> Any:
    qml.RX(and_counts(x), wires=0)
    return qml.expval(qml.PauliZ(0))


def in_a_comprehension(x: float) -> Any:
    [qml.RX(x + RANDOM.normal(), wires=wire) for wire in range(2)]
    return qml.expval(qml.PauliZ(0))


class Odd(float):
    """A number that counts how often it is asked."""

    asked = 0

    def __mul__(self, other: Any) -> Any:
        Odd.asked += 1
        return float(self) * other * Odd.asked


ODD = Odd(1.0)
GROWING: defaultdict[str, float] = defaultdict(float)
WRITTEN = np.zeros(1)


def and_counts_too(x: float) -> Any:
    COUNTED.append(x)
    return len(COUNTED)


applied: Any = np.frompyfunc(and_counts_too, 1, 1)


def writes_by_position(x: float) -> Any:
    np.add(WRITTEN, 0.1, WRITTEN)
    qml.RX(x + WRITTEN[0], wires=0)
    return qml.expval(qml.PauliZ(0))


def writes_by_name(x: float) -> Any:
    where: Any = {"out": WRITTEN}
    np.add(WRITTEN, 0.1, **where)
    qml.RX(x + WRITTEN[0], wires=0)
    return qml.expval(qml.PauliZ(0))


def asks_an_odd_number(x: float) -> Any:
    qml.RX(ODD * x, wires=0)
    return qml.expval(qml.PauliZ(0))


def grows(x: float) -> Any:
    qml.RX(x + GROWING["new"] + len(GROWING), wires=0)
    return qml.expval(qml.PauliZ(0))


def applies(x: float) -> Any:
    qml.RX(x + float(applied(1.0)), wires=0)
    return qml.expval(qml.PauliZ(0))


class Key(str):
    """A key that counts how often it is hashed."""

    hashed = 0

    def __hash__(self) -> int:
        Key.hashed += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other)


KEYED = {Key("a"): 0.1}
ITSELF: list[Any] = [0.1]
ITSELF.append(ITSELF)


def asks_for_odd_keys(x: float) -> Any:
    qml.RX(x + sorted(KEYED.values())[0], wires=0)
    return qml.expval(qml.PauliZ(0))


def reads_what_holds_itself(x: float) -> Any:
    qml.RX(x + ITSELF[0], wires=0)
    return qml.expval(qml.PauliZ(0))


def asks_for_the_same_object(x: float, y: float = 0.5) -> Any:
    qml.RX(x if x is y else 2 * x, wires=0)
    return qml.expval(qml.PauliZ(0))


IMPURE = {
    f.__name__: f
    for f in (
        draws,
        draws_globally,
        draws_plainly,
        watches,
        counts,
        collects,
        collects_under_another_name,
        writes,
        fills,
        remembers,
        sets_attribute,
        calls_out,
        in_a_comprehension,
        writes_by_position,
        writes_by_name,
        asks_an_odd_number,
        grows,
        applies,
        asks_for_the_same_object,
        asks_for_odd_keys,
    )
} | {"counter": counter(), "drains": drains()}


@pytest.mark.parametrize("name", IMPURE)
def test_a_function_that_does_more_than_compute_is_called_every_time(name: str) -> None:
    function = IMPURE[name]
    assert purity_of(function) is None
    electron = on(function)
    with calls_of(function) as entered:
        electron.map([0.1] * 10)
        for _ in range(5):
            electron(0.1)
        ct.gather([electron.run_later(0.1) for _ in range(5)])
    assert len(entered) == 20


def test_what_holds_itself_is_not_followed_for_ever() -> None:
    assert purity_of(reads_what_holds_itself) is None


# --- Functions that look at a value ---------------------------------------------------


def decides(x: float) -> Any:
    if x > 0.5:
        qml.RY(x, wires=0)
    qml.RX(x, wires=0)
    return qml.expval(qml.PauliZ(0))


def compares(x: float) -> Any:
    qml.RX(x * (x == 0.5) + 0.1, wires=0)
    return qml.expval(qml.PauliZ(0))


def contains(x: float) -> Any:
    qml.RX(1.0 if x in TABLE else x, wires=0)
    return qml.expval(qml.PauliZ(0))


def rounds(x: float) -> Any:
    qml.RX(round(x), wires=0)
    return qml.expval(qml.PauliZ(0))


def repeats(x: float) -> Any:
    for _ in range(int(4 * x)):
        qml.RX(x, wires=0)
    return qml.expval(qml.PauliZ(0))


def takes_the_larger(x: float) -> Any:
    qml.RX(max(x, 0.5), wires=0)
    return qml.expval(qml.PauliZ(0))


def takes_a_sine(x: float) -> Any:
    qml.RX(math.sin(x), wires=0)
    return qml.expval(qml.PauliZ(0))


def weighs(x: float) -> Any:
    qml.RX(0.3, wires=0)
    return qml.expval(x * qml.PauliZ(0))


def swallows(x: float) -> Any:
    try:
        larger = x > 0.5
    except Exception:
        larger = True
    qml.RX(x if larger else 2 * x, wires=0)
    return qml.expval(qml.PauliZ(0))


def is_a_number(x: Any) -> Any:
    qml.RX(x if isinstance(x, float) else 2 * x, wires=0)
    return qml.expval(qml.PauliZ(0))


def names_a_wire(x: float) -> Any:
    qml.RX(x, wires=len(f"{x}") % 2)
    return qml.expval(qml.PauliZ(0))


def steps(x: float) -> Any:
    qml.RX(np.heaviside(x - 0.5, 0.0) + np.floor(3 * x), wires=0)
    return qml.expval(qml.PauliZ(0))


LOOKS = {
    f.__name__: f
    for f in (
        decides,
        compares,
        contains,
        rounds,
        repeats,
        takes_the_larger,
        takes_a_sine,
        weighs,
        swallows,
        is_a_number,
        names_a_wire,
        steps,
    )
}


@pytest.mark.parametrize("name", LOOKS)
def test_a_function_that_looks_at_a_value_gives_what_a_loop_gives(name: str) -> None:
    function = LOOKS[name]
    bare = qml.QNode(function, qml.device("default.qubit", wires=4))
    xs = [0.9, 0.1, 0.2, 0.3, 0.5, 0.7, 1.2]
    electron = on(function)
    expected = [bare(x) for x in xs]
    same(electron.map(xs), expected)
    same([electron(x) for x in xs + xs], expected + expected)


def test_arrays_that_are_looked_at_as_a_whole_are_not_mixed_up() -> None:
    def function(values: Any) -> Any:
        qml.RX(values[0] / np.sum(values) + np.max(values), wires=0)
        return qml.expval(qml.PauliZ(0))

    items = [np.array([0.1 * n, 0.5, 0.2]) for n in range(8)]
    bare = qml.QNode(function, qml.device("default.qubit", wires=4))
    same(on(function).map(items), [bare(item) for item in items])


def test_an_array_that_is_changed_in_place_is_changed() -> None:
    def function(values: Any) -> Any:
        values += 1
        qml.RX(values[0], wires=0)
        return qml.expval(qml.PauliZ(0))

    items = [np.array([0.1 * n]) for n in range(8)]
    found = on(function).map(items)
    assert np.allclose(np.ravel(items), 0.1 * np.arange(8) + 1)
    assert np.allclose(found, np.cos(0.1 * np.arange(8) + 1))


def test_items_of_several_kinds_are_each_what_they_are() -> None:
    def function(x: Any) -> Any:
        qml.RX(x / 2, wires=0)
        return qml.expval(qml.PauliZ(0))

    xs = [0.1, 1, np.float64(0.3), True, np.float32(0.5), 2**60, 0.7, np.array(0.2)]
    bare = qml.QNode(function, qml.device("default.qubit", wires=4))
    same(on(function).map(xs), [bare(x) for x in xs])


def test_a_list_that_is_filled_by_each_call_is_filled() -> None:
    def function(values: Any) -> Any:
        values.append(0.5)
        for value in values:
            qml.RX(value, wires=0)
        return qml.expval(qml.PauliZ(0))

    items = [[0.1], [0.2], [0.1], [0.3], [0.4], [0.5]]
    expected = [np.cos(item[0] + 0.5) for item in items]
    assert np.allclose(on(function).map(items), expected)
    assert [len(item) for item in items] == [2] * 6


@pytest.mark.filterwarnings("ignore")  # by which NumPy would give it away
def test_a_division_by_zero_is_the_error_that_it_is() -> None:
    def function(x: float) -> Any:
        qml.RX(1 / x, wires=0)
        return qml.expval(qml.PauliZ(0))

    electron = on(function)
    xs = [0.5, 0.25, 0.2, 0.1, 0.0]
    with pytest.raises(ZeroDivisionError):
        electron.map(xs)
    for x in xs[:-1]:
        assert float(electron(x)) == pytest.approx(np.cos(1 / x))
    with pytest.raises(ZeroDivisionError):
        electron(0.0)


# --- What is known may stop to hold ---------------------------------------------------

SCALE = 1.0


def scaled(x: float) -> Any:
    qml.RX(SCALE * x, wires=0)
    return qml.expval(qml.PauliZ(0))


def test_a_global_that_is_set_anew_counts_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    electron = on(scaled)
    for _ in range(4):
        assert float(electron(0.3)) == pytest.approx(np.cos(0.3))
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 2.0)
    for _ in range(4):
        assert float(electron(0.3)) == pytest.approx(np.cos(0.6))
        assert float(electron.run_later(0.3).result(DEADLINE_S)) == pytest.approx(
            np.cos(0.6)
        )


def test_a_global_that_is_set_back_counts_for_every_kind_of_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def function(x: float, *, n: int = 1) -> Any:
        for _ in range(n):
            qml.RX(SCALE * x, wires=0)
        return qml.expval(qml.PauliZ(0))

    electron, here = on(function), sys.modules[__name__]

    def check(scale: float, n: int) -> None:
        monkeypatch.setattr(here, "SCALE", scale)
        for _ in range(3):
            expected = np.cos(scale * n * 0.3)
            assert float(electron(0.3, n=n)) == pytest.approx(expected)
            assert electron.map([0.3] * 5, n=n) == pytest.approx([expected] * 5)

    for scale, n in ((1.0, 1), (2.0, 2), (1.0, 2), (2.0, 1), (1.0, 1)):
        check(scale, n)


def test_defaults_that_are_set_anew_count_from_then_on() -> None:
    def function(x: float, y: float = 0.0) -> Any:
        qml.RX(x + y, wires=0)
        return qml.expval(qml.PauliZ(0))

    electron = on(function)
    for y in (0.0, 0.5):
        function.__defaults__ = (y,)
        for _ in range(4):
            assert float(electron(0.3)) == pytest.approx(np.cos(0.3 + y))


def test_a_number_that_is_an_array_may_be_changed_in_place() -> None:
    def function(x: Any, d: float) -> Any:
        x += d
        qml.RX(x, wires=0)
        return qml.expval(qml.PauliZ(0))

    electron, x = on(function), np.array(0.0)
    found = [float(electron(x, d)) for d in (0.0, 0.0, 0.0, 0.5, 0.5)]
    assert found == pytest.approx(np.cos([0.0, 0.0, 0.0, 0.5, 1.0]))
    assert x == 1.0


def test_a_transform_may_change_operators() -> None:
    @qml.transform
    def doubled(circuit: Any) -> Any:
        for op in circuit.operations:
            op.data = tuple(2 * value for value in op.data)
        return [circuit], lambda results: results[0]

    def function(x: float) -> Any:
        qml.RX(x, wires=0)
        qml.RX(0.1, wires=0)
        return qml.expval(qml.PauliZ(0))

    electron = doubled(on(function))
    expected = [np.cos(2 * (x + 0.1)) for x in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert np.allclose(electron.map([0.1, 0.2, 0.3, 0.4, 0.5]), expected)
    later = [electron.run_later(x) for x in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert np.allclose(ct.gather(later), expected)


def test_large_angles_are_computed_one_by_one() -> None:
    def function(x: float) -> Any:
        qml.RX(1e9 * x**3.3, wires=0)
        return qml.expval(qml.PauliZ(0))

    xs = [0.1 * n for n in range(1, 30)]
    bare = qml.QNode(function, qml.device("default.qubit", wires=4))
    same(on(function).map(xs), [bare(x) for x in xs])


def test_keys_of_dictionaries_are_what_they_are() -> None:
    def function(table: Any) -> Any:
        for number, angle in table.items():
            for _ in range(number):
                qml.RX(angle, wires=0)
        return qml.expval(qml.PauliZ(0))

    electron = on(function)
    for _ in range(4):
        electron({2: 0.3})
    with pytest.raises(TypeError):
        electron({2.0: 0.3})


def test_a_closure_that_is_set_anew_counts_from_then_on() -> None:
    scale = 1.0

    def function(x: float) -> Any:
        qml.RX(scale * x, wires=0)
        return qml.expval(qml.PauliZ(0))

    def call(value: float) -> float:
        nonlocal scale
        scale = value
        return float(electron(0.3))

    electron = on(function)
    found = [call(value) for value in (1.0, 1.0, 1.0, 2.0, 3.0)]
    assert found == pytest.approx(np.cos([0.3, 0.3, 0.3, 0.6, 0.9]))


def test_a_list_that_is_filled_anew_counts_from_then_on() -> None:
    table = [0.1, 0.2]

    def function(x: float) -> Any:
        for value in table:
            qml.RX(value * x, wires=0)
        return qml.expval(qml.PauliZ(0))

    electron = on(function)
    before = [float(electron(1.0)) for _ in range(4)] + electron.map([1.0] * 6)
    table[0] += 1.0
    after = [float(electron(1.0)) for _ in range(4)] + electron.map([1.0] * 6)
    assert before == pytest.approx([np.cos(0.3)] * 10)
    assert after == pytest.approx([np.cos(1.3)] * 10)


def test_shots_and_settings_are_those_of_the_call() -> None:
    electron = on(single)
    for _ in range(4):
        electron(0.3)
    sampled = qml.set_shots(electron, 7)
    future = sampled.run_later(0.3)
    future.result(DEADLINE_S)
    assert future.executions[0].shots == 7
    assert electron.update(diff_method=None)(0.3) == electron(0.3)


def test_calls_of_several_kinds_in_turn_are_each_known() -> None:
    electron = on(branching)
    with calls_of(branching) as entered:
        for _ in range(6):
            assert float(electron(0.3)) == pytest.approx(np.cos(0.3))
            assert float(electron(0.3, twice=True)) == pytest.approx(np.cos(0.6))
    assert len(entered) == 6, "three of each"


def test_a_qelectron_travels_without_what_it_knows() -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    electron = on(single)
    values = [electron(0.3) for _ in range(4)]
    copy = cloudpickle.loads(cloudpickle.dumps(electron))
    assert [copy(0.3) for _ in range(4)] == values


# --- What is built --------------------------------------------------------------------

KINDS = [k for k in sorted(PLAIN_OPERATORS, key=str) if k.num_params]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
@settings(max_examples=10, deadline=None)
@given(numbers=st.lists(REAL | st.sampled_from([0.0, -0.0, np.pi]), min_size=3))
def test_every_operator_is_built_with_the_numbers_of_the_call(
    kind: Any, numbers: list[float]
) -> None:
    def function(a: float, b: float, c: float) -> Any:
        angles = (a, b, c)
        kind(*angles[: kind.num_params], wires=range(kind.num_wires or 3))
        return qml.probs(wires=[0, 1])

    def call(function: Any, symbols: Any) -> Any:
        return function(*symbols)

    blueprint = trace_function(function, (0.1, 0.2, 0.3), call)
    (expected,) = qml.tape.make_qscript(function)(*numbers[:3]).operations
    (found,) = blueprint.bind(numbers[:3]).operations
    assert type(found) is type(expected)
    assert (found.wires, found.data) == (expected.wires, expected.data)
    assert np.allclose(found.matrix(), expected.matrix(), rtol=0, atol=0)

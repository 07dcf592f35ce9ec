"""Random graphs of electrons give what the plain function gives."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qelectron_core as ct
from qelectron_dask.workflow.fingerprints import fingerprints
from qelectron_dask.workflow.functions import function_digest
from qelectron_dask.workflow.states import ElectronRun, state_of


@ct.electron
def combine(*parts: Any, **named: Any) -> Any:
    """Return something of all that it gets, in an order that matters."""
    total = 1
    for part in (*parts, *(named[name] for name in sorted(named))):
        total = (31 * total + _number(part)) % 10_007
    return total


def _number(part: Any) -> int:
    if isinstance(part, (list, tuple)):
        total = sum(17**index * _number(one) for index, one in enumerate(part))
        return int(total % 10_007)
    if isinstance(part, dict):
        return sum(_number(one) for one in part.values())
    return int(part)


@ct.electron
def several(x: Any) -> tuple[Any, dict[str, Any], list[Any]]:
    """Return a nested result."""
    return x, {"a": x + 1, "b": [x + 2]}, [x + 3, x + 4]


@ct.electron
def broken(x: Any) -> Any:
    """Fail for one number in three, depending on the number only."""
    if x % 3 == 0:
        raise ArithmeticError(x)
    return x


#: What may be done with one or two earlier values, each wherever values are plain.
MOVES: dict[str, Callable[[Any, Any], Any]] = {
    "combine": lambda a, b: combine(a, b),
    "nested": lambda a, b: combine([a, (b, {"k": a})], last=b),
    "default": lambda a, b: combine(a, y=3),
    "items": lambda a, b: several(a)[1]["b"][0] + several(b)[2][-1],
    "unpacked": lambda a, b: _unpacked(a) - b,
    "arithmetic": lambda a, b: abs(a * 2 - b) % 97 + (a // 3) ** 2 % 11,
    "nothing": lambda a, b: a,
}


def _unpacked(a: Any) -> Any:
    first, second, _ = several(a)
    return first + second["a"]


@st.composite
def programs(draw: Any) -> list[tuple[str, int, int]]:
    """Return moves, each with the places of the values that it takes."""
    count = draw(st.integers(1, 14))
    return [
        (
            draw(st.sampled_from(sorted(MOVES))),
            draw(st.integers(0, place)),
            draw(st.integers(0, place)),
        )
        for place in range(count)
    ]


def lattice_of(program: list[tuple[str, int, int]]) -> Any:
    def workflow(x: int) -> Any:
        values: list[Any] = [x]
        for move, left, right in program:
            values.append(MOVES[move](values[left], values[right]))
        return {"all": values, "last": (values[-1],)}

    return ct.lattice(workflow)


@settings(max_examples=60, deadline=None)
@given(program=programs(), x=st.integers(0, 50))
def test_a_random_graph_gives_what_the_plain_function_gives(
    program: list[tuple[str, int, int]], x: int
) -> None:
    workflow = lattice_of(program)
    dispatch_id = ct.dispatch(workflow)(x)
    result = ct.get_result(dispatch_id, wait=True, timeout=60)
    assert result.result == workflow(x)
    again = ct.get_result(ct.redispatch(dispatch_id)(), wait=True, timeout=60)
    assert again.result == workflow(x)
    assert all(one.reused for one in again.electrons)


@settings(max_examples=60, deadline=None)
@given(
    parents=st.lists(st.lists(st.integers(0, 30), max_size=3), min_size=1, max_size=15),
    x=st.integers(1, 9),
)
def test_what_depends_on_a_failure_is_skipped_and_nothing_else(
    parents: list[list[int]], x: int
) -> None:
    def workflow(x: int) -> Any:
        values: list[Any] = []
        for place, chosen in enumerate(parents):
            own = [values[one % place] for one in chosen] if place else []
            values.append(broken(combine(x, place, *own)))
        return values

    expected: list[str] = []
    plain: list[Any] = []
    for place, chosen in enumerate(parents):
        own = [one % place for one in chosen] if place else []
        if any(plain[one] is None for one in own):
            expected += ["skipped", "skipped"]
            plain.append(None)
            continue
        number = combine(x, place, *(plain[one] for one in own))
        expected += ["completed", "completed" if number % 3 else "failed"]
        plain.append(number if number % 3 else None)
    dispatch_id = ct.dispatch(ct.lattice(workflow))(x)
    result = ct.get_result(dispatch_id, wait=True, timeout=60)
    assert [one.state for one in result.electrons] == expected
    assert result.status == ("failed" if "failed" in expected else "completed")


@settings(max_examples=40, deadline=None)
@given(program=programs(), x=st.integers(0, 50), y=st.integers(0, 50))
def test_electrons_have_equal_fingerprints_when_they_are_equal(
    program: list[tuple[str, int, int]], x: int, y: int
) -> None:
    one = fingerprints(lattice_of(program).build(x))
    same = fingerprints(lattice_of(program).build(x))
    other = fingerprints(lattice_of(program).build(y))
    assert one == same
    assert len(set(one)) == len(one)
    assert (x == y) == (one == other) or not one


def test_arrays_and_defaults_are_part_of_the_fingerprint() -> None:
    def of(function: Any, *args: Any) -> list[str]:
        return fingerprints(ct.lattice(lambda *given: function(*given)).build(*args))

    def with_default(number: int) -> Any:
        return ct.electron(lambda x, y=number: x + y)

    def with_factor(number: int) -> Any:
        return ct.electron(lambda x: number * x)

    assert of(combine, np.arange(3)) != of(combine, np.arange(4))
    assert of(combine, np.arange(3)) == of(combine, np.arange(3))
    assert of(with_default(1), 1) != of(with_default(2), 1)
    assert of(with_factor(1), 1) != of(with_factor(2), 1)
    assert of(with_factor(2), 1) == of(with_factor(2), 1)


@given(states=st.lists(st.sampled_from(["completed", "failed", "skipped", "running"])))
def test_the_state_of_a_dispatch_follows_from_its_electrons(states: list[Any]) -> None:
    runs = [
        attrs.evolve(ElectronRun(n, "x"), state=state) for n, state in enumerate(states)
    ]
    expected = (
        "running"
        if "running" in states
        else "failed"
        if "failed" in states
        else "cancelled"
        if "skipped" in states
        else "completed"
    )
    assert state_of(runs) == expected
    assert state_of(runs, alive=False) == (
        "lost" if expected == "running" else expected
    )


# --- Which functions are the same -----------------------------------------------------


def made(source: str, **given: Any) -> Any:
    """Return the function `f` of a module of its own."""
    module = {"__name__": "a_module", "functools": functools, **given}
    exec(source, module)
    return module["f"]


class Model:
    """Something that functions are bound to."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def scaled(self, x: int) -> int:
        return self.factor * x

    def __call__(self, x: int) -> int:
        return self.factor * x


def wrapped(function: Any) -> Any:
    """Wrap a function of another module."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


_TRIED = "def f(a, b):\n try:\n  a()\n"
_CLASS = "class C:\n def g(self, x): return x + {}\ndef f(x): return C().g(x)"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (functools.partial(max, 2), functools.partial(max, 3)),
        (Model(2).scaled, Model(3).scaled),
        (Model(2), Model(3)),
        (made("def f(*a): return a"), made("def f(**a): return a")),
        (
            made(f"{_TRIED}  b()\n except ValueError:\n  return 1"),
            made(f"{_TRIED} except ValueError:\n  return 1\n else:\n  b()"),
        ),
        (
            made("@functools.lru_cache\ndef f(x): return x + 1"),
            made("@functools.lru_cache\ndef f(x): return x + 2"),
        ),
        (
            made("@wrapped\ndef f(x): return x + 1", wrapped=wrapped),
            made("@wrapped\ndef f(x): return x + 2", wrapped=wrapped),
        ),
        (made(_CLASS.format(1)), made(_CLASS.format(2))),
        (
            made("def g(): return 1\nD = {'a': g}\ndef f(x): return D['a']()"),
            made("def g(): return 2\nD = {'a': g}\ndef f(x): return D['a']()"),
        ),
        (
            made("def f(x): return turn(x)", turn=functools.partial(max, 2)),
            made("def f(x): return turn(x)", turn=functools.partial(max, 3)),
        ),
    ],
)
def test_functions_that_do_something_else_have_other_digests(
    one: Any, other: Any
) -> None:
    assert function_digest(one) == function_digest(one)
    assert function_digest(one) != function_digest(other)


def test_shots_of_a_circuit_that_an_electron_calls_are_part_of_it() -> None:
    @ct.qelectron(executors=ct.executor.FakeCloud())
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    def digest(turn: Any) -> str:
        return function_digest(made("def f(x): return turn(x)", turn=turn))

    assert digest(circuit) == digest(circuit)
    assert digest(circuit) != digest(qml.set_shots(circuit, 100))


def test_helpers_that_call_all_others_are_looked_into_once() -> None:
    n = 40  # ways through them: 2 ** 38
    calls = [" + ".join(f"g{j}(x)" for j in range(i + 1, n)) for i in range(n)]
    source = "\n".join(
        f"def g{i}(x): return {all_ or 'x'}" for i, all_ in enumerate(calls)
    )
    assert function_digest(made(f"{source}\ndef f(x): return g0(x)"))

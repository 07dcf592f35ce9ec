"""The rules of selectors."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import attrs

from qelectron_core.cluster import Member, QCluster
from qelectron_core.events import Execution
from qelectron_core.registry import Kind
from qelectron_core.testing.conformance.circuits import any_circuits
from qelectron_core.testing.conformance.compare import difference
from qelectron_core.testing.conformance.doubles import (
    Fixed,
    execution,
    rich_execution,
)
from qelectron_core.testing.conformance.kit import Kit
from qelectron_core.testing.conformance.rules import (
    RuleBroken,
    calling,
    declared,
    require,
    rule,
)
from qelectron_core.testing.conformance.threads import together

_SINGLE: Final[tuple[Member, ...]] = tuple(Fixed(float(n)) for n in range(5))
_NESTED: Final[tuple[Member, ...]] = (
    QCluster(_SINGLE[:2]),
    QCluster([QCluster(_SINGLE[2:3])]),
)
_THREADS: Final = 8


class SelectorConformance(Kit):
    """The rules of selectors; `make` returns one, as a QElectron would have it.

    Attributes:
        executors: Every executor and cluster that the rules offer, for selectors
            that must know them beforehand.

    Example:
        >>> class TestFirst(SelectorConformance):
        ...     def make(self):
        ...         return lambda circuit, executors: executors[0]
    """

    kind: ClassVar[Kind] = "selector"
    executors: ClassVar[tuple[Member, ...]] = _SINGLE + _NESTED

    @rule
    def test_s01_returns_one_of_the_executors(self) -> None:
        """It returns one of the executors that it was given: that very object."""
        selector = self._selector()
        for count in range(2, len(_SINGLE) + 1):
            for circuit in any_circuits():
                _choose(selector, circuit, _first(count))

    @rule
    def test_s02_works_with_one_executor(self) -> None:
        """Given one executor, it returns that one."""
        selector = self._selector()
        for circuit in any_circuits():
            _choose(selector, circuit, _first(1))

    @rule
    def test_s03_takes_clusters_as_members(self) -> None:
        """A member may itself be a cluster, and is returned as it is."""
        selector = self._selector()
        nested = [_NESTED[0], _SINGLE[4], _NESTED[1]]
        for circuit in any_circuits():
            _choose(selector, circuit, nested)
            _choose(selector, circuit, nested[:1])

    @rule
    def test_s04_takes_equal_executors(self) -> None:
        """Executors of a cluster may be equal; it returns one of them."""
        selector = self._selector()
        alike = [Fixed(1.0), Fixed(1.0), Fixed(2.0)]  # two objects, one value
        for circuit in any_circuits():
            _choose(selector, circuit, alike)

    @rule
    def test_s05_follows_a_list_that_changes(self) -> None:
        """The executors may be others than before: those that fail are left out."""
        selector, every = self._selector(), list(_SINGLE)
        lists = [every, every[:2], every[3:], every[1:2], every, every[::-1], every[:1]]
        for circuit in any_circuits():
            for offered in lists:
                _choose(selector, circuit, offered)

    @rule
    def test_s06_is_safe_from_threads(self) -> None:
        """It may be called from several threads at once, with different executors."""
        selector, circuits = self._selector(), any_circuits()[:4]

        def choose(thread: int) -> None:
            offered = _first(1 + thread % len(_SINGLE))
            for _ in range(50):
                for circuit in circuits:
                    _choose(selector, circuit, offered)

        together(_THREADS, choose)

    @rule
    def test_s07_goes_on_after_pickling(self) -> None:
        """Pickled and unpickled in the middle of its work, it goes on."""
        selector, circuit = self._selector(), any_circuits()[0]
        _choose(selector, circuit, _first(3))
        with calling("pickle.dumps and pickle.loads of the selector", _PICKLE_HINT):
            restored = pickle.loads(pickle.dumps(selector))
        for count in (3, 2, 1):
            _choose(restored, circuit, _first(count))
        with calling("learn() of the restored selector"):
            _learn(restored, circuit, execution(Fixed()))

    @rule
    def test_s08_changes_nothing(self) -> None:
        """It changes neither the circuit nor the list of executors."""
        selector, offered = self._selector(), _first(3)
        for circuit in any_circuits():
            before, given = pickle.loads(pickle.dumps(circuit)), list(offered)
            with calling("the selector, given 3 executors"):
                selector(circuit, given)
            found = difference(before, circuit, "the circuit")
            if found is not None:
                raise RuleBroken(found.expected, found.seen)
            same = len(given) == len(offered) and all(map(_is, given, offered))
            require(same, expected=f"the list to stay {offered}", seen=given)

    @rule
    def test_s09_learns_from_every_outcome(self) -> None:
        """Where it has `learn`, that takes every outcome, and any executor."""
        selector, circuits = self._selector(), any_circuits()
        declared("learn", hasattr(selector, "learn"))
        offered = _first(3)
        for record in _records(offered):
            for circuit in circuits[:3]:
                with calling(f"learn() of {record}"):
                    _learn(selector, circuit, record)
                _choose(selector, circuit, offered)

    @rule
    def test_s10_learns_from_threads(self) -> None:
        """Where it has `learn`, threads may call that while others choose."""
        selector, circuit = self._selector(), any_circuits()[0]
        declared("learn", hasattr(selector, "learn"))
        offered = list(_SINGLE)

        def choose_and_learn(thread: int) -> None:
            for _ in range(100):
                chosen = _choose(
                    selector, circuit, offered[: 1 + thread % len(_SINGLE)]
                )
                with calling("learn() from 8 threads at once"):
                    _learn(selector, circuit, execution(chosen))

        together(_THREADS, choose_and_learn)

    @rule
    def test_s11_is_deterministic(self) -> None:
        """Where it declares `deterministic`, another one chooses the same."""
        declared("deterministic", getattr(self._selector(), "deterministic", False))
        offered, circuits = list(_SINGLE), any_circuits() * 3
        first, second = (
            [_choose(selector, circuit, offered) for circuit in circuits]
            for selector in (self._selector(), self._selector())
        )
        differing = [
            n
            for n, pair in enumerate(zip(first, second, strict=True))
            if not _is(*pair)
        ]
        require(
            not differing,
            expected="two new selectors to choose the same for the same circuits",
            seen=f"they differ from circuit {differing[:1]} on",
            hint="Leave deterministic=False if chance or the past decides.",
        )

    @rule
    def test_s12_is_registered_by_name(self) -> None:
        """Registering it imports neither its module nor PennyLane."""
        self.require_light_registration()

    def _selector(self) -> Any:
        made = self.make()
        return made() if inspect.isclass(made) else made


def _first(count: int) -> list[Member]:
    return list(_SINGLE[:count])


_PICKLE_HINT: Final = (
    "A QElectron is pickled with its selector. Leave locks out in __getstate__."
)


def _choose(
    selector: Callable[[Any, Sequence[Any]], Any], circuit: Any, offered: Sequence[Any]
) -> Any:
    with calling(f"the selector, given {len(offered)} executors"):
        chosen = selector(circuit, offered)
    require(
        any(chosen is member for member in offered),
        expected=f"one of the {len(offered)} executors that it was given: {offered}",
        seen=_described(chosen, offered),
        hint="Return an element of the list: not a copy, not one of an earlier list.",
    )
    return chosen


def _described(chosen: Any, offered: Sequence[Any]) -> str:
    return f"a copy: {chosen!r}" if chosen in offered else repr(chosen)


def _learn(selector: Any, circuit: Any, record: Execution) -> None:
    if hasattr(selector, "learn"):
        selector.learn(circuit, record)


def _records(offered: Sequence[Any]) -> list[Execution]:
    """Return a record per way to end, of members and of others."""
    records = []
    for executor in (*offered, Fixed(99.0)):
        done = execution(executor)
        records += [
            done,
            attrs.evolve(rich_execution(), executor=executor),
            attrs.evolve(done, error="CancelledError", job_id="", job_size=0),
            attrs.evolve(done, finished_at=done.started_at),
        ]
    return records


def _is(first: object, second: object) -> bool:
    return first is second

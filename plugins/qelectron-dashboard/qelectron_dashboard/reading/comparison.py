"""Two calls beside each other: what is other, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

import attrs
import numpy as np

from qelectron_core.store import Entry, Run, Store
from qelectron_dashboard.reading.call import Circuit, Reading, Seen
from qelectron_dashboard.reading.outcomes import (
    Bars,
    Outcome,
    bars_of,
    line,
    named,
    ordered,
)
from qelectron_sqlite.cli.show import by_circuit
from qelectron_sqlite.cli.texts import dollars, short
from qelectron_sqlite.cli.times import date, span

#: Facts that always differ, so that it says nothing if they do.
_ALWAYS: Final = ("when", "process")
_FACTS: Final = ("executors", "circuits", "shots", "time", "cost", "process")

_LONGEST: Final = 1_000
_LONGEST_NAME: Final = 80


@attrs.frozen
class Fact:
    """What is known of both calls.

    Attributes:
        name: Its name.
        one: That of the first call.
        other: That of the second one.
        differs: Whether they differ, in what says something.
        by: By how much, if that can be told.
    """

    name: str
    one: str
    other: str
    differs: bool
    by: str = ""


@attrs.frozen
class Results:
    """What one measurement gave in both calls.

    Attributes:
        one: Of the first call, or `None`.
        other: Of the second one, or `None`.
        shares: If both counted outcomes, the share of each in both.
        by: How far they are apart; empty if that cannot be told.
    """

    one: Outcome | None
    other: Outcome | None
    shares: tuple[Bars, Bars] | None = None
    by: str = ""


@attrs.frozen
class Pair:
    """The circuit of both calls that is looked at.

    Attributes:
        index: Its position.
        one: That of the first call, or `None`.
        other: That of the second one, or `None`.
        results: What they gave, by measurement.
    """

    index: int
    one: Circuit | None
    other: Circuit | None
    results: tuple[Results, ...]


@attrs.frozen(eq=False)
class Compared:
    """Two calls, as their page shows them.

    Attributes:
        one: The first call.
        other: The second one.
        facts: What is known of both.
        rows: A row of the table for each circuit.
        pair: The circuit that is looked at, or `None` if none has begun.
    """

    one: Run
    other: Run
    facts: Sequence[Fact]
    rows: Sequence[Mapping[str, Any]]
    pair: Pair | None


class Comparing:
    """Reads two calls again and again; those that are over are read once.

    Args:
        store: Where they are.
        one: Id of the first call.
        other: Id of the second one.
        chosen: Index of the circuit that is looked at.
    """

    def __init__(self, store: Store, one: str, other: str, chosen: int = 0) -> None:
        self._both = Reading(store, one, chosen), Reading(store, other, chosen)
        self._rows: tuple[Any, Any, Sequence[Mapping[str, Any]]] = None, None, ()

    @property
    def chosen(self) -> int:
        """Index of the circuit that is looked at."""
        return self._both[0].chosen

    @chosen.setter
    def chosen(self, index: int) -> None:
        for reading in self._both:
            reading.chosen = index

    def read(self) -> Compared | None:
        """Return both calls, or `None` if one of them is unknown."""
        one, other = (reading.read() for reading in self._both)
        if one is None or other is None:
            return None
        return Compared(
            one=one.run,
            other=other.run,
            facts=[*facts(one, other)],
            rows=self._compared(one.run, other.run),
            pair=_pair(one, other, self.chosen),
        )

    def _compared(self, one: Run, other: Run) -> Sequence[Mapping[str, Any]]:
        if self._rows[:2] != (one, other):
            self._rows = one, other, rows(one, other)
        return self._rows[2]


def facts(one: Seen, other: Seen) -> Iterator[Fact]:
    """Yield what is known of both calls, and which of it differs."""
    yield _fact("name", one.run.call.name, other.run.call.name)
    yield _fact("state", one.run.state, other.run.state)
    by = {
        "time": _by(one.run.duration_s, other.run.duration_s, span),
        "cost": _by(one.run.cost_usd, other.run.cost_usd, dollars),
        "shots": _by(one.run.shots, other.run.shots, "{:,}".format),
    }
    # Without how long ago, which is other all the time.
    yield _fact("when", date(one.run.call.at), date(other.run.call.at))
    for name in _FACTS:
        yield _fact(name, one.facts[name], other.facts[name], by.get(name, ""))
    versions = one.run.call.versions, other.run.call.versions
    for name in sorted({*versions[0], *versions[1]}):
        yield _fact(name, *(str(one.get(name, "")) for one in versions))


def rows(one: Run, other: Run) -> list[dict[str, Any]]:
    """Return a row for each circuit that one of the calls has."""
    first, second = _last(one), _last(other)
    pairs = {index: (first.get(index), second.get(index)) for index in first | second}
    return [_row(index, *pairs[index]) for index in sorted(pairs)]


def distance(kind: str, one: Any, other: Any) -> float | None:
    """Return how far two results are apart, or `None` if that cannot be told.

    Of counts, samples and probabilities, the share that came out otherwise (the total
    variation distance); of numbers, the largest difference of two of them.

    Args:
        kind: The class of the measurement; empty if it is not known.
        one: The one result.
        other: The other one.
    """
    shares = _shares(bars_of(kind, one)[1]), _shares(bars_of(kind, other)[1])
    if any(shares):
        return _apart(*shares) if all(shares) else None
    return _largest(one, other)


def _row(index: int, one: Entry | None, other: Entry | None) -> dict[str, Any]:
    return {
        "id": str(index),
        "index": index,
        "one": None if one is None else one.state,
        "result_one": None if one is None else line(one.value),
        "other": None if other is None else other.state,
        "result_other": None if other is None else line(other.value),
        "difference": _between(one, other),
    }


def _between(one: Entry | None, other: Entry | None) -> float | None:
    """Return the largest distance of what two circuits gave, by measurement."""
    if one is None or other is None or one.value is None or other.value is None:
        return None
    circuit: Any = one.circuit or other.circuit
    parts = [[*named(entry.value, circuit)] for entry in (one, other)]
    found = [
        distance(kind, left, right)
        for (_, kind, left), (_, _, right) in zip(*parts, strict=False)
    ]
    known = [far for far in found if far is not None]
    is_whole = len(parts[0]) == len(parts[1]) and len(known) == len(found)
    return max(known, default=None) if is_whole else None


def _largest(one: Any, other: Any) -> float | None:
    numbers = (int, float, complex, np.ndarray, np.number)
    if not isinstance(one, numbers) or not isinstance(other, numbers):
        return None
    left, right = np.asarray(one), np.asarray(other)
    is_number = left.dtype.kind in "iufcb" and right.dtype.kind in "iufcb"
    if left.shape != right.shape or not left.size or not is_number:
        return None
    largest = float(np.max(np.abs(left.astype(complex) - right.astype(complex))))
    return largest if np.isfinite(largest) else None


def _shares(counts: Mapping[str, float]) -> dict[str, float]:
    total = sum(counts.values())
    return {key: number / total for key, number in counts.items()} if total else {}


def _apart(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    return sum(abs(one.get(key, 0) - other.get(key, 0)) for key in {*one, *other}) / 2


def _pair(one: Seen, other: Seen, chosen: int) -> Pair | None:
    circuits = [seen.circuit for seen in (one, other) if seen.circuit is not None]
    indices = [circuit.index for circuit in circuits]
    if not indices:
        return None
    index = chosen if chosen in indices else min(indices)
    left, right = (
        seen.circuit if seen.circuit and seen.circuit.index == index else None
        for seen in (one, other)
    )
    return Pair(index, left, right, tuple(_results(left, right)))


def _results(one: Circuit | None, other: Circuit | None) -> Iterator[Results]:
    sides = [() if side is None else side.outcomes for side in (one, other)]
    for first, second in zip_longest(*sides):
        yield _result(first, second)


def _result(one: Outcome | None, other: Outcome | None) -> Results:
    if one is None or other is None:
        return Results(one, other)
    far = distance(one.kind, one.value, other.value)
    if one.bars and other.bars and far is not None:
        shares = [_shares(bars_of(side.kind, side.value)[1]) for side in (one, other)]
        bars = tuple(ordered(side)[0] for side in shares)
        by = f"{100 * far:.3g} % came out otherwise"
        return Results(one, other, (bars[0], bars[1]), by)
    return Results(one, other, by="" if far is None else f"{far:.6g}")


def _fact(name: str, one: str, other: str, by: str = "") -> Fact:
    differs = one != other and name not in _ALWAYS
    told = short(one, _LONGEST), short(other, _LONGEST)
    return Fact(short(name, _LONGEST_NAME), *told, differs, by)


def _by(one: float | None, other: float | None, told: Callable[[float], str]) -> str:
    """Return by how much a number is larger or smaller in the second call."""
    if one is None or other is None or one == other:
        return ""
    return f"{'+' if other > one else '−'}{told(abs(other - one))}"


def _last(run: Run) -> dict[int, Entry]:
    return {index: lines[-1] for index, lines in by_circuit(run.entries).items()}

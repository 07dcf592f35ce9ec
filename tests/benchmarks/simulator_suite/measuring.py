"""Measuring a contender against the bare QNode, pair by pair."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import attrs
import numpy as np

from simulator_suite.circuits import Case, agree
from simulator_suite.contenders import CONTENDERS, Many

#: Fewest pairs of a row, and how many times more there are where each is one call.
MIN_PAIRS, SINGLE = 3, 20
#: A number of circuits may shrink to this part of itself before the row is left out.
SMALLEST_PART = 0.5
#: Most circuits, and most seconds, that both sides run to get warm and to be checked.
CHECKED, CHECKED_S = 20, 1.0
FAILED = "failed"
#: One for the whole suite, so that no two calls have the same parameters.
_RNG = np.random.default_rng(0)


@attrs.frozen
class Pace:
    """How long a row may take.

    Attributes:
        seconds: No pair of a row starts later, beyond the fewest; no run takes more
            than twice as long, by the estimate.
        pairs: Most pairs of a row.
    """

    seconds: float
    pairs: int

    def circuits(self, wanted: int, per_circuit_s: float) -> int:
        """Return how many circuits to run; 0 if too few would fit."""
        fitting = int(2 * self.seconds / per_circuit_s)
        if wanted == 1 or fitting >= wanted:  # a single call is always measured
            return wanted
        return fitting if fitting >= SMALLEST_PART * wanted else 0


@attrs.frozen
class Row:
    """What is to be measured.

    Attributes:
        group: Part of the suite that the row belongs to.
        case: The circuit.
        contender: Key of `CONTENDERS`.
        wanted: Circuits to run.
    """

    group: str
    case: Case
    contender: str
    wanted: int

    def __str__(self) -> str:
        """Name the row, as `--only` selects it."""
        return f"{self.group}: {self.case}: {self.contender} of {self.wanted:,}"


@attrs.frozen
class Measured:
    """What both sides of a row took, pair by pair.

    Attributes:
        row: What was to be measured.
        circuits: Circuits that each run had.
        bare_s: Seconds of the bare QNode.
        other_s: Seconds of the contender.
        left_out: Why nothing was measured; empty if it was.
    """

    row: Row
    circuits: int = 0
    bare_s: list[float] = attrs.field(factory=list)
    other_s: list[float] = attrs.field(factory=list)
    left_out: str = ""

    @property
    def has_failed(self) -> bool:
        """Whether the contender raised, or returned something else."""
        return self.left_out.startswith(FAILED)

    @property
    def ratios(self) -> list[float]:
        """How many times faster the contender was in each pair."""
        return [a / b for a, b in zip(self.bare_s, self.other_s, strict=True)]

    @property
    def faster(self) -> float:
        """How many times faster the contender was, at the median."""
        return statistics.median(self.ratios)


Fresh = Callable[[int], list[Any]]


def seconds(function: Many, arguments: Sequence[Any]) -> float:
    """Return how long a function takes."""
    start = time.perf_counter()
    function(arguments)
    return time.perf_counter() - start


def measure(row: Row, pace: Pace) -> Measured:
    """Measure a row, or say why it is left out."""
    contender = CONTENDERS[row.contender]
    if missing := contender.missing():
        return Measured(row, left_out=f"not installed: {', '.join(missing)}")
    bare, fresh = contender.bare(row.case), partial(_fresh, row.case)
    per_circuit_s = estimate(bare, fresh)
    circuits = pace.circuits(row.wanted, per_circuit_s)
    if not circuits:
        loop_s = row.wanted * per_circuit_s
        return Measured(row, left_out=f"for time: a bare loop of about {loop_s:.0f} s")
    enough = max(1, min(circuits, CHECKED, int(CHECKED_S / per_circuit_s)))
    try:
        with contender.open(row.case) as many:
            check(row.case, (bare, many), fresh(enough))
            gc.collect()
            runs = list(pairs((bare, many), partial(fresh, circuits), pace))
    except Exception as error:  # an hour of figures must not be lost for one row
        return Measured(row, left_out=f"{FAILED}: {type(error).__name__}: {error}")
    return Measured(row, circuits, [a for a, _ in runs], [b for _, b in runs])


def _fresh(case: Case, number: int) -> list[Any]:
    return case.arguments(number, _RNG)


def estimate(bare: Many, fresh: Fresh) -> float:
    """Return the seconds of a warm call of the bare QNode, the best of a few."""
    bare(fresh(1))
    started, taken = time.perf_counter(), list[float]()
    while len(taken) < MIN_PAIRS and time.perf_counter() - started < CHECKED_S:
        taken.append(seconds(bare, fresh(1)))
    return min(taken)


def check(case: Case, sides: tuple[Many, Many], arguments: list[Any]) -> None:
    """Run both sides once, which also makes them warm.

    Raises:
        ValueError: If their results are not equal.
    """
    if not agree(case, *(side(arguments) for side in sides)):
        message = f"results of {case} are not those of the bare QNode."
        raise ValueError(message)


def pairs(
    sides: tuple[Many, Many], fresh: Callable[[], list[Any]], pace: Pace
) -> Iterator[tuple[float, float]]:
    """Run both sides in turn, always with new parameters, until time is up."""
    started = time.perf_counter()
    most = pace.pairs * (SINGLE if len(fresh()) == 1 else 1)
    for number in range(most):
        if number >= MIN_PAIRS and time.perf_counter() - started > pace.seconds:
            return
        bare_s = seconds(sides[0], fresh())
        yield bare_s, seconds(sides[1], fresh())

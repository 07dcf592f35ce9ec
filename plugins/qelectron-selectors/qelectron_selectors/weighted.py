"""The selector that gives each executor its share."""

from __future__ import annotations

import math
import numbers
import threading
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar, Final

import qelectron_core as ct

#: Lists of executors whose turns are remembered: failover leaves some out at times.
REMEMBERED: Final = 64


class Weighted:
    """Give each executor a share of the circuits, in proportion to its weight.

    Nothing is left to chance. At any time, each executor has had its share of the
    circuits so far, rounded up or down, and its turns are spread evenly: weights 3
    and 1 give `a a b a`. Where failover leaves executors out, the others share in
    proportion to theirs. An executor of weight 0 runs only what no other may.

    Safe from any number of threads. A copy or unpickled instance goes on where
    the original stood.

    Example:
        >>> import qelectron_core as ct
        >>> large, small = ct.executor.Echo(value=1.0), ct.executor.Echo(value=2.0)
        >>> selector = Weighted({large: 3, small: 1})
        >>> [selector(None, [large, small]).value for _ in range(4)]
        [1.0, 1.0, 2.0, 1.0]
    """

    #: Another one of equal weights chooses the same; the conformance kit tests it.
    deterministic: ClassVar[bool] = True

    def __init__(self, weights: Mapping[Any, float] | None = None) -> None:
        """Start with nobody having had a circuit.

        Args:
            weights: Per executor of the cluster a number of 0 or more, not all 0.

        Raises:
            ConfigError: If there are none, or one is no such number.
        """
        self._weights = _to_integers(_checked(weights))
        self._turns: dict[tuple[ct.Executor | ct.QCluster, ...], _Turns] = {}
        self._lock = threading.Lock()

    def __call__(
        self, circuit: Any, executors: Sequence[ct.Executor | ct.QCluster]
    ) -> ct.Executor | ct.QCluster:
        """Return the executor whose turn it is.

        Raises:
            ConfigError: If one of the executors has no weight.
        """
        del circuit
        with self._lock:
            return executors[self._turns_of(tuple(executors)).take()]

    def __repr__(self) -> str:
        """Show the weights, in lowest terms."""
        return f"{type(self).__name__}({self._weights!r})"

    def __getstate__(self) -> tuple[Any, ...]:
        """Keep weights and turns; locks do not travel."""
        with self._lock:
            turns = {offered: turns.copy() for offered, turns in self._turns.items()}
        return self._weights, turns

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Go on with the turns."""
        self._weights, self._turns = state
        self._lock = threading.Lock()

    def _turns_of(self, offered: tuple[ct.Executor | ct.QCluster, ...]) -> _Turns:
        turns = self._turns.pop(offered, None) or self._new_turns(offered)
        self._turns[offered] = turns  # now the last, so the first is the longest unused
        if len(self._turns) > REMEMBERED:
            del self._turns[next(iter(self._turns))]
        return turns

    def _new_turns(self, offered: tuple[ct.Executor | ct.QCluster, ...]) -> _Turns:
        missing = [member for member in offered if member not in self._weights]
        if missing:
            raise ct.ConfigError(_no_weight(missing[0], self._weights))
        # An executor that is listed twice is one executor, with one share.
        return _Turns(
            [
                0 if member in offered[:place] else self._weights[member]
                for place, member in enumerate(offered)
            ]
        )


class _Turns:
    """Who is next of one list of executors, in whole numbers, so without rounding.

    Each circuit adds to the credit of an executor its weight, and one that gets it
    pays the sum of the weights. Only those in credit may be next, so that none gets
    ahead of its share, and of them the one that would first fall behind. This keeps
    both bounds, as in R. Tijdeman, "The chairman assignment problem", Discrete
    Mathematics 32 (1980) 323-330.
    """

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = weights if any(weights) else [1] * len(weights)
        self._total = sum(self._weights)
        self._credits = [0] * len(weights)

    def take(self) -> int:
        """Return the place of the next one."""
        self._credits = [
            c + w for c, w in zip(self._credits, self._weights, strict=True)
        ]
        in_credit = (place for place, credit in enumerate(self._credits) if credit > 0)
        chosen = min(in_credit, key=self._urgency)
        self._credits[chosen] -= self._total
        return chosen

    def copy(self) -> _Turns:
        """Return turns of its own that go on from here."""
        other = _Turns(self._weights)
        other._credits = self._credits[:]
        return other

    def _urgency(self, place: int) -> tuple[int, int]:
        """Return in how many turns it falls behind, and how far it is from that."""
        short_of = self._total - self._credits[place]
        return -(-short_of // self._weights[place]), short_of


def _checked(weights: Any) -> Mapping[Any, Any]:
    if not isinstance(weights, Mapping) or not weights:
        given = "none" if weights is None else repr(weights)
        message = (
            f"selector 'weighted' needs a weight per executor; it was given {given}. "
            "Write selector=ct.selector.weighted({executor: 3, other: 1}) with an "
            "entry for each executor of the cluster."
        )
        raise ct.ConfigError(message)
    for member, weight in weights.items():
        _check(member, weight)
    if not any(weights.values()):
        message = (
            f"all weights are 0: {dict(weights)!r}. Expected one above 0 at least."
        )
        raise ct.ConfigError(message)
    return weights


def _check(member: Any, weight: Any) -> None:
    if not isinstance(member, (ct.Executor, ct.QCluster)):
        message = (
            f"{member!r} has a weight and is no executor. Expected the executors of "
            "the cluster themselves, not their names."
        )
        raise ct.ConfigError(message)
    is_number = isinstance(weight, numbers.Real) and not isinstance(weight, bool)
    if not (is_number and 0 <= weight < math.inf):
        message = (
            f"{weight!r} is no weight for {member!r}. Expected a number of 0 or more."
        )
        raise ct.ConfigError(message)


def _to_integers(weights: Mapping[Any, Any]) -> dict[Any, int]:
    """Return whole numbers in the same proportion: 0.7 and 0.3 are 7 and 3."""
    exact = {member: Fraction(str(weight)) for member, weight in weights.items()}
    denominator = math.lcm(*(weight.denominator for weight in exact.values()))
    whole = {member: int(weight * denominator) for member, weight in exact.items()}
    divisor = math.gcd(*whole.values())
    return {member: weight // divisor for member, weight in whole.items()}


def _no_weight(member: Any, weights: Mapping[Any, int]) -> str:
    known = ", ".join(map(repr, weights))
    return (
        f"{member!r} has no weight. There are weights for {known}. Add one for each "
        "executor of the cluster; 0 is for one that is to run nothing."
    )

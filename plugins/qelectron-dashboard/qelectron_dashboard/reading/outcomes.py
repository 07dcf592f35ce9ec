"""What circuits gave: as text, and where outcomes were counted as bars."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import numpy as np
from rich.console import Console

from qelectron_sqlite.cli.results import result_lines
from qelectron_sqlite.cli.texts import safe, short

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

#: Outcomes that a table lists, the most frequent ones.
MOST_OUTCOMES: Final = 1000
#: Bits or numbers of samples that are counted; counting more takes long.
MOST_SAMPLED: Final = 1_000_000
#: Results of one circuit that are shown.
_MOST_RESULTS: Final = 64
_MOST_NUMBERS: Final = 4
_LONGEST_NAME: Final = 80
_WIDTH: Final = 100

#: Outcomes and how often, or how probable, each is; the most frequent first.
Bars: TypeAlias = tuple[tuple[str, float], ...]


@attrs.frozen
class Outcome:
    """What one measurement gave.

    Attributes:
        name: What was measured; empty if it is not known.
        text: The numbers as text; empty if bars tell them.
        counted: What bars tell: `"counts"` or `"probabilities"`.
        bars: Outcomes, if they were counted or are probable; see `Bars`.
        left_out: How many outcomes are no more among them.
        kind: The class of the measurement; empty if it is not known.
        value: The result itself.
    """

    name: str
    text: str = ""
    counted: str = ""
    bars: Bars = ()
    left_out: int = 0
    kind: str = ""
    value: Any = attrs.field(default=None, eq=False, repr=False)


def outcomes(value: Any, circuit: QuantumScript | None) -> tuple[Outcome, ...]:
    """Return what each measurement of a circuit gave.

    Args:
        value: Its result.
        circuit: The circuit, which tells what the numbers mean; `None` if unknown.
    """
    parts = [*named(value, circuit)]
    shown = tuple(_outcome(*part) for part in parts[:_MOST_RESULTS])
    if len(parts) > _MOST_RESULTS:
        shown += (Outcome("", f"… {len(parts) - _MOST_RESULTS:,} more results"),)
    return shown


def named(value: Any, circuit: QuantumScript | None) -> Iterator[tuple[str, str, Any]]:
    """Yield the name, the kind of measurement and the value of each result."""
    if circuit is None:
        items = value if isinstance(value, (tuple, list)) else (value,)
        yield from (("", "", item) for item in items)
        return
    vector = circuit.shots.has_partitioned_shots and isinstance(value, (tuple, list))
    copies = [*zip(circuit.shots, value, strict=False)] if vector else [(None, value)]
    for shots, result in copies:
        suffix = "" if shots is None else f", {shots:,} shots"
        for measured, item in _by_measurement(result, circuit):
            kind = type(measured).__name__
            yield _name(measured, kind) + suffix, kind, item


def _by_measurement(result: Any, circuit: QuantumScript) -> Iterator[tuple[Any, Any]]:
    several = len(circuit.measurements) > 1 and isinstance(result, (tuple, list))
    yield from zip(circuit.measurements, result if several else (result,), strict=False)


def _name(measured: Any, kind: str) -> str:
    """Return a measurement as users write it."""
    told = repr(measured)
    is_raw = told.startswith(kind)
    return kind.removesuffix("MP").lower() if is_raw else short(told, _LONGEST_NAME)


def bars_of(kind: str, value: Any) -> tuple[str, Mapping[str, float]]:
    """Return what was counted, and how often each outcome came; empty if nothing was.

    Args:
        kind: The class of the measurement; empty if unknown.
        value: Its result.
    """
    if isinstance(value, Mapping):
        if value and all(map(_is_count, value.values())):
            return "counts", {str(key): _size(n) for key, n in value.items()}
        return "", {}
    if not isinstance(value, np.ndarray):
        return "", {}
    if kind == "ProbabilityMP" and value.ndim == 1 and value.dtype.kind == "f":
        return "probabilities", _probabilities(value)
    is_few = 0 < value.size <= MOST_SAMPLED and value.dtype.kind in "iufb"
    is_sampled = is_few and value.ndim in (1, 2) and bool(np.isfinite(value).all())
    if kind == "SampleMP" and is_sampled:
        return "counts", _sampled(value)
    return "", {}


def line(value: Any) -> str:
    """Return a result as one short line."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        most = sorted(value.items(), key=lambda item: _size(item[1]), reverse=True)
        told = [f"{key}: {line(item)}" for key, item in most[:_MOST_NUMBERS]]
        return short(_listed(told, len(value)))
    if isinstance(value, (tuple, list)):
        told = [line(item) for item in value[:_MOST_NUMBERS]]
        return short(_listed(told, len(value)))
    array = np.asarray(value)
    if array.ndim == 0:
        return _number(array[()])
    first = array.flat[:_MOST_NUMBERS]
    return f"[{_listed([_number(one) for one in first], array.size)}]"


def text_of(value: Any) -> str:
    """Return a result as text, cut where it is large."""
    console = Console(file=io.StringIO(), width=_WIDTH)
    return "\n".join(result_lines(console, value))


def ordered(found: Mapping[str, float]) -> tuple[Bars, int]:
    """Return the most frequent outcomes in order, and how many are left out."""
    pairs = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    kept = tuple((short(key), number) for key, number in pairs[:MOST_OUTCOMES])
    return kept, max(0, len(pairs) - MOST_OUTCOMES)


def _outcome(name: str, kind: str, value: Any) -> Outcome:
    counted, found = bars_of(kind, value)
    if not found:
        return Outcome(name, text_of(value), kind=kind, value=value)
    bars, left_out = ordered(found)
    text = text_of(value) if kind == "SampleMP" else ""
    return Outcome(name, text, counted, bars, left_out, kind, value)


def _probabilities(value: np.ndarray[Any, Any]) -> Mapping[str, float]:
    """Return how probable each state is, by its bits; without those that cannot be."""
    wires = max(1, (len(value) - 1).bit_length())
    possible = np.flatnonzero(value)
    return {f"{one:0{wires}b}": float(value[one]) for one in possible.tolist()}


def _sampled(value: np.ndarray[Any, Any]) -> Mapping[str, float]:
    """Return how often each sample came: rows of bits, or numbers."""
    if value.ndim == 1:
        return Counter(_number(one) for one in value)
    rows: Iterable[Sequence[Any]] = value.astype(int).tolist()
    return Counter("".join(map(str, row)) for row in rows)


def _listed(told: list[str], number: int) -> str:
    return ", ".join(told) + (", …" if number > len(told) else "")


def _number(given: Any) -> str:
    if isinstance(given, (int, np.integer)) and not isinstance(given, bool):
        return str(given)
    if isinstance(given, (float, complex, np.inexact)):
        return f"{given:.6g}"
    return safe(str(given))


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _size(value: Any) -> float:
    """Return a number to sort and to draw by; one that is too large is infinite."""
    if not isinstance(value, (int, float, np.integer, np.floating)):
        return 0.0
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf

"""Pictures of what was measured: how it grows, and all contenders side by side."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
from matplotlib.figure import Figure

from simulator_suite.contenders import CONTENDERS
from simulator_suite.measuring import Measured
from simulator_suite.rows import DEVICES, KINDS

# Colours that people with any colour vision tell apart (Okabe and Ito).
BLACK, ORANGE, BLUE, GREEN = "#000000", "#E69F00", "#0072B2", "#009E73"
#: Per way: what is drawn, its colour and its marker.
LINES = (
    ("bare", "bare QNode in a loop", BLACK, "o"),
    ("later", "run_later, gather", ORANGE, "s"),
    ("map", "map", BLUE, "^"),
)
BARS = dict(zip(DEVICES, (BLUE, ORANGE), strict=True))
OURS = ("call", "later", "map")

Across = Callable[[Measured], int]


def draw_all(rows: Sequence[Measured], folder: Path) -> list[Path]:
    """Draw all pictures that there are rows for, and return their files."""
    folder.mkdir(parents=True, exist_ok=True)
    measured = [each for each in rows if each.ratios]
    figures = {
        "simulator-circuits.svg": by_circuits(measured),
        "simulator-wires.svg": by_wires(measured),
        "simulator-contenders.svg": by_contender(measured),
    }
    drawn = {folder / name: it for name, it in figures.items() if it is not None}
    for path, figure in drawn.items():
        figure.savefig(path)
    return list(drawn)


def by_circuits(rows: Sequence[Measured]) -> Figure | None:
    """Draw the time per circuit over the number of circuits, for four wires."""
    found = [
        each
        for each in rows
        if each.row.group == "grid"
        and (each.row.case.n_wires, each.row.case.shots) == (4, None)
    ]
    if not found:
        return None
    figure = Figure(figsize=(8.0, 6.0), layout="constrained")
    grid = figure.subplots(len(KINDS), len(DEVICES), sharex=True, sharey=True)
    for kind, line in zip(KINDS, grid, strict=True):
        for device, axes in zip(DEVICES, line, strict=True):
            some = _of(found, device, kind)
            _lines(axes, some, lambda each: each.circuits)
            axes.set(xscale="log", title=f"{device}, {_written(kind)}")
            axes.xaxis.set_major_formatter("{x:g}")
    _name_axes(figure, grid, "circuits run together")
    figure.suptitle("Four wires, five layers, exact: the lower the faster")
    return figure


def by_wires(rows: Sequence[Measured]) -> Figure | None:
    """Draw the time per circuit over the number of wires."""
    found = [each for each in rows if each.row.group == "scaling"]
    if not found:
        return None
    figure = Figure(figsize=(8.0, 3.8), layout="constrained")
    grid = figure.subplots(1, len(DEVICES), sharey=True, squeeze=False)
    for device, axes in zip(DEVICES, grid[0], strict=True):
        some = [each for each in found if each.row.case.device == device]
        _lines(axes, some, lambda each: each.row.case.n_wires)
        axes.set_title(device)
        axes.set_xticks(sorted({each.row.case.n_wires for each in found}))
    _name_axes(figure, grid, "wires")
    numbers = {each.row.case.n_wires: each.circuits for each in found}
    together = ", ".join(f"{number} of {wires}" for wires, number in numbers.items())
    title = "Two layers as one template, exact; circuits together, of wires:\n"
    figure.suptitle(title + together, fontsize="medium")
    return figure


def by_contender(rows: Sequence[Measured]) -> Figure | None:
    """Draw how much faster all contenders are, for four wires."""
    found = [
        each
        for each in rows
        if each.row.group == "contenders" and each.row.case.n_wires == 4
    ]
    if not found:
        return None
    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    kinds = [kind for kind in KINDS if any(e.row.case.kind == kind for e in found)]
    grid = figure.subplots(1, len(kinds), sharex=True, sharey=True, squeeze=False)[0]
    known = {each.row.contender for each in found}
    names = [*OURS, *(name for name in CONTENDERS if name not in OURS)]
    names = [name for name in reversed(names) if name in known]
    for kind, axes in zip(kinds, grid, strict=True):
        _bars(axes, [each for each in found if each.row.case.kind == kind], names)
        axes.set_title(_written(kind))
    labels = [("QElectron: " * (n in OURS)) + CONTENDERS[n].label for n in names]
    grid[0].set_yticks(range(len(names)), labels)
    grid[-1].legend(loc="lower right", fontsize="small")
    number = max(each.circuits for each in found)
    figure.suptitle(f"{number:,} exact circuits of four wires and five layers")
    figure.supxlabel("times faster than a loop over the bare QNode (median, min–max)")
    return figure


def _of(rows: Sequence[Measured], device: str, kind: str) -> list[Measured]:
    cases = [(each, each.row.case) for each in rows]
    return [each for each, case in cases if (case.device, case.kind) == (device, kind)]


def _written(kind: str) -> str:
    return "gate by gate" if kind == "gates" else "one template"


@attrs.frozen
class _Point:
    """Milliseconds per circuit: median, and the range of all runs."""

    at: int
    middle: float
    low: float
    high: float


def _lines(axes: Any, rows: Sequence[Measured], across: Across) -> None:
    for name, label, colour, marker in LINES:
        points = sorted(_points(rows, name, across), key=lambda point: point.at)
        middles = [point.middle for point in points]
        below = [point.middle - point.low for point in points]
        above = [point.high - point.middle for point in points]
        axes.errorbar(
            [point.at for point in points],
            middles,
            yerr=(below, above),
            color=colour,
            marker=marker,
            label=label,
            capsize=2,
            lw=1.5,
            ms=5,
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(visible=True, color="0.9")


def _points(rows: Sequence[Measured], name: str, across: Across) -> Iterator[_Point]:
    # The bare QNode is measured beside each way; the runs beside `later` stand for it.
    beside = "later" if name == "bare" else name
    for each in rows:
        if each.row.contender == beside:
            taken = each.bare_s if name == "bare" else each.other_s
            times = [1e3 * seconds / each.circuits for seconds in taken]
            middle = statistics.median(times)
            yield _Point(across(each), middle, *_range(times))


def _range(times: Sequence[float]) -> tuple[float, float]:
    """Return the middle half of many times, or the range of a few."""
    if len(times) < 10:
        return min(times), max(times)
    low, _, high = statistics.quantiles(times, n=4)
    return low, high


def _name_axes(figure: Figure, grid: Any, across: str) -> None:
    figure.supxlabel(across)
    figure.supylabel("time per circuit (ms)")
    grid[0][0].legend(loc="best", fontsize="small")


def _bars(axes: Any, rows: Sequence[Measured], names: Sequence[str]) -> None:
    for number, (device, colour) in enumerate(BARS.items()):
        some = [each for each in rows if each.row.case.device == device]
        at = [names.index(e.row.contender) + 0.2 - 0.4 * number for e in some]
        middles = [each.faster for each in some]
        below = [each.faster - min(each.ratios) for each in some]
        above = [max(each.ratios) - each.faster for each in some]
        whiskers = {"ecolor": "0.3", "capsize": 2}
        lengths = [middle - 1 for middle in middles]  # to the left of 1 if slower
        axes.barh(at, lengths, 0.38, left=1, color=colour, label=device)
        axes.errorbar(middles, at, xerr=(below, above), fmt="none", **whiskers)
        for place, middle, high in zip(at, middles, above, strict=True):
            axes.annotate(
                f"{middle:.2g}" if middle < 10 else f"{middle:.0f}",
                (max(1, middle + high), place),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize="x-small",
            )
    axes.axvline(1, color=BLACK, lw=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.15)

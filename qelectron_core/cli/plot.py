"""Pictures of S over the angle: with matplotlib, or of characters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qelectron_core.cli.chsh import (
    CLASSICAL_BOUND,
    TSIRELSON_BOUND,
    Curve,
    exact_value,
)

#: Size of the character plot: S per row, rows above zero, columns.
STEP: Final = 0.4
HALF: Final = 7
WIDTH: Final = 61
#: What stands for the curves, and for a place where several meet.
MARKS: Final = "ox+%"
SHARED: Final = "*"


def text_plot(thetas: NDArray[np.float64], curves: Sequence[Curve]) -> str:
    """Draw the curves with characters.

    Args:
        thetas: Angles in radians, shape `(n,)`.
        curves: What to draw.
    """
    grid = [[" "] * WIDTH for _ in range(2 * HALF + 1)]
    for bound, sign in ((CLASSICAL_BOUND, "-"), (TSIRELSON_BOUND, "=")):
        for value in (bound, -bound):
            grid[_row(value)] = [sign] * WIDTH
    for mark, curve in zip(MARKS, curves, strict=False):
        for theta, value in zip(thetas, curve.values, strict=True):
            row, column = _row(value), round(theta / math.pi * (WIDTH - 1))
            taken = grid[row][column] not in " -="
            grid[row][column] = SHARED if taken else mark
    lines = [
        f"{(HALF - row) * STEP:5.1f} |{''.join(signs).rstrip()}"
        for row, signs in enumerate(grid)
    ]
    return "\n".join([f"{'S':>5}", *lines, *_legend(curves)])


def _row(value: float) -> int:
    return min(max(HALF - round(value / STEP), 0), 2 * HALF)


def _legend(curves: Sequence[Curve]) -> list[str]:
    quarter = (WIDTH - 1) // 4
    ticks = "".join(f"{degrees:<{quarter}}" for degrees in (0, 45, 90, 135, 180))
    marks = [f"{mark} {c.label}" for mark, c in zip(MARKS, curves, strict=False)]
    signs = [*marks, f"{SHARED} several", "- classical bound", "= Tsirelson's bound"]
    return [f"      +{'-' * WIDTH}", f"       {ticks} θ in degrees", "  ".join(signs)]


def save_plot(path: Path, thetas: NDArray[np.float64], curves: Sequence[Curve]) -> None:
    """Write a picture of the curves, in the format that the path's ending names.

    Args:
        path: File to write.
        thetas: Angles in radians, shape `(n,)`.
        curves: What to draw; exact ones as points on the line of theory.

    Raises:
        OSError: If the file cannot be written.
    """
    # Without pyplot: no window system, no state that outlives the picture.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.5), layout="constrained")
    axes = figure.add_subplot()
    fine = np.linspace(0, math.pi, 361)
    axes.plot(
        np.degrees(fine), exact_value(fine), color="0.6", lw=1, label="3 cos θ − cos 3θ"
    )
    for marker, curve in zip("os^D", curves, strict=False):
        axes.errorbar(
            np.degrees(thetas),
            curve.values,
            yerr=curve.errors if curve.errors.any() else None,
            fmt=marker,
            ms=3,
            capsize=3,
            label=curve.label,
        )
    _draw_bounds(axes)
    _name_axes(axes)
    figure.savefig(path, dpi=150)


def _draw_bounds(axes: Any) -> None:
    bounds = (
        (CLASSICAL_BOUND, "--", "classical bound, ±2"),
        (TSIRELSON_BOUND, ":", "Tsirelson's bound, ±2√2"),
    )
    for bound, style, label in bounds:
        axes.axhline(bound, color="black", ls=style, lw=1, label=label)
        axes.axhline(-bound, color="black", ls=style, lw=1)


def _name_axes(axes: Any) -> None:
    axes.set_title("CHSH value of a Bell pair")
    axes.set_xlabel("angle θ between neighbouring directions (degrees)")
    axes.set_ylabel("S (dimensionless)")
    axes.set_xlim(-4, 184)
    axes.set_xticks(range(0, 181, 45))
    axes.set_ylim(-3.2, 3.2)
    # Where neither curve nor bound runs.
    axes.legend(loc="lower left", bbox_to_anchor=(0.03, 0.21), fontsize="small")

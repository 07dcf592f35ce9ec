"""The command `demo`: a Bell test on a cluster of simulators."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from qelectron_core.errors import ConfigError, UnknownNameError, install_hint
from qelectron_core.registry import Kind, registry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console
    from rich.table import Table

    from qelectron_core.cli.chsh import Curve
    from qelectron_core.contracts import Executor
    from qelectron_core.futures import QFuture

#: What plugins must offer for the demo.
NEEDED: Final[tuple[tuple[Kind, str], ...]] = (
    ("executor", "Simulator"),
    ("selector", "cyclic"),
)
#: Picture formats that every matplotlib writes.
FORMATS: Final = (".png", ".svg", ".pdf")


def _check_path(_: Any, __: Any, path: Path) -> Path:
    if path.suffix.lower() not in FORMATS:
        message = f"{str(path)!r} must end in one of {', '.join(FORMATS)}."
        raise click.BadParameter(message)
    if not path.absolute().parent.is_dir():
        raise click.BadParameter(f"folder {str(path.parent)!r} does not exist.")
    return path


@click.command()
@click.option(
    "--angles",
    "count",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of angles in [0, 180) degrees.",
)
@click.option(
    "--shots",
    default=1000,
    show_default=True,
    type=click.IntRange(min=2),
    help="Shots per circuit of those that sample.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="Seed of the samples; they then repeat."
)
@click.option(
    "--plot",
    "path",
    default="chsh.png",
    show_default=True,
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_check_path,
    help="Picture to write.",
)
@click.option("--no-plot", is_flag=True, help="Write no picture.")
@click.option(
    "--cache", is_flag=True, help="Reuse the results of an earlier demo with --cache."
)
def demo(  # noqa: PLR0913  # one argument per option
    *, count: int, shots: int, seed: int | None, path: Path, no_plot: bool, cache: bool
) -> None:
    """Test Bell's inequality on a cluster of simulators.

    Every correlator is computed exactly, by a sampled simulator with noise, and by
    what else plugins bring: a fake IBM machine, with qelectron-qiskit. All of them get
    the CHSH value S over the angle, next to its bounds.

    Example: qelectron demo --angles 8 --plot bell.svg
    """
    from rich.console import Console

    _require_plugins()
    console = Console(highlight=False)
    with console.status("Importing PennyLane …"):
        chsh = importlib.import_module("qelectron_core.cli.chsh")
        executors = chsh.members(shots, seed)
    thetas = chsh.angles(count)
    futures = chsh.dispatch(thetas, executors, cache=True if cache else None)
    _wait(futures)
    curves = chsh.curves(futures, executors)
    console.print()
    console.print(_usage(futures, executors))
    if cache:
        console.print(f"\n{_reuse(futures)}", markup=False, soft_wrap=True)
    console.print()
    console.print(_summary(thetas, curves))
    _show_plots(console, thetas, curves, None if no_plot else path)


def _require_plugins() -> None:
    """Refuse to start without the plugins of the demo.

    Raises:
        ConfigError: If one is missing; says what to install.
    """
    problems = []
    for kind, name in NEEDED:
        if name not in registry().registrations(kind):
            try:
                registry().resolve(kind, name)
            except UnknownNameError as error:
                problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(["the demo needs more plugins:", *problems]))


def _wait(futures: Sequence[QFuture]) -> None:
    from qelectron_core.futures import gather

    gather(futures, progress=True)


def _usage(futures: Iterable[QFuture], executors: Mapping[str, Executor]) -> Table:
    """Tabulate which executor ran what, as the futures tell it."""
    from rich.table import Table

    table = Table("executor", box=None, padding=(0, 2, 0, 0))
    for header in ("run", "from the cache", "jobs", "shots per circuit", "busy (s)"):
        table.add_column(header, justify="right")
    executions = [e for future in futures for e in future.executions]
    for label, executor in executors.items():
        own = [e for e in executions if e.executor == executor]
        cached = sum(e.cached for e in own)
        jobs = {e.job_id: e.duration_s for e in own if not e.cached}
        counts = map(str, (len(own) - cached, cached, len(jobs)))
        shots = str(own[0].shots or "exact")
        table.add_row(label, *counts, shots, f"{sum(jobs.values()):.3f}")
    return table


def _reuse(futures: Iterable[QFuture]) -> str:
    """Say how many results came from the cache, and for how long they are kept."""
    from qelectron_core.runtime import runtime

    executions = [e for future in futures for e in future.executions]
    cached = sum(e.cached for e in executions)
    ran = len(executions) - cached
    if ran:
        told = f"{ran} circuits were run; {cached} results came from the cache."
    else:
        told = f"All {cached} results came from the cache; none was run."
    if runtime().keeper().store.durable:
        return f"{told} A second run finds them all." if ran else told
    lost = "They are kept for this process only: for more it takes a store on disk."
    return f"{told} {lost}{install_hint('sqlite')}"


def _summary(thetas: NDArray[np.float64], curves: Iterable[Curve]) -> Table:
    """Tabulate the largest |S| of each curve between the bounds."""
    from rich.table import Table

    from qelectron_core.cli.chsh import CLASSICAL_BOUND, TSIRELSON_BOUND

    table = Table("", "|S|", "", box=None, padding=(0, 2, 0, 0))
    table.add_row("classical bound, 2", f"{CLASSICAL_BOUND:.4f}")
    for curve in curves:
        value, error = abs(curve.values[curve.peak]), curve.errors[curve.peak]
        note = f"at {math.degrees(thetas[curve.peak]):.0f}°"
        shown = f"{value:.4f}"
        if error:
            shown += f" ± {error:.4f}"
            note += f", {(value - CLASSICAL_BOUND) / error:+.1f} σ from 2"
        table.add_row(f"largest, {curve.label}", shown, note)
    table.add_row("Tsirelson's bound, 2√2", f"{TSIRELSON_BOUND:.4f}")
    return table


def _show_plots(
    console: Console,
    thetas: NDArray[np.float64],
    curves: Sequence[Curve],
    path: Path | None,
) -> None:
    from qelectron_core.cli.plot import save_plot, text_plot

    plot = text_plot(thetas, curves)
    console.print("", plot, sep="\n", markup=False, no_wrap=True, overflow="crop")
    if path is None:
        return
    if importlib.util.find_spec("matplotlib") is None:
        hint = 'pip install "qelectron-core[plot]"'
        console.print(f"\nFor a picture, install matplotlib: {hint}", markup=False)
        return
    try:
        save_plot(path, thetas, curves)
    except OSError as error:
        raise click.FileError(str(path), error.strerror) from error
    console.print(f"\nWrote {path}", markup=False)

"""The graph of a dispatch as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import networkx as nx

from qelectron_dask.workflow.states import ElectronRun, ElectronState, inert

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qelectron_dask.workflow.result import DispatchResult

#: Okabe and Ito's colours, which colour-blind people can tell apart (Color Universal
#: Design, 2008, https://jfly.uni-koeln.de/color/), and a sign for each state.
COLOURS: Final[dict[ElectronState, tuple[str, str]]] = {
    "waiting": ("#E6E6E6", "·"),
    "queued": ("#F0E442", "…"),
    "running": ("#56B4E9", "▶"),
    "completed": ("#009E73", "✓"),
    "failed": ("#D55E00", "✗"),
    "cancelled": ("#CC79A7", "■"),
    "skipped": ("#999999", "–"),
}
#: Inches between electrons, beside and below each other.
_WIDE: Final = 1.5
_HIGH: Final = 0.95
#: Electrons above which names are left out, so that the picture stays readable.
_MOST_NAMED: Final = 80


def draw(result: DispatchResult, path: Any = None) -> Figure:
    """Draw a dispatch: electrons below those that they wait for.

    Args:
        result: The dispatch.
        path: Where to save the picture, if anywhere.

    Raises:
        ImportError: If matplotlib is missing; says what to install.
    """
    figure_class = _figure_class()
    places = layout(result.electrons)
    width = _WIDE * (1 + max((x for x, _ in places.values()), default=0))
    height = _HIGH * (1 + max((y for _, y in places.values()), default=0))
    figure = figure_class(figsize=(max(4.0, width), max(2.0, height + 0.8)))
    axes = figure.add_subplot()
    _draw_edges(axes, result.electrons, places)
    _draw_electrons(axes, result.electrons, places)
    _draw_legend(axes, result)
    axes.invert_yaxis()
    axes.margins(0.1)
    axes.set_axis_off()
    axes.set_title(_plain(f"{result.lattice} · {result.status}"), fontsize=10)
    figure.set_layout_engine("constrained")
    if path is not None:
        figure.savefig(path)
    return figure


def layout(electrons: tuple[ElectronRun, ...]) -> dict[int, tuple[float, float]]:
    """Return where each electron is drawn: its place in its row, and its row.

    An electron is one row below the lowest of those that it waits for; rows are
    centred, and in them electrons stand in the order of those.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(run.number for run in electrons)
    graph.add_edges_from((p, run.number) for run in electrons for p in run.parents)
    places: dict[int, tuple[float, float]] = {}
    rows = [sorted(row) for row in nx.topological_generations(graph)]
    widest = max(map(len, rows), default=1)
    for depth, row in enumerate(rows):
        row.sort(key=lambda number: _mean_of_parents(number, graph, places))
        for index, number in enumerate(row):
            places[number] = (index + (widest - len(row)) / 2, float(depth))
    return places


def _mean_of_parents(
    number: int, graph: Any, places: dict[int, tuple[float, float]]
) -> float:
    parents = [places[parent][0] for parent in graph.predecessors(number)]
    return sum(parents) / len(parents) if parents else float(number)


def _draw_edges(axes: Any, electrons: tuple[ElectronRun, ...], places: Any) -> None:
    for run in electrons:
        for parent in run.parents:
            (x0, y0), (x1, y1) = places[parent], places[run.number]
            arrow = {
                "arrowstyle": "-|>",
                "color": "#555555",
                "shrinkA": 0,
                "shrinkB": 0,
            }
            axes.annotate(
                "", (x1, y1 - 0.15), (x0, y0 + 0.15), arrowprops=arrow, zorder=1
            )


def _draw_electrons(axes: Any, electrons: tuple[ElectronRun, ...], places: Any) -> None:
    named = len(electrons) <= _MOST_NAMED
    for run in electrons:
        colour, sign = COLOURS[run.state]
        text = f"{sign} {run.name}" if named else sign
        box = {"boxstyle": "round,pad=0.4", "facecolor": colour, "edgecolor": "#333333"}
        axes.text(
            *places[run.number],
            _plain(text),
            ha="center",
            va="center",
            fontsize=8,
            bbox=box,
            zorder=2,
        )
    axes.scatter(*zip(*places.values(), strict=True), s=0) if places else None


def _plain(text: str) -> str:
    """Return a text out of which matplotlib reads no mathematics."""
    return inert(text).replace("$", r"\$")


def _draw_legend(axes: Any, result: DispatchResult) -> None:
    from matplotlib.patches import Patch

    counts = result.states
    handles = [
        Patch(color=colour, label=f"{sign} {counts[state]} {state}")
        for state, (colour, sign) in COLOURS.items()
        if counts[state]
    ]
    if handles:
        axes.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            ncols=4,
            fontsize=8,
            frameon=False,
        )


def _figure_class() -> type[Figure]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        message = (
            "a picture needs matplotlib, which is not installed: pip install "
            "'qelectron-dask[plot]'"
        )
        raise ImportError(message) from error
    return Figure

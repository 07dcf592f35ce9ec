"""Which rows are measured, in the order of the report."""

import itertools
from collections.abc import Iterator

import attrs

from simulator_suite.circuits import STACKING, Case
from simulator_suite.contenders import METHODS
from simulator_suite.measuring import Row

DEVICES, KINDS, SHOTS = (
    ("default.qubit", "lightning.qubit"),
    ("gates", "template"),
    1000,
)
#: The ways that cost no start of processes.
QUICK = ("call", "later", "map", "execute")
#: The ways that are compared for a few circuits only.
CHOSEN = ("call", "stack", "workers", "threads", "processes", "joblib", "dask")


@attrs.frozen
class Sizes:
    """How much of the suite is run.

    Attributes:
        wires: Wires of the grid, with the most circuits that are run exactly and
            sampled; more would take hours, and the report says so.
        numbers: Circuits that are run together.
        points: Circuits of one large `map`.
        chosen: Wires, kind, and number of the circuits for all contenders.
        scaling: Circuits of the rows with ever more wires, by wires.
        outstanding: Calls that wait at the same time.
    """

    wires: dict[int, tuple[int, int]]
    numbers: tuple[int, ...]
    points: int
    chosen: tuple[tuple[int, str, int], ...]
    scaling: dict[int, int]
    outstanding: int


FULL = Sizes(
    wires={2: (300, 300), 4: (3000, 300), 12: (300, 10), 20: (10, 1)},
    numbers=(1, 10, 300, 3000),
    points=3000,
    chosen=((4, "gates", 300), (4, "template", 300), (12, "template", 100)),
    scaling={2: 300, 4: 300, 8: 100, 12: 30, 16: 10, 20: 2},
    outstanding=10_000,
)
BRIEF = Sizes(
    wires={2: (10, 1), 4: (100, 1)},
    numbers=(1, 10, 100),
    points=100,
    chosen=((4, "template", 30),),
    scaling={2: 20, 4: 20, 8: 10},
    outstanding=2_000,
)


def all_rows(sizes: Sizes) -> list[Row]:
    """Return all rows."""
    parts = (grid(sizes), chosen(sizes), scaling(sizes), points(sizes), gradients())
    return list(itertools.chain(*parts))


def grid(sizes: Sizes) -> Iterator[Row]:
    """Compare wires, devices, ways to write a circuit, shots, and numbers of them."""
    product = itertools.product(sizes.wires.items(), DEVICES, KINDS, (None, SHOTS))
    for (wires, most), device, kind, shots in product:
        case = Case(device, wires, kind, shots, n_layers=2 if wires == 20 else 5)
        numbers = [n for n in sizes.numbers if n <= most[shots is not None]]
        for number, contender in itertools.product(numbers, QUICK):
            if _grid_has(contender, number):
                yield Row("grid", case, contender, number)


def _grid_has(contender: str, number: int) -> bool:
    """Tell whether a row says what others do not."""
    if contender == "call":  # a loop of calls is as fast as its calls
        return number == 1
    return contender != "execute" or number < FULL.points


def not_in_grid(sizes: Sizes) -> str:
    """Say which circuits the grid leaves out, because they would take hours."""
    most = "; ".join(
        f"{wires} wires: {exact:,} exact, {sampled:,} sampled"
        for wires, (exact, sampled) in sizes.wires.items()
    )
    return (
        f"Left out for time: more circuits than {most}; qml.execute of "
        f"{FULL.points:,}. A loop of calls is as fast as its calls."
    )


def chosen(sizes: Sizes) -> Iterator[Row]:
    """Compare all contenders, for a few circuits."""
    for (wires, kind, number), device in itertools.product(sizes.chosen, DEVICES):
        case = Case(device, wires, kind)
        for contender in (*QUICK[1:], *CHOSEN):
            known = contender != "workers" or device == "default.qubit"
            if known and (contender != "stack" or kind in STACKING):
                yield Row("contenders", case, contender, number)


def scaling(sizes: Sizes) -> Iterator[Row]:
    """Compare ever more wires, with two layers, since 20 wires need no more."""
    for device, (wires, number) in itertools.product(DEVICES, sizes.scaling.items()):
        case = Case(device, wires, "template", n_layers=2)
        for contender in ("later", "map"):
            yield Row("scaling", case, contender, number)


def points(sizes: Sizes) -> Iterator[Row]:
    """Compare one large `map` of a function that also takes all points at once.

    The template does so, too; its `map` is part of the grid.
    """
    for device, contender in itertools.product(DEVICES, ("map", "stack")):
        case = Case(device, 4, "array gates")
        yield Row("points", case, contender, sizes.points)


def gradients() -> Iterator[Row]:
    """Compare gradients of 20 parameters."""
    for device, method in itertools.product(DEVICES, METHODS):
        case = Case(device, 4, "20 parameters")
        yield Row("gradients", case, f"gradient {method}", 1)

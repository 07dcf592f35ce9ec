"""The budgets of the project for a simulator, and whether they are kept."""

import statistics
from collections.abc import Iterator, Sequence

import attrs

from simulator_suite.measuring import Measured


@attrs.frozen
class Budget:
    """A promise about exact circuits of four wires and five layers.

    Attributes:
        text: What is promised.
        contender: Key of `CONTENDERS` that it is about.
        number: Circuits that it is about.
        groups: Groups of rows that it is about.
        device: The device that it is about.
        faster: How many times faster than the bare QNode it must be at least.
        as_time: Whether it is said in parts of the bare QNode's time.
    """

    text: str
    contender: str
    number: int
    groups: tuple[str, ...]
    device: str
    faster: float
    as_time: bool = False

    def covers(self, measured: Measured) -> bool:
        """Tell whether a row is about this."""
        row, case = measured.row, measured.row.case
        return (
            bool(measured.ratios)
            and row.group in self.groups
            and (row.contender, row.wanted) == (self.contender, self.number)
            and (case.device, case.n_wires, case.shots) == (self.device, 4, None)
        )

    def figures(self, measured: Measured) -> str:
        """Return what was measured, in the unit of the budget."""
        ratios = measured.ratios
        if self.as_time:
            ratios = [1 / ratio for ratio in ratios]
        middle, unit = statistics.median(ratios), "" if self.as_time else " ×"
        return f"{middle:.2f}{unit} ({min(ratios):.2f}–{max(ratios):.2f})"


DEVICES = ("default.qubit", "lightning.qubit")
LATER = {"default.qubit": 5.0, "lightning.qubit": 3.0}
MEMORY_KB = 9.0
BUDGETS = (
    *(
        Budget(
            "plain call ≤ 1.05 × the QNode's time",
            "call",
            number=1,
            groups=("grid",),
            device=device,
            faster=1 / 1.05,
            as_time=True,
        )
        for device in DEVICES
    ),
    *(
        Budget(
            f"300 run_later ≥ {LATER[device]:.0f} × faster",
            "later",
            number=300,
            groups=("grid",),
            device=device,
            faster=LATER[device],
        )
        for device in DEVICES
    ),
    *(
        Budget(
            "gradient ≤ 1.2 × the QNode's time",
            "gradient best",
            number=1,
            groups=("gradients",),
            device=device,
            faster=1 / 1.2,
            as_time=True,
        )
        for device in DEVICES
    ),
    Budget(
        "map of 3,000 ≥ 20 × faster",
        "map",
        number=3000,
        groups=("grid", "points"),
        device="default.qubit",
        faster=20.0,
    ),
)


@attrs.frozen
class Line:
    """Whether one row keeps a budget; `None` if there is no row."""

    budget: str
    row: str = ""
    measured: str = ""
    is_kept: bool | None = None


def lines(rows: Sequence[Measured], call_bytes: float | None) -> Iterator[Line]:
    """Return one line for each budget and each row that it is about."""
    for budget in BUDGETS:
        covered = [each for each in rows if budget.covers(each)]
        if not covered:
            yield Line(budget.text, budget.device)
        for measured in covered:
            kept = measured.faster >= budget.faster
            name, figures = str(measured.row.case), budget.figures(measured)
            if measured.circuits < measured.row.wanted:
                name += f", {measured.circuits:,} circuits"
            yield Line(budget.text, name, figures, kept)
    yield _memory(call_bytes)


def _memory(call_bytes: float | None) -> Line:
    line = Line(f"outstanding call ≤ {MEMORY_KB:.0f} KB", "2 wires, 4 gates")
    if call_bytes is None:
        return line
    size_kb = call_bytes / 1024
    return attrs.evolve(
        line, measured=f"{size_kb:.1f} KB", is_kept=size_kb <= MEMORY_KB
    )

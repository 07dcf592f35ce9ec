"""What was measured, as tables and as JSON."""

import itertools
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table

from simulator_suite import budgets, machine
from simulator_suite.circuits import Case
from simulator_suite.contenders import CONTENDERS
from simulator_suite.measuring import Measured, Row

COLUMNS = ("way", "circuits", "bare, ms", "its, ms", "× faster (min–max)", "pairs")
VERDICTS = {True: "[green]kept[/]", False: "[red]missed[/]", None: "not measured"}


@attrs.define
class Report:
    """All that one run of the suite found.

    Attributes:
        machine: What it ran on.
        not_run: What the suite leaves out on purpose.
        rows: What was measured or left out, in order.
        outstanding: Calls that waited at the same time.
        call_bytes: Bytes of each of them; `None` if not measured.
        is_complete: Whether the run went to its end.
    """

    machine: dict[str, Any]
    not_run: str
    rows: list[Measured] = attrs.field(factory=list)
    outstanding: int = 0
    call_bytes: float | None = None
    is_complete: bool = False

    def write(self, path: Path) -> None:
        """Write everything, with each single ratio, as JSON."""
        content = attrs.asdict(self)
        for written, measured in zip(content["rows"], self.rows, strict=True):
            written |= {"name": str(measured.row), "ratios": measured.ratios}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Report":
        """Return what `write` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(**content | {"rows": [_row_of(each) for each in content["rows"]]})

    def show(self, console: Console) -> None:
        """Print all tables."""
        console.print(machine.in_words(self.machine), highlight=False)
        for group, rows in itertools.groupby(self.rows, lambda each: each.row.group):
            title = f"{group}: against a loop over the bare QNode, medians"
            console.print(_table(title, list(rows)))
        console.print(self.not_run)
        if self.call_bytes is not None:
            size = f"{self.call_bytes / 1024:.1f} KB"
            console.print(f"Memory: {size} each for {self.outstanding:,} run_later.")
        console.print(self._budgets())
        if not self.is_complete:
            console.print("Stopped before the end: what is missing was not measured.")

    def _budgets(self) -> Table:
        table = Table(title="Budgets")
        for column in ("budget", "row", "measured (min–max)", ""):
            table.add_column(column)
        for line in budgets.lines(self.rows, self.call_bytes):
            table.add_row(line.budget, line.row, line.measured, VERDICTS[line.is_kept])
        return table


def _row_of(content: dict[str, Any]) -> Measured:
    del content["name"], content["ratios"]
    row = content["row"]
    return Measured(**content | {"row": Row(**row | {"case": Case(**row["case"])})})


def _table(title: str, rows: Sequence[Measured]) -> Table:
    table = Table(title=title)
    table.add_column("circuit", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "way" else "right")
    for case, some in itertools.groupby(rows, lambda each: each.row.case):
        for number, measured in enumerate(some):
            table.add_row("" if number else str(case), *_cells(measured))
        table.add_section()
    return table


def _cells(measured: Measured) -> Iterator[str]:
    row, ratios = measured.row, measured.ratios
    yield CONTENDERS[row.contender].label
    if not ratios:
        yield from (f"{row.wanted:,}", "", "", f"left out: {measured.left_out}", "")
        return
    scaled = measured.circuits < row.wanted
    yield f"{measured.circuits:,}" + (f" of {row.wanted:,}, for time" if scaled else "")
    for taken in (measured.bare_s, measured.other_s):
        yield f"{statistics.median(taken) * 1e3:,.1f}"
    yield f"{measured.faster:.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
    yield str(len(ratios))

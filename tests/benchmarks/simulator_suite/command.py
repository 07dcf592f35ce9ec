"""The command line: measure or read, then print, write and draw."""

import argparse
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

import qelectron_core as ct
from qelectron_core.recording import install
from simulator_suite import machine, memory
from simulator_suite.measuring import MIN_PAIRS, Pace, Row, measure
from simulator_suite.plots import draw_all
from simulator_suite.report import Report
from simulator_suite.rows import BRIEF, FULL, all_rows, not_in_grid

#: Seconds per row, and most pairs: of the full suite and of `--quick`.
FULL_PACE, BRIEF_PACE = Pace(7.0, 5), Pace(0.4, 3)
MEMORY = "memory: outstanding calls"
#: Columns of a terminal that the tables need.
WIDTH = 150
_STOPPED = threading.Event()


def options(description: str) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a few minutes, not more")
    parser.add_argument("--only", metavar="PATTERN", default="", help="of rows' names")
    parser.add_argument("--list", action="store_true", help="print the rows' names")
    parser.add_argument("--seconds-per-row", type=float, metavar="S", help=_ROW_HELP)
    parser.add_argument("--pairs", type=int, metavar="N", help="most pairs of a row")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all ratios")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw pictures")
    parser.add_argument(
        "--from-json", type=Path, metavar="FILE", help="measure nothing"
    )
    given = parser.parse_args()
    if given.pairs is not None and given.pairs < MIN_PAIRS:
        parser.error(f"--pairs {given.pairs} is too few. Expected {MIN_PAIRS} or more.")
    return given


_ROW_HELP = (
    f"no pair starts later, beyond {MIN_PAIRS}; a loop that takes twice as long has "
    "fewer circuits, or is left out"
)


def main(description: str) -> None:
    """Do what the command line asks for."""
    given, console = options(description), Console()
    sizes, pace = (BRIEF, BRIEF_PACE) if given.quick else (FULL, FULL_PACE)
    pace = Pace(given.seconds_per_row or pace.seconds, given.pairs or pace.pairs)
    wanted = re.compile(given.only, re.IGNORECASE)
    rows = [row for row in all_rows(sizes) if wanted.search(str(row))]
    if given.list:
        console.print("\n".join(map(str, rows)), highlight=False)
        return
    if given.from_json is not None:
        report = Report.read(given.from_json)
    else:
        report = Report(machine.describe(), not_in_grid(sizes))
        if wanted.search(MEMORY):
            report.outstanding = sizes.outstanding
        fill(report, rows, pace, console)
    if given.json is not None:
        report.write(given.json)
    report.show(Console(width=max(WIDTH, console.width)))
    if given.plots is not None:
        for path in draw_all(report.rows, given.plots):
            console.print(f"Drawn: {path}")
    if any(each.has_failed for each in report.rows):
        sys.exit("A row failed; its table says why.")


def fill(report: Report, rows: Sequence[Row], pace: Pace, console: Console) -> None:
    """Measure rows, and memory if asked for, until the end or until Ctrl-C."""
    signal.signal(signal.SIGINT, _stop)
    install()  # so that the bare QNode, too, runs with per-thread recording
    with tempfile.TemporaryDirectory() as folder:
        # As for any user the journal goes to a file, but not to the user's own.
        os.environ.setdefault("QELECTRON_STORE", str(Path(folder) / "journal.sqlite3"))
        try:
            _measure_all(report, rows, pace, console)
            if report.outstanding:
                report.call_bytes = memory.in_a_process(report.outstanding)
            report.is_complete = True
        except KeyboardInterrupt:
            console.print("Stopped by Ctrl-C.")
        ct.shutdown()  # before the journal's folder goes
    report.machine["load_after"] = machine.load()


def _stop(number: int, frame: FrameType | None) -> None:
    # An interrupt that a callback of another package swallows still ends the suite.
    _STOPPED.set()
    signal.default_int_handler(number, frame)


def _measure_all(
    report: Report, rows: Sequence[Row], pace: Pace, console: Console
) -> None:
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        "{task.description}",
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(rows))
        for row in rows:
            if _STOPPED.is_set():
                raise KeyboardInterrupt
            progress.update(task, description=str(row))
            report.rows.append(measure(row, pace))
            progress.advance(task)

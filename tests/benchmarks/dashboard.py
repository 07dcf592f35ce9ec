"""Measure the dashboard: how soon it can be used, how live it is, and what it costs.

Run by hand, on a quiet machine with Chromium: `uv run --all-packages python
tests/benchmarks/dashboard.py`. Whether a dashboard that is looked at slows a program is
measured in turn, with it and without it, because machines drift.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pennylane as qml
from rich.console import Console
from rich.table import Table

import qelectron_core as ct

sys.path.insert(0, str(Path(__file__).parents[2] / "plugins/qelectron-dashboard/tests"))

from dashboard_browser import looking_at
from dashboard_records import call_of, entry_of, fill, write

RECORDS, LOADS, CHANGES = 100_000, 15, 15
#: Calls of a program that is watched, or not, and how often.
CALLS, ROUNDS = 200, 15


@contextmanager
def watched(store: Path) -> Iterator[Any]:
    """Open the list of calls of a store in a browser."""
    with (
        tempfile.TemporaryDirectory() as folder,
        looking_at(store, Path(folder)) as seen,
    ):
        seen.page.locator(".ag-row").first.wait_for()
        yield seen


def show(title: str, taken: dict[str, list[float]], unit: str) -> None:
    """Print a table with a line for each thing that was measured."""
    table = Table(title=title)
    for column in ("", "min", "median", "max"):
        table.add_column(column, justify="right" if column else "left")
    for name, all_of_it in taken.items():
        figures = (min(all_of_it), statistics.median(all_of_it), max(all_of_it))
        table.add_row(name, *(f"{one:.2f} {unit}" for one in figures))
    Console().print(table)


def timed(action: Callable[[], Any]) -> float:
    """Return the seconds that something takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def loading(store: Path) -> None:
    """Measure how soon rows are there, and how soon a search has its answer."""
    with watched(store) as seen:
        page = seen.page

        def load() -> None:
            seen.open("/").locator(".ag-row").first.wait_for()

        def search() -> None:
            page.get_by_label("Search names").fill("circuit_3")
            page.locator(".ag-row", has_text="circuit_4").first.wait_for(
                state="detached"
            )

        loads, searches = list[float](), list[float]()
        for _ in range(LOADS):
            loads.append(timed(load))
            searches.append(timed(search))
    taken = {"until rows can be used": loads, "until a search is answered": searches}
    show(f"The list of {RECORDS:,} calls", taken, "s")


def liveness(store: Path) -> None:
    """Measure how soon a call is seen that another program made."""
    with watched(store) as seen:
        found = []
        for number in range(CHANGES):
            call = call_of(RECORDS + number, name=f"new_{number}")
            write(store, [call], [entry_of(call)])
            row = seen.page.locator(".ag-row", has_text=call.name)
            found.append(timed(row.first.wait_for))
    show("From the end of its writing to the screen", {"a new call": found}, "s")


def cost(store: Path) -> None:
    """Measure how much longer calls take while somebody looks at the list of them."""
    circuit = ct.qelectron(
        qml.QNode(lambda x: (qml.RX(x, 0), qml.expval(qml.Z(0)))[1], _device()),
        store=store,
    )

    def calls() -> None:
        for number in range(CALLS):
            circuit(1e-3 * number)

    ratios = []
    for _ in range(ROUNDS):
        alone = timed(calls)
        with watched(store):
            ratios.append(timed(calls) / alone)
    show(f"{CALLS} calls, looked at, against alone", {"ratio": ratios}, "×")


def _device() -> Any:
    return qml.device("default.qubit", wires=1)


def main() -> None:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store.sqlite3"
        fill(store, RECORDS)
        loading(store)
        liveness(store)
        cost(store)


if __name__ == "__main__":
    main()

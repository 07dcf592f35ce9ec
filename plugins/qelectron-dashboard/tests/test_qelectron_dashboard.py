"""What somebody sees who opens the dashboard: the list of calls."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dashboard_browser import Seen, looking_at, needs_browser

needs_browser()

#: A program that runs circuits and keeps what it ran in a store.
PROGRAM = """
import pennylane as qml
import qelectron_core as ct
from qelectron_core.testing import FakeCloud

@ct.qelectron(executors=FakeCloud(name="london"))
@qml.qnode(qml.device("default.qubit", wires=1))
def {name}(x):
    qml.RX(x, wires=0)
    return qml.expval(qml.Z(0))

{name}.map([0.1] * {circuits})
"""


def run_program(store: Path, name: str = "bell", circuits: int = 1) -> None:
    """Run circuits in another process, which keeps them in a store."""
    subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name, circuits=circuits)],
        env=os.environ | {"QELECTRON_STORE": str(store)},
        check=True,
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "store.sqlite3"
    run_program(store)
    return store


@pytest.fixture
def seen(store: Path, tmp_path: Path) -> Iterator[Seen]:
    with looking_at(store, tmp_path / "browser") as seen:
        yield seen


def test_calls_are_listed(seen: Seen) -> None:
    row = seen.page.locator(".ag-row").first
    assert "bell" in row.inner_text()
    assert "completed" in row.inner_text()
    assert seen.page.get_by_text("1 of 1 calls").is_visible()


def test_what_another_process_runs_is_seen_at_once(seen: Seen, store: Path) -> None:
    seen.page.locator(".ag-row").first.wait_for()
    run_program(store, "ghz")
    seen.page.get_by_text("ghz").wait_for(timeout=2000)


def test_calls_are_searched(seen: Seen, store: Path) -> None:
    run_program(store, "ghz")
    page = seen.page
    page.get_by_text("ghz").wait_for()
    page.get_by_label("Search names").fill("bel")
    page.get_by_text("ghz").wait_for(state="detached")
    assert page.locator(".ag-center-cols-container .ag-row").count() == 1

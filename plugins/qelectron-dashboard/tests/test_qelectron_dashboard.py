"""What somebody sees who opens the dashboard: the list of calls."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dashboard_browser import Seen, browser, dashboard_of, looking_at, needs_browser
from dashboard_records import call_of, entry_of, fill, write

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

print({name}.map([0.1] * {circuits}))
"""
#: What would run, or be drawn, or break a table, were it taken for more than a text.
HOSTILE = [
    "<img src=x onerror=\"document.title='taken'\">",
    "<script>document.title='taken'</script>",
    "{{ document.title='taken' }}",
    "`${document.title='taken'}`",
    "</script><svg onload=document.title='taken'>",
    "':alert(1)",
    "\u202egnitratS \x1b[31m\x00\n\t",
    "javascript:document.title='taken'",
    "x" * 100_000,
]


def run_program(store: Path, name: str = "bell", circuits: int = 1) -> None:
    """Run circuits in another process, which keeps them in a store."""
    subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name, circuits=circuits)],
        env=os.environ | {"QELECTRON_STORE": str(store)},
        check=True,
        timeout=100,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("calls") / "store.sqlite3"
    run_program(store)
    return store


@pytest.fixture(scope="module")
def seen(store: Path) -> Iterator[Seen]:
    with looking_at(store, store.with_name("browser")) as seen:
        yield seen


def test_calls_are_listed(seen: Seen) -> None:
    row = seen.open("/").locator(".ag-row", has_text="bell")
    assert "completed" in row.inner_text()
    assert "FakeCloud" in row.inner_text()


def test_what_another_process_runs_is_seen_within_two_seconds(
    seen: Seen, store: Path
) -> None:
    page = seen.open("/")
    page.get_by_text("bell").wait_for()
    run_program(store, "ghz")
    page.get_by_text("ghz").wait_for(timeout=2000)


def test_calls_are_searched_and_filtered(seen: Seen, store: Path) -> None:
    failed = call_of(1, name="shor", executors="Faulty()")
    line = entry_of(failed, state="failed", error="ValueError: no")
    write(store, [failed], [line])
    page = seen.open("/")
    page.get_by_text("shor").wait_for()
    rows = page.locator(".ag-center-cols-container .ag-row")
    page.get_by_label("Search names").fill("bel")
    page.get_by_text("shor").wait_for(state="detached")
    assert rows.count() == 1
    page.get_by_label("Search names").fill("")
    page.get_by_label("Executor", exact=True).fill("Faulty")
    page.get_by_text("bell").wait_for(state="detached")
    assert rows.count() == 1
    page.get_by_label("Executor", exact=True).fill("")
    page.get_by_text("bell").wait_for()
    page.get_by_label("State", exact=True).click()
    page.get_by_role("option", name="failed").click()
    page.get_by_text("bell").wait_for(state="detached")
    assert "shor" in rows.inner_text()


def test_calls_are_opened_by_keys_alone(seen: Seen) -> None:
    page = seen.open("/")
    cell = page.locator(".ag-row .ag-cell[col-id=state]").first
    cell.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/call/*")
    page.keyboard.press("1")
    page.wait_for_url(f"{seen.dashboard.address}/")


def test_two_calls_are_chosen_to_be_compared(seen: Seen, store: Path) -> None:
    write(store, [call_of(2, name="first")], [entry_of(call_of(2))])
    page = seen.open("/")
    page.get_by_text("first").wait_for()
    compare = page.get_by_role("button", name="Compare")
    assert compare.is_disabled()
    for box in page.locator(".ag-row .ag-checkbox-input").all()[:2]:
        box.check()
    compare.click()
    page.wait_for_url("**/compare?one=*&other=*")


def test_colours_can_be_chosen_and_stay(seen: Seen) -> None:
    page = seen.open("/")
    before = page.locator("body").get_attribute("class")
    page.get_by_role("button", name="Colours").click()
    page.locator("body.body--dark").wait_for()
    seen.open("/").locator("body.body--dark").wait_for()
    for _ in range(2):
        page.get_by_role("button", name="Colours").click()
    page.locator("body.body--light").wait_for()
    assert "dark" not in str(before)


def test_text_of_others_is_nothing_but_text(seen: Seen, store: Path) -> None:
    calls = [
        call_of(10**5 + n, name=text, executors=text) for n, text in enumerate(HOSTILE)
    ]
    write(store, calls, map(entry_of, calls))
    page = seen.open("/")
    page.get_by_text(HOSTILE[0]).first.wait_for()
    assert page.locator(".ag-row img, .ag-row script, .ag-row svg").count() == 0
    assert page.title() == "Calls · qelectron"


def test_a_new_user_is_told_what_to_do(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite3"
    write(store, [], [])
    with looking_at(store, tmp_path / "browser") as seen:
        seen.page.get_by_text("qelectron demo").wait_for()
        run_program(store)
        seen.page.locator(".ag-row", has_text="bell").wait_for()


def test_a_hundred_thousand_calls_are_listed_and_searched(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite3"
    fill(store, 100_000)
    oldest = call_of(-1, name="the_oldest")
    write(store, [oldest], [entry_of(oldest)])
    with looking_at(store, tmp_path / "browser") as seen:
        page = seen.page
        page.get_by_text("1,000 of 100,001 calls").wait_for()
        page.get_by_role("button", name="Show older ones").click()
        page.get_by_text("4,000 of 100,001 calls").wait_for()
        newest = page.locator('.ag-center-cols-container [row-index="0"]')
        newest.get_by_text(call_of(99_999).id).wait_for()
        page.get_by_label("Search names").fill("oldest")
        page.locator(".ag-row", has_text="the_oldest").wait_for()


def test_a_dashboard_that_hangs_keeps_no_circuit_waiting(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite3"
    run_program(store)
    with dashboard_of(store) as dashboard:
        with browser(tmp_path / "browser") as context:
            context.pages[0].goto(dashboard.link)
            context.pages[0].locator(".ag-row").first.wait_for()
            dashboard.process.send_signal(signal.SIGSTOP)
            try:
                run_program(store, circuits=200)
            finally:
                dashboard.process.send_signal(signal.SIGCONT)
        run_program(store, circuits=200)  # its browser has gone


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_kill_end_it_in_order(tmp_path: Path, how: signal.Signals) -> None:
    store = tmp_path / "store.sqlite3"
    write(store, [], [])
    with dashboard_of(store) as dashboard, browser(tmp_path / "browser") as context:
        context.pages[0].goto(dashboard.link)
        dashboard.process.send_signal(how)
        said, _ = dashboard.process.communicate(timeout=60)
    assert said.endswith("Stopped.\n")
    assert "Traceback" not in said
    assert dashboard.process.returncode == 0

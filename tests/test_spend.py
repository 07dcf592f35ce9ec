"""What was spent per day: counted as it is limited, and shown as it is counted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pennylane as qml
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

import qelectron_core as ct
from qelectron_core import budget as budgets
from qelectron_core.cli import cli
from qelectron_core.cli.signs import bar
from qelectron_core.memory_store import MemoryStore
from qelectron_core.runtime import runtime
from qelectron_core.runtime.daily import DaySpent, days
from qelectron_core.testing import FakeCloud

NOTHING = ct.Spent(shots=0, circuits=0, jobs=0, cost_usd=0.0, seconds=0.0)
NO_LIMITS = ct.Spent(None, None, None, None, None)
LIMITS = ct.Budget(shots=1000, cost_usd=2.0)


class Lasting(MemoryStore):
    """Says that it outlives the process, as a file does."""

    durable: ClassVar[bool] = True


class Early(Lasting):
    """Counts nothing, as no store did at first."""

    reserve = ct.Store.reserve
    settle = ct.Store.settle
    balance = ct.Store.balance


@pytest.fixture(autouse=True)
def _shutdown(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("QELECTRON_DAILY_BUDGET", raising=False)
    yield
    ct.shutdown()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """Return the store that the command opens."""
    return _usual(monkeypatch, Lasting())


def _usual(monkeypatch: pytest.MonkeyPatch, store: MemoryStore) -> MemoryStore:
    def open_store(location: Any = None) -> MemoryStore:
        assert location is None
        return store

    monkeypatch.setattr("qelectron_core.runtime.stores.open_store", open_store)
    return store


def day(n: int) -> str:
    """Return the day so many days before today."""
    return (date.fromisoformat(budgets.today()) - timedelta(n)).isoformat()


def spend(store: MemoryStore, n: int = 0, **amounts: int) -> None:
    """Note what was spent on a day so many days before today."""
    store.settle(f"day {day(n)}", {}, amounts)


def all_units(shots: int, cost_usd: float = 0.0) -> dict[str, int]:
    nano = round(cost_usd * 10**9)
    return {
        "shots": shots,
        "circuits": 2,
        "jobs": 1,
        "nano_usd": nano,
        "nano_seconds": 5 * 10**8,
    }


def run(*args: str) -> Result:
    return CliRunner(env={"COLUMNS": "100"}).invoke(cli, ["spend", *args])


def shown(*args: str) -> str:
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def row(text: str, title: str) -> list[str]:
    """Return the cells of the line that begins with a title."""
    (line,) = [one for one in text.splitlines() if one.startswith(f"{title} ")]
    return line.split()


# --- The days of a store --------------------------------------------------------------


def test_days_are_what_a_daily_budget_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QELECTRON_DAILY_BUDGET", "shots=250,cost_usd=1")
    machine, store = FakeCloud(name="spend", price_usd_per_job=0.2), MemoryStore()

    @ct.qelectron(executors=machine, store=store)
    @qml.qnode(qml.device("default.qubit", wires=1), shots=100)
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    circuit(0.1)
    circuit(0.2)
    with pytest.raises(ct.BudgetError):
        circuit(0.3)
    (found,) = days(store, budget=budgets.daily_budget())
    assert found.day == budgets.today()
    assert found.spent == ct.Spent(200, 2, 2, 0.4, 0.0)
    assert found.held == NOTHING
    assert found.left == ct.Spent(50, None, None, 0.6, None)
    assert found.spent == runtime().keeper(store).daily("shots=250,cost_usd=1").spent


def test_what_is_sent_without_a_daily_budget_is_not_counted() -> None:
    store = MemoryStore()

    @ct.qelectron(executors="Echo", store=store)
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit() -> Any:
        return qml.expval(qml.Z(0))

    circuit()
    assert days(store) == [DaySpent(day(0), NOTHING, NOTHING, NO_LIMITS)]


def test_days_come_newest_first_and_those_without_spending_are_left_out() -> None:
    store = MemoryStore()
    for n in (1, 4, 7):
        spend(store, n, **all_units(10 * n))
    found = days(store, 7)
    assert [one.day for one in found] == [day(0), day(1), day(4)]
    assert [one.spent.shots for one in found] == [0, 10, 40]
    assert [one.day for one in days(store, 8)] == [day(0), day(1), day(4), day(7)]
    assert [one.day for one in days(store, 1)] == [day(0)]


def test_what_is_held_is_not_left() -> None:
    store = MemoryStore()
    spend(store, **all_units(100, 0.25))
    store.reserve(f"day {day(0)}", {"shots": 300, "nano_usd": 5 * 10**8}, {})
    spend(store, 1, **all_units(7))
    today, yesterday = days(store, budget=LIMITS)
    assert today.held == ct.Spent(300, 0, 0, 0.5, 0.0)
    assert today.left == ct.Spent(600, None, None, 1.25, None)
    assert yesterday.left == NO_LIMITS


def test_what_is_held_of_yesterday_is_told() -> None:
    store = MemoryStore()
    store.reserve(f"day {day(1)}", {"shots": 5}, {})
    assert [(one.day, one.held.shots) for one in days(store)] == [
        (day(0), 0),
        (day(1), 5),
    ]


def test_nothing_is_left_of_a_budget_that_was_made_smaller() -> None:
    store = MemoryStore()
    spend(store, shots=5000)
    assert days(store, budget=LIMITS)[0].left.shots == 0


def test_what_no_executor_knew_is_unknown() -> None:
    store = MemoryStore()
    spend(store, shots=10, circuits=1, jobs=1)
    assert days(store)[0].spent == ct.Spent(10, 1, 1, None, None)


def test_looking_leaves_a_store_as_it_is() -> None:
    store = MemoryStore()
    days(store, 30)
    assert store._ledgers._spent == store._ledgers._held == {}


# --- The command ----------------------------------------------------------------------


def test_today_is_shown_with_its_limits(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QELECTRON_DAILY_BUDGET", "shots=100000,cost_usd=5")
    spend(store, **all_units(25_000, 1.5))
    store.reserve(f"day {day(0)}", {"shots": 5000}, {})
    text = shown()
    assert text.startswith(f"Today, {day(0)} (UTC)\n")
    assert text.splitlines()[1].split() == ["spent", "held", "limit", "left"]
    assert row(text, "shots")[1:5] == ["25,000", "5,000", "100,000", "70,000"]
    assert row(text, "shots")[-2:] == ["30", "%"]
    assert row(text, "cost")[1:5] == ["$1.50", "$0.00", "$5.00", "$3.50"]
    assert row(text, "circuits") == ["circuits", "2", "0"]
    assert row(text, "time") == ["time", "0.5", "s", "0", "s"]
    assert "Before" not in text
    assert "No daily budget" not in text


def test_days_before_are_shown_below(store: MemoryStore) -> None:
    spend(store, 1, **all_units(1000, 0.125))
    spend(store, 3, shots=5, circuits=1, jobs=1)
    text = shown()
    assert row(text, day(1)) == [day(1), "1,000", "2", "1", "$0.125", "0.5", "s"]
    assert row(text, day(3)) == [day(3), "5", "1", "1", "unknown", "unknown"]
    assert text.index(day(1)) < text.index(day(3))
    assert day(3) not in shown("--days", "3")


def test_how_to_set_a_daily_budget_is_told_if_there_is_none(store: MemoryStore) -> None:
    text = " ".join(shown().split())
    assert "No daily budget is set: what is sent now is not counted." in text
    assert "qelectron config set daily_budget shots=100000,cost_usd=5" in text
    assert "limit" not in text.partition("No daily")[0]


@pytest.mark.parametrize(
    ("spent", "colour"), [(100, "green"), (850, "yellow"), (1000, "red")]
)
def test_at_a_terminal_a_bar_fills(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, spent: int, colour: str
) -> None:
    monkeypatch.setenv("QELECTRON_DAILY_BUDGET", "shots=1000")
    spend(store, shots=spent, circuits=1, jobs=1)
    codes = {"green": "32", "yellow": "33", "red": "31"}
    env = {"FORCE_COLOR": "1", "TERM": "xterm", "NO_COLOR": ""}
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = CliRunner(env=env).invoke(cli, ["spend"], color=True).stdout
    assert f"\x1b[{codes[colour]}m" in text
    assert ("█" * (spent // 50)) in text


def test_a_limit_of_nothing_is_used_up(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QELECTRON_DAILY_BUDGET", "cost_usd=0")
    assert row(shown(), "cost")[-2:] == ["100", "%"]


def test_bars_are_plain_where_a_terminal_has_no_sign() -> None:
    class Plain(Console):
        @property
        def encoding(self) -> str:
            return "ascii"

    assert bar(Plain(), 0.5, 4) == "##.."
    assert bar(Plain(), 7, 2) == "##"
    assert bar(Plain(), -1, 2) == ".."


def test_json_holds_all_of_it(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend(store, 2, shots=10, circuits=1, jobs=1)
    zero = attrs.asdict(NOTHING)
    none = attrs.asdict(NO_LIMITS)
    before = {
        "day": day(2),
        "spent": {**none, "shots": 10, "circuits": 1, "jobs": 1},
        "held": zero,
        "left": none,
    }
    today = {"day": day(0), "spent": zero, "held": zero, "left": none}
    found = json.loads(shown("--json"))
    assert found == {"daily_budget": None, "days": [today, before]}

    monkeypatch.setenv("QELECTRON_DAILY_BUDGET", "shots=100")
    found = json.loads(shown("--json", "--days", "1"))
    limits = {**none, "shots": 100}
    assert found == {"daily_budget": limits, "days": [{**today, "left": limits}]}


@pytest.mark.parametrize("days", ["0", "-1", "367", "many"])
def test_a_number_of_days_that_is_none_is_refused(
    store: MemoryStore, days: str
) -> None:
    assert run("--days", days).exit_code == 2


def test_a_daily_budget_that_cannot_be_read_is_said(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QELECTRON_DAILY_BUDGET", "cost=5")
    with pytest.raises(ct.ConfigError, match="'cost' is no limit"):
        cli.main(["spend"], standalone_mode=False)


def test_a_store_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _usual(monkeypatch, MemoryStore())
    with pytest.raises(ct.StoreError, match=r"store is in memory.*pass --store"):
        cli.main(["spend"], standalone_mode=False)


def test_a_store_that_counts_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _usual(monkeypatch, Early())
    with pytest.raises(ct.StoreError, match="Early does not count what is spent"):
        cli.main(["spend"], standalone_mode=False)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = os.fspath(tmp_path / "other.sqlite3")
    with pytest.raises(ct.StoreError, match=r"there is no file '.*other.sqlite3'"):
        cli.main(["spend", "--store", path], standalone_mode=False)
    assert not os.path.exists(path)


def test_a_file_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite = pytest.importorskip("qelectron_sqlite.store")
    path = os.fspath(tmp_path / "own.sqlite3")
    kept = sqlite.SqliteStore(path)
    spend(kept, 1, **all_units(123))
    kept.reserve(f"day {day(0)}", {"shots": 45}, {})
    try:
        found = json.loads(shown("--store", path, "--json"))["days"]
    finally:
        kept.close()
    assert [one["held"]["shots"] for one in found] == [45, 0]
    assert [one["spent"]["shots"] for one in found] == [0, 123]

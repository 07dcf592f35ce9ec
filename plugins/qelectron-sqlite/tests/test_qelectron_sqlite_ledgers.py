"""What is spent of budgets: one count for all processes that use a file."""

import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qelectron_core.memory_ledgers import Ledgers
from qelectron_core.store import Balance
from qelectron_sqlite.store import SqliteStore

WAIT_S = 120
SPENDING = """
    import sys
    from qelectron_sqlite.store import SqliteStore

    store = SqliteStore(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    granted = 0
    for amount in map(int, sys.argv[2:]):
        wanted = {"shots": amount}
        if store.reserve("day", wanted, {"shots": 100}).granted:
            granted += amount
            store.settle("day", wanted, wanted)
        else:
            print("refused", amount)
    print("granted", granted)
"""
CALLING = """
    import sys
    import pennylane as qml
    import qelectron_core as ct
    from qelectron_core.testing import FakeCloud

    @ct.qelectron(executors=FakeCloud(price_usd_per_job=0.1), store=sys.argv[1])
    @qml.qnode(qml.device("default.qubit", wires=1), shots=10)
    def circuit(x):
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    print("ready", flush=True)
    sys.stdin.readline()
    granted = 0
    for _ in range(8):
        try:
            circuit(0.1)
            granted += 1
        except ct.BudgetError as error:
            assert "daily budget" in str(error), error
    print("granted", granted)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path)) as opened:
        yield opened


def run_together(script: str, path: Path, each: list[list[str]]) -> list[str]:
    """Run a script in several processes that begin at the same moment."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(path), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for arguments in each
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    said = []
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in started:
        said.append(process.communicate(timeout=WAIT_S)[0])
        assert process.returncode == 0
    return said


def test_processes_together_spend_all_that_fits_and_no_more(
    path: Path, store: SqliteStore
) -> None:
    amounts = [str(1 + n % 3) for n in range(40)]
    said = run_together(SPENDING, path, [amounts, amounts[::-1], amounts])
    words = [line.split() for text in said for line in text.splitlines()]
    granted = sum(int(amount) for word, amount in words if word == "granted")
    assert granted == store.balance("day").spent["shots"] == 100
    assert not any(store.balance("day").held.values())
    assert any(word == "refused" for word, _ in words)


def test_a_daily_budget_holds_for_all_processes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QELECTRON_DAILY_BUDGET", "cost_usd=1")
    said = run_together(CALLING, path, [[], []])
    assert sum(int(text.split()[-1]) for text in said) == 10


def test_what_a_process_holds_is_free_once_it_has_ended(
    path: Path, store: SqliteStore
) -> None:
    script = """
        import os, sys
        from qelectron_sqlite.store import SqliteStore
        store = SqliteStore(sys.argv[1])
        assert store.reserve("day", {"shots": 100}, {"shots": 100}).granted
        store.settle("day", {"shots": 1}, {"shots": 1})
        print("held", flush=True)
        sys.stdin.readline()
        os._exit(0)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    wanted = {"shots": 2}
    answer = store.reserve("day", wanted, {"shots": 100})
    assert (answer.granted, answer.held) == (False, {"shots": 99})
    process.communicate("\n", timeout=WAIT_S)
    assert store.reserve("day", wanted, {"shots": 100}).granted
    assert store.balance("day").spent == {"shots": 1}


UNITS = st.sampled_from(["shots", "jobs"])
AMOUNTS = st.dictionaries(UNITS, st.integers(0, 9))
STEPS = st.lists(
    st.tuples(st.just("reserve"), AMOUNTS, AMOUNTS)
    | st.tuples(st.just("settle"), AMOUNTS, st.dictionaries(UNITS, st.integers(-5, 9))),
    max_size=12,
)


@given(steps=STEPS)
@settings(max_examples=50, deadline=None)
def test_it_counts_as_memory_does(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, dict[str, int], dict[str, int]]],
) -> None:
    path = tmp_path_factory.mktemp("ledgers") / "store.sqlite3"
    model = Ledgers()
    with closing(SqliteStore(path)) as store:
        for step, one, other in steps:
            if step == "reserve":
                answers = [of.reserve("a", one, other) for of in (store, model)]
                assert same(*answers)
            else:
                held = model.balance("a").held
                freed = {unit: min(n, held.get(unit, 0)) for unit, n in one.items()}
                for of in (store, model):
                    of.settle("a", freed, other)
            assert same(store.balance("a"), model.balance("a"))


def same(one: Balance, other: Balance) -> bool:
    pairs = ((one.spent, other.spent), (one.held, other.held))
    return one.granted == other.granted and all(
        a.get(unit, 0) == b.get(unit, 0) for a, b in pairs for unit in ("shots", "jobs")
    )


def test_what_was_spent_long_ago_is_forgotten(path: Path) -> None:
    with closing(SqliteStore(path, max_age_days=1)) as store:
        store.settle("day", {}, {"shots": 3})
        store._trim()
        assert store.balance("day").spent == {"shots": 3}
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE spent SET at = at - 2 * 24 * 3600")
        store._trim()
        assert store.balance("day").spent == {}

"""The command `again`: what it tells, asks, runs and prints."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pennylane as qml
import pytest
from click.testing import CliRunner, Result
from pennylane.tape import QuantumScript

import qelectron_core as ct
from qelectron_core.cli import cli
from qelectron_core.contracts import Executor
from qelectron_core.runtime import Runtime, use
from qelectron_core.store import Call, Entry
from qelectron_core.testing import FakeCloud, Faults
from qelectron_sqlite.store import SqliteStore

# What is run again here ran on it.
pytest.importorskip("qelectron_simulator", reason="needs qelectron-simulator")

CIRCUIT = QuantumScript([qml.RX(0.3, 0), qml.CNOT([0, 1])], [qml.expval(qml.Z(1))])
SINGLE = json.dumps({"shape": 0, "shot_vector": False})
ID = "call-a-1"

_names = (f"again-cli-{number}" for number in itertools.count())


def cloud(**options: Any) -> FakeCloud:
    """Return a fake cloud with a vendor that no other test has."""
    return FakeCloud(name=next(_names), **options)


@pytest.fixture(autouse=True)
def _own_runtime() -> Iterator[None]:
    with use(Runtime()):
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture
def fill(path: Path) -> Callable[..., None]:
    """Write a call to the file, of as many circuits as there are executors."""

    def write(*executors: Any, output: str | None = SINGLE, **other: Any) -> None:
        call = Call(ID, "energy", "as written", len(executors), 1.0, output=output)
        facts = {"state": "completed", "circuit": CIRCUIT, "value": 0.5, **other}
        entries = [
            Entry(ID, index, executor=str(one), submitted_at=1.0, **facts)
            for index, one in enumerate(executors)
        ]
        store = SqliteStore(path)
        store.write([call], entries)
        store.close()

    return write


@pytest.fixture
def run(path: Path) -> Callable[..., Result]:
    """Run the command on the file."""

    def invoke(*args: str, **options: Any) -> Result:
        arguments = ["again", *args, "--store", str(path)]
        runner = CliRunner(env={"COLUMNS": "160"})
        return runner.invoke(cli, arguments, prog_name="qelectron", **options)

    return invoke


def ok(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def calls(path: Path) -> list[str]:
    """Return the ids of what is on record."""
    return [run.id for run in ct.history(store=str(path))]


@pytest.mark.parametrize("id", [ID, "call-a", "a-1"])
def test_a_call_runs_again_without_a_question_where_nothing_is_paid(
    fill: Any, run: Any, path: Path, id: str
) -> None:
    fill("Simulator()")
    result = run(id)
    assert ok(result) == "0.95533649\n"
    assert "Of call-a-1, energy:\n  1 circuit, exact, 1 job, $0.00 on Simulator()" in (
        result.stderr
    )
    (new,) = [one for one in calls(path) if one != ID]
    assert f"{new} is on record: qelectron show {new}" in result.stderr


def test_circuits_go_where_they_went_and_come_as_a_list(fill: Any, run: Any) -> None:
    fill("Echo(value=0.25)", "Simulator()", "Echo(value=0.75)", output=None)
    assert ok(run(ID, "--yes")) == "0: 0.25\n1: 0.95533649\n2: 0.75\n"


def test_as_json(fill: Any, run: Any, path: Path) -> None:
    fill("Echo(value=0.25)", "Echo(value=0.75)", output=None)
    found = json.loads(ok(run(ID, "--yes", "--json")))
    assert found["again"] == ID
    assert found["id"] in calls(path)
    assert found["state"] == "completed"
    assert found["result"] == [0.25, 0.75]


def test_what_may_cost_is_asked_about(fill: Any, run: Any, path: Path) -> None:
    fake = cloud(price_usd_per_job=0.3, latency_s=0.01)
    fill(fake)
    result = run(ID, input="n\n")
    assert result.exit_code == 130
    assert fake.vendor.submitted == 0
    assert calls(path) == [ID]
    assert f"1 circuit, exact, 1 job, $0.30, 10 ms on {fake!r}" in result.stderr
    assert result.stdout == ""
    assert ok(run(ID, input="y\n")) == "0.95533649\n"
    assert ok(run(ID, "--yes")) == "0.95533649\n"
    assert fake.vendor.submitted == 2


def test_what_leaves_the_process_is_asked_about(fill: Any, run: Any) -> None:
    fake = cloud()
    fill(fake)
    assert run(ID, input="n\n").exit_code == 130
    fill("Echo()")
    assert run(ID, input="n\n").exit_code == 130


def test_it_can_run_elsewhere(fill: Any, run: Any) -> None:
    fill(cloud())
    assert ok(run(ID, "--executor", "simulator")) == "0.95533649\n"
    text = "Simulator(shots=100, seed=3)"
    result = run(ID, "--executor", text)
    assert ok(result) == ok(run(ID, "--executor", text)) != "0.95533649\n"
    assert "1 circuit, 100 shots, 1 job, $0.00 on Simulator(" in result.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Simulatr", "Did you mean 'Simulator'?"),
        ("Simulator(wrokers=1)", "Did you mean 'workers'?"),
        ("__import__('os').system('x')", "cannot be read|is neither"),
    ],
)
def test_an_executor_that_is_none_is_an_error(
    fill: Any, run: Any, path: Path, text: str, told: str
) -> None:
    fill("Simulator()")
    result = run(ID, "--executor", text)
    assert result.exit_code == 1
    assert any(one in result.stderr for one in told.split("|"))
    assert calls(path) == [ID]


def test_an_executor_that_cannot_be_made_again_is_asked_for(
    fill: Any, run: Any
) -> None:
    @attrs.frozen
    class Own(Executor):
        """Nobody registered it."""

    fill(Own())
    result = run(ID)
    assert result.exit_code == 1
    assert "an executor 'Own'" in result.stderr
    assert "on the command line --executor." in result.stderr
    assert "Traceback" not in result.output


def test_a_circuit_that_is_not_kept_is_an_error(fill: Any, run: Any) -> None:
    fill("Simulator()", circuit=None)
    result = run(ID)
    assert result.exit_code == 1
    assert "circuit 0 is not kept" in result.stderr


def test_a_device_is_said_again(fill: Any, run: Any) -> None:
    noisy = QuantumScript([qml.BitFlip(0.25, 0)], [qml.expval(qml.Z(0))])
    fill("Simulator()", circuit=noisy)
    result = run(ID)
    assert result.exit_code == 1
    assert "BitFlip" in result.stderr
    assert ok(run(ID, "--device", "default.mixed")) == "0.5\n"


def test_a_budget_refuses_before_anything_is_asked(
    fill: Any, run: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = cloud(price_usd_per_job=3)
    fill(fake)
    monkeypatch.setenv("QELECTRON_DAILY_BUDGET", "cost_usd=1")
    result = run(ID, "--yes")
    assert result.exit_code == 1
    assert "exceed the daily budget" in result.stderr
    assert fake.vendor.submitted == 0
    assert calls(path) == [ID]


def test_a_failure_is_told_in_one_message(fill: Any, run: Any) -> None:
    fill(cloud(faults=Faults(crashed=1.0)))
    result = run(ID, "--yes")
    assert result.exit_code == 1
    assert "Error: " in result.stderr
    assert "Traceback" not in result.output


def test_ctrl_c_cancels_it_at_the_vendor(
    fill: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = cloud(latency_s=600)
    fill(fake)

    def interrupt(futures: Any, _: float) -> None:
        while not futures[0].handles:
            pass
        raise KeyboardInterrupt

    monkeypatch.setattr("concurrent.futures.wait", interrupt)
    with use(Runtime()) as mine:
        assert run(ID, "--yes").exit_code == 130
        mine.shutdown()
    assert fake.vendor.cancelled == 1


def test_the_program_of_another_time_is_run_again_by_a_new_one(path: Path) -> None:
    code = (
        "import pennylane as qml, qelectron_core as ct, sys\n"
        "@ct.qelectron(store=sys.argv[1])\n"
        "@qml.qnode(qml.device('default.qubit', wires=1))\n"
        "def theirs(x):\n    qml.RX(x, 0)\n    return {'z': qml.expval(qml.Z(0))}\n"
        "future = theirs.run_later(0.3)\nfuture.result()\nprint(future.id)"
    )
    first = subprocess.run(
        [sys.executable, "-c", code, path], check=True, capture_output=True, text=True
    )
    command = [sys.executable, "-c", "from qelectron_core.cli import main; main()"]
    command += ["again", first.stdout.strip(), "--store", str(path)]
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert again.stdout == "z: 0.95533649\n"

"""What other processes know of a dispatch, and how they go on with it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import qelectron_core as ct
from qelectron_core.cli import cli
from qelectron_dask.workflow import records
from qelectron_dask.workflow.states import CallSummary, ElectronRun

PROGRAM = Path(__file__).parent / "crash_workflows.py"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What came of programs that dispatch and are killed."""
    pytest.importorskip("qelectron_sqlite", reason="only a file outlives a process")
    if not hasattr(os, "fork"):
        pytest.skip("processes are forked")
    folder = tmp_path_factory.mktemp("workflows")
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder)],
        env={**os.environ, "QELECTRON_STORE": str(folder / "store.sqlite3")},
        stdout=subprocess.PIPE,
        text=True,
        timeout=240,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_dispatch_whose_process_was_killed_is_lost_and_says_how_to_go_on(
    told: Any,
) -> None:
    before = told["after a crash"]["before"]
    assert before["status"] == "lost"
    assert before["states"] == ["completed", "completed", "running", "waiting"]
    assert f"Go on with ct.redispatch('{before['id']}')()" in before["error"]


def test_a_redispatch_of_a_redispatch_pays_for_no_circuit_again(told: Any) -> None:
    crash = told["after two crashes"]
    assert crash["after"]["status"] == "completed"
    assert crash["after"]["value"][0]["value"] == pytest.approx(crash["expected"])
    assert crash["submitted"] == [1, 1, 1, 1]


def test_a_redispatch_goes_on_after_a_crash(told: Any) -> None:
    crash = told["after a crash"]
    after = crash["after"]
    assert after["status"] == "completed"
    assert after["reused"] == [True, True, False, False]
    assert crash["log"] == ["prepare", "prepare", "measure", "measure", "finish"]
    first, second = after["value"]
    assert first["value"] == pytest.approx(crash["expected"])
    assert second == [1.3, 1.3 + 0.1, 1.3 + 0.2]


def test_no_circuit_of_an_interrupted_electron_is_submitted_twice(told: Any) -> None:
    # Three of them had ended, and one was at the vendor, when the process was killed.
    assert told["after a crash"]["submitted"] == [1, 1, 1, 1]


def test_any_process_gets_the_result(told: Any) -> None:
    crash = told["after a crash"]
    assert crash["seen by others"] == crash["after"]


def test_a_dispatch_is_cancelled_from_another_process(told: Any) -> None:
    states = ["completed", "completed", "cancelled", "cancelled"]
    for who in ("own", "seen"):
        assert told["cancelled"][who]["status"] == "cancelled"
        assert told["cancelled"][who]["states"] == states


def test_what_cannot_be_kept_is_run_again_and_it_is_said_why(told: Any) -> None:
    unkept = told["unkept"]
    assert unkept["own"]["value"] == unkept["again"]["value"] == [2, 1]
    assert unkept["seen"]["value"] == [2, 1]
    assert "result['set'] is a builtins.set" in unkept["seen"]["unkept"][0]
    assert unkept["again"]["reused"] == [False] * 3


# --- How it is written ----------------------------------------------------------------

TEXTS = st.text(max_size=30)
NUMBERS = st.none() | st.floats(0, 2e9)
SUMMARIES = st.builds(
    CallSummary,
    id=TEXTS,
    circuits=st.integers(0, 99),
    executors=st.lists(TEXTS, max_size=2).map(tuple),
    shots=st.integers(0, 10**9),
    cost_usd=NUMBERS,
    failed=st.integers(0, 9),
    cached=st.integers(0, 9),
)
RUNS = st.builds(
    ElectronRun,
    number=st.integers(0, 999),
    name=TEXTS,
    state=st.sampled_from(["waiting", "running", "completed", "failed", "skipped"]),
    executor=TEXTS,
    parents=st.lists(st.integers(0, 99), max_size=3).map(tuple),
    attempt=st.integers(0, 9),
    started_at=NUMBERS,
    finished_at=NUMBERS,
    error=st.none() | TEXTS,
    traceback=st.none() | TEXTS,
    calls=st.lists(SUMMARIES, max_size=2).map(tuple),
    worker=TEXTS,
    reused=st.booleans(),
    dispatch_id=st.none() | TEXTS,
)
VALUES = st.recursive(
    st.none() | st.floats(allow_nan=False) | TEXTS | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner),
    max_leaves=8,
)


def document(body: bytes, part: str = "") -> ct.Document:
    return ct.Document(records.KIND, "dispatch-1", body, 0.0, part)


@given(run=RUNS, value=VALUES)
def test_what_is_known_of_an_electron_comes_back(run: ElectronRun, value: Any) -> None:
    whole = attrs.evolve(run, result=value if run.state == "completed" else None)
    back = records.read_electron(document(records.write_electron(whole)))
    assert attrs.asdict(back) == attrs.asdict(whole)


def test_a_result_comes_back_bit_for_bit() -> None:
    value = (np.linspace(0, 1, 5), {"00": 3}, np.float32(0.1), 1 + 2j)
    run = ElectronRun(0, "x", state="completed", result=value)
    back = records.read_electron(document(records.write_electron(run))).result
    np.testing.assert_equal(back, value)
    assert back[0].dtype == value[0].dtype
    assert type(back[2]) is np.float32


@given(
    body=st.binary(max_size=60)
    | st.builds(lambda run: records.write_electron(run)[:-9], RUNS)
)
def test_a_damaged_record_is_an_error_that_says_so(body: bytes) -> None:
    for read in (records.read_electron, records.read_header, records.read_output):
        with pytest.raises(ct.FormatError):
            read(document(body))


@pytest.mark.parametrize(
    "change",
    [
        {"names": 5},
        {"names": ["a", "b"]},
        {"parents": [[1]]},
        {"parents": [["0"]]},
        {"parents": [[0]]},
        {"at": "now"},
        {"more": 1},
    ],
)
def test_a_header_that_makes_no_sense_is_refused(change: Any) -> None:
    header = records.Header("x", "m:x", 0.0, "p", ("a",), ((),), ("f",))
    found = {**json.loads(records.write_header(header)), **change}
    with pytest.raises(ct.FormatError, match="Dispatch the lattice again"):
        records.read_header(document(json.dumps(found).encode()))


@pytest.mark.parametrize(
    "change", [{"state": "odd"}, {"number": "1"}, {"calls": [{}]}, {"parents": 3}]
)
def test_an_electron_that_makes_no_sense_is_refused(change: Any) -> None:
    head = json.loads(records.write_electron(ElectronRun(0, "x")).partition(b"\n")[0])
    with pytest.raises(ct.FormatError, match="Dispatch the lattice again"):
        records.read_electron(document(json.dumps({**head, **change}).encode()))


def test_a_record_of_another_version_is_refused() -> None:
    header = records.Header("x", "m:x", 0.0, "p", ("a",), ((),), ("f",))
    written = records.write_header(header)
    assert attrs.asdict(records.read_header(document(written))) == attrs.asdict(header)
    with pytest.raises(ct.FormatError, match="another version of qelectron-dask"):
        records.read_header(document(written.replace(b'"version":1', b'"version":2')))


# --- The command ----------------------------------------------------------------------


@ct.electron
def twice(x: int) -> int:
    return 2 * x


@pytest.fixture
def dispatch_id() -> str:
    workflow = ct.lattice(lambda x: [twice(x), twice(twice(x))])
    made: str = ct.dispatch(workflow)(4)
    assert ct.get_result(made, wait=True).result == [8, 16]
    return made


def run(*args: str) -> str:
    outcome: Any = CliRunner().invoke(
        cli, ["dispatches", *args], catch_exceptions=False
    )
    assert outcome.exit_code == 0, outcome.output
    return str(outcome.output)


def test_the_command_lists_dispatches_and_shows_one(dispatch_id: str) -> None:
    assert dispatch_id in run()
    shown = run(dispatch_id)
    assert shown.count("✓ completed") == 3
    assert shown.endswith("completed\n")


def test_the_command_prints_json(dispatch_id: str) -> None:
    (newest, *_) = json.loads(run("--json", "--limit", "1"))
    assert newest == json.loads(run(dispatch_id, "--json"))
    assert newest["dispatch_id"] == dispatch_id
    assert [one["parents"] for one in newest["electrons"]] == [[], [], [1]]


def test_the_command_draws(dispatch_id: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run(dispatch_id, "--draw", str(tmp_path / "graph.png"))
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_says_what_is_missing() -> None:
    outcome = CliRunner().invoke(cli, ["dispatches", "--cancel"])
    assert outcome.exit_code == 2
    assert "need the ID of one" in outcome.output
    outcome = CliRunner().invoke(cli, ["dispatches", "x"])
    assert outcome.exit_code == 1
    assert "no dispatch 'x' is known to the store" in outcome.output

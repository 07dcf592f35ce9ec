"""The commands: what they show of a store, and what they do to it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import attrs
import numpy as np
import pennylane as qml
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from pennylane.tape import QuantumScript
from rich.console import Console

from qelectron_core.cli import cli
from qelectron_core.contracts import Executor, Job, Seed, Settings
from qelectron_core.runtime import Runtime, use
from qelectron_core.store import Call, Entry, Intent, Kept, Key, RunState
from qelectron_core.testing import FakeCloud
from qelectron_sqlite.cli.drawing import MOST_DRAWN, drawn
from qelectron_sqlite.cli.plain import plain
from qelectron_sqlite.cli.results import result_lines
from qelectron_sqlite.cli.runs import STATES
from qelectron_sqlite.cli.texts import safe
from qelectron_sqlite.cli.times import date, moment, span
from qelectron_sqlite.store import SqliteStore

NOW = time.time()
CIRCUIT = QuantumScript(
    [qml.RX(0.3, 0), qml.CNOT([0, 1])], [qml.expval(qml.Z(1))], shots=None
)
COMMANDS = {
    "runs": [],
    "show": ["call-a-1"],
    "jobs": [],
    "attach": ["call-a-1"],
    "again": ["call-a-1"],
    "cancel": ["job-a-1"],
    "cache info": [],
    "cache prune": ["--older-than", "1d"],
    "cache clear": ["--yes"],
    "cache export": ["results"],
}
ALL = [*COMMANDS, "cache import"]


def call(id: str = "call-a-1", at: float = NOW - 200, **other: Any) -> Call:
    given = {"name": "energy", "executors": "Simulator()", "circuits": 1, **other}
    return Call(id=id, at=at, **given)


def entry(call_id: str = "call-a-1", index: int = 0, **other: Any) -> Entry:
    given = {
        "state": "completed",
        "executor": "Simulator()",
        "submitted_at": NOW - 200,
        "started_at": NOW - 197,
        "finished_at": NOW - 190,
        "job_id": "job-a-9",
        "job_size": 1,
        "circuit": CIRCUIT,
        "value": 0.955,
        **other,
    }
    return Entry(call_id=call_id, index=index, **given)


def intent(job_id: str = "job-a-1", executor: Any = None, **other: Any) -> Intent:
    given = {"circuits": (CIRCUIT,), "places": (("call-a-1", 0),), "at": NOW, **other}
    return Intent(job_id=job_id, executor=executor or FakeCloud(), **given)


def kept(number: int = 0) -> Kept:
    return Kept(Key(f"pool{number}"), 0.5, 0, "Simulator()", "job-a-9", NOW)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture
def fill(path: Path) -> Callable[..., None]:
    """Write to the file, as a program that has ended has."""

    def write(*records: Call | Entry | Kept, jobs: tuple[Intent, ...] = ()) -> None:
        store = SqliteStore(path)
        store.write(
            [one for one in records if isinstance(one, Call)],
            [one for one in records if isinstance(one, Entry)],
            [one for one in records if isinstance(one, Kept)],
        )
        for job in jobs:
            store.intend(job)
            if job.handle is not None:
                store.submitted(job.job_id, job.handle)
        store.close()

    return write


@pytest.fixture
def run(path: Path) -> Callable[..., Result]:
    """Run a command on the file."""

    def invoke(command: str, *args: str, **options: Any) -> Result:
        arguments = [*command.split(), *args, "--store", str(path)]
        return invoke_bare(arguments, **options)

    return invoke


def invoke_bare(arguments: list[str], **options: Any) -> Result:
    runner = CliRunner(env={"COLUMNS": "160", **options.pop("env", {})})
    return runner.invoke(cli, arguments, prog_name="qelectron", **options)


def ok(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


# --- runs -----------------------------------------------------------------------------


def test_runs_shows_a_call_on_one_line(fill: Any, run: Any) -> None:
    fill(call(), entry(shots=1000, cost_usd=0.3, executor="IBMQ(backend='x')"))
    (row,) = ok(run("runs")).splitlines()[1:]
    assert re.split(r"\s{2,}", row.strip()) == [
        moment(NOW - 200),
        "call-a-1",
        "energy",
        "IBMQ(backend='x')",
        "1",
        "1,000",
        "10 s",
        "$0.30",
        "completed",
    ]


def test_runs_shows_the_newest_first_and_says_when_there_are_more(
    fill: Any, run: Any
) -> None:
    fill(*(call(f"call-a-{n}", at=NOW - 100 + n) for n in range(5)))
    shown = ok(run("runs", "--limit", "2"))
    assert re.findall(r"call-a-\d", shown) == ["call-a-4", "call-a-3"]
    assert "the newest 2; --limit shows more" in shown
    assert "--limit" not in ok(run("runs"))


@pytest.mark.parametrize(
    "args",
    [
        ("--name", "ner"),
        ("--executor", "Sim"),
        ("--state", "failed"),
        ("--since", "1h"),
        ("--since", time.strftime("%Y-%m-%d", time.localtime(NOW - 3 * 86400))),
    ],
)
def test_runs_filters(fill: Any, run: Any, args: tuple[str, ...]) -> None:
    fill(
        call("call-wanted"),
        entry("call-wanted", state="failed", error="ValueError: no", value=None),
        call("call-other", at=NOW - 9 * 86400, name="other"),
        entry("call-other", executor="Echo()"),
    )
    shown = ok(run("runs", *args))
    assert "call-wanted" in shown
    assert "call-other" not in shown


def test_runs_says_when_nothing_is_there_or_nothing_matches(
    fill: Any, run: Any, path: Path
) -> None:
    fill()
    empty = " ".join(ok(run("runs")).split())
    assert "Nothing is kept in" in empty
    assert "Call a QElectron that uses this store" in empty
    assert ok(run("runs", "--name", "x")).startswith("No call is like that.")


def test_runs_as_json(fill: Any, run: Any) -> None:
    fill(call(), entry(shots=10, cost_usd=0.5))
    (shown,) = json.loads(ok(run("runs", "--json")))
    assert shown == {
        "id": "call-a-1",
        "name": "energy",
        "state": "completed",
        "at": pytest.approx(NOW - 200),
        "finished_at": pytest.approx(NOW - 190),
        "duration_s": pytest.approx(10),
        "circuits": 1,
        "states": {"completed": 1},
        "executors": ["Simulator()"],
        "shots": 10,
        "cost_usd": 0.5,
    }
    assert json.loads(ok(run("runs", "--json", "--name", "x"))) == []


def test_runs_knows_every_state() -> None:
    assert get_args(RunState) == STATES


def test_runs_leaves_out_later_ones(fill: Any, run: Any) -> None:
    fill(call("call-wanted", at=NOW - 9 * 86400), call("call-other", at=NOW - 200))
    shown = ok(run("runs", "--before", "1d"))
    assert "call-wanted" in shown
    assert "call-other" not in shown
    assert "No call is like that" in ok(run("runs", "--before", "90d"))


@pytest.mark.parametrize("when", ["yesterday", "2x", "2026-13-40"])
def test_a_moment_that_is_none_is_refused(run: Any, when: str) -> None:
    result = run("runs", "--since", when)
    assert result.exit_code == 2
    assert f"{when!r} is no moment. Expected a number and s, m, h, d or w" in (
        result.stderr
    )


# --- show -----------------------------------------------------------------------------


def test_show_tells_all_of_a_call(fill: Any, run: Any) -> None:
    fill(
        call(process="lab:12", versions={"pennylane": "0.45.1"}),
        entry(
            shots=100,
            handle="vendor-7",
            job_size=3,
            cost_usd=0.002,
            metadata={"machine": "m1"},
        ),
    )
    shown = ok(run("show", "call-a-1"))
    for told in (
        "call-a-1  energy  completed",
        f"({moment(NOW - 200)})",
        "lab:12",
        "pennylane 0.45.1",
        "0: ──RX(0.30)─╭●─┤",
        "1: ───────────╰X─┤  <Z>",
        "result     0.955",
        "3.0 s queued, 7.0 s running",
        "job-a-9 of 3 circuits, at the vendor vendor-7",
        "$0.002",
        "machine='m1'",
    ):
        assert told in shown, shown


def test_show_draws_when_it_waited_and_ran(fill: Any, run: Any) -> None:
    fill(call(), entry())
    assert "░" * 9 + "█" * 21 + "  " in ok(run("show", "call-a-1"))


def test_show_has_signs_for_every_terminal(fill: Any, run: Any) -> None:
    fill(call(), entry(circuit=None))
    result = run("show", "call-a-1", env={"PYTHONIOENCODING": "ascii"}, color=False)
    assert result.exit_code == 0
    console = Console(file=open(os.devnull, "w", encoding="ascii"))  # noqa: SIM115
    assert result_lines(console, {"0": 1}) == [f"0  1  {'#' * 20}"]
    console.file.close()


def test_show_tells_every_attempt_and_its_error(fill: Any, run: Any) -> None:
    failed = entry(state="retried", error="JobFailedError: it broke", value=None)
    fill(call(), failed, entry(attempt=2, submitted_at=NOW - 190))
    shown = ok(run("show", "call-a-1"))
    assert shown.index("attempt 1") < shown.index("it broke") < shown.index("attempt 2")
    assert "0.955" in shown


def test_show_tells_what_is_under_way_or_not_kept(fill: Any, run: Any) -> None:
    running: dict[str, Any] = {"finished_at": None, "value": None, "circuit": None}
    fill(
        call(circuits=4),
        entry(state="started", **running),
        entry(index=1, state="submitted", started_at=None, **running),
        entry(index=2, value=None),
        entry(index=3, state="cached"),
    )
    shown = ok(run("show", "call-a-1"))
    for told in (
        "running so far",
        "The circuit is not kept.",
        "not kept: too large for the journal",
        "from the cache; nothing was run",
    ):
        assert told in shown, shown


def test_show_stops_after_ten_circuits_unless_told(fill: Any, run: Any) -> None:
    fill(call(circuits=12), *(entry(index=n) for n in range(12)))
    some, every = ok(run("show", "call-a-1")), ok(run("show", "call-a-1", "--all"))
    assert some.count("RX(0.30)") == 10
    assert "… and 2 more circuits; --all shows them." in some
    assert every.count("RX(0.30)") == 12
    assert "--all" not in every


@pytest.mark.parametrize("id", ["call-a-11", "call-b", "b-2", "job-b-3", "vendor-3"])
def test_show_finds_what_is_meant(fill: Any, run: Any, id: str) -> None:
    fill(call("call-a-1"), call("call-a-11"), call("call-b-2"))
    fill(entry("call-b-2", job_id="job-b-3", handle="vendor-3"))
    expected = "call-a-11" if id == "call-a-11" else "call-b-2"
    assert ok(run("show", id)).startswith(expected)


def test_show_finds_a_call_by_its_open_job(fill: Any, run: Any) -> None:
    fill(call(), jobs=(intent("job-b-5", handle="vendor-5"),))
    assert ok(run("show", "job-b-5")).startswith("call-a-1")
    assert ok(run("show", "vendor-5")).startswith("call-a-1")


def test_show_says_when_it_is_not_clear_what_is_meant(fill: Any, run: Any) -> None:
    fill(*(call(f"call-a-{n}", at=NOW + n) for n in range(2, 9)))
    result = run("show", "call-a")
    assert result.exit_code == 1
    assert "'call-a' may be call-a-8, call-a-7" in result.stderr
    assert "and 2 more. Write more of the id." in result.stderr
    result = run("show", "nothing")
    assert result.exit_code == 1
    assert "nothing is known of 'nothing'" in result.stderr
    assert "qelectron runs" in result.stderr


def test_show_as_json(fill: Any, run: Any) -> None:
    fill(
        call(process="lab:12", versions={"numpy": "2"}),
        entry(value=(np.array([0.25, np.nan]), {"00": 3}), shots=4, handle="h"),
    )
    shown = json.loads(ok(run("show", "call-a-1", "--json")))
    assert list(shown)[-4:] == ["written_executors", "process", "versions", "attempts"]
    (attempt,) = shown["attempts"]
    assert attempt["result"] == [[0.25, "nan"], {"00": 3}]
    assert attempt["drawing"].startswith("0: ──RX(0.30)")
    fields = {field.name for field in attrs.fields(Entry)} - {"call_id"}
    assert set(attempt) == fields - {"circuit", "value"} | {"drawing", "result"}


# --- Results and drawings -------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.123456789123, ["0.12345679"]),
        (np.float64(1 / 3), ["0.33333333"]),
        (np.array(2.5), ["2.5"]),
        (1 + 2j, ["1+2j"]),
        (np.int64(7), ["7"]),
        (True, ["True"]),
        (np.array([0.5, 0.25]), ["[0.5  0.25]"]),
        ((0.5, np.array([1, 2])), ["0: 0.5", "1: [1 2]"]),
        ([], []),
    ],
)
def test_results_are_shown_as_people_read_them(value: Any, expected: list[str]) -> None:
    assert result_lines(Console(width=100), value) == expected


def test_counts_are_bars_of_the_most_frequent_first() -> None:
    lines = result_lines(Console(width=100), {"00": 25, "11": np.int64(100)})
    assert [line.split()[:2] for line in lines] == [["11", "100"], ["00", "25"]]
    assert [line.count("█") for line in lines] == [20, 5]


def test_long_results_are_abbreviated() -> None:
    console = Console(width=100)
    lines = result_lines(console, np.arange(100_000))
    assert len(lines) == 2
    assert lines[1].startswith("shape (100000,)")
    assert len(result_lines(console, tuple(range(1000)))) == 17
    assert result_lines(console, dict.fromkeys(map(str, range(50)), 1))[-1] == (
        "… 34 more outcomes"
    )


def test_a_long_circuit_is_drawn_in_part() -> None:
    long = QuantumScript([qml.X(0)] * (MOST_DRAWN + 5), [qml.expval(qml.Z(0))])
    assert drawn(long).endswith("… and 5 more operations")


def test_a_circuit_that_cannot_be_drawn_says_why() -> None:
    class Shy(qml.operation.Operation):
        num_wires = 1

        def label(self, *_: Any, **__: Any) -> str:
            raise ValueError("no label")

    assert drawn(QuantumScript([Shy(0)], [])) == "cannot be drawn: no label"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers()
    | st.text() | st.floats(width=32).map(np.float32) | st.floats().map(np.array)
    | st.lists(st.complex_numbers()).map(np.array) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)  # fmt: skip


@given(VALUES)
def test_every_result_becomes_json(value: Any) -> None:
    text = json.dumps(plain(value), allow_nan=False)
    assert json.loads(text) == plain(value)


# --- jobs -----------------------------------------------------------------------------


@pytest.fixture
def living(path: Path) -> Iterator[SqliteStore]:
    """The store of a program that goes on."""
    store = SqliteStore(path)
    yield store
    store.close()


def test_jobs_tells_which_are_orphans(fill: Any, run: Any, living: SqliteStore) -> None:
    fill(jobs=(intent("job-a-1", handle="vendor-1"), intent("job-a-2")))
    living.intend(intent("job-b-1"))
    lines = ok(run("jobs")).splitlines()
    rows = {line.split()[0]: line.split() for line in lines[1:4]}
    assert rows["job-a-1"][1] == "vendor-1"
    assert rows["job-a-2"][1] == "unknown"
    ends = {name: row[-1] for name, row in rows.items()}
    assert ends == {"job-a-1": "gone", "job-a-2": "gone", "job-b-1": "alive"}
    assert "qelectron attach ID" in lines[5]
    assert "Look for its tag" in lines[7]
    orphans = ok(run("jobs", "--orphans"))
    assert "job-a-1" in orphans
    assert "job-b-1" not in orphans


def test_jobs_says_when_there_is_none(fill: Any, run: Any) -> None:
    fill()
    assert ok(run("jobs")) == "No job is open at a vendor.\n"
    assert ok(run("jobs", "--orphans")) == "No job is left by a process that is gone.\n"


def test_jobs_as_json(fill: Any, run: Any) -> None:
    cloud = FakeCloud(name="json")
    fill(jobs=(intent(executor=cloud, handle="vendor-1"),))
    assert json.loads(ok(run("jobs", "--json"))) == [
        {
            "job_id": "job-a-1",
            "handle": "vendor-1",
            "executor": repr(cloud),
            "circuits": 1,
            "calls": ["call-a-1"],
            "at": pytest.approx(NOW),
            "alive": False,
        }
    ]


# --- attach ---------------------------------------------------------------------------


def at_vendor(name: str, latency_s: float = 0) -> Intent:
    """Return a job that a fake vendor has, of a call that went away."""
    cloud = FakeCloud(name=name, wires=[0, 1], latency_s=latency_s)
    job = Job(
        id=f"job-{name}-1",
        circuits=(CIRCUIT,),
        seeds=(Seed(0, 0),),
        settings=Settings(),
        resource=cloud.vendor,
    )
    handle = asyncio.run(_submit(cloud, job))
    return intent(job.id, cloud, handle=handle)


async def _submit(cloud: FakeCloud, job: Job) -> str:
    return await cloud.submit(job)


SINGLE = json.dumps({"shape": 0, "shot_vector": False})


@pytest.mark.parametrize("output", [SINGLE, None], ids=["known", "unknown"])
@pytest.mark.parametrize("by", ["call-a-1", "call", "job", "handle"])
def test_attach_waits_for_the_results_of_a_call(
    fill: Any, run: Any, by: str, output: str | None
) -> None:
    job = at_vendor(f"attach-{by}-{output is None}")
    started = entry(state="started", finished_at=None, value=None)
    fill(call(output=output), started, jobs=(job,))
    id = {"job": job.job_id, "handle": str(job.handle)}.get(by, by)
    assert "0.95533649" in ok(run("attach", id))
    assert isinstance(job.executor, FakeCloud)
    assert job.executor.vendor.submitted == 1


def test_attach_says_what_a_call_failed_of(fill: Any, run: Any) -> None:
    failed = entry(state="failed", error="JobFailedError: it broke", value=None)
    fill(call(output=SINGLE), failed)
    result = run("attach", "call-a-1")
    assert result.exit_code == 1
    assert "it broke" in result.stderr
    assert "Traceback" not in result.output


def test_ctrl_c_leaves_a_job_alone(
    fill: Any, run: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    job = at_vendor("interrupted", latency_s=600)
    fill(call(output=SINGLE), jobs=(job,))
    monkeypatch.setattr("concurrent.futures.wait", interrupt)
    with use(Runtime()):
        assert run("attach", "call-a-1").exit_code == 130
    assert isinstance(job.executor, FakeCloud)
    assert job.executor.vendor.cancelled == 0
    store = SqliteStore(path)
    assert [left.handle for left in store.jobs()] == [job.handle]
    store.close()


# --- cancel ---------------------------------------------------------------------------


@pytest.fixture
def vendor_says(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Have the core answer so when a job is to be cancelled."""

    def answer(word: str) -> list[str]:
        asked = []

        def cancel_job(store: Any, job: Intent) -> str:
            assert store.durable
            asked.append(job.job_id)
            return word

        module: Any = types.ModuleType("recall")
        module.cancel_job = cancel_job
        monkeypatch.setitem(sys.modules, "qelectron_core.runtime.recall", module)
        return asked

    return answer


@pytest.mark.parametrize("id", ["job-a-1", "job-a", "a-1", "vendor-1", "call-a-1"])
def test_cancel_finds_the_job_and_asks(
    fill: Any, run: Any, vendor_says: Any, id: str
) -> None:
    fill(call(), jobs=(intent(handle="vendor-1"),))
    asked = vendor_says("cancelled")
    result = run("cancel", id, input="n\n")
    assert result.exit_code == 130
    assert asked == []
    assert "handle vendor-1, 1 circuit on FakeCloud(" in result.stdout
    result = run("cancel", id, input="y\n")
    assert ok(result).endswith("job-a-1 is cancelled at the vendor.\n")
    assert asked == ["job-a-1"]


def test_cancel_takes_all_jobs_of_a_call(fill: Any, run: Any, vendor_says: Any) -> None:
    other = intent("job-b-1", places=(("call-b-1", 0),))
    fill(call(), jobs=(intent("job-a-1"), intent("job-a-2"), other))
    asked = vendor_says("cancelled")
    assert "these 2 jobs?" in run("cancel", "call-a-1", input="n\n").stdout
    ok(run("cancel", "call-a-1", "--yes"))
    assert asked == ["job-a-1", "job-a-2"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("absent", "never arrived"),
        ("ended", "For its results: qelectron attach job-a-1"),
        ("unknown", "then: qelectron cancel job-a-1 --forget"),
    ],
)
def test_cancel_says_what_came_of_it(
    fill: Any, run: Any, vendor_says: Any, answer: str, told: str
) -> None:
    fill(jobs=(intent(),))
    vendor_says(answer)
    result = run("cancel", "job-a-1", "--yes")
    assert result.exit_code == (1 if answer == "unknown" else 0)
    assert told in result.output


def test_cancel_forgets_only_what_nobody_waits_for(
    fill: Any, run: Any, living: SqliteStore
) -> None:
    fill(jobs=(intent("job-a-1"),))
    living.intend(intent("job-b-1"))
    told = ok(run("cancel", "job-a-1", "--forget", input="y\n"))
    assert told.endswith("job-a-1 is forgotten; the vendor was not asked.\n")
    result = run("cancel", "job-b-1", "--forget", "-y")
    assert result.exit_code == 1
    assert "its program waits for it" in result.stderr
    assert [job.job_id for job in living.jobs()] == ["job-b-1"]


def test_cancel_says_when_the_executor_cannot_be_made_again(
    fill: Any, run: Any
) -> None:
    @attrs.frozen
    class Local(Executor):
        """Nobody can import it."""

    fill(jobs=(attrs.evolve(intent(), executor=Local(), shown="Local()", handle="v"),))
    gone = type("Gone", (Local,), {"__module__": "nowhere"})
    fill(jobs=(attrs.evolve(intent(), executor=gone(), shown="Gone()", handle="v"),))
    result = run("cancel", "job-a-1", "--yes")
    assert result.exit_code == 1
    assert "cannot be made again: Gone(). Name the module" in result.stderr
    assert "look for v at the vendor" in result.stderr


def test_cancel_says_when_a_call_has_no_open_job(fill: Any, run: Any) -> None:
    fill(call(), entry())
    result = run("cancel", "call-a-1", "--yes")
    assert result.exit_code == 1
    assert "no job of call-a-1 is at a vendor any more" in result.stderr


# --- cache ----------------------------------------------------------------------------


def test_cache_info(fill: Any, run: Any, path: Path) -> None:
    fill(call(), entry(), kept(), kept(1), jobs=(intent(),))
    rows = dict(re.split(r"\s{2,}", row, maxsplit=1) for row in _rows(run))
    assert rows["location"] == str(path)
    assert rows["results"].startswith("2, ")
    assert rows["journal"] == "1 call, 1 circuit"
    assert rows["open jobs"] == "1"
    assert re.fullmatch(r"░{20}  [\d.]+ KiB of 1\.0 GiB \(0%\)", rows["size"])


def _rows(run: Any) -> list[str]:
    return [line.rstrip() for line in ok(run("cache info")).splitlines()]


def test_cache_prune(fill: Any, run: Any) -> None:
    fill(*(kept(number) for number in range(3)))
    assert ok(run("cache prune", "--older-than", "30d")).startswith("Dropped 0 results")
    assert ok(run("cache prune", "--max-mb", "1000")).startswith("Dropped 0 results")
    assert ok(run("cache prune", "--older-than", "0s")).startswith(
        "Dropped 3 results; 0 are left, 0 B."
    )


def test_cache_prune_to_a_size(fill: Any, run: Any) -> None:
    large = np.zeros(20_000)
    fill(*(attrs.evolve(kept(number), value=large) for number in range(10)))
    told = ok(run("cache prune", "--max-mb", "1"))
    dropped, left = (int(number) for number in re.findall(r"(\d+) (?:r|are)", told))
    assert dropped + left == 10
    assert 1 <= left <= 6


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((), "say which results are to go"),
        (("--older-than", "long"), "'long' is no span of time"),
        (("--max-mb", "-1"), "-1"),
    ],
)
def test_cache_prune_refuses_what_is_unclear(
    fill: Any, run: Any, args: tuple[str, ...], told: str
) -> None:
    fill(kept())
    result = run("cache prune", *args)
    assert result.exit_code == 2
    assert told in result.stderr


def test_cache_clear_asks_first_and_leaves_the_journal(fill: Any, run: Any) -> None:
    fill(call(), entry(), kept(), kept(1))
    result = run("cache clear", input="n\n")
    assert result.exit_code == 130
    assert "Drop 2 kept results?" in result.stdout
    assert "Dropped 2 results" in ok(run("cache clear", input="y\n"))
    assert "Dropped 0 results" in ok(run("cache clear"))
    assert "call-a-1" in ok(run("runs"))


def test_results_are_taken_to_another_file(
    fill: Any, run: Any, tmp_path: Path, path: Path
) -> None:
    fill(kept(), kept(1))
    exported = str(tmp_path / "results")
    assert ok(run("cache export", exported)) == f"Wrote 2 results to {exported}.\n"
    assert run("cache export", exported).exit_code == 1  # which replaces nothing
    path.rename(tmp_path / "moved")
    fill(kept())
    taken = ok(run("cache import", exported))
    assert taken == f"1 result of {exported} is new; 2 are kept now.\n"


def test_results_can_be_taken_to_a_new_file(
    fill: Any, run: Any, tmp_path: Path, path: Path
) -> None:
    fill(kept())
    ok(run("cache export", str(tmp_path / "results")))
    path.unlink()
    assert "1 are kept now" in ok(run("cache import", str(tmp_path / "results")))


def test_a_store_that_cannot_do_it_says_so(
    fill: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()
    monkeypatch.delattr(SqliteStore, "prune")
    result = run("cache prune", "--older-than", "1d")
    assert result.exit_code == 1
    assert "a SqliteStore cannot do that" in result.stderr


# --- Any of them ----------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_no_store_is_an_error_of_one_message(
    run: Any, path: Path, command: str
) -> None:
    path.write_bytes(b"these are no records of anything" * 100)
    _is_error(run(command, *COMMANDS[command]), "damaged, or no SQLite database")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_path_without_a_file_is_an_error_and_makes_none(
    run: Any, path: Path, command: str
) -> None:
    _is_error(run(command, *COMMANDS[command]), "there is no file")
    assert not path.exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_store_in_memory_is_an_error(command: str) -> None:
    arguments = [*command.split(), *COMMANDS[command]]
    result = invoke_bare(arguments, env={"QELECTRON_STORE": "memory"})
    _is_error(result, "Set QELECTRON_STORE to a path, or pass --store")


def _is_error(result: Result, told: str) -> None:
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert told in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_the_environment_says_which_store(fill: Any, path: Path) -> None:
    fill(call())
    shown = invoke_bare(["runs"], env={"QELECTRON_STORE": str(path)})
    assert "call-a-1" in ok(shown)


def test_text_of_a_file_steers_no_terminal(fill: Any, run: Any) -> None:
    evil = "\x1b]0;owned\x07[red]\r"
    fill(
        call(name=evil, executors=evil, process=evil, versions={evil: evil}),
        entry(executor=evil, error=evil, handle=evil, metadata={"a": evil}),
        jobs=(intent(handle=evil, shown=evil),),
    )
    for command in (["runs"], ["show", "call-a-1"], ["jobs"]):
        shown = ok(run(command[0], *command[1:]))
        assert not {"\x1b", "\x07", "\r"} & set(shown)
        assert "[red]" in shown


@given(st.text())
def test_safe_text_is_printable(text: str) -> None:
    assert safe(text).isprintable()
    assert text != safe(text) or text.isprintable()


@pytest.mark.parametrize("command", ALL)
def test_help_has_an_example_and_every_option(command: str) -> None:
    told = ok(invoke_bare([*command.split(), "--help"]))
    assert f"  qelectron {command}" in told.partition("Example")[2]
    assert "--store PATH" in told


def test_importing_the_commands_is_quick() -> None:
    names = sorted({name.split()[0] for name in ALL})
    code = (
        f"import sys, importlib\nfor name in {names}:\n"
        "    importlib.import_module(f'qelectron_sqlite.cli.{name}')\n"
        "print([m for m in ('rich', 'pennylane', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"


# --- Times ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0004, "0.4 ms"),
        (0.0123, "12 ms"),
        (2.34, "2.3 s"),
        (59.4, "59 s"),
        (61, "1 min 1 s"),
        (7260, "2 h 1 min"),
        (-1, "0.0 ms"),
    ],
)
def test_spans(seconds: float, told: str) -> None:
    assert span(seconds) == told


def test_moments_of_today_are_told_as_how_long_ago() -> None:
    noon = time.mktime((2026, 11, 20, 12, 0, 0, 0, 0, -1))
    assert moment(noon - 5, noon) == "5 s ago"
    assert moment(noon - 200, noon) == "3 min ago"
    assert moment(noon - 7300, noon) == "2 h ago"
    assert moment(noon - 86400, noon) == "2026-11-19 12:00"
    assert moment(noon + 60, noon) == "2026-11-20 12:01"  # a clock is wrong
    assert moment(1e300, noon) == date(1e300) == "?"

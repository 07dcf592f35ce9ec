"""The page of one call, and that of two calls beside each other."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest
from pennylane.tape import QuantumScript

import qelectron_core as ct
from qelectron_core.plans import Plan, PlannedJob
from qelectron_core.store import Call, Entry, Intent
from qelectron_core.testing import FakeCloud
from qelectron_sqlite.store import SqliteStore

sys.path.insert(0, str(Path(__file__).parent))

from dashboard_browser import Seen, looking_at, needs_browser

from qelectron_dashboard.pages.finding import index_of
from qelectron_dashboard.reading import again, call, comparison
from qelectron_dashboard.reading.call import IN_TIMELINE, Reading, lines
from qelectron_dashboard.reading.outcomes import MOST_SAMPLED, line, outcomes

HOSTILE = "<img src=x onerror='window.hacked=1'>\u202e\x1b[31m"
NOW = time.time()


def circuit(*measured: Any, shots: Any = None, angle: float = 0.3) -> QuantumScript:
    operations = [qml.RX(angle, wires=0), qml.CNOT(wires=[0, 1])]
    return QuantumScript(operations, measured or [qml.expval(qml.Z(1))], shots=shots)


def entry(call_id: str, index: int = 0, **given: Any) -> Entry:
    """Return a line of a circuit that waited for 1 s and ran for 2 s."""
    told: dict[str, Any] = {
        "state": "completed",
        "executor": "Simulator()",
        "submitted_at": NOW - 60,
        "started_at": NOW - 59,
        "finished_at": NOW - 57,
        "job_id": "job-1",
        "circuit": circuit(),
        "value": np.float64(0.5),
    }
    return Entry(call_id=call_id, index=index, **{**told, **given})


def write(store: SqliteStore, call_id: str, *entries: Entry, **given: Any) -> None:
    told: dict[str, Any] = {
        "name": "bell",
        "executors": "Simulator()",
        "circuits": len({one.index for one in entries}),
        "at": NOW - 60,
        "versions": {"pennylane": "0.45.1"},
    }
    store.write([Call(id=call_id, **{**told, **given})], entries)


# --- What is read ---------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "read.sqlite3")
    yield store
    store.close()


def test_attempts_are_told_in_order(store: SqliteStore) -> None:
    again_at: dict[str, Any] = {"submitted_at": NOW - 50, "started_at": NOW - 49}
    failed: dict[str, Any] = {"state": "retried", "value": None, "error": "Busy: later"}
    write(
        store,
        "call-1",
        entry("call-1", attempt=1, handle="v-1", **failed),
        entry("call-1", attempt=2, finished_at=NOW - 46, circuit=None, **again_at),
    )
    seen = Reading(store, "call-1").read()
    assert seen is not None
    assert seen.circuit is not None
    first, second = seen.circuit.attempts
    assert (first.state, first.error) == ("retried", "Busy: later")
    assert dict(first.facts)["at the vendor"] == "v-1"
    assert dict(second.facts)["ran"] == "3.0 s"
    assert "RX(0.30)" in seen.circuit.drawing
    assert [(bar.row, bar.attempt) for bar in seen.timeline.bars] == [(0, 1), (1, 2)]
    assert seen.timeline.bars[1].submitted == pytest.approx(10, abs=0.01)
    assert seen.rows[0]["attempts"] == 2


def test_the_timeline_has_the_chosen_circuit_in_it(store: SqliteStore) -> None:
    many = [entry("call-1", index) for index in range(2 * IN_TIMELINE + 5)]
    write(store, "call-1", *many)
    reading = Reading(store, "call-1", chosen=2 * IN_TIMELINE + 1)
    seen = reading.read()
    assert seen is not None
    assert (seen.timeline.first, seen.timeline.place) == (2 * IN_TIMELINE, 1)
    assert len(seen.timeline.bars) == 5
    reading.chosen = 10**6
    seen = reading.read()
    assert seen is not None
    assert seen.circuit is not None
    assert (seen.timeline.first, seen.circuit.index) == (0, 0)


def test_a_call_that_is_over_is_read_once(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way: dict[str, Any] = {"state": "started", "finished_at": None, "value": None}
    write(store, "call-1", entry("call-1", **under_way))
    reading = Reading(store, "call-1")
    seen = reading.read()
    assert seen is not None
    assert seen.run.state == "running"
    assert seen.is_stuck_elsewhere
    store.write([], [entry("call-1")])
    seen = reading.read()
    assert seen is not None
    assert seen.run.state == "completed"
    monkeypatch.setattr(SqliteStore, "runs", None)
    assert reading.read() is not None


def test_a_large_call_is_told_as_a_whole_between_its_circuits(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "_SHARE", 1e-9)  # as if reading had taken hours
    under_way: dict[str, Any] = {"state": "started", "finished_at": None, "value": None}
    write(store, "call-1", *(entry("call-1", n, **under_way) for n in range(3)))
    write(store, "call-2", entry("call-2"))
    reading = Reading(store, "call-1")
    assert reading.read() is not None
    store.write([], [entry("call-1", 1)])
    seen = reading.read()
    assert seen is not None
    assert seen.ended == 1
    assert "1 completed" in seen.facts["circuits"]
    assert {row["state"] for row in seen.rows} == {"started"}
    store.write([], [entry("call-1", 0), entry("call-1", 2)])
    seen = reading.read()
    assert seen is not None
    assert seen.run.state == "completed"
    assert {row["state"] for row in seen.rows} == {"completed"}


def test_an_unknown_call_is_told_apart(store: SqliteStore) -> None:
    assert Reading(store, "call-1").read() is None


def test_what_is_not_kept_is_said(store: SqliteStore) -> None:
    write(store, "call-1", entry("call-1", circuit=None, value=None))
    seen = Reading(store, "call-1").read()
    assert seen is not None
    assert seen.circuit is not None
    assert seen.circuit.remark == "The circuit is not kept."
    assert seen.circuit.missing.startswith("not kept")


def test_foreign_text_steers_nothing_and_is_cut() -> None:
    assert lines("one\x1b[31m\ntwo\u202e") == "one\\x1b[31m\ntwo\\u202e"
    assert lines("x" * 100, most=9) == "x" * 9 + "\n… and 91 more characters"


@pytest.mark.parametrize(
    ("text", "index"), [("3", 3), ("", 0), ("-1", 0), ("٣", 0), ("9" * 99, 0)]
)
def test_an_address_names_a_circuit(text: str, index: int) -> None:
    assert index_of(text) == index


# --- Results --------------------------------------------------------------------------


def test_probabilities_are_told_by_their_bits() -> None:
    probs = np.array([0.0, 0.25, 0.7, 0.05])
    (told,) = outcomes(probs, circuit(qml.probs(wires=[0, 1])))
    assert told.name == "probs(wires=[0, 1])"
    assert told.counted == "probabilities"
    assert told.bars == (("10", 0.7), ("01", 0.25), ("11", 0.05))


def test_counts_come_with_the_most_frequent_first() -> None:
    (told,) = outcomes({"00": 3, "11": 7}, circuit(qml.counts(), shots=10))
    assert (told.name, told.counted) == ("counts", "counts")
    assert told.bars == (("11", 7.0), ("00", 3.0))
    assert outcomes({"00": 3}, None)[0].counted == "counts"


def test_few_samples_are_counted() -> None:
    measured = circuit(qml.sample(wires=[0, 1]), shots=4)
    (told,) = outcomes(np.array([[0, 1], [0, 1], [1, 1], [0, 1]]), measured)
    assert told.bars == (("01", 3.0), ("11", 1.0))
    (many,) = outcomes(np.zeros((MOST_SAMPLED, 2), dtype=int), measured)
    assert not many.bars
    assert f"shape ({MOST_SAMPLED}, 2)" in many.text


def test_each_measurement_has_its_result() -> None:
    measured = circuit(qml.expval(qml.Z(0)), qml.probs(wires=[0]), shots=[10, 20])
    one = np.float64(0.5), np.array([0.5, 0.5])
    told = outcomes((one, one), measured)
    assert [part.name for part in told] == [
        f"{name}, {shots} shots"
        for shots in (10, 20)
        for name in ("expval(Z(0))", "probs(wires=[0])")
    ]
    assert (told[0].text, told[0].bars) == ("0.5", ())


def test_results_fit_one_line() -> None:
    assert line(np.float64(0.123456789)) == "0.123457"
    assert line(np.arange(100)) == "[0, 1, 2, 3, …]"
    assert line({"00": 1, HOSTILE: 2}).startswith("<img src=x")
    assert len(line({"0" * 10**6: 1})) < 40
    assert line(None) == ""


# --- Two calls ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "one", "other", "distance"),
    [
        ("", 0.5, np.float64(0.25), 0.25),
        ("", np.array([1.0, 2.0]), np.array([1.0, 1.5]), 0.5),
        ("", np.array([1.0, 2.0]), np.array([1.0]), None),
        ("", 0.5, "text", None),
        ("", np.float64("nan"), 0.5, None),
        ("CountsMP", {"0": 10}, {"0": 10, "1": 10}, 0.5),
        ("CountsMP", {"0": 10}, 0.5, None),
        ("ProbabilityMP", np.array([1.0, 0.0]), np.array([0.5, 0.5]), 0.5),
        ("SampleMP", np.array([[0], [0]]), np.array([[0], [1]]), 0.5),
    ],
)
def test_distances(kind: str, one: Any, other: Any, distance: float | None) -> None:
    assert comparison.distance(kind, one, other) == distance


def test_what_two_calls_differ_in(store: SqliteStore) -> None:
    write(store, "one", entry("one", cost_usd=1.0), entry("one", 1))
    slow = entry("two", finished_at=NOW - 50, cost_usd=1.5, value=np.float64(0.75))
    write(store, "two", slow, versions={"pennylane": "0.46.0"}, at=NOW - 58)
    compared = comparison.Comparing(store, "one", "two").read()
    assert compared is not None
    facts = {fact.name: fact for fact in compared.facts}
    assert not facts["name"].differs
    assert not facts["when"].differs
    assert (facts["time"].differs, facts["time"].by) == (True, "+5.0 s")
    assert (facts["cost"].differs, facts["cost"].by) == (True, "+$0.50")
    assert (facts["pennylane"].one, facts["pennylane"].other) == ("0.45.1", "0.46.0")
    assert [row["difference"] for row in compared.rows] == [0.25, None]
    assert [row["other"] for row in compared.rows] == ["completed", None]
    assert compared.pair is not None
    assert compared.pair.results[0].by == "0.25"


def test_counts_are_compared_by_their_shares(store: SqliteStore) -> None:
    measured = circuit(qml.counts(), shots=10)
    for call_id, value in (("one", {"0": 10}), ("two", {"0": 10, "1": 10})):
        write(store, call_id, entry(call_id, circuit=measured, value=value))
    compared = comparison.Comparing(store, "one", "two").read()
    assert compared is not None
    assert compared.pair is not None
    (results,) = compared.pair.results
    assert results.shares == ((("0", 1.0),), (("0", 0.5), ("1", 0.5)))
    assert results.by == "50 % came out otherwise"


def test_two_calls_of_which_one_is_unknown(store: SqliteStore) -> None:
    write(store, "one", entry("one"))
    assert comparison.Comparing(store, "one", "two").read() is None


# --- Running again, and cancelling ----------------------------------------------------


@attrs.frozen
class _Here(ct.Executor):
    """An executor that runs in this process."""

    capabilities = ct.Capabilities(in_process=True)


@pytest.mark.parametrize(
    ("executor", "cost_usd", "asks"),
    [
        (_Here(), 0.0, False),
        (_Here(), 0.01, True),
        (_Here(), None, True),
        (FakeCloud(name="asks"), 0.0, True),
    ],
)
def test_what_is_asked_before_it_is_run_again(
    executor: ct.Executor, cost_usd: float | None, asks: bool
) -> None:
    job = PlannedJob(executor, 2, 100, ct.Estimate(cost_usd))
    offer = again.offered(Plan((job,)))
    assert offer.asks == asks
    assert "2 circuits, 100 shots" in offer.told
    assert repr(executor) in offer.told


def test_a_call_is_run_again_and_its_store_has_it(store: SqliteStore) -> None:
    pytest.importorskip("qelectron_simulator", reason="needs qelectron-simulator")
    write(store, "call-1", entry("call-1"))
    runs = again.Runs(store)
    assert not runs.offer("call-1").asks
    new = runs.begin("call-1")
    assert [run.call.name for run in store.runs(call_id=new)] == ["bell"]
    with pytest.raises(ct.QElectronError, match="cannot be read as an executor"):
        runs.begin("call-1", "1 +")
    assert "has ended already" in runs.cancel("call-1")
    ct.shutdown()


def test_a_call_that_was_begun_here_is_cancelled(store: SqliteStore) -> None:
    slow = FakeCloud(name="dashboard-slow", latency_s=60)
    write(store, "call-1", entry("call-1", executor=repr(slow)))
    runs = again.Runs(store)
    assert runs.offer("call-1").asks
    new = runs.begin("call-1")
    assert runs.holds(new)
    assert runs.cancel(new) == f"{new} is cancelled."
    ct.shutdown()
    assert not runs.holds(new)
    assert store.runs(call_id=new)[0].state == "cancelled"


def test_what_came_of_cancelled_jobs(store: SqliteStore) -> None:
    one, other = intent("job-1"), intent("job-2", executor=None, shown="Gone()")
    store.intend(one)
    (never, is_settled), (lost, is_lost) = again.cancel_jobs(store, [one, other])
    assert "never arrived" in never
    assert is_settled
    assert "cannot be made again: Gone()" in lost
    assert not is_lost
    assert not store.jobs()
    question = again.asked([one, other])
    assert question.startswith("Cancel these 2 jobs?\njob-1: handle unknown")


def intent(job_id: str, call_id: str = "call-1", **given: Any) -> Intent:
    told: dict[str, Any] = {
        "executor": FakeCloud(name="dashboard-call"),
        "circuits": (circuit(),),
        "places": ((call_id, 0),),
        "at": NOW,
    }
    return Intent(job_id=job_id, **{**told, **given})


# --- In a browser ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("call") / "store.sqlite3"


@pytest.fixture(scope="module")
def shared(path: Path) -> Iterator[SqliteStore]:
    """Keep calls of several kinds, as this process made them."""
    store = SqliteStore(path)
    counts = circuit(qml.counts(), shots=100)
    write(store, "exact", entry("exact"))
    write(
        store,
        "counts",
        entry("counts", circuit=counts, value={"00": 60, "11": 40}, shots=100),
    )
    half = entry("half", circuit=counts, value={"00": 50, "11": 50}, shots=100)
    write(store, "half", half, versions={"pennylane": "0.46.0"})
    bad: dict[str, Any] = {
        "state": "failed",
        "error": f"Broken: {HOSTILE}",
        "value": None,
    }
    write(
        store,
        "hostile",
        entry("hostile", executor=HOSTILE, handle=HOSTILE, metadata={HOSTILE: HOSTILE}),
        entry("hostile", 1, **bad),
        entry("hostile", 2, circuit=counts, value={HOSTILE: 2, "{a|b}": 1, ":x": 1}),
        name=HOSTILE,
        executors=HOSTILE,
        versions={HOSTILE: HOSTILE},
    )
    many = [entry("many", index, value=np.float64(index)) for index in range(1000)]
    write(store, "many", *many)
    yield store
    store.close()


@pytest.fixture(scope="module")
def seen(
    path: Path, shared: SqliteStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    needs_browser()
    with looking_at(path, tmp_path_factory.mktemp("browser")) as seen:
        yield seen


def test_a_call_is_shown(seen: Seen) -> None:
    page = seen.open("/call/counts")
    page.get_by_role("heading", name="bell").wait_for()
    page.get_by_role("img", name="Counts: 00 60, 11 40").wait_for()
    page.get_by_role("img", name="circuit 0: completed, 1.0 s queued").wait_for()
    assert "RX(0.30)" in page.get_by_label("Drawing of the circuit").inner_text()
    assert page.get_by_role("cell", name="60.00 %").is_visible()
    assert page.get_by_text("pennylane 0.45.1").is_visible()
    assert page.get_by_text("job-1").is_visible()
    gates = page.get_by_role("row", name="RX 0 0.3")
    assert gates.is_visible()
    assert page.locator(".timeline canvas").is_visible()


def test_an_unknown_call_is_not_found(seen: Seen) -> None:
    for address in ("/call/nobody", "/compare?one=exact&other=nobody", "/compare"):
        answer = seen.page.request.get(f"{seen.dashboard.address}{address}")
        assert answer.status == 404
        assert "No such call" in answer.text()


def test_a_circuit_is_chosen_by_its_row_and_by_its_address(seen: Seen) -> None:
    page = seen.open("/call/many?circuit=700")
    page.get_by_role("heading", name="Circuit 700").wait_for()
    page.get_by_text("601 to 800 of 1,000 circuits").wait_for()
    chosen = page.locator(".ag-row-selected")
    chosen.wait_for()
    assert chosen.get_attribute("row-id") == "700"
    page.locator(".ag-row[row-id='703']").click()
    page.get_by_role("heading", name="Circuit 703").wait_for()
    page.wait_for_url("**/call/many?circuit=703")


def test_foreign_text_stays_text(seen: Seen) -> None:
    page = seen.open("/call/hostile?circuit=1")
    page.get_by_text("Broken: <img src=x").last.wait_for()
    assert page.get_by_role("heading").first.inner_text().startswith("<img src=x")
    for index in (0, 2):
        page.locator(f".ag-row[row-id='{index}']").click()
        page.get_by_role("heading", name=f"Circuit {index}").wait_for()
    page.get_by_role("img", name="Counts: <img src=x").wait_for()
    page.locator(".outcomes canvas").hover(position={"x": 300, "y": 15})
    page.locator(".timeline canvas").hover(position={"x": 300, "y": 36})
    check_nothing_ran(page)
    page = seen.open("/compare?one=hostile&other=exact")
    page.get_by_text("<img src=x").first.wait_for()
    check_nothing_ran(page)


def check_nothing_ran(page: Any) -> None:
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0


def test_what_runs_elsewhere_is_seen_to_end(seen: Seen, shared: SqliteStore) -> None:
    under_way: dict[str, Any] = {"state": "started", "finished_at": None, "value": None}
    write(shared, "live", entry("live", **under_way), circuits=2)
    page = seen.open("/call/live")
    page.get_by_text("running", exact=True).first.wait_for()
    page.get_by_text("only that program can stop it").wait_for()
    assert not page.get_by_role("button", name="Cancel").is_visible()
    page.get_by_label("Drawing of the circuit").focus()
    shared.write([], [entry("live"), entry("live", 1, value=np.float64(0.125))])
    page.get_by_text("completed", exact=True).first.wait_for(timeout=2000)
    page.locator(".ag-row", has_text="0.125").wait_for(timeout=2000)
    page.get_by_text("only that program").wait_for(state="hidden")
    # What was looked at is still there, and not made anew.
    assert "Drawing" in page.evaluate("document.activeElement.ariaLabel")


def test_jobs_at_vendors_are_cancelled(seen: Seen, shared: SqliteStore) -> None:
    waits: dict[str, Any] = {
        "state": "submitted",
        "started_at": None,
        "finished_at": None,
    }
    write(shared, "open", entry("open", value=None, **waits))
    shared.intend(intent("job-open", "open"))
    page = seen.open("/call/open")
    page.get_by_text("Job job-open is at the vendor").wait_for()
    page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("job-open: handle unknown, 1 circuit").wait_for()
    dialog.get_by_role("button", name="Let it run").click()
    dialog.wait_for(state="detached")
    assert shared.jobs(call_id="open")
    page.get_by_role("button", name="Cancel").click()
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_text("job-open never arrived").wait_for()
    page.get_by_text("Job job-open is at").wait_for(state="hidden")
    assert not shared.jobs(call_id="open")


def test_a_local_call_is_run_again_at_once(seen: Seen) -> None:
    page = seen.open("/call/exact")
    page.get_by_role("button", name="Run again").click()
    page.wait_for_url("**/call/call-*")
    page.get_by_text("completed", exact=True).first.wait_for()
    assert page.get_by_text("0.95533649").is_visible()


def test_it_is_asked_before_a_call_is_sent_elsewhere(
    seen: Seen, shared: SqliteStore
) -> None:
    there = FakeCloud(name="dashboard-again")
    write(shared, "remote", entry("remote", executor=repr(there)))
    page = seen.open("/call/remote")
    page.get_by_role("button", name="Run again").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("1 circuit, exact").wait_for()
    dialog.get_by_text("on FakeCloud(name='dashboard-again')").wait_for()
    dialog.get_by_role("button", name="Do not run it").click()
    dialog.wait_for(state="detached")
    page.get_by_role("button", name="Run again").click()
    dialog.get_by_label("Executor").fill("Nowhere")
    dialog.get_by_text("no executor named 'Nowhere'").wait_for()
    assert dialog.get_by_role("button", name="Run", exact=True).is_disabled()
    dialog.get_by_label("Executor").fill("")
    dialog.get_by_text("on FakeCloud").wait_for()
    dialog.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**/call/call-*")
    page.get_by_text("completed", exact=True).first.wait_for()


def test_two_calls_are_compared(seen: Seen) -> None:
    page = seen.open("/call/counts")
    page.get_by_role("button", name="Compare").click()
    page.locator(".ag-row", has_text="half").first.click()
    page.wait_for_url("**/compare?one=counts&other=half")
    drawn = page.get_by_role("img", name="Probabilities: one 00 0.6, 11 0.4; other")
    drawn.wait_for()
    page.get_by_text("difference: 10 % came out otherwise").wait_for()
    page.get_by_text("The same drawing.").wait_for()
    differing = page.locator(".facing > div", has_text="pennylane").inner_text()
    assert differing.split("\n") == ["pennylane", "0.45.1", "0.46.0", "≠"]


def test_pages_fit_a_phone(seen: Seen) -> None:
    page = seen.page
    page.set_viewport_size({"width": 390, "height": 800})
    try:
        for address, there in (
            ("/call/many?circuit=3", "Circuit 3"),
            ("/compare?one=counts&other=half", "Circuit 0"),
        ):
            seen.open(address)
            page.get_by_role("heading", name=there).wait_for()
            assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    finally:
        page.set_viewport_size({"width": 1280, "height": 860})

"""Rules of stores about the journal."""

from __future__ import annotations

import attrs

from qelectron_core.store import Call, Entry, Run, RunState, run_of
from qelectron_core.testing.conformance.doubles import (
    call,
    entry,
    results,
    rich_call,
    rich_entry,
)
from qelectron_core.testing.conformance.rules import rule
from qelectron_core.testing.conformance.store_kit import (
    StoreKit,
    require_lines,
    require_runs,
    require_same,
    run,
    write,
)


class JournalRules(StoreKit):
    """What comes back of calls and of lines of the journal."""

    @rule
    def test_t01_returns_calls_at_once(self) -> None:
        """What `write` kept, `runs` returns at once, the newest call first."""
        store, calls = self._new(), [call(f"call-{n % 7}-{n}") for n in range(30)]
        for number, one in enumerate(calls):
            write(store, one, entry(one.id))
            newest = [one.id for one in calls[number::-1]]
            require_runs(store, newest)
        early = call("call-early", at=calls[0].at - 1.0)
        write(store, early)
        require_runs(store, [*(one.id for one in calls[::-1]), early.id])

    @rule
    def test_t02_keeps_every_field_of_a_call(self) -> None:
        """Every field of a call comes back as it was written."""
        store, calls = self._new(), [call(), rich_call()]
        write(store, *calls)
        require_same("the calls of runs()", calls[::-1], [r.call for r in store.runs()])

    @rule
    def test_t03_keeps_every_field_of_a_line(self) -> None:
        """`runs(call_id=...)` brings the lines of that call, every field as written."""
        from qelectron_core.testing.conformance.circuits import plain_circuits

        store, (circuit, *_) = self._new(), plain_circuits()
        lines = [
            rich_entry("call-é", index, circuit, value)
            for index, value in enumerate(results())
        ]
        lines += [entry("call-é", 0), entry("call-é", 1, attempt=3, shots=None)]
        write(store, call("call-é", circuits=len(lines)), call("call-2"), *lines)
        write(store, entry("call-2"))
        require_lines(store, "call-é", lines)
        require_runs(store, [], call_id="call-3")

    @rule
    def test_t04_replaces_lines(self) -> None:
        """A line replaces the one in its place, whose circuit stays if it brings none."""  # noqa: E501
        from qelectron_core.testing.conformance.circuits import plain_circuits

        store, (one, other, *_) = self._new(), plain_circuits()
        begun = entry(state="submitted", finished_at=None, circuit=one)
        write(store, call(), begun)
        for circuit in (None, other, None):
            ended = entry(circuit=circuit, value=0.25)
            write(store, ended)
            begun = ended.after(begun)
            require_lines(store, "call-1", [begun])
        more = [entry(attempt=2), entry(index=1), entry("call-2")]
        write(store, call("call-2"), *more)
        require_lines(store, "call-1", [begun, *more[:2]])

    @rule
    def test_t05_filters_calls(self) -> None:
        """`runs` filters by what is part of a name or an executor, and by time."""
        store, first = self._new(), call("call-1", name="energy_1")
        second, third = call("call-2", name="energy%1"), call("call-3", name="other")
        write(store, first, second, third)
        write(store, entry("call-1", executor="Acme(qubits=5)"))
        write(store, entry("call-2", executor="Acme_2()"), entry("call-2", 1))
        require_runs(store, ["call-2", "call-1"], name="nergy")
        require_runs(store, ["call-1"], name="y_1")
        require_runs(store, ["call-2"], name="%")
        require_runs(store, ["call-2", "call-1"], executor="Acme")
        require_runs(store, ["call-2"], executor="Acme_")
        require_runs(store, ["call-2"], executor="Fixed")
        require_runs(store, ["call-3", "call-2"], since=first.at)
        require_runs(store, ["call-2"], since=first.at, executor="Acme")
        require_runs(store, [], name="energy", executor="Other")

    @rule
    def test_t06_tells_what_became_of_calls(self) -> None:
        """A `Run` is what `run_of` makes of a call and its lines, in every state."""
        store, told = self._new(), _of_every_state()
        for made, lines in told:
            write(store, made, *lines)
        for made, lines in told:
            wanted = run_of(made, lines, alive=True)
            with_lines = attrs.evolve(run(store, made.id), entries=())
            (alone,) = [one for one in store.runs() if one.id == made.id]
            require_same(
                f"the runs of {made.id}",
                [_in_order(wanted)] * 2,
                [_in_order(with_lines), _in_order(alone)],
            )

    @rule
    def test_t07_filters_by_state(self) -> None:
        """`runs` filters by state, and `limit` counts only what it lets through."""
        store, told = self._new(), _of_every_state()
        for made, lines in told:
            write(store, made, *lines)
        states: dict[RunState, list[str]] = {}
        for made, lines in told[::-1]:
            state = run_of(made, lines, alive=True).state
            states.setdefault(state, []).append(made.id)
        for state, ids in states.items():
            require_runs(store, ids, state=state)
            require_runs(store, ids[:1], state=state, limit=1)
        require_runs(store, [made.id for made, _ in told[:-4:-1]], limit=3)
        require_runs(store, [], state="lost")


def _in_order(found: Run) -> Run:
    return attrs.evolve(found, executors=tuple(sorted(found.executors)))


def _of_every_state() -> list[tuple[Call, list[Entry]]]:
    """Return calls of this process with their lines, in every state but lost."""
    cancelled = "CancelledError: cancelled by the program"
    lines = {
        "call-none": [],
        "call-waiting": [entry(state="submitted", finished_at=None)],
        "call-half": [entry(cost_usd=0.5)],
        "call-again": [entry(state="retried", error="E: x"), entry(index=1)],
        "call-done": [entry(cost_usd=0.5), entry(index=1, executor="Acme()")],
        "call-second": [entry(state="failed"), entry(attempt=2), entry(index=1)],
        "call-both": [entry(state="cached", job_id=""), entry(index=1)],
        "call-cached": [entry(state="cached"), entry(index=1, state="cached")],
        "call-failed": [entry(), entry(index=1, state="failed", error="E: x")],
        "call-left": [entry(), entry(index=1, state="failed", error=cancelled)],
    }
    lines["call-again"].append(entry(attempt=2, state="started", finished_at=None))
    return [
        (call(of, circuits=2), [attrs.evolve(line, call_id=of) for line in given])
        for of, given in lines.items()
    ]

"""The conformance kit: how it runs, and that it catches what is broken.

For every rule of selectors, stores and observers there is one that breaks it, each in a
way that an author might; executors have pages of their own.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
import unittest
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pennylane.tape import QuantumScript

import qelectron_core as ct
from qelectron_core.registry import registry
from qelectron_core.store import MemoryStore
from qelectron_core.testing import (
    ExecutorConformance,
    ObserverConformance,
    RemoteExecutorConformance,
    SelectorConformance,
    StoreConformance,
    check,
)
from qelectron_core.testing.conformance import NotDeclared, rules_of
from qelectron_core.testing.conformance.circuits import (
    entangled,
    several_measurements,
    spread_circuits,
    with_shots,
)
from qelectron_core.testing.conformance.reference import (
    STANDARD_ERRORS,
    estimates,
    mismatch,
    odd_form,
    told_by,
)
from qelectron_core.testing.conformance.rules import declared, require, rule, value_rule
from qelectron_core.testing.conformance.session import split

KITS: dict[str, Any] = {
    "E": ExecutorConformance,
    "R": RemoteExecutorConformance,
    "S": SelectorConformance,
    "T": StoreConformance,
    "O": ObserverConformance,
}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "conformance.md"
#: Rules about files, whose plugins are written into a folder.
ON_DISK = {"S12", "T16", "O5"}
CASES: list[Any] = []


def kit_of(kit: type, make: Callable[[], Any], **attributes: Any) -> Any:
    """Return a kit that checks what `make` returns."""
    members = {"make": lambda _: make(), **attributes}
    return type("Kit", (kit,), members)()


def breaks(rule: str, says: str, **attributes: Any) -> Callable[[Any], Any]:
    """Note that a plugin breaks a rule, and what the failure must say."""

    def note(plugin: Any) -> Any:
        make: Callable[[], Any] = plugin if isinstance(plugin, type) else lambda: plugin
        members = {"make": lambda _: make(), **attributes}
        kit = type("Kit", (KITS[rule[0]],), members)
        CASES.append(pytest.param(rule, kit, says, id=f"{rule}-{plugin.__name__}"))
        return plugin

    return note


# Selectors.


class First:
    """The first executor; good."""

    deterministic = True

    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        return executors[0]


class Learning(First):
    """Prefers who ran most; good."""

    deterministic = False

    def __init__(self) -> None:
        self.ran: dict[Any, int] = {}

    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        return max(executors, key=lambda member: self.ran.get(member, 0))

    def learn(self, circuit: Any, execution: ct.Execution) -> None:
        count = self.ran.get(execution.executor, 0)
        self.ran[execution.executor] = count + (execution.error is None)


@breaks("S1", "a copy")
class Copying(First):
    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        chosen = executors[0]
        return attrs.evolve(chosen) if isinstance(chosen, ct.Executor) else chosen


@breaks("S1", "seen: 0")
class ReturningTheNumber(First):
    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        return 0


@breaks("S1", "KeyError: 40")
class ByWires(First):
    """Takes for granted that circuits have few wires."""

    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        return {1: executors[0], 2: executors[1]}[len(circuit.wires)]


@breaks("S2", "list index out of range|IndexError")
class Second(First):
    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        return executors[1]


@breaks("S3", "AttributeError")
class BySeed(First):
    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        return max(executors, key=lambda member: member.shots == "qnode")


@breaks("S4", "takes two of a kind")
class Strict(First):
    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        if len(set(executors)) < len(executors):
            raise ValueError("it never takes two of a kind")
        return executors[0]


@breaks("S5", "IndexError")
class Cycling(First):
    """Goes round, by the number of executors that it saw first."""

    def __init__(self) -> None:
        self.cycle: Any = None

    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        self.cycle = self.cycle or itertools.cycle(range(len(executors)))
        return executors[next(self.cycle)]


@breaks("S5", "one of the")
class Remembering(First):
    """Stays with the executor that it chose first."""

    def __init__(self) -> None:
        self.chosen: Any = None

    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        self.chosen = self.chosen or executors[-1]
        return self.chosen


@breaks("S6", "one of the|IndexError")
class SharingTheList(First):
    """Keeps the list that it chooses from where other threads see it."""

    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        self.offered = executors
        time.sleep(0)
        return self.offered[-1]


@breaks("S7", "cannot pickle")
class Locked(First):
    def __init__(self) -> None:
        self.lock = threading.Lock()


@breaks("S7", "AttributeError")
class ForgettingItsTurn(First):
    def __init__(self) -> None:
        self.turn = 0

    def __getstate__(self) -> Any:
        return {"old": True}

    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        self.turn += 1
        return executors[self.turn % len(executors)]


@breaks("S8", "the list to stay")
class Popping(First):
    def __call__(self, circuit: Any, executors: Any) -> Any:
        return executors.pop(0)


@breaks("S8", "the circuit to be")
class Marking(First):
    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        circuit.operations.append(qml.Barrier(0))
        return executors[0]


@breaks("S9", "KeyError")
class KnowingItsOwn(Learning):
    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        for member in executors:
            self.ran.setdefault(member, 0)
        return super().__call__(circuit, executors)

    def learn(self, circuit: Any, execution: ct.Execution) -> None:
        self.ran[execution.executor] += 1


@breaks("S9", "ZeroDivisionError")
class BySpeed(Learning):
    def learn(self, circuit: Any, execution: ct.Execution) -> None:
        self.ran[execution.executor] = int(1 / execution.duration_s)


@breaks("S10", "changed size|dictionary")
class LearningUnlocked(Learning):
    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        for _ in self.ran:
            time.sleep(0)
        return executors[-1]

    def learn(self, circuit: Any, execution: ct.Execution) -> None:
        self.ran[uuid.uuid4()] = 1


@breaks("S11", "they differ")
class CallingItselfDeterministic(First):
    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        return executors[uuid.uuid4().int % len(executors)]


# Stores.


class Durable(MemoryStore):
    """Keeps everything in a place of its own, beyond `close`; good."""

    durable = True
    instant = False

    def close(self) -> None:
        """Keep everything, as a file would."""


def left_by(change: Callable[[Any], None]) -> Callable[..., ct.Store]:
    """Return a `reopen` that finds what is left after a change."""

    def reopen(_: Any, store: Any) -> Any:
        change(store)
        return store

    return reopen


def without_handles(store: Any) -> None:
    for job in store.jobs():
        store.intend(attrs.evolve(job, handle=None))


@breaks("T1", "call-0|entries\\(\\)\\[0\\]")
class NewestFirst(MemoryStore):
    def entries(self, *, call_id: str | None = None) -> Sequence[ct.Entry]:
        return super().entries(call_id=call_id)[::-1]


@breaks("T1", "after 1 calls of record")
class WritingLater(MemoryStore):
    """Shows entries ten at a time."""

    def entries(self, *, call_id: str | None = None) -> Sequence[ct.Entry]:
        kept = super().entries(call_id=call_id)
        return kept[: len(kept) // 10 * 10]


@breaks("T2", "entries\\(call_id='call-1'\\)")
class IgnoringCalls(MemoryStore):
    def entries(self, *, call_id: str | None = None) -> Sequence[ct.Entry]:
        return super().entries()


def recording(**changes: Any) -> type[MemoryStore]:
    """Return a store that changes executions before it records them."""

    class Recording(MemoryStore):
        def record(self, entry: ct.Entry) -> None:
            changed = attrs.evolve(entry.execution, **changes)
            super().record(attrs.evolve(entry, execution=changed))

    return Recording


for field in attrs.fields(ct.Execution):
    if field.name != "error":
        lossy = recording(**{field.name: () if field.name == "earlier" else -1})
        lossy.__name__ = f"Losing-{field.name}"
        breaks("T3", re.escape(f".{field.name}"))(lossy)


@breaks("T3", "error")
class Asciifying(MemoryStore):
    def record(self, entry: ct.Entry) -> None:
        error = entry.execution.error
        plain = error and error.encode("ascii", "ignore").decode()
        execution = attrs.evolve(entry.execution, error=plain)
        super().record(attrs.evolve(entry, execution=execution))


@breaks("T4", "'job-1': 'handle-1'")
class ForgettingHandles(MemoryStore):
    def submitted(self, job_id: str, handle: str) -> None:
        pass


@breaks("T4", "with the handles")
class KeepingEnded(MemoryStore):
    def ended(self, job_id: str) -> None:
        pass


@breaks("T4", "the oldest first")
class MovingSubmitted(MemoryStore):
    def submitted(self, job_id: str, handle: str) -> None:
        self._jobs[job_id] = attrs.evolve(self._jobs.pop(job_id), handle=handle)


for field in attrs.fields(ct.Intent):
    if field.name not in ("job_id", "handle"):

        def intend(self: Any, intent: ct.Intent, name: str = field.name) -> None:
            none: Any = (
                0.0 if name == "at" else ct.Executor() if name == "executor" else ()
            )
            MemoryStore.intend(self, attrs.evolve(intent, **{name: none}))

        breaks("T5", field.name)(
            type(f"Intending-without-{field.name}", (MemoryStore,), {"intend": intend})
        )


@breaks("T6", "KeyError")
class Demanding(MemoryStore):
    def ended(self, job_id: str) -> None:
        del self._jobs[job_id]


@breaks("T6", "KeyError")
class DemandingHandles(MemoryStore):
    def submitted(self, job_id: str, handle: str) -> None:
        self._jobs[job_id] = attrs.evolve(self._jobs[job_id], handle=handle)


class Unlocked(MemoryStore):
    """Reads, and then writes what it read."""

    def record(self, entry: ct.Entry) -> None:
        kept = [*self._entries, entry]
        time.sleep(0)
        self._entries = kept  # type: ignore[assignment]

    def intend(self, intent: ct.Intent) -> None:
        jobs = {**self._jobs, intent.job_id: intent}
        time.sleep(0)
        self._jobs = jobs


breaks("T7", "entries 0 to 49|changed size|mutated")(Unlocked)
breaks("T8", "wrong or missing")(Unlocked)


@breaks("T9", "1 entry and 1 job")
class GivingItselfAway(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.live: list[ct.Entry] = []

    def record(self, entry: ct.Entry) -> None:
        self.live.append(entry)

    def entries(self, *, call_id: str | None = None) -> Sequence[ct.Entry]:
        return self.live


@breaks("T10", "1 entries and 1 jobs")
class SharingEverything(MemoryStore):
    everything: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.__dict__.update(self.everything or vars(self))
        self.everything.update(vars(self))


@breaks("T11", "is closed")
class ClosedOnce(MemoryStore):
    closed = False

    def close(self) -> None:
        if self.closed:
            raise ValueError("the file is closed")
        self.closed = True


@breaks("T12", "the token is in repr")
class ShowingItsEntries(MemoryStore):
    def __repr__(self) -> str:
        tokens = [getattr(e.execution.executor, "token", "") for e in self._entries]
        return f"<store of {tokens}>"


@breaks("T13", "ms for intend")
class SlowButInstant(MemoryStore):
    def intend(self, intent: ct.Intent) -> None:
        time.sleep(0.002)
        super().intend(intent)


breaks("T14", "has no reopen")(type("Unopened", (Durable,), {}))
breaks(
    "T14",
    r"entries\(\) once opened again to return 20",
    reopen=left_by(lambda store: store._entries.pop()),
)(type("LosingEntries", (Durable,), {}))
breaks(
    "T14",
    r"jobs\(\) once opened again to return 1",
    reopen=left_by(lambda store: store._jobs.clear()),
)(type("LosingJobs", (Durable,), {}))
breaks("T15", "'job-1': 'handle-1'", reopen=left_by(without_handles))(
    type("LosingHandles", (Durable,), {})
)


# Observers.


@breaks("O1", "AttributeError")
def expecting_records(event: ct.Event) -> None:
    assert event.execution.duration_s >= 0  # type: ignore[union-attr]


@breaks("O1", "KeyError: 'suspended'")
def knowing_circuits_only(event: ct.Event) -> None:
    known = ("submitted", "started", "retried", "completed", "failed", "cached")
    dict.fromkeys(known, 0)[event.kind]


@breaks("O2", "event to stay")
def adding_metadata(event: ct.Event) -> None:
    if event.execution is not None:
        event.execution.metadata["seen"] = True  # type: ignore[index]


@breaks("O3", "ms")
def sleepy(event: ct.Event) -> None:
    time.sleep(0.002)


class Unguarded:
    """Counts in a dictionary that it walks through."""

    __name__ = "Unguarded"

    def __init__(self) -> None:
        self.seen: dict[Any, int] = {}

    def __call__(self, event: ct.Event) -> None:
        self.seen[uuid.uuid4()] = 1
        for _ in self.seen:
            time.sleep(0)
        if len(self.seen) > 20:
            self.seen.clear()


breaks("O4", "changed size|changed during")(Unguarded())


@pytest.mark.parametrize(("rule", "kit", "says"), CASES)
def test_broken_plugin_is_caught(rule: str, kit: Any, says: str) -> None:
    report = check(kit(), rules=[rule])
    (result,) = report.results
    assert result.outcome in ("failed", "error"), result
    assert not report.ok
    assert re.search(says, result.message), result.message
    if result.outcome == "failed":
        title = f"{rule}: {result.rule.sentence}\n  expected: "
        assert result.message.startswith(title)
        assert f"\n  seen: {result.seen}" in result.message


@pytest.mark.parametrize("letter", ["S", "T", "O"])
def test_every_rule_is_broken_by_a_plugin(letter: str) -> None:
    numbers = {rule.number for rule in rules_of(KITS[letter])}
    broken = {case.values[0] for case in CASES if case.values[0].startswith(letter)}
    assert numbers - ON_DISK == broken


GOOD = [
    kit_of(SelectorConformance, First),
    kit_of(SelectorConformance, Learning),
    kit_of(StoreConformance, MemoryStore),
    kit_of(StoreConformance, Durable, reopen=left_by(lambda store: None)),
    kit_of(ObserverConformance, lambda: [].append),
]


@pytest.fixture(scope="module")
def reports() -> list[Any]:
    return [check(kit) for kit in GOOD]


@pytest.mark.parametrize("number", range(len(GOOD)))
def test_good_plugin_passes(number: int, reports: list[Any]) -> None:
    failed = [r for r in reports[number].results if r.outcome in ("failed", "error")]
    assert not failed
    assert reports[number].ok
    assert reports[number].proves_values  # there are none to prove


def test_every_rule_is_kept_by_a_good_plugin(reports: list[Any]) -> None:
    results = [result for report in reports for result in report.results]
    passed = {result.rule.number for result in results if result.outcome == "passed"}
    numbers = {rule.number for letter in "STO" for rule in rules_of(KITS[letter])}
    assert numbers - passed <= ON_DISK


# Rules about files.


@attrs.frozen
class Folder:
    """A distribution with one plugin, found as if it were installed."""

    path: Path

    def write(self, name: str, **modules: str) -> None:
        """Write modules of a package, and the metadata that names its plugin."""
        package = self.path / f"qelectron_{name}"
        package.mkdir()
        for module, text in modules.items():
            (package / f"{module}.py").write_text(textwrap.dedent(text))
        info = self.path / f"qelectron_{name}-1.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: qelectron-{name}\nVersion: 1\n"
        (info / "METADATA").write_text(metadata)
        entry_point = f"[qelectron]\n{name} = qelectron_{name}\n"
        (info / "entry_points.txt").write_text(entry_point)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    monkeypatch.syspath_prepend(tmp_path)
    registry.cache_clear()
    yield Folder(tmp_path)
    registry.cache_clear()
    for name in [name for name in sys.modules if name.startswith("qelectron_tried")]:
        del sys.modules[name]


THINGS = """
    import os
    import attrs
    from qelectron_core import Executor
    from qelectron_core.store import MemoryStore

    @attrs.frozen
    class Thing(Executor):
        def run(self, job):
            return [0.0 for _ in job.circuits]

    @attrs.frozen
    class Local(Thing):
        process: int = attrs.field(factory=os.getpid)

        def __reduce__(self):
            return Local, ()

    class Store(MemoryStore):
        pass

    def select(circuit, executors):
        return executors[0]

    def observe(event):
        pass
"""
HOOKS = """
    from qelectron_core import hookimpl
    {before}

    @hookimpl
    def qelectron_register_{kind}s(register):
        register("tried", {target})
"""
REGISTERED = [
    ("E47", "executor", "Thing"),
    ("S12", "selector", "select"),
    ("T16", "store", "Store"),
    ("O5", "observer", "observe"),
]


def registered(folder: Folder, kind: str, name: str, before: str, target: str) -> Any:
    """Return a kit for what a plugin in a folder registers."""
    hooks = textwrap.dedent(HOOKS).format(kind=kind, before=before, target=target)
    folder.write("tried", __init__=hooks, things=THINGS)
    thing = getattr(importlib.import_module("qelectron_tried.things"), name)
    letter = {"executor": "E", "selector": "S", "store": "T", "observer": "O"}[kind]
    make = thing if isinstance(thing, type) else lambda: thing
    return kit_of(KITS[letter], make)


@pytest.mark.parametrize(("number", "kind", "name"), REGISTERED)
def test_registering_by_name_passes(
    number: str, kind: str, name: str, folder: Folder
) -> None:
    kit = registered(folder, kind, name, "", f'"qelectron_tried.things:{name}"')
    assert check(kit, rules=[number]).counts["passed"] == 1


@pytest.mark.parametrize(("number", "kind", "name"), REGISTERED)
def test_registering_the_thing_itself_is_caught(
    number: str, kind: str, name: str, folder: Folder
) -> None:
    kit = registered(
        folder, kind, name, "from qelectron_tried import things", f"things.{name}"
    )
    result = check(kit, rules=[number]).of(number)
    assert result.outcome == "failed"
    assert result.seen == "its hooks import 'qelectron_tried.things'"


def test_importing_pennylane_in_a_hook_is_caught(folder: Folder) -> None:
    target = '"qelectron_tried.things:Thing"'
    kit = registered(folder, "executor", "Thing", "import pennylane", target)
    result = check(kit, rules=["E47"]).of("E47")
    assert result.outcome == "failed"
    assert result.seen == "its hooks import 'pennylane'"


def test_what_nobody_registered_is_not_checked_for_that() -> None:
    result = check(kit_of(SelectorConformance, First), rules=["S12"]).of("S12")
    assert (result.outcome, result.undeclared) == ("skipped", None)


@pytest.mark.parametrize(
    ("name", "outcome"), [("Thing", "passed"), ("Local", "failed")]
)
def test_another_process_gets_an_equal_executor(
    name: str, outcome: str, folder: Folder
) -> None:
    kit = registered(folder, "executor", name, "", '"qelectron_tried.things:Thing"')
    result = check(kit, rules=["E4"]).of("E4")
    assert result.outcome == outcome, result
    assert outcome == "passed" or result.expected.startswith("process=")


def test_class_in_a_function_reaches_no_other_process() -> None:
    @attrs.frozen
    class Hidden(ct.Executor):
        pass

    result = check(kit_of(ExecutorConformance, Hidden), rules=["E4"]).of("E4")
    assert result.outcome == "failed"
    assert "expected: pickle.dumps of it to raise nothing" in result.message


# How it runs.


class Small(SelectorConformance):
    """A kit with rules of its own."""

    deadline_s: ClassVar[float] = 0.2

    def make(self) -> Any:
        return First()

    @value_rule
    def test_z01_passes(self) -> None:
        """It passes."""

    @rule
    def test_z02_fails(self) -> None:
        """It fails."""
        require(False, expected="something", seen=42, hint="do it")

    @rule
    def test_z03_is_skipped(self) -> None:
        """It is skipped."""
        declared("magic", False)

    @rule
    def test_z04_raises(self) -> None:
        """It raises."""
        raise ValueError("out of order")

    @rule
    def test_z05_hangs(self) -> None:
        """It hangs."""
        threading.Event().wait(20)

    @rule
    def test_z06_hangs(self) -> None:
        """It hangs, too."""
        threading.Event().wait(20)

    @rule
    def test_z07_comes_late(self) -> None:
        """It comes late."""

    @rule
    def test_z08_raises_a_timeout_of_its_own(self) -> None:
        """It raises a timeout of its own."""
        raise TimeoutError("from below")


def test_report_says_what_came_of_each_rule() -> None:
    starting: list[str] = []
    ended: list[str] = []
    report = check(
        Small(),
        rules=["Z4", "z1", "Z2", "Z3", "Z8"],
        starting=lambda rule: starting.append(rule.number),
        ended=lambda result: ended.append(result.rule.number),
    )
    assert starting == ended == ["Z1", "Z2", "Z3", "Z4", "Z8"]
    assert [r.outcome for r in report.results] == [
        *("passed", "failed", "skipped", "error", "error")
    ]
    assert report.of("Z2").message == (
        "Z2: It fails.\n  expected: something\n  seen: 42\n  to do: do it"
    )
    assert report.of("Z3").undeclared == "magic"
    assert report.of("Z4").message == "ValueError: out of order"
    assert report.of("Z8").message == "TimeoutError: from below"
    assert report.summary == "1 passed, 3 failed, 1 skipped (not declared: magic)"
    assert not report.ok
    with pytest.raises(KeyError):
        report.of("Z7")


def test_report_is_json() -> None:
    report = check(Small, rules=["Z1", "Z2"])  # a class will do as well
    read = json.loads(json.dumps(report.to_json()))
    assert read["ok"] is False
    assert read["counts"] == {"passed": 1, "failed": 1, "skipped": 0, "error": 0}
    assert [rule["outcome"] for rule in read["rules"]] == ["passed", "failed"]
    assert read["rules"][1]["expected"] == "something"


def test_what_hangs_is_given_up_and_the_rest_left_out() -> None:
    start = time.perf_counter()
    report = check(Small(), rules=["Z5", "Z6", "Z7"])
    assert time.perf_counter() - start < 5
    assert [r.outcome for r in report.results] == ["failed", "failed", "skipped"]
    assert report.of("Z5").seen == "it had not ended after 0.2 s"
    assert "not checked, because 2 rules ran out of time" in report.of("Z7").message


def test_rules_are_methods_that_pytest_can_run() -> None:
    kit = Small()
    assert kit.test_z01_passes() is None
    with pytest.raises(AssertionError, match="Z2: It fails"):
        kit.test_z02_fails()
    with pytest.raises(unittest.SkipTest, match="not declared: magic"):
        kit.test_z03_is_skipped()
    with pytest.raises(NotDeclared):
        kit.test_z03_is_skipped()
    with pytest.raises(ValueError, match="out of order") as caught:
        kit.test_z04_raises()
    assert caught.value.__notes__ == ["while checking Z4: It raises."]


def test_rule_without_a_number_is_refused() -> None:
    with pytest.raises(NameError, match="'test_something' has no number"):

        @rule
        def test_something(self: Any) -> None:
            """It has no number."""


def test_rule_that_is_put_away_is_not_checked() -> None:
    lenient = type("Lenient", (Small,), {"test_z02_fails": None})
    assert "Z2" not in {rule.number for rule in rules_of(lenient)}


def test_unknown_rule_is_refused() -> None:
    with pytest.raises(ct.ConfigError, match=r"has no rule 'S99'.* Rules: S1, S2"):
        check(kit_of(SelectorConformance, First), rules=["S99"])


def test_nothing_passes_by_skipping() -> None:
    report = check(Small(), rules=["Z3"])
    assert not report.ok
    assert report.counts["passed"] == 0


def test_report_says_if_no_value_was_compared() -> None:
    from qelectron_core.testing.conformance.doubles import Fixed

    report = check(kit_of(ExecutorConformance, Fixed), rules=["E15", "E16", "E27"])
    assert report.ok
    assert not report.proves_values
    assert "No result was compared with a reference" in report.note
    assert "not declared: computes" in report.summary
    proven = check(Small(), rules=["Z1"])
    assert proven.proves_values
    assert proven.note == ""


def test_kit_without_make_says_so() -> None:
    report = check(ObserverConformance(), rules=["O1"])
    assert report.of("O1").outcome == "error"
    assert "has no make(). Write `def make(self)" in report.of("O1").message


def test_pytest_runs_a_kit_of_three_lines(tmp_path: Path) -> None:
    """Failures carry the sentence, skips the capability; the kit imports no pytest."""
    file = tmp_path / "test_three_lines.py"
    file.write_text(
        textwrap.dedent(
            """
            import sys
            sys.modules.pop("pytest", None)
            from qelectron_core.testing import StoreConformance
            from qelectron_core.store import MemoryStore
            assert "pytest" not in sys.modules

            class Lossy(MemoryStore):
                def ended(self, job_id):
                    pass

            class TestLossy(StoreConformance):
                def make(self):
                    return Lossy()
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", str(file)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert "3 failed, 10 passed, 3 skipped" in done.stdout, done.stdout
    assert "T4: A job is in `jobs` from `intend` on" in done.stdout
    assert "expected: jobs() with the handles {'job-1': 'handle-1'" in done.stdout
    assert "not declared: durable" in done.stdout


# What it compares with.


def drawn(circuit: QuantumScript, count: int) -> list[Any]:
    """Return results of a circuit, drawn anew each time."""
    device = qml.device("default.qubit", seed=11)
    return list(qml.execute([circuit] * count, device, diff_method=None))


SPREAD = with_shots([*spread_circuits(), *several_measurements()], 1000)


@pytest.mark.parametrize("number", range(len(SPREAD)))
def test_error_bounds_are_standard_errors(number: int) -> None:
    """Honest samples keep to the bounds, which are no wider than they should be."""
    circuit = SPREAD[number]
    results = drawn(circuit, 300)
    for place, (mp, estimate) in enumerate(
        zip(circuit.measurements, estimates(circuit), strict=True)
    ):
        parts = (
            results if len(circuit.measurements) == 1 else [r[place] for r in results]
        )
        told = np.array([told_by(mp, part) for part in parts])
        assert not any(estimate.misses(one, 0.0) for one in told)
        spread, bound = np.std(told, axis=0), np.asarray(estimate.error)
        assert np.all(spread <= bound / STANDARD_ERRORS * 1.3)
        # The bound of a variance holds for all terms at once, which is seldom needed.
        least = 0.2 if isinstance(mp, qml.measurements.VarianceMP) else 0.6
        assert np.all(spread >= bound / STANDARD_ERRORS * least)


@pytest.mark.parametrize("kind", [qml.counts, qml.sample])
@pytest.mark.parametrize("about", [{"wires": [1, 0]}, {"op": qml.Y(1)}])
def test_samples_and_counts_tell_what_they_should(kind: Any, about: Any) -> None:
    circuit = QuantumScript(entangled(), [kind(**about)], shots=100_000)
    (result,) = drawn(circuit, 1)
    (estimate,) = estimates(circuit)
    assert not estimate.misses(told_by(circuit.measurements[0], result), 0.0)
    assert estimate.misses(told_by(circuit.measurements[0], result) + 0.05, 0.0)


NESTED = st.recursive(
    st.floats(-1, 1) | st.lists(st.floats(-1, 1), min_size=1).map(np.array),
    lambda parts: st.lists(parts, min_size=1).map(tuple),
    max_leaves=6,
)


@given(NESTED)
def test_result_matches_itself(result: Any) -> None:
    assert mismatch(result, result, 1e-9) is None
    assert odd_form(result, result) is None
    assert mismatch((result, 1.0), (result, 1.1), 1e-3) is not None
    assert odd_form((result,), [result]) is not None
    assert odd_form((result, result), (result,)) is not None


@given(
    st.lists(st.integers(0, 50), max_size=30),
    st.none() | st.integers(1, 10),
    st.none() | st.integers(1, 100),
)
def test_jobs_are_split_to_the_limits(
    shots: list[int], most: int | None, most_shots: int | None
) -> None:
    class Limited:
        limits = ct.Limits(circuits_per_job=most, shots_per_job=most_shots)

    executor: Any = Limited()
    circuits = [QuantumScript([], [], shots=count or None) for count in shots]
    parts = [circuits[part] for part in split(executor, circuits)]
    assert list(itertools.chain.from_iterable(parts)) == circuits
    assert all(parts) or not circuits
    for part in parts:
        assert most is None or len(part) <= most
        total = sum(one.shots.total_shots or 0 for one in part)
        assert most_shots is None or total <= most_shots or len(part) == 1


# Its page.


def test_page_has_a_line_per_rule_and_no_other() -> None:
    lines = re.findall(r"^\| ([A-Z]\d+) \| (.*) \|$", PAGE.read_text("utf-8"), re.M)
    stated = [
        (rule.number, rule.sentence)
        for letter, kit in KITS.items()
        for rule in rules_of(kit)
        if rule.number.startswith(letter)
    ]
    assert lines == stated


@pytest.mark.parametrize("kit", KITS.values())
def test_rules_are_numbered_without_gaps(kit: Any) -> None:
    numbers = [rule.number for rule in rules_of(kit)]
    for letter, group in itertools.groupby(numbers, key=lambda number: number[0]):
        listed = list(group)
        assert listed == [f"{letter}{n}" for n in range(1, len(listed) + 1)]
    assert all(rule.sentence.endswith(".") for rule in rules_of(kit))

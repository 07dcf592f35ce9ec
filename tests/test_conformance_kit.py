"""The conformance kit: how it runs, and that it catches what is broken.

For every rule of selectors, stores and observers there is one that breaks it, each in a
way that an author might; executors have pages of their own.
"""

from __future__ import annotations

import contextlib
import copy
import fcntl
import functools
import importlib
import itertools
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import attrs
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pennylane.tape import QuantumScript

import qelectron_core as ct
from qelectron_core.memory_store import MemoryStore
from qelectron_core.registry import registry
from qelectron_core.store import (
    Balance,
    Call,
    Claim,
    Document,
    Entry,
    Intent,
    Kept,
    Key,
    Run,
    Store,
    Usage,
)
from qelectron_core.tally import Tally, tallies_of
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
ON_DISK = {"S12", "T33", "O5"}
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

FILES = tempfile.TemporaryDirectory(prefix="qelectron-stores-")


class Durable(Store):
    """Keeps a log of all that it is told, which other stores read as well; good."""

    durable = True

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(FILES.name) / uuid.uuid4().hex
        self.path.touch()
        self.memory = MemoryStore()
        self.me = (uuid.uuid4().hex, os.getpid())
        self.offset = 0
        self.owners: dict[Any, Any] = {}  # of claims, jobs and calls
        self.closed: set[Any] = set()
        self.holds: dict[Any, Counter[str]] = {}
        self.lock = threading.RLock()

    @contextmanager
    def up_to_date(self) -> Iterator[BinaryIO]:
        """Learn what others did, and keep them from doing more."""
        with self.lock, self.path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(self.offset)
            with contextlib.suppress(EOFError):
                while True:
                    self.apply(*pickle.load(file))
            self.offset = file.tell()
            yield file

    def tell(self, event: str, *args: Any) -> None:
        with self.up_to_date() as file:
            self.append(file, event, *args)

    def append(self, file: BinaryIO, event: str, *args: Any) -> None:
        self.apply(self.me, event, *args)
        file.write(pickle.dumps((self.me, event, *args)))
        self.offset = file.tell()

    def apply(self, owner: Any, event: str, *args: Any) -> None:
        if event == "write":
            self.take(owner, *(call.id for call in args[0]))
            self.free(*(kept.key for kept in args[2]))
        if event == "intend":
            self.take(owner, *self.things(args[0]))
        if event == "ended":
            self.free(*(t for j in self.held(args[0]) for t in self.things(j)))
        if event == "put":
            self.take(owner, *(document.place for document in args[0]))
        if event == "hold":
            self.holds.setdefault((args[0], owner), Counter()).update(args[1])
        elif event == "close":
            self.closed.add(owner)
        elif event == "take":
            self.take(owner, *args)
        elif event == "free":
            self.free(*args)
        else:
            getattr(self.memory, event)(*args)

    def take(self, owner: Any, *things: Any) -> None:
        self.owners.update(dict.fromkeys(things, owner))

    def free(self, *things: Any) -> None:
        for thing in things:
            self.owners.pop(thing, None)

    def held(self, job_id: str) -> list[Intent]:
        return [job for job in self.memory.jobs() if job.job_id == job_id]

    def things(self, job: Intent) -> list[Any]:
        return [job.job_id, *(key for key in job.claims if key is not None)]

    def lives(self, thing: Any) -> bool:
        owner = self.owners.get(thing)
        if owner is None or owner in self.closed:
            return False
        try:
            os.kill(owner[1], 0)
        except ProcessLookupError:
            return False
        return True

    def write(self, calls: Any, entries: Any, kept: Any = ()) -> None:
        self.tell("write", calls, entries, kept)

    def runs(
        self, *, state: Any = None, limit: Any = None, **filters: Any
    ) -> Sequence[Run]:
        with self.up_to_date():
            found = self.memory.runs(**filters)
        runs = map(self.seen, found)
        return [run for run in runs if state in (None, run.state)][:limit]

    def seen(self, run: Run) -> Run:
        is_lost = run.state == "running" and not self.awaited(run)
        return attrs.evolve(run, state="lost") if is_lost else run

    def intend(self, intent: Intent) -> None:
        self.tell("intend", intent)

    def submitted(self, job_id: str, handle: str) -> None:
        self.tell("submitted", job_id, handle)

    def ended(self, job_id: str, kept: Sequence[Kept] = ()) -> None:
        self.tell("ended", job_id, kept)

    def jobs(self, *, call_id: str | None = None) -> Sequence[Intent]:
        with self.up_to_date():
            jobs = self.memory.jobs(call_id=call_id)
            return [attrs.evolve(j, alive=self.lives(j.job_id)) for j in jobs]

    def adopt(self, job_id: str) -> Intent | None:
        with self.up_to_date() as file:
            jobs = [] if self.lives(job_id) else self.held(job_id)
            for job in jobs:
                self.append(file, "take", *self.things(job))
            return jobs[0] if jobs else None

    def find(self, keys: Sequence[Key]) -> Sequence[Kept | None]:
        with self.up_to_date():
            return self.memory.find(keys)

    def pool(self, pool: str) -> Sequence[Kept]:
        with self.up_to_date():
            return self.memory.pool(pool)

    def claim(self, keys: Sequence[Key]) -> Sequence[Claim]:
        with self.up_to_date() as file:
            return [self.answer(file, key) for key in keys]

    def answer(self, file: BinaryIO, key: Key) -> Claim:
        (answer,) = self.memory.claim([key])
        if answer.kept is not None:
            return answer
        if self.lives(key) and self.owners[key] != self.me:
            return Claim(elsewhere=True)
        things = [key] if answer.job is None else self.things(answer.job)
        self.append(file, "take", *things)
        return answer

    def release(self, keys: Sequence[Key]) -> None:
        with self.up_to_date() as file:
            held = {t for job in self.memory.jobs() for t in self.things(job)}
            self.append(file, "free", *(key for key in keys if key not in held))

    def put(self, documents: Sequence[Document]) -> None:
        self.tell("put", documents)

    def documents(
        self, kind: str, *, id: str | None = None, limit: int | None = None
    ) -> Sequence[Document]:
        with self.up_to_date():
            found = self.memory.documents(kind, id=id, limit=limit)
            return [attrs.evolve(d, alive=self.lives(d.place)) for d in found]

    def drop(self, kind: str, id: str) -> int:
        count = len(self.documents(kind, id=id))
        self.tell("drop", kind, id)
        return count

    def reserve(self, ledger: str, wanted: Any, limits: Any) -> Balance:
        with self.up_to_date() as file:
            before = self.counted(ledger)
            if not before.allows(wanted, limits):
                return attrs.evolve(before, granted=False)
            self.append(file, "hold", ledger, wanted)
            return self.counted(ledger)

    def settle(self, ledger: str, held: Any, spent: Any) -> None:
        with self.up_to_date() as file:
            self.append(
                file, "hold", ledger, {u: -amount for u, amount in held.items()}
            )
            self.append(file, "settle", ledger, {}, spent)

    def balance(self, ledger: str) -> Balance:
        with self.up_to_date():
            return self.counted(ledger)

    def counted(self, ledger: str) -> Balance:
        held: Counter[str] = Counter()
        for (name, owner), amounts in self.holds.items():
            self.owners[amounts_of := (name, owner)] = owner
            held.update(amounts if name == ledger and self.lives(amounts_of) else {})
        return attrs.evolve(self.memory.balance(ledger), held=held)

    def tallies(self, *, since: float | None = None) -> Sequence[Tally]:
        runs = [self.runs(call_id=run.id)[0] for run in self.runs()]
        lines = [(e, self.awaited(run)) for run in runs for e in run.entries]
        return tallies_of(lines, since=since)

    def awaited(self, run: Run) -> bool:
        return self.lives(run.id) or bool(self.jobs(call_id=run.id))

    def usage(self) -> Usage:
        with self.up_to_date():
            return self.memory.usage()

    def clear(self) -> int:
        count = self.usage().results
        self.tell("clear")
        return count

    def close(self) -> None:
        self.tell("close")


def reopen(_: Any, store: Any) -> Any:
    return type(store)(store.path)


def changing(what: str, **changes: Any) -> Callable[..., Any]:
    """Return a `write` that changes calls, lines or results before it keeps them."""

    def write(self: Any, calls: Any, entries: Any, kept: Any = ()) -> None:
        told = {"calls": calls, "entries": entries, "kept": kept}
        told[what] = [attrs.evolve(record, **changes) for record in told[what]]
        MemoryStore.write(self, **told)

    return write


def losing(rule: str, what: str, record: type, kept: Collection[str]) -> None:
    """Note a store for each field of a record but some, which does not keep it."""
    for field in attrs.fields(record):
        if field.name not in kept:
            name = f"Losing-{what}-{field.name}"
            write = changing(what, **{field.name: -1})
            breaks(rule, re.escape(f".{field.name}"))(
                type(name, (MemoryStore,), {"write": write})
            )


losing("T2", "calls", Call, ["id"])
losing("T3", "entries", Entry, ["call_id", "index", "attempt"])
losing("T16", "kept", Kept, ["key"])


@breaks("T1", "the newest first")
class OldestFirst(MemoryStore):
    def runs(self, **filters: Any) -> Sequence[Run]:
        return super().runs(**filters)[::-1]


@breaks("T1", "to return")
class WritingLater(MemoryStore):
    """Shows calls ten at a time."""

    def runs(self, **filters: Any) -> Sequence[Run]:
        found = super().runs(**filters)
        return found[: len(found) // 10 * 10]


@breaks("T3", "the lines of")
class ShowingNoLines(MemoryStore):
    def runs(self, **filters: Any) -> Sequence[Run]:
        return [attrs.evolve(run, entries=()) for run in super().runs(**filters)]


@breaks("T3", "error")
class Asciifying(MemoryStore):
    def write(self, calls: Any, entries: Any, kept: Any = ()) -> None:
        plain = [
            attrs.evolve(
                e, error=e.error and e.error.encode("ascii", "ignore").decode()
            )
            for e in entries
        ]
        super().write(calls, plain, kept)


@breaks("T4", "circuit")
class ForgettingCircuits(MemoryStore):
    def write(self, calls: Any, entries: Any, kept: Any = ()) -> None:
        whole = [attrs.evolve(e, circuit=e.circuit or QuantumScript()) for e in entries]
        super().write(calls, whole, kept)


@breaks("T4", "to be 1")
class Appending(MemoryStore):
    def write(self, calls: Any, entries: Any, kept: Any = ()) -> None:
        news = [attrs.evolve(e, attempt=uuid.uuid4().int) for e in entries]
        super().write(calls, news, kept)


@breaks("T5", "name='y_1'")
class TakingPatterns(MemoryStore):
    """Takes a part of a name for a pattern, as SQL's LIKE does."""

    def runs(self, *, name: Any = None, **filters: Any) -> Sequence[Run]:
        pattern = (name or "").replace("_", ".").replace("%", ".*")
        return [r for r in super().runs(**filters) if re.search(pattern, r.call.name)]


def ignoring(filter_: str) -> type[MemoryStore]:
    class Ignoring(MemoryStore):
        def runs(self, **filters: Any) -> Sequence[Run]:
            return super().runs(**{**filters, filter_: None})

    Ignoring.__name__ = f"Ignoring-{filter_}"
    return Ignoring


for unheeded, number in {"name": 5, "executor": 5, "since": 5, "state": 7}.items():
    breaks(f"T{number}", f"{unheeded}=")(ignoring(unheeded))
breaks("T7", "limit=1")(ignoring("limit"))


def seeing(**changes: Any) -> type[MemoryStore]:
    class Seeing(MemoryStore):
        def runs(self, **filters: Any) -> Sequence[Run]:
            return [attrs.evolve(run, **changes) for run in super().runs(**filters)]

    Seeing.__name__ = f"Seeing-{'-'.join(changes)}"
    return Seeing


for untold in ("state", "executors", "states", "shots", "cost_usd", "finished_at"):
    none: Any = () if untold == "executors" else {} if untold == "states" else None
    breaks("T6", re.escape(f".{untold}"))(seeing(**{untold: none}))


@breaks("T7", "limit=1")
class LimitingFirst(MemoryStore):
    def runs(self, *, state: Any = None, **filters: Any) -> Sequence[Run]:
        return [r for r in super().runs(**filters) if state in (None, r.state)]


@breaks("T8", "'job-1': 'handle-1'")
class ForgettingHandles(MemoryStore):
    def submitted(self, job_id: str, handle: str) -> None:
        pass


@breaks("T8", "with the handles")
class KeepingEnded(MemoryStore):
    def ended(self, job_id: str, kept: Sequence[Kept] = ()) -> None:
        pass


@breaks("T8", "the oldest first")
class MovingSubmitted(MemoryStore):
    def submitted(self, job_id: str, handle: str) -> None:
        self._jobs[job_id] = attrs.evolve(self._jobs.pop(job_id), handle=handle)


for field in attrs.fields(Intent):
    if field.name not in ("job_id", "handle", "alive"):

        def intend(self: Any, intent: Intent, name: str = field.name) -> None:
            given: Any = () if name in ("circuits", "places", "keys", "claims") else -1
            MemoryStore.intend(self, attrs.evolve(intent, **{name: given}))

        breaks("T9", field.name)(
            type(f"Intending-without-{field.name}", (MemoryStore,), {"intend": intend})
        )


@breaks("T10", "KeyError")
class Demanding(MemoryStore):
    def ended(self, job_id: str, kept: Sequence[Kept] = ()) -> None:
        del self._jobs[job_id]


@breaks("T10", "KeyError")
class DemandingHandles(MemoryStore):
    def submitted(self, job_id: str, handle: str) -> None:
        self._jobs[job_id] = attrs.evolve(self._jobs[job_id], handle=handle)


@breaks("T11", r"jobs\(call_id='call-1'\)")
class IgnoringCalls(MemoryStore):
    def jobs(self, *, call_id: str | None = None) -> Sequence[Intent]:
        return super().jobs()


@breaks("T11", r"jobs\(call_id='call-1'\)")
class JoiningPlaces(MemoryStore):
    """Returns a job once for each of its places."""

    def jobs(self, *, call_id: str | None = None) -> Sequence[Intent]:
        return [j for j in super().jobs() for of, _ in j.places if of == call_id]


@breaks("T12", "find to return")
class EndingOnly(MemoryStore):
    def ended(self, job_id: str, kept: Sequence[Kept] = ()) -> None:
        super().ended(job_id)


@breaks("T13", "seen: run")
class ClaimingAlone(MemoryStore):
    def claim(self, keys: Sequence[Key]) -> Sequence[Claim]:
        return [Claim(kept=kept) for kept in self.find(keys)]


@breaks("T13", "seen: run")
class ClaimingKeys(MemoryStore):
    def intend(self, intent: Intent) -> None:
        super().intend(attrs.evolve(intent, claims=intent.keys))


@breaks("T13", "seen: run")
class ReleasingJobs(MemoryStore):
    def release(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self._held.pop(key, None)


@breaks("T14", "return None")
class AdoptingAll(MemoryStore):
    def adopt(self, job_id: str) -> Intent | None:
        return Intent(job_id, None, (), (), 0.0)


@breaks("T15", "find to return")
class FindingOnly(MemoryStore):
    def find(self, keys: Sequence[Key]) -> Sequence[Kept | None]:
        return [kept for kept in super().find(keys) if kept is not None]


@breaks("T15", "find to return")
class FindingEachOnce(MemoryStore):
    def find(self, keys: Sequence[Key]) -> Sequence[Kept | None]:
        return super().find(sorted(set(keys), key=str))


def keeping(rule: str, says: str, to: Callable[[Any], Any]) -> None:
    """Note a store that keeps something else in place of results."""

    def write(self: Any, calls: Any, entries: Any, kept: Any = ()) -> None:
        others = [attrs.evolve(one, value=to(one.value)) for one in kept]
        MemoryStore.write(self, calls, entries, others)

    breaks(rule, says)(type(f"Keeping-{to.__name__}", (MemoryStore,), {"write": write}))


def plain_numbers(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def lists(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def positive_zeros(value: Any) -> Any:
    return value + 0.0 if isinstance(value, float) else value


def arrays(value: Any) -> Any:
    return np.array(value) if isinstance(value, float) else value


def wide(value: Any) -> Any:
    return value + np.float64(0) if isinstance(value, np.ndarray) else value


def vectors(value: Any) -> Any:
    return np.atleast_1d(value) if isinstance(value, np.ndarray) else value


def text_keys(value: Any) -> Any:
    return {str(k): v for k, v in value.items()} if isinstance(value, dict) else value


for kind in (plain_numbers, lists, positive_zeros, arrays, wide, vectors, text_keys):
    keeping("T16", "value to be", kind)


@breaks("T17", "find to return")
class IgnoringDraws(MemoryStore):
    def find(self, keys: Sequence[Key]) -> Sequence[Kept | None]:
        pools = [[k for k in self.pool(key.pool) if k.key != key] for key in keys]
        found = super().find(keys)
        return [f or (p[0] if p else None) for f, p in zip(found, pools, strict=True)]


@breaks("T18", "find to return")
class KeepingTheFirst(MemoryStore):
    def write(self, calls: Any, entries: Any, kept: Any = ()) -> None:
        news = [one for one in kept if self.find([one.key]) == [None]]
        super().write(calls, entries, news)


@breaks("T19", "pool to return")
class PoolingBackwards(MemoryStore):
    def pool(self, pool: str) -> Sequence[Kept]:
        return super().pool(pool)[::-1]


@breaks("T19", "pool to return")
class PoolingAll(MemoryStore):
    def pool(self, pool: str) -> Sequence[Kept]:
        return [*super().pool("pool"), *super().pool("other")]


class Sharing(MemoryStore):
    """Keeps and gives away the very results that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[Key, Kept] = {}

    def write(self, calls: Any, entries: Any, kept: Any = ()) -> None:
        super().write(calls, entries)
        self.kept.update({one.key: one for one in kept})

    def find(self, keys: Sequence[Key]) -> Sequence[Kept | None]:
        return [self.kept.get(key) for key in keys]


breaks("T20", r"to stay \[0.5 0.5\]")(Sharing)


@breaks("T20", r"to stay \[0.5 0.5\]")
class SharingWhatItFound(Sharing):
    def write(self, calls: Any, entries: Any, kept: Any = ()) -> None:
        super().write(calls, entries, copy.deepcopy(kept))


class ClaimingOnce(MemoryStore):
    """Takes itself for somebody else."""

    def __init__(self) -> None:
        super().__init__()
        self.claimed: set[Key] = set()

    def claim(self, keys: Sequence[Key]) -> Sequence[Claim]:
        found = super().claim(keys)
        told = [
            Claim(elsewhere=True) if key in self.claimed and not one.kept else one
            for key, one in zip(keys, found, strict=True)
        ]
        self.claimed.update(keys)
        return told


breaks("T21", "seen: elsewhere")(ClaimingOnce)
breaks("T22", "seen: elsewhere")(ClaimingOnce)


@breaks("T21", "key by key")
class AnsweringKeptFirst(MemoryStore):
    def claim(self, keys: Sequence[Key]) -> Sequence[Claim]:
        return sorted(super().claim(keys), key=lambda one: one.kept is None)


@breaks("T22", "find to return")
class ReleasingResults(MemoryStore):
    def release(self, keys: Sequence[Key]) -> None:
        self.clear()


@breaks("T23", "the lines of|to return that call")
class ClearingAll(MemoryStore):
    def clear(self) -> int:
        count = super().clear()
        self.close()
        return count


@breaks("T23", "clear to return 2")
class CountingNothing(MemoryStore):
    def clear(self) -> int:
        super().clear()
        return 0


for counted in ("results", "calls", "circuits", "jobs", "result_bytes", "location"):

    def usage(self: Any, name: str = counted) -> Any:
        nothing: Any = 0
        return attrs.evolve(MemoryStore.usage(self), **{name: nothing})

    breaks("T24", "expected: a |result_bytes")(
        type(f"Miscounting-{counted}", (MemoryStore,), {"usage": usage})
    )


@breaks("T25", "lines")
class WritingInParts(MemoryStore):
    def write(self, calls: Any, entries: Any, kept: Any = ()) -> None:
        super().write(calls, [])
        time.sleep(0.001)
        super().write([], entries, kept)


@breaks("T25", "result")
class WritingResultsLater(MemoryStore):
    def write(self, calls: Any, entries: Any, kept: Any = ()) -> None:
        super().write(calls, entries)
        time.sleep(0.001)
        super().write([], [], kept)


class Unlocked(Sharing):
    """Reads, and then writes what it read."""

    def intend(self, intent: Intent) -> None:
        jobs = {**self._jobs, intent.job_id: intent}
        time.sleep(0)
        self._jobs = jobs

    def ended(self, job_id: str, kept: Sequence[Kept] = ()) -> None:
        super().ended(job_id)
        results = {**self.kept, **{one.key: one for one in kept}}
        time.sleep(0)
        self.kept = results


breaks("T26", "wrong or missing")(Unlocked)
breaks("T27", "find to return")(Unlocked)


@breaks("T28", "jobs to return 1")
class GivingItselfAway(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.live: list[Intent] = []

    def intend(self, intent: Intent) -> None:
        self.live.append(intent)

    def jobs(self, *, call_id: str | None = None) -> Sequence[Intent]:
        return self.live


@breaks("T29", "1 calls, 1 jobs and 1 results")
class SharingEverything(MemoryStore):
    everything: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.__dict__.update(self.everything or vars(self))
        self.everything.update(vars(self))


@breaks("T30", "is closed")
class ClosedOnce(MemoryStore):
    closed = False

    def close(self) -> None:
        if self.closed:
            raise ValueError("the file is closed")
        self.closed = True


@breaks("T31", "the token is in repr")
class ShowingItsJobs(MemoryStore):
    def __repr__(self) -> str:
        return f"<store of {[vars_of(job.executor) for job in self._jobs.values()]}>"


def vars_of(executor: Any) -> dict[str, Any]:
    return attrs.asdict(executor)


@breaks("T32", "ms for intend")
class SlowButInstant(MemoryStore):
    def intend(self, intent: Intent) -> None:
        time.sleep(0.002)
        super().intend(intent)


breaks("T34", "has no reopen")(type("Unopened", (Durable,), {}))


def lasting(rule: str, says: str) -> Callable[[Any], Any]:
    return breaks(rule, says, reopen=reopen)


def forgetting(event: str) -> type[Durable]:
    """Return a store that does one thing in its own memory only."""

    class Forgetting(Durable):
        def append(self, file: BinaryIO, told: str, *args: Any) -> None:
            if told == event:
                self.apply(self.me, told, *args)
            else:
                super().append(file, told, *args)

    Forgetting.__name__ = f"Forgetting-{event}"
    return Forgetting


lasting("T34", r"the calls of runs\(\)")(forgetting("write"))
lasting("T34", r"jobs\(\) once opened again")(forgetting("intend"))
lasting("T34", "handle")(forgetting("submitted"))
lasting("T35", "'job-1': 'handle-1'")(forgetting("submitted"))
lasting("T35", r"with the handles")(forgetting("ended"))
lasting("T36", "'elsewhere' after another one")(forgetting("take"))
lasting("T37", "once it was closed")(forgetting("close"))


@lasting("T35", "with the handles")
class WritingAtTheEnd(Durable):
    """Keeps all in memory until it is closed."""

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(path)
        self.pending: list[Any] = []

    def append(self, file: BinaryIO, event: str, *args: Any) -> None:
        self.apply(self.me, event, *args)
        self.pending.append((event, *args))
        if event == "close":
            for told in self.pending:
                file.write(pickle.dumps((self.me, *told)))


@lasting("T36", "seen: run")
class RunningAnew(Durable):
    """Runs again what a killed process had submitted."""

    def answer(self, file: BinaryIO, key: Key) -> Claim:
        found = super().answer(file, key)
        return Claim() if found.job else found


@lasting("T36", "seen: elsewhere")
class TrustingTheDead(Durable):
    def lives(self, thing: Any) -> bool:
        return thing in self.owners and self.owners[thing] not in self.closed


lasting("T35", "no job to be alive")(TrustingTheDead)
lasting("T39", "lost")(TrustingTheDead)


@lasting("T38", "'elsewhere' while")
class TrustingNobody(Durable):
    def lives(self, thing: Any) -> bool:
        return self.owners.get(thing) == self.me


# What plugins keep.


class Early(Durable):
    """Has no place for documents, and counts nothing, as nobody did at first; good."""

    put = Store.put
    documents = Store.documents
    drop = Store.drop
    reserve = Store.reserve
    settle = Store.settle
    balance = Store.balance
    tallies = Store.tallies

    def runs(  # type: ignore[override]  # noqa: PLR0913  # as it was
        self,
        *,
        call_id: Any = None,
        name: Any = None,
        executor: Any = None,
        state: Any = None,
        since: Any = None,
        limit: Any = None,
    ) -> Sequence[Run]:
        return super().runs(
            call_id=call_id,
            name=name,
            executor=executor,
            state=state,
            since=since,
            limit=limit,
        )


def putting(rule: str, says: str, name: str, change: Callable[[Document], Any]) -> None:
    """Note a store that changes documents before it keeps them."""

    def put(self: Any, documents: Sequence[Document]) -> None:
        MemoryStore.put(self, [change(document) for document in documents])

    breaks(rule, says)(type(f"Putting-{name}", (MemoryStore,), {"put": put}))


def asciified(document: Document) -> Document:
    part = document.part.encode("ascii", "ignore").decode()
    return attrs.evolve(document, part=part)


def as_text(document: Document) -> Document:
    body = document.body.decode("utf-8", "replace").encode()
    return attrs.evolve(document, body=body.replace(b"\r", b""))


putting("T40", "the parts of", "as-text", as_text)
putting("T40", "the parts of", "asciified", asciified)
putting("T40", "the parts of", "cut", lambda d: attrs.evolve(d, body=d.body[:255]))
putting("T40", "at to be", "rounded", lambda d: attrs.evolve(d, at=round(d.at)))
putting("T40", "the parts of kind", "any-kind", lambda d: attrs.evolve(d, kind="kit"))


@breaks("T41", "the parts of 'a'")
class KeepingWhatWasFirst(MemoryStore):
    def put(self, documents: Sequence[Document]) -> None:
        for one in documents:
            parts = [known.part for known in self.documents(one.kind, id=one.id)]
            super().put([] if one.part in parts else [one])


@breaks("T41", "the parts of 'a'")
class KeepingTheNewest(MemoryStore):
    """Takes no document that was made before the one that is there."""

    def put(self, documents: Sequence[Document]) -> None:
        for one in documents:
            known = {d.part: d.at for d in self.documents(one.kind, id=one.id)}
            super().put([] if known.get(one.part, 0) > one.at else [one])


def listing(says: str, name: str, change: Callable[[Any, Any], Any]) -> None:
    """Note a store that gives documents in another order, or others."""

    def documents(self: Any, kind: str, *, id: Any = None, limit: Any = None) -> Any:
        return change(MemoryStore.documents(self, kind, id=id), limit)

    breaks("T42", says)(
        type(f"Listing-{name}", (MemoryStore,), {"documents": documents})
    )


listing("limit=3", "without-limit", lambda found, limit: found)
listing("id='a'", "backwards", lambda found, limit: found[::-1][:limit])
listing("id='a'", "by-time", lambda d, limit: sorted(d, key=lambda one: one.at)[:limit])


@breaks("T42", "as id and part")
class ListingAllParts(MemoryStore):
    def documents(self, kind: str, *, id: Any = None, limit: Any = None) -> Any:
        if id is not None:
            return super().documents(kind, id=id, limit=limit)
        parts = (d for p in self._documents._things.values() for d in p.values())
        found = [one for one in parts if one.kind == kind]
        return sorted(found, key=lambda one: -one.at)[:limit]


@breaks("T42", "as id and part")
class ListingAsFirstPut(MemoryStore):
    def documents(self, kind: str, *, id: Any = None, limit: Any = None) -> Any:
        found = super().documents(kind, id=id)
        order = self.__dict__.setdefault("order", {})
        for one in found[::-1]:
            order.setdefault(one.place, len(order))
        newest = sorted(found, key=lambda one: -order[one.place])
        return (newest if id is None else found)[:limit]


@breaks("T43", "drop to return 3")
class CountingThings(MemoryStore):
    def drop(self, kind: str, id: str) -> int:
        return min(1, super().drop(kind, id))


@breaks("T43", "ab")
class DroppingByPattern(MemoryStore):
    def drop(self, kind: str, id: str) -> int:
        for one in self.documents(kind):
            if one.id != id and one.id.startswith(id):
                super().drop(kind, one.id)
        return super().drop(kind, id)


@breaks("T43", "another kind")
class DroppingEveryKind(MemoryStore):
    def drop(self, kind: str, id: str) -> int:
        super().drop("other", id)
        return super().drop(kind, id)


@breaks("T43", r"to return, as id and part, \[\]")
class DroppingTheThingAlone(MemoryStore):
    def drop(self, kind: str, id: str) -> int:
        parts = [one for one in self.documents(kind, id=id) if one.part]
        count = super().drop(kind, id)
        super().put(parts)
        return count


@breaks("T44", "seen together")
class PuttingOneByOne(MemoryStore):
    def put(self, documents: Sequence[Document]) -> None:
        for one in documents:
            super().put([one])
            time.sleep(0.0001)


@breaks("T45", "that threads put|changed during")
class PuttingUnlocked(MemoryStore):
    """Reads, and then writes what it read."""

    def put(self, documents: Sequence[Document]) -> None:
        for one in documents:
            earlier = super().documents(one.kind, id=one.id)
            time.sleep(0)
            super().drop(one.kind, one.id)
            super().put([*earlier, one])


@breaks("T46", "they were executed")
class Unpickling(MemoryStore):
    def documents(self, kind: str, **which: Any) -> Sequence[Document]:
        found = super().documents(kind, **which)
        for one in found:
            with contextlib.suppress(pickle.UnpicklingError, ValueError, KeyError):
                pickle.loads(one.body)
        return found


@breaks("T47", "as id and part")
class ClearingDocuments(MemoryStore):
    def clear(self) -> int:
        self._documents.clear()
        return super().clear()


@breaks("T47", "find to return")
class DroppingResults(MemoryStore):
    def drop(self, kind: str, id: str) -> int:
        super().clear()
        return super().drop(kind, id)


breaks("T47", "as id and part")(SharingEverything)
lasting("T48", "the parts once opened again")(forgetting("put"))
lasting("T48", "the parts once opened again")(WritingAtTheEnd)
lasting("T48", "as id and part")(forgetting("drop"))
lasting("T49", "once the process that wrote them was killed")(TrustingTheDead)
lasting("T49", "once one of them was written anew")(TrustingNobody)


@lasting("T49", "whatever `alive` was")
class BelievingWhatIsPut(Durable):
    def apply(self, owner: Any, event: str, *args: Any) -> None:
        super().apply(owner, event, *args)
        if event == "put":
            self.free(*(one.place for one in args[0] if not one.alive))


# Budgets.


def reserving(
    rule: str, says: str, name: str, change: Callable[..., tuple[Any, Any]]
) -> None:
    """Note a store that reserves something else than it is asked to."""

    def reserve(self: Any, ledger: str, wanted: Any, limits: Any) -> Balance:
        return MemoryStore.reserve(self, ledger, *change(wanted, limits))

    breaks(rule, says)(type(f"Reserving-{name}", (MemoryStore,), {"reserve": reserve}))


def lowered(limits: Any) -> dict[str, int]:
    return {unit: limit - 1 for unit, limit in limits.items()}


reserving(
    "T50", "held", "floats", lambda w, m: ({u: float(n) + 1 for u, n in w.items()}, m)
)
reserving("T50", "held", "known-units", lambda w, m: ({"shots": w.get("shots", 0)}, m))
reserving("T51", "to be granted", "below", lambda w, m: (w, lowered(m)))
reserving("T51", "to be refused", "anything", lambda w, _: (w, {}))
reserving(
    "T52", "to be granted", "always", lambda w, m: ({**dict.fromkeys(m, 1), **w}, m)
)


@breaks("T50", "spent")
class SpendingWhatWasHeld(MemoryStore):
    def settle(self, ledger: str, held: Any, spent: Any) -> None:
        super().settle(ledger, held, {**held, **spent})


@breaks("T50", "spent")
class GivingNothingBack(MemoryStore):
    def settle(self, ledger: str, held: Any, spent: Any) -> None:
        gain = {unit: max(0, amount) for unit, amount in spent.items()}
        super().settle(ledger, held, gain)


@breaks("T51", "held")
class HoldingWhatFits(MemoryStore):
    """Refuses, and holds the units that fit."""

    def reserve(self, ledger: str, wanted: Any, limits: Any) -> Balance:
        answer = super().reserve(ledger, wanted, limits)
        if answer.granted:
            return answer
        for unit, amount in wanted.items():
            super().reserve(ledger, {unit: amount}, limits)
        return attrs.evolve(self.balance(ledger), granted=False)


@breaks("T51", "to return what balance returns")
class AnsweringWithBefore(MemoryStore):
    def reserve(self, ledger: str, wanted: Any, limits: Any) -> Balance:
        before = self.balance(ledger)
        answer = super().reserve(ledger, wanted, limits)
        return attrs.evolve(before, granted=answer.granted)


@breaks("T52", "to be granted")
class CountingAsOne(MemoryStore):
    def reserve(self, ledger: str, wanted: Any, limits: Any) -> Balance:
        return super().reserve("", wanted, limits)

    def balance(self, ledger: str) -> Balance:
        return super().balance("")


@breaks("T53", "as many as fit|spent")
class ReservingUnlocked(MemoryStore):
    """Looks, and then takes."""

    def reserve(self, ledger: str, wanted: Any, limits: Any) -> Balance:
        before = self.balance(ledger)
        if not before.allows(wanted, limits):
            return attrs.evolve(before, granted=False)
        time.sleep(0.0001)
        return super().reserve(ledger, wanted, {})


@lasting("T53", "as many as fit")
class SettlingInTwoSteps(Durable):
    def settle(self, ledger: str, held: Any, spent: Any) -> None:
        super().settle(ledger, held, {})
        time.sleep(0.0001)
        super().settle(ledger, {}, spent)


@breaks("T54", "spent")
class ClearingLedgers(MemoryStore):
    def clear(self) -> int:
        self._ledgers.clear()
        return super().clear()


breaks("T54", "spent|runs")(SharingEverything)
lasting("T55", "spent")(forgetting("settle"))
lasting("T55", "spent")(WritingAtTheEnd)
lasting("T56", "held")(TrustingTheDead)
lasting("T57", "held")(TrustingNobody)
lasting("T57", "to be refused")(forgetting("hold"))


# What executors did.


def telling(rule: str, says: str, name: str, change: Callable[[Tally], Any]) -> None:
    """Note a store that changes tallies before it returns them."""

    def tallies(self: Any, *, since: Any = None) -> list[Tally]:
        return [change(one) for one in MemoryStore.tallies(self, since=since)]

    breaks(rule, says)(type(f"Telling-{name}", (MemoryStore,), {"tallies": tallies}))


for told in attrs.fields(Tally):
    if told.name not in ("executor", "until", "throughput"):
        of_times = told.name.endswith("times")
        miscount = {told.name: (9,) * 22 if of_times else -1}
        telling(
            "T60" if of_times else "T58",
            re.escape(f".{told.name}"),
            told.name,
            functools.partial(attrs.evolve, **miscount),
        )
telling("T58", "a throughput of", "none", lambda t: attrs.evolve(t, throughput=()))
telling(
    "T61",
    "with a throughput of",
    "backwards",
    lambda t: attrs.evolve(t, throughput=t.throughput[::-1]),
)
telling("T61", "until to be now", "late", lambda t: attrs.evolve(t, until=t.until + 99))


@breaks("T58", "in this order")
class TellingInAnyOrder(MemoryStore):
    def tallies(self, **filters: Any) -> Sequence[Tally]:
        return super().tallies(**filters)[::-1]


@breaks("T58", ".under_way|.completed")
class TellingLinesTwice(MemoryStore):
    """Counts a line that was replaced, too."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Entry] = []

    def write(self, calls: Any, entries: Any, kept: Any = ()) -> None:
        self.lines += entries
        super().write(calls, entries, kept)

    def tallies(self, *, since: float | None = None) -> Sequence[Tally]:
        return tallies_of([(one, True) for one in self.lines], since=since)


@breaks("T59", "in this order|completed")
class TellingWhatIsNoLater(MemoryStore):
    def tallies(self, *, since: float | None = None) -> Sequence[Tally]:
        found = super().tallies(since=None if since is None else since - 0.25)
        return [attrs.evolve(one, since=since or one.since) for one in found]


@breaks("T59", "in this order|since")
class TellingAllTheTime(MemoryStore):
    def tallies(self, *, since: float | None = None) -> Sequence[Tally]:
        return super().tallies()


@breaks("T62", "in this order")
class ClearingTallies(MemoryStore):
    def clear(self) -> int:
        self._journal.clear()
        return super().clear()


breaks("T62", "in this order|completed")(SharingEverything)
lasting("T63", "seen: 4 under way, 0 lost")(TrustingTheDead)


@lasting("T63", "seen: 1 under way, 3 lost")
class ForgettingVendors(Durable):
    def awaited(self, run: Run) -> bool:
        return self.lives(run.id)


breaks("T64", "before=")(ignoring("before"))


@breaks("T64", "before=")
class PagingFromTheLast(MemoryStore):
    """Returns the last call of a page again."""

    def runs(self, *, before: Any = None, **filters: Any) -> Sequence[Run]:
        later = None if before is None else before + 1e-3
        return super().runs(before=later, **filters)


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
    kit_of(StoreConformance, Durable, reopen=reopen),
    kit_of(StoreConformance, Early, reopen=reopen),
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


@pytest.mark.parametrize(
    ("what", "numbers"), [("documents", range(40, 50)), ("ledgers", range(50, 58))]
)
def test_rules_are_left_out_of_what_a_store_has_no_place_for(
    reports: list[Any], what: str, numbers: range
) -> None:
    (report,) = [
        report
        for kit, report in zip(GOOD, reports, strict=True)
        if isinstance(kit.make(), Early)
    ]
    left_out = {r.rule.number for r in report.results if r.undeclared == what}
    assert left_out == {f"T{number}" for number in numbers}


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
    from qelectron_core.memory_store import MemoryStore

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
    ("T33", "store", "Store"),
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
            from qelectron_core.memory_store import MemoryStore
            assert "pytest" not in sys.modules

            class Lossy(MemoryStore):
                def submitted(self, job_id, handle):
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
    assert "2 failed, 49 passed, 13 skipped" in done.stdout, done.stdout
    assert "T8: A job is in `jobs` from `intend` on" in done.stdout
    assert (
        "expected: jobs() with the handles {'job-0': None, 'job-1': 'handle-1'"
        in done.stdout
    )
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

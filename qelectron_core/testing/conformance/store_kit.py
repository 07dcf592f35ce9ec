"""What the rules of stores share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from qelectron_core.registry import Kind
from qelectron_core.store import Call, Claim, Entry, Kept, Key, Run, Store
from qelectron_core.testing.conformance.compare import difference
from qelectron_core.testing.conformance.kit import Kit
from qelectron_core.testing.conformance.processes import in_killed_process
from qelectron_core.testing.conformance.rules import calling, declared, require


class StoreKit(Kit):
    """Says how stores are made, and opened again."""

    kind: ClassVar[Kind] = "store"
    _opened: tuple[Store, ...] = ()

    def make(self) -> Store:
        """Return a new, empty store."""
        store: Store = super().make()
        return store

    def reopen(self, store: Store) -> Store:
        """Return another store that keeps its records where `store` does."""
        del store
        name = type(self).__name__
        message = (
            f"{name} has no reopen(store). A store that declares durable=True is "
            "opened again to see what it kept: return a store in the same place."
        )
        raise NotImplementedError(message)

    def tidy(self) -> None:
        """Close the stores of a rule."""
        opened, self._opened = self._opened, ()
        for store in opened:
            with contextlib.suppress(Exception):  # a rule of its own says so
                store.close()

    def _new(self) -> Store:
        return self._noted(self.make())

    def _again(self, store: Store) -> Store:
        return self._noted(self.reopen(store))

    def _durable(self) -> Store:
        store = self._new()
        declared("durable", store.durable)
        return store

    def _after_crash(self, store: Store, work: Callable[[Store], None]) -> Store:
        """Let another process use the store until it is killed; open it again."""
        store.close()
        in_killed_process(lambda: work(self.reopen(store)), "using the store")
        return self._again(store)

    def _noted(self, store: Store) -> Store:
        self._opened = (*self._opened, store)
        return store


def write(store: Store, *records: Call | Entry | Kept) -> None:
    """Write records in one batch."""
    calls = [one for one in records if isinstance(one, Call)]
    lines = [one for one in records if isinstance(one, Entry)]
    results = [one for one in records if isinstance(one, Kept)]
    with calling("write"):
        store.write(calls, lines, results)


def run(store: Store, call_id: str) -> Run:
    """Return one call with its lines."""
    with calling(f"runs(call_id={call_id!r})"):
        found = store.runs(call_id=call_id)
    require(
        [one.id for one in found] == [call_id],
        expected=f"runs(call_id={call_id!r}) to return that call, and no other",
        seen=[one.id for one in found],
    )
    return found[0]


def require_runs(store: Store, calls: Sequence[str], **filters: Any) -> None:
    """Fail unless `runs` returns these calls, in this order."""
    what = ", ".join(f"{name}={value!r}" for name, value in filters.items())
    with calling(f"runs({what})"):
        found = [one.id for one in store.runs(**filters)]
    require(
        found == list(calls),
        expected=f"runs({what}) to return {list(calls)}, the newest first",
        seen=found,
    )


def require_lines(store: Store, call_id: str, lines: Sequence[Entry]) -> None:
    """Fail unless a call has these lines, in any order."""
    found = sorted(run(store, call_id).entries, key=lambda line: line.place)
    wanted = sorted(lines, key=lambda line: line.place)
    require_same(f"the lines of runs(call_id={call_id!r})", wanted, found)


def require_same(what: str, before: Sequence[Any], after: Sequence[Any]) -> None:
    """Fail unless records came back as they were kept, field by field."""
    require(
        len(after) == len(before),
        expected=f"{what} to be {len(before)}",
        seen=f"{len(after)}",
    )
    for number, (one, other) in enumerate(zip(before, after, strict=True)):
        found = difference(one, other, f"{what}[{number}]")
        if found is not None:
            require(False, expected=found.expected, seen=found.seen)


def require_jobs(store: Store, handles: Mapping[str, str | None]) -> None:
    """Fail unless `jobs` returns these, in this order, with these handles."""
    with calling("jobs()"):
        jobs = store.jobs()
    require(
        [(job.job_id, job.handle) for job in jobs] == list(handles.items()),
        expected=f"jobs() with the handles {dict(handles)}, the oldest first",
        seen={job.job_id: job.handle for job in jobs},
    )


def require_found(store: Store, keys: Sequence[Key], values: Sequence[Any]) -> None:
    """Fail unless `find` returns results with these values, `None` for none."""
    with calling("find"):
        found = [None if one is None else one.value for one in store.find(keys)]
    require(
        found == list(values),
        expected=f"find to return {list(values)}, in the order of the keys",
        seen=found,
    )


def claim(store: Store, key: Key) -> Claim:
    """Return the answer to the claim of one key."""
    with calling("claim"):
        answers = store.claim([key])
    require(len(answers) == 1, expected="claim to answer once per key", seen=answers)
    return answers[0]


def require_claim(store: Store, key: Key, wanted: str, when: str = "") -> None:
    """Fail unless a claim is answered so.

    Args:
        store: The store that is asked.
        key: What is claimed.
        wanted: `"run"` if the caller is to run it, `"kept"`, `"elsewhere"`, or
            `"job …"` with the id of the job that holds it.
        when: What was done before, for the message.
    """
    answer = claim(store, key)
    seen = "elsewhere" if answer.elsewhere else "run"
    if answer.job is not None:
        seen = f"job {answer.job.job_id}"
    if answer.kept is not None:
        seen = "kept"
    require(
        seen == wanted,
        expected=f"claim to answer {wanted!r}{' ' if when else ''}{when}",
        seen=seen,
        hint='"run" is a Claim with nothing set: the caller is to run the circuit.',
    )

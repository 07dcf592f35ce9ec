"""The core's own store: in memory, for the life of the process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import ClassVar, TypeVar

import attrs

from qelectron_core.memory_documents import Documents
from qelectron_core.memory_journal import Journal, bytes_of
from qelectron_core.memory_ledgers import Ledgers
from qelectron_core.store import (
    Balance,
    Call,
    Claim,
    Document,
    Entry,
    Intent,
    Kept,
    Key,
    Location,
    Run,
    RunState,
    Store,
    Usage,
    run_of,
)
from qelectron_core.tally import Tally, tallies_of
from qelectron_core.values import copy_value

R = TypeVar("R", Entry, Kept)


class MemoryStore(Store):
    """Keeps the newest calls, jobs and results for the life of the process.

    Args:
        location: Not used: there is one memory.
        most_calls: Calls that the journal holds before it forgets the oldest.
        most_result_bytes: Size of all results above which those that were not used
            for longest are forgotten; the journal, and what plugins keep, hold as
            much at most, too.
    """

    instant: ClassVar[bool] = True

    def __init__(
        self,
        location: Location = None,
        *,
        most_calls: int = 10_000,
        most_result_bytes: int = 256 * 1024**2,
    ) -> None:
        del location
        self._journal = Journal(most_calls, most_result_bytes)
        self._results = _Results(most_result_bytes)
        self._documents = Documents(most_result_bytes)
        self._ledgers = Ledgers()
        self._jobs: dict[str, Intent] = {}
        self._held: dict[Key, str] = {}
        self._lock = threading.Lock()

    # --- The journal ------------------------------------------------------------------

    def write(
        self, calls: Sequence[Call], entries: Sequence[Entry], kept: Sequence[Kept] = ()
    ) -> None:
        """Keep calls, lines of the journal and results."""
        lines, results = [_own(one) for one in entries], [_own(one) for one in kept]
        with self._lock:
            self._journal.add(calls, lines)
            self._results.add(results)

    def runs(  # noqa: PLR0913  # one argument per filter
        self,
        *,
        call_id: str | None = None,
        name: str | None = None,
        executor: str | None = None,
        state: RunState | None = None,
        since: float | None = None,
        before: float | None = None,
        limit: int | None = None,
    ) -> Sequence[Run]:
        """Return calls and what became of them, the newest first."""
        with self._lock:
            told = self._journal.told(call_id)
        told.sort(key=lambda one: one[0].at)
        found = (
            _run(call, lines, whole=call_id is not None)
            for call, lines in reversed(told)
            if (name is None or name in call.name)
            and (since is None or call.at > since)
            and (before is None or call.at < before)
            and (executor is None or any(executor in e.executor for e in lines))
        )
        return list(islice((run for run in found if state in (None, run.state)), limit))

    def tallies(self, *, since: float | None = None) -> Sequence[Tally]:
        """Return what each executor did, in the order of the executors' texts."""
        with self._lock:
            told = self._journal.told(None)
        return tallies_of(((e, True) for _, lines in told for e in lines), since=since)

    # --- Jobs at vendors --------------------------------------------------------------

    def intend(self, intent: Intent) -> None:
        """Keep that a job is about to be submitted."""
        with self._lock:
            self._jobs[intent.job_id] = intent
            self._held.update(dict.fromkeys(_claims(intent), intent.job_id))

    def submitted(self, job_id: str, handle: str) -> None:
        """Keep what the vendor calls a job."""
        with self._lock:
            intent = self._jobs.get(job_id)
            if intent is not None:
                self._jobs[job_id] = attrs.evolve(intent, handle=handle)

    def ended(self, job_id: str, kept: Sequence[Kept] = ()) -> None:
        """Keep the results of a job, and forget it."""
        results = [_own(one) for one in kept]
        with self._lock:
            self._results.add(results)
            for key in _claims(self._jobs.pop(job_id, None)):
                self._held.pop(key, None)

    def jobs(self, *, call_id: str | None = None) -> Sequence[Intent]:
        """Return jobs that have not ended, oldest first."""
        with self._lock:
            jobs = list(self._jobs.values())
        return [job for job in jobs if call_id is None or _is_of(job, call_id)]

    def adopt(self, job_id: str) -> Intent | None:
        """Return `None`: all jobs are those of this process, which lives."""
        del job_id
        return None

    # --- Results ----------------------------------------------------------------------

    def find(self, keys: Sequence[Key]) -> Sequence[Kept | None]:
        """Return the kept result of each key, or `None`."""
        with self._lock:
            found = [self._results.get(key) for key in keys]
        return [None if kept is None else _own(kept) for kept in found]

    def pool(self, pool: str) -> Sequence[Kept]:
        """Return all kept results of one pool, those with most shots first."""
        with self._lock:
            found = list(self._results.pool(pool))
        return [_own(one) for one in sorted(found, key=lambda k: k.shots, reverse=True)]

    def claim(self, keys: Sequence[Key]) -> Sequence[Claim]:
        """Return, per key, its result, or the job that holds it, if there is one."""
        found = self.find(keys)
        with self._lock:
            jobs = [self._jobs.get(self._held.get(key, "")) for key in keys]
        return [
            Claim(kept=kept, job=None if kept is not None else job)
            for kept, job in zip(found, jobs, strict=True)
        ]

    def release(self, keys: Sequence[Key]) -> None:
        """Do nothing: there is no other process to keep away."""

    # --- What plugins keep ------------------------------------------------------------

    def put(self, documents: Sequence[Document]) -> None:
        """Keep documents."""
        own = [attrs.evolve(one, alive=True) for one in documents]
        with self._lock:
            self._documents.put(own)

    def documents(
        self, kind: str, *, id: str | None = None, limit: int | None = None
    ) -> Sequence[Document]:
        """Return the parts of a thing, or what things there are, newest first."""
        with self._lock:
            of = self._documents
            return (of.things(kind) if id is None else of.parts(kind, id))[:limit]

    def drop(self, kind: str, id: str) -> int:
        """Forget a thing with all of its parts; return how many it had."""
        with self._lock:
            return self._documents.drop(kind, id)

    # --- Budgets ----------------------------------------------------------------------

    def reserve(
        self, ledger: str, wanted: Mapping[str, int], limits: Mapping[str, int]
    ) -> Balance:
        """Hold amounts, or refuse."""
        with self._lock:
            return self._ledgers.reserve(ledger, wanted, limits)

    def settle(
        self, ledger: str, held: Mapping[str, int], spent: Mapping[str, int]
    ) -> None:
        """Give back what is held, and note what was spent."""
        with self._lock:
            self._ledgers.settle(ledger, held, spent)

    def balance(self, ledger: str) -> Balance:
        """Return what is spent and held."""
        with self._lock:
            return self._ledgers.balance(ledger)

    # --- All of it --------------------------------------------------------------------

    def usage(self) -> Usage:
        """Return how much is kept."""
        with self._lock:
            results, journal = self._results, self._journal
            return Usage(
                location="memory",
                results=len(results),
                result_bytes=results.size,
                calls=len(journal),
                circuits=journal.lines,
                jobs=len(self._jobs),
                total_bytes=results.size + journal.size + self._documents.size,
                limit_bytes=results.most_bytes,
            )

    def clear(self) -> int:
        """Forget all kept results; return how many."""
        with self._lock:
            return self._results.clear()

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._journal.clear()
            self._results.clear()
            self._documents.clear()
            self._ledgers.clear()
            self._jobs.clear()
            self._held.clear()


class _Results:
    """Results, least recently used first."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.size = 0
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._pools: dict[str, set[Key]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, results: Iterable[Kept]) -> None:
        for kept in results:
            self._drop(kept.key)
            self._kept[kept.key] = kept
            self._pools.setdefault(kept.key.pool, set()).add(kept.key)
            self.size += bytes_of(kept)
        while self.size > self.most_bytes and self._kept:
            self._drop(next(iter(self._kept)))

    def get(self, key: Key) -> Kept | None:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def pool(self, pool: str) -> Iterator[Kept]:
        return (self._kept[key] for key in self._pools.get(pool, ()))

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        self.size -= bytes_of(kept)
        pool = self._pools[key.pool]
        pool.discard(key)
        if not pool:
            del self._pools[key.pool]

    def clear(self) -> int:
        count = len(self._kept)
        self._kept.clear()
        self._pools.clear()
        self.size = 0
        return count


def _own(record: R) -> R:
    """Return a record whose value nobody else can change."""
    value = copy_value(record.value)
    if value is record.value and not record.metadata:
        return record
    return attrs.evolve(record, value=value, metadata=copy_value(record.metadata))


def _run(call: Call, lines: Sequence[Entry], *, whole: bool) -> Run:
    run = run_of(call, lines, alive=True)
    if not whole:
        return run
    entries = sorted(lines, key=lambda entry: entry.place)
    return attrs.evolve(run, entries=tuple(map(_own, entries)))


def _claims(job: Intent | None) -> list[Key]:
    return [] if job is None else [key for key in job.claims if key is not None]


def _is_of(job: Intent, call_id: str) -> bool:
    return any(call_id == of for of, _ in job.places)

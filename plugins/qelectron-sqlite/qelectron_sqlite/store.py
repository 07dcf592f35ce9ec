"""The store: one SQLite file, shared by any number of threads and processes."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

import platformdirs

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
)
from qelectron_core.tally import Tally
from qelectron_sqlite import (
    claims,
    history,
    jobs,
    journal,
    ledgers,
    limits,
    owners,
    results,
    schema,
    shelves,
    tallies,
    transfer,
)
from qelectron_sqlite.session import Session, Sessions

#: Rows that are written before it is looked whether something has to go.
_TRIM_EVERY: Final = 500


class SqliteStore(Store):
    """Keeps everything in one SQLite file.

    Args:
        location: Path of the file; `None` for `store.sqlite3` in the user's data
            folder.
        max_bytes: Size above which results go that were not used for longest.
        max_age_days: Age in days at which calls leave the journal, and what plugins
            keep goes, if it was not written since.
        max_circuits: Lines of the journal above which the oldest calls leave it.

    Raises:
        StoreError: If the file cannot be opened; says why and what to do.
        ConfigError: If a limit is not above 0.
    """

    durable: ClassVar[bool] = True
    instant: ClassVar[bool] = False

    def __init__(
        self,
        location: Location = None,
        *,
        max_bytes: int = 1024**3,
        max_age_days: float = 90,
        max_circuits: int = 200_000,
    ) -> None:
        self._limits = limits.Limits(max_bytes, max_age_days, max_circuits)
        self._path = _usual_path() if location is None else Path(location).absolute()
        self._untrimmed = 0.0
        schema.prepare(self._path)
        self._sessions = Sessions(self._path)

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self._path

    def __repr__(self) -> str:
        """Return it with its path."""
        return f"SqliteStore({str(self._path)!r})"

    # --- The journal ------------------------------------------------------------------

    def write(
        self, calls: Sequence[Call], entries: Sequence[Entry], kept: Sequence[Kept] = ()
    ) -> None:
        """Keep calls, lines of the journal and results; all of them or none."""
        here = self._here
        lines = journal.prepare(calls, entries, here.owner)
        rows = results.prepare(kept, self._limits.bytes_of_one)
        with here.writer.writing() as connection:
            journal.put(connection, lines)
            results.put(connection, rows)
            results.free(connection, kept)
            results.used(connection, here.take_used())
        count = len(calls) + len(entries) + len(rows)
        self._trim_after(count, sum(map(results.size, rows)))

    def runs(  # noqa: PLR0913  # a filter each
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
        which = history.Filters(name, executor, state, since, before, limit)
        with self._here.viewer.snapshot() as connection:
            if call_id is None:
                return history.runs(connection, which)
            run = history.run(connection, call_id)
        return [] if run is None or not which.allow(run) else [run]

    def tallies(self, *, since: float | None = None) -> Sequence[Tally]:
        """Return what each executor did, in the order of the executors' texts."""
        with self._here.viewer.snapshot() as connection:
            return tallies.tallies(connection, since)

    # --- Jobs at vendors --------------------------------------------------------------

    def intend(self, intent: Intent) -> None:
        """Keep that a job is about to be submitted, and claim its circuits."""
        lines = jobs.prepare(intent)
        with self._here.lasting.writing() as connection:
            jobs.put(connection, lines, self._here.owner.id)

    def submitted(self, job_id: str, handle: str) -> None:
        """Keep what the vendor calls a job."""
        with self._here.lasting.writing() as connection:
            jobs.name(connection, job_id, handle)

    def ended(self, job_id: str, kept: Sequence[Kept] = ()) -> None:
        """Keep the results of a job that needs no more attention, and forget it."""
        rows = results.prepare(kept, self._limits.bytes_of_one)
        with self._here.lasting.writing() as connection:
            jobs.remove(connection, job_id)
            results.put(connection, rows)

    def jobs(self, *, call_id: str | None = None) -> Sequence[Intent]:
        """Return jobs that were intended and have not ended, oldest first."""
        with self._here.viewer.snapshot() as connection:
            found = jobs.found(connection, call_id)
        return [jobs.to_intent(job) for job in found]

    def adopt(self, job_id: str) -> Intent | None:
        """Take over a job from a process that has ended, and return it."""
        here = self._here
        with here.writer.writing() as connection:
            holder = jobs.owner_of(connection, job_id)
            if holder is None or owners.is_alive(connection, holder):
                return None
            taken = jobs.take(connection, job_id, here.owner.id)
        return jobs.to_intent(taken)

    # --- Results ----------------------------------------------------------------------

    def find(self, keys: Sequence[Key]) -> Sequence[Kept | None]:
        """Return the kept result of each key, or `None`."""
        here = self._here
        with here.reader.reading() as connection:
            found = [results.find(connection, key) for key in keys]
        here.use(kept.key for kept in found if kept is not None)
        return found

    def pool(self, pool: str) -> Sequence[Kept]:
        """Return all kept results of one pool, those with most shots first."""
        here = self._here
        with here.viewer.reading() as connection:
            found = results.pool(connection, pool)
        here.use(kept.key for kept in found)
        return found

    def claim(self, keys: Sequence[Key]) -> Sequence[Claim]:
        """Return, per key, its result or who is to run it, the caller if nobody is."""
        found = self.find(keys)
        if None not in found:
            return [Claim(kept=kept) for kept in found]
        here = self._here
        with here.writer.writing() as connection:
            mine = claims.Claims(connection, here.owner.id)
            answers = [
                mine.answer(key) if kept is None else claims.Answer(kept)
                for key, kept in zip(keys, found, strict=True)
            ]
        return claims.to_claims(answers)

    def release(self, keys: Sequence[Key]) -> None:
        """Give back claims to circuits that came to nothing."""
        here = self._here
        with here.writer.writing() as connection:
            claims.release(connection, keys, here.owner.id)

    # --- What plugins keep ------------------------------------------------------------

    def put(self, documents: Sequence[Document]) -> None:
        """Keep documents, all of them or none."""
        rows = shelves.prepare(documents)
        here = self._here
        with here.lasting.writing() as connection:
            shelves.put(connection, rows, here.owner.id)
        self._trim_after(len(rows), sum(map(shelves.size, rows)))

    def documents(
        self, kind: str, *, id: str | None = None, limit: int | None = None
    ) -> Sequence[Document]:
        """Return the parts of a thing, or what things there are, newest first."""
        with self._here.viewer.snapshot() as connection:
            found = shelves.found(connection, kind, id, limit)
        return [shelves.to_document(one) for one in found]

    def drop(self, kind: str, id: str) -> int:
        """Forget a thing with all of its parts; return how many it had."""
        with self._here.lasting.writing() as connection:
            return shelves.drop(connection, kind, id)

    # --- Budgets ----------------------------------------------------------------------

    def reserve(
        self, ledger: str, wanted: Mapping[str, int], limits: Mapping[str, int]
    ) -> Balance:
        """Hold amounts, or refuse."""
        here = self._here
        with here.writer.writing() as connection:
            return ledgers.reserve(connection, ledger, wanted, limits, here.owner.id)

    def settle(
        self, ledger: str, held: Mapping[str, int], spent: Mapping[str, int]
    ) -> None:
        """Give back what is held, and note what was spent."""
        here = self._here
        with here.writer.writing() as connection:
            ledgers.settle(connection, ledger, held, spent, here.owner.id)

    def balance(self, ledger: str) -> Balance:
        """Return what is spent and held."""
        with self._here.viewer.snapshot() as connection:
            return ledgers.balance(connection, ledger)

    # --- All of it --------------------------------------------------------------------

    def usage(self) -> Usage:
        """Return how much is kept."""
        with self._here.viewer.snapshot() as connection:
            kept, kept_bytes = results.counts(connection)
            calls, entries = history.counts(connection)
            total_bytes = limits.used_bytes(connection)
            (open_jobs,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
        return Usage(
            location=str(self._path),
            results=kept,
            result_bytes=kept_bytes,
            calls=calls,
            circuits=entries,
            jobs=open_jobs,
            total_bytes=total_bytes,
            limit_bytes=self._limits.max_bytes,
        )

    def clear(self) -> int:
        """Forget all kept results, not the journal; return how many."""
        return self._delete(lambda c: c.execute("DELETE FROM results").rowcount)

    # --- Upkeep -----------------------------------------------------------------------

    def prune(
        self, max_bytes: int | None = None, older_than_s: float | None = None
    ) -> int:
        """Forget some kept results; return how many.

        Args:
            max_bytes: Those that were not used for longest, until the file is not
                larger; by default the limit of the store.
            older_than_s: Those that were not used for so many seconds.
        """
        gone = 0
        if older_than_s is not None:
            since = time.time() - older_than_s
            gone += self._delete(lambda c: limits.evict_unused(c, since))
        while some := self._delete(lambda c: limits.trim(c, self._limits, max_bytes)):
            gone += some
        return gone

    def export_results(self, path: str | os.PathLike[str]) -> int:
        """Write all kept results to a new file; return how many.

        Raises:
            StoreError: If the file is there already, or cannot be written.
        """
        return transfer.export(self._path, Path(path).absolute())

    def import_results(self, path: str | os.PathLike[str]) -> int:
        """Take over results of a file that `export_results`, or a store, has written.

        Returns:
            How many were new, or newer than those that are kept.

        Raises:
            StoreError: If the file cannot be read or is none of ours.
        """
        most_bytes = self._limits.bytes_of_one
        return transfer.import_(Path(path).absolute(), self._here.writer, most_bytes)

    def close(self) -> None:
        """Give back all claims and close the file."""
        self._sessions.close()

    @property
    def _here(self) -> Session:
        return self._sessions.current

    def _trim_after(self, rows: int, size: int) -> None:
        """Look whether something has to go, once enough has been written."""
        self._untrimmed += rows / _TRIM_EVERY + 20 * size / self._limits.max_bytes
        if self._untrimmed >= 1:
            self._trim()

    def _trim(self) -> None:
        self._untrimmed = 0.0
        with self._here.writer.writing() as connection:
            limits.trim(connection, self._limits)
        with self._here.writer.reading() as connection:
            limits.give_back(connection)

    def _delete(self, delete: Callable[[sqlite3.Connection], int]) -> int:
        with self._here.writer.writing() as connection:
            gone = delete(connection)
        with self._here.writer.reading() as connection:
            limits.give_back(connection, 0)
        return gone


def _usual_path() -> Path:
    return platformdirs.user_data_path("qelectron", appauthor=False) / "store.sqlite3"

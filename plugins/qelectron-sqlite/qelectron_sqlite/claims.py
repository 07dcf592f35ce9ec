"""Who is to run a circuit, so that no two processes do."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import attrs

from qelectron_core.store import Claim, Kept, Key
from qelectron_sqlite import jobs, results
from qelectron_sqlite.owners import is_alive

_GET: Final = """
    SELECT claims.owner, jobs.id, jobs.owner
    FROM claims LEFT JOIN jobs ON jobs.id = claims.job WHERE claims.key = ?
"""
_TAKE: Final = "INSERT OR REPLACE INTO claims (key, owner) VALUES (?, ?)"
_RELEASE: Final = """
    DELETE FROM claims WHERE key = ? AND owner = ?
    AND (job IS NULL OR job NOT IN (SELECT id FROM jobs))
"""


@attrs.frozen(eq=False)
class Answer:
    """What a claim is answered, its job as it was read."""

    kept: Kept | None = None
    job: jobs.Found | None = None
    elsewhere: bool = False


class Claims:
    """Answers the claims of one owner, in one transaction."""

    def __init__(self, connection: sqlite3.Connection, owner_id: str) -> None:
        self._connection = connection
        self._owner_id = owner_id
        self._alive = {owner_id: True}
        self._jobs: dict[str, jobs.Found] = {}

    def answer(self, key: Key) -> Answer:
        """Answer the wish to run a circuit."""
        kept = results.find(self._connection, key)
        if kept is not None:
            return Answer(kept=kept)
        row = self._connection.execute(_GET, (str(key),)).fetchone()
        return self._free(key) if row is None else self._held(key, *row)

    def _held(
        self, key: Key, holder: str, job_id: str | None, job_owner: str | None
    ) -> Answer:
        """Answer the wish to run a circuit that somebody has claimed."""
        if job_id is not None and job_owner is not None:
            return self._in_job(job_id, job_owner)
        if holder == self._owner_id:
            return Answer()
        return Answer(elsewhere=True) if self._is_alive(holder) else self._free(key)

    def _free(self, key: Key) -> Answer:
        self._connection.execute(_TAKE, (str(key), self._owner_id))
        return Answer()

    def _in_job(self, job_id: str, holder: str) -> Answer:
        if holder != self._owner_id and self._is_alive(holder):
            return Answer(elsewhere=True)
        if job_id not in self._jobs:
            self._jobs[job_id] = jobs.take(self._connection, job_id, self._owner_id)
        return Answer(job=self._jobs[job_id])

    def _is_alive(self, owner_id: str) -> bool:
        if owner_id not in self._alive:
            self._alive[owner_id] = is_alive(self._connection, owner_id)
        return self._alive[owner_id]


def to_claims(answers: Sequence[Answer]) -> list[Claim]:
    """Return answers as the core knows them; equal jobs are one object."""
    found = {id(one.job): one.job for one in answers if one.job is not None}
    intents = {number: jobs.to_intent(job) for number, job in found.items()}
    return [
        Claim(
            kept=one.kept,
            job=intents.get(id(one.job)),
            elsewhere=one.elsewhere,
        )
        for one in answers
    ]


def release(connection: sqlite3.Connection, keys: Sequence[Key], owner_id: str) -> None:
    """Give back claims, but for those to circuits in a job that has not ended."""
    connection.executemany(_RELEASE, [(str(key), owner_id) for key in keys])

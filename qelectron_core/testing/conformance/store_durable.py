"""Rules of stores that outlive the process."""

from __future__ import annotations

from typing import Final

import attrs

from qelectron_core.store import Intent, Key, Store
from qelectron_core.testing.conformance.doubles import (
    call,
    entry,
    intent,
    kept,
    rich_call,
    rich_entry,
    rich_intent,
)
from qelectron_core.testing.conformance.rules import calling, require, rule
from qelectron_core.testing.conformance.store_jobs import without_token
from qelectron_core.testing.conformance.store_kit import (
    StoreKit,
    require_claim,
    require_found,
    require_jobs,
    require_lines,
    require_runs,
    require_same,
    write,
)

_KEYS: Final = tuple(Key(f"pool-{number}", "100", "0") for number in range(4))


class DurableRules(StoreKit):
    """What holds where `durable` is declared; needs `reopen`."""

    @rule
    def test_t34_outlasts_a_close(self) -> None:
        """Where it declares `durable`, all of it is there when it is opened again."""
        from qelectron_core.testing.conformance.circuits import plain_circuits

        store, circuits = self._durable(), plain_circuits()
        made, job = rich_call(), rich_intent(circuits)
        lines = [rich_entry(made.id, n, one, 0.5) for n, one in enumerate(circuits)]
        results = [kept(key, 0.25) for key in _KEYS]
        write(store, made, *lines, *results)
        store.intend(job)
        store.submitted(job.job_id, "handle-1")
        store.close()
        again = self._again(store)
        require_same("the calls of runs()", [made], [run.call for run in again.runs()])
        require_lines(again, made.id, lines)
        require_same("find once opened again", results, again.find(_KEYS))
        job = attrs.evolve(job, handle="handle-1")
        seen = [attrs.evolve(without_token(one), alive=True) for one in again.jobs()]
        require_same("jobs() once opened again", [job], seen)

    @rule
    def test_t35_outlasts_a_crash(self) -> None:
        """Where it declares `durable`, jobs and their results outlast a process that is killed."""  # noqa: E501
        first = self._durable()

        def crash(store: Store) -> None:
            for number in range(3):
                store.intend(_holding(f"job-{number}", _KEYS[number]))
            store.submitted("job-1", "handle-1")
            store.ended("job-2", [kept(_KEYS[2], 0.25)])

        again = self._after_crash(first, crash)
        require_jobs(again, {"job-0": None, "job-1": "handle-1"})
        alive = [job.job_id for job in again.jobs() if job.alive]
        require(not alive, expected="no job to be alive", seen=f"{alive} are")
        require_found(again, _KEYS, [None, None, 0.25, None])

    @rule
    def test_t36_gives_jobs_to_one(self) -> None:
        """Where it declares `durable`, a job of a killed process is taken over once."""

        def crash(store: Store) -> None:
            store.claim(_KEYS)
            store.intend(_holding("job-1", _KEYS[0]))
            store.intend(_holding("job-2", _KEYS[1]))
            store.submitted("job-1", "handle-1")

        one = self._after_crash(self._durable(), crash)
        other = self._again(one)
        require_claim(one, _KEYS[0], "job job-1", "after its process was killed")
        require_claim(other, _KEYS[0], "elsewhere", "after another one took the job")
        require_claim(other, _KEYS[2], "run", "for what a killed process was running")
        require_claim(one, _KEYS[2], "elsewhere", "after another one claimed it")
        _require_adopts(other, "job-1", None, "has been taken over")
        _require_adopts(other, "job-2", "job-2", "has nobody")
        _require_adopts(one, "job-2", None, "has been taken over")
        alive = [job.job_id for job in one.jobs() if job.alive]
        require(
            alive == ["job-1", "job-2"],
            expected="both jobs to be alive once they are taken over",
            seen=f"{alive}",
        )

    @rule
    def test_t37_gives_up_jobs_when_closed(self) -> None:
        """Where it declares `durable`, `close` gives up claims and jobs to others."""
        store = self._durable()
        with calling("claim and intend"):
            store.claim(_KEYS)
            store.intend(_holding("job-1", _KEYS[0]))
            store.intend(_holding("job-2", _KEYS[1]))
        store.close()
        again = self._again(store)
        require_claim(again, _KEYS[0], "job job-1", "once it was closed")
        _require_adopts(again, "job-2", "job-2", "was given up by close")
        require_claim(again, _KEYS[2], "run", "once it was closed")

    @rule
    def test_t38_keeps_others_away(self) -> None:
        """Where it declares `durable`, others in its place see what it runs, and wait."""  # noqa: E501
        one = self._durable()
        other = self._again(one)
        require_claim(one, _KEYS[0], "run")
        one.intend(_holding("job-1", _KEYS[1]))
        for key in _KEYS[:2]:
            require_claim(other, key, "elsewhere", "while the first one has it")
        require_jobs(other, {"job-1": None})
        _require_adopts(other, "job-1", None, "is of a store that is open")
        one.release(_KEYS[:1])
        require_claim(other, _KEYS[0], "run", "after release by the first one")
        require_claim(one, _KEYS[0], "elsewhere", "after the other one claimed it")
        write(other, kept(_KEYS[0], 0.5))
        one.ended("job-1", [kept(_KEYS[1], 0.25)])
        for store in (one, other):
            require_found(store, _KEYS[:2], [0.5, 0.25])
            require_claim(store, _KEYS[1], "kept", "after ended with its result")

    @rule
    def test_t39_knows_lost_calls(self) -> None:
        """Where it declares `durable`, what a killed process was running is lost."""

        def crash(store: Store) -> None:
            begun = entry("call-1", state="started", finished_at=None)
            store.write([call("call-1"), call("call-2")], [begun, entry("call-2")])

        again = self._after_crash(self._durable(), crash)
        begun = entry("call-3", state="started", finished_at=None)
        write(again, call("call-3"), begun)
        for state, calls in {
            "lost": ["call-1"],
            "completed": ["call-2"],
            "running": ["call-3"],
        }.items():
            require_runs(again, calls, state=state)


def _holding(job_id: str, key: Key) -> Intent:
    from qelectron_core.testing.conformance.circuits import plain_circuits

    return intent(job_id, plain_circuits()[:1], keys=(key,))


def _require_adopts(store: Store, job_id: str, wanted: str | None, why: str) -> None:
    with calling("adopt"):
        job = store.adopt(job_id)
    seen = None if job is None else job.job_id
    require(
        seen == wanted,
        expected=f"adopt({job_id!r}) to return {wanted}: the job {why}",
        seen=f"{seen}",
    )

"""Rules of stores about jobs at vendors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from qelectron_core.store import Intent, Key
from qelectron_core.testing.conformance.doubles import (
    SECRET,
    Fixed,
    intent,
    kept,
    rich_intent,
)
from qelectron_core.testing.conformance.rules import calling, require, rule
from qelectron_core.testing.conformance.store_kit import (
    StoreKit,
    require_claim,
    require_found,
    require_jobs,
    require_same,
)


class JobRules(StoreKit):
    """What comes back of jobs, until they have ended."""

    @rule
    def test_t08_follows_jobs(self) -> None:
        """A job is in `jobs` from `intend` on, with its handle after `submitted`, until `ended`."""  # noqa: E501
        store, jobs = self._new(), [intent(f"job-{n}") for n in range(3)]
        with calling("intend, submitted, ended and jobs"):
            for one in jobs:
                store.intend(one)
            require_jobs(store, {"job-0": None, "job-1": None, "job-2": None})
            store.submitted("job-1", "handle-1")
            require_jobs(store, {"job-0": None, "job-1": "handle-1", "job-2": None})
            store.ended("job-0")
            require_jobs(store, {"job-1": "handle-1", "job-2": None})
            store.ended("job-1")
            store.ended("job-2")
            require_jobs(store, {})

    @rule
    def test_t09_keeps_every_field_of_a_job(self) -> None:
        """Every field of a job comes back; of its executor, all but secrets."""
        from qelectron_core.testing.conformance.circuits import any_circuits

        store, job = self._new(), rich_intent(any_circuits())
        with calling("intend and jobs"):
            store.intend(attrs.evolve(job, executor=with_token(job)))
            found = [without_token(one) for one in store.jobs()]
        require_same("jobs()", [job], found)

    @rule
    def test_t10_takes_unknown_jobs(self) -> None:
        """`submitted` and `ended` of a job that it does not know change nothing."""
        store = self._new()
        with calling("submitted and ended with an unknown job id"):
            store.submitted("job-unknown", "handle")
            store.ended("job-unknown")
            store.intend(intent("job-1"))
            store.ended("job-unknown")
            require_jobs(store, {"job-1": None})
            store.ended("job-1")
            store.ended("job-1")
            require_jobs(store, {})

    @rule
    def test_t11_filters_jobs_by_call(self) -> None:
        """`jobs(call_id=...)` returns those with a circuit of that call, each once."""
        from qelectron_core.testing.conformance.circuits import plain_circuits

        store, two = self._new(), plain_circuits()[:2]
        places = {
            "job-0": (("call-1", 0), ("call-2", 0)),
            "job-1": (("call-2", 1), ("call-2", 2)),
            "job-2": (("call-1", 1), ("call-1", 2)),
        }
        wanted = {"call-1": ["job-0", "job-2"], "call-2": ["job-0", "job-1"]}
        for job_id, where in places.items():
            store.intend(intent(job_id, two, places=where))
        for call_id, job_ids in {**wanted, "call-3": []}.items():
            with calling(f"jobs(call_id={call_id!r})"):
                found = [job.job_id for job in store.jobs(call_id=call_id)]
            require(
                found == job_ids,
                expected=f"jobs(call_id={call_id!r}) to return {job_ids}",
                seen=found,
            )

    @rule
    def test_t12_keeps_results_of_jobs(self) -> None:
        """`ended` keeps the results of a job, of one that it does not know, too."""
        store, keys = self._new(), [Key("pool", "", f"{n}") for n in range(4)]
        store.intend(_holding("job-1", keys[:2]))
        with calling("ended with results"):
            store.ended("job-1", [kept(keys[0], 0.25), kept(keys[1], 0.75)])
            store.ended("job-2", [kept(keys[2], 0.5)])
        require_jobs(store, {})
        require_found(store, keys, [0.25, 0.75, 0.5, None])

    @rule
    def test_t13_claims_circuits_of_jobs(self) -> None:
        """What an open job claims is answered with that job, released or not, until it has ended."""  # noqa: E501
        store, keys = self._new(), [Key(f"pool-{n}") for n in range(4)]
        store.intend(_holding("job-1", [keys[0], None, keys[1]]))
        store.intend(_holding("job-2", [keys[2]], claims=(keys[3],)))
        store.submitted("job-1", "handle-1")
        for key in keys[:2]:
            require_claim(store, key, "job job-1", "after intend")
        require_claim(store, keys[3], "job job-2", "after intend with claims")
        require_claim(store, keys[2], "run", "for a key that no job claims")
        store.release([keys[1], keys[3]])
        require_claim(store, keys[1], "job job-1", "after release: the job is open")
        require_claim(store, keys[3], "job job-2", "after release: the job is open")
        store.ended("job-1", [kept(keys[0])])
        require_claim(store, keys[0], "kept", "after ended with its result")
        require_claim(store, keys[1], "run", "after ended without its result")

    @rule
    def test_t14_adopts_no_job_that_is_gone(self) -> None:
        """`adopt` returns `None` for a job that has ended, or that it does not know."""
        store = self._new()
        store.intend(intent("job-1"))
        store.ended("job-1")
        for job_id in ("job-1", "job-unknown"):
            with calling("adopt"):
                found = store.adopt(job_id)
            require(
                found is None,
                expected=f"adopt({job_id!r}) to return None",
                seen=found,
            )


def without_token(job: Intent) -> Intent:
    """Return a job whose executor has no token, if it is one of the kit's."""
    executor = job.executor
    if isinstance(executor, Fixed):
        executor = attrs.evolve(executor, token=None)
    return attrs.evolve(job, executor=executor)


def with_token(job: Intent) -> Fixed:
    """Return the executor of a job of the kit's, with a token."""
    assert isinstance(job.executor, Fixed)
    return attrs.evolve(job.executor, token=SECRET)


def _holding(job_id: str, keys: Sequence[Key | None], **changes: Any) -> Intent:
    from qelectron_core.testing.conformance.circuits import plain_circuits

    circuits = plain_circuits()[: len(keys)]
    return intent(job_id, circuits, keys=tuple(keys), **changes)

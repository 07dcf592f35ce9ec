"""Finds the call or the jobs that a user means by an id."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from qelectron_core.errors import ConfigError
from qelectron_sqlite.cli.texts import safe

if TYPE_CHECKING:
    from qelectron_core.store import Intent, Run, Store

#: How many calls are searched, newest first, for a job that has ended.
MOST_SEARCHED: Final = 500
#: How many ids a message lists.
_MOST_LISTED: Final = 5


def find_run(store: Store, text: str) -> Run:
    """Return the call that is meant, with its lines of the journal.

    Args:
        store: Where to look.
        text: The id of the call or its beginning, with or without `call-`; or the
            id or the handle of a job that is, or was, part of it.

    Raises:
        ConfigError: If there is none, or more than one.
    """
    exact = store.runs(call_id=text)
    if exact:
        return exact[0]
    (run,) = store.runs(call_id=_call_id(store, text))
    return run


def find_jobs(store: Store, text: str) -> list[Intent]:
    """Return the open jobs that are meant: one, or all of a call.

    Args:
        store: Where to look.
        text: The id of a job or its beginning, its handle, or what means a call.

    Raises:
        ConfigError: If there is none, or it is not clear which.
    """
    exact = [job for job in store.jobs() if text in (job.job_id, job.handle)]
    if exact:
        return exact[:1]
    begun = [job for job in store.jobs() if _begins(job.job_id, text)]
    if begun:
        _only(text, [job.job_id for job in begun])
        return begun
    run = find_run(store, text)
    jobs = list(store.jobs(call_id=run.id))
    if not jobs:
        message = (
            f"no job of {safe(run.id)} is at a vendor any more: it is {run.state}. "
            f"See: qelectron show {safe(run.id)}"
        )
        raise ConfigError(message)
    return jobs


def _call_id(store: Store, text: str) -> str:
    begun = [run.id for run in store.runs() if _begins(run.id, text)]
    if begun:
        return _only(text, begun)
    calls = dict.fromkeys(call_id for call_id in _calls_of_job(store, text))
    if len(calls) > 1:
        message = (
            f"job {text!r} holds circuits of {len(calls)} calls: {_listed(calls)}."
        )
        raise ConfigError(f"{message} Expected one of these.")
    if calls:
        return next(iter(calls))
    message = (
        f"nothing is known of {text!r}. Expected the id of a call or its beginning, or "
        "the id or handle of a job. List calls with: qelectron runs"
    )
    raise ConfigError(message)


def _calls_of_job(store: Store, text: str) -> Iterator[str]:
    """Yield the calls that have circuits in a job."""
    for job in store.jobs():
        if text == job.handle or _begins(job.job_id, text):
            yield from (call_id for call_id, _ in job.places)
    for run in store.runs(limit=MOST_SEARCHED):
        for entry in store.runs(call_id=run.id)[0].entries:
            if text in (entry.job_id, entry.handle):
                yield run.id


def _begins(known: str, text: str) -> bool:
    return known.startswith(text) or known.partition("-")[2].startswith(text)


def _only(text: str, found: Collection[str]) -> str:
    """Return what was found, if it is one thing."""
    if len(found) == 1:
        return next(iter(found))
    message = f"{text!r} may be {_listed(found)}. Write more of the id."
    raise ConfigError(message)


def _listed(found: Collection[str]) -> str:
    listed = ", ".join(safe(one) for one in list(found)[:_MOST_LISTED])
    more = len(found) - _MOST_LISTED
    return f"{listed} and {more} more" if more > 0 else listed

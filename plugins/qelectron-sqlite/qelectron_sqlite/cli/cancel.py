"""The command `cancel`: cancels jobs at their vendors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from qelectron_sqlite.cli.opening import import_all, import_option, opened, store_option
from qelectron_sqlite.cli.texts import examples

if TYPE_CHECKING:
    from qelectron_core.store import Intent, Store

#: What is told of each answer of the core that settles a job.
TOLD: Final = {
    "cancelled": "is cancelled at the vendor",
    "absent": "never arrived: the vendor knows no job with this tag",
    "ended": "has ended already. For its results: qelectron attach {job}",
}
_UNKNOWN: Final = (
    "is not cancelled: its handle is unknown, and the vendor cannot be asked for its "
    "tag. Look there for {job}, then: qelectron cancel {job} --forget"
)
_NOT_MADE: Final = (
    "cannot be cancelled from here, because its executor cannot be made again: "
    "{shown}. Name the module of its class with --import MODULE; or look for {handle} "
    "at the vendor, then: qelectron cancel {job} --forget"
)


@click.command(
    epilog=examples(
        "qelectron cancel job-9f1c33ab-8",
        "qelectron cancel call-9f1c33ab-7 --yes",
        "qelectron cancel job-9f1c33ab-8 --forget",
    )
)
@click.argument("identifier", metavar="ID")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option(
    "--forget",
    is_flag=True,
    help="Only remove the record of a job, which you looked for at the vendor.",
)
@import_option
@store_option
@click.pass_context
def cancel(  # noqa: PLR0913  # an option each
    ctx: click.Context,
    *,
    identifier: str,
    yes: bool,
    forget: bool,
    modules: tuple[str, ...],
    location: str | None,
) -> None:
    """Cancel a job at its vendor, or all jobs of a call.

    ID is the id or handle of a job, as `qelectron jobs` lists it, or the id of a call.
    A job without a known handle is looked for by its tag. What cannot be found out
    about stays on record.
    """
    from qelectron_sqlite.cli.lookup import find_jobs

    import_all(modules)
    with opened(location) as store:
        jobs = find_jobs(store, identifier)
        if not yes:
            _ask(jobs, forget=forget)
        settled = [_end(store, job, forget=forget) for job in jobs]
    if not all(settled):
        ctx.exit(1)


def _ask(jobs: Sequence[Intent], *, forget: bool) -> None:
    from qelectron_sqlite.cli.texts import count, safe, short

    for job in jobs:
        handle = "handle unknown" if job.handle is None else f"handle {job.handle}"
        holds = count(len(job.circuits), "circuit")
        waits = ", and its program waits for it" if job.alive else ""
        told = f"{job.job_id}: {handle}, {holds} on {short(job.shown, 60)}{waits}"
        click.echo(safe(told))
    which = "this job" if len(jobs) == 1 else f"these {len(jobs)} jobs"
    click.confirm(f"{'Forget' if forget else 'Cancel'} {which}?", abort=True)


def _end(store: Store, job: Intent, *, forget: bool) -> bool:
    """End one job, say what came of it, and return whether that settles it."""
    told, settled = forgotten(store, job) if forget else cancelled(store, job)
    click.echo(told, err=not settled)
    return settled


def cancelled(store: Store, job: Intent) -> tuple[str, bool]:
    """Cancel one job; return what came of it, and whether that settles it.

    Raises:
        Exception: What the executor raises if the vendor cannot be reached.
    """
    if job.executor is None:
        return _told(job, _NOT_MADE), False
    from qelectron_core.runtime.recall import cancel_job

    answer = cancel_job(store, job)
    return _told(job, TOLD.get(answer, _UNKNOWN)), answer in TOLD


def forgotten(store: Store, job: Intent) -> tuple[str, bool]:
    """Remove the record of one job; return what came of it, and whether it did."""
    if job.alive:
        told = "is not forgotten: its program waits for it. End that first"
        return _told(job, told), False
    store.ended(job.job_id)
    return _told(job, "is forgotten; the vendor was not asked"), True


def _told(job: Intent, sentence: str) -> str:
    from qelectron_sqlite.cli.texts import safe, short

    name = safe(job.job_id)
    handle = name if job.handle is None else safe(job.handle)
    told = sentence.format(job=name, shown=short(job.shown, 60), handle=handle)
    return f"{name} {told}."

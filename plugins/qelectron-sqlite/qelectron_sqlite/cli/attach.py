"""The command `attach`: waits for jobs that another process left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from qelectron_sqlite.cli.opening import import_all, import_option, opened, store_option
from qelectron_sqlite.cli.texts import examples
from qelectron_sqlite.cli.waiting import awaited, print_value

if TYPE_CHECKING:
    from qelectron_core.store import Store


@click.command(
    epilog=examples(
        "qelectron attach call-9f1c33ab-7", "qelectron attach job-9f1c33ab-8"
    )
)
@click.argument("identifier", metavar="ID")
@import_option
@store_option
def attach(*, identifier: str, modules: tuple[str, ...], location: str | None) -> None:
    """Wait for the jobs of a call that its program left, and print the results.

    ID is that of a call or enough of its beginning, or the id or handle of a job.
    Nothing is submitted, and Ctrl-C cancels nothing: come back as often as you like.
    """
    import qelectron_core as ct

    import_all(modules)
    with opened(location) as store:
        known = _ids(store, identifier)
    for one in known:
        print_value(awaited(ct.attach(one, store=location)))


def _ids(store: Store, text: str) -> list[str]:
    """Return the ids of what is to be waited for: a call, or jobs.

    A call whose results only its program can put together is waited for by its jobs.
    """
    from qelectron_sqlite.cli.lookup import find_run

    exact = [job.job_id for job in store.jobs() if text in (job.job_id, job.handle)]
    if exact:
        return exact
    run = find_run(store, text)
    jobs = [job.job_id for job in store.jobs(call_id=run.id)]
    return jobs if jobs and run.call.output is None else [run.id]

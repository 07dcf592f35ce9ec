"""The command `jobs`: what is at vendors, and has not ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from qelectron_sqlite.cli.opening import opened, store_option
from qelectron_sqlite.cli.texts import examples

if TYPE_CHECKING:
    from rich.table import Table

    from qelectron_core.store import Intent


@click.command(
    epilog=examples(
        "qelectron jobs", "qelectron jobs --orphans --json | jq -r '.[].job_id'"
    )
)
@click.option("--orphans", is_flag=True, help="Only those whose process is gone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@store_option
def jobs(*, orphans: bool, as_json: bool, location: str | None) -> None:
    """List jobs at vendors that have not ended, the oldest first.

    A job whose process is gone waits for somebody to come back for it: with
    `qelectron attach`, or by running the same calls again.
    """
    with opened(location) as store:
        found = [job for job in store.jobs() if not (orphans and job.alive)]
    if as_json:
        from qelectron_sqlite.cli.plain import job_to_json, print_json

        print_json([job_to_json(job) for job in found])
        return
    _show(found, orphans=orphans)


def _show(found: Sequence[Intent], *, orphans: bool) -> None:
    from rich.console import Console

    if not found:
        which = "left by a process that is gone" if orphans else "open at a vendor"
        click.echo(f"No job is {which}.")
        return
    Console(highlight=False).print(_table(found))
    orphaned = [job for job in found if not job.alive]
    if orphaned:
        click.echo(
            "\ngone: its process has ended. Wait for its results with qelectron "
            "attach ID, or cancel it with qelectron cancel ID."
        )
    if any(job.handle is None for job in orphaned):
        click.echo(
            "unknown: that process ended while it submitted the job, so it may be at "
            "the vendor or not.\nLook for its tag there, which is the id of the job. "
            "Both commands do so where the vendor can be asked."
        )


def _table(found: Sequence[Intent]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from qelectron_sqlite.cli.texts import safe, short, state_text
    from qelectron_sqlite.cli.times import moment

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("job", "handle", "executor"):
        table.add_column(heading, overflow="fold")  # nothing is cut off
    table.add_column("circuits", justify="right")
    for heading in ("since", "process"):
        table.add_column(heading, no_wrap=True)
    for job in found:
        table.add_row(
            Text(safe(job.job_id)),
            Text("unknown" if job.handle is None else safe(job.handle)),
            Text(short(job.shown, 60)),
            f"{len(job.circuits):,}",
            moment(job.at),
            state_text("alive" if job.alive else "gone"),
        )
    return table

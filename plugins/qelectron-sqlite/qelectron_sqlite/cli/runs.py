"""The command `runs`: what ran, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from qelectron_sqlite.cli.opening import opened, store_option
from qelectron_sqlite.cli.texts import (
    NOTHING,
    dollars,
    examples,
    safe,
    short,
    state_text,
)
from qelectron_sqlite.cli.times import moment, read_since, span

if TYPE_CHECKING:
    from rich.table import Table

    from qelectron_core.store import Run

#: What may have become of a call.
STATES: Final = ("running", "completed", "cached", "failed", "cancelled", "lost")
#: How columns are shown: text gives way where a terminal is narrow, and numbers do not.
_PLAIN: Final[dict[str, Any]] = {"no_wrap": True}
_NUMBER: Final[dict[str, Any]] = {"justify": "right", "no_wrap": True}
_FORMS: Final[dict[str, dict[str, Any]]] = {
    "circuit": {"overflow": "ellipsis", "no_wrap": True},
    # An id is there to be copied, so this column gives way; `show` tells all of it.
    "executors": {"overflow": "ellipsis", "no_wrap": True, "ratio": 1},
    "circuits": _NUMBER,
    "shots": _NUMBER,
    "time": _NUMBER,
    "cost": _NUMBER,
}


@click.command(
    epilog=examples(
        "qelectron runs --since 2h",
        "qelectron runs --executor IBMQ --state failed",
        "qelectron runs --limit 1000 --json | jq '.[].cost_usd'",
    )
)
@click.option(
    "--name", metavar="TEXT", help="Only of QElectrons with this in the name."
)
@click.option(
    "--executor", metavar="TEXT", help="Only on executors with this in their text."
)
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option(
    "--since",
    callback=read_since,
    metavar="WHEN",
    help="Only later ones: since 2h or 3d ago, or since a date.",
)
@click.option(
    "--before",
    callback=read_since,
    metavar="WHEN",
    help="Only earlier ones: before 2h or 3d ago, or before a date.",
)
@click.option(
    "--limit",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="Show so many at most.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@store_option
def runs(*, as_json: bool, location: str | None, limit: int, **filters: Any) -> None:
    """List what ran, the newest first."""
    with opened(location) as store:
        found = store.runs(limit=limit, **filters)
        where = store.usage().location
    if as_json:
        from qelectron_sqlite.cli.plain import print_json, run_to_json

        print_json([run_to_json(run) for run in found])
    elif found:
        _show(found, limit)
    elif any(filters.values()):
        click.echo("No call is like that. Show all with: qelectron runs")
    else:
        click.echo(
            f"Nothing is kept in {where} yet. Call a QElectron that uses this store, "
            "and it is listed here."
        )


def _show(found: Sequence[Run], limit: int) -> None:
    from rich.console import Console

    Console(highlight=False).print(_table(found))
    if len(found) == limit:
        click.echo(f"These are the newest {limit:,}; --limit shows more.")


def _table(found: Sequence[Run]) -> Table:
    from rich.table import Table

    rows = [_row(run) for run in found]
    table = Table(box=None, padding=(0, 2, 0, 0), expand=True)
    told = [heading for heading in rows[0] if any(row[heading] for row in rows)]
    for heading in told:
        table.add_column(heading, **_FORMS.get(heading, _PLAIN))
    for row in rows:
        table.add_row(*(row[heading] or NOTHING for heading in told))
    return table


def _row(run: Run) -> dict[str, Any]:
    """Return what is told of a call by its heading; empty is what there is not."""
    from rich.text import Text

    return {
        "when": moment(run.call.at),
        "id": Text(safe(run.id)),
        "circuit": Text(short(run.call.name)),
        "executors": Text("\n".join(map(short, run.executors))),
        "circuits": f"{run.call.circuits:,}",
        "shots": f"{run.shots:,}" if run.shots else "",
        "time": "" if run.duration_s is None else span(run.duration_s),
        "cost": "" if run.cost_usd is None else dollars(run.cost_usd),
        "state": state_text(run.state),
    }

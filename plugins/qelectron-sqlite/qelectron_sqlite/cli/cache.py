"""The command `cache`: results that are kept for circuits that are equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from qelectron_core.cli.signs import bar
from qelectron_sqlite.cli.opening import opened, store_option
from qelectron_sqlite.cli.texts import count, examples, safe, size
from qelectron_sqlite.cli.times import read_span

if TYPE_CHECKING:
    from rich.console import Console

    from qelectron_core.store import Store, Usage

_MB: Final = 10**6


@click.group(epilog=examples("qelectron cache info"))
def cache() -> None:
    """Look after the results that are kept for circuits that are equal.

    The journal of what ran is another thing: what `qelectron runs` lists stays.
    """


@cache.command(epilog=examples("qelectron cache info"))
@store_option
def info(*, location: str | None) -> None:
    """Show where results are kept, how many, and their size."""
    with opened(location) as store:
        usage = store.usage()
    _print(usage)


@cache.command(
    epilog=examples(
        "qelectron cache prune --older-than 30d", "qelectron cache prune --max-mb 200"
    )
)
@click.option(
    "--max-mb",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Drop those that were not used for longest, until the file holds so many MB.",
)
@click.option(
    "--older-than",
    "older_than_s",
    callback=read_span,
    metavar="SPAN",
    help="Drop those that were not used for so long, such as 30d.",
)
@store_option
def prune(
    *, max_mb: float | None, older_than_s: float | None, location: str | None
) -> None:
    """Drop kept results that were not used for long."""
    if max_mb is None and older_than_s is None:
        message = "say which results are to go: --max-mb N, --older-than SPAN, or both."
        raise click.UsageError(message)
    max_bytes = None if max_mb is None else int(max_mb * _MB)
    with opened(location) as store:
        drop = _able(store, "prune")
        _tell(drop(max_bytes=max_bytes, older_than_s=older_than_s), store)


@cache.command(epilog=examples("qelectron cache clear --yes"))
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@store_option
def clear(*, yes: bool, location: str | None) -> None:
    """Drop all kept results."""
    with opened(location) as store:
        number = store.usage().results
        if number and not yes:
            click.confirm(f"Drop {count(number, 'kept result')}?", abort=True)
        _tell(store.clear(), store)


@cache.command(epilog=examples("qelectron cache export results.qelectron"))
@click.argument("path", metavar="FILE", type=click.Path(dir_okay=False))
@store_option
def export(*, path: str, location: str | None) -> None:
    """Write all kept results to a file, for another machine or a colleague."""
    with opened(location) as store:
        number = _able(store, "export_results")(path)
    click.echo(f"Wrote {count(number, 'result')} to {path}.")


@cache.command("import", epilog=examples("qelectron cache import results.qelectron"))
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@store_option
def import_(*, path: str, location: str | None) -> None:
    """Take over the results of a file that `qelectron cache export` wrote.

    Reading it executes nothing, whoever wrote it. But its results are believed: import
    files only of people whose results you would use.
    """
    with opened(location, may_be_new=True) as store:
        number = _able(store, "import_results")(path)
        kept = store.usage().results
    new = "is new" if number == 1 else "are new"
    click.echo(f"{count(number, 'result')} of {path} {new}; {kept:,} are kept now.")


def _able(store: Store, method: str) -> Any:
    """Return a method that this plugin's store has, and others need not."""
    found = getattr(store, method, None)
    if found is None:
        message = (
            f"a {type(store).__name__} cannot do that. Pass --store PATH with a file "
            "of qelectron-sqlite."
        )
        raise click.ClickException(message)
    return found


def _tell(dropped: int, store: Store) -> None:
    usage = store.usage()
    left = f"{usage.results:,} are left, {size(usage.result_bytes)}"
    click.echo(f"Dropped {count(dropped, 'result')}; {left}.")


def _print(usage: Usage) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    journal = f"{count(usage.calls, 'call')}, {count(usage.circuits, 'circuit')}"
    table.add_row("location", Text(safe(usage.location)))
    table.add_row("results", f"{usage.results:,}, {size(usage.result_bytes)}")
    table.add_row("journal", journal)
    table.add_row("open jobs", f"{usage.jobs:,}")
    table.add_row("size", _share(console, usage))
    console.print(table)


def _share(console: Console, usage: Usage) -> str:
    """Return how much is kept of what may be, with a bar if there is a limit."""
    if not usage.limit_bytes:
        return f"{size(usage.total_bytes)}, without a limit"
    share = usage.total_bytes / usage.limit_bytes
    of = f"{size(usage.total_bytes)} of {size(usage.limit_bytes)}"
    return f"{bar(console, share)}  {of} ({share:.0%})"

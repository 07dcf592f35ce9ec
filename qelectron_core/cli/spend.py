"""The command `spend`: what was spent of the daily budget."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from qelectron_core.cli.signs import bar
from qelectron_core.errors import StoreError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from qelectron_core.budget import Budget
    from qelectron_core.runtime.daily import DaySpent
    from qelectron_core.store import Store

#: What each unit is called, as in plans.
_TITLES: Final = {
    "shots": "shots",
    "circuits": "circuits",
    "jobs": "jobs",
    "cost_usd": "cost",
    "seconds": "time",
}
#: Days that may be asked for; stores keep them for some months.
_MOST_DAYS: Final = 366
#: Share of a limit from which on it is shown in another colour.
_MUCH: Final = 0.8

_IN_MEMORY: Final = (
    "the usual store is in memory: what a program spends is counted there until it "
    "ends, and cannot be seen from here. Set QELECTRON_STORE to a path, or pass "
    "--store PATH; for a store in a file: pip install qelectron-sqlite"
)
_NONE: Final = (
    "No daily budget is set: what is sent now is not counted. To set one:\n"
    "  qelectron config set daily_budget shots=100000,cost_usd=5"
)


@click.command()
@click.option(
    "--days",
    "n_days",
    type=click.IntRange(1, _MOST_DAYS),
    default=7,
    show_default=True,
    metavar="N",
    help="Look at so many days, today included.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--store",
    "location",
    metavar="PATH",
    type=click.Path(dir_okay=False),
    help="File to use instead of the usual one, or of QELECTRON_STORE.",
)
def spend(*, n_days: int, as_json: bool, location: str | None) -> None:
    """Show what was spent of the daily budget, today and on the days before.

    What is sent while a daily budget is set is counted, of all programs that use the
    store. Days are in UTC. Price and time are those of executors that know them.

    Example: qelectron spend --days 30
    """
    from qelectron_core.budget import daily_budget
    from qelectron_core.runtime.daily import days

    budget = daily_budget()
    with _opened(location) as store:
        found = days(store, n_days, budget)
    if as_json:
        click.echo(json.dumps(_as_json(found, budget), indent=2))
    else:
        _show(found, budget)


@contextmanager
def _opened(location: str | None) -> Iterator[Store]:
    """Open a store in which other processes count what they spend.

    Raises:
        StoreError: If it cannot be opened, or is none.
    """
    from qelectron_core.runtime.stores import open_store
    from qelectron_core.store import keeps_ledgers

    if location is not None and not os.path.exists(os.path.expanduser(location)):
        raise StoreError(
            f"there is no file {location!r}. Expected one that qelectron keeps its "
            "records in: what QELECTRON_STORE, or store= of a QElectron, says."
        )
    store = open_store(location)
    try:
        if not store.durable:
            raise StoreError(_IN_MEMORY)
        if not keeps_ledgers(store):
            message = f"the store {type(store).__name__} does not count what is spent."
            raise StoreError(f"{message} Upgrade it, or pass --store PATH.")
        yield store
    finally:
        store.close()


def _as_json(found: Sequence[DaySpent], budget: Budget | None) -> dict[str, Any]:
    return {
        "daily_budget": None if budget is None else attrs.asdict(budget),
        "days": [attrs.asdict(day) for day in found],
    }


def _show(found: Sequence[DaySpent], budget: Budget | None) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    today, *before = found
    console.print(Text(f"Today, {today.day} (UTC)", "bold"))
    console.print(_today(console, today, budget))
    if before:
        console.print(Text("\nBefore", "bold"))
        console.print(_before(before))
    if budget is None:
        console.print(Text(f"\n{_NONE}", "yellow"))


def _today(console: Console, today: DaySpent, budget: Budget | None) -> Table:
    from qelectron_core.plans import shown

    table = _table("", "spent", "held", *(["limit", "left", ""] if budget else []))
    for unit, title in _TITLES.items():
        limit = getattr(budget, unit, None)
        amounts = [getattr(one, unit) for one in (today.spent, today.held)]
        used: list[Text] = []
        if limit is not None:
            left = getattr(today.left, unit)
            amounts += [limit, left]
            used = [_share(console, (limit - left) / limit if limit else 1.0)]
        table.add_row(title, *(shown(unit, one) for one in amounts), *used)
    return table


def _before(found: Sequence[DaySpent]) -> Table:
    from qelectron_core.plans import shown

    table = _table("", *_TITLES.values())
    for day in found:
        cells = [shown(unit, getattr(day.spent, unit)) for unit in _TITLES]
        table.add_row(day.day, *cells)
    return table


def _table(*headings: str) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    return table


def _share(console: Console, share: float) -> Text:
    """Return how much of a limit is used, as a bar."""
    from rich.text import Text

    colour = "red" if share >= 1 else "yellow" if share >= _MUCH else "green"
    return Text(f"{bar(console, share)} {share:>5.0%}".replace("%", " %"), colour)

"""The command `plugins`: what is installed, and what did not load."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from qelectron_core.registry import KINDS, Plugin, registry

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def plugins(*, as_json: bool) -> None:
    """List installed plugins and what they offer.

    A plugin that did not load is listed with the reason; the others are unaffected.

    Example: qelectron plugins --json
    """
    installed = registry().plugins
    if as_json:
        click.echo(json.dumps([_as_json(plugin) for plugin in installed], indent=2))
        return
    from rich.console import Console

    Console().print(_table(installed))


def _as_json(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        **{f"{kind}s": plugin.names(kind) for kind in KINDS},
        "error": plugin.error,
    }


def _table(installed: tuple[Plugin, ...]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("plugin", "distribution", "offers"):
        table.add_column(heading, overflow="fold")  # nothing is cut off
    for plugin in installed:
        distribution = f"{plugin.distribution} {plugin.version}"
        table.add_row(plugin.name, distribution, _offers(plugin))
    return table


def _offers(plugin: Plugin) -> Text:
    from rich.text import Text

    if plugin.error is not None:
        return Text(f"did not load: {plugin.error}", style="red")
    lines = [
        f"{kind}s: {', '.join(plugin.names(kind))}"
        for kind in KINDS
        if plugin.names(kind)
    ]
    return Text("\n".join(lines) or "nothing")

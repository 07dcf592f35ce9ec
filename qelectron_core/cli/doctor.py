"""The command `doctor`: says what does not fit, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import attrs
import click

if TYPE_CHECKING:
    from qelectron_core.checkup import Finding

_SIGNS: Final = {"good": ("✓", "green"), "note": ("·", "yellow"), "bad": ("✗", "red")}


@click.command()
@click.option("--tokens", is_flag=True, help="Ask each vendor, once, for its token.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a list.")
@click.pass_context
def doctor(ctx: click.Context, *, tokens: bool, as_json: bool) -> None:
    """Look at versions, plugins, config, store and tokens, and say what to do.

    Nothing is sent anywhere, but with --tokens. The exit code is 1 if something does
    not work.

    Example: qelectron doctor --tokens
    """
    from qelectron_core.checkup import findings, token_findings

    found = [*findings(), *(token_findings() if tokens else ())]
    if as_json:
        click.echo(json.dumps([attrs.asdict(one) for one in found], indent=2))
    else:
        _show(found)
    if any(one.level == "bad" for one in found):
        ctx.exit(1)


def _show(found: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in found:
        sign, colour = _SIGNS[one.level]
        lines = Text(one.what)
        if one.remedy:
            lines.append(f"\n→ {one.remedy}", style="bold")
        table.add_row(Text(sign, style=colour), one.about, lines)
    Console().print(table)
    bad = sum(one.level == "bad" for one in found)
    click.echo(f"{bad} to be mended" if bad else "all works")

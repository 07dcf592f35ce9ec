"""The command `check`: the conformance kit, on anything that is installed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from qelectron_core.cli.signs import can_show

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status
    from rich.table import Table

    from qelectron_core.testing.conformance import Kit, Report, Rule, RuleResult

#: Signs and colours of outcomes, and what stands for the signs on other terminals.
_SIGNS: Final = {
    "passed": ("✓", "+", "green"),
    "failed": ("✗", "x", "bold red"),
    "error": ("✗", "x", "bold red"),
    "skipped": ("–", "-", "yellow"),
}
_KINDS: Final = ("executor", "selector", "store", "observer")


def _to_options(_: Any, __: Any, given: tuple[str, ...]) -> dict[str, Any]:
    options = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (equals and key.isidentifier()):
            raise click.BadParameter(f"{text!r} is no option. Expected key=value.")
        options[key] = _to_value(value)
    return options


def _to_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@click.command()
@click.argument("name")
@click.option(
    "--option",
    "-o",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_to_options,
    help="Make it with this option; the value is JSON, else text. Repeatable.",
)
@click.option("--kind", type=click.Choice(_KINDS), help="What it is, if unclear.")
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="NUMBER",
    help="Check this rule only, such as E5. Repeatable.",
)
@click.option("--paid", is_flag=True, help="Check even a vendor that asks a price.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def check(  # noqa: PLR0913  # one argument per option
    ctx: click.Context,
    *,
    name: str,
    options: dict[str, Any],
    kind: str | None,
    rules: tuple[str, ...],
    paid: bool,
    as_json: bool,
) -> None:
    """Check a plugin by the rules of the conformance kit.

    NAME is what a plugin registered, or module:attribute: an executor, a selector, a
    store, an observer, or a test class that inherits a kit.

    Example: qelectron check Simulator --option workers=2
    """
    _see_working_folder()
    from qelectron_core.testing.conformance import check as run
    from qelectron_core.testing.conformance.find import find_kit

    kit = find_kit(name, kind=kind, options=options)
    if not paid:
        _require_free(kit)
    if as_json:
        report = run(kit, rules=rules)
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        report = _show(kit, rules)
    if not report.ok:
        ctx.exit(1)


def _see_working_folder() -> None:
    # `python -m` does so, too: what is being written need not be installed.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def _require_free(kit: Kit) -> None:
    from qelectron_core.testing.conformance.remote import (
        N_JOBS,
        RemoteExecutorConformance,
    )

    if not isinstance(kit, RemoteExecutorConformance):
        return
    price = kit.least_price_usd()
    if price:
        message = (
            f"{kit.subject()} asks a price: {price:g} US dollars for one circuit, and "
            f"the rules submit about {N_JOBS} jobs. Add --paid to go on."
        )
        raise click.ClickException(message)


def _show(kit: Kit, rules: tuple[str, ...]) -> Report:
    """Check, and print what comes of each rule as soon as it is known."""
    from rich.console import Console

    from qelectron_core.testing.conformance import check as run

    console = Console(highlight=False)
    console.print(f"Checking {kit.kind} {kit.subject()}", markup=False)
    with _progress(console) as status:

        def starting(rule: Rule) -> None:
            if status is not None:
                status.update(f"{rule.number}  {rule.sentence}")

        report = run(
            kit,
            rules=rules,
            starting=starting,
            ended=lambda result: console.print(_row(console, result)),
        )
    console.print(report.summary, style="bold", markup=False)
    if report.note:
        console.print(report.note, style="yellow", markup=False)
    return report


@contextmanager
def _progress(console: Console) -> Iterator[Status | None]:
    """Show which rule is being checked, on a terminal."""
    if not console.is_terminal:
        yield None
        return
    with console.status("") as status:
        yield status


def _row(console: Console, result: RuleResult) -> Table:
    from rich.table import Table
    from rich.text import Text

    sign, plain, style = _SIGNS[result.outcome]
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(width=4)
    table.add_column(overflow="fold")
    table.add_row(
        Text(sign if can_show(console, sign) else plain, style),
        Text(result.rule.number),
        _sentence(result),
    )
    for name in ("expected", "seen", "hint"):
        text = getattr(result, name)
        if text:
            label = f"{'to do' if name == 'hint' else name}: "
            table.add_row("", "", Text.assemble((label, "bold"), text))
    return table


def _sentence(result: RuleResult) -> Any:
    from rich.text import Text

    sentence = Text(result.rule.sentence)
    if result.outcome == "skipped":
        sentence.append(f" ({result.message})", "yellow")
    return sentence

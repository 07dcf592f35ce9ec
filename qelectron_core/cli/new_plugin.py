"""The command `new-plugin`: a plugin that works, to begin one's own with."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from qelectron_core.errors import ConfigError
from qelectron_core.templates import TEMPLATES, NewPlugin, check_name


def _to_name(value: str) -> str:
    try:
        return check_name(value)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from error


def _check_name(_: Any, __: Any, value: str | None) -> str | None:
    return None if value is None else _to_name(value)


@click.command()
@click.argument("name", required=False, callback=_check_name)
@click.option(
    "--kind",
    type=click.Choice(list(TEMPLATES)),
    help="What the plugin offers.  [default: executor]",
)
@click.option("--author", help="Your name, for the metadata.  [default: none]")
@click.option(
    "--output-dir",
    "parent",
    default=".",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write the plugin's own folder into.",
)
@click.option("--no-input", is_flag=True, help="Ask nothing, also on a terminal.")
def new_plugin(
    *,
    name: str | None,
    kind: str | None,
    author: str | None,
    parent: Path,
    no_input: bool,
) -> None:
    """Write a plugin that works, to begin yours with.

    NAME says what it is about: acme gives a folder qelectron-acme. On a terminal,
    what you leave out is asked for.

    Example: qelectron new-plugin acme --kind remote
    """
    _require_cookiecutter()
    asks = sys.stdin.isatty() and not no_input
    name = name or _name(asks)
    kind = kind or _kind(asks)
    if author is None:
        author = click.prompt("Author", "", show_default=False) if asks else ""
    plugin = NewPlugin(name, TEMPLATES[kind], author.strip())
    plugin.require_free()
    folder = plugin.write(parent)
    click.echo(f"Wrote {folder}. Next:\n")
    click.echo(f"  cd {shlex.quote(str(folder))}")
    click.echo("  pip install -e .")
    click.echo(f"  qelectron check {plugin.offered}")


def _require_cookiecutter() -> None:
    if importlib.util.find_spec("cookiecutter") is None:
        message = (
            "new-plugin needs cookiecutter, which is not installed. "
            'Install it: pip install "qelectron-core[author]"'
        )
        raise ConfigError(message)


def _name(asks: bool) -> str:
    if not asks:
        raise click.MissingParameter(param_hint="'NAME'", param_type="argument")
    return str(click.prompt("Name, such as acme", value_proc=_to_name))


def _kind(asks: bool) -> str:
    if not asks:
        return "executor"
    choice = click.Choice(list(TEMPLATES))
    return str(click.prompt("Kind", "executor", type=choice))

"""The command `config`: what is set, where, and how to change it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from qelectron_core.errors import ConfigError

if TYPE_CHECKING:
    from qelectron_core.config.editing import Place
    from qelectron_core.config.files import File
    from qelectron_core.config.report import Row

_json: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON instead of a table."
)
_project: Final = click.option(
    "--project", is_flag=True, help="The file of this project instead of yours."
)


@click.group()
def config() -> None:
    """Show and change what is set, and where each value comes from.

    A value comes from your file, the file of the project that you are in, an
    environment variable, or an argument in code; the later wins.

    Example: qelectron config set executor.QiskitExecutor.backend ibm_fez
    """


@config.command()
@click.argument("name", required=False)
@_json
def show(name: str | None, *, as_json: bool) -> None:
    """List every setting, its value, and where that is from.

    With NAME, such as executor.QiskitExecutor, every option of one executor.

    Example: qelectron config show executor.QiskitExecutor
    """
    rows = _rows(name)
    if as_json:
        click.echo(json.dumps([row.as_json() for row in rows], indent=2, default=str))
        return
    _print(rows)
    if name is not None:
        _tell_secrets(name)


@config.command()
@click.argument("key")
@_json
def get(key: str, *, as_json: bool) -> None:
    """Print the value of one setting.

    Example: qelectron config get store
    """
    row = _row(key)
    if as_json:
        click.echo(json.dumps(row.as_json(), indent=2, default=str))
    elif row.is_set:
        click.echo(_plain(row.found.value))


@config.command(name="set")
@click.argument("key")
@click.argument("value")
@_project
def set_(key: str, value: str, *, project: bool) -> None:
    """Set a value in your file, or in the project's.

    VALUE is TOML, or else a text; none is None, where that may be. Comments and order
    of the file stay.

    Example: qelectron config set cache top-up
    """
    from qelectron_core.config import editing

    made = editing.parsed(key, value)
    with editing.alone():
        where = _place(project=project)
        editing.write(where, key, made)
    click.echo(f"{key} is set in {where.path}")
    _tell_if_overruled(key, where)


@config.command()
@click.argument("key")
@_project
def unset(key: str, *, project: bool) -> None:
    """Take a value out of your file, or out of the project's.

    Example: qelectron config unset cache
    """
    from qelectron_core.config import editing

    with editing.alone():
        where = _place(project=project)
        was_there = editing.remove(where, key)
    if not was_there:
        raise ConfigError(
            f"{key} is not set in {where.path}. See: qelectron config show"
        )
    click.echo(f"{key} is no longer set in {where.path}")


@config.command()
@_project
def path(*, project: bool) -> None:
    """Print where your file is, or the project's; it need not exist.

    Example: qelectron config path --project
    """
    from qelectron_core.config import files

    found = files.project_path() if project else files.user_path()
    if found is None:
        message = "no file of a project is in this folder or above it. Make one: "
        raise ConfigError(f"{message}qelectron config set --project KEY VALUE")
    click.echo(found)


@config.command()
@_project
def edit(*, project: bool) -> None:
    """Open your file, or the project's, in your editor; check it afterwards.

    Example: qelectron config edit
    """
    from qelectron_core.config import files, layers, writing

    where = files.user_path()
    if project:  # it need not be one that can be understood
        where = files.project_path() or Path.cwd() / files.PROJECT
    elif not where.exists():
        writing.write_private(where, "# Config of qelectron\n")
    click.edit(filename=str(where))
    layers.forget()
    file = files.project_file() if project else files.user_file()
    if file is not None:
        _require_sound(file)
    if project and file is not None:
        _agree(file, yes=False)


@config.command()
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--remove", is_flag=True, help="No longer agree to it.")
def trust(*, yes: bool, remove: bool) -> None:
    """Agree to the file of the project that you are in, as it is now.

    Until you do, and after each change by somebody else, it does not count: such a file
    may send circuits elsewhere, or spend money.

    Example: qelectron config trust
    """
    from qelectron_core.config import files, layers
    from qelectron_core.config.trust import distrust

    file = files.project_file()
    if file is None:
        raise ConfigError("no file of a project is in this folder or above it.")
    if remove:
        distrust(file)
        click.echo(f"{file.path} no longer counts")
    else:
        _require_sound(file)
        _agree(file, yes=yes)
    layers.forget()


def _require_sound(file: File) -> None:
    from qelectron_core.config import layers, report

    layers.check(file)
    report.check(layers.Config((file,)))


def _agree(file: File, *, yes: bool) -> None:
    from qelectron_core.config import report
    from qelectron_core.config.trust import is_trusted
    from qelectron_core.config.trust import trust as keep

    if is_trusted(file):
        click.echo(f"{file.path} counts")
        return
    _print([*report.said(file)])
    if not yes:
        click.confirm(f"Follow {file.path}?", abort=True)
    keep(file)
    click.echo(f"{file.path} counts from now on")


def _place(*, project: bool) -> Place:
    from qelectron_core.config import editing

    kind: Literal["user", "project"] = "project" if project else "user"
    return editing.place(kind)


def _rows(name: str | None) -> list[Row]:
    from qelectron_core.config import layers, report

    config = layers.current()
    if name is None:
        return [*report.settings(config), *report.sections(config)]
    first, _, rest = name.partition(".")
    if first == "executor" and rest:
        return [*report.options(config, rest)]
    return [_row(name)]


def _row(key: str) -> Row:
    from qelectron_core.config import editing, layers, report
    from qelectron_core.config.executors import executor_class, require_option

    config, keys = layers.current(), editing.split(key)
    if len(keys) == 1:
        rows = [*report.settings(config)]
    else:
        require_option(keys[1], executor_class(keys[1]), keys[2], key)
        rows = [*report.options(config, keys[1])]
    return next(row for row in rows if row.name == key)


def _tell_if_overruled(key: str, where: Place) -> None:
    found = _row(key).found
    if found.file is None or found.file.path != where.path:
        click.echo(f"Note: here {found.place} says otherwise, and wins.", err=True)


def _tell_secrets(name: str) -> None:
    from qelectron_core.config import report

    hidden = report.secrets(name.partition(".")[2])
    if hidden:
        click.echo(f"\nSecrets, which no config holds: {', '.join(hidden)}")


def _plain(value: Any) -> str:
    from qelectron_core.config.values import NONE

    if value is None:
        return NONE
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _visible(text: str) -> str:
    """Return a text with nothing in it that could hide others on a terminal."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _print(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("setting", no_wrap=True)
    for heading in ("value", "from"):
        table.add_column(heading, overflow="fold")  # nothing is cut off
    for row in rows:
        value = _visible(_plain(row.found.value)) if row.is_set else ""
        style = "dim" if row.found.kind == "default" else ""
        name = Text(_visible(row.name))  # which is no markup
        place = Text(_visible(row.found.place), style)
        table.add_row(name, Text(value, style), place)
    console = Console()
    console.print(table)
    for row in rows:
        if row.problem:
            text = _visible(f"{row.name}: {row.problem}")
            console.print(Text(text, "red"), soft_wrap=True)

"""The command line: `qelectron COMMAND`.

Commands are registered like everything else, and imported when they are used.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from typing import Any, Final

import click

import qelectron_core
from qelectron_core.errors import ConfigError, QElectronError, UnknownNameError
from qelectron_core.registry import Registration, registry

#: Exit codes: a user's mistake that a command found, and Ctrl-C (128 + SIGINT).
FAILED: Final = 1
CANCELLED: Final = 130


class Commands(click.Group):
    """Sub-commands of every plugin, and errors that a user can read."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all registered commands."""
        del ctx
        return list(registry().registrations("command"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command and return it.

        Raises:
            UsageError: If no plugin offers it; names the nearest one.
            QElectronError: If it does not load, or is no click command.
        """
        try:
            return _checked(cmd_name, registry().resolve("command", cmd_name))
        except QElectronError as error:
            if ctx.resilient_parsing:  # a shell asks for completions
                return None
            if isinstance(error, UnknownNameError):
                raise click.UsageError(str(error), ctx) from None
            raise

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """List the commands, each with what it does."""
        del ctx
        known = registry().registrations("command")
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(r)) for name, r in known.items()])

    def invoke(self, ctx: click.Context) -> None:
        """Run a command; what it returns is not the exit code."""
        super().invoke(ctx)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command and end the process, as click does, with our messages."""
        standalone = extra.pop("standalone_mode", True)
        run: Any = functools.partial(super().main, standalone_mode=False)
        if not standalone:
            return run(*args, **extra)
        sys.exit(_exit_code(lambda: run(*args, **extra)))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.version_option(
    qelectron_core.__version__, "--version", message="%(prog)s %(version)s"
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Run PennyLane circuits on many executors at once."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """Be the console script `qelectron`."""
    for stream in (sys.stdout, sys.stderr):
        # Where a terminal has no sign for "√", a "?" is better than a traceback.
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    cli.main(prog_name="qelectron")


def _checked(name: str, command: Any) -> click.Command:
    if isinstance(command, click.Command):
        return command
    message = (
        f"command {name!r} is {command!r}, not a click command. "
        "Its plugin must register a click.Command."
    )
    raise ConfigError(message)


def _summary(registration: Registration) -> str:
    try:
        command = _checked(registration.name, registration.resolve())
    except QElectronError:  # which it says when it is used
        return f"From plugin {registration.plugin!r}; it does not load."
    return command.get_short_help_str(limit=70)


def _exit_code(run: Callable[[], Any]) -> int:
    """Run click, print what went wrong, and return the exit code."""
    try:
        return int(run() or 0)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "qelectron"
        _complain(f"{error.format_message()}\nTry '{path} --help'.")
        return error.exit_code
    except click.ClickException as error:
        _complain(error.format_message())
        return error.exit_code
    except QElectronError as error:
        _complain(str(error))
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        click.echo("Cancelled.", err=True)
        return CANCELLED


def _complain(message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    text = Text.assemble(("Error: ", "bold red"), message)
    # Piped, a message stays on one line, so that it can be searched for.
    console.print(text, soft_wrap=not console.is_terminal)

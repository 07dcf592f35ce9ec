"""Waits for a call with a sign of life, and prints what it returns."""

from __future__ import annotations

import concurrent.futures as cf
from typing import TYPE_CHECKING, Any, Final

import click

from qelectron_core.errors import QElectronError

if TYPE_CHECKING:
    from qelectron_core.futures import QFuture

#: Seconds between two looks at a future, so that Ctrl-C is heard meanwhile.
LOOK_S: Final = 0.2


def awaited(future: QFuture) -> Any:
    """Wait for a call, cancel nothing on Ctrl-C, and return its result.

    Raises:
        ClickException: If it ended in something else.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    console = Console(stderr=True)  # not where results are printed
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(f"Waiting for {future.id}", total=None)
        # Not `result`, which cancels on Ctrl-C what it waits for.
        while not cf.wait([future], LOOK_S).done:
            pass
    return _outcome(future)


def print_value(value: Any) -> None:
    """Print the result of a call."""
    from rich.console import Console
    from rich.text import Text

    from qelectron_sqlite.cli.results import result_lines

    console = Console(highlight=False)
    for line in result_lines(console, value):
        console.print(Text(line), soft_wrap=True)


def _outcome(future: QFuture) -> Any:
    try:
        return future.result()
    except QElectronError:
        raise
    except cf.CancelledError:
        message = f"{future.id} was cancelled, so that there is no result."
        raise click.ClickException(message) from None
    except Exception as error:  # of the vendor's software
        message = f"{future.id} failed: {type(error).__name__}: {error}"
        raise click.ClickException(message) from error

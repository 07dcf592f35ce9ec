"""The command `attach`: waits for jobs that another process left."""

from __future__ import annotations

import concurrent.futures as cf
from typing import TYPE_CHECKING, Any, Final

import click

from qelectron_core.errors import QElectronError
from qelectron_sqlite.cli.opening import import_all, import_option, opened, store_option
from qelectron_sqlite.cli.texts import examples

if TYPE_CHECKING:
    from qelectron_core.futures import QFuture
    from qelectron_core.store import Store

#: Seconds between two looks at a future, so that Ctrl-C is heard meanwhile.
LOOK_S: Final = 0.2


@click.command(
    epilog=examples(
        "qelectron attach call-9f1c33ab-7", "qelectron attach job-9f1c33ab-8"
    )
)
@click.argument("identifier", metavar="ID")
@import_option
@store_option
def attach(*, identifier: str, modules: tuple[str, ...], location: str | None) -> None:
    """Wait for the jobs of a call that its program left, and print the results.

    ID is that of a call or enough of its beginning, or the id or handle of a job.
    Nothing is submitted, and Ctrl-C cancels nothing: come back as often as you like.
    """
    import qelectron_core as ct

    import_all(modules)
    with opened(location) as store:
        known = _ids(store, identifier)
    for one in known:
        _print(_awaited(ct.attach(one, store=location)))


def _ids(store: Store, text: str) -> list[str]:
    """Return the ids of what is to be waited for: a call, or jobs.

    A call whose results only its program can put together is waited for by its jobs.
    """
    from qelectron_sqlite.cli.lookup import find_run

    exact = [job.job_id for job in store.jobs() if text in (job.job_id, job.handle)]
    if exact:
        return exact
    run = find_run(store, text)
    jobs = [job.job_id for job in store.jobs(call_id=run.id)]
    return jobs if jobs and run.call.output is None else [run.id]


def _awaited(future: QFuture) -> Any:
    """Wait for a call with a sign of life, and return its result."""
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


def _print(value: Any) -> None:
    from rich.console import Console
    from rich.text import Text

    from qelectron_sqlite.cli.results import result_lines

    console = Console(highlight=False)
    for line in result_lines(console, value):
        console.print(Text(line), soft_wrap=True)

"""The command `dispatches`: what was dispatched, and what became of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from qelectron_dask.workflow.result import DispatchResult

_EPILOG: Final = """\b
Examples:
  qelectron dispatches
  qelectron dispatches dispatch-1b2c3d4e5f --draw workflow.svg
  qelectron dispatches dispatch-1b2c3d4e5f --cancel
"""


@click.command(epilog=_EPILOG)
@click.argument("identifier", metavar="[ID]", required=False)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--draw",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Save the graph with the states of its electrons (.svg, .png, .pdf).",
)
@click.option("--wait", is_flag=True, help="Wait until it has ended, with a bar.")
@click.option("--cancel", "stop", is_flag=True, help="Cancel it, whoever runs it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def dispatches(  # noqa: PLR0913  # an option each
    *,
    identifier: str | None,
    limit: int,
    picture: Path | None,
    wait: bool,
    stop: bool,
    as_json: bool,
) -> None:
    """List dispatches, the newest first; with an ID, show the electrons of one.

    Where they are kept says QELECTRON_STORE; dispatches of other processes show too.
    """
    if identifier is None:
        if picture or wait or stop:
            raise click.UsageError("--draw, --wait and --cancel need the ID of one.")
        _list(limit, as_json=as_json)
        return
    from qelectron_dask.workflow.dispatching import cancel, get_result

    if stop:
        cancel(identifier)
        click.echo(f"{identifier} is being cancelled.")
        return
    result = get_result(identifier, wait, progress=wait)
    if picture is not None:
        result.draw(picture)
    if as_json:
        _print_json(_to_json(result))
        return
    from qelectron_dask.workflow.states import inert
    from qelectron_dask.workflow.tables import table

    _console().print(table(result))
    error = "\n".join(map(inert, (result.error or "").splitlines()))
    click.echo(f"{result.status}" + (f": {error}" if error else ""))


def _list(limit: int, *, as_json: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    from qelectron_dask.workflow.dispatches import recent
    from qelectron_dask.workflow.states import inert

    found = recent(limit)
    if as_json:
        _print_json([_to_json(result) for result in found])
        return
    if not found:
        click.echo("Nothing was dispatched yet: ct.dispatch(workflow)(…).")
        return
    made = Table(box=None)
    for heading in ("when", "id", "lattice", "state", "electrons", "seconds"):
        # An id is there to be copied.
        made.add_column(heading, no_wrap=heading != "lattice")
    for result in found:
        over = sum(run.has_ended for run in result.electrons)
        made.add_row(
            time.strftime("%m-%d %H:%M:%S", time.localtime(result.started_at)),
            escape(inert(result.dispatch_id)),
            escape(inert(result.lattice)),
            result.status,
            f"{over}/{len(result.electrons)}",
            _seconds(result),
        )
    _console().print(made)


def _seconds(result: DispatchResult) -> str:
    if result.finished_at is None:
        return ""
    return f"{result.finished_at - result.started_at:.2f}"


def _to_json(result: DispatchResult) -> dict[str, Any]:
    return {
        "dispatch_id": result.dispatch_id,
        "lattice": result.lattice,
        "status": result.status,
        "started_at": result.started_at,
        "finished_at": result.finished_at,
        "process": result.process,
        "redispatched": result.redispatched,
        "error": result.error,
        "electrons": [
            {
                "number": run.number,
                "name": run.name,
                "state": run.state,
                "executor": run.executor,
                "parents": list(run.parents),
                "attempt": run.attempt,
                "started_at": run.started_at,
                "finished_at": run.finished_at,
                "error": run.error,
                "reused": run.reused,
                "calls": [call.id for call in run.calls],
            }
            for run in result.electrons
        ],
    }


def _print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=2))


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False)

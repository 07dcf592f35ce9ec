"""The command `again`: runs a call on record once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from qelectron_core.errors import BudgetError
from qelectron_sqlite.cli.opening import opened, store_option
from qelectron_sqlite.cli.texts import examples
from qelectron_sqlite.cli.waiting import awaited, print_value

if TYPE_CHECKING:
    from qelectron_core.contracts import Executor
    from qelectron_core.futures import QFuture
    from qelectron_core.plans import Plan
    from qelectron_core.store import Run


@click.command(
    epilog=examples(
        "qelectron again call-9f1c33ab-7",
        'qelectron again 9f1c --executor "Simulator(shots=1000)"',
        "qelectron again call-9f1c33ab-7 --yes --json | jq .result",
    )
)
@click.argument("identifier", metavar="ID")
@click.option(
    "--executor",
    metavar="TEXT",
    help="Run it there, and not where it ran: a name, or as Python has it.",
)
@click.option(
    "--device",
    metavar="NAME",
    default="default.qubit",
    show_default=True,
    help="For executors that take the device of the QNode.",
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@store_option
def again(  # noqa: PLR0913  # an option each
    *,
    identifier: str,
    executor: str | None,
    device: str,
    yes: bool,
    as_json: bool,
    location: str | None,
) -> None:
    """Run the circuits of a call once more, as a new call, and print the result.

    ID is that of a call or enough of its beginning, or the id or handle of a job. What
    is about to run is told first, and asked about if it may cost money or leaves this
    process. Ctrl-C cancels it.
    """
    import qelectron_core as ct
    from qelectron_core.formats import parse_executors
    from qelectron_sqlite.cli.lookup import find_run

    with opened(location) as store:
        run = find_run(store, identifier)
    how: dict[str, Any] = {"device": device, "store": location}
    how["executors"] = None if executor is None else parse_executors(executor)
    plan = ct.plan_again(run, **how)
    _tell(run, plan)
    if not yes and is_to_be_asked(plan):
        click.confirm("Run this?", abort=True, err=True)
    future = ct.run_again(run, **how)
    value = _awaited(future)
    click.echo(f"{future.id} is on record: qelectron show {future.id}", err=True)
    if as_json:
        _print_json(run, future, value, location)
    else:
        print_value(value)


def _tell(run: Run, plan: Plan) -> None:
    """Tell what is about to run, and where, apart from the result.

    Executors in full: the journal may be another's, and tokens go where it says.

    Raises:
        BudgetError: If a budget would refuse it.
    """
    from qelectron_sqlite.cli.texts import safe

    click.echo(f"Of {safe(run.id)}, {safe(run.call.name)}:", err=True)
    for executor in plan.executors:
        click.echo(f"  {amounts(plan, executor)} on {safe(repr(executor))}", err=True)
    if plan.refusal:
        raise BudgetError(plan.refusal, plan)


def amounts(plan: Plan, executor: Executor) -> str:
    """Return what an executor would run, at what price."""
    from qelectron_core.plans import Plan
    from qelectron_sqlite.cli.texts import count, dollars
    from qelectron_sqlite.cli.times import span

    own = Plan(tuple(job for job in plan.jobs if job.executor == executor))
    parts = [
        count(own.circuits, "circuit"),
        f"{own.shots:,} shots" if own.shots else "exact",
        count(len(own.jobs), "job"),
        "price unknown" if own.cost_usd is None else dollars(own.cost_usd),
        "" if own.seconds is None else span(own.seconds),
    ]
    return ", ".join(filter(None, parts))


def is_to_be_asked(plan: Plan) -> bool:
    """Tell whether it may cost money, or leave this process.

    What the journal names may be another machine, which gets tokens and circuits.
    """
    here = all(one.capabilities.in_process for one in plan.executors)
    return not here or plan.cost_usd is None or plan.cost_usd > 0


def _awaited(future: QFuture) -> Any:
    from qelectron_core.runtime import runtime

    try:
        return awaited(future)
    except KeyboardInterrupt:
        runtime().cancel()  # this process runs nothing else
        raise


def _print_json(run: Run, future: QFuture, value: Any, location: str | None) -> None:
    import qelectron_core as ct
    from qelectron_sqlite.cli.plain import plain, print_json, run_to_json

    (new,) = ct.history(future.id, store=location)
    print_json({**run_to_json(new), "again": run.id, "result": plain(value)})

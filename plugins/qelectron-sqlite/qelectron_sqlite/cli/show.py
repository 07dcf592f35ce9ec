"""The command `show`: one call, with its circuits, results and times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import click

from qelectron_sqlite.cli.opening import opened, store_option
from qelectron_sqlite.cli.texts import examples

if TYPE_CHECKING:
    from rich.console import Console

    from qelectron_core.store import Entry, Intent, Run
    from qelectron_sqlite.cli.timeline import Scale

#: Circuits that are shown unless all are asked for.
FIRST: Final = 10


@click.command(
    epilog=examples(
        "qelectron show call-9f1c33ab-7",
        "qelectron show 9f1c --all",
        "qelectron show call-9f1c33ab-7 --json | jq '.attempts[].result'",
    )
)
@click.argument("identifier", metavar="ID")
@click.option(
    "--all", "all_of_it", is_flag=True, help=f"Not only the first {FIRST} circuits."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@store_option
def show(
    *, identifier: str, all_of_it: bool, as_json: bool, location: str | None
) -> None:
    """Show a call: its circuits, their results, and when they ran.

    ID is that of a call, as `qelectron runs` lists it, or enough of its beginning; or
    the id or handle of a job.
    """
    from qelectron_sqlite.cli.lookup import find_run

    with opened(location) as store:
        run = find_run(store, identifier)
        jobs = store.jobs(call_id=run.id)
    if as_json:
        from qelectron_sqlite.cli.plain import details_to_json, print_json

        print_json(details_to_json(run))
        return
    _print(run, jobs, most=None if all_of_it else FIRST)


def _print(run: Run, jobs: Sequence[Intent], *, most: int | None) -> None:
    from rich.console import Console
    from rich.text import Text

    from qelectron_sqlite.cli.texts import count, safe, state_text
    from qelectron_sqlite.cli.timeline import Scale

    console = Console(highlight=False)
    title = Text.assemble((safe(run.id), "bold"), f"  {safe(run.call.name)}  ")
    console.print(title + state_text(run.state))
    _print_pairs(console, header(run))
    if jobs:
        _print_block(console, "at vendors", [_told(job) for job in jobs])
    circuits = list(by_circuit(run.entries).values())
    scale = Scale.of(run)
    for attempts in circuits[:most]:
        _print_circuit(console, attempts, scale)
    left_out = 0 if most is None else len(circuits) - most
    if left_out > 0:
        console.print(f"\n… and {count(left_out, 'more circuit')}; --all shows them.")


def by_circuit(entries: Iterable[Entry]) -> dict[int, list[Entry]]:
    """Return the attempts of each circuit, both in order."""
    found: dict[int, list[Entry]] = {}
    for entry in sorted(entries, key=lambda one: (one.index, one.attempt)):
        found.setdefault(entry.index, []).append(entry)
    return found


def _told(job: Intent) -> str:
    """Return where a job stands that has not ended."""
    name = "handle unknown" if job.handle is None else job.handle
    if job.alive:
        return f"{job.job_id}, {name}: its program waits for it"
    follow = f"qelectron attach {job.job_id}"
    return f"{job.job_id}, {name}: its program has ended; {follow}"


def header(run: Run) -> Mapping[str, str]:
    """Return what is known of a call as a whole; what is empty is not known."""
    from qelectron_sqlite.cli.texts import dollars
    from qelectron_sqlite.cli.times import date, moment, span

    call = run.call
    return {
        "when": f"{date(call.at)} ({moment(call.at)})",
        "executors": call.executors,
        "circuits": _circuits(run),
        "shots": f"{run.shots:,}" if run.shots else "",
        "time": "" if run.duration_s is None else span(run.duration_s),
        "cost": "" if run.cost_usd is None else dollars(run.cost_usd),
        "process": call.process,
        "versions": ", ".join(f"{one} {v}" for one, v in call.versions.items()),
    }


def _circuits(run: Run) -> str:
    """Return how many circuits a call has, and if that says more, in which states."""
    states = [f"{number:,} {state}" for state, number in run.states.items()]
    is_all = len(states) == 1 and sum(run.states.values()) == run.call.circuits
    told = f"{run.call.circuits:,}"
    return told if is_all or not states else f"{told}: {', '.join(states)}"


def _print_pairs(console: Console, pairs: Mapping[str, str]) -> None:
    """Print what there is, each behind its name."""
    for name, told in pairs.items():
        if told:
            _print_block(console, name, [told])


def _print_block(console: Console, name: str, lines: Sequence[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    from qelectron_sqlite.cli.texts import safe

    table = Table.grid(padding=(0, 1))
    table.add_column(width=10, style="dim")
    table.add_column(overflow="fold")
    table.add_row(name, Text("\n".join(map(safe, lines))))
    console.print(table)


def _print_circuit(console: Console, attempts: Sequence[Entry], scale: Scale) -> None:
    from rich.text import Text

    from qelectron_sqlite.cli.texts import safe, state_text

    last = attempts[-1]
    title = Text.assemble("\n", (f"circuit {last.index}", "bold"), "  ")
    console.print(title + state_text(last.state) + Text(f"  {safe(last.executor)}"))
    _print_drawing(console, attempts)
    if last.state in ("completed", "cached"):
        _print_block(console, "result", _result(console, last))
    for attempt in attempts:
        _print_attempt(console, attempt, scale, numbered=len(attempts) > 1)


def _print_drawing(console: Console, attempts: Sequence[Entry]) -> None:
    from rich.text import Text

    from qelectron_sqlite.cli.drawing import drawn

    circuit = next((one.circuit for one in attempts if one.circuit is not None), None)
    if circuit is None:
        console.print(why_not_drawn(attempts[-1]), style="dim")
        return
    text = Text(drawn(circuit, console.width))
    console.print(text, no_wrap=True, overflow="ignore", crop=False)


def why_not_drawn(entry: Entry) -> str:
    """Return why there is no circuit to be drawn."""
    from qelectron_sqlite.cli.texts import safe

    if entry.state == "cached" and entry.job_id:
        job = safe(entry.job_id)
        return f"It equals a circuit of {job}: qelectron show {job} draws that."
    return "The circuit is not kept."


def _result(console: Console, entry: Entry) -> list[str]:
    from qelectron_sqlite.cli.results import result_lines

    if entry.value is None:
        return ["not kept: too large for the journal, or of a kind it cannot write"]
    return result_lines(console, entry.value)


def _print_attempt(
    console: Console, entry: Entry, scale: Scale, *, numbered: bool
) -> None:
    from qelectron_sqlite.cli.texts import dollars
    from qelectron_sqlite.cli.timeline import picture

    name = f"attempt {entry.attempt}" if numbered else "time"
    _print_block(console, name, [picture(console, entry, scale)])
    handle = "" if entry.handle is None else f", at the vendor {entry.handle}"
    circuits = f" of {entry.job_size} circuits" if entry.job_size > 1 else ""
    metadata = [f"{key}={value!r}" for key, value in entry.metadata.items()]
    told = {
        "job": f"{entry.job_id}{circuits}{handle}" if entry.job_id else "",
        "shots": "" if entry.shots is None else f"{entry.shots:,}",
        "cost": "" if entry.cost_usd is None else dollars(entry.cost_usd),
        "metadata": ", ".join(metadata),
        "error": entry.error or "",
    }
    _print_pairs(console, told)

"""Whatever users and plugin authors may write has its row in the reference.

Each table of the reference is compared with the code that it is about: a row too few
fails, and so does one too many.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias, get_args

import attrs
import click
import pytest
from click.testing import CliRunner

import qelectron_core as ct
from qelectron_core import errors, events, hookspecs, testing
from qelectron_core.breaker_states import BreakerState
from qelectron_core.cli import cli
from qelectron_core.config.schema import SETTINGS
from qelectron_core.registry import registry

ROOT: Final = Path(__file__).resolve().parents[1]
#: The text of each page of the reference, by its name.
Pages: TypeAlias = Mapping[str, str]
#: A page and one of its headings, and what the tables below it are to list.
Tables: TypeAlias = Mapping[tuple[str, str], Collection[str]]


@pytest.fixture(scope="module")
def pages() -> Pages:
    return read()


def read() -> Pages:
    paths = sorted((ROOT / "docs" / "reference").glob("*.md"))
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}


# --- What there is --------------------------------------------------------------------


def fields(record: type[Any]) -> list[str]:
    return [field.alias for field in attrs.fields(record) if field.init]


def members(contract: type[Any]) -> list[str]:
    """Return what is public in a class besides its fields, methods with arguments."""
    own = {n: m for n, m in vars(contract).items() if not n.startswith("_")}
    taken = fields(contract) if attrs.has(contract) else []
    return [_written(name, own[name]) for name in own if name not in taken]


def _written(name: str, member: Any) -> str:
    if not inspect.isfunction(member):
        return name
    given = list(inspect.signature(member).parameters.values())
    plain = [one.replace(annotation=one.empty) for one in given if one.name != "self"]
    return f"{name}{inspect.Signature(plain)}"


def hooks() -> list[str]:
    found = vars(hookspecs).items()
    return [_written(n, m) for n, m in found if n.startswith("qelectron_register_")]


def commands() -> dict[str, click.Command]:
    """Return the commands of the core and of the plugins of this repository."""
    registered = registry().registrations("command")
    return {name: one.resolve() for name, one in registered.items()}


def options(command: click.Command) -> list[str]:
    """Return the names of a command's options, those of its sub-commands included."""
    parts = [command, *getattr(command, "commands", {}).values()]
    known = [p for one in parts for p in one.params if isinstance(p, click.Option)]
    names = [name for one in known for name in (*one.opts, *one.secondary_opts)]
    return list(dict.fromkeys(names))


TABLES: Final[Tables] = {
    ("plugins", "Hooks"): hooks(),
    ("executors", "Options of every executor"): fields(ct.Executor),
    ("executors", "What you write"): members(ct.Executor),
    ("executors", "Job"): fields(ct.Job),
    ("executors", "Seed"): fields(ct.Seed),
    ("executors", "Settings"): fields(ct.Settings),
    ("executors", "Outcome"): fields(ct.Outcome),
    ("executors", "Estimate"): fields(ct.Estimate),
    ("executors", "Capabilities"): fields(ct.Capabilities),
    ("executors", "Limits"): fields(ct.Limits),
    ("remote-executors", "What you write"): members(ct.RemoteExecutor),
    ("remote-executors", "State"): [state.value for state in ct.State],
    ("remote-executors", "Status"): fields(ct.Status),
    ("remote-executors", "Handle"): fields(ct.Handle),
    ("remote-executors", "Polling"): fields(ct.Polling),
    ("selectors", "Load"): fields(ct.Load),
    ("selectors", "Failover"): fields(ct.Failover),
    ("selectors", "BreakerState"): fields(BreakerState),
    ("events", "Event"): fields(ct.Event),
    ("events", "Kinds"): [
        f'"{kind}"' for part in get_args(events.EventKind) for kind in get_args(part)
    ],
    ("events", "Execution"): fields(ct.Execution) + members(ct.Execution),
    ("config", "Settings"): [*SETTINGS],
    ("stores", "Stores"): members(ct.Store),
    ("stores", "Call"): fields(ct.Call),
    ("stores", "Entry"): fields(ct.Entry),
    ("stores", "Run"): fields(ct.Run),
    ("stores", "Key"): fields(ct.Key),
    ("stores", "Kept"): fields(ct.Kept),
    ("stores", "Claim"): fields(ct.Claim),
    ("stores", "Balance"): fields(ct.Balance),
    ("budgets", "Plan"): fields(ct.Plan),
    ("budgets", "PlannedJob"): fields(ct.PlannedJob),
    ("budgets", "Budget"): fields(ct.Budget),
    ("budgets", "Spent"): fields(ct.Spent),
    ("stores", "Tally"): fields(ct.Tally) + members(ct.Tally),
    ("stores", "Usage"): fields(ct.Usage),
    ("stores", "Intent"): fields(ct.Intent),
    ("stores", "Document"): fields(ct.Document),
    ("stores", "Shelves"): members(ct.Shelf),
    **{
        ("cli", f"qelectron {name}"): options(command)
        for name, command in commands().items()
    },
}

ERRORS: Final = [
    name
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, errors.QElectronError)
]


# --- What is written of it ------------------------------------------------------------

HEADING: Final = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
CODE: Final = re.compile(r"`([^`]+)`")
BLOCK: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
DIRECTIVE: Final = re.compile(r"^\.\. auto\w+:: qelectron_core\.([\w.]+)", re.MULTILINE)
TERM: Final = re.compile(r"^(.+)\n: ", re.MULTILINE)


def section(page: str, title: str) -> str:
    """Return what stands below a heading, up to the next one."""
    headings = [*HEADING.finditer(page)]
    ends = [heading.start() for heading in headings[1:]] + [len(page)]
    for heading, end in zip(headings, ends, strict=True):
        if heading["title"] == title:
            return page[heading.end() : end]
    return ""


def listed(text: str) -> list[str]:
    """Return what the tables of a text name in the first cells of their rows."""
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    named = [CODE.findall(row.split(" | ")[0]) for row in rows]
    return [name.split(" ")[0] if name[0] == "-" else name for n in named for name in n]


def described(api: str) -> set[str]:
    """Return the names that the page of the API describes, without the package's."""
    terms = {
        name.removeprefix("ct.")
        for term in TERM.findall(api)
        for name in CODE.findall(term)
    }
    return terms | set(DIRECTIVE.findall(api))


def gaps(pages: Pages, tables: Tables = TABLES) -> list[str]:
    """Return what is missing from the reference, and what is there and gone."""
    return [*_gaps_in_tables(pages, tables), *_gaps_in_api(pages["api"])]


def _gaps_in_tables(pages: Pages, tables: Tables) -> Iterable[str]:
    for (page, title), expected in tables.items():
        found = listed(section(pages.get(page, ""), title))
        where = f"{page}.md, {title!r}"
        yield from (f"{where}: no row for {n}" for n in expected if n not in found)
        gone = [n for n in found if n not in expected]
        yield from (f"{where}: {n} does not exist" for n in gone)


def _gaps_in_api(api: str) -> Iterable[str]:
    found = described(api)
    names = {name.rpartition(".")[2] for name in found}
    for name in (*ct.__all__, *ERRORS):
        if name not in names:
            yield f"api.md: nothing on ct.{name}"
    for name in testing.__all__:
        if f"testing.{name}" not in found:
            yield f"api.md: nothing on testing.{name}"


# --- Tests ----------------------------------------------------------------------------


def test_all_there_is_is_in_the_reference_and_nothing_else(pages: Pages) -> None:
    assert gaps(pages) == []


def documented() -> list[tuple[str, str]]:
    """Return each line that documents something, with its page."""
    rows = [
        (page, line)
        for page, title in TABLES
        for line in section(read().get(page, ""), title).splitlines()
        if line.startswith("| `")
    ]
    directives = [("api", line) for line in read()["api"].splitlines() if _tells(line)]
    return rows + directives


def _tells(line: str) -> bool:
    found = DIRECTIVE.match(line)
    if found is None:
        return False
    parent, _, name = found[1].rpartition(".")
    public = testing.__all__ if parent.startswith("testing") else ct.__all__
    return name in public


@pytest.mark.parametrize(("page", "line"), documented())
def test_a_line_that_goes_missing_is_noticed(
    pages: Pages, page: str, line: str
) -> None:
    without = pages[page].replace(f"{line}\n", "", 1)
    assert len(without) < len(pages[page])
    assert gaps({**pages, page: without}) != []


@pytest.mark.parametrize("namespace", ["executor", "executors", "selector"])
def test_a_namespace_that_goes_missing_is_noticed(pages: Pages, namespace: str) -> None:
    without = re.sub(rf"`ct\.{namespace}`", "it", pages["api"])
    assert gaps({**pages, "api": without}) == [f"api.md: nothing on ct.{namespace}"]


@pytest.mark.parametrize(("page", "title"), TABLES)
def test_something_new_is_noticed_where_it_belongs(
    pages: Pages, page: str, title: str
) -> None:
    tables = {**TABLES, (page, title): [*TABLES[page, title], "brand_new"]}
    assert gaps(pages, tables) == [f"{page}.md, {title!r}: no row for brand_new"]


def test_a_row_about_something_gone_is_noticed(pages: Pages) -> None:
    row = "| `payload_bytes_per_job` |"
    stale = pages["executors"].replace(row, f"| `jobs_per_day` | 10 |\n{row}")
    assert gaps({**pages, "executors": stale}) == [
        "executors.md, 'Limits': jobs_per_day does not exist"
    ]


def test_the_arguments_of_a_hook_are_compared(pages: Pages) -> None:
    hook = "qelectron_register_stores"
    other = pages["plugins"].replace(f"{hook}(register)", f"{hook}(register, name)")
    assert gaps({**pages, "plugins": other}) == [
        f"plugins.md, 'Hooks': no row for {hook}(register)",
        f"plugins.md, 'Hooks': {hook}(register, name) does not exist",
    ]


def test_every_heading_of_a_command_is_a_command(pages: Pages) -> None:
    titles = {heading["title"] for heading in HEADING.finditer(pages["cli"])}
    told = {title for title in titles if title.startswith("qelectron ")}
    assert told == {f"qelectron {name}" for name in commands()}


# --- Links ----------------------------------------------------------------------------

LINK: Final = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]+))?\)")
MARKDOWN: Final = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/*.md")}
)


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    assert [link for link in LINK.findall(text) if not _leads(path, *link)] == []


def _leads(page: Path, target: str, anchor: str) -> bool:
    """Tell whether a link works where the pages are read unbuilt, as on GitHub."""
    there = (page.parent / target).resolve() if target else page
    if not there.exists():
        return False
    return not anchor or anchor in _anchors(there.read_text(encoding="utf-8"))


def _anchors(text: str) -> set[str]:
    titles = [h["title"].lower() for h in HEADING.finditer(BLOCK.sub("", text))]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def test_the_help_of_every_command_has_an_example() -> None:
    runner = CliRunner()
    for name, command in commands().items():
        parts = getattr(command, "commands", {})
        for path in ([name], *([name, part] for part in parts)):
            shown = runner.invoke(cli, [*path, "--help"]).output
            assert "Example" in shown, path
            assert f"qelectron {name}" in shown.partition("Example")[2], path

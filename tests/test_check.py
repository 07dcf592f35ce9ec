"""What `qelectron check` promises: it finds things, and says how they do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from click.testing import CliRunner, Result

import qelectron_core as ct
from qelectron_core.cli.check import check as command
from qelectron_core.memory_store import MemoryStore
from qelectron_core.registry import Plugin, Registration, Registry
from qelectron_core.testing import FakeCloud, SelectorConformance
from qelectron_core.testing.conformance import find
from qelectron_core.testing.conformance.find import find_kit


@attrs.frozen
class Broken(ct.Executor):
    """Loses a result."""

    level: int = 0

    def run(self, job: ct.Job) -> Any:
        return [0.0 for _ in job.circuits][:-1]


class First:
    """Chooses the first executor."""

    def __call__(self, circuit: Any, executors: Any) -> Any:
        return executors[0]


class FileStore(MemoryStore):
    """Keeps records at a location."""

    durable = True
    made: ClassVar[dict[Path, FileStore]] = {}

    def __new__(cls, location: Path) -> Any:
        return cls.made.setdefault(location, super().__new__(cls))

    def __init__(self, location: Path) -> None:
        if not hasattr(self, "location"):
            super().__init__()
        self.location = location

    def close(self) -> None:
        """Keep everything."""


class Pathless(MemoryStore):
    """Keeps records at a place that nobody can choose."""

    durable = True

    def __init__(self) -> None:
        super().__init__()


class TestFirst(SelectorConformance):
    """A kit of one's own; pytest collects it as well."""

    def make(self) -> Any:
        return First()


def choose(circuit: Any, executors: Any) -> Any:
    return executors[-1]


def listen(event: ct.Event) -> None:
    pass


class Needy(ct.Executor):
    """Cannot be made."""

    def __init__(self) -> None:
        raise ct.ConfigError("it needs a token.")


OFFERED: dict[str, tuple[str, Any]] = {
    "Broken": ("executor", Broken),
    "Needy": ("executor", Needy),
    "FakeCloud": ("executor", FakeCloud),
    "first": ("selector", First),
    "last": ("selector", choose),
    "files": ("store", FileStore),
    "pathless": ("store", Pathless),
    "memory": ("store", MemoryStore),
    "listener": ("observer", listen),
    "Twice": ("selector", First),
    "twice": ("observer", listen),
}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let all that is above be installed, and a plugin that does not load."""
    registrations = tuple(
        Registration(kind, name, target, "tried")  # type: ignore[arg-type]
        for name, (kind, target) in OFFERED.items()
    )
    same = Registration("store", "last", MemoryStore, "tried")
    tried = Plugin("tried", "qelectron-tried", "1", (*registrations, same))
    odd = Plugin("odd", "qelectron-odd", "1", error="ValueError: out of order")
    monkeypatch.setattr(find, "registry", lambda: Registry((tried, odd)))
    yield
    FileStore.made.clear()


def run(*args: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(command, args, prog_name="check")


def test_passing_rules_end_in_the_counts() -> None:
    result = run("first", "--rule", "S1", "--rule", "S9", "--rule", "S11")
    assert result.exit_code == 0, result.output
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines[0].startswith("Checking selector <")
    assert lines[1:] == [
        "✓ S1   It returns one of the executors that it was given: that very object.",
        "– S9   Where it has `learn`, that takes every outcome, and any executor. "
        "(not declared: learn)",
        "– S11  Where it declares `deterministic`, another one chooses the same. "
        "(not declared: deterministic)",
        "1 passed, 0 failed, 2 skipped (not declared: learn, deterministic)",
    ]


def test_failing_rule_says_what_was_expected_and_seen() -> None:
    result = run("Broken", "--rule", "E15")
    assert result.exit_code == 1
    assert [line.strip() for line in result.stdout.splitlines()] == [
        "Checking executor Broken()",
        "✗ E15  A job has one entry per circuit, however many there are.",
        "expected: a sequence of 1 entries for 1 circuits",
        "seen: 0 entries",
        "to do: Return a list with one entry per circuit, in the order of the "
        "circuits.",
        "0 passed, 1 failed, 0 skipped",
    ]


def test_nothing_is_cut_off_in_a_narrow_terminal() -> None:
    runner = CliRunner(env={"COLUMNS": "40"})
    result = runner.invoke(command, ["Broken", "--rule", "E15"])
    assert "…" not in result.stdout
    assert "in the order of the circuits." in " ".join(result.stdout.split())


def test_terminal_without_our_signs_gets_others() -> None:
    runner = CliRunner(charset="ascii")
    result = runner.invoke(command, ["first", "--rule", "S1", "--rule", "S9"])
    assert result.stdout.splitlines()[1].startswith("+ S1 ")
    assert result.stdout.splitlines()[2].startswith("- S9 ")


def test_unproven_values_are_pointed_out() -> None:
    result = run("qelectron_core.testing.conformance.doubles:Fixed", "--rule", "E15")
    assert result.exit_code == 0
    assert "No result was compared" not in result.stdout  # no such rule was checked
    rules = ("--rule", "E15", "--rule", "E16")
    result = run("qelectron_core.testing.conformance.doubles:Fixed", *rules)
    assert "No result was compared with a reference" in result.stdout


def test_json() -> None:
    result = run("Broken", "--rule", "E1", "--rule", "E15", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["subject"] == "Broken()"
    assert report["counts"] == {"passed": 1, "failed": 1, "skipped": 0, "error": 0}
    assert report["rules"][1]["seen"] == "0 entries"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("level=3", 3),
        ("level=three", "three"),
        ("level=null", None),
        ('level={"a": [1]}', {"a": [1]}),
        ("level=a=b", "a=b"),
        ("level=", ""),
    ],
)
def test_option_is_json_or_text(option: str, value: Any) -> None:
    result = run("Broken", "--option", option, "--rule", "E6", "--json")
    assert json.loads(result.stdout)["subject"] == repr(Broken(level=value))


@pytest.mark.parametrize("option", ["level", "=3", "a b=3"])
def test_option_without_a_value_is_refused(option: str) -> None:
    result = run("Broken", "--option", option)
    assert result.exit_code == 2
    assert f"{option!r} is no option. Expected key=value." in result.output


def test_misspelt_option_is_explained() -> None:
    result = run("Broken", "--option", "levle=3")
    assert isinstance(result.exception, ct.ConfigError)
    assert "Did you mean 'level'?" in str(result.exception)


@pytest.mark.parametrize(
    ("name", "kind", "rule"),
    [
        ("Broken", "executor", "E1"),
        ("broken", "executor", "E1"),
        ("FakeCloud", "executor", "R1"),
        ("first", "selector", "S1"),
        ("last", None, "S1"),
        ("files", "store", "T1"),
        ("listener", "observer", "O1"),
        ("twice", "observer", "O1"),
        ("Twice", "selector", "S1"),
    ],
)
def test_kind_follows_from_the_registration(
    name: str, kind: str | None, rule: str
) -> None:
    if kind is None:
        with pytest.raises(ct.ConfigError, match="'last' is a selector and a store"):
            find_kit(name, options={})
        kind = "selector"
    assert find_kit(name, kind=kind, options={}).kind == kind
    assert run(name, "--kind", kind, "--rule", rule).exit_code == 0


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("qelectron_core.testing:FakeCloud", "R1"),
        ("qelectron_core.memory_store:MemoryStore", "T1"),
        ("qelectron_core.testing.conformance.doubles:Fixed", "E1"),
        (f"{__name__}:Broken", "E1"),
        (f"{__name__}:First", "S1"),
        (f"{__name__}:choose", "S1"),
        (f"{__name__}:listen", "O1"),
        (f"{__name__}:TestFirst", "S1"),
    ],
)
def test_module_and_attribute(name: str, rule: str) -> None:
    assert run(name, "--rule", rule).exit_code == 0


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "Brokne",
            ct.UnknownNameError,
            "no plugin offers 'Brokne'. Installed: 'Broken'",
        ),
        ("Brokne", ct.UnknownNameError, "Did you mean 'Broken'?"),
        ("Brokne", ct.UnknownNameError, "'odd' did not load: ValueError: out of order"),
        (
            "Needy",
            ct.ConfigError,
            "'Needy' cannot be made: ConfigError: it needs a tok",
        ),
        ("pathless", ct.ConfigError, "Pathless is durable and takes no location"),
        ("nowhere:Thing", ct.UnknownNameError, "No module named 'nowhere'"),
        ("json:Thing", ct.UnknownNameError, "has no attribute 'Thing'"),
        ("json:JSONDecoder", ct.ConfigError, "Say so with --kind, one of executor"),
        ("math:pi", ct.ConfigError, "it cannot be told what it is"),
    ],
)
def test_what_cannot_be_checked_is_explained(
    name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        find_kit(name, options={})


def test_unknown_rule_is_explained() -> None:
    result = run("first", "--rule", "E1")
    assert isinstance(result.exception, ct.ConfigError)
    assert "has no rule 'E1'." in str(result.exception)


def test_store_gets_a_new_location_each_time() -> None:
    kit: Any = find_kit("files", options={})
    first, second = kit.make(), kit.make()
    assert first.location != second.location
    assert kit.reopen(first) is first
    assert run("files", "--rule", "T1", "--rule", "T34").exit_code == 0


def test_price_is_asked_for_first() -> None:
    option = ("--option", "price_usd_per_job=0.25", "--option", "name=priced")
    result = run("FakeCloud", *option, "--rule", "R1")
    assert result.exit_code == 1
    assert "asks a price: 0.25 US dollars for one circuit" in result.output
    assert FakeCloud(name="priced", price_usd_per_job=0.25).vendor.submitted == 0
    result = run("FakeCloud", *option, "--rule", "R1", "--paid")
    assert result.exit_code == 0, result.output


def test_folder_of_the_caller_is_searched(tmp_path: Path) -> None:
    """In a process of its own: what is found there, and that the command is there."""
    (tmp_path / "here.py").write_text(
        textwrap.dedent(
            """
            def choose(circuit, executors):
                return executors[len(executors)]
            """
        )
    )
    code = "from qelectron_core.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-Ic", code, "check", "here:choose", "--rule", "S2"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stderr
    assert "seen: IndexError: list index out of range" in done.stdout
    assert done.stderr == ""


def test_help_imports_no_pennylane() -> None:
    code = (
        "import sys\n"
        "from qelectron_core.cli import cli\n"
        "try: cli.main(['check', '--help'])\n"
        "except SystemExit: assert 'pennylane' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr

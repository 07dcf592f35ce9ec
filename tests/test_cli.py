"""What the command line promises: readable output, exit codes, and little delay."""

import json
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs
import click
import pytest
from click.testing import CliRunner, Result

import qelectron_core as ct
from qelectron_core.cli import cli, main
from qelectron_core.registry import load

BROKEN = "ModuleNotFoundError: No module named 'qelectron_nowhere'"
DISTRIBUTION = types.SimpleNamespace(name="qelectron-fake", version="1.2.3")


@attrs.frozen
class FakeEntryPoint:
    """An entry point whose plugin is at hand, or raises."""

    name: str
    plugin: Any
    dist: Any = DISTRIBUTION

    def load(self) -> Any:
        if isinstance(self.plugin, Exception):
            raise self.plugin
        return self.plugin


def with_command(name: str, target: Any) -> FakeEntryPoint:
    """Return a plugin that offers one command."""
    plugin = types.ModuleType("fake")

    @ct.hookimpl
    def qelectron_register_commands(register: ct.Register) -> None:
        register(name, target)

    vars(plugin)["qelectron_register_commands"] = qelectron_register_commands
    return FakeEntryPoint("fake", plugin)


def raising(error: BaseException) -> FakeEntryPoint:
    """Return a plugin whose command `fail` raises."""

    @click.command()
    def fail() -> None:
        raise error

    return with_command("fail", fail)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the command line see these plugins, besides the core."""

    def install(*plugins: FakeEntryPoint) -> None:
        found = load(plugins)
        for module in ("qelectron_core.cli", "qelectron_core.cli.plugins"):
            monkeypatch.setattr(sys.modules[module], "registry", lambda: found)

    import qelectron_core.cli.plugins  # noqa: F401  # so that it can be patched

    return install


def run(*args: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli, args, prog_name="qelectron")


def run_process(
    *args: str, path: Iterable[Path] = (), code: str = "main()", **variables: str
) -> subprocess.CompletedProcess[str]:
    inherited = os.environ.get("PYTHONPATH", "")
    folders = os.pathsep.join([*map(str, path), *filter(None, [inherited])])
    return subprocess.run(
        [sys.executable, "-c", f"from qelectron_core.cli import *\n{code}", *args],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": folders, "COLUMNS": "200", **variables},
    )


@pytest.fixture
def broken_plugin(tmp_path: Path) -> Path:
    """Folder of an installed distribution whose plugin cannot be imported."""
    info = tmp_path / "qelectron_broken-0.3.dist-info"
    info.mkdir()
    metadata = "Metadata-Version: 2.1\nName: qelectron-broken\nVersion: 0.3\n"
    (info / "METADATA").write_text(metadata)
    (info / "entry_points.txt").write_text("[qelectron]\nbroken = qelectron_nowhere\n")
    return tmp_path


def test_console_script_is_main() -> None:
    (script,) = entry_points(group="console_scripts", name="qelectron")
    assert script.load() is main


def test_version() -> None:
    done = run_process("--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f" {ct.__version__}\n")
    assert run("--version").stdout == f"qelectron {ct.__version__}\n"


@pytest.mark.parametrize("args", [(), ("-h",), ("--help",)])
def test_help_lists_the_commands(args: tuple[str, ...]) -> None:
    result = run(*args)
    assert result.exit_code == 0
    assert "Usage: qelectron" in result.stdout
    assert "plugins     List installed plugins" in result.stdout
    assert "demo        Test Bell's inequality" in result.stdout


def test_help_survives_a_command_that_does_not_load(
    installed: Callable[..., None],
) -> None:
    installed(with_command("wrong", "qelectron_nowhere:wrong"))
    result = run("--help")
    assert result.exit_code == 0
    assert "wrong       From plugin 'fake'; it does not load." in result.stdout


def test_command_that_does_not_load_says_why(installed: Callable[..., None]) -> None:
    installed(with_command("wrong", "qelectron_nowhere:wrong"))
    result = run("wrong")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: command 'wrong' of plugin 'fake' did not load: "
        f"{BROKEN}. Others are unaffected.\n"
    )


def test_command_of_a_plugin_runs(installed: Callable[..., None]) -> None:
    installed(with_command("hello", click.Command("hello", callback=lambda: 3)))
    result = run("hello")
    assert (result.exit_code, result.stderr) == (0, "")  # 3 is no exit code


def test_command_that_is_none_is_refused(installed: Callable[..., None]) -> None:
    installed(with_command("odd", 42))
    result = run("odd")
    assert result.exit_code == 1
    assert "command 'odd' is 42, not a click command." in result.stderr


def test_table_names_what_each_plugin_offers() -> None:
    result = run("plugins")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    core = ["core", "qelectron-core", ct.__version__, "executors:", "FakeCloud"]
    assert core in lines
    assert ["stores:", "memory"] in lines
    assert ["commands:", "check,", "config,", "demo,", "doctor,"] in [
        line[:5] for line in lines
    ]
    assert "\x1b" not in result.stdout  # no colours in a pipe


def test_json_names_what_each_plugin_offers(installed: Callable[..., None]) -> None:
    installed(FakeEntryPoint("odd", ValueError("out of order")))
    result = run("plugins", "--json")
    assert result.exit_code == 0
    core, odd = json.loads(result.stdout)
    assert core["commands"] == [
        "check",
        "config",
        "demo",
        "doctor",
        "new-plugin",
        "plugins",
        "spend",
        "token",
    ]
    assert core["error"] is None
    assert odd == {
        "name": "odd",
        "distribution": "qelectron-fake",
        "version": "1.2.3",
        "executors": [],
        "selectors": [],
        "stores": [],
        "observers": [],
        "names": [],
        "commands": [],
        "tokens": [],
        "error": "ValueError: out of order",
    }


def test_broken_plugin_is_listed_with_its_reason(broken_plugin: Path) -> None:
    done = run_process("plugins", path=[broken_plugin])
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert f"broken qelectron-broken 0.3 did not load: {BROKEN}" in lines
    assert f"core qelectron-core {ct.__version__} executors: FakeCloud" in lines
    assert done.stderr == ""


def test_nothing_is_cut_off_in_a_narrow_terminal(
    installed: Callable[..., None],
) -> None:
    installed(FakeEntryPoint("odd", ValueError("reason" * 20)))
    result = CliRunner(env={"COLUMNS": "60"}).invoke(cli, ["plugins"])
    assert "…" not in result.stdout
    assert "reason" * 20 in "".join(result.stdout.split())


def test_mistyped_command_suggests_the_near_one() -> None:
    result = run("plugin")
    assert result.exit_code == 2
    assert "no command named 'plugin'." in result.stderr
    assert "Did you mean 'plugins'?" in result.stderr
    assert "Try 'qelectron --help'." in result.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("plugins", "--jsn"), "No such option"),
        (("plugins", "more"), "unexpected extra argument"),
        (("demo", "--shots", "1"), "1 is not in the range x>=2"),
        (("demo", "--plot", "chsh.txt"), "must end in one of .png, .svg, .pdf"),
        (("demo", "--plot", "no/where.png"), "folder 'no' does not exist"),
    ],
)
def test_mistake_has_a_message_and_no_traceback(
    args: tuple[str, ...], message: str
) -> None:
    done = run_process(*args)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_error_of_ours_is_one_message(installed: Callable[..., None]) -> None:
    installed(raising(ct.ConfigError("shots=[0] is no number of shots. " * 9)))
    result = run("fail")
    assert result.exit_code == 1
    assert result.stderr == "Error: " + "shots=[0] is no number of shots. " * 9 + "\n"


def test_error_of_a_command_keeps_its_exit_code(
    installed: Callable[..., None],
) -> None:
    installed(raising(click.ClickException("no file")))
    assert run("fail").exit_code == 1
    assert run("fail").stderr == "Error: no file\n"
    installed(raising(click.exceptions.Exit(7)))
    assert run("fail").exit_code == 7


def test_cancelled(installed: Callable[..., None]) -> None:
    installed(raising(KeyboardInterrupt()))
    result = run("fail")
    assert result.exit_code == 130
    assert result.stderr.strip() == "Cancelled."


def test_unexpected_error_keeps_its_traceback(installed: Callable[..., None]) -> None:
    installed(raising(RuntimeError("a bug")))
    assert isinstance(run("fail").exception, RuntimeError)


def test_completion_survives_a_command_that_does_not_load(
    installed: Callable[..., None],
) -> None:
    installed(with_command("wrong", "qelectron_nowhere:wrong"))
    context = click.Context(cli, resilient_parsing=True)
    assert cli.get_command(context, "wrong") is None
    known = cli.list_commands(context)
    assert known == [
        "check",
        "config",
        "demo",
        "doctor",
        "new-plugin",
        "plugins",
        "spend",
        "token",
        "wrong",
    ]


def test_a_shell_completes_commands() -> None:
    program = Path(sys.executable).with_name("qelectron")
    words = {"COMP_WORDS": "qelectron do", "COMP_CWORD": "1"}
    done = subprocess.run(
        [str(program)],
        env={**os.environ, **words, "_QELECTRON_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["plain,doctor"]


@pytest.mark.parametrize(
    ("args", "absent"),
    [
        (["plugins"], ["pennylane", "matplotlib"]),
        (["plugins", "--json"], ["pennylane", "rich.console", "numpy"]),
        (["--help"], ["pennylane", "rich.console", "numpy"]),
        (["demo", "--help"], ["pennylane", "rich.console", "numpy"]),
    ],
)
def test_quick_command_imports_little(args: list[str], absent: list[str]) -> None:
    code = (
        "import json, sys\n"
        f"try: cli.main({args!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "sys.stderr.write(json.dumps(list(sys.modules)))"
    )
    done = run_process(code=code)
    assert done.returncode == 0, done.stderr
    assert not set(json.loads(done.stderr)) & set(absent)


def test_terminal_without_our_signs_gets_a_question_mark() -> None:
    code = r"cli.callback = lambda: print('2\u221a2'); main()"
    done = run_process(code=code, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2?2\n"

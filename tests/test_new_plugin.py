"""`qelectron new-plugin`: what it writes is right before anybody changes it."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from click.testing import CliRunner, Result
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

import qelectron_core as ct
from qelectron_core.cli import cli
from qelectron_core.templates import (
    IMPORTED,
    MAX_LINE,
    MAX_NAME,
    TEMPLATES,
    NewPlugin,
    check_name,
)

ROOT = Path(__file__).resolve().parents[1]
#: One plugin of each kind; the longest name shows whether lines stay short enough.
NAMES = {
    "executor": "acme",
    "remote": "oxford-quantum-circuits2",
    "selector": "chooser",
    "observer": "watcher",
}
AUTHOR = 'Ann "É." O\\Neil 😀'

kinds = pytest.mark.parametrize("kind", NAMES)
names = st.from_regex(
    r"[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,6}){0,2}", fullmatch=True
).filter(lambda name: len(name) <= MAX_NAME)


def new_plugin(*args: str, **options: Any) -> Result:
    return CliRunner().invoke(
        cli, ["new-plugin", *args], prog_name="qelectron", **options
    )


def run(*command: str, cwd: Path, path: Path | None = None) -> str:
    """Run a command away from this repository; return what it printed."""
    variables = {**os.environ, "COLUMNS": "100"}
    variables.pop("PYTHONPATH", None)
    if path is not None:
        variables["PYTHONPATH"] = str(path)
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The folder of a new plugin of each kind."""
    parent = tmp_path_factory.mktemp("new") / "plugins"
    for kind, name in NAMES.items():
        args = ("--kind", kind, "--author", AUTHOR, "--output-dir", str(parent))
        done = new_plugin(name, *args)
        assert done.exit_code == 0, done.output
    return {kind: parent / f"qelectron-{name}" for kind, name in NAMES.items()}


@pytest.fixture(scope="module")
def installed(
    folders: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder that the wheels of all of them are installed into."""
    wheels = tmp_path_factory.mktemp("wheels")
    for folder in folders.values():
        build = ("-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels))
        run(sys.executable, *build, cwd=folder)
    target = tmp_path_factory.mktemp("installed")
    install(sorted(wheels.glob("*.whl")), target)
    return target


def install(wheels: list[Path], target: Path) -> None:
    uv = shutil.which("uv") or os.environ.get("UV")
    if uv is not None:
        quiet = (uv, "pip", "install", "--quiet", "--offline", "--no-deps")
        run(*quiet, "--target", str(target), *map(str, wheels), cwd=target)
        return
    for wheel in wheels:  # to unpack a wheel of pure Python is to install it
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)


# --- What it writes ------------------------------------------------------------------


def test_the_folder_holds_what_a_plugin_needs(folders: Mapping[str, Path]) -> None:
    folder = folders["executor"]
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == {
        ".gitignore",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "qelectron_acme/__init__.py",
        "qelectron_acme/executor.py",
        "qelectron_acme/py.typed",
        "tests/test_qelectron_acme.py",
    }


@kinds
def test_it_is_laid_out_as_the_plugins_of_this_repository(
    kind: str, folders: Mapping[str, Path]
) -> None:
    folder = folders[kind]
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    echo = tomllib.loads(
        (ROOT / "plugins/qelectron-echo/pyproject.toml").read_text(encoding="utf-8")
    )
    entry = NAMES[kind].replace("-", "_")
    package = f"qelectron_{entry}"
    assert project["build-system"] == echo["build-system"]
    assert project["project"].pop("authors") == [{"name": AUTHOR}]
    own = {
        "name": folder.name,
        "description": project["project"]["description"],
        "entry-points": {"qelectron": {entry: package}},
    }
    assert project["project"] == echo["project"] | own
    assert (folder / package / "py.typed").read_bytes() == b""
    assert (folder / "tests" / f"test_{package}.py").is_file()
    licence = (folder / "LICENSE").read_text(encoding="utf-8")
    assert licence == (ROOT / "LICENSE").read_text(encoding="utf-8")


@kinds
def test_nothing_of_the_template_is_left(
    kind: str, folders: Mapping[str, Path]
) -> None:
    for path in folders[kind].rglob("*"):
        assert not re.search(r"cookiecutter|jinja|[{][{%]", path.name)
        if path.is_file() and path.name != "README.md":
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"cookiecutter\.|jinja|[{][{%]", text), path


def test_it_says_what_to_do_next(tmp_path: Path) -> None:
    done = new_plugin("acme", "--output-dir", str(tmp_path / "my plugins"))
    *_, change_folder, install_it, check_it = done.stdout.splitlines()
    assert change_folder == f"  cd '{tmp_path}/my plugins/qelectron-acme'"
    assert install_it == "  pip install -e ."
    assert check_it == "  qelectron check Acme"


def test_the_author_may_be_left_out(tmp_path: Path) -> None:
    new_plugin("acme", "--output-dir", str(tmp_path))
    text = (tmp_path / "qelectron-acme/pyproject.toml").read_text(encoding="utf-8")
    assert "authors" not in tomllib.loads(text)["project"]
    assert "\n\ndependencies" not in text


def test_it_reads_no_settings_and_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("COOKIECUTTER_CONFIG", str(tmp_path / "nowhere"))
    assert new_plugin("acme", "--output-dir", str(tmp_path)).exit_code == 0
    assert list(home.iterdir()) == []


# --- It is right ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def ruff_settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules of this repository, without its folders."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    settings = tomllib.loads(text)["tool"]["ruff"]
    del settings["src"]
    path = tmp_path_factory.mktemp("ruff") / "ruff.toml"
    path.write_text(tomlkit.dumps(settings), encoding="utf-8")
    return path


@kinds
def test_it_passes_ruff(
    kind: str, folders: Mapping[str, Path], ruff_settings: Path
) -> None:
    ruff = ("-m", "ruff", "--config", str(ruff_settings))
    for command in (("check",), ("format", "--check")):
        run(sys.executable, *ruff, *command, "--no-cache", ".", cwd=folders[kind])


#: Checks plugins, then runs what is given as text; imports PennyLane once for all.
CHECKS_AND_EXAMPLES = """
import sys
from qelectron_core.cli import cli
text, *names = sys.argv[1:]
for name in names:
    try:
        cli.main(["check", name], prog_name="qelectron")
    except SystemExit as end:
        print(name, "ends with", end.code)
exec(text, {})
print("examples ran")
"""


def offered() -> list[str]:
    return [NewPlugin(name, TEMPLATES[kind]).offered for kind, name in NAMES.items()]


@pytest.fixture(scope="module")
def printed(
    folders: Mapping[str, Path],
    installed: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[str, Future[str]]]:
    """What tools print about all kinds; two run at once, for they take seconds."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    roots = [str(folder) for folder in folders.values()]
    settings = str(folders["executor"] / "pyproject.toml")
    # The check of installed plugins tries what is deselected here, too.
    quick = ["-k", "not test_e04_reaches_another_process", "--rootdir", str(elsewhere)]
    texts = [examples_of_readmes(folders), *offered()]
    commands = {
        "check": ["-W", "error", "-c", CHECKS_AND_EXAMPLES, *texts],
        "pytest": ["-W", "error", "-m", "pytest", "-p", "no:cacheprovider", *quick]
        + [f"{root}/tests" for root in roots],
        "mypy": [
            "-m",
            "mypy",
            "--config-file",
            settings,
            "--cache-dir",
            "mypy",
            *roots,
        ],
    }
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(
                run, sys.executable, *arguments, cwd=elsewhere, path=installed
            )
            for name, arguments in commands.items()
        }


def examples_of_readmes(folders: Mapping[str, Path]) -> str:
    """Return the examples of all kinds, and what must be true after them."""
    texts = [(f / "README.md").read_text(encoding="utf-8") for f in folders.values()]
    found = [re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S) for text in texts]
    (executor,), (remote,), (selector,), (observer,) = found
    cosines = "assert numpy.allclose(results, numpy.cos([0.1, 0.2, 0.3]), atol=1e-9)"
    lines = ["import numpy", executor, cosines, "del results", remote, cosines]
    lines += [selector, "assert circuit(0.0) == 1"]
    lines += [observer, "assert observer.counts()['completed'] >= 7"]
    return "\n".join(lines)


def test_all_kinds_pass_mypy_with_the_settings_that_they_bring(
    folders: Mapping[str, Path], printed: Mapping[str, Future[str]]
) -> None:
    assert "Success: no issues found in 13 source files" in printed["mypy"].result()
    text = (folders["executor"] / "pyproject.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["tool"]["mypy"]["strict"] is True


def test_all_kinds_pass_their_own_tests(printed: Mapping[str, Future[str]]) -> None:
    assert re.search(r"\d+ passed, \d+ skipped", printed["pytest"].result())


def test_installed_from_their_wheels_all_kinds_pass_the_check(
    printed: Mapping[str, Future[str]],
) -> None:
    for name in offered():
        shown = printed["check"].result()
        assert f"{name} ends with 0\n" in shown, shown


def test_the_examples_of_the_readmes_run(printed: Mapping[str, Future[str]]) -> None:
    assert printed["check"].result().endswith("\nexamples ran\n")


# --- Names ---------------------------------------------------------------------------


@given(names)
@example("a" * MAX_NAME)
@example("a-1-b")
def test_a_name_fits_into_all_names_made_of_it(name: str) -> None:
    assert check_name(name) == check_name(f"qelectron-{name}") == name
    for template in TEMPLATES.values():
        plugin = NewPlugin(name, template)
        assert canonicalize_name(plugin.distribution) == plugin.distribution
        assert plugin.entry.isidentifier()
        assert plugin.class_name.isidentifier()
        assert not plugin.class_name[0].islower()


@given(st.text(max_size=MAX_NAME + 5))
@example("Acme Cloud")
@example("2nd-floor")
@example("-")
def test_what_is_no_name_is_refused_and_what_is_suggested_is_one(text: str) -> None:
    try:
        check_name(text)
    except ct.ConfigError as error:
        suggested = re.search(r" Try '(.*)'\.$", str(error))
        assert suggested is None or check_name(suggested[1]) == suggested[1]


@given(names, st.sampled_from(sorted(TEMPLATES)))
@example("a" * MAX_NAME, "selector")
def test_the_registration_fits_the_line_and_means_what_it_should(
    name: str, kind: str
) -> None:
    plugin = NewPlugin(name, TEMPLATES[kind])
    text = f"def hook():\n    {plugin._context()['registration']}\n"
    assert max(map(len, text.splitlines())) <= MAX_LINE
    seen = []
    namespace: dict[str, Any] = {"register": lambda *args: seen.append(args)}
    exec(text, namespace)
    namespace["hook"]()
    attribute = "observer" if kind == "observer" else plugin.class_name
    module = TEMPLATES[kind].registers
    target = f"qelectron_{plugin.entry}.{module}:{attribute}"
    assert seen == [(plugin.offered, target)]


@given(st.text(max_size=20))
@example("\x7f\n\t\0")
def test_any_author_can_be_read_back(author: str) -> None:
    context = NewPlugin("acme", TEMPLATES["executor"], author)._context()
    if author:
        assert tomllib.loads(f"name = {context['author']}")["name"] == author


def test_a_class_cannot_hide_what_the_modules_import(
    folders: Mapping[str, Path],
) -> None:
    found = {
        alias.asname or alias.name
        for kind in ("executor", "remote")  # the others' classes end in their role
        for path in folders[kind].rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    words = {name for name in found if re.fullmatch(r"([A-Z][a-z]+)+", name)}
    own = {NewPlugin(NAMES[kind], TEMPLATES[kind]).class_name for kind in NAMES}
    assert words - own <= IMPORTED


# --- Mistakes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("echo", "qelectron-echo is part of qelectron"),
        ("core", "qelectron-core is part of qelectron"),
        ("fakecloud", "plugin 'core' of qelectron-core has it"),
        ("job", "Job is something else in Python code"),
        ("none", "None is something else in Python code"),
        ("quantum-script", "QuantumScript is something else in Python code"),
    ],
)
def test_a_name_that_is_taken_is_refused(
    name: str, message: str, tmp_path: Path
) -> None:
    done = new_plugin(name, "--output-dir", str(tmp_path))
    assert done.exit_code == 1
    expected = f"Error: the name {name!r} is taken: {message}. Choose another one.\n"
    assert done.stderr == expected
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["Acme", "a_b", "1x", "", "x" * 25, "é", "../x", "a--b"]
)
def test_what_is_no_name_is_a_mistake_of_usage(name: str, tmp_path: Path) -> None:
    done = new_plugin(name, "--output-dir", str(tmp_path))
    assert done.exit_code == 2
    assert f"{name!r} is no name for a plugin. Expected at most 24" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "qelectron-acme"
    folder.mkdir()
    (folder / "mine").touch()
    done = new_plugin("acme", "--output-dir", str(tmp_path))
    assert done.exit_code == 1
    assert f"{str(folder)!r} exists already. Remove it, or write" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = new_plugin("acme", "--output-dir", str(tmp_path / "file" / "deeper"))
    assert done.exit_code == 1
    assert "qelectron-acme' cannot be written: " in done.stderr


def test_without_cookiecutter_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cookiecutter", None)
    done = new_plugin("acme", "--output-dir", str(tmp_path))
    assert done.exit_code == 1
    assert 'Install it: pip install "qelectron-core[author]"\n' in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("args", [(), ("--no-input",)])
def test_without_a_terminal_it_asks_nothing(args: tuple[str, ...]) -> None:
    done = new_plugin(*args, input="acme\n")
    assert done.exit_code == 2
    assert "Missing argument 'NAME'" in done.stderr


# --- On a terminal -------------------------------------------------------------------


@pytest.fixture
def at_terminal(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Callable[..., str]]:
    """Run it with a terminal as standard input; return what it printed."""
    pty = pytest.importorskip("pty", reason="this system has no terminals like that")
    ours, theirs = pty.openpty()
    monkeypatch.chdir(tmp_path)

    def run_and_type(*args: str, typed: str) -> str:
        os.write(ours, typed.encode())
        with os.fdopen(theirs, encoding="utf-8", closefd=False) as terminal:
            monkeypatch.setattr(sys, "stdin", terminal)
            cli.main(["new-plugin", *args], standalone_mode=False)
        return capsys.readouterr().out

    yield run_and_type
    os.close(ours)
    os.close(theirs)


def test_on_a_terminal_it_asks_for_what_was_left_out(
    at_terminal: Callable[..., str], tmp_path: Path
) -> None:
    shown = at_terminal(typed="Acme Cloud\nacme\nselector\nAnn\n")
    assert "is no name for a plugin" in shown
    assert "Try 'acme-cloud'." in shown
    assert "(executor, remote, selector, observer) [executor]: " in shown
    text = (tmp_path / "qelectron-acme/pyproject.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["project"]["authors"] == [{"name": "Ann"}]
    assert (tmp_path / "qelectron-acme/qelectron_acme/selector.py").is_file()


def test_on_a_terminal_return_takes_what_is_proposed(
    at_terminal: Callable[..., str], tmp_path: Path
) -> None:
    at_terminal("acme", typed="\n\n")
    assert (tmp_path / "qelectron-acme/qelectron_acme/executor.py").is_file()


@pytest.mark.parametrize(
    "args",
    [("acme", "--no-input"), ("acme", "--kind", "executor", "--author", "")],
    ids=["told not to", "nothing left out"],
)
def test_on_a_terminal_it_does_not_ask_needlessly(
    args: tuple[str, ...], at_terminal: Callable[..., str]
) -> None:
    assert at_terminal(*args, typed="").startswith("Wrote qelectron-acme. Next:\n")


# --- The wheel of the core -----------------------------------------------------------


def test_the_wheel_of_the_core_holds_the_templates(tmp_path: Path) -> None:
    build = ("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    run(sys.executable, *build, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if "/templates/" in name}
    source = ROOT / "qelectron_core" / "templates"
    assert packed == {
        path.relative_to(ROOT).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

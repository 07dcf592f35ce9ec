"""The tutorial on plugins does what it says: every file and command, in order.

The page is played in an environment of its own, which finds what is installed here,
and in an empty folder outside this repository. What it prints is compared.
"""

import importlib.util
import os
import re
import subprocess
import sysconfig
import venv
from collections.abc import Iterator
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path
from typing import Literal

import attrs
import pytest
from click.testing import CliRunner

from qelectron_core.cli import cli

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tutorial" / "first-plugin.md"
#: Languages of blocks that are files.
FILES = ("python", "toml")
#: A line before a block that names the file, and one with the exit code to come.
NAMED = re.compile(r"^`(?P<path>[\w./-]+)`.*:$")
EXITS = re.compile(r"^<!--- exits with (?P<code>\d+) -->$")
#: Commands of what is installed here, as arguments of Python.
COMMANDS = {
    "pip": "-m pip",
    "pytest": "-m pytest",
    "qelectron": '-c "from qelectron_core.cli import main; main()"',
}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the page is for a Unix shell")


@attrs.frozen
class Step:
    """One thing that the reader does.

    Attributes:
        line: Where on the page.
        kind: Whether it writes a file or runs commands.
        text: The file's content, or the commands.
        path: The file.
        exits_with: The exit code of the commands.
        output: What they print, or `None` if the page does not say.
    """

    line: int
    kind: Literal["file", "console"]
    text: str
    path: str = ""
    exits_with: int = 0
    output: str | None = None


def steps(page: str) -> list[Step]:
    """Return what a page says to do.

    Raises:
        ValueError: If a block is neither a file, nor commands, nor their output.
    """
    found: list[Step] = []
    for line, language, before, text in blocks(page):
        named, exits = NAMED.match(before), EXITS.match(before)
        if language == "console":
            code = int(exits["code"]) if exits else 0
            found.append(Step(line, "console", text, exits_with=code))
        elif language == "text" and found and found[-1].output is None:
            found[-1] = attrs.evolve(found[-1], output=text)
        elif language in FILES and named:
            found.append(Step(line, "file", text, path=named["path"]))
        else:
            message = f"{PAGE.name}:{line}: nobody runs this block of {language!r}"
            raise ValueError(message)
    return found


def blocks(page: str) -> Iterator[tuple[int, str, str, str]]:
    """Yield line number, language, last line before, and text of each block."""
    lines = iter(enumerate(page.splitlines(), start=1))
    before = ""
    for number, line in lines:
        if line.lstrip().startswith("```"):
            inside = []
            for _, line_inside in lines:
                if line_inside == "```":
                    break
                inside.append(line_inside + "\n")
            yield number, line.removeprefix("```"), before, "".join(inside)
        elif line:
            before = line


@attrs.frozen
class Reader:
    """Follows the page in a folder, in an environment.

    Attributes:
        folder: Where the reader begins.
        environment: Environment variables.
    """

    folder: Path
    environment: dict[str, str]

    def follow(self, todo: list[Step]) -> None:
        """Do all steps, and check what is printed."""
        here = self.folder
        for step in todo:
            if step.kind == "file":
                path = here / step.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(step.text, encoding="utf-8")
            else:
                here = self._run(step, here)

    def _run(self, step: Step, here: Path) -> Path:
        """Run commands in one shell; return the folder in which it ends."""
        end = self.folder / ".end"
        end.write_text(str(here))
        script = f"set -e\ntrap 'pwd > \"{end}\"' EXIT\n{step.text}"
        done = subprocess.run(
            ["sh", "-c", script],
            check=False,
            cwd=here,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        where = f"{PAGE.name}:{step.line}\n{step.text}\n{done.stdout}"
        assert done.returncode == step.exits_with, where
        assert "Traceback" not in done.stdout, where
        if step.output is not None:
            compare(step.output, done.stdout, where)
        return Path(end.read_text().strip())


def compare(expected: str, seen: str, where: str) -> None:
    checker = OutputChecker()
    same = checker.check_output(expected, seen, ELLIPSIS | NORMALIZE_WHITESPACE)
    assert same, f"{where}\n--- the page says\n{expected}"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables of a reader who has installed the core."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "env"
    venv.create(folder, with_pip=importlib.util.find_spec("pip") is None)
    give_what_is_installed_here(folder)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))}
    return {
        **kept,
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "COLUMNS": "100",
        "VIRTUAL_ENV": str(folder),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # "0" means: none, https://github.com/pypa/pip/issues/5735
        "PIP_NO_INDEX": "1",
        "PYTHONUTF8": "1",
    }


def give_what_is_installed_here(folder: Path) -> None:
    """Let an environment find the distributions of this one, and their commands."""
    variables = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", vars=variables))
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    lines = [f"import site; site.addsitedir({path!r})\n" for path in sorted(ours)]
    (packages / "here.pth").write_text("".join(lines), encoding="utf-8")
    for name, arguments in COMMANDS.items():
        script = folder / "bin" / name
        if not script.exists():
            code = f'#!/bin/sh\nexec "{folder}/bin/python" {arguments} "$@"\n'
            script.write_text(code, encoding="utf-8")
            script.chmod(0o755)


@pytest.fixture(scope="module")
def followed(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder in which a reader has followed the page."""
    folder = tmp_path_factory.mktemp("reader")
    Reader(folder, environment).follow(steps(PAGE.read_text(encoding="utf-8")))
    return folder


@pytest.mark.parametrize(
    "block",
    [
        "```python\nprint(1)\n```",
        "`x.py`:\n\n```sh\nls\n```",
        "```text\n1\n```",
        "- one:\n\n  ```console\n  ls\n  ```",
    ],
)
def test_a_block_that_nobody_runs_is_refused(block: str) -> None:
    with pytest.raises(ValueError, match="nobody runs this block"):
        steps(f"# Page\n\n{block}\n")


def test_the_page_does_what_it_says(followed: Path) -> None:
    assert (followed / "qelectron-acme" / "dist").is_dir()


def test_the_page_ends_with_what_new_plugin_writes(
    followed: Path, tmp_path: Path
) -> None:
    done = CliRunner().invoke(
        cli, ["new-plugin", "acme", "--output-dir", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    for name in (
        "qelectron_acme/__init__.py",
        "qelectron_acme/executor.py",
        "qelectron_acme/py.typed",
        "tests/test_qelectron_acme.py",
    ):
        written = (tmp_path / "qelectron-acme" / name).read_text(encoding="utf-8")
        assert (followed / "qelectron-acme" / name).read_text(
            encoding="utf-8"
        ) == written

"""What must hold of the files in the repository themselves."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEST_COMMAND = "pip install uv && uv run --all-packages pytest"


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Every file that is tracked, or would be by `git add --all`."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    # A checkout may belong to another user than the one who runs the tests.
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listing = subprocess.run(
        [*git, "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = [ROOT / name for name in listing.split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_pyproject_and_constraints_pin_the_same_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert project["tool"]["uv"].get("constraint-dependencies", []) == pins
    assert pins == sorted(set(pins))
    assert [pin for pin in pins if not re.fullmatch(r"[a-z0-9-]+==[\w.]+", pin)] == []


def test_no_lock_file_is_tracked(files: list[Path]) -> None:
    locks = {"uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"}
    assert [path for path in files if path.name in locks] == []


def test_no_file_names_a_registry_or_a_developers_machine(files: list[Path]) -> None:
    # The pattern's own source must not match: `[.]` for a dot, `[/]` for a slash.
    pattern = re.compile(
        r"pypi[.]|pythonhosted[.]|[/]simple[/]|download[.]pytorch[.]|conda[.]anaconda[.]"
        r"|[/]home[/]\w|[/]Users[/]\w|[/]root[/]\w|\bC:\\Users"
        rf"|{re.escape(ROOT.as_posix())}[/]"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(
            path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1
        )
        if pattern.search(line)
    ]
    assert found == []


def test_ci_runs_the_test_command_of_the_readme() -> None:
    for name in ("README.md", ".ci/run"):
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        assert TEST_COMMAND in [line.strip() for line in lines], name


@pytest.mark.parametrize(
    "folder", sorted((ROOT / "plugins").glob("*/")), ids=lambda path: path.name
)
def test_a_plugin_is_laid_out_as_the_others(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    package = folder.name.replace("-", "_")
    short = package.removeprefix("qelectron_")
    assert project["project"]["name"] == folder.name
    assert project["project"]["entry-points"]["qelectron"] == {short: package}
    assert "tool" not in project, "a third party's plugin has no workspace to lean on"
    assert (folder / package / "py.typed").is_file()
    assert (folder / "tests" / f"test_{package}.py").is_file()
    licence = (folder / "LICENSE").read_text(encoding="utf-8")
    assert licence == (ROOT / "LICENSE").read_text(encoding="utf-8")

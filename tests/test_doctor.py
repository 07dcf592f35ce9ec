"""The command that looks at an installation, and says what to do."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

import qelectron_core as ct
from qelectron_core import checkup
from qelectron_core.cli import cli
from qelectron_core.registry import Plugin, Registry, registry
from qelectron_core.tokens import vendor


def run(*args: str) -> tuple[int, Any]:
    outcome: Any = CliRunner().invoke(cli, ["doctor", *args])
    return outcome.exit_code, outcome.output


def found(about: str) -> list[checkup.Finding]:
    return [one for one in checkup.findings() if one.about == about]


def test_this_installation_works(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("qelectron")
    done = subprocess.run(
        [str(program), "doctor", "--json"],
        env={"HOME": str(tmp_path), "QELECTRON_STORE": "memory"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = json.loads(done.stdout)
    assert [one for one in told if one["level"] == "bad"] == []
    assert done.returncode == 0
    assert {one["about"] for one in told} >= {"versions", "plugins", "store", "tokens"}
    assert any("pennylane" in one["what"] for one in told)


def test_the_list_says_in_the_end_whether_all_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = checkup.Finding("store", "good", "in its place")
    bad = checkup.Finding("store", "bad", "gone", "put it back")
    monkeypatch.setattr(checkup, "findings", lambda: [good])
    code, output = run()
    assert code == 0
    assert output.endswith("all works\n")
    monkeypatch.setattr(checkup, "findings", lambda: [good, bad])
    code, output = run()
    assert code == 1
    assert "✗" in output
    assert "→ put it back" in output
    assert output.endswith("1 to be mended\n")


def test_a_plugin_that_does_not_load_is_named_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = Plugin("acme", "qelectron-acme", "0.3", error="ImportError: no acme")
    with_it = Registry((*registry().plugins, broken))
    monkeypatch.setattr(checkup, "registry", lambda: with_it)
    (bad,) = (one for one in found("plugins") if one.level == "bad")
    assert bad.what == "acme (qelectron-acme 0.3): ImportError: no acme"
    assert "pip install" in bad.remedy
    assert "qelectron-acme" in bad.remedy


class Installed:
    """A distribution, as far as its requirements go."""

    def __init__(self, name: str, *requires: str) -> None:
        self.metadata = {"Name": name}
        self.requires = list(requires)


@pytest.mark.parametrize(
    ("installed", "unmet"),
    [
        (Installed("other-tool", "pennylane<0.30"), "pennylane<0.30"),
        (Installed("other-tool", "click<0.1"), None),  # not ours, and not shared
        (Installed("qelectron-acme", "click<0.1"), "click<0.1"),
        (Installed("qelectron-acme", "acme-sdk>=2"), "acme-sdk>=2"),
        (Installed("other-tool", "acme-sdk>=2"), None),
        (Installed("qelectron-acme", "acme-sdk; extra == 'x'", "no # line"), None),
    ],
)
def test_versions_that_do_not_fit_are_told(
    monkeypatch: pytest.MonkeyPatch, installed: Any, unmet: str | None
) -> None:
    monkeypatch.setattr("importlib.metadata.distributions", lambda: [installed])
    (told,) = found("requirements")
    if unmet is None:
        assert told.level == "good"
    else:
        name = installed.metadata["Name"]
        assert told.what.startswith(f"{name} asks for {Requirement(unmet)}, and ")
        assert told.remedy == f"pip install '{Requirement(unmet)}'"


def test_a_store_that_cannot_be_opened_is_told_and_the_rest_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("qelectron_sqlite")
    file = tmp_path / "store.sqlite3"
    file.write_bytes(b"this is no database, and never was one" * 100)
    monkeypatch.setenv("QELECTRON_STORE", str(file))
    code, output = run("--json")
    told = {one["about"]: one for one in json.loads(output)}
    assert code == 1
    assert told["store"]["level"] == "bad"
    assert str(file) in told["store"]["what"]
    assert "tokens" in told


def test_a_store_in_memory_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QELECTRON_STORE", "memory")
    (note,) = found("store")
    assert note.level == "note"
    assert note.remedy == "pip install qelectron-sqlite"


def test_a_file_of_config_that_is_wrong_is_told_with_its_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("\ncach = true\n")
    monkeypatch.setenv("QELECTRON_CONFIG", str(file))
    bad = [one for one in checkup.findings() if one.level == "bad"]
    assert any(f"{file}:2" in one.what and "'cache'" in one.what for one in bad)


@attrs.frozen
class Vendor(ct.VendorTokens):
    """Takes one token, and quotes any other in its error."""

    def check(self, token: ct.Secret) -> str:
        if token.reveal() == "right":
            return "hello"
        raise ConnectionError(f"no such token: {token.reveal()}")


@pytest.mark.parametrize(
    ("text", "level"), [("right", "good"), ("secret-and-wrong", "bad")]
)
def test_vendors_are_asked_only_if_wanted_and_tokens_are_not_shown(
    monkeypatch: pytest.MonkeyPatch, text: str, level: str
) -> None:
    acme = Vendor(variables=("ACME_TOKEN",))
    monkeypatch.setenv("ACME_TOKEN", text)
    monkeypatch.setattr(
        vendor, "find_token", lambda *_: ("ACME_TOKEN", ct.Secret(text))
    )
    plugin = registry().plugins[0]
    one = attrs.evolve(
        next(iter(registry().registrations("executor").values())),
        kind="token",
        name="acme",
        target=acme,
    )
    only = Registry((attrs.evolve(plugin, registrations=(one,)),))
    monkeypatch.setattr(checkup, "registry", lambda: only)
    (told,) = checkup.token_findings()
    assert told.level == level
    assert "secret-and-wrong" not in str(told)


def test_it_imports_neither_pennylane_nor_qiskit(tmp_path: Path) -> None:
    """Which is what keeps it quick."""
    code = (
        "import sys; from qelectron_core.checkup import findings; list(findings()); "
        "slow = {'pennylane', 'qiskit', 'qiskit_ibm_runtime'} & set(sys.modules); "
        "assert not slow, slow"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"HOME": str(tmp_path), "QELECTRON_STORE": "memory"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr

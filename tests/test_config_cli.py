"""`qelectron config`: what it shows, and what it refuses to write."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import qelectron_core as ct
from qelectron_core.cli import cli
from qelectron_core.config import files, layers
from qelectron_core.testing import FakeCloud


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Be in an empty folder, with a user's file of our own that does not exist yet."""
    for name in [name for name in os.environ if name.startswith("QELECTRON_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv(files.VARIABLE, str(tmp_path / "user" / "config.toml"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    layers.forget()
    ct.shutdown()
    yield tmp_path
    ct.shutdown()  # what was opened while nobody said where
    layers.forget()


def run(*args: str, **more: Any) -> Result:
    runner = CliRunner(env={"COLUMNS": "200", **more.pop("env", {})})
    return runner.invoke(cli, ["config", *args], prog_name="qelectron", **more)


def done(*args: str, **more: Any) -> str:
    result = run(*args, **more)
    assert result.exit_code == 0, result.output
    return result.stdout


def rows(*args: str) -> dict[str, Any]:
    return {row["name"]: row for row in json.loads(done("show", "--json", *args))}


def process(*args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    code = "from qelectron_core.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", **variables},
    )


def test_a_session_in_processes_of_its_own(place: Path) -> None:
    mine = place / "user" / "config.toml"
    assert process("config", "path").stdout == f"{mine}\n"
    for key, value in (("cache", "top-up"), ("executor.FakeCloud.latency_s", "2")):
        changed = process("config", "set", key, value)
        assert (changed.returncode, changed.stderr) == (0, "")
    assert process("config", "get", "cache").stdout == "top-up\n"
    code = "from qelectron_core.testing import FakeCloud; print(FakeCloud())"
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert made.stdout == "FakeCloud(latency_s=2)\n"
    shown = process("config", "show").stdout.splitlines()
    assert [*map(str.split, shown)][-1] == [
        "executor.FakeCloud.latency_s",
        "2",
        f"{mine}:5",
    ]


def test_each_value_tells_where_it_is_from(place: Path) -> None:
    done("set", "cache", "refresh")
    done("set", "trace", "yes")
    done("set", "--project", "executor.FakeCloud.retries", "3")
    env = {"QELECTRON_CACHE": "top-up", "QELECTRON_EXECUTOR__FAKECLOUD__SEED": "4"}
    text = done("show", "--json", env=env)
    found = {row["name"]: row for row in json.loads(text)}
    mine, shared = place / "user" / "config.toml", place / "project" / files.PROJECT
    told = ("value", "source", "is_default", "file", "line", "variable", "problem")
    assert {name: [row[key] for key in told] for name, row in found.items()} == {
        "cache": ["top-up", "environment", False, None, None, "QELECTRON_CACHE", None],
        "daily_budget": [None, "default", True, None, None, None, None],
        "disable": [[], "default", True, None, None, None, None],
        "profile": ["default", "default", True, None, None, None, None],
        "store": [None, "default", True, None, None, None, None],
        "trace": [True, "user", False, str(mine), 3, None, None],
        "executor.FakeCloud.retries": [
            *(3, "project", False, str(shared), 4, None, None)
        ],
        "executor.FakeCloud.seed": [
            *(4, "environment", False, None, None),
            *("QELECTRON_EXECUTOR__FAKECLOUD__SEED", None),
        ],
    }


def test_all_options_of_an_executor_are_shown() -> None:
    found = rows("executor.FakeCloud")
    assert found["executor.FakeCloud.latency_s"]["value"] == 0.0
    assert found["executor.FakeCloud.latency_s"]["source"] == "default"
    assert {"executor.FakeCloud.seed", "executor.FakeCloud.retries"} <= found.keys()
    assert json.loads(done("get", "cache", "--json"))["source"] == "default"


REFUSED = {
    ("cach", "true"): "no setting 'cach'. Did you mean 'cache'?",
    ("cache", "sometimes"): "cache='sometimes' is unknown. Expected true, false, 're",
    ("trace", "maybe"): "Expected true or false",
    ("executor.FakeClod.seed", "1"): "no executor named 'FakeClod'.",
    ("executor.FakeCloud.sed", "1"): "no option 'sed'. Did you mean 'seed'?",
    ("executor.FakeCloud.seed", "-1"): "Expected an integer of 0 or more",
    ("executor.FakeCloud.retries", "few"): "retries='few' is no number",
    ("executor.FakeCloud.retries", "none"): "retries='none' is no number",
    ("trace", "none"): "Expected true or false",
    ("daily_budget", "much"): "Expected limits, such as 'shots=100000",
    (
        "executor.FakeCloud",
        "1",
    ): "Settings: cache, daily_budget, disable, profile, store, trace, executor.NAME",
}


@pytest.mark.parametrize(("key", "value"), REFUSED)
def test_what_is_no_setting_is_refused_before_anything_is_written(
    place: Path, key: str, value: str
) -> None:
    result = run("set", "--", key, value)
    assert result.exit_code == 1
    assert REFUSED[key, value] in result.stderr
    assert not (place / "user").exists()


def test_what_is_overruled_is_said(place: Path) -> None:
    done("set", "--project", "cache", "true")
    result = run("set", "cache", "false")
    assert result.exit_code == 0
    assert f"{place / 'project' / files.PROJECT}:2 says otherwise" in result.stderr
    assert run("set", "--project", "cache", "false").stderr == ""


def test_unset_takes_out_what_is_there(place: Path) -> None:
    done("set", "executor.FakeCloud.seed", "4")
    done("unset", "executor.FakeCloud.seed")
    assert rows().keys() == {
        "cache",
        "daily_budget",
        "disable",
        "profile",
        "store",
        "trace",
    }
    assert "executor" not in (place / "user" / "config.toml").read_text()
    result = run("unset", "executor.FakeCloud.seed")
    assert (result.exit_code, "is not set in" in result.stderr) == (1, True)


def test_paths_are_kept_whole(place: Path) -> None:
    done("set", "store", "lab.sqlite3")
    assert done("get", "store") == f"{place / 'project' / 'lab.sqlite3'}\n"
    done("set", "--project", "store", "data/lab.sqlite3")
    assert done("get", "store") == f"{Path('data', 'lab.sqlite3')}\n"
    done("set", "--project", "store", "memory")
    assert done("get", "store") == "memory\n"


def test_a_project_is_followed_once_it_is_trusted(place: Path) -> None:
    path = place / "project" / files.PROJECT
    path.write_text("[executor.FakeCloud]\nlatency_s = 2\n")
    assert run("path", "--project").stdout == f"{path}\n"
    assert FakeCloud().latency_s == 0
    refused = run("trust", input="n\n")
    assert (refused.exit_code, "latency_s" in refused.stdout) == (130, True)
    assert FakeCloud().latency_s == 0
    done("trust", input="y\n")
    assert FakeCloud().latency_s == 2
    assert "counts" in done("trust")
    done("trust", "--remove")
    assert FakeCloud().latency_s == 0
    path.unlink()
    layers.forget()
    assert run("trust").exit_code == run("path", "--project").exit_code == 1


def test_a_project_file_that_is_wrong_is_not_trusted(place: Path) -> None:
    path = place / "project" / files.PROJECT
    path.write_text("[executor.FakeCloud]\nlatency_s = 2\nretries = -2\n")
    result = run("trust", "--yes")
    assert result.exit_code == 1
    assert f"{path}:3: retries=-2 is no number" in result.stderr
    path.write_text("[executor.FakeCloud]\nlatency = 2\n")
    assert "Did you mean 'latency_s'" in run("trust", "--yes").stderr


def _editor(place: Path, text: str) -> dict[str, str]:
    """Return an environment whose editor writes a text."""
    script = place / "editor"
    script.write_text(f"#!/bin/sh\ncat > \"$1\" <<'END'\n{text}\nEND\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return {"EDITOR": str(script), "VISUAL": str(script)}


@pytest.mark.skipif(os.name == "nt", reason="the editor is a shell script")
def test_edit_opens_the_file_and_checks_it(place: Path) -> None:
    done("edit", env=_editor(place, "cache = true"))
    assert layers.setting("cache") is True
    mine = place / "user" / "config.toml"
    assert mine.stat().st_mode & 0o777 == 0o600
    for text, line in (("\ncach = 1", 2), ("executor.FakeCloud.retries = -1", 1)):
        result = run("edit", env=_editor(place, text))
        assert result.exit_code == 1
        assert f"{mine}:{line}: " in result.stderr


def test_a_broken_file_stops_no_command_that_mends_it(place: Path) -> None:
    mine = place / "user" / "config.toml"
    mine.parent.mkdir()
    mine.write_text("cache = 'often'\n")
    shown = process("config", "show")
    assert (shown.returncode, f"Error: {mine}:1: " in shown.stderr) == (1, True)
    assert process("--help").returncode == 0
    assert process("config", "unset", "cache").returncode == 0
    assert process("config", "show").returncode == 0


def test_disabled_plugins_and_traces_follow_the_file(place: Path) -> None:
    done("set", "disable", "core-is-not-one, echo")
    assert json.loads(done("get", "disable")) == ["core-is-not-one", "echo"]
    listed = json.loads(process("plugins", "--json").stdout)
    assert "echo" not in [plugin["name"] for plugin in listed]
    done("set", "trace", "true")
    assert "qelectron_register_executors" in process("plugins").stderr


def test_none_is_set_like_any_other_value(place: Path) -> None:
    done("set", "executor.FakeCloud.seed", "4")
    done("set", "store", "lab.sqlite3")
    for key in ("executor.FakeCloud.seed", "store"):
        assert run("set", "--project", key, "None").stderr == ""
        assert done("get", key) == "none\n"
    text = (place / "project" / files.PROJECT).read_text()
    assert text.count(' = "none"\n') == 2
    shown = [line.split()[:2] for line in done("show").splitlines()]
    assert ["executor.FakeCloud.seed", "none"] in shown
    assert ["store", "none"] in shown
    assert rows()["store"]["value"] is None
    assert rows()["store"]["source"] == "project"
    assert FakeCloud().seed is None
    done("unset", "--project", "executor.FakeCloud.seed")
    assert FakeCloud().seed == 4


def test_nothing_is_lost_when_many_write_at_once(place: Path) -> None:
    keys = [f"executor.FakeCloud.{name}" for name in ("seed", "shots", "retries")]
    keys += ["executor.Echo.seed", "executor.Echo.retries", "trace"]
    code = "from qelectron_core.cli import main; main()"
    writers = [
        subprocess.Popen([sys.executable, "-c", code, "config", "set", key, "1"])
        for key in keys
    ]
    assert [writer.wait(60) for writer in writers] == [0] * len(keys)
    assert {*keys} <= {name for name, row in rows().items() if row["source"] == "user"}
    left = [path.name for path in (place / "user").iterdir()]
    assert sorted(left) == [".lock", "config.toml"]


def test_all_of_a_file_is_shown_to_who_is_to_agree(place: Path) -> None:
    text = "store = 'theirs'\n[executor.FakeCloud]\nlatency_s = 2\n"
    text += "[executor.'[red]Elsewhere']\nurl = \"a\\u001b[2Kb\\u202Ec\"\n"
    (place / "project" / files.PROJECT).write_text(text)
    env = {"QELECTRON_STORE": "mine", "QELECTRON_EXECUTOR__FAKECLOUD__LATENCY_S": "0"}
    shown = run("trust", input="n\n", env=env).stdout
    lines = [line.split()[:2] for line in shown.splitlines()]
    assert ["store", "theirs"] in lines
    assert ["executor.FakeCloud.latency_s", "2"] in lines
    assert ["executor.[red]Elsewhere.url", r"a\x1b[2Kb\u202ec"] in lines


def test_a_value_that_no_file_can_hold_is_refused(place: Path) -> None:
    result = run("set", "store", "lab\udcff")
    assert (result.exit_code, "cannot be written" in result.stderr) == (1, True)
    assert [path.name for path in (place / "user").iterdir()] == [".lock"]


@pytest.mark.skipif(os.name == "nt", reason="the editor is a shell script")
def test_a_broken_file_of_a_project_can_be_edited(place: Path) -> None:
    path = place / "project" / files.PROJECT
    path.write_text("cache =\n")
    assert run("path", "--project").stdout == f"{path}\n"
    done("edit", "--project", env=_editor(place, "cache = true"), input="y\n")
    assert layers.setting("cache") is True


def test_every_command_has_an_example() -> None:
    assert "Example: qelectron config" in done("--help")
    for name in ("show", "get", "set", "unset", "path", "edit", "trust"):
        assert f"Example: qelectron config {name}" in done(name, "--help")


def test_to_read_without_a_file_takes_less_than_a_millisecond() -> None:
    def seconds() -> float:
        layers.forget()
        begun = time.perf_counter()
        layers.setting("cache")
        return time.perf_counter() - begun

    assert min(seconds() for _ in range(20)) < 1e-3


def test_secrets_are_not_shown(place: Path) -> None:
    mine = place / "user" / "config.toml"
    mine.parent.mkdir()
    text = "[executor.NotInstalled]\nkey = 'abc123'\n"
    mine.write_text(text)
    result = run("show")
    assert "no executor named 'NotInstalled'" in result.output
    assert "abc123" not in result.output
    assert isinstance(FakeCloud(), ct.Executor)

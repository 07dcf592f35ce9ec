"""Tokens are kept where programs find them, and no byte of one is anywhere else."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from click.testing import CliRunner, Result

import qelectron_core as ct
from qelectron_core import registry as registries
from qelectron_core.cli import cli
from qelectron_core.config import files, layers
from qelectron_core.redaction import redacted
from qelectron_core.tokens import keeping, vendor

TOKEN: Final = "sesame-0123456789-open"
NO_KEYRING: Final = "keyring.backends.fail.Keyring"


@attrs.frozen
class AcmeTokens(ct.VendorTokens):
    """Takes tokens that end in "open"; quotes others, as vendors do."""

    def check(self, token: ct.Secret) -> str:
        if token.reveal().endswith("open"):
            return f"welcome, {token.reveal()}"
        raise RuntimeError(f"401: {token.reveal()} is unknown")


ACME: Final = AcmeTokens(variables=("ACME_TOKEN", "ACME_KEY"), page="acme.example")
PLUGIN: Final = """
import qelectron_core as ct

@ct.hookimpl
def qelectron_register_tokens(register):
    register("acme", ct.VendorTokens(variables=("ACME_TOKEN",), page="acme.example"))
"""
METADATA: Final = "Metadata-Version: 2.1\nName: qelectron-acme\nVersion: 1\n"


@attrs.frozen
class _EntryPoint:
    name: str
    plugin: Any
    dist: Any = None

    def load(self) -> Any:
        return self.plugin


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have a folder for config of our own, a vendor, and no keyring."""
    for name in [name for name in os.environ if name.startswith("QELECTRON_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv(files.VARIABLE, str(tmp_path / "user" / "config.toml"))
    monkeypatch.setattr(keeping, "_keyring", lambda: None)
    monkeypatch.chdir(tmp_path)
    plugin = types.ModuleType("acme")

    @ct.hookimpl
    def qelectron_register_tokens(register: ct.Register) -> None:
        register("acme", ACME)

    vars(plugin)["qelectron_register_tokens"] = qelectron_register_tokens
    found, installed = (
        registries.load([_EntryPoint("acme", plugin)]),
        registries.registry,
    )
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get("registry") is installed:
            monkeypatch.setattr(module, "registry", lambda: found)
    layers.forget()
    ct.shutdown()
    yield tmp_path
    ct.shutdown()  # what was opened while nobody said where
    layers.forget()


def run(*args: str, **more: Any) -> Result:
    return CliRunner().invoke(cli, ["token", *args], prog_name="qelectron", **more)


def done(*args: str, **more: Any) -> str:
    result = run(*args, **more)
    assert result.exit_code == 0, result.output
    assert TOKEN not in result.output
    return result.output


# --- Keeping --------------------------------------------------------------------------


def test_a_token_is_kept_found_and_forgotten(place: Path) -> None:
    assert ct.kept_token("acme") is None
    done("set", "acme", input=f"{TOKEN}\n")
    file = place / "user" / "tokens.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert ct.kept_token("acme") == ct.Secret(TOKEN)
    assert json.loads(done("list", "--json")) == [
        {"name": "acme", "profile": "default", "place": "file"}
    ]
    done("remove", "acme")
    assert ct.kept_token("acme") is None
    assert TOKEN not in file.read_text()
    assert run("remove", "acme").exit_code == 1


def test_profiles_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    done("set", "acme", input=f"{TOKEN}\n")
    done("set", "acme", "--profile", "lab", input="other-token\n")
    assert ct.kept_token("acme", "lab") == ct.Secret("other-token")
    assert ct.kept_token("acme") == ct.Secret(TOKEN)
    monkeypatch.setenv("QELECTRON_PROFILE", "lab")
    assert ct.kept_token("acme") == ct.Secret("other-token")
    done("remove", "acme", "--profile", "default")
    assert [*keeping.profiles()] == [("acme", "lab")]


def test_the_environment_comes_before_what_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done("set", "acme", input=f"{TOKEN}\n")
    assert vendor.find_token("acme", ACME) == ("file", ct.Secret(TOKEN))
    monkeypatch.setenv("ACME_KEY", "from-outside")
    assert vendor.find_token("acme", ACME) == ("ACME_KEY", ct.Secret("from-outside"))
    assert vendor.find_token("acme", ACME, "default") == ("file", ct.Secret(TOKEN))
    assert "Note: ACME_KEY is set here, and wins." in done(
        "set", "acme", input=f"{TOKEN}\n"
    )
    assert "ACME_KEY" in done("list")


def test_a_check_never_shows_the_token() -> None:
    assert "no token 'acme'" in run("check", "acme").output
    done("set", "acme", input=f"{TOKEN}\n")
    assert done("check", "acme") == "token 'acme' from file: welcome, <secret>\n"
    done("set", "acme", input="wrong-token\n")
    result = run("check", "acme")
    assert result.exit_code == 1
    assert "401: <secret> is unknown" in result.output
    assert "wrong-token" not in result.output


@pytest.mark.parametrize(
    "text", ["", "two words\n", "\n", "sesame\x1b[2K\n", "\ufeffsesame\n"]
)
def test_what_is_no_token_is_refused(place: Path, text: str) -> None:
    assert run("set", "acme", input=text).exit_code == 1
    assert not (place / "user").exists()


def test_an_unknown_vendor_is_refused() -> None:
    result = run("set", "acne", input=f"{TOKEN}\n")
    assert (result.exit_code, "Did you mean 'acme'?" in result.output) == (1, True)


def test_a_file_that_others_can_read_is_not_believed(place: Path) -> None:
    done("set", "acme", input=f"{TOKEN}\n")
    (place / "user" / "tokens.json").chmod(0o644)
    with pytest.raises(ct.ConfigError, match=r"can be read by others.*chmod 600"):
        ct.kept_token("acme")


def test_a_damaged_file_does_not_show_what_it_holds(place: Path) -> None:
    done("set", "acme", input=f"{TOKEN}\n")
    file = place / "user" / "tokens.json"
    file.write_text(file.read_text()[:-3])
    with pytest.raises(ct.ConfigError, match="cannot be read") as caught:
        ct.kept_token("acme")
    assert caught.value.__cause__ is None
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f'["{TOKEN}"]',
        f'{{"acme/default": "{TOKEN}"}}',
        f'{{"acme/default": {{"token": ["{TOKEN}"]}}}}',
        '{"acme/default": {"token": 5}}',
        '{"acme/default": null}',
    ],
)
def test_a_file_of_something_else_is_refused_and_not_shown(
    place: Path, text: str
) -> None:
    (place / "user").mkdir(mode=0o700)
    file = place / "user" / "tokens.json"
    file.write_text(text)
    file.chmod(0o600)
    for args in (["list"], ["remove", "acme"], ["set", "acme"]):
        result = run(*args, input="another-token\n")
        assert "it holds something else than tokens. Remove it" in result.output
        assert TOKEN not in result.output
    with pytest.raises(ct.ConfigError, match="something else than tokens"):
        ct.kept_token("acme")
    assert file.read_text() == text


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_folder_that_others_can_change_holds_no_tokens(place: Path) -> None:
    folder = place / "user"
    folder.mkdir()
    folder.chmod(0o777)
    result = run("set", "acme", input=f"{TOKEN}\n")
    assert f"chmod go-w {folder}" in result.output
    assert holding(place) == []
    folder.chmod(0o700)
    done("set", "acme", input=f"{TOKEN}\n")
    folder.chmod(0o770)
    with pytest.raises(ct.ConfigError, match="can be changed by others"):
        ct.kept_token("acme")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_link_into_such_a_folder_is_not_followed(place: Path) -> None:
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (place / "user").mkdir(mode=0o700)
    (place / "user" / "tokens.json").symlink_to(shared / "tokens.json")
    assert run("set", "acme", input=f"{TOKEN}\n").exit_code == 1
    assert holding(place) == []


def test_a_token_given_as_an_argument_is_not_repeated(place: Path) -> None:
    result = run("set", "acme", TOKEN)
    assert result.exit_code == 1
    assert "a token is no argument" in result.output
    assert TOKEN not in result.output
    assert holding(place) == []
    assert TOKEN not in run("set", "acme", f"--token={TOKEN}").output


def test_who_stops_while_a_token_is_written_leaves_none(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        keeping.put("acme", "default", TOKEN)
    assert holding(place) == []
    assert [path.name for path in (place / "user").iterdir()] == [".lock"]


def test_a_token_of_the_environment_may_be_of_any_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ACME_TOKEN", f"{TOKEN}\udcff")
    assert "ACME_TOKEN" in done("list")
    assert vendor.find_token("acme", ACME) == (
        "ACME_TOKEN",
        ct.Secret(f"{TOKEN}\udcff"),
    )


def test_a_token_in_a_keyring_that_is_gone_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "_put_into_keyring", lambda *_: True)
    done("set", "acme", input=f"{TOKEN}\n")
    result = run("remove", "acme")
    assert (result.exit_code, "is in the keyring" in result.output) == (1, True)
    assert keeping.profiles() == [("acme", "default")]


def test_a_token_that_was_found_is_hidden_when_nobody_holds_it() -> None:
    done("set", "acme", input="sesame-for-sdk\n")
    found = ct.kept_token("acme")
    assert found is not None
    text = f"401: {found.reveal()} is unknown"
    del found
    gc.collect()
    assert redacted(text) == "401: <secret> is unknown"


def test_without_a_terminal_a_token_comes_by_a_pipe() -> None:
    done("set", "acme", input=f"  {TOKEN}  \nmore\n")
    assert ct.kept_token("acme") == ct.Secret(TOKEN)


# --- Processes, terminals and keyrings ------------------------------------------------


@pytest.fixture
def outside(place: Path) -> dict[str, str]:
    """Return the environment of processes with a vendor and a home of their own."""
    site, home = place / "site", place / "home"
    info = site / "qelectron_acme-1.dist-info"
    info.mkdir(parents=True)
    home.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text("[qelectron]\nacme = qelectron_acme\n")
    (site / "qelectron_acme.py").write_text(PLUGIN)
    own = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "PYTHONPATH": os.pathsep.join([str(site), str(Path(__file__).parent)]),
        "PYTHON_KEYRING_BACKEND": NO_KEYRING,
        "TEST_KEYRING": str(place / "keyring.json"),
        "TERM": "xterm",
    }
    kept = {n: v for n, v in os.environ.items() if not n.startswith("QELECTRON_")}
    return {**kept, **own}


def process(
    outside: dict[str, str], *args: str, text: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from qelectron_core.cli import main; main()", *args],
        check=False,
        capture_output=True,
        text=True,
        input=text,
        env=outside,
    )


def holding(folder: Path) -> list[Path]:
    """Return the files below a folder that hold the token."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in found if TOKEN.encode() in path.read_bytes()]


def test_no_token_is_lost_when_many_are_set_at_once(
    place: Path, outside: dict[str, str]
) -> None:
    code = (
        "import sys\n"
        "from qelectron_core.tokens.keeping import put\n"
        "print(flush=True)\n"
        "name = sys.stdin.readline().strip()\n"
        f"for number in range(20): put('acme', f'{{name}}{{number}}', {TOKEN!r})\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=outside,
        )
        for _ in "abc"
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline()  # all begin together
    for name, writer in zip("abc", writers, strict=True):
        assert writer.stdin is not None
        writer.stdin.write(f"{name}\n".encode())
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
    (file,) = holding(place)
    assert len(json.loads(file.read_text())) == 60


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_at_a_terminal_no_byte_of_a_token_goes_anywhere_else(
    place: Path, outside: dict[str, str]
) -> None:
    code = "from qelectron_core.cli import main; main()"
    args = [sys.executable, "-c", code, "token", "set", "acme"]
    child, terminal = at_terminal(args, outside)
    seen = b""
    while b"Token of acme (from acme.example): " not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, f"{TOKEN}\n".encode())
    while part := _read(terminal):
        seen += part
    assert child.wait(60) == 0, seen
    shown = [seen.decode()]
    for args in (["token", "list"], ["config", "show"], ["plugins"]):
        answer = process(outside, *args)
        assert answer.returncode == 0, answer.stderr
        shown += [answer.stdout, answer.stderr]
    assert TOKEN not in "".join(shown)
    (file,) = holding(place)
    assert file.name == "tokens.json"
    assert file.stat().st_mode & 0o777 == 0o600


def at_terminal(
    args: list[str], env: dict[str, str]
) -> tuple[subprocess.Popen[bytes], int]:
    """Start a program at a terminal; return it, and the end to read and write."""
    import pty

    terminal, its_end = pty.openpty()
    program = subprocess.Popen(
        args,
        env=env,
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
        start_new_session=True,
    )
    os.close(its_end)
    return program, terminal


def _read(terminal: int) -> bytes:
    """Read from a terminal; its end is an error on Linux."""
    try:
        return os.read(terminal, 1024)
    except OSError:
        return b""


def test_a_keyring_holds_tokens_where_there_is_one(
    place: Path, outside: dict[str, str]
) -> None:
    pytest.importorskip("keyring")
    outside["PYTHON_KEYRING_BACKEND"] = "keyring_of_tests.FileKeyring"
    code = "import qelectron_core as ct; print(ct.kept_token('acme').reveal()[::-1])"
    read = [sys.executable, "-c", code]
    kept = process(outside, "token", "set", "acme", text=f"{TOKEN}\n")
    assert "is kept in the keyring" in kept.stdout, kept.stderr
    assert holding(place) == []
    found = subprocess.run(
        read, env=outside, capture_output=True, text=True, check=True
    )
    assert found.stdout == f"{TOKEN[::-1]}\n"
    lock = place / "keyring.locked"
    lock.touch()
    locked = subprocess.run(
        read, env=outside, capture_output=True, text=True, check=False
    )
    assert "is in the keyring, which does not give it. Unlock it" in locked.stderr
    assert process(outside, "token", "remove", "acme").returncode == 1
    lock.unlink()
    assert process(outside, "token", "remove", "acme").returncode == 0
    assert json.loads((place / "keyring.json").read_text()) == {}


def test_a_keyring_that_is_locked_leaves_the_file(
    place: Path, outside: dict[str, str]
) -> None:
    pytest.importorskip("keyring")
    outside["PYTHON_KEYRING_BACKEND"] = "keyring_of_tests.FileKeyring"
    (place / "keyring.locked").touch()
    kept = process(outside, "token", "set", "acme", text=f"{TOKEN}\n")
    assert "tokens.json" in kept.stdout, kept.stderr
    assert [path.name for path in holding(place)] == ["tokens.json"]


def test_a_keyring_that_keeps_nothing_leaves_the_file(
    place: Path, outside: dict[str, str]
) -> None:
    pytest.importorskip("keyring")
    outside["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    kept = process(outside, "token", "set", "acme", text=f"{TOKEN}\n")
    assert "tokens.json" in kept.stdout, kept.stderr
    assert [path.name for path in holding(place)] == ["tokens.json"]

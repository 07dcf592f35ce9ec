"""The page of settings and tokens: seen, changed and refused as by the commands."""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import qelectron_core as ct
from qelectron_core.config import layers, trust
from qelectron_core.config.files import project_file
from qelectron_core.registry import registry
from qelectron_core.secret import Secret
from qelectron_core.tokens import keeping
from qelectron_sqlite.store import SqliteStore

sys.path.insert(0, str(Path(__file__).parent))

import dashboard_acme as acme
from dashboard_browser import Seen, looking_at, needs_browser

from qelectron_dashboard.reading import settings, tokens

#: What no page may ever show.
TOKEN = "good-s3cret-0123456789-open-sesame"
HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m"


# --- What is read ---------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the user's file is, and the project that one is in."""
    monkeypatch.setenv("QELECTRON_CONFIG", str(tmp_path / "own" / "config.toml"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    for name in ("QELECTRON_STORE", "ACME_TOKEN", "QISKIT_IBM_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    layers.forget()
    yield tmp_path
    layers.forget()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    layers.forget()


def option(key: str) -> settings.Option:
    found = settings.overview()
    return next(o for g in found.groups for o in g.options if o.key == key)


@pytest.mark.usefixtures("folder")
def test_every_setting_tells_its_default_and_what_it_does() -> None:
    pytest.importorskip("qelectron_simulator", reason="needs qelectron-simulator")
    found = settings.overview()
    names = [group.name for group in found.groups]
    assert names == [settings.CORE, *registry().registrations("executor")]
    workers = option("executor.Simulator.workers")
    assert (workers.value, workers.source, workers.default) == ("10", "default", "10")
    assert workers.meaning.startswith("Most threads or processes. Processes, and")
    assert "cores that this process may use." in workers.meaning
    assert option("cache").meaning.endswith("true, false, 'refresh' or 'top-up'")


def test_each_value_says_where_it_is_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = folder / "own" / "config.toml"
    write(own, "cache = true\n\n[executor.Echo]\nvalue = 2.0\nlatency_s = 'x'\n")
    monkeypatch.setenv("QELECTRON_PROFILE", "lab")
    cache, profile = option("cache"), option("profile")
    assert (cache.value, cache.source, cache.place) == ("true", "user", f"{own}:1")
    assert (profile.value, profile.place) == ("lab", "QELECTRON_PROFILE")
    assert (cache.is_fixed, profile.is_fixed) == (False, True)
    assert option("executor.Echo.value").place == f"{own}:4"
    assert option("executor.Echo.latency_s").problem


def test_one_bad_variable_hides_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "own" / "config.toml", "trace = true\n")
    monkeypatch.setenv("QELECTRON_CACHE", "banana")
    assert "QELECTRON_CACHE='banana' is unknown" in option("cache").problem
    assert option("trace").value == "true"


def test_secrets_are_named_and_not_told(folder: Path) -> None:
    pytest.importorskip("qelectron_qiskit", reason="needs qelectron-qiskit")
    own = folder / "own" / "config.toml"
    write(own, f"[executor.QiskitExecutor]\nibmqx_token = '{TOKEN}'\n")
    found = settings.overview()
    group = next(g for g in found.groups if g.name == "QiskitExecutor")
    assert group.secrets == ("ibmqx_token",)
    assert TOKEN not in str(found)
    assert "is a secret" in option("executor.QiskitExecutor.ibmqx_token").problem


def test_a_file_that_is_not_agreed_to_is_told_without_secrets(folder: Path) -> None:
    text = f"cache = true\n[executor.QiskitExecutor]\nibmqx_token = '{TOKEN}'\n"
    write(folder / "project" / "qelectron.toml", text)
    project = settings.overview().project
    assert project.state == "untrusted"
    assert project.says[0] == "cache = true"
    assert TOKEN not in str(project)
    assert option("cache").source == "default"
    file = project_file()
    assert file is not None
    trust.trust(file)
    layers.forget()
    assert settings.overview().project.state == "counts"


@pytest.mark.parametrize("kind", ["user", "project"])
def test_a_setting_is_set_and_taken_out(folder: Path, kind: settings.Kind) -> None:
    pytest.importorskip("qelectron_simulator", reason="needs qelectron-simulator")
    key = "executor.Simulator.workers"
    where = {"user": "own/config.toml", "project": "project/qelectron.toml"}[kind]
    assert settings.put(kind, key, "3") == f"{key} is set in {folder / where}."
    assert option(key).value == "3"
    assert option(key).set_in == frozenset([kind])
    assert settings.take_out(kind, key).endswith(f"no longer set in {folder / where}.")
    assert option(key).source == "default"
    with pytest.raises(ct.ConfigError, match="is not set in"):
        settings.take_out(kind, key)


def test_it_is_said_when_another_place_wins(folder: Path) -> None:
    settings.put("project", "cache", "true")
    said = settings.put("user", "cache", "refresh")
    assert f"{folder / 'project' / 'qelectron.toml'}:" in said
    assert said.endswith("says otherwise, and wins.")


@pytest.mark.usefixtures("folder")
def test_every_value_that_is_shown_can_be_set_again() -> None:
    pytest.importorskip("qelectron_qiskit", reason="needs qelectron-qiskit")
    for key, text in {
        "disable": "otel, echo",
        "cache": "top-up",
        "executor.QiskitExecutor.options": '{"default_shots" = 10}',
        "executor.QiskitExecutor.backend": "ibm_fez",
    }.items():
        settings.put("user", key, text)
        shown = option(key).value
        settings.put("user", key, shown)
        assert option(key).value == shown
        assert not option(key).problem


@pytest.mark.usefixtures("folder")
def test_a_token_is_kept_where_only_its_user_reads_it() -> None:
    pytest.importorskip("qelectron_qiskit", reason="needs qelectron-qiskit")
    said = tokens.keep("ibm", "", Secret(TOKEN))
    assert TOKEN not in said
    assert stat.S_IMODE(keeping.path().stat().st_mode) == 0o600
    (found,) = tokens.tokens()
    assert (found.name, found.profile, found.place) == ("ibm", "default", "file")
    assert "is forgotten" in tokens.forget(found)
    assert not tokens.tokens()
    with pytest.raises(ct.ConfigError, match="is not kept any more"):
        tokens.forget(found)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("bad", ["", "two words", "bell\x07"])
def test_what_is_no_token_is_refused(bad: str) -> None:
    with pytest.raises(ct.ConfigError, match="this is no token"):
        tokens.keep("ibm", "", Secret(bad))


# --- What is seen ---------------------------------------------------------------------


@attrs.frozen
class Scene:
    """A dashboard of a project, and all that it told the browser.

    Attributes:
        seen: The dashboard.
        folder: Where its files are.
        heard: What the browser got.
    """

    seen: Seen
    folder: Path
    heard: list[str] = attrs.field(factory=list)

    def open(self) -> Any:
        page = self.seen.open("/settings")
        page.get_by_text("Simulator", exact=True).wait_for()
        return page

    def change(self, key: str) -> Any:
        """Open the dialog of a setting, found by searching for it."""
        page = self.seen.page
        page.get_by_label("Search settings").fill(key)
        page.get_by_role("button", name=f"Change {key}", exact=True).click()
        return page.get_by_role("dialog")

    def config(self) -> str:
        return (self.folder / "own" / "config.toml").read_text()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    needs_browser()
    folder = tmp_path_factory.mktemp("settings")
    store = folder / "store.sqlite3"
    SqliteStore(store).close()
    (folder / "project").mkdir()
    (folder / "home").mkdir()
    (folder / "project" / "qelectron.toml").write_text("[executor.Echo]\nvalue = 7\n")
    (folder / "own").mkdir()
    (folder / "own" / "config.toml").write_text(
        f'# mine\nprofile = "lab"\n[executor."{HOSTILE[:-5]}"]\nx = 1\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", acme.install(folder / "plugin"))
        patch.setenv("QELECTRON_CONFIG", str(folder / "own" / "config.toml"))
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        patch.setenv("HOME", str(folder / "home"))
        patch.setenv("QELECTRON_CACHE", "refresh")
        patch.chdir(folder / "project")
        with looking_at(store, folder / "browser") as seen:
            scene = Scene(seen, folder)
            seen.page.on("websocket", lambda socket: _listen(socket, scene.heard))
            seen.page.on("response", lambda answer: _hear(answer, scene.heard))
            yield scene


def _listen(socket: Any, heard: list[str]) -> None:
    socket.on("framereceived", lambda frame: heard.append(str(frame)))


def _hear(answer: Any, heard: list[str]) -> None:
    heard.append(str(answer.all_headers()))


def test_settings_are_searched_set_and_unset(scene: Scene) -> None:
    page = scene.open()
    dialog = scene.change("executor.Simulator.workers")
    field = dialog.get_by_label("Value")
    field.fill("many")
    dialog.get_by_role("button", name="Set", exact=True).click()
    refused = dialog.get_by_role("alert")
    refused.get_by_text("executor.Simulator.workers='many' is refused").wait_for()
    field.fill("3")
    field.press("Enter")
    dialog.wait_for(state="hidden")
    row = page.locator(".setting:visible", has_text="workers")
    row.get_by_text("config.toml:").first.wait_for()
    assert scene.config().startswith("# mine\n")
    assert "workers = 3" in scene.config()
    dialog = scene.change("executor.Simulator.workers")
    assert dialog.get_by_label("Value").input_value() == "3"
    dialog.get_by_role("button", name="Unset in your file").click()
    dialog.wait_for(state="hidden")
    assert "workers" not in scene.config()


def test_what_the_environment_says_cannot_be_changed(scene: Scene) -> None:
    page = scene.open()
    row = page.locator(".setting", has_text="cache mode")
    row.get_by_text("QELECTRON_CACHE of the environment; cannot be").wait_for()
    assert not row.get_by_role("button").is_visible()


def test_secrets_point_to_tokens(scene: Scene) -> None:
    page = scene.open()
    page.get_by_text("Acme", exact=True).click()
    said = "token: a secret, which no config holds or shows."
    page.get_by_text(said, exact=True).wait_for()
    assert page.get_by_role("button", name="executor.Acme.token").count() == 0


def test_a_project_is_agreed_to_by_typing_only(scene: Scene) -> None:
    page = scene.open()
    page.get_by_text("executor.Echo.value = 7").wait_for()
    page.get_by_text("qelectron config trust").wait_for()
    page.get_by_text(str(scene.folder / "project"), exact=True).wait_for()
    dialog = scene.change("executor.Echo.latency_s")
    dialog.get_by_label("Value").fill("0.5")
    dialog.get_by_role("radio", name="the project's file").click()
    dialog.get_by_role("button", name="Set", exact=True).click()
    dialog.get_by_text("holds config that you have not agreed to").wait_for()


def test_what_a_command_sets_is_seen(scene: Scene) -> None:
    page = scene.open()
    own = scene.folder / "own" / "config.toml"
    own.write_text(own.read_text().replace('"lab"', '"elsewhere"'))
    page.get_by_text("elsewhere", exact=True).wait_for(timeout=3000)


def test_text_of_others_is_nothing_but_text(scene: Scene) -> None:
    page = scene.open()
    page.get_by_text("Not installed here").click()
    page.locator(".setting", has_text="<img").wait_for()
    assert page.locator("img").count() == 0


def test_a_token_is_never_seen_again(scene: Scene) -> None:
    page = scene.open()
    page.get_by_label("Token of acme").fill(f"{TOKEN} and more")
    scene.heard.clear()
    page.get_by_role("button", name="Keep it").first.click()
    page.get_by_text("this is no token").wait_for()
    page.get_by_label("Token of acme").fill(TOKEN)
    page.get_by_role("button", name="Keep it").first.click()
    page.get_by_text("kept in a file").wait_for()
    assert page.get_by_label("Token of acme").input_value() == ""
    kept = scene.folder / "own" / "tokens.json"
    assert TOKEN in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    page.get_by_role("button", name="Check the token acme").click()
    page.get_by_text("Acme takes <secret>.").wait_for()
    contents = [page.content()]
    contents.append(page.reload().text())
    page.get_by_text("kept in a file").wait_for()
    contents.append(page.content())
    page.get_by_role("button", name="Remove the token acme").click()
    page.get_by_role("button", name="Forget it").click()
    page.get_by_text("kept in a file").wait_for(state="detached")
    assert TOKEN not in kept.read_text()
    assert len(scene.heard) > 3
    assert not [text for text in (*contents, *scene.heard) if TOKEN in text]


def test_a_token_that_the_vendor_refuses_is_not_quoted(scene: Scene) -> None:
    page = scene.open()
    bad = TOKEN.replace("good", "evil")
    page.get_by_label("Token of acme").fill(bad)
    page.get_by_label("Profile, if there are several").first.fill("other")
    scene.heard.clear()
    page.get_by_role("button", name="Keep it").first.click()
    page.get_by_role("button", name="Check the token acme (other)").click()
    page.get_by_text(re.compile("ValueError: 401: <secret> is unknown")).wait_for()
    assert not [text for text in (page.content(), *scene.heard) if bad in text]

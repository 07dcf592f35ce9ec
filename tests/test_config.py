"""Config: files, environment, arguments, the later winning; what executors take."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import time
import tomllib
import types
from abc import ABC
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import qelectron_core as ct
from qelectron_core import registry as registries
from qelectron_core.config import (
    editing,
    files,
    layers,
    report,
    trust,
    unconfigured,
    writing,
)
from qelectron_core.config.schema import SETTINGS
from qelectron_core.formats import dump_executor, load_executor
from qelectron_core.runtime.stores import wanted


def _check_colour(_: Any, __: Any, value: Any) -> None:
    if value not in ("red", "green"):
        raise ct.ConfigError(f"colour={value!r} is unknown. Expected 'red', 'green'.")


def _to_tuple(value: Any) -> tuple[int, ...]:
    return tuple(value)


@attrs.frozen
class Painter(ct.Executor):
    """An executor with options of each kind; computes nothing."""

    colour: str = attrs.field(default="red", validator=_check_colour)
    width: float = 1.0
    shades: tuple[int, ...] = attrs.field(default=(), converter=_to_tuple, kw_only=True)
    token: str | None = attrs.field(default=None, repr=False, kw_only=True)


@attrs.frozen
class Framed(ct.Executor):
    """An executor that holds another, by default one that config is about, too."""

    inner: ct.Executor = attrs.field(factory=Painter)
    title: str = "untitled"

    def __attrs_post_init__(self) -> None:
        if self.shots == 13:
            raise ct.ConfigError("13 shots are never framed.")


@attrs.frozen
class Copied(Painter):
    """Derived from one that is registered; not registered itself."""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Be in the folder of a project, with a user's file and plugin of our own."""
    for name in [name for name in os.environ if name.startswith("QELECTRON_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv(files.VARIABLE, str(tmp_path / "user" / "config.toml"))
    (tmp_path / "project" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "below")
    plugin = types.ModuleType("painting")

    @ct.hookimpl
    def qelectron_register_executors(register: ct.Register) -> None:
        register("Painter", Painter)
        register("Framed", Framed)

    vars(plugin)["qelectron_register_executors"] = qelectron_register_executors
    found = registries.load([_EntryPoint("painting", plugin)])
    installed = registries.registry
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get("registry") is installed:
            monkeypatch.setattr(module, "registry", lambda: found)
    layers.forget()
    ct.shutdown()
    yield tmp_path
    ct.shutdown()  # what was opened while nobody said where
    layers.forget()


DISTRIBUTION: Final = types.SimpleNamespace(name="painting", version="1")


@attrs.frozen
class _EntryPoint:
    name: str
    plugin: Any
    dist: Any = DISTRIBUTION

    def load(self) -> Any:
        return self.plugin


def user(text: str) -> Path:
    """Write the user's file."""
    path = files.user_path()
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    layers.forget()
    return path


def project(text: str, name: str = files.PROJECT, *, agreed: bool = True) -> Path:
    """Write the file of the project, above the working folder."""
    path = Path.cwd().parent / name
    path.write_text(text, encoding="utf-8")
    layers.forget()
    if agreed:
        found = files.project_file()
        assert found is not None
        trust.trust(found)
    return path


# --- Which value counts ---------------------------------------------------------------


def test_without_any_file_all_is_at_its_default() -> None:
    config = layers.current()
    assert {n: config.setting(n).value for n in SETTINGS} == {
        "cache": False,
        "daily_budget": None,
        "disable": [],
        "profile": "default",
        "store": None,
        "trace": False,
    }
    assert Painter() == Painter("red", 1.0)


VALUES: Final = st.sampled_from([None, True, False, "refresh", "top-up"])


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(VALUES, VALUES, VALUES, st.booleans())
def test_the_later_place_wins(own: Any, shared: Any, variable: Any, shot: bool) -> None:
    user("" if own is None else f"cache = {json.dumps(own)}\n")
    text = "" if shared is None else f"cache = {json.dumps(shared)}\n"
    project("[tool.qelectron]\n" + text, files.PYPROJECT)
    with pytest.MonkeyPatch.context() as patch:
        if variable is not None:
            patch.setenv("QELECTRON_CACHE", str(variable))
        given = [one for one in (own, shared, variable) if one is not None]
        found = layers.current().setting("cache")
        assert found.value == (given[-1] if given else False)
        assert ct.Policy().mode == found.value
        assert ct.Policy(cache="refresh").mode == "refresh"
        with ct.caching(shot):
            assert ct.Policy().mode is shot


def test_the_later_place_wins_for_each_option_of_an_executor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user("[executor.Painter]\ncolour = 'green'\nwidth = 2\nshots = 5\nseed = 1\n")
    project("[executor.Painter]\nwidth = 3\nshots = 6\nseed = 2\n")
    monkeypatch.setenv("QELECTRON_EXECUTOR__PAINTER__SHOTS", "7")
    monkeypatch.setenv("QELECTRON_EXECUTOR__PAINTER__SEED", "3")
    assert Painter(seed=4) == Painter("green", 3, shots=7, seed=4)
    assert Painter("red").colour == "red"  # also if it is the default


def test_the_nearest_file_of_a_project_counts() -> None:
    project("cache = true\n")
    assert layers.setting("cache") is True
    (Path.cwd() / files.PYPROJECT).write_text("[project]\nname = 'qelectron'\n")
    layers.forget()
    assert layers.setting("cache") is True  # the nearer one says nothing of ours
    nearer = Path.cwd() / files.PYPROJECT
    nearer.write_text("[tool.qelectron]\ncache = 'refresh'\n")
    layers.forget()
    assert layers.setting("cache") is True  # nor does one not agreed to
    trust.trust(_required(files.project_file()))
    layers.forget()
    assert layers.setting("cache") == "refresh"


def _required(file: files.File | None) -> files.File:
    assert file is not None
    return file


def test_paths_of_a_file_are_read_from_its_folder(place: Path) -> None:
    project("store = 'runs/lab.sqlite3'\n")
    assert wanted(None) == str(place / "project" / "runs" / "lab.sqlite3")
    project("store = 'memory'\n")
    assert wanted(None) == "memory"
    assert wanted("here.sqlite3") == str(Path.cwd() / "here.sqlite3")


def test_a_file_is_read_anew_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "FRESH_S", 0.0)
    path = user("[executor.Painter]\nwidth = 2\n")
    assert Painter().width == 2
    path.write_text("[executor.Painter]\nwidth = 33\n")
    assert Painter().width == 33
    path.unlink()
    assert Painter().width == 1.0


def test_values_of_the_environment_are_toml_or_else_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QELECTRON_EXECUTOR__PAINTER__COLOUR", "green")
    monkeypatch.setenv("QELECTRON_EXECUTOR__PAINTER__SHADES", "[1, 2]")
    assert Painter() == Painter("green", shades=(1, 2))
    monkeypatch.setenv("QELECTRON_EXECUTOR__FRAMED__TITLE", "7")
    assert Framed().title == "7"  # it takes no number
    monkeypatch.setenv("QELECTRON_EXECUTOR__FRAMED__TITLE", "1" * 5000)
    assert Framed().title == "1" * 5000
    monkeypatch.setenv("QELECTRON_EXECUTOR__FRAMED__TITLE", "")
    assert Framed().title == "untitled"  # as if it were not there
    monkeypatch.setenv("QELECTRON_EXECUTOR__PAINTER__SHADE", "[1]")
    with pytest.raises(ct.ConfigError, match=r"PAINTER__SHADE: .* mean 'shades'\?"):
        Painter()


# --- Executors that are what they were ------------------------------------------------


def test_copies_are_what_they_were() -> None:
    plain = [Painter(), Painter("green"), Framed(), Framed(Painter("green"), shots=3)]
    texts = [dump_executor(executor) for executor in plain]
    pickles = [pickle.dumps(executor) for executor in plain]
    text = "[executor.Painter]\ncolour = 'green'\nwidth = 9\n"
    user(f"{text}[executor.Framed]\nshots = 5\n")
    assert Framed() == Framed(Painter("green", 9.0), shots=5)
    assert [attrs.evolve(executor) for executor in plain] == plain
    assert [copy.deepcopy(executor) for executor in plain] == plain
    assert [pickle.loads(one) for one in pickles] == plain
    assert [load_executor(one) for one in texts] == plain


def test_what_config_said_is_written_down_and_shown() -> None:
    user("[executor.Painter]\nwidth = 9\n")
    made = [Painter(), Framed()]
    assert repr(made) == "[Painter(width=9), Framed(inner=Painter(width=9))]"
    texts = [dump_executor(executor) for executor in made]
    user("[executor.Painter]\nwidth = 8\n")
    assert [load_executor(one) for one in texts] == made
    assert load_executor(texts[0]) != Painter()


def test_config_is_about_the_registered_class_alone() -> None:
    user("[executor.Painter]\nwidth = 9\n")
    assert Copied().width == 1.0
    with unconfigured():
        assert Painter().width == 1.0
    assert Painter().width == 9


def test_an_executor_given_by_name_or_class_follows_config() -> None:
    user("[executor.Painter]\nwidth = 9\n")
    cluster = ct.QCluster(["painter", Painter])
    assert [one.width for one in cluster.executors] == [9, 9]  # type: ignore[union-attr]


def test_an_executor_may_be_an_abstract_class_too() -> None:
    @attrs.frozen
    class Mixed(Painter, ABC):
        pass

    assert Mixed().width == 1.0


def test_misspelt_options_are_refused_as_ever() -> None:
    user("[executor.Painter]\nwidth = 9\n")
    with pytest.raises(TypeError, match=r"^Painter has no option 'widht'.*width\.$"):
        Painter(widht=3)  # type: ignore[call-arg]


# --- Files that are wrong -------------------------------------------------------------

WRONG: Final = {
    "key": ("\n\ncach = true\n", r":3: there is no setting 'cach'. .* 'cache'\?"),
    "mode": ("cache = 1\n", r":1: cache = 1 .* true, false, 'refresh' or 'top-up'"),
    "store": ("trace = true\nstore = 3\n", r":2: store = 3 .* a path"),
    "names": ("disable = 'echo'\n", r":1: disable = 'echo' .* a list of names"),
    "table": ("executor = 3\n", r":1: executor is no table. Expected \[executor"),
    "section": ("executor.Painter = 3\n", r":1: executor.Painter is no table"),
    "budget": ("daily_budget = 'much'\n", r":1: daily_budget = 'much' .* limits, su"),
    "separators": ("# \u2028 \x85\ncach = 1\n", r":2: there"),
    "toml": ("cache = true\nstore =\n", r":2: this is no TOML"),
    "slip": ("[executor.Paintr]\nwidth = 2\n", r":1: .* 'Paintr'. .* 'Painter'\?"),
    "option": (
        "[executor.Painter]\n# Comment\nshades = [\n 1,\n]\nwidht = 2\n",
        r":6: Painter has no option 'widht'. Did you mean 'width'\?.* colour, ",
    ),
    "value": (
        "[executor.Painter]\nwidth = 2\ncolour = 'blue'\n",
        r":3: Painter refuses colour: colour='blue' .* 'red', 'green'",
    ),
    "type": ("[executor.Painter]\nwidth = 'b'\n", r":2: .* 'b' is no float"),
    "common": ("[executor.Painter]\nretries = -1\n", r":2: .* Expected 0 or more"),
    "secret": ("[executor.Painter]\ntoken = 'xyz'\n", r":2: 'token' .* is a secret"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_with_its_line(case: str) -> None:
    text, message = WRONG[case]
    path = user(text)
    with pytest.raises(ct.ConfigError, match=message) as caught:
        Painter()
    assert str(caught.value).startswith(f"{path}:")
    assert "xyz" not in str(caught.value)


def test_options_that_are_refused_together_are_named_together() -> None:
    path = user("[executor.Framed]\nshots = 13\n")
    with pytest.raises(ct.ConfigError, match=r"never framed.*shots=13") as caught:
        Framed()
    assert f"{path}:2" in str(caught.value)


def test_sections_of_plugins_that_are_installed_elsewhere_are_left_alone() -> None:
    user("[executor.QiskitExecutor]\nbackend = 3\n[executor.AcmeCloud]\nx = 1\n")
    assert Painter() == Painter("red", 1.0)


KEYS: Final = st.lists(
    st.from_regex(r"[a-z]{1,3}", fullmatch=True), unique=True, max_size=6
)


@settings(max_examples=80, deadline=None)
@given(KEYS, st.data())
def test_lines_are_those_on_which_keys_stand(keys: list[str], data: Any) -> None:
    expected, text = {}, ""
    for key in keys:
        noise = ["", "\n", "# x = 1\n", "\n# '''\n"]
        text += data.draw(st.sampled_from(noise))
        expected[(key,)] = text.count("\n") + 1
        values = ["1", "'a = 2'", "[\n 1,\n 2 ]", "'''\nb = 3\n'''", "{ c = 4 }"]
        text += f"{key} = {data.draw(st.sampled_from(values))}\n"
    file = files.File("user", Path("x"), text, {})
    assert {key: file.line(*key) for key in expected} == expected


# --- Files of others ------------------------------------------------------------------


def test_a_file_of_a_project_counts_only_once_it_was_agreed_to(
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = project("[executor.Painter]\nwidth = 5\n", agreed=False)
    assert Painter().width == 1.0
    assert f"{path} holds config that you have not agreed to" in caplog.text
    trust.trust(_required(files.project_file()))
    layers.forget()
    assert Painter().width == 5
    path.write_text("# a comment\n[executor.Painter]\nwidth = 5\n")
    layers.forget()
    assert Painter().width == 5
    path.write_text("[executor.Painter]\nwidth = 6\n")
    layers.forget()
    assert Painter().width == 1.0


def test_an_agreement_is_about_one_file(place: Path) -> None:
    text = "[executor.Painter]\nwidth = 5\n"
    project(text)
    other = place / "other"
    other.mkdir()
    (other / files.PROJECT).write_text(text)
    os.chdir(other)
    layers.forget()
    assert Painter().width == 1.0


def test_a_broken_file_of_a_project_stops_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    project("cache =\n", agreed=False)
    assert layers.setting("cache") is False
    assert "qelectron.toml:1: this is no TOML" in caplog.text
    assert "Correct it: qelectron config edit --project" in caplog.text


ENDLESS: Final = {
    "digits": f"cache = {'1' * 5000}\n",
    "bits": f"cache = 0x{'f' * 5000}\n",
    "lists": f"cache = {'[' * 5000}{']' * 5000}\n",
    "tables": f"[{'.'.join('a' * 30)}]\n{'.'.join('b' * 30)} = 1\n",
    "parts": f"{'.'.join('a' * 50_000)} = 1\n",
    "quoted parts": '"\\"".' * 50_000 + "a = 1\n",
    "bytes": f"# {'a' * 2**18}\ncache = true\n",
    "quotes": "a = '" + '\\"' * 125_000 + "'\n",
}


@pytest.mark.parametrize("name", [files.PROJECT, files.PYPROJECT])
@pytest.mark.parametrize("case", ENDLESS)
def test_a_file_of_somebody_else_keeps_no_program_waiting(case: str, name: str) -> None:
    text = ENDLESS[case]
    if name == files.PYPROJECT:
        text = f"[tool.qelectron]\n{text}".replace("\n[", "\n[tool.qelectron.")
    project(text, name, agreed=False)
    begun = time.monotonic()
    assert Painter() == Painter("red", 1.0)
    assert time.monotonic() - begun < 5


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_a_project_file_that_is_a_pipe_or_a_device_is_none(place: Path) -> None:
    os.mkfifo(place / "project" / "below" / files.PROJECT)
    (place / "project" / "below" / files.PYPROJECT).symlink_to("/dev/zero")
    project("cache = true\n")
    assert layers.setting("cache") is True


def test_a_file_that_does_not_count_hides_none_that_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    project("daily_budget = 'shots=10'\n")
    nearer = Path.cwd() / files.PROJECT
    for text in ("# nothing\n", "cache = true\n", "cache =\n"):
        nearer.write_text(text)
        layers.forget()
        assert layers.setting("daily_budget") == "shots=10"
        assert layers.setting("cache") is False
    assert caplog.text.count("It is left out") == 2  # of nothing nothing is said


def test_a_link_to_a_file_that_was_agreed_to_is_another_file(place: Path) -> None:
    path = project("store = 'runs.sqlite3'\n")
    other = place / "other"
    other.mkdir()
    (other / files.PROJECT).symlink_to(path)
    os.chdir(other)
    layers.forget()
    assert layers.setting("store") is None


# --- None, for which TOML has no word -------------------------------------------------


def test_none_is_a_value_where_an_option_takes_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user("[executor.Painter]\nseed = 3\nshots = 5\n")
    assert (Painter().seed, Painter().shots) == (3, 5)
    project("[executor.Painter]\nseed = 'none'\n")
    assert (Painter().seed, Painter().shots) == (None, 5)
    monkeypatch.setenv("QELECTRON_EXECUTOR__PAINTER__SHOTS", "None")
    assert (Painter().seed, Painter().shots) == (None, None)
    assert Painter(seed=4, shots=6) == Painter(seed=4, shots=6, colour="red")


def test_none_is_a_text_where_an_option_takes_texts_alone() -> None:
    user("[executor.Framed]\ntitle = 'none'\n")
    assert Framed().title == "none"
    user("[executor.Painter]\ncolour = 'none'\n")
    with pytest.raises(ct.ConfigError, match="colour='none' is unknown"):
        Painter()
    user("[executor.Painter]\nwidth = 'none'\n")
    with pytest.raises(ct.ConfigError, match="'none' is no float"):
        Painter()


def test_none_overrules_settings_below(monkeypatch: pytest.MonkeyPatch) -> None:
    user("store = 'lab.sqlite3'\ndaily_budget = 'shots=10'\n")
    project("store = 'none'\n")
    monkeypatch.setenv("QELECTRON_DAILY_BUDGET", "none")
    layers.forget()
    assert wanted(None) is None
    assert layers.setting("daily_budget") is None


def test_lines_of_long_files_are_found_at_once() -> None:
    sections = "".join(f"[executor.X{n}]\na = {n}\n" for n in range(4000))
    path = user(f"{sections}[executor.Painter]\nwidth = 'b'\n")
    begun = time.monotonic()
    with pytest.raises(ct.ConfigError) as caught:
        Painter()
    assert str(caught.value).startswith(f"{path}:8002: ")
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("value", ["[\n{}]", "'''\n{}'''"])
def test_lines_after_a_long_value_are_found_at_once(value: str) -> None:
    filled = value.format("1,\n" * 40_000)
    file = files.File("project", Path("x"), f"a = {filled}\nb = 1\n", {})
    begun = time.monotonic()
    assert file.line("b") == 40_003
    assert time.monotonic() - begun < 20


def test_lines_are_found_after_values_that_look_like_others() -> None:
    text = '''a = """x\\"""y"""""
"k#[" = 1  # [
[[t]]
c = [1, #]
 {d="}"},
]
'x'.y = "]"
'''
    assert tomllib.loads(text)
    file = files.File("user", Path("x"), text, {})
    keys = [("a",), ("k#[",), ("t",), ("t", "c"), ("t", "x", "y")]
    assert [file.line(*one) for one in keys] == [1, 2, 3, 4, 7]


def test_a_mark_before_the_text_is_no_part_of_it() -> None:
    user("\ufeffcache = true\n")
    assert layers.setting("cache") is True
    editing.write(editing.place("user"), "trace", True)
    assert layers.setting("cache") is layers.setting("trace") is True


# --- Writing --------------------------------------------------------------------------

MINE: Final = """\
# mine
cache = true  # why not

[executor.Painter]
# wide
width = 2.5 # cm
colour = "green"
"""


def test_comments_and_order_stay() -> None:
    path = user(MINE)
    editing.write(editing.place("user"), "executor.Painter.width", 3.0)
    assert path.read_text() == MINE.replace("2.5", "3.0")
    editing.write(editing.place("user"), "cache", "top-up")
    assert path.read_text().splitlines()[:2] == [
        "# mine",
        'cache = "top-up"  # why not',
    ]
    editing.write(editing.place("user"), "trace", True)
    assert layers.setting("trace") is True


ROUND: Final = st.one_of(
    st.tuples(st.just("cache"), st.sampled_from([True, False, "refresh", "top-up"])),
    st.tuples(st.just("trace"), st.booleans()),
    st.tuples(st.just("disable"), st.lists(st.from_regex(r"[a-z]+", fullmatch=True))),
    st.tuples(st.just("executor.Painter.colour"), st.sampled_from(["red", "green"])),
    st.tuples(st.just("executor.Painter.width"), st.floats(-1e9, 1e9)),
    st.tuples(st.just("executor.Painter.shades"), st.lists(st.integers(-9, 9))),
    st.tuples(st.just("executor.Framed.shots"), st.integers(14, 10**6)),
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(ROUND, max_size=8), st.sampled_from(["", MINE]), st.data())
def test_what_is_set_is_found_and_what_is_unset_is_not(
    steps: list[tuple[str, Any]], text: str, data: Any
) -> None:
    kind = data.draw(st.sampled_from(["user", "project"]))
    user(text if kind == "user" else "")
    project(text if kind == "project" else "")
    model: dict[str, Any] = {}
    if text:
        model = {
            "cache": True,
            "executor.Painter.width": 2.5,
            "executor.Painter.colour": "green",
        }
    for key, value in steps:
        if data.draw(st.booleans()):
            made = editing.parsed(key, _as_text(key, value))
            editing.write(editing.place(kind), key, made)
            model[key] = value
        else:
            assert editing.remove(editing.place(kind), key) == (key in model)
            model.pop(key, None)
        assert _set_values() == model


def _as_text(key: str, value: Any) -> str:
    if key == "disable":
        return ",".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def _set_values() -> dict[str, Any]:
    config = layers.current()
    rows = [*report.settings(config), *report.sections(config)]
    assert [row.problem for row in rows if row.problem] == []
    return {row.name: row.found.value for row in rows if row.found.file is not None}


def test_the_users_file_is_private_and_the_projects_is_not(place: Path) -> None:
    mask = os.umask(0o022)
    try:
        editing.write(editing.place("user"), "cache", True)
        editing.write(editing.place("project"), "cache", True)
    finally:
        os.umask(mask)
    mine, shared = files.user_path(), Path.cwd() / files.PROJECT
    modes = [path.stat().st_mode & 0o777 for path in (mine.parent, mine, shared)]
    assert modes == [0o700, 0o600, 0o644]
    assert [p.name for p in shared.parent.iterdir()] == [files.PROJECT]
    assert (mine.parent / "trusted.json").stat().st_mode & 0o777 == 0o600
    assert layers.setting("cache") is True  # who writes a file agrees to it


def test_ends_of_lines_stay() -> None:
    path = files.user_path()
    path.parent.mkdir()
    path.write_bytes(b"# mine\r\ncache = true\r\n")
    editing.write(editing.place("user"), "cache", False)
    editing.write(editing.place("user"), "trace", True)
    assert path.read_bytes() == b"# mine\r\ncache = false\r\ntrace = true\r\n"


def test_comments_stay_where_a_table_gets_empty() -> None:
    path = user("[executor.Painter]\n# wide, as\nwidth = 2 # cm\n# the wall is\n")
    assert editing.remove(editing.place("user"), "executor.Painter.width")
    assert path.read_text() == "[executor.Painter]\n# wide, as\n# the wall is\n"
    assert Painter() == Painter("red", 1.0)


#: Each a file, and whether a table of an executor can be put into it.
ODD: Final = {
    "[tool]\nqelectron = {cache = true}\n": True,
    "[tool]\nqelectron.cache = true\n[tool.a]\nb = 1\n": False,
    "tool.qelectron.cache = true\n": False,
    "[tool.qelectron.executor.Painter]\nwidth = 2\n[a]\n[tool.qelectron]\n": True,
    "[tool.qelectron]\nexecutor = {Painter = {width = 2}}\n": True,
}


@pytest.mark.parametrize("text", ODD)
def test_a_file_says_what_was_set_or_stays_as_it_was(text: str) -> None:
    path = project(text, files.PYPROJECT)
    expected = {**_set_values(), "trace": True}
    editing.write(editing.place("project"), "trace", True)
    assert _set_values() == expected
    before = path.read_text()
    if ODD[text]:
        editing.write(editing.place("project"), "executor.Painter.colour", "green")
        assert _set_values() == {**expected, "executor.Painter.colour": "green"}
        return
    with pytest.raises(ct.ConfigError, match="by hand: qelectron config edit --proj"):
        editing.write(editing.place("project"), "executor.Painter.colour", "green")
    assert path.read_text() == before


def test_what_is_agreed_to_is_what_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    path = project("cache = false\n")
    replace = writing.replace

    def overtaken(where: Path, text: str, *, mode: int) -> None:
        replace(where, text, mode=mode)
        if where == path:  # by somebody who writes at the same moment
            where.write_text("cache = true\nstore = 'theirs'\n")

    monkeypatch.setattr(writing, "replace", overtaken)
    editing.write(editing.place("project"), "cache", True)
    assert layers.setting("store") is None


def test_taking_out_the_last_setting_agrees_to_no_other_file() -> None:
    (Path.cwd().parent / files.PROJECT).write_text("store = 'theirs'\n")
    path = Path.cwd() / files.PYPROJECT
    path.write_text("tool.qelectron.cache = true\n")
    trust.trust(_required(files.project_file()))
    assert editing.remove(editing.place("project"), "cache")
    layers.forget()
    assert layers.setting("store") is None


def test_a_device_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.user_path()
    path.parent.mkdir()
    path.symlink_to(os.devnull)
    monkeypatch.setattr(os, "replace", lambda *_: pytest.fail("it is replaced"))
    with pytest.raises(ct.ConfigError, match="a folder or a device"):
        editing.write(editing.place("user"), "cache", True)


def test_a_file_that_was_not_agreed_to_is_not_changed() -> None:
    path = project("cache = true\n", agreed=False)
    with pytest.raises(ct.ConfigError, match="qelectron config trust"):
        editing.write(editing.place("project"), "trace", True)
    assert path.read_text() == "cache = true\n"


def test_a_file_that_cannot_be_written_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    path = user(MINE)

    def full(*_: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ct.ConfigError, match="cannot be written: no space"):
        editing.write(editing.place("user"), "cache", False)
    assert path.read_text() == MINE
    assert [one.name for one in path.parent.iterdir()] == [path.name]


# --- What it costs --------------------------------------------------------------------


def test_reading_config_imports_neither_an_editor_nor_numpy(tmp_path: Path) -> None:
    code = (
        "import sys, qelectron_core.config.layers as layers\n"
        "layers.setting('cache')\n"
        "print(sorted({'tomlkit', 'numpy', 'pennylane', 'click'} & {*sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"

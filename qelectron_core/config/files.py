"""Finds and reads the files of config."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from qelectron_core.errors import ConfigError

#: Path of the user's file, if it is not the usual one.
VARIABLE: Final = "QELECTRON_CONFIG"
#: A project's file, and the table of the other file that may stand for it.
PROJECT: Final = "qelectron.toml"
PYPROJECT: Final = "pyproject.toml"
TABLE: Final = ("tool", "qelectron")

Keys: TypeAlias = tuple[str, ...]


@attrs.frozen(eq=False)
class File:
    """What a file says.

    Attributes:
        kind: `"user"` or `"project"`.
        path: Where it is.
        text: All of it.
        table: Its settings.
        within: The table of the file that holds them.
    """

    kind: Literal["user", "project"]
    path: Path
    text: str = attrs.field(repr=False)
    table: Mapping[str, Any]
    within: Keys = ()

    def place(self, *keys: str) -> str:
        """Return where a key is set, as `file:line`."""
        line = self.line(*keys)
        return f"{self.path}:{line}" if line else str(self.path)

    def line(self, *keys: str) -> int | None:
        """Return the line that sets a key."""
        return _lines(self.text).get((*self.within, *keys))


def user_path() -> Path:
    """Return where the user's file is, or would be."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser()
    return _usual_path(os.environ.get("XDG_CONFIG_HOME"), os.environ.get("HOME"))


@functools.lru_cache(maxsize=8)
def _usual_path(*_: str | None) -> Path:
    import platformdirs

    folder = platformdirs.user_config_path("qelectron", appauthor=False)
    return folder / "config.toml"


def user_file() -> File | None:
    """Read the user's file, if there is one.

    Raises:
        ConfigError: If it cannot be read.
    """
    path = os.fspath(user_path())
    state = _state(path)
    return _read("user", path, state) if state else None


def project_file() -> File | None:
    """Read the file of the project: the nearest one, from the working folder upwards.

    Raises:
        ConfigError: If it cannot be read.
    """
    try:
        folder = os.getcwd()
    except OSError:  # it is gone
        return None
    for path in _candidates(folder):
        state = _state(path)
        found = _read("project", path, state) if state else None
        if found is not None:
            return found
    return None


@functools.lru_cache(maxsize=64)
def _candidates(folder: str) -> tuple[str, ...]:
    folders = (folder, *map(str, Path(folder).parents))
    return tuple(os.path.join(f, n) for f in folders for n in (PROJECT, PYPROJECT))


def _state(path: str) -> tuple[int, ...] | None:
    """Return what changes when a file is written; `None` if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


@functools.lru_cache(maxsize=64)
def _read(
    kind: Literal["user", "project"], path: str, _: tuple[int, ...]
) -> File | None:
    is_shared = os.path.basename(path) == PYPROJECT
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if is_shared:  # it is not ours
            return None
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    if not is_shared:
        return File(kind, Path(path), text, _parsed(path, text))
    table = _table_of(path, text) if "qelectron" in text else None
    return None if table is None else File(kind, Path(path), text, table, TABLE)


def _table_of(path: str, text: str) -> Mapping[str, Any] | None:
    import tomllib

    try:
        found: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None  # whoever needs the file says so
    for key in TABLE:
        found = found.get(key) if isinstance(found, dict) else None
    if found is not None and not isinstance(found, dict):
        raise ConfigError(f"{path}: tool.qelectron is no table.")
    return found


def _parsed(path: str, text: str) -> Mapping[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        where = f"{path}:{line[1]}" if line else path
        message = (
            f"{where}: this is no TOML: {error}. Correct it: qelectron config edit"
        )
        raise ConfigError(message) from error


@functools.lru_cache(maxsize=16)
def _lines(text: str) -> Mapping[Keys, int]:
    """Return the line on which each key is set.

    A parser of TOML tells no lines. Reading the file up to each of its lines does: a
    key stands where the last part that could be read without it has ended.
    """
    import tomllib

    lines: dict[Keys, int] = {}
    begun, parts = 1, text.splitlines(keepends=True)
    for number in range(1, len(parts) + 1):
        try:
            table = tomllib.loads("".join(parts[:number]))
        except tomllib.TOMLDecodeError:
            continue  # in the midst of a value
        for keys in _flattened(table):
            lines.setdefault(keys, begun)
        begun = number + 1
    return lines


def _flattened(table: Mapping[str, Any], above: Keys = ()) -> Iterator[Keys]:
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _flattened(value, (*above, key))

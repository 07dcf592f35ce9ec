"""Finds and reads the files of config."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
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

# Every program in a folder reads the file of its project, agreed to or not. So what
# only keeps programs waiting, or ends them, is refused before it is looked into.
_LARGEST: Final = 2**18  # bytes of a file
_DEEPEST: Final = 32  # tables and lists within each other, and parts of a key
_LONGEST: Final = 1024  # bits of a whole number: Python writes out no endless ones
# Of long parts there cannot be many; to look for their ends takes long where none is.
_PART: Final = r"""(?:(?<![\w-])[\w-]++|"(?:[^"\\\n]|\\.){0,64}+"|'[^'\n]*+')"""
_LONG_KEY: Final = re.compile(rf"(?:{_PART}[ \t]*+\.[ \t]*+){{{_DEEPEST}}}")

#: What begins and ends what is longer than a line, or looks like that and does not.
_TOKEN: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|"(?:[^"\\\n]|\\.)*+"'''
    r"""|'''.*?'{3,5}|'[^'\n]*+'|\#[^\n]*+|[\[\]{}\n]""",
    re.DOTALL,
)

Keys: TypeAlias = tuple[str, ...]


@attrs.frozen(eq=False)
class File:
    """What a file says.

    Attributes:
        kind: `"user"` or `"project"`.
        path: Where it is.
        text: All of it, its ends of lines as they are.
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
    return next(filter(None, map(project_file_at, project_paths())), None)


def project_path() -> Path | None:
    """Return where the file of the project is, also if it cannot be read."""
    for path in project_paths():
        try:
            if project_file_at(path) is None:
                continue
        except ConfigError:
            pass
        return Path(path)
    return None


def project_file_at(path: str) -> File | None:
    """Read a file that may be one of a project.

    Raises:
        ConfigError: If it cannot be read.
    """
    is_file = os.path.isfile(path)  # to read a pipe or a device may never end
    state = _state(path) if is_file else None
    return _read("project", path, state) if state else None


def project_paths() -> tuple[str, ...]:
    """Return where files of projects may be, the nearest first."""
    try:
        return _candidates(os.getcwd())
    except OSError:  # it is gone
        return ()


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
    try:
        text = _text_of(path)
    except (OSError, ValueError) as error:
        if _is_shared(path):  # it is not ours
            return None
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    return understood(kind, path, text)


def _is_shared(path: str) -> bool:
    return os.path.basename(path) == PYPROJECT


def _text_of(path: str) -> str:
    with open(path, "rb") as stream:
        data = stream.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"it is longer than {_LARGEST} bytes")
    return data.decode("utf-8-sig")  # some editors put a mark before the text


def understood(kind: Literal["user", "project"], path: str, text: str) -> File | None:
    """Return what a text says, or `None` if it is a file of others that says nothing.

    Raises:
        ConfigError: If it cannot be understood.
    """
    if not _is_shared(path):
        return File(kind, Path(path), text, _parsed(kind, path, text))
    table = _table_of(path, text) if "qelectron" in text else None
    return None if table is None else File(kind, Path(path), text, table, TABLE)


def _table_of(path: str, text: str) -> Mapping[str, Any] | None:
    try:
        found: Any = parsed(text)
    except ValueError:
        return None  # whoever needs the file says so
    for key in TABLE:
        found = found.get(key) if isinstance(found, dict) else None
    if found is not None and not isinstance(found, dict):
        raise ConfigError(f"{path}: tool.qelectron is no table.")
    return found


def _parsed(
    kind: Literal["user", "project"], path: str, text: str
) -> Mapping[str, Any]:
    try:
        return parsed(text)
    except ValueError as error:
        line = re.search(r"line (\d+)", str(error))
        where = f"{path}:{line[1]}" if line else path
        which = " --project" if kind == "project" else ""
        message = (
            f"{where}: this is no TOML: {error}. Correct it: qelectron config edit"
        )
        raise ConfigError(f"{message}{which}") from error


def parsed(text: str) -> dict[str, Any]:
    """Return what a text of TOML says.

    Raises:
        ValueError: If it is none, or no config could be like that.
    """
    import tomllib

    if _LONG_KEY.search(text):
        raise ValueError(f"a key has more than {_DEEPEST} parts")
    with suppress(RecursionError):
        found = tomllib.loads(text)
        if _is_plain(found, _DEEPEST):
            return found
    raise ValueError("it is too deep, or has a number that is too long")


def _is_plain(value: Any, depth: int) -> bool:
    """Tell whether a value can be compared and shown."""
    if isinstance(value, int):
        return value.bit_length() <= _LONGEST
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(one, depth - 1) for one in value)
    return True


@functools.lru_cache(maxsize=16)
def _lines(text: str) -> Mapping[Keys, int]:
    """Return the line on which each key is set.

    A parser of TOML tells no lines. So what stands by itself is read by itself.
    """
    import tomllib

    lines: dict[Keys, int] = {}
    above: Keys = ()
    begun = 1
    for part in _statements(text):
        table = tomllib.loads(part)
        is_heading = part.lstrip().startswith("[")
        found = [*_flattened(table, () if is_heading else above)]
        for keys in found:
            lines.setdefault(keys, begun)
        above = found[-1] if is_heading else above
        begun += part.count("\n")
    return lines


def _statements(text: str) -> Iterator[str]:
    """Yield the lines of TOML, those together of which a value consists."""
    begin = depth = 0
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        elif sign == "\n" and depth == 0:
            yield text[begin : token.end()]
            begin = token.end()
    yield text[begin:]


def _flattened(table: Mapping[str, Any], above: Keys = ()) -> Iterator[Keys]:
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _flattened(value, (*above, key))

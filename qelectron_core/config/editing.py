"""Changes files of config; comments and order stay."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import attrs
import tomlkit
from tomlkit.items import Item

from qelectron_core.config import files, layers, trust, writing
from qelectron_core.config.blame import problem
from qelectron_core.config.executors import executor_class, options_of, require_option
from qelectron_core.config.files import File, Keys
from qelectron_core.config.schema import EXECUTOR, SETTINGS
from qelectron_core.errors import ConfigError, suggest
from qelectron_core.registry import registry

_NEW: Final = "# Config of qelectron; see: qelectron config --help\n"
_KEYS_OF_OPTION: Final = 3


def split(key: str) -> Keys:
    """Return the parts of a key as users write it: `executor.NAME.OPTION`.

    Raises:
        ConfigError: If there is no such setting; says which there are.
    """
    if key in SETTINGS:
        return (key,)
    first, _, rest = key.partition(".")
    name, _, option = rest.rpartition(".")
    if first == EXECUTOR and name and option:
        return (EXECUTOR, name, option)
    known = [*SETTINGS, f"{EXECUTOR}.NAME.OPTION"]
    message = f"there is no setting {key!r}.{suggest(key, known)}"
    raise ConfigError(f"{message} Settings: {', '.join(known)}.")


def parsed(key: str, text: str) -> Any:
    """Return the value of a text for a setting, as a file is to hold it.

    Raises:
        ConfigError: If there is no such setting, or it takes no such value.
    """
    keys = split(key)
    if len(keys) == _KEYS_OF_OPTION:
        return _option(keys[1], keys[2], text)
    setting = SETTINGS[key]
    try:
        return setting.parse(text)
    except ValueError:
        message = f"{key}={text!r} is unknown. Expected {setting.expected}."
        raise ConfigError(message) from None


def _option(name: str, option: str, text: str) -> Any:
    kind = executor_class(name)
    require_option(name, kind, option, f"executor.{name}.{option}")
    field, value = options_of(kind)[option], layers.to_value(text)
    why = problem(kind, field, value)
    if why is not None and value != text and problem(kind, field, text) is None:
        return text  # one that only looks like a number, say
    if why is not None:
        raise ConfigError(f"executor.{name}.{option}={text!r} is refused: {why}")
    return value


@attrs.frozen
class Place:
    """A file that is to be changed, which need not be there yet.

    Attributes:
        kind: `"user"` or `"project"`.
        path: Where it is.
        file: What it says now.
    """

    kind: Literal["user", "project"]
    path: Path
    file: File | None = None

    @property
    def within(self) -> Keys:
        """The table of the file that holds settings."""
        return self.file.within if self.file else ()

    @property
    def text(self) -> str:
        """All of it."""
        return self.file.text if self.file else _NEW


def place(kind: Literal["user", "project"]) -> Place:
    """Return the file that holds settings of a kind, or that is to.

    Raises:
        ConfigError: If it cannot be read.
    """
    if kind == "user":
        return Place(kind, files.user_path(), files.user_file())
    found = files.project_file()
    path = found.path if found else Path.cwd() / files.PROJECT
    return Place(kind, path, found)


def write(where: Place, key: str, value: Any) -> None:
    """Set a key in a file.

    Raises:
        ConfigError: If it cannot be written, or the file says what is no setting.
    """
    document = tomlkit.parse(where.text)
    *above, last = (*where.within, *split(key))
    table: Any = document
    for one in above:
        if one not in table:
            table[one] = tomlkit.table(is_super_table=one != above[-1])
        table = table[one]
    if key == "store":
        value = _rooted(where, value)
    if last in table and isinstance(table[last], Item):
        _replace(table, last, value)
    else:
        table[last] = value
    _save(where, document)


def _rooted(where: Place, text: str) -> str:
    """Return a path as it is to be read from a file, which is in another folder."""
    if text in registry().registrations("store") or text.startswith("~"):
        return text
    absolute = os.path.abspath(text)
    if where.kind == "user" or os.path.isabs(text):
        return absolute
    return os.path.relpath(absolute, where.path.parent)


def _replace(table: Any, key: str, value: Any) -> None:
    """Put a value in the place of another, with the comment beside it."""
    item = tomlkit.item(value)
    trivia = table[key].trivia
    if not isinstance(value, Mapping):
        item.trivia.comment_ws, item.trivia.comment = trivia.comment_ws, trivia.comment
    table[key] = item


def remove(where: Place, key: str) -> bool:
    """Take a key out of a file; return whether it was there.

    Raises:
        ConfigError: If the file cannot be written.
    """
    document = tomlkit.parse(where.text)
    keys = (*where.within, *split(key))
    tables: list[Any] = [document]
    for one in keys[:-1]:
        if one not in tables[-1]:
            return False
        tables.append(tables[-1][one])
    if keys[-1] not in tables[-1]:
        return False
    del tables[-1][keys[-1]]
    for above, one in reversed([*zip(tables, keys[:-1], strict=False)]):
        if len(above[one]) == 0 and one not in files.TABLE:
            del above[one]
    _save(where, document)
    return True


def _save(where: Place, document: tomlkit.TOMLDocument) -> None:
    was_trusted = where.file is None or trust.is_trusted(where.file)
    text = tomlkit.dumps(document)
    if where.kind == "user":
        writing.write_private(where.path, text)
    else:
        _require_trust(where, was_trusted=was_trusted)
        writing.replace(where.path, text, mode=_mode(where.path))
    layers.forget()
    if where.kind == "project":
        changed = files.project_file()
        if changed is not None:
            trust.trust(changed)


def _require_trust(where: Place, *, was_trusted: bool) -> None:
    if not was_trusted:
        message = (
            f"{where.path} holds config that you have not agreed to, or that has "
            "changed since. Look at it, then: qelectron config trust"
        )
        raise ConfigError(message)


def _mode(path: Path) -> int:
    """Return the mode of a file, or that of a new one."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask

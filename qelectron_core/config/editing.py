"""Changes files of config; comments and order stay."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import attrs
import tomlkit
from tomlkit.items import InlineTable, Item

from qelectron_core.config import files, layers, trust, writing
from qelectron_core.config.executors import executor_class, options_of, require_option
from qelectron_core.config.files import File, Keys
from qelectron_core.config.schema import EXECUTOR, SETTINGS
from qelectron_core.config.values import NONE, is_none, meant, problem, value_for
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
        value = setting.parse(text)
        value = NONE if value is None else value
        setting.read(value)
    except ValueError:
        message = f"{key}={text!r} is unknown. Expected {setting.expected}."
        raise ConfigError(message) from None
    return value


def _option(name: str, option: str, text: str) -> Any:
    kind = executor_class(name)
    require_option(name, kind, option, f"executor.{name}.{option}")
    field = options_of(kind)[option]
    value = value_for(kind, field, text)
    if meant(kind, field, value) is None:
        return NONE
    if (why := problem(kind, field, value)) is not None:
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


def alone() -> AbstractContextManager[None]:
    """Let no other process change files between `place` and what is written."""
    return writing.alone(files.user_path().parent)


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
    if key == "store":
        value = _rooted(where, value)
    keys = (*where.within, *split(key))
    with _editing(where):
        document = _document(where)
        _put(document, keys, value)
    _save(where, document, {**_without(where, keys), **_leaves(value, keys)})


def _rooted(where: Place, text: str) -> str:
    """Return a path as it is to be read from a file, which is in another folder."""
    is_name = is_none(text) or text in registry().registrations("store")
    if is_name or text.startswith("~"):
        return text
    absolute = os.path.abspath(text)
    if where.kind == "user" or os.path.isabs(text):
        return absolute
    return os.path.relpath(absolute, where.path.parent)


def _document(where: Place) -> tomlkit.TOMLDocument:
    return tomlkit.parse(where.text.replace("\r\n", "\n"))


@contextmanager
def _editing(where: Place) -> Iterator[None]:
    """Say what to do where a file is written in a way that cannot be changed."""
    try:
        yield
    except Exception as error:  # the editor raises many kinds
        raise ConfigError(_by_hand(where, str(error))) from error


def _by_hand(where: Place, why: str) -> str:
    which = " --project" if where.kind == "project" else ""
    return (
        f"{where.path} is written in a way that cannot be changed here: {why}. Change "
        f"it by hand: qelectron config edit{which}"
    )


def _put(document: tomlkit.TOMLDocument, keys: Keys, value: Any) -> None:
    *above, last = keys
    table: Any = document
    for one in above:
        if one not in table:
            table[one] = _new_table(table, is_super=one != above[-1])
        table = table[one]
    if last in table and isinstance(table[last], Item):
        _replace(table, last, value)
    else:
        table[last] = value


def _new_table(within: Any, *, is_super: bool) -> Any:
    if isinstance(within, InlineTable):
        return tomlkit.inline_table()
    return tomlkit.table(is_super_table=is_super)


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
    keys = (*where.within, *split(key))
    with _editing(where):
        document = _document(where)
        was_there = _take_out(document, keys)
    if was_there:
        _save(where, document, _without(where, keys))
    return was_there


def _take_out(document: tomlkit.TOMLDocument, keys: Keys) -> bool:
    """Take out a key, and the tables above it that hold nothing more."""
    tables: list[Any] = [document]
    for one in keys[:-1]:
        if one not in tables[-1]:
            return False
        tables.append(tables[-1][one])
    if keys[-1] not in tables[-1]:
        return False
    del tables[-1][keys[-1]]
    for above, one in reversed([*zip(tables, keys[:-1], strict=False)]):
        if one not in files.TABLE and _is_bare(above[one]):
            del above[one]
    return True


def _is_bare(table: Any) -> bool:
    """Tell whether a table holds neither a key nor a comment."""
    if len(table) > 0 or not isinstance(table, Item):
        return len(table) == 0
    return not table.trivia.comment and "#" not in table.as_string()


def _without(where: Place, keys: Keys) -> dict[Keys, str]:
    """Return what a file says, but for what it says of a key."""
    found = _leaves(files.parsed(where.text))
    return {one: value for one, value in found.items() if one[: len(keys)] != keys}


def _leaves(value: Any, above: Keys = ()) -> dict[Keys, str]:
    """Return the values in a table by what leads to them, as texts: NaN is no NaN."""
    if not isinstance(value, Mapping):
        return {above: repr(value)}
    found: dict[Keys, str] = {}
    for key, one in value.items():
        found |= _leaves(one, (*above, key))
    return found


def _save(
    where: Place, document: tomlkit.TOMLDocument, expected: dict[Keys, str]
) -> None:
    """Write a file that says what is expected, and agree to just that."""
    text = tomlkit.dumps(document)
    with _editing(where):
        said = _leaves(files.parsed(text))
    if said != expected:  # the editor takes some ways of writing for others
        raise ConfigError(_by_hand(where, "it would then say something else"))
    if "\r\n" in where.text:
        text = text.replace("\n", "\r\n")
    if where.kind == "user":
        writing.write_private(where.path, text)
    else:
        _require_trust(where)
        writing.replace(where.path, text, mode=_mode(where.path))
        # To read the file again could find what somebody else has written since.
        written = files.understood("project", str(where.path), text)
        if written is not None:
            trust.trust(written)
    layers.forget()


def _require_trust(where: Place) -> None:
    if where.file is not None and not trust.is_trusted(where.file):
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

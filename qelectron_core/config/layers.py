"""Puts files and environment one above the other, and says where a value is from."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs

from qelectron_core.config.files import (
    File,
    Keys,
    project_file_at,
    project_paths,
    user_file,
    user_path,
)
from qelectron_core.config.schema import EXECUTOR, PREFIX, SETTINGS, Setting
from qelectron_core.errors import ConfigError, suggest

Kind: TypeAlias = Literal["default", "user", "project", "environment"]

#: How long files are taken to be as they were, in seconds.
FRESH_S: Final = 0.1
#: What stands before an option of an executor in the environment.
EXECUTORS: Final = f"{PREFIX}{EXECUTOR.upper()}__"


#: Config as it was when it was looked at, by where it is looked for, and till when.
_seen: Final[dict[Any, tuple[float, Config]]] = {}


@attrs.frozen
class Found:
    """A value and where it is from.

    Attributes:
        value: The value.
        kind: Which place it is from.
        file: The file, if it is from one.
        keys: What leads to it in the file.
        variable: The environment variable, if it is from one.
    """

    value: Any
    kind: Kind
    file: File | None = attrs.field(default=None, repr=False)
    keys: Keys = ()
    variable: str | None = None

    @property
    def place(self) -> str:
        """Where it was set, as a message says it."""
        if self.file is not None:
            return self.file.place(*self.keys)
        return self.variable or self.kind


@attrs.frozen(eq=False)
class Config:
    """The files that count now, the user's first.

    Attributes:
        files: Those that were found, and may be believed.
    """

    files: tuple[File, ...] = ()

    def setting(self, name: str) -> Found:
        """Return a setting of the core.

        Raises:
            ConfigError: If it has no such value, or a file has no such key.
        """
        setting = SETTINGS[name]
        text = os.environ.get(setting.variable)
        if text:
            return Found(
                _parsed(setting, text), "environment", variable=setting.variable
            )
        for file in reversed(self.files):
            if name in file.table:
                value = setting.read(file.table[name])
                return Found(value, file.kind, file, (name,))
        return Found(setting.default, "default")

    def executors(self) -> frozenset[str]:
        """Return the names that have sections in files."""
        return frozenset(n for file in self.files for n in file.table.get(EXECUTOR, ()))

    def section(self, name: str) -> dict[str, Found]:
        """Return what files and environment say of the options of an executor.

        What a variable says is a text still: the option tells what that means.
        """
        found = {
            option: Found(value, file.kind, file, (EXECUTOR, name, option))
            for file in self.files
            for option, value in file.table.get(EXECUTOR, {}).get(name, {}).items()
        }
        for option, variable in variables_of(name):
            text = os.environ[variable]
            found[option] = Found(text, "environment", variable=variable)
        return found


def current() -> Config:
    """Return config as it is now: files are read anew when they change.

    Whether they did is looked at every `FRESH_S` seconds, as every call asks for it.

    Raises:
        ConfigError: If a file cannot be read, or says what is no setting.
    """
    place = (user_path(), _working_folder())
    seen = _seen.get(place)
    now = time.monotonic()
    if seen is not None and now < seen[0]:
        return seen[1]
    config = _assembled(user_file(), _believed_project_file())
    _seen.clear()
    _seen[place] = (now + FRESH_S, config)
    return config


def recent() -> Config:
    """Return config as it was less than `FRESH_S` ago, wherever it was looked for.

    For what is asked on every call: to ask for the working folder is a call of the
    system, after which a thread that runs Python has to wait for its turn.
    """
    for until, config in list(_seen.values()):
        if time.monotonic() < until:
            return config
    return current()


def forget() -> None:
    """Look at the files anew at once: one has been written."""
    _seen.clear()


def _working_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it is gone
        return None


def setting(name: str) -> Any:
    """Return the value of a setting of the core, as it was a moment ago at most.

    Raises:
        ConfigError: If it has no such value, or a file cannot be understood.
    """
    return recent().setting(name).value


def variables() -> list[str]:
    """Return the environment variables about executors; empty ones say nothing."""
    ours = (name for name in os.environ if name.startswith(EXECUTORS))
    return sorted(name for name in ours if os.environ[name])


def variables_of(name: str) -> Iterator[tuple[str, str]]:
    """Yield the options of an executor in the environment, with their variables."""
    prefix = f"{EXECUTORS}{in_capitals(name)}__"
    for variable in variables():
        if variable.startswith(prefix):
            yield variable.removeprefix(prefix).lower(), variable


def in_capitals(name: str) -> str:
    """Return the name of an executor or option as the environment has it."""
    return name.upper().replace("-", "_").replace(".", "_")


def _parsed(setting: Setting, text: str) -> Any:
    try:
        return setting.parse(text)
    except ValueError:
        message = (
            f"{setting.variable}={text!r} is unknown. Expected {setting.expected}."
        )
        raise ConfigError(message) from None


def _believed_project_file() -> File | None:
    """Return the nearest file that may be believed: one that may not hides none."""
    return next(filter(None, map(_believed, project_paths())), None)


def _believed(path: str) -> File | None:
    try:
        file = project_file_at(path)
    except ConfigError as error:  # of a file that may be somebody else's
        _say(f"{error} It is left out.")
        return None
    if file is None or not file.table:
        return None
    from qelectron_core.config.trust import is_trusted

    if is_trusted(file):
        return file
    _say(
        f"{file.path} holds config that you have not agreed to, or that has changed "
        "since. It is left out. Look at it, then: qelectron config trust"
    )
    return None


def _say(message: str) -> None:
    from qelectron_core.saying import say_once  # logging is not needed for --help

    say_once(message)


@functools.lru_cache(maxsize=16)
def _assembled(*files: File | None) -> Config:
    found = tuple(file for file in files if file is not None)
    for file in found:
        check(file)
    return Config(found)


def check(file: File) -> None:
    """Refuse a file that says what is no setting.

    Options of executors are checked where these are made, by the executors.

    Raises:
        ConfigError: If it does; names the line, and what may stand there.
    """
    known = [*SETTINGS, EXECUTOR]
    for key, value in file.table.items():
        if key == EXECUTOR:
            _check_sections(file, value)
        elif key in SETTINGS:
            _check_setting(file, SETTINGS[key], value)
        else:
            message = f"{file.place(key)}: there is no setting {key!r}."
            listing = ", ".join(known)
            raise ConfigError(f"{message}{suggest(key, known)} Settings: {listing}.")


def _check_setting(file: File, setting: Setting, value: Any) -> None:
    try:
        setting.read(value)
    except ValueError:
        where = file.place(setting.name)
        message = f"{where}: {setting.name} = {value!r} is unknown."
        raise ConfigError(f"{message} Expected {setting.expected}.") from None


def _check_sections(file: File, sections: Mapping[str, Any]) -> None:
    if not isinstance(sections, Mapping):
        message = f"{file.place(EXECUTOR)}: executor is no table."
        raise ConfigError(f"{message} Expected [executor.NAME].")
    for name, options in sections.items():
        if not isinstance(options, Mapping):
            message = f"{file.place(EXECUTOR, name)}: executor.{name} is no table."
            raise ConfigError(f"{message} Expected [executor.{name}] and its options.")

"""Every setting with its value, its source, its default and its help."""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from qelectron_core.config import editing, files, layers, report, trust
from qelectron_core.config.executors import executor_class, options_of
from qelectron_core.config.files import File
from qelectron_core.config.layers import Config, Found
from qelectron_core.config.report import Row
from qelectron_core.config.schema import EXECUTOR, SETTINGS
from qelectron_core.contracts import default_of
from qelectron_core.errors import ConfigError, QElectronError
from qelectron_core.registry import registry
from qelectron_dashboard.reading import whole
from qelectron_sqlite.cli.texts import safe, short

Kind: TypeAlias = Literal["user", "project"]

#: The group of the settings of the core.
CORE: Final = "qelectron"
_ELSEWHERE: Final = "Not installed here"
_LONGEST: Final = 400
_ENTRY: Final = re.compile(r" {4}(\w+): (.+)")


@attrs.frozen
class Option:
    """A setting, or an option of an executor, as it is shown.

    Attributes:
        key: As `qelectron config` calls it.
        name: What it is called in its group.
        value: Its value, as it would be written.
        source: `"default"`, `"user"`, `"project"` or `"environment"`.
        place: Where that is: a line of a file, or a variable.
        default: Its value where nobody says.
        meaning: What it does.
        problem: What is wrong with it.
        set_in: Which of the files that count set it.
        is_fixed: Whether it cannot be changed here.
        is_known: Whether there is such a setting; else it can only be taken out.
    """

    key: str
    name: str
    value: str
    source: str
    place: str = ""
    default: str = ""
    meaning: str = ""
    problem: str = ""
    set_in: frozenset[str] = frozenset()
    is_fixed: bool = False
    is_known: bool = True

    def is_like(self, text: str) -> bool:
        """Tell whether somebody may mean it who searches for a text."""
        return text.lower() in f"{self.key} {self.meaning}".lower()


@attrs.frozen
class Group:
    """The settings of the core, or the options of an executor.

    Attributes:
        name: Its name.
        options: What can be set.
        secrets: Options that no config holds.
        problem: Why there are none.
    """

    name: str
    options: tuple[Option, ...] = ()
    secrets: tuple[str, ...] = ()
    problem: str = ""


@attrs.frozen
class Project:
    """The file of the project that the dashboard was started in.

    Attributes:
        path: Where it is, or would be.
        state: Whether there is one, and whether it counts.
        problem: What is wrong with it.
        says: What a file says that does not count yet.
    """

    path: str
    state: Literal["absent", "counts", "untrusted", "broken"]
    problem: str = ""
    says: tuple[str, ...] = ()


@attrs.frozen
class Overview:
    """All that is set, and could be.

    Attributes:
        groups: The settings.
        user_path: Where the user's file is, or would be.
        project: The file of the project.
        folder: Where the dashboard was started.
        problem: Why the settings cannot be told.
    """

    groups: tuple[Group, ...]
    user_path: str
    project: Project
    folder: str
    problem: str = ""


def overview() -> Overview:
    """Return all that is set, and could be, as it is now."""
    whole.pennylane()
    groups: tuple[Group, ...] = ()
    problem = ""
    try:
        groups = (*_groups(layers.current()),)
    except QElectronError as error:
        problem = str(error)
    try:
        folder = str(Path.cwd())
    except OSError:
        folder = "a folder that is gone"
    return Overview(groups, str(files.user_path()), _project(), folder, problem)


def put(kind: Kind, key: str, text: str) -> str:
    """Set a key in a file; return what came of it.

    Raises:
        QElectronError: If there is no such setting, it takes no such value, or the
            file cannot be written.
    """
    value = editing.parsed(key, text)
    with editing.alone():
        where = editing.place(kind)
        editing.write(where, key, value)
    said = f"{key} is set in {where.path}."
    found = _option(key)
    if found is not None and found.source != kind:
        said += f" Here {found.place} says otherwise, and wins."
    return said


def take_out(kind: Kind, key: str) -> str:
    """Take a key out of a file; return what came of it.

    Raises:
        QElectronError: If it is not set there, or the file cannot be written.
    """
    with editing.alone():
        where = editing.place(kind)
        was_there = editing.remove(where, key)
    if not was_there:
        raise ConfigError(f"{key} is not set in {where.path}.")
    return f"{key} is no longer set in {where.path}."


def written(value: Any) -> str:
    """Return a value as it would be written: as TOML, but for texts.

    Example:
        >>> written("ibm_fez"), written(True), written({"level": 1}), written(None)
        ('ibm_fez', 'true', '{"level" = 1}', 'none')
    """
    if value is None:
        return "none"
    return value if isinstance(value, str) else _toml(value)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_toml(str(key))} = {_toml(one)}" for key, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False, default=repr)


def _option(key: str) -> Option | None:
    groups = _groups(layers.current())
    return next((one for g in groups for one in g.options if one.key == key), None)


def _groups(config: Config) -> Iterator[Group]:
    yield Group(CORE, (*_settings(config),))
    said: dict[str, Row] = {row.name: row for row in report.sections(config)}
    for name in registry().registrations("executor"):
        yield _group(config, name, said)
    if said:
        yield Group(_ELSEWHERE, (*(_unknown(config, row) for row in said.values()),))


def _settings(config: Config) -> Iterator[Option]:
    for name, setting in SETTINGS.items():
        try:
            found, problem = config.setting(name), ""
        except ConfigError as error:  # of the environment: files have been checked
            found = Found(None, "environment", variable=setting.variable)
            problem = str(error)
        yield _shown(
            config,
            Row(name, found, problem),
            name=name,
            value=_as_setting(found.value),
            default=_as_setting(setting.default),
            meaning=f"{setting.meaning}: {setting.expected}",
        )


def _as_setting(value: Any) -> str:
    """Return the value of a setting; of a list, as a command takes it."""
    return ", ".join(value) if isinstance(value, list) else written(value)


def _group(config: Config, name: str, said: dict[str, Row]) -> Group:
    """Return the options of an executor, and take what is said of them."""
    try:
        kind = executor_class(name)
    except QElectronError as error:
        return Group(name, problem=str(error))
    options, meanings = [], _meanings(kind)
    for option, field in options_of(kind).items():
        key, default = f"{EXECUTOR}.{name}.{option}", _default(kind, field)
        row = said.pop(key, None) or Row(key, Found(None, "default"))
        value = default if row.found.kind == "default" else written(row.found.value)
        meaning = meanings.get(option, "")
        told = {"value": value, "default": default, "meaning": meaning}
        options.append(_shown(config, row, name=option, **told))
    others = [key for key in said if key.startswith(f"{EXECUTOR}.{name}.")]
    options += [_unknown(config, said.pop(key)) for key in others]
    return Group(name, (*options,), (*report.secrets(name),))


def _shown(config: Config, row: Row, **told: Any) -> Option:
    found = row.found
    is_fixed = found.kind == "environment"
    keys = found.keys or tuple(row.name.split(".", 2))
    set_in = {file.kind for file in config.files if _is_in(file.table, keys)}
    return Option(
        key=row.name,
        source=found.kind,
        place=found.place,
        problem=row.problem or "",
        set_in=frozenset(set_in),
        is_fixed=is_fixed,
        **told,
    )


def _unknown(config: Config, row: Row) -> Option:
    """Return what is set and is no option; its value may be a secret."""
    return _shown(config, row, name=row.name, value="", is_known=False)


def _is_in(table: Any, keys: tuple[str, ...]) -> bool:
    for key in keys:
        if not isinstance(table, Mapping) or key not in table:
            return False
        table = table[key]
    return True


def _default(kind: type, field: attrs.Attribute[Any]) -> str:
    if field.default is attrs.NOTHING:
        return "has to be given"
    try:
        default = default_of(object.__new__(kind), field)
    except Exception:  # it depends on other options
        return "follows from other options"
    is_plain = isinstance(default, (str, int, float, bool, type(None)))
    return written(default) if is_plain else short(repr(default), _LONGEST)


@functools.lru_cache(maxsize=64)
def _meanings(kind: type) -> dict[str, str]:
    """Return what the documentation of a class says of its options."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        found |= _documented(inspect.cleandoc(one.__doc__ or ""))
    return found


def _documented(text: str) -> dict[str, str]:
    """Return the entries of the section `Attributes` of a documentation."""
    found: dict[str, str] = {}
    name = ""
    _, _, section = text.partition("\nAttributes:\n")
    for line in section.splitlines():
        if entry := _ENTRY.fullmatch(line):
            name = entry[1]
            found[name] = entry[2]
        elif line.startswith(" " * 8) and name:
            found[name] += f" {line.strip()}"
        elif line.strip():
            break
    return {name: told.replace("`", "") for name, told in found.items()}


def _project() -> Project:
    path = files.project_path() or Path(files.PROJECT).absolute()
    shown = str(path)
    try:
        file = files.project_file()
        if file is None:
            return Project(shown, "absent")
        if trust.is_trusted(file):
            return Project(shown, "counts")
        return Project(shown, "untrusted", says=(*_said(file),))
    except (QElectronError, OSError) as error:
        return Project(shown, "broken", str(error))


def _said(file: File) -> Iterator[str]:
    """Yield what a file says, but no value of what may be a secret."""
    layers.check(file)
    known = {one.key for g in _groups(Config()) for one in g.options if one.is_known}
    for row in report.said(file):
        value = written(row.found.value) if row.name in known else "(not shown)"
        yield f"{safe(row.name)} = {short(value, _LONGEST)}"

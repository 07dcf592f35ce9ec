"""Tells every setting: its value, where that is from, and what the default is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from qelectron_core.config.executors import (
    check_names,
    executor_class,
    fields_of,
    is_secret,
    named,
    options_of,
    require_option,
    section,
)
from qelectron_core.config.files import File
from qelectron_core.config.layers import (
    EXECUTORS,
    Config,
    Found,
    in_capitals,
    variables,
)
from qelectron_core.config.schema import EXECUTOR, SETTINGS
from qelectron_core.config.values import problem
from qelectron_core.errors import ConfigError, QElectronError
from qelectron_core.registry import registry


@attrs.frozen
class Row:
    """One setting as it is shown.

    Attributes:
        name: Its key.
        found: Its value, and where that is from.
        problem: What is wrong with it, or `None`.
    """

    name: str
    found: Found
    problem: str | None = None

    @property
    def is_set(self) -> bool:
        """Whether it has a value to be shown; `None` is one if somebody says so."""
        found = self.found
        return found.value is not None or (
            found.kind != "default" and self.problem is None
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        found = self.found
        return {
            "name": self.name,
            "value": found.value,
            "source": found.kind,
            "is_default": found.kind == "default",
            "file": str(found.file.path) if found.file else None,
            "line": found.file.line(*found.keys) if found.file else None,
            "variable": found.variable,
            "problem": self.problem,
        }


def settings(config: Config) -> Iterator[Row]:
    """Yield the settings of the core.

    Raises:
        ConfigError: If one has no such value.
    """
    for name in SETTINGS:
        yield Row(name, config.setting(name))


def said(file: File) -> Iterator[Row]:
    """Yield all that a file says, also what does not count here, or not now."""
    for name, value in file.table.items():
        if name != EXECUTOR:
            yield Row(name, Found(value, file.kind, file, (name,)))
    for name, options in file.table.get(EXECUTOR, {}).items():
        for option, value in options.items():
            keys = (EXECUTOR, name, option)
            yield Row(".".join(keys), Found(value, file.kind, file, keys))


def sections(config: Config) -> Iterator[Row]:
    """Yield what is set of the options of executors."""
    installed = registry().registrations("executor")
    here = {n for n in installed if any(_is_about(n, one) for one in variables())}
    for name in sorted({*config.executors(), *here}):
        yield from _set_of(config, name)
    for variable in variables():
        if not any(_is_about(name, variable) for name in installed):
            found = Found(None, "environment", variable=variable)
            yield Row(variable, found, "no executor of this name is installed")


def _is_about(name: str, variable: str) -> bool:
    return variable.startswith(f"{EXECUTORS}{in_capitals(name)}__")


def _set_of(config: Config, name: str) -> Iterator[Row]:
    try:
        kind = executor_class(name)
    except QElectronError as error:
        for option, one in sorted(config.section(name).items()):
            yield _unknown(name, option, one, str(error))
        return
    for option, one in sorted(named(config, name, kind)):
        key, field = f"{EXECUTOR}.{name}.{option}", options_of(kind).get(option)
        if field is None:
            yield _unknown(name, option, one, _why_not(name, kind, option, one))
        else:
            yield Row(key, one, problem(kind, field, one.value))


def _unknown(name: str, option: str, one: Found, why: str) -> Row:
    """Return the row of what is no option; its value may be a secret."""
    return Row(f"{EXECUTOR}.{name}.{option}", attrs.evolve(one, value=None), why)


def _why_not(name: str, kind: type, option: str, one: Found) -> str:
    try:
        require_option(name, kind, option, one.place)
    except ConfigError as error:
        return str(error)
    return ""


def check(config: Config) -> None:
    """Refuse what executors that are installed here refuse.

    Raises:
        ConfigError: If there is such a thing; names the line.
    """
    check_names(config)
    installed = registry().registrations("executor")
    for name in sorted(config.executors() & installed.keys()):
        for row in _set_of(config, name):
            if row.problem:
                where = row.found.place
                said = row.problem.startswith(where)
                raise ConfigError(row.problem if said else f"{where}: {row.problem}")


def options(config: Config, name: str) -> Iterator[Row]:
    """Yield all options of an executor.

    Raises:
        UnknownNameError: If no plugin offers it.
        ConfigError: If something is set that is no option of it.
    """
    kind = executor_class(name)
    found = dict(section(config, name, kind))
    for option, field in options_of(kind).items():
        default = Found(_default(field), "default")
        yield Row(f"{EXECUTOR}.{name}.{option}", found.get(option, default))


def secrets(name: str) -> list[str]:
    """Return the options of an executor that no config holds."""
    fields = fields_of(executor_class(name))
    return [str(field.alias) for field in fields if field.init and is_secret(field)]


def _default(field: attrs.Attribute[Any]) -> Any:
    """Return a default if it can be shown; one that must be given has none."""
    default = field.default
    plain = (str, int, float, bool, type(None))
    return default if isinstance(default, plain) else None

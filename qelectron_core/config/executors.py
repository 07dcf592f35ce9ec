"""The sections of executors: their schema is the executor's own options."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import attrs

from qelectron_core.config.layers import EXECUTORS as PREFIX
from qelectron_core.config.layers import Config, Found, current, in_capitals, variables
from qelectron_core.config.values import meant, value_for
from qelectron_core.errors import (
    ConfigError,
    PluginLoadError,
    install_hint,
    suggest,
)
from qelectron_core.registry import Registration, registry

#: How alike a name must be to that of an executor to be taken for a slip.
_ALIKE: Final = 0.8


def filled(
    kind: type, args: tuple[Any, ...], given: Mapping[str, Any]
) -> dict[str, Found]:
    """Return what config says of the options of an executor that were not given.

    Args:
        kind: The class that is called.
        args: Its positional arguments.
        given: Its other arguments.

    Raises:
        ConfigError: If its section has something that is no option of it.
    """
    config = current()
    names = config.executors()
    if not names and not variables():
        return {}
    name = _section_of(kind, names)
    if name is None:
        return {}
    if not {field.alias for field in fields_of(kind)}.issuperset(given):
        return {}  # it will say so
    places = [f for f in fields_of(kind) if f.init and not f.kw_only]
    taken = {*given, *(field.alias for field in places[: len(args)])}
    return {
        option: one
        for option, one in section(config, name, kind)
        if option not in taken
    }


def fields_of(kind: type) -> tuple[attrs.Attribute[Any], ...]:
    """Return the fields of a class of values."""
    return tuple(attrs.fields(kind))


def options_of(kind: type) -> dict[str, attrs.Attribute[Any]]:
    """Return the options of an executor that config may set, by their names."""
    return {
        str(field.alias): field
        for field in fields_of(kind)
        if field.init and not is_secret(field)
    }


def is_secret(field: attrs.Attribute[Any]) -> bool:
    """Tell whether an option hides, or hides a part of itself."""
    return field.repr is not True


def section(config: Config, name: str, kind: type) -> Iterable[tuple[str, Found]]:
    """Yield what config says of the options of an executor, each checked by name.

    Raises:
        ConfigError: If something is no option of it.
    """
    for option, found in named(config, name, kind):
        require_option(name, kind, option, found.place)
        yield option, found


def named(config: Config, name: str, kind: type) -> list[tuple[str, Found]]:
    """Return what config says of an executor, by the names of its options."""
    options = options_of(kind)
    known = {option.lower(): option for option in options}
    said: dict[str, Found] = {}
    for key, found in config.section(name).items():
        # Capitals say nothing in the environment.
        option = known.get(key, key) if found.file is None else key
        field = options.get(option)
        said[option] = found if field is None else _meant(kind, field, found)
    return [*said.items()]


def _meant(kind: type, field: attrs.Attribute[Any], found: Found) -> Found:
    """Return what was found with the value that it means to an option."""
    value = found.value
    if found.file is None:
        value = value_for(kind, field, value)
    return attrs.evolve(found, value=meant(kind, field, value))


def require_option(name: str, kind: type, option: str, place: str) -> None:
    """Refuse an option that an executor does not have, or that is a secret.

    Raises:
        ConfigError: If it is; says which there are.
    """
    known = options_of(kind)
    if option in known:
        return
    if option in {field.alias for field in fields_of(kind) if field.init}:
        message = (
            f"{place}: {option!r} of {name} is a secret, which no config holds. Keep "
            "it with qelectron token set NAME, or in the vendor's environment variable."
        )
        raise ConfigError(message)
    message = f"{place}: {name} has no option {option!r}.{suggest(option, known)}"
    raise ConfigError(f"{message} Options: {', '.join(sorted(known))}.")


def executor_class(name: str) -> type:
    """Return the class of a registered executor, which has options.

    Raises:
        UnknownNameError: If no plugin offers it.
        ConfigError: If it is none that config can be about.
    """
    found = registry().resolve("executor", name)
    if isinstance(found, type) and "__attrs_attrs__" in vars(found):
        return found
    message = (
        f"executor {name!r} has no options of its own: it makes another one. Set those "
        "of the executor that it makes."
    )
    raise ConfigError(message)


def check_names(config: Config) -> None:
    """Refuse sections whose names are slips of the names of installed executors.

    Others may be about plugins that are installed elsewhere.

    Raises:
        ConfigError: If there is one; names its line, and the one that was meant.
    """
    known = tuple(registry().registrations("executor"))
    for file in config.files:
        for name in file.table.get("executor", ()):
            meant = None if name in known else _slip(name, known)
            if meant is not None:
                message = (
                    f"{file.place('executor', name)}: there is no executor {name!r}."
                )
                listing = ", ".join(known)
                message = f"{message} Did you mean {meant!r}? Installed: {listing}."
                raise ConfigError(message)


@functools.lru_cache(maxsize=64)
def _slip(name: str, known: tuple[str, ...]) -> str | None:
    if install_hint(name):  # of a plugin that is not installed here
        return None
    folded = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), folded, n=1, cutoff=_ALIKE)
    return folded[near[0]] if near else None


def _section_of(kind: type, names: Iterable[str]) -> str | None:
    """Return the name under which a class is registered, if config is about it."""
    check_names(current())
    known = registry().registrations("executor")
    mentioned = {*names, *(name for name in known if _has_variable(name))}
    for name in sorted(mentioned & known.keys()):
        if _is_target(known[name], kind):
            return name
    return None


def _has_variable(name: str) -> bool:
    prefix = f"{PREFIX}{in_capitals(name)}__"
    return any(variable.startswith(prefix) for variable in variables())


def _is_target(registration: Registration, kind: type) -> bool:
    target = registration.target
    if not isinstance(target, str):
        return target is kind
    # Only a plugin's own classes are what it registers; others need not be imported.
    if target.partition(":")[0].partition(".")[0] != kind.__module__.partition(".")[0]:
        return False
    try:
        return registration.resolve() is kind
    except PluginLoadError:
        return False

"""Says which line of which file an executor refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

from qelectron_core.config.executors import fields_of
from qelectron_core.config.layers import Found
from qelectron_core.errors import ConfigError


@contextmanager
def explained(kind: type, found: Mapping[str, Found]) -> Iterator[None]:
    """Say where a value is from, if an executor is refused because of it.

    Args:
        kind: The class of the executor.
        found: The options that came from config.

    Raises:
        ConfigError: If one of these is refused, or all together.
    """
    fields = {str(field.alias): field for field in fields_of(kind)}
    for name, one in found.items():
        _refuse(kind, name, one, _wrong_type(fields[name], one.value))
    try:
        yield
    except Exception as error:
        for name, one in found.items():
            _refuse(kind, name, one, problem(kind, fields[name], one.value), error)
        listing = ", ".join(
            f"{name}={one.value!r} ({one.place})" for name, one in found.items()
        )
        message = f"{error} From config came {listing}."
        raise ConfigError(message) from error


def _refuse(
    kind: type, name: str, one: Found, why: str | None, error: Exception | None = None
) -> None:
    if why is not None:
        message = f"{one.place}: {kind.__name__} refuses {name}: {why}"
        raise ConfigError(message) from error


def problem(kind: type, field: attrs.Attribute[Any], value: Any) -> str | None:
    """Return why an executor refuses a value of one of its options, by itself.

    Asks the option's own converter and validator; where it has neither, the value must
    be of the type of the default.
    """
    blank: Any = object.__new__(kind)  # what validators of one option need not look at
    try:
        made = _converted(field, blank, value)
        if field.validator is not None:
            field.validator(blank, field, made)
    except AttributeError:  # it looks at other options: to be told all together
        return None
    except Exception as error:
        return str(error)
    return _wrong_type(field, value)


def _converted(field: attrs.Attribute[Any], instance: Any, value: Any) -> Any:
    convert: Any = field.converter
    if isinstance(convert, attrs.Converter):
        made: Any = convert
        return made(value, instance, field)
    return value if convert is None else convert(value)


def _wrong_type(field: attrs.Attribute[Any], value: Any) -> str | None:
    """Return what is wrong with the type of an option that nothing checks."""
    default = field.default
    if field.validator is not None or field.converter is not None:
        return None
    if not isinstance(default, (bool, int, float, str)):
        return None
    expected = type(default)
    if type(value) is expected or (expected is float and type(value) is int):
        return None
    name = {bool: "true or false", int: "a whole number", float: "a number"}
    return (
        f"{value!r} is no {expected.__name__}. Expected {name.get(expected, 'a text')}."
    )

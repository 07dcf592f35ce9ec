"""What a text says, and whether an option takes it."""

from __future__ import annotations

from typing import Any, Final

import attrs

#: How files, variables and commands say `None`, for which TOML has no word.
NONE: Final = "none"


def is_none(value: Any) -> bool:
    """Tell whether a value is the text for `None`.

    Example:
        >>> is_none("none"), is_none("None"), is_none("nine")
        (True, True, False)
    """
    return isinstance(value, str) and value.lower() == NONE


def to_value(text: str) -> Any:
    """Return what a text says: a value of TOML, or else the text."""
    import tomllib

    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # also a number of thousands of digits
        return text
    return found["value"] if found.keys() == {"value"} else text


def value_for(kind: type, field: attrs.Attribute[Any], text: str) -> Any:
    """Return what a text says to an option: one of TOML's values if it takes that."""
    value = to_value(text)
    if problem(kind, field, value) is None or problem(kind, field, text) is not None:
        return value
    return text  # one that only looks like a number, say


def meant(kind: type, field: attrs.Attribute[Any], value: Any) -> Any:
    """Return what a value of a file means to an option, which may be `None`."""
    return None if is_none(value) and _takes_none(kind, field) else value


def _takes_none(kind: type, field: attrs.Attribute[Any]) -> bool:
    """Tell whether an option takes `None` and leaves it as it is."""
    if problem(kind, field, None) is not None:
        return False
    try:
        return _converted(field, object.__new__(kind), None) is None
    except AttributeError:  # it looks at other options
        return field.default is None


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
    return wrong_type(field, value)


def _converted(field: attrs.Attribute[Any], instance: Any, value: Any) -> Any:
    convert: Any = field.converter
    if isinstance(convert, attrs.Converter):
        made: Any = convert
        return made(value, instance, field)
    return value if convert is None else convert(value)


def wrong_type(field: attrs.Attribute[Any], value: Any) -> str | None:
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

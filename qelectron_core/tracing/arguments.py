"""Takes the numbers out of the arguments of a call, and puts others in."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np


class UnknownArgumentError(Exception):
    """An argument is of a kind that calls cannot be compared by."""


def take_apart(
    args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Hashable, list[Any]]:
    """Return what calls have in common that differ in numbers only, and the numbers.

    Args:
        args: Positional arguments: floats, arrays of floats, containers of these, and
            whatever else is compared by its value.
        kwargs: Keyword arguments.

    Returns:
        A key, equal for calls that differ in the values of floats and arrays only;
        and these values in a fixed order.

    Raises:
        UnknownArgumentError: If an argument cannot be compared.
    """
    numbers: list[Any] = []
    key = tuple([_key(value, numbers) for value in args])
    if kwargs:
        named = tuple((name, _key(value, numbers)) for name, value in kwargs.items())
        return (key, named), numbers
    return (key, ()), numbers


def put_together(
    args: Sequence[Any], kwargs: Mapping[str, Any], numbers: Sequence[Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return arguments like others, with other numbers in them.

    Args:
        args: Positional arguments to follow.
        kwargs: Keyword arguments to follow.
        numbers: What takes the place of what `take_apart` returned of them.
    """
    rest = iter(numbers)
    filled = tuple(_filled(value, rest) for value in args)
    return filled, {name: _filled(value, rest) for name, value in kwargs.items()}


def arrays_in(value: Any) -> Iterator[Any]:
    """Yield NumPy's arrays in an argument, also those in lists and other containers."""
    kind = type(value)
    if kind is np.ndarray:
        yield value
    elif kind in (tuple, list, dict):
        for part in value.values() if kind is dict else value:
            yield from arrays_in(part)


def as_it_is(value: Any) -> Any:
    """Return an argument in which arrays are copies, so that it stays as it is now.

    Args:
        value: An argument; only NumPy's arrays in it are copied, and the lists, tuples
            and dictionaries that they are in.
    """
    return _copied(value, {})


def _copied(value: Any, copies: dict[int, Any]) -> Any:
    kind = type(value)
    if kind is np.ndarray:
        copy = copies.get(id(value))
        if copy is None:
            copy = copies[id(value)] = value.copy("K")
            copy.flags.writeable = value.flags.writeable
        return copy
    if kind is tuple or kind is list:
        return kind([_copied(part, copies) for part in value])
    if kind is dict:
        return {name: _copied(part, copies) for name, part in value.items()}
    return value


def has_containers(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Tell whether there are arguments that a function could change in place."""
    return any(
        type(value) in (list, dict, tuple) for value in (*args, *kwargs.values())
    )


_STATIC: Final = (int, bool, str, bytes, type(None))


def _key(value: Any, numbers: list[Any]) -> Any:
    kind = type(value)
    if kind is float or kind is np.float64:
        numbers.append(value)
        return kind
    if kind is np.ndarray and value.dtype == np.float64:
        numbers.append(value)
        return value.shape
    if kind in _STATIC:
        return (kind, value)
    if kind is tuple or kind is list:
        return (kind, *[_key(part, numbers) for part in value])
    if kind is dict:
        items = [(type(n), n, _key(part, numbers)) for n, part in value.items()]
        return (kind, *items)
    raise UnknownArgumentError


def _filled(value: Any, numbers: Iterator[Any]) -> Any:
    kind = type(value)
    if kind in (float, np.float64, np.ndarray):
        return next(numbers)
    if kind is tuple or kind is list:
        return kind(_filled(part, numbers) for part in value)
    if kind is dict:
        return {name: _filled(part, numbers) for name, part in value.items()}
    return value

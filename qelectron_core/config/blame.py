"""Says which line of which file an executor refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from qelectron_core.config.executors import fields_of
from qelectron_core.config.layers import Found
from qelectron_core.config.values import problem, wrong_type
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
        _refuse(kind, name, one, wrong_type(fields[name], one.value))
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

"""Options of `QiskitExecutor`: their values, and what is wrong with others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from qelectron_core import ConfigError, Secret

DEVICES: Final = ("local_sampler", "sampler")
MODES: Final = ("job", "batch", "session")
CHANNELS: Final = ("ibm_quantum_platform", "ibm_cloud")
LEVELS: Final = range(4)

#: Options of programs written before July 2025, and what stands in their place.
GONE: Final = ("hub", "group", "project")


def refuse_gone(options: Mapping[str, Any]) -> None:
    """Refuse options of IBM Quantum as it was before July 2025.

    Raises:
        ConfigError: If there is one; says what to pass instead.
    """
    gone = [name for name in GONE if name in options]
    if gone:
        message = (
            f"{', '.join(f'{name}={options[name]!r}' for name in gone)}: IBM gave up "
            "hubs, groups and projects in July 2025. Pass instance= instead, the CRN "
            "or the name of an instance of your account at quantum.cloud.ibm.com."
        )
        raise ConfigError(message)


def one_of(allowed: Sequence[Any], what: str) -> Any:
    """Return a validator that takes some values only."""

    def check(_: Any, attribute: Any, value: Any) -> None:
        if not any(value is each or value == each for each in allowed):
            listing = ", ".join(map(repr, allowed))
            message = f"{attribute.name}={value!r} is no {what}. Expected {listing}."
            raise ConfigError(message)

    return check


def check_channel(_: Any, __: Any, value: Any) -> None:
    """Refuse a channel that IBM does not have.

    Raises:
        ConfigError: If it has not.
    """
    if value is None or value in CHANNELS:
        return
    message = f"channel={value!r} is no channel. "
    if value == "ibm_quantum":
        message = "IBM closed the channel 'ibm_quantum' in July 2025. "
    raise ConfigError(
        f"{message}Pass channel='ibm_quantum_platform', or leave it out, with a token "
        "made at quantum.cloud.ibm.com and an instance= of your account."
    )


def check_flag(_: Any, attribute: Any, value: Any) -> None:
    """Refuse what is neither true nor false.

    Raises:
        ConfigError: If it is not.
    """
    if not isinstance(value, bool):
        message = f"{attribute.name}={value!r} is no answer. Expected True or False."
        raise ConfigError(message)


def check_text(_: Any, attribute: Any, value: Any) -> None:
    """Refuse what is no text.

    Raises:
        ConfigError: If it is none.
    """
    if value is not None and not (isinstance(value, str) and value):
        message = f"{attribute.name}={value!r} is no text. Expected one, or None."
        raise ConfigError(message)


def check_seconds(_: Any, attribute: Any, value: Any) -> None:
    """Refuse what is no whole number of seconds.

    Raises:
        ConfigError: If it is none.
    """
    if value is not None and not (type(value) is int and value > 0):
        message = (
            f"{attribute.name}={value!r} is no time. Expected seconds, a whole number "
            "above 0, or None."
        )
        raise ConfigError(message)


def check_count(_: Any, attribute: Any, value: Any) -> None:
    """Refuse what is no number of things.

    Raises:
        ConfigError: If it is none.
    """
    if value is not None and not (type(value) is int and value > 0):
        message = (
            f"{attribute.name}={value!r} is no number. Expected 1 or more, or None."
        )
        raise ConfigError(message)


def to_secret(value: Any) -> Any:
    """Hide a token.

    Raises:
        ConfigError: If it is no text.
    """
    if value is None or isinstance(value, Secret):
        return value
    if isinstance(value, str) and value:
        return Secret(value)
    message = "ibmqx_token is no token. Expected a text that is not empty, or None."
    raise ConfigError(message)


# --- Options of IBM's Sampler ---------------------------------------------------------


#: What begins a frozen dictionary, and a frozen list.
_DICT: Final = "{}"
_LIST: Final = "[]"


def freeze(value: Any) -> Any:
    """Return nested options as tuples, which can be compared and hashed."""
    if isinstance(value, Mapping):
        pairs = sorted((str(key), freeze(each)) for key, each in value.items())
        return (_DICT, *pairs)
    if isinstance(value, (list, tuple)):
        return (_LIST, *map(freeze, value))
    return value


def thaw(value: Any) -> Any:
    """Return what `freeze` froze."""
    match value:
        case (str(kind), *pairs) if kind == _DICT:
            return {key: thaw(each) for key, each in pairs}
        case (str(kind), *parts) if kind == _LIST:
            return [thaw(each) for each in parts]
    return value


def _to_tuples(value: Any) -> Any:
    """Return what was frozen, and has been written down since."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_to_tuples, value))
    return value


@attrs.frozen(repr=False)
class SamplerSettings:
    """Options of IBM's Sampler as a value, which shows as the dictionary that it was.

    Attributes:
        frozen: What `freeze` makes of it.
    """

    frozen: tuple[Any, ...] = attrs.field(default=(_DICT,), converter=_to_tuples)

    def thaw(self) -> dict[str, Any]:
        """Return the dictionary."""
        thawed: dict[str, Any] = thaw(self.frozen)
        return thawed

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return len(self.frozen) > 1

    def __repr__(self) -> str:
        """Show the dictionary."""
        return repr(self.thaw())


def to_options(value: Any) -> SamplerSettings:
    """Return options as a value.

    Raises:
        ConfigError: If they are no options.
    """
    if isinstance(value, SamplerSettings):
        return value
    if value is None or isinstance(value, Mapping):
        return SamplerSettings(freeze({} if value is None else value))
    message = (
        f"options={value!r} are no options of IBM's Sampler. Expected a dictionary "
        "such as {'twirling': {'enable_gates': True}}."
    )
    raise ConfigError(message)


def check_sampler_options(options: SamplerSettings) -> None:
    """Refuse options that IBM's Sampler does not have.

    Raises:
        ConfigError: If there is one; says which are known.
    """
    if not options:
        return
    from pydantic import ValidationError
    from qiskit_ibm_runtime.options_models.sampler import SamplerOptions

    try:
        SamplerOptions(**options.thaw())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = (
            f"options={options!r} are not those of IBM's Sampler: {where}: "
            f"{first['msg']}. It has {', '.join(sorted(SamplerOptions.model_fields))}."
        )
        raise ConfigError(message) from None

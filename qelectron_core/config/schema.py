"""The settings of the core: their names, values and meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import attrs

from qelectron_core.config.values import is_none

Mode: TypeAlias = bool | Literal["refresh", "top-up"]

#: What stands before the name of a setting in the environment.
PREFIX: Final = "QELECTRON_"
_WORDS: Final[dict[str, Mode]] = {
    **dict.fromkeys(("0", "no", "off", "false"), False),
    **dict.fromkeys(("1", "yes", "on", "true"), True),
    "refresh": "refresh",
    "top-up": "top-up",
}


@attrs.frozen
class Setting:
    """One setting of the core.

    Attributes:
        name: Its key in a file; in the environment `QELECTRON_` and this in capitals.
        meaning: What it does, in one line.
        expected: Which values it takes, as a message says it.
        default: Its value where nobody says.
        read: Makes a value of what a file says; raises `ValueError` if it is none.
        parse: Makes a value of a text, as in the environment; raises `ValueError`.
    """

    name: str
    meaning: str
    expected: str
    default: Any
    read: Callable[[Any], Any]
    parse: Callable[[str], Any]

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return f"{PREFIX}{self.name.upper()}"


def _read_text(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError


def _read_optional(value: Any) -> str | None:
    text = _read_text(value)
    return None if is_none(text) else text


def _read_budget(value: Any) -> str | None:
    text = _read_optional(value)
    if text is not None:
        from qelectron_core.budget import parse  # it stands above this module

        parse(text)
    return text


def _read_flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError


def _parse_flag(text: str) -> bool:
    return _read_flag(_WORDS.get(text.lower()))


def _read_mode(value: Any) -> Mode:
    if isinstance(value, bool) or value in ("refresh", "top-up"):
        return value  # type: ignore[no-any-return]  # it has just been compared
    raise ValueError


def _parse_mode(text: str) -> Mode:
    found = _WORDS.get(text.lower())
    if found is None:
        raise ValueError
    return found


def _read_names(value: Any) -> list[str]:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value
    raise ValueError


def _parse_names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


_ALL: Final = (
    Setting(
        name="cache",
        meaning="cache mode of QElectrons that name none",
        expected="true, false, 'refresh' or 'top-up'",
        default=False,
        read=_read_mode,
        parse=_parse_mode,
    ),
    Setting(
        name="daily_budget",
        meaning="the most that all processes of a store spend per day (UTC)",
        expected="limits, such as 'shots=100000,cost_usd=5', or 'none'",
        default=None,
        read=_read_budget,
        parse=_read_optional,
    ),
    Setting(
        name="disable",
        meaning="names of plugins that are not loaded",
        expected="a list of names of plugins, such as ['echo']",
        default=[],
        read=_read_names,
        parse=_parse_names,
    ),
    Setting(
        name="profile",
        meaning="which of several tokens of a vendor is used",
        expected="a name",
        default="default",
        read=_read_text,
        parse=_read_text,
    ),
    Setting(
        name="store",
        meaning="where the journal and results are kept",
        expected="a path, the name of a store, such as 'memory', or 'none'",
        default=None,
        read=_read_optional,
        parse=_read_optional,
    ),
    Setting(
        name="trace",
        meaning="whether every call of a hook is printed to standard error",
        expected="true or false",
        default=False,
        read=_read_flag,
        parse=_parse_flag,
    ),
)
#: Every setting of the core, by name.
SETTINGS: Final = {setting.name: setting for setting in _ALL}
#: The table of a file that holds a table for each executor.
EXECUTOR: Final = "executor"

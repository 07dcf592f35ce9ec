"""Spans and moments, as users write and read them."""

from __future__ import annotations

import math
import re
import time
from datetime import datetime
from typing import Any, Final

import click

#: Seconds of each unit that a span may be written in.
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
#: Below this many seconds, or milliseconds, tenths are told as well.
_FINE_BELOW: Final = 10
_EXPECTED: Final = "Expected a number and s, m, h, d or w, such as 2h or 30d"


def read_span(_: Any, __: Any, given: str | None) -> float | None:
    """Return the seconds of a span that was given as an option.

    Raises:
        BadParameter: If it is none.
    """
    seconds = None if given is None else to_seconds(given)
    if given is not None and seconds is None:
        raise click.BadParameter(f"{given!r} is no span of time. {_EXPECTED}.")
    return seconds


def read_since(_: Any, __: Any, given: str | None) -> float | None:
    """Return the moment that was given as a span before now, or as a date.

    Raises:
        BadParameter: If it is neither.
    """
    seconds = None if given is None else to_seconds(given)
    if given is None or seconds is not None:
        return None if seconds is None else time.time() - seconds
    try:
        return datetime.fromisoformat(given).timestamp()
    except (ValueError, OverflowError, OSError):
        message = f"{given!r} is no moment. {_EXPECTED}, or a date: 2026-11-01."
        raise click.BadParameter(message) from None


def to_seconds(text: str) -> float | None:
    """Return the seconds of a span, or `None` if it is none.

    Example:
        >>> to_seconds("2h")
        7200.0
    """
    match = _SPAN.fullmatch(text.strip().lower())
    return None if match is None else float(match[1]) * UNITS[match[2]]


def span(seconds: float) -> str:
    """Return a span of time in the units that people use.

    Example:
        >>> span(0.0123), span(75), span(7500)
        ('12 ms', '1 min 15 s', '2 h 5 min')
    """
    if not math.isfinite(seconds):  # of a file that somebody wrote
        return "?"
    if seconds < 1:
        thousandths = max(0.0, seconds) * 1000
        digits = 1 if thousandths < _FINE_BELOW else 0
        return f"{thousandths:.{digits}f} ms"
    if seconds < _FINE_BELOW:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(at: float, now: float | None = None) -> str:
    """Return when something was: how long ago if it was today, else date and time.

    Args:
        at: When it was, in seconds since the epoch.
        now: The present, in seconds since the epoch; `None` for the real one.
    """
    now = time.time() if now is None else now
    then = _local(at)
    if then is None:
        return "?"
    if at > now or then.date() != datetime.fromtimestamp(now).date():
        return f"{then:%Y-%m-%d %H:%M}"
    ago_s = now - at
    if ago_s < _MINUTE_S:
        return f"{int(ago_s)} s ago"
    if ago_s < _HOUR_S:
        return f"{int(ago_s) // 60} min ago"
    return f"{int(ago_s) // 3600} h ago"


def date(at: float) -> str:
    """Return when something was, to the second."""
    then = _local(at)
    return "?" if then is None else f"{then:%Y-%m-%d %H:%M:%S}"


def _local(at: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(at)
    except (ValueError, OverflowError, OSError):  # of a file that somebody wrote
        return None

"""Keeps secrets out of errors and logs, also where a vendor's SDK quotes them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from qelectron_core.secret import known_secrets

#: Shorter secrets are left in texts: they would be found in words.
_SHORTEST: Final = 6
#: Loggers of the core; others are the business of who writes to them.
_LOGGERS: Final = ("qelectron", "qelectron.events")


def redacted(text: str) -> str:
    """Return a text without the secrets that this process knows.

    Example:
        >>> from qelectron_core.secret import Secret
        >>> token = Secret("open-sesame")
        >>> redacted("401: open-sesame is unknown")
        '401: <secret> is unknown'
    """
    for secret in known_secrets():
        if len(secret.reveal()) >= _SHORTEST:
            text = secret.hide_in(text)
    return text


def redact(error: BaseException) -> None:
    """Take the secrets out of an error, of its notes, and of those that led to it."""
    if not known_secrets():
        return
    for one in _chain(error):
        with suppress(Exception):  # an error may guard its own parts
            args = tuple(map(_redacted_part, one.args))
            if args != one.args:
                one.args = args
            notes = getattr(one, "__notes__", None)
            if notes:
                notes[:] = map(redacted, notes)


def _redacted_part(part: Any) -> Any:
    return redacted(part) if isinstance(part, str) else part


def _chain(error: BaseException) -> Iterator[BaseException]:
    following, seen = [error], set()
    while following:
        one = following.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        following += [e for e in (one.__cause__, one.__context__) if e is not None]


class _Redacting(logging.Filter):
    """Takes secrets out of the lines that a logger writes, tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a line in place, and let it pass."""
        text = record.getMessage()
        if (without := redacted(text)) != text:
            record.msg, record.args = without, ()
        if record.exc_info and not record.exc_text:
            traceback = logging.Formatter().formatException(record.exc_info)
            if (without := redacted(traceback)) != traceback:
                record.exc_text, record.exc_info = without, None
        return True


def watch_logs() -> None:
    """Have secrets taken out of what the core logs, from now on."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, _Redacting) for one in logger.filters):
            logger.addFilter(_Redacting())

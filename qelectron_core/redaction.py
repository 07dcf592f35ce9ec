"""Keeps secrets out of errors and logs, also where a vendor's SDK quotes them."""

from __future__ import annotations

import logging
import operator
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final

from qelectron_core.secret import known_texts

#: Shorter secrets are left in texts: they would be found in words.
_SHORTEST: Final = 6
#: How far lists and dictionaries within each other are looked into.
_DEEPEST: Final = 8
#: What is looked into besides dictionaries; what is derived of these becomes these.
_LISTS: Final = (list, tuple, set, frozenset)
#: What stands in the place of a secret.
_HIDDEN: Final = "<secret>"
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
    return _without(text, _secrets())


def _without(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return text


def _secrets() -> list[str]:
    return [text for text in known_texts() if len(text) >= _SHORTEST]


def redact(error: BaseException) -> None:
    """Take the secrets out of an error, of its notes, and of those that led to it.

    What an error says of itself is in its `args`, in attributes, or in both.
    """
    secrets = _secrets()
    if not secrets:
        return
    for one in _chain(error):
        reader = _Reader(secrets)
        for name in _parts(one):
            with suppress(Exception):  # an error may guard its own parts
                part = getattr(one, name)
                if (without := reader.without(part)) is not part:
                    setattr(one, name, without)
        with suppress(Exception):  # of what is in its parts, and shows one
            text = str(one)
            if (without := reader.without(text)) is not text:
                one.args = (without,)


def _parts(error: BaseException) -> set[str]:
    """Return the attributes that hold what an error says.

    Those of Python's own errors, such as the `strerror` of `OSError`, and those of
    classes with slots, are in no dictionary.
    """
    names = set(vars(error))
    for kind in type(error).__mro__:
        for name, one in vars(kind).items():
            if isinstance(one, (GetSetDescriptorType, MemberDescriptorType)):
                names.add(name)
    return {name for name in names if not name.startswith("__") or name == "__notes__"}


class _Reader:
    """Takes secrets out of what an error holds, and looks at nothing twice."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = secrets
        self._seen: dict[tuple[int, int], Any] = {}

    def without(self, part: Any, depth: int = _DEEPEST) -> Any:
        """Return a part without secrets; the same object if it holds none."""
        if isinstance(part, str):
            text = _without(part, self._secrets)
            return part if text == part else text
        if isinstance(part, bytes):
            return self._bytes(part)
        if depth == 0 or not isinstance(part, (dict, *_LISTS)):
            return part
        key = id(part), depth
        if key not in self._seen:
            self._seen[key] = part  # it may hold itself
            self._seen[key] = self._items(part, depth - 1)
        return self._seen[key]

    def _bytes(self, part: bytes) -> bytes:
        text = part.decode("latin-1")
        without = self.without(text)
        return part if without is text else without.encode("latin-1")

    def _items(self, part: Any, depth: int) -> Any:
        is_dict = isinstance(part, dict)
        held = [*part.keys(), *part.values()] if is_dict else [*part]
        items = [self.without(one, depth) for one in held]
        if all(map(operator.is_, items, held)):  # arrays have no equality
            return part
        if is_dict:
            size = len(part)
            return dict(zip(items[:size], items[size:], strict=True))
        return next(kind for kind in _LISTS if isinstance(part, kind))(items)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, those that led to it, and those that it holds."""
    following, seen = [error], set()
    while following:
        one = following.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        following += [e for e in _related(one) if isinstance(e, BaseException)]


def _related(error: BaseException) -> Iterator[Any]:
    yield from (error.__cause__, error.__context__)
    yield from vars(error).values()
    if isinstance(error.args, tuple):  # an error may have its own idea of them
        yield from error.args
    if isinstance(error, BaseExceptionGroup):
        yield from error.exceptions


class _Redacting(logging.Filter):
    """Takes secrets out of the lines that a logger writes, tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a line in place, and let it pass."""
        text = _message(record)
        if (without := redacted(text)) != text:
            record.msg, record.args = without, ()
        if record.exc_info and not record.exc_text:
            traceback = logging.Formatter().formatException(record.exc_info)
            if (without := redacted(traceback)) != traceback:
                record.exc_text, record.exc_info = without, None
        return True


def _message(record: logging.LogRecord) -> str:
    """Return the text of a line, also where the arguments do not fit into it."""
    try:
        return record.getMessage()
    except Exception:  # logging shows both on its own, and goes on
        return f"{record.msg} {record.args!r}"


def watch_logs() -> None:
    """Have secrets taken out of what the core logs, from now on."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, _Redacting) for one in logger.filters):
            logger.addFilter(_Redacting())

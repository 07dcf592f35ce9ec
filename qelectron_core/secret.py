"""Tokens and passwords, held so that they show nowhere."""

from __future__ import annotations

import hashlib
import threading
from typing import Any, Final
from weakref import WeakValueDictionary

from qelectron_core.errors import ConfigError

_PREFIX: Final = b"qelectron secret:"


class Secret:
    """A token that `repr`, `str`, pickle and JSON do not show.

    A pickled copy holds a fingerprint instead. In the process that knows the secret it
    is whole again; in any other one it equals the original, and whoever needs it there
    must find it there.

    Example:
        >>> Secret("abc")
        <secret>
        >>> Secret("abc") == Secret("abc"), Secret("abc").reveal()
        (True, 'abc')
    """

    __slots__ = ("__weakref__", "_fingerprint", "_text")

    _fingerprint: str
    _text: str | None

    def __new__(cls, text: str) -> Secret:
        """Hide a text; there is one object for each as long as anybody holds it."""
        from qelectron_core.redaction import watch_logs  # it stands above this module

        watch_logs()
        # What the environment cannot decode comes from there as surrogates.
        data = _PREFIX + text.encode(errors="surrogatepass")
        return _get(hashlib.sha256(data).hexdigest(), text)

    def reveal(self) -> str:
        """Return the text.

        Raises:
            ConfigError: If this process does not know it.
        """
        if self._text is None:
            message = (
                "a token does not travel to other processes, and this one does not "
                "know it. Set it here, too: in the environment, or an account file."
            )
            raise ConfigError(message)
        return self._text

    @property
    def is_known(self) -> bool:
        """Whether `reveal` returns it in this process."""
        return self._text is not None

    @property
    def fingerprint(self) -> str:
        """What tells it from other secrets, and does not tell what it is."""
        return self._fingerprint

    def hide_in(self, text: str) -> str:
        """Return a text without the secret.

        Example:
            >>> Secret("abc").hide_in("token abc was refused")
            'token <secret> was refused'
        """
        for form in self._forms():
            text = text.replace(form, repr(self))
        return text

    def _forms(self) -> set[str]:
        """Return what shows the secret: itself, and as addresses have it."""
        if not self._text:
            return set()
        if self._text.isalnum() and self._text.isascii():
            return {self._text}
        from urllib.parse import quote  # most are letters and digits

        in_path, in_query = (
            quote(self._text, safe=safe, errors="surrogatepass") for safe in ("/", "")
        )
        return {self._text, in_path, in_query}

    def __eq__(self, other: object) -> bool:
        """Compare what they hide."""
        return isinstance(other, Secret) and other._fingerprint == self._fingerprint

    def __hash__(self) -> int:
        """Follow what it hides."""
        return hash(self._fingerprint)

    def __repr__(self) -> str:
        """Show nothing."""
        return "<secret>"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Travel without the text."""
        return _get, (self._fingerprint,)


#: Secrets of this process, by fingerprint, as long as anybody holds them.
_known: Final[WeakValueDictionary[str, Secret]] = WeakValueDictionary()
_lock: Final = threading.Lock()


def known_texts() -> list[str]:
    """Return the texts of the secrets that this process knows, the longest first.

    Also those in which addresses have them.
    """
    with _lock:
        secrets = [*_known.values()]
    texts = {text for secret in secrets for text in secret._forms()}
    return sorted(texts, key=len, reverse=True)


def _get(fingerprint: str, text: str | None = None) -> Secret:
    """Return the secret of a fingerprint, which may be one that nobody knows here."""
    with _lock:
        found = _known.get(fingerprint)
        if found is None:
            found = object.__new__(Secret)
            found._fingerprint, found._text = fingerprint, text
            _known[fingerprint] = found
        if text is not None:
            found._text = text
        return found

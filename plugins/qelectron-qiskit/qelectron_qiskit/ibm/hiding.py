"""Keeps tokens out of what people are shown, even if IBM quotes them."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterable
from typing import Final

from qelectron_core import kept_token
from qelectron_core.secret import Secret

#: What stands in the place of a token.
HIDDEN: Final = "<secret>"
#: A bearer: three parts, the first two of which are JSON in base64.
_BEARER: Final = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")
#: Shortest text that is taken for a token, so that no text is torn apart.
_SHORTEST: Final = 8
_CLIENT: Final = "qiskit_ibm_runtime"


def hide(text: str, secret: Secret | None = None) -> str:
    """Return a text without any token that this process may use."""
    return _without(tokens_of(secret), text)


class HidingFilter(logging.Filter):
    """Hides tokens in what IBM's client logs: it quotes answers.

    Attributes:
        tokens: What to hide.
    """

    def __init__(self) -> None:
        """Know of no token yet."""
        super().__init__()
        self.tokens: frozenset[str] = frozenset()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let all records through, without tokens."""
        record.msg, record.args = _without(self.tokens, record.getMessage()), ()
        if record.exc_info:
            shown = logging.Formatter().formatException(record.exc_info)
            record.exc_text = _without(self.tokens, shown)
            record.exc_info = None
        return True


_filter: Final = HidingFilter()


def hide_in_logs(secret: Secret | None) -> None:
    """Hide tokens in whatever IBM's client logs from now on."""
    _filter.tokens |= tokens_of(secret)
    for name in [*logging.Logger.manager.loggerDict]:
        if name.partition(".")[0] == _CLIENT:
            logging.getLogger(name).addFilter(_filter)


def _without(tokens: Iterable[str], text: str) -> str:
    for token in tokens:  # IBM's client writes some words in capital letters
        text = re.sub(re.escape(token), HIDDEN, text, flags=re.IGNORECASE)
    return _BEARER.sub(HIDDEN, text)


def tokens_of(secret: Secret | None) -> frozenset[str]:
    """Return a secret, and the tokens of the environment, of files and the keyring."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    found = {os.environ.get("QISKIT_IBM_TOKEN")}
    with contextlib.suppress(Exception):  # a file that cannot be read holds none
        saved = QiskitRuntimeService.saved_accounts()
        found |= {account.get("token") for account in saved.values()}
    with contextlib.suppress(Exception):  # nor does a keyring that is locked
        kept = kept_token("ibm")
        found.add(None if kept is None else kept.reveal())
    known = {token for token in found if token and len(token) >= _SHORTEST}
    if secret is not None and secret.is_known:
        known.add(secret.reveal())
    return frozenset(known)

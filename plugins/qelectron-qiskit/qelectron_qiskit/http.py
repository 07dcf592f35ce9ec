"""How IBM's client makes its requests: once, and with an end to its patience.

The client repeats requests by itself, submits among them, for up to a quarter of a
minute each; behind a proxy it waits for answers without limit. A repeated submit can be
a second job, and each worker that waits keeps a thread from others. The core repeats
what may be repeated, for a whole account, and looks for a job before it sends it again.

This is the one module that reaches behind the client's public interface: there is none
to its HTTP sessions. Where a later client is built otherwise, it is left as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

_log: Final = logging.getLogger("qelectron")

#: Longest wait for a connection, and for a byte of an answer, in seconds.
CONNECT_S: Final = 10.0
ANSWER_S: Final = 120.0


class OnceAdapter(HTTPAdapter):
    """Makes each request once, and waits for its answer for a while only."""

    def __init__(self, answer_s: float = ANSWER_S) -> None:
        """Make an adapter.

        Args:
            answer_s: Longest wait for a byte of an answer, in seconds.
        """
        super().__init__(max_retries=0)
        self._timeout = (CONNECT_S, answer_s)

    def send(  # type: ignore[override]  # what is not named here is passed on
        self, request: PreparedRequest, **options: Any
    ) -> Response:
        """Make a request."""
        return super().send(request, **(options | {"timeout": self._timeout}))


def tame(service: Any) -> bool:
    """Let a service of IBM's client make each request once.

    Returns:
        Whether that could be done.
    """
    sessions = list(_sessions(service))
    for session in sessions:
        session.mount("https://", OnceAdapter())
        session.mount("http://", OnceAdapter())
    if not sessions:
        _log.warning(
            "this release of qiskit-ibm-runtime repeats requests by itself, submits "
            "among them, and cannot be told not to: a job may be submitted twice."
        )
    return bool(sessions)


def _sessions(service: Any) -> Iterator[Session]:
    """Yield the HTTP sessions of a service."""
    clients = dict(getattr(service, "_api_clients", None) or {})
    active = getattr(service, "_active_api_client", None)
    for client in (*clients.values(), active):
        session = getattr(client, "_session", None)
        if isinstance(session, Session):
            yield session

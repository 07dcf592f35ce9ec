"""How IBM's client makes its requests: once, and with an end to its patience.

The client repeats requests by itself, submits among them, for up to a quarter of a
minute each; behind a proxy it waits for answers without limit. A repeated submit can be
a second job, and each worker that waits keeps a thread from others. Where it gets no
bearer, it warns, and sends the API key itself. The core repeats what may be repeated,
for a whole account, and looks for a job before it sends it again.

This is the one module that reaches behind the client's public interface: there is none
to its HTTP sessions. Where a later client is built otherwise, it is left as it is.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Iterator
from typing import Any, Final

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

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
        if is_submit(request.method, request.url):
            _submits.sent = True
        return super().send(request, **(options | {"timeout": self._timeout}))


class BearerAuth(AuthBase):
    """Signs requests with a bearer, and makes none where there is none to be had."""

    def __init__(self, auth: Any) -> None:
        """Take the client's own way to sign."""
        self._auth = auth

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a request."""
        manager = self._auth.tm
        try:
            bearer = manager.get_token()
        except Exception:
            manager.request_time = 0  # else the next one waits for this for a minute
            raise
        request.headers["Service-CRN"] = self._auth.crn
        request.headers["Authorization"] = f"Bearer {bearer}"
        return request


class _Submits(threading.local):
    """Whether this thread has handed over a job, of which the answer may be lost."""

    sent: bool = False


_submits: Final = _Submits()


def is_submit(method: str | None, url: str | None) -> bool:
    """Tell whether a request is the one that hands over a job."""
    path = (url or "").partition("?")[0]
    return method == "POST" and path.rstrip("/").endswith("/jobs")


def forget_submit() -> None:
    """Begin to watch out for a submit by this thread."""
    _submits.sent = False


def has_submitted() -> bool:
    """Tell whether this thread has begun to hand over a job since then."""
    return _submits.sent


def tame(service: Any) -> bool:
    """Let a service of IBM's client make each request once.

    Returns:
        Whether that could be done.
    """
    clients = dict(getattr(service, "_api_clients", None) or {})
    active = getattr(service, "_active_api_client", None)
    sessions = list(_sessions(*clients.values(), active))
    for session in sessions:
        _tame(session)
    if not sessions:
        _log.warning(
            "this release of qiskit-ibm-runtime repeats requests by itself, submits "
            "among them, and cannot be told not to: a job may be submitted twice."
        )
    return bool(sessions)


def make_service(**account: Any) -> Any:
    """Return a service of IBM's client that makes each request once, the first too."""
    service = _tame_kind()(**account)
    tame(service)
    return service


@functools.cache
def _tame_kind() -> Any:
    from qiskit_ibm_runtime import QiskitRuntimeService

    class Service(QiskitRuntimeService):
        """A service that is tamed before it asks for its machines."""

        def _create_new_cloud_api_client(self, instance: str) -> Any:
            client = super()._create_new_cloud_api_client(instance)
            for session in _sessions(client):
                _tame(session)
            return client

        def _discover_backends_from_instance(self, instance: str) -> Any:
            tame(self)
            return super()._discover_backends_from_instance(instance)

    return Service


def _sessions(*clients: Any) -> Iterator[Session]:
    """Yield the HTTP sessions of clients."""
    for client in clients:
        session = getattr(client, "_session", None)
        if isinstance(session, Session):
            yield session


def _tame(session: Session) -> None:
    if not isinstance(session.get_adapter("https://"), OnceAdapter):
        session.mount("https://", OnceAdapter(ANSWER_S))
        session.mount("http://", OnceAdapter(ANSWER_S))
    if all(hasattr(session.auth, name) for name in ("tm", "crn")):
        session.auth = BearerAuth(session.auth)

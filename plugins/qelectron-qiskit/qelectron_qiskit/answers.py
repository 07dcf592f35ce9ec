"""What IBM's client raises, as what the core understands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from qelectron_core import (
    ConfigError,
    ExecutorError,
    QElectronError,
    RateLimitError,
    TransientError,
    UnknownJobError,
    retry_after_s,
)
from qelectron_core.secret import Secret

#: Codes of HTTP.
UNAUTHORIZED: Final = (401, 403)
NOT_FOUND: Final = 404
CONFLICT: Final = 409
TOO_MANY: Final = 429
SERVER_ERRORS: Final = 500

#: Longest part of an answer that is quoted, in characters.
_QUOTED: Final = 500


class Trouble:
    """A request that failed, as far as the chain of exceptions tells.

    Attributes:
        status: Code of HTTP, or `None` if there was no answer.
        method: `"GET"`, `"POST"` …, or `None` if no request is known.
        path: Path of the address that was asked.
        retry_after_s: Seconds that the answer asked to wait.
        connected: Whether a connection was made.
    """

    def __init__(self, error: BaseException) -> None:
        """Read an exception and those that led to it."""
        from requests.exceptions import ConnectTimeout, RequestException

        self.status: int | None = None
        self.method: str | None = None
        self.path = ""
        self.retry_after_s: float | None = None
        self.connected = True
        for each in _chain(error):
            code = getattr(each, "status_code", None)
            if self.status is None and isinstance(code, int) and code > 0:
                self.status = code
            if isinstance(each, RequestException):
                self._read(each)
            if isinstance(each, ConnectTimeout) or _is_not_connected(each):
                self.connected = False

    @property
    def is_submit(self) -> bool:
        """Whether it was the request that hands over a job."""
        return self.method == "POST" and self.path.rstrip("/").endswith("/jobs")

    def _read(self, error: Any) -> None:
        request = error.request or getattr(error.response, "request", None)
        if request is not None:
            self.method = request.method
            self.path = (request.url or "").partition("?")[0]
        if error.response is not None:
            self.status = error.response.status_code
            wait = error.response.headers.get("Retry-After")
            self.retry_after_s = retry_after_s(wait)


def translated(
    error: Exception, secret: Secret | None, *, submitting: bool = False
) -> Exception:
    """Return what the core is to be told of an error of IBM's client.

    Without the client's own exceptions, which hold requests, and these the token.

    Args:
        error: What the client raised.
        secret: The token, which no message may show.
        submitting: Whether a job was about to be submitted.
    """
    if isinstance(error, QElectronError):
        return error
    trouble = Trouble(error)
    said = _said(error, secret)
    if trouble.status in UNAUTHORIZED or _is_bad_account(error, trouble):
        return ExecutorError(
            f"IBM refused the token: {said}. Make a new one at quantum.cloud.ibm.com, "
            "and pass it as ibmqx_token= or in QISKIT_IBM_TOKEN."
        )
    if trouble.status is not None and trouble.status < SERVER_ERRORS:
        return _refused(trouble, said, submitting=submitting)
    if trouble.method is None:  # no request failed, but something of the client's
        return ConfigError(said) if submitting else ExecutorError(said)
    if submitting and (not trouble.is_submit or not trouble.connected):
        return TransientError(f"IBM: {said}", trouble.retry_after_s)
    return ConnectionError(f"IBM: {said}")


def _refused(trouble: Trouble, said: str, *, submitting: bool) -> Exception:
    """Return what an answer says that blames the request."""
    if trouble.status == TOO_MANY:
        return RateLimitError(f"IBM: {said}", trouble.retry_after_s)
    if trouble.status == NOT_FOUND and not submitting:
        return UnknownJobError(f"IBM knows no such job: {said}")
    return ExecutorError(f"IBM refused it: {said}")


def _is_bad_account(error: Exception, trouble: Trouble) -> bool:
    """Tell whether the service that gives out tokens does not know the account's."""
    status = trouble.status or SERVER_ERRORS
    return type(error).__name__ == "InvalidAccountError" and status < SERVER_ERRORS


def _said(error: Exception, secret: Secret | None) -> str:
    text = " ".join(str(error).strip("'\"").split())
    if len(text) > _QUOTED:
        text = f"{text[:_QUOTED]} …"
    text = text or type(error).__name__
    return (secret.hide_in(text) if secret is not None else text).rstrip(". ")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, what it was raised from, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_not_connected(error: BaseException) -> bool:
    from urllib3.exceptions import NewConnectionError

    reason = getattr(error, "reason", None)
    return isinstance(error, NewConnectionError) or isinstance(
        reason, NewConnectionError
    )

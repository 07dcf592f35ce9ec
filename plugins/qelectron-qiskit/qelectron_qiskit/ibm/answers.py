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
from qelectron_qiskit.ibm.hiding import hide
from qelectron_qiskit.ibm.http import has_submitted, is_submit

#: Codes of HTTP.
UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404
TIMED_OUT: Final = 408
TOO_MANY: Final = 429
SERVER_ERRORS: Final = 500

#: Longest part of an answer that is quoted, in characters.
_QUOTED: Final = 500


class Trouble:
    """A request that failed, as far as the chain of exceptions tells.

    Attributes:
        failed: Whether a request failed at all, and nothing of the client's own.
        status: Code of HTTP, or `None` if there was no answer.
        method: `"GET"`, `"POST"` …, or `None` if no request is known.
        url: The address that was asked.
        retry_after_s: Seconds that the answer asked to wait.
        connected: Whether a connection was made.
    """

    def __init__(self, error: BaseException) -> None:
        """Read an exception and those that led to it."""
        from requests.exceptions import ConnectTimeout, RequestException

        self.failed = False
        self.status: int | None = None
        self.method: str | None = None
        self.url = ""
        self.retry_after_s: float | None = None
        self.connected = True
        for each in _chain(error):
            code = getattr(each, "status_code", None)
            if self.status is None and isinstance(code, int) and code > 0:
                self.status = code
            if isinstance(each, RequestException):
                # One whose answer was cut off, or is no JSON, names no request.
                self.failed = True
                self._read(each.request, each.response)
            answer = getattr(each, "http_response", None)
            if answer is not None:  # of IBM's other client, which gets the bearers
                self._read(None, answer)
            if isinstance(each, ConnectTimeout) or _is_not_connected(each):
                self.connected = False
        self.failed = self.failed or self.status is not None

    @property
    def is_submit(self) -> bool:
        """Whether it was the request that hands over a job."""
        return is_submit(self.method, self.url)

    @property
    def is_login(self) -> bool:
        """Whether it was the request that trades the token for a bearer."""
        return self.url.partition("?")[0].endswith("/identity/token")

    @property
    def is_refusal(self) -> bool:
        """Whether IBM answered that it does not do what it was asked for."""
        status = self.status
        return status is not None and status < SERVER_ERRORS and status != TIMED_OUT

    def _read(self, request: Any, response: Any) -> None:
        request = request or getattr(response, "request", None)
        if request is not None:
            self.method, self.url = request.method, request.url or ""
        if response is not None:
            self.status = response.status_code
            self.retry_after_s = retry_after_s(response.headers.get("Retry-After"))


def translated(
    error: Exception, secret: Secret | None, *, submitting: bool = False
) -> Exception:
    """Return what the core is to be told of an error of IBM's client.

    Args:
        error: What the client raised.
        secret: The token, which no message may show.
        submitting: Whether a job was about to be submitted.
    """
    if isinstance(error, QElectronError):
        return error
    trouble, said = Trouble(error), _said(error, secret)
    sent = submitting and (trouble.is_submit or has_submitted())
    if sent and not (trouble.is_submit and trouble.is_refusal) and trouble.connected:
        return ConnectionError(f"IBM: {said}")  # nobody knows what became of it
    if _is_bad_token(error, trouble):
        return ExecutorError(
            f"IBM refused the token: {said}. Make a new one at quantum.cloud.ibm.com, "
            "and pass it as ibmqx_token= or in QISKIT_IBM_TOKEN."
        )
    if trouble.is_refusal:
        return _refused(trouble, said, submitting=submitting)
    if not trouble.failed:  # no request, but something of the client's
        return ConfigError(said) if submitting else ExecutorError(said)
    return _unanswered(trouble, said, submitting=submitting)


def _unanswered(trouble: Trouble, said: str, *, submitting: bool) -> Exception:
    """Return what may be asked again; of a submit, as it was not yet sent."""
    if submitting:
        return TransientError(f"IBM: {said}", trouble.retry_after_s)
    return ConnectionError(f"IBM: {said}")


def _refused(trouble: Trouble, said: str, *, submitting: bool) -> Exception:
    """Return what an answer says that blames the request."""
    if trouble.status == TOO_MANY:
        return RateLimitError(f"IBM: {said}", trouble.retry_after_s)
    if trouble.status == NOT_FOUND and not submitting:
        return UnknownJobError(f"IBM knows no such job: {said}")
    return ExecutorError(f"IBM refused it: {said}")


def _is_bad_token(error: Exception, trouble: Trouble) -> bool:
    """Tell whether IBM does not take the token, or the bearer it was traded for."""
    if trouble.status == UNAUTHORIZED:
        return True
    at_login = trouble.is_login or type(error).__name__ == "InvalidAccountError"
    return at_login and trouble.is_refusal and trouble.status != TOO_MANY


def _said(error: Exception, secret: Secret | None) -> str:
    text = " ".join(hide(str(error), secret).split())
    if text[:1] == text[-1:] and text[:1] in ("'", '"'):  # Qiskit quotes what it says
        text = text[1:-1]
    if len(text) > _QUOTED:
        text = f"{text[:_QUOTED]} …"
    return (text or type(error).__name__).rstrip(". ")


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

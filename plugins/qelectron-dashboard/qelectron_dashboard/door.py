"""Who may come in: the browser that was given the link, and no page of another site.

A server on 127.0.0.1 can be reached by every program of the machine and, through the
browser, by every page that its user has open. So each request must name this server
(another name that resolves to it is a rebinding attack), come from its own pages, and
bring the session that the link was exchanged for. The link works once, because links
are kept in histories and shown in lists of processes.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Names by which this server is reached.
_NAMES: Final = ("127.0.0.1", "localhost")
#: Seconds that a session lasts in a browser, which is longer than servers run.
_LASTS_S: Final = 30 * 86400
_REFUSED: Final = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>qelectron</title>
<body style="font: 1.1rem/1.6 system-ui, sans-serif; max-width: 34rem;
margin: 15vh auto; padding: 0 1rem">
<h1 style="font-size: 1.4rem">This page is not open to you</h1>
<p>{why}</p></body></html>"""
_NO_SESSION: Final = (
    "The link that <code>qelectron dashboard</code> prints opens it, once. "
    "If it was used, stop the command with Ctrl-C and start it again."
)
_OTHER_SITE: Final = "It was asked for by another site or under another name."

_ALWAYS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Door:
    """Decides about every request and every socket.

    Args:
        port: Where the server listens.

    Attributes:
        link: The address that opens the dashboard, once.
    """

    def __init__(self, port: int) -> None:
        self._token: str | None = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        # Cookies know no ports, so that two dashboards would take each other's.
        self._cookie = f"qelectron-{port}"
        self._hosts = frozenset(f"{name}:{port}" for name in _NAMES)
        self._origins = frozenset(f"http://{host}" for host in self._hosts)
        sockets = " ".join(f"ws://{host}" for host in sorted(self._hosts))
        # The framework makes its pages with inline scripts; nothing else may load.
        self._policy = (
            "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
            "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
            f"font-src 'self' data:; connect-src 'self' {sockets}; object-src 'none'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        self.link = f"http://{_NAMES[0]}:{port}/?token={self._token}"

    def guard(self, app: ASGIApp) -> ASGIApp:
        """Return an app that lets through only what may come in."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await app(scope, receive, send)
                return
            answer = self._answer(scope)
            if answer is None:
                await app(scope, receive, self._adding_headers(send))
            elif scope["type"] == "http":
                await answer(scope, receive, self._adding_headers(send))
            else:
                await send({"type": "websocket.close", "code": 1008})

        return guarded

    def _answer(self, scope: Scope) -> Response | None:
        """Return what is answered instead of the page, or `None` to let it through."""
        headers = _headers(scope)
        if not self._is_addressed(headers) or not self._is_own(scope, headers):
            return _refusal(HTTPStatus.FORBIDDEN, _OTHER_SITE)
        if self._has_session(headers):
            return None
        if scope["type"] == "http" and self._takes_token(scope):
            return self._admission()
        return _refusal(HTTPStatus.UNAUTHORIZED, _NO_SESSION)

    def _is_addressed(self, headers: Mapping[str, str]) -> bool:
        return headers.get("host", "").lower() in self._hosts

    def _is_own(self, scope: Scope, headers: Mapping[str, str]) -> bool:
        """Tell whether no page of another site asks."""
        origin = headers.get("origin")
        if origin is not None or scope["type"] == "websocket":
            return origin in self._origins
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return True
        # A link that was clicked elsewhere, such as in a terminal of a notebook.
        return headers.get("sec-fetch-mode") == "navigate" and scope["method"] == "GET"

    def _has_session(self, headers: Mapping[str, str]) -> bool:
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return morsel is not None and _equal(morsel.value, self._session)

    def _takes_token(self, scope: Scope) -> bool:
        """Tell whether a request brings the token, which then is used up."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        is_right = self._token is not None and _equal(given, self._token)
        if is_right:
            self._token = None
        return is_right

    def _admission(self) -> Response:
        response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        response.set_cookie(
            self._cookie,
            self._session,
            max_age=_LASTS_S,
            httponly=True,
            samesite="strict",
        )
        return response

    def _adding_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update({**_ALWAYS, "Content-Security-Policy": self._policy})
                if headers.get("content-type", "").startswith("text/html"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        return sending


def _headers(scope: Scope) -> dict[str, str]:
    """Return headers by name; one that is there twice is right in nothing."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in found:
            joint = "; " if name == "cookie" else ", "
            value = f"{found[name]}{joint}{value}"
        found[name] = value
    return found


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _refusal(status: HTTPStatus, why: str) -> Response:
    return HTMLResponse(_REFUSED.format(why=why), status)

"""Who may come in: only the browser that was given the link, from its own pages."""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from email.message import Message
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from dashboard_browser import Dashboard, dashboard_of

from qelectron_dashboard.door import Door
from qelectron_sqlite.store import SqliteStore


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    store = tmp_path_factory.mktemp("door") / "store.sqlite3"
    SqliteStore(store).close()
    with dashboard_of(store) as dashboard:
        yield dashboard


@pytest.fixture(scope="module")
def cookie(dashboard: Dashboard) -> str:
    """Use the link; return the cookie that it was exchanged for."""
    answer = ask(dashboard, dashboard.link.removeprefix(dashboard.address))
    assert answer.status == 303
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert "SameSite=strict" in answer.headers["Set-Cookie"]
    return answer.headers["Set-Cookie"].partition(";")[0]


@attrs.frozen
class Answer:
    """What the dashboard answers."""

    status: int
    headers: Message
    text: str


def ask(dashboard: Dashboard, path: str, method: str = "GET", **headers: str) -> Answer:
    """Ask for a page as a program would that sends what it likes."""
    place = dashboard.address.removeprefix("http://")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(http.client.HTTPConnection(place, timeout=20)) as connection:
        connection.request(method, path, headers={"Host": place} | named)
        with connection.getresponse() as answer:
            return Answer(answer.status, answer.headers, answer.read().decode())


def shakes_hands(dashboard: Dashboard, cookie: str, origin: str | None) -> str:
    """Ask for a socket, and return the first line of the answer."""
    place = dashboard.address.removeprefix("http://")
    host, _, port = place.partition(":")
    lines = [
        "GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1",
        f"Host: {place}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
        f"Cookie: {cookie}",
        *([] if origin is None else [f"Origin: {origin}"]),
    ]
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection.recv(4096).decode("latin-1").partition("\r\n")[0]


def test_the_link_works_once(dashboard: Dashboard, cookie: str) -> None:
    path = dashboard.link.removeprefix(dashboard.address)
    assert ask(dashboard, path).status == 401
    answer = ask(dashboard, "/", Cookie=cookie)
    assert answer.status == 200
    assert path.partition("=")[2] not in answer.text


def test_without_the_link_nothing_is_shown(dashboard: Dashboard, cookie: str) -> None:
    name = cookie.partition("=")[0]
    for path in (
        "/",
        "/?token=",
        "/?token=wrong",
        "/settings",
        "/_nicegui/auto/static",
    ):
        for other in ("", f"{name}=", f"{name}=wrong", "a=b; ;;="):
            answer = ask(dashboard, path, Cookie=other)
            assert answer.status == 401
            assert "qelectron dashboard" in answer.text


def test_other_names_of_this_machine_are_refused(
    dashboard: Dashboard, cookie: str
) -> None:
    port = dashboard.address.rpartition(":")[2]
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "",
    ):
        assert ask(dashboard, "/", Cookie=cookie, Host=host).status in (400, 403)
    assert ask(dashboard, "/", Cookie=cookie, Host=f"localhost:{port}").status == 200


def test_requests_of_other_sites_are_refused(dashboard: Dashboard, cookie: str) -> None:
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        for method in ("GET", "POST", "OPTIONS"):
            asked = ask(dashboard, "/", method, Cookie=cookie, Origin=origin)
            assert asked.status == 403
            assert "Access-Control-Allow-Origin" not in asked.headers
    embedded = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}
    assert ask(dashboard, "/", Cookie=cookie, **embedded).status == 403


def test_sockets_are_for_its_own_pages(dashboard: Dashboard, cookie: str) -> None:
    assert "101" in shakes_hands(dashboard, cookie, dashboard.address)
    for origin in (None, "null", "https://evil.example", "http://127.0.0.1:1"):
        assert "403" in shakes_hands(dashboard, cookie, origin)
    assert "403" in shakes_hands(dashboard, "", dashboard.address)


def test_pages_load_from_nowhere_else_and_are_not_framed(
    dashboard: Dashboard, cookie: str
) -> None:
    answer = ask(dashboard, "/", Cookie=cookie)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    hosts = set(re.findall(r"[a-z]+://([^ ;]+)", policy))
    port = dashboard.address.rpartition(":")[2]
    assert hosts == {f"127.0.0.1:{port}", f"localhost:{port}"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_only_this_machine_reaches_it(dashboard: Dashboard) -> None:
    port = int(dashboard.address.rpartition(":")[2])
    with socket.socket() as taken:  # what listens on all addresses leaves none
        taken.bind(("127.0.0.2", port))


# --- Any request ----------------------------------------------------------------------


def reaches(door: Door, scope: dict[str, Any]) -> bool:
    """Tell whether a request gets through a door."""
    let_through = []

    async def app(*_: Any) -> None:
        let_through.append(True)

    async def send(_: Any) -> None: ...

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def ask_it() -> None:
        await door.guard(app)(scope, receive, send)

    asyncio.run(ask_it())
    return bool(let_through)


_TEXTS = st.text(
    st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=40
)
_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["host", "Host", "origin", "cookie", "sec-fetch-site", "x"]),
        _TEXTS | st.sampled_from(["127.0.0.1:8266", "http://127.0.0.1:8266"]),
    ),
    max_size=6,
)


@given(
    headers=_HEADERS,
    query=_TEXTS,
    kind=st.sampled_from(["http", "websocket"]),
    method=st.sampled_from(["GET", "POST", "HEAD"]),
)
def test_no_request_gets_through_without_the_session(
    headers: list[tuple[str, str]], query: str, kind: str, method: str
) -> None:
    scope = {
        "type": kind,
        "method": method,
        "path": "/",
        "query_string": query.encode("latin-1"),
        "headers": [(n.encode(), value.encode("latin-1")) for n, value in headers],
    }
    assert not reaches(Door(8266), scope)

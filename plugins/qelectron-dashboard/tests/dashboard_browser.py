"""A dashboard that runs as users run it, and a browser that looks at it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

#: Debian's, or what else is installed; a downloaded one is not needed.
CHROMIUM: Final = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
#: Without these, the browser itself asks its maker's servers when it starts.
_ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_LINK: Final = re.compile(r"http://127\.0\.0\.1:\d+/\?token=\S+")
_ENDS_IN_S: Final = 60
_WAITS_MS: Final = 20_000


def needs_browser() -> None:
    """Skip the tests of a module where no browser can be driven."""
    pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium", allow_module_level=True)


@attrs.frozen
class Dashboard:
    """A dashboard that runs in a process of its own.

    Attributes:
        link: The address that opens it, once.
        address: Where it is.
        process: Its process.
    """

    link: str
    address: str
    process: subprocess.Popen[str]


@contextmanager
def dashboard_of(store: Path, **environment: str) -> Iterator[Dashboard]:
    """Run `qelectron dashboard` for as long as the block runs; Ctrl-C ends it."""
    run = "from qelectron_core.cli import main; main()"
    command = [sys.executable, "-c", run, "dashboard"]
    command += ["--no-browser", "--port", "0", "--store", str(store)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        while (match := _LINK.search(said)) is None:
            line = process.stdout.readline()
            assert line, f"it ended: {said}"
            said += line
        link = match[0]
        yield Dashboard(link, link.partition("/?")[0], process)
    finally:
        if process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_ENDS_IN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


#: The one that runs, if one does: there can be only one in a thread.
_running: list[Any] = []


@contextmanager
def _playwright() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    if _running:
        yield _running[0]
        return
    with sync_playwright() as playwright:
        _running.append(playwright)
        try:
            yield playwright
        finally:
            _running.clear()


@contextmanager
def browser(folder: Path, **options: Any) -> Iterator[Any]:
    """Open a browser; give its context, which remembers sessions and all requests."""
    with _playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder,
            executable_path=CHROMIUM,
            headless=True,
            args=[*_ARGUMENTS],
            **{"viewport": {"width": 1280, "height": 860}} | options,
        )
        context.set_default_timeout(_WAITS_MS)
        try:
            yield context
        finally:
            context.close()


@attrs.frozen
class Seen:
    """What a browser did that looked at a dashboard.

    Attributes:
        page: The page, as Playwright drives it.
        dashboard: What it looks at.
        requests: The address of each request.
        complaints: What scripts complained about.
    """

    page: Any
    dashboard: Dashboard
    requests: list[str] = attrs.field(factory=list)
    complaints: list[str] = attrs.field(factory=list)

    def open(self, path: str) -> Any:
        """Open a page of the dashboard, and return it once it can be used."""
        self.page.goto(f"{self.dashboard.address}{path}")
        self.page.wait_for_function("window.did_handshake")
        return self.page

    def check(self) -> None:
        """Check that nothing was asked of another machine, and no script failed."""
        mine = (self.dashboard.address, "data:", "blob:", "about:")
        strange = [url for url in self.requests if not url.startswith(mine)]
        assert not strange
        assert not self.complaints


@contextmanager
def looking_at(store: Path, folder: Path, **options: Any) -> Iterator[Seen]:
    """Open the dashboard of a store in a browser, with the link that is printed."""
    with dashboard_of(store) as dashboard, browser(folder, **options) as context:
        page = context.pages[0]
        seen = Seen(page, dashboard)
        context.on("request", lambda request: seen.requests.append(request.url))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.on("console", lambda said: _note(seen, said))
        page.goto(dashboard.link)
        yield seen
        seen.check()


def _note(seen: Seen, said: Any) -> None:
    if said.type == "error":
        seen.complaints.append(said.text)

"""A plugin for a vendor of remote jobs and tokens, and the vendor, in its own process.

The vendor is a `FakeCloud` whose clock can be put forward, so that its jobs take as
long as a test likes, and no longer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any, Final

import attrs

import qelectron_core as ct
from qelectron_core.testing import FakeCloud

#: Seconds that a job takes, unless the clock is put forward.
JOB_S: Final = 3600.0
_KEY: Final = b"acme"
_HERE: Final = Path(__file__).parent
_INSTALLED: Final = {
    "METADATA": "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n",
    "entry_points.txt": "[qelectron]\nacme = dashboard_acme\n",
}
_PROGRAM: Final = """
import time
import pennylane as qml
import qelectron_core as ct
from dashboard_acme import Acme

@ct.qelectron(executors=Acme(port={port}), store={store!r})
@qml.qnode(qml.device("default.qubit", wires=1))
def turn(x):
    qml.RX(x, wires=0)
    return qml.expval(qml.Z(0))

for _ in range({jobs}):
    future = turn.run_later(0.3)
    while not future.handles:
        time.sleep(0.01)
    print(future.id, *future.handles, flush=True)
time.sleep(600)
"""


@attrs.frozen
class Acme(ct.RemoteExecutor):
    """Run circuits at the vendor of another process.

    Attributes:
        port: Where it is.
        speed: How fast
            it is.
        token: What opens it.
    """

    port: int = 0
    speed: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    token: ct.Secret | None = attrs.field(default=None, repr=False)

    @property
    def polling(self) -> ct.Polling:
        return ct.Polling(first_s=0.05, longest_s=0.1)

    def submit(self, job: ct.Job) -> str:
        return str(ask(self.port, "submit", job))

    def status(self, handle: ct.Handle) -> Any:
        return ask(self.port, "status", handle.id)

    def fetch(self, handle: ct.Handle) -> Any:
        return ask(self.port, "fetch", handle.id)

    def cancel(self, handle: ct.Handle) -> None:
        ask(self.port, "cancel", handle.id)


@attrs.frozen
class AcmeTokens(ct.VendorTokens):
    """Describes tokens of the vendor, which quotes them in all it says."""

    def check(self, token: ct.Secret) -> str:
        text = token.reveal()
        if not text.startswith("good"):
            raise ValueError(f"401: {text} is unknown")
        return f"Acme takes {text}."


TOKENS: Final = AcmeTokens(variables=("ACME_TOKEN",), page="https://acme.example")


@ct.hookimpl
def qelectron_register_executors(register: ct.Register) -> None:
    register("Acme", Acme)


@ct.hookimpl
def qelectron_register_tokens(register: ct.Register) -> None:
    register("acme", TOKENS)


def install(folder: Path) -> str:
    """Install the plugin; return the `PYTHONPATH` of programs that are to have it."""
    info = folder / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    for name, text in _INSTALLED.items():
        (info / name).write_text(text)
    return os.pathsep.join([str(folder), str(_HERE)])


def ask(port: int, *request: Any) -> Any:
    """Send a request to the vendor, and return, or raise, the answer."""
    with Client(("127.0.0.1", port), authkey=_KEY) as line:
        line.send(request)
        is_good, answer = line.recv()
    if not is_good:
        raise answer
    return answer


@contextmanager
def vendor(path: str) -> Iterator[int]:
    """Start the vendor; yield the port on which it is asked."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import dashboard_acme; dashboard_acme.serve()"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@contextmanager
def program(
    store: Path, port: int, path: str, jobs: int = 1
) -> Iterator[list[tuple[str, str]]]:
    """Run a program that waits for jobs, and kill it in the end.

    Yields, per job, the id of its call, and what the vendor calls it.
    """
    source = _PROGRAM.format(port=port, store=str(store), jobs=jobs)
    process = subprocess.Popen(
        [sys.executable, "-c", source],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _ in range(jobs)]
        yield [(call_id, handle) for call_id, handle in lines]
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


class _Loop(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward."""

    ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s


class _Desk:
    """Where the vendor is asked, one request after the other."""

    def __init__(self) -> None:
        self._vendor = FakeCloud(name="acme", latency_s=JOB_S).vendor
        self._jobs: dict[str, ct.Job] = {}
        self._loop = _Loop()

    def answered(self, method: str, *args: Any) -> tuple[bool, Any]:
        try:
            return True, getattr(self, method)(*args)
        except Exception as error:
            return False, error

    def submit(self, job: ct.Job) -> str:
        handle = self._loop.run_until_complete(self._vendor.submit(job))
        self._jobs[handle] = job
        return handle

    def status(self, handle: str) -> Any:
        return self._ask("status", handle)

    def fetch(self, handle: str) -> Any:
        return self._ask("fetch", handle)

    def cancel(self, handle: str) -> None:
        self._ask("cancel", handle)

    def put_forward(self) -> None:
        """Let all jobs end."""
        self._loop.ahead_s += JOB_S

    def cancelled(self) -> int:
        """Return how many jobs were cancelled."""
        return self._vendor.cancelled

    def submitted(self) -> int:
        """Return how many jobs were submitted."""
        return self._vendor.submitted

    def _ask(self, method: str, handle: str) -> Any:
        about = ct.Handle(handle, self._jobs[handle])
        return self._loop.run_until_complete(getattr(self._vendor, method)(about))


def serve() -> None:
    """Be the vendor, for ever."""
    desk = _Desk()
    with Listener(("127.0.0.1", 0), backlog=128, authkey=_KEY) as listener:
        print(listener.address[1], flush=True)
        while True:
            with suppress(OSError, EOFError), listener.accept() as line:
                line.send(desk.answered(*line.recv()))

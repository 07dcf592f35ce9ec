"""A vendor in a process of its own, which counts what it is sent."""

import asyncio
import os
import random
import secrets
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from typing import Any, Final

import attrs

import qelectron_core as ct
from qelectron_core.testing import FakeCloud

#: Most seconds that a submit lingers before it reaches the vendor, and after.
LINGER_S: Final = 0.03

_KEY: Final = secrets.token_bytes(16)
_LOST: Final = (OSError, EOFError, AuthenticationError)


class Death:
    """When a process is to die, by its own hand: "asking", "answered", or never."""

    moment = ""


class Desk:
    """Where a vendor is asked; one request after the other, in the order they come.

    So a request of a process that died came before all of those that followed it.
    """

    def __init__(self) -> None:
        self._vendor = FakeCloud(name="crash", latency_s=0.02, jitter_s=0.08).vendor
        self._jobs: dict[str, ct.Job] = {}
        self._submits: Counter[float] = Counter()
        self._loop = asyncio.new_event_loop()

    def serve(self, listener: Listener) -> None:
        """Answer requests for ever."""
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        while True:
            with suppress(*_LOST), listener.accept() as line:
                line.send(self._answered(*line.recv()))

    def _answered(self, method: str, *args: Any) -> tuple[bool, Any]:
        try:
            return True, getattr(self, method)(*args)
        except Exception as error:
            return False, error

    def submit(self, job: ct.Job) -> str:
        """Accept a job, and count its circuits."""
        self._submits.update(_number(circuit) for circuit in job.circuits)
        vendor_id: str = self._wait(self._vendor.submit(job))
        self._jobs[vendor_id] = job
        return vendor_id

    def ask(self, method: str, vendor_id: str) -> Any:
        """Ask about a job, or cancel it."""
        handle = ct.Handle(vendor_id, self._jobs[vendor_id])
        return self._wait(getattr(self._vendor, method)(handle))

    def find(self, job: ct.Job) -> str | None:
        """Tell whether a job arrived."""
        found: str | None = self._wait(self._vendor.find(job))
        return found

    def counts(self) -> tuple[Counter[float], set[str]]:
        """Return how often each circuit was submitted, and the tags of all jobs."""
        return self._submits, {job.id for job in self._jobs.values()}

    def _wait(self, answer: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(answer, self._loop).result()


def _number(circuit: Any) -> float:
    return float(circuit.get_parameters(trainable_only=False)[0])


@attrs.frozen
class Cloud(ct.RemoteExecutor):
    """Runs circuits at the vendor of another process."""

    port: int = 0
    findable: bool = True

    @property
    def polling(self) -> ct.Polling:
        return ct.Polling(first_s=0.02, longest_s=0.2, give_up_s=10)

    def submit(self, job: ct.Job) -> str:
        _linger("asking")
        vendor_id: str = self.ask("submit", job)
        _linger("answered")
        return vendor_id

    def status(self, handle: ct.Handle) -> Any:
        return self.ask("ask", "status", handle.id)

    def fetch(self, handle: ct.Handle) -> Any:
        return self.ask("ask", "fetch", handle.id)

    def cancel(self, handle: ct.Handle) -> None:
        self.ask("ask", "cancel", handle.id)

    def find(self, job: ct.Job) -> str | None:
        if not self.findable:
            raise NotImplementedError
        found: str | None = self.ask("find", job)
        return found

    def ask(self, *request: Any) -> Any:
        """Send a request, and return, or raise, the answer."""
        try:
            with Client(("127.0.0.1", self.port), authkey=_KEY) as line:
                line.send(request)
                is_good, answer = line.recv()
        except EOFError as error:
            raise ConnectionError("the vendor hung up") from error
        if not is_good:
            raise answer
        return answer


def _linger(moment: str) -> None:
    if moment == Death.moment:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(random.uniform(0, LINGER_S))


@contextmanager
def vendor() -> Iterator[int]:
    """Start a vendor; yield the port on which it is asked."""
    with Listener(("127.0.0.1", 0), backlog=128, authkey=_KEY) as listener:
        port = listener.address[1]
        pid = fork(lambda: Desk().serve(listener))
    try:
        yield port
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def fork(run: Callable[[], object]) -> int:
    """Run a function in a child process; return its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        run()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)

"""What the crash tests run: a vendor in its own process, and programs that are killed.

Run by `test_qelectron_sqlite_crashes.py`, as a process of its own without threads,
from which all others are forked: importing PennyLane in each would take too long. It
prints what came of it as JSON.
"""

import asyncio
import logging
import os
import random
import secrets
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any, Final

import attrs
import pennylane as qml

import qelectron_core as ct
import qelectron_sqlite.store  # noqa: F401  # so that no child imports it
from qelectron_core.testing import FakeCloud

PROCESSES: Final = 8
#: Circuits that are new in each round.
NEW: Final = 40
#: Most seconds that a process lives in a round.
LIFE_S: Final = 1.2
#: Most seconds that a submit lingers before it reaches the vendor, and after.
LINGER_S: Final = 0.04

_KEY: Final = secrets.token_bytes(16)
_LOST: Final = (OSError, EOFError, AuthenticationError)
#: When this process is to die: "asking" or "answered", or empty for never.
_moment = ""


# --- The vendor -----------------------------------------------------------------------


class Desk:
    """Where a vendor is asked; one request after the other, in the order they come.

    So a request of a process that died came before all of those that followed it.
    """

    def __init__(self) -> None:
        self._vendor = FakeCloud(name="crash", latency_s=0.02, jitter_s=0.2).vendor
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
    if moment == _moment:
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


# --- The programs ---------------------------------------------------------------------


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


@attrs.frozen
class Program:
    """What every process runs, in any order: some circuits, each wanted once.

    Attributes:
        folder: Where the store is, and what the processes tell of themselves.
        cloud: What runs the circuits.
    """

    folder: Path
    cloud: Cloud

    @property
    def store(self) -> Path:
        """The file that all processes share."""
        return self.folder / "store.sqlite3"

    def run(self, numbers: Sequence[float], seed: str) -> None:
        """Get the results of circuits, in ways and in an order drawn from a seed."""
        random.seed(seed)
        logging.getLogger("qelectron").addHandler(_Complaints(self.folder))
        electron, rest = self.electron(), random.sample(numbers, len(numbers))
        while rest:
            some = [rest.pop() for _ in range(min(len(rest), random.randint(1, 6)))]
            random.choice((self.call, self.map, self.later))(electron, some)
        ct.shutdown()  # which waits for what is later, too

    def electron(self) -> ct.QElectron:
        """Return the circuit that all processes run."""

        def turn(x: float) -> Any:
            qml.RX(x, wires=0)
            return qml.expval(qml.Z(0))

        qnode = qml.QNode(turn, qml.device("default.qubit", wires=1))
        return ct.qelectron(qnode, executors=self.cloud, cache=True, store=self.store)

    def call(self, electron: ct.QElectron, numbers: Sequence[float]) -> None:
        """Call it for each."""
        for number in numbers:
            self.tell(number, electron(number))

    def map(self, electron: ct.QElectron, numbers: Sequence[float]) -> None:
        """Call it for all at once."""
        for number, value in zip(numbers, electron.map(numbers), strict=True):
            self.tell(number, value)

    def later(self, electron: ct.QElectron, numbers: Sequence[float]) -> None:
        """Start it for each, and tell of each as soon as it is there."""
        futures = [electron.run_later(number) for number in numbers]
        for number, future in zip(numbers, futures, strict=True):
            future.add_done_callback(
                lambda f, number=number: self.tell(number, f.result())
            )
        ct.gather(futures)

    def tell(self, number: float, value: Any) -> None:
        """Write down that this process has a result, for good."""
        _append(self.folder / "told", f"{number!r} {float(value)!r}")

    def told(self) -> list[tuple[float, float]]:
        """Return all results that any process had."""
        lines = (self.folder / "told").read_text().splitlines()
        return [(float(a), float(b)) for a, _, b in (x.partition(" ") for x in lines)]


class _Complaints(logging.Handler):
    """Writes down what should not be: a store that failed, for one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(logging.ERROR)
        self._path = folder / "complaints"

    def emit(self, record: logging.LogRecord) -> None:
        _append(self._path, self.format(record).replace("\n", " | "))


def _append(path: Path, line: str) -> None:
    """Add a line, whole or not at all, whoever else does."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{line}\n".encode())
    os.close(file)

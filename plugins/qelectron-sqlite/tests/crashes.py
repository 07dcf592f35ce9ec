"""What the crash tests run: a vendor in its own process, and programs that are killed.

Run by `test_qelectron_sqlite_crashes.py`, as a process of its own without threads,
from which all others are forked: importing PennyLane in each would take too long. It
prints what came of it as JSON.
"""

import json
import logging
import math
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import pennylane as qml
from crash_vendor import Cloud, Death, fork, vendor

import qelectron_core as ct
import qelectron_sqlite.store  # noqa: F401  # so that no child imports it
from qelectron_core.registry import registry

PROCESSES: Final = 8
#: Circuits that are new in each round.
NEW: Final = 24
#: Most seconds that a process lives in a round.
LIFE_S: Final = 2.0

_WANTING: Final = """
    SELECT count(*) FROM job_circuits WHERE NOT EXISTS
        (SELECT 1 FROM results WHERE pool = json_extract(key, '$[0]'))
"""


# --- The programs ---------------------------------------------------------------------


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
        electron, rest = self.electron(), random.sample(numbers, len(numbers))
        while rest:
            some = [rest.pop() for _ in range(min(len(rest), random.randint(1, 6)))]
            random.choice((self.call, self.map, self.later))(electron, some)
        ct.shutdown()

    def run_at_once(self, numbers: Sequence[float]) -> None:
        """Get the results of circuits the quickest way."""
        self.map(self.electron(), numbers)
        ct.shutdown()

    def electron(self) -> ct.QElectron:
        """Return the circuit that all processes run, with an ear for complaints."""
        logging.getLogger("qelectron").addHandler(_Complaints(self.folder))

        def turn(x: float) -> Any:
            qml.RX(x, wires=0)
            return qml.expval(qml.Z(0))

        qnode = qml.QNode(turn, qml.device("default.qubit", wires=1))
        electron: ct.QElectron = ct.qelectron(
            qnode, executors=self.cloud, cache=True, store=self.store
        )
        return electron

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
            future.add_done_callback(partial(self.tell_of, number))
        ct.gather(futures)

    def tell(self, number: float, value: Any) -> None:
        """Write down that this process has a result, for good."""
        _append(self.folder / "told", f"{number!r} {float(value)!r}")

    def tell_of(self, number: float, future: ct.QFuture) -> None:
        """Write down that this process has the result of a future."""
        self.tell(number, future.result())

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


# --- What is done to them -------------------------------------------------------------


class Rounds:
    """Lets programs be killed, round after round, and sees what came of it."""

    def __init__(self, program: Program, seed: int) -> None:
        self._program = program
        self._random = random.Random(seed)
        self._left: dict[str, str | None] = {}  # as first seen
        self.seen: Counter[str] = Counter(killed=0, failed=0, corrupt=0)

    def play(self, rounds: int) -> None:
        """Kill programs that run new circuits, and old ones, round after round."""
        for number in range(rounds):
            self._play(number)
            self._look()
            self._left = dict(self._open_jobs()) | self._left

    def end(self, rounds: int) -> dict[str, Any]:
        """Run everything to its end, twice; return what came of all."""
        everything = _numbers(0, rounds)
        finished = {number for number, _ in self._program.told()}
        submits = [self._counts()[0]]
        for _ in range(2):
            pid = fork(lambda: self._program.run_at_once(everything))
            self._note(os.waitpid(pid, 0)[1])
            submits.append(self._counts()[0])
        self._look()
        told = self._program.told()
        unknown = {job for job, handle in self._left.items() if handle is None}
        arrived = self._counts()[1]
        return {
            **self.seen,
            "left jobs": len(self._left),
            "left without a handle, arrived": len(unknown & arrived),
            "left without a handle, not arrived": len(unknown - arrived),
            "circuits": len(everything),
            "told before the end": len(finished),
            "told": len({number for number, _ in told}),
            "wrong": [t for t in told if not math.isclose(t[1], math.cos(t[0]))],
            "submitted": len(submits[1]),
            "submitted twice": [n for n, times in submits[2].items() if times > 1],
            "run again": [n for n in finished if submits[1][n] > submits[0][n]],
            "submitted in the end": submits[2].total() - submits[1].total(),
            "complaints": _lines(self._program.folder / "complaints"),
            "jobs": len(self._open_jobs()),
            "wanting": self._wanting(),
        }

    def _play(self, number: int) -> None:
        start, old = time.monotonic(), _numbers(0, number)
        numbers = _numbers(number, number + 1)
        numbers += self._random.sample(old, min(NEW, len(old)))
        alive: list[tuple[float, int]] = []
        alike = str(self._random.random())
        for which in range(PROCESSES):
            # Half of them run alike, so that they want the same at the same time.
            seed = alike if which % 2 else str(self._random.random())
            pid = fork(partial(self._program.run, numbers, seed))
            alive.append((start + self._random.uniform(0, LIFE_S), pid))
        for moment, pid in sorted(alive):
            time.sleep(max(0.0, moment - time.monotonic()))
            os.kill(pid, signal.SIGKILL)
            self._note(os.waitpid(pid, 0)[1])

    def _note(self, status: int) -> None:
        if os.WIFSIGNALED(status):
            self.seen["killed"] += 1
        else:
            self.seen["failed" if os.WEXITSTATUS(status) else "ended by itself"] += 1

    def _look(self) -> None:
        with self._copy() as connection:
            answers = connection.execute("PRAGMA integrity_check").fetchall()
        self.seen["corrupt"] += answers != [("ok",)]
        self.seen["looks"] += 1

    def _open_jobs(self) -> list[tuple[str, str | None]]:
        with self._copy() as connection:
            return connection.execute("SELECT id, handle FROM jobs").fetchall()

    def _wanting(self) -> int:
        """Return how many circuits of jobs in the file have no result there."""
        with self._copy() as connection:
            (count,) = connection.execute(_WANTING).fetchone()
        return int(count)

    @contextmanager
    def _copy(self) -> Iterator[sqlite3.Connection]:
        """Open a copy: to open the file itself would tidy up what the kills left."""
        store, folder = self._program.store, self._program.folder / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in (store.name, f"{store.name}-wal"):
            with suppress(FileNotFoundError):
                shutil.copy(store.parent / name, folder / name)
        with closing(sqlite3.connect(folder / store.name)) as connection:
            yield connection

    def _counts(self) -> tuple[Counter[float], set[str]]:
        counts: tuple[Counter[float], set[str]] = self._program.cloud.ask("counts")
        return counts


def _numbers(first: int, end: int) -> list[float]:
    """Return the circuits of some rounds."""
    return [number / 1000 for number in range(first * NEW, end * NEW)]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def killed_in_rounds(folder: Path, rounds: int, seed: int) -> dict[str, Any]:
    """Kill programs in so many rounds; return what came of it."""
    with vendor() as port:
        game = Rounds(Program(folder, Cloud(port=port)), seed)
        game.play(rounds)
        return game.end(rounds)


def killed_at(folder: Path, moment: str) -> dict[str, Any]:
    """Kill a program in its submit to a vendor that finds no job; run it twice more."""
    folder.mkdir()
    with vendor() as port:
        program = Program(folder, Cloud(port=port, findable=False))
        os.waitpid(fork(lambda: _die_at(moment, program)), 0)
        for _ in range(2):
            os.waitpid(fork(lambda: _fail(program)), 0)
        submits, _ = program.cloud.ask("counts")
    return {"errors": _lines(folder / "errors"), "submitted": submits.total()}


def _die_at(moment: str, program: Program) -> None:
    Death.moment = moment
    program.run([0.5], "dies")


def _fail(program: Program) -> None:
    try:
        program.run([0.5], "fails")
    except ct.QElectronError as error:
        _append(program.folder / "errors", f"{type(error).__name__}: {error}")


def main() -> None:
    """Do what the command line says; print what came of it."""
    registry()  # so that no child has to look for plugins
    folder, *rest = sys.argv[1:]
    if rest:
        came = killed_in_rounds(Path(folder), *map(int, rest))
    else:
        came = {at: killed_at(Path(folder) / at, at) for at in ("asking", "answered")}
    print(json.dumps(came))

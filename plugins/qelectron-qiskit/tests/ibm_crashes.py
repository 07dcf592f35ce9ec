"""Programs that the crash tests start, and kill, while their jobs are at IBM.

Run by `test_qelectron_qiskit_crash.py`, as a process of its own without threads, from
which all others are forked: importing PennyLane and Qiskit in each would take too long.
The server is in the process of the tests. It prints what came of it as JSON.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pennylane as qml
import qiskit_aer  # noqa: F401  # so that no child imports it
import qiskit_ibm_runtime  # noqa: F401
from ibm_bench import QuickExecutor, electron_on, turn, wait_until
from ibm_server import RemoteControl

import qelectron_core as ct
from qelectron_core.registry import registry
from qelectron_qiskit.ibm import executor as ibm

ANGLES = [0.3, 1.1, 2.0, 2.9]
#: Most seconds that a process lives in a round of kills.
LIFE_S = 1.2


def other(x: float) -> Any:
    """Return an expectation value of -sin(x)."""
    qml.RX(x, wires=0)
    return qml.expval(qml.Y(0))


class Lab:
    """Starts programs in processes of their own, and ends them."""

    def __init__(self, folder: Path, account: dict[str, Any], port: int) -> None:
        self.folder = folder
        self.account = account
        self.server = RemoteControl(port)

    def executor(self, **options: Any) -> Any:
        """Return an executor on the server."""
        return QuickExecutor("sampler", "ibm_small", **self.account, **options)

    def start(self, program: Callable[[], Any]) -> int:
        """Run a program in a child; what it returns is told in its file."""
        pid = os.fork()
        if pid:
            return pid
        try:
            told = program()
            path = self.folder / str(os.getpid())
            path.write_text(json.dumps(told))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        raise SystemExit(0)  # as any program ends

    def told(self, pid: int) -> Any:
        """Wait for a child to end; return what it told."""
        _, status = os.waitpid(pid, 0)
        if status:
            return {"failed": status}
        return json.loads((self.folder / str(pid)).read_text())

    def kill(self, pid: int) -> None:
        """End a child at once."""
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def counts(self, told: Any) -> dict[str, Any]:
        """Return what a child told, with what the server counted."""
        counts = self.server.counts()
        jobs = counts["jobs"]
        return {
            "told": told,
            "submitted": len(jobs),
            "circuits": sum(job["parameter_sets"] for job in jobs),
            "duplicates": counts["duplicates"],
            "cancelled": counts["cancelled"],
            "tags": len({job["tags"][0] for job in jobs}),
            "accepting": [one["accepting"] for one in counts["sessions"]],
            "finds": counts["requests"].get("GET /jobs", 0),
        }

    # --- What is done ---------------------------------------------------------------

    def calls(self, angles: Sequence[float] = ANGLES) -> Any:
        """Get the results of two calls, from the store or from IBM."""
        store = self.folder / "store.sqlite3"
        turned = electron_on(self.executor(), turn, cache=True, store=store)
        others = electron_on(self.executor(), other, cache=True, store=store)
        futures = [others.run_later(angles[0])]
        values = [float(value) for value in turned.map(list(angles))]
        return [*values, float(futures[0].result())]

    def killed_while_queued(self) -> Any:
        """Kill a program whose jobs wait in the queue; start it again."""
        self.server.next_jobs(None, hold=True)
        pid = self.start(self.calls)
        wait_until(lambda: self.circuits() == len(ANGLES) + 1)
        self.kill(pid)
        before = self.server.submitted
        self.server.next_jobs(None)
        self.server.release()
        told = self.told(self.start(self.calls))
        return {**self.counts(told), "before": before}

    def killed_in_submit(self, act: bool) -> Any:
        """Kill a program that waits for the answer to its submit; start it again."""
        kind, wait = ("late", {"delay_s": 60.0}) if act else ("never", {})
        self.server.trouble(kind, method="POST", path="^/jobs$", **wait)
        pid = self.start(lambda: self.calls([0.7]))
        wait_until(lambda: self.server.requests["POST /jobs"] >= 1)
        wait_until(lambda: self.server.submitted >= act)
        self.kill(pid)
        self.server.calm()
        return self.counts(self.told(self.start(lambda: self.calls([0.7]))))

    def killed_at_random(self, rounds: int, seed: int) -> Any:
        """Kill a program at random moments, round after round; then let it end."""
        chance, angles = random.Random(seed), list[float]()
        killed = 0
        self.server.next_jobs(None, queue_s=0.2)
        for number in range(rounds):
            angles += [0.05 * (3 * number + each) for each in range(1, 4)]
            if number % 2:
                order = {"method": "POST", "path": "^/jobs$", "delay_s": 0.5}
                self.server.trouble("late", **order)
            pid = self.start(partial(self.calls, angles))
            time.sleep(chance.uniform(0.2, LIFE_S))
            self.kill(pid)
            killed += not (self.folder / str(pid)).exists()
        self.server.calm()
        told = self.told(self.start(lambda: self.calls(angles)))
        return {**self.counts(told), "angles": angles, "killed": killed}

    def left_open(self, hold: bool) -> Any:
        """End a program, as any program ends, with a session open."""
        self.server.next_jobs(hold=hold)

        def program() -> Any:
            circuit = electron_on(self.executor(mode="session"))
            future = circuit.run_later(0.3)
            if not hold:
                return float(future.result())
            wait_until(lambda: self.server.submitted == 1)
            return None

        return self.counts(self.told(self.start(program)))

    def interrupted(self) -> Any:
        """Press Ctrl-C while a program waits for its jobs."""
        self.server.next_jobs(None, hold=True)

        def program() -> Any:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            circuit = electron_on(self.executor(mode="batch"))
            futures = [circuit.run_later(angle) for angle in ANGLES]
            try:
                ct.gather(futures)
            except KeyboardInterrupt:
                return [future.cancelled() for future in futures]

        pid = self.start(program)
        wait_until(lambda: self.circuits() == len(ANGLES))
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            # CPython misses one that comes between its last look and the lock.
            if not self.server.cancelled:
                os.kill(pid, signal.SIGINT)
            time.sleep(0.3)
        path = self.folder / str(pid)
        return self.counts(json.loads(path.read_text()) if path.exists() else None)

    def travelled(self, pickled: str, token: str | None) -> Any:
        """Use an executor that another process made, whose token did not travel."""

        def program() -> Any:
            if token is not None:
                os.environ["QISKIT_IBM_TOKEN"] = token
            executor = pickle.loads(base64.b64decode(pickled))
            try:
                return float(electron_on(executor)(0.3))
            except ct.QElectronError as error:
                return f"{type(error).__name__}: {error}"

        return self.counts(self.told(self.start(program)))

    def circuits(self) -> int:
        """Return how many circuits the server was sent."""
        return sum(job.parameter_sets for job in self.server.jobs)


def main() -> None:
    """Do what each line of the standard input asks for; print what came of it."""
    registry()  # so that no child has to look for plugins
    ibm.LOOK_AGAIN_S = (0.0, 0.0)  # type: ignore[misc]
    print("ready", flush=True)
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        folder = Path(order["folder"])
        os.environ.update(order["environment"])
        lab = Lab(folder, order["account"], order["port"])
        came = getattr(lab, order["what"])(**order["options"])
        print(json.dumps(came), flush=True)


if __name__ == "__main__":
    main()

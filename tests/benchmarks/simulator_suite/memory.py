"""What an outstanding call takes: run as a program of its own, it prints the bytes."""

import gc
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import attrs
import pennylane as qml

import qelectron_core as ct

WARM = 10
RELEASED = threading.Event()


@attrs.frozen
class Held(ct.Executor):
    """Keep all circuits waiting until they are released."""

    def run(self, job: ct.Job) -> list[float]:
        """Wait, then return zeros."""
        RELEASED.wait()
        return [0.0 for _ in job.circuits]


@ct.qelectron(executors=Held())
@qml.qnode(qml.device("default.qubit", wires=2))
def circuit(x: Any) -> Any:
    """Run four gates on two wires."""
    qml.RX(x, wires=0)
    qml.RY(x, wires=1)
    qml.CNOT(wires=[0, 1])
    qml.RZ(x, wires=1)
    return qml.expval(qml.PauliZ(1))


def outstanding(number: int) -> float:
    """Return the bytes of each of many calls that wait at the same time."""
    first = [circuit.run_later(each / 3) for each in range(WARM)]  # what is made once
    gc.collect()
    tracemalloc.start()
    futures = [circuit.run_later(each / 7) for each in range(number)]
    gc.collect()
    traced, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not any(future.done() for future in futures), "a call did not wait"
    RELEASED.set()
    ct.gather(first + futures)
    return traced / number


def in_a_process(number: int) -> float:
    """Return what `outstanding` finds in a process that has done nothing else."""
    command = [sys.executable, str(Path(__file__)), str(number)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


if __name__ == "__main__":
    print(outstanding(int(sys.argv[1])))

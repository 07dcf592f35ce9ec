"""Many threads call QElectrons while the main thread builds other circuits.

Run as a program, so that it can also be run with per-thread recording switched
off: `python stress.py DEVICE CIRCUITS [off]`. Prints what went wrong, if anything.
"""

import faulthandler
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pennylane as qml

import qelectron_core as ct
from qelectron_core import recording

THREADS = 8
#: Seconds after which a run counts as hung, and after which one that is expected to.
DEADLINE_S, DEADLINE_OFF_S = 240, 30
#: Different circuits, how far apart their parameters lie, and how exact they are.
DISTINCT, STEP, TOLERANCE = 200, 0.01, 1e-9
#: Circuits of one turn: two later, one at once, and between them a `map`.
PER_TURN = 9
WEIGHTS = np.linspace(0.1, 1.2, 12).reshape(2, 2, 3)


def function(x: float) -> Any:
    """Use operators that are built from others and decomposed into others."""
    qml.adjoint(qml.RX(x, wires=0))
    qml.PauliRot(x, "XY", wires=[0, 1])
    return qml.expval(qml.PauliZ(0) @ qml.PauliX(1))


def fusible(x: float) -> Any:
    """Use operators that are known, so that circuits are filled in, and run as one."""
    qml.RX(x, wires=0)
    qml.CNOT(wires=[0, 1])
    qml.StronglyEntanglingLayers(x * WEIGHTS, wires=[0, 1])
    return qml.expval(qml.PauliZ(0) @ qml.PauliX(1))


def call_often(
    circuit: Any, expected: list[float], count: int, errors: list[str]
) -> None:
    """Make calls of every kind and note each wrong answer."""
    for index in range(0, count, PER_TURN):
        chosen = [(index + k) % DISTINCT for k in range(PER_TURN)]
        xs = [STEP * number for number in chosen]
        try:
            futures = [circuit.run_later(x) for x in xs[:2]]
            mapped = circuit.map(xs[2:-1])
            found = [*(f.result(timeout=60) for f in futures), *mapped, circuit(xs[-1])]
        except Exception as error:  # noted, not raised: all threads go on
            errors.append(f"{type(error).__name__}: {error}")
            continue
        for number, value in zip(chosen, found, strict=True):
            if abs(value - expected[number]) > TOLERANCE:
                errors.append(f"wrong value {value}, not {expected[number]}")


def build_meanwhile(alive: Callable[[], bool], errors: list[str]) -> None:
    """Build circuits in this thread and check that none gains or loses a gate."""
    while alive():
        with qml.queuing.AnnotatedQueue() as queue:
            for wire in range(20):
                qml.adjoint(qml.RX(0.1, wires=wire))
            qml.expval(qml.PauliX(0) @ qml.PauliZ(1))
        script = qml.tape.QuantumScript.from_queue(queue)
        if (len(script.operations), len(script.measurements)) != (20, 1):
            errors.append(f"a circuit was recorded as {script.operations}")


def main(device: str, circuits: int) -> int:
    """Run the stress test; return the number of errors."""
    errors: list[str] = []
    threads = []
    for quantum_function in (function, fusible):
        qnode = qml.QNode(
            quantum_function, qml.device(device, wires=2), diff_method="parameter-shift"
        )
        expected = [float(qnode(STEP * number)) for number in range(DISTINCT)]
        work = (ct.qelectron(qnode), expected, circuits // THREADS, errors)
        threads += [
            threading.Thread(target=call_often, args=work, daemon=True)
            for _ in range(THREADS // 2)
        ]
    for thread in threads:
        thread.start()
    build_meanwhile(lambda: any(thread.is_alive() for thread in threads), errors)
    sys.stdout.write("\n".join([f"{len(errors)} errors", *errors[:5]]) + "\n")
    return len(errors)


if __name__ == "__main__":
    off = "off" in sys.argv
    if off:
        recording._Guard.install = lambda self: True  # type: ignore[method-assign]
    faulthandler.dump_traceback_later(DEADLINE_OFF_S if off else DEADLINE_S, exit=True)
    sys.exit(min(main(sys.argv[1], int(sys.argv[2])), 1))

"""The circuits of `qiskit_calls.py`, and the device `qiskit.remote` to run them on.

Started by `qiskit_calls.py` in an environment of its own, this answers one measurement
per line: what to run and how often comes in on stdin as JSON, seconds and results go
out on stdout.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
import pennylane as qml

SHOTS = 1024
WIRES, LAYERS = 4, 3
#: Angles per wire and layer.
ANGLES = {"gates": 2, "template": 3}
PACKAGES = ("pennylane", "qiskit", "qiskit-aer", "qiskit-ibm-runtime")


def gates(weights: Any, tail: tuple[int, ...] = ()) -> Any:
    """Entangle four wires in three layers, written gate by gate."""
    for layer in weights:
        for wire in range(WIRES):
            qml.RX(layer[wire, 0], wires=wire)
            qml.RY(layer[wire, 1], wires=wire)
        for wire in range(WIRES):
            qml.CNOT(wires=[wire, (wire + 1) % WIRES])
    for wire in tail:  # other wires, another structure
        qml.Hadamard(wires=wire)
    return qml.expval(qml.Z(0))


def template(weights: Any) -> Any:
    """Entangle four wires in three layers, written as one template."""
    qml.StronglyEntanglingLayers(weights, wires=range(WIRES))
    return qml.expval(qml.Z(0))


def rotations(angles: Any) -> Any:
    """Rotate four wires, and entangle them after every four of the angles."""
    for number, angle in enumerate(angles):
        qml.RY(angle, wires=number % WIRES)
        if number % WIRES == WIRES - 1:
            for wire in range(WIRES - 1):
                qml.CNOT(wires=[wire, wire + 1])
    return qml.expval(qml.Z(0))


CIRCUITS: dict[str, Callable[..., Any]] = {"gates": gates, "template": template}


def weights_of(name: str, number: int) -> Any:
    """Return the angles of the circuits that are run, another set for each number."""
    shape = (number, LAYERS, WIRES, ANGLES[name])
    return np.random.default_rng(0).uniform(0, 3, shape)


def angles_of() -> Any:
    """Return twenty angles to differentiate."""
    angles = np.random.default_rng(1).uniform(0, 3, 20)
    return qml.numpy.array(angles, requires_grad=True)


def remote_device() -> Any:
    """Return the device on a machine's snapshot."""
    fakes = import_module("qiskit_ibm_runtime.fake_provider")
    backend = fakes.FakeManilaV2()
    return qml.device("qiskit.remote", wires=WIRES, backend=backend, shots=SHOTS)


def measure(device: Any, name: str, number: int) -> dict[str, Any]:
    """Run a circuit a number of times, or its gradient; return seconds and results."""
    if name == "gradient":
        gradient = qml.grad(qml.QNode(rotations, device, diff_method="parameter-shift"))
        angles = angles_of()
        start = time.perf_counter()
        results = gradient(angles)
    else:
        circuit, weights = qml.QNode(CIRCUITS[name], device), weights_of(name, number)
        start = time.perf_counter()
        results = [circuit(each) for each in weights]
    taken = time.perf_counter() - start
    return {"seconds": taken, "results": [float(value) for value in results]}


def main() -> None:
    """Say which versions run here, then answer every line."""
    device = remote_device()
    packages = ("pennylane-qiskit", *PACKAGES)
    print(json.dumps({name: version(name) for name in packages}), flush=True)
    for line in sys.stdin:
        name, number = json.loads(line)
        print(json.dumps(measure(device, name, number)), flush=True)


if __name__ == "__main__":
    main()

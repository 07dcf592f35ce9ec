"""The circuits of `qiskit_calls.py`, and the device `qiskit.remote` to run them on.

Started by `qiskit_calls.py` in an environment of its own, this answers one measurement
per line: what to run and how often comes in on stdin as JSON, seconds and results go
out on stdout. It imports nothing that only one of the two environments has.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pennylane as qml

SHOTS = 1024
WIRES, LAYERS = 4, 3
#: Angles per wire and layer.
ANGLES = {"gates": 2, "template": 3}
#: What resolves and runs with the newest pennylane-qiskit. Left alone, resolvers take
#: an `ibm-platform-services` that today's setuptools cannot build.
REQUIREMENTS = (
    *("pennylane-qiskit==0.45.0", "pennylane==0.45.1", "qiskit==2.3.0"),
    *("qiskit-aer==0.17.2", "qiskit-ibm-runtime==0.45.1", "numpy==2.4.6"),
    "ibm-platform-services==0.77.1",
)
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
    return qml.expval(qml.Z(WIRES - 1))  # on which all angles have a bearing


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


# --- The other end: in the process that compares --------------------------------------


class Remote:
    """The device `qiskit.remote`, in a process that answers one line at a time."""

    def __init__(self, python: Path) -> None:
        """Start the process, and wait until it says which versions it has."""
        command = [str(python), "-W", "ignore", __file__]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.versions: dict[str, str] = self._answer()

    def run(self, name: str, number: int = 1) -> tuple[float, Any]:
        """Return how long something takes there, and its results."""
        assert self._process.stdin is not None
        print(json.dumps([name, number]), file=self._process.stdin, flush=True)
        answer = self._answer()
        return answer["seconds"], answer["results"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            message = f"qiskit.remote ended with {self._process.wait()}"
            raise ChildProcessError(message)
        return json.loads(line)


def start(folder: Path) -> Remote | None:
    """Make or reuse the environment of `qiskit.remote`, and start it."""
    folder, python = folder.resolve(), folder.resolve() / "bin" / "python"
    if folder.is_relative_to(Path(__file__).resolve().parents[2]):
        print(f"{folder} is in the repository: qiskit.remote is left out.")
        return None
    elsewhere = folder.parent  # so that uv does not see the project of this file
    try:
        elsewhere.mkdir(parents=True, exist_ok=True)
        if not python.exists():
            venv = ("uv", "venv", "-q", "-p", "3.11", str(folder))
            subprocess.run(venv, check=True, cwd=elsewhere)
        command = ("uv", "pip", "install", "-q", "-p", str(python), *REQUIREMENTS)
        subprocess.run(command, check=True, cwd=elsewhere)
        return Remote(python)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        print(f"qiskit.remote is left out, it cannot be set up: {error}")
        return None


if __name__ == "__main__":
    main()

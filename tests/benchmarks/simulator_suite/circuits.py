"""The circuits that are run, and the parameters that they are run with."""

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

Function = Callable[[Any], Any]


def template(weights: Any) -> Any:
    """Entangle all wires in layers, written as one template."""
    qml.StronglyEntanglingLayers(weights, wires=range(weights.shape[-2]))
    return qml.expval(qml.PauliZ(0))


def gates(weights: Any) -> Any:
    """Entangle all wires in layers, written gate by gate."""
    for layer in weights:
        n_wires = len(layer)
        for wire in range(n_wires):
            qml.RY(layer[wire, 0], wires=wire)
        for wire in range(n_wires):
            qml.CNOT(wires=[wire, (wire + 1) % n_wires])
    return qml.expval(qml.PauliZ(0))


def array_gates(weights: Any) -> Any:
    """Do what `gates` does, for one array of weights or for a stack of them."""
    n_layers, n_wires, _ = weights.shape[-3:]
    for layer in range(n_layers):
        for wire in range(n_wires):
            qml.RY(weights[..., layer, wire, 0], wires=wire)
        for wire in range(n_wires):
            qml.CNOT(wires=[wire, (wire + 1) % n_wires])
    return qml.expval(qml.PauliZ(0))


def rotations(angles: Any) -> Any:
    """Entangle four wires, with one parameter for each rotation."""
    for number, angle in enumerate(angles):
        wire = number % 4
        qml.RY(angle, wires=wire)
        qml.CNOT(wires=[wire, (wire + 1) % 4])
    return qml.expval(qml.PauliZ(0))


FUNCTIONS: dict[str, Function] = {
    "gates": gates,
    "template": template,
    "array gates": array_gates,
    "20 parameters": rotations,
}
#: Those that PennyLane itself can run for a stack of parameters.
STACKING = ("template", "array gates")


@attrs.frozen
class Case:
    """One circuit on one device.

    Attributes:
        device: Name of a PennyLane device.
        n_wires: Wires of the circuit and of the device.
        kind: How the circuit is written, see `FUNCTIONS`.
        shots: Shots of each circuit; `None` is exact.
        n_layers: Layers of the circuit.
    """

    device: str
    n_wires: int
    kind: str
    shots: int | None = None
    n_layers: int = 5

    def __str__(self) -> str:
        """Name the case, as rows are named and selected."""
        shots = "exact" if self.shots is None else f"{self.shots:,} shots"
        layers = f"{self.n_layers} layers"
        wires = f"{self.n_wires} wires"
        return f"{self.device}, {wires}, {layers}, {self.kind}, {shots}"

    def qnode(self, diff_method: str = "best", **options: Any) -> qml.QNode:
        """Return a new QNode on a device of its own."""
        device = qml.device(self.device, wires=self.n_wires, **options)
        node = qml.QNode(FUNCTIONS[self.kind], device, diff_method=diff_method)
        return qml.set_shots(node, shots=self.shots)

    def arguments(self, number: int, rng: np.random.Generator) -> list[Any]:
        """Return as many sets of parameters as there are circuits to run."""
        if self.kind == "20 parameters":
            angles = rng.uniform(0, 3, (number, 20))
            return [pnp.array(each, requires_grad=True) for each in angles]
        return list(rng.uniform(0, 3, (number, self.n_layers, self.n_wires, 3)))


def run_one(case: Case, argument: Any) -> Any:
    """Run a circuit on the QNode of this thread of this process.

    What pools call: a QNode keeps its last circuit on itself, so that threads must
    not share one.
    """
    return _own(case, threading.get_ident())(argument)


@functools.lru_cache(maxsize=8)
def _own(case: Case, thread: int) -> qml.QNode:
    del thread
    return case.qnode()


def agree(case: Case, ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
    """Tell whether results are equal, or, for samples, of equal form."""
    a, b = np.asarray(ours), np.asarray(theirs)
    exact = case.shots is None
    return a.shape == b.shape and (not exact or np.allclose(a, b, rtol=0, atol=1e-9))

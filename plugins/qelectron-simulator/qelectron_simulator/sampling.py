"""Samples of circuits whose states are computed together.

Each circuit draws from its own state with its own seed, just as by itself.
"""

from __future__ import annotations

from typing import Any

import pennylane as qml
from pennylane.queuing import QueuingManager
from pennylane.tape import QuantumScript


def to_state(circuit: QuantumScript) -> QuantumScript:
    """Return the circuit that computes the state which another one measures.

    Args:
        circuit: A circuit with shots, on wires in standard order.
    """
    with QueuingManager.stop_recording():
        # Wires that are only measured belong to the state, too.
        every = [qml.Identity(wire) for wire in range(circuit.num_wires)]
        return QuantumScript([*every, *circuit.operations], [qml.state()])


def from_state(circuit: QuantumScript, state: Any) -> QuantumScript:
    """Return the circuit that measures a state as another one does.

    Args:
        circuit: A circuit with shots, on wires in standard order.
        state: What the circuit of `to_state` returned.
    """
    wires = range(circuit.num_wires)
    with QueuingManager.stop_recording():
        start = qml.StatePrep(state, wires=wires, validate_norm=False)
        return QuantumScript([start], circuit.measurements, shots=circuit.shots)

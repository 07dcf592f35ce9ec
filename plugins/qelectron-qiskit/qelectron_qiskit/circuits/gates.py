"""Operators of PennyLane as instructions, from which Qiskit's gates are made.

An instruction holds no numbers: the parameters of a circuit stand apart from it, so
that circuits that differ in them only are one circuit to Qiskit. Conventions of the two
libraries agree, global phases included; only the qubits of matrices are in opposite
order.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pennylane as qml
from pennylane.ops import Conditional, MidMeasure
from pennylane.ops.op_math import Adjoint, Controlled

#: Most wires of an operator that is known by its matrix only.
WIDEST_MATRIX: Final = 6


class Instruction(NamedTuple):
    """One step of a circuit, without the values of its parameters.

    Attributes:
        gate: What to do: a name of `MAKERS`, or one of those that `build` knows.
        qubits: What to do it to.
        n_params: How many of the circuit's parameters it takes.
        detail: What else determines it: a matrix as bytes, a state of controls.
    """

    gate: str
    qubits: tuple[int, ...]
    n_params: int = 0
    detail: Any = None


class Written:
    """Instructions and parameters as they are written down, one operator at a time.

    Attributes:
        instructions: What was written so far.
        params: The values of all parameters, in order.
        mid: Position of each mid-circuit measurement among those, by its id.
        postselected: Bits that a mid-circuit measurement must give, by position.
    """

    def __init__(self, qubits: Mapping[Hashable, int]) -> None:
        """Start with nothing.

        Args:
            qubits: The qubit of each wire.
        """
        self._qubits = qubits
        self.instructions: list[Instruction] = []
        self.params: list[float] = []
        self.mid: dict[Hashable, int] = {}
        self.postselected: dict[int, int] = {}

    def add(self, op: Any) -> None:
        """Write down an operator for which `is_native` is true."""
        kind = type(op)
        direct = DIRECT.get(kind)
        if direct is not None:
            self.put(direct, _wires(op), op.data)
        else:
            write = _WRITERS.get(kind) or _writer_of_symbolic(op) or _unitary
            write(self, op)

    def put(
        self,
        gate: str,
        wires: Sequence[Hashable],
        params: Sequence[Any] = (),
        detail: Hashable = None,
    ) -> None:
        """Write down a gate on wires."""
        qubits = tuple([self._qubits[wire] for wire in wires])
        self.instructions.append(Instruction(gate, qubits, len(params), detail))
        self.params.extend(map(float, params))

    def put_matrix(
        self, matrix: Any, wires: Sequence[Hashable], gate: str = "unitary"
    ) -> None:
        """Write down what a matrix, or a state, does to wires."""
        content = np.ascontiguousarray(matrix, dtype=complex).tobytes()
        self.put(gate, tuple(wires)[::-1], (), content)


# --- Gates ----------------------------------------------------------------------------

#: Operators that are one gate of Qiskit, on the same wires with the same parameters.
DIRECT: Final[Mapping[type, str]] = {
    qml.PauliX: "x",
    qml.PauliY: "y",
    qml.PauliZ: "z",
    qml.Hadamard: "h",
    qml.S: "s",
    qml.T: "t",
    qml.SX: "sx",
    qml.CH: "ch",
    qml.CNOT: "cx",
    qml.CY: "cy",
    qml.CZ: "cz",
    qml.SWAP: "swap",
    qml.ISWAP: "iswap",
    qml.ECR: "ecr",
    qml.CSWAP: "cswap",
    qml.Toffoli: "ccx",
    qml.CCZ: "ccz",
    qml.RX: "rx",
    qml.RY: "ry",
    qml.RZ: "rz",
    qml.PhaseShift: "p",
    qml.U1: "p",
    qml.U2: "u2",
    qml.U3: "u",
    qml.ControlledPhaseShift: "cp",
    qml.CRX: "crx",
    qml.CRY: "cry",
    qml.CRZ: "crz",
    qml.IsingXX: "rxx",
    qml.IsingYY: "ryy",
    qml.IsingZZ: "rzz",
    qml.IsingXY: "rxy",
    qml.SingleExcitation: "givens",
}
_INVERSES: Final = {qml.S: "sdg", qml.T: "tdg", qml.SX: "sxdg"}
#: What may be controlled by any number of wires.
_CONTROLLABLE: Final = {
    kind: DIRECT[kind]
    for kind in (
        *(qml.PauliX, qml.PauliY, qml.PauliZ, qml.Hadamard, qml.SX, qml.SWAP),
        *(qml.RX, qml.RY, qml.RZ, qml.PhaseShift),
    )
}


@functools.cache
def makers() -> Mapping[str, Callable[..., Any]]:
    """Return what makes the gates of Qiskit, by name."""
    from qiskit.circuit import library as lib

    return {
        **_plain_gates(lib),
        "u2": lambda phi, delta: lib.UGate(math.pi / 2, phi, delta),
        # Both are rotations of |01> and |10>; the sign of the angle differs.
        "rxy": lambda phi: lib.XXPlusYYGate(-phi),
        "givens": lambda phi: lib.XXPlusYYGate(phi, -math.pi / 2),
        "phase": lambda phi: lib.GlobalPhaseGate(-phi),
    }


def _plain_gates(lib: Any) -> Mapping[str, Callable[..., Any]]:
    return {
        "x": lib.XGate,
        "y": lib.YGate,
        "z": lib.ZGate,
        "h": lib.HGate,
        "s": lib.SGate,
        "t": lib.TGate,
        "sx": lib.SXGate,
        "sdg": lib.SdgGate,
        "tdg": lib.TdgGate,
        "sxdg": lib.SXdgGate,
        "ch": lib.CHGate,
        "cx": lib.CXGate,
        "cy": lib.CYGate,
        "cz": lib.CZGate,
        "swap": lib.SwapGate,
        "iswap": lib.iSwapGate,
        "ecr": lib.ECRGate,
        "cswap": lib.CSwapGate,
        "ccx": lib.CCXGate,
        "ccz": lib.CCZGate,
        "rx": lib.RXGate,
        "ry": lib.RYGate,
        "rz": lib.RZGate,
        "p": lib.PhaseGate,
        "u": lib.UGate,
        "cp": lib.CPhaseGate,
        "crx": lib.CRXGate,
        "cry": lib.CRYGate,
        "crz": lib.CRZGate,
        "rxx": lib.RXXGate,
        "ryy": lib.RYYGate,
        "rzz": lib.RZZGate,
    }


# --- Operators that are more than one gate, or another kind of step -------------------


def _nothing(written: Written, op: Any) -> None:
    del written, op


def _barrier(written: Written, op: Any) -> None:
    written.put("barrier", op.wires)


def _global_phase(written: Written, op: Any) -> None:
    written.put("phase", (), op.data)


def _rot(written: Written, op: Any) -> None:
    phi, theta, omega = op.data
    for gate, angle in (("rz", phi), ("ry", theta), ("rz", omega)):
        written.put(gate, op.wires, (angle,))


def _unitary(written: Written, op: Any) -> None:
    written.put_matrix(_matrix(op), op.wires)


def _state(written: Written, op: Any) -> None:
    vector = np.asarray(op.state_vector(wire_order=op.wires)).reshape(-1)
    written.put_matrix(vector / np.linalg.norm(vector), op.wires, "state")


def _inverse(written: Written, op: Any) -> None:
    written.put(_INVERSES[type(op.base)], op.wires)


def _controlled(written: Written, op: Any) -> None:
    states = "".join("1" if value else "0" for value in op.control_values)
    wires = (*op.control_wires, *op.target_wires)
    gate = _CONTROLLABLE[type(op.base)]
    # Qiskit's states name the last control first.
    written.put("controlled", wires, op.base.data, (gate, states[::-1]))


def _measure(written: Written, op: Any) -> None:
    place = written.mid[op.meas_uid] = len(written.mid)
    if op.postselect is not None:
        written.postselected[place] = op.postselect
    written.put("measure", op.wires, (), (place, bool(op.reset)))


def _conditional(written: Written, op: Any) -> None:
    places = tuple(written.mid[m.meas_uid] for m in op.meas_val.measurements)
    true = tuple(branch for branch, value in op.meas_val.items() if value)
    start = len(written.instructions)
    written.add(op.base)
    body = tuple(written.instructions[start:])
    del written.instructions[start:]
    n_params = sum(instruction.n_params for instruction in body)
    qubits = tuple(dict.fromkeys(q for step in body for q in step.qubits))
    detail = (places, true, body)
    written.instructions.append(Instruction("if", qubits, n_params, detail))


_WRITERS: Final[Mapping[type, Callable[[Written, Any], None]]] = {
    qml.Identity: _nothing,
    qml.Barrier: _barrier,
    qml.GlobalPhase: _global_phase,
    qml.Rot: _rot,
    qml.QubitUnitary: _unitary,
    qml.StatePrep: _state,
    MidMeasure: _measure,
}


def _writer_of_symbolic(op: Any) -> Callable[[Written, Any], None] | None:
    """Return what writes down an operator made of another one, if anything does."""
    if isinstance(op, Conditional):
        return _conditional if is_native(op.base) else None
    if isinstance(op, Controlled):
        return _controlled if type(op.base) in _CONTROLLABLE else None
    if isinstance(op, Adjoint):
        return _inverse if type(op.base) in _INVERSES else None
    return None


def is_native(op: Any) -> bool:
    """Tell whether an operator can be written down without being taken apart."""
    kind = type(op)
    if kind in DIRECT or kind in _WRITERS or _writer_of_symbolic(op) is not None:
        return True
    if isinstance(op, Conditional):  # whose matrix is that of its base
        return False
    by_matrix = op.has_matrix and not op.has_decomposition
    return bool(by_matrix and len(op.wires) <= WIDEST_MATRIX)


def _wires(op: Any) -> Sequence[Hashable]:
    """Return `op.wires`, which controlled operators put together at every call."""
    if isinstance(op, Controlled):
        return (*op.control_wires, *op.target_wires)
    wires: Sequence[Hashable] = op.wires
    return wires


def _matrix(op: Any) -> Any:
    return qml.matrix(op, wire_order=op.wires)

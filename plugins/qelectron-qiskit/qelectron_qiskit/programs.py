"""Circuits of PennyLane as programs: what Qiskit compiles once and binds many times."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
import pennylane as qml
from pennylane.devices.preprocess import decompose
from pennylane.ops import Conditional, StatePrep
from pennylane.ops.functions import bind_new_parameters
from pennylane.tape import QuantumScript

from qelectron_qiskit.gates import Instruction, Written, is_native, makers

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit

#: Names of the classical registers of mid-circuit and of final measurements.
MID: Final = "mid"
FINAL: Final = "final"
#: The name under which PennyLane says that an operator cannot be taken apart.
_NAME: Final = "QiskitExecutor"


@attrs.frozen(cache_hash=True)
class Program:
    """A circuit without the values of its parameters; equal ones are compiled once.

    Attributes:
        n_qubits: Number of qubits.
        instructions: What is done to them.
        measured: Qubits that are measured in the end; bit i is that of the i-th.
        n_mid: Number of mid-circuit measurements.
    """

    n_qubits: int
    instructions: tuple[Instruction, ...]
    measured: tuple[int, ...] = ()
    n_mid: int = 0

    @property
    def is_dynamic(self) -> bool:
        """Whether it measures in the middle."""
        return self.n_mid > 0


@attrs.frozen(eq=False)
class Prepared:
    """The operations of one circuit, ready to be measured in any basis.

    Attributes:
        qubits: The qubit of each wire.
        instructions: What is done to them.
        params: The parameters, shape `(n_params,)`.
        mid: Position of each mid-circuit measurement among those, by its id.
        postselected: Bits that a mid-circuit measurement must give, by position.
    """

    qubits: Mapping[Hashable, int]
    instructions: tuple[Instruction, ...]
    params: NDArray[np.float64]
    mid: Mapping[Hashable, int]
    postselected: Mapping[int, int]

    def program(
        self, wires: Sequence[Hashable] = (), rotations: Iterable[Any] = ()
    ) -> tuple[Program, NDArray[np.float64]]:
        """Return a program and its parameters.

        Args:
            wires: Wires to measure in the end.
            rotations: Operators to apply before that.
        """
        instructions, params = self.instructions, self.params
        written = Written(self.qubits)
        for op in _native(rotations):
            written.add(op)
        if written.instructions:
            instructions = (*instructions, *written.instructions)
            params = np.append(params, written.params)
        measured = tuple([self.qubits[wire] for wire in wires])
        program = Program(len(self.qubits), instructions, measured, len(self.mid))
        return program, params


def prepare(
    circuit: QuantumScript, wires: Iterable[Hashable] | None = None
) -> Prepared:
    """Write down the operations of a circuit.

    Args:
        circuit: The circuit.
        wires: The wires in the order of their qubits; by default the circuit's own.

    Raises:
        DeviceError: If one has no counterpart in Qiskit and cannot be taken apart.
    """
    order = circuit.wires if wires is None else wires
    qubits = {wire: place for place, wire in enumerate(order)}
    written = Written(qubits)
    for op in _in_turn(circuit.operations):
        if type(op) in TEMPLATES:
            _layout_of(op, qubits).write(written, op)
        else:
            written.add(op)
    return Prepared(
        qubits,
        tuple(written.instructions),
        np.array(written.params, dtype=float),
        written.mid,
        written.postselected,
    )


def _native(
    operators: Iterable[Any], kept: Collection[type] = frozenset()
) -> Iterator[Any]:
    """Yield operators, taken apart as far as needed, but for those that are kept."""
    for op in operators:
        if type(op) in kept or is_native(op):
            yield op
        elif isinstance(op, Conditional):
            for part in _native([op.base]):
                yield Conditional(op.meas_val, part)
        else:
            yield from _parts(op)


def _in_turn(operators: Iterable[Any]) -> Iterator[Any]:
    """Yield native operators; of states in the middle, the gates that PennyLane has.

    What these do to wires that are not in their first state is theirs to say.
    """
    done: list[Any] = []
    for op in _native(operators, kept=TEMPLATES):
        base = op.base if isinstance(op, Conditional) else op
        if isinstance(base, StatePrep) and _touch(done, base.wires):
            for gate in _native(base.decomposition()):
                yield gate if base is op else Conditional(op.meas_val, gate)
        else:
            yield op
        done.append(op)


def _touch(operators: Iterable[Any], wires: Any) -> bool:
    """Tell whether operators do anything to wires."""
    return any(not wires.toset().isdisjoint(op.wires) for op in operators)


def _parts(op: Any) -> Sequence[Any]:
    (tape,), _ = decompose(
        QuantumScript([op]),
        stopping_condition=is_native,
        skip_initial_state_prep=False,
        name=_NAME,
    )
    parts: Sequence[Any] = tape.operations
    return parts


# --- Templates ------------------------------------------------------------------------

#: Templates of which every parameter of every gate is one of their own.
TEMPLATES: Final = frozenset(
    {qml.AngleEmbedding, qml.BasicEntanglerLayers, qml.StronglyEntanglingLayers}
)
#: Layouts that are remembered before all of them are forgotten.
MOST_LAYOUTS: Final = 256


@attrs.frozen(eq=False)
class _Layout:
    """A template of certain wires and shape, taken apart.

    Attributes:
        instructions: What it does.
        places: For each parameter of these, the place of the template's.
    """

    instructions: tuple[Instruction, ...]
    places: NDArray[np.intp]

    def write(self, written: Written, op: Any) -> None:
        """Write down a template with its own parameters."""
        written.instructions.extend(self.instructions)
        values = np.asarray(op.data[0], dtype=float).reshape(-1)
        written.params.extend(values[self.places].tolist())


_layouts: Final[dict[Hashable, _Layout]] = {}


def _layout_of(op: Any, qubits: Mapping[Hashable, int]) -> _Layout:
    settings = tuple(sorted(op.hyperparameters.items()))
    order = tuple(qubits[wire] for wire in op.wires)
    key = (type(op), order, settings, np.shape(op.data[0]))
    if key not in _layouts:
        if len(_layouts) >= MOST_LAYOUTS:
            _layouts.clear()
        _layouts[key] = _take_apart(op, qubits)
    return _layouts[key]


def _take_apart(op: Any, qubits: Mapping[Hashable, int]) -> _Layout:
    """Take a template apart, with the numbers 1, 2, 3 … in place of its parameters."""
    shape = np.shape(op.data[0])
    numbers = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    written = Written(qubits)
    for gate in _native([bind_new_parameters(op, [numbers])]):
        written.add(gate)
    places = np.array(written.params).astype(np.intp) - 1
    return _Layout(tuple(written.instructions), places)


# --- Qiskit's side --------------------------------------------------------------------


def build(program: Program) -> QuantumCircuit:
    """Return a program as a circuit of Qiskit, with its parameters in their order."""
    from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
    from qiskit.circuit import ParameterVector

    registers: list[Any] = [QuantumRegister(program.n_qubits, "q")]
    if program.n_mid:
        registers.append(ClassicalRegister(program.n_mid, MID))
    if program.measured:
        registers.append(ClassicalRegister(len(program.measured), FINAL))
    circuit = QuantumCircuit(*registers)
    n_params = sum(step.n_params for step in program.instructions)
    params = iter(ParameterVector("x", n_params))
    for step in program.instructions:
        _append(circuit, step, params)
    if program.measured:
        circuit.measure(list(program.measured), circuit.cregs[-1])
    return circuit


def _append(circuit: QuantumCircuit, step: Instruction, params: Iterator[Any]) -> None:
    if step.gate in _STEPS:
        _STEPS[step.gate](circuit, step, params)
        return
    values = [next(params) for _ in range(step.n_params)]
    if step.gate == "controlled":
        gate, states = step.detail
        made = makers()[gate](*values).control(
            len(states), ctrl_state=states, annotated=False
        )
    else:
        made = makers()[step.gate](*values)
    circuit.append(made, step.qubits)


def _unitary(circuit: QuantumCircuit, step: Instruction, _: Iterator[Any]) -> None:
    matrix = _array(step.detail)
    size = 2 ** len(step.qubits)
    circuit.unitary(matrix.reshape(size, size), step.qubits)


def _state(circuit: QuantumCircuit, step: Instruction, _: Iterator[Any]) -> None:
    circuit.prepare_state(_array(step.detail), step.qubits)


def _barrier(circuit: QuantumCircuit, step: Instruction, _: Iterator[Any]) -> None:
    circuit.barrier(step.qubits)


def _measure(circuit: QuantumCircuit, step: Instruction, _: Iterator[Any]) -> None:
    place, reset = step.detail
    (qubit,) = step.qubits
    circuit.measure(qubit, circuit.cregs[0][place])
    if reset:
        circuit.reset(qubit)


def _if(circuit: QuantumCircuit, step: Instruction, params: Iterator[Any]) -> None:
    places, true, body = step.detail
    bits = [circuit.cregs[0][place] for place in places]
    condition = _condition(bits, true)
    if condition is None:  # never true
        for _ in range(step.n_params):
            next(params)
        return
    with circuit.if_test(condition):
        for inner in body:
            _append(circuit, inner, params)


def _condition(bits: Sequence[Any], true: Sequence[Sequence[int]]) -> Any:
    """Return the condition that bits take one of some values."""
    from qiskit.circuit.classical import expr

    if not true:
        return None
    if len(bits) == 1 and len(true) == 1:
        return bits[0], true[0][0]
    branches = []
    for branch in true:
        terms = [
            bit if value else expr.logic_not(bit)
            for bit, value in zip(bits, branch, strict=True)
        ]
        branches.append(_joined(expr.logic_and, terms))
    return _joined(expr.logic_or, branches)


def _joined(operation: Any, terms: Sequence[Any]) -> Any:
    from qiskit.circuit.classical import expr

    joined = expr.lift(terms[0])
    for term in terms[1:]:
        joined = operation(joined, term)
    return joined


def _array(content: Any) -> NDArray[np.complex128]:
    return np.frombuffer(content, dtype=complex)


_STEPS: Final = {
    "unitary": _unitary,
    "state": _state,
    "barrier": _barrier,
    "measure": _measure,
    "if": _if,
}

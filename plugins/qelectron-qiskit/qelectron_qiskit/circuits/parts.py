"""Takes operators apart, as far as Qiskit has no counterpart to them."""

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

from qelectron_qiskit.circuits.gates import DIRECT, Instruction, Written, is_native

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The name under which PennyLane says that an operator cannot be taken apart.
_NAME: Final = "QiskitExecutor"
#: Templates of which every parameter of every gate is one of their own.
TEMPLATES: Final = frozenset(
    {qml.AngleEmbedding, qml.BasicEntanglerLayers, qml.StronglyEntanglingLayers}
)
#: Layouts that are remembered before all of them are forgotten.
MOST_LAYOUTS: Final = 256


def native(
    operators: Iterable[Any], kept: Collection[type] = frozenset()
) -> Iterator[Any]:
    """Yield operators, taken apart as far as needed, but for those that are kept."""
    for op in operators:
        if _is_kept(op, kept) or is_native(op):
            yield op
        elif isinstance(op, Conditional):
            for part in native([op.base]):
                yield Conditional(op.meas_val, part)
        else:
            yield from _parts(op)


def _is_kept(op: Any, kept: Collection[type]) -> bool:
    """Tell whether an operator is one that is kept, made of gates that are known."""
    if type(op) not in kept:
        return False
    kinds = [each for each in op.hyperparameters.values() if isinstance(each, type)]
    return all(kind in DIRECT for kind in kinds)


def in_turn(operators: Iterable[Any]) -> Iterator[Any]:
    """Yield native operators; of states in the middle, the gates that PennyLane has.

    What these do to wires that are not in their first state is theirs to say.
    """
    done: list[Any] = []
    for op in native(operators, kept=TEMPLATES):
        base = op.base if isinstance(op, Conditional) else op
        if isinstance(base, StatePrep) and _touch(done, base.wires):
            for gate in native(base.decomposition()):
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


@attrs.frozen(eq=False)
class Layout:
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


_layouts: Final[dict[Hashable, Layout]] = {}


def layout_of(op: Any, qubits: Mapping[Hashable, int]) -> Layout:
    """Return how a template is taken apart; found out once for each shape.

    Args:
        op: One of `TEMPLATES`.
        qubits: The qubit of each wire.
    """
    settings = tuple(sorted(op.hyperparameters.items()))
    order = tuple(qubits[wire] for wire in op.wires)
    key = (type(op), order, settings, np.shape(op.data[0]))
    found = _layouts.get(key)
    if found is None:
        if len(_layouts) >= MOST_LAYOUTS:
            _layouts.clear()
        found = _layouts[key] = _take_apart(op, qubits)
    return found


def _take_apart(op: Any, qubits: Mapping[Hashable, int]) -> Layout:
    """Take a template apart, with the numbers 1, 2, 3 … in place of its parameters."""
    shape = np.shape(op.data[0])
    numbers = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    written = Written(qubits)
    for gate in native([bind_new_parameters(op, [numbers])]):
        written.add(gate)
    places = np.array(written.params).astype(np.intp) - 1
    return Layout(tuple(written.instructions), places)

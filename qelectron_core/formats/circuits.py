"""Circuits as readable JSON, and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from qelectron_core.errors import FormatError
from qelectron_core.formats import plain

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

_WHAT: Final = "qelectron circuit"
_VERSION: Final = 1


class Written:
    """A circuit as text, to hand on without the many objects that it is made of."""

    __slots__ = ("text",)

    def __init__(self, circuit: QuantumScript, most_bytes: float = math.inf) -> None:
        """Write a circuit down.

        Raises:
            FormatError: If it cannot be, or its parameters take more than
                `most_bytes`.
        """
        self.text = _dumped(circuit, most_bytes)


def dump_circuit(circuit: QuantumScript | Written) -> str:
    """Return a circuit as text: operations, measurements, shots, what is trainable.

    Ids are left out: those of mid-circuit measurements are numbered instead. Of the
    function that calculates with their outcomes, its table is written.

    Raises:
        FormatError: If the circuit holds something that cannot be written
            faithfully; says what.

    Example:
        >>> import pennylane as qml
        >>> circuit = qml.tape.QuantumScript([qml.RX(0.5, "a")], [qml.state()])
        >>> '["RX",["a"],[0.5]]' in dump_circuit(circuit)
        True
        >>> load_circuit(dump_circuit(circuit)).operations
        [RX(0.5, wires=['a'])]
    """
    return circuit.text if isinstance(circuit, Written) else _dumped(circuit)


def _dumped(circuit: QuantumScript, most_bytes: float = math.inf) -> str:
    from qelectron_core.formats.writing import write_circuit

    content = write_circuit(circuit, most_bytes)
    return f'{{"format":"{_WHAT} {_VERSION}",{content}}}'


def load_circuit(text: str) -> QuantumScript:
    """Return the circuit that `dump_circuit` wrote.

    Only operators that PennyLane knows are made; nothing is imported.

    Raises:
        FormatError: If the text is damaged, or of another kind or version, or names
            an operator that is not known here.
    """
    from qelectron_core.formats.reading import read_circuit

    found: dict[str, Any] = plain.parse(text, _WHAT, _VERSION)
    try:
        return read_circuit(found)
    except FormatError:
        raise
    except Exception as error:  # PennyLane may raise anything at what it cannot make
        message = f"the text of a circuit is damaged: {type(error).__name__}: {error}"
        raise FormatError(message) from error

"""Circuits as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qelectron_sqlite.cli.texts import safe

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

#: Operations that are drawn of one circuit: more are more than anybody reads.
MOST_DRAWN: Final = 400


def drawn(circuit: QuantumScript, width: int = 100) -> str:
    """Return the drawing of a circuit.

    Args:
        circuit: The circuit.
        width: Characters in a line, before the drawing goes on below.
    """
    from pennylane.drawer import tape_text

    shown, left_out = _beginning(circuit)
    try:
        text = tape_text(shown, decimals=2, max_length=width)
    except Exception as error:  # of whatever an operator is drawn with
        return f"cannot be drawn: {safe(str(error))}"
    lines = [safe(line).rstrip() for line in text.splitlines()]
    if left_out:
        lines.append(f"… and {left_out:,} more operations")
    return "\n".join(lines) or "no operation and no measurement"


def _beginning(circuit: QuantumScript) -> tuple[Any, int]:
    operations = circuit.operations
    if len(operations) <= MOST_DRAWN:
        return circuit, 0
    shown = circuit.copy(operations=operations[:MOST_DRAWN])
    return shown, len(operations) - MOST_DRAWN

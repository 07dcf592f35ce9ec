"""What a computation does with any numbers, found out with symbols in their place."""

from qelectron_core.tracing.blueprint import (
    Blueprint,
    circuit_inputs,
    trace_circuit,
    trace_function,
)
from qelectron_core.tracing.symbols import NotTraceableError

__all__ = [
    "Blueprint",
    "NotTraceableError",
    "circuit_inputs",
    "trace_circuit",
    "trace_function",
]

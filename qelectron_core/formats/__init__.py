"""How circuits, results and executors are written down, and told apart.

Nothing here uses pickle: what is read is checked, and executes nothing. Importing
the package imports neither PennyLane nor a plugin.
"""

from qelectron_core.formats.circuits import Written, dump_circuit, load_circuit
from qelectron_core.formats.executors import dump_executor, load_executor
from qelectron_core.formats.fingerprints import (
    circuit_digest,
    executor_digest,
    pool_of,
)
from qelectron_core.formats.shown_executors import load_shown, parse_executors
from qelectron_core.formats.values import dump_value, load_value

__all__ = [
    "Written",
    "circuit_digest",
    "dump_circuit",
    "dump_executor",
    "dump_value",
    "executor_digest",
    "load_circuit",
    "load_executor",
    "load_shown",
    "load_value",
    "parse_executors",
    "pool_of",
]

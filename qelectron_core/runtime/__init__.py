"""What lives while the program runs: lanes, worker threads, the journal."""

from qelectron_core.runtime.loads import Load
from qelectron_core.runtime.runtime import (
    Runtime,
    load,
    observe,
    observers,
    runtime,
    shutdown,
    use,
)

__all__ = [
    "Load",
    "Runtime",
    "load",
    "observe",
    "observers",
    "runtime",
    "shutdown",
    "use",
]

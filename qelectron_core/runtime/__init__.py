"""What lives while the program runs: lanes, worker threads, the journal."""

from qelectron_core.runtime.loads import Load
from qelectron_core.runtime.runtime import (
    Runtime,
    at_shutdown,
    load,
    observe,
    observers,
    runtime,
    shutdown,
    tell,
    use,
)

__all__ = [
    "Load",
    "Runtime",
    "at_shutdown",
    "load",
    "observe",
    "observers",
    "runtime",
    "shutdown",
    "tell",
    "use",
]

"""What lives while the program runs: lanes, worker threads, the journal."""

from qelectron_core.runtime.runtime import (
    Runtime,
    observe,
    observers,
    runtime,
    shutdown,
)

__all__ = ["Runtime", "observe", "observers", "runtime", "shutdown"]

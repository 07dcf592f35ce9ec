"""Imports PennyLane as a whole, before a part of it is imported.

A thread that imports a part has the lock of the part while it waits for the whole. If
another thread is importing the whole just then, Python lets one of them have what is
half imported, and the other fail.
"""

from __future__ import annotations


def pennylane() -> None:
    """Wait until PennyLane is imported: whoever reads circuits or executors does."""
    import pennylane as pennylane

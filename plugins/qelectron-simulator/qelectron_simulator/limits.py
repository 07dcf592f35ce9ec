"""Which circuits are run as one, and how many of them."""

from __future__ import annotations

from collections.abc import Sized
from typing import Final

#: Devices that run an array of parameters as fast as a single one.
BROADCASTING: Final = ("default.qubit",)
#: Above this many wires the arithmetic outweighs what is saved per operation.
MAX_WIRES: Final = 14
#: Most amplitudes of one fused run, of 16 bytes each: as many as stay in the cache of
#: a core. With more, circuits of 11 wires and above were measured to take longer.
MAX_AMPLITUDES: Final = 2**16


def most_fused(device: str | None, wires: Sized) -> int:
    """Return how many circuits of one structure are run as one.

    Args:
        device: Name of the device; `None` for one of which nothing is known.
        wires: Wires of the state that is simulated.
    """
    if device not in BROADCASTING or len(wires) > MAX_WIRES:
        return 1
    return MAX_AMPLITUDES >> len(wires)

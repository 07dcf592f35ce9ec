"""Which circuits gather, which run on threads, and which in other processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np
from pennylane.measurements import ProbabilityMP, StateMP
from pennylane.tape import QuantumScript

from qelectron_core import Settings, fusion
from qelectron_simulator.devices import DeviceSpec, probe
from qelectron_simulator.limits import BROADCASTING, MAX_AMPLITUDES, MAX_WIRES

_CPU_BOUND: Final = ("default.", "lightning.")
_PENNYLANE: Final = ("pennylane.", "pennylane_lightning.")


@attrs.frozen
class Spread:
    """What was measured to be fastest for the circuits of a device, by their wires.

    Attributes:
        gathered: Up to this many, nothing is faster than one thread at a time that
            takes all that has gathered, and often runs it as one.
        processes: For these, threads take as long as one, or longer: it is Python
            that works, or a kernel that holds its lock. Where there are no
            processes, one thread at a time takes what has gathered.
        threads: For these, time is spent in kernels that release the lock.
    """

    gathered: int
    processes: range
    threads: range


# The figures are in docs/explanation/design.md. A density matrix has twice the
# dimensions of a state. Lightning holds the lock however wide a circuit is, but
# up to 16 wires it takes no longer than the way to a process.
_SPREAD: Final = {
    "default.qubit": Spread(MAX_WIRES, range(0), range(MAX_WIRES + 1, 64)),
    "default.mixed": Spread(5, range(6, 7), range(6, 32)),
    "lightning.qubit": Spread(16, range(17, 64), range(0)),
}
# Amplitudes of a run over arrays from which on it is worth a thread of its own.
_FULL: Final = MAX_AMPLITUDES // 4
# Below this many operations, the way to a process takes longer than the circuit.
_FEWEST_OPERATIONS: Final = 30
# Numbers in parameters or results above which carrying them costs time and memory.
_MOST_NUMBERS: Final = 2**16


def spread(spec: DeviceSpec) -> Spread | None:
    """Return how the circuits of a device spread, if that was measured."""
    return None if spec.is_shared else _SPREAD.get(_name(spec))


def is_cpu_bound(spec: DeviceSpec) -> bool:
    """Tell whether a device is known to keep a core busy while it runs."""
    if spec.is_shared:
        return False
    is_own = type(probe(spec).device).__module__.startswith(_PENNYLANE)
    return is_own and _name(spec).startswith(_CPU_BOUND)


def gathers(spec: DeviceSpec, circuit: QuantumScript, *, processes: bool) -> bool:
    """Tell whether a circuit is known to be best run by one thread, with others.

    Args:
        spec: The device.
        circuit: The circuit.
        processes: Whether there may be processes besides threads.
    """
    measured = spread(spec)
    if measured is None or _is_full_run(spec, circuit):
        return False
    n_wires = _n_wires(spec, circuit)
    if processes:
        return n_wires <= measured.gathered
    return n_wires not in measured.threads


def _is_full_run(spec: DeviceSpec, circuit: QuantumScript) -> bool:
    """Tell whether a circuit is over arrays so large that kernels run beside others."""
    if _name(spec) not in BROADCASTING:
        return False
    n_runs = fusion.count_of(circuit)
    return n_runs is not None and n_runs << _n_wires(spec, circuit) >= _FULL


def gains_from_processes(
    spec: DeviceSpec, circuits: Sequence[QuantumScript], settings: Settings
) -> bool:
    """Tell whether all of some circuits may, and had better, travel."""
    measured = spread(spec)
    if measured is None or settings.gradient_method == "backprop":  # live tensors
        return False
    widths = measured.processes
    return all(_n_wires(spec, c) in widths and _travels_well(c) for c in circuits)


def _travels_well(circuit: QuantumScript) -> bool:
    operations = circuit.operations
    if len(operations) < _FEWEST_OPERATIONS:
        return False
    numbers = sum(np.size(value) for op in operations for value in op.data)
    return numbers <= _MOST_NUMBERS and not any(
        isinstance(mp, (StateMP, ProbabilityMP))
        and 2 ** len(mp.wires or circuit.wires) > _MOST_NUMBERS
        for mp in circuit.measurements
    )


def _n_wires(spec: DeviceSpec, circuit: QuantumScript) -> int:
    return len(spec.wires or circuit.wires)


def _name(spec: DeviceSpec) -> str:
    name: str = probe(spec).device.name
    return name

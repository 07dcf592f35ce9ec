"""What a fake vendor's machines compute: the results of `default.qubit`.

Circuits of equal structure are prepared once and, where they are exact, run as one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final

import attrs
import numpy as np
import pennylane as qml
from pennylane.devices import Device, ExecutionConfig, MCMConfig
from pennylane.math import Interface
from pennylane.measurements import ExpectationMP, ProbabilityMP
from pennylane.ops.qubit.attributes import supports_broadcasting
from pennylane.tape import QuantumScript

from qelectron_core.contracts import Seed, Settings
from qelectron_core.recording import pennylane_code
from qelectron_core.structure import PLAIN_OPERATORS, structure_of

#: Above this many wires the arithmetic outweighs what running as one saves.
FEW_WIRES: Final = 10
#: Preparations that are remembered before all of them are forgotten.
MANY: Final = 256

#: Per structure of circuits and what else matters: how to prepare and run them.
_prepared: Final[dict[Hashable, tuple[ExecutionConfig, Any]]] = {}


def simulate(
    circuits: Sequence[QuantumScript],
    seeds: Sequence[Seed],
    settings: Settings,
    wires: tuple[Hashable, ...] | None = None,
) -> list[Any]:
    """Return per circuit its result, or the exception that it ended in.

    Args:
        circuits: Circuits, with or without shots.
        seeds: Per circuit, what its samples are seeded with.
        settings: How to run them.
        wires: Labels of the simulated wires; `None` simulates each circuit's own.
    """
    outcomes: list[Any] = [None] * len(circuits)
    with pennylane_code():
        for structure, places in _groups(circuits):
            group = [(circuits[place], seeds[place]) for place in places]
            results = _Machine(structure, settings, wires).run(group)
            for place, result in zip(places, results, strict=True):
                outcomes[place] = result
    return outcomes


def _groups(
    circuits: Sequence[QuantumScript],
) -> Iterator[tuple[Hashable | None, list[int]]]:
    """Yield structures, and the positions of the circuits that have them."""
    groups: dict[Hashable, list[int]] = {}
    for place, circuit in enumerate(circuits):
        structure = structure_of(circuit)
        if structure is None:
            yield None, [place]
        else:
            groups.setdefault(structure, []).append(place)
    yield from groups.items()


@attrs.frozen
class _Machine:
    """Runs circuits of one structure, or one circuit that has none."""

    structure: Hashable | None
    settings: Settings
    wires: tuple[Hashable, ...] | None

    def run(self, group: Sequence[tuple[QuantumScript, Seed]]) -> list[Any]:
        results = None
        if len(group) > 1 and _is_fusible(group[0][0]):
            results = self._run_fused([circuit for circuit, _ in group])
        return results or [self._try(circuit, seed) for circuit, seed in group]

    def _run_fused(self, circuits: Sequence[QuantumScript]) -> list[Any] | None:
        """Run circuits as one; return nothing if that cannot be."""
        try:
            fused = _fuse(circuits)
            alone = attrs.evolve(self, structure=structure_of(fused))
            return _split(alone._run_one(fused, 0), circuits)
        except Exception:
            return None  # one by one, they say themselves what is wrong

    def _try(self, circuit: QuantumScript, seed: Seed) -> Any:
        try:
            return self._run_one(circuit, seed.to_int())
        except Exception as error:
            return error

    def _run_one(self, circuit: QuantumScript, seed: int) -> Any:
        # Always seeded: else a device draws its seed from NumPy's global generator,
        # which belongs to the user.
        device = qml.device("default.qubit", wires=self.wires, seed=seed)
        config, prepare = self._preparation(device, circuit)
        prepared, finish = prepare((circuit,))
        return finish(device.execute(prepared, config) if prepared else ())[0]

    def _preparation(
        self, device: Device, circuit: QuantumScript
    ) -> tuple[ExecutionConfig, Any]:
        """Return how to prepare and run a circuit, which is slow to find out."""
        known = _prepared.get(self) if self.structure is not None else None
        if known is not None:
            return known
        config = device.setup_execution_config(_config(self.settings), circuit)
        made = config, device.preprocess_transforms(config)
        if self.structure is not None:
            if len(_prepared) >= MANY:
                _prepared.clear()
            _prepared[self] = made
        return made


def _config(settings: Settings) -> ExecutionConfig:
    mcm = MCMConfig(
        mcm_method=settings.mcm_method, postselect_mode=settings.postselect_mode
    )
    return ExecutionConfig(interface=Interface(settings.interface), mcm_config=mcm)


def _is_fusible(circuit: QuantumScript) -> bool:
    """Tell whether circuits of this one's structure can be run as one."""
    if circuit.shots or len(circuit.wires) > FEW_WIRES:
        return False
    measured = (ExpectationMP, ProbabilityMP)
    if not all(isinstance(mp, measured) for mp in circuit.measurements):
        return False
    return any(op.data for op in circuit.operations) and all(
        map(_broadcasts, circuit.operations)
    )


def _broadcasts(op: Any) -> bool:
    if type(op) not in PLAIN_OPERATORS or any(map(np.ndim, op.data)):
        return False
    return not op.data or op in supports_broadcasting


def _fuse(circuits: Sequence[QuantumScript]) -> QuantumScript:
    """Return one circuit whose parameters are arrays over circuits."""
    rows = [[x for op in circuit.operations for x in op.data] for circuit in circuits]
    columns = list(np.array(rows).T)
    places = range(len(columns))
    trainable = circuits[0].copy(trainable_params=places)
    return trainable.bind_new_parameters(columns, places)


def _split(result: Any, circuits: Sequence[QuantumScript]) -> list[Any]:
    """Undo `_fuse` for a result.

    Raises:
        ValueError: If the result is not an array over the circuits.
    """
    several = len(circuits[0].measurements) > 1
    parts = list(result) if several else [result]
    rows = zip(zip(*parts, strict=True), circuits, strict=True)
    results = [tuple(value.copy() for value in row) for row, _ in rows]
    return results if several else [values[0] for values in results]

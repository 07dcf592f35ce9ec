"""What a fake vendor's machines compute: the results of `default.qubit`.

Circuits of equal structure are prepared once and, where they are exact, run as one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final

import attrs
import pennylane as qml
from pennylane.devices import Device, ExecutionConfig, MCMConfig
from pennylane.math import Interface
from pennylane.tape import QuantumScript

from qelectron_core.contracts import Seed, Settings
from qelectron_core.fusion import fuse, group, is_fusible, unfuse
from qelectron_core.recording import pennylane_code
from qelectron_core.structure import structure_of

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
        for structure, places in group(circuits):
            pairs = [(circuits[place], seeds[place]) for place in places]
            results = _Machine(structure, settings, wires).run(pairs)
            for place, result in zip(places, results, strict=True):
                outcomes[place] = result
    return outcomes


@attrs.frozen
class _Machine:
    """Runs circuits of one structure, or one circuit that has none."""

    structure: Hashable | None
    settings: Settings
    wires: tuple[Hashable, ...] | None

    def run(self, pairs: Sequence[tuple[QuantumScript, Seed]]) -> list[Any]:
        results = None
        if len(pairs) > 1 and _is_worth_fusing(pairs[0][0]):
            results = self._run_fused([circuit for circuit, _ in pairs])
        return results or [self._try(circuit, seed) for circuit, seed in pairs]

    def _run_fused(self, circuits: Sequence[QuantumScript]) -> list[Any] | None:
        """Run circuits as one; return nothing if that cannot be."""
        try:
            fused = fuse(circuits)
            if fused is None:
                return None
            alone = attrs.evolve(self, structure=structure_of(fused))
            result = alone._run_one(fused, 0)
            return unfuse(result, len(circuits), len(fused.measurements))
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


def _is_worth_fusing(circuit: QuantumScript) -> bool:
    return len(circuit.wires) <= FEW_WIRES and is_fusible(circuit)

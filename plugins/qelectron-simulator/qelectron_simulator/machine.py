"""A PennyLane device that runs circuits, prepared in the shortest way."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from pennylane.tape import QuantumScript

from qelectron_core import Result, Seed, Settings
from qelectron_simulator.devices import DeviceSpec, probe
from qelectron_simulator.preparing import Prepared, Preparer, config_of


class Machine:
    """A device, and what is known of how circuits are prepared for it.

    Attributes:
        device: The device.
    """

    def __init__(self, spec: DeviceSpec) -> None:
        """Build the device."""
        self.device = spec.build()
        self._spec = spec
        self._preparer = Preparer(self.device)
        self._takes_seed = probe(spec).takes_seed

    def prepare(
        self, circuit: QuantumScript, settings: Settings, structure: Hashable | None
    ) -> Prepared:
        """Return what to execute for a circuit; see `Preparer.prepare`."""
        return self._preparer.prepare(circuit, settings, structure)

    def run(
        self,
        circuit: QuantumScript,
        settings: Settings,
        structure: Hashable | None,
        seed: Seed | None = None,
    ) -> Result:
        """Run a circuit.

        Args:
            circuit: The circuit.
            settings: How to run it.
            structure: Its structure; `None` prepares it by itself.
            seed: Seeds its samples, if it has any.

        Raises:
            Exception: If the device cannot run it.
        """
        prepared, finish, config = self.prepare(circuit, settings, structure)
        device = self.device
        if seed is not None and circuit.shots and self._takes_seed:
            device = self._spec.build(seed=seed.to_int())  # fresh: it has drawn nothing
        return finish(device.execute(prepared, config) if prepared else ())[0]

    def differentiate(
        self, circuit: QuantumScript, settings: Settings
    ) -> tuple[Result, Any]:
        """Return the result of a circuit and its Jacobian.

        Raises:
            Exception: If the device cannot differentiate it.
        """
        config = self.device.setup_execution_config(config_of(settings), circuit)
        run = self.device.execute_and_compute_derivatives
        results, jacobians = run((circuit,), config)
        return results[0], jacobians[0]

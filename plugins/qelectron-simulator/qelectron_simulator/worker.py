"""What one worker does: prepare circuits for its device and run them."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pennylane.devices import Device, ExecutionConfig, MCMConfig
from pennylane.math import Interface
from pennylane.tape import QuantumScript

from qelectron_core import Result, Seed, Settings
from qelectron_core.structure import structure_of
from qelectron_simulator import fusion
from qelectron_simulator.devices import MAX_REMEMBERED, DeviceSpec, Shared, probe

_log = logging.getLogger("qelectron")

#: Devices whose preprocessing depends on nothing but a circuit's structure.
_BY_STRUCTURE = ("default.qubit", "lightning.qubit")
#: Devices that run an array of parameters as fast as a single one.
_BROADCASTING = ("default.qubit",)


class Worker:
    """A PennyLane device of one worker's own, and what it has learned."""

    def __init__(self, spec: DeviceSpec) -> None:
        """Build the device."""
        self._spec = spec
        self._device = spec.build()
        self._takes_seed = probe(spec).takes_seed
        # Nothing is known of a user's own device, whatever it is called.
        self._name = None if spec.is_shared else self._device.name
        # Configurations of circuits that the device runs just as they are.
        self._ready: OrderedDict[Hashable, ExecutionConfig] = OrderedDict()
        self._turn: AbstractContextManager[Any] = nullcontext()
        if isinstance(spec.kind, Shared):
            self._turn = spec.kind.turn

    def run(
        self,
        circuits: Sequence[QuantumScript],
        seeds: Sequence[Seed],
        settings: Settings,
    ) -> list[Result | Exception]:
        """Run circuits; return per circuit its result or what it ended in."""
        outcomes: list[Any] = [None] * len(circuits)
        with self._turn:
            for structure, indices in self._groups(circuits, settings):
                group = [(circuits[index], seeds[index]) for index in indices]
                parts = self._run_group(group, settings, structure)
                for index, part in zip(indices, parts, strict=True):
                    outcomes[index] = part
        return outcomes

    def _run_group(
        self,
        group: list[tuple[QuantumScript, Seed]],
        settings: Settings,
        structure: Hashable | None,
    ) -> list[Result | Exception]:
        """Run circuits of equal structure, as one where that saves work."""
        expands = self._name not in _BROADCASTING
        alone = 1 if expands or fusion.needs_model(group[0][0]) else 0
        done = [self._try(*pair, settings, structure) for pair in group[:alone]]
        rest = group[alone:]
        # A device that expands arrays gains only what preparing circuits costs.
        if len(rest) > 1 and not (expands and (structure, settings) in self._ready):
            fused = self._run_fused([circuit for circuit, _ in rest], settings)
            if fused is not None:
                return done + [fusion.in_type_of(done, result) for result in fused]
        return done + [self._try(*pair, settings, structure) for pair in rest]

    def _groups(self, circuits: Sequence[QuantumScript], settings: Settings) -> Any:
        if self._name not in _BY_STRUCTURE or settings.gradient_method is not None:
            return [(None, [index]) for index in range(len(circuits))]
        if len(circuits) == 1:
            return [(structure_of(circuits[0]), [0])]
        wires = self._device.wires
        widest = max(len(c.wires) for c in circuits) if wires is None else len(wires)
        return fusion.groups(circuits, widest)

    def _run_fused(
        self, circuits: list[QuantumScript], settings: Settings
    ) -> list[Any] | None:
        """Run circuits as one; return nothing if that cannot be."""
        try:
            fused = fusion.fuse(circuits)
            if fused is None:
                return None
            result = self._run_one(self._device, fused, settings, structure_of(fused))
            return fusion.split(result, circuits)
        except Exception:
            _log.debug("circuits run one by one, not as one", exc_info=True)
            return None

    def _try(
        self,
        circuit: QuantumScript,
        seed: Seed,
        settings: Settings,
        structure: Hashable | None,
    ) -> Result | Exception:
        try:
            device = self._seeded(circuit, seed)
            if settings.derivatives:
                return _with_derivatives(device, circuit, settings)
            return self._run_one(device, circuit, settings, structure)
        except Exception as error:
            return error

    def _seeded(self, circuit: QuantumScript, seed: Seed) -> Device:
        """Return the device to use: a fresh one where random numbers are drawn."""
        if circuit.shots and self._takes_seed:
            return self._spec.build(seed=seed.to_int())
        return self._device

    def _run_one(
        self,
        device: Device,
        circuit: QuantumScript,
        settings: Settings,
        structure: Hashable | None,
    ) -> Result:
        key = None if structure is None else (structure, settings)
        config = self._ready.get(key) if key is not None else None
        if config is not None:
            return device.execute((circuit,), config)[0]
        config = device.setup_execution_config(_config(settings), circuit)
        prepared, post = device.preprocess_transforms(config)((circuit,))
        if key is not None and _is_same(prepared, circuit):
            self._remember(key, config)
        results = device.execute(prepared, config) if prepared else ()
        return post(results)[0]

    def _remember(self, key: Hashable, config: ExecutionConfig) -> None:
        self._ready[key] = config
        if len(self._ready) > MAX_REMEMBERED:
            self._ready.popitem(last=False)


def _is_same(prepared: Sequence[QuantumScript], circuit: QuantumScript) -> bool:
    """Tell whether preparation left a circuit as it was."""
    if len(prepared) != 1:
        return False
    before = (*circuit.operations, *circuit.measurements)
    after = (*prepared[0].operations, *prepared[0].measurements)
    return len(before) == len(after) and all(map(_is_identical, before, after))


def _is_identical(first: Any, second: Any) -> bool:
    return first is second


def _with_derivatives(
    device: Device, circuit: QuantumScript, settings: Settings
) -> tuple[Result, Any]:
    config = device.setup_execution_config(_config(settings), circuit)
    results, jacobians = device.execute_and_compute_derivatives((circuit,), config)
    return results[0], jacobians[0]


def _config(settings: Settings) -> ExecutionConfig:
    method = settings.gradient_method
    return ExecutionConfig(
        interface=Interface(settings.interface),
        gradient_method=method,
        use_device_gradient=method is not None,
        use_device_jacobian_product=False,
        grad_on_execution=settings.derivatives,
        mcm_config=MCMConfig(
            mcm_method=settings.mcm_method, postselect_mode=settings.postselect_mode
        ),
    )

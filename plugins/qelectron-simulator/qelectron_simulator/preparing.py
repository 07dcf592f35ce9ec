"""Prepares circuits for a device: once per structure where that is enough."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Final, TypeAlias

import attrs
import numpy as np
from pennylane.devices import Device, ExecutionConfig, MCMConfig
from pennylane.math import Interface
from pennylane.tape import QuantumScript

from qelectron_core import Result, Settings
from qelectron_core.structure import structure_of
from qelectron_core.tracing import (
    Blueprint,
    NotTraceableError,
    circuit_inputs,
    trace_circuit,
)

#: Structures that are remembered, the oldest going first.
MAX_REMEMBERED: Final = 1000

#: What the results of prepared circuits are passed through.
Finish: TypeAlias = Callable[[Sequence[Result]], Sequence[Result]]
Prepared: TypeAlias = tuple[Sequence[QuantumScript], Finish, ExecutionConfig]


@attrs.frozen
class _Way:
    """How circuits of one structure are prepared.

    Attributes:
        config: How they are executed.
        blueprint: What is executed in their place; `None` for themselves.
    """

    config: ExecutionConfig
    blueprint: Blueprint | None = None

    def prepare(self, circuit: QuantumScript) -> QuantumScript:
        if self.blueprint is None:
            return circuit
        return self.blueprint.bind(circuit_inputs(circuit), circuit.shots)


class Preparer:
    """Prepares circuits for one device, and remembers how.

    When a structure comes up for the second time, its preparation is traced: what
    comes out as a formula of the parameters, and agrees with the preparation itself,
    is from then on filled in instead of worked out again. A preparation that looks
    at a value is done for every circuit.
    """

    def __init__(self, device: Device) -> None:
        """Prepare for a device, or another one that was built in the same way."""
        self._device = device
        self._ways: OrderedDict[Hashable, _Way | None] = OrderedDict()

    def prepare(
        self, circuit: QuantumScript, settings: Settings, structure: Hashable | None
    ) -> Prepared:
        """Return what to execute for a circuit, and what to do with the results.

        Args:
            circuit: The circuit.
            settings: How it is to be run.
            structure: Its structure, if what is prepared depends on nothing else but
                the parameters.

        Raises:
            Exception: If the device cannot run it.
        """
        key = (structure, settings)
        way = None if structure is None else self._ways.get(key)
        if way is not None:
            return (way.prepare(circuit),), _same, way.config
        config = self._device.setup_execution_config(config_of(settings), circuit)
        pipeline = self._device.preprocess_transforms(config)
        prepared, finish = pipeline((circuit,))
        if structure is not None:
            self._learn(key, circuit, prepared, config)
        return prepared, finish, config

    def _learn(
        self,
        key: Hashable,
        circuit: QuantumScript,
        prepared: Sequence[QuantumScript],
        config: ExecutionConfig,
    ) -> None:
        way = None
        if _is_same(prepared, circuit):
            way = _Way(config)
        elif key not in self._ways:
            pass  # it may never come again
        elif len(prepared) == 1 and _measures_same(prepared[0], circuit):
            way = self._trace(circuit, prepared[0], config)
        self._ways[key] = way
        if len(self._ways) > MAX_REMEMBERED:
            self._ways.popitem(last=False)

    def _trace(
        self, circuit: QuantumScript, prepared: QuantumScript, config: ExecutionConfig
    ) -> _Way | None:
        def prepare(symbolic: QuantumScript) -> QuantumScript:
            (only,), _ = self._device.preprocess_transforms(config)((symbolic,))
            return only

        try:
            way = _Way(config, trace_circuit(circuit, prepare))
            filled = way.prepare(circuit)
        except (NotTraceableError, ArithmeticError):
            return None
        return way if _is_equal(filled, prepared) else None


def config_of(settings: Settings) -> ExecutionConfig:
    """Return what a device is told of how circuits are to be run."""
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


def _same(results: Sequence[Result]) -> Sequence[Result]:
    return results


def _is_same(prepared: Sequence[QuantumScript], circuit: QuantumScript) -> bool:
    """Tell whether preparation left a circuit as it was."""
    if len(prepared) != 1:
        return False
    before = (*circuit.operations, *circuit.measurements)
    after = (*prepared[0].operations, *prepared[0].measurements)
    pairs = zip(before, after, strict=False)
    return len(before) == len(after) and all(one is other for one, other in pairs)


def _measures_same(prepared: QuantumScript, circuit: QuantumScript) -> bool:
    measured = (
        structure_of(QuantumScript([], c.measurements, shots=c.shots))
        for c in (prepared, circuit)
    )
    return len(set(measured)) == 1


def _is_equal(first: QuantumScript, second: QuantumScript) -> bool:
    structure = structure_of(first)
    if structure is None or structure != structure_of(second):
        return False
    pairs = zip(circuit_inputs(first), circuit_inputs(second), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)

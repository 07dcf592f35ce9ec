"""What one worker does: prepare circuits for its device and run them."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, Final, TypeAlias

import attrs
from pennylane.tape import QuantumScript

from qelectron_core import Result, Seed, Settings, fusion
from qelectron_core.structure import structure_of
from qelectron_simulator import sampling
from qelectron_simulator.devices import DeviceSpec, Shared
from qelectron_simulator.limits import BROADCASTING, most_fused
from qelectron_simulator.machine import Machine

_log = logging.getLogger("qelectron")

#: Devices whose preprocessing depends on nothing but structure and parameters.
_BY_STRUCTURE: Final = ("default.qubit", "lightning.qubit")

#: Circuits, each with its seed.
Group: TypeAlias = list[tuple[QuantumScript, Seed]]


class Worker:
    """A PennyLane device of one worker's own, and what it has learned."""

    def __init__(self, spec: DeviceSpec) -> None:
        """Build the device."""
        self._spec = spec
        self._own = Machine(spec)
        # Nothing is known of a user's own device, whatever it is called.
        self._name = None if spec.is_shared else self._own.device.name
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
            for structure, places in self._groups(circuits, settings):
                group = [(circuits[place], seeds[place]) for place in places]
                results = self._run_group(group, settings, structure)
                for place, result in zip(places, results, strict=True):
                    outcomes[place] = result
        return outcomes

    def _groups(
        self, circuits: Sequence[QuantumScript], settings: Settings
    ) -> Iterator[tuple[Hashable | None, list[int]]]:
        """Yield structures, with the positions of circuits that may run as one."""
        if self._name not in _BY_STRUCTURE or settings.gradient_method is not None:
            yield from ((None, [place]) for place in range(len(circuits)))
            return
        for structure, places in fusion.group(circuits):
            size = self._most_fused(circuits[places[0]])
            for start in range(0, len(places), size):
                yield structure, places[start : start + size]

    def _run_group(
        self, group: Group, settings: Settings, structure: Hashable | None
    ) -> list[Result | Exception]:
        """Run circuits of equal structure, as one where that saves work."""
        first = group[0][0]
        if len(group) == 1 or self._name not in BROADCASTING:
            return [self._try(*pair, settings, structure) for pair in group]
        if first.shots:
            return self._run_sampled(group, settings, structure)
        alone = group[:1] if fusion.needs_model(first) else []
        done = [self._try(*pair, settings, structure) for pair in alone]
        rest = [circuit for circuit, _ in group[len(alone) :]]
        fused = self._run_fused(rest, settings, self._own)
        if fused is None:
            pairs = group[len(alone) :]
            return done + [self._try(*pair, settings, structure) for pair in pairs]
        if done:
            fused = [fusion.in_type_of(done[0], result) for result in fused]
        return done + fused

    def _run_fused(
        self, circuits: list[QuantumScript], settings: Settings, machine: Machine
    ) -> list[Any] | None:
        """Run circuits as one; return nothing if that cannot be."""
        try:
            if len(circuits) == 1 or not fusion.is_fusible(circuits[0]):
                return None
            fused = fusion.fuse(circuits)
            if fused is None:
                return None
            result = machine.run(fused, settings, structure_of(fused))
            return fusion.unfuse(result, len(circuits), len(fused.measurements))
        except Exception:
            _log.debug("circuits run one by one, not as one", exc_info=True)
            return None

    def _run_sampled(
        self, group: Group, settings: Settings, structure: Hashable | None
    ) -> list[Result | Exception]:
        """Compute the states of sampled circuits as one; draw from each by itself."""
        ready = self._standard([circuit for circuit, _ in group], settings, structure)
        exact = [sampling.to_state(circuit) for circuit in ready]
        states = self._run_fused(exact, settings, self._anywhere) if exact else None
        if states is None:
            return [self._try(*pair, settings, structure) for pair in group]
        drawn = ("drawn", structure)
        triples = zip(ready, states, group, strict=True)
        return [
            self._try(
                sampling.from_state(circuit, state),
                seed,
                settings,
                drawn,
                self._anywhere,
            )
            for circuit, state, (_, seed) in triples
        ]

    def _standard(
        self, circuits: list[QuantumScript], settings: Settings, structure: Hashable
    ) -> list[QuantumScript]:
        """Return circuits as the device simulates them, or nothing if it refuses."""
        try:
            prepared = [
                self._own.prepare(circuit, settings, structure)[0]
                for circuit in circuits
            ]
            return [only.map_to_standard_wires() for (only,) in prepared]
        except Exception:  # it will say itself what is wrong
            return []

    @cached_property
    def _anywhere(self) -> Machine:
        """A device like its own, for any wires."""
        return Machine(attrs.evolve(self._spec, wires=None))

    def _try(  # what a run depends on
        self,
        circuit: QuantumScript,
        seed: Seed,
        settings: Settings,
        structure: Hashable | None,
        machine: Machine | None = None,
    ) -> Result | Exception:
        machine = machine or self._own
        try:
            if settings.derivatives:
                return machine.differentiate(circuit, settings)
            return machine.run(circuit, settings, structure, seed)
        except Exception as error:
            return error

    def _most_fused(self, circuit: QuantumScript) -> int:
        return most_fused(self._name, self._own.device.wires or circuit.wires)

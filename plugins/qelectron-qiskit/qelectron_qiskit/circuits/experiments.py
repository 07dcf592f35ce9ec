"""From a circuit of PennyLane to the runs that it takes, and back to its result."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
import pennylane as qml
from pennylane.tape import QuantumScript

from qelectron_core import ConfigError, Settings
from qelectron_qiskit.circuits.bases import Basis, Plan, mid_wire, plan_of
from qelectron_qiskit.circuits.readings import Distribution, Samples
from qelectron_qiskit.circuits.structures import Prepared, Structure, prepare
from qelectron_qiskit.refusals import measures_in_the_middle, postselects

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Angles of the rotations to the eigenbases of X, Y and Z, as `qml.U3` takes them.
_TURNS: Final = np.array(
    [(math.pi / 2, 0, math.pi), (math.pi / 2, 0, math.pi / 2), (0, 0, 0)]
)


@attrs.frozen(eq=False)
class Row:
    """One run: a structure with its parameters.

    Attributes:
        structure: What is run.
        params: Its parameters, shape `(n_params,)`.
        shots: How often; `None` asks for exact probabilities.
        seed: What its samples are to be seeded with, where they can be.
    """

    structure: Structure
    params: NDArray[np.float64]
    shots: int | None
    seed: int = 0


@attrs.frozen(eq=False)
class Experiment:
    """The runs that one circuit takes.

    Attributes:
        circuit: The circuit.
        rows: Its runs.
    """

    circuit: QuantumScript
    rows: tuple[Row, ...]
    _prepared: Prepared
    _plan: Plan
    _sources: tuple[_Source, ...]

    def from_bits(self, outcomes: Sequence[NDArray[np.int64]]) -> Any:
        """Return the result of the circuit from the bits of all shots.

        Args:
            outcomes: Per row the bits, those of mid-circuit measurements first, shape
                `(n_shots, n_bits)`.
        """
        rest = iter(outcomes)
        readings = [source.read(rest, self._prepared) for source in self._sources]
        shots = self.circuit.shots
        if not shots.has_partitioned_shots:
            return self._plan.finish(readings)
        return tuple(
            self._plan.finish([reading.part(start, end) for reading in readings])
            for start, end in shots.bins()
        )

    def from_probabilities(self, outcomes: Sequence[NDArray[np.float64]]) -> Any:
        """Return the exact result of the circuit.

        Args:
            outcomes: Per row the probabilities of all bit strings.
        """
        bases = self._plan.bases
        readings = [
            Distribution(probabilities, basis.wires)
            for basis, probabilities in zip(bases, outcomes, strict=True)
        ]
        return self._plan.finish(readings)


def experiment_of(circuit: QuantumScript, seed: int = 0) -> Experiment:
    """Return the runs that a circuit takes, as few as its measurements allow.

    Args:
        circuit: A circuit with plain numbers as parameters.
        seed: Seeds its samples, and the bases of classical shadows.

    Raises:
        DeviceError: If an operator has no counterpart in Qiskit.
    """
    prepared = prepare(circuit)
    plan = plan_of(circuit, prepared.mid)
    shots = circuit.shots.total_shots
    rows: list[Row] = []
    sources: list[_Source] = []
    for number, basis in enumerate(plan.bases):
        kind = _plain if basis.shadow is None else _shadow
        own = seed_of(seed, number)
        made, source = kind(prepared, basis, shots, own)
        rows += made
        sources.append(source)
    return Experiment(circuit, tuple(rows), prepared, plan, tuple(sources))


def sampled(circuit: QuantumScript, settings: Settings, seed: int) -> Experiment:
    """Return the runs of a circuit with shots, measured in the middle as asked for.

    Args:
        circuit: A circuit with plain numbers as parameters.
        settings: How its job is to be run.
        seed: Seeds its samples, and the bases of classical shadows.

    Raises:
        ConfigError: If it cannot be run so.
        DeviceError: If an operator has no counterpart in Qiskit.
    """
    if settings.postselect_mode == "fill-shots" and postselects(circuit):
        message = (
            "postselect_mode='fill-shots' asks for as many shots as if none had "
            "missed. Leave it out: shots that miss are dropped."
        )
        raise ConfigError(message)
    if settings.mcm_method == "deferred" and measures_in_the_middle(circuit):
        circuit = _deferred(circuit)
    return experiment_of(circuit, seed)


def _deferred(circuit: QuantumScript) -> QuantumScript:
    if postselects(circuit):
        message = (
            "mcm_method='deferred' makes of a postselection a projection, which "
            "is no gate. Leave mcm_method out: shots that miss are then dropped."
        )
        raise ConfigError(message)
    (deferred,), _ = qml.defer_measurements(circuit)
    return deferred


def seed_of(seed: int, number: int) -> int:
    """Return one of several seeds that are made of one: the first is that itself."""
    if number == 0:
        return seed
    sequence = np.random.SeedSequence(seed, spawn_key=(number,))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


class _Source:
    """Makes a reading of the outcomes of some rows."""

    def read(self, outcomes: Any, prepared: Prepared) -> Any:
        raise NotImplementedError


# --- One row a basis ------------------------------------------------------------------


@attrs.frozen(eq=False)
class _Plain(_Source):
    """A basis that is read in one row."""

    wires: tuple[Hashable, ...]

    def read(self, outcomes: Any, prepared: Prepared) -> Samples:
        bits = next(outcomes)
        counts = None
        if prepared.postselected:
            places, values = zip(*prepared.postselected.items(), strict=True)
            counts = (bits[:, places] == values).all(axis=1)
        mid = tuple(mid_wire(place) for place in range(len(prepared.mid)))
        return Samples(bits, (*mid, *self.wires), counts, len(mid))


def _plain(
    prepared: Prepared, basis: Basis, shots: int | None, seed: int
) -> tuple[list[Row], _Source]:
    structure, params = prepared.structure(basis.wires, basis.rotations)
    return [Row(structure, params, shots, seed)], _Plain(basis.wires)


# --- Classical shadows ----------------------------------------------------------------


@attrs.frozen(eq=False)
class Shadow:
    """The bits of a classical shadow, and the bases in which they were read.

    Attributes:
        bits: 0 and 1, shape `(n_shots, n_wires)`.
        recipes: 0, 1 and 2 for X, Y and Z, of the same shape.
    """

    bits: NDArray[np.int64]
    recipes: NDArray[np.int64]

    def part(self, start: int, end: int) -> Shadow:
        """Return some of the shots."""
        return Shadow(self.bits[start:end], self.recipes[start:end])


@attrs.frozen(eq=False)
class _Recipes(_Source):
    """Reads rows that are one recipe each, and puts their shots back in order."""

    recipes: NDArray[np.int64]
    row_of_shot: NDArray[np.int64]

    def read(self, outcomes: Any, prepared: Prepared) -> Shadow:
        n_mid = len(prepared.mid)
        bits = np.zeros_like(self.recipes)
        for row in range(int(self.row_of_shot.max()) + 1):
            bits[self.row_of_shot == row] = next(outcomes)[:, n_mid:]
        return Shadow(bits, self.recipes)


def _shadow(
    prepared: Prepared, basis: Basis, shots: int | None, seed: int
) -> tuple[list[Row], _Source]:
    """Return a row for each recipe that is drawn, with as many shots as it is."""
    wires, own = basis.wires, basis.shadow.seed
    rng = np.random.default_rng(seed if own is None else own)
    recipes = rng.integers(3, size=(shots or 0, len(wires)))
    unique, row_of_shot = np.unique(recipes, axis=0, return_inverse=True)
    row_of_shot = row_of_shot.reshape(-1)
    rotations = [qml.U3(0.0, 0.0, 0.0, wire) for wire in wires]
    structure, params = prepared.structure(wires, rotations)
    own_params = params[: len(params) - 3 * len(wires)]
    rows = [
        Row(
            structure,
            np.append(own_params, _TURNS[recipe].reshape(-1)),
            int(np.count_nonzero(row_of_shot == number)),
            seed_of(seed, number + 1),
        )
        for number, recipe in enumerate(unique)
    ]
    return rows, _Recipes(recipes, row_of_shot)

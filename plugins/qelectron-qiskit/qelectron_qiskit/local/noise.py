"""Simulators of Aer with the noise of a machine, or of the part that a circuit uses.

A machine of a hundred qubits has errors by the thousand, all of which Aer takes up anew
with each run. So a circuit is moved to as many qubits as it touches, and gets a
simulator of these alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit


#: Parts of a machine that are kept before all of them are made anew.
MOST_PARTS: Final = 64


@attrs.frozen(eq=False)
class Misreads:
    """How a noise model misreads qubits.

    Attributes:
        by_qubit: The probabilities to read 0 and 1, row by what a qubit is; those of
            `None` hold for all other qubits.
        is_complete: Whether this is all that the model says of measurements.
    """

    by_qubit: Mapping[int | None, NDArray[np.float64]]
    is_complete: bool = True

    @classmethod
    def of(cls, noise: Any) -> Misreads:
        """Read a noise model of Aer, or `None`."""
        found: dict[int | None, NDArray[np.float64]] = {}
        is_complete = True
        for error in noise.to_dict()["errors"] if noise is not None else ():
            if "measure" not in error["operations"]:
                continue
            alone = all(len(qubits) == 1 for qubits in error.get("gate_qubits", ()))
            if error["type"] != "roerror" or not alone:
                is_complete = False
                continue
            for qubit in [q for (q,) in error.get("gate_qubits", ())] or [None]:
                found[qubit] = np.array(error["probabilities"])
        return cls(found, is_complete)

    def of_qubit(self, qubit: int) -> NDArray[np.float64] | None:
        """Return how a qubit is misread; `None` if it is not."""
        return self.by_qubit.get(qubit, self.by_qubit.get(None))


@attrs.frozen(eq=False)
class Site:
    """Where a circuit runs.

    Attributes:
        simulator: Aer's simulator.
        circuit: The circuit, on the simulator's qubits.
        misreads: How these are misread.
    """

    simulator: Any
    circuit: QuantumCircuit
    misreads: Misreads


class Sites(Protocol):
    """Tells where circuits run."""

    @property
    def is_noisy(self) -> bool:
        """Whether there is noise."""

    def of(self, circuit: QuantumCircuit) -> Site:
        """Return where a circuit runs that is compiled for the machine."""


class WholeMachine:
    """One simulator for all circuits."""

    def __init__(self, simulator: Any) -> None:
        """Take a simulator, with its noise model."""
        noise = simulator.options.noise_model
        self.is_noisy = noise is not None and not noise.is_ideal()
        self._simulator = simulator
        self._misreads = Misreads.of(noise if self.is_noisy else None)

    def of(self, circuit: QuantumCircuit) -> Site:
        """Return where a circuit runs."""
        return Site(self._simulator, circuit, self._misreads)


class PartsOfMachine:
    """A simulator for each set of qubits of a machine that circuits use."""

    is_noisy = True

    def __init__(self, backend: Any) -> None:
        """Take a machine, such as a snapshot of the provider."""
        self._backend = backend
        self._known: dict[tuple[int, ...], tuple[Any, Misreads]] = {}

    def of(self, circuit: QuantumCircuit) -> Site:
        """Return where a circuit runs."""
        qubits = active_qubits(circuit)
        if qubits not in self._known:
            if len(self._known) >= MOST_PARTS:
                self._known.clear()
            simulator = _simulator_of(self._backend, qubits)
            self._known[qubits] = simulator, Misreads.of(simulator.options.noise_model)
        simulator, misreads = self._known[qubits]
        return Site(simulator, moved(circuit, qubits), misreads)


def active_qubits(circuit: QuantumCircuit) -> tuple[int, ...]:
    """Return the positions of the qubits that a circuit does anything to."""
    steps = [step for step in circuit.data if step.operation.name != "barrier"]
    qubits = {circuit.find_bit(qubit).index for step in steps for qubit in step.qubits}
    return tuple(sorted(qubits)) or (0,)


def moved(circuit: QuantumCircuit, qubits: Sequence[int]) -> QuantumCircuit:
    """Return a circuit on those of its qubits that it uses."""
    from qiskit import QuantumCircuit, QuantumRegister

    made = QuantumCircuit(QuantumRegister(len(qubits)), *circuit.cregs)
    made.global_phase = circuit.global_phase
    place = {circuit.qubits[qubit]: made.qubits[i] for i, qubit in enumerate(qubits)}
    for step in circuit.data:
        kept = [place[qubit] for qubit in step.qubits if qubit in place]
        if step.operation.name == "barrier":
            made.barrier(kept)
        else:
            made.append(step.operation, kept, step.clbits)
    return made


def _simulator_of(backend: Any, qubits: tuple[int, ...]) -> Any:
    from qiskit.providers import BackendV2, Options
    from qiskit_aer import AerSimulator

    target = _part_of(backend.target, qubits)

    class Part(BackendV2):
        """A machine with some of another one's qubits."""

        @property
        def target(self) -> Any:
            return target

        @property
        def max_circuits(self) -> None:
            return None

        @classmethod
        def _default_options(cls) -> Any:
            return Options()

        def run(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    simulator = AerSimulator.from_backend(Part(name=backend.name))
    _remember_text(simulator.options.noise_model)
    return simulator


def _part_of(target: Any, qubits: tuple[int, ...]) -> Any:
    """Return what some qubits of a machine can do, and how well."""
    from qiskit.transpiler import Target

    place = {qubit: i for i, qubit in enumerate(qubits)}
    known = target.qubit_properties
    part = Target(
        num_qubits=len(qubits),
        dt=target.dt,
        qubit_properties=None if known is None else [known[q] for q in qubits],
    )
    for name in target.operation_names:
        operation = target.operation_from_name(name)
        if isinstance(operation, type):  # control flow, on any qubits
            part.add_instruction(operation, name=name)
            continue
        properties = {
            tuple(place[q] for q in where): how
            for where, how in target[name].items()
            if where is not None and all(q in place for q in where)
        }
        if properties:
            part.add_instruction(operation, properties, name=name)
    return part


def _remember_text(noise: Any) -> None:
    """Let a noise model, which changes no more, write itself down for Aer only once.

    It does so with each run, which takes longer than to simulate a few qubits.
    """
    if noise is None:
        return
    known = {each: noise.to_dict(serializable=each) for each in (False, True)}
    noise.to_dict = lambda serializable=False: known[serializable]

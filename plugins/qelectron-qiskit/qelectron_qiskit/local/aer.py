"""Simulated machines: Qiskit Aer, with the noise of a machine or without any.

The probabilities of all outcomes are computed, and samples are drawn from them, each
circuit's with a seed of its own: so they repeat in whatever company a circuit is run.
Only circuits that measure in the middle, or are too wide for that, are left to Aer to
sample.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qelectron_core import ExecutorError
from qelectron_qiskit.circuits.compiling import MOST_COMPILED, Compiled, Compiler
from qelectron_qiskit.circuits.experiments import Row
from qelectron_qiskit.circuits.readings import Distribution
from qelectron_qiskit.circuits.structures import Structure
from qelectron_qiskit.local.noise import Site, Sites, active_qubits

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit

#: Most bits of which all probabilities are computed.
MOST_BITS: Final = 14
#: Most qubits that are simulated as a density matrix, which takes 16 bytes * 4**n.
MOST_NOISY: Final = 9
#: Most numbers in the answer of one run of Aer.
MOST_NUMBERS: Final = 2**22
#: Gates whose parameters Aer binds right. Without a word, it takes those of controlled
#: rotations for zero, and forgets those of global phases (seen with Aer 0.18.2).
BOUND_RIGHT: Final = frozenset(
    ("p", "r", "rx", "ry", "rz", "rxx", "ryy", "rzz", "rzx", "u", "u1", "u2", "u3")
)
#: Gates to take circuits apart into for Aer.
GATES: Final = (
    *("x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "sxdg", "swap", "ecr"),
    *("cx", "cy", "cz", "ccx", "ccz", "cswap", "mcx", "unitary", "id"),
    *("p", "rx", "ry", "rz", "rxx", "ryy", "rzz", "u"),
    *("measure", "reset", "if_else"),
)
#: Methods of Aer for which it makes no difference how outcomes are drawn.
_EXACT_METHODS: Final = ("automatic", "statevector", "density_matrix")


def simulator_target(simulator: Any) -> Any:
    """Return what circuits are compiled for: all qubits alike, and gates of `GATES`."""
    from qiskit.transpiler import Target

    target = Target(num_qubits=None)
    for name in GATES:
        if name not in simulator.target.operation_names:  # of a method of its own
            continue
        target.add_instruction(simulator.target.operation_from_name(name), name=name)
    return target


class AerMachine:
    """A machine that Aer simulates."""

    def __init__(self, sites: Sites, compiler: Compiler) -> None:
        """Take simulators, and what compiles for the machine."""
        self.is_noisy = sites.is_noisy
        self._sites = sites
        self._compiler = compiler
        self._ready: OrderedDict[Structure, _Ready] = OrderedDict()

    def bits(self, rows: Sequence[Row]) -> list[Any]:
        """Return per row its bits, or the exception that it ended in."""
        return self._in_groups(rows, self._bits)

    def probabilities(self, rows: Sequence[Row]) -> list[Any]:
        """Return per row the probabilities of all bit strings, or an exception."""
        return self._in_groups(rows, self._exact)

    def states(self, rows: Sequence[Row]) -> list[Any]:
        """Return per row its state, shape `(2,) * n_qubits`, or an exception."""
        return self._in_groups(rows, self._states)

    def _in_groups(self, rows: Sequence[Row], run: Any) -> list[Any]:
        outcomes: list[Any] = [None] * len(rows)
        groups: dict[Structure, list[int]] = {}
        for place, row in enumerate(rows):
            groups.setdefault(row.structure, []).append(place)
        for places in groups.values():
            group = [rows[place] for place in places]
            try:
                results = list(run(group))
            except Exception as error:
                results = [error] * len(group)
            for place, result in zip(places, results, strict=True):
                outcomes[place] = result
        return outcomes

    def _bits(self, rows: Sequence[Row]) -> Iterable[Any]:
        ready = self._get_ready(rows[0].structure)
        if not ready.is_small:
            return [ready.sample(row) for row in rows]
        wires = tuple(range(len(rows[0].structure.measured)))
        return [
            Distribution(exact, wires).draw(row.shots or 0, row.seed).bits
            for exact, row in zip(ready.distributions(rows), rows, strict=True)
        ]

    def _exact(self, rows: Sequence[Row]) -> Iterable[Any]:
        ready = self._get_ready(rows[0].structure)
        if not ready.is_small:
            message = (
                "exact results of a machine with noise take a density matrix, of at "
                f"most {MOST_NOISY} qubits and {MOST_BITS} measured wires, of gates "
                "that Aer applies to one. Ask for shots, or use fewer wires."
            )
            raise ExecutorError(message)
        return ready.distributions(rows)

    def _states(self, rows: Sequence[Row]) -> Iterable[Any]:
        return self._get_ready(rows[0].structure).states(rows)

    def _get_ready(self, structure: Structure) -> _Ready:
        """Return a structure where it runs; found out once for each."""
        known = self._ready.get(structure)
        if known is None:
            compiled = self._compiler.compile(structure)
            site = self._sites.of(compiled.circuit)
            known = _Ready(structure, compiled, site, self.is_noisy)
            self._ready[structure] = known
            while len(self._ready) > MOST_COMPILED:
                self._ready.popitem(last=False)
        return known


class _Ready:
    """A compiled structure, where it runs."""

    def __init__(
        self, structure: Structure, compiled: Compiled, site: Site, is_noisy: bool
    ) -> None:
        self._structure = structure
        self._phases = compiled.phases
        self._places = compiled.places
        self._values = compiled.values
        self._has_params = bool(compiled.columns)
        self._site = site
        self._method = "density_matrix" if is_noisy else "statevector"
        self.is_small = not structure.is_dynamic and _is_small(
            structure, site, is_noisy
        )

    def distributions(self, rows: Sequence[Row]) -> Iterator[NDArray[np.float64]]:
        """Yield the probabilities of all bit strings, the first bit leading."""
        n_bits = len(self._structure.measured)
        circuit, qubits = self._readout
        misreads = [self._site.misreads.of_qubit(qubit) for qubit in qubits]
        for saved in self._saved(circuit, rows, 2**n_bits, "probabilities"):
            # Qiskit counts bits from the last one.
            tensor = np.asarray(saved).reshape((2,) * n_bits).transpose()
            yield _misread(tensor, misreads).reshape(-1)

    def states(self, rows: Sequence[Row]) -> Iterator[NDArray[np.complex128]]:
        """Yield states, shape `(2,) * n_qubits`."""
        n_qubits = self._structure.n_qubits
        circuit = self._site.circuit.copy()
        circuit.global_phase = 0  # which Aer forgets, if it is a parameter
        circuit.save_statevector()
        saved = self._saved(circuit, rows, 2**n_qubits, "statevector")
        for state, phase in zip(saved, self._phases(rows), strict=True):
            # Qiskit counts qubits from the last one.
            tensor = np.asarray(state).reshape((2,) * n_qubits).transpose()
            yield np.exp(1j * phase) * tensor.transpose(self._places)

    def sample(self, row: Row) -> NDArray[np.int64]:
        """Return the bits of one row, as Aer draws them."""
        circuit = self._site.circuit
        if self._has_params:
            circuit = circuit.assign_parameters(self._values([row])[0])
        seed = row.seed % 2**31
        result = self._run([circuit], shots=row.shots, memory=True, seed_simulator=seed)
        memory = [word.replace(" ", "")[::-1] for word in result.get_memory()]
        letters = np.frombuffer("".join(memory).encode(), dtype=np.uint8)
        return (letters.reshape(len(memory), -1) - ord("0")).astype(np.int64)

    @functools.cached_property
    def _readout(self) -> tuple[QuantumCircuit, Sequence[int]]:
        """Return the circuit with probabilities saved, and the qubit of each bit."""
        measured = self._site.circuit
        circuit = measured.copy_empty_like()
        qubits = [0] * len(self._structure.measured)
        for step in measured.data:
            if step.operation.name == "measure":
                bit = measured.find_bit(step.clbits[0]).index
                qubits[bit] = measured.find_bit(step.qubits[0]).index
            else:
                circuit.append(step)
        circuit.save_probabilities(qubits)
        return circuit, qubits

    def _saved(
        self, circuit: QuantumCircuit, rows: Sequence[Row], size: int, what: str
    ) -> Iterator[Any]:
        """Yield what a circuit saves, for the parameters of each row."""
        if not circuit.parameters:  # all rows are alike
            result = self._run([circuit], method=self._method)
            for _ in rows:
                yield result.data(0)[what]
            return
        at_once = max(1, MOST_NUMBERS // size)
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            result = self._run_bound(circuit, self._values_of(circuit, some))
            for place in range(len(some)):
                yield result.data(place)[what]

    def _values_of(
        self, circuit: QuantumCircuit, rows: Sequence[Row]
    ) -> NDArray[np.float64]:
        """Return the parameters of rows that are left in a circuit."""
        left = set(circuit.parameters)
        kept = [each in left for each in self._site.circuit.parameters]
        return self._values(rows)[:, kept]

    def _run_bound(self, circuit: QuantumCircuit, values: NDArray[np.float64]) -> Any:
        """Run a circuit with each row of values for its parameters."""
        if not _is_bound_right(circuit):
            bound = [circuit.assign_parameters(row) for row in values]
            return self._run(bound, method=self._method)
        table = values.T.tolist()
        binds = dict(zip(circuit.parameters, table, strict=True))
        result = self._run([circuit], parameter_binds=[binds], method=self._method)
        if len(result.results) != len(values):
            message = (
                f"Aer ran {len(result.results)} circuits instead of {len(values)}."
            )
            raise ExecutorError(message)
        return result

    def _run(self, circuits: Sequence[QuantumCircuit], **options: Any) -> Any:
        result = self._site.simulator.run(list(circuits), **options).result()
        if not result.success:
            said = [r.status for r in result.results if not r.success]
            message = (
                f"Aer could not run a circuit: {said[0] if said else result.status}"
            )
            raise ExecutorError(message)
        return result


def _is_small(structure: Structure, site: Site, is_noisy: bool) -> bool:
    """Tell whether the probabilities of all outcomes of a circuit can be computed."""
    if structure.is_dynamic:
        return False
    if site.simulator.options.method not in _EXACT_METHODS:
        return False
    if len(structure.measured) > MOST_BITS or not site.misreads.is_complete:
        return False
    if not is_noisy:
        return True
    is_known = site.circuit.count_ops().keys() <= _density_operations()
    return is_known and len(active_qubits(site.circuit)) <= MOST_NOISY


@functools.cache
def _density_operations() -> frozenset[str]:
    """Return what Aer can do to a density matrix: not all that it does to states."""
    from qiskit_aer import AerSimulator

    names = AerSimulator(method="density_matrix").target.operation_names
    return frozenset((*names, "barrier"))


def _misread(
    tensor: NDArray[np.float64], misreads: Sequence[NDArray[np.float64] | None]
) -> NDArray[np.float64]:
    """Return what is read of bits, an axis each."""
    for axis, matrix in enumerate(misreads):
        if matrix is not None:
            tensor = np.moveaxis(np.tensordot(tensor, matrix, (axis, 0)), -1, axis)
    return tensor


def _is_bound_right(circuit: QuantumCircuit) -> bool:
    """Tell whether Aer can be left to bind the parameters of a circuit."""
    return all(
        step.name in BOUND_RIGHT
        for step in circuit.data
        # The operations themselves say that those of controlled gates are none.
        if step.is_parameterized()
    )

"""Simulated machines: Qiskit Aer, with the noise of a machine or without any.

The probabilities of all outcomes are computed, and samples are drawn from them, each
circuit's with a seed of its own: so they repeat in whatever company a circuit is run.
Only circuits that measure in the middle, or are too wide for that, are left to Aer to
sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np

from qelectron_core import ExecutorError
from qelectron_qiskit.compiling import Compiled, Compiler
from qelectron_qiskit.experiments import Row
from qelectron_qiskit.programs import Program
from qelectron_qiskit.readings import Distribution

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
        target.add_instruction(simulator.target.operation_from_name(name), name=name)
    return target


class AerMachine:
    """A machine that Aer simulates."""

    def __init__(self, simulator: Any, compiler: Compiler) -> None:
        """Take a simulator, and what compiles for it."""
        self._simulator = simulator
        self._compiler = compiler
        noise = simulator.options.noise_model
        self.is_noisy = noise is not None and not noise.is_ideal()
        self._misreads = _Misreads.of(noise) if self.is_noisy else _Misreads({})

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
        groups: dict[Program, list[int]] = {}
        for place, row in enumerate(rows):
            groups.setdefault(row.program, []).append(place)
        for places in groups.values():
            group = [rows[place] for place in places]
            try:
                results: Iterable[Any] = run(group)
            except Exception as error:
                results = [error] * len(group)
            for place, result in zip(places, results, strict=True):
                outcomes[place] = result
        return outcomes

    def _bits(self, rows: Sequence[Row]) -> Iterable[Any]:
        program = rows[0].program
        compiled = self._compiler.compile(program)
        if program.is_dynamic or not self._is_small(program, compiled):
            return [self._sampled(compiled, row) for row in rows]
        wires = tuple(range(len(program.measured)))
        return [
            Distribution(exact, wires).draw(row.shots or 0, row.seed).bits
            for exact, row in zip(self._distributions(rows), rows, strict=True)
        ]

    def _exact(self, rows: Sequence[Row]) -> Iterable[Any]:
        program = rows[0].program
        if not self._is_small(program, self._compiler.compile(program)):
            message = (
                f"exact results of a noisy machine take a density matrix, of at most "
                f"{MOST_NOISY} qubits. Ask for shots, or use fewer wires."
            )
            raise ExecutorError(message)
        return list(self._distributions(rows))

    def _states(self, rows: Sequence[Row]) -> Iterable[Any]:
        program = rows[0].program
        compiled = self._compiler.compile(program)
        phases = compiled.phases(rows)
        circuit = compiled.circuit.copy()
        circuit.global_phase = 0
        circuit.save_statevector()
        n_qubits = program.n_qubits
        # Qiskit counts qubits from the last one.
        order = tuple(range(n_qubits))[::-1]
        saved = self._saved(circuit, compiled, rows, 2**n_qubits, "statevector")
        for state, phase in zip(saved, phases, strict=True):
            tensor = np.asarray(state).reshape((2,) * n_qubits).transpose(order)
            yield np.exp(1j * phase) * tensor

    def _is_small(self, program: Program, compiled: Compiled) -> bool:
        if self._simulator.options.method not in _EXACT_METHODS:
            return False
        if len(program.measured) > MOST_BITS or not self._misreads.is_complete:
            return False
        return not self.is_noisy or _n_active(compiled.circuit) <= MOST_NOISY

    def _distributions(self, rows: Sequence[Row]) -> Iterator[NDArray[np.float64]]:
        program = rows[0].program
        compiled = self._compiler.compile(program)
        readout = _Readout.of(compiled.circuit, program, self._misreads)
        size = 2 ** len(program.measured)
        saved = self._saved(readout.circuit, compiled, rows, size, "probabilities")
        for probabilities in saved:
            yield readout.confuse(np.asarray(probabilities))

    def _saved(
        self,
        circuit: QuantumCircuit,
        compiled: Compiled,
        rows: Sequence[Row],
        size: int,
        what: str,
    ) -> Iterator[Any]:
        """Yield what a circuit saves, for the parameters of each row."""
        method = "density_matrix" if self.is_noisy else "statevector"
        if not compiled.columns:  # all rows are alike
            result = self._run([circuit], method=method)
            for _ in rows:
                yield result.data(0)[what]
            return
        at_once = max(1, MOST_NUMBERS // size)
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            result = self._run_bound(circuit, compiled.values(some), method=method)
            for place in range(len(some)):
                yield result.data(place)[what]

    def _run_bound(
        self, circuit: QuantumCircuit, values: NDArray[np.float64], **options: Any
    ) -> Any:
        """Run a circuit with each row of values for its parameters."""
        if not _is_bound_right(circuit):
            bound = [circuit.assign_parameters(row) for row in values]
            return self._run(bound, **options)
        table = values.T.tolist()
        binds = dict(zip(circuit.parameters, table, strict=True))
        result = self._run([circuit], parameter_binds=[binds], **options)
        if len(result.results) != len(values):
            message = (
                f"Aer ran {len(result.results)} circuits instead of {len(values)}."
            )
            raise ExecutorError(message)
        return result

    def _run(self, circuits: Sequence[QuantumCircuit], **options: Any) -> Any:
        result = self._simulator.run(list(circuits), **options).result()
        if not result.success:
            said = [r.status for r in result.results if not r.success]
            message = (
                f"Aer could not run a circuit: {said[0] if said else result.status}"
            )
            raise ExecutorError(message)
        return result

    def _sampled(self, compiled: Compiled, row: Row) -> NDArray[np.int64]:
        """Return the bits of one row, as Aer draws them."""
        circuit = compiled.circuit
        if compiled.columns:
            circuit = circuit.assign_parameters(compiled.values([row])[0])
        seed = row.seed % 2**31
        result = self._run([circuit], shots=row.shots, memory=True, seed_simulator=seed)
        memory = [word.replace(" ", "")[::-1] for word in result.get_memory()]
        letters = np.frombuffer("".join(memory).encode(), dtype=np.uint8)
        return (letters.reshape(len(memory), -1) - ord("0")).astype(np.int64)


@attrs.frozen(eq=False)
class _Readout:
    """A circuit that saves probabilities in place of its final measurements.

    Attributes:
        circuit: The circuit.
        confusions: Per measured bit the probabilities that it is read as 0 and 1,
            shape `(2, 2)`, row by what it is; `None` if it is read right.
    """

    circuit: QuantumCircuit
    confusions: tuple[Any, ...]

    @classmethod
    def of(
        cls, compiled: QuantumCircuit, program: Program, misreads: _Misreads
    ) -> _Readout:
        circuit = compiled.copy_empty_like()
        qubits = [0] * len(program.measured)
        for step in compiled.data:
            if step.operation.name == "measure":
                bit = compiled.find_bit(step.clbits[0]).index
                qubits[bit] = compiled.find_bit(step.qubits[0]).index
            else:
                circuit.append(step)
        circuit.save_probabilities(qubits)
        return cls(circuit, tuple(map(misreads.of_qubit, qubits)))

    def confuse(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is read of bits, the first one most significant."""
        n_bits = len(self.confusions)
        tensor = probabilities.reshape((2,) * n_bits).transpose(range(n_bits)[::-1])
        for axis, confusion in enumerate(self.confusions):
            if confusion is not None:
                tensor = np.moveaxis(
                    np.tensordot(tensor, confusion, (axis, 0)), -1, axis
                )
        return tensor.reshape(-1)


@attrs.frozen(eq=False)
class _Misreads:
    """How a noise model misreads qubits.

    Attributes:
        by_qubit: The probabilities to read 0 and 1, row by what a qubit is; those of
            `None` hold for all other qubits.
        is_complete: Whether this is all that the model says of measurements.
    """

    by_qubit: Mapping[int | None, NDArray[np.float64]]
    is_complete: bool = True

    @classmethod
    def of(cls, noise: Any) -> _Misreads:
        found: dict[int | None, NDArray[np.float64]] = {}
        is_complete = True
        for error in noise.to_dict()["errors"]:
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


def _is_bound_right(circuit: QuantumCircuit) -> bool:
    """Tell whether Aer can be left to bind the parameters of a circuit."""
    return all(
        step.operation.name in BOUND_RIGHT
        for step in circuit.data
        if step.operation.is_parameterized()
    )


def _n_active(circuit: QuantumCircuit) -> int:
    """Return how many qubits a circuit does anything to."""
    steps = [step for step in circuit.data if step.operation.name != "barrier"]
    return len({qubit for step in steps for qubit in step.qubits})

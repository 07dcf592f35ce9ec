"""Machines that the stand-in for IBM Quantum offers: their data, and runs on Aer."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from ibm_quantum_schemas.common import (
    CompressedTensorModel,
)
from ibm_quantum_schemas.executor.version_2_0 import (
    ChunkPart,
    ChunkSpan,
    ItemMetadataModel,
    MetadataModel,
    ParamsModel,
    QuantumProgramResultItemModel,
    QuantumProgramResultModel,
)
from qiskit import QuantumCircuit
from qiskit.primitives.containers.bindings_array import (
    BindingsArray,
)
from qiskit.primitives.containers.sampler_pub import (
    SamplerPub,
)
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from qiskit_aer.primitives import SamplerV2
from qiskit_ibm_runtime import (
    QiskitRuntimeService,
    fake_provider,
)
from qiskit_ibm_runtime.fake_provider.executor.broadcast_sample import (
    broadcast_sample,
)
from qiskit_ibm_runtime.quantum_program.params_converters import (
    QUANTUM_PROGRAM_PARAMS_CONVERTERS,
)

SMALL = "ibm_small"
DYNAMIC = "ibm_dynamic"
# Which of the client's fake machines each machine takes its data from.
MACHINES = {SMALL: "FakeManilaV2", DYNAMIC: "FakeFez"}
STATIC = {"FakeManilaV2"}  # of which we take away that they do dynamic circuits
SCHEMA = "v2.0"
CONTROL_FLOW = {"if_else", "for_loop", "switch_case", "while_loop"}
SECONDS_PER_EXECUTION = 250e-6


class Program:
    """What a job asks a machine to sample: circuits, each with sets of parameters.

    Raises a `ValueError` if the client's own models do not accept the parameters.
    """

    def __init__(self, params: dict[str, Any]) -> None:
        if params.get("schema_version") != SCHEMA:
            raise ValueError(f"expected parameters of schema version {SCHEMA}")
        converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS[SCHEMA]
        model = ParamsModel.model_validate(params)
        self.model = model.quantum_program
        program, _ = converter.decoder(model)
        self.items: list[Any] = list(program.items)
        self.shots: int = program.shots
        self.sizes: list[int] = [math.prod(item.shape) for item in self.items]

    @property
    def executions(self) -> int:
        """How often the machine runs a circuit: parameter sets times shots."""
        return self.shots * sum(self.sizes)

    @property
    def seconds(self) -> float:
        """How long the machine is charged for."""
        return round(1 + self.executions * SECONDS_PER_EXECUTION, 3)

    @property
    def digest(self) -> bytes:
        """The same bytes for the same work, in every process."""
        known = hashlib.sha256(str(self.shots).encode())
        for item in self.items:
            known.update(repr(tuple(_steps(item.circuit))).encode())
            known.update(np.ascontiguousarray(_arguments(item)).tobytes())
        return known.digest()


class Machine:
    """A machine by its name; it runs programs one at a time, with or without noise."""

    def __init__(
        self,
        name: str,
        source: str,
        *,
        noise: bool = False,
        seed: int | None = None,
    ) -> None:
        self.name = name
        self.operational = True
        self.status = "active"
        self._source: Any = getattr(fake_provider, source)
        self._noise = noise
        self._seed = seed
        self._seen: Counter[bytes] = Counter()
        self._lock = threading.Lock()
        self.configuration = self._configured(source not in STATIC)
        self.properties: dict[str, Any] = self._load(self._source.props_filename)
        self.properties["backend_name"] = name

    def _load(self, filename: str) -> dict[str, Any]:
        path = Path(self._source.dirname) / filename
        loaded: dict[str, Any] = json.loads(path.read_text())
        return loaded

    def _configured(self, dynamic: bool) -> dict[str, Any]:
        configuration = self._load(self._source.conf_filename)
        configuration["backend_name"] = self.name
        supported = configuration["supported_instructions"]
        if dynamic:
            configuration["supported_features"].append("dynamic_circuits")
        else:
            supported[:] = [name for name in supported if name not in CONTROL_FLOW]
        return configuration

    def listing(self, queue: int) -> dict[str, Any]:
        """Return what the list of machines says about this one."""
        state = "online" if self.operational else "offline"
        return {
            "name": self.name,
            "status": {"name": state, "reason": self.status},
            "is_simulator": False,
            "qubits": self.configuration["n_qubits"],
            "queue_length": queue,
            "processor_type": self.configuration["processor_type"],
        }

    def report(self, queue: int) -> dict[str, Any]:
        """Return the machine's state, as its own page tells it."""
        return {
            "state": self.operational,
            "status": self.status,
            "message": "",
            "length_queue": queue,
            "backend_version": self.configuration["backend_version"],
        }

    def objection(self, program: Program) -> str | None:
        """Return why the machine cannot run a program, if so."""
        limit = self.configuration["max_shots"]
        if program.shots > limit:
            return f"The number of shots exceeds the limit of {limit}."
        for item in program.items:
            for name, qubits, _ in _steps(item.circuit):
                if not self._supports(name, qubits):
                    return (
                        f"The instruction {name} on qubits {qubits} is not supported "
                        "by the target system. Transpile your circuits for the target "
                        "before submitting a primitive query."
                    )
        return None

    @functools.cached_property
    def _edges(self) -> set[frozenset[int]]:
        return {frozenset(edge) for edge in self.configuration["coupling_map"]}

    def _supports(self, name: str, qubits: tuple[int, ...]) -> bool:
        known = name in self.configuration["supported_instructions"]
        if any(qubit >= self.configuration["n_qubits"] for qubit in qubits):
            return False
        if name == "barrier" or (known and name in CONTROL_FLOW):
            return True
        return known and (len(qubits) == 1 or frozenset(qubits) in self._edges)

    @functools.cached_property
    def _simulator(self) -> Any:
        noise = NoiseModel.from_backend(self._source()) if self._noise else None
        simulator = AerSimulator(noise_model=noise)
        # Circuits are as wide as the machine; Aer drops the idle qubits by itself.
        simulator.set_max_qubits(10_000)
        return simulator

    def run(self, program: Program) -> str:
        """Sample a program and return the result as the client expects it."""
        with self._lock:
            start = datetime.now(UTC)
            seeds = self._seeds(program)
            results = [
                self._sample(item, program.shots, seed)
                for item, seed in zip(program.items, seeds, strict=True)
            ]
        return _encoded(program, results, start)

    def _seeds(self, program: Program) -> Sequence[int | None]:
        """Return a seed per item: equal work repeats, unless it is asked for again."""
        if self._seed is None:
            return [None] * len(program.items)
        digest = program.digest
        again = self._seen[digest]
        self._seen[digest] += 1
        source = np.random.SeedSequence([self._seed, again, *digest])
        return [int(seed) >> 1 for seed in source.generate_state(len(program.items))]

    def _sample(self, item: Any, shots: int, seed: int | None) -> dict[str, Any]:
        drawn: dict[str, Any] = {}
        values = _arguments(item)
        if hasattr(item, "samplex"):  # a twirled circuit draws its own parameters
            item.samplex.finalize()
            generator = np.random.default_rng(seed)
            drawn = broadcast_sample(
                item.samplex, item.samplex_arguments, item.shape, generator
            )
            values = drawn.pop("parameter_values")
        bindings = BindingsArray({tuple(item.circuit.parameters): values})
        sampler = SamplerV2.from_backend(self._simulator, seed=seed)
        pub = SamplerPub(item.circuit, bindings, shots)
        data = sampler.run([pub]).result()[0].data
        bits = {name: array.to_bool_array("little") for name, array in data.items()}
        return drawn | bits


def _arguments(item: Any) -> Any:
    return getattr(item, "circuit_arguments", np.empty((*item.shape, 0)))


def _steps(
    circuit: QuantumCircuit, wires: Sequence[int] | None = None
) -> Iterator[tuple[str, tuple[int, ...], list[float]]]:
    """Yield name, qubits and numbers of each instruction, also of those in blocks."""
    for step in circuit.data:
        inner = tuple(circuit.find_bit(qubit).index for qubit in step.qubits)
        qubits = inner if wires is None else tuple(wires[index] for index in inner)
        numbers = [x for x in step.operation.params if isinstance(x, (int, float))]
        yield step.operation.name, qubits, numbers
        for block in getattr(step.operation, "blocks", ()):
            yield from _steps(block, qubits)


def _encoded(program: Program, results: list[dict[str, Any]], start: datetime) -> str:
    parts = [
        ChunkPart(
            idx_item=index,
            size=size,
            permutation=list(range(len(item.shape))),
            element_range=(0, size, 1),
        )
        for index, (item, size) in enumerate(
            zip(program.items, program.sizes, strict=True)
        )
    ]
    span = ChunkSpan(start=start, stop=datetime.now(UTC), parts=parts)
    result = QuantumProgramResultModel(
        data=[_item(result) for result in results],
        metadata=MetadataModel(chunk_timing=[span]),
        passthrough_data=program.model.passthrough_data,
        semantic_role=program.model.semantic_role,
    )
    encoded: str = result.model_dump_json()
    return encoded


def _item(result: dict[str, Any]) -> Any:
    tensors = {
        name: CompressedTensorModel.from_numpy(np.asarray(array))
        for name, array in result.items()
    }
    return QuantumProgramResultItemModel(results=tensors, metadata=ItemMetadataModel())


def save_account(path: str | Path, **account: Any) -> None:
    """Save an account as the client does, as the default one of its file."""
    QiskitRuntimeService.save_account(
        filename=str(path),
        channel="ibm_quantum_platform",
        set_as_default=True,
        overwrite=True,
        **account,
    )

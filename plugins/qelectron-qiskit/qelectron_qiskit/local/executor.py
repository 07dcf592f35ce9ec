"""Circuits that run on this machine."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from qelectron_core import Capabilities, Estimate, Job, Outcome, Result
from qelectron_qiskit import machines
from qelectron_qiskit.circuits.experiments import seed_of
from qelectron_qiskit.executor import QiskitExecutor
from qelectron_qiskit.options import SamplerSettings
from qelectron_qiskit.refusals import (
    refuse_dynamic,
    refuse_exact,
    refuse_sampled,
    refuse_wide,
)

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_qiskit.local.workbench import SamplerBench, SimulatorBench


@attrs.frozen
class _HereExecutor(QiskitExecutor):
    """Runs circuits in this process, as a sampler of Qiskit does."""

    def run(self, job: Job) -> Sequence[Result | Outcome | Exception]:
        """Run the circuits of a job together."""
        bench: SimulatorBench | SamplerBench = job.resource
        return bench.run(job)

    def refuse(self, circuit: QuantumScript) -> str | None:
        """Return why a circuit cannot be run here, or `None` if it can."""
        facts = self._facts
        reason = super().refuse(circuit) or refuse_wide(circuit, facts)
        if reason is None and circuit.shots:
            return refuse_sampled(circuit) or refuse_dynamic(circuit, facts.operations)
        return reason

    @property
    def _facts(self) -> machines.Facts:
        return machines.local_facts(self._machine)


@attrs.frozen
class LocalExecutor(_HereExecutor):
    """Runs circuits on Aer, with the noise of a machine or without any."""

    capabilities: ClassVar[Capabilities] = Capabilities(seeded=True)

    def __attrs_post_init__(self) -> None:
        """Refuse a backend that does not run here."""
        QiskitExecutor.__attrs_post_init__(self)
        if isinstance(self._machine, str):
            machines.check_local(self._machine)

    @property
    def _machine(self) -> Any:
        if isinstance(self.backend, str) and machines.is_retired(self.backend):
            return machines.stand_in(self.backend)
        return self.backend

    @property
    def _is_ideal(self) -> bool:
        return self._is_aer or machines.is_ideal(self._machine)

    def estimate(self, circuits: Sequence[QuantumScript]) -> Estimate:
        """Return that nothing is paid; how long it takes is not known."""
        del circuits
        return Estimate(cost_usd=0.0)

    def refuse(self, circuit: QuantumScript) -> str | None:
        """Return why a circuit cannot be run here, or `None` if it can."""
        reason = super().refuse(circuit)
        if reason is None and not circuit.shots:
            if self.options:
                return "exact results were asked for, and `options` are for samples"
            return refuse_exact(circuit, noisy=not self._is_ideal)
        return reason

    def open(self) -> SimulatorBench | SamplerBench:
        """Make what runs circuits, with all that it has compiled."""
        from qelectron_qiskit.circuits.compiling import Compiler
        from qelectron_qiskit.local.aer import AerMachine, simulator_target
        from qelectron_qiskit.local.noise import PartsOfMachine, WholeMachine
        from qelectron_qiskit.local.workbench import SamplerBench, SimulatorBench

        backend = machines.load_local(self._machine)
        target = simulator_target(backend) if self._is_ideal else backend.target
        compiler = Compiler(target, self.level, self.transpiler_seed)
        if self.options:
            sample = functools.partial(_sample_as_at_ibm, backend, self.options)
            return SamplerBench(compiler, sample, self._facts.metadata)
        whole = machines.is_aer(backend)
        sites = WholeMachine(backend) if whole else PartsOfMachine(backend)
        machine = AerMachine(sites, compiler)
        return SimulatorBench(machine, self._facts.metadata)


@attrs.frozen
class OtherExecutor(_HereExecutor):
    """Runs circuits on a backend of Qiskit's that was given, whatever it is."""

    capabilities: ClassVar[Capabilities] = Capabilities(exact=False)

    def open(self) -> SamplerBench:
        """Make what runs circuits, with all that it has compiled."""
        from qelectron_qiskit.circuits.compiling import Compiler
        from qelectron_qiskit.local.workbench import SamplerBench

        backend = machines.load_local(self._machine)
        compiler = Compiler(backend.target, self.level, self.transpiler_seed)
        sample = functools.partial(_sample_on, backend)
        return SamplerBench(compiler, sample, self._facts.metadata)


def _sample_as_at_ibm(
    backend: Any,
    options: SamplerSettings,
    pubs: Sequence[Any],
    shots: int,
    seed: int,
) -> Iterable[Any]:
    from qiskit_ibm_runtime.executor_sampler import Sampler

    sampler = Sampler(mode=backend, options=options.thaw())
    own_seed = sampler.options.simulator.seed_simulator
    results: list[Any] = []
    for number, pub in enumerate(pubs):
        # Each PUB of a run begins with its seed, and would repeat another one's noise.
        first = seed if own_seed is None else own_seed
        sampler.options.simulator.seed_simulator = seed_of(first, number) % 2**31
        results.extend(sampler.run([pub], shots=shots).result())
    return results


def _sample_on(
    backend: Any, pubs: Sequence[Any], shots: int, seed: int
) -> Iterable[Any]:
    from qiskit.primitives import BackendSamplerV2

    sampler = BackendSamplerV2(backend=backend, options={"seed_simulator": seed})
    results: Iterable[Any] = sampler.run(pubs, shots=shots).result()
    return results

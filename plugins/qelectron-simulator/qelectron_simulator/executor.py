"""The `Simulator` executor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import attrs
from pennylane.devices import Device

from qelectron_core import (
    Capabilities,
    ConfigError,
    Estimate,
    Executor,
    Job,
    Outcome,
    Result,
)
from qelectron_simulator.auto import AutoWorker
from qelectron_simulator.cores import sharing, usable_cores
from qelectron_simulator.devices import DeviceSpec, probe, require_seed
from qelectron_simulator.limits import most_fused
from qelectron_simulator.parallelism import gathers, is_cpu_bound, spread
from qelectron_simulator.processes import ProcessWorker
from qelectron_simulator.worker import Worker

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript
    from pennylane.transforms.core import CompilePipeline

PARALLEL = ("thread", "process", "auto", False)

AnyWorker: TypeAlias = Worker | ProcessWorker | AutoWorker


def _check_parallel(_: Any, __: Any, value: Any) -> None:
    if not (value is False or (isinstance(value, str) and value in PARALLEL)):
        message = (
            f"parallel={value!r} is unknown. "
            "Expected 'thread', 'process', 'auto' or False."
        )
        raise ConfigError(message)


def _check_workers(_: Any, __: Any, value: Any) -> None:
    if type(value) is not int or value < 1:
        message = f"workers={value!r} is no number of workers. Expected 1 or more."
        raise ConfigError(message)


def _check_device(_: Any, __: Any, value: Any) -> None:
    if value is not None and not isinstance(value, (str, DeviceSpec)):
        message = (
            f"device={value!r} is not the name of a device. Expected a name such as "
            "'lightning.qubit', a PennyLane device, or None for the QNode's own."
        )
        raise ConfigError(message)


def _to_spec(value: Any) -> Any:
    return DeviceSpec.of(value) if isinstance(value, Device) else value


@attrs.frozen
class Simulator(Executor):
    """Run circuits on a local PennyLane device, several at once.

    Every worker has a device instance of its own. Samples are seeded per circuit
    from `seed`, or else from the seed of the QNode's device, so that they repeat
    whatever the order in which workers finish.

    Attributes:
        device: Name of an installed PennyLane device, or such a device, whose
            options (but not its seed) are then taken over; by default the QNode's
            own device. A device from outside PennyLane that cannot be built again
            is used as it is, one circuit at a time.
        parallel: `"thread"`, `"process"`, `"auto"` for threads where these run side
            by side and processes where they do not, or `False` for the caller's
            thread (`run_later` then has a single thread to itself).
        workers: Most threads or processes. Processes, and threads for PennyLane's own
            devices, are never more than the cores that this process may use.

    Raises:
        ConfigError: If an option has no such value.

    Example:
        >>> import qelectron_core as ct
        >>> ct.executor.Simulator(parallel="thread", workers=10).workers
        10
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        seeded=True, in_process=True, broadcasting=True
    )

    device: str | DeviceSpec | None = attrs.field(
        default=None, converter=_to_spec, validator=_check_device
    )
    parallel: Literal["thread", "process", "auto", False] = attrs.field(
        default="thread", validator=_check_parallel
    )
    workers: int = attrs.field(default=10, validator=_check_workers)

    @property
    def concurrency(self) -> int:
        """How many jobs run at once."""
        if self.parallel is False or self._spec.is_shared:
            return 1
        if self.parallel == "process" or is_cpu_bound(self._spec):
            return min(self.workers, usable_cores())
        return self.workers  # a device of which nothing is known may only wait

    def cache_key(self) -> Mapping[str, Any] | None:
        """Return what the device is: who works in parallel changes no result."""
        spec = self._spec
        if spec.is_shared:
            return None  # nobody knows what it was told, or has counted, before
        name = probe(spec).device.name
        return {"device": name, "wires": spec.wires, "options": spec.options}

    def run(self, job: Job) -> Sequence[Result | Outcome | Exception]:
        """Run a job on the worker's device."""
        if not job.circuits:
            return []
        worker: AnyWorker = job.resource
        with self._share_of_cores(job):
            return worker.run(job.circuits, job.seeds, job.settings)

    def gathers(self, circuit: QuantumScript) -> bool:
        """Gather circuits that would only wait for each other's threads.

        Python runs one thread at a time, and so do kernels that hold its lock;
        together circuits are prepared, and often run, as one. Processes run side by
        side whatever they do, and of other devices it is not known what they spend
        their time on.
        """
        if self.parallel == "process":
            return False
        return gathers(self._spec, circuit, processes=self.parallel == "auto")

    def most_fused(self, circuit: QuantumScript) -> int:
        """Run as one what spends its time in Python rather than in arithmetic."""
        if self._spec.is_shared:
            return 1
        name = probe(self._spec).device.name
        return most_fused(name, self._spec.wires or circuit.wires)

    def estimate(self, circuits: Sequence[QuantumScript]) -> Estimate:
        """Return that nothing is paid; how long it takes is not known."""
        del circuits
        return Estimate(cost_usd=0.0)

    def open(self) -> AnyWorker:
        """Make a worker."""
        n_threads = max(1, usable_cores() // self.concurrency)
        if self.parallel == "process":
            return ProcessWorker(self._spec, n_threads)
        if self.parallel == "auto" and self.concurrency > 1 and spread(self._spec):
            return AutoWorker(self._spec, n_threads)
        return Worker(self._spec)

    def close(self, resource: AnyWorker) -> None:
        """End a worker."""
        if isinstance(resource, (ProcessWorker, AutoWorker)):
            resource.close()

    def for_device(self, device: Device) -> Simulator:
        """Take over the wires, and unless another is named the device itself.

        Raises:
            DeviceError: If PennyLane does not know the named device.
            ConfigError: If the device cannot follow the `seed`, or cannot be
                carried to other processes.
        """
        spec = self._spec_for(device)
        probe(spec)  # an unknown device is refused now, not when a circuit runs
        require_seed(spec, self.seed)
        if self.parallel == "process" and spec.is_shared:
            message = (
                "parallel='process' needs a device that can be built in each process, "
                f"and {device.name!r} cannot. "
                "Name one, as in Simulator(device='default.qubit')."
            )
            raise ConfigError(message)
        return attrs.evolve(self, device=spec)

    def supports_derivatives(
        self, method: str, circuit: QuantumScript | None = None
    ) -> bool:
        """Ask the device; tensors do not travel to other processes."""
        if method == "backprop" and self.parallel == "process":
            return False
        return probe(self._spec).supports_derivatives(method, circuit)

    def derivative_transforms(self, method: str) -> CompilePipeline:
        """Return the device's own transforms."""
        return probe(self._spec).derivative_transforms(method)

    def _share_of_cores(self, job: Job) -> AbstractContextManager[None]:
        """Return what keeps the threads of BLAS from multiplying while a job runs."""
        if self.parallel == "process" or not is_cpu_bound(self._spec):
            return nullcontext()
        if self.gathers(job.circuits[0]):  # so that no other job computes meanwhile
            return nullcontext()
        return sharing.job()

    @property
    def _spec(self) -> DeviceSpec:
        if isinstance(self.device, DeviceSpec):
            return self.device
        return DeviceSpec(self.device or "default.qubit")

    def _spec_for(self, device: Device) -> DeviceSpec:
        if isinstance(self.device, DeviceSpec):
            return self.device
        if self.device is None:
            return DeviceSpec.of(device)
        wires = None if device.wires is None else tuple(device.wires)
        return DeviceSpec(self.device, wires)

"""The `DaskExecutor`: circuits on the workers of a Dask cluster."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from qelectron_core import (
    Capabilities,
    ConfigError,
    Estimate,
    Executor,
    Job,
    Limits,
    Outcome,
    QCluster,
    RemoteExecutor,
    Result,
)
from qelectron_core.registry import registry
from qelectron_dask.addresses import is_same, to_address
from qelectron_dask.connection import connect, known_threads
from qelectron_dask.costs import costs_of
from qelectron_dask.session import Session

if TYPE_CHECKING:
    from pennylane.devices import Device
    from pennylane.tape import QuantumScript
    from pennylane.transforms.core import CompilePipeline

#: Seconds that the circuits of one Dask task are to take together: far more than what
#: a task costs by itself, and little to lose with a worker, or to wait for at the end.
TASK_S: Final = 0.5
#: Most circuits of one job, however quick they are.
MOST_CIRCUITS: Final = 4096
#: Tasks per thread of the cluster, so that each has its next one at hand.
AHEAD: Final = 2
#: Most jobs at once: each takes a thread of this program, to wait.
MOST_JOBS: Final = 32

#: Options of every executor: `DaskExecutor` takes those of the executor it was given.
_COMMON: Final = ("shots", "seed", "retries", "timeout_s")


def _to_executor(value: Any) -> Any:
    if isinstance(value, str):
        value = registry().resolve("executor", value)
    return value() if isinstance(value, type) and issubclass(value, Executor) else value


def _check_executor(_: Any, __: Any, value: Any) -> None:
    problem = _problem(value)
    if problem:
        message = (
            f"executor={value!r} cannot run circuits on Dask workers: {problem} "
            "Expected an executor that computes, such as ct.executor.Simulator()."
        )
        raise ConfigError(message)


def _problem(value: Any) -> str | None:
    if isinstance(value, RemoteExecutor):
        return (
            "it waits for a vendor and needs no worker. Use it by itself, also "
            "inside tasks of Dask."
        )
    if isinstance(value, (QCluster, list, tuple)):
        return "it is several. Put a DaskExecutor of each into a ct.QCluster."
    if isinstance(value, DaskExecutor):
        return "it is a DaskExecutor itself. Use it as it is."
    if not isinstance(value, Executor):
        return "it is no executor."
    for field in attrs.fields(type(value)):
        if field.repr is False and isinstance(getattr(value, field.name), (str, bytes)):
            return f"{field.name!r} would travel as it is. Hold it as a ct.Secret."
    return None


def _check_workers(_: Any, __: Any, value: Any) -> None:
    if value is not None and (type(value) is not int or value < 1):
        message = (
            f"workers={value!r} is no number of workers. Expected 1 or more, or None "
            "for as many as there are cores."
        )
        raise ConfigError(message)


def _check_connect(_: Any, __: Any, value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number and 0 < value < math.inf):
        message = f"connect_s={value!r} is no time. Expected seconds above 0."
        raise ConfigError(message)


@attrs.frozen
class DaskExecutor(Executor):
    """Run circuits on the workers of a Dask cluster, on one machine or on many.

    Circuits travel in parts that take about a quarter of a second each, as measured,
    and return as they are done. A worker that dies loses nothing: Dask runs its part
    elsewhere. Called inside a task of the same cluster, circuits are run where the
    task is.

    Attributes:
        executor: What runs the circuits on the workers: an executor, or the name of
            one. Its shots, seed, retries and timeout become those of this one, unless
            this one has its own.
        address: Address of a scheduler, a `distributed.Client`, or a cluster, such as
            those of dask-jobqueue, dask-kubernetes and dask-cloudprovider; `None`
            starts one on this machine at the first use, which ends with the program.
        workers: Worker processes of the cluster on this machine, of one thread each;
            `None` for as many as there are cores.
        connect_s: Longest wait for the scheduler, and for the first worker, in
            seconds.

    Raises:
        ConfigError: If an option has no such value.
        UnknownNameError: If no plugin offers the executor.

    Example:
        >>> import qelectron_core as ct
        >>> ct.executor.DaskExecutor(ct.executor.Echo(), address="tcp://node7:8786")
        DaskExecutor(executor=Echo(), address='tcp://node7:8786')
    """

    executor: Executor = attrs.field(
        factory=lambda: _to_executor("Simulator"),
        converter=_to_executor,
        validator=_check_executor,
    )
    address: str | None = attrs.field(default=None, converter=to_address)
    workers: int | None = attrs.field(
        default=None, kw_only=True, validator=_check_workers
    )
    connect_s: float = attrs.field(default=60.0, kw_only=True, validator=_check_connect)

    def __attrs_post_init__(self) -> None:
        """Take the common options from the executor; refuse workers elsewhere."""
        if self.address is not None and self.workers is not None:
            message = (
                f"workers={self.workers!r} and address={self.address!r} exclude each "
                "other: a cluster that runs already has its workers. Leave one out."
            )
            raise ConfigError(message)
        for name in _COMMON:
            if getattr(self, name) == _default(name):
                object.__setattr__(self, name, getattr(self.executor, name))
        plain = {name: _default(name) for name in _COMMON}
        object.__setattr__(self, "executor", attrs.evolve(self.executor, **plain))

    @property
    def place(self) -> Hashable:
        """What executors of one cluster have in common."""
        return self.address or self.n_local_workers

    @property
    def n_local_workers(self) -> int:
        """How many workers a cluster on this machine has."""
        return self.workers or _usable_cores()

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]  # of another
        """What the executor on the workers promises, but not in this process."""
        return attrs.evolve(self.executor.capabilities, in_process=False)

    @property
    def concurrency(self) -> int:
        """As many jobs as keep all threads of the cluster busy."""
        return min(MOST_JOBS, self._tasks_at_once)

    @property
    def tasks_per_job(self) -> int:
        """On how many Dask tasks a job is spread: several on a large cluster."""
        return -(-self._tasks_at_once // MOST_JOBS)

    @property
    def _tasks_at_once(self) -> int:
        threads = known_threads(self.place)
        if not threads and self.address is None:
            threads = self.n_local_workers
        return AHEAD * max(1, threads)

    @property
    def limits(self) -> Limits:
        """Those of the executor, and about a quarter of a second per task."""
        own, n_tasks = self.executor.limits, self.tasks_per_job
        return attrs.evolve(
            own,
            circuits_per_job=min(own.circuits_per_job or MOST_CIRCUITS, MOST_CIRCUITS),
            seconds_per_job=min(own.seconds_per_job or math.inf, TASK_S * n_tasks),
        )

    def expected_s(self, circuit: QuantumScript) -> float:
        """Return what circuits like this one took on workers; a guess at first."""
        return costs_of(self.executor).expected_s(circuit)

    def run(self, job: Job) -> Sequence[Result | Outcome | Exception]:
        """Have workers run a job."""
        session: Session = job.resource
        return session.run(job)

    def open(self) -> Session:
        """Connect to the cluster; start the one on this machine."""
        return Session(self, connect(self))

    def close(self, resource: Session) -> None:
        """Let go of the connection."""
        resource.close()

    def here(self) -> Executor:
        """Return the executor on the workers to a task of this cluster.

        It would wait for a worker, maybe the very one that it takes up.
        """
        scheduler = _scheduler_of_task()
        if scheduler is None:
            return self
        if self.address is None or is_same(scheduler, self.address):
            return self._whole()
        return self

    def for_device(self, device: Device) -> DaskExecutor:
        """Adapt the executor on the workers.

        Raises:
            ConfigError: If it cannot be carried to workers.
        """
        bound = attrs.evolve(self, executor=self._whole().for_device(device))
        if bound != self:
            _require_travel(bound, device)
        return bound

    def cache_key(self) -> Mapping[str, Any] | None:
        """Return what the executor is: where it runs changes no result."""
        own = self.executor.cache_key()
        if own is None:
            return None
        kind = type(self.executor)
        return {"executor": f"{kind.__module__}:{kind.__qualname__}", "options": own}

    def refuse(self, circuit: QuantumScript) -> str | None:
        """Ask the executor on the workers."""
        return self.executor.refuse(circuit)

    @property
    def default_shots(self) -> int | None:
        """Shots of circuits that come without any."""
        return self.executor.default_shots

    def payload_bytes(self, circuit: QuantumScript) -> int:
        """Ask the executor on the workers."""
        return self.executor.payload_bytes(circuit)

    def estimate(self, circuits: Sequence[QuantumScript]) -> Estimate:
        """Ask the executor on the workers."""
        return self.executor.estimate(circuits)

    def executions(self, circuit: QuantumScript) -> int:
        """Ask the executor on the workers."""
        return self.executor.executions(circuit)

    def company(self, circuit: QuantumScript) -> Hashable:
        """Ask the executor on the workers."""
        return self.executor.company(circuit)

    def most_fused(self, circuit: QuantumScript) -> int:
        """Ask the executor on the workers."""
        return self.executor.most_fused(circuit)

    def supports_derivatives(
        self, method: str, circuit: QuantumScript | None = None
    ) -> bool:
        """Ask the executor on the workers; tensors do not travel there."""
        return method != "backprop" and self.executor.supports_derivatives(
            method, circuit
        )

    def derivative_transforms(self, method: str) -> CompilePipeline:
        """Ask the executor on the workers."""
        return self.executor.derivative_transforms(method)

    def _whole(self) -> Executor:
        """Return the executor on the workers with the options that it came with."""
        common = {name: getattr(self, name) for name in _COMMON}
        return attrs.evolve(self.executor, **common)


def _default(name: str) -> Any:
    return getattr(attrs.fields(Executor), name).default


def _usable_cores() -> int:
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _scheduler_of_task() -> str | None:
    """Return the scheduler of the Dask task that this thread runs, if it runs one."""
    distributed = sys.modules.get("distributed")
    if distributed is None:  # nor is this a worker, then
        return None
    try:
        return str(distributed.get_worker().scheduler.address)
    except ValueError:
        return None


def _require_travel(executor: DaskExecutor, device: Device) -> None:
    import cloudpickle

    try:
        cloudpickle.dumps(executor.executor)
    except Exception as error:
        message = (
            f"{executor.executor!r}, adapted to the device {device.name!r}, cannot be "
            f"carried to Dask workers: {error}. Name a device that workers can build, "
            "as in DaskExecutor(Simulator(device='default.qubit'))."
        )
        raise ConfigError(message) from error

"""The `QiskitExecutor`: one name for Aer, fake machines, and IBM Quantum."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

import attrs

from qelectron_core import ConfigError, Executor, Secret
from qelectron_core.errors import check_options
from qelectron_qiskit import machines
from qelectron_qiskit import options as checks
from qelectron_qiskit.loading import load_qiskit

if TYPE_CHECKING:
    from pennylane.devices import Device
    from pennylane.tape import QuantumScript

#: Shots where neither the executor nor the QNode says how many.
DEFAULT_SHOTS = 1024
#: Modules that a call of an executor's class goes through.
_OURS = frozenset({__name__, "qelectron_core.config.making"})
#: The machine of the demo.
_DEMO = "fake_manila"
#: How hard Qiskit tries to improve circuits, where nobody says: on Aer, where nothing
#: is gained by it, not at all.
_LEVEL_ON_AER, _LEVEL_ON_MACHINES = 0, 2


@attrs.frozen
class QiskitExecutor(Executor):
    """Run circuits with Qiskit: on Aer, on fake machines, or on IBM Quantum.

    Circuits of equal structure are transpiled once and run as one, with an array of
    parameters. Every circuit that a call needs goes into one job.

    Attributes:
        device: `"local_sampler"` runs on this machine, `"sampler"` on IBM Quantum.
        backend: On this machine `"aer_simulator"` (the default), the snapshot of an IBM
            machine such as `"fake_manila"`, with its noise, or a Qiskit `BackendV2`. On
            IBM Quantum the name of a machine. Names of machines that IBM has switched
            off (`"ibmq_…"`) run on their snapshots here, with a warning.
        shots: Overrides the QNode's shots; where neither says how many, 1024 are run.
            `None` gives exact results, on this machine only.
        single_job: `True` sends all circuits that wait as one job, whatever their
            shots. `False` sends circuits that differ in their shots as jobs of their
            own: in one job, IBM runs all with the same number, so that some runs would
            be repeated and some shots thrown away.
        max_time: Longest time in seconds: of QPU use of a job, or, with `mode`, of the
            batch or session.
        options: Options of IBM's `Sampler`, as a dictionary: `{"dynamical_decoupling":
            {"enable": True}}`.
        optimization_level: Of Qiskit's transpiler, 0 to 3; by default 0 on Aer and 2
            elsewhere.
        seed: Seeds the samples on this machine, and the transpiler.
        mode: `"job"`, `"batch"` or `"session"` of IBM Quantum.
        ibmqx_token: Token of your account at IBM Quantum; by default that of the
            environment (`QISKIT_IBM_TOKEN`) or of Qiskit's account file.
        instance: CRN, or name, of an instance of the account; by default the account's.
        channel: IBM's name of the service; by default the account's.
        url: Address of the service, if it is not IBM's.
        account: Name of an account in Qiskit's account file.
        max_jobs: Most jobs that wait or run at IBM at the same time; `None` is any
            number.

    Raises:
        ConfigError: If an option has no such value.

    Example:
        >>> import qelectron_core as ct
        >>> ct.executor.QiskitExecutor(backend="aer_simulator", seed=7)
        QiskitExecutor(seed=7, backend='aer_simulator')
    """

    device: Literal["local_sampler", "sampler"] = attrs.field(
        default="local_sampler", validator=checks.one_of(checks.DEVICES, "device")
    )
    backend: Any = attrs.field(default=None, converter=machines.to_backend)
    single_job: bool = attrs.field(
        default=False, kw_only=True, validator=checks.check_flag
    )
    max_time: int | None = attrs.field(
        default=None, kw_only=True, validator=checks.check_seconds
    )
    options: checks.SamplerSettings = attrs.field(
        factory=checks.SamplerSettings, kw_only=True, converter=checks.to_options
    )
    optimization_level: int | None = attrs.field(
        default=None,
        kw_only=True,
        validator=checks.one_of((None, *checks.LEVELS), "level"),
    )
    mode: Literal["job", "batch", "session"] = attrs.field(
        default="job", kw_only=True, validator=checks.one_of(checks.MODES, "mode")
    )
    ibmqx_token: Secret | None = attrs.field(
        default=None, kw_only=True, repr=False, converter=checks.to_secret
    )
    instance: str | None = attrs.field(
        default=None, kw_only=True, validator=checks.check_text
    )
    channel: str | None = attrs.field(
        default=None, kw_only=True, validator=checks.check_channel
    )
    url: str | None = attrs.field(
        default=None, kw_only=True, validator=checks.check_text
    )
    account_name: str | None = attrs.field(
        default=None, kw_only=True, alias="account", validator=checks.check_text
    )
    max_jobs: int | None = attrs.field(
        default=None, kw_only=True, validator=checks.check_count
    )

    def __new__(cls, *args: Any, **given: Any) -> Self:
        """Return the executor for what is described: one that runs here, or at IBM.

        Raises:
            ConfigError: If an option belongs to IBM Quantum as it once was.
            TypeError: If there is no such option; names the one that was likely meant.
        """
        checks.refuse_gone(given)
        known = [str(field.alias) for field in attrs.fields(QiskitExecutor)]
        check_options("QiskitExecutor", given, known)
        kind: type[Any] = cls if cls is not QiskitExecutor else _kind(*args, **given)
        made: Self = object.__new__(kind)
        return made

    def __attrs_post_init__(self) -> None:
        """Refuse to become an executor that runs elsewhere, as by `attrs.evolve`.

        Raises:
            ConfigError: If device and backend are of another kind than it was made as.
        """
        if not isinstance(self, _kind_of(self.device, self.backend)):
            message = (
                f"device={self.device!r} and backend={self.backend!r} run elsewhere "
                "than the executor that was changed. Make a new QiskitExecutor(...)."
            )
            raise ConfigError(message)

    def __repr__(self) -> str:
        """Show the options that were given, and no secret ones."""
        return Executor.__repr__(self).replace(type(self).__name__, "QiskitExecutor", 1)

    @property
    def default_shots(self) -> int | None:
        """Shots of circuits that come without any."""
        return DEFAULT_SHOTS

    @property
    def level(self) -> int:
        """The optimization level of the transpiler."""
        if self.optimization_level is not None:
            return self.optimization_level
        return _LEVEL_ON_AER if self._is_aer else _LEVEL_ON_MACHINES

    @property
    def transpiler_seed(self) -> int:
        """Seed of the transpiler: equal circuits are always transpiled alike."""
        return (self.seed or 0) % 2**31

    @classmethod
    def for_demo(cls, *, shots: int, seed: int | None) -> Mapping[str, Executor]:
        """Show the noise of an IBM machine."""
        return {_DEMO: cls(backend=_DEMO, shots=shots, seed=seed)}

    def for_device(self, device: Device) -> Self:
        """Import Qiskit here and now, in the thread of whoever makes a QElectron.

        Raises:
            ConfigError: If `options` are not those of IBM's Sampler.
        """
        del device
        load_qiskit()
        checks.check_sampler_options(self.options)
        return self

    def company(self, circuit: QuantumScript) -> Hashable:
        """Send circuits with other shots apart, unless told not to."""
        return None if self.single_job else circuit.shots.total_shots

    def cache_key(self) -> Mapping[str, Any] | None:
        """Return what results depend on; of a backend that was given, nobody knows."""
        if isinstance(self.backend, machines.Given):
            return None
        return {
            "backend": self._machine,
            "options": self.options.frozen,
            "optimization_level": self.level,
            "transpiler_seed": None if self._is_aer else self.transpiler_seed,
        }

    @property
    def _machine(self) -> Any:
        """The backend that runs circuits: the given one, or what stands in for it."""
        return self.backend

    @property
    def _is_aer(self) -> bool:
        return self._machine is None or self._machine in machines.AER_NAMES


class IBMQExecutor:
    """The name of old programs for an executor at IBM; makes a `QiskitExecutor`.

    Example:
        >>> import qelectron_core as ct
        >>> ct.executor.IBMQExecutor("ibm_fez", max_jobs=5)
        QiskitExecutor(device='sampler', backend='ibm_fez', max_jobs=5)
    """

    def __new__(  # type: ignore[misc]  # old programs call it like a class
        cls,
        backend: Any = "ibmq_qasm_simulator",
        *,
        max_jobs: int | None = 20,
        **options: Any,
    ) -> QiskitExecutor:
        """Return an executor for a machine at IBM Quantum.

        Args:
            backend: Name of the machine; by default the one that was IBM's simulator.
            max_jobs: Most jobs that wait or run at the same time.
            options: Further options of `QiskitExecutor`.
        """
        return QiskitExecutor("sampler", backend, max_jobs=max_jobs, **options)


def _kind(device: Any = "local_sampler", backend: Any = None, **_: Any) -> type[Any]:
    """Return the class of an executor; warn if it stands in for another machine."""
    if isinstance(backend, str) and machines.is_retired(backend):
        _warn_of_stand_in(backend)
    return _kind_of(device, machines.to_backend(backend))


def _kind_of(device: Any, backend: Any) -> type[Any]:
    from qelectron_qiskit.ibm.executor import IBMExecutor
    from qelectron_qiskit.local.executor import LocalExecutor, OtherExecutor

    if isinstance(backend, str) and machines.is_retired(backend):
        return LocalExecutor
    if device == "sampler":
        return IBMExecutor
    is_other = isinstance(backend, machines.Given) and not machines.is_aer(
        backend.backend
    )
    return OtherExecutor if is_other else LocalExecutor


def _warn_of_stand_in(backend: str) -> None:
    here = machines.stand_in(backend)
    what = "without noise" if here == machines.AER else "with the noise of its snapshot"
    message = (
        f"IBM has switched off {backend!r}. Circuits run on this machine instead, "
        f"{what}: as by QiskitExecutor(device='local_sampler', backend={here!r})."
    )
    warnings.warn(message, UserWarning, stacklevel=_depth())


def _depth() -> int:
    """Return how many frames above its caller lies the first one that is not ours."""
    frame, depth = sys._getframe(1), 1
    while frame.f_globals.get("__name__") in _OURS and frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth

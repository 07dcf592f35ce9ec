"""The bridge to PennyLane: a device whose circuits are run by executors."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pennylane as qml
from pennylane.devices import Device, ExecutionConfig
from pennylane.devices.modifiers import simulator_tracking, single_tape_support
from pennylane.devices.preprocess import validate_device_wires
from pennylane.exceptions import DeviceError
from pennylane.measurements import MeasurementTransform
from pennylane.transforms.core import CompilePipeline

from qelectron_core import fusion
from qelectron_core.cluster import Member, to_member
from qelectron_core.contracts import Executor, Settings
from qelectron_core.dispatcher import USUAL, Counter, Dispatcher
from qelectron_core.policy import Policy
from qelectron_core.recording import install
from qelectron_core.router import make_route
from qelectron_core.shots import merge, split, with_shots, with_shots_of

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.contracts import Result

#: Executor of a QElectron that names none.
DEFAULT_EXECUTOR = "Simulator"
#: Derivatives that a device computes itself, the preferred one first.
DEVICE_METHODS = ("backprop", "adjoint")


@simulator_tracking
@single_tape_support
class QElectronDevice(Device):
    """A PennyLane device that hands every circuit to executors.

    It decides nothing about circuits: each executor prepares them for its own
    backend. Also reachable as `qml.device("qelectron", wires=..., executors=...)`.

    Args:
        wires: Number or labels of wires; `None` takes any.
        shots: Default shots of QNodes on it.
        executors: An executor, a list, a `QCluster`, or a name.
        device: PennyLane device, or name of one, that the executors may take
            options from, as a QElectron's take them from its QNode's device.
        policy: Whether kept results serve, and where new ones are kept.
        title: What calls are called in the journal.
    """

    def __init__(  # noqa: PLR0913  # an option each
        self,
        wires: Any = None,
        shots: Any = None,
        *,
        executors: Any = None,
        device: Any = "default.qubit",
        policy: Policy = USUAL,
        title: str = "",
    ) -> None:
        """Make a device."""
        install()
        if isinstance(device, str):
            device = qml.device(device, wires=wires)
        super().__init__(wires=device.wires if wires is None else wires, shots=shots)
        #: The device whose options the executors may take over.
        self.inner = device
        self.policy = policy
        self.member: Member = to_member(
            DEFAULT_EXECUTOR if executors is None else executors
        )
        route = make_route(self.member, device)
        alike = len({_shots_asked(leaf.bound) for leaf in route}) == 1
        # Where all agree, shots are set before they are split, and then stay.
        self._shots_of = next(iter(route)) if alike else None
        self._sets_shots = any(
            e.bound.shots != "qnode" or e.bound.default_shots is not None for e in route
        )
        self.dispatcher = Dispatcher(
            route, _entropy(device), own_shots=not alike, name=title
        )
        self._most_shots = _most_shots(self.executors) if alike else None
        self._expands = self._most_shots is not None or not all(
            executor.capabilities.broadcasting for executor in self.executors
        )
        #: How calls with the same options are executed, by these options.
        self.settled: dict[Any, Settings] = {}

    def with_policy(self, policy: Policy) -> QElectronDevice:
        """Return this device, but for what it says of results."""
        made = copy.copy(self)
        made.policy = policy
        return made

    @property
    def name(self) -> str:
        """Name of the device."""
        return "qelectron"

    @property
    def executors(self) -> tuple[Executor, ...]:
        """The executors as they run, adapted to the inner device."""
        return tuple(route.bound for route in self.dispatcher.route)

    def with_own_shots(self, circuit: QuantumScript) -> QuantumScript:
        """Return a circuit with the shots that the executors ask for, if they agree."""
        if self._shots_of is None:
            return circuit
        return with_shots_of(self._shots_of.bound, circuit)

    def most_fused(self, circuit: QuantumScript) -> int:
        """Return how many circuits of the structure of one may be run as one.

        One, if each is looked at by itself: by a selector, a cache, or a seed.
        """
        executors = self.executors
        if self.policy.mode or len(executors) > 1 or not fusion.is_fusible(circuit):
            return 1
        (only,) = executors
        return only.most_fused(circuit) if only.capabilities.broadcasting else 1

    def supports_derivatives(
        self,
        execution_config: ExecutionConfig | None = None,
        circuit: QuantumScript | None = None,
    ) -> bool:
        """Tell whether every executor computes the asked-for derivative itself."""
        config = execution_config or ExecutionConfig(gradient_method="best")
        return self._device_method(config, circuit) is not None

    def setup_execution_config(
        self,
        config: ExecutionConfig | None = None,
        circuit: QuantumScript | None = None,
    ) -> ExecutionConfig:
        """Settle how derivatives are computed."""
        config = config or ExecutionConfig()
        method = self._device_method(config, circuit)
        if method is None:
            return config
        if method == _NO_DERIVATIVE:
            return replace(config, gradient_method=None, use_device_gradient=False)
        on_execution = config.grad_on_execution
        return replace(
            config,
            gradient_method=method,
            use_device_gradient=True,
            # Executors return whole Jacobians, which serve `device_vjp=True` as well.
            use_device_jacobian_product=False,
            grad_on_execution=method != "backprop"
            if on_execution is None
            else on_execution,
        )

    def preprocess_transforms(
        self, execution_config: ExecutionConfig | None = None
    ) -> CompilePipeline:
        """Return what must be done to circuits before they are differentiated.

        All else is left to the executors, which know their backends.
        """
        pipeline = CompilePipeline(refuse_live_measurements)
        config = execution_config or ExecutionConfig()
        method = config.gradient_method
        if config.use_device_gradient and method != "backprop":
            for executor in dict.fromkeys(self.executors):
                pipeline += executor.derivative_transforms(method)
        return pipeline

    def execute(
        self, circuits: Any, execution_config: ExecutionConfig | None = None
    ) -> Sequence[Result]:
        """Run circuits and return their results in order."""
        settings = settings_of(execution_config or ExecutionConfig())
        expanded, merge = self.expand(circuits)
        results = self.dispatcher.run(expanded, settings, self.policy)
        return tuple(merge(tuple(results)))

    def expand(
        self, circuits: Sequence[QuantumScript]
    ) -> tuple[Sequence[QuantumScript], Callable[[Sequence[Result]], Any]]:
        """Take circuits apart that an executor could not run in one.

        These are circuits with arrays of parameters, for executors that take single
        ones, and circuits with more shots than one job may have. Measurements of all
        wires name them then: an executor need not know those of the device.

        Returns:
            The circuits to run, and what makes of their results those of the
            circuits that were given.
        """
        if self.inner.wires is not None and any(map(_measures_all_wires, circuits)):
            circuits = [_with_named_wires(c, self.inner) for c in circuits]
        if self._shots_of is not None and self._sets_shots:
            circuits = [self._shots_of.with_own_shots(c) for c in circuits]
        if not self._expands or not any(map(_may_expand, circuits)):
            return circuits, unmerged
        expanded, merge = _expansion(self._most_shots)(tuple(circuits))
        return expanded, merge

    def execute_and_compute_derivatives(
        self, circuits: Any, execution_config: ExecutionConfig | None = None
    ) -> tuple[Sequence[Result], Sequence[Any]]:
        """Run circuits; return their results and their Jacobians, in order."""
        settings = settings_of(execution_config or ExecutionConfig())
        settings = attrs.evolve(settings, derivatives=True)
        pairs = self.dispatcher.run(circuits, settings, self.policy)
        results, jacobians = zip(*pairs, strict=True)
        return results, jacobians

    def compute_derivatives(
        self, circuits: Any, execution_config: ExecutionConfig | None = None
    ) -> Sequence[Any]:
        """Return the Jacobians of circuits, in order."""
        return self.execute_and_compute_derivatives(circuits, execution_config)[1]

    def _device_method(
        self, config: ExecutionConfig, circuit: QuantumScript | None
    ) -> str | None:
        method = config.gradient_method
        if method == "best" and config.interface == numpy_interface():
            return _NO_DERIVATIVE
        wanted = DEVICE_METHODS if method == "best" else (method,)
        for candidate in wanted:
            if candidate in (*DEVICE_METHODS, "device") and self._all_offer(
                candidate, circuit
            ):
                return str(candidate)
        return None

    def _all_offer(self, method: str, circuit: QuantumScript | None) -> bool:
        return all(_offers(executor, method, circuit) for executor in self.executors)


@qml.transform
def refuse_live_measurements(circuit: QuantumScript) -> Any:
    """Refuse custom measurements that compute with a live device.

    Such a measurement is handed the device object itself, which executors, maybe
    far away, do not have.

    Raises:
        DeviceError: If the circuit holds one.
    """
    for measurement in circuit.measurements:
        if isinstance(measurement, MeasurementTransform) and not _is_own(measurement):
            message = (
                f"{type(measurement).__name__} computes with a live device, which "
                "executors do not have. Return measurements such as qml.expval or "
                "qml.sample, and process their results."
            )
            raise DeviceError(message)
    return (circuit,), _first


def _is_own(measurement: Any) -> bool:
    return type(measurement).__module__.startswith("pennylane.measurements.")


def _shots_asked(executor: Executor) -> tuple[Any, int | None]:
    """Return what settles the shots of a circuit on an executor."""
    asks = executor.shots != "qnode"
    return executor.shots, None if asks else executor.default_shots


def _most_shots(executors: Sequence[Executor]) -> int | None:
    """Return how many shots a circuit may have to fit any executor."""
    limits = (executor.limits.shots_per_job for executor in executors)
    return min((limit for limit in limits if limit is not None), default=None)


@functools.cache
def _expansion(most_shots: int | None) -> CompilePipeline:
    pipeline = CompilePipeline(qml.transforms.broadcast_expand)
    return pipeline if most_shots is None else pipeline + split_shots(most=most_shots)


@qml.transform
def split_shots(circuit: QuantumScript, most: int) -> Any:
    """Split the shots of a circuit into parts that one job may have.

    Raises:
        ConfigError: If the results of parts do not make up the result of the whole.
    """
    parts = split(circuit, most)
    return parts, lambda results: merge(parts, results)


def _may_expand(circuit: QuantumScript) -> bool:
    """Tell quickly whether a circuit might have arrays of parameters, or shots."""
    return bool(circuit.shots) or any(
        getattr(value, "ndim", 0) for op in circuit.operations for value in op.data
    )


def _measures_all_wires(circuit: QuantumScript) -> bool:
    return any(
        not measurement.wires and measurement.obs is None and measurement.mv is None
        for measurement in circuit.measurements
    )


def _with_named_wires(circuit: QuantumScript, device: Device) -> QuantumScript:
    (named,), _ = validate_device_wires(circuit, wires=device.wires, name=device.name)
    return named


def unmerged(results: Sequence[Result]) -> Sequence[Result]:
    """Return the results of circuits that were not taken apart."""
    return results


def _first(results: Sequence[Result]) -> Result:
    return results[0]


#: Stands for "best" where nothing can be differentiated: plain NumPy parameters.
_NO_DERIVATIVE = "none"


def settings_of(config: ExecutionConfig) -> Settings:
    """Return the part of an execution configuration that executors need.

    The configuration itself does not travel: it may hold live generators and
    transforms, which do not pickle.
    """
    mcm = config.mcm_config
    method = config.gradient_method if config.use_device_gradient else None
    if method == "backprop" and config.interface == numpy_interface():
        method = None
    return Settings(
        mcm_method=None if mcm.mcm_method is None else str(mcm.mcm_method),
        postselect_mode=None
        if mcm.postselect_mode is None
        else str(mcm.postselect_mode),
        gradient_method=method,
        interface=config.interface.value if method == "backprop" else "numpy",
    )


def numpy_interface() -> Any:
    """Return PennyLane's name of the interface without derivatives."""
    return qml.math.Interface.NUMPY


def _offers(executor: Executor, method: str, circuit: QuantumScript | None) -> bool:
    if circuit is not None and executor.shots != "qnode":
        circuit = with_shots(circuit, executor.shots)
    elif circuit is None and executor.shots not in ("qnode", None):
        return False  # no device derivative works on samples
    return executor.supports_derivatives(method, circuit)


#: Tells apart devices that share a JAX key, which cannot be drawn from in place.
_keyed_devices = Counter()


def _entropy(device: Device) -> int:
    """Return a number that follows the seed of a device.

    A device shows its random generator in the options that it puts into an
    execution configuration. One number is drawn from it, so that two QElectrons
    on one device do not see the same shot noise.
    """
    options = device.setup_execution_config(ExecutionConfig()).device_options
    if options.get("prng_key") is not None:
        key = np.asarray(options["prng_key"]).tobytes()
        return int.from_bytes(key, "little") + _keyed_devices.next()
    generator = options.get("rng")
    if isinstance(generator, np.random.Generator):
        return int(generator.integers(2**63))
    return int(np.random.randint(2**31))  # follows np.random.seed

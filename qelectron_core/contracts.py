"""What an executor is: the contract that plugin authors implement."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, TypeAlias

import attrs

from qelectron_core.config import Configurable, unconfigured
from qelectron_core.errors import (
    ConfigError,
    ExecutorError,
    QElectronError,
    check_options,
)

if TYPE_CHECKING:
    from pennylane.devices import Device
    from pennylane.tape import QuantumScript
    from pennylane.transforms.core import CompilePipeline

#: What a circuit evaluates to: an array, a number, a dict of counts, or nested
#: tuples of these, shaped as PennyLane's `Device.execute` shapes it.
Result: TypeAlias = Any

#: How an executor's `shots` may be given: a number, several (a shot vector),
#: `None` for exact results, or `"qnode"` to keep what the QNode says.
ShotsOption: TypeAlias = int | Sequence[int] | Literal["qnode"] | None


def _check_limit(_: Any, attribute: Any, value: Any) -> None:
    if value is not None and not (_is_integer(value) and int(value) > 0):
        message = (
            f"{attribute.name}={value!r} is no limit. Expected 1 or more, or None."
        )
        raise ConfigError(message)


def _is_integer(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _is_time(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 < value < math.inf


def _check_seconds(_: Any, attribute: Any, value: Any) -> None:
    if value is not None and not _is_time(value):
        message = (
            f"{attribute.name}={value!r} is no limit. Expected seconds above 0, or "
            "None."
        )
        raise ConfigError(message)


@attrs.frozen
class Capabilities:
    """What an executor promises; the conformance kit tests every promise.

    Attributes:
        exact: Runs circuits without shots and returns exact results.
        samples: Runs circuits with a finite number of shots.
        seeded: Equal seeds give equal samples.
        in_process: Runs in this process, so that a circuit may carry tensors of
            a machine-learning interface and be differentiated through.
        broadcasting: Takes circuits whose parameters are arrays of values. For
            executors that do not, the core takes such circuits apart.
        computes: Its results are the circuit's. False for a double that answers
            without computing, such as `Echo`.
        max_wires: Most wires that a circuit may have; `None` means any number.
        measurements: Class names of the measurements it takes, as in
            `frozenset({"ExpectationMP"})`; `None` means all.
    """

    exact: bool = True
    samples: bool = True
    seeded: bool = False
    in_process: bool = False
    broadcasting: bool = False
    computes: bool = True
    max_wires: int | None = None
    measurements: frozenset[str] | None = None

    def refuse(self, circuit: QuantumScript) -> str | None:
        """Return why a circuit cannot be run with these, or `None` if it can."""
        shots = circuit.shots.total_shots
        if shots and not self.samples:
            return f"{shots} shots were asked for, and it gives exact results only"
        if not shots and not self.exact:
            return "exact results were asked for, and it takes finite shots only"
        most = self.max_wires
        if most is not None and (wires := len(circuit.wires)) > most:
            return f"the circuit has {wires} wires, and it takes {most}"
        if self.measurements is None:
            return None
        names = {type(measurement).__name__ for measurement in circuit.measurements}
        unknown = ", ".join(sorted(names - self.measurements))
        return f"it does not take the measurement {unknown}" if unknown else None


@attrs.frozen
class Limits:
    """The most that one job may hold; `None` means any number.

    Circuits that exceed a limit together are split into several jobs.

    Attributes:
        circuits_per_job: Circuits.
        shots_per_job: Shots of all circuits together.
        payload_bytes_per_job: Bytes of all circuits together, as counted by
            `Executor.payload_bytes`.
        seconds_per_job: Seconds that all circuits together are expected to take, as
            told by `Executor.expected_s`. A circuit that takes longer goes alone.

    Raises:
        ConfigError: If a limit lets nothing through.
    """

    circuits_per_job: int | None = attrs.field(default=None, validator=_check_limit)
    shots_per_job: int | None = attrs.field(default=None, validator=_check_limit)
    payload_bytes_per_job: int | None = attrs.field(
        default=None, validator=_check_limit
    )
    seconds_per_job: float | None = attrs.field(default=None, validator=_check_seconds)


_NO_LIMITS: Final = Limits()


@attrs.frozen
class Settings:
    """How the circuits of one job are to be run; equal for all of them.

    Attributes:
        mcm_method: PennyLane's name of the mid-circuit measurement method, or
            `None` for the executor's choice.
        postselect_mode: PennyLane's name of the postselection mode, or `None`.
        gradient_method: `None`, or the device derivative in use, such as
            `"backprop"` or `"adjoint"`.
        derivatives: Whether each outcome is to be a pair `(result, jacobian)`.
        interface: Machine-learning interface of the parameters, as PennyLane
            names it; `"numpy"` unless `gradient_method` is `"backprop"`.
    """

    mcm_method: str | None = None
    postselect_mode: str | None = None
    gradient_method: str | None = None
    derivatives: bool = False
    interface: str = "numpy"


def _to_metadata(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(value)


@attrs.frozen
class Outcome:
    """A result together with what the executor knows about how it came about.

    Attributes:
        value: The circuit's result.
        metadata: Facts worth keeping (calibration time, usage in seconds …);
            plain numbers and strings, never secrets.
    """

    value: Result
    metadata: Mapping[str, Any] = attrs.field(factory=dict, converter=_to_metadata)


def _check_estimate(_: Any, attribute: Any, value: Any) -> None:
    if value is None:
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number and 0 <= value < math.inf):
        message = (
            f"{attribute.name}={value!r} is no estimate. Expected 0 or more, or None "
            "if it is unknown."
        )
        raise ConfigError(message)


@attrs.frozen
class Estimate:
    """What a job is expected to take; what is not known is `None`, never guessed.

    Attributes:
        cost_usd: Its price in US dollars; 0 where nothing is paid.
        seconds: Seconds for which it occupies the backend.

    Raises:
        ConfigError: If a number is negative, or none.
    """

    cost_usd: float | None = attrs.field(default=None, validator=_check_estimate)
    seconds: float | None = attrs.field(default=None, validator=_check_estimate)


@attrs.frozen(eq=False)
class Job:
    """Circuits sent to one executor together.

    Attributes:
        id: Identifies the job in this process and in the store.
        circuits: Circuits to run, with plain numbers as parameters (tensors
            only where `settings.gradient_method` is `"backprop"`).
        seeds: Per circuit, what its samples are to be seeded with.
        settings: How to run them.
        resource: What `Executor.open` returned for the worker that runs the job.
    """

    id: str
    circuits: tuple[QuantumScript, ...]
    seeds: tuple[Seed, ...]
    settings: Settings
    resource: Any = None

    def __len__(self) -> int:
        """Return the number of circuits."""
        return len(self.circuits)

    def __iter__(self) -> Iterator[tuple[QuantumScript, Seed]]:
        """Iterate over pairs of circuit and seed."""
        return zip(self.circuits, self.seeds, strict=True)


@attrs.frozen
class Seed:
    """Where one circuit's random numbers come from.

    Derived from the order in which a program asks for circuits, so that samples
    repeat whatever the order in which workers finish.

    Attributes:
        entropy: Seed of the executor, or else of the QNode's device.
        ordinal: How many circuits the QElectron had dispatched before this one.
    """

    entropy: int
    ordinal: int

    def to_int(self) -> int:
        """Return the seed as one integer in [0, 2**63), equal on every machine."""
        import numpy as np

        sequence = np.random.SeedSequence(self.entropy, spawn_key=(self.ordinal,))
        return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def _to_shots(value: Any) -> ShotsOption:
    if value is None or isinstance(value, str):
        return value  # type: ignore[return-value]  # validated by _check_shots
    if _is_integer(value):
        return int(value)
    return tuple(value) if isinstance(value, Iterable) else value


def _check_shots(_: Any, __: Any, value: Any) -> None:
    if value is None or value == "qnode":
        return
    numbers = value if isinstance(value, tuple) else (value,)
    if isinstance(value, str) or not numbers or not all(map(_is_shot_count, numbers)):
        message = (
            f"shots={value!r} is not a number of shots. Expected a positive integer, "
            "a sequence of them, None for exact results, or 'qnode' for the QNode's."
        )
        raise ConfigError(message)


def _is_shot_count(value: Any) -> bool:
    if isinstance(value, tuple):
        shots_and_copies = 2
        return len(value) == shots_and_copies and all(map(_is_shot_count, value))
    return _is_integer(value) and int(value) > 0


def _check_seed(_: Any, __: Any, value: Any) -> None:
    if value is None or (_is_integer(value) and int(value) >= 0):
        return
    message = f"seed={value!r} is no seed. Expected an integer of 0 or more, or None."
    raise ConfigError(message)


def _check_retries(_: Any, __: Any, value: Any) -> None:
    if not (_is_integer(value) and int(value) >= 0):
        message = f"retries={value!r} is no number of repetitions. Expected 0 or more."
        raise ConfigError(message)


#: Options of every executor that are not part of its cache key: shots and seed have
#: places of their own in it, and the others change no result.
_NOT_IN_CACHE_KEY: Final = frozenset({"shots", "seed", "retries", "timeout_s"})


def _check_timeout(_: Any, __: Any, value: Any) -> None:
    if value is not None and not _is_time(value):
        message = (
            f"timeout_s={value!r} is no time. Expected seconds above 0, or None to "
            "wait as long as it takes."
        )
        raise ConfigError(message)


class Value:
    """Base of things described by their options: executors and clusters."""

    __slots__ = ()

    def __new__(cls, *_args: Any, **options: Any) -> Self:
        """Refuse misspelt options with a message that helps."""
        if options:
            fields = [f.alias for f in attrs.fields(cls) if f.init]  # type: ignore[arg-type]
            check_options(cls.__name__, options, fields)
        return super().__new__(cls)

    def __init_subclass__(cls) -> None:
        """Keep the inherited `__repr__`: attrs only replaces one that is not own."""
        super().__init_subclass__()
        if "__repr__" not in vars(cls):
            cls.__repr__ = cls.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        """Show the options that were given, and no secret ones."""
        shown = (
            f"{field.alias}={_shown(field, getattr(self, field.name))}"
            for field in attrs.fields(type(self))  # type: ignore[arg-type]  # a base
            if field.repr is not False and not _is_default(self, field)
        )
        return f"{type(self).__name__}({', '.join(shown)})"

    def __enter__(self) -> Self:
        """Use it for the length of a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its lanes: cancel what is queued, free resources."""
        from qelectron_core.runtime import runtime

        runtime().close(self)


def _shown(field: attrs.Attribute[Any], value: Any) -> str:
    return field.repr(value) if callable(field.repr) else repr(value)


def _is_default(instance: Value, field: attrs.Attribute[Any]) -> bool:
    try:
        default = default_of(instance, field)
    except QElectronError:  # of an executor from a plugin that is not installed, say
        return False
    return bool(getattr(instance, field.name) == default)


def default_of(instance: Any, field: attrs.Attribute[Any]) -> Any:
    """Return what a field is if it is not given, whatever config says."""
    default: Any = field.default
    if not isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class
        return default
    with unconfigured():
        return default.factory(*([instance] if default.takes_self else []))


@attrs.frozen
class Executor(Value, metaclass=Configurable):
    """Describes one backend and how to reach it: the base of every executor.

    An executor is a value: frozen, hashable, equal by content, picklable. Derive
    with `@attrs.frozen`, declare options as fields, and implement `run`. Whatever
    must live between calls (a connection, a device) is made by `open` and handed
    to `run` as `job.resource`.

    Attributes:
        shots: Overrides the QNode's shots unless `"qnode"`; `None` is exact.
        seed: Seeds the samples, from the first circuit of each QElectron on, so
            that two QElectrons with equal seeds see equal shot noise; `None`
            follows the seed of the QNode's device.
        retries: How many times a circuit that failed is run again, each time
            after a longer pause, before its error is final.
        timeout_s: Longest time that a job may take, in seconds from its start (for
            a remote one from its submission) until its results are there; `None`
            waits as long as it takes.

    Example:
        >>> @attrs.frozen
        ... class Zero(Executor):
        ...     def run(self, job):
        ...         return [0.0 for circuit in job.circuits]
        >>> Zero(shots=10)
        Zero(shots=10)
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    shots: ShotsOption = attrs.field(
        default="qnode", kw_only=True, converter=_to_shots, validator=_check_shots
    )
    seed: int | None = attrs.field(default=None, kw_only=True, validator=_check_seed)
    retries: int = attrs.field(default=0, kw_only=True, validator=_check_retries)
    timeout_s: float | None = attrs.field(
        default=None, kw_only=True, validator=_check_timeout
    )

    def run(self, job: Job) -> Sequence[Result | Outcome | Exception]:
        """Run a job and return one entry per circuit, in order.

        Called on worker threads, possibly several at once (see `concurrency`),
        each with its own `job.resource`.

        Returns:
            Per circuit its result, an `Outcome` that adds metadata, or the
            exception that only this circuit ended in. With
            `job.settings.derivatives` each result is `(result, jacobian)`.

        Raises:
            Exception: If the whole job failed; every circuit of it then fails.
        """
        message = (
            f"executor class {type(self).__name__!r} has no run(). Implement "
            "run(job), which returns one result per circuit of the job."
        )
        raise ExecutorError(message)

    @property
    def concurrency(self) -> int | None:
        """How many jobs may run at once, at least 1; `None` means any number.

        Asked whenever a job may start, so it may follow a cluster that grows.
        """
        return 1

    @property
    def limits(self) -> Limits:
        """The most that one job may hold; asked whenever a job may start."""
        return _NO_LIMITS

    @property
    def default_shots(self) -> int | None:
        """Shots of circuits that come without any; `None` leaves them without.

        Counts where neither the QNode nor the option `shots` says how many.
        """
        return None

    def refuse(self, circuit: QuantumScript) -> str | None:
        """Return why this executor cannot run a circuit, or `None` if it can.

        Asked before anything is sent, and by selectors. Extend it where the
        capabilities do not say all:
        `return super().refuse(circuit) or (... if ... else None)`.

        Args:
            circuit: The circuit with the shots it would be run with.
        """
        return self.capabilities.refuse(circuit) or self._beyond_limits(circuit)

    def cache_key(self) -> Mapping[str, Any] | None:
        """Return the options that results depend on; part of the key of kept results.

        By default all but shots, seed, retries, timeout and those that hide from
        `repr`. Leave out what changes speed only, and add what the options do not
        say, such as the time of a calibration. `None` says that results cannot be
        compared, so that none is reused.
        """
        return {
            field.name: getattr(self, field.name)
            for field in attrs.fields(type(self))
            if field.repr is not False and field.name not in _NOT_IN_CACHE_KEY
        }

    def payload_bytes(self, circuit: QuantumScript) -> int:
        """Return how many bytes a circuit adds to a request; a rough guess.

        Asked only where `limits` has `payload_bytes_per_job`.
        """
        parameters = circuit.get_parameters(trainable_only=False)
        numbers = sum(getattr(value, "size", 1) for value in parameters)
        return 64 * (1 + len(circuit.operations) + len(circuit.measurements)) + (
            16 * numbers
        )

    def expected_s(self, circuit: QuantumScript) -> float:
        """Return how many seconds a circuit adds to a job; a rough guess.

        Asked only where `limits` has `seconds_per_job`.
        """
        del circuit
        return 0.0

    def estimate(self, circuits: Sequence[QuantumScript]) -> Estimate:
        """Return what a job of these circuits is expected to take; by default unknown.

        What is shown by `plan` and counted by budgets. Must be quick, and ask nobody:
        say what is known for certain, or the most that it may be, and leave the rest
        `None`. A budget of what is unknown lets nothing through.

        Args:
            circuits: The circuits of one job, with the shots they would be run with.
        """
        del circuits
        return Estimate()

    def executions(self, circuit: QuantumScript) -> int:
        """Return how many of a job's shots a circuit takes; by default its own.

        More, for a backend that runs it once in each basis of its measurements. Asked
        only where `limits` has `shots_per_job`.
        """
        return circuit.shots.total_shots or 0

    def gathers(self, circuit: QuantumScript) -> bool:
        """Tell whether a circuit is better run with others than beside them.

        While a job runs, circuits for which this is true wait for its end and
        then leave together as one job, even where `concurrency` allows more.
        """
        del circuit
        return False

    def most_fused(self, circuit: QuantumScript) -> int:
        """Return how many circuits like one it likes to get as one over arrays.

        Asked where circuits differ in parameters only, and only of executors that
        declare `broadcasting`. By default one: each comes by itself.

        Args:
            circuit: One of them; exact, and of operators that take arrays.
        """
        del circuit
        return 1

    def company(self, circuit: QuantumScript) -> Hashable:
        """Return what circuits must have in common to share a job; by default nothing.

        Those for which it differs are sent as jobs of their own.
        """
        del circuit
        return None

    def _beyond_limits(self, circuit: QuantumScript) -> str | None:
        """Return which limit of a job a circuit exceeds by itself, if it does."""
        limits, shots = self.limits, circuit.shots.total_shots or 0
        if limits.shots_per_job is not None and shots > limits.shots_per_job:
            return f"it has {shots} shots, and a job may have {limits.shots_per_job}"
        most = limits.payload_bytes_per_job
        if most is not None and (size := self.payload_bytes(circuit)) > most:
            return f"it takes {size} bytes, and a job may have {most}"
        return None

    @classmethod
    def for_demo(cls, *, shots: int, seed: int | None) -> Mapping[str, Executor]:
        """Return executors, by label, that `qelectron demo` is to show beside others.

        Args:
            shots: Shots per circuit.
            seed: Seeds the samples; `None` differs every time.
        """
        del shots, seed
        return {}

    def open(self) -> Any:
        """Make what one worker keeps from job to job; closed by `close`."""
        return None

    def close(self, resource: Any) -> None:
        """Give back what `open` made."""

    def here(self) -> Executor:
        """Return the executor that serves a caller in this thread; by default itself.

        Overridden where it matters from where it is called: by one that would wait
        for a place that the caller itself takes up, say. Asked in the caller's thread
        for every circuit, so it must be quick.
        """
        return self

    def for_device(self, device: Device) -> Executor:
        """Return the executor to use for a QNode with this device.

        Overridden by executors that take options from the QNode's own device.
        """
        del device
        return self

    def supports_derivatives(
        self, method: str, circuit: QuantumScript | None = None
    ) -> bool:
        """Tell whether the backend itself computes derivatives by this method.

        Args:
            method: `"backprop"`, `"adjoint"` or `"device"`.
            circuit: A circuit to be differentiated; `None` asks in general.
        """
        del method, circuit
        return False

    def derivative_transforms(self, method: str) -> CompilePipeline:
        """Return the transforms that a circuit needs before `method` applies.

        Called only for methods that `supports_derivatives` accepts. They run
        before differentiation, in the caller's thread.
        """
        from pennylane.transforms.core import CompilePipeline

        del method
        return CompilePipeline()

"""Calls that return before their circuits have run.

A call is cut where PennyLane would block. What comes before runs at once in the
caller's thread: the quantum function, user transforms, and the choice of how to
execute. The circuits are then dispatched. What comes after runs when they are
done: with plain numbers in the thread that finished the last one; where the call
is being differentiated, in the caller's thread, when it asks for the result.
"""

from __future__ import annotations

import concurrent.futures as cf
import threading
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import numpy as np
import pennylane as qml
from pennylane.devices import Device, ExecutionConfig
from pennylane.math import Interface
from pennylane.transforms import convert_to_numpy_parameters

from qelectron_core import fusion, outputs
from qelectron_core.attaching import attach_tasks
from qelectron_core.contracts import Settings
from qelectron_core.device import QElectronDevice, settings_of, unmerged
from qelectron_core.futures import QFuture
from qelectron_core.recording import pennylane_code
from qelectron_core.runtime import runtime
from qelectron_core.runtime.task import Batch, Task
from qelectron_core.scopes import new_call_id

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.contracts import Result
    from qelectron_core.events import Execution
    from qelectron_core.qnode import QElectron
    from qelectron_core.tracing.functions import Built

Circuits = Sequence["QuantumScript"]


class Later:
    """One call of a QElectron, cut in two.

    Attributes:
        future: What the user gets.
        tasks: Circuits to submit; empty if the call is done already.
    """

    def __init__(
        self, call: QElectron, args: Any, kwargs: Any, built: Built | None = None
    ) -> None:
        """Do what comes before execution.

        Args:
            call: A QElectron that nobody else uses.
            args: Positional arguments of the call.
            kwargs: Keyword arguments of the call.
            built: The circuit, if it is there already.
        """
        self.future = QFuture(new_call_id())
        self.tasks: list[Task] = []
        self._call = call
        self._finish: Finish
        with pennylane_code():
            self._prepare(args, dict(kwargs), built)

    def send(self) -> None:
        """Dispatch the circuits."""
        runtime().submit(self.tasks)

    def run(self) -> Any:
        """Run the circuits, in this thread where that can be, and return the result.

        Raises:
            Exception: What the call ended in.
        """
        try:
            runtime().submit(self.tasks, wait=True)
            return cf.Future.result(self.future)
        except BaseException:
            if not self.future.done():  # Ctrl-C
                self.future.cancel()
            raise

    def attach(self, handle: str) -> None:
        """Take the results of the circuits from a job that the vendor has."""
        attach_tasks(self.tasks, handle)

    def _prepare(self, args: Any, kwargs: Any, built: Built | None) -> None:
        built = built or self._call.builder.build(self._call, args, kwargs)
        pipeline = self._call.compile_pipeline
        pipeline.set_classical_component(self._call, args, kwargs)
        circuits, post = pipeline((built.circuit,))
        self._finish = _Finish(self._call, built, post)
        if pipeline.is_informative or not circuits:
            self._done_with(self._finish(circuits if pipeline.is_informative else ()))
            return
        self._route(circuits, is_plain=built.is_plain)

    def _route(self, circuits: Circuits, *, is_plain: bool) -> None:
        interface = _interface(self._call, circuits, is_plain=is_plain)
        if interface == Interface.NUMPY:
            self._submit(circuits, settings_for(self._call, circuits), self._finish)
            return
        differentiated = any(map(_is_differentiated, _parameters(circuits)))
        backprop = self._is_backprop(circuits, interface)
        if differentiated and (backprop or interface in _UNTRACEABLE):
            self._execute_now(circuits)
        elif not backprop:
            self._replay_later(circuits, differentiated=differentiated)
        elif all(map(_converts, circuits)):
            self._convert_later(circuits, interface)
        elif interface == Interface.TORCH:
            self._execute_now(circuits)  # whether it records is known to this thread
        else:
            settings = attrs.evolve(
                settings_for(self._call, circuits),
                gradient_method="backprop",
                interface=interface.value,
            )
            self._submit(circuits, settings, self._finish)

    def _execute_now(self, circuits: Circuits) -> None:
        """Run in the caller's thread what no other thread may run."""
        device = _CallDevice(self._call.device, self.future.id)
        results = _execute(self._call, circuits, device)
        self.future._executions = tuple(device.executions)
        self._done_with(self._finish(results))

    def _convert_later(self, circuits: Circuits, interface: Interface) -> None:
        """Run now, with numbers; turn the results into the interface's arrays.

        What backpropagation returns while nothing is differentiated.
        """
        finish_call = self._finish

        def finish(results: Sequence[Result]) -> Any:
            return finish_call(outputs.to_interface(tuple(results), interface.value))

        numeric, _ = convert_to_numpy_parameters(tuple(circuits))
        self._submit(numeric, settings_for(self._call, circuits), finish)

    def _replay_later(self, circuits: Circuits, *, differentiated: bool) -> None:
        """Run now, with numbers; let PennyLane see the results afterwards."""
        numeric, _ = convert_to_numpy_parameters(tuple(circuits))
        settings = settings_for(self._call, circuits)
        # In torch, whether gradients are recorded is a matter of the thread and of the
        # moment; what counts is how it was when the call was made.
        recording = partial(_recording_gradients, circuits, on=differentiated)
        replay = partial(self._replay, circuits, recording)
        if differentiated:
            self.future._in_caller = _Once(replay)
            self._submit(numeric, settings, tuple)
        else:
            self._submit(numeric, settings, replay)

    def _replay(
        self, circuits: Circuits, recording: Any, results: Sequence[Result]
    ) -> Any:
        device = _ReplayDevice(self._call.device, tuple(results))
        with recording():
            return self._finish(_execute(self._call, circuits, device))

    def _submit(self, circuits: Circuits, settings: Settings, finish: Any) -> None:
        future, device = self.future, self._call.device
        expanded, merge = device.expand(circuits)
        if expanded is not circuits:
            finish = _merged(merge, finish)
        on_done = partial(_finish_future, future, finish)
        batch = Batch(future.id, len(expanded), on_done, future._start)
        future._batch = batch
        future._keeper = runtime().keeper(device.policy.store)
        whole = merge is unmerged and len(expanded) == 1
        whole = whole and not self._call.compile_pipeline
        self.tasks = device.dispatcher.tasks(
            expanded,
            settings,
            batch,
            device.policy,
            self._finish.output() if whole else None,
        )

    def _is_backprop(self, circuits: Circuits, interface: Interface) -> bool:
        device: QElectronDevice = self._call.device
        config = ExecutionConfig(
            gradient_method=self._call.diff_method, interface=interface
        )
        if not device.supports_derivatives(config, circuits[0]):
            return False
        settled = device.setup_execution_config(config, circuits[0])
        return bool(settled.gradient_method == "backprop")

    def _done_with(self, value: Any) -> None:
        self.future._start()
        self.future.set_result(value)


class Finish(Protocol):
    """What comes after the execution of a call."""

    def output(self) -> str | None:
        """Return how the results of the one circuit are nested, as JSON."""

    def __call__(self, results: Sequence[Result]) -> Any:
        """Return the result of the call from those of its circuits."""


class _Finish:
    """What comes after execution: the end of `QNode.__call__`.

    It waits as long as the call does, so it holds no more than it needs.
    """

    __slots__ = ("_interface", "_output", "_post", "_shot_vector")

    def __init__(self, call: QElectron, built: Built, post: Any) -> None:
        circuit, informative = built.circuit, call.compile_pipeline.is_informative
        self._post = post if informative else _FirstOf(post)
        self._output = built.output
        self._shot_vector = circuit.shots.has_partitioned_shots
        plain = (
            call.interface == "auto"
            or informative
            or circuit.get_parameters(trainable_only=False)
        )
        self._interface = None if plain else call.interface

    def output(self) -> str | None:
        """Return how the results of the one circuit are nested, as JSON."""
        return outputs.describe(self._output, shot_vector=self._shot_vector)

    def __call__(self, results: Sequence[Result]) -> Any:
        value = self._post(tuple(results))
        if self._interface is not None:
            value = outputs.to_interface(value, self._interface)
        return outputs.like_function(value, self._output, shot_vector=self._shot_vector)


def send_all(calls: Iterable[Later]) -> None:
    """Dispatch the circuits of several calls together."""
    runtime().submit([task for call in calls for task in call.tasks])


class LaterMany(Later):
    """Many calls of a QElectron as one circuit over arrays of parameters.

    The result of its future is a list of theirs.
    """

    def __init__(self, call: QElectron, built: Built, count: int) -> None:
        """Take the circuit.

        Args:
            call: A QElectron that nobody else uses, without transforms.
            built: A circuit over arrays of plain numbers, which is not sampled.
            count: Length of the arrays.
        """
        self.future = QFuture(new_call_id())
        self._call = call
        self._finish = _FinishMany(built, count)
        with pennylane_code():
            self._submit(
                [built.circuit], settings_for(call, [built.circuit]), self._finish
            )


class _FinishMany:
    """What comes after the execution of many calls as one."""

    __slots__ = ("_count", "_measurements", "_output")

    def __init__(self, built: Built, count: int) -> None:
        self._output = built.output
        self._measurements = len(built.circuit.measurements)
        self._count = count

    def output(self) -> None:
        """Return nothing: no short text tells how the results are nested."""

    def __call__(self, results: Sequence[Result]) -> list[Any]:
        (result,) = results
        single = fusion.unfuse(result, self._count, self._measurements)
        return [
            outputs.like_function(r, self._output, shot_vector=False) for r in single
        ]


def settings_for(call: QElectron, circuits: Circuits) -> Settings:
    """Let PennyLane settle how mid-circuit measurements are executed.

    It asks for the options and for whether there are shots, so it is asked once.
    """
    device: QElectronDevice = call.device
    options = call.execute_kwargs
    wanted = {name: options[name] for name in ("postselect_mode", "mcm_method")}
    key = (*wanted.values(), any(circuit.shots for circuit in circuits))
    found = device.settled.get(key)
    if found is None:
        probe = _SettingsProbe(device)
        qml.execute(
            circuits,
            probe,
            diff_method=None,
            interface="numpy",
            cache=False,
            **wanted,
        )
        found = device.settled[key] = settings_of(probe.config)
    return found


class _FirstOf:
    """Returns the first of several values: there is one circuit before transforms."""

    __slots__ = ("_post",)

    def __init__(self, post: Any) -> None:
        self._post = post

    def __call__(self, results: Sequence[Result]) -> Any:
        return self._post(results)[0]


def _finish_future(future: QFuture, finish: Any, batch: Batch) -> None:
    with pennylane_code():
        future._finish(batch, finish)


def _merged(merge: Any, finish: Any) -> Any:
    """Return what puts the results of expanded circuits together before `finish`."""
    return lambda results: finish(tuple(merge(tuple(results))))


def _execute(call: QElectron, circuits: Circuits, device: Device) -> Sequence[Result]:
    options = dict(call.execute_kwargs)
    if isinstance(device, _ReplayDevice):
        options["cache"] = False  # it would drop circuits that are equal
        if call.diff_method in ("adjoint", "device", "best"):
            options["grad_on_execution"] = False  # the circuits ran without
    results: Sequence[Result] = qml.execute(
        circuits,
        device,
        diff_method=call.diff_method,
        interface=call.interface,
        gradient_kwargs=call.gradient_kwargs,
        **options,
    )
    return results


class _Once:
    """Computes a value at the first call and keeps it."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._value: Any = None
        self._lock = threading.Lock()

    def __call__(self, argument: Any) -> Any:
        with self._lock:
            if self._function is not None:
                self._value = self._function(argument)
                self._function = None  # it holds circuits and their results
        return self._value


class _SettingsProbe(Device):
    """Learns how PennyLane would execute, and executes nothing."""

    def __init__(self, device: QElectronDevice) -> None:
        super().__init__(wires=device.wires)
        self.config = ExecutionConfig()

    def setup_execution_config(self, config: Any = None, circuit: Any = None) -> Any:
        return config

    def preprocess_transforms(self, execution_config: Any = None) -> Any:
        return qml.CompilePipeline()

    def execute(self, circuits: Any, execution_config: Any = None) -> Any:
        self.config = execution_config
        return tuple(circuits)


class _Delegate(Device):
    """Stands before a QElectron's device for one call, and asks it everything."""

    def __init__(self, device: QElectronDevice) -> None:
        super().__init__(wires=device.wires)
        self._device = device
        self.supports_derivatives = device.supports_derivatives
        self.setup_execution_config = device.setup_execution_config
        self.preprocess_transforms = device.preprocess_transforms
        self.compute_derivatives = device.compute_derivatives
        self.execute_and_compute_derivatives = device.execute_and_compute_derivatives

    def execute(self, circuits: Any, execution_config: Any = None) -> Any:
        return self._device.execute(circuits, execution_config)


class _CallDevice(_Delegate):
    """Runs circuits under the id of a call and keeps their records."""

    def __init__(self, device: QElectronDevice, call_id: str) -> None:
        super().__init__(device)
        self._call_id = call_id
        self.executions: list[Execution] = []

        self.execute_and_compute_derivatives = self._with_derivatives
        self.compute_derivatives = self._derivatives

    def execute(self, circuits: Any, execution_config: Any = None) -> Any:
        expanded, merge = self._device.expand(circuits)
        return tuple(merge(tuple(self._run(expanded, settings_of(execution_config)))))

    def _with_derivatives(self, circuits: Any, execution_config: Any = None) -> Any:
        settings = attrs.evolve(settings_of(execution_config), derivatives=True)
        return tuple(zip(*self._run(circuits, settings), strict=True))

    def _derivatives(self, circuits: Any, execution_config: Any = None) -> Any:
        return self._with_derivatives(circuits, execution_config)[1]

    def _run(self, circuits: Any, settings: Settings) -> Sequence[Result]:
        dispatcher = self._device.dispatcher
        policy = self._device.policy
        batch = dispatcher.run_batch(circuits, settings, self._call_id, policy)
        self.executions.extend(batch.executions)
        return batch.outcome()


class _ReplayDevice(_Delegate):
    """Answers the first execution with results that are there already.

    Everything else, such as the circuits of a gradient, goes to the real device.
    """

    def __init__(self, device: QElectronDevice, results: Sequence[Result]) -> None:
        super().__init__(device)
        self._results: Sequence[Result] | None = results

    def execute(self, circuits: Any, execution_config: Any = None) -> Any:
        results, self._results = self._results, None
        if results is not None and len(results) == len(circuits):
            return results
        return super().execute(circuits, execution_config)


def _parameters(circuits: Circuits) -> list[Any]:
    return [p for c in circuits for p in c.get_parameters(trainable_only=False)]


def _interface(call: QElectron, circuits: Circuits, *, is_plain: bool) -> Interface:
    interface = Interface(call.interface)
    if interface != Interface.AUTO:
        return interface
    if is_plain:
        return Interface.NUMPY
    found = qml.math.get_interface(*_parameters(circuits))
    try:
        return Interface(found)
    except ValueError:  # such as networkx graphs as parameters
        return Interface.NUMPY


#: Interfaces whose traced values have no numbers that another thread could use.
_UNTRACEABLE: Final = (Interface.JAX, Interface.JAX_JIT)


def _converts(circuit: QuantumScript) -> bool:
    """Tell whether NumPy's result, converted, is what backpropagation returns.

    It is where both compute with the same precision; measures of information come
    in whatever type PennyLane has at hand.
    """
    parameters = circuit.get_parameters(trainable_only=False)
    kinds = {qml.math.get_dtype_name(value) for value in parameters}
    return kinds <= {"float64", "complex128", "int64"} and all(
        isinstance(measurement, _CONVERTED) for measurement in circuit.measurements
    )


_CONVERTED: Final = (
    qml.measurements.ExpectationMP,
    qml.measurements.VarianceMP,
    qml.measurements.ProbabilityMP,
    qml.measurements.StateMP,
)


def _recording_gradients(
    circuits: Circuits, *, on: bool
) -> AbstractContextManager[Any]:
    """Switch torch's recording of gradients on or off, if torch it is."""
    if qml.math.get_interface(*_parameters(circuits)) != "torch":
        return nullcontext()
    import torch

    recording: AbstractContextManager[Any] = torch.set_grad_enabled(on)
    return recording


def _is_differentiated(value: Any) -> bool:
    """Tell whether a value is being traced by a machine-learning interface."""
    interface = qml.math.get_interface(value)
    if interface == "autograd":
        from autograd.tracer import isbox

        return isbox(value) or (
            getattr(value, "dtype", None) == np.object_ and any(map(isbox, value.flat))
        )
    if interface == "torch":
        import torch

        return bool(value.requires_grad) and torch.is_grad_enabled()
    if interface == "jax":
        import jax

        return isinstance(value, jax.core.Tracer)
    return False

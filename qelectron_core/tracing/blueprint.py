"""Circuits that are built without calling what they were first built by."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import numpy as np
from pennylane.operation import Operator
from pennylane.ops.op_math import Controlled
from pennylane.queuing import AnnotatedQueue, QueuingManager
from pennylane.tape import QuantumScript

from qelectron_core.structure import KNOWN_OPERATORS, structure_of, with_parameters
from qelectron_core.tracing.symbols import (
    NotTraceableError,
    Place,
    Step,
    Symbol,
    Trace,
    evaluate,
    evaluate_many,
)

#: Largest value of which the last digit is below what is promised of results.
MAX_ANGLE: Final = 100.0


@attrs.frozen
class _Slot:
    """An operator whose parameters are filled in.

    Attributes:
        number: Its position among the operations.
        operator: An operator like it, never given out.
        data: Its parameters: a `Place` for each that varies, else the value.
    """

    number: int
    operator: Operator
    data: tuple[Any, ...]

    def fill(self, values: Sequence[Any], count: int | None = None) -> Operator:
        """Return the operator with the values of steps as parameters.

        Args:
            values: Of all steps.
            count: If values are arrays over circuits, of how many.
        """
        data = tuple(values[d.number] if type(d) is Place else d for d in self.data)
        if count is not None:
            data = tuple(
                v if type(d) is Place else np.broadcast_to(v, (count, *np.shape(v)))
                for d, v in zip(self.data, data, strict=True)
            )
        if isinstance(self.operator, Controlled):  # which keeps them elsewhere
            return with_parameters(self.operator, data)
        made: Operator = copy.copy(self.operator)  # a third of the time of a new one
        made.data = data
        return made


@attrs.frozen
class Blueprint:
    """A circuit as a function of numbers.

    Attributes:
        steps: How parameters are computed from the inputs.
        operations: All operations, with some that are replaced.
        slots: Where operations with varying parameters go.
        measurements: All measurements.
        output: What the function returned.
    """

    steps: list[Step]
    operations: tuple[Operator, ...]
    slots: tuple[_Slot, ...]
    measurements: tuple[Any, ...]
    output: Any = None

    def bind(self, inputs: Sequence[Any], shots: Any = None) -> QuantumScript:
        """Return the circuit of some inputs, as the function would build it.

        Raises:
            Exception: What the arithmetic raises.
        """
        return self._circuit(evaluate(self.steps, list(inputs)), shots)

    def bind_many(self, inputs: Sequence[Any]) -> QuantumScript | None:
        """Return one circuit over arrays, for many inputs at once.

        Args:
            inputs: Per input an array over the circuits.

        Returns:
            The circuit; `None` where Python's numbers and NumPy's may part: if a value
            on the way is not finite, or if angles are so large that the last digit of
            a function that is not exactly rounded shows in the result.
        """
        with np.errstate(all="ignore"):
            values = evaluate_many(self.steps, list(inputs))
        most = np.inf if all(step.is_exact for step in self.steps) else MAX_ANGLE
        if not all((np.abs(value) < most).all() for value in values):
            return None
        return self._circuit(values, None, len(inputs[0]))

    def _circuit(
        self, values: Sequence[Any], shots: Any, count: int | None = None
    ) -> QuantumScript:
        operations = list(self.operations)
        with QueuingManager.stop_recording():
            for slot in self.slots:
                operations[slot.number] = slot.fill(values, count)
            return QuantumScript(
                operations, self.measurements, shots=shots, trainable_params=[]
            )


def trace_function(
    function: Callable[..., Any], examples: Sequence[Any], call: Callable[..., Any]
) -> Blueprint:
    """Return the blueprint of what a quantum function builds.

    Args:
        function: The quantum function.
        examples: A value of each input.
        call: Calls a function with the arguments that hold some inputs.

    Raises:
        NotTraceableError: If other values may lead to another circuit.
    """
    trace = Trace()
    symbols = [trace.input(example) for example in examples]
    try:
        with AnnotatedQueue() as queue:
            output = call(function, symbols)
        circuit = QuantumScript.from_queue(queue)
    except Exception as error:
        raise NotTraceableError(trace.refused or str(error)) from error
    return _blueprint(trace, circuit, output)


def trace_circuit(
    circuit: QuantumScript, prepare: Callable[[QuantumScript], QuantumScript]
) -> Blueprint:
    """Return the blueprint of what becomes of circuits of one structure.

    Args:
        circuit: A circuit that has a structure; the inputs are its parameters, one
            for each in the order of its operations.
        prepare: Makes another circuit of a circuit.

    Raises:
        NotTraceableError: If other values may lead to another circuit.
    """
    trace = Trace()
    try:
        prepared = prepare(_symbolic(trace, circuit))
    except Exception as error:
        raise NotTraceableError(trace.refused or str(error)) from error
    return _blueprint(trace, prepared, None)


def _symbolic(trace: Trace, circuit: QuantumScript) -> QuantumScript:
    operations = []
    with QueuingManager.stop_recording():
        for op in circuit.operations:
            symbols = [trace.input(value) for value in op.data]
            operations.append(with_parameters(op, symbols) if symbols else op)
    return QuantumScript(operations, circuit.measurements, shots=circuit.shots)


def circuit_inputs(circuit: QuantumScript) -> list[Any]:
    """Return the parameters of a circuit's operations, in their order."""
    return [value for op in circuit.operations for value in op.data]


def _blueprint(trace: Trace, circuit: QuantumScript, output: Any) -> Blueprint:
    slots = [
        _slot(trace, number, op)
        for number, op in enumerate(circuit.operations)
        if any(type(value) is Symbol for value in op.data)
    ]
    operations = list(circuit.operations)
    for slot in slots:
        operations[slot.number] = slot.operator
    plain = QuantumScript(operations, circuit.measurements)
    if structure_of(plain) is None:
        trace.refuse("an operation or measurement cannot be compared with others")
    if trace.refused is not None:
        raise NotTraceableError(trace.refused)
    return Blueprint(
        trace.steps,
        tuple(operations),
        tuple(slots),
        tuple(circuit.measurements),
        output,
    )


def _slot(trace: Trace, number: int, op: Operator) -> _Slot:
    if type(op) not in KNOWN_OPERATORS:
        trace.refuse(f"nothing is known of {op.name}")
    data = tuple(v.place if type(v) is Symbol else v for v in op.data)
    examples = [v.example if type(v) is Symbol else v for v in op.data]
    with QueuingManager.stop_recording():
        return _Slot(number, with_parameters(op, examples), data)

"""What is written down comes back as it was, and reading it executes nothing."""

import enum
import json
import math
import struct
import subprocess
import sys
import zlib
from importlib import import_module, util
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pennylane.pytrees.pytrees import typename_to_type
from pennylane.tape import QuantumScript

import qelectron_core as ct
from qelectron_core.contracts import Executor
from qelectron_core.errors import FormatError
from qelectron_core.formats import (
    circuit_digest,
    dump_circuit,
    dump_executor,
    dump_value,
    load_circuit,
    load_executor,
    load_value,
)
from qelectron_core.remote import Polling
from qelectron_core.testing import FakeCloud, Faults
from qelectron_core.testing.conformance import circuits as known


def load_differential() -> Any:
    """Return the module of the differential test, for the results that it compares."""
    path = Path(__file__).with_name("test_differential.py")
    spec = util.spec_from_file_location("differential_results", path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


differential = load_differential()


def identical(one: Any, other: Any) -> bool:
    """Tell whether two values are equal bit for bit, types included."""
    if isinstance(one, dict):
        one, other = list(one.items()), list(other.items())
    if isinstance(one, (tuple, list)):
        same = type(one) is type(other) and len(one) == len(other)
        return same and all(map(identical, one, other))
    return type(one) is type(other) and content(one) == content(other)


def content(value: Any) -> Any:
    """Return all that two values of one type may differ in."""
    if isinstance(value, (np.ndarray, np.generic)):
        trained = getattr(value, "requires_grad", None)
        return value.dtype.str, value.shape, value.tobytes(), trained
    if isinstance(value, (float, complex)):  # -0.0 is no 0.0, and NaN is NaN
        return np.array(value).tobytes()
    return value


# --- Results ---------------------------------------------------------------------

NUMBER_TYPES = st.sampled_from([*"?bhilBHILefdgFDG", ">i8", ">u2", ">f8", ">c16"])
ARRAYS = NUMBER_TYPES.flatmap(
    lambda kind: hnp.arrays(
        "d" if kind in "gG" else kind,
        hnp.array_shapes(min_dims=0, min_side=0, max_side=3),
    ).map(lambda array: np.array(array, kind))
)
#: Of all that is not a number only the usual one: the others are not promised.
FLOATS = st.one_of(st.floats(allow_nan=False), st.just(math.nan))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    FLOATS,
    st.text(st.characters(), max_size=4),
    st.builds(complex, FLOATS, FLOATS),
    FLOATS.map(np.float64),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.floats(width=32).map(np.float32),
    st.booleans().map(np.bool_),
    st.text("01", max_size=3).map(np.str_),
)
KEYS = st.one_of(
    st.text("01", max_size=3),
    st.integers(),
    st.floats(allow_nan=False),
    st.booleans(),
    st.integers(0, 9).map(np.int64),
    st.tuples(st.integers(), st.integers()),
)
VALUES = st.recursive(
    SCALARS
    | ARRAYS
    | st.tuples(ARRAYS, st.booleans()).map(
        lambda pair: qml.numpy.tensor(pair[0], requires_grad=pair[1])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(max_examples=250, deadline=None)
@given(value=VALUES)
def test_a_value_comes_back_bit_for_bit(value: Any) -> None:
    """Every number, array and container keeps its type, its bits and its place."""
    assert identical(load_value(dump_value(value)), value)


def comes_back(qnode: Any, x: Any) -> None:
    """Assert that a result survives, if it is one of NumPy's or PennyLane's."""
    result = qnode(x)
    assert identical(load_value(dump_value(result)), result)


@pytest.mark.parametrize("interface", ["float", "numpy", "autograd"])
@pytest.mark.parametrize("x", [0.4, [0.1, 0.2, 0.3]], ids=["one", "array"])
def test_every_analytic_result_comes_back(x: Any, interface: str) -> None:
    """So does every exact measurement of the differential test."""
    for measure in differential.ANALYTIC.values():
        qnode = differential.make_qnode(measure)
        comes_back(qnode, differential.argument(interface, x))


@pytest.mark.parametrize("shots", differential.SHOTS.values(), ids=differential.SHOTS)
@pytest.mark.parametrize("x", [0.4, [0.1, 0.2]], ids=["one", "array"])
def test_every_sampled_result_comes_back(x: Any, shots: Any) -> None:
    """So does every sampled measurement of the differential test."""
    for name, measure in differential.SAMPLED.items():
        if name in differential.NOT_BROADCAST_SAMPLED and (shots == 1 or x != 0.4):
            continue
        for interface in ("float", "autograd"):
            qnode = differential.make_qnode(measure, shots=shots)
            comes_back(qnode, differential.argument(interface, x))


def test_arrays_that_come_back_can_be_written_to() -> None:
    """They do not lie in the bytes that were read."""
    array = load_value(dump_value(np.zeros(3)))
    array[0] = 1.0
    assert array[0] == 1.0


def endless() -> list[Any]:
    """Return a list that holds itself."""
    made: list[Any] = []
    made.append(made)
    return made


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((0.5, {"a": [{1}]}), r"result\[1\]\['a'\]\[0\] is a builtins.set"),
        (np.array([None]), "numpy.ndarray of object"),
        ({"t": np.datetime64("2020-01-01")}, r"result\['t'\] is a numpy.datetime64"),
        (np.array("text"), "numpy.ndarray of <U4"),
        (print, "builtin_function_or_method"),
        (np.ma.masked_array([1.0], [True]), "MaskedArray"),
        ((10**5000,), "integers of moderate length"),
        (endless(), "finite nesting"),
    ],
)
def test_other_values_are_refused(value: Any, message: str) -> None:
    """The error names the type, and where in the result it is."""
    with pytest.raises(FormatError, match=message):
        dump_value(value)


def test_arrays_of_other_interfaces_are_refused() -> None:
    """They would come back as something else."""
    jax = pytest.importorskip("jax")
    with pytest.raises(FormatError, match=r"result\[0\] is a jax"):
        dump_value((jax.numpy.array(0.5),))


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=60))
def test_random_bytes_are_refused(data: bytes) -> None:
    """With a `FormatError`, whatever they are."""
    for prefix in (b"", b"QEV1"):
        with pytest.raises(FormatError):
            load_value(prefix + data)


SAMPLE = dump_value((0.5, np.arange(3), {"a": np.float32(2)}))


@settings(max_examples=200, deadline=None)
@given(where=st.integers(0, len(SAMPLE) - 1), bit=st.integers(0, 7))
def test_damaged_bytes_are_refused(where: int, bit: int) -> None:
    """A single bit is enough, as is a byte too few or too many."""
    damaged = bytearray(SAMPLE)
    damaged[where] ^= 1 << bit
    for data in (bytes(damaged), SAMPLE[:where], SAMPLE + damaged[where:]):
        with pytest.raises(FormatError):
            load_value(data)


def forged(structure: Any, buffers: bytes = b"") -> bytes:
    """Return bytes of any structure, with a checksum that fits."""
    text = structure if isinstance(structure, str) else json.dumps(structure)
    body = struct.pack("<I", len(text.encode())) + text.encode() + buffers
    return b"QEV1" + struct.pack("<I", zlib.crc32(body)) + body


@pytest.mark.parametrize(
    "structure",
    [
        ["a", "|O", [1], 0],
        ["a", "<f8", [1], -8],
        ["a", "<f8", [2], 0],
        ["a", "<f8", [10**15], 0],
        ["a", "<f8", [-1], 0],
        ["a", "<f8", [True], 0],
        ["a", "<f8", [0, 10**30], 0],
        ["a", "<f8", [1] * 200, 0],
        ["a", "<f8,<f8", [1], 0],
        ["a", ["<f8"], [1], 0],
        ["t", ["a", "<f8", [1], 0], ["a", "<f8", [1], 0]],
        ["g", 1, "<f8", [1], 0],
        ["n", "<f8", [1], 8],
        ["d", [["l"], 1]],
        ["d", [1]],
        ["c", 1.0],
        ["c", "1", "2"],
        ["i", 2**64],
        ["f", "1"],
        ["s", 1],
        ["os.system", "true"],
        [],
        [["t"]],
        {"a": 1},
        1.5,
        "[" * 100_000,
        "nonsense",
    ],
)
def test_hostile_bytes_are_refused(structure: Any) -> None:
    """Whatever the structure says, nothing is read that is not there."""
    with pytest.raises(FormatError):
        load_value(forged(structure, bytes(8)))


JUNK = st.recursive(
    st.sampled_from([0, 8, -1, 10**20, 0.5, True, None, "", "<f8", "<i4", "|O"])
    | st.sampled_from(["a", "n", "g", "t", "l", "d", "c", "f", "i", "s"]),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(structure=JUNK, buffers=st.sampled_from([b"", bytes(8), bytes(24)]))
def test_any_structure_is_read_or_refused(structure: Any, buffers: bytes) -> None:
    """What can be read can be written again; all else is a `FormatError`."""
    try:
        value = load_value(forged(structure, buffers))
    except FormatError:
        return
    assert identical(load_value(dump_value(value)), value)


# --- Circuits --------------------------------------------------------------------

HAMILTONIAN = qml.Hamiltonian([0.5, -1.2], [qml.Z(0), qml.X(0) @ qml.Z(1)])
SPARSE = sp.csr_matrix(np.diag([1.0, -1.0]))
OPERATIONS = [
    qml.MultiRZ(0.1, [0, "a", (1, 2)]),
    qml.RX(math.inf, 0),
    qml.RX(qml.numpy.tensor(0.3, requires_grad=False), 0),
    qml.RX(np.array([0.1, -0.0]), 0),
    qml.RY(np.float32(0.1), 0),
    qml.QubitUnitary(np.diag([1.0, 1.0j]), 0),
    qml.QubitUnitary(SPARSE, 0),
    qml.StatePrep([0.6, 0.8], 0),
    qml.StatePrep(np.ones(2), [0, 1], pad_with=0.5, normalize=True),
    qml.BasisState([1, 0], [0, 1]),
    qml.StronglyEntanglingLayers(np.ones((1, 2, 3)), [0, 1], imprimitive=qml.CZ),
    qml.BasicEntanglerLayers(np.ones((1, 2)), [0, 1], rotation=qml.RZ),
    qml.AngleEmbedding([0.1, 0.2], [0, 1], rotation="Z"),
    qml.RandomLayers(np.ones((1, 2)), [0, 1], seed=3),
    qml.QFT([0, 1]),
    qml.adjoint(qml.QFT([0, 1])),
    qml.ctrl(qml.RX(0.1, 0), [1, 2], control_values=[0, 1]),
    qml.ctrl(qml.adjoint(qml.S(0)), ["a"], work_wires=["b"]),
    qml.pow(qml.X(0), 0.5),
    qml.prod(qml.X(0), qml.RX(0.1, 1)),
    qml.sum(qml.X(0), qml.s_prod(0.5, qml.Y(1))),
    qml.exp(qml.X(0), 0.1j),
    qml.TrotterProduct(HAMILTONIAN, 0.1, n=2, order=2),
    qml.QDrift(HAMILTONIAN, 0.1, n=2, seed=7),
    qml.Select([qml.X(0), qml.Y(0)], control=[1]),
    qml.QuantumPhaseEstimation(qml.RX(0.1, 0), estimation_wires=[1, 2]),
    qml.PauliRot(0.1, "XY", [0, 1]),
    qml.MultiControlledX([0, 1, 2], control_values=[1, 0]),
    qml.GlobalPhase(0.1),
    qml.Snapshot("here"),
    qml.Snapshot(measurement=qml.expval(qml.Z(0)), shots=10),
    qml.Barrier([0, 1]),
    qml.DepolarizingChannel(0.1, 0),
    qml.BlockEncode(np.array([[0.1, 0.2], [0.3, 0.4]]), [0, 1]),
    qml.UCCSD(
        np.ones(3),
        range(4),
        s_wires=[[0, 1, 2], [1, 2, 3]],
        d_wires=[[[0, 1], [2, 3]]],
        init_state=np.array([1, 1, 0, 0]),
    ),
]
MEASUREMENTS = [
    *(measure() for measure in differential.ANALYTIC.values()),
    *(measure() for measure in differential.SAMPLED.values()),
    qml.expval(qml.SparseHamiltonian(SPARSE, 0)),
    qml.expval(HAMILTONIAN),
    qml.shadow_expval([qml.X(0), qml.Y(0)], k=2, seed=4),
    qml.vn_entropy([0], log_base=2),
    qml.counts(all_outcomes=True),
    qml.sample(wires=[1, 0]),
]


def script(*operations: Any, measured: Any = None, shots: Any = None) -> QuantumScript:
    """Return a circuit with one measurement."""
    made = qml.expval(qml.Z(0)) if measured is None else measured
    return QuantumScript(list(operations), [made], shots=shots)


def survives(circuit: QuantumScript) -> QuantumScript:
    """Assert that a circuit comes back equal, and return what came."""
    text = dump_circuit(circuit)
    found = load_circuit(text)
    assert qml.equal(found, circuit)
    assert dump_circuit(found) == text
    assert found.shots == circuit.shots
    assert found.trainable_params == circuit.trainable_params
    labels = [[type(label) for label in one.wires] for one in circuit]
    assert labels == [[type(label) for label in one.wires] for one in found]
    return found


@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
def test_an_operation_comes_back(op: Any) -> None:
    """Plain gates, templates, matrices, and operators of operators."""
    found = survives(script(op))
    for one, other in zip(found.operations[0].data, op.data, strict=True):
        assert sp.issparse(one) or identical(one, other)


@pytest.mark.parametrize("measured", MEASUREMENTS, ids=repr)
def test_a_measurement_comes_back(measured: Any) -> None:
    """With its observable, coefficients, seed and other settings."""
    found = survives(script(qml.RX(0.1, 0), measured=measured)).measurements[0]
    assert getattr(found, "seed", None) == getattr(measured, "seed", None)


def test_the_type_of_samples_comes_back() -> None:
    """PennyLane's own way of copying forgets it."""
    circuit = script(measured=qml.sample(wires=[0], dtype="int8"), shots=5)
    (found,) = qml.device("default.qubit").execute([survives(circuit)])
    assert found.dtype == np.int8
    plain = script(measured=qml.sample(wires=[0]))
    assert circuit_digest(circuit) != circuit_digest(plain)


def test_every_circuit_of_the_kit_comes_back() -> None:
    """Wide ones, empty ones, those with shots and shot vectors."""
    for circuit in known.any_circuits():
        survives(circuit)


def test_what_is_trainable_comes_back() -> None:
    """As it was set, even if nothing is."""
    circuit = script(qml.Rot(0.1, 0.2, 0.3, 0))
    for trainable in ([], [1], [0, 2]):
        circuit.trainable_params = trainable
        survives(circuit)


@pytest.mark.parametrize("shots", [None, 7, (10, 20, 20), [(5, 2), 3]])
def test_shots_come_back(shots: Any) -> None:
    """One number, several, or none."""
    survives(script(qml.X(0), shots=shots))


def measured_twice(first: Any, second: Any, *, vary: Any) -> list[Any]:
    """Return what a circuit measures of two mid-circuit measurements."""
    qml.cond(first, qml.RX)(vary, wires=1)
    qml.cond(first & ~second, qml.PauliX)(wires=0)
    return [
        qml.expval(qml.Z(0)),
        qml.expval(2 * first + second),
        qml.probs(op=[first, second]),
        qml.probs(op=first),
        qml.var(first == 1),
    ]


def measured_circuit(vary: float = 0.4, shots: Any = None) -> QuantumScript:
    """Return a circuit that measures while it runs."""
    with qml.queuing.AnnotatedQueue() as queue:
        qml.RX(1.1, wires=0)
        qml.RY(0.7, wires=1)
        first = qml.measure(0, postselect=None)
        second = qml.measure(1, reset=True)
        for one in measured_twice(first, second, vary=vary):
            qml.apply(one)
    return QuantumScript.from_queue(queue, shots=shots)


def run_deferred(circuit: QuantumScript) -> Any:
    """Return what a device makes of a circuit with mid-circuit measurements."""
    (plain,), _ = qml.defer_measurements(circuit)
    return qml.device("default.qubit", seed=3).execute(plain)


@pytest.mark.parametrize("shots", [None, 500])
def test_mid_circuit_measurements_come_back(shots: Any) -> None:
    """With conditions, and what is calculated of them: results are the same."""
    circuit = measured_circuit(shots=shots)
    found = load_circuit(dump_circuit(circuit))
    for one, other in zip(run_deferred(found), run_deferred(circuit), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    assert dump_circuit(found) == dump_circuit(circuit)
    (first, second) = [op for op in found.operations if hasattr(op, "meas_uid")]
    assert (first.reset, second.reset) == (False, True)
    assert first.meas_uid != second.meas_uid


def test_what_circuits_share_is_written_as_in_each_of_them() -> None:
    with qml.queuing.AnnotatedQueue() as queue:
        qml.measure(0)
        second = qml.measure(1)
        measured = qml.expval(second)
    (one, other), gate = queue.queue[:2], qml.CNOT([0, 1])
    both = QuantumScript([one, gate, other], [measured])
    single = QuantumScript([gate, other], [measured])
    texts = [dump_circuit(circuit) for circuit in (both, single) * 3]
    assert len(set(texts)) == 2, "the measurement is numbered within its circuit"
    for circuit, text in zip((both, single), texts[4:], strict=True):
        assert dump_circuit(load_circuit(text)) == text
        assert len(load_circuit(text).operations) == len(circuit.operations)


def test_what_is_calculated_of_samples_comes_back() -> None:
    """The function is asked for whole arrays of outcomes as well."""
    circuit = measured_circuit(shots=200)
    device = qml.device("default.qubit", seed=5)
    (one,), after = qml.dynamic_one_shot(load_circuit(dump_circuit(circuit)))
    assert len(after([device.execute(one)])) == len(circuit.measurements)


def test_too_many_measurements_are_refused() -> None:
    """The table would have thousands of rows."""
    values = [qml.measure(wire) for wire in range(11)]
    circuit = script(
        *(value.measurements[0] for value in values), measured=qml.expval(sum(values))
    )
    with pytest.raises(FormatError, match=r"'ExpectationMP' .*11 mid-circuit"):
        dump_circuit(circuit)


def test_a_measurement_of_another_circuit_is_refused() -> None:
    """Its outcome would be anybody's guess."""
    with pytest.raises(FormatError, match="does not make before it"):
        dump_circuit(script(measured=qml.expval(qml.measure(0))))


def test_functions_without_a_table_are_refused() -> None:
    """What they raise is part of the message."""
    value = qml.measure(0)
    divided = script(value.measurements[0], measured=qml.expval(value._apply(one_over)))
    with pytest.raises(FormatError, match="cannot be tabulated: ZeroDivisionError"):
        dump_circuit(divided)


def one_over(outcome: int) -> float:
    """Have no value for one of the outcomes."""
    return 1 / outcome


def test_what_cannot_be_written_is_named() -> None:
    """Such as a wire's label of an unknown kind."""
    with pytest.raises(FormatError, match=r"'PauliX' cannot .* builtins.object"):
        dump_circuit(script(qml.X(object())))


def test_operators_of_others_go_by_their_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where one has the name of another, neither is taken for the other."""
    monkeypatch.setitem(typename_to_type, "qp.QFT", qml.QFT)  # is put back at the end
    other = type("QFT", (qml.operation.Operation,), {"num_wires": 1, "num_params": 0})
    with pytest.raises(FormatError, match="or another one, by this name"):
        dump_circuit(script(qml.QFT([0])))
    text = dump_circuit(script(other(0)))
    assert type(load_circuit(text).operations[0]) is other
    monkeypatch.undo()
    with pytest.raises(FormatError, match=f"Import '{other.__module__}' first"):
        load_circuit(text)


def circuit_text(**changes: Any) -> str:
    """Return the text of a circuit with some parts exchanged."""
    return json.dumps({**json.loads(dump_circuit(script(qml.RX(0.1, 0)))), **changes})


ARRAY = {"array": ["<f8", [2], [0.1, 0.2]]}
HOSTILE_OPERATIONS = [
    ["os:system", [0], ["true"]],
    ["list", [0], [1]],
    ["QFT", [0], []],
    ["RX", [0], []],
    ["RX", [0, 0], [0.1]],
    ["RX", [0]],
    {"type": "builtins.dict", "leaves": [], "metadata": []},
    {"type": "QuantumScript", "leaves": [[], []], "metadata": []},
    {"type": "subprocess:Popen", "leaves": ["true"], "metadata": None},
    {"type": "QFT", "leaves": [], "metadata": "what"},
    {"type": "ExpectationMP", "leaves": [None, None], "metadata": [["wires", None]]},
    {"measure": "x", "type": "MidMeasure", "wires": {"wires": [0]}, "options": None},
    {"if": {"value": [[0], None]}, "then": {"part": ["RX", [0], [0.1]]}},
    {"if": 1, "then": {"part": ["RX", [0], [0.1]]}},
    ["RX", [0], [{"array": ["|O", [1], "AAAA"]}]],
    ["RX", [0], [{"array": ["<f8", [10**15], "AAAA"]}]],
    ["RX", [0], [{"array": ["<f8", [1], [0.1, 0.2]]}]],
    ["RX", [0], [{"array": ["<f8", [1], ["a"]]}]],
    ["RX", [0], [{"class": "os:system"}]],
    ["RX", [0], [{"sparse": ["csr_matrix", [2, 2], ARRAY, ARRAY, ARRAY]}]],
    ["RX", [0], [{"exec": "1"}]],
    ["RX", [0], [{"float": "1", "int": "2"}]],
    "RX",
    17,
    None,
]


@pytest.mark.parametrize("operation", HOSTILE_OPERATIONS, ids=json.dumps)
def test_hostile_operations_are_refused(operation: Any) -> None:
    """Nothing is imported, called or made that is no operator of PennyLane."""
    with pytest.raises(FormatError):
        load_circuit(circuit_text(operations=[operation]))


def test_sparse_matrices_may_not_point_outside() -> None:
    """Their indices go to compiled code that does not look."""
    text = dump_circuit(script(qml.QubitUnitary(SPARSE, 0)))
    indices = json.dumps(json.loads(text)["operations"][0]["leaves"][0]["sparse"][3])
    with pytest.raises(FormatError, match="damaged"):
        load_circuit(
            text.replace(
                indices.replace(" ", ""),
                '{"array":["<i4",[2],"AAAAAP///38="]}',  # 0 and 2**31 - 1
            )
        )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        "[" * 100_000,
        '{"format":"qelectron circuit 2"}',
        '{"format":"qelectron circuit 1"}',
        circuit_text(shots="many"),
        circuit_text(shots=[[1, 2, 3]]),
        circuit_text(shots=-1),
        circuit_text(trainable=[99]),
        circuit_text(trainable=["0"]),
        circuit_text(measurements=[["RX", [0], [0.1]]]),
        circuit_text(measurements=None),
    ],
)
def test_hostile_texts_of_circuits_are_refused(text: str) -> None:
    """With a `FormatError`, and nothing else."""
    with pytest.raises(FormatError):
        load_circuit(text)


MIXED_TEXT = dump_circuit(measured_circuit(shots=(5, 5)))


@settings(max_examples=150, deadline=None)
@given(
    where=st.integers(0, len(MIXED_TEXT) - 1),
    other=st.sampled_from([*'09-."[]{},:eaZ', "null", ""]),
)
def test_a_damaged_text_is_read_or_refused(where: int, other: str) -> None:
    """A circuit or a `FormatError`; never another error."""
    try:
        found = load_circuit(MIXED_TEXT[:where] + other + MIXED_TEXT[where + 1 :])
    except FormatError:
        return
    assert isinstance(found, QuantumScript)


# --- Executors -------------------------------------------------------------------


class Colour(enum.Enum):
    """An option with names."""

    RED = 1


@attrs.frozen
class Tone:
    """An option with options."""

    colour: Colour = Colour.RED
    depth: float = 1.0


@attrs.frozen
class Painter(Executor):
    """An executor with every kind of option."""

    tones: Any = ()
    where: Any = None
    token: str = attrs.field(default="", repr=False)
    masked: str = attrs.field(default="", repr=lambda value: "***" if value else "''")


DEVICES = [
    qml.device("default.qubit", wires=["a", 1]),
    qml.device("lightning.qubit", wires=2),
    qml.device("default.mixed"),
]
EXECUTORS = [
    ct.executor.Simulator(device="lightning.qubit", workers=3),
    ct.executor.Simulator(parallel=False, shots=(10, 20), seed=4, timeout_s=2.5),
    ct.executor.Simulator(device=qml.device("default.qubit", wires=2)),
    *(ct.executor.Simulator().for_device(device) for device in DEVICES),
    ct.executor.Echo(),
    ct.executor.Echo(value=0.5, shots=None),
    FakeCloud(
        name="formats",
        faults=Faults(crashed=0.5),
        polling=Polling(first_s=0.5),
        latency_s=2.0,
        wires=(0, "a"),
    ),
    Painter((Tone(), Tone(Colour.RED, 0.5)), Path("there")),
    Painter([1, {2}, {"a": (1.5, b"2")}, frozenset({3})], np.int8(3)),
    Painter(tones=True, where=1),
]


@pytest.mark.parametrize("executor", EXECUTORS, ids=repr)
def test_an_executor_comes_back(executor: Executor) -> None:
    """Equal, with options in the types they had."""
    found = load_executor(dump_executor(executor))
    assert found == executor
    assert repr(found) == repr(executor)


def test_the_text_of_an_executor_says_what_it_is() -> None:
    """Its class, its registered name, and the options that were given."""
    found = json.loads(dump_executor(ct.executor.Echo(value=0.5)))
    assert found["class"] == "qelectron_echo.executor:Echo"
    assert found["name"] == "Echo"
    assert found["options"] == {"value": 0.5}


def test_secrets_are_not_written() -> None:
    """Neither what hides from `repr` nor what hides a part of itself."""
    executor = Painter(token="TOP-SECRET", masked="ALSO-SECRET")
    text = dump_executor(executor)
    assert "SECRET" not in text
    with pytest.raises(FormatError, match="option masked could not be written"):
        load_executor(text)
    found = load_executor(dump_executor(Painter(token="TOP-SECRET")))
    assert isinstance(found, Painter)
    assert found.token == ""


def test_options_that_cannot_be_written_are_named() -> None:
    """By name, without their content; loading says which is missing."""
    text = dump_executor(Painter(where=object()))
    assert "builtins.object" in json.loads(text)["unwritten"]["where"]
    with pytest.raises(FormatError, match=r"'Painter' .* option where"):
        load_executor(text)


def executor_text(**changes: Any) -> str:
    """Return the text of an executor with some parts exchanged."""
    return json.dumps({**json.loads(dump_executor(ct.executor.Echo())), **changes})


def text_with(value: Any) -> str:
    """Return the text of an executor with a hostile option."""
    path = f"{__name__}:Painter"
    return executor_text(**{"class": path, "name": None, "options": {"where": value}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (executor_text(**{"class": "os:system"}), "'os:system' is no executor"),
        (executor_text(**{"class": "subprocess:Popen"}), "no executor"),
        (executor_text(**{"class": "antigravity:x", "name": None}), "no executor"),
        (executor_text(**{"class": None}), "no executor"),
        (executor_text(**{"class": ["os", "system"], "name": ["x"]}), "no executor"),
        (executor_text(**{"class": "x:y", "name": "Nobody"}), "Install its plugin"),
        (executor_text(options={"valu": 1}), "no such options"),
        (executor_text(options=[]), "no such options"),
        (executor_text(options={"seed": -1}), "refuses its options: seed=-1"),
        (executor_text(format="qelectron executor 2"), "expected 'format'"),
        (text_with({"value": ["subprocess:Popen", {"args": "x"}]}), "is no class of"),
        (text_with({"value": ["builtins:eval", {}]}), "is no class of"),
        (text_with({"value": [f"{__name__}:Colour", {}]}), "no class of values"),
        (text_with({"enum": [f"{__name__}:Tone", "RED"]}), "no enumeration"),
        (text_with({"device": "subprocess:Popen"}), "is no device"),
        (text_with({"device": "antigravity:Device"}), "is no device"),
        (text_with({"device": "pennylane_lightning.x:Device"}), "is no device"),
        (text_with({"device": "builtins:dict"}), "is no device"),
        (text_with({"device": 1}), "in a place for a string"),
        (text_with({"path": 1}), "in a place for a string"),
        (text_with({"dtype": "|O"}), "no type of numbers"),
        ("no JSON", "no text of a qelectron executor"),
    ],
)
def test_hostile_texts_of_executors_are_refused(text: str, message: str) -> None:
    """Only executors and their own values are made; no module is imported by name."""
    with pytest.raises(FormatError, match=message):
        load_executor(text)
    assert "antigravity" not in sys.modules


def test_a_registered_executor_is_found_in_a_new_process() -> None:
    """Its plugin is imported then, as when a user names it; PennyLane is not."""
    code = (
        "import sys, qelectron_core.formats as formats\n"
        "print(formats.load_executor(sys.argv[1]), 'pennylane' in sys.modules)"
    )
    text = dump_executor(ct.executor.Echo(value=0.5))
    done = subprocess.run(
        [sys.executable, "-c", code, text], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["Echo(value=0.5)", "False"]


PROGRAM = """
import attrs
import qelectron_core as ct
from qelectron_core.formats import dump_executor, load_executor

@attrs.frozen
class Acme(ct.Executor):
    size: int = 1

if __name__ == "__main__":
    text = dump_executor(Acme(2))
    assert load_executor(text) == Acme(2)
    print(text)
"""


def test_an_executor_of_a_program_is_found_where_that_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by `qelectron attach --import acme_lab`, for a class of `acme_lab.py`."""
    (tmp_path / "acme_lab.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "acme_lab.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    with pytest.raises(FormatError, match="import the module that defines it"):
        load_executor(done.stdout)
    monkeypatch.syspath_prepend(tmp_path)
    lab = import_module("acme_lab")
    assert load_executor(done.stdout) == lab.Acme(2)

"""Equal circuits have equal fingerprints, in every process; others have others."""

import enum
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pennylane.tape import QuantumScript

import qelectron_core as ct
from qelectron_core.contracts import Executor, Settings
from qelectron_core.errors import FormatError
from qelectron_core.formats import (
    circuit_digest,
    dump_circuit,
    executor_digest,
    load_circuit,
    pool_of,
)
from qelectron_core.structure import PLAIN_OPERATORS
from qelectron_core.testing import FakeCloud, Faults
from qelectron_core.testing.conformance import circuits as known

GOLDEN = Path(__file__).parent / "data" / "fingerprints.json"


def script(*operations: Any, measured: Any = None, shots: Any = None) -> QuantumScript:
    """Return a circuit with one measurement."""
    made = qml.expval(qml.Z(0)) if measured is None else measured
    return QuantumScript(list(operations), [made], shots=shots)


def digest(*operations: Any, measured: Any = None) -> str:
    """Return the fingerprint of a circuit with one measurement."""
    return circuit_digest(script(*operations, measured=measured))


# --- Drawn circuits --------------------------------------------------------------

SINGLE = [qml.RX, qml.RY, qml.RZ, qml.PhaseShift]
ANGLES = st.one_of(st.floats(-7, 7), st.sampled_from([0.0, -0.0, 1.0, 2.0]))
LABELS = st.sampled_from([0, 1, "a", "0", (0, 1), (0, "a"), -3, 2.5])


@st.composite
def gates(draw: st.DrawFn) -> Any:
    """Draw a gate: plain ones, operators of operators, templates."""
    wires = draw(st.lists(LABELS, min_size=2, max_size=2, unique=True))
    one, two = qml.wires.Wires(wires[0:1]), qml.wires.Wires(wires[1:])
    angle = draw(ANGLES)
    made: list[Callable[[], Any]] = [
        lambda: draw(st.sampled_from(SINGLE))(angle, one),
        lambda: qml.Rot(angle, draw(ANGLES), 0.5, two),
        lambda: qml.CNOT(wires),
        lambda: qml.CRX(angle, wires),
        lambda: qml.MultiRZ(angle, wires),
        lambda: qml.adjoint(qml.RX(angle, one)),
        lambda: qml.ctrl(qml.RY(angle, one), two, control_values=[0]),
        lambda: qml.pow(qml.RZ(angle, one), 2),
        lambda: qml.AngleEmbedding([angle, 0.2], wires, rotation="Y"),
    ]
    return draw(st.sampled_from(made))()


CIRCUITS = st.lists(gates(), min_size=1, max_size=5)


@settings(max_examples=100, deadline=None)
@given(operations=CIRCUITS)
def test_a_circuit_that_was_written_and_read_is_equal(operations: list[Any]) -> None:
    """Nothing that the text leaves out counts."""
    circuit = script(*operations)
    assert circuit_digest(load_circuit(dump_circuit(circuit))) == circuit_digest(
        circuit
    )


@settings(max_examples=100, deadline=None)
@given(one=CIRCUITS, other=CIRCUITS)
def test_other_circuits_differ(one: list[Any], other: list[Any]) -> None:
    """Circuits agree exactly when PennyLane takes all their operations for equal."""
    same = len(one) == len(other) and all(
        qml.equal(a, b, rtol=0, atol=0, check_interface=False)
        for a, b in zip(one, other, strict=True)
    )
    assert (digest(*one) == digest(*other)) is same


@settings(max_examples=60, deadline=None)
@given(operations=CIRCUITS, where=st.integers(0, 4), extra=gates())
def test_a_change_anywhere_differs(
    operations: list[Any], where: int, extra: Any
) -> None:
    """A gate more, a gate less, or two exchanged."""
    assert digest(*operations) != digest(
        *operations[:where], extra, *operations[where:]
    )
    assert digest(*operations) != digest(*operations[1:])
    swapped = [operations[-1], *operations[1:-1], operations[0]]
    assume(len(operations) > 1 and repr(operations[0]) != repr(operations[-1]))
    assert digest(*operations) != digest(*swapped)


def variants(value: float) -> list[Any]:
    """Return a number in every type that a parameter may have."""
    array = np.array(value)
    made = [np.float64(value), array, qml.numpy.array(value, requires_grad=True)]
    if value == int(value):
        made += [int(value), np.int8(value), np.array(int(value)), np.float32(value)]
    return [*made, complex(value), np.array(value, ">f8")]


@settings(max_examples=60, deadline=None)
@given(value=ANGLES, kind=st.sampled_from([*SINGLE, qml.MultiRZ]))
def test_the_type_of_a_number_does_not_count(value: float, kind: Any) -> None:
    """Neither in the quick way through plain gates nor beside operators of others."""
    for other in variants(value):
        assert digest(kind(value, 0)) == digest(kind(other, 0))
        slow = [qml.adjoint(kind(number, 0)) for number in (value, other)]
        assert digest(slow[0]) == digest(slow[1])
        mixed = [(qml.X(0), kind(number, 0), qml.QFT([0])) for number in (value, other)]
        assert digest(*mixed[0]) == digest(*mixed[1])


@pytest.mark.parametrize("kind", sorted(PLAIN_OPERATORS, key=str))
def test_quick_and_slow_agree_on_every_plain_gate(kind: Any) -> None:
    """A number of another type is all that sends a circuit the slow way."""
    wires = range(kind.num_wires or 3)
    floats = [0.1 * (n + 1) for n in range(kind.num_params)]
    slow = qml.RX(np.array(0.5), 0)
    arrays = [np.array(value) for value in floats]
    assert digest(qml.RX(0.5, 0), kind(*floats, wires=wires)) == digest(
        slow, kind(*arrays, wires=wires)
    )


def test_tensors_of_other_interfaces_agree() -> None:
    """Of equal value and precision."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", val=True)
    assert digest(qml.RX(jax.numpy.array(0.3), 0)) == digest(qml.RX(0.3, 0))
    both = [qml.RX(x, 0) for x in (jax.numpy.array([0.1, 0.2]), np.array([0.1, 0.2]))]
    assert digest(both[0]) == digest(both[1])
    single = jax.numpy.array(0.1, dtype="float32")
    assert digest(qml.RX(single, 0)) != digest(qml.RX(0.1, 0))


def test_a_tracer_has_no_fingerprint() -> None:
    """It has no value yet."""
    jax: Any = pytest.importorskip("jax")
    traced: Any = jax.jit(lambda x: digest(qml.RX(x, 0)))
    with pytest.raises(FormatError, match="without a value"):
        traced(0.1)


def test_torch_tensors_agree() -> None:
    """Those that are trained, too."""
    torch = pytest.importorskip("torch")
    value = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert digest(qml.RX(value, 0)) == digest(qml.RX(0.3, 0))


@pytest.mark.parametrize("label", [0.0, False, np.int64(0), np.float32(0)])
def test_labels_that_python_takes_for_equal_agree(label: Any) -> None:
    """As they do for PennyLane."""
    assert digest(qml.RX(0.1, label)) == digest(qml.RX(0.1, 0))
    assert digest(qml.QFT([label, 1])) == digest(qml.QFT([0, 1]))
    assert digest(qml.X("0")) != digest(qml.X(0))


def test_negative_zero_agrees() -> None:
    """Also in arrays."""
    assert digest(qml.RX(-0.0, 0)) == digest(qml.RX(0.0, 0))
    arrays = [qml.RX(np.array([0.1, zero]), 0) for zero in (0.0, -0.0)]
    assert digest(arrays[0]) == digest(arrays[1])


def test_shots_and_ids_do_not_count() -> None:
    """Shots have a place of their own in the cache."""
    circuit = script(qml.RX(0.1, 0))
    assert circuit_digest(circuit.copy(shots=10)) == circuit_digest(circuit)


def test_what_is_trainable_counts_when_asked() -> None:
    """As for derivatives."""
    one, other = script(qml.RX(0.1, 0)), script(qml.RX(0.1, 0))
    other.trainable_params = []
    assert circuit_digest(one) == circuit_digest(other)
    digests = [circuit_digest(each, trainable=True) for each in (one, other, one)]
    assert digests[0] == digests[2] != digests[1]


def measured(*, turn: bool = False, **options: Any) -> QuantumScript:
    """Return a circuit with a condition on a mid-circuit measurement."""
    with qml.queuing.AnnotatedQueue() as queue:
        first, second = qml.measure(0, **options), qml.measure(1)
        qml.cond(second & first if turn else first & ~second, qml.X)(wires=0)
        qml.expval(first)
    return QuantumScript.from_queue(queue)


def test_mid_circuit_measurements_go_by_number() -> None:
    """Their ids are random, and their functions are compared by their tables."""
    # PennyLane sorts by these ids, one way or the other: once is not enough.
    assert len({circuit_digest(measured()) for _ in range(10)}) == 1
    others = [
        measured(reset=True),
        measured(postselect=0),
        measured(postselect=1),
        measured(turn=True),
    ]
    assert len({circuit_digest(each) for each in [measured(), *others]}) == 5


ENERGY = [0.5, -1.2]


def energy(coefficients: Any) -> Any:
    """Return the measurement of a Hamiltonian."""
    return qml.expval(qml.Hamiltonian(coefficients, [qml.Z(0), qml.X(0) @ qml.Z(1)]))


def test_coefficients_go_by_value() -> None:
    """A list, an array and a tensor of them agree."""
    expected = digest(measured=energy(ENERGY))
    for other in (np.array(ENERGY), qml.numpy.array(ENERGY), tuple(ENERGY)):
        assert digest(measured=energy(other)) == expected


def test_sparse_matrices_go_by_value() -> None:
    """However they are stored."""
    dense = np.diag([1.0, -1.0])
    ordered = sp.csr_matrix(dense)
    spread = sp.csr_matrix(([1.0, -0.5, -0.5], ([0, 1, 1], [0, 1, 1])))
    made = [digest(qml.QubitUnitary(matrix, 0)) for matrix in (ordered, spread)]
    assert made[0] == made[1] != digest(qml.QubitUnitary(sp.csr_matrix(-dense), 0))


DIFFERENT = [
    qml.expval(qml.Z(0)),
    qml.var(qml.Z(0)),
    qml.expval(qml.Z(1)),
    qml.expval(qml.X(0)),
    qml.expval(2.0 * qml.Z(0)),
    qml.expval(qml.Z(0) @ qml.X(1)),
    qml.expval(qml.X(1) @ qml.Z(0)),
    qml.expval(qml.Z(0) + qml.X(1)),
    energy(ENERGY),
    energy([0.5, -1.3]),
    qml.expval(qml.Hermitian(np.diag([1.0, 2.0]), 0)),
    qml.expval(qml.Hermitian(np.diag([1.0, 3.0]), 0)),
    qml.probs(wires=[0, 1]),
    qml.probs(wires=[1, 0]),
    qml.probs(op=qml.Z(0)),
    qml.counts(wires=[0, 1]),
    qml.counts(wires=[0, 1], all_outcomes=True),
    qml.sample(wires=[0, 1]),
    qml.classical_shadow([0, 1], seed=1),
    qml.classical_shadow([0, 1], seed=2),
    qml.shadow_expval(qml.Z(0), k=1, seed=1),
    qml.shadow_expval(qml.Z(0), k=2, seed=1),
    qml.mutual_info([0], [1]),
    qml.mutual_info([1], [0]),
    qml.vn_entropy([0], log_base=2),
    qml.vn_entropy([0]),
    qml.density_matrix([0]),
    qml.state(),
]


def test_different_measurements_differ() -> None:
    """In kind, observable, wires, order, coefficients, seed or settings."""
    assert len({digest(measured=each) for each in DIFFERENT}) == len(DIFFERENT)


ALIKE = [
    qml.MultiRZ(0.1, [0, 1]),
    qml.MultiRZ(0.1, [(0, 1)]),
    qml.MultiRZ(0.1, [1, 0]),
    qml.MultiRZ(np.array([0.1]), [0, 1]),
    qml.MultiRZ(np.array([0.1, 0.2]), [0, 1]),
    qml.IsingXX(0.1, [0, 1]),
    qml.RX(0.1, 0),
    qml.adjoint(qml.RX(0.1, 0)),
    qml.pow(qml.RX(0.1, 0), 2),
    qml.pow(qml.RX(0.1, 0), 3),
    qml.ctrl(qml.RX(0.1, 0), ["a", "b"]),
    qml.ctrl(qml.RX(0.1, 0), ["a", "b"], control_values=[0, 1]),
    qml.StronglyEntanglingLayers(np.ones((1, 2, 3)), [0, 1]),
    qml.StronglyEntanglingLayers(np.ones((1, 2, 3)), [0, 1], imprimitive=qml.CZ),
    qml.AngleEmbedding([0.1, 0.2], [0, 1], rotation="X"),
    qml.AngleEmbedding([0.1, 0.2], [0, 1], rotation="Y"),
    qml.PauliRot(0.1, "XY", [0, 1]),
    qml.PauliRot(0.1, "YX", [0, 1]),
    qml.StatePrep(np.array([0.6, 0.8]), 0),
    qml.StatePrep(np.array([0.6, 0.8j]), 0),
    qml.QubitUnitary(np.eye(2), 0),
    qml.RX(2**60 + 1, 0),
    qml.RX(2**60, 0),
    qml.RX(float("nan"), 0),
]


def test_operations_that_look_alike_differ() -> None:
    """In kind, wires, shape, hyperparameters or values."""
    assert len({digest(each) for each in ALIKE}) == len(ALIKE)


class Own(qml.operation.Operation):
    """An operator whose code may change from day to day."""

    num_wires = 1
    num_params = 0


@pytest.mark.parametrize(
    ("circuit", "message"),
    [
        (script(Own(0)), "'Own' has no fingerprint: .* not PennyLane's own"),
        (script(qml.adjoint(Own(0))), "has no fingerprint: .* not PennyLane's own"),
        (script(qml.X(object())), "'PauliX' has no fingerprint: .* builtins.object"),
        (script(qml.QFT([object(), 1])), "'QFT' has no fingerprint: .*object"),
        (script(qml.RX(np.array(None), 0)), "'RX' has no fingerprint"),
    ],
)
def test_what_cannot_be_compared_is_named(circuit: Any, message: str) -> None:
    """Rather than taken for equal, or unequal, to something else."""
    with pytest.raises(FormatError, match=message):
        circuit_digest(circuit)


# --- Executors -------------------------------------------------------------------


class Mode(enum.Enum):
    """An option with names."""

    FAST = 1
    SLOW = 2


@attrs.frozen
class Options:
    """An option with options."""

    level: int = 0
    token: str = attrs.field(default="", repr=False)


@dataclass(frozen=True)
class Plain:
    """Another option with options."""

    level: int = 0


@attrs.frozen
class Machine(Executor):
    """An executor with an option of any kind."""

    option: Any = None
    token: str = attrs.field(default="", repr=False)


@attrs.frozen
class Drifting(Executor):
    """An executor that no two results of are the same."""

    def cache_key(self) -> None:
        """Say so."""


def test_what_changes_no_result_does_not_count() -> None:
    """Shots and seed have their own place; retries, timeout and secrets have none."""
    plain = executor_digest(Machine())
    same: dict[str, Any] = {"shots": 10, "seed": 3, "retries": 2, "timeout_s": 1.0}
    for name, value in {**same, "token": "secret"}.items():
        assert executor_digest(Machine(**{name: value})) == plain
    tokens = [Machine(Options(token=token)) for token in ("a", "b")]
    assert executor_digest(tokens[0]) == executor_digest(tokens[1])


def test_other_options_differ() -> None:
    """Every kind of value, wherever it stands."""
    values = [
        *(None, 1, 2.5, "1", b"1", (1, "a"), ("a", 1), {"a": 1}, {"a": 2}, {1, 2}),
        *(Mode.FAST, Mode.SLOW, Options(1), Options(2), np.eye(2), np.ones((2, 2))),
        *(Path("a"), Path("b"), int, float, Machine(1), Machine(2), 1j, 10**30),
        *(Plain(1), Plain(2), MappingProxyType({"c": 1}), [[1], [2, 3]], [[1, 2], 3]),
        *(np.array([2**60]), np.array([2**60 + 1]), np.array([1j]), 2**60 + 1),
    ]
    digests = {executor_digest(Machine(value)) for value in values}
    assert len(digests) == len(values)
    assert executor_digest(ct.executor.Echo()) != executor_digest(Machine())


def test_order_in_dicts_and_sets_does_not_count() -> None:
    """Nor does the type of a number."""
    pairs = [({"a": 1, "b": 2}, {"b": 2.0, "a": np.int8(1)}), ({1, "a"}, {"a", True})]
    for one, other in pairs:
        assert executor_digest(Machine(one)) == executor_digest(Machine(other))


def test_bound_simulators_go_by_their_device() -> None:
    """Each kind of device, with its options, gives results of its own."""
    names = ("default.qubit", "lightning.qubit", "default.mixed")
    made = [
        ct.executor.Simulator().for_device(qml.device(name, wires=2))
        for name in (*names, "default.qubit")
    ]
    digests = [executor_digest(each) for each in made]
    assert len(set(digests)) == len(names)


@pytest.mark.parametrize(
    ("executor", "message"),
    [
        (Drifting(), "results of 'Drifting' cannot be compared"),
        (Machine(print), "option 'option' of 'Machine' .*builtin_function"),
        (Machine((1, object())), "option 'option' of 'Machine' .* builtins.object"),
    ],
)
def test_executors_that_cannot_be_compared_are_named(
    executor: Executor, message: str
) -> None:
    """With the option that stands in the way."""
    with pytest.raises(FormatError, match=message):
        executor_digest(executor)


def test_programs_do_not_share_their_own_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every program has a `__main__`; in a notebook it has not even a file."""
    monkeypatch.setattr(Machine, "__module__", "__main__")
    main = sys.modules["__main__"]
    digests = set()
    for file in ("one.py", "two.py"):
        monkeypatch.setattr(main, "__file__", file, raising=False)
        digests.add(executor_digest(Machine()))
    assert len(digests) == 2
    monkeypatch.delattr(main, "__file__")
    with pytest.raises(FormatError, match="'Machine' is defined in no file"):
        executor_digest(Machine())


def test_a_pool_goes_by_circuit_executor_and_settings() -> None:
    """The interface changes no result."""
    plain = pool_of("c", "e", Settings())
    assert pool_of("c", "e", Settings(interface="jax")) == plain
    others = [
        pool_of("c2", "e", Settings()),
        pool_of("c", "e2", Settings()),
        pool_of("e", "c", Settings()),
        pool_of("c", "e", Settings(mcm_method="one-shot")),
        pool_of("c", "e", Settings(postselect_mode="one-shot")),
        pool_of("c", "e", Settings(gradient_method="adjoint")),
        pool_of("c", "e", Settings(gradient_method="adjoint", derivatives=True)),
    ]
    assert len({plain, *others}) == len(others) + 1


# --- Elsewhere, and later --------------------------------------------------------


def golden_digests() -> dict[str, str]:
    """Return the fingerprints that every release agrees on."""
    executors = [
        ct.executor.Echo(value=0.5),
        ct.executor.Simulator(device="lightning.qubit"),
        ct.executor.Simulator().for_device(qml.device("default.qubit", wires=2)),
        FakeCloud(name="golden", faults=Faults(crashed=0.5), wires=("a", 1)),
    ]
    circuits = [
        *known.any_circuits()[:12],
        measured(reset=True, postselect=1),
        script(*ALIKE[:21]),
        *(script(measured=each) for each in DIFFERENT[8:24:5]),
    ]
    digests = {
        **{f"circuit {n}": circuit_digest(one) for n, one in enumerate(circuits)},
        **{f"executor {n}": executor_digest(one) for n, one in enumerate(executors)},
    }
    pool = pool_of(digests["circuit 0"], digests["executor 0"], Settings())
    return {**digests, "pool": pool}


def test_fingerprints_are_those_of_earlier_releases() -> None:
    """Else every stored result would be lost: then change the version instead."""
    assert golden_digests() == json.loads(GOLDEN.read_text())


def test_fingerprints_are_equal_in_another_process() -> None:
    """Whatever Python's own hashes are there."""
    code = (
        "import importlib.util as u, json, sys\n"
        "spec = u.spec_from_file_location('fingerprints', sys.argv[1])\n"
        "module = u.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "print(json.dumps(module.golden_digests()))"
    )
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    done = subprocess.run(
        [sys.executable, "-c", code, __file__],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": seed},
    )
    assert json.loads(done.stdout) == golden_digests()

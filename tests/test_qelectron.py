"""The QElectron: a QNode in all that PennyLane does with one, and its options."""

import copy
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import cloudpickle
import numpy as np
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core.device import QElectronDevice
from qelectron_core.memory_store import MemoryStore

DEADLINE_S = 30
Echo, Simulator = ct.executor.Echo, ct.executor.Simulator
#: Takes shots of its own, whatever the QNode says.
OVERRIDING = Simulator(shots=(3, 5))
#: How a user may call: each takes a QElectron and its arguments.
CALLS: dict[str, Callable[..., Any]] = {
    "call": lambda circuit, *args: circuit(*args),
    "run_later": lambda circuit, *args: circuit.run_later(*args).result(DEADLINE_S),
}
both = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)

# PennyLane asks for double precision, which jax has switched off.
without_x64 = pytest.mark.filterwarnings("ignore:Explicitly requested dtype")


def device(wires: Any = 2) -> Any:
    return qml.device("default.qubit", wires=wires)


def bare(**options: Any) -> Any:
    @qml.qnode(device(), **options)
    def circuit(x: Any) -> Any:
        qml.RX(x, wires=0)
        qml.CNOT(wires=[0, 1])
        return qml.expval(qml.PauliZ(1))

    return circuit


def make(executors: Any = None, **options: Any) -> ct.QElectron:
    made = ct.qelectron(bare(**options), executors=executors)
    assert isinstance(made, ct.QElectron)
    return made


def assert_same(found: Any, expected: Any) -> None:
    """Compare structure, types, shapes and values."""
    assert type(found) is type(expected)
    if isinstance(expected, (tuple, list)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, np.ndarray):
        assert found.shape == expected.shape
        assert np.allclose(found, expected, atol=1e-9)
    else:
        assert found == pytest.approx(expected, abs=1e-9)


# --- Making one -----------------------------------------------------------------------


def test_bare_with_arguments_and_as_a_function() -> None:
    @ct.qelectron
    @qml.qnode(device())
    def one(x: float) -> Any:
        """Rotate."""
        qml.RX(x, wires=0)
        return qml.expval(qml.PauliZ(0))

    made = [
        one,
        ct.qelectron()(bare()),
        ct.qelectron(executors=Simulator())(bare()),
        ct.qelectron(bare(), executors="Simulator"),
        ct.qelectron(bare()),
    ]
    for circuit in made:
        assert isinstance(circuit, ct.QElectron)
        assert isinstance(circuit, qml.QNode)
        assert circuit.executors == Simulator()
        assert float(circuit(0.3)) == pytest.approx(np.cos(0.3))
    assert one.__doc__ == "Rotate."
    assert one.__name__ == "one"


def test_the_qnode_stays_as_it_is() -> None:
    qnode = bare()
    inner = qnode.device
    ct.qelectron(qnode, executors=Echo(value=0.5))
    assert type(qnode) is qml.QNode
    assert qnode.device is inner
    assert float(qnode(0.3)) == pytest.approx(np.cos(0.3))


def test_a_qelectron_may_be_decorated_again() -> None:
    circuit = ct.qelectron(make(Echo(value=0.5)), executors=Simulator())
    assert float(circuit(0.3)) == pytest.approx(np.cos(0.3))


def test_decorated_again_it_keeps_what_is_not_given_anew() -> None:
    store = MemoryStore()
    cluster = ct.QCluster([Echo(value=0.5), Echo(value=0.25)], selector="random")
    circuit = ct.qelectron(
        bare(), executors=cluster, cache=True, store=store, budget=ct.Budget(shots=5)
    )
    policy = circuit.policy
    for again in (
        ct.qelectron(circuit),
        ct.qelectron(circuit, cache=None),
        ct.qelectron()(circuit),
    ):
        assert again is not circuit
        assert again.executors is circuit.executors
        assert again.policy == policy
    fresh = ct.qelectron(circuit, cache="refresh")
    assert fresh.policy == attrs.evolve(policy, cache="refresh")
    assert fresh.executors is circuit.executors
    elsewhere = ct.qelectron(circuit, executors=Echo())
    assert elsewhere.policy == policy
    assert circuit.policy == policy
    assert ct.qelectron(circuit, cache=False).policy.cache is False


def test_a_qnode_on_a_device_of_executors_keeps_them() -> None:
    @qml.qnode(QElectronDevice(wires=1, executors=Echo(value=0.5)))
    def circuit() -> Any:
        return qml.expval(qml.Z(0))

    assert ct.qelectron(circuit).executors == Echo(value=0.5)
    assert ct.qelectron(circuit, executors="Simulator").executors == Simulator()


@pytest.mark.parametrize(
    ("option", "meant"),
    [("executor", "executors"), ("Executors", "executors"), ("selectr", "selector")],
)
def test_a_misspelt_option_names_the_right_one(option: str, meant: str) -> None:
    with pytest.raises(TypeError) as caught:
        ct.qelectron(bare(), **{option: Echo()})
    message = str(caught.value)
    assert message.startswith(
        f"qelectron() has no option {option!r}. Did you mean {meant!r}? Options: "
    )
    assert "cache, executors, selector, store." in message
    with pytest.raises(TypeError, match="qelectron"):
        ct.qelectron(**{option: Echo()})


@pytest.mark.parametrize("wrong", [lambda x: x, 3, Echo(), "Simulator"])
def test_only_a_qnode_can_be_decorated(wrong: Any) -> None:
    with pytest.raises(
        TypeError, match=r"takes a QNode, not .*Put @ct\.qelectron above @qml\.qnode"
    ):
        ct.qelectron(wrong)
    with pytest.raises(TypeError, match="takes a QNode"):
        ct.qelectron(executors=Echo())(wrong)


@pytest.mark.parametrize(
    ("executor", "method", "offered"),
    [
        (Simulator(parallel="process"), "backprop", "'adjoint', 'best'"),
        (Echo(), "adjoint", "'best', 'parameter-shift'"),
        (Echo(), "backprop", "'best', 'parameter-shift'"),
        ([Simulator(), Echo()], "adjoint", "'best', 'parameter-shift'"),
        (Simulator(shots=10), "backprop", "'best', 'parameter-shift'"),
    ],
    ids=str,
)
def test_a_diff_method_that_cannot_be_honoured_is_refused_with_alternatives(
    executor: Any, method: str, offered: str
) -> None:
    with pytest.raises(ct.ConfigError) as caught:
        make(executor, diff_method=method)
    assert f"diff_method={method!r} cannot be honoured by" in str(caught.value)
    assert f"Choose one of {offered}" in str(caught.value)


@pytest.mark.parametrize(
    "method",
    ["best", "backprop", "adjoint", "parameter-shift", "finite-diff", "hadamard", None],
)
def test_the_simulator_honours_every_diff_method(method: str | None) -> None:
    circuit = make(diff_method=method)
    assert circuit.diff_method == method
    assert float(circuit(0.3)) == pytest.approx(np.cos(0.3))


# --- copy, update, set_shots ----------------------------------------------------------


@pytest.mark.parametrize(
    "derive",
    [
        copy.copy,
        lambda c: c.update(diff_method="parameter-shift"),
        lambda c: qml.set_shots(c, 10),
        lambda c: qml.set_shots(shots=10)(c),
        lambda c: qml.set_shots(c, None),
        lambda c: c.update_shots(10),
        lambda c: qml.transforms.merge_rotations(c),
        lambda c: qml.transforms.split_non_commuting(c),
        lambda c: qml.compile(c),
        lambda c: c.update(executors=Echo(value=0.5)).update(interface="numpy"),
    ],
)
def test_what_pennylane_makes_of_a_qelectron_is_a_qelectron(derive: Any) -> None:
    circuit = make(Echo(value=0.5))
    derived = derive(circuit)
    assert isinstance(derived, ct.QElectron)
    assert derived is not circuit
    assert derived.executors == Echo(value=0.5)
    assert float(derived(0.1)) == 0.5
    assert float(derived.run_later(0.1).result(DEADLINE_S)) == 0.5
    assert circuit.diff_method == "best"
    assert not circuit.shots


def test_update_takes_executors() -> None:
    circuit = make(Echo(value=0.5))
    other = circuit.update(executors=[Echo(value=0.25)])
    assert isinstance(other, ct.QElectron)
    assert (float(circuit(0.1)), float(other(0.1))) == (0.5, 0.25)


def test_update_takes_a_device_and_keeps_the_executors() -> None:
    circuit = make(Simulator(workers=2))
    other = circuit.update(device=qml.device("lightning.qubit", wires=2))
    assert isinstance(other, ct.QElectron)
    assert other.executors == Simulator(workers=2)
    assert other.device.inner.name == "lightning.qubit"
    (bound,) = other.device.executors
    assert "LightningQubit" in repr(bound)
    assert float(other(0.3)) == pytest.approx(np.cos(0.3))
    assert circuit.device.inner.name == "default.qubit"


def test_update_takes_a_diff_method_and_checks_it() -> None:
    circuit = make(Echo())
    assert circuit.update(diff_method="finite-diff").diff_method == "finite-diff"
    with pytest.raises(ct.ConfigError, match="'adjoint' cannot be honoured"):
        circuit.update(diff_method="adjoint")


def test_update_keeps_transforms_and_shots() -> None:
    circuit = qml.set_shots(qml.transforms.merge_rotations(make(Simulator())), 20)
    other = circuit.update(executors=Simulator(seed=1))
    assert other.shots.total_shots == 20
    assert len(other.compile_pipeline) == len(circuit.compile_pipeline) == 1


def test_its_repr_says_what_runs_it() -> None:
    text = repr(make(Echo(value=0.5)))
    assert text.startswith("<QElectron: executors=Echo(")
    assert "device='default.qubit'" in text


# --- Shots ----------------------------------------------------------------------------


def sampled(executors: Any, **options: Any) -> ct.QElectron:
    @ct.qelectron(executors=executors)
    @qml.qnode(device(), **options)
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.sample(qml.PauliZ(0))

    return circuit


@both
def test_an_executor_may_override_the_shots(call: Any) -> None:
    assert call(sampled(Simulator(shots=7)), 0.3).shape == (7,)
    assert call(sampled(Simulator(shots=7), shots=100), 0.3).shape == (7,)
    assert call(sampled(Simulator(), shots=100), 0.3).shape == (100,)
    vector = call(sampled(Simulator(shots=(3, 5)), shots=100), 0.3)
    assert [part.shape for part in vector] == [(3,), (5,)]
    copies = call(sampled(Simulator(shots=[(3, 2), 4])), 0.3)
    assert [part.shape for part in copies] == [(3,), (3,), (4,)]
    exact = make(Simulator(shots=None), shots=10)
    assert float(call(exact, 0.3)) == pytest.approx(np.cos(0.3), abs=1e-12)


@both
def test_overridden_shots_shape_results_as_the_qnodes_own(call: Any) -> None:
    def function(x: float) -> Any:
        qml.RX(x, wires=0)
        return [qml.sample(wires=[0]), {"p": qml.probs(wires=[0, 1])}]

    found = call(ct.qelectron(qml.QNode(function, device()), executors=OVERRIDING), 0.0)
    assert_same(found, qml.QNode(function, device(), shots=(3, 5))(0.0))


# PennyLane deprecates them, but has them.
@pytest.mark.filterwarnings("ignore:Specifying 'shots' when executing a QNode")
@pytest.mark.filterwarnings("ignore:Both 'shots=' parameter and 'set_shots'")
def test_original_03_the_shots_of_a_call_are_honoured() -> None:
    circuit = sampled(Simulator())
    assert circuit(0.3, shots=7).shape == (7,)
    assert circuit.run_later(0.3, shots=7).result(DEADLINE_S).shape == (7,)
    # Of ten shots, the mean is a multiple of 1/5.
    value = float(make()(1.0, shots=10))
    later = float(make().run_later(1.0, shots=10).result(DEADLINE_S))
    assert [value * 5, later * 5] == pytest.approx([round(value * 5), round(later * 5)])
    # A QNode with shots of its own keeps them, and PennyLane says so.
    kept = sampled(Simulator(), shots=20)
    expected = qml.QNode(kept.func, device(), shots=20)(0.3, shots=7).shape
    assert kept(0.3, shots=7).shape == expected
    assert kept.run_later(0.3, shots=7).result(DEADLINE_S).shape == expected


@both
def test_set_shots_is_honoured(call: Any) -> None:
    assert call(qml.set_shots(sampled(Simulator()), 9), 0.3).shape == (9,)
    parts = call(qml.set_shots(sampled(Simulator()), (2, 3)), 0.3)
    assert [part.shape for part in parts] == [(2,), (3,)]


# --- Transforms -----------------------------------------------------------------------


def non_commuting(x: Any) -> Any:
    qml.RX(x, wires=0)
    qml.CNOT(wires=[0, 1])
    return [qml.expval(qml.PauliZ(0)), qml.expval(qml.PauliX(0)), qml.probs(wires=[1])]


def rotations(x: Any) -> Any:
    qml.RX(x, wires=0)
    qml.RX(2 * x, wires=0)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.PauliZ(1))


def cuttable(x: Any) -> Any:
    qml.RX(x, wires=0)
    qml.RY(0.9, wires=1)
    qml.CNOT(wires=[0, 1])
    qml.WireCut(wires=1)
    qml.CNOT(wires=[1, 2])
    return qml.expval(qml.pauli.string_to_pauli_word("ZZZ"))


def batched(x: Any) -> Any:
    qml.RX(x, wires=0)
    qml.RY(0.3, wires=1)
    return qml.probs(wires=[0, 1])


def embedded(inputs: Any, weight: Any) -> Any:
    qml.AngleEmbedding(inputs, wires=range(2), rotation="Y")
    qml.RY(weight, wires=0)
    return qml.expval(qml.PauliZ(1))


def zne(circuit: Any) -> Any:
    return qml.noise.mitigate_with_zne(
        circuit,
        scale_factors=[1, 3],
        folding=qml.noise.fold_global,
        extrapolate=qml.noise.poly_extrapolate,
        extrapolate_kwargs={"order": 1},
    )


Array = qml.numpy.array
TRANSFORMS: dict[str, tuple[Any, Any, tuple[Any, ...]]] = {
    "split_non_commuting": (qml.transforms.split_non_commuting, non_commuting, (0.4,)),
    "mitigate_with_zne": (zne, rotations, (0.4,)),
    "cut_circuit": (qml.cut_circuit, cuttable, (0.4,)),
    "batch_params": (
        lambda c: qml.batch_params(c, all_operations=True),
        lambda x, y: (qml.RX(x, 0), qml.RY(y, 1), qml.expval(qml.PauliZ(0)))[-1],
        (np.linspace(0, 1, 3), np.linspace(1, 2, 3)),
    ),
    "batch_input": (
        lambda c: qml.batch_input(c, argnum=0),
        embedded,
        (Array(np.ones((3, 2)) * 0.3, requires_grad=False), Array(0.2)),
    ),
    "merge_rotations": (qml.transforms.merge_rotations, rotations, (0.4,)),
    "broadcast_expand": (
        qml.transforms.broadcast_expand,
        batched,
        (np.linspace(0, 1, 4),),
    ),
    "two": (
        lambda c: qml.transforms.split_non_commuting(qml.transforms.merge_rotations(c)),
        non_commuting,
        (0.4,),
    ),
    "none, broadcast": (lambda c: c, batched, (np.linspace(0, 1, 4),)),
}


@both
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_give_what_they_give_of_a_qnode(name: str, call: Any) -> None:
    transform, function, arguments = TRANSFORMS[name]
    qnode = qml.QNode(function, device(3))
    circuit = transform(ct.qelectron(qnode))
    assert isinstance(circuit, ct.QElectron)
    assert_same(call(circuit, *arguments), transform(qnode)(*arguments))


@both
def test_the_metric_tensor(call: Any) -> None:
    def function(x: Any) -> Any:
        qml.RX(x[0], wires=0)
        qml.RY(x[1], wires=1)
        qml.CNOT(wires=[0, 1])
        qml.RZ(x[2], wires=1)
        return qml.expval(qml.PauliZ(1))

    x = Array([0.3, 0.5, 0.7], requires_grad=True)
    qnode = qml.QNode(function, device(3))
    for approx in ("block-diag", "diag", None):
        expected = qml.metric_tensor(qnode, approx=approx)(x)
        found = call(qml.metric_tensor(ct.qelectron(qnode), approx=approx), x)
        assert np.allclose(found, expected, atol=1e-9)


@both
def test_gradient_transforms(call: Any) -> None:
    x = Array(0.4, requires_grad=True)
    for gradient in (qml.gradients.param_shift, qml.gradients.finite_diff):
        assert_same(call(gradient(make()), x), gradient(bare())(x))


def test_drawing_and_specs() -> None:
    assert qml.draw(make())(0.4) == qml.draw(bare())(0.4)
    found, expected = qml.specs(make())(0.4), qml.specs(bare())(0.4)
    assert found["resources"] == expected["resources"]
    assert found["shots"] == expected["shots"]


# Executors keep no snapshots, so PennyLane runs one circuit for each and says so.
@pytest.mark.filterwarnings("ignore:Snapshots are not supported")
def test_snapshots() -> None:
    def function(x: float) -> Any:
        qml.RX(x, wires=0)
        qml.Snapshot("middle")
        qml.CNOT(wires=[0, 1])
        return qml.expval(qml.PauliZ(1))

    qnode = qml.QNode(function, device())
    found = qml.snapshots(ct.qelectron(qnode))(0.4)
    expected = qml.snapshots(qnode)(0.4)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert np.allclose(found[key], value)


def test_fourier_coefficients() -> None:
    found, expected = (qml.fourier.coefficients(c, 1, 1) for c in (make(), bare()))
    assert np.allclose(found, expected)


# --- Travelling -----------------------------------------------------------------------

ELSEWHERE = """
import pathlib, pickle, sys
circuit = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
import qelectron_core as ct
assert isinstance(circuit, ct.QElectron)
values = [circuit(0.3), circuit.run_later(0.3).result(), *circuit.map([0.3])]
print(*(round(float(value), 6) for value in values))
"""


@pytest.mark.parametrize(
    ("executors", "expected"),
    [
        (None, [0.955336] * 3),
        ([Echo(value=0.25), Echo(value=0.5)], [0.5, 0.25, 0.5]),
        (ct.QCluster([Echo(value=0.75)], lambda _, ex: ex[0]), [0.75] * 3),
    ],
    ids=["default", "cluster", "lambda"],
)
def test_a_qelectron_runs_in_a_fresh_process(
    tmp_path: Path, executors: Any, expected: list[float]
) -> None:
    circuit = make(executors)
    circuit(0.3)  # a cluster goes on with the next of its executors
    path = tmp_path / "circuit.pickle"
    path.write_bytes(cloudpickle.dumps(_by_value(circuit)))
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout.split() == [str(value) for value in expected], done.stderr


def _by_value(circuit: ct.QElectron) -> ct.QElectron:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return circuit


@pytest.mark.parametrize(
    "executor",
    [
        Echo(value=0.5, shots=[1, 2]),
        Simulator(device="lightning.qubit", workers=2, seed=3),
        ct.QCluster([Echo(), Simulator()], selector="random"),
    ],
    ids=repr,
)
def test_executors_pickle(executor: Any) -> None:
    assert pickle.loads(pickle.dumps(executor)) == executor
    assert hash(pickle.loads(pickle.dumps(executor))) == hash(executor)


# --- The cases of the original --------------------------------------------------------


def test_original_01_gradients_through_run_later() -> None:
    circuit = make(diff_method="parameter-shift")
    x = Array(0.5, requires_grad=True)
    found = qml.grad(lambda y: circuit.run_later(y).result(DEADLINE_S))(x)
    assert found == pytest.approx(-np.sin(0.5))


@without_x64
def test_original_01_jax_gradients_through_run_later() -> None:
    jax = pytest.importorskip("jax")
    circuit = make()
    found = jax.grad(lambda y: circuit.run_later(y).result(DEADLINE_S))(0.5)
    assert float(found) == pytest.approx(-np.sin(0.5), abs=1e-5)


@both
def test_original_02_hessians(call: Any) -> None:
    circuit = make(diff_method="parameter-shift", max_diff=2)
    x = Array(0.5, requires_grad=True)
    assert qml.grad(qml.grad(lambda y: call(circuit, y)))(x) == pytest.approx(
        -np.cos(0.5)
    )


@both
def test_original_04_types_are_those_of_the_qnode(call: Any) -> None:
    for x in (0.3, np.array(0.3), Array(0.3, requires_grad=True)):
        assert_same(call(make(), x), bare()(x))
        assert float(call(make(), x)) == pytest.approx(np.cos(0.3))


def test_original_04_results_of_run_later_add_up() -> None:
    circuit = make()
    total = sum(circuit.run_later(x).result() for x in (0.1, 0.2))
    assert float(total) == pytest.approx(np.cos(0.1) + np.cos(0.2))


def test_original_05_many_user_threads_share_a_qelectron() -> None:
    circuit, start = make(), threading.Barrier(4)

    def work(offset: int) -> list[tuple[float, float]]:
        start.wait(DEADLINE_S)
        xs = [offset + n / 50 for n in range(20)]
        plain = [(x, float(circuit(x))) for x in xs]
        return [*plain, *((x, float(circuit.run_later(x).result())) for x in xs)]

    with ThreadPoolExecutor(4) as pool:
        for pairs in pool.map(work, range(4)):
            assert all(value == pytest.approx(np.cos(x)) for x, value in pairs)


@both
def test_original_06_without_parallelism(call: Any) -> None:
    assert float(call(make(Simulator(parallel=False)), 0.3)) == pytest.approx(
        np.cos(0.3)
    )


MEASUREMENTS: dict[str, Callable[[], Any]] = {
    "vn_entropy": lambda: qml.vn_entropy(wires=[0]),
    "mutual_info": lambda: qml.mutual_info(wires0=[0], wires1=[1]),
    "purity": lambda: qml.purity(wires=[0]),
    "projector": lambda: qml.expval(qml.Projector([1], wires=0)),
    "hamiltonian": lambda: qml.expval(qml.PauliZ(0) + 0.5 * qml.PauliX(1)),
    "state": qml.state,
    "density_matrix": lambda: qml.density_matrix(wires=[0]),
}


@both
@pytest.mark.parametrize("name", MEASUREMENTS)
def test_original_07_and_08_measurements(name: str, call: Any) -> None:
    @qml.qnode(device())
    def circuit(x: Any) -> Any:
        qml.RX(x, wires=0)
        qml.CNOT(wires=[0, 1])
        return MEASUREMENTS[name]()

    for x in (0.3, Array(0.3, requires_grad=True)):
        assert_same(call(ct.qelectron(circuit), x), circuit(x))


@both
@pytest.mark.parametrize("name", ["counts", "classical_shadow", "shadow_expval"])
def test_original_07_sampled_measurements(name: str, call: Any) -> None:
    @qml.qnode(device(), shots=300)
    def circuit() -> Any:
        qml.RX(np.pi, wires=0)
        if name == "counts":
            return qml.counts()
        if name == "classical_shadow":
            return qml.classical_shadow(wires=[0, 1])
        return qml.shadow_expval(qml.PauliZ(0))

    found = call(ct.qelectron(circuit))
    expected = circuit()
    assert type(found) is type(expected)
    if name == "counts":
        assert found == {"10": 300}
    elif name == "classical_shadow":
        assert found.shape == (2, 300, 2)
    else:
        assert float(found) == pytest.approx(-1, abs=0.5)


@both
def test_original_08_mid_circuit_measurements(call: Any) -> None:
    @qml.qnode(device(3))
    def circuit(x: Any) -> Any:
        qml.RX(x, wires=0)
        measured = qml.measure(0)
        qml.cond(measured, qml.PauliX)(1)
        return qml.expval(qml.PauliZ(1)), qml.expval(measured)

    assert_same(call(ct.qelectron(circuit), 0.3), circuit(0.3))


@pytest.mark.parametrize("method", ["backprop", "adjoint"])
@both
def test_original_09_device_derivatives(method: str, call: Any) -> None:
    circuit = make(diff_method=method)
    x = Array(0.5, requires_grad=True)
    assert qml.grad(lambda y: call(circuit, y))(x) == pytest.approx(-np.sin(0.5))


@both
def test_original_10_wire_labels_and_the_qnodes_own_device(call: Any) -> None:
    @qml.qnode(qml.device("default.mixed", wires=["a", "b"]))
    def circuit(p: float) -> Any:
        qml.Hadamard("a")
        qml.PhaseDamping(p, wires="a")
        qml.CNOT(wires=["a", "b"])
        return qml.expval(qml.PauliX("a") @ qml.PauliX("b"))

    assert_same(call(ct.qelectron(circuit), 0.4), circuit(0.4))


@both
@pytest.mark.parametrize("method", ["best", "parameter-shift"])
def test_original_12_torch_keeps_its_graph(method: str, call: Any) -> None:
    torch = pytest.importorskip("torch")

    @ct.qelectron
    @qml.qnode(device(), diff_method=method)
    def circuit(x: Any) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.PauliZ(0)), qml.probs(wires=[0])

    x = torch.tensor(0.5, requires_grad=True, dtype=torch.float64)
    expval, probs = call(circuit, x)
    (expval + probs[0]).backward()
    assert float(x.grad) == pytest.approx(-1.5 * np.sin(0.5))


@without_x64
@both
@pytest.mark.parametrize("method", ["best", "parameter-shift"])
def test_original_13_jax_gradients(method: str, call: Any) -> None:
    jax = pytest.importorskip("jax")
    circuit = make(diff_method=method)
    found = jax.grad(lambda y: call(circuit, y))(0.5)
    assert float(found) == pytest.approx(-np.sin(0.5), abs=1e-5)
    if call is CALLS["call"]:
        jitted = jax.jit(circuit)(0.5)
        assert float(jitted) == pytest.approx(np.cos(0.5), abs=1e-5)

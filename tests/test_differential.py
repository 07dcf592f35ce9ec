"""Whatever a bare QNode returns, its QElectron returns: type, shape, value.

PennyLane's own behaviour is the reference, for every measurement, interface and
kind of shots, for plain calls, `run_later` and `map`.
"""

import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
import pennylane as qml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import qelectron_core as ct
from qelectron_core.structure import PLAIN_OPERATORS

ANALYTIC = {
    "expval": lambda: qml.expval(qml.PauliZ(0)),
    "expval-prod": lambda: qml.expval(qml.PauliX(0) @ qml.PauliY(1)),
    "expval-sum": lambda: qml.expval(0.5 * qml.PauliX(0) + 2 * qml.PauliZ(1)),
    "expval-hamiltonian": lambda: qml.expval(
        qml.Hamiltonian([0.3, -1.2], [qml.PauliX(0), qml.PauliZ(0) @ qml.PauliZ(1)])
    ),
    "expval-hermitian": lambda: qml.expval(qml.Hermitian(np.diag([1.0, 2.0]), wires=0)),
    "expval-projector": lambda: qml.expval(qml.Projector([0, 1], wires=[0, 1])),
    "var": lambda: qml.var(qml.PauliZ(1)),
    "probs": lambda: qml.probs(wires=[0, 1]),
    "probs-op": lambda: qml.probs(op=qml.Hadamard(0)),
    "state": lambda: qml.state(),
    "density-matrix": lambda: qml.density_matrix(wires=[1]),
    "vn-entropy": lambda: qml.vn_entropy(wires=[0]),
    "mutual-info": lambda: qml.mutual_info(wires0=[0], wires1=[1]),
    "purity": lambda: qml.purity(wires=[0]),
}
SAMPLED = {
    "expval": lambda: qml.expval(qml.PauliZ(0)),
    "expval-noncommuting": lambda: qml.expval(0.5 * qml.PauliX(0) + 2 * qml.PauliZ(0)),
    "var": lambda: qml.var(qml.PauliZ(1)),
    "probs": lambda: qml.probs(wires=[0, 1]),
    "sample": lambda: qml.sample(wires=[0, 1]),
    "sample-op": lambda: qml.sample(qml.PauliZ(0)),
    "counts": lambda: qml.counts(wires=[0, 1]),
    "counts-op": lambda: qml.counts(qml.PauliZ(0)),
    "counts-all": lambda: qml.counts(wires=[0, 1], all_outcomes=True),
    "classical-shadow": lambda: qml.classical_shadow(wires=[0, 1], seed=3),
    "shadow-expval": lambda: qml.shadow_expval(qml.PauliZ(0), seed=3),
}
SHOTS = {"shots": 50, "shot-vector": (10, 20, 20), "one-shot": 1}
INTERFACES = ["float", "numpy", "autograd", "torch", "jax"]
#: Measurements that no sampling device can return for an array of parameters.
NOT_BROADCAST_SAMPLED = {"classical-shadow", "shadow-expval"}


def argument(interface: str, value: Any = 0.4) -> Any:
    """Return a parameter in the type of an interface."""
    if interface == "float":
        return value
    if interface == "autograd":
        return qml.numpy.array(value, requires_grad=True)
    if interface == "torch":
        torch = pytest.importorskip("torch")
        return torch.tensor(value, dtype=torch.float64)
    if interface == "jax":
        jax = pytest.importorskip("jax")
        jax.config.update("jax_enable_x64", val=True)
        return jax.numpy.array(value)
    return np.array(value)


def make_qnode(*measures: Any, device: str = "default.qubit", **options: Any) -> Any:
    """Return a bare QNode on two wires that returns the given measurements."""
    shots = options.pop("shots", None)

    def function(x: Any) -> Any:
        qml.RX(x, wires=0)
        qml.RY(0.3, wires=1)
        qml.CNOT(wires=[0, 1])
        qml.RY(x, wires=1)
        made = tuple(measure() for measure in measures)
        return made[0] if len(made) == 1 else made

    qnode = qml.QNode(function, qml.device(device, wires=2, seed=11), **options)
    return qml.set_shots(qnode, shots) if shots is not None else qnode


def same(actual: Any, expected: Any, *, values: bool = True) -> None:
    """Assert that two results are alike in type, shape, dtype and value."""
    assert type(actual) is type(expected)
    if isinstance(expected, dict):
        assert {type(key) for key in actual} == {type(key) for key in expected}
        for key in expected if values else ():
            same(actual[key], expected[key])
        return
    if isinstance(expected, (tuple, list)):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            same(one, other, values=values)
        return
    assert qml.math.shape(actual) == qml.math.shape(expected)
    if hasattr(expected, "dtype"):
        assert actual.dtype == expected.dtype
    if values:
        np.testing.assert_allclose(
            qml.math.toarray(actual) if find_spec("torch") else np.asarray(actual),
            qml.math.toarray(expected) if find_spec("torch") else np.asarray(expected),
            rtol=0,
            atol=1e-9,
        )


def compare(qnode: Any, x: Any, *, values: bool = True, **options: Any) -> None:
    """Compare a plain call, `run_later` and `map` with the bare QNode."""
    expected = qnode(x)
    electron = ct.qelectron(qnode, **options)
    same(electron(x), expected, values=values)
    same(electron.run_later(x).result(timeout=60), expected, values=values)
    # By now it may be known how to build the circuit, which is another road.
    same(electron(x), expected, values=values)
    same(electron.run_later(x).result(timeout=60), expected, values=values)
    for result in electron.map([x, x, x, x, x]):
        same(result, expected, values=values)


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("name", ANALYTIC)
def test_every_analytic_measurement_in_every_interface(
    name: str, interface: str
) -> None:
    """The QElectron returns exactly what the QNode returns."""
    compare(make_qnode(ANALYTIC[name]), argument(interface))


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
@pytest.mark.parametrize("name", ANALYTIC)
def test_a_map_over_different_numbers(name: str, device: str) -> None:
    """What runs as one circuit comes back as from circuits of its own."""
    qnode = make_qnode(ANALYTIC[name], device=device)
    for xs in ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]):
        same(ct.qelectron(qnode).map(xs), [qnode(x) for x in xs])


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("shots", SHOTS.values(), ids=SHOTS)
@pytest.mark.parametrize("name", SAMPLED)
def test_every_sampled_measurement_in_every_interface(
    name: str, shots: Any, interface: str
) -> None:
    """Samples differ; their types, shapes and nesting do not."""
    if shots == 1 and name in NOT_BROADCAST_SAMPLED:
        pytest.skip("PennyLane has no shadows of one shot")
    compare(make_qnode(SAMPLED[name], shots=shots), argument(interface), values=False)


@pytest.mark.parametrize("diff_method", ["best", "parameter-shift", None])
@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("name", ANALYTIC)
def test_arrays_of_parameters(name: str, interface: str, diff_method: Any) -> None:
    """Broadcast parameters give broadcast results."""
    qnode = make_qnode(ANALYTIC[name], diff_method=diff_method)
    compare(qnode, argument(interface, [0.1, 0.2, 0.3]))


@pytest.mark.parametrize("shots", [50, (10, 20)], ids=["shots", "shot-vector"])
@pytest.mark.parametrize("name", sorted(SAMPLED.keys() - NOT_BROADCAST_SAMPLED))
def test_arrays_of_parameters_with_shots(name: str, shots: Any) -> None:
    """Broadcast parameters and samples nest as PennyLane nests them."""
    compare(make_qnode(SAMPLED[name], shots=shots), [0.1, 0.2, 0.3], values=False)


@pytest.mark.parametrize("explicit", ["auto", "numpy", "autograd", "torch", "jax"])
@pytest.mark.parametrize("with_parameter", [True, False])
def test_interface_named_by_the_qnode(explicit: str, with_parameter: bool) -> None:
    """A QNode that names its interface returns that interface's arrays."""
    if explicit in ("torch", "jax"):
        pytest.importorskip(explicit)

    @qml.qnode(qml.device("default.qubit", wires=1), interface=explicit)
    def qnode(x: Any) -> Any:
        if with_parameter:
            qml.RX(x, wires=0)
        else:
            qml.Hadamard(0)
        return [qml.expval(qml.PauliZ(0)), qml.probs(wires=0)]

    compare(qnode, 0.2)


@pytest.mark.parametrize(
    "shape",
    [
        lambda a, b: [a, b],
        lambda a, b: (a, b),
        lambda a, b: {"a": a, "b": b},
        lambda a, b: [a],
        lambda a, b: (a, [b, a]),
    ],
)
@pytest.mark.parametrize("shots", [None, 20, (5, 6)])
def test_structure_of_what_the_function_returns(shape: Any, shots: Any) -> None:
    """Lists, tuples and dicts come back as they were returned."""

    @qml.qnode(qml.device("default.qubit", wires=2))
    def qnode(x: float) -> Any:
        qml.RX(x, wires=0)
        one, two = qml.expval(qml.PauliZ(0)), qml.probs(wires=[1])
        return shape(one, two)

    qnode = qml.set_shots(qnode, shots)
    try:
        qnode(0.2)
    except Exception as error:  # PennyLane wants every measurement, once, in order
        with pytest.raises(type(error)):
            ct.qelectron(qnode)(0.2)
        with pytest.raises(type(error)):
            ct.qelectron(qnode).run_later(0.2)
        return
    compare(qnode, 0.2, values=shots is None)


@pytest.mark.parametrize("interface", ["float", "autograd", "torch", "jax"])
@pytest.mark.parametrize("mode", ["hw-like", "fill-shots", None])
@pytest.mark.parametrize("method", ["deferred", "one-shot", "tree-traversal", None])
@pytest.mark.parametrize("shots", [None, 200])
def test_mid_circuit_measurements(
    shots: int | None, method: Any, mode: Any, interface: str
) -> None:
    """Every mcm_method and postselect_mode behaves, or fails, as for the QNode."""

    @qml.qnode(qml.device("default.qubit"), mcm_method=method, postselect_mode=mode)
    def qnode(x: Any) -> Any:
        qml.RX(x, wires=0)
        first = qml.measure(0, postselect=1)
        qml.RY(0.3, wires=1)
        second = qml.measure(1, reset=True)
        qml.cond(second, qml.PauliX)(wires=0)
        return qml.expval(qml.PauliZ(0)), qml.probs(op=second), qml.expval(first)

    x = argument(interface, 1.1)
    qnode = qml.set_shots(qnode, shots)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            qnode(x)
    except Exception:  # which of several reasons comes first may differ
        electron = ct.qelectron(qnode)
        with pytest.raises((ValueError, TypeError, qml.exceptions.DeviceError)):
            electron(x)
        with pytest.raises((ValueError, TypeError, qml.exceptions.DeviceError)):
            electron.run_later(x).result(timeout=60)
        return
    expected = qnode(x)
    electron = ct.qelectron(qnode)
    for result in (electron(x), electron.run_later(x).result(timeout=60)):
        # The number of samples that survive postselection is random.
        same(result, expected, values=shots is None)


@pytest.mark.parametrize(
    "device", ["default.qubit", "lightning.qubit", "default.mixed"]
)
@pytest.mark.parametrize("parallel", ["thread", "process", False])
def test_devices_and_kinds_of_parallelism(device: str, parallel: Any) -> None:
    """Every kind of worker gives what the QNode gives."""
    executor = ct.executor.Simulator(parallel=parallel, workers=2)
    qnode = make_qnode(
        ANALYTIC["expval-hamiltonian"],
        ANALYTIC["probs"],
        device=device,
        diff_method="parameter-shift",
    )
    with executor:
        compare(qnode, 0.7, executors=executor)
        compare(qml.set_shots(qnode, 40), 0.7, values=False, executors=executor)


GATES = [
    (qml.RX, 1, 1),
    (qml.RZ, 1, 1),
    (qml.Rot, 3, 1),
    (qml.PhaseShift, 1, 1),
    (qml.Hadamard, 0, 1),
    (qml.T, 0, 1),
    (qml.CNOT, 0, 2),
    (qml.CRY, 1, 2),
    (qml.IsingXY, 1, 2),
    (qml.SingleExcitation, 1, 2),
    (qml.Toffoli, 0, 3),
    (qml.U3, 3, 1),
]
WIRES = [0, "a", 2]
angles = st.floats(-3.2, 3.2, allow_nan=False)


@st.composite
def operations(draw: st.DrawFn) -> tuple[Any, list[float], list[Any]]:
    """Draw a gate or a template with its parameters and wires."""
    kind = draw(
        st.sampled_from([*GATES, "layers", "adjoint", "controlled", "pow", "qft"])
    )
    wires = draw(st.permutations(WIRES))
    if kind == "layers":
        return (
            qml.StronglyEntanglingLayers,
            draw(st.lists(angles, min_size=9, max_size=9)),
            wires,
        )
    if kind == "qft":
        return qml.QFT, [], wires
    if isinstance(kind, str):
        return kind, [draw(angles)], wires
    gate, n_parameters, n_wires = kind
    parameters = draw(st.lists(angles, min_size=n_parameters, max_size=n_parameters))
    return gate, parameters, wires[:n_wires]


def apply_operation(operation: tuple[Any, list[float], list[Any]], x: Any) -> None:
    """Queue a drawn operation; its first parameter is shifted by `x`."""
    gate, parameters, wires = operation
    numbers = [parameters[0] + x, *parameters[1:]] if parameters else []
    if gate is qml.StronglyEntanglingLayers:
        weights = qml.math.reshape(qml.math.stack(numbers), (1, 3, 3))
        qml.StronglyEntanglingLayers(weights, wires=wires)
    elif gate == "adjoint":
        qml.adjoint(qml.RX(numbers[0], wires=wires[0]))
    elif gate == "controlled":
        qml.ctrl(
            qml.RY(numbers[0], wires=wires[0]), control=wires[1], control_values=[0]
        )
    elif gate == "pow":
        qml.pow(qml.RZ(numbers[0], wires=wires[0]), 2)
    else:
        gate(*numbers, wires=wires)


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    drawn=st.lists(operations(), min_size=1, max_size=6),
    names=st.lists(
        st.sampled_from(sorted(ANALYTIC)), min_size=1, max_size=3, unique=True
    ),
    how=st.tuples(
        st.sampled_from(["thread", False]),
        st.sampled_from(["default.qubit", "lightning.qubit"]),
        st.sampled_from(["float", "autograd"]),
    ),
    xs=st.lists(angles, min_size=1, max_size=4),
)
def test_random_circuits(
    drawn: Any, names: list[str], how: tuple[Any, str, str], xs: list[float]
) -> None:
    """Random circuits: call, `run_later` and `map` agree with the QNode."""
    parallel, device, interface = how

    @qml.qnode(qml.device(device, wires=WIRES))
    def qnode(x: Any) -> Any:
        for operation in drawn:
            apply_operation(operation, x)
        with qml.QueuingManager.stop_recording():
            made = [qml.map_wires(ANALYTIC[name](), {1: "a"}) for name in names]
        return [qml.apply(measurement) for measurement in made]

    electron = ct.qelectron(qnode, executors=ct.executor.Simulator(parallel=parallel))
    arguments = [argument(interface, x) for x in xs]
    expected = [qnode(x) for x in arguments]
    futures = [electron.run_later(x) for x in arguments]
    same(electron.map(arguments), expected)
    same([future.result(timeout=60) for future in futures], expected)
    same([electron(x) for x in arguments], expected)


@settings(max_examples=25, deadline=None)
@given(
    drawn=st.lists(operations(), min_size=1, max_size=4),
    x=angles,
    device=st.sampled_from(["default.qubit", "lightning.qubit"]),
)
def test_random_samples_follow_the_exact_distribution(
    drawn: Any, x: float, device: str
) -> None:
    """Sampled frequencies lie within five standard errors of the probabilities."""
    shots = 2000

    @qml.qnode(qml.device(device, wires=WIRES, seed=5))
    def qnode(x: float) -> Any:
        for operation in drawn:
            apply_operation(operation, x)
        return qml.probs(wires=WIRES)

    exact = qnode(x)
    electron = qml.set_shots(ct.qelectron(qnode), shots)
    bound = 5 * np.sqrt(np.clip(exact * (1 - exact), 1e-12, None) / shots) + 5 / shots
    for found in (electron(x), electron.run_later(x).result(timeout=60)):
        assert np.all(np.abs(found - exact) <= bound)


def fused_operators() -> list[Any]:
    """Return every operator that is fused, with the numbers of wires to try."""
    kinds = [kind for kind in PLAIN_OPERATORS if kind.num_params]
    cases = [
        (k, n) for k in kinds for n in ([k.num_wires] if k.num_wires else [1, 3, 4])
    ]
    return [
        pytest.param(k, n, id=f"{k.__name__}-{n}") for k, n in sorted(cases, key=str)
    ]


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
@pytest.mark.parametrize(("kind", "n_wires"), fused_operators())
def test_every_operator_that_is_fused(kind: Any, n_wires: int, device: str) -> None:
    """A `map` over each operator gives what the QNode gives, value by value."""
    wires = range(n_wires)

    @qml.qnode(qml.device(device, wires=4))
    def qnode(x: float) -> Any:
        for wire in range(4):
            qml.RX(0.3 + x, wires=wire)
        kind(*(x + 0.1 * n for n in range(kind.num_params)), wires=wires)
        for wire in range(4):
            qml.RY(0.7 * x, wires=wire)
        return qml.expval(qml.PauliZ(0) @ qml.PauliX(1)), qml.probs(wires=range(4))

    circuit = ct.qelectron(qnode)
    for count in (2, 5, 20):
        xs = [float(x) for x in np.linspace(0.1, 2.0, count)]
        same(circuit.map(xs), [qnode(x) for x in xs])


TEMPLATES: dict[str, Any] = {
    "angles-x": lambda v: qml.AngleEmbedding(v[:3], wires=range(3)),
    "angles-z": lambda v: qml.AngleEmbedding(v[:3], wires=range(3), rotation="Z"),
    "basic": lambda v: qml.BasicEntanglerLayers(
        v[:6].reshape(2, 3), wires=range(3), rotation=qml.RZ
    ),
    "strong": lambda v: qml.StronglyEntanglingLayers(
        v.reshape(2, 3, 3), wires=range(3), ranges=(2, 1), imprimitive=qml.CZ
    ),
}


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_that_is_fused(name: str, device: str) -> None:
    """Templates keep their settings when they are run over arrays."""

    @qml.qnode(qml.device(device, wires=3))
    def qnode(values: Any) -> Any:
        for wire in range(3):
            qml.Hadamard(wire)
        TEMPLATES[name](values)
        qml.IsingXX(values[0], wires=[0, 2])
        return qml.expval(qml.PauliX(0) @ qml.PauliX(2)), qml.var(qml.PauliY(1))

    rng = np.random.default_rng(1)
    values = [rng.uniform(0, 3, 18) for _ in range(5)]
    same(ct.qelectron(qnode).map(values), [qnode(value) for value in values])

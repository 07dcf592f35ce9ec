"""Derivatives of a QElectron are those of the QNode, whatever runs its circuits."""

import importlib
from typing import Any

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp

import qelectron_core as ct

METHODS = [
    "best",
    "backprop",
    "adjoint",
    "parameter-shift",
    "finite-diff",
    "hadamard",
    "spsa",
]
EXECUTORS: dict[str, Any] = {
    "default": lambda: None,
    "cluster": lambda: [
        ct.executor.Simulator(),
        ct.executor.Simulator(device="lightning.qubit"),
    ],
    "caller": lambda: ct.executor.Simulator(parallel=False),
}
X = (0.3, 0.7)


def function(x: Any) -> Any:
    """Return one expectation value of a circuit with a template in it."""
    qml.AngleEmbedding(x, wires=[0, 1], rotation="Y")
    qml.CNOT(wires=[0, 1])
    qml.RX(x[0] * x[1], wires=0)
    return qml.expval(qml.PauliZ(0) @ qml.PauliX(1))


def bare(diff_method: Any = "best", **options: Any) -> Any:
    """Return the QNode to compare with; it has a wire to spare for Hadamard tests."""
    if diff_method == "hadamard":
        options["gradient_kwargs"] = {"aux_wire": 2}
    return qml.QNode(
        function,
        qml.device("default.qubit", wires=3),
        diff_method=diff_method,
        **options,
    )


def electron(diff_method: Any, executors: str, **options: Any) -> Any:
    """Return the QElectron, or skip where a method is refused at decoration."""
    return ct.qelectron(bare(diff_method, **options), executors=EXECUTORS[executors]())


def reference(derivative: Any = qml.grad) -> Any:
    """Return the exact derivative."""
    return derivative(bare("backprop", max_diff=2))(pnp.array(X, requires_grad=True))


def possible(method: str, executors: str) -> bool:
    """Tell whether executors can honour a method."""
    return not (method == "backprop" and executors == "cluster")


CASES = [(m, e) for m in METHODS for e in EXECUTORS if possible(m, e)]
TOLERANCE = {"finite-diff": 1e-5, "spsa": 5.0}


@pytest.mark.parametrize(("method", "executors"), CASES)
def test_autograd(method: str, executors: str) -> None:
    """`qml.grad` is right, through a call and through `run_later`."""
    circuit = electron(method, executors)
    x = pnp.array(X, requires_grad=True)
    tolerance = TOLERANCE.get(method, 1e-8)
    direct = qml.grad(circuit)(x)
    later = qml.grad(lambda x: circuit.run_later(x).result(timeout=60))(x)
    np.testing.assert_allclose(direct, reference(), atol=tolerance)
    np.testing.assert_allclose(later, reference(), atol=tolerance)


@pytest.mark.parametrize(("method", "executors"), CASES)
def test_torch(method: str, executors: str) -> None:
    """`backward` is right, through a call and through `run_later`."""
    torch = pytest.importorskip("torch")
    circuit = electron(method, executors)
    for call in (circuit, lambda x: circuit.run_later(x).result(timeout=60)):
        x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
        call(x).backward()
        tolerance = TOLERANCE.get(method, 1e-8)
        np.testing.assert_allclose(x.grad.numpy(), reference(), atol=tolerance)


@pytest.mark.parametrize(("method", "executors"), CASES)
@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_jax(method: str, executors: str, jit: bool) -> None:
    """`jax.grad` is right, with and without `jax.jit`."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", val=True)
    circuit = electron(method, executors)
    x = jax.numpy.array(X)
    tolerance = TOLERANCE.get(method, 1e-8)
    wrap = jax.jit if jit else (lambda function: function)
    found = wrap(jax.grad(circuit))(x)
    np.testing.assert_allclose(np.asarray(found), reference(), atol=tolerance)
    later = wrap(jax.grad(lambda x: circuit.run_later(x).result(timeout=60)))(x)
    np.testing.assert_allclose(np.asarray(later), reference(), atol=tolerance)
    value = wrap(circuit)(x)
    assert type(value) is type(wrap(bare(method))(x))
    np.testing.assert_allclose(np.asarray(value), bare()(np.array(X)), atol=1e-9)


@pytest.mark.parametrize("executors", EXECUTORS)
@pytest.mark.parametrize("method", ["backprop", "parameter-shift"])
def test_hessian(method: str, executors: str) -> None:
    """Second derivatives are right where `max_diff` allows them."""
    if not possible(method, executors):
        pytest.skip("backprop needs executors in this process that all offer it")
    circuit = electron(method, executors, max_diff=2)
    x = pnp.array(X, requires_grad=True)
    expected = reference(lambda f: qml.jacobian(qml.grad(f)))
    np.testing.assert_allclose(qml.jacobian(qml.grad(circuit))(x), expected, atol=1e-8)

    def later(x: Any) -> Any:
        return circuit.run_later(x).result(timeout=60)

    np.testing.assert_allclose(qml.jacobian(qml.grad(later))(x), expected, atol=1e-8)


@pytest.mark.parametrize("method", ["parameter-shift", "adjoint", "backprop"])
@pytest.mark.parametrize("library", ["torch", "jax"])
def test_hessian_of_other_interfaces(library: str, method: str) -> None:
    """Second derivatives in torch and jax."""
    if method == "adjoint":
        pytest.skip("PennyLane's adjoint method is first-order")
    module: Any = pytest.importorskip(library)
    circuit = electron(method, "default", max_diff=2)
    expected = reference(lambda f: qml.jacobian(qml.grad(f)))
    if library == "torch":
        x = module.tensor(X, dtype=module.float64, requires_grad=True)
        found = module.autograd.functional.hessian(circuit, x)
    else:
        found = module.hessian(circuit)(module.numpy.array(X))
    np.testing.assert_allclose(np.asarray(found), expected, atol=1e-8)


@pytest.mark.parametrize("executors", EXECUTORS)
def test_jacobian_of_several_measurements(executors: str) -> None:
    """`qml.jacobian` of stacked measurements, by parameter-shift and adjoint."""

    def several(x: Any) -> Any:
        qml.StronglyEntanglingLayers(x, wires=range(2))
        return [qml.expval(qml.PauliZ(0)), qml.expval(qml.PauliX(1))]

    device = qml.device("default.qubit", wires=2)
    weights = pnp.array(np.linspace(0.1, 1.2, 12).reshape(2, 2, 3), requires_grad=True)
    expected = qml.jacobian(lambda w: pnp.stack(qml.QNode(several, device)(w)))(weights)
    for method in ("parameter-shift", "adjoint", "best"):
        circuit = ct.qelectron(
            qml.QNode(several, device, diff_method=method),
            executors=EXECUTORS[executors](),
        )
        found = qml.jacobian(lambda w, c=circuit: pnp.stack(c(w)))(weights)
        np.testing.assert_allclose(found, expected, atol=1e-8)
        later = qml.jacobian(
            lambda w, c=circuit: pnp.stack(c.run_later(w).result(timeout=60))
        )(weights)
        np.testing.assert_allclose(later, expected, atol=1e-8)


def test_shifted_circuits_are_spread_over_the_cluster_in_one_dispatch() -> None:
    """A gradient's circuits leave together and reach every member."""
    circuit = ct.qelectron(
        bare("parameter-shift"),
        executors=[
            ct.executor.Simulator(),
            ct.executor.Simulator(device="lightning.qubit"),
        ],
    )
    events: list[ct.Event] = []
    with ct.observe(events.append):
        qml.grad(circuit)(pnp.array(X, requires_grad=True))
    submitted = [event for event in events if event.kind == "submitted"]
    by_call: dict[str, set[Any]] = {}
    for event in submitted:
        by_call.setdefault(event.call_id, set()).add(event.executor)
    assert sorted(len(executors) for executors in by_call.values()) == [1, 2]
    assert len(submitted) == 1 + 6  # the value; three gates, two shifts each


def test_adjoint_is_asked_for_where_every_executor_offers_it() -> None:
    """The best method over simulators with adjoint derivatives is one circuit."""
    circuit = ct.qelectron(
        bare("best"),
        executors=[ct.executor.Simulator(device="lightning.qubit")] * 2,
    )
    events: list[ct.Event] = []
    with ct.observe(events.append):
        found = qml.grad(circuit)(pnp.array(X, requires_grad=True))
    np.testing.assert_allclose(found, reference(), atol=1e-8)
    assert [event.kind for event in events].count("submitted") == 1


def test_gradient_over_exact_and_sampled_members() -> None:
    """A cluster with a sampling member differentiates by shifts."""
    circuit = ct.qelectron(
        bare("best"),
        executors=[
            ct.executor.Simulator(),
            ct.executor.Simulator(shots=20_000, seed=3),
        ],
    )
    found = qml.grad(circuit)(pnp.array(X, requires_grad=True))
    np.testing.assert_allclose(found, reference(), atol=0.1)


@pytest.mark.parametrize("name", ["backprop", "adjoint"])
def test_a_method_that_no_executor_offers_is_refused_at_decoration(name: str) -> None:
    """The message names what can be used instead."""
    with pytest.raises(ct.ConfigError, match="'parameter-shift'") as caught:
        ct.qelectron(bare(name), executors=ct.executor.Echo())
    assert name in str(caught.value)


def test_backprop_is_refused_where_circuits_leave_the_process() -> None:
    """Tensors do not travel to worker processes; adjoint is offered instead."""
    with pytest.raises(ct.ConfigError, match="'adjoint'"):
        ct.qelectron(
            bare("backprop"), executors=ct.executor.Simulator(parallel="process")
        )


def test_gradient_with_processes() -> None:
    """The best method that worker processes allow gives the right gradient."""
    with ct.executor.Simulator(parallel="process", workers=1) as simulator:
        for method in ("best", "parameter-shift"):
            circuit = ct.qelectron(bare(method), executors=simulator)
            found = qml.grad(circuit)(pnp.array(X, requires_grad=True))
            np.testing.assert_allclose(found, reference(), atol=1e-8)


@pytest.mark.parametrize("shots", [5000, (2000, 3000)], ids=["shots", "shot-vector"])
def test_gradient_of_shots_and_shot_vectors(shots: Any) -> None:
    """Sampled gradients keep the QNode's shape and lie near the exact one."""

    def jacobian(circuit: Any) -> Any:
        def stacked(x: Any) -> Any:
            result = circuit(x)
            return pnp.stack(result) if isinstance(result, tuple) else result

        return qml.jacobian(stacked)(pnp.array(X, requires_grad=True))

    found = jacobian(qml.set_shots(electron("parameter-shift", "default"), shots))
    expected = jacobian(qml.set_shots(bare("parameter-shift"), shots))
    assert np.shape(found) == np.shape(expected)
    mean = np.atleast_2d(found).mean(axis=0)
    np.testing.assert_allclose(mean, reference(), atol=0.2)


def test_training_with_torch_layers() -> None:
    """`qml.qnn.TorchLayer` takes a QElectron and learns."""
    torch = pytest.importorskip("torch")
    qnn = importlib.import_module("pennylane.qnn")

    @ct.qelectron
    @qml.qnode(qml.device("default.qubit", wires=2), diff_method="parameter-shift")
    def circuit(inputs: Any, weights: Any) -> Any:
        qml.AngleEmbedding(inputs, wires=[0, 1])
        qml.BasicEntanglerLayers(weights, wires=[0, 1])
        return [qml.expval(qml.PauliZ(w)) for w in range(2)]

    layer = qnn.TorchLayer(circuit, {"weights": (1, 2)})
    layer(torch.ones(3, 2)).sum().backward()
    assert torch.isfinite(layer.weights.grad).all()
    assert layer.weights.grad.abs().sum() > 0


def test_a_look_without_recording_leaves_the_gradient_whole() -> None:
    """Printing a result under `no_grad` first does not cut it from the graph."""
    torch = pytest.importorskip("torch")
    circuit = electron("parameter-shift", "default")
    x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    futures = [circuit.run_later(x), circuit.run_later(x)]
    with torch.no_grad():
        float(futures[0].result(timeout=60))
        assert not circuit.run_later(x).result(timeout=60).requires_grad
        assert not electron("best", "default").run_later(x).result().requires_grad
    sum(future.result(timeout=60) for future in futures).backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * reference(), atol=1e-8)


def test_device_vjp_gives_the_right_gradient_and_every_record() -> None:
    """`device_vjp=True` is honoured by whole Jacobians."""
    circuit = electron("adjoint", "default", device_vjp=True)
    futures = []

    def later(x: Any) -> Any:
        futures.append(circuit.run_later(x))
        return futures[-1].result(timeout=60)

    found = qml.grad(later)(pnp.array(X, requires_grad=True))
    np.testing.assert_allclose(found, reference(), atol=1e-8)
    assert len(futures[0].executions) == 1

"""The simulator: right results, repeatable samples, and workers that may die."""

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pennylane.tape import QuantumScript

import qelectron_core as ct
from qelectron_core import Job, Seed, Settings
from qelectron_core.fusion import group
from qelectron_core.registry import registry
from qelectron_simulator.cores import usable_cores
from qelectron_simulator.devices import DeviceSpec
from qelectron_simulator.executor import Simulator
from qelectron_simulator.limits import most_fused

DEADLINE_S = 60
IN_PROCESS = [Simulator(parallel="thread"), Simulator(parallel=False)]
# All tests of `parallel="process"` share this value, hence its one process: starting
# one takes seconds.
SEEDED = Simulator(parallel="thread", workers=1, seed=7)
PROCESS = attrs.evolve(SEEDED, parallel="process")


several_cores = pytest.mark.skipif(
    usable_cores() < 2, reason="needs two circuits that run at once"
)


def rotation(x: Any) -> Any:
    qml.RX(x, wires=0)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.PauliZ(1))


def coin(x: Any) -> Any:
    qml.RX(x, wires=0)
    return qml.sample(qml.PauliZ(0))


def make(
    executor: Any = None,
    *,
    function: Callable[..., Any] = rotation,
    device: Any = None,
    **options: Any,
) -> ct.QElectron:
    device = qml.device("default.qubit", wires=2) if device is None else device
    made = ct.qelectron(qml.QNode(function, device, **options), executors=executor)
    assert isinstance(made, ct.QElectron)
    return made


def device_of(circuit: ct.QElectron) -> Any:
    """Return a device as a worker of the circuit's executor has it."""
    (executor,) = circuit.device.executors
    assert isinstance(executor, Simulator)
    assert isinstance(executor.device, DeviceSpec)
    return executor.device.build()


def samples(circuit: ct.QElectron, xs: Any) -> list[list[float]]:
    return [np.asarray(result).tolist() for result in circuit.map(xs)]


class Pause(qml.operation.Operation):
    """Lets the worker that decomposes it wait for an event; does nothing else."""

    num_wires = 1
    entered = threading.Event()
    go_on = threading.Event()

    @staticmethod
    def compute_decomposition(*_: Any, **__: Any) -> list[Any]:
        Pause.entered.set()
        assert Pause.go_on.wait(DEADLINE_S)
        return []


@pytest.fixture
def pause() -> Iterator[type[Pause]]:
    Pause.entered.clear()
    Pause.go_on.clear()
    yield Pause
    Pause.go_on.set()


# --- A value --------------------------------------------------------------------------


def test_the_plugin_offers_it_by_name() -> None:
    (plugin,) = (p for p in registry().plugins if p.name == "simulator")
    assert plugin.error is None
    assert plugin.names("executor") == ["Simulator"]
    assert ct.executor.Simulator is Simulator


@pytest.mark.parametrize(
    "executor",
    [
        Simulator(),
        Simulator(device="lightning.qubit", parallel="process", workers=3),
        Simulator(parallel=False, shots=[10, 20], seed=4),
        Simulator(shots=None),
        Simulator().for_device(qml.device("default.qubit", wires=["a", 1])),
        Simulator().for_device(qml.device("default.mixed", wires=1)),
    ],
    ids=repr,
)
def test_it_is_a_value(executor: Simulator) -> None:
    copy = pickle.loads(pickle.dumps(executor))
    assert copy == executor
    assert hash(copy) == hash(executor)
    assert copy != attrs.evolve(executor, workers=9)


def test_equal_devices_make_equal_executors() -> None:
    one, other = (
        Simulator().for_device(qml.device("default.qubit", wires=2)) for _ in range(2)
    )
    assert one == other
    assert one != Simulator().for_device(qml.device("default.qubit", wires=3))
    assert one != Simulator().for_device(qml.device("lightning.qubit", wires=2))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"paralel": False},
            TypeError,
            r"Simulator has no option 'paralel'. Did you mean 'parallel'\? "
            r"Options: device, parallel, retries, seed, shots, timeout_s, workers\.",
        ),
        (
            {"parallel": "threads"},
            ct.ConfigError,
            r"parallel='threads' is unknown\. Expected 'thread', .*'auto' or False\.",
        ),
        ({"workers": 0}, ct.ConfigError, r"workers=0 .*Expected 1 or more"),
        ({"workers": "2"}, ct.ConfigError, r"workers='2' .*Expected 1 or more"),
        ({"device": 3}, ct.ConfigError, r"device=3 .*such as 'lightning.qubit'"),
        ({"shots": 0}, ct.ConfigError, r"shots=0 .*Expected a positive integer"),
        ({"shots": "many"}, ct.ConfigError, r"shots='many' .*positive integer"),
    ],
)
def test_a_wrong_option_says_what_is_right(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Simulator(**options)


# --- Its device -----------------------------------------------------------------------


def test_by_default_it_takes_the_own_device_of_the_qnode() -> None:
    noisy = qml.device("default.mixed", wires=2, readout_prob=0.2)
    device = device_of(make(device=noisy))
    assert type(device) is type(noisy)
    assert device is not noisy, "every worker builds its own"
    assert device.readout_err == 0.2
    assert device.wires == noisy.wires


def test_it_takes_over_the_precision_of_lightning() -> None:
    single = qml.device("lightning.qubit", wires=2, c_dtype=np.complex64)

    def function() -> Any:
        qml.Hadamard(0)
        return qml.state()

    circuit = make(device=single, function=function)
    assert circuit().dtype == np.complex64
    assert circuit.run_later().result(DEADLINE_S).dtype == np.complex64


def test_channels_of_default_mixed_are_simulated() -> None:
    def function(p: float) -> Any:
        qml.Hadamard(0)
        qml.PhaseDamping(p, wires=0)
        return qml.expval(qml.PauliX(0))

    mixed = qml.device("default.mixed", wires=1)
    expected = qml.QNode(function, mixed)(0.3)
    assert make(function=function, device=mixed)(0.3) == pytest.approx(expected)
    # The same circuit on a device that knows no channels, sent elsewhere by name.
    elsewhere = make(
        Simulator(device="default.mixed"),
        function=function,
        device=qml.device("default.qubit", wires=1),
    )
    assert elsewhere(0.3) == pytest.approx(expected)
    assert device_of(elsewhere).name == "default.mixed"
    assert list(device_of(elsewhere).wires) == [0]


def test_an_unknown_device_is_refused_at_decoration() -> None:
    with pytest.raises(qml.exceptions.DeviceError, match=r"nope\.qubit"):
        make(Simulator(device="nope.qubit"))


@pytest.mark.parametrize("name", ["default.qubit", "lightning.qubit"])
def test_wires_may_have_names(name: str) -> None:
    def function(x: float) -> Any:
        qml.RX(x, wires="left")
        qml.CNOT(wires=["left", 7])
        return qml.expval(qml.PauliZ(7))

    device = qml.device(name, wires=["left", 7])
    assert make(function=function, device=device)(0.4) == pytest.approx(np.cos(0.4))


# --- Its workers ----------------------------------------------------------------------


@pytest.mark.parametrize("executor", [*IN_PROCESS, PROCESS], ids=repr)
@pytest.mark.parametrize("method", ["best", "adjoint", "parameter-shift"])
def test_results_and_gradients_in_every_kind_of_worker(
    executor: Simulator, method: str
) -> None:
    circuit = make(executor, diff_method=method)
    xs = np.linspace(0, 3, 7)
    assert np.allclose(circuit.map(xs), np.cos(xs), atol=1e-9)
    x = qml.numpy.array(0.6, requires_grad=True)
    assert qml.grad(circuit)(x) == pytest.approx(-np.sin(0.6))
    assert qml.grad(lambda y: circuit.run_later(y).result(DEADLINE_S))(
        x
    ) == pytest.approx(-np.sin(0.6))


def test_without_parallelism_a_call_runs_in_the_callers_thread() -> None:
    threads: list[str] = []

    class Where(qml.operation.Operation):
        num_wires = 1

        @staticmethod
        def compute_decomposition(*_: Any, **__: Any) -> list[Any]:
            threads.append(threading.current_thread().name)
            return []

    def function() -> Any:
        Where(wires=0)
        return qml.expval(qml.PauliZ(0))

    make(Simulator(parallel=False), function=function)()
    assert set(threads) == {threading.current_thread().name}
    threads.clear()
    make(Simulator(parallel=False), function=function).run_later().result(DEADLINE_S)
    assert threading.current_thread().name not in threads


@several_cores
def test_threads_run_wide_circuits_beside_each_other() -> None:
    met = threading.Barrier(2)

    class Meet(qml.operation.Operation):
        num_wires = 1

        @staticmethod
        def compute_decomposition(*_: Any, **__: Any) -> list[Any]:
            met.wait(DEADLINE_S)  # breaks unless two workers are here at once
            return []

    def function() -> Any:
        Meet(wires=0)
        for wire in range(15):
            qml.Identity(wire)
        return qml.expval(qml.PauliZ(0))

    circuit = make(
        Simulator(workers=2),
        function=function,
        device=qml.device("default.qubit", wires=15),
    )
    futures = [circuit.run_later() for _ in range(2)]
    assert [float(f.result(DEADLINE_S)) for f in futures] == [1.0, 1.0]


def test_a_killed_process_is_an_error_and_the_next_call_works(tmp_path: Path) -> None:
    parent, found = os.getpid(), tmp_path / "pid"

    class Kill(qml.operation.Operation):  # local, so that it travels by value
        num_wires = 1

        @staticmethod
        def compute_decomposition(*_: Any, **__: Any) -> list[Any]:
            assert os.getpid() != parent
            found.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
            return []

    def function() -> Any:
        Kill(wires=0)
        return qml.expval(qml.PauliZ(0))

    with pytest.raises(ct.ExecutorError, match="a worker process died"):
        make(PROCESS, function=function)()
    assert int(found.read_text()) != parent
    future = make(PROCESS).run_later(0.5)
    assert float(future.result(DEADLINE_S)) == pytest.approx(np.cos(0.5))


def test_processes_take_no_backprop() -> None:
    with pytest.raises(ct.ConfigError, match=r"'backprop' .*'adjoint'"):
        make(PROCESS, diff_method="backprop")


# --- Its samples ----------------------------------------------------------------------


def test_a_seed_gives_equal_samples_in_every_kind_of_worker() -> None:
    xs = np.linspace(1, 2, 20)

    def run(executor: Simulator) -> list[list[float]]:
        return samples(make(executor, function=coin, shots=30), xs)

    expected = run(SEEDED)
    assert run(attrs.evolve(SEEDED, workers=10)) == expected
    assert run(attrs.evolve(SEEDED, parallel=False)) == expected
    assert run(PROCESS) == expected
    assert run(attrs.evolve(SEEDED, seed=8)) != expected
    assert expected[0] != expected[1]


@several_cores
def test_a_seed_repeats_whatever_worker_finishes_first(pause: type[Pause]) -> None:
    def function(*, waits: bool) -> Any:
        if waits:
            pause(wires=0)
        for wire in range(15):  # too wide to be gathered, so that workers overlap
            qml.Hadamard(wire)
        return qml.sample(wires=range(15))

    def circuit() -> ct.QElectron:
        device = qml.device("default.qubit", wires=15)
        return make(Simulator(seed=3), function=function, device=device, shots=8)

    overtaken = circuit()
    first = overtaken.run_later(waits=True)
    assert pause.entered.wait(DEADLINE_S)
    second = overtaken.run_later(waits=False).result(DEADLINE_S)
    assert not first.done()
    pause.go_on.set()
    in_order = circuit()
    assert np.array_equal(first.result(DEADLINE_S), in_order(waits=False))
    assert np.array_equal(second, in_order(waits=False))


@pytest.mark.parametrize("name", ["default.qubit", "lightning.qubit", "default.mixed"])
def test_two_qelectrons_on_one_device_do_not_share_shot_noise(name: str) -> None:
    device = qml.device(name, wires=1)
    circuits = [make(function=coin, device=device, shots=100) for _ in range(2)]
    one, other = (np.asarray(circuit(np.pi / 2)).tolist() for circuit in circuits)
    assert one != other


@pytest.mark.parametrize("name", ["default.qubit", "lightning.qubit", "default.mixed"])
def test_a_seeded_device_repeats(name: str) -> None:
    def run() -> list[list[float]]:
        device = qml.device(name, wires=1, seed=42)
        circuits = [make(function=coin, device=device, shots=50) for _ in range(2)]
        later = [c.run_later(1.5).result(DEADLINE_S).tolist() for c in circuits]
        return [*later, *(np.asarray(c(1.5)).tolist() for c in circuits)]

    runs = run()
    assert runs == run()
    assert all(runs[i] != runs[j] for i in range(4) for j in range(i))


def test_repeated_calls_draw_fresh_samples() -> None:
    circuit = make(Simulator(seed=1), function=coin, shots=100)
    one, other = np.asarray(circuit(1.5)), np.asarray(circuit(1.5))
    assert not np.array_equal(one, other)


def test_sampled_circuits_that_are_equal_do_not_share_their_samples() -> None:
    found = samples(make(function=coin, shots=64), [1.5] * 10)
    assert len({tuple(values) for values in found}) == 10


# --- Fusion ---------------------------------------------------------------------------

ANGLES = st.floats(-7, 7, allow_nan=False)
GATES: dict[Any, int] = {
    qml.Hadamard: 1,
    qml.S: 1,
    qml.CNOT: 2,
    qml.RX: 1,
    qml.RY: 1,
    qml.RZ: 1,
    qml.PhaseShift: 1,
    qml.Rot: 1,
    qml.U2: 1,
    qml.U3: 1,
    qml.CRX: 2,
    qml.CRot: 2,
    qml.ControlledPhaseShift: 2,
    qml.IsingXX: 2,
    qml.IsingXY: 2,
    qml.MultiRZ: 3,
    qml.SingleExcitation: 2,
    qml.OrbitalRotation: 4,
    qml.Toffoli: 3,
}
MEASUREMENTS: list[Callable[[], Any]] = [
    lambda: qml.expval(qml.PauliZ(0)),
    lambda: qml.expval(qml.PauliX(1) @ qml.PauliY(0)),
    lambda: qml.expval(0.5 * qml.PauliZ(2) + 1.5 * qml.PauliX(0) @ qml.PauliX(3)),
    lambda: qml.expval(qml.Hermitian(np.diag([1.0, 2.0]), wires=1)),
    lambda: qml.var(qml.PauliY(3)),
    lambda: qml.probs(wires=[2, 0]),
    lambda: qml.probs(op=qml.PauliX(1)),
    lambda: qml.state(),
    lambda: qml.density_matrix(wires=[1]),
]


@st.composite
def jobs(draw: st.DrawFn) -> list[QuantumScript]:
    """Circuits of few structures: most differ from others in parameters only."""
    shapes = draw(st.lists(shape(), min_size=1, max_size=3))
    chosen = draw(st.lists(st.sampled_from(shapes), min_size=1, max_size=8))
    few = draw(st.sampled_from([ANGLES, st.sampled_from([0.0, 0.5, 1, -0.0])]))
    data = draw(st.data())
    return [fill(data, *item, angles=few) for item in chosen]


@st.composite
def shape(draw: st.DrawFn) -> tuple[list[tuple[Any, list[int]]], list[int], bool]:
    gates = draw(st.lists(st.sampled_from(list(GATES)), min_size=1, max_size=6))
    wires = [draw(st.permutations(range(4)))[: GATES[gate]] for gate in gates]
    numbers = st.integers(0, len(MEASUREMENTS) - 1)
    measured = draw(st.lists(numbers, min_size=1, max_size=3))
    return list(zip(gates, wires, strict=True)), measured, draw(st.booleans())


def fill(
    data: st.DataObject,
    gates: list[tuple[Any, list[int]]],
    measured: list[int],
    template: bool,
    *,
    angles: Any,
) -> QuantumScript:
    operations = [qml.QFT(wires=[0, 1])] if template else []
    for gate, wires in gates:
        values = [data.draw(angles) for _ in range(gate.num_params)]
        if len(values) == 1 and data.draw(st.integers(0, 9)) == 0:
            values = [np.array([values[0], 0.25])]  # broadcast by the user
        operations.append(gate(*values, wires=wires))
    return QuantumScript(operations, [MEASUREMENTS[number]() for number in measured])


def run_as_one_job(circuits: Sequence[QuantumScript], device: Any) -> Sequence[Any]:
    executor = Simulator().for_device(device)
    seeds = tuple(Seed(0, number) for number in range(len(circuits)))
    job = Job("job", tuple(circuits), seeds, Settings(), executor.open())
    return executor.run(job)


def assert_close(found: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        assert isinstance(found, tuple)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other)
        return
    assert np.shape(found) == np.shape(expected)
    assert np.allclose(found, expected, rtol=0, atol=1e-12)


def runnable(circuit: QuantumScript) -> bool:
    try:  # two parameters of different lengths, or two batches that do not fit
        _ = circuit.batch_size
    except ValueError:
        return False
    return True


@given(job=jobs(), fixed_wires=st.booleans())
@settings(max_examples=100, deadline=None)
def test_fused_circuits_give_what_each_gives_alone(
    job: list[QuantumScript], fixed_wires: bool
) -> None:
    circuits = [circuit for circuit in job if runnable(circuit)]
    device = qml.device("default.qubit", wires=4 if fixed_wires else None)
    found = run_as_one_job(circuits, device)
    assert len(found) == len(circuits)
    for result, circuit in zip(found, circuits, strict=True):
        (expected,) = qml.execute([circuit], device, diff_method=None)
        assert_close(result, expected)


@given(job=jobs())
@settings(max_examples=50, deadline=None)
def test_groups_cover_every_position_once(job: list[QuantumScript]) -> None:
    circuits = [circuit for circuit in job if runnable(circuit)]
    found = [place for _, places in group(circuits) for place in places]
    assert sorted(found) == list(range(len(circuits)))


def test_no_more_run_as_one_than_memory_allows() -> None:
    for n_wires in range(1, 25):
        most = most_fused("default.qubit", range(n_wires))
        assert most == 1 or 16 * most * 2**n_wires <= 2**20
    assert most_fused("lightning.qubit", range(4)) == 1
    assert most_fused(None, range(4)) == 1, "nothing is known of a user's device"


def test_more_circuits_than_run_as_one_are_all_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qelectron_simulator.limits.MAX_AMPLITUDES", 64)
    xs = np.linspace(0, 3, 50)
    assert np.allclose(make().map(xs), np.cos(xs), atol=1e-12)
    assert np.allclose(ct.gather(map(make().run_later, xs)), np.cos(xs), atol=1e-12)


@given(numbers=st.lists(ANGLES, min_size=4, max_size=6), data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("name", ["default.qubit", "lightning.qubit"])
def test_what_is_prepared_once_gives_what_is_prepared_anew(
    name: str, numbers: list[float], data: st.DataObject
) -> None:
    """The third circuit of a structure is not prepared by the device any more."""
    gates, measured, template = data.draw(shape())
    special = st.sampled_from([0.0, np.pi, -np.pi / 2])
    circuits = [
        fill(data, gates, measured, template, angles=special | st.just(number))
        for number in numbers
    ]
    circuits = [c for c in circuits if runnable(c) and c.batch_size is None]
    device = qml.device(name, wires=4)
    executor = Simulator().for_device(device)
    worker = executor.open()
    for place, circuit in enumerate(circuits):
        job = Job("job", (circuit,), (Seed(0, place),), Settings(), worker)
        (found,) = executor.run(job)
        (expected,) = qml.execute([circuit], device, diff_method=None)
        assert_close(found, expected)


def test_a_template_is_taken_apart_twice_at_most() -> None:
    taken: list[None] = []
    code = qml.StronglyEntanglingLayers.compute_decomposition.__code__

    def profile(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is code:
            taken.append(None)

    def function(weights: Any) -> Any:
        qml.StronglyEntanglingLayers(weights, wires=range(4))
        return qml.expval(qml.PauliZ(0))

    device = qml.device("lightning.qubit", wires=4)
    circuit = make(Simulator(parallel=False), function=function, device=device)
    bare = qml.QNode(function, device)
    weights = np.random.default_rng(0).uniform(0, 3, (20, 2, 4, 3))
    expected = [bare(values) for values in weights]
    sys.setprofile(profile)
    try:
        found = [circuit(values) for values in weights]
    finally:
        sys.setprofile(None)
    assert np.allclose(found, expected, rtol=0, atol=1e-12)
    assert len(taken) == 3, "for the first two, and once with symbols"


SAMPLED: list[Callable[..., Any]] = [
    lambda a, b, _: qml.sample(wires=[a, b]),
    lambda a, b, _: qml.counts(),
    lambda a, b, c: qml.expval(
        0.5 * qml.PauliX(a) + qml.PauliZ(b) @ qml.PauliY(c),
    ),
    lambda a, b, c: qml.probs(wires=[c]),
    lambda a, b, c: qml.sample(qml.PauliX(b)),
]


@pytest.mark.parametrize("labels", ["xy5", (2, 0, 1), (0, 1, 2), (1, 0, 3)])
@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("shots", [20, (5, 10)])
@given(xs=st.lists(ANGLES, min_size=2, max_size=5), number=st.integers(0, 4))
@settings(max_examples=8, deadline=None)
def test_samples_are_the_same_in_company_and_alone(
    labels: Sequence[Any], fixed: bool, shots: Any, xs: list[float], number: int
) -> None:
    first, second, _ = labels

    def circuit(x: float) -> QuantumScript:
        gates = [
            qml.RY(x, first),
            qml.CNOT([first, second]),
            qml.Rot(x, 0.4, x, second),
        ]
        return QuantumScript(gates, [SAMPLED[number](*labels)], shots=shots)

    wires = ["other", *labels] if fixed else None
    executor = Simulator(seed=3).for_device(qml.device("default.qubit", wires=wires))
    circuits = [circuit(x) for x in xs]
    seeds = [Seed(3, place) for place in range(len(xs))]
    worker = executor.open()

    def run(some: Sequence[int]) -> Any:
        chosen = tuple(circuits[place] for place in some)
        given_seeds = tuple(seeds[place] for place in some)
        return executor.run(Job("job", chosen, given_seeds, Settings(), worker))

    together = run(range(len(xs)))
    alone = [run([place])[0] for place in range(len(xs))]
    for one, other in zip(together, alone, strict=True):
        assert repr(one) == repr(other)


def test_results_of_equal_circuits_are_not_one_array() -> None:
    def function(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.probs(wires=[0, 1])

    one, other = make(function=function).map([0.3, 0.3])
    one[0] = 99.0
    assert other[0] != 99.0


def bad_circuits() -> dict[str, QuantumScript]:
    z = [qml.expval(qml.PauliZ(0))]
    return {
        "unknown wire": QuantumScript([qml.RX(0.1, wires="nowhere")], z),
        "parameter of another type": QuantumScript([qml.RX("a", wires=0)], z),
        "not an observable": QuantumScript(
            [qml.RX(0.1, wires=0)], [qml.expval(qml.S(0))]
        ),
    }


@pytest.mark.parametrize("reason", bad_circuits())
def test_a_bad_circuit_of_a_job_fails_alone(reason: str) -> None:
    circuits = [
        QuantumScript([qml.RX(x, wires=0)], [qml.expval(qml.PauliZ(0))])
        for x in (0.1, 0.2, 0.3)
    ]
    circuits.insert(1, bad_circuits()[reason])
    found = run_as_one_job(circuits, qml.device("default.qubit", wires=2))
    assert isinstance(found[1], Exception)
    assert np.allclose([found[0], *found[2:]], np.cos([0.1, 0.2, 0.3]))


def test_a_bad_call_among_gathered_ones_fails_alone(pause: type[Pause]) -> None:
    def function(x: Any, *, waits: bool = False) -> Any:
        if waits:
            pause(wires=0)
        return rotation(x)

    circuit = make(function=function)
    held = circuit.run_later(0.5, waits=True)
    assert pause.entered.wait(DEADLINE_S)
    futures = [circuit.run_later(x) for x in (0.1, "a", 0.3)]
    pause.go_on.set()
    assert float(held.result(DEADLINE_S)) == pytest.approx(np.cos(0.5))
    assert isinstance(futures[1].exception(DEADLINE_S), (TypeError, ValueError))
    for future, x in ((futures[0], 0.1), (futures[2], 0.3)):
        assert float(future.result(DEADLINE_S)) == pytest.approx(np.cos(x))
    assert {f.executions[0].job_size for f in futures} == {3}, "they left together"


# --- Devices that cannot be built again -----------------------------------------------


class Jealous(qml.devices.DefaultQubit):
    """A user's device: notes when two threads are in it, and counts circuits."""

    def __init__(self, wires: Any) -> None:
        super().__init__(wires=wires)
        self.secret = object()  # no constructor argument could bring this back
        self.executed = 0
        self.overlaps = 0
        self._inside = threading.Lock()

    def execute(self, circuits: Any, execution_config: Any = None) -> Any:
        if not self._inside.acquire(blocking=False):
            self.overlaps += 1
            return super().execute(circuits, execution_config)
        try:
            self.executed += 1 if isinstance(circuits, QuantumScript) else len(circuits)
            return super().execute(circuits, execution_config)
        finally:
            self._inside.release()


def shared_cases() -> list[tuple[Any, Callable[..., Any], Callable[[float], float]]]:
    def displaced(x: float) -> Any:
        qml.Displacement(x, 0.1, wires=0)
        return qml.expval(qml.NumberOperator(0))

    return [
        (Jealous(wires=2), rotation, lambda x: float(np.cos(x))),
        (qml.device("default.gaussian", wires=1), displaced, lambda x: x**2),
    ]


@pytest.mark.parametrize(
    "case", shared_cases(), ids=lambda case: type(case[0]).__name__
)
def test_a_device_that_cannot_be_rebuilt_is_shared_and_right(case: Any) -> None:
    device, function, right = case
    assert DeviceSpec.of(device).is_shared
    circuit = make(function=function, device=device)
    start = threading.Barrier(4)

    def work(offset: int) -> list[tuple[float, float]]:
        start.wait(DEADLINE_S)
        xs = [0.01 * (offset + 4 * n) for n in range(15)]
        plain = [(x, float(circuit(x))) for x in xs]
        return plain + list(zip(xs, map(float, circuit.map(xs)), strict=True))

    with ThreadPoolExecutor(4) as pool:
        for pairs in pool.map(work, range(4)):
            for x, value in pairs:
                assert value == pytest.approx(right(x), abs=1e-9)
    if isinstance(device, Jealous):
        assert device.overlaps == 0


def test_a_users_device_runs_every_circuit_by_itself() -> None:
    # It may draw noise per circuit, or not know arrays of parameters.
    device = Jealous(wires=2)
    make(device=device).map([0.1, 0.2, 0.3, 0.3])
    assert device.executed == 4


def test_two_qelectrons_on_one_shared_device_take_turns() -> None:
    device = Jealous(wires=2)
    circuits = [make(Simulator(workers=n), device=device) for n in (1, 2, 3, 4)]
    start = threading.Barrier(4)

    def work(circuit: ct.QElectron) -> list[float]:
        start.wait(DEADLINE_S)
        return [float(circuit(0.01 * n)) for n in range(20)]

    with ThreadPoolExecutor(4) as pool:
        for values in pool.map(work, circuits):
            assert np.allclose(values, np.cos(0.01 * np.arange(20)))
    assert device.overlaps == 0


def test_a_shared_device_goes_to_no_other_process() -> None:
    with pytest.raises(ct.ConfigError, match=r"parallel='process' .*Name one"):
        make(Simulator(parallel="process"), device=Jealous(wires=2))


def test_a_seed_that_a_device_cannot_follow_is_refused() -> None:
    with pytest.raises(ct.ConfigError, match=r"seed=3 cannot be honoured"):
        make(Simulator(seed=3), device=Jealous(wires=2))


# --- Clusters -------------------------------------------------------------------------


def test_a_cluster_with_a_lambda_sends_circuits_where_it_says() -> None:
    exact, sampled = Simulator(), Simulator(shots=10, seed=1)
    cluster = ct.QCluster(
        [exact, sampled], selector=lambda circuit, ex: ex[int(circuit.data[0] > 1)]
    )
    circuit = make(cluster)
    futures = [circuit.run_later(x) for x in (0.5, 1.5)]
    ct.gather(futures)
    assert [f.executions[0].executor for f in futures] == [exact, sampled]
    assert [f.executions[0].shots for f in futures] == [None, 10]

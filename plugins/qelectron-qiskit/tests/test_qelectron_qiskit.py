"""The `QiskitExecutor`: a value, its options, and how it takes part in a QElectron."""

import pickle
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
import pennylane as qml
import pytest
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

import qelectron_core as ct
from qelectron_core.formats import dump_executor, load_shown
from qelectron_core.registry import registry
from qelectron_qiskit.executor import IBMQExecutor, QiskitExecutor
from qelectron_qiskit.local.aer import AerMachine

DEADLINE_S = 60
TOKEN = "not-a-real-token-but-a-long-one"
AT_IBM: dict[str, Any] = {"device": "sampler", "backend": "ibm_fez"}


def rotation(x: Any) -> Any:
    qml.RX(x, wires=0)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.PauliZ(1))


def make(
    executor: Any,
    *,
    function: Callable[..., Any] = rotation,
    shots: Any = None,
    wires: Any = 2,
    **options: Any,
) -> ct.QElectron:
    qnode = qml.QNode(function, qml.device("default.qubit", wires=wires), **options)
    if shots is not None:
        qnode = qml.set_shots(qnode, shots)
    made = ct.qelectron(qnode, executors=executor)
    assert isinstance(made, ct.QElectron)
    return made


def in_a_process(program: str) -> str:
    """Run a program in a Python of its own, and return what it printed."""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_S * 2, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- A value --------------------------------------------------------------------------


def test_the_plugin_offers_both_names() -> None:
    (plugin,) = (p for p in registry().plugins if p.name == "qiskit")
    assert plugin.error is None
    assert sorted(plugin.names("executor")) == ["IBMQExecutor", "QiskitExecutor"]
    assert ct.executor.QiskitExecutor is QiskitExecutor
    assert ct.executor.IBMQExecutor is IBMQExecutor


def retired(name: str = "ibmq_quito") -> QiskitExecutor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return QiskitExecutor("sampler", name)


EXECUTORS = [
    QiskitExecutor(),
    QiskitExecutor(backend="aer_simulator", shots=[10, 20], seed=4),
    QiskitExecutor(shots=None, optimization_level=3),
    QiskitExecutor(
        backend="fake_manila", options={"twirling": {"num_randomizations": 4}}
    ),
    QiskitExecutor(**AT_IBM, ibmqx_token=TOKEN, mode="session", max_time=60),
    QiskitExecutor(**AT_IBM, instance="mine", single_job=True, account="work"),
    IBMQExecutor("ibm_fez", max_jobs=5),
    retired(),
]


@pytest.mark.parametrize("executor", EXECUTORS, ids=repr)
def test_it_is_a_value(executor: QiskitExecutor) -> None:
    copy = pickle.loads(pickle.dumps(executor))
    assert copy == executor
    assert hash(copy) == hash(executor)
    assert type(copy) is type(executor)
    changed = attrs.evolve(executor, seed=99)
    assert changed != executor
    assert type(changed) is type(executor)
    assert attrs.evolve(changed, seed=executor.seed) == executor


@pytest.mark.parametrize("executor", EXECUTORS, ids=repr)
def test_its_repr_makes_it_again_and_shows_no_token(executor: QiskitExecutor) -> None:
    shown = repr(executor)
    assert TOKEN not in shown
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = eval(shown, {"QiskitExecutor": QiskitExecutor})
    assert attrs.evolve(again, ibmqx_token=executor.ibmqx_token) == executor


def test_the_token_is_in_no_text_of_it() -> None:
    executor = QiskitExecutor(**AT_IBM, ibmqx_token=TOKEN)
    assert TOKEN not in f"{executor} {executor!r} {executor.cache_key()!r}"
    assert TOKEN not in repr(attrs.asdict(executor, recurse=False))


def test_a_backend_object_is_equal_to_itself_only_and_a_snapshot_is_its_name() -> None:
    simulator = AerSimulator()
    assert QiskitExecutor(backend=simulator) == QiskitExecutor(backend=simulator)
    assert QiskitExecutor(backend=simulator) != QiskitExecutor(backend=AerSimulator())
    copy = pickle.loads(pickle.dumps(QiskitExecutor(backend=simulator)))
    assert copy == QiskitExecutor(backend=simulator)
    assert QiskitExecutor(backend=simulator).cache_key() is None
    named = QiskitExecutor(backend="fake_manila")
    assert QiskitExecutor(backend=FakeManilaV2()) == named


def test_results_are_kept_by_what_they_depend_on() -> None:
    keys = [
        QiskitExecutor(backend=backend, optimization_level=level).cache_key()
        for backend in (None, "fake_manila", "fake_lima")
        for level in (0, 1)
    ]
    assert all(keys.count(key) == 1 for key in keys)
    assert QiskitExecutor(ibmqx_token=TOKEN).cache_key() == QiskitExecutor().cache_key()


# --- Options --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"shsots": 1024},
            TypeError,
            r"QiskitExecutor has no option 'shsots'\. Did you mean 'shots'\? "
            r"Options: account, backend, channel, device, .*url\.",
        ),
        ({"device": "samplr"}, ct.ConfigError, r"device='samplr' .*'local_sampler'"),
        ({"single_job": 1}, ct.ConfigError, r"single_job=1 .*Expected True or False"),
        ({"max_time": 1.5}, ct.ConfigError, r"max_time=1.5 is no time\. .*seconds"),
        ({"max_jobs": 0}, ct.ConfigError, r"max_jobs=0 .*Expected 1 or more, or None"),
        ({"mode": "batc"}, ct.ConfigError, r"mode='batc' .*'job', 'batch', 'session'"),
        ({"optimization_level": 4}, ct.ConfigError, r"level=4 .*None, 0, 1, 2, 3"),
        ({"options": 5}, ct.ConfigError, r"options=5 .*Expected a dictionary such as"),
        ({"instance": 3}, ct.ConfigError, r"instance=3 is no text"),
        ({"ibmqx_token": ""}, ct.ConfigError, r"ibmqx_token is no token\. Expected a"),
        ({"backend": 3}, ct.ConfigError, r"backend=3 is no backend\. .*'fake_manila'"),
        ({"shots": 0}, ct.ConfigError, r"shots=0 .*Expected a positive integer"),
        (
            {"hub": "a", "project": "b"},
            ct.ConfigError,
            r"hub='a', project='b': .* Pass instance= instead",
        ),
        ({"group": "open"}, ct.ConfigError, r"group='open': .*Pass instance= instead"),
        (
            {**AT_IBM, "channel": "ibm_quantum"},
            ct.ConfigError,
            r"closed the channel 'ibm_quantum' .*Pass channel='ibm_quantum_platform'",
        ),
        ({"channel": "x"}, ct.ConfigError, r"channel='x' is no channel\. Pass channel"),
        (
            {"backend": "fake_manilla"},
            ct.ConfigError,
            r"no backend 'fake_manilla' .*Did you mean 'fake_manila'",
        ),
        (
            {"backend": "nonsense"},
            ct.ConfigError,
            r"no backend 'nonsense' .*There are: 'fake_\w+', .* and \d+ more\.",
        ),
        (
            {"backend": "ibm_fez"},
            ct.ConfigError,
            r"Did you mean 'fake_fez'.* at IBM, say device='sampler'",
        ),
        (
            {"device": "sampler"},
            ct.ConfigError,
            r"backend=None is no machine at IBM\. Expected a name such as 'ibm_fez'",
        ),
        (
            {"device": "sampler", "backend": "fake_manila"},
            ct.ConfigError,
            r"'fake_manila' runs on this machine.* Say device='local_sampler'",
        ),
        ({**AT_IBM, "shots": None}, ct.ConfigError, r"shots=None asks for exact"),
    ],
)
def test_a_wrong_option_says_what_is_right(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        QiskitExecutor(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"twirlng": {}}, r"twirlng: .* It has .*twirling"),
        ({"twirling": {"enable_gtes": True}}, r"twirling\.enable_gtes"),
    ],
)
def test_a_misspelt_option_of_the_sampler_is_refused_at_decoration(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ct.ConfigError, match=message):
        make(QiskitExecutor(options=options))


@pytest.mark.parametrize(
    "name",
    [
        *("ibmq_qasm_simulator", "ibmq_quito", "ibmq_manila", "ibmq_lima"),
        *("ibmqx2", "ibmq_16_melbourne"),
    ],
)
@pytest.mark.parametrize("make_one", [QiskitExecutor, IBMQExecutor])
def test_a_machine_that_is_switched_off_has_a_stand_in_here(
    name: str, make_one: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QISKIT_IBM_TOKEN", raising=False)
    given = ("sampler", name) if make_one is QiskitExecutor else (name,)
    with pytest.warns(UserWarning, match=f"^IBM has switched off {name!r}") as seen:
        executor = make_one(*given, shots=2000, seed=1)
    (warning,) = seen
    assert warning.filename == __file__, "it points to the user's line"
    (stand_in,) = re.findall(r"backend='(\w+)'", str(warning.message))
    circuit = make(executor)
    found = circuit.map([0.4, 0.8])  # and warns no more
    here = make(QiskitExecutor(backend=stand_in, shots=2000, seed=1))
    assert np.array_equal(found, here.map([0.4, 0.8]))


def test_a_machine_without_snapshot_has_no_stand_in() -> None:
    message = r"'ibmq_nowhere' was switched off by IBM, and there is no snapshot"
    with pytest.raises(ct.ConfigError, match=message):
        QiskitExecutor("sampler", "ibmq_nowhere")


# --- Shots ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_executor", "of_qnode", "expected"),
    [
        ({}, None, 1024),
        ({}, 300, 300),
        ({"shots": "qnode"}, None, 1024),
        ({"shots": 50}, 300, 50),
        ({"shots": 50}, None, 50),
        ({"shots": [20, 30]}, 300, 50),
        ({"shots": None}, 300, None),
        ({"shots": None}, None, None),
    ],
)
def test_who_says_how_many_shots_are_run(
    of_executor: dict[str, Any], of_qnode: Any, expected: int | None
) -> None:
    future = make(QiskitExecutor(**of_executor), shots=of_qnode).run_later(0.3)
    future.result(DEADLINE_S)
    assert future.executions[0].shots == expected


def test_a_shot_vector_gives_a_result_for_each_part() -> None:
    parts = make(QiskitExecutor(shots=[10, 20, 30]))(0.3)
    assert isinstance(parts, tuple)
    assert len(parts) == 3


# --- Jobs -----------------------------------------------------------------------------


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """Two events: the first job has begun, and it may go on."""
    begun, go_on = threading.Event(), threading.Event()
    original = AerMachine.bits

    def bits(self: AerMachine, rows: Any) -> Any:
        begun.set()
        assert go_on.wait(DEADLINE_S)
        return original(self, rows)

    monkeypatch.setattr(AerMachine, "bits", bits)
    yield begun, go_on
    go_on.set()


@pytest.mark.parametrize("single_job", [False, True])
def test_circuits_with_other_shots_share_a_job_only_if_told_to(
    single_job: bool, held: tuple[Any, Any]
) -> None:
    begun, go_on = held
    executor = QiskitExecutor(single_job=single_job, seed=1)
    shots = [500, 500, 1000, 500, 1000]
    circuits = {n: make(executor, shots=n) for n in set(shots)}
    first = circuits[500].run_later(0.0)
    assert begun.wait(DEADLINE_S)
    futures = [circuits[n].run_later(0.1 * n / 100) for n in shots]
    go_on.set()
    for n, future in zip(shots, futures, strict=True):
        mean = np.cos(0.1 * n / 100)
        error = np.sqrt((1 - mean**2) / n)
        assert abs(future.result(DEADLINE_S) - mean) < 5 * error + 1e-9
        assert future.executions[0].shots == n
    jobs = [future.executions[0].job_id for future in futures]
    assert first.result(DEADLINE_S) == 1.0
    if single_job:
        assert len(set(jobs)) == 1
    else:
        assert len({*zip(jobs, shots, strict=True)}) == len(set(jobs)) == 2


@pytest.mark.parametrize("shots", [None, 2000])
def test_a_gradient_is_one_job(shots: Any) -> None:
    def function(params: Any) -> Any:
        for layer in params:
            for wire, angle in enumerate(layer):
                qml.RY(angle, wires=wire)
            for wire in range(3):
                qml.CNOT(wires=[wire, wire + 1])
        return qml.expval(qml.PauliZ(0) @ qml.PauliX(3))

    params = qml.numpy.linspace(0.1, 2, 20).reshape(5, 4)
    params.requires_grad = True
    circuit = make(
        QiskitExecutor(shots=shots, seed=2),
        function=function,
        wires=4,
        diff_method="parameter-shift",
    )
    jobs: list[Any] = []

    def note(event: ct.Event) -> None:
        if event.kind == "completed" and event.execution is not None:
            jobs.append((event.execution.job_id, event.execution.job_size))

    with ct.observe(note):
        gradient = qml.grad(circuit)(params)
    assert sorted(size for _, size in set(jobs)) in ([1, 40], [41])
    exact = qml.QNode(function, qml.device("default.qubit"))
    expected = qml.grad(exact)(params)
    off = 1e-6 if shots is None else 5 / np.sqrt(2 * shots)
    assert np.abs(gradient - expected).max() < off


def test_calls_run_later_and_maps_are_right() -> None:
    circuit = make(QiskitExecutor(shots=None))
    xs = np.linspace(0, 3, 12)
    assert np.allclose(circuit.map(xs), np.cos(xs), atol=1e-8)
    futures = [circuit.run_later(x) for x in xs]
    assert np.allclose(ct.gather(futures), np.cos(xs), atol=1e-8)
    metadata = futures[0].executions[0].metadata
    assert metadata == {"backend": "aer_simulator"}


def test_a_snapshot_says_when_it_was_calibrated() -> None:
    future = make(QiskitExecutor(backend="fake_manila", shots=10)).run_later(0.1)
    future.result(DEADLINE_S)
    assert future.executions[0].metadata["backend"] == "fake_manila"
    assert re.match(r"\d{4}-\d\d-\d\dT", future.executions[0].metadata["calibrated"])


def test_it_shares_a_cluster_with_a_simulator() -> None:
    pytest.importorskip("qelectron_simulator")
    executors = [QiskitExecutor(shots=None), ct.executor.Simulator()]
    circuit = make(ct.QCluster(executors, selector="cyclic"))
    xs = np.linspace(0, 3, 6)
    futures = [circuit.run_later(x) for x in xs]
    assert np.allclose(ct.gather(futures), np.cos(xs), atol=1e-8)
    assert {type(f.executions[0].executor) for f in futures} == set(
        map(type, executors)
    )


def test_a_circuit_that_is_too_wide_is_refused() -> None:
    def function() -> Any:
        for wire in range(7):
            qml.Hadamard(wire)
        return qml.expval(qml.PauliZ(6))

    circuit = make(QiskitExecutor(backend="fake_manila"), function=function, wires=7)
    with pytest.raises(ct.ConfigError, match="7 wires, and fake_manila has 5 qubits"):
        circuit()


# --- Options of IBM's Sampler, here ---------------------------------------------------


def test_options_of_the_sampler_count_on_this_machine() -> None:
    # Readout alone is wrong, the same way for all: twirling makes it symmetric.
    noise = NoiseModel()
    noise.add_all_qubit_readout_error(ReadoutError([[1.0, 0.0], [0.4, 0.6]]))
    machine = AerSimulator(noise_model=noise)
    twirled = {"twirling": {"enable_measure": True, "num_randomizations": 64}}
    plain, other = (
        make(
            QiskitExecutor(backend=machine, options=options, shots=6400, seed=1),
            function=lambda: (qml.X(0), qml.expval(qml.PauliZ(0)))[-1],
        )()
        for options in ({"twirling": {"enable_measure": False}}, twirled)
    )
    sigma = 1 / np.sqrt(6400)
    assert abs(plain - -0.2) < 5 * sigma
    assert abs(other - -0.6) < 5 * sigma


def test_exact_results_and_options_of_samples_exclude_each_other() -> None:
    executor = QiskitExecutor(options={"twirling": {"enable_gates": True}}, shots=None)
    with pytest.raises(ct.ConfigError, match="`options` are for samples"):
        make(executor)(0.1)


# --- Qiskit is imported late, and once ------------------------------------------------


def test_looking_the_executor_up_imports_no_qiskit() -> None:
    program = """
import sys
import qelectron_core as ct
from qelectron_core.formats import dump_executor
from qelectron_core.registry import registry
registry()
made = ct.executor.QiskitExecutor(seed=3)
ct.executor.QiskitExecutor("sampler", "ibm_fez", ibmqx_token="x")
repr(made), hash(made), made.cache_key()
print([name for name in sys.modules if name.startswith("qiskit")])
"""
    assert in_a_process(program) == "[]"


def test_qiskit_outlives_the_thread_that_first_needed_it() -> None:
    program = """
import gc, sys, threading
import pennylane as qml
import qelectron_core as ct

def in_a_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()

made = []

def make():
    assert "qiskit" not in sys.modules
    @ct.qelectron(executors=ct.executor.QiskitExecutor(shots=None))
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x):
        qml.RX(x, wires=0)
        return qml.expval(qml.PauliZ(0))
    made.append(circuit)

def use():
    from qiskit.circuit.library import get_standard_gate_name_mapping
    for _ in range(20):
        get_standard_gate_name_mapping()
    print(round(float(made[0](0.0))))

in_a_thread(make)
gc.collect()
for _ in range(5):
    in_a_thread(use)
use()
"""
    assert in_a_process(program).split() == ["1"] * 6


def test_it_can_be_written_down_and_made_again_in_a_process_that_knows_nothing() -> (
    None
):
    executors = [
        QiskitExecutor(backend="fake_manila", seed=3),
        QiskitExecutor("sampler", "ibm_fez", mode="session", max_time=60),
        QiskitExecutor(options={"twirling": {"enable_gates": True}}, single_job=True),
    ]
    program = (
        "import sys; from qelectron_core.formats import load_executor\n"
        "for text in sys.stdin: print(repr(load_executor(text)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input="\n".join(map(dump_executor, executors)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == list(map(repr, executors))


def test_it_comes_back_from_what_the_journal_shows_of_it() -> None:
    options = {"twirling": {"enable_gates": True}, "x": [1, 2.5]}
    for executor in (
        QiskitExecutor(),
        QiskitExecutor(backend="fake_manila", seed=3, shots=(10, 20)),
        QiskitExecutor("sampler", "ibm_fez", options=options, account="mine"),
        IBMQExecutor("ibm_fez", max_jobs=5),
    ):
        assert load_shown(repr(executor)) == executor
    secret = QiskitExecutor(**AT_IBM, ibmqx_token=TOKEN)
    assert load_shown(repr(secret)) == QiskitExecutor(**AT_IBM)
    with pytest.raises(ct.FormatError):
        load_shown(repr(QiskitExecutor(backend=AerSimulator(shots=7))))


def test_what_would_run_elsewhere_cannot_be_made_of_another_one() -> None:
    expected = r"run elsewhere than the executor that was changed. Make a new"
    with pytest.raises(ct.ConfigError, match=expected):
        attrs.evolve(QiskitExecutor(**AT_IBM), device="local_sampler")
    with pytest.raises(ct.ConfigError, match=expected):
        attrs.evolve(QiskitExecutor(), **AT_IBM)


def test_options_are_kept_as_they_were_given() -> None:
    given = {"environment": {"job_tags": ["a", ["b", 1]], "other": []}, "x": {}}
    assert QiskitExecutor(options=given).options.thaw() == given


def test_noise_of_ibms_local_mode_does_not_repeat_from_basis_to_basis() -> None:
    def both() -> Any:
        qml.Hadamard(0)
        qml.S(0)
        return qml.sample(qml.X(0)), qml.sample(qml.Z(0))

    executor = QiskitExecutor(
        options={"dynamical_decoupling": {"enable": False}}, shots=400, seed=1
    )
    first, second = make(executor, function=both, wires=1)()
    assert 0.3 < np.mean(first == second) < 0.7


def test_an_executor_of_another_process_uses_no_other_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = pickle.dumps(QiskitExecutor(**AT_IBM, ibmqx_token=f"{TOKEN}-unheard-of"))
    monkeypatch.setenv("QISKIT_IBM_TOKEN", f"{TOKEN}-of-somebody-else")
    connection = pickle.loads(data).open()
    with pytest.raises(ct.ConfigError, match="a token does not travel"):
        connection.ask(lambda: connection.service)

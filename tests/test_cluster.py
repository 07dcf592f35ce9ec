"""Clusters: which executor runs which circuit, however `executors=` is written."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import cloudpickle
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core import Executor, Job, Result

Echo = ct.executor.Echo
FIRST, SECOND, THIRD = Echo(value=0.1), Echo(value=0.2), Echo(value=0.3)
DEADLINE_S = 30


def make(executors: Any = None, **options: Any) -> ct.QElectron:
    @ct.qelectron(executors=executors, **options)
    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.PauliZ(0))

    assert isinstance(circuit, ct.QElectron)
    return circuit


def used(circuit: ct.QElectron, x: float = 0.5) -> Executor:
    """Return the executor that the next call is sent to."""
    future = circuit.run_later(x)
    future.result(DEADLINE_S)
    (execution,) = future.executions
    return execution.executor


# --- How executors are written --------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (FIRST, FIRST),
        ([FIRST], FIRST),
        ((FIRST, SECOND), FIRST),
        (ct.QCluster([FIRST, SECOND]), FIRST),
        (ct.QCluster(FIRST), FIRST),
        ("Echo", Echo()),
        ("echo", Echo()),
        (Echo, Echo()),
        (["Echo", FIRST], Echo()),
        ([Echo], Echo()),
        (ct.QCluster("Echo"), Echo()),
        (None, ct.executor.Simulator()),
        ("Simulator", ct.executor.Simulator()),
    ],
    ids=repr,
)
def test_executors_may_be_written_in_many_ways(
    written: Any, expected: Executor
) -> None:
    assert used(make(written)) == expected


def test_the_default_is_ten_threads_of_the_simulator() -> None:
    default = make().executors
    assert default == ct.executor.Simulator(parallel="thread", workers=10)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (3, "3 is not an executor. Expected an executor such as"),
        (int, "<class 'int'> is not an executor"),
        ([FIRST, 3], "3 is not an executor"),
        ({}, r"\{\} is not an executor"),
        ([], "at least one executor"),
    ],
)
def test_what_is_no_executor_is_refused(written: Any, message: str) -> None:
    with pytest.raises(ct.ConfigError, match=message):
        make(written)


def test_an_unknown_name_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {"Nimbus": "qelectron-nimbus"}  # a plugin that is not installed
    monkeypatch.setattr("qelectron_core.errors.KNOWN_DISTRIBUTIONS", known)
    with pytest.raises(ct.UnknownNameError, match="pip install qelectron-nimbus"):
        make("Nimbus")
    with pytest.raises(ct.UnknownNameError, match="Did you mean 'Echo'"):
        make(["Ecko"])


@pytest.mark.parametrize("empty", [[], ()])
def test_a_cluster_needs_an_executor(empty: Any) -> None:
    with pytest.raises(ct.ConfigError, match="at least one executor"):
        ct.QCluster(executors=empty)


def test_a_cluster_is_a_value() -> None:
    assert ct.QCluster([FIRST, SECOND]) == ct.QCluster((FIRST, SECOND), "cyclic")
    assert ct.QCluster([FIRST]) != ct.QCluster([SECOND])
    assert hash(ct.QCluster([FIRST])) == hash(ct.QCluster([FIRST]))
    copy = cloudpickle.loads(cloudpickle.dumps(ct.QCluster([FIRST], selector="random")))
    assert copy == ct.QCluster([FIRST], selector="random")


def test_misspelt_options_of_a_cluster() -> None:
    with pytest.raises(TypeError, match=r"QCluster has no option 'selectr'\. Did you"):
        ct.QCluster([FIRST], selectr="cyclic")  # type: ignore[call-arg]
    with pytest.raises(ct.ConfigError, match="selector=3 is not a selector"):
        ct.QCluster([FIRST], selector=3)  # type: ignore[arg-type]
    with pytest.raises(ct.UnknownNameError, match="no selector named 'cyclick'"):
        make(ct.QCluster([FIRST], selector="cyclick"))


# --- The cyclic order -----------------------------------------------------------------


@pytest.mark.parametrize(
    "executors",
    [[FIRST, SECOND], ct.executors.QCluster([FIRST, SECOND], selector="cyclic")],
    ids=["list", "cluster"],
)
def test_the_order_of_covalents_example(executors: Any) -> None:
    circuit = make(executors)
    events: list[ct.Event] = []
    with ct.observe(events.append):
        result_1 = circuit(0.1)
        future_1 = circuit.run_later(0.1)
        future_2 = circuit.run_later(0.2)
        ct.gather(future_1, future_2)
    assert float(result_1) == 0.1
    submitted = [event.executor for event in events if event.kind == "submitted"]
    assert submitted == [FIRST, SECOND, FIRST]
    assert [f.executions[0].executor for f in (future_1, future_2)] == [SECOND, FIRST]


def test_the_circuits_of_one_call_are_spread_too() -> None:
    @ct.qelectron(executors=[FIRST, SECOND, THIRD])
    @qml.transforms.split_non_commuting
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit() -> Any:
        return [qml.expval(op(0)) for op in (qml.PauliX, qml.PauliY, qml.PauliZ)]

    future = circuit.run_later()
    assert [float(value) for value in future.result(DEADLINE_S)] == [0.1, 0.2, 0.3]
    assert [e.executor for e in future.executions] == [FIRST, SECOND, THIRD]


def test_a_copy_of_a_qelectron_shares_its_turn() -> None:
    import copy

    circuit = make([FIRST, SECOND])
    assert used(circuit) == FIRST
    assert used(copy.copy(circuit)) == SECOND
    assert used(circuit) == FIRST


def test_turns_are_taken_once_each_from_many_threads() -> None:
    circuit, start = make([FIRST, SECOND]), threading.Barrier(4)
    found: list[Executor] = []

    def work() -> None:
        start.wait(DEADLINE_S)
        found.extend(used(circuit) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert (found.count(FIRST), found.count(SECOND)) == (40, 40)


# --- Selectors ------------------------------------------------------------------------


def last(_: Any, executors: Sequence[Any]) -> Any:
    return executors[-1]


class Widest:
    """A selector that is an object."""

    def __call__(self, circuit: Any, executors: Sequence[Any]) -> Any:
        return executors[len(circuit.operations)]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (lambda circuit, executors: executors[int(circuit.data[0] < 1)], SECOND),
        (last, THIRD),
        (Widest(), SECOND),
        (Widest, SECOND),
        (cloudpickle.loads(cloudpickle.dumps(lambda _, ex: ex[2])), THIRD),
        ("cyclic", FIRST),
        (lambda _, __: Echo(value=0.2), SECOND),  # an equal value will do
    ],
    ids=["lambda", "function", "object", "class", "cloudpickle", "name", "equal"],
)
@pytest.mark.parametrize("written", ["cluster", "option"])
def test_a_selector_may_be_any_callable(
    selector: Any, expected: Executor, written: str
) -> None:
    executors = [FIRST, SECOND, THIRD]
    if written == "cluster":
        circuit = make(ct.QCluster(executors, selector=selector))
    else:
        circuit = make(executors, selector=selector)
    assert used(circuit) == expected
    assert float(make(executors, selector=selector)(0.5)) == expected.value  # type: ignore[attr-defined]


def test_a_selector_gets_the_circuit_and_the_executors() -> None:
    seen: list[tuple[Any, Any]] = []

    def spy(circuit: Any, executors: Any) -> Any:
        seen.append((circuit, executors))
        return executors[0]

    make([FIRST, SECOND], selector=spy)(0.7)
    ((circuit, executors),) = seen
    assert isinstance(circuit, qml.tape.QuantumScript)
    assert circuit.operations == [qml.RX(0.7, wires=0)]
    assert executors == [FIRST, SECOND]


def test_a_selector_cannot_change_the_cluster() -> None:
    def greedy(_: Any, executors: Any) -> Any:
        return executors.pop()

    circuit = make([FIRST, SECOND], selector=greedy)
    assert [used(circuit), used(circuit), used(circuit)] == [SECOND] * 3


@pytest.mark.parametrize("stranger", [THIRD, "Echo", None, 0])
def test_what_is_not_in_the_cluster_is_named(stranger: Any) -> None:
    def pick(_: Any, __: Any) -> Any:
        return stranger

    circuit = make([FIRST, SECOND], selector=pick)
    calls: list[Callable[[float], Any]] = [
        circuit,
        lambda x: circuit.run_later(x).result(DEADLINE_S),
    ]
    for call in calls:
        with pytest.raises(ct.SelectorError) as caught:
            call(0.1)
        message = str(caught.value)
        assert f"selector 'pick' returned {stranger!r}" in message
        assert repr([FIRST, SECOND]) in message


def test_a_selector_that_raises_is_named_with_its_error() -> None:
    def picky(_: Any, __: Any) -> Any:
        raise KeyError("price")

    circuit = make([FIRST, SECOND], selector=picky)
    with pytest.raises(
        ct.SelectorError, match=r"selector 'picky' failed: KeyError: 'price'"
    ) as caught:
        circuit(0.1)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_selector_with_the_wrong_arguments_is_told_what_it_is_given() -> None:
    circuit = make([FIRST], selector=lambda circuit: circuit)
    with pytest.raises(ct.SelectorError, match=r"called with \(circuit, executors\)"):
        circuit(0.1)


@pytest.mark.parametrize("executors", [None, FIRST, "Echo", ct.QCluster([FIRST])])
def test_a_selector_needs_a_list_to_choose_from(executors: Any) -> None:
    with pytest.raises(ct.ConfigError, match="needs a list of executors"):
        make(executors, selector="cyclic")


# --- Members --------------------------------------------------------------------------


def test_clusters_nest() -> None:
    inner = ct.QCluster([SECOND, THIRD])
    circuit = make([FIRST, inner])
    assert [used(circuit) for _ in range(5)] == [FIRST, SECOND, FIRST, THIRD, FIRST]


def test_a_list_in_a_list_is_a_cluster_in_a_cluster() -> None:
    circuit = make([[FIRST, SECOND], THIRD])
    assert [used(circuit) for _ in range(4)] == [FIRST, THIRD, SECOND, THIRD]


def test_a_selector_may_choose_a_cluster_of_its_cluster() -> None:
    inner = ct.QCluster([SECOND, THIRD], selector=last)
    assert used(make(ct.QCluster([FIRST, inner], selector=last))) == THIRD


def test_equal_executors_share_the_turns() -> None:
    circuit = make([Echo(value=0.1), Echo(value=0.1), SECOND])
    assert [used(circuit) for _ in range(4)] == [FIRST, FIRST, SECOND, FIRST]


@attrs.frozen
class Met(Executor):
    """Waits until `together` jobs of executors with this barrier run at once."""

    name: str = ""
    barrier: threading.Barrier = attrs.field(factory=lambda: threading.Barrier(2))

    def run(self, job: Job) -> Sequence[Result]:
        self.barrier.wait(DEADLINE_S)
        return [0.0 for _ in job.circuits]


def test_members_run_beside_each_other() -> None:
    barrier = threading.Barrier(2)
    circuit = make([Met(name="a", barrier=barrier), Met(name="b", barrier=barrier)])
    assert [float(value) for value in circuit.map([0.1, 0.2])] == [0.0, 0.0]


def test_the_circuits_of_a_plain_call_run_beside_each_other() -> None:
    barrier = threading.Barrier(2)

    @ct.qelectron(executors=[Met(name=n, barrier=barrier) for n in "ab"])
    @qml.transforms.split_non_commuting
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit() -> Any:
        return qml.expval(qml.PauliX(0)), qml.expval(qml.PauliZ(0))

    assert circuit() == (0.0, 0.0)


def test_members_must_agree_on_the_number_of_results() -> None:
    """One member with a shot vector would change the shape of some results."""
    circuit = ct.qelectron(
        qml.QNode(
            lambda: {"a": qml.expval(qml.PauliZ(0)), "b": qml.expval(qml.PauliX(0))},
            qml.device("default.qubit", wires=1),
        ),
        executors=[ct.executor.Echo(shots=[10, 10]), ct.executor.Echo()],
    )
    for call in (circuit, circuit.run_later):
        with pytest.raises(ct.ConfigError, match="another number of results"):
            call_twice(call)


def call_twice(call: Any) -> None:
    for _ in range(2):
        call()

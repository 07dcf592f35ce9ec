"""The examples of Covalent's page on Quantum Electrons, with only the import changed.

The blocks stand here word for word. What the document leaves open around them (a
device, a body for `...`, some numbers) is put into the namespace they run in. Left
out are those that are workflows, and those with a `QiskitExecutor` (among them the
first example and the declaration of its executors), which their plugins' tests run.
"""

import random
import textwrap
from collections.abc import Iterator
from typing import Any

import pennylane as qml
import pytest

import qelectron_core as ct

IMPORTS = """\
import random
import qelectron_core as ct
import pennylane as qml
"""

DEFAULT_EXECUTOR = """\
# Case 1 - default local QElectron.
@ct.qelectron
@qml.qnode(dev)
def circuit(x):
    ...

# Case 2 - equivalent local QElectron.
simulator_exec = ct.executors.Simulator(parallel="thread", workers=10)

@ct.qelectron(executors=simulator_exec)
@qml.qnode(dev)
def circuit(x):
    ...
"""

CIRCUIT = """\
def circuit(x):
    qml.RX(x, wires=0)
    qml.Hadamard(wires=1)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.PauliY(0))
"""

RUN_LATER = """\
# Immediately submit 6 circuits for concurrent execution.
futures = [circuit.run_later(generate_rand_input()) for _ in range(6)]

# Retrieve results as required.
results = [future.result() for future in futures]

# NOTE: Users can multiply this by using the patten inside multiple Electron.
"""

# The names of the executors are the document's; what they stand for is put in.
LIST_OF_EXECUTORS = """\
# Create a QElectron with a `QCluster` executor.
@ct.qelectron(executors=[qiskit_exec_quito, qiskit_exec_manila])
@qml.qnode(dev)
def circuit(x):
    ...
"""

EXPLICIT_CLUSTER = """\
# Define a `QCluster` over the "ibmq_quito" and "ibmq_manila" backends.
qiskit_cluster = ct.executors.QCluster(
    executors=[qiskit_exec_quito, qiskit_exec_manila],
    selector="cyclic",
)

# Create a QElectron with a `QCluster` executor.
@ct.qelectron(executors=qiskit_cluster)
@qml.qnode(dev)
def circuit(x):
    ...
"""

CYCLIC_ORDER = """\
>>> # normal
>>> result_1 = circuit(x1)  # circuit(s) submitted to "ibmq_quito"
                            # waiting for `result_1` ...

>>> # asynchronous
>>> future_1 = circuit.run_later(x1)  # circuit(s) submitted to "ibmq_manila"
>>> future_2 = circuit.run_later(x2)  # circuit(s) submitted to "ibmq_quito"

>>> result_1 = future_1.result()  # waiting for `result_1` ...
"""

QUITO = ct.executor.Echo(value=0.25)
MANILA = ct.executor.Echo(value=0.5)


def with_body(block: str) -> str:
    """Put the document's own circuit where a block says `...`."""
    body = textwrap.dedent(CIRCUIT.partition("\n")[2])
    return block.replace("    ...\n", textwrap.indent(body, "    "))


def run(*blocks: str, **names: Any) -> dict[str, Any]:
    namespace: dict[str, Any] = dict(names)
    for block in (IMPORTS, *blocks):
        exec(compile(block, "quantum-electrons.md", "exec"), namespace)
    return namespace


def session(block: str) -> str:
    """Turn an interactive session into a script."""
    lines = (line.removeprefix(">>> ") for line in block.splitlines())
    return "\n".join("" if line.startswith(" ") else line for line in lines)


@pytest.fixture
def events() -> Iterator[list[ct.Event]]:
    events: list[ct.Event] = []
    with ct.observe(events.append):
        yield events


@pytest.fixture
def names() -> dict[str, Any]:
    return {
        "dev": qml.device("default.qubit", wires=2),
        "qiskit_exec_quito": QUITO,
        "qiskit_exec_manila": MANILA,
        "generate_rand_input": lambda: random.uniform(0, 3.14159),
        "x1": 0.4,
        "x2": 0.8,
    }


def test_the_two_cases_of_the_default_executor_are_equivalent(
    names: dict[str, Any],
) -> None:
    first, second = with_body(DEFAULT_EXECUTOR).split("# Case 2")
    one = run(first, **names)["circuit"]
    other = run("# Case 2" + second, **names)["circuit"]
    assert one.executors == other.executors
    bare = qml.QNode(one.func, names["dev"])
    assert one(0.7) == pytest.approx(bare(0.7))
    assert other(0.7) == pytest.approx(bare(0.7))
    assert one.run_later(0.7).result() == pytest.approx(bare(0.7))


def test_the_two_cases_run_together_as_they_stand(names: dict[str, Any]) -> None:
    found = run(DEFAULT_EXECUTOR, **names)
    assert found["circuit"].executors == found["simulator_exec"]
    assert isinstance(found["circuit"], ct.QElectron)


def test_the_loop_of_run_later(names: dict[str, Any]) -> None:
    first = with_body(DEFAULT_EXECUTOR).partition("# Case 2")[0]
    found = run(first, RUN_LATER, **names)
    assert len(found["results"]) == 6
    assert all(-1 <= float(result) <= 1 for result in found["results"])
    assert all(isinstance(future, ct.QFuture) for future in found["futures"])


@pytest.mark.parametrize("block", [LIST_OF_EXECUTORS, EXPLICIT_CLUSTER])
def test_a_cluster_as_list_and_explicitly(block: str, names: dict[str, Any]) -> None:
    circuit = run(with_body(block), **names)["circuit"]
    assert circuit.executors == ct.QCluster([QUITO, MANILA], selector="cyclic")
    assert isinstance(run(block, **names)["circuit"], ct.QElectron)


@pytest.mark.parametrize("block", [LIST_OF_EXECUTORS, EXPLICIT_CLUSTER])
def test_the_order_of_the_cyclic_selector(
    block: str, names: dict[str, Any], events: list[ct.Event]
) -> None:
    found = run(with_body(block), session(CYCLIC_ORDER), **names)
    found["future_2"].result()
    submitted = [event.executor for event in events if event.kind == "submitted"]
    assert submitted == [QUITO, MANILA, QUITO]
    assert [e.executor for e in found["future_1"].executions] == [MANILA]
    assert [e.executor for e in found["future_2"].executions] == [QUITO]
    assert float(found["result_1"]) == MANILA.value


def test_a_custom_selector_takes_a_qscript_and_the_executors(
    names: dict[str, Any],
) -> None:
    # The document describes it in words: two positional arguments, one executor back.
    def selector(qscript: Any, executors: Any) -> Any:
        assert isinstance(qscript, qml.tape.QuantumScript)
        assert isinstance(executors, list)
        return executors[int(qscript.data[0] > 0.5)]

    block = with_body(EXPLICIT_CLUSTER).replace('"cyclic"', "custom_selector")
    circuit = run(block, custom_selector=selector, **names)["circuit"]
    assert [float(circuit(x)) for x in (0.4, 0.8, 0.4)] == [0.25, 0.5, 0.25]


@pytest.mark.parametrize("name", ["cyclic", "random"])
def test_the_built_in_selectors(name: str, names: dict[str, Any]) -> None:
    block = with_body(EXPLICIT_CLUSTER).replace('"cyclic"', repr(name))
    circuit = run(block, **names)["circuit"]
    assert {float(value) for value in circuit.map([0.1] * 64)} == {0.25, 0.5}

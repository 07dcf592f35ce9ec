"""The examples of Covalent's page on Quantum Electrons that name a `QiskitExecutor`.

The blocks stand here word for word, but for the import. IBM has switched off the
machines that they name, so that they run on the stand-ins of these. What the document
leaves open around them (a device, a body for `...`, some numbers) is put into the
namespace.
"""

import math
import random
import warnings
from typing import Any

import pennylane as qml
import pytest

import qelectron_core as ct

FIRST = """\
import random
import qelectron_core as ct
import pennylane as qml

# Define a Qiskit Runtime executor.
qiskit_sampler = ct.executor.QiskitExecutor(
\t\tdevice="sampler",
\t\tbackend="ibmq_qasm_simulator",
\t\tsingle_job=False,
)

# Create a QElectron that executes on Qiskit Runtime.
@ct.qelectron(executors=qiskit_sampler)
@qml.qnode(qml.device("default.qubit", wires=2, shots=1024))
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

WORKFLOW = """\
# Create Electrons for a simple workflow.
@ct.electron
def generate_rand_input():
    return random.uniform(0, 3.14159)

@ct.electron
def run_qiskit_experiment(x):
    # Workflow task that uses the `circuit` QElectron.
    return circuit(x)

@ct.lattice
def workflow():
    results = []
\t\t
\t# Six independent experiments.
    for _ in range(6):
        x = generate_rand_input()
        results.append(run_qiskit_experiment(x))

    return results

# Dispatch workflow.
dispatch_id = ct.dispatch(workflow)()
print(dispatch_id)
results = ct.get_result(dispatch_id, wait=True).result
"""

EXECUTORS = """\
# Execute on "ibmq_quito" using Qiskit Runtime's `Sampler` primitive.
qiskit_exec_quito = ct.executor.QiskitExecutor(
    device="sampler",
    shots=1024,
\t\tbackend="ibmq_quito",
\t\tibmqx_token="<token>",  # can be omitted if declared in covalent config.
)

# Execute on "ibmq_manila" ...
qiskit_exec_manila = ct.executor.QiskitExecutor(
    device="sampler",
    shots=1024,
\t\tbackend="ibmq_manila",
\t\tibmqx_token="<token>",  # can be omitted ...
)
"""

MISSPELT = """\
# Execute locally using Qiskit's `Sampler` primitive.
qiskit_exec_local = ct.executor.QiskitExecutor(
    device="local_sampler",
    shsots=1024,
)
"""

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
# normal
result_1 = circuit(x1)  # circuit(s) submitted to "ibmq_quito"
                            # waiting for `result_1` ...

# asynchronous
future_1 = circuit.run_later(x1)  # circuit(s) submitted to "ibmq_manila"
future_2 = circuit.run_later(x2)  # circuit(s) submitted to "ibmq_quito"

result_1 = future_1.result()  # waiting for `result_1` ...
"""

BODY = """\
    qml.RX(x, wires=0)
    qml.Hadamard(wires=1)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.PauliY(0))
"""


def run(*blocks: str, **names: Any) -> dict[str, Any]:
    """Run blocks of the document in one namespace."""
    namespace: dict[str, Any] = {"ct": ct, "qml": qml, **names}
    with warnings.catch_warnings():
        # PennyLane deprecates shots on a device, as in the document.
        warnings.simplefilter("ignore", qml.exceptions.PennyLaneDeprecationWarning)
        for block in blocks:
            exec(compile(block, "quantum-electrons.md", "exec"), namespace)
    return namespace


def with_body(block: str) -> str:
    """Put the document's own circuit where a block says `...`."""
    return block.replace("    ...\n", BODY)


@pytest.fixture
def names() -> dict[str, Any]:
    pytest.importorskip("qelectron_selectors", reason="clusters need a selector")
    with pytest.warns(UserWarning, match="switched off") as told:
        made = run(EXECUTORS, dev=qml.device("default.qubit", wires=2))
    assert ["ibmq_quito" in str(w.message) for w in told] == [True, False]
    assert "backend='fake_manila'" in str(told[1].message)
    return {**made, "x1": 0.4, "x2": 0.8}


def test_the_first_example_runs_without_an_account() -> None:
    with pytest.warns(UserWarning, match="IBM has switched off 'ibmq_qasm_simulator'"):
        found = run(FIRST)
    assert abs(found["circuit"](0.4)) <= 1
    exact = found["circuit"].update(
        executors=ct.executor.QiskitExecutor(backend="aer_simulator", shots=None)
    )
    assert found["circuit"](0.4) == pytest.approx(exact(0.4), abs=5 / 1024**0.5)


def test_the_loop_of_run_later() -> None:
    with pytest.warns(UserWarning, match="switched off"):
        found = run(FIRST)
    names = {"generate_rand_input": lambda: random.uniform(0, 3.14159)}
    results = run(RUN_LATER, circuit=found["circuit"], **names)["results"]
    assert len(results) == 6
    assert all(-1 <= float(result) <= 1 for result in results)


def test_the_workflow_and_the_loop_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("qelectron_dask", reason="workflows come with it")
    with pytest.warns(UserWarning, match="switched off"):
        found = run(FIRST, WORKFLOW)
    assert capsys.readouterr().out == f"{found['dispatch_id']}\n"
    electrons = ct.get_result(found["dispatch_id"]).electrons
    assert len(electrons) == 12
    for drawn, measured in zip(electrons[::2], electrons[1::2], strict=True):
        exact = -math.sin(drawn.result)  # of the circuit, for PauliY on its first wire
        assert float(measured.result) == pytest.approx(exact, abs=5 / 1024**0.5)
    assert found["results"] == [one.result for one in electrons[1::2]]
    again = run(RUN_LATER, **{k: found[k] for k in ("circuit", "generate_rand_input")})
    assert len(again["results"]) == 6


def test_the_misspelt_option_gets_the_error_that_it_deserves() -> None:
    expected = r"QiskitExecutor has no option 'shsots'\. Did you mean 'shots'\?"
    with pytest.raises(TypeError, match=expected):
        run(MISSPELT)
    local = run(MISSPELT.replace("shsots", "shots"))["qiskit_exec_local"]
    assert local == ct.executor.QiskitExecutor(device="local_sampler", shots=1024)


@pytest.mark.parametrize("block", [LIST_OF_EXECUTORS, EXPLICIT_CLUSTER])
def test_a_cluster_as_list_and_explicitly(block: str, names: dict[str, Any]) -> None:
    members = [names["qiskit_exec_quito"], names["qiskit_exec_manila"]]
    circuit = run(with_body(block), **names)["circuit"]
    assert circuit.executors == ct.QCluster(members, selector="cyclic")
    assert "<token>" not in repr(circuit)


@pytest.mark.parametrize("block", [LIST_OF_EXECUTORS, EXPLICIT_CLUSTER])
def test_the_machines_take_turns(block: str, names: dict[str, Any]) -> None:
    events: list[ct.Event] = []
    with ct.observe(events.append):
        found = run(with_body(block), CYCLIC_ORDER, **names)
        found["future_2"].result()
    quito, manila = names["qiskit_exec_quito"], names["qiskit_exec_manila"]
    submitted = [event.executor for event in events if event.kind == "submitted"]
    assert submitted == [quito, manila, quito]
    machines = [e.metadata["backend"] for e in found["future_1"].executions]
    assert machines == ["fake_manila"]

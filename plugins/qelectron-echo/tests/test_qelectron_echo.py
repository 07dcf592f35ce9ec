"""The smallest executor: it answers, counts and refuses as every executor does."""

import pickle
import subprocess
import sys
from typing import Any

import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core.registry import registry
from qelectron_echo.executor import Echo


def make(executor: Echo, **options: Any) -> ct.QElectron:
    @ct.qelectron(executors=executor)
    @qml.qnode(qml.device("default.qubit", wires=2), **options)
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.PauliZ(0))

    return circuit


def test_the_plugin_offers_it_by_name() -> None:
    (plugin,) = (p for p in registry().plugins if p.name == "echo")
    assert plugin.error is None
    assert plugin.names("executor") == ["Echo"]
    assert ct.executor.Echo is Echo
    assert ct.executors.Echo is Echo


def test_finding_the_plugin_does_not_import_its_executor() -> None:
    code = (
        "import sys, qelectron_core as ct; assert 'Echo' in dir(ct.executor); "
        "assert 'qelectron_echo.executor' not in sys.modules; "
        "assert 'pennylane' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_it_is_a_value() -> None:
    assert Echo(value=0.5) == Echo(value=0.5)
    assert Echo(value=0.5) != Echo(value=0.6)
    assert hash(Echo(value=0.5)) == hash(Echo(value=0.5))
    assert pickle.loads(pickle.dumps(Echo(value=0.5, shots=3))) == Echo(
        value=0.5, shots=3
    )
    assert repr(Echo(value=0.5)) == "Echo(value=0.5)"


def test_it_answers_calls_futures_and_maps() -> None:
    circuit = make(Echo(value=0.5))
    assert float(circuit(0.1)) == 0.5
    assert float(circuit.run_later(0.1).result(timeout=30)) == 0.5
    assert [float(r) for r in circuit.map([0.1, 0.2, 0.3])] == [0.5, 0.5, 0.5]


def test_it_answers_every_measurement() -> None:
    @ct.qelectron(executors=Echo(value=0.25))
    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit() -> Any:
        return qml.expval(qml.PauliZ(0)), qml.expval(qml.PauliZ(1))

    assert circuit() == (0.25, 0.25)


def test_it_answers_once_per_entry_of_a_shot_vector() -> None:
    circuit = make(Echo(value=0.5), shots=(10, 10, 20))
    assert [float(value) for value in circuit(0.1)] == [0.5, 0.5, 0.5]


def test_its_job_takes_the_latency_it_was_given() -> None:
    future = make(Echo(value=1.0, latency_s=0.05)).run_later(0.1)
    assert float(future.result(timeout=30)) == 1.0
    (execution,) = future.executions
    assert execution.duration_s >= 0.05
    assert execution.executor == Echo(value=1.0, latency_s=0.05)


def test_circuits_that_wait_leave_as_one_job() -> None:
    circuit = make(Echo(value=1.0, latency_s=0.2))
    futures = [circuit.run_later(0.1) for _ in range(20)]
    ct.gather(futures)
    assert len({f.executions[0].job_id for f in futures}) <= 5


def test_a_misspelt_option_names_the_right_one() -> None:
    with pytest.raises(TypeError, match=r"'latency'\. Did you mean 'latency_s'"):
        Echo(latency=1.0)  # type: ignore[call-arg]


@pytest.mark.parametrize("method", ["backprop", "adjoint"])
def test_it_offers_no_derivatives_of_its_own(method: str) -> None:
    with pytest.raises(ct.ConfigError, match=rf"'{method}' .*Echo.*'parameter-shift'"):
        make(Echo(), diff_method=method)

"""QElectrons inside tasks of Dask."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_dask.connection import connect
from qelectron_dask.executor import DaskExecutor

sys.path.insert(0, str(Path(__file__).parent))

from dask_executors import Alone, Local, shared  # beside this file


@pytest.fixture(scope="module")
def client() -> Any:
    return shared().client


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    ct.shutdown()


def make(executor: Any) -> ct.QElectron:
    @ct.qelectron(executors=executor)
    @qml.qnode(qml.device("default.qubit", wires=1), diff_method="parameter-shift")
    def circuit(x: Any) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    return circuit


def asked(how: str) -> Callable[[Any, float], float]:
    """Return a function that asks a QElectron, in one way; it travels as it is."""

    def call(circuit: Any, x: float) -> float:
        return float(circuit(x))

    def later(circuit: Any, x: float) -> float:
        return float(circuit.run_later(x).result(timeout=60))

    def gradient(circuit: Any, x: float) -> float:
        import pennylane

        return float(pennylane.grad(circuit)(pennylane.numpy.array(x)))

    return {"call": call, "run_later": later, "gradient": gradient}[how]


@pytest.mark.parametrize("how", ["call", "run_later", "gradient"])
@pytest.mark.parametrize("inside", ["dask", "local"])
def test_they_work_inside_tasks_that_fill_the_cluster(
    client: Any, how: str, inside: str
) -> None:
    circuit = make({"dask": DaskExecutor(Local(), client), "local": Local()}[inside])
    xs = [0.1 * n for n in range(8)]
    futures = [client.submit(asked(how), circuit, x, pure=False) for x in xs]
    found = [future.result(timeout=120) for future in futures]
    expected = -np.sin(xs) if how == "gradient" else np.cos(xs)
    assert np.allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("place", ["same", "none"])
def test_inside_a_task_circuits_run_where_it_is(client: Any, place: str) -> None:
    def task(circuit: Any) -> tuple[int, int]:
        import os

        future = circuit.run_later(0.1)
        future.result(timeout=60)
        return future.executions[0].metadata["pid"], os.getpid()

    executor = (
        DaskExecutor(Alone(), client)
        if place == "same"
        else DaskExecutor(Alone(), workers=2)
    )
    there, here = client.submit(task, make(executor), pure=False).result(timeout=60)
    assert there == here != os.getpid()


def test_inside_a_task_of_another_cluster_circuits_go_to_theirs(
    client: Any, tmp_path: Path
) -> None:
    def task(circuit: Any) -> tuple[int, int]:
        import os

        future = circuit.run_later(0.1)
        future.result(timeout=60)
        return future.executions[0].metadata["pid"], os.getpid()

    def pid() -> int:
        import os

        return os.getpid()

    def believe(certificates: dict[str, str]) -> None:
        """Let a worker connect elsewhere, as its user would."""
        import dask

        dask.config.set(
            {f"distributed.comm.tls.{k}": v for k, v in certificates.items()}
        )

    lease = connect(DaskExecutor(Local(), workers=1))
    security = lease.client.security
    kept = {
        "ca-file": security.tls_ca_file,
        "client.cert": security.tls_client_cert,
        "client.key": security.tls_client_key,
    }
    for name, text in kept.items():
        (tmp_path / name).write_text(text)
    client.run(believe, {name: str(tmp_path / name) for name in kept})
    try:
        circuit = make(DaskExecutor(Alone(), lease.client))
        there, here = client.submit(task, circuit, pure=False).result(timeout=120)
        assert here in client.run(pid).values()
        assert there in lease.client.run(pid).values()
    finally:
        lease.release()


def test_outside_of_tasks_circuits_go_to_the_cluster(client: Any) -> None:
    executor = DaskExecutor(Local(), client)
    assert executor.here() is executor

"""What happens when workers, or the scheduler, are lost or lack what is needed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pennylane as qml
import pytest
from distributed import Client, Security

import qelectron_core as ct
from qelectron_dask.connection import connect
from qelectron_dask.errors import (
    ClusterLostError,
    NoWorkerError,
    WorkerDiedError,
    WorkerSetupError,
)
from qelectron_dask.executor import DaskExecutor
from qelectron_dask.local import LocalCluster
from qelectron_dask.versions import own_versions, require_same

sys.path.insert(0, str(Path(__file__).parent))

from dask_executors import Failing, Local, shared  # beside this file


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    ct.shutdown()


@pytest.fixture(scope="module")
def client() -> Any:
    return shared().client


# What is sent travels by value only where it is defined within a function.


def pid() -> Any:
    """Return what returns its process, for `Client.run`."""

    def own() -> int:
        import os

        return os.getpid()

    return own


def make(executor: Any) -> ct.QElectron:
    @ct.qelectron(executors=executor)
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    return circuit


def test_a_worker_that_is_killed_loses_nothing(client: Any) -> None:
    circuit = make(DaskExecutor(Local(fused=1, latency_s=0.002), workers=2))
    xs = np.linspace(0.0, 3.0, 2000)
    futures = [circuit.run_later(float(x)) for x in xs]
    next(iter(ct.as_completed(futures))).result(timeout=120)
    victim = next(iter(client.run(pid()).values()))
    os.kill(victim, signal.SIGKILL)
    assert not all(future.done() for future in futures)
    results = ct.gather(futures)
    assert np.allclose(results, np.cos(xs), atol=1e-12)
    assert [len(future.executions) for future in futures] == [1] * 2000
    assert {future.executions[0].attempt for future in futures} == {1}
    client.wait_for_workers(2, timeout=60)
    assert victim not in client.run(pid()).values()


def test_circuits_that_kill_every_worker_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    dies = pytest.raises(WorkerDiedError, match=r"1 workers died.*the same 1 circ")
    with DaskExecutor(Failing("kill"), workers=1) as executor, dies:
        make(executor)(0.1)


def test_a_scheduler_that_is_lost_is_told_and_replaced() -> None:
    executor = DaskExecutor(Local(fused=1, latency_s=0.004), workers=1)
    with executor:
        circuit = make(executor)
        xs = np.linspace(0.0, 3.0, 1000)
        futures = [circuit.run_later(float(x)) for x in xs]
        next(iter(ct.as_completed(futures))).result(timeout=120)
        lease = connect(executor)
        scheduler = lease.client.run_on_scheduler(pid())
        lease.release()
        os.kill(scheduler, signal.SIGKILL)
        outcomes = ct.gather(futures, return_exceptions=True)
        lost = [one for one in outcomes if isinstance(one, Exception)]
        assert 0 < len(lost) < 1000
        assert {type(one) for one in lost} == {ClusterLostError}
        assert "was lost while" in str(lost[0])
        for x, outcome in zip(xs, outcomes, strict=True):
            assert isinstance(outcome, Exception) or np.isclose(outcome, np.cos(x))
        assert np.isclose(circuit(0.5), np.cos(0.5))


@pytest.mark.parametrize("protocol", ["tls", "tcp"])
def test_nobody_uses_the_local_cluster_without_its_certificate(
    client: Any, protocol: str
) -> None:
    address = client.scheduler.address.replace("tls", protocol)
    stranger = {"security": Security.temporary()} if protocol == "tls" else {}
    with pytest.raises(OSError, match=r"Timed out|closed|certificate|CommClosed"):
        Client(address, timeout=2, set_as_default=False, **stranger)
    assert client.submit(sum, [1, 2], pure=False).result(timeout=60) == 3


def test_a_scheduler_that_is_not_there_is_told_in_time() -> None:
    executor = DaskExecutor(Local(), "tcp://127.0.0.1:9", connect_s=0.5)
    with pytest.raises(ClusterLostError, match=r"no Dask scheduler answers.*0\.5 s"):
        make(executor)(0.1)


def test_a_cluster_without_workers_is_told_in_time() -> None:
    cluster = LocalCluster(0, 60.0)
    try:
        executor = DaskExecutor(Local(), cluster, connect_s=1.5)
        with pytest.raises(NoWorkerError, match=r"has no worker, and none came"):
            make(executor)(0.1)
    finally:
        ct.shutdown()
        cluster.close()


def test_a_worker_that_comes_late_is_waited_for() -> None:
    """Clusters that adapt to what waits start with none."""
    cluster = LocalCluster(0, 60.0)
    try:
        executor = DaskExecutor(Local(), cluster)
        future = make(executor).run_later(0.1)
        lease = connect(executor)
        lease.client.run_on_scheduler(_start_worker())
        assert np.isclose(future.result(timeout=60), np.cos(0.1))
        assert lease.n_threads == 3
        assert executor.concurrency == 6
        lease.release()
    finally:
        ct.shutdown()
        cluster.close()


def _start_worker() -> Any:
    """Return what starts a worker beside a scheduler."""

    async def start(dask_scheduler: Any) -> None:
        from distributed import Worker

        await Worker(
            dask_scheduler.address,
            nthreads=3,
            security=dask_scheduler.security,
            dashboard_address="127.0.0.1:0",
        )

    return start


def test_a_job_that_takes_too_long_leaves_the_cluster(client: Any) -> None:
    slow = DaskExecutor(Local(latency_s=5.0), workers=2, timeout_s=0.3)
    with pytest.raises(ct.ExecutorTimeoutError, match=r"within 0\.3 s"):
        make(slow)(0.1)
    assert np.isclose(make(DaskExecutor(Local(), workers=2))(0.1), np.cos(0.1))


@pytest.mark.parametrize("package", ["pennylane", "python", "qelectron-core"])
def test_other_versions_on_a_worker_are_refused(
    client: Any, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    theirs, ours = own_versions()[package], {**own_versions(), package: "9.9.1"}
    monkeypatch.setattr("qelectron_dask.session.own_versions", lambda: ours)
    expected = f"'tls://127.0.0.1:.*has {package} {theirs}, and the caller has 9.9.1"
    with pytest.raises(WorkerSetupError, match=expected):
        make(DaskExecutor(Local(), workers=2))(0.1)


def test_a_version_that_mends_mistakes_is_only_told(
    caplog: pytest.LogCaptureFixture, client: Any
) -> None:
    del client
    major, minor, *_ = own_versions()["pennylane"].split(".")
    for _ in range(3):
        require_same({**own_versions(), "pennylane": f"{major}.{minor}.77"})
    (record,) = caplog.records
    assert f"and the caller has {major}.{minor}.77. That should do." in record.message


def test_what_a_worker_lacks_is_named(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster looked for modules before there was this one."""
    (tmp_path / "qelectron_acme.py").write_text(
        "import attrs, qelectron_core as ct\n"
        "@attrs.frozen\n"
        "class Acme(ct.Executor):\n"
        "    def run(self, job): return [0.0] * len(job)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import qelectron_acme  # type: ignore[import-not-found]  # written just now

    executor = DaskExecutor(qelectron_acme.Acme(), workers=2)
    expected = r"'tls://127.*'qelectron_acme'.*pip install qelectron-acme"
    with pytest.raises(WorkerSetupError, match=expected):
        make(executor)(0.1)


def test_a_worker_without_the_plugin_is_named() -> None:
    with DaskExecutor(Local(), workers=1) as executor:
        lease = connect(executor)
        lease.client.run(_hide_plugin())
        with pytest.raises(
            WorkerSetupError, match=r"'tls.*cannot import 'qelectron_dask.*pip in"
        ):
            make(executor)(0.1)
        lease.release()


def _hide_plugin() -> Any:
    """Return what makes a worker one without the plugin."""

    def hide() -> None:
        import sys

        sys.modules["qelectron_dask.worker"] = None  # type: ignore[assignment]

    return hide

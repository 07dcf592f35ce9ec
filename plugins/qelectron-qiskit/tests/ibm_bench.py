"""What the tests of the way to IBM share: a server, an executor on it, a circuit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pennylane as qml
import pytest
from ibm_server import IBMServer

import qelectron_core as ct
from qelectron_qiskit.executor import QiskitExecutor
from qelectron_qiskit.ibm import executor as ibm
from qelectron_qiskit.ibm import service
from qelectron_qiskit.ibm.executor import IBMExecutor

#: Where the client looks for saved accounts, and for a token.
_ACCOUNTS = "qiskit_ibm_runtime.accounts.management._DEFAULT_ACCOUNT_CONFIG_JSON_FILE"
_VARIABLES = ("TOKEN", "INSTANCE", "URL", "CHANNEL")
PREMIUM, OPEN = "premium-instance", "open-instance"
#: Five standard errors of a mean of 1024 signs.
NOISE = 5 / 32


@contextmanager
def serving(
    monkeypatch: pytest.MonkeyPatch, folder: Path, **options: Any
) -> Iterator[IBMServer]:
    """Serve, so that the client of this process finds this server, and no account.

    Where the executor waits for IBM on a worker thread, it then waits for nothing.
    """
    for name in _VARIABLES:
        monkeypatch.delenv(f"QISKIT_IBM_{name}", raising=False)
    monkeypatch.setenv("QELECTRON_CONFIG", str(folder / "config.toml"))
    monkeypatch.setattr(_ACCOUNTS, str(folder / "accounts.json"))
    monkeypatch.setattr(ibm, "LOOK_AGAIN_S", (0.0, 0.0))
    monkeypatch.setattr(service, "CLOSE_AGAIN_S", (0.0, 0.0))
    with IBMServer(**{"seed": 3} | options) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        try:
            yield server
        finally:
            server.calm()
            ct.shutdown()


@attrs.frozen
class QuickExecutor(IBMExecutor):
    """An executor that asks often, for tests that run in real time."""

    @property
    def polling(self) -> ct.Polling:
        return ct.Polling(first_s=0.02, longest_s=0.2, give_up_s=20)


def executor_at(
    server: IBMServer,
    *,
    backend: str = "ibm_small",
    instance: str | None = PREMIUM,
    kind: Callable[..., Any] = QiskitExecutor,
    **options: Any,
) -> Any:
    """Return an executor on a machine of the server."""
    crn = None if instance is None else server.instances[instance]
    account: dict[str, Any] = {"ibmqx_token": server.token, "url": server.url}
    return kind("sampler", backend, **account | {"instance": crn} | options)


def turn(x: float) -> Any:
    """Return an expectation value of cos(x)."""
    qml.RX(x, wires=0)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.Z(1))


def electron_on(
    executors: Any, function: Callable[..., Any] = turn, wires: int = 2, **options: Any
) -> ct.QElectron:
    """Return a QElectron of a function on executors."""
    own = {name: options.pop(name) for name in ("cache", "store") if name in options}
    qnode = qml.QNode(function, qml.device("default.qubit", wires=wires), **options)
    electron: ct.QElectron = ct.qelectron(qnode, executors=executors, **own)
    return electron


def exact(function: Callable[..., Any] = turn, wires: int = 2) -> Any:
    """Return the bare QNode of a function, without shots."""
    return qml.QNode(function, qml.device("default.qubit", wires=wires))


def wait_until(condition: Callable[[], Any]) -> None:
    """Wait until something has happened at the server."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 30 s"
        time.sleep(0.005)

"""PennyLane's recording is per thread, and its failure is noticed."""

import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core import recording

STRESS = Path(__file__).parent / "stress.py"


def run_stress(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the stress program in a process of its own."""
    command = [sys.executable, str(STRESS), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
def test_stress(device: str) -> None:
    """Eight threads, 4,000 circuits, and a main thread that builds others."""
    finished = run_stress(device, "3000")
    assert finished.returncode == 0, finished.stdout + finished.stderr[-2000:]
    assert finished.stdout.startswith("0 errors")


def test_stress_fails_without_per_thread_recording() -> None:
    """The stress test notices when this module is off: it errs or it hangs."""
    assert run_stress("default.qubit", "2000", "off").returncode != 0


def test_threads_record_apart() -> None:
    """While one thread records, another records its own circuit."""
    recording.install()
    inside, release = threading.Event(), threading.Event()
    found: list[Any] = []

    def record() -> None:
        with qml.queuing.AnnotatedQueue() as queue:
            qml.PauliX("there")
            inside.set()
            release.wait(timeout=20)
            qml.PauliY("there")
        found.extend(queue.queue)

    thread = threading.Thread(target=record)
    with qml.queuing.AnnotatedQueue() as here:
        qml.PauliX("here")
        thread.start()
        assert inside.wait(timeout=20)
        with qml.QueuingManager.stop_recording():
            qml.PauliZ("nowhere")
        qml.PauliY("here")
        release.set()
        thread.join(timeout=20)
    assert here.queue == [qml.PauliX("here"), qml.PauliY("here")]
    assert found == [qml.PauliX("there"), qml.PauliY("there")]


def test_a_circuit_called_inside_another_is_not_recorded_into_it() -> None:
    """A QElectron called while a circuit is being recorded leaves no trace."""

    @ct.qelectron
    @qml.qnode(qml.device("default.qubit", wires=1))
    def inner(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.PauliZ(0))

    with qml.queuing.AnnotatedQueue() as queue:
        qml.RY(inner(0.0), wires=0)
        future = inner.run_later(0.0)
        qml.RZ(future.result(timeout=30), wires=0)
    assert queue.queue == [qml.RY(1.0, wires=0), qml.RZ(1.0, wires=0)]


FALLBACK = """
    import warnings
    import pennylane as qml
    from pennylane import queuing
    {damage}
    import qelectron_core as ct
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        @ct.qelectron
        @qml.qnode(qml.device("default.qubit", wires=2), diff_method="parameter-shift")
        def circuit(x):
            qml.adjoint(qml.RX(x, wires=0))
            return qml.expval(qml.PauliZ(0))

        from qelectron_core import recording
        assert recording.install() is False
    assert "one thread at a time" in str(caught[0].message), caught
    futures = [circuit.run_later(0.1 * k) for k in range(20)]
    values = [f.result(timeout=60) for f in futures]
    assert values == [circuit(0.1 * k) for k in range(20)] == circuit.map(
        [0.1 * k for k in range(20)]
    )
    import numpy as np
    assert np.allclose(values, np.cos(0.1 * np.arange(20)))
    x = qml.numpy.array(0.3, requires_grad=True)
    assert np.isclose(qml.grad(circuit)(x), -np.sin(0.3))
    assert isinstance(queuing.AnnotatedQueue._lock, type(threading.RLock()))
"""


def test_undo_restores_pennylane() -> None:
    """A failed self-check leaves PennyLane as it was, and the results right."""
    program = "import threading\n" + textwrap.dedent(FALLBACK).format(
        damage=(
            "import qelectron_core.recording as r\n"
            "r._check = lambda queuing: 'a later release'"
        )
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr


def test_the_self_check_notices_a_shared_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were contexts shared between threads again, the check would say so."""
    recording.install()

    class Shared(list[Any]):
        """One stack for all threads, as PennyLane has it."""

        def suspend(self) -> list[Any]:
            contexts = self[:]
            self.clear()
            return contexts

        def resume(self, contexts: list[Any]) -> None:
            self[:] = contexts

    monkeypatch.setattr(qml.QueuingManager, "_active_contexts", Shared())
    assert recording._check(qml.queuing) is not None


def test_installing_while_recording_is_stopped() -> None:
    """A QElectron made inside `stop_recording` works after it."""
    program = """
        import pennylane as qml
        import qelectron_core as ct

        def function(x):
            qml.RX(x, wires=0)
            return qml.expval(qml.PauliZ(0))

        with qml.QueuingManager.stop_recording():
            circuit = ct.qelectron(qml.QNode(function, qml.device("default.qubit")))
        assert circuit(0.0) == circuit.run_later(0.0).result(timeout=60) == 1.0
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr

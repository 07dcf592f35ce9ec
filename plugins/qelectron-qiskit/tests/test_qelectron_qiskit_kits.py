"""What runs here keeps every promise of an executor."""

from typing import Any

from qiskit.providers import BackendV2, Options
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

from qelectron_core.testing import ExecutorConformance
from qelectron_qiskit.executor import QiskitExecutor


def a_little_noise() -> Any:
    noise = NoiseModel()
    noise.add_all_qubit_readout_error(ReadoutError([[0.99, 0.01], [0.02, 0.98]]))
    noise.add_all_qubit_quantum_error(depolarizing_error(0.002, 2), ["cx"])
    return AerSimulator(noise_model=noise)


class Elsewhere(BackendV2):
    """A backend that is not Aer, for all that the plugin knows of it."""

    def __init__(self) -> None:
        super().__init__(name="elsewhere")
        self._aer = AerSimulator(n_qubits=5)

    @property
    def target(self) -> Any:
        return self._aer.target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> Any:
        return Options()

    def run(self, run_input: Any, **options: Any) -> Any:
        return self._aer.run(run_input, **options)


NOISY = a_little_noise()
#: In place of a rule that takes long, and is shown by the first kit.
ABOVE = None
ELSEWHERE = Elsewhere()


class TestExact(ExecutorConformance):
    def make(self) -> QiskitExecutor:
        return QiskitExecutor(shots=None)


class TestSampled(ExecutorConformance):
    test_e04_reaches_another_process = ABOVE  # type: ignore[assignment]

    def make(self) -> QiskitExecutor:
        return QiskitExecutor(seed=1)


class TestFakeMachine(ExecutorConformance):
    test_e04_reaches_another_process = ABOVE  # type: ignore[assignment]
    noise = 0.12

    def make(self) -> QiskitExecutor:
        return QiskitExecutor(backend="fake_manila")


class TestGivenSimulator(ExecutorConformance):
    test_e04_reaches_another_process = ABOVE  # type: ignore[assignment]
    noise = 0.06

    def make(self) -> QiskitExecutor:
        return QiskitExecutor(backend=NOISY)


class TestOtherBackend(ExecutorConformance):
    test_e04_reaches_another_process = ABOVE  # type: ignore[assignment]

    def make(self) -> QiskitExecutor:
        return QiskitExecutor(backend=ELSEWHERE)

"""The experiment of the demo: the CHSH value S of a Bell pair.

Alice and Bob each measure half of a Bell pair along one of two directions. With
neighbouring directions an angle θ apart, in the order a, b, a', b',

    S = E(a, b) + E(a', b) + E(a', b') - E(a, b') = 3 cos θ - cos 3θ,

where E is the mean product of their outcomes. No local hidden variables exceed
|S| = 2 (doi:10.1103/PhysRevLett.23.880); quantum mechanics reaches 2√2 at 45°
(doi:10.1007/BF00417500).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import attrs
import numpy as np
import pennylane as qml
from numpy.typing import NDArray

import qelectron_core as ct
from qelectron_core.contracts import Executor, Job
from qelectron_core.errors import PluginLoadError
from qelectron_core.registry import registry

CLASSICAL_BOUND: Final = 2.0
TSIRELSON_BOUND: Final = 2 * math.sqrt(2)

#: Correlators of S: directions of Alice and Bob in units of θ, and the sign.
SETTINGS: Final = ((0, 1, 1), (2, 1, 1), (2, 3, 1), (0, 3, -1))


@attrs.frozen
class Noisy(Executor):
    """Adds noise to circuits and lets another executor run them.

    Attributes:
        inner: Executor that runs the circuits; it must know channels.
        depolarizing: Probability that a CNOT depolarizes one of its wires.
        readout: Probability that a measured bit is read wrongly.
    """

    inner: Executor
    depolarizing: float = 0.03
    readout: float = 0.01

    @property
    def concurrency(self) -> int | None:
        """As many jobs at once as the inner executor runs."""
        return self.inner.concurrency

    @property
    def visibility(self) -> float:
        """Factor by which the noise lowers each correlator."""
        return (1 - 4 * self.depolarizing / 3) ** 2 * (1 - 2 * self.readout) ** 2

    def gathers(self, circuit: Any) -> bool:
        """Ask the inner executor."""
        return self.inner.gathers(circuit)

    def open(self) -> Any:
        """Open the inner executor."""
        return self.inner.open()

    def close(self, resource: Any) -> None:
        """Close the inner executor."""
        self.inner.close(resource)

    def for_device(self, device: Any) -> Noisy:
        """Adapt the inner executor."""
        return attrs.evolve(self, inner=self.inner.for_device(device))

    def run(self, job: Job) -> Sequence[Any]:
        """Add the noise and run."""
        model = self._model()
        noisy = tuple(
            qml.noise.add_noise(circuit, model)[0][0] for circuit in job.circuits
        )
        return self.inner.run(attrs.evolve(job, circuits=noisy))

    def _model(self) -> Any:
        def depolarize(op: Any, **_: Any) -> None:
            for wire in op.wires:
                qml.DepolarizingChannel(self.depolarizing, wire)

        def misread(measurement: Any, **_: Any) -> None:
            for wire in measurement.wires:
                qml.BitFlip(self.readout, wire)

        return qml.NoiseModel(
            {qml.noise.op_eq(qml.CNOT): depolarize},
            meas_map={qml.noise.meas_eq(qml.expval): misread},
        )


@attrs.frozen(eq=False)
class Curve:
    """S over the angle, as one executor found it.

    Attributes:
        label: Name of the executor.
        values: S per angle.
        errors: Standard error of S per angle; 0 where it is exact.
    """

    label: str
    values: NDArray[np.float64]
    errors: NDArray[np.float64]

    @property
    def peak(self) -> int:
        """Position of the largest |S|, the first of those that rounding parts."""
        return int(np.argmax(np.abs(self.values).round(9)))


def members(shots: int, seed: int | None) -> dict[str, Executor]:
    """Return the executors of the cluster by name: two, and those of more plugins.

    Args:
        shots: Shots per circuit of those that sample.
        seed: Seeds their samples; `None` differs every time.
    """
    simulator = ct.executor.Simulator
    mixed = simulator(device="default.mixed")
    found: dict[str, Executor] = {
        "exact": simulator(shots=None),
        "noisy": Noisy(mixed, shots=shots, seed=seed),
    }
    for registration in registry().registrations("executor").values():
        with suppress(PluginLoadError):  # which `qelectron plugins` is there to tell
            kind = registration.resolve()
            if isinstance(kind, type) and issubclass(kind, Executor):
                found.update(kind.for_demo(shots=shots, seed=seed))
    return found


def angles(count: int) -> NDArray[np.float64]:
    """Return angles θ in radians, equally spaced in [0, π)."""
    return np.arange(count) * math.pi / count


def exact_value(theta: Any) -> Any:
    """Return S of a perfect Bell pair, for θ in radians."""
    return 3 * np.cos(theta) - np.cos(3 * theta)


def dispatch(
    thetas: Sequence[float] | NDArray[np.float64],
    executors: Mapping[str, Executor],
    *,
    cache: ct.CacheMode | None = None,
) -> list[ct.QFuture]:
    """Start every correlator at every angle, once per executor.

    The cyclic selector gives equal neighbours to different executors, so that
    each of them gets each circuit. One `run_later` per circuit: what gathers
    while an executor is busy leaves as one job.

    Args:
        thetas: Angles in radians.
        executors: Executors by name.
        cache: Whether kept results are reused; see `qelectron`.
    """
    cluster = ct.QCluster(executors=list(executors.values()), selector="cyclic")

    @ct.qelectron(executors=cluster, cache=cache)
    @qml.qnode(qml.device("default.qubit", wires=2), diff_method=None)
    def correlator(alice: float, bob: float) -> Any:
        qml.Hadamard(0)
        qml.CNOT([0, 1])
        qml.RY(-alice, 0)
        qml.RY(-bob, 1)
        return qml.expval(qml.Z(0) @ qml.Z(1))

    return [
        correlator.run_later(float(a * theta), float(b * theta))
        for theta in thetas
        for a, b, _ in SETTINGS
        for _ in executors
    ]


def curves(
    futures: Sequence[ct.QFuture], executors: Mapping[str, Executor]
) -> list[Curve]:
    """Put finished correlators together to one curve per executor.

    Which executor a number came from is read off its future, not assumed.
    """
    made = []
    for label, executor in executors.items():
        own = [f for f in futures if f.executions[0].executor == executor]
        means = np.array([float(f.result()) for f in own]).reshape(-1, len(SETTINGS))
        shots = own[0].executions[0].shots
        # The outcomes are ±1, so that their variance is 1 - E².
        variances = (1 - means**2) / (shots - 1) if shots else 0 * means
        signs = np.array([sign for *_, sign in SETTINGS])
        errors = np.sqrt(np.clip(variances, 0, None).sum(axis=1))
        made.append(Curve(label, means @ signs, errors))
    return made

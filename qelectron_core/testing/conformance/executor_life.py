"""Executor rules E22 to E26: threads, opening and closing, and QElectrons."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final

import pennylane as qml

from qelectron_core.contracts import Executor
from qelectron_core.testing.conformance.circuits import certain_circuits, circuit
from qelectron_core.testing.conformance.executor_kit import ExecutorKit
from qelectron_core.testing.conformance.reference import evaluate, mismatch
from qelectron_core.testing.conformance.rules import calling, require, rule
from qelectron_core.testing.conformance.threads import in_thread, together

#: Threads that run jobs at once, if so many may.
_THREADS: Final = 4


class LifeRules(ExecutorKit):
    """Used by many, opened, closed, and used again.

    Attributes:
        rounds: How often threads meet, to give races a chance.
    """

    rounds: ClassVar[int] = 5

    @rule
    def test_e22_is_safe_from_threads(self) -> None:
        """Jobs that run at once give what they give one after the other."""
        bound = self.bind()
        at_once = min(bound.concurrency or _THREADS, _THREADS)
        jobs = [self._job_of_thread(bound, number) for number in range(at_once)]
        wanted = [evaluate(job) for job in jobs]
        with self._sessions(bound, at_once) as sessions:
            for _ in range(self.rounds):
                with calling(f"{at_once} jobs at once"):
                    done = together(at_once, lambda n: sessions[n].results(jobs[n]))
                if bound.capabilities.computes:
                    self._require_each(jobs, wanted, done)

    @rule
    def test_e23_moves_between_threads(self) -> None:
        """What `open` made in one thread may be used and closed in others."""
        bound = self.bind()
        circuits = self.taken(bound, self.make_circuits(), self.main_shots(bound))
        opened = self.open(bound)
        with calling("run, in another thread than open"):
            in_thread(opened.results, circuits[:1]).result()
        with calling("close, in another thread than open"):
            in_thread(opened.close).result()

    @rule
    def test_e24_closes_one_of_several(self) -> None:
        """Closing what one `open` made leaves what another one made in use."""
        bound = self.bind()
        circuits = self.taken(bound, self.make_circuits(), self.main_shots(bound))[:1]
        with self.session(bound) as kept:
            with self.session(bound) as closed:
                closed.results(circuits)
            kept.results(circuits)
        with self.session(bound) as again:
            again.results(circuits)

    @rule
    def test_e25_works_again_after_with(self) -> None:
        """After a `with` block closed it, it is used again; nothing stays open."""
        executor = self.make_called()
        circuit, _ = self._simple(executor)
        with _counting(type(self.bind(executor))) as counts:
            with executor:
                circuit(0.0)
            require(
                counts["open"] == counts["close"],
                expected=f"as many calls of close as of open, {counts['open']}",
                seen=f"{counts['close']} calls of close",
            )
            with calling("a call of a QElectron after its executor was closed"):
                circuit(0.0)

    @rule
    def test_e26_runs_a_qelectron(self) -> None:
        """A QElectron on it gives what the QNode does: called, in futures, by `map`."""
        executor = self.make_called()
        quantum, qnode = self._simple(executor)
        angles = [0.0, math.pi, math.pi, 0.0, math.pi]
        if executor.capabilities.exact:
            angles = [0.3 * number for number in range(5)]
        with calling("a QElectron"):
            called = quantum(angles[1])
            futures = [quantum.run_later(angle) for angle in angles]
            results = [future.result(self.deadline_s) for future in futures]
            mapped = quantum.map(angles)
        if not executor.capabilities.computes:
            return
        wanted = [qnode(angle) for angle in angles]
        self._require_results("a call", wanted[1:2], [called])
        self._require_results("run_later", wanted, results)
        self._require_results("map", wanted, mapped)

    def _simple(self, executor: Executor) -> tuple[Any, Any]:
        measure = self.measurement(self.bind(executor), self.main_shots(executor))

        def quantum(angle: float) -> Any:
            qml.RX(angle, 0)
            return measure()

        return self.qelectron(quantum, executor, wires=2)

    def _job_of_thread(self, bound: Executor, number: int) -> list[Any]:
        shots = self.main_shots(bound)
        measure = self.measurement(bound, shots)
        if shots is None:
            gates = [qml.RX(0.1 + number, 0), qml.RY(0.2 * number, 0)]
            return [circuit(gates, [measure()]), circuit(gates[:1], [measure()])]
        order = 1 if number % 2 else -1
        return self.taken(bound, certain_circuits(measure)[::order], shots)

    def _require_each(self, jobs: Any, wanted: Any, done: Any) -> None:
        for circuits, results, seen in zip(jobs, wanted, done, strict=True):
            for one, *pair in zip(circuits, results, seen, strict=True):
                self.require_same(one, *pair)

    def _require_results(
        self, what: str, wanted: Sequence[Any], results: Sequence[Any]
    ) -> None:
        found = mismatch(list(wanted), list(results), 1e-6 + self.noise, what)
        require(
            found is None, expected=f"{what} to give {list(wanted)}", seen=found or ""
        )

    @contextmanager
    def _sessions(self, bound: Executor, count: int) -> Iterator[list[Any]]:
        opened = together(count, lambda _: self.open(bound))
        try:
            yield opened
        finally:
            together(count, lambda number: opened[number].close())


@contextmanager
def _counting(kind: type[Any]) -> Iterator[Counter[str]]:
    """Count the calls of a class's `open` and `close` for a while."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()
    own = {name: vars(kind).get(name) for name in ("open", "close")}

    def counted(name: str) -> Any:
        method = getattr(kind, name)

        def call(*arguments: Any) -> Any:
            with lock:
                counts[name] += 1
            return method(*arguments)

        return call

    try:
        for name in own:
            setattr(kind, name, counted(name))
        yield counts
    finally:
        for name, method in own.items():
            if method is None:
                delattr(kind, name)
            else:
                setattr(kind, name, method)

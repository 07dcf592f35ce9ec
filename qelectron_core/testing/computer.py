"""Where a fake vendor computes: on worker threads, while its latency passes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from qelectron_core.runtime.loop import in_thread

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.contracts import Seed, Settings

#: Circuits after which what is computed is handed over.
ENOUGH: Final = 512


@attrs.frozen(eq=False)
class Work:
    """Circuits to be computed.

    Attributes:
        circuits: The circuits.
        seeds: Per circuit, what its samples are seeded with.
        settings: How to run them.
        wires: Labels of the simulated wires; `None` simulates each circuit's own.
        deliver: Called with the results, on a worker thread.
    """

    circuits: Sequence[QuantumScript]
    seeds: Sequence[Seed]
    settings: Settings
    wires: tuple[Hashable, ...] | None
    deliver: Callable[[list[Any]], object]


class Computer:
    """Computes on a worker thread what comes in on event loops."""

    def __init__(self) -> None:
        self._waiting: deque[Work] = deque()
        self._task: asyncio.Task[None] | None = None

    def add(self, work: Work) -> None:
        """Compute something soon; called on a running loop."""
        self._waiting.append(work)
        self.wake()

    def wake(self) -> None:
        """Go on with what waits, should the loop that computed it be gone."""
        if self._waiting and not self._is_awake():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def _is_awake(self) -> bool:
        task = self._task
        return not (task is None or task.done() or task.get_loop().is_closed())

    async def _run(self) -> None:
        while self._waiting:
            try:
                await in_thread(self._compute_some)
            except RuntimeError:  # on a loop that is not the core's
                await asyncio.to_thread(self._compute_some)

    def _compute_some(self) -> None:
        """Compute what came in together, up to a limit."""
        from qelectron_core.testing.simulation import simulate

        taken: list[Work] = []
        while self._waiting and sum(len(work.circuits) for work in taken) < ENOUGH:
            taken.append(self._waiting.popleft())
        for batch in _alike(taken):
            circuits = [circuit for work in batch for circuit in work.circuits]
            seeds = [seed for work in batch for seed in work.seeds]
            results = iter(simulate(circuits, seeds, batch[0].settings, batch[0].wires))
            for work in batch:
                work.deliver([next(results) for _ in work.circuits])


def _alike(works: Sequence[Work]) -> Iterator[list[Work]]:
    """Put works together that can be computed in one go."""
    groups: dict[Hashable, list[Work]] = {}
    for work in works:
        groups.setdefault((work.settings, work.wires), []).append(work)
    yield from groups.values()

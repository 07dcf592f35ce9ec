"""What is sent for the circuits of a job: some as one, in one or several tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from qelectron_core import Executor, Job, Seed

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript


@attrs.frozen(eq=False)
class Item:
    """One circuit that is sent, for one circuit of a job or for several.

    Attributes:
        circuit: The circuit; over arrays of parameters, if it is for several.
        seed: Seeds its samples.
        places: Positions in the job of those whose results it brings.
        model: Position of a circuit that runs alone, and whose result has the type
            that theirs are to have, or `None`.
    """

    circuit: QuantumScript
    seed: Seed
    places: tuple[int, ...]
    model: int | None = None

    def results(self, value: Any) -> list[Any]:
        """Return the result of each of its circuits.

        Raises:
            ValueError: If the result is not that of a circuit over arrays.
        """
        from qelectron_core import fusion

        count = len(self.places)
        if count == 1:
            return [value]
        return fusion.unfuse(value, count, len(self.circuit.measurements))


def plan(job: Job, executor: Executor, n_tasks: int = 1) -> list[Item]:
    """Return what to send for a job, circuits of equal structure side by side.

    Args:
        job: The job.
        executor: What runs it on a worker.
        n_tasks: On how many tasks it is going to be spread.
    """
    from qelectron_core import fusion

    if job.settings.gradient_method is not None or job.settings.derivatives:
        return [_alone(job, place) for place in range(len(job))]
    items: list[Item] = []
    for structure, places in fusion.group(job.circuits):
        size = 1 if structure is None else _most(job.circuits[places[0]], executor)
        size = min(size, -(-len(places) // n_tasks))
        items += _fused(job, places, size) if size > 1 else _each(job, places)
    return items


def singles(job: Job, items: Sequence[Item]) -> list[Item]:
    """Return the circuits that some items are for, each by itself."""
    return [_alone(job, place) for item in items for place in item.places]


def share_out(
    items: Sequence[Item], costs: Sequence[float], n: int
) -> list[list[Item]]:
    """Cut items into parts of about equal cost, at most `n`, in their order."""
    total, spent = sum(costs) or 1.0, 0.0
    parts: list[list[Item]] = [[] for _ in range(n)]
    for item, cost in zip(items, costs, strict=True):
        parts[min(n - 1, int(n * (spent + cost / 2) / total))].append(item)
        spent += cost
    return [part for part in parts if part]


def _most(circuit: QuantumScript, executor: Executor) -> int:
    """Return how many circuits like one are to be sent as one."""
    from qelectron_core import fusion

    if not executor.capabilities.broadcasting or not fusion.is_fusible(circuit):
        return 1
    return executor.most_fused(circuit)


def _fused(job: Job, places: Sequence[int], size: int) -> Iterator[Item]:
    from qelectron_core import fusion

    model = places[0] if fusion.needs_model(job.circuits[places[0]]) else None
    if model is not None:
        yield _alone(job, model)
        places = places[1:]
    for start in range(0, len(places), size):
        part = tuple(places[start : start + size])
        fused = fusion.fuse([job.circuits[place] for place in part])
        if fused is None or len(part) == 1:
            yield from _each(job, part)
        else:
            yield Item(fused, job.seeds[part[0]], part, model)


def _each(job: Job, places: Sequence[int]) -> Iterator[Item]:
    return (_alone(job, place) for place in places)


def _alone(job: Job, place: int) -> Item:
    return Item(job.circuits[place], job.seeds[place], (place,))

"""Runs only the shots that are missing, and puts results together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from qelectron_core.contracts import Seed
from qelectron_core.shots import cut, is_splittable, merge_weighted, with_shots
from qelectron_core.store import Kept, Key

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.runtime.task import Task


def is_possible(task: Task) -> bool:
    """Tell whether results of some shots of a circuit make up one of more."""
    sampled = task.circuit.shots.total_shots is not None
    if not sampled or task.settings.derivatives or task.circuit.batch_size is not None:
        return False
    return is_splittable(task.circuit)


def enough(task: Task, pool: Sequence[Kept]) -> Kept | None:
    """Return the result of a circuit from kept ones, if these have its shots."""
    wanted = _shots(task)
    parts = _parts(pool)
    if sum(part.shots for part in parts) < wanted:
        return None
    value = cut(task.circuit, _merged(task.circuit, parts), _total(parts), wanted)
    return attrs.evolve(parts[0], value=value, shots=wanted)


def reduce(task: Task, pool: Sequence[Kept]) -> None:
    """Have a circuit run with the shots that are missing only."""
    parts = _parts(pool)
    missing = _shots(task) - _total(parts)
    assert task.key is not None
    task.parts = tuple(parts)
    task.circuit = with_shots(task.circuit, missing)
    if parts:
        task.key = _free_key(attrs.evolve(task.key, shots=str(missing)), pool)
        seed = task.seed  # with it, samples would begin with those that are there
        task.seed = Seed(seed.entropy + (len(pool) << 128), seed.ordinal)


def put_together(task: Task, value: Any) -> Any:
    """Return the result of a circuit from its parts, the last of which just ran."""
    values = [part.value for part in task.parts]
    shots = [part.shots for part in task.parts]
    return merge_weighted(task.circuit, [*shots, _shots(task)], [*values, value])


def _merged(circuit: QuantumScript, parts: Sequence[Kept]) -> Any:
    return merge_weighted(
        circuit, [part.shots for part in parts], [part.value for part in parts]
    )


def _shots(task: Task) -> int:
    return task.circuit.shots.total_shots or 0


def _total(parts: Sequence[Kept]) -> int:
    return sum(part.shots for part in parts)


def _parts(pool: Sequence[Kept]) -> list[Kept]:
    """Return results of a pool that are independent of each other.

    Samples of one seed begin alike, so of these only the longest counts. Results of
    shot vectors and exact ones are nothing to add to.
    """
    parts: dict[tuple[str, str], Kept] = {}
    for kept in pool:  # most shots first
        if kept.shots and kept.key.shots == str(kept.shots):
            seeded = kept.key.draw.startswith("seed ")
            parts.setdefault(("" if seeded else kept.key.shots, kept.key.draw), kept)
    return list(parts.values())


def _free_key(key: Key, pool: Sequence[Kept]) -> Key:
    """Return a key that no result of the pool has."""
    taken = {kept.key for kept in pool}
    if key not in taken and not key.draw.startswith("seed "):
        return key
    number = 0
    while (free := attrs.evolve(key, draw=f"{number}")) in taken:
        number += 1
    return free

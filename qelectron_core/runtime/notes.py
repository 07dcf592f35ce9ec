"""What the journal is told of circuits, gathered until it is written."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import attrs

from qelectron_core.events import CircuitEventKind, Execution
from qelectron_core.formats import Written
from qelectron_core.store import Entry, Kept, Key
from qelectron_core.values import copy_value, size_of

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.contracts import Executor
    from qelectron_core.runtime.task import Task

#: Size above which the journal does not keep a result; the cache does.
MOST_VALUE_BYTES: Final = 64 * 1024
#: Size of a circuit's parameters above which the journal does not keep it.
MOST_CIRCUIT_BYTES: Final = 256 * 1024


class Note:
    """One thing that happened to a circuit, as quickly as it can be noted."""

    __slots__ = ("at", "circuit", "execution", "kind", "task", "value")

    def __init__(
        self,
        kind: CircuitEventKind,
        task: Task,
        execution: Execution | None,
        value: Any,
        *,
        with_circuit: bool,
    ) -> None:
        """Note what happened now; large results are left out."""
        self.kind = kind
        self.at = time.time()
        self.execution = execution
        # A copy: the caller may change the arrays that it gets.
        small = size_of(value) <= MOST_VALUE_BYTES
        self.value = copy_value(value) if small else None
        # As text, and not the task: the many small objects that circuits are made of
        # would live until it is written, and Python's collector look at them each time.
        self.circuit = _written(task.circuit) if with_circuit else None
        self.task = (
            task.batch.call_id,
            task.index,
            task.executor,
            task.submitted_at,
            len(task.earlier) + 1,
            task.circuit.shots.total_shots,
        )

    @property
    def place(self) -> tuple[str, int, int]:
        """The `place` of its line of the journal."""
        call_id, index, *_, attempt, _shots = self.task
        return call_id, index, attempt

    def entry(self) -> Entry:
        """Return it as a line of the journal."""
        call_id, index, executor, submitted_at, attempt, shots = self.task
        begun = Entry(
            call_id=call_id,
            index=index,
            state=self.kind,
            executor=shown(executor),
            submitted_at=submitted_at,
            attempt=attempt,
            shots=shots,
            circuit=self.circuit,
        )
        if self.execution is None:
            started = self.kind == "started"
            return attrs.evolve(begun, started_at=self.at) if started else begun
        return _ended(begun, self.execution, self.value)


def _ended(begun: Entry, execution: Execution, value: Any) -> Entry:
    return attrs.evolve(
        begun,
        started_at=execution.started_at,
        finished_at=execution.finished_at,
        job_id=execution.job_id,
        job_size=execution.job_size,
        handle=execution.handle,
        cost_usd=execution.cost_usd,
        error=execution.error,
        metadata=execution.metadata,
        value=value,
    )


def _written(circuit: QuantumScript) -> Written | None:
    """Return a circuit as text, unless it is too large or cannot be written."""
    try:
        return Written(circuit, MOST_CIRCUIT_BYTES)
    except Exception:  # whatever an operator of somebody's own does: the run goes on
        return None


def ended_line(task: Task, value: Any, execution: Execution) -> Entry:
    """Return the line of the journal that tells that a circuit has its result."""
    return Note("completed", task, execution, value, with_circuit=False).entry()


@functools.lru_cache(maxsize=256)
def shown(executor: Executor) -> str:
    """Return an executor as text, without its secrets."""
    return repr(executor)


def kept_of(task: Task, value: Any, execution: Execution) -> Kept | None:
    """Return the result of a circuit as it is to be kept, if it has a key."""
    return None if task.key is None else kept_by(task.key, task, value, execution)


def kept_by(key: Key, task: Task, value: Any, execution: Execution) -> Kept:
    """Return the result of a circuit as it is to be found by a key."""
    return Kept(
        key=key,
        value=copy_value(value),
        shots=execution.shots or 0,
        executor=shown(task.executor),
        job_id=execution.job_id,
        at=execution.finished_at,
        handle=execution.handle,
        metadata=execution.metadata,
    )


def entries_of(notes: Iterable[Note]) -> list[Entry]:
    """Return lines of the journal, one for each attempt that is spoken of."""
    last: dict[tuple[str, int, int], Note] = {}
    for note in notes:
        earlier = last.get(note.place)
        if earlier is not None and note.circuit is None:
            note.circuit = earlier.circuit
        last[note.place] = note
    return [note.entry() for note in last.values()]

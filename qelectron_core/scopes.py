"""Calls that belong together: those of one piece of work, under its name."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain
from typing import TYPE_CHECKING, Final

from qelectron_core.ids import new_id

if TYPE_CHECKING:
    from qelectron_core.events import Execution

#: Between the name of a piece of work and the number of its call.
_MARK: Final = "."

_current: ContextVar[Scope | None] = ContextVar("qelectron_scope", default=None)


class Scope:
    """The calls that one piece of work makes, named after it and numbered.

    Attributes:
        name: Name of the piece of work.
        resumes: Names of earlier pieces of work that this one goes on with, the latest
            first.
        is_cancelled: Whether its calls were cancelled; those that follow are, too.
    """

    def __init__(
        self, name: str, *, resumes: str | Sequence[str] | None = None
    ) -> None:
        """Make a scope without calls."""
        self.name = name
        self.resumes = (resumes,) if isinstance(resumes, str) else (*(resumes or ()),)
        self.is_cancelled = False
        self._count = 0
        self._lock = threading.Lock()
        # Per call, a list for each time that circuits were dispatched; they fill later.
        self._executions: dict[str, list[list[Execution | None]]] = {}

    @property
    def calls(self) -> tuple[str, ...]:
        """Ids of the calls that were made, in their order."""
        return tuple(f"{self.name}{_MARK}{number}" for number in range(self._count))

    @property
    def executions(self) -> Mapping[str, Sequence[Execution | None]]:
        """The record of each circuit, by the id of its call; `None` until it ended."""
        with self._lock:
            found = {call_id: [*lists] for call_id, lists in self._executions.items()}
        return {
            call_id: [*chain.from_iterable(lists)] for call_id, lists in found.items()
        }

    def next_id(self) -> str:
        """Return the id of the next call."""
        with self._lock:
            number, self._count = self._count, self._count + 1
        return f"{self.name}{_MARK}{number}"

    def add(self, call_id: str, executions: list[Execution | None]) -> None:
        """Take the records of circuits of one of these calls; they may come later."""
        with self._lock:
            self._executions.setdefault(call_id, []).append(executions)

    def owns(self, call_id: str) -> bool:
        """Tell whether a call is one of these."""
        return call_id.rpartition(_MARK)[0] == self.name

    def earlier(self, call_id: str) -> tuple[str, ...]:
        """Return the ids of calls that one of these goes on with, the latest first."""
        if not self.owns(call_id):
            return ()
        number = call_id.rpartition(_MARK)[2]
        return tuple(f"{name}{_MARK}{number}" for name in self.resumes)

    def require_wanted(self) -> None:
        """Refuse further calls of a scope that was cancelled.

        Raises:
            CancelledError: If it was.
        """
        if self.is_cancelled:
            raise CancelledError

    def cancel(self) -> int:
        """Cancel circuits of these calls, queued or at a vendor; return how many.

        Calls that are made in it afterwards end in a `CancelledError`.
        """
        from qelectron_core.runtime import runtime

        self.is_cancelled = True
        return runtime().cancel(lambda task: self.owns(task.batch.call_id))


@contextmanager
def scope(name: str, *, resumes: str | Sequence[str] | None = None) -> Iterator[Scope]:
    """Put the calls of a `with` block under a name.

    Their ids are the name and a number, so that they are found in the journal. Counts
    for calls made in the thread of the block.

    Args:
        name: Name of the piece of work; unique, like an id.
        resumes: Name of an earlier one that did not come to its end. The n-th call then
            takes the results, and the jobs at vendors, of the n-th call there, and only
            the rest is run; a call whose circuits differ is run as a whole. Several
            names, the latest first, if that one went on with others itself.

    Example:
        >>> import qelectron_core as ct
        >>> with ct.scope("fit-7") as fit:
        ...     pass  # call QElectrons
        >>> fit.calls
        ()
    """
    made = Scope(name, resumes=resumes)
    token = _current.set(made)
    try:
        yield made
    finally:
        _current.reset(token)


def new_call_id() -> str:
    """Return the id of a call that begins in this thread."""
    current = _current.get()
    return new_id("call") if current is None else current.next_id()


def add_to_scope(call_id: str, executions: list[Execution | None]) -> None:
    """Note the circuits of a call, if it is made in a scope."""
    current = _current.get()
    if current is not None and current.owns(call_id):
        current.add(call_id, executions)


def current_scope() -> Scope | None:
    """Return the scope of this thread, if there is one."""
    return _current.get()

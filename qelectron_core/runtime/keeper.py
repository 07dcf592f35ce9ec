"""A store as the runtime uses it: no call waits for it, and no run fails with it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from qelectron_core.budget import today
from qelectron_core.errors import KNOWN_DISTRIBUTIONS
from qelectron_core.events import CircuitEventKind, Execution
from qelectron_core.memory_store import MemoryStore
from qelectron_core.runtime.daily import DailyLedger
from qelectron_core.runtime.journal import RemoteJournal
from qelectron_core.runtime.notes import Note, entries_of
from qelectron_core.runtime.refusals import broken
from qelectron_core.store import (
    Balance,
    Call,
    Claim,
    Document,
    Intent,
    Kept,
    Key,
    Store,
    keeps_documents,
    keeps_ledgers,
)

if TYPE_CHECKING:
    from qelectron_core.runtime.cache import Cache
    from qelectron_core.runtime.runtime import Runtime
    from qelectron_core.runtime.task import Task

_log: Final = logging.getLogger("qelectron")

#: Seconds for which records gather before they are written together.
GATHER_S: Final = 0.1
#: Records that gather, at most, where nothing waits for a disk.
MOST_GATHERED: Final = 256
#: Records that may wait for a slow disk before circuits are left out of them.
MOST_WAITING: Final = 50_000
#: Seconds that the writing thread waits for more before it ends.
IDLE_S: Final = 10.0
Amounts: TypeAlias = Mapping[str, int]
_WRITING: Final = frozenset({"write", "put"})
_NO_PLACE: Final = (
    "The store %r has no place for what plugins keep, such as the state of workflows: "
    "until the program ends, that is in memory. Upgrade the store, or use another one."
)

_ALONE: Final = (
    "The store %r does not count what other processes spend: the daily budget holds "
    "for this process alone. Upgrade the store, or use one that outlives the process."
)


class Keeper:
    """Gathers what a store is told, and writes it from one thread.

    Attributes:
        store: The store. One that fails is replaced by one in memory.
        cache: Knows which circuits need not run.
        remote: What it is told of remote jobs.
    """

    def __init__(
        self,
        store: Store,
        make_cache: Callable[[Keeper], Cache],
        *,
        is_usual: bool = False,
    ) -> None:
        """Keep things in a store; a usual one is what is there if nobody names one."""
        self.store = store
        self._is_fleeting = is_usual and not store.durable
        #: Where documents are, if the store has no place for them.
        self._beside = None if keeps_documents(store) else MemoryStore()
        #: Where ledgers are, if the store counts none.
        self._ledgers = None if keeps_ledgers(store) else MemoryStore()
        self._daily: DailyLedger | None = None
        self.cache = make_cache(self)
        self.remote = RemoteJournal(self)
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._calls: deque[Call] = deque()
        self._notes: deque[Note] = deque()
        self._documents: deque[tuple[Document, ...]] = deque()
        self._kept: dict[Key, Kept] = {}
        self._in_writing: dict[Key, Kept] = {}
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._is_over = False
        self._has_failed = False
        self._has_said_beside = False
        self._has_said_alone = False

    @property
    def runtime(self) -> Runtime:
        """What runs the circuits that it keeps the journal of."""
        return self.cache.runtime

    # --- What it is told --------------------------------------------------------------

    def begin(self, call: Call) -> None:
        """Keep that a call begins."""
        self._calls.append(call)
        self._gathered()

    def note(
        self,
        kind: CircuitEventKind,
        task: Task,
        execution: Execution | None = None,
        value: Any = None,
    ) -> None:
        """Keep what happened to a circuit; in memory, only how it ended.

        One that is let go of has not ended: its job goes on.
        """
        if execution is None and self.store.instant:
            return
        if execution is not None and (execution.error or "").startswith("Detached"):
            return
        if task.settings.gradient_method == "backprop":
            value = None  # bound to what differentiates it, and to its thread
        refused = execution is not None and (execution.error or "").startswith("Budget")
        first = kind == "submitted" or refused  # which was never submitted
        first = first and task.settings.interface == "numpy"
        with_circuit = first and self.store.durable and len(self._notes) < MOST_WAITING
        self._notes.append(
            Note(kind, task, execution, value, with_circuit=with_circuit)
        )
        self._gathered()

    def keep(self, kept: Kept) -> None:
        """Keep a result for circuits that are equal."""
        with self._lock:
            self._kept[kept.key] = kept
        if self.store.instant:
            self.flush()
        self._gathered()

    def put(self, documents: Sequence[Document]) -> None:
        """Keep documents of a plugin, all of them or none."""
        self._documents.append(tuple(documents))  # at once, so that none goes alone
        if self.store.instant:
            self.flush()
        self._gathered()

    def put_now(self, documents: Sequence[Document]) -> None:
        """Keep documents of a plugin, and return when they are written."""
        self._documents.append(tuple(documents))
        self.flush()

    def flush(self) -> None:
        """Write what has gathered."""
        with self._writing:
            calls, notes = _taken(self._calls), _taken(self._notes)
            documents = [one for some in _taken(self._documents) for one in some]
            with self._lock:
                kept, self._kept = self._kept, {}
                self._in_writing = kept
            if calls or notes or kept:
                self._ask("write", None, calls, entries_of(notes), [*kept.values()])
            self._in_writing = {}
            if documents:
                self._ask_documents("put", None, documents)

    def close(self) -> None:
        """Write what has gathered, and close the store."""
        self._closed = True
        self._wake.set()
        self.flush()
        self._ask("close", None)
        self._is_over = True

    def _gathered(self) -> None:
        """See to it that what has gathered is written."""
        if self.store.instant:
            if len(self._notes) >= MOST_GATHERED:
                self.flush()
            return
        if not self._wake.is_set():
            self._start()

    def _start(self) -> None:
        with self._lock:  # under which an idle thread decides to end
            self._wake.set()
            if self._thread is not None or self._closed:
                return
            self._thread = threading.Thread(
                target=self._write_on, name="qelectron-journal", daemon=True
            )
            self._thread.start()

    def _write_on(self) -> None:
        pause = threading.Event()
        while not self._closed:
            if not self._wake.wait(IDLE_S):
                with self._lock:
                    if not self._wake.is_set():
                        self._thread = None
                        return
            self._wake.clear()
            pause.wait(GATHER_S)
            self.flush()

    def say_if_fleeting(self) -> None:
        """Say once that results are kept in memory, if nobody asked for that."""
        if self._is_fleeting:
            self._is_fleeting = False
            _log.warning(
                "Results are kept in memory, until the program ends. To keep them in a "
                "file: pip install %s",
                KNOWN_DISTRIBUTIONS["sqlite"],
            )

    # --- What it is asked -------------------------------------------------------------

    def find(self, keys: Sequence[Key]) -> Sequence[Kept | None]:
        """Return the kept result of each key, or `None`."""
        if not self._kept and not self._in_writing:
            return self._ask("find", [None] * len(keys), keys)  # type: ignore[no-any-return]
        with self._lock:
            fresh = [self._kept.get(k) or self._in_writing.get(k) for k in keys]
        missing = [key for key, kept in zip(keys, fresh, strict=True) if kept is None]
        if not missing:
            return fresh
        found = iter(self._ask("find", [None] * len(missing), missing))
        return [next(found) if kept is None else kept for kept in fresh]

    def pool(self, pool: str) -> list[Kept]:
        """Return all kept results of one pool."""
        with self._lock:
            fresh = {**self._in_writing, **self._kept}
        found: Sequence[Kept] = self._ask("pool", [], pool)
        all_of_it = {kept.key: kept for kept in found}
        all_of_it |= {key: kept for key, kept in fresh.items() if key.pool == pool}
        return sorted(all_of_it.values(), key=lambda kept: -kept.shots)

    def claim(self, keys: Sequence[Key]) -> Sequence[Claim]:
        """Return, per key, its result or who is to run it."""
        return self._ask("claim", [Claim()] * len(keys), keys)  # type: ignore[no-any-return]

    def release(self, keys: Sequence[Key]) -> None:
        """Give back claims to circuits that came to nothing."""
        self._ask("release", None, keys)

    def jobs(self, call_id: str | None = None) -> Sequence[Intent]:
        """Return jobs that have not ended."""
        return self._ask("jobs", [], call_id=call_id)  # type: ignore[no-any-return]

    @property
    def keeps_documents(self) -> bool:
        """Whether documents outlive the process."""
        return self._beside is None and self.store.durable

    def documents(
        self, kind: str, *, id: str | None = None, limit: int | None = None
    ) -> list[Document]:
        """Return the parts of a thing that a plugin keeps, or what things there are."""
        self.flush()
        found = self._ask_documents("documents", [], kind, id=id, limit=limit)
        return list(found)

    def drop(self, kind: str, id: str) -> int:
        """Forget a thing that a plugin keeps; return how many documents it had."""
        self.flush()
        return int(self._ask_documents("drop", 0, kind, id))

    def daily(self, text: str) -> DailyLedger:
        """Return the budget of today.

        Raises:
            ConfigError: If the text cannot be read.
        """
        known = self._daily
        if known is None or not known.is_of_now(text):
            known = self._daily = DailyLedger(text, today(), self)
        return known

    def reserve(
        self, ledger: str, title: str, wanted: Amounts, limits: Amounts
    ) -> Balance:
        """Hold amounts, all of them or none; see `Store.reserve`.

        Raises:
            BudgetError: If the store failed, so that nobody knows what was spent.
        """
        store = self._ledgers or self.store
        self._say_if_alone()
        if self._ledgers is None and (self._has_failed or self._is_over):
            raise broken(title, "see above" if self._has_failed else "it is closed")
        try:
            return store.reserve(ledger, wanted, limits)
        except Exception as error:
            self.failed(error, store)
            raise broken(title, error) from error

    def settle(self, ledger: str, held: Amounts, spent: Amounts) -> None:
        """Give back what was held, and note what was spent."""
        if self._ledgers is not None:
            self._ledgers.settle(ledger, held, spent)
        elif not self._has_failed:
            self._ask("settle", None, ledger, held, spent)

    def balance(self, ledger: str) -> Balance:
        """Return what is spent and held."""
        if self._ledgers is not None:
            return self._ledgers.balance(ledger)
        nothing: Balance = self._ask("balance", Balance({}, {}), ledger)
        return nothing

    def _say_if_alone(self) -> None:
        """Say once that other processes do not see what this one spends."""
        if self._has_said_alone or (self._ledgers is None and self.store.durable):
            return
        self._has_said_alone = True
        _log.warning(_ALONE, self.store)

    def _ask_documents(
        self, method: str, otherwise: Any, *args: Any, **options: Any
    ) -> Any:
        """Call a method of the store, or of one in memory if it has no such place."""
        if self._beside is None:
            return self._ask(method, otherwise, *args, **options)
        if not self._has_said_beside:
            self._has_said_beside = True
            _log.warning(_NO_PLACE, self.store)
        return getattr(self._beside, method)(*args, **options)

    def _ask(self, method: str, otherwise: Any, *args: Any, **options: Any) -> Any:
        """Call a method of the store; if it fails, of one in memory from then on."""
        if self._is_over:
            return otherwise
        store = self.store
        try:
            ask: Callable[..., Any] = getattr(store, method)
            return ask(*args, **options)
        except Exception as error:
            self.failed(error, store)
        if method in _WRITING:  # so that nothing is lost
            with suppress(Exception):
                getattr(self.store, method)(*args)
        return otherwise

    def failed(self, error: Exception, store: Store) -> None:
        """Say once that a store failed, and go on in memory."""
        with self._lock:
            if store is not self.store or self._has_failed:
                return
            self._has_failed = True
            self.store = MemoryStore()
        _log.error(
            "The store failed: %s The run goes on; what it did from now on is kept in "
            "memory, until it ends.",
            error,
        )
        with suppress(Exception):  # so that no other process waits for this one
            store.close()


def _taken(gathered: deque[Any]) -> list[Any]:
    """Take out what is there now; more may be added meanwhile."""
    return [gathered.popleft() for _ in range(len(gathered))]

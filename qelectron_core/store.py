"""Stores: where the journal of what ran and the results worth reusing are kept.

What plugin authors implement. A store holds plain data; what may be written down,
and how, is the business of `qelectron_core.formats`.
"""

from __future__ import annotations

import inspect
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias

import attrs

from qelectron_core.contracts import Executor, Result, Settings
from qelectron_core.errors import StoreError
from qelectron_core.events import CircuitEventKind
from qelectron_core.tally import Tally

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.formats import Written

#: What became of a call. Of a `"lost"` one, the process ended before its circuits, and
#: no vendor has a job of it.
RunState: TypeAlias = Literal[
    "running", "completed", "cached", "failed", "cancelled", "lost"
]
#: Where a store keeps its records: a path, or whatever else it understands.
Location: TypeAlias = str | os.PathLike[str] | None


@attrs.frozen(eq=False)
class Call:
    """One call of a QElectron, as it begins.

    Attributes:
        id: Identifies it; `future.id`.
        name: Name of the quantum function.
        executors: Executor or cluster, as the user wrote it, without secrets.
        circuits: How many circuits it has.
        at: When, in seconds since the epoch.
        process: The process that made it, as `"host:pid"`.
        versions: Versions of Python and of the packages that matter.
        output: How the results of its circuits make up what it returns, as JSON;
            `None` if only the program knows.
    """

    id: str
    name: str
    executors: str
    circuits: int
    at: float
    process: str = attrs.field(default="", repr=False)
    versions: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    output: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(eq=False)
class Entry:
    """One line of the journal: one attempt to run one circuit, as far as it went.

    Attributes:
        call_id: The call it belongs to.
        index: Position of the circuit among those of the call.
        state: What happened to it last.
        executor: The executor chosen for it, as the user wrote it, without secrets.
        submitted_at: When it was dispatched, in seconds since the epoch.
        attempt: 1 for the first attempt, 2 for the next …
        started_at: When its job started, if it did.
        finished_at: When its job ended, if it did.
        shots: Total shots, or `None` for an exact result.
        job_id: Job it was part of, or empty.
        job_size: Number of circuits in that job.
        handle: What a remote vendor calls the job, or `None`.
        cost_usd: Its part of the job's price in US dollars, or `None` if unknown.
        error: Type and message of the exception it ended in, or `None`.
        metadata: What the executor told about it.
        circuit: The circuit, or `None` if it is not kept. What is to be written may
            be text already: `formats.dump_circuit` takes either.
        value: Its result, or `None` if there is none, or it is not kept.
    """

    call_id: str
    index: int
    state: CircuitEventKind
    executor: str
    submitted_at: float
    attempt: int = 1
    started_at: float | None = None
    finished_at: float | None = None
    shots: int | None = None
    job_id: str = ""
    job_size: int = 0
    handle: str | None = None
    cost_usd: float | None = None
    error: str | None = None
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    circuit: QuantumScript | Written | None = None
    value: Result | None = None

    @property
    def place(self) -> tuple[str, int, int]:
        """Return what no two lines of the journal share."""
        return self.call_id, self.index, self.attempt

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled: by the program, or by somebody at the vendor."""
        return (self.error or "").startswith(("CancelledError", "JobCancelledError"))

    def after(self, earlier: Entry) -> Entry:
        """Return this line with the circuit of an earlier one that it replaces."""
        if self.circuit is not None or earlier.circuit is None:
            return self
        return attrs.evolve(self, circuit=earlier.circuit)


@attrs.frozen(eq=False)
class Run:
    """A call and what became of it; what `history` returns.

    Attributes:
        call: The call.
        state: What became of it.
        executors: The executors chosen for its circuits, each once.
        states: How many circuits are in which state.
        shots: Shots of all circuits together.
        cost_usd: Price of all circuits in US dollars, or `None` if unknown.
        finished_at: When its last circuit ended, or `None` while one has not.
        entries: Its lines of the journal, if they were asked for.
    """

    call: Call
    state: RunState
    executors: tuple[str, ...]
    states: Mapping[str, int]
    shots: int
    cost_usd: float | None
    finished_at: float | None
    entries: tuple[Entry, ...] = attrs.field(default=(), repr=False)

    @property
    def id(self) -> str:
        """Id of the call."""
        return self.call.id

    @property
    def duration_s(self) -> float | None:
        """Seconds from the call to the end of its last circuit."""
        return None if self.finished_at is None else self.finished_at - self.call.at


@attrs.frozen
class Key:
    """What a kept result is found by.

    Attributes:
        pool: Fingerprint of the circuit without its shots, of the settings and of
            the executor: results of one pool can be put together.
        shots: The shots, as text; empty for an exact result.
        draw: Tells independent samples of one circuit apart; empty if exact.
    """

    pool: str
    shots: str = ""
    draw: str = ""

    def __str__(self) -> str:
        """Return it as one text."""
        return f"{self.pool}:{self.shots}:{self.draw}"


@attrs.frozen(eq=False)
class Kept:
    """A result that is kept for circuits that are equal.

    Attributes:
        key: What it is found by.
        value: The result.
        shots: How many shots it is of; 0 for an exact one.
        executor: The executor that ran it, as the user wrote it, without secrets.
        job_id: Job it was part of.
        handle: What a remote vendor calls that job, or `None`.
        at: When it was there, in seconds since the epoch.
        metadata: What the executor told about it.
    """

    key: Key
    value: Result
    shots: int
    executor: str
    job_id: str
    at: float
    handle: str | None = None
    metadata: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Intent:
    """A job that is about to be submitted to a remote vendor, or has been.

    Attributes:
        job_id: The core's id of the job, sent to the vendor as its tag.
        executor: Where it goes; `None` if it cannot be made again here.
        circuits: What it holds.
        places: Per circuit, the id of its call and its position in it.
        at: When, in seconds since the epoch.
        keys: Per circuit, what its result is to be found by, or `None`.
        claims: Per circuit, what is claimed for it, so that others who ask for it
            find this job; by default as `keys`.
        settings: How its circuits are run.
        shown: The executor as text, without secrets.
        handle: What the vendor calls it, once that is known.
        alive: Whether the process that submitted it, or took it over, still lives.
    """

    job_id: str
    executor: Executor | None
    circuits: tuple[QuantumScript, ...]
    places: tuple[tuple[str, int], ...]
    at: float
    keys: tuple[Key | None, ...] = ()
    claims: tuple[Key | None, ...] = ()
    settings: Settings = attrs.field(factory=Settings)
    shown: str = ""
    handle: str | None = None
    alive: bool = True

    def __attrs_post_init__(self) -> None:
        """Fill in what follows from the rest."""
        if not self.keys:
            object.__setattr__(self, "keys", (None,) * len(self.circuits))
        if not self.claims:
            object.__setattr__(self, "claims", self.keys)
        if not self.shown:
            object.__setattr__(self, "shown", repr(self.executor))


@attrs.frozen(eq=False)
class Claim:
    """The answer to the wish to run a circuit, unless it has been.

    If nothing is set, the caller is the one to run it, and others wait.

    Attributes:
        kept: The result, if there is one.
        job: The job that holds it, which was the caller's already, or that of a
            process that has ended. It is now the caller's, who gets its results
            instead of submitting the circuit again.
        elsewhere: Whether a living process is running it.
    """

    kept: Kept | None = None
    job: Intent | None = None
    elsewhere: bool = False


@attrs.frozen(eq=False)
class Document:
    """Plain data of a plugin's own, which the store keeps and does not understand.

    Attributes:
        kind: Whose and what, such as `"qelectron-dask.dispatch"`.
        id: The thing that it belongs to.
        body: The data; never executed, and nothing secret.
        at: When it was written, in seconds since the epoch.
        part: Which part of the thing; the empty one is the thing itself.
        alive: Whether the process that wrote it last still lives; the store says so
            when it is read, and does not look at it when it is written.
    """

    kind: str
    id: str
    body: bytes = attrs.field(repr=False)
    at: float
    part: str = ""
    alive: bool = True

    @property
    def place(self) -> tuple[str, str, str]:
        """Return what no two documents of a store share."""
        return self.kind, self.id, self.part


@attrs.frozen(eq=False)
class Balance:
    """What was spent of a budget, and what is held for circuits under way.

    Amounts are integers by unit; a unit that is missing is 0.

    Attributes:
        spent: What was spent.
        held: What is held for circuits that have not been sent yet.
        granted: Whether what was asked for is held, too.
    """

    spent: Mapping[str, int]
    held: Mapping[str, int]
    granted: bool = True

    def used(self, unit: str) -> int:
        """Return how much of a unit is spent or held."""
        return self.spent.get(unit, 0) + self.held.get(unit, 0)

    def allows(self, wanted: Mapping[str, int], limits: Mapping[str, int]) -> bool:
        """Tell whether amounts fit: of some, spent, held and they stay in the limit."""
        return not any(
            amount > 0 and unit in limits and self.used(unit) + amount > limits[unit]
            for unit, amount in wanted.items()
        )


class Store:
    """Keeps the journal, the jobs at vendors, and results; for plugin authors.

    All methods may be called from any thread. They raise `StoreError` with a message
    for users; the run then goes on in memory. Executors' secrets (options that hide
    from `repr`) are kept nowhere.

    A store is made with its location as the only argument, `None` for the usual one.
    """

    #: Whether what it keeps outlives the process. If not, remote jobs are
    #: cancelled when the process ends, because nobody could come back for them.
    durable: ClassVar[bool] = False
    #: Whether no method waits for a disk or a network.
    instant: ClassVar[bool] = False

    # --- The journal ------------------------------------------------------------------

    def write(
        self, calls: Sequence[Call], entries: Sequence[Entry], kept: Sequence[Kept] = ()
    ) -> None:
        """Keep calls, lines of the journal and results; all of them or none.

        A line replaces an earlier one in the same `place`, whose circuit stays if it
        brings none. A result replaces one with an equal key, and gives back the
        claim to it. Called by one thread, in batches.
        """
        raise NotImplementedError

    def runs(  # noqa: PLR0913  # a filter each
        self,
        *,
        call_id: str | None = None,
        name: str | None = None,
        executor: str | None = None,
        state: RunState | None = None,
        since: float | None = None,
        before: float | None = None,
        limit: int | None = None,
    ) -> Sequence[Run]:
        """Return calls and what became of them, the newest first.

        Args:
            call_id: Only this one, with its lines of the journal.
            name: Only those whose name contains this.
            executor: Only those that ran on an executor whose text contains this.
            state: Only those in this state.
            since: Only those made later, in seconds since the epoch.
            before: Only those made earlier, in seconds since the epoch: with the time
                of the last call of one page, this returns the next one. A store of an
                earlier version does not take it; see `pages_runs`.
            limit: At most so many.
        """
        raise NotImplementedError

    def tallies(self, *, since: float | None = None) -> Sequence[Tally]:
        """Return what each executor did, in the order of the executors' texts.

        Quick also where the journal is long. `qelectron_core.tally.tallies_of` makes it
        of lines, for stores that have no quicker way.

        Args:
            since: Only circuits submitted later, in seconds since the epoch; `None` for
                all that the journal has.

        Raises:
            StoreError: If the store, one of an earlier version, keeps no tallies; see
                `keeps_tallies`.
        """
        del since
        message = (
            f"the store {self!r} keeps no tallies: it cannot tell what each executor "
            "did. Upgrade it, or use another one."
        )
        raise StoreError(message)

    # --- Jobs at vendors --------------------------------------------------------------

    def intend(self, intent: Intent) -> None:
        """Keep that a job is about to be submitted, and claim its circuits.

        Once this returns, the record must survive whatever the store survives.
        """
        raise NotImplementedError

    def submitted(self, job_id: str, handle: str) -> None:
        """Keep what the vendor calls a job; as lasting as `intend`."""
        raise NotImplementedError

    def ended(self, job_id: str, kept: Sequence[Kept] = ()) -> None:
        """Keep the results of a job that needs no more attention, and forget it.

        Both or none; as lasting as `intend`. Gives back the claims to its circuits.
        """
        raise NotImplementedError

    def jobs(self, *, call_id: str | None = None) -> Sequence[Intent]:
        """Return jobs that were intended and have not ended, oldest first.

        Args:
            call_id: Only those with a circuit of this call.
        """
        raise NotImplementedError

    def adopt(self, job_id: str) -> Intent | None:
        """Take over a job from a process that has ended, and return it.

        `None` if it has ended, or belongs to a process that lives.
        """
        raise NotImplementedError

    # --- Results ----------------------------------------------------------------------

    def find(self, keys: Sequence[Key]) -> Sequence[Kept | None]:
        """Return the kept result of each key, or `None`; must be quick."""
        raise NotImplementedError

    def pool(self, pool: str) -> Sequence[Kept]:
        """Return all kept results of one pool, those with most shots first."""
        raise NotImplementedError

    def claim(self, keys: Sequence[Key]) -> Sequence[Claim]:
        """Return, per key, its result or who is to run it, the caller if nobody is.

        Two processes never both get leave to run a circuit. What a process that has
        ended was running is run anew, unless it is in a job at a vendor.
        """
        raise NotImplementedError

    def release(self, keys: Sequence[Key]) -> None:
        """Give back claims to circuits that came to nothing.

        Those of a job that has not ended stay.
        """
        raise NotImplementedError

    # --- What plugins keep ------------------------------------------------------------

    # A store of an earlier version has none of these. Were they here, in memory, one
    # that is durable would promise what it does not do; so the core sees that they are
    # missing, keeps documents in memory itself, and says so.

    def put(self, documents: Sequence[Document]) -> None:
        """Keep documents, all of them or none; as lasting as `intend`.

        Each replaces an earlier one in the same `place`.
        """
        raise NotImplementedError

    def documents(
        self, kind: str, *, id: str | None = None, limit: int | None = None
    ) -> Sequence[Document]:
        """Return documents of a kind, and whether those who wrote them still live.

        Args:
            kind: Whose and what.
            id: All parts of this thing, in the order of their `part`; `None` for the
                empty part of every thing, the last written first.
            limit: At most so many.
        """
        raise NotImplementedError

    def drop(self, kind: str, id: str) -> int:
        """Forget a thing with all of its parts; return how many documents it had."""
        raise NotImplementedError

    # --- Budgets ----------------------------------------------------------------------

    # As with documents: for a store without these, the core counts by itself, for one
    # process, and says so.

    def reserve(
        self, ledger: str, wanted: Mapping[str, int], limits: Mapping[str, int]
    ) -> Balance:
        """Hold amounts for circuits that are about to be sent, or refuse.

        Atomic among threads and processes: what is spent and held never exceeds the
        limits together, and nothing is refused that fits (`Balance.allows`). What a
        process held that has ended counts no more.

        Args:
            ledger: Whose amounts; any text.
            wanted: What to hold, all of it or nothing; integers of 0 or more by unit,
                which the store need not understand.
            limits: The most that may be spent and held, by unit; others have none.

        Returns:
            What is spent and held after it, and whether it was granted.
        """
        raise NotImplementedError

    def settle(
        self, ledger: str, held: Mapping[str, int], spent: Mapping[str, int]
    ) -> None:
        """Give back what this store holds, and note what was spent; both or neither.

        Args:
            ledger: Whose amounts.
            held: What is held no more; never more than the store holds.
            spent: What was spent; below 0 for what is given back.
        """
        raise NotImplementedError

    def balance(self, ledger: str) -> Balance:
        """Return what is spent and held."""
        raise NotImplementedError

    # --- All of it --------------------------------------------------------------------

    def usage(self) -> Usage:
        """Return how much is kept."""
        raise NotImplementedError

    def clear(self) -> int:
        """Forget all kept results, not the journal; return how many."""
        raise NotImplementedError

    def close(self) -> None:
        """Write out what is still pending and free resources.

        Gives up its claims and its jobs, as if the process had ended.
        """


@attrs.frozen
class Usage:
    """How much a store keeps.

    Attributes:
        location: Where, for people to read.
        results: Number of kept results.
        result_bytes: Their size.
        calls: Number of calls in the journal.
        circuits: Number of lines in the journal.
        jobs: Number of jobs that have not ended.
        total_bytes: Size of everything.
        limit_bytes: Size above which the oldest go, or `None` for none.
    """

    location: str
    results: int
    result_bytes: int
    calls: int
    circuits: int
    jobs: int
    total_bytes: int
    limit_bytes: int | None = None


def keeps_documents(store: Store) -> bool:
    """Tell whether a store has a place for documents; those of old have none."""
    return type(store).put is not Store.put


def keeps_ledgers(store: Store) -> bool:
    """Tell whether a store counts what is spent; those of old do not."""
    return type(store).reserve is not Store.reserve


def keeps_tallies(store: Store) -> bool:
    """Tell whether a store tells what executors did; those of old do not."""
    return type(store).tallies is not Store.tallies


def pages_runs(store: Store) -> bool:
    """Tell whether `runs` of a store takes `before`; that of stores of old does not."""
    taken = inspect.signature(store.runs).parameters.values()
    return any(one.name == "before" or one.kind is one.VAR_KEYWORD for one in taken)


#: States of circuits that are over.
ENDED: Final = frozenset({"completed", "failed", "cached"})


def run_of(call: Call, entries: Sequence[Entry], *, alive: bool) -> Run:
    """Return what became of a call, from its lines of the journal.

    Args:
        call: The call.
        entries: Its lines, in any order, without their entries' circuits if you like.
        alive: Whether the process that made it still lives, or a vendor has a job
            of it that has not ended.
    """
    last = list({e.index: e for e in sorted(entries, key=lambda e: e.attempt)}.values())
    costs = [entry.cost_usd for entry in entries if entry.cost_usd is not None]
    ended = len(last) >= call.circuits and all(e.state in ENDED for e in last)
    ends = [e.finished_at for e in last if e.finished_at is not None]
    return Run(
        call=call,
        state=_state(last, ended=ended, alive=alive),
        executors=tuple(dict.fromkeys(entry.executor for entry in last)),
        states=Counter(entry.state for entry in last),
        shots=sum(entry.shots or 0 for entry in entries if entry.state != "cached"),
        cost_usd=sum(costs) if costs else None,
        finished_at=max(ends) if ended and ends else None,
    )


def _state(last: Sequence[Entry], *, ended: bool, alive: bool) -> RunState:
    failed = [entry for entry in last if entry.state == "failed"]
    if failed:
        return "cancelled" if all(e.cancelled for e in failed) else "failed"
    if not ended:
        return "running" if alive else "lost"
    reused = bool(last) and all(entry.state == "cached" for entry in last)
    return "cached" if reused else "completed"

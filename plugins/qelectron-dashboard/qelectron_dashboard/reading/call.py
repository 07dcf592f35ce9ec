"""One call: its facts, its circuits, when they ran, and what they gave."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np

from qelectron_core.store import ENDED, Entry, Intent, Run, Store, pages_runs
from qelectron_dashboard.reading.outcomes import Outcome, line, outcomes
from qelectron_sqlite.cli.drawing import drawn
from qelectron_sqlite.cli.show import by_circuit, header, why_not_drawn
from qelectron_sqlite.cli.texts import count, dollars, safe, short
from qelectron_sqlite.cli.timeline import Scale
from qelectron_sqlite.cli.times import date, span

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

#: Reading all circuits of a call takes at most this share of the time.
_SHARE: Final = 0.1
#: Circuits that the timeline shows at a time.
IN_TIMELINE: Final = 200
#: Characters in a line of a drawing, before it goes on below.
_WIDTH: Final = 110
#: Characters of an error, or of what an executor told, that are shown.
_LONGEST: Final = 20_000
_LONGEST_FACT: Final = 2_000
#: Parameters that are listed.
_MOST_PARAMETERS: Final = 1_000
_NOT_KEPT: Final = "not kept: too large for the journal, or of a kind it cannot write"


@attrs.frozen
class Bar:
    """One attempt in the timeline.

    Attributes:
        row: Which row it is in, from above.
        index: The circuit.
        attempt: Which attempt at it.
        state: What became of it.
        submitted: When it was dispatched, in seconds after the call.
        started: When its job started, or the end if it did not.
        ended: When it ended, or now.
    """

    row: int
    index: int
    attempt: int
    state: str
    submitted: float
    started: float
    ended: float


@attrs.frozen
class Timeline:
    """When attempts waited and ran.

    Attributes:
        bars: The attempts, those of one circuit after each other.
        first: Place of the first circuit that is shown among those on record.
        circuits: How many circuits are shown.
        known: How many are on record.
        place: Place of the circuit that is looked at among those that are shown.
        seconds: How long it all took, or takes so far.
    """

    bars: tuple[Bar, ...]
    first: int
    circuits: int
    known: int
    place: int
    seconds: float


@attrs.frozen
class Attempt:
    """One attempt to run the circuit that is looked at.

    Attributes:
        number: 1 for the first one.
        state: What became of it.
        facts: What is known of it, by name.
        metadata: What the executor told, by the executor's names.
        error: What it ended in; empty if it did not.
    """

    number: int
    state: str
    facts: tuple[tuple[str, str], ...]
    metadata: tuple[tuple[str, str], ...]
    error: str


@attrs.frozen
class Circuit:
    """The circuit that is looked at.

    Attributes:
        index: Its position in the call.
        state: What became of it.
        executor: The executor that the selector chose.
        drawing: It, as text.
        remark: Why it is not drawn; empty if it is.
        parameters: A row for each operation that has some.
        left_out: How many such operations are not among them.
        outcomes: What it gave.
        missing: Why there is no result although it has ended; empty if there is.
        attempts: The attempts to run it, in order.
    """

    index: int
    state: str
    executor: str
    drawing: str
    remark: str
    parameters: tuple[tuple[str, str, str], ...]
    left_out: int
    outcomes: tuple[Outcome, ...]
    missing: str
    attempts: tuple[Attempt, ...]


@attrs.frozen(eq=False)
class Seen:
    """A call, as its page shows it.

    Attributes:
        run: The call.
        facts: What is known of it, by name; what is empty is not known.
        ended: How many of its circuits are over.
        jobs: Its jobs at vendors that have not ended.
        rows: A row for each circuit, for the table.
        timeline: When they ran.
        circuit: The circuit that is looked at, or `None` if none has begun.
    """

    run: Run
    facts: Mapping[str, str]
    ended: int
    jobs: Sequence[Intent]
    rows: Sequence[Mapping[str, Any]]
    timeline: Timeline
    circuit: Circuit | None

    @property
    def is_stuck_elsewhere(self) -> bool:
        """Whether it runs, and only its own program can stop it."""
        return self.run.state == "running" and not self.jobs


class Reading:
    """Reads a call again and again; one that is over is read once.

    Args:
        store: Where it is.
        call_id: Its id.
        chosen: Index of the circuit that is looked at; may be set at any time.
    """

    def __init__(self, store: Store, call_id: str, chosen: int = 0) -> None:
        self.chosen = chosen
        self._store = store
        self._call_id = call_id
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._jobs: Sequence[Intent] = ()
        self._is_over = False
        self._whole_again = 0.0
        self._rows: Sequence[Mapping[str, Any]] = ()
        self._seen: Seen | None = None
        self._pictures: dict[int, _Picture] = {}

    def read(self) -> Seen | None:
        """Return the call, or `None` if there is none by this id."""
        with self._lock:  # a page may be opened before it is read
            if not self._is_over and not self._glance():
                self._look()
            return None if self._run is None else self._shown(self._run)

    def _glance(self) -> bool:
        """Look at what became of the call as a whole, if it was read not long ago.

        Reading all circuits of a large call takes seconds.

        Returns:
            Whether that will do for now.
        """
        run = self._run
        is_due = time.monotonic() >= self._whole_again
        if run is None or is_due or not pages_runs(self._store):
            return False
        at = run.call.at
        around = math.nextafter(at, -math.inf), math.nextafter(at, math.inf)
        some = self._store.runs(since=around[0], before=around[1])
        found = next((one for one in some if one.id == run.id), None)
        if found is None or _is_over(found):
            return False
        self._run = attrs.evolve(found, entries=run.entries)
        return True

    def _look(self) -> None:
        began = time.monotonic()
        # Jobs are read first: what ends in between is then found twice, not never.
        jobs = self._store.jobs(call_id=self._call_id)
        found = self._store.runs(call_id=self._call_id)
        if not found and self._run is not None:
            return  # it has left the journal, and stays on the page
        self._jobs = jobs
        self._run = found[0] if found else None
        if self._run is not None:
            self._is_over = not jobs and _is_over(self._run)
            self._rows = rows(self._run)
            self._seen = None
        took = time.monotonic() - began
        self._whole_again = time.monotonic() + took / _SHARE

    def _shown(self, run: Run) -> Seen:
        circuits = by_circuit(run.entries)
        index = self.chosen if self.chosen in circuits else next(iter(circuits), None)
        seen = self._seen
        if seen is None or seen.circuit is None or seen.circuit.index != index:
            seen = self._seen = self._made(run, circuits, index)
        return attrs.evolve(seen, run=run, facts=header(run), ended=_ended(run))

    def _made(
        self, run: Run, circuits: Mapping[int, Sequence[Entry]], index: int | None
    ) -> Seen:
        return Seen(
            run=run,
            facts=header(run),
            ended=_ended(run),
            jobs=self._jobs,
            rows=self._rows,
            timeline=timeline(run, circuits, index),
            circuit=None if index is None else self._circuit(circuits[index]),
        )

    def _circuit(self, attempts: Sequence[Entry]) -> Circuit:
        last = attempts[-1]
        picture = self._picture(attempts)
        is_there = last.state in ("completed", "cached")
        has_value = is_there and last.value is not None
        return Circuit(
            index=last.index,
            state=last.state,
            executor=short(last.executor, _LONGEST_FACT),
            drawing=picture.drawing,
            remark="" if picture.drawing else why_not_drawn(last),
            parameters=picture.parameters,
            left_out=picture.left_out,
            outcomes=outcomes(last.value, picture.circuit) if has_value else (),
            missing=_NOT_KEPT if is_there and not has_value else "",
            attempts=tuple(map(_attempt, attempts)),
        )

    def _picture(self, attempts: Sequence[Entry]) -> _Picture:
        """Return how a circuit looks: it stays so, and drawing it takes a while."""
        index = attempts[-1].index
        if index not in self._pictures:
            kept: Any = next((one.circuit for one in attempts if one.circuit), None)
            if kept is None:
                return _Picture(None)
            self._pictures = {index: _pictured(kept)}
        return self._pictures[index]


@attrs.frozen(eq=False)
class _Picture:
    circuit: QuantumScript | None
    drawing: str = ""
    parameters: tuple[tuple[str, str, str], ...] = ()
    left_out: int = 0


def rows(run: Run) -> list[dict[str, Any]]:
    """Return a row of the table for each circuit."""
    return [_row(attempts) for attempts in by_circuit(run.entries).values()]


def timeline(
    run: Run, circuits: Mapping[int, Sequence[Entry]], index: int | None
) -> Timeline:
    """Return when attempts waited and ran, of the part that has one circuit in it."""
    indices = [*circuits]
    place = 0 if index is None else indices.index(index)
    first = place - place % IN_TIMELINE
    shown = indices[first : first + IN_TIMELINE]
    scale = Scale.of(run)
    lines = [entry for one in shown for entry in circuits[one]]
    return Timeline(
        bars=tuple(_bar(row, entry, scale) for row, entry in enumerate(lines)),
        first=first,
        circuits=len(shown),
        known=len(indices),
        place=place - first,
        seconds=scale.end - scale.start,
    )


def parameters(circuit: QuantumScript) -> tuple[tuple[tuple[str, str, str], ...], int]:
    """Return gate, wires, values of operations that have some; and how many are cut."""
    found = [one for one in circuit.operations if one.data]
    listed = tuple(
        (
            short(one.name, 60),
            short(", ".join(str(wire) for wire in one.wires), 60),
            ", ".join(line(np.asarray(value)) for value in one.data),
        )
        for one in found[:_MOST_PARAMETERS]
    )
    return listed, len(found) - len(listed)


def at_vendor(job: Intent) -> str:
    """Return where a job stands that has not ended."""
    handle = "its handle is unknown" if job.handle is None else f"there {job.handle}"
    who = "its program waits for it" if job.alive else "its program has ended"
    return short(f"Job {job.job_id} is at the vendor, {handle}; {who}.", _LONGEST_FACT)


def said(bar: Bar) -> str:
    """Return what a bar of the timeline shows, in words."""
    which = f"circuit {bar.index}"
    if bar.attempt > 1:
        which += f", attempt {bar.attempt}"
    if bar.state == "cached":
        return f"{which}: from the cache"
    queued = f"{span(bar.started - bar.submitted)} queued"
    ran = bar.ended - bar.started
    return f"{which}: {bar.state}, {queued}, {span(ran)} running"


def _ended(run: Run) -> int:
    """Return how many circuits are over."""
    return sum(number for state, number in run.states.items() if state in ENDED)


def _is_over(run: Run) -> bool:
    """Tell whether nothing more can come."""
    return run.state == "lost" or _ended(run) >= run.call.circuits


def _pictured(circuit: QuantumScript) -> _Picture:
    return _Picture(circuit, drawn(circuit, _WIDTH), *parameters(circuit))


def _row(attempts: Sequence[Entry]) -> dict[str, Any]:
    last = attempts[-1]
    return {
        "id": str(last.index),
        "index": last.index,
        "state": last.state,
        "result": line(last.value) or short(last.error or "", 80),
        "executor": short(last.executor, 80),
        "attempts": len(attempts),
        "queued": _between(last.submitted_at, last.started_at),
        "ran": _between(last.started_at, last.finished_at),
        "shots": last.shots,
        "cost_usd": last.cost_usd,
        "job": short(last.job_id, 60),
    }


def _between(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else max(0.0, end - begin)


def _bar(row: int, entry: Entry, scale: Scale) -> Bar:
    ended = scale.end if entry.finished_at is None else entry.finished_at
    started = ended if entry.started_at is None else entry.started_at
    moments = (entry.submitted_at, started, ended)
    after = [round(max(0.0, one - scale.start), 4) for one in moments]
    return Bar(row, entry.index, entry.attempt, entry.state, *after)


def _attempt(entry: Entry) -> Attempt:
    return Attempt(
        number=entry.attempt,
        state=entry.state,
        facts=tuple((name, told) for name, told in _told(entry) if told),
        metadata=tuple(
            (short(str(key), 80), short(_plain(value), _LONGEST_FACT))
            for key, value in entry.metadata.items()
        ),
        error=lines(entry.error or ""),
    )


def _told(entry: Entry) -> Iterator[tuple[str, str]]:
    queued = _between(entry.submitted_at, entry.started_at)
    ran = _between(entry.started_at, entry.finished_at)
    circuits = (
        f", with {count(entry.job_size, 'circuit')}" if entry.job_size > 1 else ""
    )
    yield "executor", short(entry.executor, _LONGEST_FACT)
    yield "job", f"{safe(entry.job_id)}{circuits}" if entry.job_id else ""
    yield "at the vendor", short(entry.handle or "", _LONGEST_FACT)
    yield "dispatched", date(entry.submitted_at)
    if entry.state != "cached":
        yield "queued", "" if queued is None else span(queued)
        yield "ran", "" if ran is None else span(ran)
    yield "shots", "" if entry.shots is None else f"{entry.shots:,}"
    yield "cost", "" if entry.cost_usd is None else dollars(entry.cost_usd)


def lines(text: str, most: int = _LONGEST) -> str:
    """Return text of several lines without what would steer, cut if it is long."""
    cut = text[:most]
    told = "\n".join(map(safe, cut.split("\n")))
    left_out = len(text) - len(cut)
    return f"{told}\n… and {count(left_out, 'more character')}" if left_out else told


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)

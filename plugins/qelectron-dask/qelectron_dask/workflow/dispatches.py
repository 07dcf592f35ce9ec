"""Dispatches of this process, and what the store knows of those of any."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import attrs

from qelectron_core import ConfigError, Document, FormatError, at_shutdown
from qelectron_core.versions import process
from qelectron_dask.workflow import records
from qelectron_dask.workflow.containers import captured
from qelectron_dask.workflow.events import tell_of
from qelectron_dask.workflow.execution import Execution
from qelectron_dask.workflow.fingerprints import fingerprints
from qelectron_dask.workflow.graph import Graph
from qelectron_dask.workflow.recorder import recorder, shelf
from qelectron_dask.workflow.records import Header
from qelectron_dask.workflow.result import DispatchResult, LatticeOutput
from qelectron_dask.workflow.running import described
from qelectron_dask.workflow.states import DispatchState, ElectronRun, state_of

#: Dispatches that have ended and are kept in memory, with all they returned, though
#: the store has that as well.
_MOST_KEPT: Final = 32


class Dispatch:
    """A dispatch that this process carries out, or has.

    Attributes:
        id: Its id.
        graph: Its electrons.
        header: What is written down of it once.
        execution: What becomes of it.
        is_kept: Whether the store has what it returned, if it has ended.
    """

    def __init__(
        self,
        graph: Graph,
        header: Header,
        runs: Iterable[ElectronRun] | None = None,
    ) -> None:
        """Prepare a dispatch; nothing runs yet.

        Args:
            graph: Its electrons.
            header: What is written down of it once.
            runs: What became of them in an earlier one that it goes on with.
        """
        self.id = f"dispatch-{secrets.token_hex(5)}"
        self.graph = graph
        self.header = header
        self.execution = Execution(
            self.id,
            graph,
            header.waiting() if runs is None else runs,
            on_change=self._changed,
            resumes=header.traces,
        )
        self.output: LatticeOutput | None = None
        self.is_kept = True
        self.execution.on_end(self._ended)

    def begin(self) -> None:
        """Write down that it begins."""
        given = self.graph.args, self.graph.kwargs
        put = partial(recorder.put, self.id)
        put("", partial(records.write_header, self.header))
        put(records.ARGUMENTS, lambda: records.write_value(given)[0])
        for run in self.execution.runs:
            if run.has_ended:
                self._record(run)

    def result(self) -> DispatchResult:
        """Return how it stands."""
        output = self.output
        if output is not None:
            output = attrs.evolve(output, value=captured(output.value))
        return DispatchResult(
            dispatch_id=self.id,
            lattice=self.header.lattice,
            status=self.status,
            electrons=tuple(map(_own, self.execution.runs)),
            started_at=self.header.at,
            process=self.header.process,
            redispatched=self.header.redispatched,
            output=output,
        )

    @property
    def runs(self) -> tuple[ElectronRun, ...]:
        """What became of its electrons so far."""
        return self.execution.runs

    @property
    def status(self) -> DispatchState:
        """What became of it so far."""
        status, output = self.execution.state, self.output
        if status != "completed":
            return status
        if output is None:  # about to be put together
            return "running"
        return "completed" if output.error is None else "failed"

    def _changed(self, run: ElectronRun) -> None:
        self._record(run)
        tell_of(self.id, run)

    def _record(self, run: ElectronRun) -> None:
        part = records.electron_part(run.number)
        recorder.put(self.id, part, partial(records.write_electron, run))

    def _ended(self) -> None:
        if state_of(self.execution.runs) != "completed":
            return
        try:
            value = self.graph.result(self.execution.outputs())
            self.output = LatticeOutput(captured(value))
        except Exception as error:  # indexing what has no such item, say
            self.output = LatticeOutput(error=described(error))
        recorder.put(self.id, records.OUTPUT, self._written)

    def _written(self) -> bytes:
        output, body = records.write_output(self.output or LatticeOutput())
        self.is_kept = output.unkept is None
        return body


def _own(run: ElectronRun) -> ElectronRun:
    """Return a record whose result is the caller's to change."""
    return run if run.result is None else attrs.evolve(run, result=captured(run.result))


def header_of(graph: Graph, redispatched: str | None = None) -> Header:
    """Return what is written down of a dispatch that begins now.

    Args:
        graph: Its electrons.
        redispatched: Id of the dispatch that it goes on with.
    """
    function = graph.lattice.function
    name = getattr(function, "__qualname__", graph.lattice.name)
    return Header(
        lattice=graph.lattice.name,
        path=f"{getattr(function, '__module__', '')}:{name}",
        at=time.time(),
        process=process(),
        names=tuple(node.name for node in graph),
        parents=tuple(tuple(sorted(node.parents)) for node in graph),
        fingerprints=tuple(fingerprints(graph)),
        redispatched=redispatched,
    )


class Live:
    """The dispatches of this process: those under way, and some that have ended."""

    def __init__(self) -> None:
        self._dispatches: dict[str, Dispatch] = {}

    def add(self, dispatch: Dispatch) -> None:
        """Take a dispatch that begins."""
        self._dispatches[dispatch.id] = dispatch
        at_shutdown(self.stop)
        # A list, because other threads dispatch meanwhile.
        every = list(self._dispatches.values())
        ended = [one for one in every if one.execution.is_over and one.is_kept]
        for old in ended[: max(0, len(ended) - _MOST_KEPT)]:
            self._dispatches.pop(old.id, None)

    def get(self, dispatch_id: str) -> Dispatch | None:
        """Return a dispatch of this process, if it is one."""
        return self._dispatches.get(dispatch_id)

    def running(self) -> list[Dispatch]:
        """Return those under way."""
        return [d for d in list(self._dispatches.values()) if not d.execution.is_over]

    def stop(self) -> None:
        """Start no more electrons: the program ends, or everything is shut down."""
        for dispatch in self.running():
            dispatch.execution.stop()
        recorder.flush()

    def forget(self) -> None:
        """Forget all: in a forked child, they are its parent's."""
        self._dispatches = {}


live: Final = Live()
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=live.forget)


@attrs.frozen(eq=False)
class Recorded:
    """A dispatch as the store knows it.

    Attributes:
        id: Its id.
        header: What it is.
        alive: Whether the process that carries it out lives.
        runs: What became of its electrons.
        output: What the lattice returned, once it is there.
        arguments: Arguments of the lattice, or `None` if they could not be kept.
    """

    id: str
    header: Header
    alive: bool
    runs: tuple[ElectronRun, ...]
    output: LatticeOutput | None
    arguments: Document

    @property
    def status(self) -> DispatchState:
        """What became of it so far."""
        status = state_of(self.runs, alive=self.alive)
        if status == "completed" and self.output is None:  # about to be written
            return "running" if self.alive else "lost"
        if self.output is not None and self.output.error is not None:
            return "failed"
        return status

    def result(self) -> DispatchResult:
        """Return how it stands."""
        return DispatchResult(
            dispatch_id=self.id,
            lattice=self.header.lattice,
            status=self.status,
            electrons=self.runs,
            started_at=self.header.at,
            process=self.header.process,
            redispatched=self.header.redispatched,
            output=self.output,
        )


def recorded(dispatch_id: str) -> Recorded:
    """Return a dispatch of any process, from the store.

    Raises:
        ConfigError: If the store does not know it.
        FormatError: If its record is damaged.
    """
    parts = shelf.read(dispatch_id)
    if "" not in parts or records.ARGUMENTS not in parts:
        message = (
            f"no dispatch {dispatch_id!r} is known to the store. "
            "`qelectron dispatches` lists those that are. Without a store that "
            "outlives the process (pip install qelectron-sqlite) only the process "
            "itself knows its dispatches."
        )
        raise ConfigError(message)
    header = records.read_header(parts[""])
    output = parts.get(records.OUTPUT)
    return Recorded(
        id=dispatch_id,
        header=header,
        alive=parts[""].alive,
        runs=records.read_electrons(header, parts),
        output=None if output is None else records.read_output(output),
        arguments=parts[records.ARGUMENTS],
    )


def known(dispatch_id: Any) -> Dispatch | Recorded:
    """Return a dispatch of this process, or of any other one.

    Raises:
        ConfigError: If there is none with this id.
        FormatError: If its record is damaged.
    """
    if not isinstance(dispatch_id, str):
        message = (
            f"dispatch_id={dispatch_id!r} is no id. Expected what dispatch(…)(…) "
            "returned, a string."
        )
        raise ConfigError(message)
    return live.get(dispatch_id) or recorded(dispatch_id)


def recent(limit: int | None = None) -> list[DispatchResult]:
    """Return the dispatches that the store knows and can read, the newest first."""
    recorder.flush()
    found: list[DispatchResult] = []
    for document in shelf.recent(limit):
        try:
            found.append(known(document.id).result())
        except (ConfigError, FormatError):
            continue
    return found

"""How a dispatch is written into the store, and read from it.

A header that says what the electrons are, a part per electron that says what became
of it and what it returned, the arguments, and what the lattice returned. JSON and
the core's format of values: nothing is pickled, and reading executes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from typing import Any, Final, get_args

import attrs

from qelectron_core import Document, FormatError
from qelectron_core.formats import dump_value, load_value
from qelectron_dask.workflow.result import LatticeOutput
from qelectron_dask.workflow.running import described
from qelectron_dask.workflow.states import CallSummary, ElectronRun, ElectronState

#: What the documents are kept as.
KIND: Final = "qelectron-dask.dispatch"
_VERSION: Final = 1
#: Size above which what an electron returned is not kept.
MOST_VALUE_BYTES: Final = 64 * 1024**2

#: The year 9999, in seconds since the epoch: what can be shown as a date.
_LATEST: Final = 253_402_300_800.0

ARGUMENTS: Final = "arguments"
OUTPUT: Final = "output"
CANCEL: Final = "cancel"
_ELECTRON: Final = "electron-"
_SPLIT: Final = b"\n"


@attrs.frozen(eq=False)
class Header:
    """What a dispatch is.

    Attributes:
        lattice: Name of the lattice.
        path: Where its function is, as `"module:name"`.
        at: When it was dispatched, in seconds since the epoch.
        process: The process that carries it out, as `"host:pid"`.
        names: Names of its electrons.
        parents: Per electron, those that it waits for.
        fingerprints: Per electron, what an equal one has as well.
        redispatched: Id of the dispatch that it goes on with, or `None`.
        resumes: Per electron, what leads to what earlier dispatches began of it, the
            latest first.
    """

    lattice: str
    path: str
    at: float
    process: str
    names: tuple[str, ...]
    parents: tuple[tuple[int, ...], ...]
    fingerprints: tuple[str, ...]
    redispatched: str | None = None
    resumes: tuple[tuple[str, ...], ...] = ()

    def traces(self, number: int) -> tuple[str, ...]:
        """Return what leads to what earlier dispatches began of an electron."""
        return self.resumes[number] if self.resumes else ()

    def waiting(self) -> list[ElectronRun]:
        """Return its electrons, as before the first one starts."""
        return [
            ElectronRun(number, name, parents=tuple(parents))
            for number, (name, parents) in enumerate(
                zip(self.names, self.parents, strict=True)
            )
        ]


def write_header(header: Header) -> bytes:
    """Return a header as bytes."""
    return _json({"version": _VERSION, **attrs.asdict(header)})


def read_header(document: Document) -> Header:
    """Return a header that was written.

    Raises:
        FormatError: If it is damaged or of another version.
    """
    try:
        found = json.loads(document.body)
        version = found.pop("version")
    except Exception as error:
        raise _damaged(document, error) from error
    if version != _VERSION:
        raise _damaged(document, "it is of another version of qelectron-dask")
    try:
        header = Header(
            **{k: _tuples(v) if isinstance(v, list) else v for k, v in found.items()}
        )
    except Exception as error:
        raise _damaged(document, error) from error
    if not _makes_sense(header):
        raise _damaged(document, "it makes no sense")
    return header


def _makes_sense(header: Header) -> bool:
    """Tell whether a header is what one that was written could be."""
    at: Any = header.at
    before: Any = header.redispatched
    texts: Any = (header.lattice, header.path, header.process, *header.fingerprints)
    try:
        count = len(header.names)
        return (
            all(isinstance(text, str) for text in (*texts, *header.names))
            and isinstance(at, float)
            and 0 <= at < _LATEST
            and isinstance(before, (str, type(None)))
            and len(header.parents) == len(header.fingerprints) == count
            and len(header.resumes) in (0, count)
            and all(isinstance(name, str) for row in header.resumes for name in row)
            and all(_is_number(p, count) for row in header.parents for p in row)
            and _has_no_circle(header.parents)
        )
    except TypeError:
        return False


def _is_number(value: Any, count: int) -> bool:
    return type(value) is int and 0 <= value < count


def _has_no_circle(parents: tuple[tuple[int, ...], ...]) -> bool:
    try:
        TopologicalSorter(dict(enumerate(parents))).prepare()
    except CycleError:
        return False
    return True


def electron_part(number: int) -> str:
    """Return the name of the part that tells of an electron."""
    return f"{_ELECTRON}{number:06}"


def write_electron(run: ElectronRun) -> bytes:
    """Return what is known of an electron as bytes, with what it returned.

    What cannot be kept is left out, and it is said why.
    """
    value = b""
    if run.state == "completed":
        value, unkept = write_value(run.result)
        run = attrs.evolve(run, unkept=unkept)
    told = attrs.asdict(attrs.evolve(run, result=None))
    del told["result"]
    return _json(told) + _SPLIT + value


def read_electron(document: Document) -> ElectronRun:
    """Return what is known of an electron.

    Raises:
        FormatError: If it is damaged.
    """
    try:
        head, _, value = document.body.partition(_SPLIT)
        told = json.loads(head)
        calls = tuple(
            CallSummary(**{**one, "executors": tuple(one["executors"])})
            for one in told.pop("calls")
        )
        parents = tuple(told.pop("parents"))
        result = load_value(value) if value else None
        run = ElectronRun(**told, calls=calls, parents=parents, result=result)
    except FormatError:
        raise
    except Exception as error:
        raise _damaged(document, error) from error
    if not _could_be(run):
        raise _damaged(document, "it makes no sense")
    return run


def _could_be(run: ElectronRun) -> bool:
    """Tell whether what is known of an electron is what could have been written."""
    maybe = (run.error, run.traceback, run.dispatch_id, run.unkept)
    reused: Any = run.reused
    texts: tuple[Any, ...] = (
        run.name,
        run.executor,
        run.worker,
        *(text or "" for text in maybe),
    )
    counts = [(one.circuits, one.shots, one.failed, one.cached) for one in run.calls]
    numbers = (run.number, run.attempt, *chain.from_iterable(counts))
    times = (run.started_at, run.finished_at, *(one.cost_usd for one in run.calls))
    names = chain.from_iterable((one.id, *one.executors) for one in run.calls)
    return (
        all(isinstance(text, str) for text in (*texts, *names))
        and all(type(number) is int for number in numbers)
        and all(time is None or isinstance(time, (int, float)) for time in times)
        and isinstance(reused, bool)
        and run.state in get_args(ElectronState)
    )


def read_electrons(
    header: Header, parts: Mapping[str, Document]
) -> tuple[ElectronRun, ...]:
    """Return what is known of all electrons of a dispatch.

    Raises:
        FormatError: If something is damaged.
    """
    runs = header.waiting()
    for part, document in parts.items():
        if part.startswith(_ELECTRON):
            run = read_electron(document)
            if not 0 <= run.number < len(runs):
                raise _damaged(document, f"there is no electron {run.number}")
            known = header.parents[run.number]
            runs[run.number] = attrs.evolve(run, parents=known)
    return tuple(runs)


def write_output(output: LatticeOutput) -> tuple[LatticeOutput, bytes]:
    """Return what a lattice returned, and whether it can be kept; and it as bytes."""
    value = b""
    if output.error is None:
        value, unkept = write_value(output.value)
        output = attrs.evolve(output, unkept=unkept)
    told = {"error": output.error, "unkept": output.unkept}
    return output, _json(told) + _SPLIT + value


def read_output(document: Document) -> LatticeOutput:
    """Return what a lattice returned.

    Raises:
        FormatError: If it is damaged.
    """
    head, _, value = document.body.partition(_SPLIT)
    try:
        told = json.loads(head)
        error, unkept = told["error"], told["unkept"]
    except Exception as failure:
        raise _damaged(document, failure) from failure
    if not all(text is None or isinstance(text, str) for text in (error, unkept)):
        raise _damaged(document, "it makes no sense")
    return LatticeOutput(load_value(value) if value else None, error, unkept)


def write_value(value: Any) -> tuple[bytes, str | None]:
    """Return a value as bytes; if it cannot be kept, nothing and why."""
    try:
        data = dump_value(value)
    except FormatError as error:
        return b"", str(error)
    except Exception as error:  # of a class of the user's own, say
        return b"", f"it cannot be written down: {described(error)}"
    if len(data) > MOST_VALUE_BYTES:
        return b"", f"it takes {len(data):,} bytes; {MOST_VALUE_BYTES:,} are kept."
    return data, None


def _json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _damaged(document: Document, why: Any) -> FormatError:
    return FormatError(
        f"the record of {document.id} cannot be read ({document.part or 'header'}): "
        f"{why}. Dispatch the lattice again."
    )

"""Records as the values of rows, and back.

All that is slow, or may not be possible, is done here, before a transaction begins.
What cannot be written down, or is found damaged, is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import attrs

from qelectron_core.contracts import Settings
from qelectron_core.errors import FormatError
from qelectron_core.formats import (
    dump_circuit,
    dump_value,
    load_circuit,
    load_value,
)
from qelectron_core.store import Call, Entry, Kept, Key
from qelectron_sqlite.owners import Owner

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

#: The values of one row, in the order of the statement that they are for.
Row: TypeAlias = tuple[Any, ...]
T = TypeVar("T")
S = TypeVar("S")

#: Bytes that a result takes besides its value, roughly.
RESULT_BYTES: Final = 300
_SETTINGS: Final = frozenset(field.name for field in attrs.fields(Settings))


def if_possible(convert: Callable[[S], T], given: S | None) -> T | None:
    """Return something converted, or `None` if there is nothing or it cannot be."""
    if given is None:
        return None
    try:
        return convert(given)
    except FormatError:
        return None


def text(given: str) -> str:
    """Return text without what has no place in UTF-8."""
    if given.isascii():
        return given
    return given.encode("utf-8", "backslashreplace").decode("utf-8")


def _text_or_none(given: str | None) -> str | None:
    return None if given is None else text(given)


def _number(given: Any) -> float | None:
    return None if given is None else float(given)


def to_json(given: Mapping[str, Any]) -> str:
    """Return facts as JSON; what it has no words for, as text."""
    return json.dumps(dict(given), default=_plain) if given else "{}"


def _plain(given: Any) -> Any:
    return given.tolist() if hasattr(given, "tolist") else repr(given)


def from_json(given: str) -> dict[str, Any]:
    """Return facts that were written as JSON; nothing if they are damaged."""
    if given == "{}":
        return {}
    try:
        facts = json.loads(given)
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


# --- The journal ----------------------------------------------------------------------


def call_row(call: Call, owner: Owner) -> Row:
    """Return a call as a row."""
    process = text(call.process) or owner.process
    return (
        text(call.id),
        text(call.name),
        text(call.executors),
        int(call.circuits),
        float(call.at),
        process,
        owner.born if process == owner.process else "",
        to_json(call.versions),
        _text_or_none(call.output),
    )


def to_call(row: Row) -> tuple[Call, str]:
    """Return the call of a row, and when its process started."""
    id_, name, executors, circuits, at, process, born, versions, output = row
    call = Call(
        id=id_,
        name=name,
        executors=executors,
        circuits=circuits,
        at=at,
        process=process,
        versions=from_json(versions),
        output=output,
    )
    return call, born


def entry_row(entry: Entry) -> Row:
    """Return a line of the journal as a row, without its circuit and value."""
    return (
        text(entry.call_id),
        int(entry.index),
        int(entry.attempt),
        entry.state,
        text(entry.executor),
        float(entry.submitted_at),
        _number(entry.started_at),
        _number(entry.finished_at),
        None if entry.shots is None else int(entry.shots),
        text(entry.job_id),
        int(entry.job_size),
        _text_or_none(entry.handle),
        _number(entry.cost_usd),
        _text_or_none(entry.error),
        to_json(entry.metadata),
    )


def body_row(entry: Entry) -> Row:
    """Return the circuit and the value of a line of the journal as a row."""
    return (
        if_possible(dump_circuit, entry.circuit),
        if_possible(dump_value, entry.value),
        text(entry.call_id),
        int(entry.index),
        int(entry.attempt),
    )


def to_entry(call_id: str, row: Row) -> Entry:
    """Return the line of the journal of a row."""
    *facts, metadata, circuit, value = row
    names = (
        *("index", "attempt", "state", "executor", "submitted_at", "started_at"),
        *("finished_at", "shots", "job_id", "job_size", "handle", "cost_usd", "error"),
    )
    return Entry(
        call_id=call_id,
        **dict(zip(names, facts, strict=True)),
        metadata=from_json(metadata),
        circuit=if_possible(load_circuit, circuit),
        value=if_possible(load_value, value),
    )


# --- Results --------------------------------------------------------------------------


def result_row(kept: Kept) -> Row | None:
    """Return a result as a row, or `None` if it cannot be written down."""
    try:
        value = dump_value(kept.value)
    except FormatError:
        return None
    metadata = to_json(kept.metadata)
    return (
        *key_row(kept.key),
        int(kept.shots),
        text(kept.executor),
        text(kept.job_id),
        float(kept.at),
        _text_or_none(kept.handle),
        metadata,
        RESULT_BYTES + len(value) + len(metadata),
        value,
    )


def to_kept(key: Key, row: Row) -> Kept | None:
    """Return the result of a row, or `None` if it is damaged."""
    shots, executor, job_id, at, handle, metadata, value = row
    try:
        result = load_value(value)
    except FormatError:
        return None
    return Kept(key, result, shots, executor, job_id, at, handle, from_json(metadata))


def key_row(key: Key) -> tuple[str, str, str]:
    """Return a key as the values that it is looked up by."""
    return key.pool, key.shots, key.draw


# --- Jobs -----------------------------------------------------------------------------


def key_text(key: Key | None) -> str | None:
    """Return a key as one text."""
    return None if key is None else json.dumps(key_row(key))


def to_key(given: str | None) -> Key | None:
    """Return the key of a text, or `None` if there is none, or it is damaged."""
    try:
        parts = json.loads(given or "null")
    except (ValueError, RecursionError):
        return None
    whole = isinstance(parts, list) and [*map(type, parts)] == [str] * 3
    return Key(*parts) if whole else None


def settings_text(settings: Settings) -> str:
    """Return the settings of a job as JSON."""
    return to_json(attrs.asdict(settings))


def to_settings(given: str) -> Settings:
    """Return the settings of a text; unknown ones are left out."""
    facts = from_json(given)
    return Settings(**{name: facts[name] for name in facts if name in _SETTINGS})


def to_circuits(texts: Sequence[str | None]) -> tuple[QuantumScript, ...] | None:
    """Return the circuits of texts, or `None` if one of them cannot be read."""
    circuits = [if_possible(load_circuit, given) for given in texts]
    return None if None in circuits else tuple(c for c in circuits if c is not None)

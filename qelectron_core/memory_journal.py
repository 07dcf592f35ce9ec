"""The journal of the store in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from qelectron_core.store import Call, Entry, Kept
from qelectron_core.values import size_of

#: Lines of the journal that are kept before the oldest calls are forgotten.
MOST_ENTRIES: Final = 10_000
#: Bytes that a record takes besides its value, roughly.
_RECORD_BYTES: Final = 512


class _Told:
    """What the journal was told of one call."""

    __slots__ = ("call", "lines")

    def __init__(self) -> None:
        self.call: Call | None = None
        self.lines: dict[tuple[str, int, int], Entry] = {}


class Journal:
    """The newest calls and their lines; the newest call stays whole.

    Attributes:
        lines: How many lines there are.
        size: How many bytes they take, roughly.
    """

    def __init__(self, most_calls: int, most_bytes: int) -> None:
        """Make an empty one that holds so much at most."""
        self._most_calls = most_calls
        self._most_bytes = most_bytes
        self._told: dict[str, _Told] = {}
        # Lines of a call may come when it is forgotten: half of it is worse than none.
        self._forgotten: OrderedDict[str, None] = OrderedDict()
        self.lines = 0
        self.size = 0

    def __len__(self) -> int:
        """Return the number of calls."""
        return len(self._told)

    def add(self, calls: Iterable[Call], entries: Iterable[Entry]) -> None:
        """Keep calls and lines, and forget the oldest calls if there are too many."""
        for call in calls:
            self._of(call.id).call = call
        for entry in entries:
            if entry.call_id not in self._forgotten:
                self._put(self._of(entry.call_id).lines, entry)
        while self._is_full():
            self._forget()

    def _of(self, call_id: str) -> _Told:
        return self._told.setdefault(call_id, _Told())

    def _put(self, lines: dict[tuple[str, int, int], Entry], entry: Entry) -> None:
        earlier = lines.get(entry.place)
        if earlier is None:
            self.lines += 1
        else:
            self.size -= bytes_of(earlier)
            entry = entry.after(earlier)
        lines[entry.place] = entry
        self.size += bytes_of(entry)

    def _is_full(self) -> bool:
        return len(self._told) > 1 and (
            len(self._told) > self._most_calls
            or self.lines > MOST_ENTRIES
            or self.size > self._most_bytes
        )

    def _forget(self) -> None:
        call_id = next(iter(self._told))
        lines = self._told.pop(call_id).lines
        self.lines -= len(lines)
        self.size -= sum(map(bytes_of, lines.values()))
        self._forgotten[call_id] = None
        if len(self._forgotten) > self._most_calls:
            self._forgotten.popitem(last=False)

    def told(self, call_id: str | None) -> list[tuple[Call, list[Entry]]]:
        """Return calls and their lines, of one call or of all, oldest first."""
        ids = self._told if call_id is None else {call_id} & self._told.keys()
        told = ((one, self._told[one]) for one in ids)
        return [(t.call or _unwritten(one, t), [*t.lines.values()]) for one, t in told]

    def clear(self) -> None:
        """Forget everything."""
        self._told.clear()
        self._forgotten.clear()
        self.lines = self.size = 0


def _unwritten(call_id: str, told: _Told) -> Call:
    """Return a call that was never written, as far as its lines tell."""
    first = next(iter(told.lines.values()))
    return Call(
        id=call_id,
        name="",
        executors=first.executor,
        circuits=len({entry.index for entry in told.lines.values()}),
        at=first.submitted_at,
    )


def bytes_of(record: Entry | Kept) -> int:
    """Return how many bytes a record takes, roughly."""
    return _RECORD_BYTES + size_of(record.value)

"""The documents of the store in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from qelectron_core.store import Document

#: Bytes that a document takes besides its body, roughly.
_RECORD_BYTES: Final = 512


class Documents:
    """Documents by thing, that written last at the end; it stays whole.

    Attributes:
        size: How many bytes they take, roughly.
    """

    def __init__(self, most_bytes: int) -> None:
        """Make an empty one that holds so much at most."""
        self._most_bytes = most_bytes
        self._things: OrderedDict[tuple[str, str], dict[str, Document]] = OrderedDict()
        self.size = 0

    def put(self, documents: Iterable[Document]) -> None:
        """Keep documents, and forget the things written longest ago if too many."""
        for document in documents:
            self._put(document)
        while self.size > self._most_bytes and len(self._things) > 1:
            self.drop(*next(iter(self._things)))

    def _put(self, document: Document) -> None:
        of = document.kind, document.id
        parts = self._things.setdefault(of, {})
        self._things.move_to_end(of)
        self.size -= _bytes_of(parts.pop(document.part, None))
        parts[document.part] = document
        self.size += _bytes_of(document)

    def parts(self, kind: str, id: str) -> list[Document]:
        """Return all parts of a thing, in order."""
        parts = self._things.get((kind, id), {})
        return [parts[part] for part in sorted(parts)]

    def things(self, kind: str) -> list[Document]:
        """Return the empty part of every thing, the last written first."""
        parts = (p for (of, _), p in reversed(self._things.items()) if of == kind)
        found = [one[""] for one in parts if "" in one]
        return sorted(found, key=lambda one: one.at, reverse=True)

    def drop(self, kind: str, id: str) -> int:
        """Forget a thing; return how many parts it had."""
        parts = self._things.pop((kind, id), {})
        self.size -= sum(map(_bytes_of, parts.values()))
        return len(parts)

    def clear(self) -> None:
        """Forget everything."""
        self._things.clear()
        self.size = 0


def _bytes_of(document: Document | None) -> int:
    return 0 if document is None else _RECORD_BYTES + len(document.body)

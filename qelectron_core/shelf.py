"""A place in the store where a plugin keeps plain data of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from qelectron_core.errors import ConfigError
from qelectron_core.store import Document

if TYPE_CHECKING:
    from qelectron_core.runtime.keeper import Keeper

#: Bytes of one body, at most, so that no store has to refuse what it is given.
MOST_BYTES: Final = 128 * 1024**2
Body: TypeAlias = bytes | bytearray | memoryview
#: Id, part and body.
Item: TypeAlias = tuple[str, str, Body]


class Shelf:
    """Keeps plain data of a plugin in the store, beside the journal.

    What is kept belongs to a thing, which has an id, and parts if it likes; the empty
    part is the thing itself. A store that outlives the process keeps it for weeks:
    write no secret, and read it as what anybody might have written. All methods may be
    called from any thread.

    Args:
        kind: Whose and what, such as `"qelectron-dask.dispatch"`; begin it with the
            name of the distribution.
        store: Where; see `qelectron`. `None` for the usual store.

    Raises:
        ConfigError: If the kind is no text.

    Example:
        >>> import qelectron_core as ct
        >>> from qelectron_core.memory_store import MemoryStore
        >>> shelf = ct.Shelf("qelectron-acme.recipe", store=MemoryStore())
        >>> shelf.put("bread", b"bake it")
        >>> shelf.put_all([("bread", "1", b"flour"), ("bread", "2", b"water")])
        >>> {part: one.body for part, one in shelf.read("bread").items()}
        {'': b'bake it', '1': b'flour', '2': b'water'}
        >>> [one.id for one in shelf.recent()]
        ['bread']
        >>> shelf.drop("bread")
        3
    """

    def __init__(self, kind: str, *, store: Any = None) -> None:
        self._kind = _text("kind", kind)
        self._store = store

    def __repr__(self) -> str:
        """Return it with its kind."""
        return f"Shelf({self._kind!r})"

    @property
    def durable(self) -> bool:
        """Whether what is kept outlives the process."""
        return self._keeper.keeps_documents

    def put(self, id: str, body: Body, *, part: str = "", wait: bool = False) -> None:
        """Keep one part of a thing, in place of what was there.

        Args:
            id: The thing.
            body: The data, 128 MiB at most.
            part: Which part of it; the empty one is the thing itself.
            wait: Whether to return only when it is written, as lasting as the store
                is; else it is written soon, and what is read is up to date at once.

        Raises:
            ConfigError: If it cannot be kept.
        """
        self.put_all([(id, part, body)], wait=wait)

    def put_all(self, items: Iterable[Item], *, wait: bool = False) -> None:
        """Keep several parts, of one thing or of many; all of them or none.

        Args:
            items: For each its id, its part and its body.
            wait: As of `put`.

        Raises:
            ConfigError: If one of them cannot be kept.
        """
        at = time.time()
        documents = [self._document(*item, at) for item in items]
        keeper = self._keeper
        (keeper.put_now if wait else keeper.put)(documents)

    def read(self, id: str) -> dict[str, Document]:
        """Return all parts of a thing, by their name and in its order."""
        found = self._keeper.documents(self._kind, id=id)
        return {one.part: one for one in found}

    def recent(self, limit: int | None = None) -> Sequence[Document]:
        """Return the empty part of every thing, that written last first.

        Args:
            limit: At most so many.
        """
        return self._keeper.documents(self._kind, limit=limit)

    def drop(self, id: str) -> int:
        """Forget a thing with all of its parts; return how many it had."""
        return self._keeper.drop(self._kind, id)

    @property
    def _keeper(self) -> Keeper:
        from qelectron_core.runtime import runtime

        return runtime().keeper(self._store)  # asked anew: `shutdown` closes keepers

    def _document(self, id: str, part: str, body: Any, at: float) -> Document:
        # Here, in the plugin's own call: the thread that writes could tell nobody.
        of, named = _text("id", id), _text("part", part)
        return Document(self._kind, of, _bytes(body), at, named)


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    message = f"{name}={value!r} is no name. Expected text; write str({name})."
    raise ConfigError(message)


def _bytes(body: Any) -> bytes:
    if not isinstance(body, (bytes, bytearray, memoryview)):
        message = (
            f"a body of type {type(body).__name__!r} cannot be kept. Expected bytes; "
            "write text.encode(), or json.dumps(data).encode()."
        )
        raise ConfigError(message)
    kept = bytes(body)
    if len(kept) > MOST_BYTES:
        message = (
            f"a body of {len(kept):,} bytes cannot be kept. Expected {MOST_BYTES:,} at "
            "most. Keep it in a file, and its path here."
        )
        raise ConfigError(message)
    return kept

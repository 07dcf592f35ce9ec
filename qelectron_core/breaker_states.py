"""Which executors are left out now, by whichever process: open circuit breakers.

A process that leaves an executor out for a while, because it kept failing, keeps that
in its store, so that others can tell why nothing is sent there.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

import attrs

from qelectron_core.store import Document, Store, keeps_documents

#: Kind of the documents that breakers are kept as; one per breaker.
KIND: Final = "qelectron.breaker"


@attrs.frozen
class BreakerState:
    """An executor that one process leaves out for a while.

    Attributes:
        executor: The executor, as the user wrote it, without secrets.
        reason: Type and message of the last exception of a circuit that it failed.
        opened_at: Since when it is left out, in seconds since the epoch.
        retry_at: When it is tried again, with one circuit, in seconds since the epoch.
            Once that is past, the next circuit is sent there.
        process: The process that leaves it out, as `"host:pid"`.
    """

    executor: str
    reason: str
    opened_at: float
    retry_at: float
    process: str


def open_breakers(store: Store) -> list[BreakerState]:
    """Return which executors are left out now, and by whom, the last opened first.

    Those of processes that have ended, or closed the store, are left out, and so is
    what cannot be read. A store without a place for documents tells of none.

    Args:
        store: An open store; that which QElectrons of the other processes use.

    Raises:
        StoreError: If the store cannot be read.

    Example:
        >>> from qelectron_core.memory_store import MemoryStore
        >>> open_breakers(MemoryStore())
        []
    """
    if not keeps_documents(store):
        return []
    kept = [_state_of(one) for one in store.documents(KIND) if one.alive]
    found = [state for state in kept if state is not None]
    return sorted(found, key=lambda state: state.opened_at, reverse=True)


def open_document(id: str, state: BreakerState, at: float) -> Document:
    """Return how an open breaker is kept.

    Args:
        id: The breaker.
        state: What to tell of it.
        at: When, in seconds since the epoch.
    """
    body = {"state": "open", **attrs.asdict(state)}
    return Document(KIND, id, json.dumps(body).encode(), at)


def closed_document(id: str, executor: str, at: float) -> Document:
    """Return how it is kept that a breaker has closed."""
    body = {"state": "closed", "executor": executor}
    return Document(KIND, id, json.dumps(body).encode(), at)


def _state_of(document: Document) -> BreakerState | None:
    """Return what a document tells, or `None` if that is no open breaker."""
    try:
        told: Any = json.loads(document.body)
        if told["state"] != "open":
            return None
        found = BreakerState(
            executor=told["executor"],
            reason=told["reason"],
            opened_at=float(told["opened_at"]),
            retry_at=float(told["retry_at"]),
            process=told["process"],
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None  # anybody might have written it
    texts = (found.executor, found.reason, found.process)
    are_texts = all(isinstance(text, str) for text in texts)
    are_times = math.isfinite(found.opened_at) and math.isfinite(found.retry_at)
    return found if are_texts and are_times else None

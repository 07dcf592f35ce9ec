"""The results that are kept for circuits that are equal: how many, and their use."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from qelectron_core.errors import ConfigError
from qelectron_core.store import Store, Usage, keeps_tallies
from qelectron_sqlite.cli.texts import count, size
from qelectron_sqlite.cli.times import to_seconds

#: The times that are looked at, in seconds before now; `None` is all that is known.
SPANS: Final[Mapping[str, float | None]] = {
    "the last day": 86400.0,
    "the last week": 7 * 86400.0,
    "all that the journal has": None,
}
_MB: Final = 10**6
_NOT_ABLE: Final = (
    "This store cannot drop some of its results: it does so by itself, or not at all. "
    "All of them can go."
)


@attrs.frozen
class Answers:
    """How circuits got their results.

    Attributes:
        kept: From a result that was kept for an equal one.
        ran: By being run.
    """

    kept: int = 0
    ran: int = 0

    @property
    def share(self) -> float:
        """Share of those that were not run, in [0, 1]."""
        return self.kept / max(1, self.kept + self.ran)

    def __str__(self) -> str:
        """Return it in words."""
        total = self.kept + self.ran
        if not total:
            return "no circuit"
        return f"{self.kept:,} of {count(total, 'circuit')} ({self.share:.0%})"


def answers(store: Store) -> dict[str, Answers]:
    """Return how circuits got their results, per time looked at.

    Empty if the store does not tell.
    """
    if not keeps_tallies(store):
        return {}
    now = time.time()
    return {
        title: _answers(store, None if span_s is None else now - span_s)
        for title, span_s in SPANS.items()
    }


def _answers(store: Store, since: float | None) -> Answers:
    found = store.tallies(since=since)
    return Answers(
        kept=sum(one.cached for one in found),
        ran=sum(one.completed for one in found),
    )


def share_of(usage: Usage) -> float | None:
    """Return how much is kept of what may be, or `None` where there is no limit."""
    return usage.total_bytes / usage.limit_bytes if usage.limit_bytes else None


def size_of(usage: Usage) -> str:
    """Return in words how much is kept of what may be."""
    share = share_of(usage)
    if share is None or usage.limit_bytes is None:
        return f"{size(usage.total_bytes)}, without a limit"
    return f"{size(usage.total_bytes)} of {size(usage.limit_bytes)} ({share:.0%})"


def pruning(store: Store) -> str:
    """Return why results cannot be dropped in part, or nothing if they can."""
    return "" if hasattr(store, "prune") else _NOT_ABLE


def prune(store: Store, max_mb: float | None, older_than: str) -> str:
    """Drop results that were not used for long; return what came of it.

    Args:
        store: Where.
        max_mb: Size to come down to.
        older_than: A span such as `"30d"`, or nothing.

    Raises:
        ConfigError: If it does not say what is to go.
    """
    older_than_s = to_seconds(older_than) if older_than.strip() else None
    if older_than.strip() and older_than_s is None:
        message = (
            f"{older_than[:40]!r} is no span of time. Expected a number and s, m, h, d "
            "or w, such as 2h or 30d."
        )
        raise ConfigError(message)
    if max_mb is None and older_than_s is None:
        raise ConfigError("Say which results are to go: a size, an age, or both.")
    if max_mb is not None and not max_mb > 0:
        raise ConfigError(f"{max_mb!r} MB is no size. Expected a number above 0.")
    drop: Callable[..., int] = _prune_of(store)
    max_bytes = None if max_mb is None else int(max_mb * _MB)
    return _told(drop(max_bytes=max_bytes, older_than_s=older_than_s), store)


def clear(store: Store) -> str:
    """Drop all kept results; return what came of it."""
    return _told(store.clear(), store)


def _prune_of(store: Store) -> Any:
    found = getattr(store, "prune", None)
    if found is None:
        raise ConfigError(_NOT_ABLE)
    return found


def _told(dropped: int, store: Store) -> str:
    usage = store.usage()
    left = f"{usage.results:,} are left, {size(usage.result_bytes)}"
    return f"Dropped {count(dropped, 'result')}; {left}."

"""What may go wrong at a fake vendor, and when it does."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, Final, Literal, TypeAlias

import attrs

from qelectron_core.errors import ConfigError

#: What may happen to one request.
Trouble: TypeAlias = Literal[
    "rate_limited", "unavailable", "lost_request", "lost_answer"
]
#: How a job may end, or not.
End: TypeAlias = Literal[
    "done", "crashed", "cancelled", "stuck", "odd_status", "forgotten"
]

_TROUBLES: Final[tuple[Trouble, ...]] = (
    "rate_limited",
    "unavailable",
    "lost_request",
    "lost_answer",
)
_ENDS: Final[tuple[End, ...]] = (
    "crashed",
    "cancelled",
    "stuck",
    "odd_status",
    "forgotten",
)


def _check_probability(_: Any, attribute: Any, value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number and 0 <= value <= 1):
        message = (
            f"{attribute.name}={value!r} is no probability. Expected a number from "
            "0 (never) to 1 (always)."
        )
        raise ConfigError(message)


def _never() -> Any:
    return attrs.field(default=0.0, validator=_check_probability)


@attrs.frozen(kw_only=True)
class Faults:
    """How likely things go wrong at a `FakeCloud`: 0 never, 1 always.

    The first four are drawn for every request (submit, status, fetch, cancel,
    find), the others for every job. Where several happen, the first one counts.

    Attributes:
        rate_limited: The vendor says 429: a `RateLimitError`, half of the time with
            the seconds to wait. Nothing is accepted.
        unavailable: The vendor says 503: a `TransientError`. Nothing is accepted.
        lost_request: The connection breaks before the vendor gets the request: a
            `ConnectionError`.
        lost_answer: The connection breaks after the vendor did as it was asked: the
            same `ConnectionError`, but a submitted job exists, and is billed.
        crashed: The job fails.
        cancelled: Somebody at the vendor cancels the job.
        stuck: The job runs for ever.
        odd_status: The vendor reports a state that nobody knows, for ever.
        forgotten: Once the job has ended, the vendor does not know it any more.
        partial: One circuit of a job that is done has an error for a result.
        wrong_count: One result too few is returned for a job that is done.

    Raises:
        ConfigError: If one is no probability.
    """

    rate_limited: float = _never()
    unavailable: float = _never()
    lost_request: float = _never()
    lost_answer: float = _never()
    crashed: float = _never()
    cancelled: float = _never()
    stuck: float = _never()
    odd_status: float = _never()
    forgotten: float = _never()
    partial: float = _never()
    wrong_count: float = _never()

    def __repr__(self) -> str:
        """Show what may happen."""
        values = attrs.asdict(self).items()
        likely = (f"{name}={value!r}" for name, value in values if value)
        return f"Faults({', '.join(likely)})"

    @property
    def troubles_requests(self) -> bool:
        """Whether anything may happen to a request."""
        return any(getattr(self, name) for name in _TROUBLES)

    @property
    def troubles_jobs(self) -> bool:
        """Whether anything may happen to a job."""
        names = (*_ENDS, "partial", "wrong_count")
        return any(getattr(self, name) for name in names)

    def trouble(self, random: Random) -> Trouble | None:
        """Draw what happens to one request."""
        # One draw for each, so that a likelier fault leaves the others where they were.
        drawn = [name for name in _TROUBLES if random.random() < getattr(self, name)]
        return drawn[0] if drawn else None

    def fate(self, random: Random, n_circuits: int) -> Fate:
        """Draw what becomes of one job."""
        drawn = [name for name in _ENDS if random.random() < getattr(self, name)]
        is_partial = random.random() < self.partial
        is_short = random.random() < self.wrong_count
        place = int(random.random() * n_circuits)
        return Fate(
            end=drawn[0] if drawn else "done",
            broken=place if is_partial else None,
            is_short=is_short,
        )


@attrs.frozen
class Fate:
    """What becomes of a job.

    Attributes:
        end: How it ends.
        broken: Position of the circuit that ends in an error, or `None`.
        is_short: Whether a result goes missing.
    """

    end: End = "done"
    broken: int | None = None
    is_short: bool = False

    @property
    def is_endless(self) -> bool:
        """Whether the job never ends by itself."""
        return self.end in ("stuck", "odd_status")


class Dice:
    """Draws what happens, the same for equal seeds whichever thread comes first.

    Every decision has a generator of its own, keyed by what it is about.
    """

    def __init__(self, seed: int) -> None:
        """Make unused dice."""
        self._seed = seed
        self._tags: dict[str, int] = {}
        self._rolls: Counter[tuple[str, int]] = Counter()

    def roll(self, kind: str, tag: str) -> Random:
        """Return where to draw from, for the next thing of a kind about a job.

        Args:
            kind: What is decided.
            tag: The core's id of the job. Only the order in which tags are first
                met matters, because ids differ from one process to the next.
        """
        job = self._tags.setdefault(tag, len(self._tags))
        self._rolls[kind, job] += 1
        return Random(f"{self._seed}/{kind}/{job}/{self._rolls[kind, job]}")

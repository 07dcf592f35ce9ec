"""What a fake vendor keeps of each job, and what it shows of it."""

from __future__ import annotations

from typing import Any

import attrs

from qelectron_core.remote import State
from qelectron_core.testing.faults import Fate


@attrs.frozen
class VendorJob:
    """What a vendor knows of a job that it accepted.

    Attributes:
        id: What the vendor calls it: its handle.
        tag: What the core calls it: `job.id`.
        circuits: How many circuits it holds.
        shots: Shots of all its circuits together; 0 if all are exact.
        state: Its state when the vendor was last asked for anything.
        accepted_at: When it was accepted, in seconds of the event loop's clock.
        started_at: When it started to run, or `None`.
        ended_at: When it ended, or `None`.
    """

    id: str
    tag: str
    circuits: int
    shots: int
    state: State
    accepted_at: float
    started_at: float | None
    ended_at: float | None


@attrs.define(eq=False)
class Order:
    """One accepted job, as the vendor keeps it.

    Attributes:
        id: What the vendor calls it.
        tag: What the core calls it.
        number: How many jobs were accepted before it.
        n_circuits: Circuits in it.
        shots: Shots of all its circuits together.
        price_usd: Its price in US dollars, if it is billed.
        run_s: Seconds that it runs.
        fate: What becomes of it.
        accepted_at: When it was accepted, in seconds of the vendor's clock.
        started_at: When it started to run, or `None`.
        ended_at: When it ended, or `None`.
        state: Its state.
        results: Its results, once they are computed.
        was_fetched: Whether its results were handed out.
        was_recalled: Whether a `cancel` cancelled it.
    """

    id: str
    tag: str
    number: int
    n_circuits: int
    shots: int
    price_usd: float
    run_s: float
    fate: Fate
    accepted_at: float
    started_at: float | None = None
    ended_at: float | None = None
    state: State = State.QUEUED
    results: list[Any] | None = None
    was_fetched: bool = False
    was_recalled: bool = False

    @property
    def shown_state(self) -> State:
        """The state to report: no job is done before its results are there."""
        is_early = self.state is State.DONE and self.results is None
        return State.RUNNING if is_early else self.state

    @property
    def is_forgotten(self) -> bool:
        """Whether the vendor does not know the job any more."""
        return self.fate.end == "forgotten" and self.ended_at is not None

    def deliver(self, results: list[Any]) -> None:
        """Take the results; called on a worker thread."""
        self.results = results

    def view(self) -> VendorJob:
        """Return what the vendor tells about it."""
        return VendorJob(
            id=self.id,
            tag=self.tag,
            circuits=self.n_circuits,
            shots=self.shots,
            state=self.shown_state,
            accepted_at=self.accepted_at,
            started_at=self.started_at,
            ended_at=self.ended_at,
        )

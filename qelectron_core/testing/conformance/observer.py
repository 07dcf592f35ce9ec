"""The rules of observers."""

from __future__ import annotations

import pickle
import statistics
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final

from qelectron_core.registry import Kind
from qelectron_core.testing.conformance.doubles import events
from qelectron_core.testing.conformance.kit import Kit
from qelectron_core.testing.conformance.rules import calling, require, rule
from qelectron_core.testing.conformance.threads import together

#: Longest median time of one event, in seconds.
QUICK_S: Final = 1e-3


class ObserverConformance(Kit):
    """The rules of observers; `make` returns one.

    Example:
        >>> class TestPrinting(ObserverConformance):
        ...     def make(self):
        ...         return print
    """

    kind: ClassVar[Kind] = "observer"

    @rule
    def test_o01_takes_every_kind_of_event(self) -> None:
        """It takes every kind of event, with and without a record, and never raises."""
        observer = self._observer()
        for event in events():
            record = "a record" if event.execution else "no record"
            with calling(f"a {event.kind!r} event with {record}"):
                observer(event)

    @rule
    def test_o02_leaves_events_as_they_are(self) -> None:
        """It leaves events as they are: other observers and the store see them, too."""
        observer = self._observer()
        for event in events():
            before = pickle.dumps(event)
            with calling(f"a {event.kind!r} event"):
                observer(event)
            require(
                pickle.dumps(event) == before,
                expected=f"a {event.kind!r} event to stay {pickle.loads(before)!r}",
                seen=event,
                hint="Copy what you want to change, such as execution.metadata.",
            )

    @rule
    def test_o03_is_quick(self) -> None:
        """It takes less than a millisecond per event: circuits wait for it."""
        observer, seen = self._observer(), events()
        with calling("events"):
            times = [_seconds(observer, event) for _ in range(20) for event in seen]
        median = statistics.median(times)
        require(
            median < QUICK_S,
            expected=f"a median of less than {QUICK_S * 1e3:g} ms per event",
            seen=f"{median * 1e3:.3g} ms",
            hint="Queue the event, and let a thread of your own do the rest.",
        )

    @rule
    def test_o04_is_safe_from_threads(self) -> None:
        """It may be called from any number of threads at once."""
        observer = self._observer()

        def tell(_: int) -> None:
            for event in events() * 20:
                observer(event)

        with calling("events from 8 threads at once"):
            together(8, tell)

    @rule
    def test_o05_is_registered_by_name(self) -> None:
        """Registering it imports neither its module nor PennyLane."""
        self.require_light_registration()

    def _observer(self) -> Callable[[Any], object]:
        observer: Callable[[Any], object] = self.make()
        return observer


def _seconds(observer: Callable[[Any], object], event: object) -> float:
    start = time.perf_counter()
    observer(event)
    return time.perf_counter() - start

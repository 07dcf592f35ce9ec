"""When attempts waited and ran, as a picture in text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import attrs

from qelectron_core.cli.signs import empty, full
from qelectron_sqlite.cli.times import span

if TYPE_CHECKING:
    from rich.console import Console

    from qelectron_core.store import Entry, Run

WIDTH: Final = 30


@attrs.frozen
class Scale:
    """The time that a line of the picture stands for.

    Attributes:
        start: Its left end, in seconds since the epoch.
        end: Its right end.
    """

    start: float
    end: float

    @classmethod
    def of(cls, run: Run) -> Scale:
        """Return the scale on which all attempts of a call can be shown."""
        moments = [run.call.at]
        for entry in run.entries:
            known = (entry.submitted_at, entry.started_at, entry.finished_at)
            moments += [moment for moment in known if moment is not None]
        under_way = run.state == "running"
        return cls(min(moments), time.time() if under_way else max(moments))

    def column(self, moment: float) -> int:
        """Return how many columns lie before a moment."""
        share = (moment - self.start) / (self.end - self.start or 1.0)
        return round(min(1.0, max(0.0, share)) * WIDTH)


def picture(console: Console, entry: Entry, scale: Scale) -> str:
    """Return how one attempt went: how long it waited, and how long it ran."""
    if entry.state == "cached":
        return "from the cache; nothing was run"
    ran_from = entry.started_at
    ended = scale.end if entry.finished_at is None else entry.finished_at
    waited_to = ended if ran_from is None else ran_from
    columns = [scale.column(one) for one in (entry.submitted_at, waited_to, ended)]
    begin, middle, end = columns
    drawn = " " * begin + empty(console) * (middle - begin)
    drawn += full(console) * max(end - middle, 0 if ran_from is None else 1)
    told = [f"{span(waited_to - entry.submitted_at)} queued"]
    if ran_from is not None:
        going_on = " so far" if entry.finished_at is None else ""
        told.append(f"{span(ended - ran_from)} running{going_on}")
    return f"{drawn:<{WIDTH + 1}} {', '.join(told)}"

"""Plans: what a call would do, as a value that people like to see."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from qelectron_core.budget import UNITS, counted
from qelectron_core.contracts import Estimate, Executor
from qelectron_core.showing import row


@attrs.frozen
class PlannedJob:
    """One job of a plan.

    Attributes:
        executor: The executor, as the user wrote it.
        circuits: How many circuits; one over arrays counts as often as they are long.
        shots: Shots of all circuits together; 0 if they are exact.
        estimate: What the executor says of price and time.
    """

    executor: Executor
    circuits: int
    shots: int
    estimate: Estimate = attrs.field(factory=Estimate)

    @property
    def amounts(self) -> dict[str, int]:
        """What budgets count, by unit; what is not known is missing."""
        known = {
            "shots": self.shots,
            "circuits": self.circuits,
            "jobs": 1,
            "cost_usd": self.estimate.cost_usd,
            "seconds": self.estimate.seconds,
        }
        return {
            UNITS[name]: counted(UNITS[name], value)
            for name, value in known.items()
            if value is not None
        }


@attrs.frozen(repr=False)
class Plan:
    """What a call would do; what `QElectron.plan` returns.

    Attributes:
        jobs: The jobs that would be sent.
        cached: How many circuits would take a kept result, or share one of their own.
        refusal: Why a budget would refuse it, or empty.
    """

    jobs: tuple[PlannedJob, ...]
    cached: int = 0
    refusal: str = ""

    @property
    def circuits(self) -> int:
        """How many circuits would run."""
        return sum(job.circuits for job in self.jobs)

    @property
    def shots(self) -> int:
        """Shots of all circuits together; 0 if they are exact."""
        return sum(job.shots for job in self.jobs)

    @property
    def executors(self) -> tuple[Executor, ...]:
        """The executors that would be chosen, each once."""
        return tuple(dict.fromkeys(job.executor for job in self.jobs))

    @property
    def cost_usd(self) -> float | None:
        """Price in US dollars; `None` if an executor does not know it."""
        return _sum(job.estimate.cost_usd for job in self.jobs)

    @property
    def seconds(self) -> float | None:
        """Seconds on backends; `None` if an executor does not know them."""
        return _sum(job.estimate.seconds for job in self.jobs)

    def to_json(self) -> str:
        """Return the plan as JSON; what is not known is `null`."""
        return json.dumps(
            {
                **self._totals(),
                "cached": self.cached,
                "refusal": self.refusal,
                "parts": [self._row(*group) for group in self._by_executor()],
            }
        )

    def __repr__(self) -> str:
        """Show it as a small table."""
        rows = [[_short(one), *_cells(jobs)] for one, jobs in self._by_executor()]
        lines = _table([["executor", *_HEADS], *rows, ["in all", *_cells(self.jobs)]])
        return "\n".join([*lines, *self._remarks()])

    def _repr_html_(self) -> str:
        """Show it as a table in a notebook."""
        rows = [[repr(one), *_cells(jobs)] for one, jobs in self._by_executor()]
        head = row("th", ["executor", *_HEADS])
        body = "".join(row("td", cells) for cells in rows)
        foot = row("th", ["in all", *_cells(self.jobs)])
        remarks = "".join(f"<p>{html.escape(text)}</p>" for text in self._remarks())
        return (
            f"<table><thead>{head}</thead><tbody>{body}</tbody>"
            f"<tfoot>{foot}</tfoot></table>{remarks}"
        )

    def _by_executor(self) -> list[tuple[Executor, list[PlannedJob]]]:
        return [
            (executor, [job for job in self.jobs if job.executor == executor])
            for executor in self.executors
        ]

    def _totals(self) -> dict[str, Any]:
        return {
            "circuits": self.circuits,
            "shots": self.shots,
            "jobs": len(self.jobs),
            "cost_usd": self.cost_usd,
            "seconds": self.seconds,
        }

    def _row(self, executor: Executor, jobs: list[PlannedJob]) -> Mapping[str, Any]:
        return {"executor": repr(executor), **Plan(tuple(jobs))._totals()}

    def _remarks(self) -> list[str]:
        kept = f"From the cache, without running: {self.cached}."
        return [*([kept] if self.cached else []), *filter(None, [self.refusal])]


_HEADS: Final = ("circuits", "shots", "jobs", "cost", "time")
#: Characters of an executor in a table that is text.
_WIDEST: Final = 40


def _sum(values: Iterable[float | None]) -> float | None:
    found = list(values)
    known = [value for value in found if value is not None]
    # Counted, so that ten times 0.1 is 1.
    exact = sum(counted("nano_usd", value) for value in known) / 10**9
    return exact if len(known) == len(found) else None


def _cells(jobs: Iterable[PlannedJob]) -> list[str]:
    plan = Plan(tuple(jobs))
    cost = "unknown" if plan.cost_usd is None else money(plan.cost_usd)
    time = "unknown" if plan.seconds is None else f"{plan.seconds:,.6g} s"
    return [f"{plan.circuits:,}", f"{plan.shots:,}", f"{len(plan.jobs):,}", cost, time]


def money(usd: float) -> str:
    """Return dollars with cents, or with more where cents do not tell."""
    return f"${usd:,.2f}" if round(usd, 2) == usd else f"${usd:,.6g}"


def shown(unit: str, amount: float | None) -> str:
    """Return an amount of what budgets count, in its unit; `None` is not known."""
    if amount is None:
        return "unknown"
    if unit == "cost_usd":
        return money(amount)
    return f"{amount:,.6g} s" if unit == "seconds" else f"{amount:,}"


def _short(executor: Executor) -> str:
    text = repr(executor)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]

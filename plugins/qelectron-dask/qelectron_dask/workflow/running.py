"""Runs one electron where it is: in a thread here, or on a worker."""

from __future__ import annotations

import time
import traceback
import types
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Final

import attrs

from qelectron_core import Execution, Scope, scope
from qelectron_dask.workflow.containers import Outputs, captured, resolved, settled
from qelectron_dask.workflow.states import CallSummary

if TYPE_CHECKING:
    from types import TracebackType

#: The longest message of an error that is kept.
_MOST_ERROR: Final = 10_000
#: What gives its items only once.
_USED_UP: Final = (
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    map,
    filter,
    zip,
)


@attrs.frozen(eq=False)
class Work:
    """What is to be run, as it may travel.

    Attributes:
        number: Number of the electron.
        name: Its name.
        function: The function; `None` where it travels apart.
        scope: What its calls of QElectrons are named after.
        retries: How many times it is run again if it fails.
        resumes: Names of the calls of earlier dispatches that were interrupted in this
            electron, the latest first; of a lattice, the id of its own dispatch there.
    """

    number: int
    name: str
    function: Any
    scope: str
    retries: int = 0
    resumes: Any = None


@attrs.frozen(eq=False)
class Ran:
    """How an electron ended.

    Attributes:
        number: Number of the electron.
        attempt: The last attempt.
        started_at: When the first one started, in seconds since the epoch.
        finished_at: When the last one ended, in seconds since the epoch.
        value: What it returned, unless it failed.
        error: Type and message of what it raised, or `None`.
        traceback: Where, from the function of the electron on.
        cancelled: Whether that was because its circuits were cancelled.
        calls: The calls of QElectrons that the last attempt made.
        worker: Address of the Dask worker, or empty.
    """

    number: int
    attempt: int
    started_at: float
    finished_at: float
    value: Any = None
    error: str | None = None
    traceback: str | None = None
    cancelled: bool = False
    calls: tuple[CallSummary, ...] = ()
    worker: str = ""


def scope_of(work: Work, attempt: int) -> str:
    """Return what the calls of an attempt are named after."""
    return work.scope if attempt == 1 else f"{work.scope}-{attempt}"


def run(
    work: Work,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    outputs: Outputs,
    begin: Callable[[int, Scope], bool],
) -> Ran:
    """Run an electron, again and again if it fails and may be.

    Args:
        work: What to run.
        args: Positional arguments, with placeholders.
        kwargs: Keyword arguments, likewise.
        outputs: What the placeholders need.
        begin: Told of each attempt; says whether it is still wanted.
    """
    started = time.time()
    for attempt in range(1, work.retries + 2):
        resumes = work.resumes if attempt == 1 else None
        with scope(scope_of(work, attempt), resumes=resumes) as calls:
            wanted = begin(attempt, calls)
            outcome = _attempt(work, args, kwargs, outputs) if wanted else _Cancelled()
        if isinstance(outcome, _Value) or not wanted:
            break
    return Ran(
        number=work.number,
        attempt=attempt,
        started_at=started,
        finished_at=time.time(),
        calls=tuple(summaries(calls)),
        **attrs.asdict(outcome, recurse=False),
    )


@attrs.frozen(eq=False)
class _Value:
    value: Any


@attrs.frozen(eq=False)
class _Failed:
    error: str
    traceback: str
    cancelled: bool


@attrs.frozen(eq=False)
class _Cancelled:
    error: str = "CancelledError"
    cancelled: bool = True


def _attempt(
    work: Work, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Outputs
) -> _Value | _Failed:
    try:
        # Copies, so that no electron changes what another one gets.
        args, kwargs = captured(resolved((args, kwargs), outputs))
        return _Value(settled(_kept(work.function(*args, **kwargs))))
    except BaseException as error:  # whatever it is, somebody waits for an end
        return _Failed(
            error=described(error),
            traceback=_traceback(error),
            cancelled=isinstance(error, CancelledError),
        )


def _kept(value: Any) -> Any:
    """Return what an electron returned, unless it is there only once.

    Raises:
        TypeError: If it is: of two that take it, one would find nothing.
    """
    if isinstance(value, types.CoroutineType):
        value.close()  # else Python warns, on another line, that nobody awaits it
    if isinstance(value, _USED_UP):
        message = (
            f"it returned a {type(value).__name__}, which is used up by the first that "
            "takes it. Expected a value: return list(…) of it; an `async def` is run "
            "with asyncio.run(…) in an electron."
        )
        raise TypeError(message)
    return value


def described(error: BaseException) -> str:
    """Return type and message of an error, of sensible length."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:
        text = type(error).__name__
    return text[:_MOST_ERROR]


def _traceback(error: BaseException) -> str:
    """Return where an error was raised, without the lines of this module."""
    own: TracebackType | None = error.__traceback__
    below = own.tb_next if own is not None else None
    return "".join(
        traceback.format_exception(type(error), error, below or own, limit=-50)
    )


def summaries(calls: Scope) -> Iterable[CallSummary]:
    """Yield what is to be told of the calls of QElectrons that were made."""
    for call_id, executions in calls.executions.items():
        yield _summary(call_id, executions)


def _summary(call_id: str, executions: Iterable[Execution | None]) -> CallSummary:
    known = [one for one in executions if one is not None]
    costs = [one.cost_usd for one in known if one.cost_usd is not None]
    return CallSummary(
        id=call_id,
        circuits=len(list(executions)),
        executors=tuple(dict.fromkeys(repr(one.executor) for one in known)),
        shots=int(sum(one.shots or 0 for one in known)),
        cost_usd=float(sum(costs)) if costs else None,
        failed=sum(one.error is not None for one in known),
        cached=sum(one.cached for one in known),
    )

"""Names of attributes, and how what events tell is written in them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from qelectron_core import Execution, Executor

#: What spans and metrics are said to come from.
SCOPE: Final = "qelectron"

CALL_ID: Final = "qelectron.call_id"
CALL_CIRCUITS: Final = "qelectron.call.circuits"
INDEX: Final = "qelectron.circuit.index"
ATTEMPTS: Final = "qelectron.circuit.attempts"
CACHED: Final = "qelectron.circuit.cached"
OUTCOME: Final = "qelectron.outcome"
EXECUTOR: Final = "qelectron.executor"
JOB_ID: Final = "qelectron.job_id"
JOB_SIZE: Final = "qelectron.job.circuits"
HANDLE: Final = "qelectron.handle"
SHOTS: Final = "qelectron.shots"
COST: Final = "qelectron.cost_usd"
ABANDONED: Final = "qelectron.abandoned"
# Of the semantic conventions.
ERROR_TYPE: Final = "error.type"
MESSAGE: Final = "exception.message"

#: Longest text of an executor or an error, in characters.
LONGEST: Final = 1000
#: Errors of circuits that the program itself let go of.
_LET_GO: Final = frozenset({"CancelledError", "DetachedError"})


@functools.lru_cache(maxsize=256)
def text_of(executor: Executor) -> str:
    """Return an executor as text, without its secrets."""
    return repr(executor)[:LONGEST]


def type_of(error: str) -> str:
    """Return the type in the record of an error, `"TypeError: no"` say."""
    return error.partition(":")[0]


def message_of(error: str) -> str:
    """Return the message in the record of an error."""
    return error.partition(": ")[2][:LONGEST]


def is_let_go(error: str) -> bool:
    """Tell whether it is no failure: the program itself cancelled the circuit."""
    return type_of(error) in _LET_GO


def outcome_of(kind: str, execution: Execution | None) -> str:
    """Return how a circuit ended."""
    cancelled = kind == "failed" and execution is not None and execution.cancelled
    return "cancelled" if cancelled else kind


def told(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes without those that are not known."""
    return {name: value for name, value in attributes.items() if value is not None}


def nanoseconds(seconds: float) -> int:
    """Return a time as OpenTelemetry counts it."""
    return int(seconds * 1e9)

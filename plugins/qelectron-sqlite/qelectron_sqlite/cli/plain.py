"""What the commands print as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from qelectron_core.store import Entry, Intent, Run


def print_json(content: Any) -> None:
    """Print what `json.loads` of any language reads."""
    import json

    click.echo(json.dumps(content, indent=2, allow_nan=False))


def run_to_json(run: Run) -> dict[str, Any]:
    """Return a call without its lines of the journal."""
    return {
        "id": run.id,
        "name": run.call.name,
        "state": run.state,
        "at": run.call.at,
        "finished_at": run.finished_at,
        "duration_s": run.duration_s,
        "circuits": run.call.circuits,
        "states": dict(run.states),
        "executors": list(run.executors),
        "shots": run.shots,
        "cost_usd": run.cost_usd,
    }


def details_to_json(run: Run) -> dict[str, Any]:
    """Return a call with all that is known of it."""
    return {
        **run_to_json(run),
        "written_executors": run.call.executors,
        "process": run.call.process,
        "versions": dict(run.call.versions),
        "attempts": [_entry_to_json(entry) for entry in run.entries],
    }


def job_to_json(job: Intent) -> dict[str, Any]:
    """Return a job at a vendor."""
    return {
        "job_id": job.job_id,
        "handle": job.handle,
        "executor": job.shown,
        "circuits": len(job.circuits),
        "calls": list(dict.fromkeys(call_id for call_id, _ in job.places)),
        "at": job.at,
        "alive": job.alive,
    }


def _entry_to_json(entry: Entry) -> dict[str, Any]:
    from qelectron_sqlite.cli.drawing import drawn

    return {
        "index": entry.index,
        "attempt": entry.attempt,
        "state": entry.state,
        "executor": entry.executor,
        "submitted_at": entry.submitted_at,
        "started_at": entry.started_at,
        "finished_at": entry.finished_at,
        "shots": entry.shots,
        "job_id": entry.job_id,
        "job_size": entry.job_size,
        "handle": entry.handle,
        "cost_usd": entry.cost_usd,
        "error": entry.error,
        "metadata": plain(entry.metadata),
        "drawing": None if entry.circuit is None else drawn(entry.circuit),
        "result": plain(entry.value),
    }


def plain(value: Any) -> Any:
    """Return a value as JSON has it.

    Arrays and tuples become lists, complex numbers `{"re": …, "im": …}`, infinities
    and NaN strings, and what JSON does not have its text.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (float, complex)):
        return _number(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    listed = value.tolist() if hasattr(value, "tolist") else value  # of NumPy's
    return repr(value) if type(listed) is type(value) else plain(listed)


def _number(value: complex) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    return {"re": plain(value.real), "im": plain(value.imag)}

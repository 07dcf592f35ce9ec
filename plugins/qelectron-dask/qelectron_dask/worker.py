"""What happens on a Dask worker: circuits are run by the executor that came along."""

from __future__ import annotations

import pickle
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import cloudpickle

from qelectron_core import Executor, ExecutorError, Job, Outcome, Seed, Settings
from qelectron_dask.errors import WorkerSetupError
from qelectron_dask.versions import address, require_same, where

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

#: Executors that each thread of a worker keeps open; the one used longest ago goes.
MOST_OPEN: Final = 4


@attrs.frozen(eq=False)
class Order:
    """What a worker is asked to run.

    Attributes:
        job_id: Id of the job.
        executor: The executor, as bytes of cloudpickle.
        circuits: The circuits, as `packing.pack` writes them.
        seeds: Entropy and ordinal of each circuit's seed.
        settings: How to run them.
    """

    job_id: str
    executor: bytes
    circuits: bytes
    seeds: Sequence[tuple[int, int]]
    settings: Settings


def run_order(versions: Mapping[str, str], content: bytes) -> tuple[bytes, float, str]:
    """Run circuits; called by Dask on a worker.

    Args:
        versions: What the caller has.
        content: An `Order`, as bytes of pickle.

    Returns:
        Per circuit its result, its `Outcome` or its exception, or the one exception
        that all ended in, as bytes of cloudpickle; the seconds that the executor
        took; and the address of the worker.

    Raises:
        WorkerSetupError: If this worker lacks what they need.
    """
    require_same(versions)
    order: Order = pickle.loads(content)
    executor, circuits = _read(order)
    started = time.perf_counter()
    try:
        found = _write(_run(executor, circuits, order))
    except Exception as error:
        found = _dumps(_portable(error))
    except BaseException as error:  # sys.exit(), say, which would end the worker
        message = f"{executor!r} ended with {type(error).__name__}: {error}"
        found = _dumps(_portable(ExecutorError(message)))
    return found, time.perf_counter() - started, address()


def _read(order: Order) -> tuple[Executor, list[QuantumScript]]:
    from qelectron_dask.packing import unpack

    try:
        return cloudpickle.loads(order.executor), unpack(order.circuits)
    except ImportError as error:
        message = (
            f"the worker {where()} cannot read what was sent: {error}. Install on "
            "the workers what the circuits and their executor need"
        )
        raise WorkerSetupError(f"{message}.{_hint(error)}") from error


def _hint(error: ImportError) -> str:
    package = (error.name or "").partition(".")[0]
    if not package.startswith("qelectron_"):
        return ""
    return f" It comes with a plugin: pip install {package.replace('_', '-')}"


def _run(
    executor: Executor, circuits: Sequence[QuantumScript], order: Order
) -> list[Any]:
    """Return one entry per circuit."""
    from qelectron_core.recording import install, pennylane_code

    install()  # PennyLane's queue is not safe from threads as it is
    resource = _resources.take(executor)
    seeds = tuple(Seed(*seed) for seed in order.seeds)
    job = Job(order.job_id, tuple(circuits), seeds, order.settings, resource)
    try:
        with pennylane_code():
            outcomes = list(executor.run(job))
    except BaseException:
        _close(executor, resource)  # in an unknown state, so not used again
        raise
    _resources.put(executor, resource)
    if len(outcomes) != len(circuits):
        message = (
            f"{executor!r} returned {len(outcomes)} results for {len(circuits)} "
            "circuits. run() must return one entry per circuit, in order."
        )
        raise ExecutorError(message)
    return outcomes


class _Resources(threading.local):
    """What executors opened in one thread of a worker."""

    def __init__(self) -> None:
        self._open: OrderedDict[Executor, Any] = OrderedDict()

    def take(self, executor: Executor) -> Any:
        """Return what an executor opened before, or what it opens now."""
        if executor in self._open:
            return self._open.pop(executor)
        return executor.open()

    def put(self, executor: Executor, resource: Any) -> None:
        """Keep it for the next job."""
        self._open[executor] = resource
        if len(self._open) > MOST_OPEN:
            _close(*self._open.popitem(last=False))


_resources: Final = _Resources()


def _close(executor: Executor, resource: Any) -> None:
    try:
        executor.close(resource)
    except Exception:
        traceback.print_exc()


def _write(outcomes: Sequence[Any]) -> bytes:
    """Return outcomes as bytes, whatever exceptions are among them."""
    try:
        return _dumps([_portable(outcome) for outcome in outcomes])
    except Exception:
        return _dumps([_written(outcome) for outcome in outcomes])


def _dumps(value: Any) -> bytes:
    return cloudpickle.dumps(value, protocol=5)  # type: ignore[no-any-return]


def _written(outcome: Any) -> Any:
    """Return an outcome, or an error that says why it cannot be sent back."""
    try:
        _dumps(outcome)
    except Exception as error:
        kind = type(outcome.value if isinstance(outcome, Outcome) else outcome)
        message = (
            f"the result, of type {kind.__name__!r}, cannot be sent back from the "
            f"worker {where()}: {error}. Expected what cloudpickle can write."
        )
        return ExecutorError(message)
    return outcome


def _portable(outcome: Any) -> Any:
    """Return an exception so that it can be read again, with its traceback as note."""
    if not isinstance(outcome, BaseException):
        return outcome
    trace = "".join(traceback.format_exception(outcome)).rstrip()
    try:
        copy = cloudpickle.loads(_dumps(outcome))
        same = type(copy) is type(outcome)
    except Exception:
        same = False
    error = outcome if same else ExecutorError(f"{type(outcome).__name__}: {outcome}")
    error.add_note(f"on the Dask worker {where()}:\n{trace}")
    return error

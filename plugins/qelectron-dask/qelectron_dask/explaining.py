"""What to tell users of errors of Dask."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from qelectron_dask.errors import (
    ClusterLostError,
    DaskError,
    WorkerDiedError,
    WorkerSetupError,
)

if TYPE_CHECKING:
    from qelectron_dask.connection import Lease


def explained(error: Exception, what: str, lease: Lease) -> Exception:
    """Return what to tell users of an error of Dask, which is its cause.

    A lost connection is given up, so that who connects next starts anew.

    Args:
        error: The error.
        what: What ran when it happened, such as `"12 circuits"`.
        lease: The connection to the cluster.
    """
    made = _explanation(error, what, lease)
    if made is not error:
        made.__cause__ = error
    return made


def _explanation(error: Exception, what: str, lease: Lease) -> Exception:
    from distributed import KilledWorker

    if isinstance(error, DaskError):
        return error
    if isinstance(error, KilledWorker):
        return WorkerDiedError(
            f"{error.allowed_failures + 1} workers died, one after the other, while "
            f"they ran the same {what}; the last was {error.last_worker.address!r}. "
            "Most often memory is short: look at their logs, or use fewer threads per "
            "worker."
        )
    if isinstance(error, (CancelledError, OSError)):
        lease.give_up()
        return ClusterLostError(
            f"the connection to the Dask scheduler {lease.address!r} was lost while "
            f"{what} ran. Results that had arrived are kept. Check that the scheduler "
            "runs; the next call connects anew."
        )
    missing = _missing_module(error)
    if missing is not None:
        return WorkerSetupError(
            f"workers of the scheduler {lease.address!r} lack what is needed: "
            f"{missing}. Install there what is installed here: pip install "
            f"qelectron-dask, and what {what} need."
        )
    return DaskError(
        f"Dask could not run {what}: {type(error).__name__}: {error}. Look at the logs "
        "of the scheduler and the workers."
    )


def _missing_module(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ImportError):
            return str(error)
        error = error.__cause__ or error.__context__
    return None

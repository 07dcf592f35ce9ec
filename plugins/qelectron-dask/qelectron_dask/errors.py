"""What can go wrong between a program and a Dask cluster."""

from qelectron_core import ExecutorError


class DaskError(ExecutorError):
    """Circuits or electrons could not be run on a Dask cluster."""


class ClusterLostError(DaskError):
    """The scheduler of a cluster cannot be reached, or not any more."""


class NoWorkerError(DaskError):
    """A cluster has no worker, and none has come in time."""


class WorkerDiedError(DaskError):
    """Workers died again and again while they ran the same circuits."""


class WorkerSetupError(DaskError):
    """A worker lacks a package, or has another version of it."""

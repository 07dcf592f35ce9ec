"""Runs electrons on the workers of a Dask cluster."""

from __future__ import annotations

import functools
import io
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import attrs
import cloudpickle
from dask.base import annotate
from dask.delayed import Delayed, delayed
from distributed import Client, Future, futures_of, get_worker

from qelectron_core import Scope, at_shutdown
from qelectron_dask.connection import Lease, connect
from qelectron_dask.explaining import explained
from qelectron_dask.sending import far
from qelectron_dask.versions import own_versions, require_same
from qelectron_dask.workflow.containers import reduced
from qelectron_dask.workflow.placeholders import Placeholder
from qelectron_dask.workflow.running import Ran, Work, run

if TYPE_CHECKING:
    from qelectron_dask.executor import DaskExecutor

#: Begins the name under which workers tell of electrons that start.
_TOPIC: Final = "qelectron"
#: What stands for the result of an electron that is not here yet.
_COMING: Final = (Delayed, Future)
_run_there: Final = far("qelectron_dask.workflow.on_dask:run_here")


class ElectronFailedError(Exception):
    """An electron failed on its worker.

    Attributes:
        ran: How it ended.
    """

    def __init__(self, ran: Ran) -> None:
        super().__init__(ran)
        self.ran = ran


class _Leases:
    """Connections that stay open between dispatches: a cluster takes long to start."""

    def __init__(self) -> None:
        self._leases: dict[DaskExecutor, Lease] = {}
        self._lock = threading.Lock()

    def of(self, executor: DaskExecutor) -> Lease:
        """Return the connection to a cluster.

        Raises:
            ExecutorError: If it cannot be reached.
        """
        from qelectron_dask.workflow.dispatches import live  # it stands above this

        with self._lock:
            if not self._leases:
                at_shutdown(self.release)
                at_shutdown(live.stop)  # once more, so that it comes before
            lease = self._leases.get(executor)
            if lease is None or not lease.is_alive:
                lease = self._leases[executor] = connect(executor)
            return lease

    def release(self) -> None:
        """Close them."""
        with self._lock:
            leases, self._leases = self._leases, {}
        for lease in leases.values():
            lease.release()


_leases: Final = _Leases()


class Cluster:
    """A Dask cluster as one dispatch uses it."""

    def __init__(
        self, executor: DaskExecutor, dispatch_id: str, on_start: Callable[..., None]
    ) -> None:
        """Describe it; it is connected to when something is sent.

        Args:
            executor: Says which.
            dispatch_id: The dispatch.
            on_start: Called with number, attempt, time and worker when an electron
                starts.
        """
        self._executor = executor
        self._topic = f"{_TOPIC}-{dispatch_id}"
        self._on_start = on_start
        self._header = json.dumps([own_versions(), self._topic]).encode()
        self._task = delayed(_run_there, pure=False)
        self._functions: dict[int, bytes] = {}
        self._lease: Lease | None = None

    def _connected(self) -> Lease:
        if self._lease is None:
            self._lease = _leases.of(self._executor)
            self._lease.client.subscribe_topic(self._topic, self._hear)
        return self._lease

    def _hear(self, event: tuple[float, Any]) -> None:
        _, told = event
        self._on_start(*told)

    def prepare(
        self,
        work: Work,
        arguments: tuple[Any, Any],
        outputs: Mapping[int, Any],
        resources: Mapping[str, float],
    ) -> Delayed:
        """Return an electron as a task, which may be among the outputs of others.

        Args:
            work: What to run.
            arguments: Positional and keyword arguments, with placeholders.
            outputs: What the placeholders need: results, and tasks or futures of
                electrons of this cluster.
            resources: What it needs of a worker.
        """
        function = self._functions.get(id(work.function))
        if function is None:  # once for all electrons that call it
            function = self._functions[id(work.function)] = dumps(work.function)
        coming = {n: one for n, one in outputs.items() if isinstance(one, _COMING)}
        known = {n: one for n, one in outputs.items() if n not in coming}
        # As bytes, because Dask would look into everything else for tasks of its own.
        payload = dumps(
            (attrs.evolve(work, function=None), arguments, known, [*coming])
        )
        with annotate(resources=dict(resources)) if resources else nullcontext():
            made: Delayed = self._task(
                self._header,
                function,
                payload,
                *coming.values(),
                dask_key_name=f"{work.name}-{work.scope}",
            )
        return made

    def send(self, tasks: Sequence[Delayed]) -> list[Future[Ran]]:
        """Send tasks to the cluster, in one message; return their futures.

        Raises:
            ExecutorError: If the cluster cannot be reached.
        """
        client: Client = self._connected().client
        sent = client.persist(list(tasks), optimize_graph=False)
        return [futures_of(one)[0] for one in sent]

    def outcomes(self, futures: Sequence[Future[Ran]]) -> list[Ran | Exception]:
        """Return how electrons ended that have; all are asked for in one message."""
        done = [one for one in futures if one.status == "finished"]
        try:
            client = self._connected().client
            found = dict(zip(done, client.gather(done), strict=True))
        except Exception:  # a worker died meanwhile, say: each by itself, then
            found = {}
        return [found.get(one) or self._outcome(one) for one in futures]

    def _outcome(self, future: Future[Ran]) -> Ran | Exception:
        try:
            return future.result()
        except ElectronFailedError as error:
            return error.ran
        except Exception as error:
            return explained(error, "electrons", self._connected())

    def close(self) -> None:
        """Hear no more of electrons that start."""
        if self._lease is not None:
            self._lease.client.unsubscribe_topic(self._topic)


class _Pickler(cloudpickle.Pickler):
    """Lets placeholders travel, which they do not by themselves."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Placeholder):
            return reduced(value)
        return super().reducer_override(value)


def dumps(value: Any) -> bytes:
    """Return something as bytes; functions of the program itself travel by value."""
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    return buffer.getvalue()


@functools.lru_cache(maxsize=128)
def _function(function: bytes) -> Any:
    return cloudpickle.loads(function)


def run_here(header: bytes, function: bytes, payload: bytes, *coming: Ran) -> Ran:
    """Run an electron on the worker that calls this.

    Args:
        header: Versions of the caller, and under which name to tell of starts.
        function: The function, pickled.
        payload: The rest of the work, pickled, once it is known that this can be read.
        *coming: How other electrons of the cluster ended that it needs.

    Raises:
        ElectronFailedError: If it fails.
    """
    versions, topic = json.loads(header)
    require_same(versions)
    worker = get_worker()
    work, (args, kwargs), known, numbers = cloudpickle.loads(payload)
    work = attrs.evolve(work, function=_function(function))
    outputs = known | {n: ran.value for n, ran in zip(numbers, coming, strict=True)}

    def begin(attempt: int, _: Scope) -> bool:
        worker.log_event(topic, (work.number, attempt, time.time(), worker.address))
        return True

    ran = attrs.evolve(run(work, args, kwargs, outputs, begin), worker=worker.address)
    if ran.error is not None:
        raise ElectronFailedError(ran)
    return ran

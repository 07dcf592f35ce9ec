"""Connections to Dask clusters, shared by all who use one at the same time."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from qelectron_dask.addresses import given_for
from qelectron_dask.errors import ClusterLostError
from qelectron_dask.local import LocalCluster

if TYPE_CHECKING:
    from distributed import Client

    from qelectron_dask.executor import DaskExecutor

_log: Final = logging.getLogger("qelectron")

#: Seconds after which it is asked again how many threads a cluster has.
FRESH_S: Final = 1.0
#: Seconds that saying goodbye to a scheduler may take.
CLOSE_S: Final = 2.0


class Lease:
    """The right to use a connection; it stays open until all are given back."""

    def __init__(self, connection: Connection) -> None:
        """Be one of those who use a connection."""
        self._connection = connection
        self._released = False

    @property
    def client(self) -> Client:
        """The connected client."""
        return self._connection.client

    @property
    def address(self) -> str:
        """Address of the scheduler."""
        return self._connection.address

    @property
    def is_alive(self) -> bool:
        """Whether the scheduler was there when it was last heard of."""
        return self._connection.is_alive

    @property
    def n_threads(self) -> int:
        """How many threads the workers have, or had a second ago."""
        return self._connection.n_threads()

    def give_up(self) -> None:
        """Say that the scheduler is lost: who connects next starts anew."""
        _forget(self._connection)

    def release(self) -> None:
        """Give it back; the last one closes the connection, and a local cluster."""
        if not self._released:
            self._released = True
            self._connection.leave()


class Connection:
    """A client, and the local cluster it is connected to, if there is one."""

    def __init__(self, key: Hashable) -> None:
        """Describe a connection that is not open yet."""
        self.key = key
        self.client: Client
        self.address = ""
        self._cluster: LocalCluster | None = None
        self._is_own = True
        self._users = 0
        self._lock = threading.Lock()
        self._opened = False
        self._lost = False
        self._threads = (0, 0.0)

    def enter(self, executor: DaskExecutor) -> bool:
        """Count one more user, opening it for the first; false if it has ended."""
        with self._lock:
            if self._lost:
                return False
            if not self._opened:
                self._lost = True  # unless it opens: others then try by themselves
                self._open(executor)
                self._lost, self._opened = False, True
            elif not self.is_alive:
                return False
            self._users += 1
            return True

    def leave(self) -> None:
        """Count one user less; close it after the last."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            self._lost = True
        _forget(self)
        self._close()

    @property
    def is_alive(self) -> bool:
        """Whether the client is connected."""
        return not self._lost and self.client.status == "running"

    @property
    def known_threads(self) -> int:
        """How many threads the workers had when it was last asked."""
        return self._threads[0]

    def n_threads(self) -> int:
        """Return how many threads the workers have, asking now and then."""
        threads, asked_at = self._threads
        if not threads or time.monotonic() - asked_at > FRESH_S:
            with suppress(Exception):  # lost: whoever waits for results is told
                threads = sum(self.client.nthreads().values())
            self._threads = (threads, time.monotonic())
        return threads

    def end(self) -> None:
        """Let nobody else in."""
        self._lost = True

    def _open(self, executor: DaskExecutor) -> None:
        self.address = executor.address or ""
        if executor.address is None:
            self._cluster = LocalCluster(executor.n_local_workers, executor.connect_s)
            self.address = self._cluster.scheduler_address
        try:
            given = self._cluster or given_for(self.address)
            self.client, self._is_own = _client(self.address, given, executor.connect_s)
        except BaseException:
            self._end_cluster()
            raise

    def _close(self) -> None:
        if self._is_own:
            _close_client(self.client)
        self._end_cluster()

    def _end_cluster(self) -> None:
        if self._cluster is not None:
            self._cluster.close()


#: Connections of this process that are open or being opened.
_open: dict[Hashable, Connection] = {}
_lock = threading.Lock()


def connect(executor: DaskExecutor) -> Lease:
    """Return the right to use the cluster of an executor, connecting if need be.

    Executors with one address share a connection, and so do those of one local
    cluster. Give the lease back when you are done.

    Args:
        executor: Says where the cluster is, and how long to wait for it.

    Raises:
        ClusterLostError: If the scheduler cannot be reached in time.
    """
    while True:
        with _lock:
            connection = _open.setdefault(executor.place, Connection(executor.place))
        try:
            if connection.enter(executor):
                return Lease(connection)
        except BaseException:
            _forget(connection)
            raise
        _forget(connection)


def known_threads(place: Hashable) -> int:
    """Return how many threads a cluster had when last asked; 0 if not connected."""
    connection = _open.get(place)
    return 0 if connection is None else connection.known_threads


def _forget(connection: Connection) -> None:
    connection.end()
    with _lock:
        if _open.get(connection.key) is connection:
            del _open[connection.key]


def _client(address: str, given: Any, connect_s: float) -> tuple[Client, bool]:
    """Return a connected client, and whether it is to be closed after use.

    Args:
        address: Address of the scheduler.
        given: What the user gave as address: a client, or a cluster with
            certificates.
        connect_s: Longest wait.
    """
    from distributed import Client

    if isinstance(given, Client) and _is_usable(given):
        return given, False
    try:
        client = Client(
            address,
            security=getattr(given, "security", None),
            timeout=connect_s,
            set_as_default=False,
            direct_to_workers=False,
            name="qelectron",
        )
    except Exception as error:
        message = (
            f"no Dask scheduler answers at {address!r} within {connect_s:g} s: "
            f"{error}. Check that it runs and that this machine may connect to it, or "
            "raise connect_s."
        )
        raise ClusterLostError(message) from error
    return client, True


def _is_usable(client: Client) -> bool:
    return client.status == "running" and not client.asynchronous


def _close_client(client: Any) -> None:
    try:
        client.close(timeout=CLOSE_S)
    except Exception:
        _log.debug("a Dask client could not be closed", exc_info=True)


def _after_fork() -> None:
    """Forget connections of the parent: their threads are not in the child."""
    global _open, _lock  # the lock may be held for ever
    _open, _lock = {}, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""What one open store has of its own in one process: connections, owner, heartbeat."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from qelectron_core.errors import StoreError
from qelectron_core.store import Key
from qelectron_sqlite import owners, results
from qelectron_sqlite.connections import Connection

_log: Final = logging.getLogger("qelectron")

#: Seconds between two signs of life, and until it is kept which results were used.
BEAT_S: Final = 15.0


class Session:
    """An open file.

    Attributes:
        owner: Who holds the claims and jobs.
        reader: For looking up results, which must be quick.
        viewer: For everything else that changes nothing, and may take its time.
        writer: For what may be lost, whole, when the machine fails.
        lasting: For what may not.
    """

    def __init__(self, path: Path) -> None:
        self.owner = owners.Owner()
        self.reader = Connection(path)
        self.viewer = Connection(path)
        self.writer = Connection(path)
        self.lasting = Connection(path, lasting=True)
        self._used: dict[Key, float] = {}
        self._using = threading.Lock()
        self._over = threading.Event()
        with self.writer.writing() as connection:
            owners.enrol(connection, self.owner)
        threading.Thread(
            target=_beat_on,
            args=(weakref.ref(self), self._over),
            name="qelectron-sqlite",
            daemon=True,
        ).start()

    def use(self, keys: Iterable[Key]) -> None:
        """Note that results were used; kept with what is written next."""
        used = dict.fromkeys(keys, time.time())
        with self._using:
            self._used.update(used)

    def take_used(self) -> dict[Key, float]:
        """Return, and forget, which results were used when."""
        with self._using:
            used, self._used = self._used, {}
        return used

    def beat(self) -> None:
        """Say that this process lives, and keep which results were used."""
        with self.writer.writing() as connection:
            owners.beat(connection, self.owner)
            results.used(connection, self.take_used())

    def close(self) -> None:
        """Give back all claims and free everything."""
        self._over.set()
        try:
            with self.writer.writing() as connection:
                results.used(connection, self.take_used())
                owners.leave(connection, self.owner.id)
        finally:
            self.drop()

    def drop(self) -> None:
        """Close the connections."""
        self._over.set()
        for connection in (self.reader, self.viewer, self.lasting, self.writer):
            with suppress(StoreError):
                connection.close()


def _beat_on(session: weakref.ref[Session], over: threading.Event) -> None:
    """Beat until a session is over, without keeping it alive."""
    while not over.wait(BEAT_S):
        current = session()
        if current is None:
            return
        try:
            current.beat()
        except StoreError as error:  # whoever needs the file next is told
            _log.debug("no sign of life was written: %s", error)
        del current


class Sessions:
    """The session of one store in this process: a forked child gets one of its own.

    SQLite's connections must not be used, nor closed, in a child.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._closed = False
        self.renew()
        _ = self.current
        _all.add(self)

    def renew(self) -> None:
        """Begin anew: with what is used next."""
        self._lock = threading.Lock()
        self._current: Session | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None

    def leave_to_parent(self) -> None:
        """Begin anew in a child, and let the parent keep what it has."""
        if self._finalizer is not None:
            self._finalizer.detach()
        _of_parents.append((self._current, self._lock))
        self.renew()

    @property
    def current(self) -> Session:
        """The session.

        Raises:
            StoreError: If the store has been closed.
        """
        return self._current or self._open()

    def _open(self) -> Session:
        with self._lock:
            if self._closed:
                message = (
                    f"the store {str(self._path)!r} has been closed. Open it again."
                )
                raise StoreError(message)
            if self._current is None:
                self._current = Session(self._path)
                self._finalizer = weakref.finalize(self, _give_up, self._current)
                # At exit, whoever opened the store still has something to write.
                self._finalizer.atexit = False
            return self._current

    def close(self) -> None:
        """Close the session, for good."""
        with self._lock:
            self._closed = True
            current, self._current = self._current, None
        if self._finalizer is not None:
            self._finalizer.detach()
        if current is not None:
            current.close()


def _give_up(session: Session) -> None:
    """Close the session of a store that nobody holds any more."""
    with suppress(StoreError):
        session.close()


_all: Final[weakref.WeakSet[Sessions]] = weakref.WeakSet()
#: Kept for ever, because to free them is to close them.
_of_parents: Final[list[Any]] = []


def _after_fork() -> None:
    for sessions in list(_all):
        sessions.leave_to_parent()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)

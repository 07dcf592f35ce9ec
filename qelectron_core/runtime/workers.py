"""Threads that run jobs: started when needed, ended when idle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

#: Seconds that a worker thread waits for work before it ends.
IDLE_S: Final = 10.0


class Workers:
    """Runs functions on threads, one thread each, and reuses idle threads.

    Threads are daemons: a program that ends does not wait for a queue that
    nobody reads any more (`Runtime.shutdown` waits for what is running).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[Callable[[], None]]] = []
        self._count = 0

    def start(self, function: Callable[[], None]) -> None:
        """Run a function at once, on an idle thread or a new one."""
        with self._lock:
            inbox = self._idle.pop() if self._idle else None
            if inbox is None:
                self._count += 1
                number = self._count
        if inbox is not None:
            inbox.put(function)
            return
        inbox = SimpleQueue()
        inbox.put(function)
        name = f"qelectron-worker-{number}"
        threading.Thread(
            target=self._work, args=(inbox,), name=name, daemon=True
        ).start()

    def _work(self, inbox: SimpleQueue[Callable[[], None]]) -> None:
        function = inbox.get()
        while True:
            function()
            del function  # so that an idle thread keeps no circuit alive
            with self._lock:
                self._idle.append(inbox)
            try:
                function = inbox.get(timeout=IDLE_S)
            except Empty:
                with self._lock:
                    if inbox in self._idle:
                        self._idle.remove(inbox)
                        return
                function = inbox.get()  # handed over at the very last moment

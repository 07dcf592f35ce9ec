"""What the results of circuits are kept, and found, by."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import attrs

from qelectron_core.errors import FormatError
from qelectron_core.formats import circuit_digest, executor_digest, pool_of
from qelectron_core.runtime.task import describe
from qelectron_core.saying import say_once
from qelectron_core.store import Key

if TYPE_CHECKING:
    from pennylane.measurements import Shots
    from pennylane.tape import QuantumScript

    from qelectron_core.contracts import Executor, Seed
    from qelectron_core.router import Route
    from qelectron_core.runtime.task import Task

#: Circuits of which it is known how often their samples were asked for.
MOST_ASKED: Final = 100_000

#: Digests are asked for with every circuit, and executors are few.
_digest_of: Final = functools.lru_cache(maxsize=256)(executor_digest)


class Keys:
    """Gives circuits their keys.

    Samples of equal circuits are independent, unless an executor is seeded: the
    second time that this process asks for the samples of a circuit, it gets the
    second kept ones, or new ones. So a program that is run again finds all that it
    had, and shot noise never repeats within one.
    """

    def __init__(self) -> None:
        self._asked: dict[Key, int] = {}  # what was asked for longest ago is first
        self._lock = threading.Lock()

    def copied(self) -> Keys:
        """Return keys that go on from here, and leave these where they are."""
        made = Keys()
        with self._lock:
            made._asked = dict(self._asked)
        return made

    def of(self, task: Task) -> Key | None:
        """Return the key of a circuit; `None`, and say so, if it cannot be told."""
        try:
            if task.digest is None:
                task.digest = circuit_digest(
                    task.circuit, trainable=task.settings.derivatives
                )
            key = self._on(task, task.route, task.circuit)
        except FormatError as error:
            say_once(f"{error} It is run every time.")
            return None
        except Exception as error:  # of a plugin's cache_key, say
            say_once(f"{describe(error)}. So a circuit is run every time.")
            return None
        return key if key.draw or not key.shots else self._next_draw(key)

    def elsewhere(self, task: Task, key: Key) -> Iterator[Key]:
        """Yield the keys of equal circuits on executors that stand in for this one.

        Which they do in a cluster with failover.
        """
        for route in stand_ins(task.route):
            try:
                ready = route.with_own_shots(task.requested)
                other = self._on(task, route, ready)
            except Exception:  # it cannot run this circuit, or not be compared
                continue
            yield attrs.evolve(other, draw=other.draw or key.draw)

    def moved(self, task: Task) -> Key | None:
        """Return the key of a circuit that had one, on its next executor."""
        if task.key is None:
            return None
        try:
            key = self._on(task, task.route, task.circuit)
        except Exception:
            return None
        if key.draw or not key.shots:
            return key
        if key.shots == task.key.shots:
            return attrs.evolve(key, draw=task.key.draw)
        return self._next_draw(key)

    def _on(self, task: Task, route: Route, circuit: QuantumScript) -> Key:
        assert task.digest is not None
        pool = pool_of(task.digest, _digest_of(route.bound), task.settings)
        shots = shots_text(circuit.shots)
        return Key(pool, shots, _seeded_draw(route.bound, task.seed) if shots else "")

    def _next_draw(self, key: Key) -> Key:
        with self._lock:
            number = self._asked.pop(key, 0)
            self._asked[key] = number + 1
            if len(self._asked) > MOST_ASKED:
                del self._asked[next(iter(self._asked))]
        return attrs.evolve(key, draw=str(number))


def shots_text(shots: Shots) -> str:
    """Return shots as text: empty for an exact result, `"10x2,5"` for a vector.

    Example:
        >>> from pennylane.measurements import Shots
        >>> shots_text(Shots((10, 10, 5)))
        '10x2,5'
    """
    return ",".join(
        f"{part.shots}x{part.copies}" if part.copies > 1 else str(part.shots)
        for part in shots.shot_vector
    )


def stand_ins(route: Route) -> Iterator[Route]:
    """Yield the other routes of the clusters with failover that a route is in."""
    for cluster in route.clusters:
        if cluster.member.failover is not None:
            yield from (other for other in cluster if other is not route)


def _seeded_draw(executor: Executor, seed: Seed) -> str:
    """Return what samples depend on, if they can be repeated."""
    if executor.seed is None or not executor.capabilities.seeded:
        return ""
    return f"seed {seed.entropy}, {seed.ordinal}"

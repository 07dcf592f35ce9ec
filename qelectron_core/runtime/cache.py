"""Which circuits run, and which get the result of an equal one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from qelectron_core.events import Execution
from qelectron_core.recovery import FINAL
from qelectron_core.runtime import topping
from qelectron_core.runtime.adoption import adopt
from qelectron_core.runtime.keeper import Keeper
from qelectron_core.runtime.keys import Keys
from qelectron_core.runtime.notes import kept_of
from qelectron_core.runtime.task import Ran, Task, settle
from qelectron_core.store import Claim, Intent, Kept, Key
from qelectron_core.values import copy_value

if TYPE_CHECKING:
    from qelectron_core.runtime.runtime import Runtime

_log: Final = logging.getLogger("qelectron")

#: Shortest and longest pause, in seconds, before another process is looked at again
#: that is running a circuit which is wanted here as well.
FIRST_LOOK_S: Final = 0.02
LONGEST_LOOK_S: Final = 0.5


class Cache:
    """Runs each of equal circuits once, in this process and among processes.

    The first of them leads; those that are asked for while it is under way follow
    it, and get its result.
    """

    def __init__(self, keeper: Keeper, runtime: Runtime) -> None:
        self._keeper = keeper
        self._runtime = runtime
        self._keys = Keys()
        self._lock = threading.Lock()
        self._followers: dict[Key, list[Task]] = {}
        self._elsewhere: list[Task] = []
        self._looking = False
        self._pause_s = FIRST_LOOK_S

    # --- Before circuits run ----------------------------------------------------------

    def admit(self, tasks: Sequence[Task]) -> list[Task]:
        """Return the circuits that are to run now; the others get their results."""
        asked = [task for task in tasks if task.cache]
        if not asked:
            return list(tasks)
        self._keeper.say_if_fleeting()
        for task in asked:
            self._prepare(task)
        leaders = [task for task in asked if task.claim and self._leads(task)]
        others = [task for task in tasks if task.claim is None]
        return others + self._sorted(leaders)

    def name(self, task: Task) -> None:
        """Give a circuit the key by which its result is kept."""
        if task.key is None:
            task.key = self._keys.of(task)

    def rename(self, task: Task) -> None:
        """Give a circuit that has a key the one that it has on its next executor."""
        task.key = self._keys.moved(task)

    def _prepare(self, task: Task) -> None:
        if task.key is None:
            task.key = self._keys.of(task)
        if task.key is None or task.claim is not None or task.cache == "refresh":
            return
        tops_up = task.cache == "top-up" and topping.is_possible(task)
        task.claim = Key(task.key.pool, "pool") if tops_up else task.key

    def _leads(self, task: Task) -> bool:
        with self._lock:
            followers = self._followers.get(task.claim)  # type: ignore[arg-type]
            if followers is not None:
                followers.append(task)
                return False
            self._followers[task.claim] = []  # type: ignore[index]
            return True

    def _sorted(self, leaders: Sequence[Task]) -> list[Task]:
        """Return those of the leaders that are to run; see to the others."""
        missing = [task for task in leaders if not self._is_kept(task)]
        if not missing:
            return []
        jobs: dict[str, tuple[Intent, list[Task]]] = {}
        fresh, away = [], []
        claims = self._keeper.claim([_claim(task) for task in missing])
        for task, claim in zip(missing, claims, strict=True):
            if claim.job is not None:
                jobs.setdefault(claim.job.job_id, (claim.job, []))[1].append(task)
            elif claim.elsewhere:
                away.append(task)
            elif not self._is_served(task, claim):
                fresh.append(task)
        for intent, wanting in jobs.values():
            self._adopt(intent, wanting)
        self._await(away)
        return fresh

    def _is_kept(self, task: Task) -> bool:
        """Serve a circuit from what is kept, if that is enough."""
        if _tops_up(task):
            return self._is_topped_up(task)
        key = _claim(task)
        keys = [key, *self._keys.elsewhere(task, key)]
        found = next((kept for kept in self._keeper.find(keys) if kept), None)
        if found is not None:
            self._serve(task, found)
        return found is not None

    def _is_served(self, task: Task, claim: Claim) -> bool:
        """Serve a circuit of which the claim says that it need not run."""
        if claim.kept is not None:
            self._serve(task, claim.kept)
            return True
        if not _tops_up(task):
            return False
        if self._is_topped_up(task):
            self._keeper.release([_claim(task)])
            return True
        topping.reduce(task, self._keeper.pool(_claim(task).pool))
        return False

    def _is_topped_up(self, task: Task) -> bool:
        enough = topping.enough(task, self._keeper.pool(_claim(task).pool))
        if enough is not None:
            self._serve(task, enough)
        return enough is not None

    # --- When a circuit has ended -----------------------------------------------------

    def ended(self, task: Task, outcome: Any, execution: Execution) -> Any:
        """Take the last outcome of a circuit; return what its call is to get."""
        if isinstance(outcome, BaseException):
            self._failed(task, outcome, execution)
            return outcome
        kept = kept_of(task, outcome, execution)
        if kept is not None:
            self._keeper.keep(kept)
        if task.parts:
            outcome = topping.put_together(task, outcome)
        if kept is not None and task.claim is not None:
            self._lead_to(task, attrs.evolve(kept, value=outcome))
        return outcome

    def _lead_to(self, task: Task, kept: Kept) -> None:
        """Give the result of a circuit to those that follow it."""
        followers = self._leave(task)
        if _tops_up(task):
            self._keeper.flush()  # others look for its result, not for its claim
            self._keeper.release([_claim(task)])
            self._runtime.submit(followers)  # who may want more shots, or fewer
            return
        for follower in followers:
            self._serve(follower, kept, led=False)

    def _failed(self, task: Task, error: BaseException, execution: Execution) -> None:
        if task.claim is None:
            return
        followers = self._leave(task)
        self._keeper.release([task.claim])
        cancelled = isinstance(error, CancelledError)
        if cancelled or (_is_adopted(task) and not isinstance(error, FINAL)):
            self._runtime.submit(followers)  # it says nothing about them
            return
        for follower in followers:
            self._share(error, execution, follower)

    def _share(self, error: BaseException, execution: Execution, task: Task) -> None:
        """End a circuit in the error that an equal one ended in."""
        self._runtime.loads.remove(task.executor)
        shared = attrs.evolve(
            execution,
            executor=task.executor,
            submitted_at=task.submitted_at,
            cached=True,
        )
        self._runtime.report("failed", task, shared)
        task.resolve(error, shared)

    def _leave(self, task: Task) -> list[Task]:
        with self._lock:
            return self._followers.pop(_claim(task), [])

    def _serve(self, task: Task, kept: Kept, *, led: bool = True) -> None:
        """Give a circuit a result that is there, and to all that follow it."""
        followers = self._leave(task) if led else []
        if task.batch.start():
            self._hand_over(task, kept)
        else:
            _cancel(task)
        if _tops_up(task):
            self._runtime.submit(followers)  # who may want more shots, or fewer
            return
        for follower in followers:
            self._serve(follower, kept, led=False)

    def _hand_over(self, task: Task, kept: Kept) -> None:
        self._runtime.loads.remove(task.executor)
        now = time.time()
        execution = Execution(
            executor=task.executor,
            job_id=kept.job_id,
            job_size=1,
            shots=kept.shots or None,
            submitted_at=task.submitted_at,
            started_at=now,
            finished_at=now,
            metadata=kept.metadata,
            handle=kept.handle,
            cached=True,
        )
        self._runtime.report("cached", task, execution, kept.value)
        task.resolve(copy_value(kept.value), execution)

    # --- Jobs of processes that have ended --------------------------------------------

    def _adopt(self, intent: Intent, wanting: Sequence[Task]) -> None:
        """Wait for a job that another process left, instead of running its circuits."""
        with self._lock:
            for task in wanting:
                self._followers.setdefault(_claim(task), []).insert(0, task)
        adopt(intent, wanting[0].route, self._runtime, self._keeper)

    def expect(self, keys: Iterable[Key | None]) -> None:
        """Have circuits that are asked for follow those of a job that is waited for."""
        with self._lock:
            for key in keys:
                if key is not None:
                    self._followers.setdefault(key, [])

    # --- Circuits that another process runs -------------------------------------------

    def _await(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            return
        with self._lock:
            self._elsewhere += tasks
            self._pause_s = FIRST_LOOK_S
            looking, self._looking = self._looking, True
        if not looking:
            self._look_later()

    def _look_later(self) -> None:
        loop = self._runtime.loop
        loop.later(self._pause_s, partial(loop.on_worker, self._look))

    def _look(self) -> None:
        with self._lock:
            tasks, self._elsewhere = self._elsewhere, []
            self._pause_s = min(LONGEST_LOOK_S, self._pause_s * 1.5)
        fresh = self._sorted_again(tasks)
        if fresh:
            self._runtime.send(fresh)
        with self._lock:
            self._looking = bool(self._elsewhere)
        if self._looking:
            self._look_later()

    def _sorted_again(self, tasks: Sequence[Task]) -> list[Task]:
        with self._lock:
            pause_s = self._pause_s
        fresh = self._sorted(tasks)
        with self._lock:
            self._pause_s = pause_s  # which waiting on has set back
        return fresh

    # --- The end ----------------------------------------------------------------------

    def drop(self, wanted: Callable[[Task], bool]) -> int:
        """Cancel circuits that wait for the result of another one."""
        with self._lock:
            dropped = self._dropped(wanted)
        for task in dropped:
            _cancel(task)
        return len(dropped)

    def _dropped(self, wanted: Callable[[Task], bool]) -> list[Task]:
        dropped = []
        for key, followers in self._followers.items():
            dropped += [task for task in followers if wanted(task)]
            self._followers[key] = [task for task in followers if not wanted(task)]
        for task in [task for task in self._elsewhere if wanted(task)]:
            dropped.append(task)
            self._elsewhere.remove(task)
            heirs = self._followers.pop(_claim(task), [])
            if heirs:
                self._elsewhere.append(heirs[0])
                self._followers[_claim(task)] = heirs[1:]
        return dropped


def _cancel(task: Task) -> None:
    """End a circuit as cancelled, which says nothing about equal ones."""
    task.claim = task.key = None
    settle(task, CancelledError(), Ran(last=True))


def _claim(task: Task) -> Key:
    assert task.claim is not None
    return task.claim


def _tops_up(task: Task) -> bool:
    return task.claim is not None and task.claim.shots == "pool"


def _is_adopted(task: Task) -> bool:
    return bool(getattr(task.sink, "adopted", False))

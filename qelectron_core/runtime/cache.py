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

from qelectron_core.errors import BudgetError, UnsettledJobError
from qelectron_core.events import Execution
from qelectron_core.recovery import FINAL
from qelectron_core.runtime import topping
from qelectron_core.runtime.adoption import adopt
from qelectron_core.runtime.keeper import Keeper
from qelectron_core.runtime.keys import Keys
from qelectron_core.runtime.notes import kept_by, kept_of
from qelectron_core.runtime.task import Ran, Task, recorded, settle
from qelectron_core.store import Claim, Intent, Kept, Key
from qelectron_core.values import copy_value

if TYPE_CHECKING:
    from qelectron_core.runtime.runtime import Runtime

_log: Final = logging.getLogger("qelectron")

#: Shortest and longest pause, in seconds, before another process is looked at again
#: that is running a circuit which is wanted here as well.
FIRST_LOOK_S: Final = 0.02
LONGEST_LOOK_S: Final = 0.5


class _Group:
    """A circuit that is under way, and equal ones that wait for its result."""

    __slots__ = ("followers", "leader")

    def __init__(self, leader: Task) -> None:
        self.leader = leader
        self.followers: list[Task] = []

    def is_led_by(self, task: Task) -> bool:
        """Tell whether a task leads, or is another attempt of the one that does."""
        leader = self.leader
        return task.batch is leader.batch and task.index == leader.index


class Cache:
    """Runs each of equal circuits once, in this process and among processes.

    The first of them leads; those that are asked for while it is under way follow
    it, and get its result.

    Attributes:
        runtime: What runs the circuits.
    """

    def __init__(self, keeper: Keeper, runtime: Runtime) -> None:
        self._keeper = keeper
        self.runtime = runtime
        self._keys = Keys()
        self._lock = threading.Lock()
        self._groups: dict[Key, _Group] = {}
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
        fresh, away = self._sorted(leaders)
        self._await(away)
        return others + fresh

    def lacking(self, tasks: Sequence[Task]) -> list[Task]:
        """Return the circuits that would run, were these asked for now.

        Claims nothing; circuits that another process runs are taken to be run here.
        """
        keys, seen, lacking = self._keys.copied(), set[Key](), []
        for task in tasks:
            key = keys.of(task) if task.cache else None
            if key is None or task.cache == "refresh":
                lacking.append(task)
                continue
            tops_up = task.cache == "top-up" and topping.is_possible(task)
            claim = Key(key.pool, "pool") if tops_up else key
            if claim in seen or claim in self._groups:
                continue
            seen.add(claim)
            task.key = key
            if not self._has(keys, task, tops_up=tops_up):
                lacking.append(task)
        return lacking

    def _has(self, keys: Keys, task: Task, *, tops_up: bool) -> bool:
        assert task.key is not None
        if not tops_up:
            wanted = [task.key, *keys.elsewhere(task, task.key)]
            return any(self._keeper.find(wanted))
        pool = self._keeper.pool(task.key.pool)
        if topping.enough(task, pool) is not None:
            return True
        topping.reduce(task, pool)
        return False

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
            group = self._groups.get(_claim(task))
            if group is not None:
                group.followers.append(task)
                return False
            self._groups[_claim(task)] = _Group(task)
            return True

    def _sorted(self, leaders: Sequence[Task]) -> tuple[list[Task], list[Task]]:
        """Return who is to run now, and who is run elsewhere; see to the others."""
        missing = [task for task in leaders if not self._is_kept(task)]
        if not missing:
            return [], []
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
        return fresh, away

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
        try:
            return self._succeeded(task, outcome, execution)
        except Exception as error:  # of results that do not go together, say
            self._failed(task, error, execution)
            return error

    def _succeeded(self, task: Task, value: Any, execution: Execution) -> Any:
        kept = kept_of(task, value, execution)
        if kept is not None:
            self._keeper.keep(kept)
        if task.parts:
            value = topping.put_together(task, value)
        if task.claim is not None:
            self._lead_to(task, kept_by(task.claim, task, value, execution))
        return value

    def _lead_to(self, task: Task, kept: Kept) -> None:
        """Give the result of a circuit to those that follow it."""
        followers = self._leave(task)
        if followers is None:
            return
        if task.claim != task.key:  # what is kept gives back the claim to its own key
            self._keeper.flush()  # others look for the result, once the claim is free
            self._keeper.release([_claim(task)])
        self._give_all(task, followers, kept)

    def _failed(self, task: Task, error: BaseException, execution: Execution) -> None:
        followers = None if task.claim is None else self._leave(task)
        if followers is None:
            return
        self._keeper.release([_claim(task)])
        # Nor does a budget, which need not be theirs.
        cancelled = isinstance(error, (BudgetError, CancelledError))
        if cancelled or (_is_adopted(task) and not isinstance(error, FINAL)):
            if followers:  # it says nothing about them
                # Not here: each of them may be refused in its turn, and this thread may
                # be in a scope that is not theirs.
                self.runtime.loop.on_worker(partial(self._ask_again, followers))
            return
        for follower in followers:
            self._share(error, execution, follower)

    def _ask_again(self, tasks: Sequence[Task]) -> None:
        """Have circuits run that waited for one that came to nothing."""
        try:
            self.runtime.submit(tasks)
        except Exception as error:  # somebody waits for them, and gets it
            for task in tasks:
                task.resolve(*recorded(task, error, Ran(last=True)))

    def _share(self, error: BaseException, execution: Execution, task: Task) -> None:
        """End a circuit in the error that an equal one ended in."""
        self.runtime.loads.remove(task.executor)
        shared = attrs.evolve(
            execution,
            executor=task.executor,
            submitted_at=task.submitted_at,
            cached=True,
        )
        self.runtime.report("failed", task, shared)
        task.resolve(error, shared)

    def _leave(self, task: Task) -> list[Task] | None:
        """Return those that followed a circuit, if it led; it does no more."""
        with self._lock:
            group = self._groups.get(_claim(task))
            if group is None:
                return None
            if not group.is_led_by(task):
                group.followers = [one for one in group.followers if one is not task]
                return None
            del self._groups[_claim(task)]
            return group.followers

    def _serve(self, task: Task, kept: Kept) -> None:
        """Give a circuit a result that is there, and to all that follow it."""
        followers = self._leave(task) or []
        self._give(task, kept)
        self._give_all(task, followers, kept)

    def _give_all(self, task: Task, followers: Sequence[Task], kept: Kept) -> None:
        pool = self._keeper.pool(kept.key.pool) if followers and _tops_up(task) else ()
        lacking = []
        for follower in followers:
            found = topping.enough(follower, pool) if _tops_up(task) else kept
            if found is None:
                lacking.append(follower)
            else:
                self._give(follower, found)
        if lacking:
            self.runtime.submit(lacking)

    def _give(self, task: Task, kept: Kept) -> None:
        if not task.batch.start():
            _cancel(task)
            return
        self.runtime.loads.remove(task.executor)
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
        self.runtime.report("cached", task, execution, kept.value)
        task.resolve(copy_value(kept.value), execution)

    # --- Jobs of processes that have ended --------------------------------------------

    def _adopt(self, intent: Intent, wanting: Sequence[Task]) -> None:
        """Wait for a job that another process left, instead of running its circuits."""
        if intent.circuits:
            adopt(intent, wanting[0].route, self.runtime, self._keeper)
            return
        message = (
            f"{intent.job_id} of {intent.shown} holds this circuit, and its record "
            "cannot be read. Look for it at the vendor; then `qelectron cancel "
            f"{intent.job_id} --forget` lets the circuit be run anew."
        )
        for task in wanting:
            settle(task, UnsettledJobError(message), Ran(last=True))

    def expect(self, tasks: Iterable[Task]) -> None:
        """Let circuits of a job that is waited for lead those that are asked for."""
        with self._lock:
            for task in tasks:
                if task.claim is None:
                    continue
                group = self._groups.setdefault(task.claim, _Group(task))
                if not group.is_led_by(task):
                    group.followers.insert(0, group.leader)
                    group.leader = task

    # --- Circuits that another process runs -------------------------------------------

    def _await(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            return
        _log.info("Waiting for %d circuits that another process runs.", len(tasks))
        with self._lock:
            self._elsewhere += tasks
            self._pause_s = FIRST_LOOK_S
            looking, self._looking = self._looking, True
        if not looking:
            self._look_later()

    def _look_later(self) -> None:
        loop = self.runtime.loop
        loop.later(self._pause_s, partial(loop.on_worker, self._look))

    def _look(self) -> None:
        with self._lock:
            tasks = list(self._elsewhere)
            self._pause_s = min(LONGEST_LOOK_S, self._pause_s * 1.5)
        try:
            fresh, away = self._sorted(tasks)
        except Exception as error:  # of a plugin; nobody else would tell them
            fresh, away = [], []
            for task in tasks:
                settle(task, error, Ran(last=True))
        gone = set(tasks).difference(away)
        with self._lock:
            self._elsewhere = [t for t in self._elsewhere if t not in gone]
            self._looking = bool(self._elsewhere)
        # Those without a claim were cancelled meanwhile.
        self.runtime.send([task for task in fresh if task.claim is not None])
        if self._looking:
            self._look_later()

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
        for group in self._groups.values():
            dropped += [task for task in group.followers if wanted(task)]
            group.followers = [task for task in group.followers if not wanted(task)]
        for task in [task for task in self._elsewhere if wanted(task)]:
            dropped.append(task)
            self._elsewhere.remove(task)
            group = self._groups.pop(_claim(task))
            if group.followers:
                group.leader = group.followers.pop(0)
                self._elsewhere.append(group.leader)
                self._groups[_claim(task)] = group
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

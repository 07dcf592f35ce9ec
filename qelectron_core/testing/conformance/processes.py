"""Lets another process do something, and die in the midst of its work."""

from __future__ import annotations

import os
import select
import signal
import unittest
import warnings
from collections.abc import Callable
from typing import Final

from qelectron_core.testing.conformance.rules import RuleBroken, told

#: Seconds that the other process may take.
PROCESS_S: Final = 20.0
_DONE: Final = b"done"


def in_killed_process(work: Callable[[], object], what: str) -> None:
    """Do something in a process that is then killed, so that it tidies nothing up.

    Args:
        work: What to do, with what this process has.
        what: What it is, for the message.

    Raises:
        RuleBroken: If it raises, or takes too long.
        SkipTest: Where processes cannot fork.
    """
    if not hasattr(os, "fork"):
        raise unittest.SkipTest("this system cannot fork a process")
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 and JAX warn of threads, which the child does not wait for.
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:  # pragma: no cover  # it is killed before it can tell
        _work_and_die(work, writing)
    os.close(writing)
    try:
        answer = _read(reading)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if answer != _DONE:
        seen = answer.decode() or f"it had not ended after {PROCESS_S:g} s"
        raise RuleBroken(f"{what} in another process to raise nothing", seen)


def _work_and_die(work: Callable[[], object], writing: int) -> None:  # pragma: no cover
    try:
        work()
        answer = _DONE
    except BaseException as error:  # it must not go on as a copy of its parent
        answer = told(error).encode()
    os.write(writing, answer)
    os.kill(os.getpid(), signal.SIGKILL)


def _read(reading: int) -> bytes:
    ready, _, _ = select.select([reading], [], [], PROCESS_S)
    return os.read(reading, 10_000) if ready else b""

"""Whether a process still lives, as far as the operating system tells."""

from __future__ import annotations

import functools
import os
import socket
from typing import Final

#: Seconds after which a process counts as ended that could be asked in no better way
#: and has not said that it lives.
SILENT_S: Final = 60.0
_ENDED: Final = frozenset("ZX")  # of a zombie only the number is left


@functools.cache
def node() -> str:
    """Return the name of this machine, as `Call.process` has it."""
    return socket.gethostname()


@functools.cache
def space() -> str:
    """Return what process numbers are counted in: containers have their own."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:  # no Linux
        return ""


def birth(pid: int) -> str | None:
    """Return when a process started, in the system's own terms.

    Empty if the system does not tell; `None` if there is no such process.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The name may hold anything, so count from behind it: proc(5).
            state, *fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "" if not space() and _may_exist(pid) else None
    except OSError:
        return ""
    return None if state in _ENDED else fields[18]


def _may_exist(pid: int) -> bool:
    if os.name == "nt":  # there, `os.kill` ends the process, whatever the signal
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

"""What a fresh process sees: things that this one has long imported."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import unittest
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from qelectron_core.hookspecs import PROJECT
from qelectron_core.registry import DISABLE_VARIABLE, registry
from qelectron_core.testing.conformance.rules import RuleBroken, calling

#: Seconds that a fresh process may take; importing PennyLane takes several.
PROCESS_S: Final = 50.0
#: Exit code of a fresh process that does not find a module.
_ABSENT: Final = 66

# What plugins print must not get among what is sent back.
_QUIET: Final = """
import os, sys
answer = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
"""
_REGISTER: Final = """
import json
from qelectron_core.registry import registry
registry()
found = [name for name in sys.argv[1:] if name in sys.modules]
answer.write(json.dumps(found).encode())
"""
_RETURN: Final = f"""
import importlib, pickle
try:
    found = importlib.import_module(sys.argv[1])
    for name in sys.argv[2].split("."):
        found = getattr(found, name)
except (ImportError, AttributeError):
    sys.exit({_ABSENT})
value = pickle.load(sys.stdin.buffer)
fields = {{field.name: getattr(value, field.name) for field in found.__attrs_attrs__}}
answer.write(pickle.dumps((value, fields)))
"""


def imported_by_registering(plugin: str, modules: Iterable[str]) -> list[str]:
    """Return which of some modules a plugin's hooks import.

    The plugin's own module does not count: it holds the hooks.
    """
    others = ",".join(p.name for p in registry().plugins if p.name != plugin)
    wanted = sorted(set(modules) - _own_modules(plugin))
    answer = _run(_REGISTER, wanted, variables={DISABLE_VARIABLE: others})
    return list(json.loads(answer.decode()))


def sent_through(value: Any) -> tuple[Any, dict[str, Any]]:
    """Send a value to a fresh process and back, pickled both times.

    Returns:
        The value that comes back, and the fields that it has there.

    Raises:
        RuleBroken: If it does not survive that.
        SkipTest: If its class is not to be found there.
    """
    kind = type(value)
    if kind.__module__ == "__main__":
        raise unittest.SkipTest("its class is in __main__, which no process shares")
    with calling("pickle.dumps of it"):
        pickled = pickle.dumps(value)
    answer = _run(_RETURN, [kind.__module__, kind.__qualname__], pickled)
    with calling("pickle.loads of what comes back"):
        restored, fields = pickle.loads(answer)
    return restored, fields


def _own_modules(plugin: str) -> set[str]:
    from importlib_metadata import entry_points

    return {found.module for found in entry_points(group=PROJECT, name=plugin)}


def _run(
    code: str,
    arguments: Sequence[str],
    given: bytes = b"",
    variables: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    path = os.pathsep.join(filter(None, sys.path))
    try:
        done = subprocess.run(
            [sys.executable, "-c", _QUIET + code, *arguments],
            input=given,
            capture_output=True,
            check=False,
            timeout=PROCESS_S,
            env={**os.environ, "PYTHONPATH": path, **variables},
        )
    except subprocess.TimeoutExpired:
        expected = f"a fresh Python process to end within {PROCESS_S:g} s"
        raise RuleBroken(expected, "it did not") from None
    if done.returncode == _ABSENT:
        raise unittest.SkipTest("a fresh process does not find its class")
    if done.returncode:
        *_, last = ["no reason", *done.stderr.decode(errors="replace").splitlines()]
        raise RuleBroken("a fresh Python process to succeed", f"it ended with: {last}")
    return done.stdout

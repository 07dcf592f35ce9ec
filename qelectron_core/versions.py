"""What the journal says of the program that made a call."""

from __future__ import annotations

import functools
import os
import platform
import socket
from collections.abc import Mapping
from importlib.metadata import version

from qelectron_core.registry import registry

_PACKAGES = ("pennylane", "numpy")


def process() -> str:
    """Return this process as `"host:pid"`."""
    return f"{_host()}:{os.getpid()}"


@functools.cache
def _host() -> str:
    return socket.gethostname()


@functools.cache
def versions() -> Mapping[str, str]:
    """Return the versions of Python, of what results depend on, and of all plugins."""
    plugins = {plugin.distribution: plugin.version for plugin in registry().plugins}
    packages = {name: version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **packages, **plugins}

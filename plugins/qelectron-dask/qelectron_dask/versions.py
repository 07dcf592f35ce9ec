"""Whether workers have the versions that the caller has."""

from __future__ import annotations

import functools
import logging
import platform
import socket
import threading
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from qelectron_dask.errors import WorkerSetupError

_log: Final = logging.getLogger("qelectron")

#: Packages whose objects travel between the caller and workers.
_PACKAGES: Final = ("pennylane", "qelectron-core", "qelectron-dask")
#: Parts of a version that must agree; what follows mends mistakes only.
_PARTS: Final = 2

_checked: Final[set[frozenset[tuple[str, str]]]] = set()
_lock: Final = threading.Lock()


@functools.cache
def _own() -> Mapping[str, str]:
    packages = {name: _version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **packages}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def own_versions() -> dict[str, str]:
    """Return what this process has: versions by package, and Python's."""
    return dict(_own())


def require_same(versions: Mapping[str, str]) -> None:
    """Refuse work from a caller whose packages are not like those of this process.

    Called on a worker; each caller's versions are looked at once per process.

    Args:
        versions: What `own_versions` returned at the caller.

    Raises:
        WorkerSetupError: If a version differs by more than its last part; names the
            worker, the package and both versions.
    """
    asked = frozenset(versions.items())
    if asked in _checked:
        return
    for name, wanted in versions.items():
        _require(name, wanted, _own().get(name, "none"))
    with _lock:
        _checked.add(asked)


def _require(name: str, wanted: str, found: str) -> None:
    if wanted == found:
        return
    message = f"the worker {where()} has {name} {found}, and the caller has {wanted}"
    if _main_part(wanted) == _main_part(found):
        _log.warning("%s. That should do.", message)
        return
    remedy = (
        f"Start the workers with Python {_main_part(wanted)}."
        if name == "python"
        else f"Install it on the workers: pip install {name}=={wanted}"
    )
    raise WorkerSetupError(f"{message}. Both must be the same. {remedy}")


def _main_part(version: str) -> str:
    return ".".join(version.split(".")[:_PARTS])


def where() -> str:
    """Return what to call this worker in a message."""
    return repr(address()) if address() else f"on {socket.gethostname()!r}"


def address() -> str:
    """Return the address of this worker; nothing, outside of a task."""
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return ""

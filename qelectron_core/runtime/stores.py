"""Opens the store that a user asked for, or the usual one."""

from __future__ import annotations

import os
from typing import Any

from qelectron_core.config.layers import current
from qelectron_core.errors import (
    PluginLoadError,
    QElectronError,
    StoreError,
    install_hint,
)
from qelectron_core.memory_store import MemoryStore
from qelectron_core.registry import registry
from qelectron_core.saying import say_once
from qelectron_core.store import Store


def wanted(location: Any) -> Any:
    """Return where to keep things: as asked for, or as config says."""
    folder = os.curdir
    if location is None:
        found = current().setting("store")
        location = found.value
        if found.file is not None:
            folder = os.fspath(found.file.path.parent)
    if isinstance(location, Store) or location is None:
        return location
    text = os.fspath(location)
    if text in registry().registrations("store"):
        return text
    return os.path.abspath(os.path.join(folder, os.path.expanduser(text)))


def open_store(location: Any = None) -> Store:
    """Open a store.

    Args:
        location: A path, the name of a registered store, or a `Store`; `None` for
            what config says (`store`), else the installed store that outlives the
            process, else memory.

    Raises:
        StoreError: If it cannot be opened; says why and what to do.
    """
    location = wanted(location)
    if isinstance(location, Store):
        return location
    if location in registry().registrations("store"):
        return _made(registry().resolve("store", location))
    durable = _durable()
    if durable is not None:
        return _made(durable, location)
    if location is None:
        return MemoryStore()
    message = (
        f"nothing can be kept in {location!r}: no store that outlives the process is "
        f"installed.{install_hint('sqlite')}"
    )
    raise StoreError(message)


def open_or_memory(location: Any = None) -> Store:
    """Open a store; if that fails, say so once and keep everything in memory."""
    try:
        return open_store(location)
    except QElectronError as error:
        say_once(f"{error} The run goes on; until it ends, all is kept in memory.")
        return MemoryStore()


def _made(maker: Any, location: Any = None) -> Store:
    try:
        store: Store = maker() if location is None else maker(location)
    except QElectronError:
        raise
    except Exception as error:  # of a plugin
        where = "" if location is None else f" in {location!r}"
        message = f"no store could be opened{where}: {type(error).__name__}: {error}."
        raise StoreError(message) from error
    return store


def _durable() -> Any:
    """Return the first installed store that outlives the process, or `None`."""
    for registration in registry().registrations("store").values():
        try:
            maker = registration.resolve()
        except PluginLoadError as error:
            say_once(str(error))
            continue
        if getattr(maker, "durable", False):
            return maker
    return None

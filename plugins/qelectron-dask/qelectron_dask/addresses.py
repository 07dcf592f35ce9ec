"""Where a cluster is: addresses, and the objects that users gave for them."""

from __future__ import annotations

import functools
import os
import threading
from typing import Any
from weakref import WeakValueDictionary

from qelectron_core import ConfigError

#: What users gave as addresses, by the address, as long as they hold it: it may have
#: certificates, and be the only client that they want.
_given: WeakValueDictionary[str, Any] = WeakValueDictionary()
_lock = threading.Lock()


def to_address(value: Any) -> Any:
    """Return the address of what a user gave: a text, a client, or a cluster.

    Raises:
        ConfigError: If it has no address, or none yet.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return _checked(value.strip(), value)
    address = _address_of(value)
    with _lock:
        _given[address] = value
    return address


def _address_of(value: Any) -> str:
    scheduler = getattr(value, "scheduler", None)  # of a client
    for found in (
        getattr(value, "scheduler_address", None),
        getattr(scheduler, "address", None),
    ):
        if isinstance(found, str):
            return _checked(found, value)
    message = (
        f"address={value!r} is no Dask cluster. Expected the address of a scheduler "
        "such as 'tcp://host:8786', a distributed.Client, a cluster that has started, "
        "or None for one on this machine."
    )
    raise ConfigError(message)


def _checked(address: str, value: Any) -> str:
    scheme, separator, place = address.partition("://")
    if not separator:
        scheme, place = "tcp", address
    if not place or " " in place or (scheme in ("tcp", "tls") and ":" not in place):
        message = (
            f"address={value!r} is no address of a scheduler. Expected one such as "
            "'tcp://host:8786' or 'tls://host:8786'; a cluster must have started."
        )
        raise ConfigError(message)
    return f"{scheme}://{place}"


def given_for(address: str) -> Any:
    """Return the object that a user gave for an address, if it is still there."""
    with _lock:
        return _given.get(address)


def is_same(address: str, other: str) -> bool:
    """Tell whether two addresses, one of them with a name maybe, are one place."""
    return address == other or _resolved(address) == _resolved(other)


@functools.lru_cache(maxsize=64)
def _resolved(address: str) -> str:
    from distributed.comm.addressing import resolve_address

    try:
        return str(resolve_address(address))
    except Exception:  # a name that is unknown here
        return address


def _after_fork() -> None:
    """Forget the clients of the parent: their threads are not in the child."""
    global _given, _lock  # the lock may be held for ever
    _given, _lock = WeakValueDictionary(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

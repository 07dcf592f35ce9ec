"""Opens the store that a command is to look at."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from qelectron_core.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from qelectron_core.store import Store

#: Where qelectron keeps things, unless it is told otherwise.
VARIABLE: Final = "QELECTRON_STORE"

_IN_MEMORY: Final = (
    "the usual store is in memory: what a program keeps there ends with it, and cannot "
    f"be seen from here. Set {VARIABLE} to a path, or pass --store."
)

#: The option that every command takes.
store_option: Final[Callable[[Any], Any]] = click.option(
    "--store",
    "location",
    metavar="PATH",
    type=click.Path(dir_okay=False),
    help=f"File to use instead of the usual one, or of {VARIABLE}.",
)


#: The option of commands that need the executor of a job.
import_option: Final[Callable[[Any], Any]] = click.option(
    "--import",
    "modules",
    metavar="MODULE",
    multiple=True,
    help="Import a module of yours first, which has the class of the executor.",
)


def import_all(modules: Iterable[str]) -> None:
    """Import modules, from the folder one is in as well.

    Raises:
        ConfigError: If one cannot be imported.
    """
    sys.path.insert(0, os.getcwd())
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:
            message = f"--import {name}: {type(error).__name__}: {error}."
            raise ConfigError(message) from error


@contextmanager
def opened(location: str | None, *, may_be_new: bool = False) -> Iterator[Store]:
    """Open a store for as long as a command needs it.

    Args:
        location: What was given as `--store`; `None` for the usual one.
        may_be_new: Whether a file that does not exist may be made.

    Raises:
        StoreError: If it cannot be opened, or is none that other processes see.
    """
    from qelectron_core.runtime.stores import open_store

    if location is not None and not may_be_new:
        _check_exists(location)
    store = open_store(location)
    try:
        if not store.durable:
            raise StoreError(_IN_MEMORY)
        yield store
    finally:
        store.close()


def _check_exists(location: str) -> None:
    if not os.path.exists(os.path.expanduser(location)):
        message = (
            f"there is no file {location!r}. Expected one that qelectron keeps its "
            f"records in: what {VARIABLE}, or store= of a QElectron, says."
        )
        raise StoreError(message)

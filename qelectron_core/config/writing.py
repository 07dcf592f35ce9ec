"""Writes files whole or not at all, and one process at a time."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from qelectron_core.errors import ConfigError

_LOCK: Final = ".lock"
_turn: Final = threading.RLock()
#: Folders that this process holds, so that whoever holds one may ask for it again.
_held: Final[set[Path]] = set()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only one that reads and then writes private files of a folder.

    Raises:
        ConfigError: If there can be no such folder.
    """
    with _turn:
        if folder in _held:
            yield
            return
        with _locked(folder):
            _held.add(folder)
            try:
                yield
            finally:
                _held.discard(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    _make(folder)
    try:
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written to: {error}.") from error
    try:
        with suppress(OSError):  # some file systems have no locks
            _lock(handle)
        yield
    finally:
        os.close(handle)  # which unlocks it; the file stays, as others may wait for it


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_LOCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error}.") from error


def write_private(path: Path, text: str) -> None:
    """Write a file that only its user can read, in a folder of such a kind.

    Raises:
        ConfigError: If it cannot be written.
    """
    _make(path.parent)
    replace(path, text, mode=0o600)


def replace(path: Path, text: str, *, mode: int) -> None:
    """Put a text in the place of a file's, so that others see the old or the new one.

    Raises:
        ConfigError: If it cannot be written.
    """
    temporary = None
    try:
        target = path.resolve()  # a link stays one
        _require_replaceable(target)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{path.name}.")
        with open(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
        temporary = None
    except (OSError, UnicodeEncodeError) as error:
        raise ConfigError(f"{path} cannot be written: {error}.") from error
    finally:  # also if the user has had enough: it may hold a token
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)


def _require_replaceable(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise OSError("it is a folder or a device")

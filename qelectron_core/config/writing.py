"""Writes files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from qelectron_core.errors import ConfigError


def write_private(path: Path, text: str) -> None:
    """Write a file that only its user can read, in a folder of such a kind.

    Raises:
        ConfigError: If it cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path.parent} cannot be made: {error}.") from error
    replace(path, text, mode=0o600)


def replace(path: Path, text: str, *, mode: int) -> None:
    """Put a text in the place of a file's, so that others see the old or the new one.

    Raises:
        ConfigError: If it cannot be written.
    """
    target = path.resolve()  # a link stays one
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{path.name}.")
        with open(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
        raise ConfigError(f"{path} cannot be written: {error}.") from error

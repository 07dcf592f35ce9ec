"""Which files of projects a user has agreed to.

Such a file may have come with a folder that somebody else made. It could send circuits
and tokens elsewhere, or spend money. So it counts only as it was when its user agreed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from qelectron_core.config.files import File, user_path
from qelectron_core.config.writing import alone, write_private
from qelectron_core.errors import ConfigError

_NAME: Final = "trusted.json"


def is_trusted(file: File) -> bool:
    """Tell whether the user has agreed to a file as it is now."""
    return not file.table or _known().get(_key(file)) == _digest(file)


def trust(file: File) -> None:
    """Keep that the user agrees to a file as it is now.

    Raises:
        ConfigError: If this cannot be kept.
    """
    with alone(_path().parent):
        _keep({**_known(), _key(file): _digest(file)})


def distrust(file: File) -> None:
    """Forget that the user agreed to a file.

    Raises:
        ConfigError: If this cannot be kept.
    """
    with alone(_path().parent):
        _keep({key: one for key, one in _known().items() if key != _key(file)})


def _keep(known: dict[str, Any]) -> None:
    write_private(_path(), json.dumps(known, indent=2, sort_keys=True) + "\n")


def _path() -> Path:
    return user_path().with_name(_NAME)


def _known() -> dict[str, Any]:
    try:
        found = json.loads(_path().read_text(encoding="utf-8"))
    except OSError:
        return {}
    except ValueError as error:
        message = f"{_path()} is damaged: {error}. Remove it, and trust files anew."
        raise ConfigError(message) from error
    return found if isinstance(found, dict) else {}


def _key(file: File) -> str:
    # A link is a file of its own: its paths are read from the folder that it is in.
    return str(file.path.absolute())


def _digest(file: File) -> str:
    """Return what changes with the settings of a file, but not with its comments."""
    text = json.dumps(file.table, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()

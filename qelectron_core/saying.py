"""Says to users what they need to hear once."""

from __future__ import annotations

import functools
import logging
from typing import Final

_log: Final = logging.getLogger("qelectron")


@functools.lru_cache(maxsize=256)
def say_once(message: str) -> None:
    """Log a warning, unless the same one was logged lately."""
    _log.warning("%s", message)

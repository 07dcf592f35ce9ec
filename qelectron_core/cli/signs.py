"""Signs that not every terminal has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def can_show(console: Console, sign: str) -> bool:
    """Tell whether a terminal has a sign, such as "█" or "✓"."""
    try:
        sign.encode(console.encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True

"""Signs that not every terminal has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

#: What fills a bar, and what stands for it on terminals without the sign.
_FULL: Final = ("█", "#")
_EMPTY: Final = ("░", ".")


def can_show(console: Console, sign: str) -> bool:
    """Tell whether a terminal has a sign, such as "█" or "✓"."""
    try:
        sign.encode(console.encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def full(console: Console) -> str:
    """Return the sign that fills a bar."""
    return _FULL[0] if can_show(console, _FULL[0]) else _FULL[1]


def empty(console: Console) -> str:
    """Return the sign of the part of a bar that is not filled."""
    return _EMPTY[0] if can_show(console, _EMPTY[0]) else _EMPTY[1]


def bar(console: Console, share: float, width: int = 20) -> str:
    """Return a bar that is filled to a share between 0 and 1."""
    filled = round(min(1.0, max(0.0, share)) * width)
    return full(console) * filled + empty(console) * (width - filled)

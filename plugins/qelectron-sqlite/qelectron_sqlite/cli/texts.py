"""Numbers, states and foreign text, as tables show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.text import Text


def examples(*lines: str) -> str:
    """Return the end of a command's help: how it may be used."""
    title = "Example" if len(lines) == 1 else "Examples"
    return "\n".join(["\b", f"{title}:", *(f"  {line}" for line in lines)])


#: Colours of what may have become of a call, a circuit or a process.
STYLES: Final = {
    "completed": "green",
    "cached": "cyan",
    "running": "yellow",
    "started": "yellow",
    "submitted": "yellow",
    "retried": "magenta",
    "failed": "bold red",
    "lost": "bold red",
    "gone": "bold red",
    "alive": "green",
    "cancelled": "magenta",
}
#: What stands where there is nothing to say.
NOTHING: Final = "–"
_CENT_USD: Final = 0.01


def safe(text: str) -> str:
    """Return text of a file or a vendor without what would steer a terminal.

    Example:
        >>> len(safe(chr(27) + "[31m"))  # escaped: four signs for one
        8
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def short(text: str, most: int = 36) -> str:
    """Return text of one line, cut if it is long."""
    clean = safe(text)
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"


def state_text(state: str) -> Text:
    """Return a state in its colour."""
    from rich.text import Text

    return Text(safe(state), STYLES.get(state, ""))


def dollars(cost_usd: float) -> str:
    """Return a price.

    Example:
        >>> dollars(12.5), dollars(0.00042)
        ('$12.50', '$0.00042')
    """
    fine = 0 < abs(cost_usd) < _CENT_USD
    return f"${cost_usd:.2g}" if fine else f"${cost_usd:,.2f}"


def size(n_bytes: float) -> str:
    """Return a size in the largest unit that it has one of.

    Example:
        >>> size(512), size(1536), size(3 * 1024**2)
        ('512 B', '1.5 KiB', '3.0 MiB')
    """
    unit = "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if abs(n_bytes) < 1024:  # noqa: PLR2004  # of each in the next
            break
        n_bytes, unit = n_bytes / 1024, larger
    return f"{n_bytes:.0f} B" if unit == "B" else f"{n_bytes:.1f} {unit}"


def count(number: int, thing: str) -> str:
    """Return a number of things.

    Example:
        >>> count(1, "circuit"), count(1200, "circuit")
        ('1 circuit', '1,200 circuits')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"

"""Tables for notebooks; whatever names and errors hold is inert in them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """Return a table as HTML.

    Args:
        head: Its headings; none for a table without any.
        rows: Its cells, row by row.
        caption: What stands above it, if anything.
    """
    above = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    first = row("th", head) if head else ""
    return f"<table>{above}{first}{''.join(row('td', one) for one in rows)}</table>"


def facts(about: Mapping[str, Any], caption: str = "") -> str:
    """Return a table of names and what they stand for, shown as Python does."""
    return table((), ((name, repr(value)) for name, value in about.items()), caption)


def row(tag: str, cells: Iterable[str]) -> str:
    """Return a row of a table, whose cells are `"td"` or `"th"`."""
    inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inner}</tr>"

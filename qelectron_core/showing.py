"""Tables for notebooks, in which names and errors are inert; and progress bars."""

from __future__ import annotations

import html
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.progress import Progress

#: Seconds after which a bar in a notebook is shown anew.
_ANEW_S: Final = 0.2


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


@contextmanager
def live(bar: Progress) -> Iterator[None]:
    """Show a progress bar while a block runs.

    In a notebook it is one output, which changes. Rich's own way there asks for
    ipywidgets, and without them shows nothing.
    """
    if not bar.console.is_jupyter:
        with bar:
            yield
        return
    from IPython.display import display

    output, ended = display(bar, display_id=True), threading.Event()

    def go_on() -> None:
        while not ended.wait(_ANEW_S):
            output.update(bar)

    context = copy_context()  # by which a notebook knows the cell
    thread = threading.Thread(
        target=context.run, args=(go_on,), name="qelectron-progress", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        output.update(bar)

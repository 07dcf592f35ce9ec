"""Asks before something is done that cannot be undone."""

from __future__ import annotations

from nicegui import ui


async def agreed(question: str, *, yes: str, no: str = "Leave it as it is") -> bool:
    """Ask, and tell whether the answer was yes.

    Args:
        question: What is asked; it says what would be lost.
        yes: What the button says that does it.
        no: What the button says that does not, which has the focus.
    """
    with ui.dialog() as dialog, ui.card():
        ui.label(question).classes("wrap")
        with ui.row().classes("full-width justify-end"):
            refuse = ui.button(no, color=None, on_click=lambda: dialog.submit(False))
            refuse.props("flat no-caps autofocus")
            agree = ui.button(yes, on_click=lambda: dialog.submit(True))
            agree.props("no-caps color=negative")
    drop_once_hidden(dialog)
    return await dialog is True


def drop_once_hidden(dialog: ui.dialog) -> None:
    """Delete a dialog when it has gone: before, it has to give back the focus."""
    dialog.on("hide", dialog.delete, [])

"""The frame of every page: where one is, where one can go, and light or dark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from nicegui import events, ui

from qelectron_dashboard.look import css
from qelectron_dashboard.site import Site

#: The pages that every page leads to: address, title, key that opens it.
PLACES: Final = (
    ("/", "Calls", "1"),
    ("/executors", "Executors", "2"),
    ("/jobs", "Jobs", "3"),
    ("/dispatches", "Dispatches", "4"),
    ("/cache", "Cache", "5"),
    ("/settings", "Settings", "6"),
)
_KEYS: Final = {key: address for address, _, key in PLACES}
#: What the button says that changes between light and dark, by what is on.
_THEMES: Final = {None: "contrast", True: "dark_mode", False: "light_mode"}
_NEXT: Final = {None: True, True: False, False: None}
_NAMES: Final = {None: "as the browser likes it", True: "dark", False: "light"}


@contextmanager
def page(site: Site, title: str, at: str) -> Iterator[None]:
    """Make the frame of a page; what is made in the block is its content.

    Args:
        site: What all pages share.
        title: What the page is called, in the browser's list of tabs, too.
        at: The address of the place that the page belongs to.
    """
    ui.page_title(f"{title} · qelectron")
    ui.add_css(css.RULES)
    ui.colors(primary=css.BLUE, positive=css.COLOURS["completed"], negative="#D55E00")
    ui.keyboard(on_key=_follow_key)
    dark = ui.dark_mode(site.dark)
    content = ui.element("main").classes("content")
    ui.skip_link("Skip to the content", target=content)
    with ui.header().classes("row items-center no-wrap q-px-md q-py-xs"):
        ui.html(css.ICON, sanitize=False).style("width: 1.6rem").props(
            "aria-hidden=true"
        )
        _navigation(at)
        ui.space()
        ui.label(site.location).classes("where quiet ellipsis")
        _theme_button(site, dark)
    with content:
        yield


def _navigation(at: str) -> None:
    with ui.element("nav").classes("nav").props('aria-label="Pages"'):
        for address, title, key in PLACES:
            link = ui.link(title, address).props(f'title="{title} ({key})"')
            if address == at:
                link.props('aria-current="page"')


def _theme_button(site: Site, dark: ui.dark_mode) -> None:
    def change() -> None:
        site.dark = _NEXT[site.dark]
        dark.set_value(site.dark)
        button.props(f'icon={_THEMES[site.dark]} aria-label="{_named(site)}"')

    button = ui.button(icon=_THEMES[site.dark], on_click=change)
    button.props(f'flat round dense color=primary aria-label="{_named(site)}"')


def _named(site: Site) -> str:
    return f"Colours: {_NAMES[site.dark]}. Change"


def _follow_key(event: events.KeyEventArguments) -> None:
    held = event.modifiers
    if event.action.keydown and not (held.ctrl or held.alt or held.meta):
        address = _KEYS.get(str(event.key.name))
        if address is not None:
            ui.navigate.to(address)

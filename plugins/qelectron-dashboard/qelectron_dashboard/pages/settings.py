"""The page of settings: what is set, where, and how to change it; and the tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nicegui import run, ui

from qelectron_core.errors import QElectronError
from qelectron_dashboard.look import frame, parts
from qelectron_dashboard.look.live import PATIENCE_S, watch
from qelectron_dashboard.pages.tokens import Tokens
from qelectron_dashboard.reading import settings
from qelectron_dashboard.reading.settings import CORE, Group, Option, Overview, Project
from qelectron_dashboard.site import Site
from qelectron_sqlite.cli.texts import NOTHING, count, safe, short

_RULES: Final = """
.setting { display: grid; align-items: start; gap: .1rem 1rem; padding: .45rem 0;
  grid-template-columns: minmax(0, 5fr) minmax(0, 3fr) minmax(0, 3fr) 2.2rem;
  border-top: 1px solid var(--line); }
.setting .problem { grid-column: 1 / -1; color: #D55E00; }
.setting .key { font-weight: 600; overflow-wrap: anywhere; }
.setting .help { font-size: .85rem; line-height: 1.35; }
.setting .mono { white-space: pre-wrap; overflow-wrap: anywhere; }
.setting.default > .mono { color: var(--quiet); }
.setting.default > .place { visibility: hidden; }
.settings .q-item { padding: .5rem 0; min-height: 0; }
.settings .q-expansion-item__content { padding: 0 0 .6rem; }
.place { font-size: .85rem; overflow-wrap: anywhere; }
@media (max-width: 600px) {
  .setting { grid-template-columns: minmax(0, 1fr) 2.2rem; }
  .setting > * { grid-column: 1; }
  .setting > button { grid-column: 2; grid-row: 1; }
  .setting.default > .place { display: none; }
}
"""
_LONGEST: Final = 300
_NAMES: Final[dict[settings.Kind, str]] = {
    "user": "your file",
    "project": "the project's file",
}
_STATES: Final = {
    "absent": "is not there; setting something for the project makes it",
    "counts": "counts",
    "untrusted": "does not count yet: it may send circuits elsewhere, or spend money",
    "broken": "does not count",
}


def register(site: Site) -> None:
    """Make the page known."""

    @ui.page("/settings", response_timeout=PATIENCE_S)
    async def show() -> None:
        with frame.page(site, "Settings", "/settings"):
            ui.add_css(_RULES)
            page, tokens = _Settings(), Tokens()
        # Executors are imported to tell their options, which takes its time.
        await ui.context.client.connected()
        await page.begin()
        await tokens.begin()


class _Settings:
    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        parts.title("Settings")
        with ui.element("section").classes("panel"):
            self._files = _Files()
        with ui.element("section").classes("panel settings") as self._all:
            with ui.row().classes("full-width items-center"):
                search = ui.input(placeholder="Search settings", on_change=self._filter)
                search.props(
                    'outlined dense clearable debounce=200 aria-label="Search settings"'
                )
                only = ui.checkbox("only what is set", on_change=self._filter)
            self._search, self._only = search, only
            self._reading = ui.label("Reading the options of executors…")
            self._reading.classes("quiet q-mt-md")
        self._dialog = _Dialog(self._changed)

    async def begin(self) -> None:
        """Show the settings, and go on showing them."""
        with self._all:
            self._watching = await watch(settings.overview, self._show)

    def _show(self, found: Overview) -> None:
        self._reading.text = found.problem
        self._reading.visible = bool(found.problem)
        self._files.show(found)
        self._dialog.files(found)
        names = [group.name for group in found.groups]
        if names != [*self._groups]:
            self._make(names)
        for group in found.groups:
            self._groups[group.name].show(group)
        self._filter()

    def _make(self, names: list[str]) -> None:
        for group in self._groups.values():
            group.element.delete()
        with self._all:
            self._groups = {name: _Group(name, self._dialog.open) for name in names}

    def _filter(self) -> None:
        for group in self._groups.values():
            group.filter(self._search.value or "", only_set=bool(self._only.value))

    async def _changed(self) -> None:
        await self._watching.now()


class _Files:
    """Which files there are, and which of them count."""

    def __init__(self) -> None:
        self._project: Project | None = None
        with ui.element("div").classes("facts"):
            ui.label("your file")
            self._user = ui.label().classes("mono wrap")
            ui.label("file of the project")
            with ui.element("div"):
                self._path = ui.label().classes("mono wrap")
                self._state = ui.label().classes("quiet")
            ui.label("started in")
            with ui.element("div"):
                self._folder = ui.label().classes("mono wrap")
                ui.label(
                    "The project is that of this folder. Programs that run elsewhere "
                    "have another one, and their own environment."
                ).classes("quiet")
        self._more = ui.element("div")

    def show(self, found: Overview) -> None:
        """Show them."""
        self._user.text = safe(found.user_path)
        self._folder.text = safe(found.folder)
        project = found.project
        self._path.text = safe(project.path)
        self._state.text = _STATES[project.state]
        if project != self._project:
            self._project = project
            self._more.clear()
            with self._more:
                self._tell(project, found.folder)

    def _tell(self, project: Project, folder: str) -> None:
        if project.problem:
            ui.label(safe(project.problem)).classes("wrap q-mt-md").props("role=alert")
        if project.state != "untrusted":
            return
        with ui.element("div").classes("q-mt-md").props("role=status"):
            ui.label("The file of the project is not agreed to. It says:")
            ui.label("\n".join(project.says)).classes("mono wrap q-my-sm")
            ui.label(f"If you agree to all of it, type in {safe(folder)}:")
            ui.label("qelectron config trust").classes("mono q-mt-sm")


class _Group:
    """The settings of the core, or the options of an executor."""

    def __init__(self, name: str, change: Callable[[Option], None]) -> None:
        self._change = change
        self._name = name
        self._rows: dict[str, _Row] = {}
        self._secrets: tuple[str, ...] | None = None
        self._wanted = ("", False)
        self.element = ui.expansion(safe(name), value=name == CORE)
        self.element.classes("full-width").props("header-class=subtitle dense-toggle")
        with self.element:
            self._problem = ui.label().classes("quiet wrap")
            self._list = ui.element("div").classes("full-width")
            with ui.row().classes("items-center q-mt-sm quiet") as self._hidden:
                self._told = ui.label()
                ui.link("See tokens", "#tokens")

    def show(self, group: Group) -> None:
        """Show them."""
        keys = [option.key for option in group.options]
        if keys != [*self._rows]:
            self._list.clear()
            with self._list:
                self._rows = {one.key: _Row(self._change) for one in group.options}
        for option in group.options:
            self._rows[option.key].show(option)
        self._problem.text = safe(group.problem)
        self._problem.visible = bool(group.problem)
        self._hidden.visible = bool(group.secrets)
        names = safe(", ".join(group.secrets))
        self._told.text = f"{names}: a secret, which no config holds or shows."
        if self.element.props.get("caption") != (caption := _counted(group.options)):
            self.element.props["caption"] = caption

    def filter(self, text: str, *, only_set: bool) -> None:
        """Show those only that somebody searches for."""
        found = 0
        for row in self._rows.values():
            row.filter(text, only_set=only_set)
            found += row.element.visible
        is_wanted = bool(text or only_set)
        self.element.visible = bool(found) or not is_wanted
        if (text, only_set) != self._wanted:  # else it stays as somebody left it
            self._wanted = (text, only_set)
            self.element.value = is_wanted or self._name == CORE


def _counted(options: tuple[Option, ...]) -> str:
    """Return how many settings there are, are set, and are not right."""
    n_set = sum(option.source != "default" for option in options)
    n_wrong = sum(bool(option.problem) for option in options)
    parts = [count(len(options), "setting") if options else "no settings of its own"]
    parts += [f"{n_set:,} set"] if n_set else []
    parts += [count(n_wrong, "problem")] if n_wrong else []
    return ", ".join(parts)


class _Row:
    def __init__(self, change: Callable[[Option], None]) -> None:
        self._option: Option | None = None
        with ui.element("div").classes("setting") as self.element:
            with ui.element("div"):
                self._name = ui.label().classes("key")
                self._meaning = ui.label().classes("help quiet")
            self._value = ui.label().classes("mono")
            self._place = ui.label().classes("place quiet")
            self._button = ui.button(
                icon="edit", on_click=lambda: self._option and change(self._option)
            ).props("flat round dense size=sm")
            self._problem = ui.label().classes("problem wrap").props("role=alert")

    def show(self, option: Option) -> None:
        """Show it, if it is another one than before."""
        if option == self._option:
            return
        self._option = option
        self._name.text = safe(option.name)
        self._meaning.text = safe(option.meaning)
        self._value.text = short(option.value, _LONGEST) or NOTHING
        self._place.text = _from(option)
        self._problem.text = safe(option.problem)
        self._problem.visible = bool(option.problem)
        is_default = option.source == "default"
        self.element.classes(**{"add" if is_default else "remove": "default"})
        self._button.props["aria-label"] = f"Change {safe(option.key)}"
        self._button.visible = not option.is_fixed

    def filter(self, text: str, *, only_set: bool) -> None:
        """Show it if somebody searches for it."""
        if (option := self._option) is not None:
            is_set = not only_set or option.source != "default"
            self.element.visible = is_set and option.is_like(text)


def _from(option: Option) -> str:
    if option.is_fixed:
        return f"{safe(option.place)} of the environment; cannot be changed here"
    return safe(option.place)


class _Dialog:
    """Changes one setting."""

    def __init__(self, changed: Callable[[], Any]) -> None:
        self._key = ""
        self._tell_changed = changed
        with ui.dialog() as self._dialog, ui.card().classes("full-width"):
            self._title = ui.label().classes("subtitle wrap")
            self._meaning = ui.label().classes("quiet wrap")
            self._default = ui.label().classes("quiet wrap")
            with ui.column().classes("full-width") as self._setting:
                self._field = ui.input("Value").classes("full-width")
                self._field.props("outlined dense autofocus hide-bottom-space")
                self._field.on("keydown.enter", self._set)
                self._error = ui.label().classes("wrap text-negative")
                self._error.props("role=alert")
                self._where: Any = ui.radio(_NAMES, value="user")
                self._where.props('aria-label="In which file"')
            with ui.row().classes("full-width justify-end"):
                self._outs = {kind: self._out_button(kind) for kind in _NAMES}
                close = ui.button("Close", on_click=self._dialog.close)
                close.props("flat no-caps")
                self._do = ui.button("Set", on_click=self._set).props("no-caps")

    def _out_button(self, kind: settings.Kind) -> ui.button:
        button = ui.button(
            f"Unset in {_NAMES[kind]}", on_click=lambda: self._take_out(kind)
        )
        return button.props("outline no-caps")

    def files(self, found: Overview) -> None:
        """Tell which files could be changed."""
        paths = {"user": found.user_path, "project": found.project.path}
        options = {kind: f"in {_NAMES[kind]}: {safe(paths[kind])}" for kind in _NAMES}
        if self._where.options != options:
            self._where.set_options(options)

    def open(self, option: Option) -> None:
        """Ask for a new value of a setting."""
        self._key = option.key
        is_default = option.source == "default"
        self._title.text = safe(option.key)
        self._meaning.text = safe(option.meaning)
        self._meaning.visible = bool(option.meaning)
        self._default.text = f"Default: {short(option.default, _LONGEST)}"
        self._default.visible = self._setting.visible = option.is_known
        self._do.visible = option.is_known
        self._field.value = "" if is_default else option.value
        self._field.props["placeholder"] = short(option.default, _LONGEST)
        self._where.value = "project" if option.source == "project" else "user"
        self._say("")
        for kind, button in self._outs.items():
            button.visible = kind in option.set_in
        self._dialog.open()

    async def _set(self) -> None:
        key, text = self._key, self._field.value or ""
        await self._do_it(lambda: settings.put(self._where.value, key, text))

    async def _take_out(self, kind: settings.Kind) -> None:
        key = self._key
        await self._do_it(lambda: settings.take_out(kind, key))

    async def _do_it(self, change: Callable[[], str]) -> None:
        try:
            said: Any = await run.io_bound(change)
        except QElectronError as error:
            if not self._dialog.is_deleted:  # with the page
                self._say(str(error))
            return
        if self._dialog.is_deleted:
            return
        self._dialog.close()
        ui.notify(safe(said), type="positive")
        await self._tell_changed()

    def _say(self, problem: str) -> None:
        self._error.text = safe(problem)
        self._error.visible = bool(problem)
        self._field.props(**{"add" if problem else "remove": "error"})

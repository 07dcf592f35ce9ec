"""The tokens of vendors: kept, checked, forgotten, and never shown.

A token comes to the server once, in the event that hands it over. It is never the value
of an element: the framework keeps such values, and sends them back to the browser.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nicegui import events, ui

from qelectron_core.errors import QElectronError
from qelectron_core.redaction import redacted
from qelectron_core.secret import Secret
from qelectron_dashboard.look import asking, parts
from qelectron_dashboard.look.apart import apart
from qelectron_dashboard.look.live import watch
from qelectron_dashboard.reading import tokens, whole
from qelectron_dashboard.reading.tokens import Token
from qelectron_sqlite.cli.texts import safe, short

_RULES: Final = """
.token { display: flex; flex-wrap: wrap; align-items: center; gap: .2rem 1rem;
  padding: .45rem 0; border-top: 1px solid var(--line); }
.token > .what { flex: 1 1 14rem; overflow-wrap: anywhere; }
.token > .said { flex-basis: 100%; }
.token-form { display: flex; flex-wrap: wrap; align-items: end; gap: .6rem;
  padding: .6rem 0; }
.token-form label { display: flex; flex-direction: column; gap: .2rem;
  flex: 1 1 12rem; min-width: 0; }
.token-form input { font: inherit; color: inherit; background: transparent;
  border: 1px solid var(--quiet); border-radius: 4px; padding: .45rem .6rem;
  width: 100%; min-width: 0; }
.token-form input:focus { outline: 2px solid #0072B2; border-color: transparent; }
"""
#: Hands over what is in a form, and empties it at once.
_HAND_OVER: Final = """(event) => {
  event.preventDefault();
  const [token, profile] = event.target.querySelectorAll("input");
  const given = token.value;
  token.value = "";
  emit(given, profile.value);
}"""
_LONGEST: Final = 600


class Tokens:
    """The part of the page that is about tokens."""

    def __init__(self) -> None:
        self._rows: dict[Token, _Row] = {}
        self._vendors: dict[str, str] | None = None
        ui.add_css(_RULES)
        with ui.element("section").classes("panel").props("id=tokens") as self._all:
            parts.heading("Tokens")
            ui.label(
                "They are kept in the keyring of the system, or else in a file that "
                "only you can read, and are never shown."
            ).classes("quiet q-mb-sm")
            self._none = ui.label("No token is there yet.").classes("quiet")
            self._list = ui.element("div")
            self._forms = ui.element("div").classes("q-mt-sm")
        self._none.visible = False

    async def begin(self) -> None:
        """Show which tokens there are, and go on showing it."""
        with self._all:
            self._watching = await watch(_read, self._show)

    def _show(self, read: tuple[list[Token], dict[str, str]]) -> None:
        found, vendors = read
        self._none.visible = not found
        for gone in self._rows.keys() - {*found}:
            self._rows.pop(gone).element.delete()
        with self._list:
            for one in found:
                if one not in self._rows:
                    self._rows[one] = _Row(one, self._done)
        if vendors != self._vendors:
            self._vendors = vendors
            self._forms.clear()
            with self._forms:
                self._make_forms(vendors)

    def _make_forms(self, vendors: dict[str, str]) -> None:
        for name, page in vendors.items():
            _Form(name, page, self._done)
        if not vendors:
            ui.label("No plugin that is installed here has a vendor with tokens.")

    async def _done(self, said: str) -> None:
        """Tell what came of it, where it stays: a row may be gone by now."""
        if self._all.is_deleted:
            return
        with self._all:
            ui.notify(safe(said), type="positive")
        await self._watching.now()


class _Row:
    """One token that there is."""

    def __init__(self, token: Token, done: Callable[[str], Any]) -> None:
        self._token = token
        self._done = done
        profile = f", profile {token.profile}" if token.profile else ""
        with ui.element("div").classes("token") as self.element:
            with ui.element("div").classes("what"):
                ui.label(f"{safe(token.name)}{safe(profile)}")
                ui.label(safe(_place(token))).classes("quiet")
            with ui.row().classes("items-center"):
                self._check = self._button("Check", self._ask, "outline")
                self._check.visible = token.can_be_checked
                remove = self._button("Remove", self._remove, "outline color=negative")
                remove.visible = token.profile is not None
            self._said = ui.label().classes("said wrap").props("role=status")
        self._said.visible = False

    def _button(self, text: str, act: Callable[[], Any], looks: str) -> ui.button:
        button = ui.button(text, on_click=act).props(f"no-caps dense {looks}")
        profile = f" ({self._token.profile})" if self._token.profile else ""
        label = f"{text} the token {safe(self._token.name)}{safe(profile)}"
        button.props["aria-label"] = label
        return button.classes("q-px-sm")

    async def _ask(self) -> None:
        self._check.disable()
        self._say("Asking the vendor…")
        try:
            said = f"✓ {await apart(tokens.check, self._token)}"
        except QElectronError as error:
            said = f"✗ {error}"
        if not self.element.is_deleted:
            self._say(said)
            self._check.enable()

    async def _remove(self) -> None:
        named = f"token of {safe(self._token.name)}, profile {self._token.profile}"
        question = f"Forget the {short(named)}? Where else it is kept, it stays valid."
        if not await asking.agreed(question, yes="Forget it"):
            return
        try:
            said = await apart(tokens.forget, self._token)
        except QElectronError as error:
            self._say(str(error))
            return
        await self._done(said)

    def _say(self, said: str) -> None:
        self._said.text = short(said, _LONGEST)
        self._said.visible = True


def _place(token: Token) -> str:
    if token.profile is not None:
        place = "the keyring of the system" if token.place == "keyring" else "a file"
        return f"kept in {place}"
    return f"from {token.place}; cannot be changed here"


class _Form:
    """Takes a token of a vendor."""

    def __init__(self, name: str, page: str, done: Callable[[str], Any]) -> None:
        self._name = name
        self._done = done
        form = ui.element("form").classes("token-form").props("autocomplete=off")
        form.on("submit", self._keep, js_handler=_HAND_OVER)
        with form:
            with ui.element("label"):
                ui.label(f"Token of {safe(name)}")
                ui.element("input").props(
                    "type=password autocomplete=off spellcheck=false required"
                )
            with ui.element("label"):
                ui.label("Profile, if there are several")
                ui.element("input").props("type=text autocomplete=off")
            ui.button("Keep it").props("type=submit no-caps")
        if page.startswith("https://"):
            with ui.row().classes("quiet q-gutter-x-xs"):
                ui.label(f"You get one from {safe(name)} at")
                ui.link(safe(page), page, new_tab=True)
        self._said = ui.label().classes("wrap text-negative").props("role=alert")
        self._said.visible = False

    async def _keep(self, event: events.GenericEventArguments) -> None:
        given, profile = (str(one).strip() for one in event.args)
        event.args = None
        token = Secret(given)  # of which nothing is told by errors and logs
        del given
        try:
            said = await apart(tokens.keep, self._name, profile, token)
        except QElectronError as error:
            self._say(redacted(str(error)))
            return
        self._say("")
        await self._done(said)

    def _say(self, problem: str) -> None:
        self._said.text = short(problem, _LONGEST)
        self._said.visible = bool(problem)


def _read() -> tuple[list[Token], dict[str, str]]:
    whole.pennylane()
    return tokens.tokens(), tokens.vendors()

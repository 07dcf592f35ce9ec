"""No secret that the process knows is in an error, a log or the journal."""

import json
import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError

import attrs
import numpy as np
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core.redaction import redact, redacted

TOKEN = "sesame-42-open"


class VendorError(Exception):
    """What the SDK of a vendor raises."""


@attrs.frozen
class Careless(ct.Executor):
    """Raises an error that quotes its token, led to by another one that does."""

    token: ct.Secret = attrs.field(factory=lambda: ct.Secret(TOKEN), repr=False)

    def run(self, job: ct.Job) -> Sequence[Any]:
        text = self.token.reveal()
        failure = VendorError(f"401 for {text}", 401)
        failure.add_note(f"sent with {text}")
        raise failure from ConnectionError({"no": "text"}, f"header: Bearer {text}")


def every_text(error: BaseException | None) -> str:
    if error is None:
        return ""
    notes = getattr(error, "__notes__", [])
    return f"{error!r} {notes} {every_text(error.__cause__)}"


def test_an_error_of_an_sdk_that_quotes_a_token_shows_none(tmp_path: Path) -> None:
    pytest.importorskip("qelectron_sqlite")
    store = tmp_path / "store.sqlite3"
    events: list[ct.Event] = []

    @ct.qelectron(executors=Careless(), store=store)
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    with ct.observe(events.append), pytest.raises(VendorError) as told:
        circuit(0.1)
    shown = every_text(told.value)
    assert "<secret>" in shown
    assert told.value.args[1] == 401
    assert TOKEN not in shown
    ended = [event.execution for event in events if event.execution is not None]
    assert ended
    assert all(TOKEN not in repr(one) for one in ended)
    ct.shutdown()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"VendorError" in written
    assert TOKEN.encode() not in written


def test_what_the_core_logs_shows_none(caplog: pytest.LogCaptureFixture) -> None:
    token = ct.Secret(TOKEN)
    log = logging.getLogger("qelectron")
    failure = VendorError(f"401 for {TOKEN}")
    log.error("asked with %s", TOKEN, exc_info=failure)
    assert "asked with <secret>" in caplog.text
    assert "VendorError: 401 for <secret>" in caplog.text
    assert TOKEN not in caplog.text
    assert token.reveal() == TOKEN


@pytest.mark.parametrize("args", [("%d of", TOKEN), ("%s %s", TOKEN), (TOKEN, TOKEN)])
def test_a_line_that_does_not_fit_its_arguments_shows_none_and_stops_nobody(
    args: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    token = ct.Secret(TOKEN)
    logging.getLogger("qelectron").warning(*args)
    assert "<secret>" in caplog.text
    assert TOKEN not in caplog.text
    assert token.is_known


class WordedError(Exception):
    """Keeps its text in attributes, one of them in a slot."""

    __slots__ = ("reason",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.said, self.reason = {"headers": [text]}, text

    def __str__(self) -> str:
        return f"{self.said} {self.reason}"


class Answer(NamedTuple):
    """What a service says."""

    code: int
    said: str


@dataclass
class Held:
    """Is no error, and no list."""

    said: str


def _undecodable() -> Exception:
    return UnicodeEncodeError("ascii", f"\xe9{TOKEN}", 0, 1, "no")


ERRORS: dict[str, BaseException] = {
    "number": OSError(5, f"refused {TOKEN}"),
    "paths": FileNotFoundError(2, "no file", f"/x/{TOKEN}", None, f"/y/{TOKEN}"),
    "http": HTTPError(f"https://x/?key={TOKEN}", 401, f"no {TOKEN}", Message(), None),
    "reason": URLError(OSError(5, TOKEN)),
    "group": ExceptionGroup("some", [ValueError(TOKEN), OSError(5, TOKEN)]),
    "nested": ValueError({"headers": [("Authorization", f"Bearer {TOKEN}")]}),
    "bytes": ValueError(TOKEN.encode(), [TOKEN.encode()]),
    "attributes": WordedError(TOKEN),
    "held": VendorError("failed", VendorError(TOKEN)),
    "json": json.JSONDecodeError("no", f'"{TOKEN}', 0),
    "text": _undecodable(),
    "beside an array": ValueError(np.arange(3), [np.arange(3), TOKEN]),
    "set": ValueError({TOKEN}, frozenset({TOKEN})),
    "named": ValueError(Answer(401, TOKEN)),
    "value": ValueError(Held(TOKEN)),
    "syntax": SyntaxError("no", ("x.py", 1, 1, f"key = {TOKEN}")),
}


@pytest.mark.parametrize("case", ERRORS)
def test_no_part_of_an_error_shows_a_secret(case: str) -> None:
    token, error = ct.Secret(TOKEN), ERRORS[case]
    redact(error)
    shown = "".join(traceback.format_exception(error))
    assert TOKEN not in shown + repr(error) + str(error) + repr(vars(error))
    parts = (getattr(error, name, "") for name in dir(error))
    assert TOKEN not in "".join(map(repr, parts))
    assert token.is_known


def test_an_error_without_a_secret_stays_what_it_is() -> None:
    token = ct.Secret(TOKEN)
    array, said = np.arange(3), {"of": ["us"], "no": (1, b"x")}
    error = VendorError(array, said, [array, "x"])
    error.found = found = {"array": array}  # type: ignore[attr-defined]
    args = error.args
    redact(error)
    assert error.args is args
    assert error.found is found  # type: ignore[attr-defined]
    assert token.is_known


def test_what_holds_itself_comes_to_an_end() -> None:
    token = ct.Secret(TOKEN)
    endless: list[Any] = [TOKEN, [TOKEN]]
    endless.append(endless)
    error = ValueError(endless, TOKEN)
    error.itself = error  # type: ignore[attr-defined]
    redact(error)
    assert TOKEN not in str(error)
    assert "<secret>" in str(error)
    assert token.is_known


def test_longer_secrets_go_first_and_short_ones_stay_in_words() -> None:
    held = ct.Secret("abcdef"), ct.Secret("abcdef-and-more"), ct.Secret("of")
    assert redacted("one of abcdef-and-more") == "one of <secret>"
    assert redacted("abcdef") == "<secret>"
    assert len(held) == 3


def test_secrets_in_addresses_are_found() -> None:
    token = ct.Secret("a/b+c=d")
    text = "no: https://x/?key=a%2Fb%2Bc%3Dd https://x/a/b%2Bc%3Dd a/b+c=d"
    expected = "no: https://x/?key=<secret> https://x/<secret> <secret>"
    assert redacted(text) == token.hide_in(text) == expected


def test_errors_in_a_circle_come_to_an_end() -> None:
    held = ct.Secret(TOKEN)
    one, other = ValueError(TOKEN), KeyError(TOKEN, 3)
    one.__cause__, other.__context__ = other, one
    redact(one)
    assert (one.args, other.args) == (("<secret>",), ("<secret>", 3))
    assert held.is_known

"""Secrets: they show nowhere, travel nowhere, and are compared all the same."""

import json
import pickle
import subprocess
import sys
from typing import Any

import attrs
import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qelectron_core as ct
from qelectron_core.formats import dump_executor

TOKEN = "cafe-0123456789-token"


@attrs.frozen
class Guarded(ct.Executor):
    """An executor with a token."""

    token: ct.Secret | None = attrs.field(default=None, repr=False)


def elsewhere(program: str, data: bytes) -> str:
    """Run a program in another process, with some bytes as its input."""
    done = subprocess.run(
        [sys.executable, "-c", program], input=data, capture_output=True, check=True
    )
    return done.stdout.decode()


@given(st.text(min_size=1))
def test_it_equals_what_hides_the_same_and_nothing_else(text: str) -> None:
    assert ct.Secret(text) == ct.Secret(text)
    assert hash(ct.Secret(text)) == hash(ct.Secret(text))
    assert ct.Secret(text) != ct.Secret(f"{text}.")
    assert ct.Secret(text) != text
    assert ct.Secret(text).reveal() == text


@pytest.mark.parametrize("show", [repr, str, "{}".format, lambda s: f"{[s]!r}"])
def test_it_does_not_show(show: Any) -> None:
    assert TOKEN not in show(ct.Secret(TOKEN))
    assert TOKEN not in show(Guarded(ct.Secret(TOKEN)))


def test_json_refuses_it() -> None:
    with pytest.raises(TypeError):
        json.dumps(ct.Secret(TOKEN))
    assert TOKEN not in dump_executor(Guarded(ct.Secret(TOKEN)))


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_a_pickle_does_not_hold_it_and_is_whole_where_it_is_known(pickler: Any) -> None:
    executor = Guarded(ct.Secret(TOKEN))
    data = pickler.dumps(executor)
    assert TOKEN.encode() not in data
    copy = pickle.loads(data)
    assert copy == executor
    assert copy.token.reveal() == TOKEN


def test_in_another_process_it_is_equal_and_not_known() -> None:
    program = (
        "import pickle, sys, qelectron_core as ct\n"
        "found = pickle.load(sys.stdin.buffer)\n"
        "print(found.is_known)\n"
        "try: found.reveal()\n"
        "except ct.ConfigError as error: print(error)\n"
        f"print(ct.Secret({TOKEN!r}) == found)\n"
    )
    known, said, equal = elsewhere(program, pickle.dumps(ct.Secret(TOKEN))).splitlines()
    assert (known, equal) == ("False", "True")
    assert said.startswith("a token does not travel to other processes")
    assert said.endswith("Set it here, too: in the environment, or an account file.")


def test_it_stays_known_whichever_of_its_holders_goes_first() -> None:
    first, second = ct.Secret(TOKEN), ct.Secret(TOKEN)
    data = pickle.dumps(first)
    del second
    assert pickle.loads(data).reveal() == TOKEN
    again = ct.Secret(TOKEN)
    del first
    assert pickle.loads(data) == again
    assert pickle.loads(data).reveal() == TOKEN


def test_it_is_taken_out_of_texts() -> None:
    assert ct.Secret("abc").hide_in("abc, and abcd") == "<secret>, and <secret>d"

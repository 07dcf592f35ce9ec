"""Executors come back from the text that they show; no text ever runs anything."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qelectron_core as ct
from qelectron_core.errors import FormatError, UnknownNameError
from qelectron_core.formats import load_shown, parse_executors
from qelectron_core.formats.shown_executors import MOST_CHARACTERS
from qelectron_core.registry import Plugin, Registration, Registry
from qelectron_core.remote import Polling
from qelectron_core.testing import FakeCloud, Faults

# --- What shows comes back ------------------------------------------------------------

COUNTS = st.integers(1, 2**70)
AMOUNTS = st.floats(0, 1e300) | st.integers(0, 2**70)
COMMON = {
    "shots": st.none() | st.just("qnode") | COUNTS | st.tuples(COUNTS, COUNTS),
    "seed": st.none() | st.integers(0, 2**70),
    "retries": st.integers(0, 5),
    "timeout_s": st.none() | st.floats(1e-9, 1e300) | COUNTS,
}
LABELS: Any = st.text() | st.integers() | st.tuples(st.integers(), st.text())
LABELS |= st.frozensets(st.integers()) | st.booleans() | st.none() | st.binary()
LABELS |= st.complex_numbers(allow_nan=False, allow_infinity=False)
PROBABILITIES = st.floats(0, 1)


def made(kind: Any, **options: Any) -> Any:
    """Return executors of a class with some of these options."""
    return values(kind, **options, **COMMON)


def values(kind: Any, **options: Any) -> Any:
    return st.fixed_dictionaries({}, optional=options).map(lambda o: kind(**o))


SIMULATORS = made(
    ct.executor.Simulator,
    device=st.none() | st.sampled_from(["lightning.qubit", "a'b", '"\\\n"', "é\ud800"]),
    parallel=st.sampled_from(["thread", "process", "auto", False]),
    workers=COUNTS,
)
ECHOES = made(
    ct.executor.Echo,
    value=st.floats(allow_nan=False) | st.integers(),
    latency_s=AMOUNTS,
)
CLOUDS = made(
    FakeCloud,
    name=st.text(),
    latency_s=AMOUNTS,
    machines=st.none() | COUNTS,
    faults=values(Faults, crashed=PROBABILITIES, lost_answer=PROBABILITIES),
    limits=values(
        ct.Limits, circuits_per_job=COUNTS, seconds_per_job=st.floats(1e-9, 1e300)
    ),
    polling=values(
        Polling, first_s=st.floats(1e-3, 1), give_up_s=st.just(float("inf"))
    ),
    vendor_seed=st.integers(),
    findable=st.booleans(),
    wires=st.none() | st.lists(LABELS, max_size=3),
)
CLUSTERED = st.builds(
    ct.QCluster,
    st.lists(SIMULATORS | ECHOES | CLOUDS, min_size=1, max_size=3),
    st.sampled_from(["cyclic", "least-busy"]),
    per=st.sampled_from(["circuit", "call"]),
    failover=st.booleans() | st.builds(ct.Failover, after=st.integers(1, 9)),
)


@settings(max_examples=400, deadline=None)
@given(executor=SIMULATORS | ECHOES | CLOUDS)
def test_an_executor_comes_back_from_what_it_shows(executor: ct.Executor) -> None:
    found = load_shown(repr(executor))
    assert found == executor
    assert type(found) is type(executor)
    assert hash(found) == hash(executor)


def test_sets_may_show_their_items_in_another_order() -> None:
    for items in ({8, 0, 16}, {16, 8, 0}, {-9, 7}, {7, -9}):
        wires = [frozenset(items), (frozenset(map(str, items)), 1)]
        assert load_shown(repr(FakeCloud(wires=wires))) == FakeCloud(wires=wires)


@settings(max_examples=100, deadline=None)
@given(cluster=CLUSTERED)
def test_a_cluster_comes_back_from_what_it_shows(cluster: ct.QCluster) -> None:
    assert parse_executors(repr(cluster)) == cluster


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Simulator", ct.executor.Simulator()),
        ("simulator", ct.executor.Simulator()),
        (" Echo( 0.5,\n shots=None )\n", ct.executor.Echo(0.5, shots=None)),
        ("[Echo(), Simulator()]", ct.QCluster(["Echo", "Simulator"])),
        ("Echo(value=-1)", ct.executor.Echo(value=-1)),
    ],
)
def test_users_write_executors_as_in_a_program(text: str, expected: Any) -> None:
    assert parse_executors(text) == expected


def test_config_counts_for_what_users_write_and_not_for_the_journal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QELECTRON_EXECUTOR__ECHO__VALUE", "0.5")
    assert parse_executors("Echo()") == ct.executor.Echo(value=0.5)
    assert load_shown("Echo(shots=3)").value == 0.0  # type: ignore[attr-defined]
    assert load_shown("Echo(shots=3)").shots == 3


# --- What does not tell all -----------------------------------------------------------


@attrs.frozen
class Foreign:
    """A value that is the type of an option, and of another package."""


Foreign.__module__ = "elsewhere"


@attrs.frozen
class Vault(ct.Executor):
    """An executor with secrets, and an option that the journal shows in part."""

    name: str = ""
    token: str = attrs.field(default="", repr=False)
    masked: str = attrs.field(default="", repr=lambda value: "'***'")
    where: Any = None
    foreign: Foreign | None = None


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a plugin that registers the executor."""
    offered = Registration("executor", "vault.safe", Vault, "vault")
    one = Registry((Plugin("vault", "vault", "1", (offered,)),))
    monkeypatch.setattr("qelectron_core.formats.shown_executors.registry", lambda: one)


@pytest.mark.usefixtures("vault")
def test_secrets_are_found_where_a_new_executor_finds_them() -> None:
    found = load_shown(repr(Vault(name="a", token="TOP-SECRET")))
    assert found == Vault(name="a")  # by the name of its class, not the registered one


@pytest.mark.usefixtures("vault")
@pytest.mark.parametrize(
    "text",
    [
        repr(Vault(masked="SECRET")),
        "Vault(masked='***')",
        "Vault(token='theirs')",
        repr(Vault(where=object())),
        repr(Vault(where=len)),
        repr(Vault(where=Vault)),
        "Vault(name='')",
        "Vault(foreign=Foreign())",
    ],
)
def test_what_is_hidden_is_not_made_up(text: str) -> None:
    with pytest.raises(FormatError):
        load_shown(text)


# --- Hostile texts --------------------------------------------------------------------

#: None of these may do anything, nor be read as an executor.
HOSTILE = [
    f"Echo(value=0x{'f' * 60_000})",
    "",
    " ",
    "__import__('os').system('touch hacked')",
    "Simulator.__init__",
    "Simulator.__init__(Simulator())",
    "Simulator().__class__",
    "Simulator(device=__import__('os').system('touch hacked'))",
    "Simulator(workers=(lambda: 2)())",
    "Simulator(workers=[w for w in (2,)][0])",
    "Simulator(workers=2 if True else 3)",
    "Simulator(workers=1 + 1)",
    "Simulator(workers=2 ** 9)",
    "Simulator(workers=~1)",
    "Simulator(device=f'{open(1)}')",
    "Simulator(device='a' 'b' % ())",
    "Simulator(*[1, 2])",
    "Simulator(**{'workers': 2})",
    "Simulator(device=...)",
    "Simulator(workers=(w := 2))",
    "Simulator(workers=2); Simulator()",
    "Simulator(workers=2)\nSimulator()",
    "Simulator(workers=2, workers=3)",
    "Simulator(wrokers=2)",
    "Simulator(workers=Simulator)",
    "Simulator(self=1)",
    "Simulator()()",
    "Simulator()[0]",
    "await Simulator()",
    "eval('1')",
    "exec('hacked = 1')",
    "open('hacked', 'w')",
    "type('X', (), {})",
    "getattr(Simulator, 'run')",
    "print(1)",
    "object()",
    "Executor()",
    "Path('hacked')",
    "Popen(['touch', 'hacked'])",
    "FakeCloud(limits=Faults())",
    "FakeCloud(limits=Vendor())",
    "FakeCloud(limits=Estimate())",
    "FakeCloud(limits=Limits(shots_per_job=Limits()))",
    "FakeCloud(faults=Faults(crashed=2))",
    "FakeCloud(wires={**{}})",
    "FakeCloud(wires=[{[]: 1}])",
    "FakeCloud(wires=[{[]}])",
    "FakeCloud(wires=set('ab', 'cd'))",
    "QCluster([])",
    "QCluster([1])",
    "QCluster(['Nobody'])",
    "Limits()",
    "Faults()",
    "frozenset()",
    "(1, 2)",
    "None",
    "'Simulator()'",
    "Nobody()",
    "\0",
    "Simulator(\0)",
    "\ud800",
    "(" * 500,
    "(" * 60_000,
    "Simulator(device=" * 3_000 + ")" * 3_000,
    "Simulator(workers=" + "-" * 60_000 + "1)",
    "FakeCloud(wires=" + "[" * 150 + "]" * 150 + ")",
    "FakeCloud(wires=" + "(" * 90 + "1," + "),)" * 90 + ")",
    "Simulator(workers=" + "1+" * 30_000 + "1)",
    "Simulator" + "()" * 30_000,
    "Simulator" + ".a" * 30_000,
    "Simulator(workers=" + "9" * 5_000 + ")",
    "Simulator(workers=2)" + " " * MOST_CHARACTERS,
    "Echo(value=" + "1" * 10_000_000 + ")",
    "[" + "Simulator()," * 1_000_000 + "]",
]


@pytest.mark.parametrize("text", HOSTILE, ids=[text[:40] for text in HOSTILE])
def test_hostile_texts_are_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError) as caught:
        load_shown(text)
    assert len(str(caught.value)) < 1_000
    assert list(tmp_path.iterdir()) == []


def test_hostile_texts_end_no_process() -> None:
    """Where recursion would exhaust the stack, a test would not be left to fail."""
    code = (
        "import sys\nfrom qelectron_core.formats import load_shown\n"
        "from qelectron_core.errors import FormatError\n"
        "for sign in ('(', '-', '[', '{', 'not ', 'lambda:', 'Echo(', '~', 'a.', '1**',"
        " '()', 'x if y else ', 'await ', '\\'', '{1:'):\n"
        "    for count in (10, 99, 1_000, 9_000, 65_536):\n"
        "        for end in ('', '1'):\n"
        "            try:\n                load_shown((sign * count + end)[:65_536])\n"
        "            except FormatError:\n                continue\n"
        "            sys.exit('read')\nprint('whole')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "whole\n", done.stderr


WORDS = ["Simulator(", "FakeCloud(", "Limits(", ")", "workers=", "wires=", "=", ","]
WORDS += ["(", "[", "]", "{", "}", "*", "**", "-", "1", "'a'", "inf", "nan", "None"]
WORDS += [".", "__class__", "lambda:", ":", "open", "QCluster(", "Simulator", " ", "\n"]


@settings(max_examples=500, deadline=None)
@given(words=st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=12))
def test_any_text_is_an_executor_or_refused(words: list[str]) -> None:
    text = "".join(words)
    with suppress(FormatError):
        assert isinstance(load_shown(text), ct.Executor)
    with suppress(FormatError, UnknownNameError):
        assert isinstance(parse_executors(text), (ct.Executor, ct.QCluster))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Simulatr()", "offers an executor 'Simulatr'. Did you mean 'Simulator'?"),
        ("Simulator(wrokers=2)", "Did you mean 'workers'?"),
        ("Simulator(workers=0)", "workers=0 is no number of workers"),
        ("Simulator(workers=x)", "x is neither a value nor an executor"),
        ("Echo(value=1, value=2)", "has the option 'value' twice"),
        ("-" * 60_000, "cannot be read as an executor"),
        ("a b", "cannot be read as an executor: expected one such as Simulator("),
    ],
)
def test_messages_say_what_is_wrong(text: str, told: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_executors(text)
    assert told in str(caught.value)
    with pytest.raises(UnknownNameError, match="Did you mean"):
        parse_executors("Simulatr")

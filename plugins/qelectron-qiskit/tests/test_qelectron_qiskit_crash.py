"""Programs that end, are interrupted or killed while their jobs are at IBM Quantum."""

from __future__ import annotations

import base64
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ibm_bench import NOISE, PREMIUM, QuickExecutor, executor_at
from ibm_server import IBMServer

HERE = Path(__file__).parent
ANGLES = [0.3, 1.1, 2.0, 2.9]
ROUNDS = int(os.environ.get("QELECTRON_CRASH_ROUNDS", "4"))
SEED = int(os.environ.get("QELECTRON_CRASH_SEED", "0"))
Play = Callable[..., Any]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
needs_sqlite = pytest.mark.usefixtures("_sqlite")


@pytest.fixture
def _sqlite() -> None:
    pytest.importorskip("qelectron_sqlite")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start the process that all programs are forked from."""
    home = str(tmp_path_factory.mktemp("home"))  # that holds no account
    # OpenBLAS has threads of its own, which a process that forks should not have.
    own = {"OPENBLAS_NUM_THREADS": "1", "HOME": home, "PYTHONWARNINGS": "ignore"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("QISKIT_IBM_")}
    with subprocess.Popen(
        [sys.executable, "ibm_crashes.py"],
        cwd=HERE,
        env=kept | own,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


@pytest.fixture
def server() -> Iterator[IBMServer]:
    with IBMServer(seed=3) as server:
        yield server


@pytest.fixture
def play(lab: Any, server: IBMServer, tmp_path: Path) -> Play:
    """Return a function that has something done, and returns what came of it."""

    def play(what: str, **options: Any) -> Any:
        account = {
            "ibmqx_token": server.token,
            "instance": server.instances[PREMIUM],
            "url": server.url,
        }
        order = {"what": what, "options": options, "folder": str(tmp_path)}
        order |= {"environment": server.environment, "account": account}
        lab.stdin.write(json.dumps(order | {"port": server.port}) + "\n")
        lab.stdin.flush()
        return json.loads(lab.stdout.readline())

    return play


def require_right(told: Any, angles: list[float]) -> None:
    *turned, other = told
    assert turned == pytest.approx([math.cos(x) for x in angles], abs=NOISE)
    assert other == pytest.approx(-math.sin(angles[0]), abs=NOISE)


@needs_sqlite
def test_a_program_killed_while_its_jobs_wait_goes_on_with_them(play: Play) -> None:
    came = play("killed_while_queued")
    require_right(came["told"], ANGLES)
    assert came["submitted"] == came["before"] == came["tags"]
    assert (came["duplicates"], came["cancelled"]) == (0, 0)
    assert came["circuits"] == len(ANGLES) + 1


@needs_sqlite
@pytest.mark.parametrize("act", [True, False], ids=["arrived", "not arrived"])
def test_a_program_killed_before_the_answer_to_its_submit_sends_each_job_once(
    play: Play, act: bool
) -> None:
    came = play("killed_in_submit", act=act)
    require_right(came["told"], [0.7])
    assert came["finds"] > 0, "it was looked for"
    assert (came["circuits"], came["duplicates"]) == (2, 0)


@needs_sqlite
def test_a_program_killed_at_random_moments_pays_for_each_circuit_once(
    play: Play,
) -> None:
    came = play("killed_at_random", rounds=ROUNDS, seed=SEED)
    require_right(came["told"], came["angles"])
    assert came["killed"] > 0
    assert came["duplicates"] == 0
    assert came["tags"] == came["submitted"]
    assert came["circuits"] == len(came["angles"]) + 1


@pytest.mark.parametrize("hold", [False, True], ids=["idle", "with a job"])
def test_a_program_that_ends_closes_its_session(play: Play, hold: bool) -> None:
    came = play("left_open", hold=hold)
    assert came["accepting"] == [False]
    assert came["cancelled"] == hold
    if not hold:
        assert came["told"] == pytest.approx(math.cos(0.3), abs=NOISE)


def test_ctrl_c_cancels_the_jobs_and_closes_the_batch(play: Play) -> None:
    came = play("interrupted")
    assert came["told"] == [True] * len(ANGLES)
    assert came["cancelled"] == came["submitted"] > 0
    assert came["accepting"] == [False]


@pytest.mark.parametrize("known", [True, False])
def test_in_another_process_the_token_is_that_of_its_environment(
    play: Play, server: IBMServer, known: bool
) -> None:
    pickled = cloudpickle.dumps(executor_at(server, kind=QuickExecutor))
    assert server.token.encode() not in pickled
    sent = base64.b64encode(pickled).decode()
    came = play("travelled", pickled=sent, token=server.token if known else None)
    if known:
        assert came["told"] == pytest.approx(math.cos(0.3), abs=NOISE)
    else:
        assert came["told"].startswith("ConfigError: a token does not travel")
        assert "QISKIT_IBM_TOKEN" in came["told"]
    assert came["submitted"] == known

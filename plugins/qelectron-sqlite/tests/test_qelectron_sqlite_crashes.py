"""Processes that are killed at any moment: nothing is lost, and nothing paid twice."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
#: Rounds of kills; more than those take longer than a test should.
ROUNDS = int(os.environ.get("QELECTRON_CRASH_ROUNDS", "4"))
SEED = int(os.environ.get("QELECTRON_CRASH_SEED", "0"))
#: OpenBLAS has threads of its own, which a process that forks should not have.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def came_of(*arguments: Any) -> Any:
    """Return what `crashes.py`, run in a process of its own, tells."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import crashes; crashes.main()", *map(str, arguments)],
        cwd=HERE,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        told, _ = process.communicate(timeout=120 + 5 * ROUNDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with all that it has forked
        process.communicate()
        raise
    return json.loads(told)


@pytest.mark.timeout(180 + 5 * ROUNDS)
def test_programs_killed_at_random_moments_lose_nothing_and_submit_nothing_twice(
    tmp_path: Path,
) -> None:
    came = came_of(tmp_path, ROUNDS, SEED)
    print(came)  # the figures, for who runs it by hand
    assert came["killed"] > 4 * ROUNDS, "most were killed before they ended"
    assert came["left jobs"] > 0, "and some with a job at the vendor"
    assert came["told before the end"] > 0, "and some with results"
    assert (came["corrupt"], came["looks"]) == (0, ROUNDS + 1)
    assert came["complaints"] == []
    assert came["failed"] == 0
    assert came["wrong"] == []
    assert came["submitted twice"] == []
    assert came["run again"] == []
    assert came["told"] == came["submitted"] == came["circuits"]
    assert came["submitted in the end"] == 0
    assert came["wanting"] == 0, "a job that is still there has nothing left to give"


def test_whoever_comes_after_a_submit_of_unknown_end_is_told_and_submits_nothing(
    tmp_path: Path,
) -> None:
    came = came_of(tmp_path)
    assert came["asking"]["submitted"] == 0
    assert came["answered"]["submitted"] == 1
    errors = came["asking"]["errors"] + came["answered"]["errors"]
    assert len(errors) == 4, "the second time as the first"
    for error in errors:
        assert error.startswith("UnsettledJobError: job job-")
        assert "may be running, or done, at the vendor, and is not sent again" in error
        assert "the process that was about to submit it ended" in error
        assert "Before you run these circuits anew, look for it." in error

"""PennyLane's own device test suite passes on the QElectron's device.

The suite ships with PennyLane and runs here as `pl-device-test` runs it, by the
device's registered name, in a process of its own.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pennylane as qml
import pytest

SUITE = Path(qml.devices.__file__).parent / "tests"


@pytest.mark.parametrize(("shots", "at_least"), [("None", 380), ("20000", 350)])
def test_device_suite(shots: str, at_least: int, tmp_path: Path) -> None:
    """No test of the suite fails, and most of them run."""
    command = [
        *(sys.executable, "-Im", "pytest", str(SUITE)),
        *("--device=qelectron", f"--shots={shots}", "--skip-ops"),
        *("-q", "--tb=short", "-p", "no:cacheprovider", "-W", "ignore"),
    ]
    finished = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]
    passed = re.search(r"(\d+) passed", finished.stdout)
    assert passed is not None
    assert int(passed[1]) >= at_least

"""A new user's first session, at a terminal: from config to history."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

TOKEN: Final = "sesame-0123456789-open"
#: A vendor whose token is kept, and whose executor uses it; then what users write.
PROGRAM: Final = """
import attrs, pennylane as qml, qelectron_core as ct

@attrs.frozen
class Acme(ct.Executor):
    token: ct.Secret = attrs.field(factory=lambda: ct.kept_token("acme"), repr=False)

    def estimate(self, circuits):
        return ct.Estimate(cost_usd=0.5 * len(circuits))

    def run(self, job):
        x = float(job.circuits[0].get_parameters(trainable_only=False)[0])
        if x > 1:
            raise RuntimeError(f"401: {self.token.reveal()} may not do that")
        return [1.0 for circuit in job.circuits]

@ct.qelectron(executors=Acme(), budget=ct.Budget(cost_usd=1.2))
@qml.qnode(qml.device("default.qubit", wires=1))
def energy(x):
    qml.RX(x, wires=0)
    return qml.expval(qml.Z(0))

print(energy.plan(0.1))
print("result", float(energy(0.1)))
try:
    energy(2.0)
except RuntimeError as error:
    print("told", error)
try:
    energy(0.3)
except ct.BudgetError as error:
    print("refused", error)
print([run.state for run in ct.history()])
"""
PLUGIN: Final = """
import qelectron_core as ct

@ct.hookimpl
def qelectron_register_tokens(register):
    register("acme", ct.VendorTokens(variables=("ACME_TOKEN",), page="acme.example"))
"""
METADATA: Final = "Metadata-Version: 2.1\nName: qelectron-acme\nVersion: 1\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with nothing in it but an installed plugin."""
    site = tmp_path / "site"
    dist = site / "qelectron_acme-1.dist-info"
    dist.mkdir(parents=True)
    (site / "qelectron_acme.py").write_text(PLUGIN)
    (dist / "METADATA").write_text(METADATA)
    (dist / "entry_points.txt").write_text("[qelectron]\nacme = qelectron_acme\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_config_token_doctor_plan_run_history(home: Path) -> None:
    pytest.importorskip("qelectron_sqlite", reason="history is kept in its file")
    config = at_terminal(home, "config", "set", "store", str(home / "store.sqlite3"))
    token = at_terminal(home, "token", "set", "acme", answer=f"{TOKEN}\n")
    assert "Token of acme (from acme.example): " in token
    doctor = at_terminal(home, "doctor")
    assert "all works" in doctor
    assert "acme (profile 'default'): " in " ".join(doctor.split())
    program = at_terminal(home, str(home / "program.py"), command=None)
    assert "$0.50" in program
    assert "result 1.0" in program
    assert "told 401: <secret> may not do that" in program
    assert "refused" in program
    runs = at_terminal(home, "runs")
    assert runs.count("energy") == 3
    assert "completed" in runs
    shown = "".join((config, token, doctor, program, runs))
    assert TOKEN not in shown
    holding = [
        path
        for path in home.rglob("*")
        if path.is_file() and TOKEN.encode() in path.read_bytes()
    ]
    assert [path.name for path in holding] == ["tokens.json"]
    assert holding[0].stat().st_mode & 0o777 == 0o600


def at_terminal(
    home: Path,
    *args: str,
    answer: str = "",
    command: str | None = "from qelectron_core.cli import main; main()",
) -> str:
    """Run a command, or a program, at a terminal; return all that it shows."""
    import pty

    before = [sys.executable, *(() if command is None else ("-c", command))]
    terminal, its_end = pty.openpty()
    program = subprocess.Popen(
        [*before, *args],
        env=environment(home),
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
        start_new_session=True,
    )
    os.close(its_end)
    seen = b""
    while part := _read(terminal):
        seen += part
        if answer and seen.endswith(b": "):
            os.write(terminal, answer.encode())
            answer = ""
    os.close(terminal)
    assert program.wait(60) == 0, seen.decode()
    return seen.decode()


def environment(home: Path) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("QELECTRON_")}
    return {
        **own,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "PYTHONPATH": str(home / "site"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "COLUMNS": "200",
    }


def _read(terminal: int) -> bytes:
    """Read from a terminal; its end is an error on Linux."""
    try:
        return os.read(terminal, 1024)
    except OSError:
        return b""

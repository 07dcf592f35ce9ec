"""The token of an account at IBM Quantum shows nowhere, even if IBM quotes it."""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import sqlite3
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import cloudpickle
import pytest
from click.testing import CliRunner
from qiskit_ibm_runtime import QiskitRuntimeService

sys.path.insert(0, str(Path(__file__).parent))

from ibm_bench import electron_on, executor_at, serving, wait_until
from ibm_server import IBMServer

import qelectron_core as ct
from qelectron_core.cli import cli
from qelectron_core.config import layers
from qelectron_core.testing import virtual_clock
from qelectron_qiskit.executor import QiskitExecutor
from qelectron_qiskit.ibm.executor import IBMExecutor
from qelectron_qiskit.ibm.hiding import hide
from qelectron_qiskit.ibm.tokens import TOKENS


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[IBMServer]:
    with serving(monkeypatch, tmp_path) as server:
        yield server


@attrs.frozen
class BriefExecutor(IBMExecutor):
    """An executor that soon gives up."""

    @property
    def polling(self) -> ct.Polling:
        return ct.Polling(give_up_s=1.0)


def texts_of(error: BaseException | None) -> Iterator[str]:
    """Yield all that an exception says, with all that led to it."""
    if error is not None:
        yield from traceback.format_exception(error)
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
        yield from getattr(error, "__notes__", ())
        yield from (texts for each in (error.__cause__,) for texts in texts_of(each))
        error = error.__context__


class Listener(logging.Handler):
    """Keeps whatever is logged, as it is shown."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter())
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts += [self.format(record), repr(record.args), repr(record.msg)]


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Hear all loggers; IBM's client lets its own not pass on what they hear."""
    made = Listener()
    loggers = [logging.getLogger(n) for n in (None, "qiskit_ibm_runtime", "qelectron")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.addHandler(made)
        each.setLevel(logging.DEBUG)
    yield made
    for each, level in zip(loggers, levels, strict=True):
        each.removeHandler(made)
        each.setLevel(level)


def keep(token: str) -> None:
    """Keep a token as a user does."""
    made = CliRunner().invoke(cli, ["token", "set", "ibm"], input=f"{token}\n")
    assert made.exit_code == 0, made.output


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the keyring of whoever runs the tests alone."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")


@pytest.fixture(params=["executor", "environment", "file", "kept"])
def executor(
    request: pytest.FixtureRequest,
    server: IBMServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Any:
    """Return an executor that has its token from one place or another."""
    if request.param == "executor":
        return executor_at(server, kind=BriefExecutor)
    if request.param == "file":
        server.save_account(tmp_path / "accounts.json", "premium-instance")
        return BriefExecutor("sampler", "ibm_small")
    if request.param == "kept":
        keep(server.token)
    else:
        monkeypatch.setenv("QISKIT_IBM_TOKEN", server.token)
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", server.instances["premium-instance"])
    return BriefExecutor("sampler", "ibm_small", url=server.url)


PLACES = {
    "token": "/identity/token$",
    "instances": "/resources/search$",
    "machines": "^/backends$",
    "configuration": "/configuration$",
    "usage": "/usage$",
    "submit": "^/jobs$",
    "state": "^/jobs/[^/]+$",
    "results": "/results$",
    "metrics": "/metrics$",
}


ANSWERS = [*itertools.product(PLACES, [400]), ("submit", 500), ("state", 401)]


@pytest.mark.parametrize(("place", "status"), ANSWERS)
def test_an_answer_that_quotes_the_token_is_shown_without_it(
    server: IBMServer, listener: Listener, place: str, status: int
) -> None:
    executor = executor_at(server, kind=BriefExecutor)
    require_hidden(server, executor, listener, place, status)


@pytest.mark.parametrize("place", ["configuration", "state"])
def test_a_token_that_comes_from_elsewhere_is_not_shown_either(
    server: IBMServer, executor: Any, listener: Listener, place: str
) -> None:
    require_hidden(server, executor, listener, place, 400)


def require_hidden(
    server: IBMServer, executor: Any, listener: Listener, place: str, status: int
) -> None:
    quoted = f"What is {server.token}? {'x' * 380} {server.token} {server.token}"
    path = PLACES[place]
    server.trouble("status", path=path, times=None, status=status, text=quoted)
    with warnings.catch_warnings(record=True) as warned, virtual_clock():
        warnings.simplefilter("always")
        circuit = electron_on(executor)
        future = circuit.run_later(0.3)
        error = future.exception(timeout=60)
        shown = [repr(executor), repr(circuit), repr(future), repr(future.executions)]
        shown += [str(each.message) for each in warned]
    shown += [*texts_of(error), *listener.texts]
    assert error is not None or place == "metrics"
    token = server.token
    assert not [text for text in shown if token in text]
    for length in (len(token) // 2, len(token) - 1):  # nor a piece that was cut off
        assert not [text for text in shown if token[:length] in text]


def test_the_reason_of_a_failed_job_is_shown_without_the_token(
    server: IBMServer, executor: Any
) -> None:
    server.next_jobs(fail=f"The caller was {server.token}.")
    circuit = electron_on(executor)
    with virtual_clock(), pytest.raises(ct.JobFailedError, match="<secret>") as caught:
        circuit(0.3)
    assert not [text for text in texts_of(caught.value) if server.token in text]


def test_an_unknown_state_is_shown_without_the_token(
    server: IBMServer, executor: Any
) -> None:
    server.next_jobs(odd_status=f"Wait {server.token}")
    circuit = electron_on(executor)
    with virtual_clock(), pytest.raises(ct.UnsettledJobError) as caught:
        circuit(0.3)
    shown = [text.upper() for text in texts_of(caught.value)]
    assert not [text for text in shown if server.token.upper() in text]


def test_a_bearer_is_no_less_secret() -> None:
    bearer = "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjF9.c2lnbmF0dXJl"
    assert hide(f"Bearer {bearer} is unknown.") == "Bearer <secret> is unknown."


def test_an_executor_shows_it_neither_in_text_nor_in_a_pickle(
    server: IBMServer,
) -> None:
    executor = executor_at(server)
    token = server.token
    shown = [repr(executor), str(executor), f"{executor}", str(executor.cache_key())]
    shown += [repr(executor.account), repr(executor.ibmqx_token)]
    assert not [text for text in shown if token in text]
    for made in (pickle.dumps(executor), cloudpickle.dumps(executor)):
        assert token.encode() not in made
    assert pickle.loads(pickle.dumps(executor)) == executor
    again = executor_at(server)
    assert again == executor
    assert hash(again) == hash(executor)
    assert executor_at(server, ibmqx_token="another") != executor


def test_a_wrong_token_is_refused_without_showing_it() -> None:
    wrong: Any = int("1234" * 2)
    with pytest.raises(ct.ConfigError, match="ibmqx_token is no token") as caught:
        QiskitExecutor("sampler", "ibm_small", ibmqx_token=wrong)
    assert str(wrong) not in "".join(texts_of(caught.value))


def test_the_file_of_the_journal_does_not_hold_it(
    server: IBMServer, tmp_path: Path
) -> None:
    pytest.importorskip("qelectron_sqlite")
    store = tmp_path / "store.sqlite3"
    server.next_jobs(times=2, hold=True)
    server.next_jobs(fail=f"It was {server.token}.")
    with virtual_clock():
        circuit = electron_on(executor_at(server), cache=True, store=store)
        waiting = circuit.run_later(0.3)
        held = electron_on(executor_at(server), cache=True, store=store, shots=50)
        other = held.run_later(0.4)
        wait_until(lambda: server.submitted == 2)
        server.release()
        other.result(timeout=60)
        waiting.result(timeout=60)
        with pytest.raises(ct.JobFailedError):
            circuit(0.5)
    ct.shutdown()
    with sqlite3.connect(store) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    written = b"".join(path.read_bytes() for path in tmp_path.glob("store*"))
    assert written
    assert server.token.encode() not in written


# --- Tokens that `qelectron token` keeps ----------------------------------------------


def test_a_kept_token_and_config_are_all_that_an_executor_needs(
    server: IBMServer, tmp_path: Path
) -> None:
    keep(server.token)
    crn = server.instances["premium-instance"]
    (tmp_path / "config.toml").write_text(
        f"[executor.QiskitExecutor]\nurl = '{server.url}'\ninstance = '{crn}'\n"
    )
    layers.forget()
    executor = QiskitExecutor("sampler", "ibm_small")
    assert abs(electron_on(executor, shots=200)(0.3) - 0.955) < 0.2
    assert executor.ibmqx_token is None
    assert server.token not in pickle.dumps(executor).decode("latin-1")


def test_a_token_of_the_environment_wins(
    server: IBMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep("some-other-token")
    monkeypatch.setenv("QISKIT_IBM_TOKEN", server.token)
    executor = executor_at(server, ibmqx_token=None)
    assert abs(electron_on(executor, shots=200)(0.3) - 0.955) < 0.2
    monkeypatch.delenv("QISKIT_IBM_TOKEN")
    other = executor_at(server, ibmqx_token=None, kind=BriefExecutor, max_jobs=3)
    with pytest.raises(ct.QElectronError) as caught:
        electron_on(other, shots=200)(0.3)
    assert "some-other-token" not in "".join(texts_of(caught.value))


def test_ibm_is_asked_about_a_token(
    server: IBMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QISKIT_IBM_URL", server.url)
    keep(server.token)
    good = CliRunner().invoke(cli, ["token", "check", "ibm"])
    assert good.exit_code == 0, good.output
    assert "premium-instance" in good.output
    keep("some-wrong-token")
    bad = CliRunner().invoke(cli, ["token", "check", "ibm"])
    assert bad.exit_code == 1
    assert server.token not in good.output + bad.output
    assert "some-wrong-token" not in good.output + bad.output


def test_the_token_of_qiskits_own_file_is_listed_and_not_shown(
    server: IBMServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert TOKENS.elsewhere() is None
    file = tmp_path / ".qiskit" / "qiskit-ibm.json"
    QiskitRuntimeService.save_account(
        token="some-other-token", filename=str(file), name="another"
    )
    assert TOKENS.elsewhere() == ct.Secret("some-other-token")
    server.save_account(file, "premium-instance")
    assert TOKENS.elsewhere() == ct.Secret(server.token)
    shown = CliRunner().invoke(cli, ["token", "list"]).output
    assert "ibm: the vendor's own file" in shown
    assert server.token not in shown


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"a": 1}', '{"a": {"token": 5}}', "[" * 10**5, "\udcff"]
)
def test_a_file_of_qiskit_that_cannot_be_read_holds_no_token(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / ".qiskit" / "qiskit-ibm.json"
    file.parent.mkdir()
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert TOKENS.elsewhere() is None


def test_looking_for_tokens_does_not_wait_for_qiskit(tmp_path: Path) -> None:
    file = tmp_path / ".qiskit" / "qiskit-ibm.json"
    QiskitRuntimeService.save_account(token="some-token-of-mine", filename=str(file))
    look = "import sys; from qelectron_core.tokens.rows import rows; print(rows())"
    look += "; sys.exit('qiskit' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", look],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "the vendor's own file" in found.stdout

"""A connection to IBM Quantum: one service object, its machine, its session."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from qelectron_core import (
    ConfigError,
    ExecutorError,
    Secret,
    TransientError,
    kept_token,
)
from qelectron_qiskit.circuits.compiling import Compiler
from qelectron_qiskit.ibm.answers import UNAUTHORIZED, Trouble, translated
from qelectron_qiskit.ibm.hiding import hide, hide_in_logs, tokens_of
from qelectron_qiskit.ibm.http import forget_submit, has_submitted, make_service
from qelectron_qiskit.machines import Facts, near

if TYPE_CHECKING:
    from qelectron_qiskit.ibm.executor import IBMExecutor

T = TypeVar("T")

#: Jobs whose objects are kept, so that each poll is one request.
MOST_JOBS: Final = 1000
#: Name of the plan that has no sessions.
OPEN_PLAN: Final = "open"
#: What IBM says of a job for a session that has ended, and its client before it asks.
_SESSION_OVER: Final = re.compile(r"\b1217\b|session has been closed", re.IGNORECASE)
_SESSION_IS_CLOSED: Final = "the session is closed"
#: Pauses before it is tried again to close a session, in seconds: an open one costs.
CLOSE_AGAIN_S: Final = (0.2, 0.5, 1.0, 2.0)


class Connection:
    """What all jobs of one executor share; safe to use from several threads."""

    def __init__(self, executor: IBMExecutor) -> None:
        """Connect when it is first needed."""
        self._executor = executor
        self._lock = threading.RLock()
        self._service: Any = None
        self._backend: Any = None
        self._compiler: Compiler | None = None
        self._facts: Facts | None = None
        self._mode: Any = None
        self._session_id: str | None = None
        self._jobs: OrderedDict[str, Any] = OrderedDict()

    @property
    def secret(self) -> Secret | None:
        """The token, if the executor was given one."""
        return self._executor.ibmqx_token

    @property
    def compiler(self) -> Compiler:
        """What compiles for the machine."""
        with self._lock:
            if self._compiler is None:
                executor = self._executor
                self._compiler = Compiler(
                    self.backend.target, executor.level, executor.transpiler_seed
                )
            return self._compiler

    @property
    def facts(self) -> Facts:
        """What is known of the machine."""
        with self._lock:
            if self._facts is None:
                self._facts = Facts.of(self.backend)
            return self._facts

    @property
    def most_shots(self) -> int | None:
        """How many shots the machine takes of a circuit at once."""
        most = getattr(self.backend.configuration(), "max_shots", None)
        return most if isinstance(most, int) else None

    @property
    def service(self) -> Any:
        """The service object, made once."""
        with self._lock:
            if self._service is None:
                self._service = _connect(self._executor)
            return self._service

    @property
    def backend(self) -> Any:
        """The machine.

        Raises:
            ConfigError: If the account has no machine of this name; names those near.
        """
        with self._lock:
            if self._backend is None:
                self._backend = self._find_backend()
            return self._backend

    def ask(self, request: Callable[[], T], *, submitting: bool = False) -> T:
        """Make a request; with a new connection, if IBM takes the old one for expired.

        Raises:
            Exception: What the core understands of what went wrong.
        """
        stale = self._service
        try:
            return self._ask(request, submitting=submitting)
        except Exception as error:
            failure = error
        if _may_ask_anew(failure, submitting=submitting):
            self._renew(stale)
            try:
                return self._ask(request, submitting=submitting)
            except Exception as error:
                failure = error
        # Raised here, and without what led to it: the client's own exceptions hold
        # requests, and these the token.
        failure = translated(failure, self.secret, submitting=submitting)
        failure.__cause__ = failure.__context__ = None
        raise failure

    def hide(self, text: str) -> str:
        """Return a text without tokens."""
        return hide(text, self.secret)

    def run(self, pubs: Sequence[Any], shots: int, tag: str) -> str:
        """Submit PUBs as one job; return its id."""
        mode = self._get_mode()
        try:
            return self._run(mode, pubs, shots, tag)
        except Exception as error:
            if self._executor.mode == "job" or not _is_session_over(error):
                raise
        with self._lock:
            if self._mode is mode:  # it had reached its limit
                self._mode = self._session_id = None
        return self._run(self._get_mode(), pubs, shots, tag)

    def job(self, job_id: str) -> Any:
        """Return the object of a job."""
        with self._lock:
            known = self._jobs.get(job_id)
        return known if known is not None else self._keep(self.service.job(job_id))

    def forget(self, job_id: str) -> None:
        """Let go of the object of a job, which may be half filled."""
        with self._lock:
            self._jobs.pop(job_id, None)

    def close(self) -> None:
        """Close the session; jobs that it holds run to their end.

        Raises:
            Exception: If IBM does not answer.
        """
        for pause_s in (*CLOSE_AGAIN_S, None):
            try:
                self._close()
            except (TransientError, ConnectionError):
                if pause_s is None:
                    raise
                time.sleep(pause_s)
            else:
                return

    def _ask(self, request: Callable[[], T], *, submitting: bool) -> T:
        if submitting:
            forget_submit()
        return request()

    def _close(self) -> None:
        with self._lock:
            if self._session_id is not None:
                self.ask(lambda: self._get_mode().close())
            self._mode = self._session_id = None

    def _run(self, mode: Any, pubs: Sequence[Any], shots: int, tag: str) -> str:
        from qiskit.providers.exceptions import QiskitBackendNotFoundError
        from qiskit_ibm_runtime.executor_sampler import Sampler

        sampler = Sampler(mode=mode, options=self._options(tag))
        try:
            job = sampler.run(pubs, shots=shots)
        except QiskitBackendNotFoundError:
            if not has_submitted():
                self._explain_missing()
            raise
        return str(self._keep(job).job_id())

    def _options(self, tag: str) -> Any:
        from qiskit_ibm_runtime.options_models.sampler import SamplerOptions

        options = SamplerOptions(**self._executor.options.thaw())
        options.environment.job_tags = [tag, *options.environment.job_tags]
        if self._executor.mode == "job" and self._executor.max_time is not None:
            options.max_execution_time = self._executor.max_time
        return options

    def _get_mode(self) -> Any:
        """Return the machine, or the session or batch that is open on it."""
        from qiskit_ibm_runtime import Batch, Session

        if self._executor.mode == "job":
            return self.backend
        with self._lock:
            if self._mode is not None:
                return self._mode
            kind = Session if self._executor.mode == "session" else Batch
            if self._session_id is not None:  # of a service that was made anew
                self._mode = kind.from_id(self._session_id, self.service)
                return self._mode
            backend = self.backend
            if kind is Session:
                self._require_sessions()
            self._mode = kind(backend, max_time=self._executor.max_time)
            self._session_id = self._mode.session_id
            return self._mode

    def _require_sessions(self) -> None:
        """Refuse to ask for a session where IBM has none.

        Raises:
            ConfigError: If the plan of the instance has no sessions.
        """
        crn = self.service.active_instance()
        for instance in self.service.instances():
            if instance["crn"] == crn and instance["plan"] == OPEN_PLAN:
                message = (
                    f"mode='session' is not to be had: instance {instance['name']!r} "
                    "is on the open plan, which has no sessions. Use mode='batch' or "
                    "mode='job', or name another instance=."
                )
                raise ConfigError(message)

    def _find_backend(self) -> Any:
        """Return the machine, of a service that knows one instance only.

        One that knows several asks the one that it asked last, for jobs, too.
        """
        from qiskit.providers.exceptions import QiskitBackendNotFoundError

        name = self._executor.backend
        try:
            backend = self.service.backend(name)
            if self.service.active_account().get("instance") is None:
                instance = self.service.active_instance()
                self._service = _connect(self._executor, instance)
                backend = self._service.backend(name)
        except QiskitBackendNotFoundError:
            self._explain_missing()
            raise
        return backend

    def _explain_missing(self) -> None:
        """Say why the client finds no machine: it is silent about requests that fail.

        Raises:
            Exception: What the client raises when it is asked for something else.
            TransientError: If IBM lists the machine by now, or none at all.
            ConfigError: If the account has no machine of this name.
        """
        name = self._executor.backend
        self.service.usage()
        names = [each.name for each in self.service.backends()]
        if name in names or not names:
            if self._backend is None:
                self._renew(self._service)  # it may keep the list that it got
            raise TransientError("IBM did not list its machines")
        message = f"your account has no machine {name!r}. {near(name, names)}"
        raise ConfigError(message)

    def _keep(self, job: Any) -> Any:
        with self._lock:
            self._jobs[job.job_id()] = job
            while len(self._jobs) > MOST_JOBS:
                self._jobs.popitem(last=False)
        return job

    def _renew(self, stale: Any) -> None:
        """Forget a service, and all that it made."""
        with self._lock:
            if self._service is stale:
                self._service = self._backend = self._mode = None
                self._jobs.clear()


def _connect(executor: IBMExecutor, instance: str | None = None) -> Any:
    """Return a service object, of a certain instance if one is named.

    Raises:
        ConfigError: If there is no account to use.
    """
    from qiskit_ibm_runtime.accounts import AccountNotFoundError

    given = {**_account(executor)}
    if instance is not None:
        given["instance"] = instance
    hide_in_logs(executor.ibmqx_token)
    message = "no account at IBM Quantum."
    if executor.account_name is not None:
        message = f"Qiskit's account file holds no account {executor.account_name!r}."
    with contextlib.suppress(AccountNotFoundError):
        if "url" not in given or "token" in given or "name" in given:
            return make_service(**given)
        message = f"url={executor.url!r} without a token is no account."
    raise ConfigError(
        f"{message} Keep a token with: qelectron token set ibm, or set "
        "QISKIT_IBM_TOKEN, or save an account with "
        "QiskitRuntimeService.save_account(...), or pass ibmqx_token=."
    )


def _account(executor: IBMExecutor) -> Mapping[str, str]:
    """Return what the client is to be told of the account.

    It takes an address with a token only; so one of the environment is passed on.
    """
    secret = executor.ibmqx_token or _kept(executor)
    given: dict[str, str | None] = {
        "token": None if secret is None else _revealed(secret),
        "instance": executor.instance,
        "channel": executor.channel,
        "url": executor.url,
        "name": executor.account_name,
    }
    if given["url"] and not given["token"] and not given["name"]:
        given["token"] = os.environ.get("QISKIT_IBM_TOKEN")
    if given["token"] and executor.ibmqx_token is None:
        given["instance"] = given["instance"] or os.environ.get("QISKIT_IBM_INSTANCE")
    return {name: value for name, value in given.items() if value}


def _kept(executor: IBMExecutor) -> Secret | None:
    """Return the token that the user has kept, unless another account is named."""
    if executor.account_name is not None or os.environ.get("QISKIT_IBM_TOKEN"):
        return None
    return kept_token("ibm")


def _revealed(secret: Secret) -> str:
    """Return a token, which may have come from another process.

    Raises:
        ConfigError: If this one holds it neither in its environment nor in a file.
    """
    here = [Secret(token) for token in tokens_of(None)]
    found = next((each for each in here if each == secret), secret)
    if found.is_known:
        return found.reveal()
    message = (
        "a token does not travel to other processes, and this one does not know it. "
        "Set it here, too: in QISKIT_IBM_TOKEN, or in Qiskit's account file."
    )
    raise ConfigError(message)


def _may_ask_anew(error: Exception, *, submitting: bool) -> bool:
    """Tell whether IBM took a bearer for expired, and nothing else."""
    trouble = Trouble(error)
    if trouble.status != UNAUTHORIZED:
        return False
    return not (submitting and has_submitted()) or trouble.is_submit


def _is_session_over(error: Exception) -> bool:
    """Tell whether a job was refused, and nothing accepted, as its session is over."""
    trouble = Trouble(error)
    if not trouble.failed:
        return _SESSION_IS_CLOSED in str(error).lower()
    return trouble.is_refusal and bool(_SESSION_OVER.search(str(error)))


def require_results(job: Any) -> Any:
    """Return the results of a job that is done.

    Raises:
        ExecutorError: If it has none.
    """
    results = job.result()
    if results is None:
        raise ExecutorError(f"IBM has no results of job {job.job_id()}.")
    return results

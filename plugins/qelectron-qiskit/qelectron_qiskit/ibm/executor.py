"""Circuits that run at IBM Quantum."""

from __future__ import annotations

import copy
import hashlib
import logging
import time
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from qelectron_core import (
    Capabilities,
    ConfigError,
    Handle,
    Job,
    Limits,
    Outcome,
    Polling,
    RemoteExecutor,
    State,
    Status,
)
from qelectron_qiskit.executor import QiskitExecutor
from qelectron_qiskit.loading import load_qiskit

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_qiskit.circuits.experiments import Experiment
    from qelectron_qiskit.ibm.service import Connection

_log: Final = logging.getLogger("qelectron")

#: Executions (shots, of each circuit that is run) that IBM takes in one job; see
#: https://quantum.cloud.ibm.com/docs/guides/job-limits.
MOST_EXECUTIONS: Final = 10_000_000
#: Executions that share one job where the executor may choose.
SHOTS_OF_A_JOB: Final = 5_000_000
#: Bytes of one request, by a guess on the safe side.
BYTES_OF_A_JOB: Final = 2**25
#: Pauses before it is looked again for a job that is not found, in seconds.
LOOK_AGAIN_S: Final = (1.0, 3.0)
#: IBM's words for the states of a job, as its client has them.
_STATES: Final[Mapping[str, State]] = {
    "INITIALIZING": State.QUEUED,
    "QUEUED": State.QUEUED,
    "RUNNING": State.RUNNING,
    "DONE": State.DONE,
    "ERROR": State.FAILED,
    "CANCELLED": State.CANCELLED,
}


@attrs.frozen
class IBMExecutor(QiskitExecutor, RemoteExecutor):
    """Runs circuits on a machine at IBM Quantum."""

    capabilities: ClassVar[Capabilities] = Capabilities(exact=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what no machine at IBM could be.

        Raises:
            ConfigError: If no machine is named, or exact results are asked for.
        """
        QiskitExecutor.__attrs_post_init__(self)
        if not isinstance(self.backend, str):
            message = (
                f"backend={self.backend!r} is no machine at IBM. Expected a name such "
                "as 'ibm_fez'; a backend of your own runs with device='local_sampler'."
            )
            raise ConfigError(message)
        if self.backend.startswith("fake_"):
            message = (
                f"backend={self.backend!r} runs on this machine, not at IBM. Say "
                "device='local_sampler'."
            )
            raise ConfigError(message)
        if self.shots is None:
            message = (
                "shots=None asks for exact results, which no machine at IBM has. Say "
                "how many shots, or device='local_sampler'."
            )
            raise ConfigError(message)

    @property
    def account(self) -> Hashable:
        """Whose requests IBM counts."""
        token = self.ibmqx_token
        whose = self.account_name if token is None else token.fingerprint
        return ("ibm", whose, self.url)

    @property
    def concurrency(self) -> int | None:
        """How many jobs may wait or run at IBM at the same time."""
        return self.max_jobs

    @property
    def limits(self) -> Limits:
        """What goes into one job."""
        shots = MOST_EXECUTIONS if self.single_job else SHOTS_OF_A_JOB
        return Limits(shots_per_job=shots, payload_bytes_per_job=BYTES_OF_A_JOB)

    @property
    def polling(self) -> Polling:
        """How often IBM is asked for the state of a job."""
        return Polling(first_s=1.0, longest_s=60.0)

    def refuse(self, circuit: QuantumScript) -> str | None:
        """Return why a circuit cannot be sent to IBM, or `None` if it can."""
        from qelectron_qiskit.refusals import refuse_operators, refuse_sampled

        reason = super().refuse(circuit)
        return reason or refuse_sampled(circuit) or refuse_operators(circuit)

    def executions(self, circuit: QuantumScript) -> int:
        """Count the shots in each of the bases in which a circuit is read."""
        from qelectron_qiskit.circuits.bases import plan_of

        return super().executions(circuit) * len(plan_of(circuit, {}).bases)

    def open(self) -> Connection:
        """Make what all jobs share; nothing is asked yet."""
        from qelectron_qiskit.ibm.service import Connection

        load_qiskit()
        return Connection(self)

    def close(self, resource: Connection) -> None:
        """Close the session or batch."""
        resource.close()

    def submit(self, job: Job) -> str:
        """Send a job; its id goes along as a tag."""
        connection: Connection = job.resource
        return connection.ask(lambda: self._submit(job), submitting=True)

    def find(self, job: Job) -> str | None:
        """Return the id of the job with our tag, if it arrived.

        It is looked for several times: what was just submitted may not be listed yet,
        and what is not found is submitted again.
        """
        connection: Connection = job.resource
        for pause_s in (0.0, *LOOK_AGAIN_S):
            time.sleep(pause_s)
            found = connection.ask(lambda: _found(connection, job.id))
            if found is not None:
                return found
        return None

    def status(self, handle: Handle) -> Status | str:
        """Return the state of a job."""
        connection: Connection = handle.job.resource
        try:
            status = connection.ask(lambda: _status(connection.job(handle.id)))
        except Exception:
            connection.forget(handle.id)  # it may know the state, and not the reason
            raise
        if isinstance(status, str):
            return connection.hide(status)
        return attrs.evolve(status, message=connection.hide(status.message))

    def fetch(self, handle: Handle) -> Sequence[Any]:
        """Return the results of a job."""
        connection: Connection = handle.job.resource
        return connection.ask(lambda: self._fetch(handle))

    def cancel(self, handle: Handle) -> None:
        """Cancel a job; one that has ended is left as it is."""
        connection: Connection = handle.job.resource
        connection.ask(lambda: _cancel(connection.job(handle.id)))

    def _submit(self, job: Job) -> str:
        from qelectron_qiskit.circuits.pubs import Pubs

        connection: Connection = job.resource
        for circuit in job.circuits:
            _require_fits(circuit, connection)
        experiments = _experiments(job, job.id)
        rows = [row for each in experiments for row in each.rows]
        pubs = Pubs.of(rows, connection.most_shots)
        if pubs.n_executions > MOST_EXECUTIONS:
            message = (
                f"the circuits of one job take {pubs.n_executions:,} executions in all "
                f"their bases, and IBM takes {MOST_EXECUTIONS:,}. Ask for fewer shots, "
                "or send fewer circuits at once."
            )
            raise ConfigError(message)
        made = pubs.make(connection.compiler)
        return connection.run(made, pubs.shots, job.id)

    def _fetch(self, handle: Handle) -> list[Outcome]:
        from qelectron_qiskit.circuits.pubs import Pubs
        from qelectron_qiskit.ibm.service import require_results

        connection: Connection = handle.job.resource
        remote = connection.job(handle.id)
        experiments = _experiments(handle.job, _tag(remote, handle.job))
        rows = [row for each in experiments for row in each.rows]
        pubs = Pubs.of(rows, _most_shots(connection))
        bits = iter(pubs.bits(require_results(remote)))
        facts = {**_known_of(connection), **self._metrics(remote)}
        return [
            Outcome(each.from_bits([next(bits) for _ in each.rows]), facts)
            for each in experiments
        ]

    def _metrics(self, remote: Any) -> dict[str, Any]:
        """Return what IBM says of how a job ran, as far as it says so."""
        try:
            metrics = remote.metrics()
            # Of a job without a session, the client asks for that each time.
            session = None if self.mode == "job" else remote.session_id
        except Exception as error:
            reason = type(error).__name__  # its text quotes IBM's answer
            _log.debug("IBM did not say how a job ran: %s", reason)
            return {}
        usage = metrics.get("usage") or {}
        seconds = usage.get("qpu_charge_time_seconds", usage.get("quantum_seconds"))
        times = metrics.get("timestamps") or {}
        found = {"usage_s": seconds, "session": session}
        found |= {name: times.get(name) for name in ("created", "running", "finished")}
        return {name: value for name, value in found.items() if value is not None}


def _experiments(job: Job, tag: str) -> list[Experiment]:
    """Return the runs of each circuit of a job, the same ones whenever it is asked.

    The bases of classical shadows are drawn from the tag, which IBM keeps: a process
    that attaches to the job must know them, and has other seeds, also those that
    PennyLane draws for each measurement.
    """
    from qelectron_qiskit.circuits.experiments import sampled

    experiments = []
    for place, circuit in enumerate(job.circuits):
        digest = hashlib.sha256(f"{tag}:{place}".encode()).digest()
        seed = int.from_bytes(digest[:7], "big")
        experiments.append(sampled(_unseeded(circuit), job.settings, seed))
    return experiments


def _unseeded(circuit: QuantumScript) -> QuantumScript:
    """Return a circuit without the seeds of its measurements."""
    if all(getattr(each, "seed", None) is None for each in circuit.measurements):
        return circuit
    measurements = [copy.copy(each) for each in circuit.measurements]
    for each in measurements:
        if hasattr(each, "seed"):
            each.seed = None
    return circuit.copy(measurements=measurements)


def _require_fits(circuit: QuantumScript, connection: Connection) -> None:
    """Refuse a circuit that the machine cannot run.

    Raises:
        ConfigError: If it cannot; says why.
    """
    from qelectron_qiskit.refusals import refuse_dynamic, refuse_wide

    facts = connection.facts
    reason = refuse_wide(circuit, facts) or refuse_dynamic(circuit, facts.operations)
    if reason is not None:
        raise ConfigError(f"machine {facts.name!r} cannot run a circuit: {reason}.")


def _most_shots(connection: Connection) -> int | None:
    """Return the shots that the machine takes at once, which may be gone by now."""
    try:
        return connection.most_shots
    except ConfigError:
        return None


def _known_of(connection: Connection) -> Mapping[str, Any]:
    """Return what is known of the machine, which may be gone by now."""
    try:
        return connection.facts.metadata
    except Exception as error:
        _log.debug("IBM did not say what the machine is: %s", type(error).__name__)
        return {}


def _tag(remote: Any, job: Job) -> str:
    """Return the tag that a job was submitted with."""
    tags = list(remote.tags or ())
    if job.id in tags:
        return job.id
    return next((str(tag) for tag in tags if str(tag).startswith("job-")), job.id)


def _found(connection: Connection, tag: str) -> str | None:
    _ = connection.backend  # settles which instance the service asks
    jobs = connection.service.jobs(limit=1, job_tags=[tag], descending=False)
    return str(jobs[0].job_id()) if jobs else None


def _status(remote: Any) -> Status | str:
    said = remote.status()
    state = _STATES.get(said)
    if state is None:
        return str(said)
    if state is State.FAILED:
        return Status(state, str(remote.error_message() or ""))
    return Status(state)


def _cancel(remote: Any) -> None:
    from qiskit_ibm_runtime.exceptions import RuntimeInvalidStateError

    try:
        remote.cancel()
    except RuntimeInvalidStateError:
        return  # it had ended

"""What the stand-in for IBM Quantum remembers, and how it answers each request."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

from ibm_machine import Machine, Program

QUEUED, RUNNING = "Queued", "Running"
COMPLETED, FAILED, CANCELLED = "Completed", "Failed", "Cancelled"
FINAL = {COMPLETED, FAILED, CANCELLED}
OPEN_SECONDS = 600  # what the open plan allows a month


@dataclass(frozen=True)
class Instance:
    """An instance of the service, on a plan."""

    name: str
    plan: str
    pricing: str
    allowed_s: int | None

    @property
    def crn(self) -> str:
        """The name by which requests choose the instance."""
        return f"crn:v1:bluemix:public:quantum-computing:us-east:a/0123:{self.name}::"


INSTANCES = (
    Instance("open-instance", "open", "free", OPEN_SECONDS),
    Instance("premium-instance", "premium", "subscription", None),
)


@dataclass
class Plan:
    """What is to become of the next jobs.

    A job of `hold`, or of an `odd_status`, waits in the queue until it is released;
    `queue_s` and `run_s` are how long it waits, and runs, unless it is released before.
    The first `unlisted` requests for the list of jobs do not show it yet.
    """

    fail: str | None = None
    code: int | None = None
    cancelled: bool = False
    odd_status: str | None = None
    hold: bool = False
    queue_s: float = 0
    run_s: float = 0
    unlisted: int = 0


@dataclass(eq=False)
class Session:
    """A session or a batch."""

    id: str
    mode: str
    backend: str
    instance: Instance
    max_ttl: int | None
    state: str = ""
    accepting: bool = True
    history: list[dict[str, str | None]] = field(default_factory=list)

    def move(self, state: str) -> None:
        """Change the state, and note when."""
        if state != self.state:
            self.state = state
            self.history.append({"status": state, "timestamp": _stamp(_now())})


@dataclass(eq=False)
class Job:
    """A job that was accepted."""

    id: str
    instance: Instance
    backend: str
    params: dict[str, Any]
    program: Program
    tags: list[str]
    session: Session | None
    plan: Plan
    private: bool = False
    max_time: int | None = None
    state: str = QUEUED
    reason: str | None = None
    code: int | None = None
    result: str | None = None
    charged_s: float = 0
    created: datetime = field(default_factory=lambda: _now())
    running: datetime | None = None
    finished: datetime | None = None
    wake: threading.Event = field(default_factory=threading.Event)

    @property
    def status(self) -> str:
        """The status as a client is told."""
        if self.state == QUEUED and self.plan.odd_status:
            return self.plan.odd_status
        return self.state


@dataclass(frozen=True)
class Request:
    """A request, as it came."""

    method: str
    area: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body's content."""
        try:
            content = json.loads(self.body or b"{}")
        except ValueError:
            raise Refusal(400, 1208, "The body is not JSON.") from None
        if not isinstance(content, dict):
            raise Refusal(400, 1208, "The body is not an object.")
        return content

    def first(self, name: str, default: str = "") -> str:
        """Return the first value of a field in the query."""
        return self.query.get(name, [default])[0]


@dataclass(frozen=True)
class Answer:
    """What the server answers: an object as JSON, a text, or nothing."""

    status: int = 200
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):  # noqa: N818  # an answer, not an error of the server's
    """Raised to answer with an error."""

    def __init__(self, status: int, code: int | str, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(status, error_body(code, message))


def error_body(code: int | str, message: str) -> dict[str, Any]:
    """Return an error as the quantum API words it."""
    error = {"code": code, "message": message, "solution": "", "more_info": ""}
    return {"errors": [error], "trace": "0123456789abcdef"}


class Cloud:
    """Accounts, jobs and sessions; each public method below `ROUTES` is a route."""

    def __init__(self, machines: Mapping[str, Machine], *, token_life_s: int) -> None:
        self.machines = machines
        self.token = secrets.token_urlsafe(24)
        self.instances = {instance.crn: instance for instance in INSTANCES}
        self.accepted: list[Job] = []
        self.jobs: dict[str, Job] = {}  # those of them that no one deleted
        self.sessions: dict[str, Session] = {}
        self.plans: list[tuple[int | None, Plan]] = []
        self.requests: Counter[str] = Counter()
        self.log: list[tuple[float, str]] = []
        self.cancelled = 0
        self.duplicates = 0
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self._first_tags: set[str | None] = set()
        self._life_s = token_life_s
        self._bearers: set[str] = set()
        self._threads: list[threading.Thread] = []

    # --- Orders of a test ---------------------------------------------------------

    def next_jobs(self, times: int | None = 1, **plan: Any) -> None:
        """Decide what is to become of the next `times` jobs, or of all further ones."""
        with self.lock:
            lasting = [one for one in self.plans if one[0] is None]
            counted = [one for one in self.plans if one[0] is not None]
            order = (times, Plan(**plan))
            self.plans = [*counted, order] + ([] if times is None else lasting)

    def release(self, job_id: str | None = None) -> None:
        """End the waiting of a job, or of all jobs, in the queue or on the machine."""
        with self.lock:
            for job in self.accepted:
                if job_id in (None, job.id):
                    job.wake.set()

    def expire_tokens(self) -> None:
        """Make all bearers issued so far invalid."""
        with self.lock:
            self._bearers.clear()

    def revoke(self) -> None:
        """Make the API key, and all that it was used for, invalid."""
        with self.lock:
            self.token = secrets.token_urlsafe(24)
            self.expire_tokens()

    def end_sessions(self) -> None:
        """Close all sessions, as if their time were over."""
        with self.lock:
            for session in self.sessions.values():
                session.accepting = False
                session.move("closed")

    def set_backend(self, name: str, operational: bool, status: str) -> None:
        """Change what a machine says of itself."""
        machine = self.machines[name]
        machine.operational, machine.status = operational, status

    def counts(self) -> dict[str, Any]:
        """Return all that a test may ask about, as JSON could hold it."""
        with self.lock:
            return {
                "jobs": [_record(job) for job in self.accepted],
                "sessions": [_session_record(one) for one in self.sessions.values()],
                "requests": dict(self.requests),
                "log": list(self.log),
                "cancelled": self.cancelled,
                "duplicates": self.duplicates,
            }

    def close(self) -> None:
        """Stop all jobs and wait for their threads."""
        self.closing.set()
        self.release()
        with self.lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    # --- Answering ----------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """Act upon a request."""
        found = find(request)
        if found is None:
            return Answer(404, error_body(1200, "There is nothing here."))
        route, names = found
        try:
            if route.area != "iam":
                self._authorise(request)
            return route.handler(self, request, *names)
        except Refusal as refusal:
            return refusal.answer

    def _authorise(self, request: Request) -> None:
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        with self.lock:
            if scheme != "Bearer" or bearer not in self._bearers:
                raise Refusal(401, 1200, "Unable to verify the token.")

    def _instance(self, request: Request) -> Instance:
        crn = request.headers.get("Service-CRN", "")
        if crn not in self.instances:
            raise Refusal(403, 1200, "You have no access to this instance.")
        return self.instances[crn]

    def _job(self, request: Request, job_id: str) -> Job:
        job = self.jobs.get(job_id)
        if job is None or job.instance is not self._instance(request):
            raise Refusal(404, 1291, f"Job not found. Job ID: {job_id}")
        return job

    def _session(self, request: Request, session_id: str) -> Session:
        session = self.sessions.get(session_id)
        if session is None or session.instance is not self._instance(request):
            raise Refusal(404, 1208, f"Session not found. Session ID: {session_id}")
        return session

    def _machine(self, name: str) -> Machine:
        if name not in self.machines:
            raise Refusal(404, 1216, f"Backend not found. Backend: {name}")
        return self.machines[name]

    def _queue(self, name: str) -> int:
        with self.lock:
            jobs = self.accepted
            return sum(job.backend == name and job.state == QUEUED for job in jobs)

    # --- Routes: identity, instances and plans --------------------------------------

    def issue_token(self, request: Request) -> Answer:
        """Trade an API key for a bearer."""
        key = parse_qs(request.body.decode()).get("apikey", [""])[0]
        with self.lock:
            if not hmac.compare_digest(key, self.token):
                message = "Provided API key could not be found."
                error = {"errorCode": "BXNIM0415E", "errorMessage": message}
                return Answer(400, error)
            bearer, expiration = _bearer(self._life_s)
            self._bearers.add(bearer)
        content = {
            "access_token": bearer,
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": self._life_s,
            "expiration": expiration,
            "scope": "ibm openid",
        }
        return Answer(content=content)

    def search(self, _: Request) -> Answer:
        """List the account's instances."""
        items = [
            {
                "crn": instance.crn,
                "name": instance.name,
                "service_plan_unique_id": instance.plan,
                "doc": {"extensions": {"backends": list(self.machines)}},
                "tags": [],
            }
            for instance in self.instances.values()
        ]
        return Answer(content={"items": items, "limit": 100})

    def catalog(self, _: Request, plan: str) -> Answer:
        """Describe a plan."""
        for instance in self.instances.values():
            if instance.plan == plan:
                overview = {"en": {"display_name": plan.capitalize()}}
                metadata = {"pricing": {"type": instance.pricing}}
                content = {"overview_ui": overview, "metadata": metadata}
                return Answer(content=content)
        raise Refusal(404, 1200, "There is no such plan.")

    def usage(self, request: Request) -> Answer:
        """Tell how much of its time an instance used up."""
        instance = self._instance(request)
        with self.lock:
            jobs = self.accepted
            used = sum(job.charged_s for job in jobs if job.instance is instance)
        content: dict[str, Any] = {"usage_consumed_seconds": used}
        content["usage_limit_reached"] = False
        if instance.allowed_s is not None:
            content["usage_allocation_seconds"] = instance.allowed_s
            content["usage_limit_reached"] = used >= instance.allowed_s
        return Answer(content=content)

    # --- Routes: machines -----------------------------------------------------------

    def backends(self, request: Request) -> Answer:
        """List the machines."""
        self._instance(request)
        machines = self.machines.values()
        devices = [machine.listing(self._queue(machine.name)) for machine in machines]
        return Answer(content={"devices": devices})

    def backend(self, request: Request, name: str, page: str) -> Answer:
        """Show the configuration, the properties or the status of a machine."""
        self._instance(request)
        machine = self._machine(name)
        pages: dict[str, Callable[[], dict[str, Any]]] = {
            "configuration": lambda: machine.configuration,
            "properties": lambda: machine.properties,
            "status": lambda: machine.report(self._queue(name)),
        }
        if page not in pages:
            raise Refusal(404, 1200, "There is nothing here.")
        return Answer(content=pages[page]())

    # --- Routes: jobs ---------------------------------------------------------------

    def create_job(self, request: Request) -> Answer:
        """Accept a job and start it."""
        order, instance = request.json(), self._instance(request)
        if order.get("program_id") != "executor":
            raise Refusal(404, 1207, "Program not found.")
        self._machine(order.get("backend", ""))
        try:
            program = Program(order.get("params", {}))
        except Exception as error:
            raise Refusal(400, 1208, f"The parameters are invalid: {error}") from None
        with self.lock:
            session = self._joined(request, order.get("session_id"))
            job = self._accept(order, instance, program, session)
        content = {"id": job.id, "backend": job.backend, "session_id": None}
        if session is not None:
            content["session_id"] = session.id
        return Answer(content=content)

    def _joined(self, request: Request, session_id: str | None) -> Session | None:
        if session_id is None:
            return None
        session = self._session(request, session_id)
        if not session.accepting:
            raise Refusal(400, 1217, f"Session has been closed. ID: {session_id}")
        return session

    def _accept(
        self,
        order: dict[str, Any],
        instance: Instance,
        program: Program,
        session: Session | None,
    ) -> Job:
        job = Job(
            id=f"d{secrets.token_hex(10)}"[:20],
            instance=instance,
            backend=order["backend"],
            params=order["params"],
            program=program,
            tags=list(order.get("tags", [])),
            session=session,
            plan=self._planned(),
            private=bool(order.get("private", False)),
            max_time=order.get("cost"),
        )
        self._enter(job)
        thread = threading.Thread(target=self._live, args=[job], daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()
        return job

    def _enter(self, job: Job) -> None:
        first = job.tags[0] if job.tags else None
        self.duplicates += first is not None and first in self._first_tags
        self._first_tags.add(first)
        self.accepted.append(job)
        self.jobs[job.id] = job

    def _planned(self) -> Plan:
        if not self.plans:
            return Plan()
        times, plan = self.plans[0]
        if times is not None:
            self.plans[:1] = [(times - 1, plan)] if times > 1 else []
        return Plan(**vars(plan))

    def list_jobs(self, request: Request) -> Answer:
        """List jobs, the newest first, by page."""
        instance = self._instance(request)
        with self.lock:
            jobs = [job for job in self.jobs.values() if job.instance is instance]
            found = [job for job in jobs if _listed(job) and _matches(job, request)]
            if request.first("sort") != "ASC":
                found.reverse()
            limit = min(int(request.first("limit", "200")), 200)
            offset = int(request.first("offset", "0"))
            page = [_job_page(job) for job in found[offset : offset + limit]]
        content = {"jobs": page, "count": len(found), "limit": limit, "offset": offset}
        return Answer(content=content)

    def get_job(self, request: Request, job_id: str) -> Answer:
        """Show a job."""
        with self.lock:
            job = self._job(request, job_id)
            content = _job_page(job)
            if request.first("exclude_params") != "true" and not job.private:
                content["params"] = job.params
        return Answer(content=content)

    def delete_job(self, request: Request, job_id: str) -> Answer:
        """Forget a job that ended."""
        with self.lock:
            job = self._job(request, job_id)
            if job.state not in FINAL:
                raise Refusal(409, 1280, "The job is not in a final state.")
            del self.jobs[job_id]
        return Answer(204)

    def results(self, request: Request, job_id: str) -> Answer:
        """Show what a job sampled, or why it failed."""
        with self.lock:
            job = self._job(request, job_id)
            text = job.reason if job.state == FAILED else job.result
        return Answer(204) if text is None else Answer(content=text)

    def logs(self, request: Request, job_id: str) -> Answer:
        """Show a job's log, which is empty."""
        self._job(request, job_id)
        return Answer(content="")

    def metrics(self, request: Request, job_id: str) -> Answer:
        """Show when a job ran, and what it costs."""
        with self.lock:
            job = self._job(request, job_id)
            return Answer(content=_metrics(job))

    def tag_job(self, request: Request, job_id: str) -> Answer:
        """Change the tags of a job."""
        with self.lock:
            self._job(request, job_id).tags = list(request.json().get("tags", []))
        return Answer(204)

    def cancel_job(self, request: Request, job_id: str) -> Answer:
        """Cancel a job that did not end yet."""
        with self.lock:
            job = self._job(request, job_id)
            if job.state in FINAL:
                message = f"Job {job_id} is in a state that cannot be cancelled."
                raise Refusal(409, 1280, message)
            self._cancel(job)
        return Answer(204)

    def _cancel(self, job: Job) -> None:
        self.cancelled += 1
        self._finish(job, CANCELLED, None)
        job.wake.set()

    # --- The life of a job ----------------------------------------------------------

    def _live(self, job: Job) -> None:
        plan = job.plan
        held = plan.hold or plan.odd_status is not None
        self._wait(job, None if held else plan.queue_s)
        with self.lock:
            if job.state in FINAL or self.closing.is_set():
                return
            job.wake.clear()
            job.state, job.running = RUNNING, _now()
            if job.session is not None and job.session.state != "closed":
                job.session.move("active")
        state, text = self._outcome(job)
        self._wait(job, plan.run_s)
        with self.lock:
            if job.state not in FINAL:
                self._finish(job, state, text)

    def _wait(self, job: Job, seconds: float | None) -> None:
        if not self.closing.is_set():
            job.wake.wait(seconds)

    def _outcome(self, job: Job) -> tuple[str, str | None]:
        """Return how a job ends, and its result or the reason."""
        plan, machine = job.plan, self.machines[job.backend]
        if plan.cancelled:
            return CANCELLED, None
        if plan.fail is not None:
            return FAILED, plan.fail
        objection = machine.objection(job.program)
        if objection is not None:
            return FAILED, objection
        try:
            return COMPLETED, machine.run(job.program)
        except Exception as error:
            return FAILED, f"{type(error).__name__}: {error}"

    def _finish(self, job: Job, state: str, text: str | None) -> None:
        job.state, job.finished = state, _now()
        if job.running is not None:
            job.charged_s = job.program.seconds
        if state == FAILED:
            job.reason, job.code = text, job.plan.code
        else:
            job.result = text
        if job.session is not None:
            self._rest(job.session)

    # --- Routes: sessions -----------------------------------------------------------

    def create_session(self, request: Request) -> Answer:
        """Open a session or a batch."""
        order, instance = request.json(), self._instance(request)
        mode = order.get("mode", "dedicated")
        if mode == "dedicated" and instance.plan == "open":
            message = (
                "You are not authorized to run a session when using the open plan."
            )
            raise Refusal(400, 1352, message)
        self._machine(order.get("backend", ""))
        session = Session(
            id=secrets.token_hex(10),
            mode=mode,
            backend=order["backend"],
            instance=instance,
            max_ttl=order.get("max_ttl"),
        )
        session.move("open")
        with self.lock:
            self.sessions[session.id] = session
            return Answer(content=self._session_page(session))

    def get_session(self, request: Request, session_id: str) -> Answer:
        """Show a session."""
        with self.lock:
            return Answer(
                content=self._session_page(self._session(request, session_id))
            )

    def patch_session(self, request: Request, session_id: str) -> Answer:
        """Let a session take no more jobs."""
        with self.lock:
            session = self._session(request, session_id)
            if request.json().get("accepting_jobs") is False:
                session.accepting = False
                self._rest(session)
        return Answer(204)

    def cancel_session(self, request: Request, session_id: str) -> Answer:
        """Close a session, and cancel what waits in it."""
        with self.lock:
            session = self._session(request, session_id)
            session.accepting = False
            for job in self._within(session):
                if job.state == QUEUED:
                    self._cancel(job)
            self._rest(session)
        return Answer(204)

    def _within(self, session: Session) -> list[Job]:
        return [job for job in self.accepted if job.session is session]

    def _rest(self, session: Session) -> None:
        """Close a session that takes no more jobs, once it has none to run."""
        pending = any(job.state not in FINAL for job in self._within(session))
        if not session.accepting and not pending:
            session.move("closed")

    def _session_page(self, session: Session) -> dict[str, Any]:
        jobs = self._within(session)
        times = {one["status"]: one["timestamp"] for one in session.history}
        started = [job.running for job in jobs if job.running is not None]
        ended = [job.finished for job in jobs if job.finished is not None]
        return {
            "id": session.id,
            "backend_name": session.backend,
            "interactive_ttl": 60 if session.mode == "dedicated" else 1,
            "max_ttl": session.max_ttl or 28800,
            "active_ttl": session.max_ttl or 28800,
            "state": session.state,
            "accepting_jobs": session.accepting,
            "mode": session.mode,
            "timestamps": session.history,
            "started_at": times["open"],
            "activated_at": times.get("active"),
            "closed_at": times.get("closed"),
            "last_job_started": _stamp(max(started, default=None)),
            "last_job_completed": _stamp(max(ended, default=None)),
            "elapsed_time": sum(job.charged_s for job in jobs),
        }


@dataclass(frozen=True)
class Route:
    """A request that the server knows, with the names that its path holds."""

    area: str
    method: str
    template: str
    handler: Callable[..., Answer]

    def match(self, request: Request) -> list[str] | None:
        """Return the names in the path of a request of this route."""
        if (request.area, request.method) != (self.area, self.method):
            return None
        pattern = re.sub(r"{\w+}", "([^/]+)", self.template)
        found = re.fullmatch(pattern, request.path)
        return None if found is None else [unquote(name) for name in found.groups()]


ROUTES = (
    Route("iam", "POST", "/identity/token", Cloud.issue_token),
    Route("search", "POST", "/v3/resources/search", Cloud.search),
    Route("catalog", "GET", "/catalog/{plan}", Cloud.catalog),
    Route("quantum", "GET", "/instances/usage", Cloud.usage),
    Route("quantum", "GET", "/backends", Cloud.backends),
    Route("quantum", "GET", "/backends/{name}/{page}", Cloud.backend),
    Route("quantum", "POST", "/jobs", Cloud.create_job),
    Route("quantum", "GET", "/jobs", Cloud.list_jobs),
    Route("quantum", "GET", "/jobs/{id}", Cloud.get_job),
    Route("quantum", "DELETE", "/jobs/{id}", Cloud.delete_job),
    Route("quantum", "GET", "/jobs/{id}/results", Cloud.results),
    Route("quantum", "GET", "/jobs/{id}/logs", Cloud.logs),
    Route("quantum", "GET", "/jobs/{id}/metrics", Cloud.metrics),
    Route("quantum", "PUT", "/jobs/{id}/tags", Cloud.tag_job),
    Route("quantum", "POST", "/jobs/{id}/cancel", Cloud.cancel_job),
    Route("quantum", "POST", "/sessions", Cloud.create_session),
    Route("quantum", "GET", "/sessions/{id}", Cloud.get_session),
    Route("quantum", "PATCH", "/sessions/{id}", Cloud.patch_session),
    Route("quantum", "DELETE", "/sessions/{id}/close", Cloud.cancel_session),
)


def find(request: Request) -> tuple[Route, list[str]] | None:
    """Return the route of a request, with the names in its path."""
    for route in ROUTES:
        names = route.match(request)
        if names is not None:
            return route, names
    return None


def _listed(job: Job) -> bool:
    if job.plan.unlisted > 0:
        job.plan.unlisted -= 1
        return False
    return True


def _matches(job: Job, request: Request) -> bool:
    """Tell whether a job is among those that a list of jobs is asked for."""
    session = "" if job.session is None else job.session.id
    pending = str(job.state not in FINAL).lower()
    after, before = request.first("created_after"), request.first("created_before")
    return (
        set(request.query.get("tags", [])) <= set(job.tags)
        and request.first("backend", job.backend) == job.backend
        and request.first("program", "executor") == "executor"
        and request.first("session_id", session) == session
        and request.first("pending", pending) == pending
        and (not after or datetime.fromisoformat(after) <= job.created)
        and (not before or job.created <= datetime.fromisoformat(before))
    )


def _job_page(job: Job) -> dict[str, Any]:
    state: dict[str, Any] = {"status": job.status}
    if job.reason is not None:
        state |= {"reason": job.reason, "reason_code": job.code}
    return {
        "id": job.id,
        "backend": job.backend,
        "status": job.status,
        "state": state,
        "program": {"id": "executor"},
        "created": _stamp(job.created),
        "ended": _stamp(job.finished),
        "tags": job.tags,
        "session_id": None if job.session is None else job.session.id,
        "private": job.private,
        "estimated_running_time_seconds": job.program.seconds,
        "usage": {"seconds": job.charged_s},
    }


def _metrics(job: Job) -> dict[str, Any]:
    usage = {
        "seconds": job.charged_s,
        "quantum_seconds": job.charged_s,
        "qpu_charge_time_seconds": job.charged_s,
        "status": "complete" if job.state in FINAL else "pending",
    }
    times = ("created", "running", "finished")
    return {
        "timestamps": {name: _stamp(getattr(job, name)) for name in times},
        "usage": usage,
        "bss": {"seconds": job.charged_s},
        "executions": job.program.executions,
        "num_circuits": len(job.program.items),
    }


def _record(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "tags": list(job.tags),
        "backend": job.backend,
        "instance": job.instance.name,
        "items": len(job.program.items),
        "parameter_sets": sum(job.program.sizes),
        "shots": job.program.shots,
        "executions": job.program.executions,
        "session_id": None if job.session is None else job.session.id,
        "mode": "job" if job.session is None else job.session.mode,
        "state": job.state,
        "max_time": job.max_time,
    }


def _session_record(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "mode": session.mode,
        "backend": session.backend,
        "instance": session.instance.name,
        "state": session.state,
        "accepting": session.accepting,
        "max_time": session.max_ttl,
    }


def _bearer(life_s: int) -> tuple[str, int]:
    """Return a token whose times the client can read, and when it expires."""
    issued = int(time.time())
    claims = {"iat": issued, "exp": issued + life_s, "jti": secrets.token_hex(16)}
    parts = [_base64(json.dumps(part).encode()) for part in ({"alg": "HS256"}, claims)]
    text = ".".join(parts)
    # No one checks the signature, hence a key that no one keeps.
    signature = hmac.digest(secrets.token_bytes(32), text.encode(), hashlib.sha256)
    return f"{text}.{_base64(signature)}", issued + life_s


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _now() -> datetime:
    return datetime.now(UTC)


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")

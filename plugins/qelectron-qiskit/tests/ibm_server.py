"""A server on loopback that speaks IBM Quantum's protocol and runs jobs on Aer.

Qiskit's own client, unpatched, talks to it by plain proxying of HTTP: all hosts of the
service (`quantum.cloud.test`, `iam.cloud.test` and others) arrive on its one port.

    with IBMServer() as server:
        os.environ.update(server.environment)  # at least IAM_URL
        service = QiskitRuntimeService(**server.account())

Run as a program it prints a line of JSON that tells how to reach it and serves until
its standard input closes; `RemoteControl` counts and orders from other processes.
"""

from __future__ import annotations

import argparse
import http.client
import inspect
import json
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import ibm_cloud
import ibm_machine
from ibm_cloud import INSTANCES, Answer, Cloud, Request
from ibm_machine import DYNAMIC, MACHINES, SMALL, Machine

URL = "http://cloud.test"
IAM_URL = "http://iam.cloud.test"
CONTROL = "control.test"
AREAS = {
    "iam": "iam",
    "api.global-search-tagging": "search",
    "globalcatalog": "catalog",
    "quantum": "quantum",
}
KINDS = ("status", "drop", "close", "cut", "late", "never")
DONE_WITHIN_S = 10


@dataclass(frozen=True)
class JobRecord:
    """A job that the server accepted."""

    id: str
    tags: list[str]
    backend: str
    instance: str
    items: int
    parameter_sets: int
    shots: int
    executions: int
    session_id: str | None
    mode: str
    state: str
    max_time: int | None


@dataclass(frozen=True)
class SessionRecord:
    """A session or a batch that the server opened."""

    id: str
    mode: str
    backend: str
    instance: str
    state: str
    accepting: bool
    max_time: int | None


class Control:
    """What a test may ask and order, of a server in this process or in another one."""

    def _order(self, name: str, order: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def counts(self) -> dict[str, Any]:
        """Return all counts as one consistent picture."""
        return self._order("counts", {})

    @property
    def jobs(self) -> list[JobRecord]:
        """The accepted jobs, in order."""
        return [JobRecord(**job) for job in self.counts()["jobs"]]

    @property
    def sessions(self) -> list[SessionRecord]:
        """The sessions and batches, in order."""
        return [SessionRecord(**one) for one in self.counts()["sessions"]]

    @property
    def submitted(self) -> int:
        """How many jobs were accepted."""
        return len(self.jobs)

    @property
    def duplicates(self) -> int:
        """How many accepted jobs have a first tag that one before them had."""
        return int(self.counts()["duplicates"])

    @property
    def cancelled(self) -> int:
        """How many jobs a client cancelled, alone or with their session."""
        return int(self.counts()["cancelled"])

    @property
    def requests(self) -> Counter[str]:
        """How often each route was asked for, as in `"GET /jobs/{id}"`."""
        return Counter(self.counts()["requests"])

    @property
    def log(self) -> list[tuple[float, str]]:
        """When which route was asked for, in seconds of the monotonic clock."""
        return [(at, route) for at, route in self.counts()["log"]]

    def trouble(self, kind: str, **order: Any) -> None:
        """Spoil the next requests of a kind.

        Args:
            kind: `"status"` answers with an error; `"drop"` ends the connection where
                the answer should begin, so that the client fails as it does on a lost
                connection to IBM; `"close"` ends it without a byte, upon which a client
                behind a proxy, as here, repeats any request, even a `POST`; `"cut"`
                ends it amid the answer; `"late"` answers rightly after `delay_s`; and
                `"never"` lets the client wait until the server closes or calms down,
                and then drops it.
            order: Fields of `Trouble`. `"cut"` and `"late"` do what the request asks
                for; the others do, too, if `act` is true.
        """
        self._order("trouble", {"kind": kind, **order})

    def calm(self) -> None:
        """End all trouble."""
        self._order("calm", {})

    def next_jobs(self, times: int | None = 1, **plan: Any) -> None:
        """Decide what is to become of the next jobs.

        Args:
            times: Of how many of them; `None` is all.
            plan: Fields of `ibm_cloud.Plan`: `fail`, `code`, `cancelled`, `odd_status`,
                `hold`, `queue_s`, `run_s`, `unlisted`.
        """
        self._order("next_jobs", {"times": times, **plan})

    def release(self, job_id: str | None = None) -> None:
        """End the waiting of a job, or of all: in the queue, or on the machine."""
        self._order("release", {"job_id": job_id})

    def expire_tokens(self) -> None:
        """Make all bearers issued so far invalid."""
        self._order("expire_tokens", {})

    def revoke(self) -> None:
        """Make the API key invalid, and all bearers."""
        self._order("revoke", {})

    def end_sessions(self) -> None:
        """Close all sessions and batches, as when they reach their limit."""
        self._order("end_sessions", {})

    def set_backend(
        self, name: str, *, operational: bool = True, status: str = "active"
    ) -> None:
        """Change what a machine says of itself, such as `status="maintenance"`."""
        order = {"name": name, "operational": operational, "status": status}
        self._order("set_backend", order)


@dataclass
class Trouble:
    """Requests to spoil, and how.

    Attributes:
        kind: One of `KINDS`.
        method: Only requests of this method.
        path: Only requests whose path this pattern finds; see `ibm_cloud.ROUTES`.
        times: How many of them; `None` is all.
        after: How many of them to serve well first.
        act: Whether to do what is asked for, before the spoilt answer.
        status: The status to answer with.
        retry_after: What to answer as `Retry-After`, if anything.
        delay_s: How long to wait before the answer.
        text: What to answer with a status, in place of an error of the API's.
    """

    kind: str
    method: str | None = None
    path: str | None = None
    times: int | None = 1
    after: int = 0
    act: bool = False
    status: int = 500
    retry_after: int | None = None
    delay_s: float = 0
    text: str | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"the kind is one of {KINDS}, not {self.kind!r}")
        self.act = self.act or self.kind in ("cut", "late")

    def strikes(self, request: Request) -> bool:
        """Tell whether this request is one to spoil, and count it."""
        if self.method not in (None, request.method):
            return False
        if self.path is not None and not re.search(self.path, request.path):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def spoilt(self, answer: Answer) -> Answer:
        """Return what to answer in place of the right answer."""
        if self.kind != "status":
            return answer
        after = self.retry_after
        headers = {} if after is None else {"Retry-After": str(after)}
        body = ibm_cloud.error_body(1234, "Trouble.")
        content = body if self.text is None else self.text
        return Answer(self.status, content, headers)


class IBMServer(Control):
    """The server, serving from threads of this process while it is entered.

    Args:
        machines: The machines by name, each with the class of the client's fake machine
            that its data come from.
        noise: Whether the machines have the noise of the fake ones.
        seed: Makes equal jobs give equal samples in every server, the first time as
            well as each further time that they are sent.
        token_life_s: How long a bearer is valid, as the client is told; the client
            asks for a new one 10 s before, or with up to 10 s for each request.
        port: The port, by default one that the system chooses.
    """

    url = URL

    def __init__(
        self,
        machines: Mapping[str, str] = MACHINES,
        *,
        noise: bool = False,
        seed: int | None = None,
        token_life_s: int = 3600,
        port: int = 0,
    ) -> None:
        made = {
            name: Machine(name, source, noise=noise, seed=seed)
            for name, source in machines.items()
        }
        self.cloud = Cloud(made, token_life_s=token_life_s)
        self._troubles: list[Trouble] = []
        self._calm = threading.Event()
        self._server = _HTTPServer(("127.0.0.1", port), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=[0.05], daemon=True
        )
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving, end all waiting, and wait for the threads."""
        self.cloud.closing.set()
        self.calm()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.drop_connections()
        self._server.server_close()
        self.cloud.close()

    # --- How to reach it ----------------------------------------------------------

    @property
    def token(self) -> str:
        """The valid API key."""
        return self.cloud.token

    @property
    def instances(self) -> dict[str, str]:
        """The CRN of each instance, by its name."""
        return {instance.name: instance.crn for instance in INSTANCES}

    @property
    def proxies(self) -> dict[str, dict[str, str]]:
        """The proxies for the client; `https`, too, so that nothing leaves the host."""
        address = f"http://127.0.0.1:{self.port}"
        return {"urls": {"http": address, "https": address}}

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that is to reach this server and no other."""
        address = f"http://127.0.0.1:{self.port}"
        names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy")
        proxies = dict.fromkeys(names, address)
        return {**proxies, "IAM_URL": IAM_URL, "NO_PROXY": "", "no_proxy": ""}

    def account(self, instance: str = "open-instance") -> dict[str, Any]:
        """Return the arguments for a `QiskitRuntimeService`."""
        return {
            "token": self.token,
            "url": self.url,
            "proxies": self.proxies,
            "instance": self.instances[instance],
        }

    def save_account(self, path: str | Path, instance: str = "open-instance") -> None:
        """Save the account to a file, as its default one."""
        ibm_machine.save_account(path, **self.account(instance))

    # --- Orders and troubles --------------------------------------------------------

    def _order(self, name: str, order: dict[str, Any]) -> dict[str, Any]:
        if name == "trouble":
            with self.cloud.lock:
                self._troubles.append(Trouble(**order, over=self._calm))
            return {}
        if name == "calm":
            with self.cloud.lock:
                self._troubles.clear()
                self._calm.set()
                self._calm = threading.Event()
            return {}
        return getattr(self.cloud, name)(**order) or {}

    def control(self, request: Request) -> Answer:
        """Act upon an order from another process."""
        name = request.path.strip("/")
        if name.startswith("_") or name not in _ORDERS:
            return Answer(404, {"error": f"there is no order {name!r}"})
        try:
            return Answer(content=self._order(name, request.json()))
        except (TypeError, ValueError, KeyError) as error:
            return Answer(400, {"error": str(error)})

    def note(self, request: Request) -> Trouble | None:
        """Count a request and return the trouble that awaits it."""
        found = ibm_cloud.find(request)
        path = request.path if found is None else found[0].template
        with self.cloud.lock:
            route = f"{request.method} {path}"
            self.cloud.requests[route] += 1
            self.cloud.log.append((time.monotonic(), route))
            for trouble in self._troubles:
                if trouble.times != 0 and trouble.strikes(request):
                    return trouble
        return None


_ORDERS = {
    name
    for name, member in inspect.getmembers(Control, inspect.isfunction)
    if not name.startswith("_")
}


class RemoteControl(Control):
    """The control of a server that runs as a program of its own."""

    def __init__(self, port: int) -> None:
        self.port = port

    def _order(self, name: str, order: dict[str, Any]) -> dict[str, Any]:
        method = "GET" if name == "counts" else "POST"
        line = http.client.HTTPConnection("127.0.0.1", self.port, DONE_WITHIN_S)
        try:
            body = json.dumps(order)
            line.request(method, f"http://{CONTROL}/{name}", body, {"Host": CONTROL})
            response = line.getresponse()
            content: dict[str, Any] = json.loads(response.read())
        finally:
            line.close()
        if response.status != 200:
            raise ValueError(content["error"])
        return content


class _HTTPServer(ThreadingHTTPServer):
    """Serves each connection from a thread, and can end them all."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: IBMServer) -> None:
        self.owner = owner
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection from a thread that `drop_connections` will know."""
        thread = threading.Thread(
            target=self.process_request_thread,
            args=[request, client_address],
            daemon=True,
        )
        with self._lock:
            for ended in [one for one in self._connections if not one.is_alive()]:
                del self._connections[ended]
            # Started here, so that it counts as alive for the next connection.
            thread.start()
            self._connections[thread] = request

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the client went away."""

    def drop_connections(self) -> None:
        """Close all connections and wait for their threads."""
        with self._lock:
            connections = dict(self._connections)
        for connection in connections.values():
            # One that its thread closed already needs no more.
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in connections:
            thread.join(DONE_WITHIN_S)


class _Handler(BaseHTTPRequestHandler):
    """Reads requests from a connection and writes the answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _HTTPServer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a request may hold secrets."""

    def handle(self) -> None:
        """Serve until either side hangs up."""
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def _serve(self) -> None:
        owner, request = self.server.owner, self._request()
        if request.area == "control":
            self._write(owner.control(request))
            return
        trouble = owner.note(request)
        if trouble is None:
            self._write(owner.cloud.answer(request))
            return
        answer = owner.cloud.answer(request) if trouble.act else Answer()
        if trouble.kind == "never":
            trouble.over.wait()
        trouble.over.wait(trouble.delay_s)
        if trouble.kind in ("status", "late"):
            self._write(trouble.spoilt(answer))
        else:
            self._hang_up(trouble.kind, answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def do_CONNECT(self) -> None:
        """Refuse to be a way out of this host."""
        with self.server.owner.cloud.lock:
            self.server.owner.cloud.requests["CONNECT"] += 1
        self._write(Answer(403, ibm_cloud.error_body(1200, "No way out.")))

    def _request(self) -> Request:
        target = urlsplit(self.path)
        host = target.hostname or self.headers.get("Host", "").partition(":")[0]
        area = "control" if host == CONTROL else AREAS.get(_stem(host), "unknown")
        path = target.path.removeprefix("/api/v1")
        length = int(self.headers.get("Content-Length") or 0)
        return Request(
            method=self.command,
            area=area,
            path=f"/catalog{path}" if area == "catalog" else path,
            query=parse_qs(target.query),
            headers=dict(self.headers.items()),
            body=self.rfile.read(length),
        )

    def _write(self, answer: Answer) -> None:
        self.wfile.write(self._bytes(answer))

    def _bytes(self, answer: Answer) -> bytes:
        text, kind = answer.content, "text/plain"
        if not isinstance(text, str):
            text, kind = json.dumps(text), "application/json"
        body = b"" if answer.status == 204 else text.encode()
        headers = {"Content-Type": kind, "Content-Length": str(len(body))}
        if answer.status == 204:
            headers = {}
        phrase = self.responses.get(answer.status, ("Unknown",))[0]
        lines = [f"HTTP/1.1 {answer.status} {phrase}"]
        lines += [
            f"{name}: {value}" for name, value in {**headers, **answer.headers}.items()
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def _hang_up(self, kind: str, answer: Answer) -> None:
        """End the connection before, or amid, the answer.

        Never by a reset, which could overtake the bytes before it: the client would
        fail at one point or at another, as the case may be.
        """
        self.close_connection = True
        if kind == "cut":
            self.wfile.write(self._bytes(answer)[:-1])
        elif kind != "close":
            self.wfile.write(b"HT")


def _stem(host: str) -> str:
    return host.removesuffix("." + URL.removeprefix("http://"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Serve a stand-in for IBM Quantum.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--small", default=SMALL, help="the name of the small machine")
    parser.add_argument("--dynamic", default=DYNAMIC, help="the name of the other one")
    return parser


def main() -> None:
    """Serve until the standard input closes."""
    options = _parser().parse_args()
    sources = {options.small: MACHINES[SMALL], options.dynamic: MACHINES[DYNAMIC]}
    with IBMServer(
        sources, noise=options.noise, seed=options.seed, port=options.port
    ) as server:
        told = {"port": server.port, "token": server.token, "url": server.url}
        told |= {"proxies": server.proxies, "instances": server.instances}
        told |= {"environment": server.environment}
        print(json.dumps(told), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()

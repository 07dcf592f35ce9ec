"""A cluster on this machine: a scheduler and workers, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from qelectron_dask.errors import ClusterLostError

if TYPE_CHECKING:
    from distributed import Security

#: Seconds that the processes of a cluster get to end by themselves.
END_S: Final = 10.0
#: Seconds after which workers that are still at work are killed.
GRACE_S: Final = 3.0
#: What the first process runs. It finds modules where this one does, and has no main
#: module of the user's that workers would run once more.
_CODE: Final = """
import json, sys
options = json.loads(sys.stdin.readline())
sys.path[:] = options["path"]
from qelectron_dask.local import serve
serve(options["workers"])
"""
#: What a client needs of a temporary certificate.
_CREDENTIALS: Final = ("tls_ca_file", "tls_client_cert", "tls_client_key")
#: Errors that workers cause reach the caller; what they log besides is noise.
_ENVIRONMENT: Final = {
    "DASK_LOGGING__DISTRIBUTED": "critical",
    "DASK_DISTRIBUTED__WORKER__DAEMON": "False",  # they may have processes, too
}


class LocalCluster:
    """A scheduler and worker processes that live as long as this program wants.

    They end when this process does, however it ends: they see their input close. Who
    connects must show a certificate that is made for this cluster and written nowhere:
    else other users of the machine could have the workers run what they like.

    Attributes:
        scheduler_address: Where the scheduler is.
        security: What a client shows and asks for to connect.
        workers: Number of worker processes, of one thread each.
    """

    def __init__(self, workers: int, timeout_s: float) -> None:
        """Start the processes.

        Raises:
            ClusterLostError: If they do not start in time.
        """
        self.workers = workers
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **_ENVIRONMENT},
            start_new_session=True,  # Ctrl-C in a terminal is for the program only
        )
        try:
            self.scheduler_address, self.security = self._start(timeout_s)
        except BaseException:
            self.close()
            raise

    def _start(self, timeout_s: float) -> tuple[str, Security]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        options = {"path": [path or os.getcwd() for path in sys.path]}
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps({**options, "workers": self.workers}) + "\n")
            process.stdin.flush()
        lines: list[str] = []
        read = process.stdout.readline
        reader = threading.Thread(target=lambda: lines.append(read()), daemon=True)
        reader.start()
        reader.join(timeout_s)
        if not (lines and lines[0].strip()):
            raise ClusterLostError(self._not_started(timeout_s))
        from distributed import Security

        address, credentials = json.loads(lines[0])
        return address, Security(require_encryption=True, **credentials)

    def _not_started(self, timeout_s: float) -> str:
        code = self._process.poll()
        reason = "" if code is None else f" Its process ended with code {code}."
        return (
            f"a local Dask cluster of {self.workers} workers did not start within "
            f"{timeout_s:g} s.{reason} Raise connect_s, or try "
            "`python -c 'import distributed'`."
        )

    @property
    def is_alive(self) -> bool:
        """Whether the process of the scheduler is there."""
        return self._process.poll() is None

    def close(self) -> None:
        """End all processes."""
        process = self._process
        with suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()  # type: ignore[union-attr]  # it is a pipe


def serve(workers: int) -> None:
    """Be the scheduler, and keep worker processes, until the input closes."""
    from distributed import LocalCluster as Served
    from distributed import Security

    security = Security.temporary()
    credentials = {name: getattr(security, name) for name in _CREDENTIALS}
    answer = os.dup(1)
    os.dup2(2, 1)  # what workers print must not be taken for the answer
    with Served(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        protocol="tls",
        security=security,
        dashboard_address="127.0.0.1:0",  # None would be port 8787 of all interfaces
        scheduler_kwargs={"dashboard": False},
        silence_logs=False,
    ) as cluster:
        line = json.dumps([cluster.scheduler_address, credentials])
        os.write(answer, f"{line}\n".encode())
        os.close(answer)
        sys.stdin.read()
        _end_soon()


def _end_soon() -> None:
    """See to it that workers in the middle of something end as well."""
    if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
        timer = threading.Timer(GRACE_S, os.killpg, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()

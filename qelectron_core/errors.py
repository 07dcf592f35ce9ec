"""Every error that qelectron raises, in one tree.

A message says what failed, what was expected, and what to do next.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any


class QElectronError(Exception):
    """Base of all errors of qelectron."""


class ConfigError(QElectronError, ValueError):
    """An option has a value that cannot be honoured."""


class UnknownNameError(QElectronError, LookupError):
    """No installed plugin offers something by this name."""


class PluginLoadError(QElectronError):
    """A plugin was found but could not be loaded."""


class ExecutorError(QElectronError):
    """An executor broke its contract or could not run a circuit."""


class ExecutorTimeoutError(ExecutorError, TimeoutError):
    """A job did not end within its executor's `timeout_s`."""


class TransientError(ExecutorError):
    """A vendor cannot answer now, and took nothing; asking again is safe.

    Raised by the methods of remote executors. From `submit` it asserts that no
    job was accepted.

    Attributes:
        retry_after_s: Seconds that the vendor asked to wait, or `None`.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        """Return the message."""
        return str(self.args[0])


class RateLimitError(TransientError):
    """A vendor got too many requests; all of its account's requests then wait."""


class JobFailedError(ExecutorError):
    """A vendor says that a job failed."""


class JobCancelledError(JobFailedError):
    """A job was cancelled at the vendor, not by this program; never retried."""


class UnsettledJobError(ExecutorError):
    """It is not known how a remote job ended, or whether it was accepted.

    Never retried and never sent elsewhere: the job may run, and cost, already.
    """


class UnknownJobError(UnsettledJobError):
    """A vendor knows no job by this handle."""


class BudgetError(QElectronError):
    """A budget does not allow a circuit, which was therefore not sent.

    Attributes:
        plan: What would have been sent, a `Plan`, if that is known.
    """

    def __init__(self, message: str, plan: Any = None) -> None:
        super().__init__(message, plan)
        self.plan = plan

    def __str__(self) -> str:
        """Return the message."""
        return str(self.args[0])


class FormatError(QElectronError, ValueError):
    """Something cannot be written down faithfully, or what was read is damaged."""


class StoreError(QElectronError):
    """A store cannot be opened, read or written."""


class SelectorError(QElectronError):
    """A selector failed or chose something that is not in its cluster."""


#: Distributions known to offer a name that is often asked for, so that a user
#: without the plugin is told what to install. The only place in the core that
#: knows plugins by name.
KNOWN_DISTRIBUTIONS: Mapping[str, str] = {
    "Simulator": "qelectron-simulator",
    "cyclic": "qelectron-selectors",
    "random": "qelectron-selectors",
    "least-busy": "qelectron-selectors",
    "fastest": "qelectron-selectors",
    "weighted": "qelectron-selectors",
    "by-capability": "qelectron-selectors",
    "Echo": "qelectron-echo",
    "QiskitExecutor": "qelectron-qiskit",
    "IBMQExecutor": "qelectron-qiskit",
    "DaskExecutor": "qelectron-dask",
    "electron": "qelectron-dask",
    "lattice": "qelectron-dask",
    "dispatch": "qelectron-dask",
    "get_result": "qelectron-dask",
    "sqlite": "qelectron-sqlite",
}


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the nearest known name, or nothing."""
    by_folded = {candidate.lower(): candidate for candidate in known}
    near = get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    return f" Did you mean {by_folded[near[0]]!r}?" if near else ""


def install_hint(name: str) -> str:
    """Return the `pip install` line of the plugin that brings `name`, or nothing."""
    folded = {known.lower(): dist for known, dist in KNOWN_DISTRIBUTIONS.items()}
    distribution = folded.get(name.lower())
    if distribution is None:
        return ""
    return f" It comes with {distribution}: pip install {distribution}"


def check_options(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse option names that do not exist.

    Args:
        where: What takes the options, as it should be named in the message.
        given: Option names that were passed.
        known: Option names that exist.

    Raises:
        TypeError: If a name is unknown; says which exist and which was meant.
    """
    options = sorted(known)
    for name in given:
        if name not in options:
            listing = ", ".join(options) or "none"
            message = f"{where} has no option {name!r}.{suggest(name, options)}"
            raise TypeError(f"{message} Options: {listing}.")

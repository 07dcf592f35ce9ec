"""Every error that qelectron raises, in one tree.

A message says what failed, what was expected, and what to do next.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches


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


class SelectorError(QElectronError):
    """A selector failed or chose something that is not in its cluster."""


#: Distributions known to offer a name that is often asked for, so that a user
#: without the plugin is told what to install. The only place in the core that
#: knows plugins by name.
KNOWN_DISTRIBUTIONS: Mapping[str, str] = {
    "Simulator": "qelectron-simulator",
    "cyclic": "qelectron-selectors",
    "random": "qelectron-selectors",
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

"""Machines by name: Aer, snapshots of IBM's machines, and retired ones."""

from __future__ import annotations

import functools
import importlib
import re
import threading
import uuid
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final
from weakref import WeakKeyDictionary

import attrs

from qelectron_core import ConfigError
from qelectron_qiskit.loading import load_qiskit

#: Name of the simulator without noise.
AER: Final = "aer_simulator"
#: What it is called.
AER_NAMES: Final = frozenset({AER, "aer", "simulator"})
_RETIRED_SIMULATOR: Final = re.compile(r"ibmq_qasm_simulator|simulator_\w+")
#: Names of machines until 2023; the last of these was switched off in that year.
_RETIRED: Final = re.compile(r"ibmq_(?:\d+_)?(\w+)|ibmqx\d+")
#: Machines of before that have a snapshot under another name.
_RENAMED: Final = {"ibmqx2": "yorktown"}
#: Most names that a message lists.
MOST_NAMES: Final = 20
_FAKES: Final = "qiskit_ibm_runtime.fake_provider"


#: The keys of the backends that users made.
_keys: Final[WeakKeyDictionary[Any, str]] = WeakKeyDictionary()
_naming: Final = threading.Lock()


@attrs.frozen
class Given:
    """A backend that the user made; equal to itself only, and to its copies.

    Attributes:
        backend: The `BackendV2`.
        key: Tells it from all others, in other processes too.
    """

    backend: Any = attrs.field(eq=False)
    key: str

    def __repr__(self) -> str:
        """Show the backend."""
        return f"<{self.backend.name}>"


def to_backend(value: Any) -> Any:
    """Return a backend as executors keep it: a name, or what the user made.

    A snapshot of the provider is its name, so that equal ones are equal.
    """
    if value is None or isinstance(value, (str, Given)):
        return value
    kind = type(value)
    if kind.__module__.startswith(f"{_FAKES}.") and hasattr(kind, "backend_name"):
        return str(kind.backend_name)
    if not (hasattr(value, "target") and callable(getattr(value, "run", None))):
        message = (
            f"backend={value!r} is no backend. Expected a name such as {AER!r} or "
            "'fake_manila', or a Qiskit BackendV2."
        )
        raise ConfigError(message)
    with _naming:
        return Given(value, _keys.setdefault(value, uuid.uuid4().hex))


def is_retired(name: str) -> bool:
    """Tell whether a name is one of a machine that IBM has switched off."""
    return bool(_RETIRED.fullmatch(name) or _RETIRED_SIMULATOR.fullmatch(name))


def stand_in(name: str) -> str:
    """Return what runs here in place of a machine that IBM has switched off.

    Raises:
        ConfigError: If there is no snapshot of it.
    """
    if _RETIRED_SIMULATOR.fullmatch(name):
        return AER
    found = _RETIRED.fullmatch(name)
    city = _RENAMED.get(name) or (found.group(1) if found else None) or ""
    if f"fake_{city}" not in fakes():
        message = (
            f"backend {name!r} was switched off by IBM, and there is no snapshot of "
            f"it. {near(f'fake_{city}', fakes())}"
        )
        raise ConfigError(message)
    return f"fake_{city}"


@functools.cache
def fakes() -> Mapping[str, type]:
    """Return the snapshots that the installed provider ships, by name."""
    load_qiskit()
    provider = importlib.import_module(_FAKES)
    classes = [each for each in vars(provider).values() if isinstance(each, type)]
    found = {getattr(each, "backend_name", None): each for each in classes}
    return {name: found[name] for name in sorted(filter(None, found))}


def check_local(name: str) -> None:
    """Refuse the name of a machine that does not run here.

    Raises:
        ConfigError: If there is none; names those that are near.
    """
    if name in AER_NAMES or name in fakes():
        return
    message = (
        f"no backend {name!r} runs on this machine. Expected {AER!r}, the name of a "
        "snapshot such as 'fake_manila', or a Qiskit BackendV2. "
        f"{near(re.sub('^ibmq?_', 'fake_', name), fakes())}"
    )
    if name.startswith("ibm_"):
        message += " For the machine at IBM, say device='sampler'."
    raise ConfigError(message)


def near(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the nearest of some names."""
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    shown = ", ".join(map(repr, names[:MOST_NAMES]))
    more = len(names) - MOST_NAMES
    if more > 0:
        shown += f" and {more} more"
    return f"There are: {shown}." if names else "There are none."


def is_aer(backend: Any) -> bool:
    """Tell whether a backend is Aer's simulator."""
    return any(
        kind.__module__.startswith("qiskit_aer.") and kind.__name__ == "AerSimulator"
        for kind in type(backend).__mro__
    )


@functools.lru_cache(maxsize=64)
def is_ideal(machine: Any) -> bool:
    """Tell whether a machine is Aer's, without noise."""
    if not isinstance(machine, Given) or not is_aer(machine.backend):
        return False
    noise = machine.backend.options.noise_model
    return noise is None or bool(noise.is_ideal())


def load_local(backend: Any) -> Any:
    """Return the backend of a name, or what the user made."""
    if isinstance(backend, Given):
        return backend.backend
    load_qiskit()
    if backend is None or backend in AER_NAMES:
        from qiskit_aer import AerSimulator

        return AerSimulator()
    return fakes()[backend]()


@attrs.frozen
class Facts:
    """What is known of a machine without running anything.

    Attributes:
        name: Its name.
        n_qubits: How many qubits it has; `None` is any number.
        operations: The names of what it can do.
        calibrated: When it was calibrated, ISO 8601, if it is a real one's snapshot.
    """

    name: str
    n_qubits: int | None
    operations: frozenset[str]
    calibrated: str | None

    @classmethod
    def of(cls, backend: Any) -> Facts:
        """Ask a backend."""
        target = backend.target
        properties = getattr(backend, "properties", None)
        known = properties() if callable(properties) else None
        date = getattr(known, "last_update_date", None)
        return cls(
            str(backend.name),
            target.num_qubits,
            frozenset(target.operation_names),
            None if date is None else date.isoformat(),
        )

    @property
    def metadata(self) -> dict[str, str]:
        """What is worth keeping with each result."""
        calibrated = {} if self.calibrated is None else {"calibrated": self.calibrated}
        return {"backend": self.name, **calibrated}


@functools.lru_cache(maxsize=64)
def local_facts(backend: Any) -> Facts:
    """Return what is known of a machine that runs here."""
    return Facts.of(load_local(backend))

"""How to build a PennyLane device again, once per worker."""

from __future__ import annotations

import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import attrs
import pennylane as qml
from pennylane.devices import Device, ExecutionConfig
from pennylane.transforms.core import CompilePipeline

from qelectron_core import ConfigError
from qelectron_core.structure import structure_of

#: Packages whose devices are known to be described by their constructor alone.
_REBUILDABLE: Final = ("pennylane.", "pennylane_lightning.")
#: Constructor arguments that a device keeps under another name.
_RENAMED: Final = {"readout_prob": "readout_err"}
#: Arguments that are not options: they are given apart, or per circuit.
_APART: Final = frozenset({"self", "wires", "shots", "seed"})


#: One lock per device, whoever shares it.
_turns: Final[WeakKeyDictionary[Device, Any]] = WeakKeyDictionary()


class Shared:
    """A device that cannot be built again, so that workers take turns with it."""

    def __init__(self, device: Device) -> None:
        """Share a device."""
        self.device = device
        self.turn = _turns.setdefault(device, threading.RLock())

    def __eq__(self, other: object) -> bool:
        """Compare by the identity of the device."""
        return isinstance(other, Shared) and other.device is self.device

    def __hash__(self) -> int:
        """Follow the identity of the device."""
        return id(self.device)

    def __reduce__(self) -> tuple[type[Shared], tuple[Device]]:
        """Travel without the lock."""
        return Shared, (self.device,)


@attrs.frozen
class DeviceSpec:
    """Describes a PennyLane device well enough to build it.

    Attributes:
        kind: Name as for `qml.device`, class, or a device shared by all workers.
        wires: Labels of its wires, or `None` for any.
        options: Further constructor arguments, sorted by name.
    """

    kind: str | type[Device] | Shared
    wires: tuple[Hashable, ...] | None = None
    options: tuple[tuple[str, Hashable], ...] = ()

    @classmethod
    def of(cls, device: Device) -> DeviceSpec:
        """Describe a device; share it if that cannot be done faithfully."""
        wires = None if device.wires is None else tuple(device.wires)
        options = _options(device)
        if options is not None:
            spec = cls(type(device), wires, options)
            if _options(spec.build()) == options:
                return spec
        return cls(Shared(device), wires)

    @property
    def is_shared(self) -> bool:
        """Whether all workers take turns with one device."""
        return isinstance(self.kind, Shared)

    def build(self, **options: Any) -> Device:
        """Build a device, with further options; return the shared one as it is."""
        if isinstance(self.kind, Shared):
            return self.kind.device
        arguments = {"wires": _wires(self.wires), **dict(self.options), **options}
        if isinstance(self.kind, str):
            return qml.device(self.kind, **arguments)
        return self.kind(**arguments)


def _nothing() -> None:
    """Stand for a reference to a circuit that is gone."""


class Probe:
    """A device that is only asked, and never run."""

    def __init__(self, spec: DeviceSpec) -> None:
        """Build the device to ask."""
        self.device = spec.build()
        self._answers: dict[Hashable, bool] = {}
        self._transforms: dict[str, CompilePipeline] = {}
        self._latest: tuple[Callable[[], Any], Hashable | None] = (_nothing, None)
        parameters = inspect.signature(type(self.device).__init__).parameters
        self.takes_seed = not spec.is_shared and "seed" in parameters

    def supports_derivatives(self, method: str, circuit: Any) -> bool:
        """Ask once per structure: the device may have to try the circuit."""
        structure = None if circuit is None else self._structure(circuit)
        if circuit is not None and structure is None:
            return self._ask(method, circuit)
        key = (method, structure)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._ask(method, circuit)
            if len(self._answers) > MAX_REMEMBERED:
                self._answers.clear()
            self._answers[key] = answer
        return answer

    def derivative_transforms(self, method: str) -> CompilePipeline:
        """Return what a circuit needs before a method applies; asked once each."""
        known = self._transforms.get(method)
        if known is None:
            config = ExecutionConfig(
                gradient_method=method,
                use_device_gradient=True,
                use_device_jacobian_product=False,
            )
            settled = self.device.setup_execution_config(config)
            known = self.device.preprocess_transforms(settled)
            self._transforms[method] = known
        return known

    def _structure(self, circuit: Any) -> Hashable | None:
        """Return the structure of a circuit, for which PennyLane asks several times."""
        asked, structure = self._latest
        if asked() is not circuit:
            structure = structure_of(circuit)
            self._latest = (weakref.ref(circuit), structure)
        return structure

    def _ask(self, method: str, circuit: Any) -> bool:
        config = ExecutionConfig(gradient_method=method)
        return bool(self.device.supports_derivatives(config, circuit))


#: Structures that are remembered before all of them are forgotten.
MAX_REMEMBERED: Final = 1000


@functools.lru_cache(maxsize=64)
def probe(spec: DeviceSpec) -> Probe:
    """Return the probe of a device.

    Raises:
        DeviceError: If PennyLane does not know the device.
    """
    return Probe(spec)


def require_seed(spec: DeviceSpec, seed: int | None) -> None:
    """Refuse a seed that the device could not follow.

    Raises:
        ConfigError: If there is a seed and the device takes none.
    """
    if seed is not None and not probe(spec).takes_seed:
        name = probe(spec).device.name
        message = (
            f"seed={seed!r} cannot be honoured: device {name!r} takes no seed per "
            "worker. Leave seed out, or seed the device itself."
        )
        raise ConfigError(message)


def _wires(labels: tuple[Hashable, ...] | None) -> Any:
    # Given a number, devices skip the relabelling that any labels cost them.
    if labels is not None and labels == tuple(range(len(labels))):
        return len(labels)
    return labels


def _options(device: Device) -> tuple[tuple[str, Hashable], ...] | None:
    """Return the options that a device was made with, or nothing if unsure."""
    cls = type(device)
    if not cls.__module__.startswith(_REBUILDABLE):
        return None
    if isinstance(device, qml.devices.LegacyDeviceFacade):
        return None
    known = _attributes(device)
    options = {}
    for name in inspect.signature(cls.__init__).parameters:
        if name in _APART:
            continue
        source = name if name in known else _RENAMED.get(name, name)
        if source not in known or not isinstance(known[source], Hashable):
            return None
        options[name] = known[source]
    return tuple(sorted(options.items()))


def _attributes(device: Device) -> Mapping[str, Any]:
    attributes = {name.lstrip("_"): value for name, value in vars(device).items()}
    shown = device.setup_execution_config(ExecutionConfig()).device_options
    return {**attributes, **attributes.get("device_kwargs", {}), **dict(shown)}

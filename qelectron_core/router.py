"""Chooses an executor for each circuit of one QElectron."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qelectron_core.cluster import Member, QCluster
from qelectron_core.contracts import Executor
from qelectron_core.errors import SelectorError
from qelectron_core.registry import registry

if TYPE_CHECKING:
    from pennylane.devices import Device
    from pennylane.tape import QuantumScript


class Route:
    """The way to one executor: as the user wrote it, and as it runs.

    Attributes:
        member: The executor as the user wrote it.
        bound: The same, adapted to the QNode's device.
    """

    def __init__(self, member: Executor, device: Device) -> None:
        """Adapt an executor to a QNode's device."""
        self.member = member
        self.bound = member.for_device(device)

    def choose(self, circuit: QuantumScript) -> Route:
        """Return itself: there is nothing to choose."""
        del circuit
        return self

    def __iter__(self) -> Iterator[Route]:
        """Iterate over the one route."""
        yield self


class ClusterRoute:
    """The ways to a cluster's members, and the selector that picks among them.

    Every QElectron has its own, so that a cyclic selector starts with the first
    executor for each of them.
    """

    def __init__(self, cluster: QCluster, device: Device) -> None:
        """Adapt the members and make the selector."""
        self.member = cluster
        self._children = [make_route(member, device) for member in cluster.executors]
        self._selector = _make_selector(cluster.selector)

    def choose(self, circuit: QuantumScript) -> Route:
        """Ask the selector for the executor of one circuit.

        Raises:
            SelectorError: If the selector fails or returns what is not a member.
        """
        members = list(self.member.executors)
        try:
            picked = self._selector(circuit, members)
        except Exception as error:
            message = (
                f"selector {self._name()} failed: {type(error).__name__}: {error}. "
                "It is called with (circuit, executors) and must return one executor."
            )
            raise SelectorError(message) from error
        return self._child(picked).choose(circuit)

    def __iter__(self) -> Iterator[Route]:
        """Iterate over the routes to all executors, nested ones included."""
        return itertools.chain.from_iterable(self._children)

    def _child(self, picked: Any) -> AnyRoute:
        for same in (lambda member: member is picked, lambda member: member == picked):
            for child in self._children:
                if same(child.member):
                    return child
        message = (
            f"selector {self._name()} returned {picked!r}, which is not in the "
            "cluster. Expected one of the executors it was given: "
            f"{list(self.member.executors)!r}"
        )
        raise SelectorError(message)

    def _name(self) -> str:
        selector = self.member.selector
        return repr(getattr(selector, "__name__", selector))


AnyRoute = Route | ClusterRoute


def make_route(member: Member, device: Device) -> AnyRoute:
    """Return the route for what a user gave as executors."""
    if isinstance(member, QCluster):
        return ClusterRoute(member, device)
    return Route(member, device)


def _make_selector(selector: Any) -> Any:
    if isinstance(selector, str):
        selector = registry().resolve("selector", selector)
    return selector() if isinstance(selector, type) else selector

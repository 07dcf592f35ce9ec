"""Chooses an executor for each circuit of one QElectron."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Collection, Iterator
from types import CellType, FunctionType
from typing import TYPE_CHECKING, Any, TypeAlias

from qelectron_core.cluster import Member, QCluster
from qelectron_core.contracts import Executor
from qelectron_core.errors import ConfigError, QElectronError, SelectorError
from qelectron_core.registry import registry
from qelectron_core.runtime.runtime import runtime
from qelectron_core.shots import with_shots_of

if TYPE_CHECKING:
    from pennylane.devices import Device
    from pennylane.tape import QuantumScript

    from qelectron_core.events import Execution


class Route:
    """The way to one executor: as the user wrote it, and as it runs.

    Attributes:
        member: The executor as the user wrote it.
        bound: The same, adapted to the QNode's device.
        clusters: The clusters it is in, the outermost first.
    """

    def __init__(
        self,
        member: Executor,
        bound: Executor,
        clusters: tuple[ClusterRoute, ...] = (),
    ) -> None:
        """Take an executor as it was written and as it runs."""
        self.member = member
        self.bound = bound
        self.clusters = clusters

    def copied(self, clusters: tuple[ClusterRoute, ...] = ()) -> Route:
        """Return the same way, for choices that are to leave no trace."""
        return Route(self.member, self.bound, clusters)

    def with_own_shots(self, circuit: QuantumScript) -> QuantumScript:
        """Return the circuit with the shots that the executor asks for.

        Raises:
            ConfigError: If that changes the number of results.
        """
        changed = with_shots_of(self.bound, circuit)
        if changed is circuit:
            return circuit
        if _n_results(changed) == _n_results(circuit):
            return changed
        message = (
            f"{self.member!r} asks for another number of results than the rest of its "
            f"cluster or the circuit: {changed.shots} instead of {circuit.shots}. Give "
            "all executors the same shot vector, or set it with qml.set_shots."
        )
        raise ConfigError(message)

    def choose(
        self,
        circuit: QuantumScript,
        call: Choices | None = None,
        tried: Collection[Route] = (),
    ) -> Route:
        """Return itself: there is nothing to choose."""
        del circuit, call, tried
        return self

    def learn(self, circuit: QuantumScript, execution: Execution) -> None:
        """Tell the selectors that led here what became of a circuit."""
        for cluster in self.clusters:
            cluster.learn(circuit, execution)

    def is_open(self, tried: Collection[Route]) -> bool:
        """Tell whether it has not been tried."""
        return self not in tried

    def is_suspended(self) -> bool:
        """Tell whether it is to be left out for now: it kept failing."""
        return False

    def __iter__(self) -> Iterator[Route]:
        """Iterate over the one route."""
        yield self


class ClusterRoute:
    """The ways to a cluster's members, and the selector that picks among them.

    Every QElectron has its own, so that a cyclic selector starts with the first
    executor for each of them.
    """

    def __init__(
        self,
        cluster: QCluster,
        device: Device,
        clusters: tuple[ClusterRoute, ...] = (),
    ) -> None:
        """Adapt the members and make the selector."""
        self.member = cluster
        within = (*clusters, self)
        self._children = [make_route(m, device, within) for m in cluster.executors]
        self._selector = _make_selector(cluster.selector)

    def copied(self, clusters: tuple[ClusterRoute, ...] = ()) -> ClusterRoute:
        """Return the same ways with a copy of the selector, which stands where it does.

        Raises:
            ConfigError: If the selector cannot be copied.
        """
        made: ClusterRoute = object.__new__(type(self))
        made.member = self.member
        made._children = [one.copied((*clusters, made)) for one in self._children]
        made._selector = _copied(self._selector, self.member)
        return made

    def choose(
        self,
        circuit: QuantumScript,
        call: Choices | None = None,
        tried: Collection[Route] = (),
    ) -> Route:
        """Ask the selector for the executor of one circuit.

        Args:
            circuit: The circuit.
            call: What was chosen for the circuits of its call so far.
            tried: Where the circuit has failed already.

        Raises:
            SelectorError: If the selector fails or returns what is not a member.
        """
        if call is None or self.member.per == "circuit":
            return self._select(circuit, tried).choose(circuit, call, tried)
        if self not in call:
            call[self] = self._select(circuit, tried)
        return call[self].choose(circuit, call, tried)

    def learn(self, circuit: QuantumScript, execution: Execution) -> None:
        """Tell the selector what became of a circuit.

        Raises:
            Exception: What the selector raises.
        """
        if hasattr(self._selector, "learn"):
            self._selector.learn(circuit, execution)

    def is_open(self, tried: Collection[Route]) -> bool:
        """Tell whether a circuit that was tried there may be sent to a member."""
        if self.member.failover is None:
            return all(child.is_open(tried) for child in self._touched(tried))
        return any(child.is_open(tried) for child in self._children)

    def is_suspended(self) -> bool:
        """Tell whether all members are to be left out for now."""
        return all(map(self._is_suspended, self._children))

    def __iter__(self) -> Iterator[Route]:
        """Iterate over the routes to all executors, nested ones included."""
        return itertools.chain.from_iterable(self._children)

    def _select(self, circuit: QuantumScript, tried: Collection[Route]) -> AnyRoute:
        offered = self._offered(tried)
        members = [child.member for child in offered]
        try:
            picked = self._selector(circuit, members)
        except QElectronError:
            raise
        except Exception as error:
            message = (
                f"selector {self._name()} failed: {type(error).__name__}: {error}. "
                "It is called with (circuit, executors) and must return one executor."
            )
            raise SelectorError(message) from error
        return self._child(picked, offered)

    def _offered(self, tried: Collection[Route]) -> list[AnyRoute]:
        """Return the members that the selector may choose from.

        Members that keep failing are left out, unless no other is left.
        """
        if self.member.failover is None:
            return self._touched(tried) or self._children
        candidates = [child for child in self._children if child.is_open(tried)]
        return [c for c in candidates if not self._is_suspended(c)] or candidates

    def _touched(self, tried: Collection[Route]) -> list[AnyRoute]:
        """Return the members within which a circuit has been tried."""
        return [c for c in self._children if any(route in tried for route in c)]

    def _is_suspended(self, child: AnyRoute) -> bool:
        if isinstance(child, Route) and self.member.failover is not None:
            return runtime().breakers.of(child.member, self.member.failover).is_open()
        return child.is_suspended()

    def _child(self, picked: Any, offered: list[AnyRoute]) -> AnyRoute:
        for same in (lambda member: member is picked, lambda member: member == picked):
            for child in offered:
                if same(child.member):
                    return child
        message = (
            f"selector {self._name()} returned {picked!r}, which is not in the "
            "cluster. Expected one of the executors it was given: "
            f"{[child.member for child in offered]!r}"
        )
        raise SelectorError(message)

    def _name(self) -> str:
        selector = self.member.selector
        return repr(getattr(selector, "__name__", selector))


AnyRoute: TypeAlias = Route | ClusterRoute
#: Which member each cluster with `per="call"` chose for the circuits of one call.
Choices: TypeAlias = dict[ClusterRoute, AnyRoute]


def make_route(
    member: Member, device: Device, clusters: tuple[ClusterRoute, ...] = ()
) -> AnyRoute:
    """Return the route for what a user gave as executors."""
    if isinstance(member, QCluster):
        return ClusterRoute(member, device, clusters)
    return Route(member, member.for_device(device), clusters)


def _copied(selector: Any, cluster: QCluster) -> Any:
    """Return a selector in the same state; it knows the same executors."""
    same = {id(member): member for member in cluster.executors}
    try:
        if not isinstance(selector, FunctionType) or not selector.__closure__:
            return copy.deepcopy(selector, same)
        cells = copy.deepcopy(
            [cell.cell_contents for cell in selector.__closure__], same
        )
    except Exception as error:
        message = (
            f"selector {selector!r} cannot be copied: {type(error).__name__}: {error}. "
            "A plan asks a copy, so that the next call is not changed by it. Give its "
            "class a __deepcopy__ or a __reduce__."
        )
        raise ConfigError(message) from error
    return FunctionType(
        selector.__code__,
        selector.__globals__,
        selector.__name__,
        selector.__defaults__,
        tuple(map(CellType, cells)),
    )


def _n_results(circuit: QuantumScript) -> int | None:
    shots = circuit.shots
    return shots.num_copies if shots.has_partitioned_shots else None


def _make_selector(selector: Any) -> Any:
    if isinstance(selector, str):
        selector = registry().resolve("selector", selector)
    return selector() if isinstance(selector, type) else selector

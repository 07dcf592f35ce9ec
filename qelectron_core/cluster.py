"""Clusters: several executors and a selector that spreads circuits over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

from qelectron_core.contracts import Executor, Value
from qelectron_core.errors import ConfigError
from qelectron_core.shots import with_shots_of
from qelectron_core.showing import table

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

#: Chooses the executor of one circuit from a cluster's executors.
Selector: TypeAlias = "Callable[[QuantumScript, Sequence[Member]], Member]"


def _to_members(value: Any) -> tuple[Member, ...]:
    several = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    return tuple(to_member(item) for item in (value if several else (value,)))


def _check_selector(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, str) and not callable(value):
        message = (
            f"selector={value!r} is not a selector. Expected a name such as 'cyclic' "
            "or a callable (circuit, executors) -> executor."
        )
        raise ConfigError(message)


@attrs.frozen
class Failover:
    """When a failing member of a cluster is left out, and for how long.

    Attributes:
        after: Jobs that must fail one after the other.
        pause_s: Seconds until it is tried again, with one circuit.

    Raises:
        ConfigError: If a number makes no sense.
    """

    after: int = attrs.field(default=3)
    pause_s: float = attrs.field(default=30.0)

    def __attrs_post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if self.after < 1:
            message = f"after={self.after!r} is no number of jobs. Expected 1 or more."
            raise ConfigError(message)
        if self.pause_s < 0:
            message = f"pause_s={self.pause_s!r} is no time. Expected 0 s or more."
            raise ConfigError(message)


def _to_failover(value: Any) -> Any:
    return (Failover() if value else None) if isinstance(value, bool) else value


def _check_failover(_: Any, __: Any, value: Any) -> None:
    if value is not None and not isinstance(value, Failover):
        message = (
            f"failover={value!r} is unknown. Expected True, False or a ct.Failover."
        )
        raise ConfigError(message)


def _check_per(_: Any, __: Any, value: Any) -> None:
    if value not in ("circuit", "call"):
        message = f"per={value!r} is unknown. Expected 'circuit' or 'call'."
        raise ConfigError(message)


@attrs.frozen
class QCluster(Value):
    """Executors that share the circuits of a QElectron.

    Attributes:
        executors: Members, at least one; a member may itself be a cluster.
        selector: Name of an installed selector, or any callable
            `(circuit, executors)` that returns one of the executors.
        per: `"circuit"` asks the selector for each circuit; `"call"` once for all
            circuits of a call or of a gradient, which then share an executor.
        failover: Whether a circuit that fails is sent to another member, and one
            that keeps failing left out for a while; a `Failover` says how long.

    Raises:
        ConfigError: If there is no executor, or the selector is not one.

    Example:
        >>> import qelectron_core as ct
        >>> cluster = ct.QCluster([ct.executor.Echo(), ct.executor.Echo(value=1.0)])
        >>> cluster.selector
        'cyclic'
    """

    executors: tuple[Member, ...] = attrs.field(converter=_to_members)
    selector: str | Selector = attrs.field(default="cyclic", validator=_check_selector)
    per: Literal["circuit", "call"] = attrs.field(
        default="circuit", kw_only=True, validator=_check_per
    )
    failover: Failover | None = attrs.field(
        default=None, kw_only=True, converter=_to_failover, validator=_check_failover
    )

    def __attrs_post_init__(self) -> None:
        """Refuse an empty cluster."""
        if not self.executors:
            raise ConfigError(
                "a cluster needs at least one executor; it was given none. "
                "Leave executors out for the default simulator."
            )

    def _repr_html_(self) -> str:
        """Show the members in a notebook, and how busy they are."""
        from qelectron_core.runtime import load  # it stands above this module

        rows = [(repr(one), f"{load(one).in_flight:,}") for one in self.executors]
        return table(("executor", "circuits in flight"), rows, self._caption())

    def _caption(self) -> str:
        failover = "" if self.failover is None else f", {self.failover!r}"
        return f"cluster, selector {self.selector!r} per {self.per}{failover}"


#: What a cluster may hold.
Member: TypeAlias = Executor | QCluster


def to_member(value: Any) -> Member:
    """Turn what a user may write as an executor into an executor or cluster.

    Args:
        value: An executor, a cluster, a list of them (a cluster with the
            `"cyclic"` selector), a registered name, or an executor's class.

    Raises:
        UnknownNameError: If no plugin offers the name.
        ConfigError: If the value is none of these.
    """
    if isinstance(value, QCluster):
        return value
    if isinstance(value, Executor):
        _require_value(value)
        return value
    if isinstance(value, str):
        from qelectron_core.registry import registry

        return to_member(registry().resolve("executor", value))
    if isinstance(value, type) and issubclass(value, Executor):
        return to_member(value())
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return QCluster(executors=value)
    message = (
        f"{value!r} is not an executor. Expected an executor such as "
        "ct.executor.Simulator(), a list of executors, a ct.QCluster, or a name."
    )
    raise ConfigError(message)


def refusal(member: Member, circuit: QuantumScript) -> str | None:
    """Return why a member of a cluster cannot run a circuit, or `None` if it can.

    What a selector asks. An executor's own shots count before the circuit's; a
    cluster can run what one of its members can.
    """
    if isinstance(member, QCluster):
        reasons = [refusal(part, circuit) for part in member.executors]
        return None if None in reasons else reasons[0]
    return member.refuse(with_shots_of(member, circuit))


def _require_value(executor: Executor) -> None:
    """Refuse an executor that lanes could not tell from another one."""
    name = type(executor).__name__
    if "__attrs_attrs__" not in vars(type(executor)):
        message = (
            f"executor class {name!r} is not a value. Put @attrs.frozen above it and "
            "declare its options as fields, without an __init__ of its own."
        )
        raise ConfigError(message)
    try:
        hash(executor)
    except TypeError as error:
        message = (
            f"executor {executor!r} cannot be hashed: {error}. Use tuples and frozen "
            f"classes for the options of {name!r}, not lists or dicts."
        )
        raise ConfigError(message) from error

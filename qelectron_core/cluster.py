"""Clusters: several executors and a selector that spreads circuits over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import attrs

from qelectron_core.contracts import Executor
from qelectron_core.errors import ConfigError, check_options

if TYPE_CHECKING:
    from types import TracebackType

    from pennylane.tape import QuantumScript

#: Chooses the executor of one circuit from a cluster's executors.
Selector: TypeAlias = "Callable[[QuantumScript, Sequence[Member]], Member]"


def _to_members(value: Any) -> tuple[Member, ...]:
    if isinstance(value, (Executor, QCluster, str)):
        value = (value,)
    return tuple(to_member(item) for item in value)


def _check_selector(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, str) and not callable(value):
        message = (
            f"selector={value!r} is not a selector. Expected a name such as 'cyclic' or "
            "a callable (circuit, executors) -> executor."
        )
        raise ConfigError(message)


@attrs.frozen
class QCluster:
    """Executors that share the circuits of a QElectron.

    Attributes:
        executors: Members, at least one; a member may itself be a cluster.
        selector: Name of an installed selector, or any callable
            `(circuit, executors)` that returns one of the executors.

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

    def __new__(cls, *_args: Any, **options: Any) -> Self:
        """Refuse misspelt options with a message that helps."""
        check_options(cls.__name__, options, [f.name for f in attrs.fields(cls)])
        return super().__new__(cls)

    def __attrs_post_init__(self) -> None:
        """Refuse an empty cluster."""
        if not self.executors:
            raise ConfigError(
                "a QCluster needs at least one executor; it was given none."
            )

    def __enter__(self) -> Self:
        """Use the cluster for the length of a `with` block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the lanes of every member."""
        for member in self.executors:
            member.__exit__(kind, error, traceback)


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
    if isinstance(value, (Executor, QCluster)):
        return value
    if isinstance(value, str):
        from qelectron_core.registry import registry

        return to_member(registry().resolve("executor", value))
    if isinstance(value, type) and issubclass(value, Executor):
        return value()
    if isinstance(value, (list, tuple)):
        return QCluster(executors=value)
    message = (
        f"{value!r} is not an executor. Expected an executor such as "
        "ct.executor.Simulator(), a list of executors, a ct.QCluster, or a name."
    )
    raise ConfigError(message)

"""What electrons and lattices have in common: they are steps of a workflow."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

import attrs

from qelectron_core import ConfigError
from qelectron_dask.workflow.graph import current

if TYPE_CHECKING:
    from qelectron_dask.executor import DaskExecutor


def _check_executor(_: Any, __: Any, value: Any) -> None:
    if value in (None, "local", "dask"):
        return
    from qelectron_dask.executor import DaskExecutor

    if not isinstance(value, DaskExecutor):
        message = (
            f"executor={value!r} runs no electrons. Expected 'local' for threads of "
            "this process, 'dask' for a local cluster, or a DaskExecutor. Executors of "
            "circuits go to the QElectrons within."
        )
        raise ConfigError(message)


def _check_retries(_: Any, __: Any, value: Any) -> None:
    if type(value) is not int or value < 0:
        message = f"retries={value!r} is no number of repetitions. Expected 0 or more."
        raise ConfigError(message)


def _check_resources(_: Any, __: Any, value: Any) -> None:
    fits = isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(number, (int, float)) and number > 0
        for name, number in value.items()
    )
    if not fits:
        message = (
            f"resources={value!r} are none. Expected names and amounts, as the workers "
            "of Dask were started with: {'GPU': 1}."
        )
        raise ConfigError(message)


@attrs.frozen
class Options:
    """How an electron is run.

    Attributes:
        executor: `"local"`, `"dask"`, a `DaskExecutor`, or `None` for the lattice's.
        retries: How many times it is run again if it fails.
        resources: What it needs of a Dask worker, by name.
    """

    executor: str | DaskExecutor | None = attrs.field(
        default=None, validator=_check_executor
    )
    retries: int = attrs.field(default=0, validator=_check_retries)
    resources: Mapping[str, float] = attrs.field(
        factory=dict, validator=_check_resources
    )

    def __attrs_post_init__(self) -> None:
        """Refuse resources where nobody deals them out."""
        if self.resources and self.executor in (None, "local"):
            message = (
                f"resources={dict(self.resources)!r} are dealt out by Dask. Add "
                "executor='dask', or a DaskExecutor."
            )
            raise ConfigError(message)


class Step:
    """A function that becomes a node of the lattice that is being built.

    Called anywhere else, it simply runs.

    Attributes:
        function: The function.
        options: How it is run.
        name: What it is called.
        length: How many items it returns, if that is known.
    """

    length: int | None = None

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        """Take a function."""
        functools.update_wrapper(self, function)
        self.function = function
        self.options = options
        self.name = name_of(function)
        self._signature = _signature_of(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run, or become a node of the lattice that is being built."""
        graph = current()
        if graph is None:
            return self.function(*args, **kwargs)
        self.check_arguments(args, kwargs)
        return graph.add(self, args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Self:
        """Return it bound to an instance, as functions of a class are."""
        if instance is None:
            return self
        return type(self)(self.function.__get__(instance, owner), self.options)

    def check_arguments(self, args: Any, kwargs: Any) -> None:
        """Refuse arguments that the function does not take, before anything runs.

        Raises:
            TypeError: As Python would, with the name of the function.
        """
        if self._signature is None:
            return
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            message = f"{self.name}(): {error}. It takes {self._signature}."
            raise TypeError(message) from None


def name_of(function: Any) -> str:
    """Return what a function is called."""
    return str(getattr(function, "__name__", type(function).__name__))


def _signature_of(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C do not tell
        return None

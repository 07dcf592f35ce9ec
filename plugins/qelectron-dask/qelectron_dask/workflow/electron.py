"""Electrons: functions that are the steps of a workflow."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin, overload

import attrs

from qelectron_core import ConfigError
from qelectron_core.errors import check_options
from qelectron_dask.workflow.graph import current

if TYPE_CHECKING:
    from qelectron_dask.executor import DaskExecutor

#: Options of `electron`, for the message about a misspelt one.
_OPTIONS: Final = ("executor", "retries", "resources")


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


class Electron:
    """A function that is a step of a workflow.

    Called while a lattice is built, it becomes a node of its graph and returns a
    placeholder. Called anywhere else, it simply runs.
    """

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        """Take a function."""
        functools.update_wrapper(self, function)
        self.function = function
        self.options = options
        self.name = name_of(function)
        self.length = _length_of(function)
        self._signature = signature_of(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run, or become a node of the lattice that is being built."""
        graph = current()
        if graph is None:
            return self.function(*args, **kwargs)
        check_arguments(self._signature, self.name, args, kwargs)
        return graph.add(self, args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return it bound to an instance, as functions of a class are."""
        if instance is None:
            return self
        return Electron(self.function.__get__(instance, owner), self.options)

    def __repr__(self) -> str:
        """Show the name."""
        return f"<electron {self.name}>"


@overload
def electron(function: Callable[..., Any], /) -> Electron: ...


@overload
def electron(
    function: None = None,
    /,
    *,
    executor: Any = ...,
    retries: int = ...,
    resources: Mapping[str, float] | None = ...,
) -> Callable[[Callable[..., Any]], Electron]: ...


def electron(
    function: Any = None,
    /,
    *,
    executor: Any = None,
    retries: int = 0,
    resources: Mapping[str, float] | None = None,
    **unknown: Any,
) -> Any:
    """Make a function a step of workflows.

    Works as `@electron`, `@electron(executor=...)` and `electron(function)`.

    Args:
        function: The function; what it returns depends on its arguments, and it leaves
            these as they are.
        executor: Where it runs: `"local"` on threads of this process, `"dask"` on the
            local cluster of `DaskExecutor()`, or a `DaskExecutor`. By default what the
            lattice says, else `"local"`.
        retries: How many times it is run again if it raises.
        resources: What it needs of a Dask worker, as in `{"GPU": 1}`.
        **unknown: Refused; say what was probably meant.

    Returns:
        The electron, or a decorator that makes one.

    Raises:
        TypeError: If an option is misspelt, or what is decorated cannot be called.
        ConfigError: If an option has no such value.

    Example:
        >>> import qelectron_core as ct
        >>> @ct.electron
        ... def double(x):
        ...     return 2 * x
        >>> double(4)
        8
    """
    check_options("electron()", unknown, _OPTIONS)
    options = Options(executor, retries, dict(resources or {}))
    if function is None:
        return functools.partial(_electron, options=options)
    return _electron(function, options)


def _electron(function: Any, options: Options) -> Any:
    from qelectron_dask.workflow.lattice import Lattice

    if isinstance(function, Lattice):  # a lattice within a lattice is a step already
        return function
    if isinstance(function, Electron):
        return Electron(function.function, options)
    if not callable(function):
        message = (
            f"electron() takes a function, not {type(function).__name__} {function!r}. "
            "Put @ct.electron above `def`, and options in brackets after it."
        )
        raise TypeError(message)
    return Electron(function, options)


def name_of(function: Any) -> str:
    """Return what a function is called."""
    return str(getattr(function, "__name__", type(function).__name__))


def signature_of(function: Any) -> inspect.Signature | None:
    """Return what a function takes, if it tells."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C do not
        return None


def check_arguments(
    signature: inspect.Signature | None, name: str, args: Any, kwargs: Any
) -> None:
    """Refuse arguments that a function does not take, before anything runs.

    Raises:
        TypeError: As Python would, with the name of the function.
    """
    if signature is None:
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}(): {error}. It takes {signature}.") from None


def _length_of(function: Any) -> int | None:
    """Return how many items a function returns, if its annotation says so."""
    try:
        annotation = inspect.signature(function, eval_str=True).return_annotation
    except Exception:  # annotations may be anything
        return None
    items = get_args(annotation)
    if get_origin(annotation) is not tuple or Ellipsis in items:
        return None
    return len(items)

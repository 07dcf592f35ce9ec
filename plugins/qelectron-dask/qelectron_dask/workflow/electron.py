"""Electrons: functions that are the steps of a workflow."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin, overload

from qelectron_core.errors import check_options
from qelectron_dask.workflow.step import Options, Step

if TYPE_CHECKING:
    pass

#: Options of `electron`, for the message about a misspelt one.
_OPTIONS: Final = ("executor", "retries", "resources")


class Electron(Step):
    """A function that is a step of a workflow.

    Called while a lattice is built, it becomes a node of its graph and returns a
    placeholder. Called anywhere else, it simply runs.
    """

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        """Take a function."""
        super().__init__(function, options)
        self.length = _length_of(function)

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

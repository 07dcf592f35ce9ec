"""Lattices: functions whose calls of electrons are the graph of a workflow."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, overload

from qelectron_core.errors import check_options
from qelectron_dask.workflow.graph import Graph, build
from qelectron_dask.workflow.step import Options, Step

_OPTIONS: Final = ("executor",)


class Lattice(Step):
    """A function that describes a workflow.

    Dispatched, it is called once with placeholders in the place of what its electrons
    will return. Called, it simply runs, and so do its electrons. Called while another
    lattice is built, it becomes a step of that one, and is built itself once its
    arguments are there.
    """

    def build(self, *args: Any, **kwargs: Any) -> Graph:
        """Return the graph of a call, without running anything.

        Raises:
            TypeError: If the function does not take the arguments, or does with values
                that are not there yet what can only be done with values.
        """
        self.check_arguments(args, kwargs)
        return build(self, args, kwargs)

    def __repr__(self) -> str:
        """Show the name."""
        return f"<lattice {self.name}>"


@overload
def lattice(function: Callable[..., Any], /) -> Lattice: ...


@overload
def lattice(
    function: None = None, /, *, executor: Any = ...
) -> Callable[[Callable[..., Any]], Lattice]: ...


def lattice(function: Any = None, /, *, executor: Any = None, **unknown: Any) -> Any:
    """Make a function a workflow.

    Works as `@lattice`, `@lattice(executor=...)` and `lattice(function)`.

    Args:
        function: Calls electrons, and returns what they return, alone or in lists,
            tuples and dicts.
        executor: Where electrons run that do not say it themselves; see `electron`.
        **unknown: Refused; say what was probably meant.

    Returns:
        The lattice, or a decorator that makes one.

    Raises:
        TypeError: If an option is misspelt, or what is decorated cannot be called.
        ConfigError: If an option has no such value.

    Example:
        >>> import qelectron_core as ct
        >>> @ct.electron
        ... def double(x):
        ...     return 2 * x
        >>> @ct.lattice
        ... def workflow(x):
        ...     return double(double(x))
        >>> workflow(1)
        4
        >>> dispatch_id = ct.dispatch(workflow)(1)
        >>> ct.get_result(dispatch_id, wait=True).result
        4
    """
    check_options("lattice()", unknown, _OPTIONS)
    options = Options(executor)
    if function is None:
        return functools.partial(_lattice, options=options)
    return _lattice(function, options)


def _lattice(function: Any, options: Options) -> Lattice:
    if not callable(function):
        message = (
            f"lattice() takes a function, not {type(function).__name__} {function!r}. "
            "Put @ct.lattice above `def`, and options in brackets after it."
        )
        raise TypeError(message)
    return Lattice(function, options)

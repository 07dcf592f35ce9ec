"""Functions as they are sent to workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def far(target: str) -> Callable[..., Any]:
    """Return a function that looks another one up where it is called.

    It travels by value, so that a scheduler needs nothing to pass it on, and a worker
    that lacks a package says so. Read by reference on such a worker, a task would
    take down the worker's connection instead.

    Args:
        target: The function, as `"module:name"`.
    """
    module, _, name = target.partition(":")

    def call(*arguments: Any) -> Any:
        import importlib

        from distributed import get_worker

        try:
            function = getattr(importlib.import_module(module), name)
        except ImportError as error:
            place = get_worker().address
            message = f"the worker {place!r} cannot import {module!r}: {error}"
            raise ImportError(message, name=error.name) from None
        return function(*arguments)

    return call

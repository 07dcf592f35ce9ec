"""Makes executors, with what config says of the options that were not given."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

_ignored: Final[ContextVar[bool]] = ContextVar("qelectron_unconfigured", default=False)


@contextmanager
def unconfigured() -> Iterator[None]:
    """Make executors in a `with` block of what is given alone, whatever config says."""
    token = _ignored.set(True)
    try:
        yield
    finally:
        _ignored.reset(token)


class Configurable(ABCMeta):
    """Class of executor classes: asks config where one is made without an option.

    Copies, unpickled executors and those of `attrs.evolve` are what they were: they
    are not made by a call, or with every option.
    """

    if not TYPE_CHECKING:  # what a call returns is told by the class itself

        def __call__(cls, *args: Any, **options: Any) -> Any:
            """Make an executor; look into config only if an option is left out."""
            fields = vars(cls).get("__attrs_attrs__", ())
            if len(args) + len(options) >= len(fields) or _ignored.get():
                return super().__call__(*args, **options)
            from qelectron_core.config.executors import filled

            found = filled(cls, args, options)
            if not found:
                return super().__call__(*args, **options)
            from qelectron_core.config.blame import explained

            given = {name: one.value for name, one in found.items()}
            with explained(cls, found):
                return super().__call__(*args, **options, **given)

    @property
    def __signature__(cls) -> inspect.Signature:
        """What `help` shows: the options, not those of the call above."""
        own = inspect.signature(cls.__init__)  # type: ignore[misc]  # of the class
        return own.replace(parameters=list(own.parameters.values())[1:])

"""What a QElectron says of its results: reused or not, kept where, at what price."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, TypeAlias

import attrs

from qelectron_core.budget import Ledger, to_ledger
from qelectron_core.config.layers import setting
from qelectron_core.errors import ConfigError

#: `False` runs always; `True` reuses the results of equal circuits; `"refresh"` runs
#: and replaces them; `"top-up"` runs only the shots that are missing.
CacheMode: TypeAlias = bool | Literal["refresh", "top-up"]

_block: ContextVar[CacheMode | None] = ContextVar("qelectron_cache", default=None)


def to_mode(value: Any) -> CacheMode:
    """Return what a user wrote as `cache=`, if it is a mode.

    Raises:
        ConfigError: If it is none.
    """
    if isinstance(value, bool) or value in ("refresh", "top-up"):
        return value  # type: ignore[no-any-return]  # it has just been compared
    message = f"cache={value!r} is unknown. Expected True, False, 'refresh' or 'top-up'"
    raise ConfigError(f"{message}.")


def _to_optional_mode(value: Any) -> CacheMode | None:
    return None if value is None else to_mode(value)


@attrs.frozen
class Policy:
    """What a QElectron says of its results.

    Attributes:
        cache: Its mode, or `None` for the usual one.
        store: Where results and the journal are kept: a path, the name of a store,
            or a `Store`; `None` for the usual place.
        budget: What its calls may spend, and have spent; given as a `Budget`.
    """

    cache: CacheMode | None = attrs.field(default=None, converter=_to_optional_mode)
    store: Any = None
    budget: Ledger | None = attrs.field(default=None, converter=to_ledger)

    @property
    def mode(self) -> CacheMode:
        """The mode that holds now."""
        within = _block.get()
        if within is not None:
            return within
        return self.cache if self.cache is not None else setting("cache")


@contextmanager
def caching(mode: CacheMode) -> Iterator[None]:
    """Set the cache mode of all calls in a `with` block, whatever QElectrons say.

    Args:
        mode: `True`, `False`, `"refresh"` or `"top-up"`; see `qelectron`.

    Raises:
        ConfigError: If it is none of these.

    Example:
        >>> import qelectron_core as ct
        >>> with ct.caching("refresh"):
        ...     pass  # every circuit runs, and its result replaces the kept one
    """
    token = _block.set(to_mode(mode))
    try:
        yield
    finally:
        _block.reset(token)

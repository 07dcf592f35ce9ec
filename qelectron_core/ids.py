"""Ids of calls and jobs: unique among processes, in order within one."""

import itertools
import os
import secrets
from collections.abc import Iterator
from typing import Final, Literal


class _Ids:
    def __init__(self) -> None:
        self._numbers: Iterator[int] = itertools.count(1)
        self._process = secrets.token_hex(4)

    def new(self, kind: Literal["call", "job"]) -> str:
        return f"{kind}-{self._process}-{next(self._numbers)}"

    def renew(self) -> None:
        self.__init__()  # type: ignore[misc]


_ids: Final = _Ids()
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_ids.renew)


def new_id(kind: Literal["call", "job"]) -> str:
    """Return a new id, such as `"call-9f1c33ab-7"`."""
    return _ids.new(kind)

"""What observers are told of electrons."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import attrs

from qelectron_core import Event, Executor, tell
from qelectron_dask.workflow.states import ElectronRun


@attrs.frozen
class Electrons(Executor):
    """Stands for where an electron runs; it runs no circuits."""

    place: str = "local"

    def __repr__(self) -> str:
        """Return the place."""
        return self.place


@attrs.frozen(kw_only=True)
class ElectronEvent(Event):
    """One thing that happened to an electron of a dispatch.

    Its `kind` is `"electron "` and the state that the electron is in now, as in
    `"electron running"`; `call_id` is empty, and `index` the number of the electron.

    Attributes:
        dispatch_id: The dispatch.
        electron: What is known of the electron.
    """

    dispatch_id: str
    electron: ElectronRun


def tell_of(dispatch_id: str, run: ElectronRun) -> None:
    """Tell all observers what happened to an electron."""
    tell(partial(_event, dispatch_id, run))


def _event(dispatch_id: str, run: ElectronRun) -> ElectronEvent:
    kind: Any = f"electron {run.state}"
    return ElectronEvent(
        kind=kind,
        call_id="",
        index=run.number,
        executor=Electrons(run.executor),
        at=time.time(),
        dispatch_id=dispatch_id,
        electron=run,
    )

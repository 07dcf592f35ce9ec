"""One call per item, many at once: what `QElectron.map` does.

Items are taken as they are needed, so that they may come from a generator, and no
more calls are under way than a bound says. The first call shows whether circuits can
be built without the quantum function, and whether many of them can be run as one;
both are done only where the result is certain to be that of a loop.
"""

from __future__ import annotations

import copy
import itertools
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np

from qelectron_core import fusion
from qelectron_core.building import bound
from qelectron_core.futures import QFuture, cancel_all, progress_bar
from qelectron_core.later import Later, LaterMany, send_all
from qelectron_core.recording import pennylane_code
from qelectron_core.rows import Row, length_of, rows_of
from qelectron_core.runtime import runtime
from qelectron_core.tracing import Blueprint
from qelectron_core.tracing.functions import Built, arguments_of

if TYPE_CHECKING:
    from qelectron_core.qnode import QElectron

#: Calls whose circuits are sent off together.
CHUNK: Final = 256
#: Most calls that are under way at the same time.
MAX_IN_FLIGHT: Final = 16_384
#: Fewest calls for which it pays to look for a shorter way.
FEW: Final = 4


def run_map(
    electron: QElectron,
    iterables: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    progress: bool,
    return_exceptions: bool,
) -> list[Any]:
    """Call once per item and return the results in order; see `QElectron.map`."""
    rows = rows_of(iterables)
    calls = _Calls(electron, kwargs, return_exceptions=return_exceptions)
    with progress_bar(length_of(iterables), shown=progress) as advance:
        window = _Window(advance, calls)
        try:
            few = list(itertools.islice(rows, FEW))
            if len(few) == FEW:
                calls.learn(few.pop(0))
            rows = itertools.chain(few, rows)
            while chunk := list(itertools.islice(rows, calls.chunk)):
                window.make_room(MAX_IN_FLIGHT - len(chunk))
                window.add(*calls.start(chunk))
            return window.results()
        except BaseException:
            calls.drop()
            window.cancel()
            raise


@attrs.frozen
class _Pending:
    """Calls that are under way.

    Attributes:
        future: Their results.
        rows: Their arguments.
        as_one: Whether the future is of all of them, and its result a list.
        may_fail: Whether its error may be that of others in its job, so that it is to
            run by itself before it is believed.
    """

    future: QFuture
    rows: Sequence[Row]
    as_one: bool = False
    may_fail: bool = False

    def error(self) -> BaseException | None:
        """Return what calls that are done ended in, if not in a result."""
        try:
            return self.future.exception()
        except CancelledError as error:
            return error


#: A call before it is sent, and the arguments of those that it stands for.
_Prepared = tuple[Later, Sequence[Row]]


class _Calls:
    """Starts the calls of one `map`."""

    def __init__(
        self, electron: QElectron, kwargs: Mapping[str, Any], *, return_exceptions: bool
    ) -> None:
        self.chunk = CHUNK
        self._electron = electron
        self._kwargs = kwargs
        self._return_exceptions = return_exceptions
        self._blueprint: Blueprint | None = None
        self._key: Any = None
        self._as_one = False
        self._first: _Prepared | None = None
        self._model: Any = None

    def learn(self, row: Row) -> None:
        """Prepare the first of many calls, and learn from it how the others go."""
        call = copy.copy(self._electron)
        with pennylane_code():
            built = call.builder.build(call, row, self._kwargs)
            found = call.builder.blueprint(call, row, self._kwargs, built)
        if found is not None:
            self._blueprint, arguments = found
            self._key = arguments.key
            size = _most_fused(self._electron, built) if self._blueprint.slots else 1
            if size > 1:
                self._as_one, self.chunk = True, min(size, MAX_IN_FLIGHT // 4)
        self._first = Later(call, row, self._kwargs, built), [row]

    def start(self, rows: Sequence[Row]) -> list[_Pending]:
        """Start some calls, along with the first one if that has not left yet."""
        prepared = [] if self._first is None else [self._first]
        self._first = None
        try:
            as_one = self._prepare_as_one(rows) if self._as_one else None
            prepared += [as_one] if as_one else []
            for row in () if as_one else rows:
                prepared.append(self._prepare(row))
        except BaseException:
            _forget(prepared)
            raise
        return _sent(prepared, may_fail=as_one is not None)

    def drop(self) -> None:
        """Let go of a call that has not left."""
        if self._first is not None:
            _forget([self._first])

    def results_of(self, pending: _Pending) -> list[Any]:
        """Return the results of calls, waiting for them if need be.

        Raises:
            Exception: What one of them ended in, unless exceptions are asked for.
        """
        error = pending.error()
        if pending.may_fail and error and not isinstance(error, CancelledError):
            alone = _sent([self._prepare(row) for row in pending.rows])
            return [self._result(one.future) for one in alone]
        if not pending.as_one:
            return [self._result(pending.future)]
        if error is not None:
            return [self._result(pending.future) for _ in pending.rows]
        return [self._typed(result) for result in pending.future.result()]

    def ends_all(self, pending: _Pending) -> bool:
        """Tell whether calls that are done end the others."""
        if self._return_exceptions:
            return False
        error = pending.error()
        return isinstance(error, CancelledError) or bool(error and not pending.may_fail)

    def _typed(self, result: Any) -> Any:
        """Return a result of a run as one in the type of the first, which ran alone."""
        return result if self._model is None else fusion.in_type_of(self._model, result)

    def _result(self, future: QFuture) -> Any:
        try:
            result = future.result()
        except Exception as error:
            if self._return_exceptions:
                return error
            raise
        self._model = result if self._model is None else self._model
        return result

    def _prepare(self, row: Row) -> _Prepared:
        call = copy.copy(self._electron)
        return Later(call, row, self._kwargs, self._bound(call, row)), [row]

    def _bound(self, call: QElectron, row: Row) -> Built | None:
        """Return the circuit of a call, if it can be had without the function."""
        if self._blueprint is None:
            return None
        arguments = arguments_of(row, self._kwargs)
        if arguments is None or arguments.key != self._key:
            return None
        with pennylane_code():
            return bound(call, self._blueprint, arguments.numbers)

    def _prepare_as_one(self, rows: Sequence[Row]) -> _Prepared | None:
        """Prepare some calls as one, if that can be."""
        every = [arguments_of(row, self._kwargs) for row in rows]
        numbers = [a.numbers for a in every if a is not None and a.key == self._key]
        if self._blueprint is None or not 1 < len(numbers) == len(rows):
            return None
        columns = [np.array(column) for column in zip(*numbers, strict=True)]
        with pennylane_code():
            circuit = self._blueprint.bind_many(columns)
        if circuit is None:
            return None
        built = Built(circuit, self._blueprint.output, is_plain=True)
        return LaterMany(copy.copy(self._electron), built, len(rows)), rows


def _forget(prepared: Iterable[_Prepared]) -> None:
    runtime().forget([task for later, _ in prepared for task in later.tasks])


def _sent(prepared: Sequence[_Prepared], *, may_fail: bool = False) -> list[_Pending]:
    send_all(later for later, _ in prepared)
    return [
        _Pending(later.future, rows, isinstance(later, LaterMany), may_fail)
        for later, rows in prepared
    ]


def _most_fused(electron: QElectron, built: Built) -> int:
    """Return how many calls like one may be run as one circuit."""
    if electron.compile_pipeline or electron.interface not in ("auto", "numpy"):
        return 1
    return electron.device.most_fused(built.circuit)


class _Window:
    """The calls that are under way, and the results of those before them."""

    def __init__(self, advance: Any, calls: _Calls) -> None:
        self._advance = advance
        self._calls = calls
        self._pending: deque[_Pending] = deque()
        self._results: list[Any] = []
        self._in_flight = 0
        self._failed: _Pending | None = None
        self._changed = threading.Condition()

    def add(self, *started: _Pending) -> None:
        """Take calls that were started."""
        for pending in started:
            with self._changed:
                self._in_flight += len(pending.rows)
            self._pending.append(pending)
            pending.future.add_done_callback(partial(self._done, pending))

    def make_room(self, limit: int) -> None:
        """Wait until no more than so many calls are under way.

        Raises:
            Exception: What a call ended in, if it is to end the others.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._failed or self._in_flight <= limit)
        if self._failed is not None:
            self._calls.results_of(self._failed)
        while self._pending and self._pending[0].future.done():
            self._results += self._calls.results_of(self._pending.popleft())

    def results(self) -> list[Any]:
        """Wait for all calls and return their results, in order."""
        self.make_room(0)
        return self._results

    def cancel(self) -> None:
        """Cancel what has not started."""
        cancel_all(pending.future for pending in self._pending)

    def _done(self, pending: _Pending, _: Any) -> None:
        for _ in pending.rows:
            self._advance()
        with self._changed:
            self._in_flight -= len(pending.rows)
            if self._failed is None and self._calls.ends_all(pending):
                self._failed = pending
            self._changed.notify_all()

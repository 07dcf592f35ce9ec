"""One call per item, many at once: what `QElectron.map` does.

Items are taken as they are needed, so that they may come from a generator, and no
more calls are under way than a bound says. The first call shows whether circuits can
be built without the quantum function, and whether many of them can be run as one;
both are done only where the result is certain to be that of a loop.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np

from qelectron_core import fusion
from qelectron_core.building import bound
from qelectron_core.errors import BudgetError
from qelectron_core.futures import QFuture, cancel_all, progress_bar
from qelectron_core.later import Later, LaterMany, send_all
from qelectron_core.recording import pennylane_code
from qelectron_core.rows import Row, are_quiet, length_of, rows_of
from qelectron_core.runtime import runtime
from qelectron_core.runtime.spending import may_refuse
from qelectron_core.scopes import new_call_id
from qelectron_core.tracing.arguments import as_it_is
from qelectron_core.tracing.functions import Built, Known, arguments_of

if TYPE_CHECKING:
    from qelectron_core.qnode import QElectron

#: Calls whose circuits are sent off together.
CHUNK: Final = 256
#: Most calls that are under way at the same time.
MAX_IN_FLIGHT: Final = 16_384
#: Errors that calls end in by themselves, whatever they share a job with.
_BELIEVED: Final = (CancelledError, BudgetError)
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
    rows, count = rows_of(iterables), length_of(iterables)
    whole = count is not None and may_refuse(electron.policy)
    calls = _Calls(
        electron,
        kwargs,
        together=min(count, MAX_IN_FLIGHT) if count and whole else None,
        return_exceptions=return_exceptions,
        is_worth_it=count is None or count >= FEW,
        is_quiet=are_quiet(iterables),
    )
    with progress_bar(count, shown=progress) as advance:
        window = _Window(advance, calls)
        try:
            while started := calls.start(rows):
                window.add(*started)
                window.make_room(MAX_IN_FLIGHT - calls.chunk)
            return window.results()
        except BaseException:
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


class _Calls:
    """Starts the calls of one `map`.

    Each item is dealt with before the next one is asked for, as a loop would: whoever
    yields them may change them, or what the quantum function reads, in between.

    Args:
        electron: What is called.
        kwargs: Keyword arguments of every call.
        together: How many calls are to be sent together, so that a budget refuses all
            of them; `None` for as many as is quick.
        return_exceptions: Whether an error takes the place of a result.
        is_worth_it: Whether there are so many calls that it pays to trace.
        is_quiet: Whether nothing happens between one item and the next.
    """

    def __init__(  # noqa: PLR0913  # what is known of them
        self,
        electron: QElectron,
        kwargs: Mapping[str, Any],
        *,
        together: int | None,
        return_exceptions: bool,
        is_worth_it: bool,
        is_quiet: bool,
    ) -> None:
        self.chunk = together or CHUNK
        self._together = together
        self._electron = electron
        self._kwargs = kwargs
        self._return_exceptions = return_exceptions
        self._learns = is_worth_it
        self._is_quiet = is_quiet
        self._known: Known | None = None
        self._key: Any = None
        self._as_one = False
        self._most_as_one = 1
        self._model: Any = None

    def start(self, rows: Iterator[Row]) -> list[_Pending]:
        """Start some of the calls, and return them; none if there are no more."""
        chunk = _Chunk()
        try:
            while len(chunk) < self.chunk and (row := next(rows, None)) is not None:
                self._take(row, chunk)
            self._close(chunk)
        except BaseException:
            chunk.forget()
            raise
        return chunk.send(may_fail=self._as_one)

    def _take(self, row: Row, chunk: _Chunk) -> None:
        """Take one call into a chunk, or gather it with others."""
        numbers = self._numbers(row)
        if numbers is None:
            self._close(chunk)
            self._add(row, chunk)
        elif self._as_one:
            kept = (row, numbers) if self._is_quiet else as_it_is((row, numbers))
            chunk.gather(*kept)
            if chunk.gathered == self._most_as_one:
                self._close(chunk)
        else:
            self._add_bound(row, numbers, chunk)

    def _numbers(self, row: Row) -> list[Any] | None:
        """Return the numbers of a call whose circuit can be filled in."""
        known = self._known
        if known is None:
            return None
        if not self._is_quiet and not (
            known.purity.is_steady and known.purity.still_holds()
        ):
            return None
        arguments = arguments_of(row, self._kwargs)
        if arguments is None or arguments.key != self._key:
            return None
        return arguments.numbers

    def _add(self, row: Row, chunk: _Chunk) -> None:
        """Prepare one call by calling the quantum function."""
        call = copy.copy(self._electron)
        try:
            with pennylane_code():
                built = call.builder.build(call, row, self._kwargs)
                if self._learns:
                    self._learn(call, row, built)
            chunk.add(Later(call, row, self._kwargs, built), row)
        except Exception as error:
            if not self._return_exceptions:
                raise
            chunk.add_failed(error)

    def _learn(self, call: QElectron, row: Row, built: Built) -> None:
        """Learn from the first call how the others go."""
        self._learns = False
        found = call.builder.known(call, row, self._kwargs, built)
        if found is None:
            return
        self._known, arguments = found
        self._key = arguments.key
        if self._known.blueprint.slots:
            size = _most_fused(self._electron, built)
            self._as_one = size > 1
            self._most_as_one = min(size, MAX_IN_FLIGHT // 4)
            if self._as_one and self._together is None:
                self.chunk = self._most_as_one

    def _add_bound(self, row: Row, numbers: list[Any], chunk: _Chunk) -> None:
        """Prepare one call by filling in its circuit, if its arithmetic goes well."""
        assert self._known is not None
        call = copy.copy(self._electron)
        with pennylane_code():
            built = bound(call, self._known.blueprint, numbers)
        if built is None:
            self._add(row, chunk)
        else:
            chunk.add(Later(call, row, self._kwargs, built), row)

    def _close(self, chunk: _Chunk) -> None:
        """Prepare the calls that have gathered, as one if that can be."""
        rows, numbers = chunk.take_gathered()
        built = self._fused(numbers) if len(rows) > 1 else None
        if built is not None:
            call = copy.copy(self._electron)
            chunk.add(LaterMany(call, built, len(rows)), *rows)
            return
        for row, own in zip(rows, numbers, strict=True):
            self._add_bound(row, own, chunk)

    def _fused(self, numbers: Sequence[list[Any]]) -> Built | None:
        assert self._known is not None
        blueprint = self._known.blueprint
        columns = [np.array(column) for column in zip(*numbers, strict=True)]
        with pennylane_code():
            circuit = blueprint.bind_many(columns)
        if circuit is None:
            return None
        return Built(circuit, blueprint.output, is_plain=True)

    def _alone(self, rows: Sequence[Row]) -> list[Any]:
        """Run calls by themselves that failed in company, and return their results."""
        chunk = _Chunk()
        for row in rows:
            self._add(row, chunk)
        alone = chunk.send()
        try:
            return [self._result(one.future) for one in alone]
        except BaseException:
            cancel_all(one.future for one in alone)
            raise

    def results_of(self, pending: _Pending) -> list[Any]:
        """Return the results of calls, waiting for them if need be.

        Raises:
            Exception: What one of them ended in, unless exceptions are asked for.
        """
        error = pending.error()
        if pending.may_fail and error and not isinstance(error, _BELIEVED):
            return self._alone(pending.rows)
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
        return isinstance(error, _BELIEVED) or bool(error and not pending.may_fail)

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


class _Chunk:
    """Calls that are sent together."""

    def __init__(self) -> None:
        self._prepared: list[tuple[Later | QFuture, Sequence[Row]]] = []
        self._n_prepared = 0
        self._rows: list[Row] = []
        self._numbers: list[list[Any]] = []

    def __len__(self) -> int:
        return self._n_prepared + len(self._rows)

    @property
    def gathered(self) -> int:
        """How many calls have gathered, to be prepared together."""
        return len(self._rows)

    def add(self, later: Later | QFuture, *rows: Row) -> None:
        """Take calls that are prepared."""
        self._prepared.append((later, rows))
        self._n_prepared += len(rows)

    def add_failed(self, error: Exception) -> None:
        """Take a call that failed before there was a circuit."""
        future = QFuture(new_call_id())
        future.set_running_or_notify_cancel()
        future.set_exception(error)
        self.add(future, ())

    def gather(self, row: Row, numbers: list[Any]) -> None:
        """Take a call that is to be prepared with others."""
        self._rows.append(row)
        self._numbers.append(numbers)

    def take_gathered(self) -> tuple[list[Row], list[list[Any]]]:
        """Hand over the calls that have gathered."""
        gathered = self._rows, self._numbers
        self._rows, self._numbers = [], []
        return gathered

    def forget(self) -> None:
        """Let go of what was prepared."""
        runtime().forget([task for later in self._laters() for task in later.tasks])

    def send(self, *, may_fail: bool = False) -> list[_Pending]:
        """Send what was prepared."""
        send_all(self._laters())
        return [
            _Pending(one, rows)
            if isinstance(one, QFuture)
            else _Pending(one.future, rows, isinstance(one, LaterMany), may_fail)
            for one, rows in self._prepared
        ]

    def _laters(self) -> list[Later]:
        return [one for one, _ in self._prepared if isinstance(one, Later)]


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

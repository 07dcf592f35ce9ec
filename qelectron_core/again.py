"""Runs calls that are on record once more, as new calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import attrs
import pennylane as qml

from qelectron_core import outputs
from qelectron_core.attaching import known_run
from qelectron_core.cluster import Member, QCluster
from qelectron_core.contracts import Executor, Settings
from qelectron_core.device import QElectronDevice, unmerged
from qelectron_core.errors import ConfigError, FormatError
from qelectron_core.formats import load_shown
from qelectron_core.futures import QFuture
from qelectron_core.planning import plan_of
from qelectron_core.policy import Policy, caching
from qelectron_core.recording import pennylane_code
from qelectron_core.runtime import runtime
from qelectron_core.runtime.task import Batch
from qelectron_core.scopes import new_call_id
from qelectron_core.store import Entry, Run

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.plans import Plan
    from qelectron_core.runtime.keeper import Keeper

#: How circuits are run of which nobody says anything else.
_SETTINGS = Settings()


def run_again(
    call: str | Run,
    *,
    executors: Any = None,
    device: Any = "default.qubit",
    store: Any = None,
) -> QFuture:
    """Run the circuits of a call on record once more, as a new call of that name.

    They run, whatever is kept of equal ones, which stays as it is unless the cache mode
    is `"refresh"`. Budgets count them. The call may be any program's, and may have
    failed, or be running still; it stays as it is.

    The journal keeps neither the device of a QNode nor options of mid-circuit
    measurements. An executor that takes its device from the QNode, as `Simulator` does,
    takes it from `device`. A call that topped shots up runs those that it ran.

    Args:
        call: Its id (`future.id`), or a `Run` of `history`.
        executors: Where to run it, as of `qelectron`. By default each circuit runs
            where it ran last: on the executor that the journal shows, with the tokens
            that a new one finds.
        device: PennyLane device, or the name of one, in the place of the QNode's.
        store: Where it is looked up, and the new call kept; see `qelectron`.

    Returns:
        The future of what the call returns, as NumPy arrays; or of a list with the
        results of its circuits, if only its program can put them together.

    Raises:
        ConfigError: If the call is unknown, a circuit of it is not kept, or an executor
            cannot be made of its text, or the device of its name.
    """
    keeper = runtime().keeper(store)
    again = _prepared(call, executors, device, keeper, store)
    future = QFuture(new_call_id())
    finish = partial(_finish, merge=again.merge, output=again.output)
    on_done = partial(_finish_future, future, finish)
    batch = Batch(future.id, len(again.circuits), on_done, future._start)
    future._batch, future._keeper = batch, keeper
    with pennylane_code(), caching(_mode()):
        tasks = again.device.dispatcher.tasks(
            again.circuits,
            _SETTINGS,
            batch,
            again.device.policy,
            again.output if again.is_whole else None,
        )
    runtime().submit(tasks)
    return future


def plan_again(
    call: str | Run,
    *,
    executors: Any = None,
    device: Any = "default.qubit",
    store: Any = None,
) -> Plan:
    """Tell what `run_again` would do, without running or sending anything.

    Args:
        call: See `run_again`.
        executors: See `run_again`.
        device: See `run_again`.
        store: See `run_again`.

    Raises:
        ConfigError: As `run_again` does.
    """
    again = _prepared(call, executors, device, runtime().keeper(store), store)
    dispatcher, policy = again.device.dispatcher, again.device.policy
    with pennylane_code(), caching(_mode()):
        return plan_of(dispatcher.planned(again.circuits, _SETTINGS, policy))


@attrs.frozen(eq=False)
class _Again:
    """A call that is ready to be run once more.

    Attributes:
        circuits: Its circuits, as they are to be sent.
        device: What sends them.
        merge: What makes of their results those of the circuits on record.
        output: How these make up what the call returns, if that is known.
    """

    circuits: Sequence[QuantumScript]
    device: QElectronDevice
    merge: Callable[[Any], Any]
    output: str | None

    @property
    def is_whole(self) -> bool:
        """Whether the one circuit is sent as it is, and not in parts."""
        return self.merge is unmerged and len(self.circuits) == 1


class AsBefore:
    """A selector that gives each circuit to the executor that had it before."""

    def __init__(self, places: Mapping[int, int]) -> None:
        """Take the position of the executor by the identity of the circuit."""
        self._places = places

    def __call__(self, circuit: QuantumScript, executors: Sequence[Member]) -> Member:
        """Return the executor of a circuit."""
        return executors[self._places[id(circuit)]]

    def __repr__(self) -> str:
        """Say what it does."""
        return "as before"


def _prepared(
    call: str | Run, executors: Any, device: Any, keeper: Keeper, store: Any
) -> _Again:
    run = _found(call, keeper)
    circuits = _circuits(run, durable=keeper.store.durable)
    if isinstance(device, str):
        device = _device(device, circuits)
    made = QElectronDevice(
        executors=_as_before(run, circuits) if executors is None else executors,
        device=device,
        policy=Policy(store=store),
        title=run.call.name,
    )
    if executors is None:  # what is on record was made for those that had it
        return _Again(circuits, made, unmerged, _output(run, circuits))
    with pennylane_code():
        circuits = [made.with_own_shots(circuit) for circuit in circuits]
        sent, merge = made.expand(circuits)
    return _Again(sent, made, merge, _output(run, circuits))


def _device(name: str, circuits: Sequence[QuantumScript]) -> Any:
    try:
        return qml.device(name, wires=_common_wires(circuits))
    except Exception as error:  # of a plugin of PennyLane
        message = (
            f"device={name!r} cannot be made: {error} Expected a name of PennyLane's "
            "devices, such as 'default.qubit'."
        )
        raise ConfigError(message) from error


def _found(call: Any, keeper: Keeper) -> Run:
    if isinstance(call, Run):
        if call.entries:
            return call
        call = call.id
    if not isinstance(call, str):
        message = f"call={call!r} is no call. Expected its id, a string, or a ct.Run."
        raise ConfigError(message)
    keeper.flush()
    return known_run(call, keeper)


def _circuits(run: Run, *, durable: bool) -> list[QuantumScript]:
    """Return the circuits of a call, in order.

    Raises:
        ConfigError: If there is none, or one is not kept; says why.
    """
    kept: dict[int, Any] = {}
    for entry in _in_order(run):
        if entry.circuit is not None:
            kept[entry.index] = entry.circuit
    size = run.call.circuits
    missing = next((index for index in range(size) if index not in kept), None)
    if missing is None and size:
        return [kept[index] for index in range(size)]
    what = f"{run.id} cannot be run again from the journal:"
    if missing is None:
        raise ConfigError(f"{what} it has no circuits.")
    why = _why_missing(_last(run).get(missing), durable=durable)
    raise ConfigError(f"{what} circuit {missing} is not kept. {why}")


def _why_missing(entry: Entry | None, *, durable: bool) -> str:
    if entry is not None and entry.state == "cached" and entry.job_id:
        return (
            f"It equals a circuit of {entry.job_id}, whose result it got. Run the call "
            f"again that ran it, which `qelectron show {entry.job_id}` tells."
        )
    if not durable:
        return (
            "A store in memory keeps no circuits. Call the QElectron again, or set "
            "QELECTRON_STORE to a path before you do."
        )
    return (
        "It was not sent, is too large for the journal, or of a kind that it cannot "
        "write. Call the QElectron again."
    )


def _as_before(run: Run, circuits: Sequence[QuantumScript]) -> Member:
    """Return what gives each circuit to the executor that it went to last."""
    last = _last(run)
    texts = [last[index].executor for index in range(len(circuits))]
    made = {text: _made(text, run) for text in dict.fromkeys(texts)}
    if len(made) == 1:
        return made[texts[0]]
    position = {text: place for place, text in enumerate(made)}
    pairs = zip(circuits, texts, strict=True)
    places = {id(circuit): position[text] for circuit, text in pairs}
    return QCluster(made.values(), AsBefore(places))


def _made(text: str, run: Run) -> Executor:
    try:
        return load_shown(text)
    except FormatError as error:
        message = (
            f"the executor of {run.id} cannot be made again of what the journal shows: "
            f"{error} Say where to run it: executors=, on the command line --executor."
        )
        raise ConfigError(message) from error


def _output(run: Run, circuits: Sequence[QuantumScript]) -> str | None:
    """Return how results make up what the call returns, for the shots of now."""
    if run.call.output is None or len(circuits) != 1:
        return None
    shot_vector = circuits[0].shots.has_partitioned_shots
    return json.dumps({**json.loads(run.call.output), "shot_vector": shot_vector})


def _common_wires(circuits: Sequence[QuantumScript]) -> list[Any] | None:
    """Return the wires that all circuits have, for devices that want to know them."""
    first, *others = [list(circuit.wires) for circuit in circuits]
    return first if all(wires == first for wires in others) else None


def _in_order(run: Run) -> list[Entry]:
    return sorted(run.entries, key=lambda entry: entry.place)


def _last(run: Run) -> dict[int, Entry]:
    """Return the last line of the journal of each circuit."""
    return {entry.index: entry for entry in _in_order(run)}


def _mode() -> Literal[False, "refresh"]:
    """Return the cache mode: to run again is never to be answered from the cache."""
    return "refresh" if Policy().mode == "refresh" else False


def _finish(results: Sequence[Any], merge: Any, output: str | None) -> Any:
    whole = list(merge(tuple(results)))
    return whole if output is None else outputs.rebuild(whole[0], output)


def _finish_future(future: QFuture, finish: Any, batch: Batch) -> None:
    with pennylane_code():
        future._finish(batch, finish)

"""Which executors are left out: what a store is told of it, and what is read there."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core.breaker_states import (
    KIND,
    BreakerState,
    closed_document,
    open_breakers,
    open_document,
)
from qelectron_core.memory_store import MemoryStore
from qelectron_core.runtime.breakers import Breaker
from qelectron_core.runtime.runtime import Runtime, use

NOW = 1_800_000_000.0
STATE = BreakerState("Echo()", "ValueError: x", NOW, NOW + 30, "host:1")


@pytest.fixture(autouse=True)
def own_runtime() -> Iterator[None]:
    with use(Runtime()):
        yield


@attrs.frozen
class Flaky(ct.Executor):
    """Fails as long as it is told to."""

    capabilities = ct.Capabilities(computes=False)
    down: list[bool] = attrs.field(factory=lambda: [True], eq=False, repr=False)
    token: str = attrs.field(default="", repr=False)

    def run(self, job: ct.Job) -> Sequence[Any]:
        if self.down[0]:
            message = "is down"
            raise RuntimeError(message)
        return [0.5] * len(job.circuits)


def circuit_on(executors: Any, store: Any) -> Any:
    @ct.qelectron(executors=executors, store=store)
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit() -> Any:
        return qml.expval(qml.Z(0))

    return circuit


def cluster(flaky: Flaky, *, pause_s: float = 60.0, after: int = 1) -> ct.QCluster:
    return ct.QCluster([flaky], failover=ct.Failover(after=after, pause_s=pause_s))


def fail(circuit: Any) -> None:
    with pytest.raises(RuntimeError, match="is down"):
        circuit()


# --- What a store is told -------------------------------------------------------------


def test_a_breaker_that_opens_is_kept_with_its_reason() -> None:
    store, began = MemoryStore(), time.time()
    circuit = circuit_on(cluster(Flaky(token="secret"), after=2), store)
    fail(circuit)
    assert open_breakers(store) == []
    fail(circuit)
    (one,) = open_breakers(store)
    assert one.executor == "Flaky()"
    assert one.reason == "RuntimeError: is down"
    assert began < one.opened_at < time.time()
    assert one.opened_at + 59 < one.retry_at < time.time() + 60
    assert one.process == store.runs()[0].call.process


def test_a_breaker_that_closes_is_kept() -> None:
    store, flaky = MemoryStore(), Flaky()
    circuit = circuit_on(cluster(flaky), store)
    for _ in range(2):
        flaky.down[0] = True
        fail(circuit)
        assert len(open_breakers(store)) == 1
        flaky.down[0] = False
        circuit()
        assert open_breakers(store) == []
    (document,) = store.documents(KIND)
    assert json.loads(document.body) == {"state": "closed", "executor": "Flaky()"}


def test_a_try_that_fails_puts_off_the_next_one_and_leaves_since_when() -> None:
    store = MemoryStore()
    circuit = circuit_on(cluster(Flaky()), store)
    fail(circuit)
    (first,) = open_breakers(store)
    fail(circuit)  # there is no other member
    (second,) = open_breakers(store)
    assert second.opened_at == first.opened_at
    assert second.retry_at > first.retry_at


def test_all_stores_that_were_told_that_it_is_open_are_told_that_it_is_not() -> None:
    stores, flaky = [MemoryStore(), MemoryStore(), MemoryStore()], Flaky()
    circuits = [circuit_on(cluster(flaky), store) for store in stores]
    for circuit in circuits[:2]:
        fail(circuit)
    assert [len(open_breakers(store)) for store in stores] == [1, 1, 0]
    flaky.down[0] = False
    circuits[2]()
    assert [len(open_breakers(store)) for store in stores] == [0, 0, 0]
    assert stores[2].documents(KIND) == []
    flaky.down[0] = True
    fail(circuits[0])
    assert [len(open_breakers(store)) for store in stores] == [1, 0, 0]


def test_breakers_of_one_executor_are_told_apart() -> None:
    store, flaky = MemoryStore(), Flaky()
    for pause_s in (50.0, 60.0):
        fail(circuit_on(cluster(flaky, pause_s=pause_s), store))
    found = open_breakers(store)
    assert [one.executor for one in found] == ["Flaky()"] * 2
    assert found[0].opened_at > found[1].opened_at, "the last opened first"
    assert found[0].retry_at > found[1].retry_at


class Counting(MemoryStore):
    """Counts what it is told."""

    puts = 0

    def put(self, documents: Any) -> None:
        self.puts += 1
        super().put(documents)


def test_a_store_is_told_only_what_changes() -> None:
    store, flaky = Counting(), Flaky()
    flaky.down[0] = False
    circuit = circuit_on(cluster(flaky), store)
    for _ in range(5):
        circuit()
    assert store.puts == 0
    flaky.down[0] = True
    fail(circuit)
    assert store.puts == 1


def test_a_job_that_fails_is_told_once_however_many_circuits_it_holds() -> None:
    store, breaker = Counting(), Breaker(ct.Failover(after=1))

    class Keeper:
        def __init__(self) -> None:
            self.store = store
            self.put = store.put

    keeper: Any = Keeper()
    for _ in range(5):
        breaker.record("job-1", failed=True)
        breaker.tell(keeper, Flaky(), "E: x")
    assert store.puts == 1


class OldStore(MemoryStore):
    """Was written before there were documents."""

    put = ct.Store.put
    documents = ct.Store.documents
    drop = ct.Store.drop


def test_a_store_without_a_place_for_it_is_told_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = OldStore()
    fail(circuit_on(cluster(Flaky()), store))
    assert open_breakers(store) == []
    assert caplog.records == []


# --- What is read there ---------------------------------------------------------------


def test_what_was_kept_is_read() -> None:
    store = MemoryStore()
    later = attrs.evolve(STATE, executor="Later()", opened_at=NOW + 1)
    store.put([open_document("a", STATE, NOW), open_document("b", later, NOW - 9)])
    assert open_breakers(store) == [later, STATE]
    store.put([closed_document("b", "Later()", NOW)])
    assert open_breakers(store) == [STATE]


TOLD: dict[str, Any] = {"state": "open", **attrs.asdict(STATE)}


ODD: list[Any] = [
    [],
    3,
    {},
    {**TOLD, "state": "closed"},
    {**TOLD, "executor": 3},
    {**TOLD, "reason": None},
    {**TOLD, "process": ["host:1"]},
    {**TOLD, "opened_at": "soon"},
    {**TOLD, "retry_at": None},
    {**TOLD, "retry_at": float("inf")},
    {**TOLD, "opened_at": float("nan")},
    {**TOLD, "opened_at": 10**400},
    {name: one for name, one in TOLD.items() if name != "reason"},
]


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[" * 100_000, *(json.dumps(one).encode() for one in ODD)],
)
def test_what_cannot_be_read_is_left_out(body: bytes) -> None:
    store = MemoryStore()
    store.put([ct.Document(KIND, "odd", body, NOW), open_document("a", STATE, NOW)])
    assert open_breakers(store) == [STATE]


def test_what_an_ended_process_left_is_left_out() -> None:
    class Gone(MemoryStore):
        def documents(self, *args: Any, **options: Any) -> Any:
            found = super().documents(*args, **options)
            return [attrs.evolve(one, alive=False) for one in found]

    store = Gone()
    store.put([open_document("a", STATE, NOW)])
    assert open_breakers(store) == []

"""Remote executors: jobs are submitted once, watched, fetched and put in order."""

from __future__ import annotations

import asyncio
import gc
import itertools
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import attrs
import pennylane as qml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import qelectron_core as ct
from qelectron_core.memory_store import MemoryStore
from qelectron_core.runtime import runtime
from qelectron_core.testing import FakeCloud, Faults, virtual_clock

_names = (f"remote-{number}" for number in itertools.count())


def cloud(**options: Any) -> FakeCloud:
    """Return a fake cloud with a vendor that no other test has."""
    return FakeCloud(name=next(_names), **options)


def circuit_on(executors: Any, **options: Any) -> ct.QElectron:
    @ct.qelectron(executors=executors)
    @qml.qnode(qml.device("default.qubit", wires=2), **options)
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        qml.CNOT(wires=[0, 1])
        return qml.expval(qml.Z(1))

    return circuit


def expected(x: float) -> float:
    return float(qml.math.cos(x))


@pytest.fixture(autouse=True)
def _no_leftovers() -> Iterator[None]:
    yield
    ct.shutdown()


ANGLES = [number / 50 for number in range(50)]
PATIENT = ct.Polling(first_s=0.05, longest_s=5.0, give_up_s=3600.0)


# --- The ordinary way -----------------------------------------------------------------


def test_a_call_a_future_and_a_map_give_what_the_qnode_gives() -> None:
    circuit = circuit_on(cloud())
    assert float(circuit(0.3)) == pytest.approx(expected(0.3))
    assert float(circuit.run_later(0.3).result(timeout=30)) == pytest.approx(
        expected(0.3)
    )
    assert circuit.map(ANGLES) == pytest.approx([expected(x) for x in ANGLES])


def test_the_record_names_handle_and_price() -> None:
    fake = cloud(price_usd_per_job=0.3)
    future = circuit_on(fake).run_later(0.3)
    future.result(timeout=30)
    (execution,) = future.executions
    assert execution.handle == fake.vendor.jobs[0].id
    assert execution.cost_usd == pytest.approx(0.3)
    assert execution.executor == fake


def test_a_gradient_is_one_job_beside_the_forward_pass() -> None:
    fake = cloud()
    circuit = circuit_on(fake, diff_method="parameter-shift")
    gradient = qml.grad(circuit)(qml.numpy.array(0.4, requires_grad=True))
    assert float(gradient) == pytest.approx(-float(qml.math.sin(0.4)))
    assert [job.circuits for job in fake.vendor.jobs] == [1, 2]


def test_circuits_gather_while_a_submit_is_on_its_way() -> None:
    fake = cloud(request_s=0.3)
    circuit = circuit_on(fake)
    futures = [circuit.run_later(ANGLES[0])]
    _wait_until(lambda: fake.vendor.requests["submit"] == 1)
    for angle in ANGLES[1:10]:
        futures.append(circuit.run_later(angle))
        runtime().loop.ask(lambda: None)  # the lane has seen it
    results = ct.gather(futures, timeout=60)
    assert results == pytest.approx([expected(x) for x in ANGLES[:10]])
    assert [job.circuits for job in fake.vendor.jobs] == [1, 9]


@pytest.mark.parametrize(
    ("limits", "options", "sizes"),
    [
        (ct.Limits(circuits_per_job=20), {}, [20, 20, 10]),
        (ct.Limits(shots_per_job=1000), {"shots": 300}, [3] * 16 + [2]),
        (ct.Limits(circuits_per_job=1), {}, [1] * 50),
    ],
    ids=["circuits", "shots", "one by one"],
)
def test_jobs_are_split_to_the_limits_and_put_back_in_order(
    limits: ct.Limits, options: Any, sizes: list[int]
) -> None:
    fake = cloud(limits=limits, **options)
    results = circuit_on(fake).map(ANGLES)
    tolerance = 5 / 300**0.5 if options else 1e-9
    assert results == pytest.approx([expected(x) for x in ANGLES], abs=tolerance)
    assert sorted(job.circuits for job in fake.vendor.jobs) == sorted(sizes)


def test_jobs_are_split_to_the_payload_that_the_executor_counts() -> None:
    bare = cloud()
    size = bare.payload_bytes(circuit_on(bare).construct((0.1,), {}))
    fake = cloud(limits=ct.Limits(payload_bytes_per_job=4 * size))
    circuit_on(fake).map(ANGLES)
    assert [job.circuits for job in fake.vendor.jobs] == [4] * 12 + [2]


def test_no_more_jobs_are_in_flight_than_the_vendor_takes() -> None:
    fake = cloud(jobs_in_flight=3, limits=ct.Limits(circuits_per_job=5), latency_s=0.05)
    circuit_on(fake).map(ANGLES)
    assert fake.vendor.submitted == 10
    assert fake.vendor.requests["submit"] == 10, "none was refused"


def test_results_come_one_by_one_while_the_rest_is_pending() -> None:
    fast, slow = cloud(), cloud(latency_s=60)
    done = circuit_on(fast).run_later(0.1)
    waiting = [circuit_on(slow).run_later(0.1) for _ in range(20)]
    assert float(done.result(timeout=30)) == pytest.approx(expected(0.1))
    assert not any(future.done() for future in waiting)


def test_many_calls_in_flight_take_no_thread_and_little_memory_each() -> None:
    fake = cloud(
        latency_s=0.5, machines=1, limits=ct.Limits(circuits_per_job=1), polling=PATIENT
    )

    @ct.qelectron(executors=fake)
    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        qml.RY(x, wires=1)
        qml.CNOT(wires=[0, 1])
        qml.RZ(x, wires=1)
        return qml.expval(qml.Z(1))

    many = 1000
    first = circuit.run_later(0.1)  # what is made once
    _wait_until(lambda: fake.vendor.submitted == 1)
    threads = threading.active_count()
    tracemalloc.start()
    futures = [circuit.run_later(number / 7) for number in range(many)]
    _wait_until(lambda: fake.vendor.submitted == many + 1)
    gc.collect()
    traced, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert traced / many <= 9 * 1024  # with the vendor's own part
    assert threading.active_count() <= threads + 3
    first.result(timeout=30)
    assert not all(future.done() for future in futures)


def test_it_works_inside_a_running_event_loop() -> None:
    circuit = circuit_on(cloud())

    async def main() -> tuple[Any, Any]:
        return circuit(0.2), await circuit.run_later(0.3)

    assert asyncio.run(main()) == pytest.approx((expected(0.2), expected(0.3)))


def test_a_result_may_be_used_to_run_the_next_circuit_and_wait_for_it() -> None:
    circuit = circuit_on(cloud())
    answers: list[float] = []
    finished = threading.Event()

    def go_on(future: Any) -> None:
        answers.append(float(circuit(float(future.result()))))
        finished.set()

    circuit.run_later(0.3).add_done_callback(go_on)
    assert finished.wait(30)
    assert answers == pytest.approx([expected(expected(0.3))])


# --- Plain methods, and wrong ones ----------------------------------------------------


@attrs.frozen
class Plain(ct.RemoteExecutor):
    """A remote executor whose methods are plain, and block."""

    log: list[str] = attrs.field(factory=list, eq=False, repr=False)

    @property
    def polling(self) -> ct.Polling:
        return ct.Polling(first_s=0.01)

    def open(self) -> dict[str, Any]:
        self.log.append("open")
        return {}

    def close(self, resource: Any) -> None:
        self.log.append("close")

    def submit(self, job: ct.Job) -> str:
        job.resource[job.id] = [
            float(c.get_parameters(trainable_only=False)[0]) for c in job.circuits
        ]
        return f"vendor-{job.id}"

    def status(self, handle: ct.Handle) -> Any:
        return "done"

    def fetch(self, handle: ct.Handle) -> Any:
        return handle.job.resource[handle.job.id]

    def cancel(self, handle: ct.Handle) -> None:
        self.log.append("cancel")


def test_plain_methods_work_as_well() -> None:
    executor = Plain()
    with executor:
        assert circuit_on(executor).map(ANGLES) == pytest.approx(ANGLES)
    assert executor.log == ["open", "close"]


def plain_with(**methods: Any) -> Plain:
    """Return an executor like `Plain` with some methods exchanged."""
    made: type[Plain] = attrs.frozen(type("Other", (Plain,), methods))
    return made()


def failing(method: str, error: BaseException) -> Plain:
    def fail(self: Any, argument: Any) -> Any:
        raise error

    return plain_with(**{method: fail})


@pytest.mark.parametrize(
    ("executor", "error", "message"),
    [
        (
            failing("submit", ct.ConfigError("no such machine")),
            ct.ConfigError,
            "no such",
        ),
        (failing("submit", KeyError("id")), ct.UnsettledJobError, "submit.*KeyError"),
        (
            failing("submit", ConnectionError("x")),
            ct.UnsettledJobError,
            "not sent again",
        ),
        (failing("status", KeyError("state")), ct.UnsettledJobError, "status.*attach"),
        (failing("status", ct.UnknownJobError("who?")), ct.UnknownJobError, "who"),
        (failing("fetch", KeyError("data")), ct.UnsettledJobError, "fetch.*attach"),
        (failing("fetch", ct.JobFailedError("burnt")), ct.JobFailedError, "burnt"),
    ],
)
def test_what_a_method_raises_ends_in_a_clear_error(
    executor: Plain, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"(?s){message}"):
        circuit_on(attrs.evolve(executor, retries=3)).run_later(0.1).result(timeout=30)


@pytest.mark.parametrize("value", [None, "", 7, b"id"])
def test_a_submit_must_return_an_id(value: Any) -> None:
    nameless = plain_with(submit=lambda self, job: value)
    with pytest.raises(
        ct.UnsettledJobError, match=r"returned .*Expected the vendor's id"
    ):
        circuit_on(nameless).run_later(0.1).result(timeout=30)


def test_a_missing_method_is_named() -> None:
    @attrs.frozen
    class Unfinished(ct.RemoteExecutor):
        pass

    with pytest.raises(ct.ExecutorError, match=r"'Unfinished' has no submit\(job\)"):
        circuit_on(Unfinished()).run_later(0.1).result(timeout=30)


def test_open_that_fails_is_tried_again_by_the_next_call() -> None:
    attempts = itertools.count()

    @attrs.frozen
    class Shy(Plain):
        def open(self) -> dict[str, Any]:
            if next(attempts) == 0:
                raise PermissionError("the token has expired")
            return {}

    circuit = circuit_on(Shy())
    with pytest.raises(PermissionError, match="the token has expired"):
        circuit(0.1)
    assert float(circuit(0.1)) == pytest.approx(0.1)


# --- Trouble --------------------------------------------------------------------------

chance = st.sampled_from([0.0, 0.0, 0.1, 0.4])
passing_faults = st.builds(
    Faults,
    rate_limited=chance,
    unavailable=chance,
    lost_request=chance,
    lost_answer=chance,
    partial=chance,
    crashed=chance,
    odd_status=chance,
    wrong_count=chance,
    cancelled=chance,
    stuck=chance,
)


vendors = st.fixed_dictionaries(
    {
        "faults": passing_faults,
        "vendor_seed": st.integers(0, 2**16),
        "machines": st.sampled_from([None, 2]),
        "findable": st.booleans(),
        "limits": st.builds(ct.Limits, st.sampled_from([1, 4, None])),
    }
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(vendor=vendors, n_circuits=st.integers(1, 12))
def test_whatever_goes_wrong_each_circuit_ends_right_or_in_one_clear_error(
    vendor: dict[str, Any], n_circuits: int
) -> None:
    fake = cloud(
        latency_s=1.0, jitter_s=1.0, timeout_s=5000.0, polling=PATIENT, **vendor
    )
    faults = fake.faults
    angles = ANGLES[:n_circuits]
    with virtual_clock():
        futures = [circuit_on(fake).run_later(x) for x in angles]
        outcomes = ct.gather(futures, return_exceptions=True, timeout=120)
    for angle, outcome in zip(angles, outcomes, strict=True):
        if isinstance(outcome, Exception):
            assert isinstance(outcome, ct.ExecutorError), outcome
        else:
            assert float(outcome) == pytest.approx(expected(angle))
    handles = {f.executions[0].handle for f in futures} - {None}
    unknown = [o for o in outcomes if isinstance(o, ct.UnsettledJobError)]
    assert fake.vendor.duplicates == 0
    assert fake.vendor.circuits <= n_circuits
    if not unknown:
        assert fake.vendor.submitted == len(handles)
    if fake.findable and not (faults.odd_status or faults.wrong_count):
        assert not unknown, "find() settles every lost submit"


def test_retries_submit_a_failed_job_again_but_never_an_unsettled_one() -> None:
    crashing = cloud(faults=Faults(crashed=0.7), retries=20, vendor_seed=3)
    with virtual_clock():
        assert float(circuit_on(crashing)(0.3)) == pytest.approx(expected(0.3))
    assert crashing.vendor.submitted > 1
    odd = cloud(faults=Faults(odd_status=1.0), retries=20, latency_s=1.0)
    with virtual_clock(), pytest.raises(ct.UnsettledJobError, match="'calibrating'"):
        circuit_on(odd)(0.3)
    assert odd.vendor.submitted == 1


def test_a_job_that_never_ends_ends_by_its_deadline_and_is_cancelled() -> None:
    fake = cloud(faults=Faults(stuck=1.0), latency_s=1.0, timeout_s=3600.0)
    with virtual_clock() as clock:
        with pytest.raises(ct.ExecutorTimeoutError, match=r"within 3600 s.*timeout_s"):
            circuit_on(fake)(0.3)
        assert 3600 <= clock.now < 3700
    assert fake.vendor.cancelled == 1


def test_polling_adds_at_most_a_tenth_and_slows_down() -> None:
    fake = cloud(latency_s=3000.0, polling=ct.Polling(first_s=1.0, longest_s=1000.0))
    with virtual_clock() as clock:
        circuit_on(fake)(0.3)
        assert 3000 <= clock.now < 3000 * 1.15
    assert fake.vendor.requests["status"] < 100


def test_a_rate_limit_holds_up_all_requests_of_the_account() -> None:
    fake = cloud(
        requests_per_s=5, limits=ct.Limits(circuits_per_job=1), polling=PATIENT
    )
    with virtual_clock():
        results = circuit_on(fake).map(ANGLES)
    assert results == pytest.approx([expected(x) for x in ANGLES])
    answered = 3 * 50  # a submit, a status and a fetch each
    assert sum(fake.vendor.requests.values()) < 3 * answered


def test_a_vendor_without_an_answer_is_given_up_with_its_handle() -> None:
    calls: list[float] = []

    async def status(self: Any, handle: Any) -> Any:
        calls.append(asyncio.get_running_loop().time())
        raise ConnectionResetError("the line went dead")

    polling = ct.Polling(first_s=0.01, give_up_s=60.0)
    gone = plain_with(polling=polling, status=status)
    with virtual_clock():
        future = circuit_on(gone).run_later(0.1)
        with pytest.raises(ct.UnsettledJobError, match=r"job vendor-job-.*attach\(\)"):
            future.result(timeout=30)
        (left,) = runtime().keeper().store.jobs()
        assert left.handle == future.executions[0].handle
    assert 60 <= calls[-1] - calls[0] < 120
    assert len(calls) < 30


def test_a_status_without_an_answer_holds_up_nobody_and_meets_its_deadline() -> None:
    async def status(self: Any, handle: ct.Handle) -> Any:
        if handle.job.resource["first"] == handle.id:
            await asyncio.sleep(600)
        return "done"

    def submit(self: Any, job: ct.Job) -> str:
        job.resource.setdefault("first", f"vendor-{job.id}")
        return Plain.submit(self, job)

    hangs = attrs.evolve(plain_with(status=status, submit=submit), timeout_s=3.0)
    circuit = circuit_on(hangs)
    stuck = circuit.run_later(0.1)
    _wait_until(lambda: bool(stuck.handles))
    assert float(circuit.run_later(0.2).result(timeout=30)) == pytest.approx(0.2)
    assert not stuck.done()
    with pytest.raises(ct.ExecutorTimeoutError):
        stuck.result(timeout=30)


@pytest.mark.parametrize("method", ["open", "submit", "status", "fetch"])
@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError()])
@pytest.mark.parametrize("kind", ["async", "plain"])
def test_what_is_no_exception_ends_one_call_and_not_the_loop(
    method: str, error: BaseException, kind: str
) -> None:
    async def async_fail(*_: Any) -> Any:
        raise error

    def plain_fail(*_: Any) -> Any:
        raise error

    fail = async_fail if kind == "async" else plain_fail
    with pytest.raises(
        (RuntimeError, ct.UnsettledJobError), match=type(error).__name__
    ):
        circuit_on(plain_with(**{method: fail})).run_later(0.1).result(timeout=30)
    assert float(circuit_on(Plain())(0.2)) == pytest.approx(0.2)


def test_a_late_job_that_cannot_be_cancelled_is_not_sent_again() -> None:
    def refuse(self: Any, handle: Any) -> None:
        raise ct.ExecutorError("409: it runs already")

    late = plain_with(status=lambda self, handle: "running", cancel=refuse)
    patient = attrs.evolve(late, timeout_s=0.2, retries=3)
    with pytest.raises(ct.UnsettledJobError, match="could not be cancelled"):
        circuit_on(patient).run_later(0.1).result(timeout=30)


def test_an_exception_that_takes_no_notes_is_passed_on() -> None:
    @attrs.frozen
    class VendorError(Exception):
        code: int

        def __str__(self) -> str:
            raise ValueError("no text")

    broken = plain_with(fetch=lambda self, handle: [VendorError(7)])
    with pytest.raises(VendorError):
        circuit_on(broken).run_later(0.1).result(timeout=30)


# --- attach ---------------------------------------------------------------------------


def test_a_handle_leads_back_to_the_results() -> None:
    fake = cloud(shots=100, seed=5)
    circuit = circuit_on(fake)
    future = circuit.run_later(0.3)
    value, handle = future.result(timeout=30), future.executions[0].handle
    ct.shutdown()
    assert handle is not None
    assert circuit_on(fake).attach(handle, 0.3).result(timeout=30) == value
    assert fake.vendor.submitted == 1


def test_attach_to_an_unknown_handle_says_so() -> None:
    with pytest.raises(ct.UnknownJobError, match="there is no job 'nobody'"):
        circuit_on(cloud()).attach("nobody", 0.3).result(timeout=30)


def test_attach_needs_a_remote_executor() -> None:
    with pytest.raises(ct.ConfigError, match="is no remote executor"):
        circuit_on(ct.executor.Echo()).attach("x", 0.3)


# --- The journal ----------------------------------------------------------------------


def test_intent_is_written_before_a_submit_and_the_handle_after() -> None:
    log: list[tuple[str, Any]] = []

    @attrs.frozen
    class Logged(Plain):
        def submit(self, job: ct.Job) -> str:
            log.append(("submit", job.id))
            return Plain.submit(self, job)

        def status(self, handle: ct.Handle) -> Any:
            log.append(("status", [intent.handle for intent in store.jobs()]))
            return "done"

    circuit = circuit_on(Logged())
    store: Any = runtime().keeper().store
    intend, submitted = store.intend, store.submitted

    def spy_intend(intent: ct.Intent) -> None:
        log.append(("intend", intent.job_id))
        (one,) = intent.circuits
        assert one.get_parameters(trainable_only=False) == [0.1]
        intend(intent)

    def spy_submitted(job_id: str, handle: str) -> None:
        log.append(("submitted", job_id))
        submitted(job_id, handle)

    store.intend, store.submitted = spy_intend, spy_submitted
    circuit(0.1)
    assert [kind for kind, _ in log] == ["intend", "submit", "submitted", "status"]
    assert len({job_id for kind, job_id in log if kind != "status"}) == 1
    deadline = time.monotonic() + 30
    while store.jobs():
        assert time.monotonic() < deadline


def test_a_store_that_fails_stops_no_job(caplog: pytest.LogCaptureFixture) -> None:
    circuit = circuit_on(Plain())

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    store: Any = runtime().keeper().store
    store.intend = store.submitted = fail
    assert float(circuit(0.1)) == pytest.approx(0.1)
    assert "disk full" in caplog.text


# --- Cancelling -----------------------------------------------------------------------


def test_a_future_can_be_cancelled_at_the_vendor_until_it_is_done() -> None:
    fake = cloud(latency_s=60)
    future = circuit_on(fake).run_later(0.1)
    _wait_until(lambda: fake.vendor.submitted == 1)
    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result(timeout=1)
    _wait_until(lambda: fake.vendor.cancelled == 1)


def test_a_job_is_cancelled_with_the_last_call_that_is_in_it() -> None:
    fake = cloud(latency_s=60, request_s=0.05)
    circuit = circuit_on(fake)
    futures = [circuit.run_later(x) for x in ANGLES[:10]]
    _wait_until(lambda: fake.vendor.circuits == 10)
    jobs = fake.vendor.submitted
    assert jobs < 10
    assert all(future.cancel() for future in futures[:-1])
    _wait_until(lambda: fake.vendor.cancelled == jobs - 1)
    assert futures[-1].cancel()
    _wait_until(lambda: fake.vendor.cancelled == jobs)


def test_a_call_cancelled_while_its_submit_is_on_its_way_is_cancelled_after_it() -> (
    None
):
    fake = cloud(latency_s=60, request_s=0.3)
    future = circuit_on(fake).run_later(0.1)
    _wait_until(lambda: fake.vendor.requests["submit"] == 1)
    assert future.cancel()
    _wait_until(lambda: fake.vendor.cancelled == 1)
    assert fake.vendor.submitted == 1


def test_a_call_may_be_cancelled_while_its_result_is_being_made() -> None:
    futures: list[ct.QFuture] = []

    @qml.transform
    def cancelling(tape: Any) -> Any:
        def post(results: Any) -> Any:
            futures[0].cancel()
            return results[0]

        return [tape], post

    futures.append(cancelling(circuit_on(cloud(latency_s=0.2))).run_later(0.1))
    with pytest.raises(CancelledError):
        futures[0].result(timeout=30)
    assert futures[0].cancelled()


def test_the_record_of_a_cancelled_circuit_names_its_job() -> None:
    fake = cloud(latency_s=60)
    ended: list[ct.Execution] = []

    def see(event: ct.Event) -> None:
        if event.execution is not None:
            ended.append(event.execution)

    with ct.observe(see):
        future = circuit_on(fake).run_later(0.1)
        _wait_until(lambda: bool(future.handles))
        assert future.handles == (fake.vendor.jobs[0].id,)
        future.cancel()
        _wait_until(lambda: bool(ended))
    assert ended[0].cancelled
    assert ended[0].handle == fake.vendor.jobs[0].id


def test_shutdown_cancels_what_is_at_the_vendor() -> None:
    fake = cloud(latency_s=60)
    futures = [circuit_on(fake).run_later(x) for x in ANGLES]
    _wait_until(lambda: fake.vendor.circuits == 50)
    started = time.monotonic()
    ct.shutdown()
    assert time.monotonic() - started < 10
    assert all(future.cancelled() for future in futures)
    assert fake.vendor.cancelled == fake.vendor.submitted


def test_a_call_cancelled_while_the_connection_is_made_leaves_the_others_alone() -> (
    None
):
    release = threading.Event()

    def slow_open(self: Any) -> dict[str, Any]:
        release.wait(30)
        return {}

    circuit = circuit_on(plain_with(open=slow_open))
    let_go = threading.Event()
    runtime().loop.call(let_go.wait, 30)  # so that both calls gather
    one, other = circuit.run_later(0.1), circuit.run_later(0.2)
    let_go.set()
    runtime().loop.ask(lambda: None)
    assert one.cancel()
    release.set()
    assert float(other.result(timeout=30)) == pytest.approx(0.2)


def test_shutdown_submits_nothing_more() -> None:
    fake = cloud(latency_s=60, jobs_in_flight=2, limits=ct.Limits(circuits_per_job=1))

    class Lasting(MemoryStore):
        durable = True

    runtime().keeper().store.__class__ = Lasting
    futures = [circuit_on(fake).run_later(x) for x in ANGLES[:6]]
    _wait_until(lambda: fake.vendor.submitted == 2)
    ct.shutdown()
    assert all(future.cancelled() for future in futures)
    assert fake.vendor.submitted == 2


def test_a_durable_store_lets_jobs_go_on_without_the_process() -> None:
    fake = cloud(latency_s=60)

    class Lasting(MemoryStore):
        durable = True

    runtime().keeper().store.__class__ = Lasting
    future = circuit_on(fake).run_later(0.1)
    _wait_until(lambda: fake.vendor.submitted == 1)
    ct.shutdown()
    assert future.cancelled()
    assert fake.vendor.cancelled == 0
    handle = fake.vendor.jobs[0].id
    again = circuit_on(fake).attach(handle, 0.1)
    assert not again.done()


def _wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 30 s"
        time.sleep(0.005)


INTERRUPTED = """
import signal, sys, threading, time
import pennylane as qml
import qelectron_core as ct
from qelectron_core.testing import FakeCloud

quick = FakeCloud(name="quick")
limits = ct.Limits(circuits_per_job={per_job})
slow = FakeCloud(name="slow", latency_s=600, request_s=0.02, limits=limits)

def circuit_on(executors):
    @ct.qelectron(executors=executors)
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x):
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))
    return circuit

done = [circuit_on(quick).run_later(x / 9) for x in range(9)]
ct.gather(done)
waiting = [circuit_on(slow).run_later(x / 500) for x in range(500)]
while slow.vendor.circuits < 500:
    time.sleep(0.01)

def announce():
    main = threading.main_thread().ident
    while not waits(sys._current_frames()[main]):
        time.sleep(0.001)
    time.sleep(0.3)  # CPython misses a signal between its last look and the lock
    print("waiting", flush=True)

def waits(frame):
    names = []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names[0] == "wait" and "start" not in names  # as a thread that starts does

try:
    threading.Thread(target=announce, daemon=True).start()
    {wait}
except KeyboardInterrupt:
    print("prompt", flush=True)
    print(sum(f.cancelled() for f in waiting), flush=True)
    print(sum(f.done() and not f.cancelled() for f in done), flush=True)
    while slow.vendor.cancelled < slow.vendor.submitted:
        time.sleep(0.01)
    print("cancelled", slow.vendor.submitted == slow.vendor.cancelled, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize(
    ("wait", "per_job"), [("ct.gather(waiting)", 1), ("waiting[3].result()", None)]
)
def test_ctrl_c_gives_the_prompt_back_and_cancels_at_the_vendor(
    tmp_path: Path, wait: str, per_job: int | None
) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED.format(per_job=per_job, wait=wait))
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "prompt\n"
        assert time.monotonic() - started < 2
        assert process.stdout.readline() == "500\n", "all that waited are cancelled"
        assert process.stdout.readline() == "9\n", "finished results are kept"
        assert process.stdout.readline() == "cancelled True\n"
        assert process.wait(30) == 0


LEFT_ALONE = """
import atexit

@atexit.register  # before qelectron's own, so it runs after it
def tell():
    print(cloud.vendor.submitted, cloud.vendor.cancelled, flush=True)

import pennylane as qml
import qelectron_core as ct
from qelectron_core.testing import FakeCloud

cloud = FakeCloud(name="left alone", latency_s=600)

@ct.qelectron(executors=cloud)
@qml.qnode(qml.device("default.qubit", wires=1))
def circuit(x):
    qml.RX(x, wires=0)
    return qml.expval(qml.Z(0))

future = circuit.run_later(0.1)
while not cloud.vendor.submitted:
    pass
"""


def test_a_program_that_ends_cancels_what_nobody_could_come_back_for(
    tmp_path: Path,
) -> None:
    script = tmp_path / "script.py"
    script.write_text(LEFT_ALONE)
    command = [sys.executable, str(script)]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == "1 1\n"
    assert "Circuits that had not ended when the program did: 1." in ended.stderr


# --- What selectors see ---------------------------------------------------------------


def test_load_tells_of_the_vendors_queue() -> None:
    fake = cloud(machines=1, latency_s=60, limits=ct.Limits(circuits_per_job=1))
    circuit = circuit_on(fake)
    futures = [circuit.run_later(x) for x in ANGLES[:5]]
    _wait_until(lambda: ct.load(fake).ahead > 0)
    assert ct.load(fake).in_flight == 5
    ct.shutdown()
    assert all(future.cancelled() for future in futures)


@pytest.mark.parametrize(
    "options", [{"first_s": 0}, {"first_s": 9, "longest_s": 3}, {"give_up_s": -1}]
)
def test_a_polling_that_makes_no_sense_is_refused(options: Any) -> None:
    with pytest.raises(ct.ConfigError, match="Expected"):
        ct.Polling(**options)


def test_open_and_close_may_be_async() -> None:
    log: list[str] = []

    async def opened(self: Any) -> dict[str, Any]:
        log.append("open")
        return {}

    async def closed(self: Any, resource: Any) -> None:
        log.append(f"close {type(resource).__name__}")

    executor = plain_with(open=opened, close=closed)
    with executor:
        assert float(circuit_on(executor)(0.1)) == pytest.approx(0.1)
    assert log == ["open", "close dict"]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), ("0.5", 0.5), ("-3", 0.0), (None, None), ("soon", None)],
)
def test_retry_after_in_seconds(header: str | None, seconds: float | None) -> None:
    assert ct.retry_after_s(header) == seconds


def test_retry_after_as_a_date() -> None:
    from email.utils import formatdate

    header = formatdate(time.time() + 60, usegmt=True)
    assert ct.retry_after_s(header) == pytest.approx(60, abs=2)

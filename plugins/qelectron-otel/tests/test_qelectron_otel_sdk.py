"""Spans and metrics, as OpenTelemetry's SDK gets them."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import attrs
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qelectron_core as ct
from qelectron_core.testing import FakeCloud, Faults, ObserverConformance

pytest.importorskip("opentelemetry.sdk", reason="the SDK is the user's to install")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from qelectron_otel.observer import Telemetry

# --- Executors ------------------------------------------------------------------------


@attrs.frozen
class Half(ct.Executor):
    """Answer one half, after some failures."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(computes=False)

    name: str = ""  # lanes are shared by equal executors, and each test has its own
    failures: int = 0
    token: str = attrs.field(default="hidden-token", repr=False)
    attempts: list[int] = attrs.field(factory=list, eq=False, repr=False)

    def run(self, job: ct.Job) -> Sequence[Any]:
        self.attempts.append(1)
        if len(self.attempts) <= self.failures:
            raise ct.JobFailedError("out of luck")
        return [_half(circuit) for circuit in job.circuits]


@attrs.frozen
class Gate(ct.Executor):
    """Run once the gate is open."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(computes=False)

    name: str = ""
    gate: threading.Event = attrs.field(factory=threading.Event, eq=False, repr=False)

    def run(self, job: ct.Job) -> Sequence[Any]:
        assert self.gate.wait(30)
        return [_half(circuit) for circuit in job.circuits]


@attrs.frozen
class Unlucky(ct.Executor):
    """Fail each circuit with some probability."""

    capabilities: ClassVar[ct.Capabilities] = ct.Capabilities(computes=False)

    seed_of_luck: int = 0
    luck: random.Random = attrs.field(factory=random.Random, eq=False, repr=False)

    def run(self, job: ct.Job) -> Sequence[Any]:
        return [
            ct.JobFailedError("out of luck") if self.luck.random() < 0.4 else _half(one)
            for one in job.circuits
        ]


def _half(circuit: Any) -> Any:
    return 0.5 if len(circuit.measurements) == 1 else (0.5,) * len(circuit.measurements)


def circuit_on(executors: Any, **options: Any) -> ct.QElectron:
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    made: ct.QElectron = ct.qelectron(circuit, executors=executors, **options)
    return made


def two_circuits_on(executors: Any) -> ct.QElectron:
    @ct.qelectron(executors=executors)
    @qml.transforms.split_non_commuting
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.X(0)), qml.expval(qml.Z(0))

    return circuit


# --- What the SDK got -----------------------------------------------------------------


class Sdk:
    """An SDK that keeps spans and metrics in memory, and an observer that fills it."""

    def __init__(self, *, sampler: Any = None, most_open: int = 20_000) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracing = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.tracing.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.metering = MeterProvider([self.reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(self.tracing, self.metering, most_open=most_open)

    def spans(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name, in the order in which they began."""
        found = [s for s in self.exporter.get_finished_spans() if s.name == name]
        return sorted(found, key=lambda span: span.start_time or 0)

    def calls(self) -> list[ReadableSpan]:
        return self.spans("qelectron call")

    def circuits(self) -> list[ReadableSpan]:
        return self.spans("qelectron circuit")

    def jobs(self) -> list[ReadableSpan]:
        return self.spans("qelectron job")

    def metric(self, name: str) -> dict[tuple[Any, ...], Any]:
        """Return the numbers of a metric, by what it is by; of a histogram, points."""
        data = self.reader.get_metrics_data()
        assert data is not None
        points = [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]
        return {
            tuple((p.attributes or {}).values()): getattr(p, "value", p) for p in points
        }


@pytest.fixture
def sdk() -> Iterator[Sdk]:
    made = Sdk()
    with ct.observe(made.telemetry):
        yield made


def id_of(span: ReadableSpan) -> int:
    return int(span.context.span_id)


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else int(span.parent.span_id)


def links_of(span: ReadableSpan) -> list[int]:
    return [link.context.span_id for link in span.links]


def told(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def times(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time, span.end_time


def is_within(inner: ReadableSpan, outer: ReadableSpan) -> bool:
    (began, ended), (first, last) = times(inner), times(outer)
    return first <= began <= ended <= last


class TestTelemetry(ObserverConformance):
    def make(self) -> Telemetry:
        return Sdk().telemetry


# --- Traces ---------------------------------------------------------------------------


def test_a_call_holds_its_circuits_and_its_job(sdk: Sdk) -> None:
    future = two_circuits_on(Half("nested", shots=20)).run_later(0.1)
    future.result(timeout=30)
    (call,), (job,), circuits = sdk.calls(), sdk.jobs(), sdk.circuits()
    assert told(call) == {"qelectron.call_id": future.id, "qelectron.call.circuits": 2}
    assert [parent_of(span) for span in (*circuits, job)] == [id_of(call)] * 3
    assert [told(span)["qelectron.circuit.index"] for span in circuits] == [0, 1]
    assert all(is_within(span, call) for span in circuits)
    assert told(job) == {
        "qelectron.job_id": future.executions[0].job_id,
        "qelectron.job.circuits": 2,
        "qelectron.executor": "Half(shots=20, name='nested')",
    }
    assert links_of(job) == [id_of(span) for span in circuits]
    assert [links_of(span) for span in circuits] == [[id_of(job)]] * 2


def test_a_circuit_tells_what_its_record_tells(sdk: Sdk) -> None:
    cloud = FakeCloud(
        name="told", price_usd_per_job=0.5, price_usd_per_shot=0.25, shots=6
    )
    future = circuit_on(cloud).run_later(0.1)
    future.result(timeout=30)
    ((execution,), (span,), (job,)) = future.executions, sdk.circuits(), sdk.jobs()
    assert told(span) == {
        "qelectron.call_id": future.id,
        "qelectron.circuit.index": 0,
        "qelectron.circuit.attempts": 1,
        "qelectron.executor": repr(cloud),
        "qelectron.outcome": "completed",
        "qelectron.job_id": execution.job_id,
        "qelectron.handle": execution.handle,
        "qelectron.shots": 6,
        "qelectron.cost_usd": 2.0,
    }
    assert [event.name for event in span.events] == ["started"]
    assert span.end_time == int(execution.finished_at * 1e9)
    assert times(job) == (
        int(execution.started_at * 1e9),
        int(execution.finished_at * 1e9),
    )
    assert job.kind is SpanKind.CLIENT
    assert told(job)["qelectron.cost_usd"] == 2.0
    assert span.status.status_code is StatusCode.UNSET


def test_a_job_of_many_calls_links_to_all_of_them(sdk: Sdk) -> None:
    executor = Gate("many")
    circuit = circuit_on(executor)
    futures = [circuit.run_later(0.1) for _ in range(5)]
    executor.gate.set()
    ct.gather(futures)
    calls, jobs, circuits = sdk.calls(), sdk.jobs(), sdk.circuits()
    assert len(calls) == len(circuits) == 5
    assert sorted(told(job)["qelectron.job.circuits"] for job in jobs) == [1, 4]
    by_job = {id_of(job): set(links_of(job)) for job in jobs}
    for span in circuits:
        (job_id,) = links_of(span)
        assert id_of(span) in by_job[job_id]
    assert sum(map(len, by_job.values())) == 5
    assert {parent_of(job) for job in jobs} <= {id_of(call) for call in calls}


@pytest.mark.parametrize("way", ["call", "run_later", "map", "gradient", "cloud"])
def test_the_callers_span_is_the_parent(sdk: Sdk, way: str) -> None:
    circuit = circuit_on(FakeCloud(name="parent") if way == "cloud" else Half(way))
    with sdk.tracing.get_tracer("mine").start_as_current_span("mine") as mine:
        if way == "call":
            circuit(0.1)
        elif way == "map":
            circuit.map([0.1, 0.2, 0.3])
        elif way == "gradient":
            qml.grad(circuit)(qml.numpy.array(0.1, requires_grad=True))
        else:
            future = circuit.run_later(0.1)
    if way in ("run_later", "cloud"):
        future.result(timeout=30)
    mine_id = mine.get_span_context().span_id
    assert sdk.calls()
    assert {parent_of(call) for call in sdk.calls()} == {mine_id}
    traces = {span.context.trace_id for span in sdk.exporter.get_finished_spans()}
    assert traces == {mine.get_span_context().trace_id}


def test_a_circuit_that_waits_for_an_equal_one_stays_with_its_caller(sdk: Sdk) -> None:
    executor = Gate("equal")
    circuit = circuit_on(executor, cache=True)
    tracer, futures, parents = sdk.tracing.get_tracer("mine"), [], {}
    for name in ("first", "second"):
        with tracer.start_as_current_span(name) as span:
            futures.append(circuit.run_later(0.77))
            parents[futures[-1].id] = span.get_span_context().span_id
    executor.gate.set()
    ct.gather(futures)
    assert {told(c)["qelectron.call_id"]: parent_of(c) for c in sdk.calls()} == parents
    (job,) = sdk.jobs()
    by_outcome = {told(span)["qelectron.outcome"]: span for span in sdk.circuits()}
    assert by_outcome.keys() == {"completed", "cached"}
    cached = by_outcome["cached"]
    assert told(cached)["qelectron.circuit.cached"] is True
    assert told(cached)["qelectron.job_id"] == told(job)["qelectron.job_id"]
    assert links_of(cached) == []


def test_retries_are_events_of_the_circuit(sdk: Sdk) -> None:
    future = circuit_on(Half("again", failures=2, retries=2)).run_later(0.1)
    future.result(timeout=30)
    (span,), jobs = sdk.circuits(), sdk.jobs()
    assert [event.name for event in span.events] == [
        *("started", "retried", "submitted"),
        *("started", "retried", "submitted", "started"),
    ]
    retried = span.events[1].attributes or {}
    assert retried["error.type"] == "JobFailedError"
    assert retried["exception.message"] == "out of luck"
    assert retried["qelectron.circuit.attempts"] == 1
    assert told(span)["qelectron.circuit.attempts"] == 3
    assert span.status.status_code is StatusCode.UNSET
    assert links_of(span) == [id_of(job) for job in jobs]
    assert [job.status.status_code.name for job in jobs] == ["ERROR", "ERROR", "UNSET"]


def test_an_error_has_type_and_message_up_to_the_call(sdk: Sdk) -> None:
    with pytest.raises(ct.JobFailedError):
        circuit_on(Half("fails", failures=9))(0.1)
    for span in (*sdk.calls(), *sdk.circuits(), *sdk.jobs()):
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description == "JobFailedError: out of luck"
        assert told(span)["error.type"] == "JobFailedError"
    (circuit,) = sdk.circuits()
    assert told(circuit)["qelectron.outcome"] == "failed"


def test_a_job_that_failed_in_part_is_no_failed_job(sdk: Sdk) -> None:
    cloud = FakeCloud(name="part", faults=Faults(partial=1))
    two = two_circuits_on(cloud).run_later(0.1)
    assert isinstance(two.exception(timeout=30), ct.JobFailedError)
    (job,) = sdk.jobs()
    assert job.status.status_code is StatusCode.UNSET
    codes = Counter(span.status.status_code.name for span in sdk.circuits())
    assert codes == {"ERROR": 1, "UNSET": 1}


def test_what_the_program_cancels_is_no_error(sdk: Sdk) -> None:
    executor = Gate("cancelled")
    running, queued = (circuit_on(executor).run_later(0.1) for _ in range(2))
    queued.cancel()
    executor.gate.set()
    running.result(timeout=30)
    (span,) = (s for s in sdk.circuits() if told(s)["qelectron.outcome"] == "cancelled")
    assert told(span)["qelectron.call_id"] == queued.id
    assert told(span)["error.type"] == "CancelledError"
    assert {s.status.status_code for s in (*sdk.calls(), span)} == {StatusCode.UNSET}
    by = ("Gate(name='cancelled')", "cancelled", "CancelledError")
    assert sdk.metric("qelectron.circuits")[by] == 1


def test_no_secret_is_in_any_span_or_metric(sdk: Sdk) -> None:
    circuit_on(Half("quiet", token="canary-55"))(0.1)
    written = [span.to_json() for span in sdk.exporter.get_finished_spans()]
    data = sdk.reader.get_metrics_data()
    assert data is not None
    assert len(written) == 3
    assert "canary-55" not in "".join([*written, data.to_json()])


def test_a_call_that_is_not_sampled_is_counted_all_the_same() -> None:
    sdk = Sdk(sampler=ALWAYS_OFF)
    with ct.observe(sdk.telemetry):
        circuit_on(Half("unsampled"))(0.1)
    assert sdk.exporter.get_finished_spans() == ()
    assert sdk.metric("qelectron.circuits") == {
        ("Half(name='unsampled')", "completed"): 1
    }
    assert not sdk.telemetry._calls
    assert not sdk.telemetry._jobs


# --- Metrics --------------------------------------------------------------------------


def test_metrics_are_by_executor(sdk: Sdk) -> None:
    one = FakeCloud(name="one", price_usd_per_job=0.25, shots=10)
    other = Half("other", failures=1, retries=1)
    circuit_on(one).map([0.1, 0.2])
    circuit_on(other)(0.1)
    names = (repr(one), repr(other))
    assert sdk.metric("qelectron.circuits") == {
        (names[0], "completed"): 2,
        (names[1], "completed"): 1,
    }
    assert sdk.metric("qelectron.shots") == {names[:1]: 20}
    jobs = len(sdk.jobs()) - 2  # without those of the other one
    assert sdk.metric("qelectron.cost_usd")[names[:1]] == pytest.approx(0.25 * jobs)
    assert sdk.metric("qelectron.retries") == {names[1:]: 1}
    assert sdk.metric("qelectron.circuits.in_flight") == {names[:1]: 0, names[1:]: 0}
    for name in ("qelectron.circuit.waiting", "qelectron.circuit.running"):
        counts = {by: point.count for by, point in sdk.metric(name).items()}
        assert counts == {names[:1]: 2, names[1:]: 2}


def test_histograms_hold_the_seconds_of_the_records(sdk: Sdk) -> None:
    future = circuit_on(Half("timed")).run_later(0.1)
    future.result(timeout=30)
    (execution,) = future.executions
    (waiting,) = sdk.metric("qelectron.circuit.waiting").values()
    (running,) = sdk.metric("qelectron.circuit.running").values()
    assert waiting.sum == pytest.approx(execution.waited_s)
    assert running.sum == pytest.approx(execution.duration_s)
    assert running.explicit_bounds[0] == 0.001


def test_circuits_in_flight_are_counted_while_they_are(sdk: Sdk) -> None:
    executor = Gate("flying")
    futures = [circuit_on(executor).run_later(0.1) for _ in range(3)]
    by = ("Gate(name='flying')",)
    assert sdk.metric("qelectron.circuits.in_flight") == {by: 3}
    executor.gate.set()
    ct.gather(futures)
    assert sdk.metric("qelectron.circuits.in_flight") == {by: 0}


# --- All together ---------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), calls=st.integers(1, 12), retries=st.integers(0, 3))
def test_whatever_fails_every_span_ends_within_its_parent(
    seed: int, calls: int, retries: int
) -> None:
    sdk = Sdk()
    luck = random.Random(seed)
    executor = Unlucky(seed, luck, retries=retries)
    with ct.observe(sdk.telemetry):
        futures = [two_circuits_on(executor).run_later(0.1) for _ in range(calls)]
        ct.gather(futures, return_exceptions=True)
    by_id = {id_of(span): span for span in sdk.calls()}
    assert len(by_id) == calls
    assert len(sdk.circuits()) == 2 * calls
    assert all(is_within(s, by_id[parent_of(s) or 0]) for s in sdk.circuits())
    attempts = sum(told(s)["qelectron.circuit.attempts"] for s in sdk.circuits())
    assert attempts == sum(told(s)["qelectron.job.circuits"] for s in sdk.jobs())
    assert sum(sdk.metric("qelectron.circuits").values()) == 2 * calls
    assert set(sdk.metric("qelectron.circuits.in_flight").values()) == {0}
    assert not sdk.telemetry._calls
    assert not sdk.telemetry._jobs


def test_a_call_of_another_process_ends_with_what_is_taken_over_of_it() -> None:
    sdk = Sdk()
    executor = Half("adopted")
    record = ct.Execution(executor, "job-1", 2, None, 1.0, 2.0, 3.0)
    for kind, told_at in (("started", None), ("completed", record)):
        for index in (3, 5):
            event = ("call-1", index, executor, 4.0, told_at)
            sdk.telemetry(ct.Event(kind, *event, circuits=9))
    (call,), (job,) = sdk.calls(), sdk.jobs()
    assert {parent_of(span) for span in (*sdk.circuits(), job)} == {id_of(call)}
    assert sdk.metric("qelectron.circuits.in_flight") == {("Half(name='adopted')",): 0}
    assert not sdk.telemetry._calls


def test_calls_that_never_end_are_given_up() -> None:
    sdk = Sdk(most_open=10)
    executor = Half("endless")
    for number in range(25):
        told_of = (f"call-{number}", 0, executor, float(number))
        sdk.telemetry(ct.Event("submitted", *told_of, circuits=2))
    assert list(sdk.telemetry._calls) == [f"call-{n}" for n in range(15, 25)]
    given_up = [*sdk.calls(), *sdk.circuits()]
    assert len(given_up) == 30
    assert all(told(span)["qelectron.abandoned"] is True for span in given_up)
    assert [span.end_time for span in sdk.calls()] == [n * 10**9 for n in range(15)]
    assert sdk.metric("qelectron.circuits.in_flight") == {("Half(name='endless')",): 10}


def test_jobs_that_never_end_are_given_up() -> None:
    sdk = Sdk(most_open=10)
    executor = Half("endless")
    for number in range(25):
        record = ct.Execution(executor, f"job-{number}", 2, None, 1.0, 2.0, 3.0)
        told_of = (f"call-{number}", 0, executor, 4.0, record)
        sdk.telemetry(ct.Event("completed", *told_of, circuits=1))
    assert sdk.telemetry._calls == {}
    assert len(sdk.telemetry._jobs) <= 11
    assert len(sdk.jobs()) == 25 - len(sdk.telemetry._jobs)


PROGRAM: Final = """
import pennylane as qml
import qelectron_core as ct
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from qelectron_core.testing import FakeCloud

@ct.qelectron(executors=FakeCloud())
@qml.qnode(qml.device("default.qubit", wires=1))
def circuit(x):
    qml.RX(x, wires=0)
    return qml.expval(qml.Z(0))

circuit(0.1)  # before anything is set up: nothing is noted
exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
tracing = TracerProvider()
tracing.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(tracing)
metrics.set_meter_provider(MeterProvider([reader]))
circuit(0.2)
names = sorted(span.name for span in exporter.get_finished_spans())
assert names == ["qelectron call", "qelectron circuit", "qelectron job"], names
assert "qelectron.circuit.running" in reader.get_metrics_data().to_json()
"""


def test_a_program_sets_up_opentelemetry_when_it_likes() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=120)


def test_the_tracer_says_whose_spans_they_are(sdk: Sdk) -> None:
    circuit_on(Half("scope"))(0.1)
    scopes = [s.instrumentation_scope for s in sdk.exporter.get_finished_spans()]
    assert {scope.name for scope in scopes if scope} == {"qelectron"}

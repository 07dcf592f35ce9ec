"""The remote kit catches what is broken, and lets pass what is not."""

from __future__ import annotations

import math
import re
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import attrs
import pennylane as qml
import pytest
from pennylane.tape import QuantumScript

import qelectron_core as ct
from qelectron_core.testing import FakeCloud, RemoteExecutorConformance, check
from qelectron_core.testing.conformance import rules_of

CASES: list[Any] = []


def breaks(rule: str, says: str, **attributes: Any) -> Callable[[Any], Any]:
    """Note that a plugin breaks a rule, and what the failure must say."""

    def note(plugin: Any) -> Any:
        make: Callable[[], Any] = plugin if isinstance(plugin, type) else lambda: plugin
        members = {"make": lambda _: make(), **attributes}
        kit = type("Kit", (RemoteExecutorConformance,), members)
        CASES.append(pytest.param(rule, kit, says, id=f"{rule}-{plugin.__name__}"))
        return plugin

    return note


def compute(job: ct.Job, wires: Any) -> list[Any]:
    """Return the results of a job, or per circuit what it fails from."""
    return [_computed(circuit, wires, seed.to_int()) for circuit, seed in job]


def _computed(circuit: QuantumScript, wires: Any, seed: int) -> Any:
    try:
        device = qml.device("default.qubit", wires=wires, seed=seed)
        return qml.execute([circuit], device, diff_method=None)[0]
    except Exception as error:
        return error


JOBS: dict[str, dict[str, Any]] = {}


@attrs.frozen
class Cloud(ct.RemoteExecutor):
    """A vendor in a dictionary, with plain methods; good unless derived from."""

    @property
    def polling(self) -> ct.Polling:
        return ct.Polling(first_s=0.005, longest_s=0.01, give_up_s=5.0)

    wires: tuple[Any, ...] | None = None

    def for_device(self, device: Any) -> Any:
        wires = None if device.wires is None else tuple(device.wires)
        return attrs.evolve(self, wires=wires)

    def submit(self, job: ct.Job) -> Any:
        name = f"cloud-{uuid.uuid4()}"
        results = compute(job, self.wires)
        JOBS[name] = {"state": "done", "tag": job.id, "results": results}
        return name

    def status(self, handle: ct.Handle) -> Any:
        return self.known(handle)["state"]

    def fetch(self, handle: ct.Handle) -> Any:
        return self.known(handle)["results"]

    def cancel(self, handle: ct.Handle) -> None:
        if self.known(handle)["state"] in ("queued", "running"):
            JOBS[handle.id]["state"] = "cancelled"

    def find(self, job: ct.Job) -> Any:
        tags = {known["tag"]: name for name, known in JOBS.items()}
        return tags.get(job.id)

    def cost_usd(self, circuits: Sequence[QuantumScript]) -> float | None:
        return 0.01 * len(circuits)

    def known(self, handle: ct.Handle) -> dict[str, Any]:
        if handle.id not in JOBS:
            raise ct.UnknownJobError(f"no job {handle.id!r}")
        return JOBS[handle.id]


@breaks("R1", "a non-empty str")
@attrs.frozen
class SubmittingSilently(Cloud):
    def submit(self, job: ct.Job) -> Any:
        super().submit(job)


@breaks("R1", "2 different names")
@attrs.frozen
class NamingAllAlike(Cloud):
    def submit(self, job: ct.Job) -> Any:
        JOBS["the-job"] = JOBS[super().submit(job)]
        return "the-job"


@breaks("R2", "'PENDING_REVIEW'")
@attrs.frozen
class WithOwnWords(Cloud):
    def status(self, handle: ct.Handle) -> Any:
        return "PENDING_REVIEW"


@breaks("R3", "fetch\\(handle\\)")
@attrs.frozen
class FetchedOnce(Cloud):
    def fetch(self, handle: ct.Handle) -> Any:
        results = self.known(handle).pop("results")
        return results


@breaks("R3", "to stay 'done'")
@attrs.frozen
class RunningAgain(Cloud):
    def fetch(self, handle: ct.Handle) -> Any:
        self.known(handle)["state"] = "running"
        return self.known(handle)["results"]


@breaks("R3", "when fetched again")
@attrs.frozen
class ComputingWhenFetched(Cloud):
    def fetch(self, handle: ct.Handle) -> Any:
        return [time.perf_counter() for _ in self.known(handle)["results"]]


@breaks("R4", "had not ended", deadline_s=0.5)
@attrs.frozen
class IgnoringCancel(Cloud):
    def submit(self, job: ct.Job) -> Any:
        name = super().submit(job)
        JOBS[name]["state"] = "queued"
        return name

    def cancel(self, handle: ct.Handle) -> None:
        pass


@breaks("R4", "to be 'cancelled'")
@attrs.frozen
class FailingWhenCancelled(IgnoringCancel):
    def cancel(self, handle: ct.Handle) -> None:
        self.known(handle)["state"] = "failed"


@breaks("R5", "409")
@attrs.frozen
class RefusingToCancel(Cloud):
    def cancel(self, handle: ct.Handle) -> None:
        raise ct.ExecutorError("409: this job has ended")


@breaks("R5", "to stay 'done'")
@attrs.frozen
class CancellingWhatIsDone(Cloud):
    def cancel(self, handle: ct.Handle) -> None:
        self.known(handle)["state"] = "cancelled"


@breaks("R6", "KeyError")
@attrs.frozen
class RaisingKeyError(Cloud):
    def known(self, handle: ct.Handle) -> dict[str, Any]:
        return JOBS[handle.id]


@breaks("R6", "'queued'")
@attrs.frozen
class AlwaysQueued(Cloud):
    def status(self, handle: ct.Handle) -> Any:
        return JOBS.get(handle.id, {"state": "queued"})["state"]


@breaks("R7", "None from find")
@attrs.frozen
class FindingAnything(Cloud):
    def find(self, job: ct.Job) -> Any:
        return "job-1"


@breaks("R7", "of the job that was submitted")
@attrs.frozen
class FindingNothing(Cloud):
    def find(self, job: ct.Job) -> Any:
        return None


@breaks("R8", "no job in this connection")
@attrs.frozen
class BoundToConnection(Cloud):
    def open(self) -> Any:
        return set()

    def submit(self, job: ct.Job) -> Any:
        name = super().submit(job)
        job.resource.add(name)
        return name

    def known(self, handle: ct.Handle) -> dict[str, Any]:
        if handle.id not in handle.job.resource:
            raise ct.UnknownJobError("no job in this connection")
        return super().known(handle)


@breaks("R9", "it is")
@attrs.frozen
class FetchingTheLast(Cloud):
    def fetch(self, handle: ct.Handle) -> Any:
        return [*JOBS.values()][-1]["results"]


@breaks("R10", "equal accounts")
@attrs.frozen
class AccountPerInstance(Cloud):
    @property
    def account(self) -> Any:
        return object()


@breaks("R10", "unhashable")
@attrs.frozen
class ListOfAccounts(Cloud):
    @property
    def account(self) -> Any:
        return ["acme"]


@breaks("R11", "-1")
@attrs.frozen
class PayingUsers(Cloud):
    def cost_usd(self, circuits: Sequence[QuantumScript]) -> float | None:
        return -1.0


@breaks("R11", "nan")
@attrs.frozen
class PriceUnclear(Cloud):
    def cost_usd(self, circuits: Sequence[QuantumScript]) -> float | None:
        return math.nan


@breaks("R12", "seen: ConfigError: first_s=0")
@attrs.frozen
class PollingWithoutPause(Cloud):
    @property
    def polling(self) -> ct.Polling:
        return ct.Polling(first_s=0.0)


@breaks("R12", "longest_s=inf")
@attrs.frozen
class PollingSeldom(Cloud):
    @property
    def polling(self) -> ct.Polling:
        return ct.Polling(longest_s=math.inf)


@breaks("R12", "seen: 5")
@attrs.frozen
class PollingByNumber(Cloud):
    @property
    def polling(self) -> Any:
        return 5


@breaks("R13", "map is|map\\[")
@attrs.frozen
class FetchingBackwards(Cloud):
    def fetch(self, handle: ct.Handle) -> Any:
        return self.known(handle)["results"][::-1]


@breaks("R13", "circuits to be submitted|seen: [5-9][0-9]|UnknownSubmit")
@attrs.frozen
class LosingAnswers(Cloud):
    """Loses the answer to a submit, and cannot find the job afterwards."""

    lost: ClassVar[set[str]] = set()

    def submit(self, job: ct.Job) -> Any:
        name = super().submit(job)
        if job.id not in self.lost:
            self.lost.add(job.id)
            raise ConnectionError("the answer was lost")
        super().submit(job)
        return name

    def find(self, job: ct.Job) -> Any:
        return None


@pytest.mark.parametrize(
    "make", [Cloud, lambda: FakeCloud(name="conformance-kit", latency_s=0.01)]
)
def test_good_executor_passes(make: Callable[[], ct.RemoteExecutor]) -> None:
    kit = type("Kit", (RemoteExecutorConformance,), {"make": lambda _: make()})
    others = [r.number for r in rules_of(kit) if r.number not in ("E4", "E47")]
    report = check(kit(), rules=others)  # without those about files
    failed = [r.message for r in report.results if r.outcome in ("failed", "error")]
    assert not failed
    assert report.proves_values
    skipped = {r.rule.number for r in report.results if r.outcome == "skipped"}
    assert not [number for number in skipped if number.startswith("R")]


def test_every_rule_is_broken_by_an_executor() -> None:
    numbers = {rule.number for rule in rules_of(RemoteExecutorConformance)}
    remote = {number for number in numbers if number.startswith("R")}
    assert remote == {case.values[0] for case in CASES}


@pytest.mark.parametrize(("rule", "kit", "says"), CASES)
def test_broken_plugin_is_caught(rule: str, kit: Any, says: str) -> None:
    report = check(kit(), rules=[rule])
    (result,) = report.results
    assert result.outcome == "failed", result
    assert not report.ok
    assert result.message.startswith(f"{rule}: {result.rule.sentence}\n  expected: ")
    assert f"\n  seen: {result.seen}" in result.message
    assert re.search(says, result.message), result.message

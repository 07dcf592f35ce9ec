"""The `FakeCloud` executor: a cloud to test against before paying for one."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from qelectron_core.contracts import Capabilities, Estimate, Job, Limits
from qelectron_core.errors import ConfigError
from qelectron_core.remote import Handle, Polling, RemoteExecutor, Status
from qelectron_core.testing.faults import Faults
from qelectron_core.testing.vendor import Vendor, vendor_of

if TYPE_CHECKING:
    from pennylane.devices import Device
    from pennylane.tape import QuantumScript

#: Shortest and longest first pause between two polls, in seconds.
FIRST_POLL_S: Final = (0.01, 1.0)


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _check_amount(_: Any, attribute: Any, value: Any) -> None:
    if not (_is_number(value) and value >= 0):
        message = f"{attribute.name}={value!r} cannot be. Expected 0 or more."
        raise ConfigError(message)


def _check_count(_: Any, attribute: Any, value: Any) -> None:
    if value is not None and not (type(value) is int and value > 0):
        message = (
            f"{attribute.name}={value!r} is no number of things. Expected 1 or more, "
            "or None for any number."
        )
        raise ConfigError(message)


def _check_rate(_: Any, attribute: Any, value: Any) -> None:
    if value is not None and not (_is_number(value) and value > 0):
        message = (
            f"{attribute.name}={value!r} is no rate. Expected a number above 0, or "
            "None for any rate."
        )
        raise ConfigError(message)


def _amount() -> Any:
    return attrs.field(default=0.0, validator=_check_amount)


def _count() -> Any:
    return attrs.field(default=None, validator=_check_count)


def _is_a(kind: type) -> Any:
    def check(_: Any, attribute: Any, value: Any) -> None:
        if not isinstance(value, kind):
            message = f"{attribute.name}={value!r} is no {kind.__name__}."
            raise ConfigError(f"{message} Expected one, as in {kind.__name__}().")

    return check


def _to_wires(value: Any) -> tuple[Hashable, ...] | None:
    return None if value is None else tuple(value)


@attrs.frozen(kw_only=True)
class FakeCloud(RemoteExecutor):
    """Run circuits on a cloud that exists in this process only.

    Results are those of PennyLane's `default.qubit`; all the rest is as bad as you
    like: slow, limited, expensive, failing. What it does is drawn from `vendor_seed`,
    and equal seeds make equal trouble. Fake clouds of equal options share one vendor,
    which counts what it is asked to do; give each test a `name` of its own.

    Attributes:
        name: Tells vendors of otherwise equal options apart.
        latency_s: Seconds that a job takes once it runs.
        jitter_s: Most seconds that a job takes beyond that.
        machines: How many jobs run at once; the others queue. `None` queues none.
        request_s: Seconds that each request takes, there and back.
        faults: What may go wrong.
        limits: The most that one job may hold; the vendor refuses more.
        jobs_in_flight: How many jobs the vendor takes that have not ended; it
            refuses more with a 429. `None` means any number.
        requests_per_s: How many requests the vendor answers per second, and at once;
            it refuses more with a 429 that says how long to wait. `None` means any
            number.
        price_usd_per_job: Price of a job in US dollars.
        price_usd_per_shot: Price of a shot in US dollars.
        vendor_seed: What the trouble and the jitter are drawn from.
        findable: Whether the vendor can be asked for a job by its tag.
        polling: How often to ask for the status of a job; by default so often that
            a job without a queue takes a tenth longer.
        wires: Labels of the wires to simulate; by default those of the QNode's device.

    Raises:
        ConfigError: If an option has no such value.

    Example:
        >>> from qelectron_core.testing import FakeCloud
        >>> cloud = FakeCloud(name="docs", latency_s=60, price_usd_per_job=0.3)
        >>> cloud.vendor.submitted
        0
    """

    capabilities: ClassVar[Capabilities] = Capabilities(seeded=True)

    name: str = attrs.field(default="fake", validator=_is_a(str))
    latency_s: float = _amount()
    jitter_s: float = _amount()
    machines: int | None = _count()
    request_s: float = _amount()
    faults: Faults = attrs.field(factory=Faults, validator=_is_a(Faults))
    limits: Limits = attrs.field(factory=Limits, validator=_is_a(Limits))
    jobs_in_flight: int | None = _count()
    requests_per_s: float | None = attrs.field(default=None, validator=_check_rate)
    price_usd_per_job: float = _amount()
    price_usd_per_shot: float = _amount()
    vendor_seed: int = attrs.field(default=0, validator=_is_a(int))
    findable: bool = attrs.field(default=True, validator=_is_a(bool))
    polling: Polling = attrs.field(validator=_is_a(Polling))
    wires: tuple[Hashable, ...] | None = attrs.field(default=None, converter=_to_wires)

    @polling.default
    def _default_polling(self) -> Polling:
        shortest_s, longest_s = FIRST_POLL_S
        if not _is_number(self.latency_s):  # to be refused by its own validator
            return Polling()
        first_s = min(max(self.latency_s / 10, shortest_s), longest_s)
        return Polling(first_s=first_s)

    @property
    def vendor(self) -> Vendor:
        """The vendor, and what it counts."""
        return vendor_of(self)

    def reset(self) -> None:
        """Let the vendor forget all jobs and counts."""
        self.vendor.reset()

    @property
    def account(self) -> Hashable:
        """All that makes the vendor: equal fake clouds have one account at it."""
        options = (getattr(self, name) for name in _VENDOR_OPTIONS)
        return ("FakeCloud", *options)

    @property
    def concurrency(self) -> int | None:
        """How many jobs may be in flight; `None` means any number."""
        return self.jobs_in_flight

    def cost_usd(self, circuits: Sequence[QuantumScript]) -> float:
        """Return the price of a job of these circuits in US dollars."""
        shots = sum(circuit.shots.total_shots or 0 for circuit in circuits)
        return self.price_usd_per_job + self.price_usd_per_shot * shots

    def estimate(self, circuits: Sequence[QuantumScript]) -> Estimate:
        """Return the price of a job of these circuits, and the longest it may run."""
        return Estimate(self.cost_usd(circuits), self.latency_s + self.jitter_s)

    def for_device(self, device: Device) -> FakeCloud:
        """Take over the wires of the QNode's device."""
        if self.wires is not None or device.wires is None:
            return self
        return attrs.evolve(self, wires=device.wires)

    def cache_key(self) -> Mapping[str, Any]:
        """Return which cloud it is; how slow, or how bad, changes no result."""
        return {"name": self.name, "wires": self.wires}

    def open(self) -> Vendor:
        """Return the vendor."""
        return self.vendor

    async def submit(self, job: Job) -> str:
        """Send a job to the vendor, with its id as the tag."""
        vendor: Vendor = job.resource
        return await vendor.submit(job, self.wires)

    async def status(self, handle: Handle) -> Status | str:
        """Ask for the state of a job."""
        vendor: Vendor = handle.job.resource
        return await vendor.status(handle)

    async def fetch(self, handle: Handle) -> Sequence[Any]:
        """Ask for the results of a job."""
        vendor: Vendor = handle.job.resource
        return await vendor.fetch(handle)

    async def cancel(self, handle: Handle) -> None:
        """Ask that a job be cancelled."""
        vendor: Vendor = handle.job.resource
        await vendor.cancel(handle)

    async def find(self, job: Job) -> str | None:
        """Ask whether a job arrived.

        Raises:
            NotImplementedError: If the cloud is not `findable`.
        """
        if not self.findable:
            raise NotImplementedError
        vendor: Vendor = job.resource
        return await vendor.find(job)


_NOT_THE_VENDORS: Final = frozenset(
    {"shots", "seed", "retries", "timeout_s", "polling", "findable", "wires"}
)
_VENDOR_OPTIONS: Final = tuple(
    field.name
    for field in attrs.fields(FakeCloud)
    if field.name not in _NOT_THE_VENDORS
)

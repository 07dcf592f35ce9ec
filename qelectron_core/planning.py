"""What a call would do: as far as it can be told without doing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qelectron_core.later import settings_for
from qelectron_core.plans import Plan
from qelectron_core.recording import pennylane_code
from qelectron_core.runtime.spending import parts_of, planned, refusal_of

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

    from qelectron_core.qnode import QElectron
    from qelectron_core.runtime.task import Task


def plan_call(call: QElectron, args: Any, kwargs: Mapping[str, Any]) -> Plan:
    """Return the plan of one call of a QElectron that nobody else uses."""
    with pennylane_code():
        circuits = _circuits(call, args, dict(kwargs))
        if not circuits:
            return Plan(())
        device = call.device
        settings = settings_for(call, circuits)
        expanded, _ = device.expand(circuits)
        tasks = device.dispatcher.planned(expanded, settings, device.policy)
        return plan_of(tasks)


def _circuits(call: QElectron, args: Any, kwargs: Any) -> Sequence[QuantumScript]:
    """Return the circuits that a call sends; none if it only tells about them."""
    built = call.builder.build(call, args, kwargs)
    pipeline = call.compile_pipeline
    pipeline.set_classical_component(call, args, kwargs)
    circuits, _ = pipeline((built.circuit,))
    return () if pipeline.is_informative else tuple(circuits)


def plan_of(tasks: Sequence[Task]) -> Plan:
    """Return the plan of circuits that were not dispatched, at least one."""
    lacking = tasks[0].keeper.cache.lacking(tasks)
    jobs = tuple(map(planned, parts_of(lacking)))
    cached, ledgers = len(tasks) - len(lacking), tasks[0].ledgers
    return Plan(jobs, cached, refusal_of(ledgers, Plan(jobs)))

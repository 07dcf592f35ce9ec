"""The rules of executors."""

from __future__ import annotations

from qelectron_core.testing.conformance.executor_jobs import JobRules
from qelectron_core.testing.conformance.executor_life import LifeRules
from qelectron_core.testing.conformance.executor_more import MoreRules
from qelectron_core.testing.conformance.executor_promises import PromiseRules
from qelectron_core.testing.conformance.executor_results import ResultRules
from qelectron_core.testing.conformance.executor_samples import SampleRules
from qelectron_core.testing.conformance.executor_value import ValueRules


class ExecutorConformance(  # pytest goes through the bases from the last to the first
    MoreRules,
    SampleRules,
    ResultRules,
    LifeRules,
    JobRules,
    PromiseRules,
    ValueRules,
):
    """The rules of executors; `make` returns one.

    Set `shots`, `noise`, `deadline_s` or `largest_job` for a backend that is dear,
    noisy or slow, and override `make_circuits` for one that does not take plain
    gates and expectation values.

    Example:
        >>> import qelectron_core as ct
        >>> class TestEcho(ExecutorConformance):
        ...     def make(self):
        ...         return ct.executor.Echo()
    """

"""What all lanes of a runtime share."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from qelectron_core.events import CircuitEventKind
from qelectron_core.runtime.delivery import Delivery
from qelectron_core.runtime.loads import Loads
from qelectron_core.runtime.loop import LoopThread
from qelectron_core.runtime.task import Task
from qelectron_core.runtime.workers import Workers

#: Called when something happens to a circuit before it ends.
Report = Callable[[CircuitEventKind, Task], None]


@attrs.frozen(eq=False)
class Services:
    """What lanes need of the runtime they are in.

    Attributes:
        workers: Where blocking functions run.
        loop: Where everything waits that would else need a thread each.
        delivery: How results get from the loop to worker threads.
        loads: How busy each executor is.
        report: Called when a circuit starts.
    """

    workers: Workers
    loop: LoopThread
    delivery: Delivery
    loads: Loads
    report: Report

"""The selector that asks who can run a circuit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import qelectron_core as ct


class ByCapability:
    """Take the first executor that can run the circuit.

    Wires, measurements and shots decide, and whatever else an executor refuses. So
    the order of the executors is the order of preference: a simulator for small
    circuits first, say, and a large machine behind it.
    """

    #: Another one chooses the same; the conformance kit tests it.
    deterministic: ClassVar[bool] = True

    def __call__(
        self, circuit: Any, executors: Sequence[ct.Executor | ct.QCluster]
    ) -> ct.Executor | ct.QCluster:
        """Return the first that can run the circuit.

        Raises:
            SelectorError: If none can; gives the reason of each.
        """
        reasons = []
        for member in executors:
            reason = ct.refusal(member, circuit)
            if reason is None:
                return member
            reasons.append(f"{member!r}: {reason}")
        raise ct.SelectorError(_none_can(reasons))

    def __repr__(self) -> str:
        """Show the name."""
        return f"{type(self).__name__}()"


def _none_can(reasons: Sequence[str]) -> str:
    return (
        f"none of {len(reasons)} executors can run this circuit. "
        f"{'; '.join(reasons)}. Add an executor that can, or change the circuit."
    )

"""Tells whether an electron of one dispatch is the same as one of another.

It is if its function has the same code, reads the same globals, and gets the same
arguments from electrons that are the same.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

import cloudpickle

from qelectron_core.errors import QElectronError
from qelectron_core.formats import dump_value
from qelectron_dask.workflow.containers import mapped
from qelectron_dask.workflow.functions import function_digest, hashed
from qelectron_dask.workflow.graph import Graph
from qelectron_dask.workflow.placeholders import Output, Term, folded, term_of

_THIS_PROCESS: Final = secrets.token_hex(8)


def fingerprints(graph: Graph) -> list[str]:
    """Return, per electron, what an equal one has as well.

    Electrons that are called twice alike differ by their order.
    """
    found: dict[int, str] = {}
    seen: dict[str, int] = {}
    functions: dict[int, str] = {}
    for node in graph.in_order():
        function = node.step.function
        if id(function) not in functions:
            functions[id(function)] = function_digest(function)
        parts = [
            functions[id(function)],
            _arguments_digest((node.args, node.kwargs), found),
            *(found[number] for number in sorted(node.after)),
        ]
        digest = hashed(*parts)
        seen[digest] = seen.get(digest, -1) + 1
        found[node.number] = f"{digest}-{seen[digest]}"
    return [found[number] for number in range(len(graph))]


def _arguments_digest(arguments: Any, found: dict[int, str]) -> str:
    """Return the digest of arguments, in which electrons stand for their results."""
    made: dict[int, Any] = {}

    def state(term: Term, made: dict[int, Any]) -> tuple[str, str]:
        if isinstance(term, Output):
            return ("output", found[term.node])
        operands = mapped(term.operands, lambda one: made[id(term_of(one))])
        return ("applied", hashed(term.operation, value_digest(operands)))

    stated = mapped(arguments, lambda one: folded(term_of(one), made, state))
    return value_digest(stated)


def value_digest(value: Any) -> str:
    """Return the digest of plain data, or of whatever else can be pickled.

    What can be told apart only by where it lies in memory never equals anything.
    """
    try:
        return hashed(dump_value(value))
    except QElectronError:
        pass
    try:
        return hashed(cloudpickle.dumps(value))
    except Exception:
        return hashed(_THIS_PROCESS, repr(id(value)))

"""The graph of a workflow: its electrons, and which of them wait for which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

import attrs

from qelectron_dask.workflow.containers import captured, nodes_in, resolved
from qelectron_dask.workflow.placeholders import Output, Placeholder

if TYPE_CHECKING:
    from qelectron_dask.workflow.lattice import Lattice
    from qelectron_dask.workflow.step import Step

_current: ContextVar[Graph | None] = ContextVar("qelectron_graph", default=None)


@attrs.define(eq=False)
class Node:
    """One electron of a lattice, or a lattice within it.

    Attributes:
        number: Its place in the order in which the electrons were called.
        step: What is run.
        args: Positional arguments, with placeholders.
        kwargs: Keyword arguments, with placeholders.
        needs: Numbers of the electrons whose results are among its arguments.
        after: Numbers of electrons that it only waits for.
    """

    number: int
    step: Step
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    needs: frozenset[int]
    after: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """Name of the function."""
        name: str = self.step.name
        return name

    @property
    def parents(self) -> frozenset[int]:
        """Numbers of all electrons that it waits for."""
        return self.needs | self.after


class Graph:
    """The electrons of one call of a lattice.

    Attributes:
        lattice: The lattice.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
        nodes: The electrons, in the order in which they were called: each comes after
            those whose results it takes.
        executor: Where electrons run that do not say it themselves, or `None`.
        output: What the lattice returns, with placeholders.
    """

    def __init__(
        self,
        lattice: Lattice,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        executor: Any = None,
    ) -> None:
        """Make a graph without electrons."""
        self.lattice = lattice
        self.executor = lattice.options.executor or executor
        self.args = captured(args)
        self.kwargs = captured(kwargs)
        self.nodes: list[Node] = []
        self.output: Any = None

    def add(
        self, step: Step, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Placeholder:
        """Add a call of an electron; return what stands for its result."""
        number = len(self.nodes)
        needs = nodes_in((args, kwargs))
        node = Node(number, step, captured(args), captured(kwargs), needs)
        self.nodes.append(node)
        return Placeholder(Output(number, step.name, step.length))

    def let_wait(self, numbers: Iterable[int], others: Iterable[int]) -> None:
        """Let electrons wait for others.

        Raises:
            ValueError: If they wait for it.
        """
        others = frozenset(others)
        for number in numbers:
            node = self.nodes[number]
            if any(number in self.ancestors(other) for other in others):
                message = (
                    f"{node.name!r} cannot wait for an electron that waits for it: "
                    "neither would ever start."
                )
                raise ValueError(message)
            node.after |= others

    def ancestors(self, number: int) -> set[int]:
        """Return an electron and all that it waits for, directly or not."""
        found, following = {number}, [number]
        while following:
            new = self.nodes[following.pop()].parents - found
            found |= new
            following += new
        return found

    def children(self) -> list[list[int]]:
        """Return, per electron, those that wait for it."""
        children: list[list[int]] = [[] for _ in self.nodes]
        for node in self.nodes:
            for parent in node.parents:
                children[parent].append(node.number)
        return children

    def result(self, outputs: Any) -> Any:
        """Return what the lattice returns, given what its electrons returned."""
        return resolved(self.output, outputs)

    def in_order(self) -> Iterator[Node]:
        """Iterate over electrons, each after all that it waits for."""
        parents = {node.number: node.parents for node in self.nodes}
        return (self.nodes[n] for n in TopologicalSorter(parents).static_order())

    def __len__(self) -> int:
        """Return the number of electrons."""
        return len(self.nodes)

    def __iter__(self) -> Iterator[Node]:
        """Iterate over electrons, in the order in which they were called."""
        return iter(self.nodes)


def build(
    lattice: Lattice,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    executor: Any = None,
) -> Graph:
    """Return the graph of a call of a lattice.

    Args:
        lattice: The lattice.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
        executor: Where electrons run if neither they nor the lattice say it.
    """
    graph = Graph(lattice, args, kwargs, executor)
    with _building(graph):
        output = lattice.function(*captured(args), **captured(kwargs))
    graph.output = captured(output)
    return graph


@contextmanager
def _building(graph: Graph | None) -> Iterator[None]:
    token = _current.set(graph)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Graph | None:
    """Return the graph that is being built in this thread, if there is one."""
    return _current.get()


def building(placeholder: Placeholder) -> Graph:
    """Return the graph that is being built.

    Raises:
        RuntimeError: If none is, so that the placeholder has outlived its lattice.
    """
    graph = current()
    if graph is None:
        message = (
            f"{placeholder!r} is of a lattice that has been built already. Pass what "
            "electrons return on to others as it is, or in lists, tuples and dicts; "
            "within other objects it is not found."
        )
        raise RuntimeError(message)
    return graph

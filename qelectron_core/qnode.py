"""The QElectron: a QNode whose circuits are run by executors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, overload

import attrs
import pennylane as qml

from qelectron_core.budget import Budget
from qelectron_core.building import Builder
from qelectron_core.device import QElectronDevice
from qelectron_core.dispatcher import USUAL
from qelectron_core.errors import ConfigError, check_options
from qelectron_core.futures import QFuture
from qelectron_core.later import Later
from qelectron_core.mapping import run_map
from qelectron_core.planning import plan_call
from qelectron_core.plans import Plan
from qelectron_core.policy import CacheMode, Policy
from qelectron_core.recording import install, pennylane_code
from qelectron_core.showing import facts

#: Options of `qelectron`, for the message about a misspelt one.
OPTIONS = ("executors", "selector", "cache", "store", "budget")
_POLICY = ("cache", "store", "budget")


class QElectron(qml.QNode):
    """A `qml.QNode` whose circuits are run by executors.

    Made by `qelectron`. Whatever PennyLane does with a QNode (draw, transform,
    differentiate, copy, update) it does with a QElectron, and where it returns a
    QNode, that is a QElectron again.
    """

    def __init__(
        self, qnode: qml.QNode, *, executors: Any = None, policy: Policy = USUAL
    ) -> None:
        """Take over a QNode.

        Args:
            qnode: The QNode; stays as it is.
            executors: See `qelectron`.
            policy: `cache`, `store` and `budget` of `qelectron`.

        Raises:
            ConfigError: If the executors cannot honour the QNode's `diff_method`.
        """
        self.__dict__.update(vars(copy.copy(qnode)))
        inner = qnode.device
        if isinstance(inner, QElectronDevice):
            executors = inner.member if executors is None else executors
            inner = inner.inner
        self.device = QElectronDevice(
            executors=executors,
            device=inner,
            policy=policy,
            title=getattr(qnode.func, "__name__", ""),
        )
        #: Builds circuits; shared by all copies.
        self.builder = Builder(qnode.func)
        _check_diff_method(self)

    @property
    def executors(self) -> Any:
        """The executor or cluster that runs the circuits."""
        return self.device.member

    @property
    def policy(self) -> Policy:
        """Whether kept results serve, and where new ones are kept."""
        policy: Policy = self.device.policy
        return policy

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the circuit and return what the QNode would."""
        if self.policy.mode:  # the shorter way to a result that is kept
            return self.run_later(*args, **kwargs).result()
        _refuse_capture()
        # A copy per call: a QNode keeps the circuit of the call on itself, which
        # two threads must not share.
        call = copy.copy(self)
        if install() and self._may_be_quick():
            built = self.builder.build_quickly(call, args, kwargs)
            if built is not None:
                return Later(call, args, kwargs, built).run()
        if install():
            return qml.QNode.__call__(call, *args, **kwargs)
        with pennylane_code():
            return qml.QNode.__call__(call, *args, **kwargs)

    def _may_be_quick(self) -> bool:
        """Tell whether a call may pass PennyLane's own road by."""
        return (
            self.interface in ("auto", "numpy")
            and not self.compile_pipeline
            and not self.device.tracker.active
        )

    def run_later(self, *args: Any, **kwargs: Any) -> QFuture:
        """Start a call and return at once.

        Values that are being differentiated by backpropagation, and values traced
        by jax, cannot change threads: such a call is over when this returns.

        Returns:
            The future of what the call returns. Differentiating through
            `future.result()` works as through the call.

        Raises:
            Exception: What building the circuit raises.
        """
        _refuse_capture()
        later = Later(copy.copy(self), args, kwargs)
        later.send()
        return later.future

    def plan(self, *args: Any, **kwargs: Any) -> Plan:
        """Tell what a call would do, without running or sending anything.

        Circuits are built, and executors chosen, as the call would, on copies: the
        next call is not changed by it. A call that is differentiated sends further
        circuits for its gradient, which are not in the plan. Jobs are as if nothing
        else were under way; what a backend does with a circuit is not looked at.

        Returns:
            Circuits, shots and jobs by executor, what is known of price and time, and
            whether a budget would refuse it.

        Raises:
            Exception: What building the circuit, or a selector, raises.
            ConfigError: If a selector cannot be copied.
        """
        _refuse_capture()
        return plan_call(copy.copy(self), args, kwargs)

    def attach(self, handle: str, /, *args: Any, **kwargs: Any) -> QFuture:
        """Take the result of a call from a job that was submitted earlier.

        For a job of this call alone, on one remote executor, whose handle is known
        from `future.executions[0].handle`, from an error, or from the vendor. The
        circuits are built again to make sense of its results; nothing is submitted.

        Args:
            handle: What the vendor calls the job.
            *args: The arguments of the call.
            **kwargs: The keyword arguments of the call.

        Raises:
            ConfigError: If the circuits do not run on one remote executor.
        """
        _refuse_capture()
        later = Later(copy.copy(self), args, kwargs)
        later.attach(handle)
        return later.future

    def map(
        self,
        *iterables: Iterable[Any],
        progress: bool = False,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """Call once per item, many at the same time.

        The results are those of a loop over the calls. Where the quantum function
        only computes with its arguments, and does so alike for all items, it is called
        for few of them, and many circuits run as one where the executor gains by it.

        Args:
            *iterables: Arguments of the calls, one iterable per parameter, as
                for the built-in `map`; they must be of equal length. Items are taken
                when they are needed: generators may yield any number of them.
            progress: Whether to show a progress bar.
            return_exceptions: Whether a call that fails has its exception in the
                place of its result, instead of ending all others.
            **kwargs: Keyword arguments, the same for every call.

        Returns:
            One result per call, in order.

        Raises:
            TypeError: If no iterable is given.
            ValueError: If the iterables differ in length.
        """
        _refuse_capture()
        return run_map(
            self,
            iterables,
            kwargs,
            progress=progress,
            return_exceptions=return_exceptions,
        )

    def construct(self, args: Any, kwargs: Any) -> Any:
        """Build the circuit of a call, with the shots that the executors ask for."""
        return self.device.with_own_shots(super().construct(args, kwargs))

    def update(self, **kwargs: Any) -> QElectron:
        """Return a QElectron with other settings; see `qml.QNode.update`.

        Besides the QNode's own settings, takes `executors`, `cache`, `store` and
        `budget`; with a new budget, spending is counted from the beginning.
        """
        executors = kwargs.pop("executors", self.executors)
        own = {name: kwargs.pop(name) for name in _POLICY if name in kwargs}
        policy = attrs.evolve(self.policy, **own)
        kept = "device" not in kwargs and executors is self.executors
        updated = super().update(**kwargs) if kwargs else copy.copy(self)
        if not kept:
            inner = kwargs.get("device", self.device.inner)
            updated.device = inner
            return QElectron(updated, executors=executors, policy=policy)
        made = self._adopt(updated)
        if own:
            made.device = self.device.with_policy(policy)
        return made

    def __copy__(self) -> QElectron:
        """Return a QElectron with the same settings."""
        return self._adopt(super().__copy__())

    def _adopt(self, qnode: qml.QNode) -> QElectron:
        made = QElectron.__new__(QElectron)
        made.__dict__.update(vars(qnode))
        made.device, made.builder = self.device, self.builder
        if made.diff_method is not self.diff_method:
            _check_diff_method(made)
        return made

    def _repr_html_(self) -> str:
        """Show executors, device and settings in a notebook."""
        about = {
            "executors": self.executors,
            "device": self.device.inner.name,
            "interface": self.interface,
            "diff_method": self.diff_method,
            "shots": self.shots,
            "cache": self.policy.mode,
            "budget": self.policy.budget,
        }
        return facts(about, f"QElectron {getattr(self.func, '__name__', '')}".rstrip())

    def __repr__(self) -> str:
        """Show executors, device and settings."""
        return (
            f"<QElectron: executors={self.executors!r}, "
            f"device={self.device.inner.name!r}, interface={self.interface!r}, "
            f"diff_method={self.diff_method!r}, shots={self.shots!r}>"
        )


@overload
def qelectron(
    qnode: qml.QNode,
    *,
    executors: Any = ...,
    selector: Any = ...,
    cache: CacheMode | None = ...,
    store: Any = ...,
    budget: Budget | None = ...,
) -> QElectron: ...


@overload
def qelectron(
    qnode: None = None,
    *,
    executors: Any = ...,
    selector: Any = ...,
    cache: CacheMode | None = ...,
    store: Any = ...,
    budget: Budget | None = ...,
) -> Callable[[qml.QNode], QElectron]: ...


def qelectron(  # noqa: PLR0913  # an option each
    qnode: Any = None,
    *,
    executors: Any = None,
    selector: Any = None,
    cache: CacheMode | None = None,
    store: Any = None,
    budget: Budget | None = None,
    **unknown: Any,
) -> Any:
    """Make a QElectron of a QNode: its circuits are then run by executors.

    Works as `@qelectron`, `@qelectron(executors=...)` and
    `qelectron(qnode, executors=...)`. Of a QElectron it makes another one, which keeps
    what is not given anew, as `QElectron.update` does: its executors, cache and store,
    and its budget, of which both spend.

    Args:
        qnode: The QNode, or QElectron, to take over.
        executors: An executor, a list of them (a cluster with the `"cyclic"`
            selector), a `QCluster`, or a registered name. Default: `Simulator()`,
            the QNode's own device on ten threads.
        selector: Selector of a list of executors: a name or a callable
            `(circuit, executors) -> executor`.
        cache: `True` reuses the results of equal circuits, of earlier programs too;
            `False` runs always; `"refresh"` runs and replaces; `"top-up"` also reuses
            the shots that are there, and runs those that are missing. By default what
            `QELECTRON_CACHE` says, else `False`.
        store: Where results and the journal are kept: a path, the name of a store, or
            a `Store`. By default what `QELECTRON_STORE` says, else the installed
            store that outlives the process, else memory.
        budget: The most that all its calls together may spend, a `Budget`; what would
            exceed it is refused. Copies share it. Only `update(budget=None)` takes it
            away.
        **unknown: Refused; say what was probably meant.

    Returns:
        The QElectron, or a decorator that makes one.

    Raises:
        TypeError: If an option is misspelt, or what is decorated is no QNode.
        ConfigError: If the executors cannot honour the QNode's `diff_method`.
        UnknownNameError: If no installed plugin offers a name.

    Example:
        >>> import pennylane as qml
        >>> import qelectron_core as ct
        >>> @ct.qelectron
        ... @qml.qnode(qml.device("default.qubit", wires=1))
        ... def circuit(x):
        ...     qml.RX(x, wires=0)
        ...     return qml.expval(qml.PauliZ(0))
        >>> float(circuit(0.0))
        1.0
    """
    check_options("qelectron()", unknown, OPTIONS)
    if selector is not None:
        executors = _with_selector(executors, selector)
    if qnode is None:
        return lambda function: qelectron(
            function, executors=executors, cache=cache, store=store, budget=budget
        )
    if not isinstance(qnode, qml.QNode):
        message = (
            f"qelectron() takes a QNode, not {type(qnode).__name__} {qnode!r}. "
            "Put @ct.qelectron above @qml.qnode(device)."
        )
        raise TypeError(message)
    if isinstance(qnode, QElectron):
        values = executors, None, cache, store, budget  # selector is in executors
        given = zip(OPTIONS, values, strict=True)
        return qnode.update(**{n: value for n, value in given if value is not None})
    return QElectron(qnode, executors=executors, policy=Policy(cache, store, budget))


def _with_selector(executors: Any, selector: Any) -> Any:
    from qelectron_core.cluster import QCluster

    if not isinstance(executors, (list, tuple)):
        message = (
            f"selector={selector!r} needs a list of executors to choose from, not "
            f"{executors!r}. A QCluster has a selector of its own."
        )
        raise ConfigError(message)
    return QCluster(executors=executors, selector=selector)


def _check_diff_method(qelectron: QElectron) -> None:
    """Refuse a device derivative that the executors do not offer."""
    method = qelectron.diff_method
    if method not in ("backprop", "adjoint", "device"):
        return
    device = qelectron.device
    config = qml.devices.ExecutionConfig(gradient_method=method)
    if device.supports_derivatives(config):
        return
    offered = [
        repr(name)
        for name in ("backprop", "adjoint")
        if device.supports_derivatives(
            qml.devices.ExecutionConfig(gradient_method=name)
        )
    ]
    always = [
        "'best'",
        "'parameter-shift'",
        "'finite-diff'",
        "'spsa'",
        "'hadamard'",
        "None",
    ]
    message = (
        f"diff_method={method!r} cannot be honoured by {device.member!r}: every "
        "executor must compute it itself. "
        f"Choose one of {', '.join(offered + always)}."
    )
    raise ConfigError(message)


def _refuse_capture() -> None:
    if qml.capture.enabled():
        message = (
            "program capture is on, and QElectrons do not run captured programs. "
            "Call qml.capture.disable() first."
        )
        raise ConfigError(message)

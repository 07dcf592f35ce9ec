"""The ways to run many circuits, and the bare QNode that each is compared with."""

import functools
import importlib
import importlib.util
import math
import multiprocessing
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from multiprocessing import resource_tracker
from typing import Any

import attrs
import numpy as np
import pennylane as qml

import qelectron_core as ct
from simulator_suite.circuits import Case, run_one

Arguments = Sequence[Any]
#: Runs one circuit per argument and returns their results, in order.
Many = Callable[[Arguments], Sequence[Any]]
Opener = Callable[[Case], AbstractContextManager[Many]]

WORKERS = 2
#: Tasks that make sure that all workers have started, and how long each takes.
WARM_TASKS, WARM_S = 8, 0.2


def loop(function: Callable[[Any], Any], arguments: Arguments) -> list[Any]:
    """Call a function with one argument after the other."""
    return [function(each) for each in arguments]


@functools.lru_cache(maxsize=8)
def bare_loop(case: Case) -> Many:
    """Return the bare QNode in a loop: what everything is compared with."""
    return partial(loop, case.qnode())


@attrs.frozen
class Contender:
    """One way to run many circuits.

    Attributes:
        label: What it is called in tables and plots.
        open: Makes it ready for a case, and ends it again.
        bare: Returns what it is compared with.
        needs: Modules that are no dependencies of the project.
    """

    label: str
    open: Opener
    bare: Callable[[Case], Many] = bare_loop
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """Return the modules that are not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


# --- QElectrons -----------------------------------------------------------------------


@contextmanager
def calls(case: Case) -> Iterator[Many]:
    """Call a QElectron in a loop."""
    yield partial(loop, ct.qelectron(case.qnode()))
    ct.shutdown()


@contextmanager
def later(case: Case) -> Iterator[Many]:
    """Start all calls of a QElectron, then wait for all."""
    electron = ct.qelectron(case.qnode())
    yield lambda arguments: ct.gather(electron.run_later(each) for each in arguments)
    ct.shutdown()


@contextmanager
def mapped(case: Case) -> Iterator[Many]:
    """Call `map` of a QElectron."""
    yield ct.qelectron(case.qnode()).map
    ct.shutdown()


# --- PennyLane ------------------------------------------------------------------------


def _execute(node: qml.QNode, arguments: Arguments) -> Sequence[Any]:
    tapes = [qml.workflow.construct_tape(node)(each) for each in arguments]
    results: Sequence[Any] = qml.execute(tapes, node.device)
    return results


@contextmanager
def executed(case: Case) -> Iterator[Many]:
    """Build all circuits, and hand them to PennyLane in one batch."""
    yield partial(_execute, case.qnode())


@contextmanager
def device_workers(case: Case) -> Iterator[Many]:
    """Do the same on a device that starts processes of its own for each batch."""
    with warnings.catch_warnings():
        # That each process may use several threads: here it is compared as it comes.
        warnings.filterwarnings("ignore", message="The device requested")
        node = case.qnode(max_workers=WORKERS)

        def many(arguments: Arguments) -> Sequence[Any]:
            with _shielded():
                return _execute(node, arguments)

        yield many


@contextmanager
def stacked(case: Case) -> Iterator[Many]:
    """Call the bare QNode once, with all parameters in one array."""
    node = case.qnode()
    yield lambda arguments: node(np.stack(arguments))


# --- Pools ----------------------------------------------------------------------------


@contextmanager
def _shielded() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: their parent ends them.

    They inherit what is blocked here, and would print where Ctrl-C met them.
    """
    resource_tracker.ensure_running()  # it would unblock what is blocked
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _warm(case: Case, argument: Any) -> None:
    """Run a circuit, and take so long that other workers get a task, too."""
    run_one(case, argument)
    time.sleep(WARM_S)


def _some(case: Case) -> list[Any]:
    return case.arguments(WARM_TASKS, np.random.default_rng(1))


@contextmanager
def _pool(pool: Executor, case: Case, *, chunks: int | None) -> Iterator[Many]:
    """Run circuits in a pool, in chunks of equal size or one by one."""
    with pool:
        with _shielded():
            list(pool.map(partial(_warm, case), _some(case)))
        run = partial(run_one, case)

        def many(arguments: Arguments) -> list[Any]:
            size = 1 if chunks is None else math.ceil(len(arguments) / chunks)
            return list(pool.map(run, arguments, chunksize=size))

        yield many


def threads(case: Case) -> AbstractContextManager[Many]:
    """Run circuits in threads, each with a QNode of its own."""
    return _pool(ThreadPoolExecutor(WORKERS), case, chunks=None)


def processes(case: Case) -> AbstractContextManager[Many]:
    """Run circuits in processes, in a few chunks, which is fastest."""
    # Not forked: threads of QElectrons that ran before are alive.
    context = multiprocessing.get_context("spawn")
    return _pool(ProcessPoolExecutor(WORKERS, context), case, chunks=4 * WORKERS)


@contextmanager
def joblib(case: Case) -> Iterator[Many]:
    """Run circuits in the processes of joblib."""
    package = importlib.import_module("joblib")
    run, warm = package.delayed(run_one), package.delayed(_warm)
    with package.Parallel(n_jobs=WORKERS, backend="loky") as parallel:
        with _shielded():
            parallel(warm(case, each) for each in _some(case))
        yield lambda arguments: parallel(run(case, each) for each in arguments)


@contextmanager
def dask(case: Case) -> Iterator[Many]:
    """Run circuits on a cluster of Dask on this machine."""
    package = importlib.import_module("distributed")
    size = {"n_workers": WORKERS, "threads_per_worker": 1, "processes": True}
    with ExitStack() as stack:
        with _shielded():
            cluster = package.LocalCluster(**size, dashboard_address=None)
            client = package.Client(stack.enter_context(cluster))
            stack.enter_context(client)
            client.run(_warm, case, _some(case)[0])
        run = partial(run_one, case)
        # Not pure: results must not be taken from an earlier call.
        yield lambda given: client.gather(client.map(run, given, pure=False))


# --- Gradients ------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)
def bare_gradient(method: str, case: Case) -> Many:
    """Return the gradients of the bare QNode in a loop."""
    return partial(loop, qml.grad(case.qnode(method)))


@contextmanager
def gradient(method: str, case: Case) -> Iterator[Many]:
    """Compute the gradients of a QElectron in a loop."""
    yield partial(loop, qml.grad(ct.qelectron(case.qnode(method))))
    ct.shutdown()


METHODS = ("parameter-shift", "adjoint", "best")
CONTENDERS = {
    "call": Contender("loop of calls", calls),
    "later": Contender("run_later, gather", later),
    "map": Contender("map", mapped),
    "execute": Contender("qml.execute, one batch", executed),
    "workers": Contender(f"default.qubit(max_workers={WORKERS})", device_workers),
    "stack": Contender("one call, stacked parameters", stacked),
    "threads": Contender("ThreadPoolExecutor", threads),
    "processes": Contender("ProcessPoolExecutor", processes),
    "joblib": Contender("joblib, loky", joblib, needs=("joblib",)),
    "dask": Contender("Dask, client.map", dask, needs=("distributed",)),
    **{
        f"gradient {method}": Contender(
            f"gradient, {method}",
            partial(gradient, method),
            bare=partial(bare_gradient, method),
        )
        for method in METHODS
    },
}

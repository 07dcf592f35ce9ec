"""Dask for qelectron: circuits on a cluster of machines, and workflows of electrons."""

from typing import Final

from qelectron_core import Register, hookimpl

#: Names that the plugin puts on the core's namespace, and where they are.
_NAMES: Final = {
    "electron": "qelectron_dask.workflow.electron:electron",
    "lattice": "qelectron_dask.workflow.lattice:lattice",
    "dispatch": "qelectron_dask.workflow.dispatching:dispatch",
    "redispatch": "qelectron_dask.workflow.dispatching:redispatch",
    "get_result": "qelectron_dask.workflow.dispatching:get_result",
    "cancel": "qelectron_dask.workflow.dispatching:cancel",
    "wait_for": "qelectron_dask.workflow.placeholders:wait_for",
}


@hookimpl
def qelectron_register_executors(register: Register) -> None:
    """Offer the executor that sends circuits to a Dask cluster."""
    register("DaskExecutor", "qelectron_dask.executor:DaskExecutor")


@hookimpl
def qelectron_register_names(register: Register) -> None:
    """Offer what workflows are written with."""
    for name, target in _NAMES.items():
        register(name, target)


@hookimpl
def qelectron_register_commands(register: Register) -> None:
    """Offer the command that shows what was dispatched."""
    register("dispatches", "qelectron_dask.cli.dispatches:dispatches")

"""Simulators for qelectron: any local PennyLane device as an executor."""

from qelectron_core import Register, hookimpl


@hookimpl
def qelectron_register_executors(register: Register) -> None:
    """Offer `Simulator`."""
    register("Simulator", "qelectron_simulator.executor:Simulator")

"""Selectors for qelectron: which executor of a cluster runs which circuit."""

from qelectron_core import Register, hookimpl


@hookimpl
def qelectron_register_selectors(register: Register) -> None:
    """Offer `cyclic` and `random`."""
    register("cyclic", "qelectron_selectors.selectors:Cyclic")
    register("random", "qelectron_selectors.selectors:Random")

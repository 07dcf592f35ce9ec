"""Selectors for qelectron: which executor of a cluster runs which circuit."""

from qelectron_core import Register, hookimpl


@hookimpl
def qelectron_register_selectors(register: Register) -> None:
    """Offer the selectors, each by its name."""
    register("cyclic", "qelectron_selectors.selectors:Cyclic")
    register("random", "qelectron_selectors.selectors:Random")
    register("weighted", "qelectron_selectors.weighted:Weighted")
    register("least-busy", "qelectron_selectors.least_busy:LeastBusy")
    register("fastest", "qelectron_selectors.fastest:Fastest")
    register("by-capability", "qelectron_selectors.by_capability:ByCapability")

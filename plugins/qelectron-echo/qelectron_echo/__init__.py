"""The smallest plugin of qelectron: an executor that computes nothing."""

from qelectron_core import Register, hookimpl


@hookimpl
def qelectron_register_executors(register: Register) -> None:
    """Offer `Echo`."""
    register("Echo", "qelectron_echo.executor:Echo")

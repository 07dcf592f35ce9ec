"""What QElectrons ran and run, in a browser."""

from qelectron_core import Register, hookimpl


@hookimpl
def qelectron_register_commands(register: Register) -> None:
    """Offer the command that opens the dashboard."""
    register("dashboard", "qelectron_dashboard.command:dashboard")

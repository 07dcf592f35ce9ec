"""OpenTelemetry traces and metrics of what happens to circuits."""

from qelectron_core import Register, hookimpl


@hookimpl
def qelectron_register_observers(register: Register) -> None:
    """Offer the observer that makes spans and metrics."""
    register("otel", "qelectron_otel.observer:observer")

"""What the core itself offers, registered through the same hooks as plugins."""

from qelectron_core.hookspecs import Register, hookimpl


@hookimpl
def qelectron_register_stores(register: Register) -> None:
    """Offer the store that keeps the journal in memory."""
    register("memory", "qelectron_core.memory_store:MemoryStore")


@hookimpl
def qelectron_register_commands(register: Register) -> None:
    """Offer the core's own sub-commands."""
    register("token", "qelectron_core.cli.token:token")
    register("plugins", "qelectron_core.cli.plugins:plugins")
    register("demo", "qelectron_core.cli.demo:demo")
    register("doctor", "qelectron_core.cli.doctor:doctor")
    register("check", "qelectron_core.cli.check:check")
    register("config", "qelectron_core.cli.config:config")
    register("spend", "qelectron_core.cli.spend:spend")
    register("new-plugin", "qelectron_core.cli.new_plugin:new_plugin")


@hookimpl
def qelectron_register_executors(register: Register) -> None:
    """Offer the cloud to test against."""
    register("FakeCloud", "qelectron_core.testing.fakecloud:FakeCloud")

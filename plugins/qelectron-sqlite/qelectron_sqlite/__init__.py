"""One SQLite file for what QElectrons ran and for results worth reusing."""

from typing import Final

from qelectron_core import Register, hookimpl

_COMMANDS: Final = ("runs", "show", "jobs", "attach", "again", "cancel", "cache")


@hookimpl
def qelectron_register_stores(register: Register) -> None:
    """Offer the store."""
    register("sqlite", "qelectron_sqlite.store:SqliteStore")


@hookimpl
def qelectron_register_commands(register: Register) -> None:
    """Offer the commands that show and tidy what is kept."""
    for name in _COMMANDS:
        register(name, f"qelectron_sqlite.cli.{name}:{name}")

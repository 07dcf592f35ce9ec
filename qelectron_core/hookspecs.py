"""Hooks through which plugins register what they offer.

Every hook is a registration callback: it receives `register` and calls it once
per name. Implementations take exactly that one argument, without a default, and
must not import a vendor SDK: pass `"module:attribute"` and it is imported when
somebody first uses the name.
"""

from typing import Any, Final, Protocol

import pluggy

PROJECT: Final = "qelectron"

hookspec: Final = pluggy.HookspecMarker(PROJECT)
#: Marks a function of a plugin as the implementation of a hook.
hookimpl: Final = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """Puts one thing that a plugin offers on record."""

    def __call__(self, name: str, target: Any) -> None:
        """Register `target` under `name`.

        Args:
            name: How users refer to it; unique among installed plugins.
            target: The object itself, or `"module:attribute"`, resolved at
                first use.

        Raises:
            ConfigError: If the name is taken; names both plugins.
        """


@hookspec
def qelectron_register_executors(register: Register) -> None:
    """Offer executors, reached as `ct.executor.<name>`.

    Args:
        register: Takes a name and an `Executor` class.
    """


@hookspec
def qelectron_register_selectors(register: Register) -> None:
    """Offer selectors, reached as `QCluster(selector="<name>")`.

    Args:
        register: Takes a name and a callable `(circuit, executors) -> executor`,
            or a class whose instances are such callables; each QElectron then
            has an instance of its own.
    """


@hookspec
def qelectron_register_stores(register: Register) -> None:
    """Offer stores, which keep the journal of what ran.

    Args:
        register: Takes a name and a class that implements `Store`.
    """


@hookspec
def qelectron_register_observers(register: Register) -> None:
    """Offer observers, which receive events while circuits run.

    Args:
        register: Takes a name and a callable that takes one `Event`.
    """


@hookspec
def qelectron_register_names(register: Register) -> None:
    """Put names on the core's namespace, reached as `ct.<name>`.

    Args:
        register: Takes a name and any object.
    """


@hookspec
def qelectron_register_commands(register: Register) -> None:
    """Offer sub-commands of the `qelectron` command line.

    Args:
        register: Takes a name and a `click.Command`. Its module is imported for
            `qelectron --help`, so it should import little more than click.
    """


@hookspec
def qelectron_register_tokens(register: Register) -> None:
    """Offer a vendor's tokens to `qelectron token`.

    Args:
        register: Takes the vendor's name and a `VendorTokens`.
    """

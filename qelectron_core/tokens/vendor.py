"""What a plugin tells of the tokens of its vendor, and where one is found."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

import attrs

from qelectron_core.config.layers import setting
from qelectron_core.errors import ConfigError
from qelectron_core.secret import Secret
from qelectron_core.tokens import keeping

#: Tokens that were found: an SDK that has taken the text may quote it, though nobody
#: holds the `Secret` any more, and what nobody holds is not taken out of errors.
_found: Final[set[Secret]] = set()


def _to_names(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


@attrs.frozen
class VendorTokens:
    """Describes the tokens of a vendor; registered by the vendor's plugin.

    Derive from it to implement `check`, or to name a file of the vendor's own.

    Attributes:
        variables: Environment variables that may hold one, the first that is set
            counting.
        page: Where users get one.

    Example:
        >>> import qelectron_core as ct
        >>> ct.VendorTokens(variables=("ACME_TOKEN",), page="https://acme.example")
        VendorTokens(variables=('ACME_TOKEN',), page='https://acme.example')
    """

    variables: tuple[str, ...] = attrs.field(default=(), converter=_to_names)
    page: str = ""

    def check(self, token: Secret) -> str:
        """Ask the vendor about a token, in one cheap call; return what it is good for.

        Raises:
            Exception: If the vendor does not take it.
        """
        del token
        raise ConfigError("its plugin cannot check tokens. Run a circuit to try it.")

    def elsewhere(self) -> Secret | None:
        """Return the token in the vendor's own file, if it has one."""
        return None


def kept_token(name: str, profile: str | None = None) -> Secret | None:
    """Return the token that `qelectron token set` has kept, if there is one.

    Args:
        name: Name under which the vendor's tokens are registered.
        profile: Which of several; by default what config says (`profile`).

    Raises:
        ConfigError: If it cannot be read.
    """
    found = keeping.get(name, profile or setting("profile"))
    return None if found is None else _noted(found)


def _noted(text: str) -> Secret:
    secret = Secret(text)
    _found.add(secret)
    return secret


def token_of_environment(vendor: VendorTokens) -> tuple[str, Secret] | None:
    """Return the first variable of a vendor that holds a token, and the token."""
    for variable in vendor.variables:
        if text := os.environ.get(variable):
            return variable, _noted(text)
    return None


def find_token(
    name: str, vendor: VendorTokens, profile: str | None = None
) -> tuple[str, Secret] | None:
    """Return a token and where it is from: environment, what is kept, vendor's file.

    Raises:
        ConfigError: If what is kept cannot be read.
    """
    if profile is None and (found := token_of_environment(vendor)):
        return found
    kept = kept_token(name, profile)
    if kept is not None:
        return keeping.place(name, profile or setting("profile")), kept
    own = vendor.elsewhere() if profile is None else None
    return None if own is None else ("the vendor's own file", own)

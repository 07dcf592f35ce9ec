"""Which tokens of vendors are kept, and what one does with them; never a token."""

from __future__ import annotations

from typing import Any

import attrs

from qelectron_core.config.layers import setting
from qelectron_core.errors import ConfigError
from qelectron_core.registry import registry
from qelectron_core.secret import Secret
from qelectron_core.tokens import keeping
from qelectron_core.tokens.rows import rows
from qelectron_core.tokens.vendor import (
    VendorTokens,
    kept_token,
    token_of_environment,
)


@attrs.frozen
class Token:
    """Where a token is, but no token.

    Attributes:
        name: Of the vendor.
        profile: Which of several; `None` for one that is not kept by qelectron.
        place: Where it is, as one reads it.
        can_be_checked: Whether its vendor is known here.
    """

    name: str
    profile: str | None
    place: str
    can_be_checked: bool


def tokens() -> list[Token]:
    """Return which tokens there are.

    Raises:
        ConfigError: If what is kept cannot be read.
    """
    known = registry().registrations("token")
    return [
        Token(row["name"], row["profile"], row["place"], row["name"] in known)
        for row in rows()
    ]


def vendors() -> dict[str, str]:
    """Return the vendors whose tokens can be kept, and where users get one."""
    known = registry().registrations("token")
    return {name: one.resolve().page for name, one in known.items()}


def keep(name: str, profile: str, token: Secret) -> str:
    """Keep a token; return what came of it.

    Raises:
        ConfigError: If it is none, or cannot be kept.
    """
    text = token.reveal()
    if not text or not text.isprintable() or any(map(str.isspace, text)):
        message = "this is no token. Expected one text without spaces and characters "
        raise ConfigError(f"{message}that do not show.")
    profile = profile or str(setting("profile"))
    where = keeping.put(name, profile, text)
    shown = "the keyring" if where == "keyring" else str(keeping.path())
    said = f"token {name!r} (profile {profile!r}) is kept in {shown}."
    wins = token_of_environment(_vendor(name))
    return f"{said} But {wins[0]} is set here, and wins." if wins else said


def forget(token: Token) -> str:
    """Forget a token; return what came of it.

    Raises:
        ConfigError: If there is none, or it stays where it is.
    """
    named = f"token {token.name!r} (profile {token.profile!r})"
    if token.profile is None or not keeping.remove(token.name, token.profile):
        raise ConfigError(f"{named} is not kept any more.")
    return f"{named} is forgotten."


def check(token: Token) -> str:
    """Ask the vendor whether it takes a token, in one cheap call.

    Raises:
        ConfigError: If it does not, or there is no such token; says why.
    """
    vendor = _vendor(token.name)
    secret = _secret(token, vendor)
    if secret is None:
        raise ConfigError(f"token {token.name!r} is not in {token.place} any more.")
    try:
        return secret.hide_in(vendor.check(secret))
    except Exception as error:
        # Raised without what led to it, which may quote the token.
        failure = ConfigError(secret.hide_in(f"{type(error).__name__}: {error}"))
    raise failure


def _secret(token: Token, vendor: VendorTokens) -> Secret | None:
    if token.profile is not None:
        return kept_token(token.name, token.profile)
    found = token_of_environment(vendor)
    if found is not None and found[0] == token.place:
        return found[1]
    return vendor.elsewhere()


def _vendor(name: str) -> VendorTokens:
    found: Any = registry().resolve("token", name)
    made: VendorTokens = found
    return made

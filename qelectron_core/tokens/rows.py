"""Which tokens there are and where, without any token."""

from __future__ import annotations

from typing import Any

from qelectron_core.registry import registry
from qelectron_core.tokens import keeping
from qelectron_core.tokens.vendor import token_of_environment


def rows() -> list[dict[str, Any]]:
    """Return, per token, its name, its profile, and its place as one reads it."""
    found: list[dict[str, Any]] = [
        {"name": name, "profile": profile, "place": keeping.place(name, profile)}
        for name, profile in keeping.profiles()
    ]
    for name, registration in registry().registrations("token").items():
        vendor = registration.resolve()
        variable = token_of_environment(vendor)
        if variable is not None:
            found.append({"name": name, "profile": None, "place": variable[0]})
        if vendor.elsewhere() is not None:
            place = "the vendor's own file"
            found.append({"name": name, "profile": None, "place": place})
    return found

"""What all pages share."""

from __future__ import annotations

import attrs

from qelectron_core.store import Store


@attrs.define
class Site:
    """What all pages share: the server has one user.

    Attributes:
        store: What is shown.
        location: Where it is, for people to read.
        dark: Whether pages are dark; `None` as the browser likes it.
    """

    store: Store
    location: str
    dark: bool | None = None

"""What all pages share."""

from __future__ import annotations

import attrs

from qelectron_core.store import Store


@attrs.define
class Site:
    """What all pages share: the server has one user.

    Attributes:
        store: What is shown.
        dark: Whether pages are dark; `None` as the browser likes it.
    """

    store: Store
    dark: bool | None = None

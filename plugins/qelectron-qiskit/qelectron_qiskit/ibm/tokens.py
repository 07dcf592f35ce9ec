"""The token of an account at IBM Quantum, as `qelectron token` keeps it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import attrs

from qelectron_core import ConfigError, Secret, VendorTokens

#: Of IBM's service before 2025; its accounts open nothing any more.
_GONE_CHANNEL: Final = "ibm_quantum"


@attrs.frozen
class IBMTokens(VendorTokens):
    """Describes tokens of IBM Quantum."""

    def check(self, token: Secret) -> str:
        """Ask which instances an account has.

        Raises:
            ConfigError: If IBM does not take the token.
        """
        from qelectron_qiskit.ibm.hiding import hide, hide_in_logs
        from qelectron_qiskit.ibm.http import make_service

        hide_in_logs(token)
        try:
            service = make_service(token=token.reveal(), **_place())
            names = [str(each["name"]) for each in service.instances()]
        except Exception as error:
            failure = ConfigError(hide(f"{type(error).__name__}: {error}", token))
        else:
            return f"IBM takes it. Instances: {', '.join(names) or 'none'}."
        raise failure  # without what led to it, which holds the token

    def elsewhere(self) -> Secret | None:
        """Return the token of the default account in Qiskit's own file."""
        accounts = _saved_accounts()
        chosen = [one for one in accounts if one.get("is_default_account")] or accounts
        token = chosen[0].get("token") if chosen else None
        return Secret(token) if isinstance(token, str) and token else None


def _saved_accounts() -> list[dict[str, Any]]:
    """Read what `QiskitRuntimeService.save_account` wrote.

    Read here, as `saved_accounts()` does, because importing Qiskit takes seconds.
    A file that cannot be read holds none.
    """
    try:
        text = (Path.home() / ".qiskit" / "qiskit-ibm.json").read_bytes()
        saved = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return []
    accounts = saved.values() if isinstance(saved, dict) else ()
    return [
        one
        for one in accounts
        if isinstance(one, dict) and one.get("channel") != _GONE_CHANNEL
    ]


def _place() -> dict[str, str]:
    """Return the address of the service, if it is not IBM's."""
    url = os.environ.get("QISKIT_IBM_URL")
    return {"url": url} if url else {}


TOKENS: Final = IBMTokens(
    variables=("QISKIT_IBM_TOKEN",), page="https://quantum.cloud.ibm.com"
)

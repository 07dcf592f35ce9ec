"""A keyring for tests, in the file that `TEST_KEYRING` names; imported by `keyring`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class FileKeyring(KeyringBackend):
    """Keeps passwords backwards, so that a file with a token is never ours."""

    priority = 5

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write({**self._all(), f"{service}:{username}": password[::-1]})

    def get_password(self, service: str, username: str) -> str | None:
        found = self._all().get(f"{service}:{username}")
        return None if found is None else found[::-1]

    def delete_password(self, service: str, username: str) -> None:
        left = self._all()
        del left[f"{service}:{username}"]
        self._write(left)

    def _all(self) -> dict[str, str]:
        path = self._path()
        found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def _write(self, content: dict[str, str]) -> None:
        self._path().write_text(json.dumps(content))

    def _path(self) -> Path:
        path = Path(os.environ["TEST_KEYRING"])
        if path.with_suffix(".locked").exists():
            raise KeyringLocked("it is locked")
        return path

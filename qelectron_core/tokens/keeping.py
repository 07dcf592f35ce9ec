"""Keeps tokens: in the keyring of the system, or in a file that only its user reads."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from qelectron_core.config.files import user_path
from qelectron_core.config.writing import write_private
from qelectron_core.errors import ConfigError

#: Under what the keyring of the system has our tokens.
SERVICE: Final = "qelectron"
_NAME: Final = "tokens.json"

Place: TypeAlias = Literal["keyring", "file"]


def put(name: str, profile: str, token: str) -> Place:
    """Keep a token; return where.

    Raises:
        ConfigError: If it cannot be kept.
    """
    key = _key(name, profile)
    is_in_keyring = _put_into_keyring(key, token)
    _write({**_known(), key: {} if is_in_keyring else {"token": token}})
    return "keyring" if is_in_keyring else "file"


def get(name: str, profile: str) -> str | None:
    """Return a token, if one is kept.

    Raises:
        ConfigError: If it cannot be read.
    """
    entry = _known().get(_key(name, profile))
    if entry is None:
        return None
    return entry["token"] if "token" in entry else _from_keyring(name, profile)


def remove(name: str, profile: str) -> bool:
    """Forget a token; return whether there was one.

    Raises:
        ConfigError: If it stays where it is.
    """
    key, known = _key(name, profile), _known()
    if key not in known:
        return False
    if place(name, profile) == "keyring":
        _remove_from_keyring(key)
    _write({one: entry for one, entry in known.items() if one != key})
    return True


def profiles() -> list[tuple[str, str]]:
    """Return names and profiles of all tokens that are kept."""
    return sorted((n, p) for n, _, p in (key.partition("/") for key in _known()))


def place(name: str, profile: str) -> Place:
    """Return where a token is kept."""
    entry = _known().get(_key(name, profile), {})
    return "file" if "token" in entry else "keyring"


def path() -> Path:
    """Return the file of tokens, which also tells which are in the keyring."""
    return user_path().with_name(_NAME)


def _put_into_keyring(key: str, token: str) -> bool:
    keyring = _keyring()
    try:
        if keyring is None:
            return False
        keyring.set_password(SERVICE, key, token)
        # Some keep nothing, and say nothing of it.
        return bool(keyring.get_password(SERVICE, key) == token)
    except Exception:  # it is locked, or not there: its messages may quote
        return False


def _from_keyring(name: str, profile: str) -> str:
    keyring = _keyring()
    try:
        found = keyring and keyring.get_password(SERVICE, _key(name, profile))
    except Exception:  # its messages may quote
        found = None
    if found:
        return str(found)
    message = (
        f"the token {name!r} of profile {profile!r} is in the keyring, which does not "
        f"give it. Unlock it, or set the token anew: qelectron token set {name}"
    )
    raise ConfigError(message)


def _remove_from_keyring(key: str) -> None:
    keyring = _keyring()
    try:
        if keyring is not None and keyring.get_password(SERVICE, key) is not None:
            keyring.delete_password(SERVICE, key)
    except Exception as error:
        message = f"the keyring does not forget {key!r}: {type(error).__name__}."
        raise ConfigError(f"{message} Unlock it and try again.") from None


def _keyring() -> Any:
    """Return the keyring of the system, if there is one and its package."""
    try:
        import keyring
        from keyring.backends.fail import Keyring as NoKeyring
    except ImportError:
        return None
    found = keyring.get_keyring()
    return None if isinstance(found, NoKeyring) else found


def _key(name: str, profile: str) -> str:
    return f"{name}/{profile}"


def _write(known: dict[str, dict[str, str]]) -> None:
    write_private(path(), json.dumps(known, indent=2, sort_keys=True) + "\n")


def _known() -> dict[str, dict[str, str]]:
    where = path()
    try:
        state = where.stat()
    except OSError:
        return {}
    if os.name == "posix" and state.st_mode & 0o077:
        message = f"{where} can be read by others. Make it your own: chmod 600 {where}"
        raise ConfigError(message)
    return _read(str(where), state.st_mtime_ns, state.st_size, state.st_ino)


@functools.lru_cache(maxsize=4)
def _read(where: str, *_: int) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(Path(where).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        # The error of JSON holds the text.
        message = f"{where} cannot be read: {type(error).__name__}. Remove it, and set "
        raise ConfigError(f"{message}tokens anew: qelectron token set NAME") from None
    return found if isinstance(found, dict) else {}

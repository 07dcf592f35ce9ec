"""Keeps tokens: in the keyring of the system, or in a file that only its user reads."""

from __future__ import annotations

import functools
import json
import os
import stat
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from qelectron_core.config.files import user_path
from qelectron_core.config.writing import alone, write_private
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
    with alone(path().parent):
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
    key = _key(name, profile)
    if key not in _known():
        return False
    if place(name, profile) == "keyring":
        _remove_from_keyring(key)
    with alone(path().parent):
        _write({one: entry for one, entry in _known().items() if one != key})
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
    if keyring is None:
        message = f"{key!r} is in the keyring of the system, which is not there now."
        hint = "Install its package, or remove it there and set the token anew."
        raise ConfigError(f"{message} {hint}")
    try:
        if keyring.get_password(SERVICE, key) is not None:
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
    _require_own_folder(path())
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
    _require_own_folder(where)
    return _read(str(where), state.st_mtime_ns, state.st_size, state.st_ino)


def _require_own_folder(where: Path) -> None:
    """Refuse a folder in which others could put a file of theirs in the place of ours.

    Raises:
        ConfigError: If it is one.
    """
    folder = where.resolve().parent
    try:
        mode = folder.stat().st_mode
    except OSError:  # whoever reads or writes there says so
        return
    if os.name == "posix" and mode & 0o022 and not mode & stat.S_ISVTX:
        message = f"{folder} can be changed by others, and so can your tokens in it."
        raise ConfigError(f"{message} Make it your own: chmod go-w {folder}")


@functools.lru_cache(maxsize=4)
def _read(where: str, *_: int) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(Path(where).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        # The error of JSON holds the text.
        raise ConfigError(_damaged(where, type(error).__name__)) from None
    if not isinstance(found, dict) or not all(map(_is_entry, found.values())):
        raise ConfigError(_damaged(where, "it holds something else than tokens"))
    return found


def _is_entry(entry: Any) -> bool:
    """Tell whether this is a token, or says that one is in the keyring."""
    return isinstance(entry, dict) and isinstance(entry.get("token", ""), str)


def _damaged(where: str, why: str) -> str:
    return (
        f"{where} cannot be read: {why}. Remove it, and set tokens anew: qelectron "
        "token set NAME"
    )

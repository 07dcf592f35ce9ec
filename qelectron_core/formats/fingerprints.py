"""Fingerprints: equal for equal circuits and executors, in every process.

Every digest begins with the version of the rules below, so that digests of other
rules differ.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from enum import Enum
from hashlib import blake2b
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import attrs

from qelectron_core.contracts import Executor, Settings
from qelectron_core.errors import FormatError
from qelectron_core.formats.tokens import Node, pack, token

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

_VERSION: Final = b"qelectron 1"
_DIGEST_BYTES: Final = 16


def circuit_digest(circuit: QuantumScript, *, trainable: bool = False) -> str:
    """Return the fingerprint of a circuit's operations and measurements.

    It does not depend on shots, on ids, or on the type in which a number is given.

    Args:
        circuit: The circuit.
        trainable: Whether circuits differ that differ in which of their parameters
            are trainable.

    Returns:
        32 hexadecimal digits.

    Raises:
        FormatError: If the circuit holds something that cannot be compared
            faithfully, such as a function; says what.
    """
    from qelectron_core.formats.gates import circuit_bytes

    content = circuit_bytes(circuit)
    if trainable:
        content += token(sorted(map(int, circuit.trainable_params)), _extend)
    return _digest(b"circuit", content)


def executor_digest(executor: Executor) -> str:
    """Return the fingerprint of what an executor's results depend on.

    Returns:
        32 hexadecimal digits.

    Raises:
        FormatError: If its results cannot be compared, or an option cannot; says
            which.
    """
    return _digest(b"executor", token(_executor(executor), _extend))


def pool_of(circuit_digest: str, executor_digest: str, settings: Settings) -> str:
    """Return the fingerprint of all that results depend on but shots and seed.

    Args:
        circuit_digest: Fingerprint of the circuit.
        executor_digest: Fingerprint of the executor.
        settings: How it is run; the interface does not count.

    Returns:
        32 hexadecimal digits.
    """
    parts = (
        circuit_digest,
        executor_digest,
        settings.mcm_method,
        settings.postselect_mode,
        settings.gradient_method,
        settings.derivatives,
    )
    return _digest(b"pool", token(parts, _extend))


def _digest(what: bytes, content: bytes) -> str:
    return blake2b(
        pack(_VERSION, what) + content, digest_size=_DIGEST_BYTES
    ).hexdigest()


def _executor(executor: Executor) -> Node:
    name = type(executor).__name__
    options = executor.cache_key()
    if options is None:
        message = f"results of {name!r} cannot be compared, as its cache_key() says"
        raise FormatError(f"{message}. They are not reused.")
    tokens = [_option(name, option, options[option]) for option in sorted(options)]
    return Node("executor", _class_name(type(executor)), *tokens)


def _option(executor: str, option: str, value: Any) -> tuple[str, bytes]:
    try:
        return option, token(value, _extend)
    except FormatError as error:
        message = f"option {option!r} of {executor!r} cannot be compared: {error}"
        raise FormatError(message) from error


def _extend(value: Any) -> Any:
    if isinstance(value, Executor):
        return _executor(value)
    if isinstance(value, Enum):
        return Node("enum", _class_name(type(value)), value.name)
    if isinstance(value, PurePath):
        return Node("path", str(value))
    if isinstance(value, type):
        return Node("class", _class_name(value))
    if isinstance(value, Mapping):
        return dict(value)
    parts = _fields(value)
    if parts is None:
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise FormatError(f"it is, or holds, a {kind}, whose content is not known.")
    return Node("value", _class_name(type(value)), parts)


def _fields(value: Any) -> dict[str, Any] | None:
    """Return the fields of a value of `attrs` or `dataclasses`, but hidden ones."""
    if attrs.has(type(value)):
        known: Any = attrs.fields(type(value))
    elif is_dataclass(value):
        known = dataclass_fields(value)
    else:
        return None
    return {
        one.name: getattr(value, one.name) for one in known if one.repr is not False
    }


def _class_name(kind: type) -> str:
    if kind.__module__ != "__main__":
        return f"{kind.__module__}:{kind.__qualname__}"
    # Every program has a `__main__`; only its file tells one from another.
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None:
        message = f"class {kind.__qualname__!r} is defined in no file"
        raise FormatError(f"{message}. Move it to a module.")
    return f"{file}:{kind.__qualname__}"

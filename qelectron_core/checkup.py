"""Looks at an installation: what is there, what does not fit, and what to do."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

import attrs
from packaging.requirements import InvalidRequirement, Requirement

from qelectron_core.errors import QElectronError
from qelectron_core.registry import registry

#: Distributions whose other users are looked at, too: their versions clash most often.
_SHARED: Final = ("pennylane", "qiskit", "qiskit-aer", "qiskit-ibm-runtime")
#: Bytes below which a disk is said to be nearly full.
_LITTLE_SPACE: Final = 500 * 1024**2

Level = Literal["good", "note", "bad"]


@attrs.frozen
class Finding:
    """One thing that was looked at.

    Attributes:
        about: What was looked at.
        level: `"good"`, `"note"` if something could be better, `"bad"` if something
            does not work.
        what: What was found.
        remedy: What to do about it; empty if nothing.
    """

    about: str
    level: Level
    what: str
    remedy: str = ""


def findings() -> Iterator[Finding]:
    """Look at everything, without asking any vendor; yield what was found."""
    looks = (_versions, _plugins, _requirements, _config, _store, _tokens)
    for look in looks:
        about = look.__name__.strip("_")
        try:
            yield from look()
        except QElectronError as error:
            yield Finding(about, "bad", str(error), "See the message.")
        except Exception as error:  # a check must not keep the others from being made
            what = f"could not be looked at: {type(error).__name__}: {error}"
            yield Finding(about, "bad", what, "Please report this.")


def token_findings() -> Iterator[Finding]:
    """Ask each vendor once whether it takes the token that is there."""
    from qelectron_core.tokens.vendor import find_token

    for name, registration in registry().registrations("token").items():
        vendor = registration.resolve()
        found = find_token(name, vendor, None)
        if found is None:
            continue
        place, secret = found
        try:
            said = secret.hide_in(str(vendor.check(secret)))
            yield Finding("tokens", "good", f"{name}, from {place}: {said}")
        except Exception as error:
            why = secret.hide_in(f"{type(error).__name__}: {error}")
            remedy = f"qelectron token set {name}"
            yield Finding("tokens", "bad", f"{name}, from {place}: {why}", remedy)


def _versions() -> Iterator[Finding]:
    names = ("qelectron-core", *_SHARED)
    told = [f"{name} {version}" for name in names if (version := _version(name))]
    yield Finding("versions", "good", f"Python {platform.python_version()}")
    yield Finding("versions", "good", ", ".join(told))


def _plugins() -> Iterator[Finding]:
    for plugin in registry().plugins:
        named = f"{plugin.name} ({plugin.distribution} {plugin.version})"
        if plugin.error is not None:
            remedy = f"pip install --upgrade --force-reinstall {plugin.distribution}"
            yield Finding("plugins", "bad", f"{named}: {plugin.error}", remedy)
    good = [plugin.name for plugin in registry().plugins if plugin.error is None]
    yield Finding("plugins", "good", ", ".join(good))
    if not registry().registrations("executor").keys() - {"FakeCloud"}:
        remedy = "pip install qelectron-simulator"
        yield Finding("plugins", "note", "no plugin brings an executor", remedy)


def _requirements() -> Iterator[Finding]:
    """Compare what is installed with what those ask for that use it."""
    unmet = [
        Finding(
            "requirements",
            "bad",
            f"{user} asks for {wanted}, and {found} is installed",
            f"pip install '{wanted}'",
        )
        for user, wanted, found in _unmet()
    ]
    yield from unmet
    if not unmet:
        yield Finding("requirements", "good", "what is installed fits together")


def _unmet() -> Iterator[tuple[str, Requirement, str]]:
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"] or ""
        wanted = list(_wanted(distribution.requires or ()))
        is_ours = name.startswith("qelectron")
        for requirement in wanted:
            if not is_ours and requirement.name.lower() not in _SHARED:
                continue
            found = _version(requirement.name)
            if found is None:
                if is_ours:
                    yield name, requirement, "none"
            elif not requirement.specifier.contains(found, prereleases=True):
                yield name, requirement, found


def _wanted(lines: Iterable[str]) -> Iterator[Requirement]:
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # of somebody else's distribution
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _config() -> Iterator[Finding]:
    from qelectron_core.config.layers import current

    files = [str(file.path) for file in current().files]
    yield Finding("config", "good", ", ".join(files) or "no file; all as it comes")


def _store() -> Iterator[Finding]:
    from qelectron_core.runtime.stores import open_store

    store = open_store()
    try:
        usage = store.usage()
    finally:
        store.close()
    if not store.durable:
        remedy = "pip install qelectron-sqlite"
        what = "in memory: what ran is forgotten when a program ends"
        yield Finding("store", "note", what, remedy)
        return
    kept = f"{usage.calls:,} calls, {usage.results:,} results, {usage.jobs:,} open jobs"
    yield Finding("store", "good", f"{usage.location}: {kept}")
    yield from _space(usage.location)


def _space(location: str) -> Iterator[Finding]:
    folder = Path(location).parent
    free = shutil.disk_usage(folder).free if folder.is_dir() else _LITTLE_SPACE
    if free < _LITTLE_SPACE:
        what = f"only {free // 1024**2:,} MB are free where the store is"
        remedy = "Make room, or qelectron cache prune --max-mb 100"
        yield Finding("store", "note", what, remedy)


def _tokens() -> Iterator[Finding]:
    from qelectron_core.tokens.rows import rows

    found = rows()
    for row in found:
        profile = f" (profile {row['profile']!r})" if row["profile"] else ""
        yield Finding("tokens", "good", f"{row['name']}{profile}: {row['place']}")
    named = {row["name"] for row in found}
    for name in registry().registrations("token"):
        if name not in named:
            remedy = f"qelectron token set {name}"
            what = f"{name}: none, so that machines of this vendor cannot be used"
            yield Finding("tokens", "note", what, remedy)

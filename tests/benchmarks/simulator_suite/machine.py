"""What the figures were measured on."""

import datetime
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "qelectron-core",
    "qelectron-simulator",
    "pennylane",
    "pennylane-lightning",
    "numpy",
    "scipy",
    "joblib",
    "dask",
    "distributed",
)
#: Settings of the environment that make arithmetic faster or slower.
SETTINGS = (
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
)


def describe() -> dict[str, Any]:
    """Return the machine, its settings, and the versions of what is measured."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": dict(_versions()),
        "settings": {n: os.environ[n] for n in SETTINGS if n in os.environ},
        "load_before": load(),
        "load_after": None,
    }


def load() -> float | None:
    """Return how many processes ran on average in the last minute, where known."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def in_words(machine: dict[str, Any]) -> str:
    """Return a few lines for the head of a table."""
    packages = ", ".join(f"{name} {it}" for name, it in machine["packages"].items())
    settings = "".join(f", {name}={it}" for name, it in machine["settings"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}, Python {machine['python']}{settings}\n"
        f"{packages}\n"
        f"{machine['date']}, load {machine['load_before']} before and "
        f"{machine['load_after']} after"
    )


def _cpu() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    named = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return named[0].strip() if named else platform.processor() or "unknown processor"


def _memory_gib() -> float | None:
    if not hasattr(os, "sysconf"):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "not installed"

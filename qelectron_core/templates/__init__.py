"""Templates of plugins, and how one is written out under a name."""

from __future__ import annotations

import builtins
import json
import re
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import attrs

import qelectron_core
from qelectron_core.errors import KNOWN_DISTRIBUTIONS, ConfigError
from qelectron_core.registry import Kind, registry

#: Ends the names of template files, so that no tool takes them for what they become.
SUFFIX: Final = ".jinja"
#: Longest name and longest line; with the one, no generated line exceeds the other.
MAX_NAME: Final = 24
MAX_LINE: Final = 88
#: What generated modules import; a class of such a name would hide it.
IMPORTED: Final = frozenset(
    {
        "Any",
        "Capabilities",
        "ClassVar",
        "Client",
        "Device",
        "Executor",
        "ExecutorConformance",
        "Handle",
        "Iterator",
        "Job",
        "Limits",
        "MeasurementProcess",
        "NoSuchJobError",
        "Polling",
        "QuantumScript",
        "Register",
        "RemoteExecutor",
        "RemoteExecutorConformance",
        "Result",
        "Sequence",
        "UnknownJobError",
        "Wires",
    }
)


@attrs.frozen
class Template:
    """What plugins of one kind have in common.

    Attributes:
        folder: Folder of the template, next to the one that all kinds share.
        registers: What its hook registers.
        summary: Its description; `{}` stands for the name.
        role: What its class name ends in.
        attribute: What is registered, if not the class.
    """

    folder: str
    registers: Kind
    summary: str
    role: str = ""
    attribute: str = ""


#: By what `--kind` is called.
TEMPLATES: Final[Mapping[str, Template]] = {
    "executor": Template("executor", "executor", "Run PennyLane circuits with {}."),
    "remote": Template("remote", "executor", "Run PennyLane circuits at {}."),
    "selector": Template(
        "selector", "selector", "Choose who runs a PennyLane circuit.", "Selector"
    ),
    "observer": Template(
        "observer", "observer", "Watch PennyLane circuits run.", "Observer", "observer"
    ),
}


def check_name(value: str) -> str:
    """Return a name that can be part of other names, without `qelectron-`.

    Raises:
        ConfigError: If it cannot be; suggests one that can.
    """
    name = value.strip().removeprefix("qelectron-")
    if re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) and len(name) <= MAX_NAME:
        return name
    near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").lstrip("0123456789-")
    hint = f" Try {near!r}." if 0 < len(near) <= MAX_NAME else ""
    message = (
        f"{value!r} is no name for a plugin. Expected at most {MAX_NAME} lower-case "
        f"letters and digits, words joined by '-', such as 'acme'.{hint}"
    )
    raise ConfigError(message)


@attrs.frozen
class NewPlugin:
    """A plugin that is to be written.

    Attributes:
        name: What it is about, as `check_name` accepts it.
        template: What it is made from.
        author: Who writes it, or nothing.
    """

    name: str
    template: Template
    author: str = ""

    @property
    def distribution(self) -> str:
        """Name of the distribution, and of its folder."""
        return f"qelectron-{self.name}"

    @property
    def entry(self) -> str:
        """Name of the entry point."""
        return self.name.replace("-", "_")

    @property
    def title(self) -> str:
        """Name in a sentence."""
        return self.name.replace("-", " ").title()

    @property
    def class_name(self) -> str:
        """Name of its class."""
        words = map(str.capitalize, self.name.split("-"))
        return "".join(words) + self.template.role

    @property
    def offered(self) -> str:
        """What users write to reach what it registers."""
        return self.name if self.template.role else self.class_name

    def require_free(self) -> None:
        """Refuse a name that would clash with a plugin, or within the modules.

        Raises:
            ConfigError: Says what it clashes with.
        """
        owner = self._owner()
        if owner is not None:
            message = f"the name {self.name!r} is taken: {owner}. Choose another one."
            raise ConfigError(message)

    def write(self, parent: Path) -> Path:
        """Write the plugin into a folder of its own and return that folder.

        Raises:
            ConfigError: If the folder exists, or cannot be written.
        """
        from cookiecutter.generate import (  # type: ignore[import-untyped]  # it is
            generate_files,
        )

        folder = parent / self.distribution
        if folder.exists():
            message = f"{str(folder)!r} exists already. Remove it, or write elsewhere."
            raise ConfigError(message)
        with tempfile.TemporaryDirectory() as assembled:
            for part in ("common", self.template.folder):
                _copy(files(__name__) / "plugin" / part, Path(assembled))
            try:
                generate_files(
                    assembled,
                    {"cookiecutter": self._context()},
                    str(parent),
                    accept_hooks=False,
                )
            except OSError as error:
                message = f"{str(folder)!r} cannot be written: {error}."
                raise ConfigError(message) from error
        return folder

    def _owner(self) -> str | None:
        if self.distribution in {"qelectron-core", *KNOWN_DISTRIBUTIONS.values()}:
            return f"{self.distribution} is part of qelectron"
        for plugin in registry().plugins:
            names = map(str.lower, plugin.names(self.template.registers))
            if plugin.name == self.entry or self.offered.lower() in names:
                return f"plugin {plugin.name!r} of {plugin.distribution} has it"
        if self.class_name in IMPORTED or hasattr(builtins, self.class_name):
            return f"{self.class_name} is something else in Python code"
        return None

    def _context(self) -> dict[str, str]:
        """Return what the placeholders of the template stand for."""
        return {
            "distribution": self.distribution,
            "package": f"qelectron_{self.entry}",
            "entry": self.entry,
            "title": self.title,
            "description": self.template.summary.format(self.title),
            "class_name": self.class_name,
            "offered": self.offered,
            "registration": self._registration(),
            "author": _toml(self.author) if self.author else "",
            "core_range": _compatible(qelectron_core.__version__),
        }

    def _registration(self) -> str:
        """Return the call that registers it, laid out as `ruff format` does."""
        attribute = self.template.attribute or self.class_name
        target = f"qelectron_{self.entry}.{self.template.registers}:{attribute}"
        name, target = f'"{self.offered}"', f'"{target}"'
        indent, inner = "\n    ", "\n        "
        layouts = (
            f"register({name}, {target})",
            f"register({inner}{name}, {target}{indent})",
            f"register({inner}{name},{inner}{target},{indent})",
        )
        return next((each for each in layouts if _fits(indent + each)), layouts[-1])


def _fits(text: str) -> bool:
    return max(map(len, text.splitlines())) <= MAX_LINE


def _toml(text: str) -> str:
    """Return a text as TOML writes it: as JSON does, but for two differences."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _compatible(version: str) -> str:
    """Return the range of versions that keep the contracts of this one."""
    major, minor, *_ = (int(part) for part in re.findall(r"\d+", version))
    return f">={major}.{minor},<{major}.{minor + 1}"


def _copy(source: Traversable, target: Path) -> None:
    """Copy a folder of a template, and give its files their real names.

    Their content only, so that new files can be written to whatever the mode of
    installed ones.
    """
    for item in source.iterdir():
        path = target / item.name.removesuffix(SUFFIX)
        if item.is_dir():
            path.mkdir(exist_ok=True)
            _copy(item, path)
        else:
            text = item.read_text(encoding="utf-8")
            path.write_text(text, encoding="utf-8", newline="\n")

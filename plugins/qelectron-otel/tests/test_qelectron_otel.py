"""The observer where nobody has set up OpenTelemetry, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import attrs
import pytest

import qelectron_core as ct
from qelectron_core.registry import registry
from qelectron_core.testing import ObserverConformance
from qelectron_otel.observer import Telemetry, observer
from qelectron_otel.words import LONGEST, text_of


@attrs.frozen
class Idle(ct.Executor):
    """Runs nothing; events are about it."""

    name: str = "idle"
    token: str = attrs.field(default="hidden-token", repr=False)


def event_of(kind: Any, index: int = 0, **changes: Any) -> ct.Event:
    return ct.Event(kind, "call-1", index, Idle(), 1.0, **{"circuits": 2, **changes})


class TestTelemetry(ObserverConformance):
    def make(self) -> Telemetry:
        return observer


def test_the_plugin_offers_an_observer() -> None:
    (plugin,) = (p for p in registry().plugins if p.name == "otel")
    assert plugin.error is None
    assert plugin.names("observer") == ["otel"]
    assert registry().resolve("observer", "otel") is observer


def test_finding_the_plugin_imports_no_opentelemetry() -> None:
    code = (
        "import sys; from qelectron_core.registry import registry;"
        "assert 'otel' in registry().registrations('observer');"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_a_provider_nothing_is_noted() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from qelectron_core import Event\n"
        "from qelectron_otel.observer import observer\n"
        "for kind in ('submitted', 'started', 'retried', 'cached'):\n"
        "    observer(Event(kind, 'call-1', 0, None, 1.0, circuits=1))\n"
        "assert not observer._calls and not observer._jobs and not observer._is_on"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("kind", ["suspended", "resumed", "electron running", "new"])
def test_what_happens_to_other_things_is_left_out(kind: Any) -> None:
    telemetry = Telemetry()
    telemetry._is_on = True  # as if there were providers
    telemetry(event_of(kind))
    assert telemetry._calls == {}


def test_a_fork_forgets_what_is_the_parents() -> None:
    telemetry = Telemetry()
    telemetry._is_on = True
    telemetry(event_of("submitted"))
    assert list(telemetry._calls) == ["call-1"]
    telemetry.renew()
    assert telemetry._calls == {}


def test_executors_are_written_without_secrets_and_not_at_any_length() -> None:
    assert text_of(Idle()) == "Idle()"
    assert len(text_of(Idle(name="x" * 2 * LONGEST))) == LONGEST

"""Every page on a laptop and on a phone, in light and dark; the pictures of the docs.

With the variable QELECTRON_PICTURES, the pictures are written to the folder it names:
`QELECTRON_PICTURES=docs/how-to/dashboard pytest -k pictures`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dashboard_browser import Seen, looking_at, needs_browser

from qelectron_sqlite.store import SqliteStore

needs_browser()

#: What a working day may look like.
PROGRAM: Final = """
import pennylane as qml
import qelectron_core as ct
from qelectron_core.testing import FakeCloud, Faults

london = FakeCloud(name="london", latency_s=0.3, price_usd_per_job=0.3, shots=1000)
tokyo = FakeCloud(name="tokyo", latency_s=0.15, shots=1000)
oslo = FakeCloud(name="oslo", faults=Faults(crashed=1.0))

def on(executors, **options):
    def decorate(function):
        qnode = qml.QNode(function, qml.device("default.qubit", wires=3))
        return ct.qelectron(qnode, executors=executors, **options)
    return decorate

@on([london, tokyo])
def bell():
    qml.Hadamard(0)
    qml.CNOT([0, 1])
    return qml.counts(wires=[0, 1])

@on(FakeCloud(name="exact"), cache=True)
def ansatz(x):
    for wire in range(3):
        qml.RY(x * (wire + 1), wires=wire)
    qml.CNOT([0, 1])
    qml.CNOT([1, 2])
    return qml.expval(qml.Z(0) @ qml.Z(2))

@on([london, tokyo])
def ghz(angle):
    qml.RY(angle, wires=0)
    qml.CNOT([0, 1])
    qml.CNOT([1, 2])
    return qml.probs(wires=[0, 1, 2])

@on(oslo)
def deutsch():
    return qml.expval(qml.Z(0))

ansatz.map([0.1 * n for n in range(6)])
ansatz.map([0.1 * n for n in range(6)])
ct.gather([bell.run_later() for _ in range(4)])
qml.gradients.param_shift(ansatz)(qml.numpy.array(0.4, requires_grad=True))
try:
    deutsch()
except ct.QElectronError:
    pass
ct.gather([ghz.run_later(0.4 * n) for n in range(5)])
"""
PAGES: Final = ("calls", "call", "compare", "executors", "jobs", "cache", "settings")
#: What is there once a page shows what it read.
CONTENTS: Final = {"executors": ".tiles .panel", "calls": ".ag-row"}
#: Those that the documentation shows.
IN_DOCS: Final = ("calls", "call", "compare", "executors")
BUDGET: Final = "shots=50000,circuits=500,cost_usd=5"
WIDTHS: Final = {"laptop": (1280, 800), "phone": (390, 844)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("pictures") / "store.sqlite3"
    environment = {"QELECTRON_STORE": str(store), "QELECTRON_DAILY_BUDGET": BUDGET}
    subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | environment, check=True
    )
    return store


@pytest.fixture(scope="module")
def addresses(store: Path) -> dict[str, str]:
    opened = SqliteStore(store)
    runs = opened.runs(name="bell")
    opened.close()
    one, other = runs[0].id, runs[1].id
    found = {page: f"/{page}" for page in PAGES}
    compared = f"/compare?one={one}&other={other}"
    return {**found, "calls": "/", "call": f"/call/{one}", "compare": compared}


@pytest.fixture(scope="module")
def seen(store: Path) -> Iterator[Seen]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QELECTRON_DAILY_BUDGET", BUDGET)
        with looking_at(store, store.with_name("browser")) as seen:
            yield seen


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_pages_fit(
    seen: Seen, addresses: dict[str, str], page: str, theme: Any, tmp_path: Path
) -> None:
    shown = seen.page
    shown.emulate_media(color_scheme=theme)
    for device, (width, height) in WIDTHS.items():
        shown.set_viewport_size({"width": width, "height": height})
        seen.open(addresses[page])
        content = CONTENTS.get(page, ".panel:visible, .ag-row:visible")
        shown.locator(content).first.wait_for()
        shown.locator(f"body.body--{theme}").wait_for()
        shown.wait_for_load_state("networkidle")
        assert shown.locator("h1").count() == 1
        assert shown.evaluate("document.documentElement.scrollWidth") == width
        assert nameless(shown) == []
        if device == "laptop":
            place = folder(page, tmp_path) / f"{page}-{theme}.png"
            shown.add_style_tag(content=".where { visibility: hidden; }")  # a path
            shown.screenshot(path=place)


def nameless(page: Any) -> list[str]:
    """Return what can be pressed and says to nobody what it does."""
    look = """all => all.filter(one => one.offsetParent && !(one.textContent.trim()
      || one.ariaLabel || one.title || one.getAttribute("aria-labelledby")))
      .map(one => one.outerHTML.slice(0, 200))"""
    found: list[str] = page.locator("button, a, [role=button]").evaluate_all(look)
    # An icon's text is the name of the picture, and nothing that one would say.
    icons = page.locator("button:not([aria-label]):not([title])")
    texts = icons.evaluate_all("all => all.map(one => one.innerText.trim())")
    return found + [text for text in texts if re.fullmatch(r"[a-z]+(_[a-z]+)+", text)]


def folder(page: str, otherwise: Path) -> Path:
    """Return where the picture of a page goes."""
    wanted = os.environ.get("QELECTRON_PICTURES") if page in IN_DOCS else None
    return Path(wanted or otherwise)

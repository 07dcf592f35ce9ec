"""The page of jobs: what a program left at a vendor is seen, fetched and cancelled."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from pennylane import X, Z, expval
from pennylane.tape import QuantumScript

import qelectron_core as ct
from qelectron_core.store import Intent
from qelectron_core.testing import FakeCloud
from qelectron_sqlite.store import SqliteStore

sys.path.insert(0, str(Path(__file__).parent))

import dashboard_acme as acme
from dashboard_browser import Seen, looking_at, needs_browser

from qelectron_dashboard.reading import jobs

HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m"


# --- What is read ---------------------------------------------------------------------


def intent(job_id: str = "job-1", **given: Any) -> Intent:
    circuit = QuantumScript([X(0)], [expval(Z(0))])
    told: dict[str, Any] = {
        "executor": FakeCloud(name="dashboard"),
        "circuits": (circuit, circuit),
        "places": (("call-1", 0), ("call-1", 1)),
        "at": 1.7e9,
    }
    return Intent(job_id=job_id, **{**told, **given})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    with suppress(ct.StoreError):
        store.close()


def leave(path: Path, *intents: Intent) -> None:
    """Write jobs of a program that has ended."""
    store = SqliteStore(path)
    for one in intents:
        store.intend(one)
        if one.handle is not None:
            store.submitted(one.job_id, one.handle)
    store.close()


def test_orphans_come_first(path: Path, store: SqliteStore) -> None:
    store.intend(intent("job-alive", at=1.6e9))
    leave(path, intent("job-left", handle="vendor-1"))
    left, alive = jobs.rows(store)
    assert (left.id, left.handle, left.alive) == ("job-left", "vendor-1", False)
    assert (alive.id, alive.handle, alive.alive) == ("job-alive", None, True)
    assert (left.circuits, left.calls) == (2, ("call-1",))


def test_only_what_nobody_waits_for_is_forgotten(
    path: Path, store: SqliteStore
) -> None:
    store.intend(intent("job-alive"))
    leave(path, intent("job-left"))
    assert jobs.forget(store, "job-left").good
    refused = jobs.forget(store, "job-alive")
    assert not refused.good
    assert "its program waits for it" in refused.said
    assert [job.id for job in jobs.rows(store)] == ["job-alive"]


@pytest.mark.parametrize(
    ("findable", "said"), [(True, "never arrived"), (False, "cannot be asked")]
)
def test_a_vendor_is_asked_for_a_job_without_a_handle(
    path: Path, store: SqliteStore, findable: bool, said: str
) -> None:
    cloud = FakeCloud(name="dashboard-tag", findable=findable)
    leave(path, intent(executor=cloud))
    assert said in jobs.ask(store, "job-1")
    outcome = jobs.cancel(store, "job-1")
    assert outcome.good is findable
    assert len(jobs.rows(store)) == (0 if findable else 1)


def test_a_job_that_the_vendor_has_forgotten(path: Path, store: SqliteStore) -> None:
    leave(path, intent(handle="nowhere-1"))
    assert "does not know it" in jobs.ask(store, "job-1")
    with pytest.raises(ct.ConfigError, match="not at a vendor any more"):
        jobs.ask(store, "job-2")


def test_what_a_vendor_says_has_no_secrets_and_an_end() -> None:
    secret = ct.Secret("open-sesame")
    told = jobs.told(ValueError(f"401 {secret.reveal()} {HOSTILE} {'x' * 10**6}"))
    assert told.startswith("ValueError: 401 <secret> <img")
    assert told.isprintable()
    assert len(told) < 1000


# --- What is seen ---------------------------------------------------------------------


@attrs.frozen
class Scene:
    """A dashboard, a vendor, and the store that programs share.

    Attributes:
        seen: The dashboard.
        store: The file.
        port: Where the vendor is asked.
        path: Where programs find its plugin.
        left: Jobs that a program left which was killed: ids of calls, and handles.
    """

    seen: Seen
    store: Path
    port: int
    path: str
    left: list[tuple[str, str]]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    needs_browser()
    folder = tmp_path_factory.mktemp("jobs")
    path, store = acme.install(folder / "plugin"), folder / "store.sqlite3"
    with pytest.MonkeyPatch.context() as patch, acme.vendor(path) as port:
        patch.setenv("PYTHONPATH", path)
        with acme.program(store, port, path, jobs=3) as left:
            pass
        with looking_at(store, folder / "browser") as seen:
            yield Scene(seen, store, port, path, left)


def card(page: Any, handle: str) -> Any:
    return page.locator(".job", has=page.get_by_text(handle, exact=True))


def test_a_job_is_cancelled_when_that_is_agreed_to(scene: Scene) -> None:
    _, handle = scene.left[1]
    page = scene.seen.open("/jobs")
    job = card(page, handle)
    job.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Leave it as it is").click()
    assert acme.ask(scene.port, "cancelled") == 0
    job.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the job").click()
    page.get_by_text("is cancelled at the vendor").first.wait_for()
    job.wait_for(state="detached")
    assert acme.ask(scene.port, "cancelled") == 1


def test_what_a_killed_program_left_is_fetched(scene: Scene) -> None:
    call_id, handle = scene.left[0]
    page = scene.seen.open("/jobs")
    job = card(page, handle)
    job.get_by_text("orphan: its program ended").wait_for()
    assert f"/call/{call_id}" in job.get_by_role("link").get_attribute("href")
    job.get_by_role("button", name="Ask the vendor").click()
    job.get_by_text("running").wait_for()
    job.get_by_role("button", name="Attach").click()
    job.get_by_text("this dashboard waits for it").wait_for()
    page.reload()
    job.get_by_text("Waiting for its results").wait_for()
    assert not job.get_by_role("button", name="Forget").is_visible()
    submitted = acme.ask(scene.port, "submitted")
    acme.ask(scene.port, "put_forward")
    page.get_by_text("is done: 1 result kept").first.wait_for()
    job.wait_for(state="detached")
    store = SqliteStore(scene.store)
    (run,) = store.runs(call_id=call_id)
    store.close()
    assert run.state == "completed"
    assert [float(one.value) for one in run.entries if one.value is not None]
    assert acme.ask(scene.port, "submitted") == submitted


def test_an_orphan_is_forgotten_when_that_is_agreed_to(scene: Scene) -> None:
    _, handle = scene.left[2]
    page = scene.seen.open("/jobs")
    job = card(page, handle)
    job.get_by_role("button", name="Forget").click()
    page.get_by_role("button", name="Forget the job").click()
    page.get_by_text("is forgotten").first.wait_for()
    job.wait_for(state="detached")
    assert acme.ask(scene.port, "cancelled") == 1


def test_it_says_when_jobs_appear(scene: Scene) -> None:
    page = scene.seen.open("/jobs")
    page.get_by_text("No job is open at a vendor.").wait_for()
    page.get_by_text("from when they are submitted").wait_for()


def test_the_end_of_a_program_is_seen(scene: Scene) -> None:
    page = scene.seen.open("/jobs")
    with acme.program(scene.store, scene.port, scene.path) as [(_, handle)]:
        job = card(page, handle)
        job.get_by_text("its program waits").wait_for(timeout=2000)
        assert not job.get_by_role("button", name="Attach").is_visible()
        page.get_by_role("button", name="orphans").click()
        job.wait_for(state="detached")
    job.get_by_text("orphan").wait_for(timeout=2000)


def test_text_of_others_is_nothing_but_text(scene: Scene) -> None:
    leave(
        scene.store,
        intent(
            f"job-{HOSTILE}",
            handle=HOSTILE,
            shown=HOSTILE * 1000,
            executor=None,
            places=((HOSTILE, 0), (f"call/{HOSTILE}", 1)),
        ),
    )
    page = scene.seen.open("/jobs")
    job = page.locator(".job", has_text="<img")
    job.get_by_text("cannot be made again by this dashboard").wait_for()
    assert page.locator("img").count() == 0
    assert job.get_by_role("button", name="Ask the vendor").is_disabled()
    href = job.get_by_role("link").last.get_attribute("href")
    assert href.startswith("/call/call%2F%3Cimg")
    job.get_by_role("button", name="Forget").click()
    page.get_by_role("button", name="Forget the job").click()
    job.wait_for(state="detached")


def test_ctrl_c_cancels_nothing(scene: Scene) -> None:
    page = scene.seen.open("/jobs")
    job = page.locator(".job", has_text="orphan")
    job.get_by_role("button", name="Attach").click()
    page.get_by_text("this dashboard waits for it").wait_for()
    cancelled = acme.ask(scene.port, "cancelled")
    scene.seen.dashboard.process.send_signal(signal.SIGINT)
    said, _ = scene.seen.dashboard.process.communicate(timeout=60)
    assert said.endswith("Stopped.\n")
    assert "Traceback" not in said
    assert acme.ask(scene.port, "cancelled") == cancelled
    store = SqliteStore(scene.store)
    (left,) = store.jobs()
    store.close()
    assert not left.alive

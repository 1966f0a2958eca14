"""How the steps of the wizard look."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from syncterm.app import SyncTermApp
from syncterm.editing.connector_wizard import Step
from syncterm.engine.document import load_document
from syncterm.engine.engine import Engine
from syncterm.engine.host import EngineHost
from syncterm.engine.testing import FakeClock
from syncterm.engine.workspace import Workspace
from syncterm.settings import Settings
from tests.screens.conftest import ANA, NOW, settle, until
from tests.screens.test_wizard import at, begin, choose_source, shown, text

WAITING = ("connector-actions", "leave", "dry-run")
"""Workers that wait for a dialog."""
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
DOCUMENT = """
version: 1
sources:
  billing: {type: scripted, config: {script: pictures, stream: invoices, more_streams: [payments, customers, refunds], records: 12}}
  crm-files: {type: file, config: {path: /data/crm}}
  legacy: {type: sqlite, config: {path: /data/legacy.sqlite}}
  refused: {type: scripted, config: {script: refused, faults: [{kind: unauthorized}]}}
destinations:
  lake: {type: file, config: {path: /data/lake}}
  warehouse: {type: duckdb, config: {path: /data/warehouse.duckdb}}
connectors:
  nightly:
    source: billing
    destination: warehouse
    collection: raw
    schedule: {kind: cron, expression: 0 2 * * *, timezone: Europe/Berlin}
    blackout: [{days: [saturday, sunday], start: "00:00", end: "00:00"}]
    streams:
      - {name: invoices, sync_mode: incremental, cursor_field: at, primary_key: [id]}
      - {name: payments, sync_mode: replace}
"""


class Gallery:
    """A workspace with sources and destinations, its clock standing still, an engine that executes nothing."""

    def __init__(self, folder: Path) -> None:
        self.workspace = Workspace(folder)
        self.clock = FakeClock(NOW)
        self.hosts: list[EngineHost] = []

        async def apply() -> None:
            engine = Engine(self.workspace, execute=False, clock=self.clock)
            await engine.start()
            await engine.operations.apply(ANA, load_document(DOCUMENT))
            await engine.stop()

        thread = threading.Thread(target=lambda: asyncio.run(apply()))
        thread.start()
        thread.join()

    def app(self, *, look: str = "") -> SyncTermApp:
        host = EngineHost(self.workspace, execute=False, clock=self.clock)
        self.hosts.append(host)
        theme = {"light": "syncterm-light", "mono": "mono"}.get(look, "")
        app = SyncTermApp(host, Settings(theme=theme), actor=ANA, ascii=look == "ascii")
        app.animation_level = "none"
        return app


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    made = Gallery(tmp_path / "workspace")
    yield made
    for host in made.hosts:
        assert host.stop(20)


async def quiet(pilot: Pilot[Any]) -> None:
    """Nothing works behind the screen, and no cursor blinks."""
    await until(pilot, lambda: not any(worker.is_running for worker in pilot.app.workers if worker.group not in WAITING))
    for field in pilot.app.screen.query("Input"):
        field.cursor_blink = False  # type: ignore[attr-defined]
        field._cursor_visible = True  # type: ignore[attr-defined]
    await pilot.pause()


async def to_source(pilot: Pilot[Any]) -> None:
    await settle(pilot)
    await begin(pilot)
    await shown(pilot, "legacy")
    await quiet(pilot)


async def to_streams(pilot: Pilot[Any]) -> None:
    await to_source(pilot)
    await choose_source(pilot, "billing")
    await shown(pilot, "billing offers 4 streams")
    await pilot.press("space", "space", "down", "right")
    await shown(pilot, "2 selected")
    await quiet(pilot)


async def to_destination(pilot: Pilot[Any]) -> None:
    await to_streams(pilot)
    await pilot.press("ctrl+n")
    await at(pilot, Step.DESTINATION)
    await choose_source(pilot, "warehouse")
    await pilot.press("r", "a", "w")
    await shown(pilot, "is filled by the connector nightly")
    await quiet(pilot)


async def to_schedule(pilot: Pilot[Any]) -> None:
    await to_destination(pilot)
    await pilot.press("enter")
    await at(pilot, Step.SCHEDULE)
    await pilot.press("up", "up", "up", "enter")
    await at(pilot, Step.REVIEW)
    await pilot.press("escape")
    await at(pilot, Step.SCHEDULE)
    await quiet(pilot)


async def to_review(pilot: Pilot[Any]) -> None:
    await to_schedule(pilot)
    await pilot.press("ctrl+n")
    await at(pilot, Step.REVIEW)
    await shown(pilot, "billing to warehouse")
    await quiet(pilot)


async def to_unfinished_review(pilot: Pilot[Any]) -> None:
    await to_source(pilot)
    await choose_source(pilot, "billing")
    await shown(pilot, "billing offers 4 streams")
    await pilot.press("ctrl+s")
    await at(pilot, Step.REVIEW)
    await quiet(pilot)
    pilot.app.clear_notifications()
    await pilot.pause()


async def to_fault(pilot: Pilot[Any]) -> None:
    await to_source(pilot)
    await choose_source(pilot, "refused")
    await shown(pilot, "could not be read")
    await quiet(pilot)


async def to_dry_run(pilot: Pilot[Any]) -> None:
    await to_review(pilot)
    await pilot.press("v", "enter")
    await shown(pilot, "record 1")
    await quiet(pilot)


async def to_edit(pilot: Pilot[Any]) -> None:
    await settle(pilot)
    await pilot.press("e")
    await at(pilot, Step.REVIEW)
    await shown(pilot, "invoices, payments")
    await quiet(pilot)


async def to_leaving(pilot: Pilot[Any]) -> None:
    await to_streams(pilot)
    await pilot.press("q")
    await until(pilot, lambda: "Leave with changes?" in text(pilot))
    await quiet(pilot)


STEPS = {
    "source": to_source,
    "streams": to_streams,
    "fault": to_fault,
    "destination": to_destination,
    "schedule": to_schedule,
    "review": to_review,
    "unfinished": to_unfinished_review,
    "dry_run": to_dry_run,
    "edit": to_edit,
}


class TestWizard:
    @SIZES
    @pytest.mark.parametrize("step", list(STEPS))
    def test_step(self, gallery: Gallery, snap_compare: Any, step: str, size: tuple[int, int]) -> None:
        assert snap_compare(gallery.app(), terminal_size=size, run_before=STEPS[step])

    @pytest.mark.parametrize("look", ["mono", "ascii", "light"])
    def test_looks(self, gallery: Gallery, snap_compare: Any, look: str) -> None:
        assert snap_compare(gallery.app(look=look), terminal_size=(80, 24), run_before=to_destination)

    @pytest.mark.parametrize("look", ["mono", "ascii"])
    def test_review_looks(self, gallery: Gallery, snap_compare: Any, look: str) -> None:
        assert snap_compare(gallery.app(look=look), terminal_size=(80, 24), run_before=to_unfinished_review)

    def test_leaving(self, gallery: Gallery, snap_compare: Any) -> None:
        assert snap_compare(gallery.app(), terminal_size=(80, 24), run_before=to_leaving)

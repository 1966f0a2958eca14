"""A real store with connectors in every status, a real engine that executes nothing, a clock that stands still, the app on it."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from textual.pilot import Pilot

from syncterm.app import SyncTermApp
from syncterm.engine.host import EngineHost
from syncterm.engine.model import Actor, Role
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import CHANGE_SEQUENCE, connectors, destinations, lease, sources
from syncterm.engine.testing import FakeClock
from syncterm.engine.workspace import Workspace
from syncterm.screens.connectors import ConnectorsScreen, ConnectorTable
from syncterm.screens.dashboard import Dashboard
from syncterm.settings import Settings

NOW = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
ANA = Actor("ana", Role.ADMINISTRATOR)
PATIENCE = 20.0  # seconds of real time until a condition counts as never coming true

SOURCES = {"crm": "rest", "orders-db": "mysql", "pg-main": "postgres", "s3-events": "s3"}
DESTINATIONS = {"lake": "delta", "warehouse": "duckdb"}


@dataclass(frozen=True)
class Seed:
    """One connector to be; `values` are columns of the store's table."""

    name: str
    source: str = "pg-main"
    destination: str = "warehouse"
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """An id that sorts by name and never changes."""
        return connector_id(self.name)


def connector_id(name: str) -> str:
    """The id that a seeded connector of that name has."""
    return f"0{''.join(character if character.isalnum() else 'x' for character in name.lower())[:19]:x<19}"


def seed(name: str, source: str = "pg-main", destination: str = "warehouse", **values: Any) -> Seed:
    """A connector, healthy unless its values say otherwise."""
    return Seed(name, source, destination, values)


def failed(error_class: str, message: str) -> dict[str, Any]:
    """The columns of a connector whose last sync failed."""
    return {"last_outcome": "failed", "last_error_class": error_class, "last_error_message": message, "consecutive_failures": 3}


STANDARD = (
    seed(
        "billing-pg", activity="running", progress_records=41_234, progress_expected=100_000, progress_stream="invoices", attempt=1
    ),
    seed("crm-contacts", "crm", "warehouse"),
    seed("events-s3", "s3-events", "lake", schedule_every_ms=300_000),
    seed(
        "finance-ledger",
        schedule_every_ms=6 * 3_600_000,
        **failed("auth", 'password authentication failed for user "etl"'),
    ),
    seed("hr-people", paused_by="person", paused_reason="Paused by ana.", next_fire_at=None, schedule_every_ms=86_400_000),
    seed(
        "inventory",
        configuration_complete=False,
        incomplete_reason="no stream is selected",
        next_fire_at=None,
        last_sync_at=None,
        last_outcome=None,
        last_records=None,
        last_duration_ms=None,
        schedule_kind="cron",
        schedule_expression="15 2 * * 1-5",
        schedule_timezone="Europe/Zurich",
        schedule_every_ms=None,
    ),
    seed(
        "marketing-ads",
        activity="backing_off",
        attempt=2,
        back_off_until=NOW + timedelta(seconds=250),
        activity_reason="429 Too Many Requests",
    ),
    seed("orders-mysql", "orders-db", activity="queued", activity_reason="position 1: one sync at a time from orders-db"),
    seed("partners-sftp", schedule_kind="manual", schedule_every_ms=None, next_fire_at=None),
    seed("payments", activity="running", progress_records=812_345, attempt=1),
    seed(
        "telemetry-parquet",
        "s3-events",
        "lake",
        paused_by="engine",
        paused_reason="30 failures in a row",
        next_fire_at=None,
        **failed("source_data", "column 7 is no number"),
    ),
    seed("web-analytics", due_since=NOW - timedelta(minutes=4)),
)
"""Connectors in every status and activity."""


async def fill(database: Database, seeds: Sequence[Seed]) -> None:
    """Write sources and destinations, and an engine that holds the lease from this process; then those connectors."""
    common = {"config": "{}", "credentials": "ok", "created_at": NOW - timedelta(days=60), "created_by": "ana", "updated_at": NOW}
    async with database.write() as connection:
        for table, names in ((sources, SOURCES), (destinations, DESTINATIONS)):
            for name, type_ in names.items():
                await connection.execute(insert(table).values(id=connector_id(name), name=name, type=type_, **common))
        await connection.execute(lease.delete())
        await connection.execute(
            insert(lease).values(
                id=1,
                epoch=1,
                holder="test",
                pid=os.getpid(),
                host=socket.gethostname(),
                user_name="ana",
                acquired_at=NOW,
                heartbeat_at=NOW,
                expires_at=NOW + timedelta(days=1),
            )
        )
    await add(database, seeds)


async def add(database: Database, seeds: Sequence[Seed]) -> None:
    """Write those connectors."""
    async with database.write() as connection:
        for position, one in enumerate(seeds, start=1):
            values = {
                "id": one.id,
                "name": one.name,
                "source_id": connector_id(one.source),
                "destination_id": connector_id(one.destination),
                "collection": "raw",
                "created_at": NOW - timedelta(days=30, minutes=position),
                "created_by": "ana",
                "updated_at": NOW - timedelta(days=1),
                "configuration_complete": True,
                "schedule_kind": "interval",
                "schedule_every_ms": 3_600_000,
                "next_fire_at": NOW + timedelta(seconds=42) + timedelta(minutes=7 * (position - 1)),
                "last_sync_at": NOW - timedelta(minutes=3 * position * position),
                "last_outcome": "success",
                "last_duration_ms": 3_400 * position,
                "last_records": 30_287 * position * position,
                "last_bytes": 88_123 * position,
                "last_rejected": 0,
                "changed_at": CHANGE_SEQUENCE,
            }
            await connection.execute(insert(connectors).values(values | dict(one.values)))


@pytest.fixture(autouse=True)
def fixed_surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same time zone, locale and colours everywhere."""
    for name in ("NO_COLOR", "LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Stage:
    """A workspace, its clock, and the apps opened on it."""

    def __init__(self, folder: Path) -> None:
        self.workspace = Workspace(folder)
        self.clock = FakeClock(NOW)
        self.hosts: list[EngineHost] = []

    def seed(self, *seeds: Seed) -> None:
        """Fill the store with those connectors; the standard ones where none are named."""
        self.write(fill, seeds or STANDARD)

    def write(self, writing: Callable[[Database, Sequence[Seed]], Awaitable[None]], seeds: Sequence[Seed]) -> None:
        """Write to the store as another process would."""

        async def write() -> None:
            self.workspace.create()
            database = await Database.open(self.workspace.store_path, clock=self.clock)
            try:
                await writing(database, seeds)
            finally:
                await database.close()

        # In a thread: an asynchronous test has a loop of its own.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: asyncio.run(write())).result()

    def app(self, *, settings: Settings | None = None, actor: Actor = ANA, **options: Any) -> SyncTermApp:
        """An app on the workspace, with an engine that executes nothing."""
        host = EngineHost(self.workspace, execute=False, clock=self.clock)
        self.hosts.append(host)
        app = SyncTermApp(host, settings or Settings(), actor=actor, **options)
        app.animation_level = "none"
        return app

    @asynccontextmanager
    async def open(
        self, *, size: tuple[int, int] = (120, 40), settings: Settings | None = None, actor: Actor = ANA, **options: Any
    ) -> AsyncIterator[Pilot[None]]:
        """Run an app without a terminal until its rows are there."""
        app = self.app(settings=settings, actor=actor, **options)
        async with app.run_test(size=size, notifications=True) as pilot:
            await settle(pilot)
            yield pilot

    def close(self) -> None:
        for host in self.hosts:
            assert host.stop(PATIENCE), "the engine did not stop"


@pytest.fixture
def empty_stage(tmp_path: Path) -> Iterator[Stage]:
    """A workspace without a store."""
    stage = Stage(tmp_path / "workspace")
    yield stage
    stage.close()


@pytest.fixture
def stage(empty_stage: Stage) -> Stage:
    """A workspace with the standard connectors."""
    empty_stage.seed()
    return empty_stage


async def until(pilot: Pilot[Any], condition: Callable[[], object], what: str = "") -> None:
    """Wait for a condition, letting the app work."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never came true: {what or condition}"
        await pilot.pause(0.01)


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until the store is open and the table shows what it holds."""
    app = pilot.app
    assert isinstance(app, SyncTermApp)
    screen = app.screen_stack[0]
    assert isinstance(screen, ConnectorsScreen)
    await until(pilot, lambda: screen.query(ConnectorTable), "the screen is composed")
    table = screen.table
    await until(
        pilot,
        lambda: app.store_error is not None or (app.opened.is_set() and table.is_settled and screen.counts is not None),
        "the rows are there",
    )
    await until(pilot, lambda: not any(worker.is_running for worker in app.workers), "nothing works in the background")
    await pilot.pause()


def picture(app: Dashboard) -> list[str]:
    """What the screen shows, line by line, without colours."""
    width, height = app.size
    update = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip)[:width].rstrip() for strip in update[:height]]


def toasts(app: Dashboard) -> list[str]:
    """The toasts on the screen, oldest first: title and message."""
    return [f"{note.title}: {note.message}".removeprefix(": ") for note in app._notifications]

"""The screen of one sync: its streams, attempts, failed records and log; live while it runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, update
from textual.pilot import Pilot

from syncterm.app import SyncTermApp
from syncterm.engine.engine import Engine
from syncterm.engine.events import changed
from syncterm.engine.store import tables
from syncterm.engine.store.database import Database
from syncterm.screens.connector import ConnectorScreen
from syncterm.screens.sync_detail import SyncDetailScreen
from syncterm.widgets.tab_strip import TabStrip
from tests.screens.conftest import NOW, Stage, picture, settle, toasts, until
from tests.screens.connector_store import (
    CONNECTOR_ID,
    ERROR,
    add_connector,
    add_syncs,
    fill,
    opened,
    quiet,
    show,
    standard,
    sync_id,
)


@pytest.fixture
def stage(empty_stage: Stage) -> Stage:
    return empty_stage


def application(pilot: Pilot[Any]) -> SyncTermApp:
    assert isinstance(pilot.app, SyncTermApp)
    return pilot.app


def shown(pilot: Pilot[Any]) -> str:
    return "\n".join(picture(application(pilot)))


async def open_sync(pilot: Pilot[Any], identifier: str) -> SyncDetailScreen:
    assert isinstance(pilot.app, SyncTermApp)
    screen = SyncDetailScreen(pilot.app.host, identifier)
    pilot.app.push_screen(screen)
    await pilot.pause()
    await quiet(pilot)
    return screen


async def test_streams_attempts_failed_records_and_log_of_a_success(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, "history", size=(120, 40)) as pilot:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, SyncDetailScreen) and "countries" in shown(pilot))
        await quiet(pilot)
        text = shown(pilot)
        for part in (
            "✓ Success",
            "1,480 read = 1,375 written",
            "Streams 3",
            "Attempts 1",
            "Failed Records 3",
            "orders",
            "1,004",
            "1,001",
        ):
            assert part in text, part
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "committed" in shown(pilot))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "cast_failed" in shown(pilot) and "4713" in shown(pilot))
        assert "Column 'total': 'n/a 2' is not a decimal(18,2)." in shown(pilot)
        assert '"total": "n/a 2"' in shown(pilot)
        await pilot.press("j")
        await until(pilot, lambda: '"total": "n/a 1"' in shown(pilot))
        await pilot.press("l")
        await until(pilot, lambda: "orders: 3 records set aside" in shown(pilot))
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, ConnectorScreen)


async def test_a_failure_says_its_error_and_what_to_do(stage: Stage) -> None:
    standard(stage)
    async with opened(stage) as pilot:
        await open_sync(pilot, sync_id(36))
        text = shown(pilot)
        for part in ("✗ Failed", "refused the credentials", "To do", "Correct the credentials", "No stream was begun."):
            assert part in text, part


async def test_a_running_sync_is_live_until_it_is_completed_and_can_be_cancelled(stage: Stage) -> None:
    async def write(database: Database) -> None:
        await add_connector(database, activity="running", active_sync_id="0krunning", attempt=1)
        async with database.write() as connection:
            values = {
                "id": "0krunning",
                "connector_id": CONNECTOR_ID,
                "trigger": "manual",
                "reason": "sync_now",
                "requested_by": "alice",
            }
            times = {"created_at": NOW, "claimed_at": NOW, "started_at": NOW}
            await connection.execute(insert(tables.syncs).values(**values, **times, state="executing", attempt=1))

    fill(stage, write)
    async with opened(stage, size=(120, 40)) as pilot:
        screen = await open_sync(pilot, "0krunning")
        assert "▶ In Progress" in shown(pilot)
        assert "Manual by alice" in shown(pilot)
        assert screen.check_action("cancel", ()) is True
        await pilot.press("x")
        await until(pilot, lambda: any("Cancelling" in toast for toast in toasts(application(pilot))))

        async def finish(engine: Engine) -> None:
            async with engine.database.write() as connection:
                await connection.execute(
                    insert(tables.sync_streams).values(
                        sync_id="0krunning", stream="orders", sync_mode="replace", action="replace", outcome="cancelled"
                    )
                )
                await connection.execute(
                    update(tables.syncs)
                    .where(tables.syncs.c.id == "0krunning")
                    .values(
                        state="completed",
                        outcome="cancelled",
                        finished_at=NOW + timedelta(seconds=5),
                        duration_ms=5_000,
                        summary="Nothing was committed; the next sync begins where this one did.",
                    )
                )
            engine.notify(changed([CONNECTOR_ID]))

        await screen.dashboard.host.call(finish)
        await until(
            pilot, lambda: "○ Cancelled" in shown(pilot) and "Nothing was committed" in shown(pilot) and "orders" in shown(pilot)
        )
        assert "Cancelled by" in shown(pilot)
        assert screen.check_action("cancel", ()) is None


async def test_a_sync_that_is_not_kept_any_more_says_so_and_goes_back(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, "history") as pilot:
        assert isinstance(pilot.app, SyncTermApp)

        async def forget(engine: Engine) -> None:
            async with engine.database.write() as connection:
                for table in (tables.sync_streams, tables.attempts):
                    await connection.execute(delete(table))
                await connection.execute(delete(tables.syncs).where(tables.syncs.c.id == sync_id(40)))

        await pilot.app.host.call(forget)
        await pilot.press("enter")
        await until(pilot, lambda: any("This sync is gone" in toast for toast in toasts(application(pilot))))
        assert isinstance(pilot.app.screen, ConnectorScreen)


async def test_failed_records_load_as_one_scrolls(stage: Stage) -> None:
    async def write(database: Database) -> None:
        await add_connector(database)
        await add_syncs(database, 1)
        row = {
            "sync_id": sync_id(1),
            "connector_id": CONNECTOR_ID,
            "stream": "orders",
            "at": NOW,
            "action": "upsert",
            "code": "cast_failed",
        }
        rows = [row | {"key": str(n), "message": f"bad {n}", "fingerprint": "x", "payload": f"row {n}"} for n in range(250)]
        async with database.write() as connection:
            await connection.execute(insert(tables.failed_records), rows)

    fill(stage, write)
    async with opened(stage) as pilot:
        screen = await open_sync(pilot, sync_id(1))
        screen.show_tab("records")
        table: Any = screen.query_one("#failed-records")
        for _ in range(5):
            await pilot.press("G")
            await until(pilot, lambda: table.is_settled)
        assert table.count == 250
        await until(pilot, lambda: "row 0" in shown(pilot))


async def test_tabs_and_actions_that_do_not_belong_here(stage: Stage) -> None:
    standard(stage)
    async with opened(stage) as pilot:
        screen = await open_sync(pilot, sync_id(40))
        strip = screen.query_one(TabStrip)
        await pilot.press("left_square_bracket")
        assert strip.active == "logs"
        assert screen.check_action("delete", ()) is False
        assert screen.check_action("historical_resync", ()) is False
        await pilot.press("y")
        await until(pilot, lambda: any(sync_id(40) in toast for toast in toasts(application(pilot))))
        assert ERROR not in shown(pilot)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
@pytest.mark.parametrize("number", [40, 36], ids=["success", "failed"])
def test_picture(stage: Stage, snap_compare: Callable[..., bool], size: tuple[int, int], number: int) -> None:
    standard(stage)

    async def prepare(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await show(pilot)
        await open_sync(pilot, sync_id(number))

    assert snap_compare(stage.app(), terminal_size=size, run_before=prepare)

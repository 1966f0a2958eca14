"""The schedule editor in the dashboard: from the table and the palette to the store, and as pictures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from textual.pilot import Pilot
from textual.widgets import Input

from syncterm.app import SyncTermApp
from syncterm.editing.schedule_form import ScheduleForm
from syncterm.engine.blackout import BLACKOUT_REASON, windows_to_text
from syncterm.engine.model import Schedule, ScheduleKind
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import streams, syncs
from syncterm.screens.schedule_editor import ScheduleEditor
from syncterm.widgets.schedule_fields import ScheduleFields
from tests.screens.conftest import NOW, Seed, Stage, connector_id, picture, seed, settle, toasts, until
from tests.screens.test_schedule_editor import NIGHT

NAME = "orders"


async def add_streams(database: Database, seeds: Any) -> None:
    async with database.write() as connection:
        for position, name in enumerate(("customers", "orders", "refunds")):
            await connection.execute(
                insert(streams).values(connector_id=connector_id(NAME), name=name, position=position, sync_mode="replace")
            )


def staged(stage: Stage, **values: Any) -> None:
    """A connector with three streams."""
    one: Seed = seed(NAME, anchor_at=stage.clock.now() - timedelta(days=3, minutes=20), **values)
    stage.seed(one)
    stage.write(add_streams, ())


async def edit(pilot: Pilot[None]) -> ScheduleEditor:
    """Open the editor of the connector under the cursor."""
    await pilot.press("C")
    await until(pilot, lambda: isinstance(pilot.app.screen, ScheduleEditor), "the editor is open")
    editor = pilot.app.screen
    assert isinstance(editor, ScheduleEditor)
    await previewed(pilot)
    return editor


async def previewed(pilot: Pilot[None]) -> None:
    """Wait until what is shown is what the fields mean."""
    await pilot.pause()
    fields = pilot.app.screen.query_one(ScheduleFields)
    await until(pilot, lambda: fields.shown is not None, "the preview is there")
    await until(
        pilot, lambda: not any(worker.is_running for worker in pilot.app.workers if worker.group == "preview"), "it is found out"
    )
    await pilot.pause()


async def schedule_of(pilot: Pilot[None]) -> Any:
    app = pilot.app
    assert isinstance(app, SyncTermApp)
    draft = await app.host.call(lambda engine: engine.queries.connector_draft(connector_id(NAME)))
    assert draft is not None
    return draft


async def test_a_schedule_is_changed_from_the_table_saved_and_audited(empty_stage: Stage) -> None:
    staged(empty_stage)
    async with empty_stage.open(size=(80, 24)) as pilot:
        editor = await edit(pilot)
        editor.pane._fields.take(Schedule(ScheduleKind.CRON, expression="30 2 * * *", timezone="Europe/Berlin"))
        await pilot.press("f3", "f2")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ScheduleEditor), "the editor is closed")
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        await until(pilot, lambda: any("Schedule of orders" in note.title for note in app._notifications), "it says what follows")
        draft = await schedule_of(pilot)
        assert ScheduleForm.of(draft.schedule) == ScheduleForm("Cron expression", expression="30 2 * * *", timezone="Europe/Berlin")
        assert draft.catch_up == "skip"
        audit = await app.host.call(lambda engine: engine.queries.audit(connector_id(NAME)))
        assert audit[0].operation == "save_connector"
        assert "30 2 * * *" in (audit[0].after or "")


async def test_streams_and_windows_are_saved_with_it(empty_stage: Stage) -> None:
    staged(empty_stage)
    async with empty_stage.open(size=(120, 40)) as pilot:
        await edit(pilot)
        await pilot.press("right_square_bracket", "a", "f2", "right_square_bracket", "down", "enter")
        await previewed(pilot)
        await pilot.press("end", "f2", "f2")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ScheduleEditor), "the editor is closed")

        async def saved() -> bool:
            return bool((await schedule_of(pilot)).blackout)

        app = pilot.app
        assert isinstance(app, SyncTermApp)
        await until(pilot, lambda: any("Schedule of orders" in note.title for note in app._notifications), "it says what follows")
        draft = await schedule_of(pilot)
        assert draft.blackout == (NIGHT,)
        assert [stream.schedule is not None for stream in draft.streams] == [False, True, False]


async def test_the_palette_opens_it_by_name(empty_stage: Stage) -> None:
    staged(empty_stage)
    async with empty_stage.open() as pilot:
        await pilot.press("colon", *"schedule orders")
        await until(pilot, lambda: "orders" in str(getattr(pilot.app.screen, "_commands", "")), "the palette has found it")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ScheduleEditor), "the editor is open")


async def hold_a_sync(database: Database, seeds: Any) -> None:
    """A scheduled sync that waits for the end of a blackout."""
    async with database.write() as connection:
        await connection.execute(
            insert(syncs).values(
                id="held",
                connector_id=connector_id(NAME),
                trigger="scheduled",
                reason="schedule",
                requested_by="schedule",
                state="created",
                created_at=NOW,
            )
        )


async def test_sync_now_starts_what_a_blackout_holds_back_without_a_question(empty_stage: Stage) -> None:
    late = empty_stage.clock.now().replace(hour=22, minute=30)
    empty_stage.clock.jump(late - empty_stage.clock.now())
    reason = f"{BLACKOUT_REASON} until 2026-03-05 06:00 UTC"
    staged(empty_stage, blackout=windows_to_text([NIGHT]), activity="queued", activity_reason=reason, active_sync_id="held")
    empty_stage.write(hold_a_sync, ())
    async with empty_stage.open() as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        await pilot.press("r")
        await until(pilot, lambda: any("The sync that waited starts now." in toast for toast in toasts(app)), "it says so")


async def add_syncs(database: Database, seeds: Any) -> None:
    """Sixty hourly syncs of which fourteen moved anything."""
    start = NOW - timedelta(days=2, hours=23)
    async with database.write() as connection:
        for number in range(60):
            at = start + timedelta(hours=number)
            await connection.execute(
                insert(syncs).values(
                    id=f"sync{number:02}",
                    connector_id=connector_id(NAME),
                    trigger="scheduled",
                    reason="schedule",
                    requested_by="schedule",
                    state="completed",
                    outcome="success",
                    created_at=at,
                    started_at=at,
                    finished_at=at,
                    duration_ms=1000,
                    records_written=int(number < 14),
                )
            )


async def test_the_connectors_screen_shows_the_advice_and_the_editor_takes_it(empty_stage: Stage) -> None:
    staged(empty_stage)
    empty_stage.write(add_syncs, ())
    async with empty_stage.open(size=(120, 40)) as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        await pilot.press("enter")
        says = "Every 6 hours: 14 of 60 syncs moved anything; every 6 hours would have delivered the same rows"
        await until(pilot, lambda: any("Advice" in line and says in line for line in picture(app)), "the advice is shown")
        await edit(pilot)
        await pilot.press("f4", "f2")
        await until(pilot, lambda: any("Schedule of orders" in note.title for note in app._notifications), "it says what follows")
        assert (await schedule_of(pilot)).schedule == Schedule(ScheduleKind.INTERVAL, every=timedelta(hours=6))
        await until(pilot, lambda: not any("Advice" in line for line in picture(app)), "a new schedule has little history")


async def test_the_connectors_screen_names_the_blackout_that_holds_the_next_sync_back(empty_stage: Stage) -> None:
    late = empty_stage.clock.now().replace(hour=22, minute=30)
    empty_stage.clock.jump(late - empty_stage.clock.now())
    staged(empty_stage, blackout=windows_to_text([NIGHT]), next_fire_at=late + timedelta(minutes=30))
    async with empty_stage.open(size=(120, 40)) as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        await pilot.press("enter")
        await until(pilot, lambda: any("after a blackout window" in line for line in picture(app)), "the next start is held")
        shown = " ".join(line.strip() for line in picture(app))
        assert "A blackout window (every day 22:00–06:00 next day UTC)" in shown


BERLIN = {"schedule_kind": "cron", "schedule_every_ms": None, "schedule_timezone": "Europe/Berlin"}
SCENES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "interval": ({}, ()),
    "cron": (BERLIN | {"schedule_expression": "*/15 8-17 * * 1-5"}, ()),
    "refused": (BERLIN | {"schedule_expression": "0 6 * * 1-5"}, ("enter", "end", "backspace", "9")),
    "zones": (BERLIN | {"schedule_expression": "0 6 * * 1-5"}, ("enter", "enter", "end", *("backspace",) * 13, *"new")),
    "clock change": (BERLIN | {"schedule_expression": "30 2 * * 0"}, ()),
    "held": ({"blackout": windows_to_text([NIGHT]), "schedule_every_ms": 4 * 3_600_000}, ()),
    "windows": ({"blackout": windows_to_text([NIGHT])}, ("right_square_bracket",)),
    "window": ({"blackout": windows_to_text([NIGHT])}, ("right_square_bracket", "enter", *("backspace",) * 9, *"mon-f")),
    "streams": ({}, ("left_square_bracket", "down", "enter", "end", "f2")),
    "stream": ({}, ("left_square_bracket", "down", "enter", "down", "down")),
}
"""Columns of the connector, and the keys after the editor is open."""


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
@pytest.mark.parametrize("scene", SCENES)
def test_pictures(empty_stage: Stage, snap_compare: Any, scene: str, size: tuple[int, int]) -> None:
    values, keys = SCENES[scene]
    empty_stage.clock.jump(datetime(2026, 3, 24, 12, 30, tzinfo=UTC) - empty_stage.clock.now())
    staged(empty_stage, **values)

    async def act(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await edit(pilot)
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        if pilot.app.screen.query(ScheduleFields):
            await previewed(pilot)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False

    assert snap_compare(empty_stage.app(), terminal_size=size, run_before=act)

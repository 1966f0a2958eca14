"""The connector's own screen: what it shows, what moves, what keys and mouse do, and what hostile names cannot do."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from textual.pilot import Pilot
from textual.widget import Widget

from syncterm.app import SyncTermApp
from syncterm.engine.document import load_document
from syncterm.engine.events import changed
from syncterm.engine.host import EngineHost
from syncterm.engine.store import tables
from syncterm.engine.store.database import Database
from syncterm.screens.connector import ConnectorScreen
from syncterm.screens.connectors import ConnectorsScreen
from syncterm.screens.history_pane import HistoryPane
from syncterm.screens.logs_pane import LogsPane
from syncterm.screens.sync_detail import SyncDetailScreen
from syncterm.settings import Settings
from syncterm.widgets.confirm import Confirm
from syncterm.widgets.flow import Flow
from syncterm.widgets.footer import QuickActions
from syncterm.widgets.history_table import HistoryTable
from syncterm.widgets.lines import Lines
from syncterm.widgets.log_view import LogView
from syncterm.widgets.paged_table import PAGE
from syncterm.widgets.stream_tree import StreamTree
from syncterm.widgets.tab_strip import TabStrip
from syncterm.widgets.trend_chart import TrendChart
from tests.samples import SAMPLES
from tests.screens.conftest import ANA, NOW, Stage, picture, toasts, until
from tests.screens.connector_store import (
    CONNECTOR_ID,
    ERROR,
    SeedStream,
    add_connector,
    add_syncs,
    fill,
    opened,
    quiet,
    set_facts,
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


def connector_screen(pilot: Pilot[Any]) -> ConnectorScreen:
    screen = pilot.app.screen
    assert isinstance(screen, ConnectorScreen)
    return screen


async def change(pilot: Pilot[Any], **facts: Any) -> None:
    await application(pilot).host.call(lambda engine: set_facts(engine, **facts))


# --- The head


async def test_the_head_shows_the_flow_the_status_and_why_the_fire_times_and_how_the_last_sync_balanced(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        text = shown(pilot)
        for part in (
            "Scripted source",
            "billing-db",
            "3 of 4 streams",
            "DuckDB",
            "warehouse",
            "analytics",
            "next in 60 min",
            "● Active",
        ):
            assert part in text or (part == "next in 60 min" and "next in 1 h" in text), part
        assert "14:00  15:00  16:00  17:00  18:00  Europe/Berlin · 13:00 here" in text
        assert "1,480 read = 1,375 written + 90 unchanged + 12 filtered + 3 rejected, 1.3 MB" in text
        detail = await application(pilot).host.call(lambda engine: engine.queries.connector(CONNECTOR_ID))
        assert detail is not None
        for word in detail.why.split():
            assert word in text


async def test_a_narrow_terminal_shows_the_same_at_80_by_24(stage: Stage) -> None:
    standard(stage)
    async with opened(stage) as pilot:
        text = shown(pilot)
        for part in (
            "billing-db",
            "warehouse",
            "● Active",
            "Next",
            "Europe/Berlin",
            "✓ Success",
            "c Test connection",
            "H Historical re-sync",
        ):
            assert part in text, part
        assert all(len(line) <= 80 for line in picture(application(pilot)))


async def test_progress_moves_in_place_and_asks_for_little(stage: Stage) -> None:
    standard(stage)
    async with opened(stage) as pilot:
        await change(
            pilot, activity="running", attempt=1, activity_at=NOW, progress_stream="orders", progress_records=0, progress_bytes=0
        )
        await until(pilot, lambda: "orders 0" in shown(pilot))
        await quiet(pilot)
        screen = connector_screen(pilot)
        before, status = screen._picture, screen.query_one("#status", Lines).lines
        for step in range(1, 4):
            stage.clock.advance(1.0)
            await change(pilot, progress_records=1_240 * step, progress_bytes=310_000 * step, progress_expected=12_400)
            await until(pilot, lambda step=step: f"orders {1_240 * step:,}" in shown(pilot))  # type: ignore[misc]
        text = shown(pilot)
        assert "1,240 rec/s, 310.0 kB/s" in text
        assert "30 %" in text
        assert screen._picture is before, "progress alone asked for the full picture"
        assert screen.query_one("#status", Lines).lines == status


async def test_only_lines_that_changed_are_repainted(stage: Stage) -> None:
    standard(stage)
    async with opened(stage) as pilot:
        await change(
            pilot, activity="running", attempt=1, activity_at=NOW, progress_stream="orders", progress_records=10, progress_bytes=9
        )
        await until(pilot, lambda: "orders 10" in shown(pilot))
        await quiet(pilot)
        repainted: list[tuple[str | None, int]] = []

        def watch(widget: Widget) -> None:
            refresh = widget.refresh

            def noted(*regions: Any, **options: Any) -> Any:
                repainted.extend((widget.id, region.y) for region in regions or [widget.size.region])
                return refresh(*regions, **options)

            widget.refresh = noted  # type: ignore[method-assign]

        for widget in connector_screen(pilot).query("#flow, #status, #quick, #tabs, #streams, #schema-foot").results(Widget):
            watch(widget)
        await change(pilot, progress_records=20, progress_bytes=18)
        await until(pilot, lambda: "orders 20" in shown(pilot))
        await quiet(pilot)
        assert {name for name, _ in repainted} == {"flow"}
        assert {row for _, row in repainted} <= {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("facts", "parts"),
    [
        (
            {"paused_by": "person", "paused_reason": "Paused by ana.", "next_fire_at": None},
            ("‖ Paused", "t Resume", "paused: press t"),
        ),
        (
            {"configuration_complete": False, "incomplete_reason": "no stream is selected"},
            ("◐ Incomplete", "To do", "Finish it; then it is scheduled by itself."),
        ),
        (
            {"last_outcome": "failed", "last_error_class": "auth", "last_error_message": ERROR},
            ("✗ Broken", "Correct the credentials", "refused the credentials"),
        ),
        ({"schedule_kind": "manual", "schedule_every_ms": None, "next_fire_at": None}, ("by hand only: press r",)),
    ],
)
async def test_each_status_says_why_and_what_mends_it(stage: Stage, facts: dict[str, Any], parts: tuple[str, ...]) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        await change(pilot, **facts)
        await until(pilot, lambda: all(part in shown(pilot) for part in parts), str(parts))


async def test_a_connector_without_history_says_what_to_do_next(stage: Stage) -> None:
    async def write(database: Database) -> None:
        await add_connector(database, streams=())

    fill(stage, write)
    async with opened(stage, size=(100, 30)) as pilot:
        assert "It has not run yet: press r to sync now." in shown(pilot)
        await until(pilot, lambda: "The streams of the source are not known yet." in shown(pilot))
        await pilot.press("right_square_bracket")
        await quiet(pilot)
        assert "No sync yet: press r to sync now." in shown(pilot)
        await pilot.press("right_square_bracket")
        await quiet(pilot)
        assert "Nothing has been logged: press r to sync now." in shown(pilot)


# --- Actions


async def test_quick_actions_work_by_mouse_and_by_key(stage: Stage) -> None:
    standard(stage)
    async with opened(stage) as pilot:
        line = next(y for y, text in enumerate(picture(application(pilot))) if "t Pause" in text and "Historical" in text)
        column = picture(application(pilot))[line].index("t Pause")
        await pilot.click(offset=(column + 2, line))
        await until(pilot, lambda: "t Resume" in shown(pilot) and "‖ Paused" in shown(pilot))
        await pilot.press("t")
        await until(pilot, lambda: "t Pause" in shown(pilot) and "● Active" in shown(pilot))
        await pilot.press("x")
        await until(pilot, lambda: any("No sync runs or waits" in toast for toast in toasts(application(pilot))))
        await pilot.press("r")
        await until(pilot, lambda: "queued" in shown(pilot))


async def test_a_historical_resync_is_asked_about_first(stage: Stage) -> None:
    standard(stage)
    async with opened(stage) as pilot:
        await pilot.press("H")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("enter")  # the focus is on Cancel
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen))
        count = await application(pilot).host.call(lambda engine: engine.queries.sync_page(CONNECTOR_ID, limit=100))
        assert len(count) == 40


async def test_a_deleted_connector_says_so_and_goes_back(stage: Stage) -> None:
    standard(stage)
    async with opened(stage) as pilot:
        await change(pilot, deleted_at=NOW)
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen))
        await until(pilot, lambda: any("billing-pg was deleted" in toast for toast in toasts(application(pilot))))


async def test_a_connector_deleted_under_a_dialog_goes_back_when_the_dialog_closes(stage: Stage) -> None:
    standard(stage)
    async with opened(stage) as pilot:
        await pilot.press("m")
        await quiet(pilot)
        assert not isinstance(pilot.app.screen, ConnectorScreen)
        await change(pilot, deleted_at=NOW)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen))


async def test_escape_goes_back_one_level_and_minus_comes_again(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, "history") as pilot:
        await pilot.press("f")
        await quiet(pilot)
        assert connector_screen(pilot).query_one(HistoryPane).failures_only
        await pilot.press("z")
        await pilot.press("escape")
        await quiet(pilot)
        assert not connector_screen(pilot).query_one(HistoryPane).failures_only
        await pilot.press("escape")
        assert not connector_screen(pilot).has_class("-zoomed")
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, ConnectorsScreen)
        await pilot.press("minus")
        await pilot.pause()
        assert isinstance(pilot.app.screen, ConnectorScreen)


async def test_a_schema_change_that_stops_the_connector_is_shown(stage: Stage) -> None:
    waiting = {
        "stream": "orders",
        "added": ["vat"],
        "removed": [],
        "retyped": ["total: numeric → text"],
        "blocking": "The type of 'total' changed.",
    }
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        await change(pilot, schema_change=json.dumps(waiting))
        await until(pilot, lambda: "orders changed in the source: + vat  ~ total: numeric → text" in shown(pilot))
        assert "◐ Incomplete" in shown(pilot)


# --- Tabs


async def test_tabs_by_key_by_strip_and_by_mouse(stage: Stage) -> None:
    standard(stage)
    async with opened(stage) as pilot:
        screen = connector_screen(pilot)
        strip = screen.query_one(TabStrip)
        await pilot.press("right_square_bracket")
        assert strip.active == "history"
        await pilot.press("left_square_bracket", "left_square_bracket")
        assert strip.active == "logs"
        strip.focus()
        await pilot.press("left")
        assert strip.active == "history"
        line = next(y for y, text in enumerate(picture(application(pilot))) if "Sync History" in text)
        await pilot.click(offset=(4, line))
        assert strip.active == "schema"
        await pilot.press("l")
        assert strip.active == "logs"
        await quiet(pilot)


async def test_the_schema_opens_closes_and_is_searched(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        tree = connector_screen(pilot).query_one(StreamTree)
        assert tree.row_count() == 4
        await pilot.press("enter")
        text = shown(pilot)
        for part in ("decimal(18,2)", "numeric(18,2)", "primary key", "not selected", "cast from text", "cursor", "6 of 7"):
            assert part in text, part
        assert "orders → raw_orders · key id · cursor updated_at at 2026-03-04 10:58:41.120934+00" in text
        await pilot.press("left", "slash", *"citext", "enter")
        await until(pilot, lambda: tree.place() == ("customers", "email"))
        await pilot.press("slash", *("backspace",) * 6, *"updated", "enter")
        await until(pilot, lambda: tree.place() == ("customers", "updated_at"))
        await pilot.press("n")
        assert tree.place() == ("orders", "updated_at")
        await pilot.press("N")
        assert tree.place() == ("customers", "updated_at")


async def test_five_thousand_streams_draw_no_more_than_the_window(stage: Stage) -> None:
    async def write(database: Database) -> None:
        await add_connector(database, streams=[SeedStream(f"table_{number:04}") for number in range(5_000)])

    fill(stage, write)
    async with opened(stage) as pilot:
        tree = connector_screen(pilot).query_one(StreamTree)
        drawn: list[int] = []
        row_line = tree.row_line

        def counted(index: int, cells: int) -> Any:
            drawn.append(index)
            return row_line(index, cells)

        tree.row_line = counted  # type: ignore[method-assign]
        await pilot.press("G")
        await pilot.pause()
        assert "table_4999" in shown(pilot)
        assert 0 < len(drawn) <= 4 * tree.window_height
        await pilot.press("slash", *"table_2500", "enter")
        await until(pilot, lambda: tree.place() == ("table_2500", None))
        await pilot.press("enter")
        await until(pilot, lambda: tree.row_count() == 5_002)


async def test_the_history_loads_older_syncs_as_one_moves(stage: Stage) -> None:
    standard(stage, syncs=3 * PAGE + 50)
    async with opened(stage, "history", size=(120, 40)) as pilot:
        table = connector_screen(pilot).query_one(HistoryTable)
        await until(pilot, lambda: table.is_settled)
        assert table.cursor_key == sync_id(3 * PAGE + 50)
        assert table.count < 3 * PAGE
        for _ in range(6):
            await pilot.press("G")
            await until(pilot, lambda: table.is_settled)
        assert table.count == 3 * PAGE + 50
        assert table.cursor_key == sync_id(1)
        assert "0ksync00000000000001" in shown(pilot)
        await pilot.press("f")
        await until(pilot, lambda: table.is_settled and table.count == 3)
        assert "FAILURES ONLY" in shown(pilot)


async def test_a_new_sync_appears_on_top_and_the_cursor_stays_with_its_sync(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, "history", size=(120, 40)) as pilot:
        table = connector_screen(pilot).query_one(HistoryTable)
        await until(pilot, lambda: table.is_settled)
        await pilot.press("j", "j")
        chosen = table.cursor_key
        await pilot.press("r")
        await until(pilot, lambda: table.count == 41 and "In Progress" in shown(pilot))
        assert table.cursor_key == chosen
        await until(pilot, lambda: "◌ In Progress waits" in " ".join(shown(pilot).split()))


async def test_failures_are_grouped_and_the_trend_leads_to_its_sync(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, "history", size=(120, 40)) as pilot:
        assert f"3× {ERROR}" in shown(pilot)
        connector_screen(pilot).query_one(TrendChart).focus()
        await pilot.press("end", *("left",) * 4)
        await until(pilot, lambda: "Failed, took 3.2 s" in shown(pilot))
        await pilot.press("enter")
        table = connector_screen(pilot).query_one(HistoryTable)
        assert table.cursor_key == sync_id(36)
        assert table.has_focus
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, SyncDetailScreen))


async def test_logs_follow_filter_and_show_the_life_of_the_newest_sync(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, "logs", size=(120, 40)) as pilot:
        assert "Created 11:00:00 → Pending 11:00:01 → Executing 11:00:02 → ✓ Completed: Success" in shown(pilot)
        view = connector_screen(pilot).query_one(LogView)
        assert len(view.entries) == 6

        async def log(engine: Any) -> None:
            async with engine.database.write() as connection:
                row = {"connector_id": CONNECTOR_ID, "at": NOW, "level": "error", "message": "The disk is full."}
                await connection.execute(insert(tables.log_lines).values(**row))
            engine.notify(changed([CONNECTOR_ID]))

        await application(pilot).host.call(log)
        await until(pilot, lambda: "The disk is full." in shown(pilot))
        await pilot.press("slash", *"level:warning", "enter")
        await until(pilot, lambda: [entry.level for entry in view.entries] == ["warning"])
        await pilot.press("escape")
        await until(pilot, lambda: len(view.entries) == 7)


async def test_older_log_lines_come_when_one_scrolls_to_the_top(stage: Stage) -> None:
    async def write(database: Database) -> None:
        await add_connector(database)
        async with database.write() as connection:
            rows = [
                {"connector_id": CONNECTOR_ID, "at": NOW, "level": "info", "message": f"line {number}"} for number in range(1_200)
            ]
            await connection.execute(insert(tables.log_lines), rows)

    fill(stage, write)
    async with opened(stage, "logs") as pilot:
        view = connector_screen(pilot).query_one(LogsPane).view
        assert view.entries[-1].text == "line 1199"
        assert len(view.entries) == 500
        for expected in (1_000, 1_200):
            await pilot.press("g")
            await until(pilot, lambda expected=expected: len(view.entries) == expected)  # type: ignore[misc]
        await pilot.press("g")
        await until(pilot, lambda: "line 0" in shown(pilot))


# --- A real engine


async def test_a_real_sync_is_seen_from_the_key_to_its_balance(stage: Stage, tmp_path: Path) -> None:
    document = load_document(
        f"""
        version: 1
        sources:
          made-up:
            type: scripted
            config: {{script: detail-screen, records: 4000, faults: [{{kind: slow, seconds: 0.05}}]}}
        destinations:
          warehouse: {{type: duckdb, config: {{path: {tmp_path / "warehouse.duckdb"}}}}}
        connectors:
          rehearsal:
            source: made-up
            destination: warehouse
            collection: raw
            streams: [{{name: events, sync_mode: incremental, cursor_field: id, primary_key: [id]}}]
        """
    )
    host = EngineHost(stage.workspace, base_folder=tmp_path)
    stage.hosts.append(host)
    app = SyncTermApp(host, Settings(), actor=ANA)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, app.opened.is_set)
        await host.call(lambda engine: engine.operations.apply(ANA, document))
        detail = await host.call(lambda engine: engine.queries.connector("rehearsal"))
        assert detail is not None
        app.open_connector(detail.row.id, tab="history")
        await until(pilot, lambda: "It has not run yet" in shown(pilot))
        await pilot.press("r")
        await until(pilot, lambda: "In Progress" in shown(pilot) and "rec/s" in shown(pilot), "it runs and shows its throughput")
        await until(pilot, lambda: "✓ Success" in shown(pilot) and "4,000 read = 4,000 written" in shown(pilot))
        assert connector_screen(pilot).query_one(HistoryTable).count == 1
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "timestamptz" in shown(pilot) and "at 4000" in shown(pilot))
        await pilot.press("l")
        await until(pilot, lambda: "Completed: Success" in shown(pilot) or "✓ Completed" in shown(pilot))
        assert connector_screen(pilot).query_one(LogView).entries


# --- What the world throws at it


def hostile() -> list[str]:
    cases = json.loads((SAMPLES / "hostile_names.json").read_text())["cases"]
    names = []
    for case in cases:
        name = case.get("s")
        if isinstance(name, str) and name and name.encode("utf-8", "ignore") == name.encode("utf-8", "replace"):
            names.append(name[:200])
    return names


async def test_hostile_names_are_shown_as_text_everywhere(stage: Stage) -> None:
    names = list(dict.fromkeys(hostile()))
    assert len(names) > 90

    async def write(database: Database) -> None:
        streams = [SeedStream(name, fields=((name, "text", name), ("id", "int64", name))) for name in names]
        await add_connector(
            database, name=names[0], source_name=names[1], destination_name=names[2], collection=names[3], streams=streams
        )
        await add_syncs(database, len(names), failed=range(len(names)))
        async with database.write() as connection:
            ids = (await connection.execute(select(tables.syncs.c.id))).scalars().all()
            for sync, name in zip(ids, names, strict=True):
                values = {"error_message": name, "requested_by": name, "error_fingerprint": str(sync)}
                await connection.execute(tables.syncs.update().where(tables.syncs.c.id == sync).values(**values))
            rows = [{"connector_id": CONNECTOR_ID, "at": NOW, "level": "info", "message": name} for name in names]
            await connection.execute(insert(tables.log_lines), rows)
            await connection.execute(
                tables.connectors.update().values(
                    last_error_message=names[4],
                    activity="running",
                    attempt=1,
                    progress_stream=names[5],
                    progress_records=1,
                    progress_bytes=1,
                )
            )

    fill(stage, write)
    async with opened(stage, size=(120, 40)) as pilot:
        for tab in ("schema", "history", "logs"):
            connector_screen(pilot).show_tab(tab)
            await quiet(pilot)
            if tab == "schema":
                await pilot.press("asterisk")
            for _ in range(14):
                _only_harmless(application(pilot))
                await pilot.press("pagedown")
                await pilot.pause()
        connector_screen(pilot).show_tab("history")
        await quiet(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, SyncDetailScreen))
        await quiet(pilot)
        _only_harmless(application(pilot))


def _only_harmless(app: SyncTermApp) -> None:
    for strip in app.screen._compositor.render_strips():
        for segment in strip:
            assert segment.text.isprintable(), repr(segment.text)
            if segment.style is not None and segment.style.meta:
                assert "@click" not in segment.style.meta, segment.style.meta
    for line in picture(app):
        assert "‮" not in line


# --- Pictures


@pytest.mark.parametrize("tab", ["schema", "history", "logs"])
@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_picture(stage: Stage, snap_compare: Callable[..., bool], tab: str, size: tuple[int, int]) -> None:
    standard(stage)

    async def prepare(pilot: Pilot[Any]) -> None:
        await _when_ready(pilot, tab)
        if tab == "schema":
            await pilot.press("enter")

    assert snap_compare(stage.app(), terminal_size=size, run_before=prepare)


def test_picture_in_ascii(stage: Stage, snap_compare: Callable[..., bool]) -> None:
    standard(stage)

    async def prepare(pilot: Pilot[Any]) -> None:
        await _when_ready(pilot, "history")

    assert snap_compare(stage.app(ascii=True), terminal_size=(80, 24), run_before=prepare)


def test_picture_without_colours(stage: Stage, snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    standard(stage)

    async def prepare(pilot: Pilot[Any]) -> None:
        await _when_ready(pilot, "schema")

    assert snap_compare(stage.app(), terminal_size=(80, 24), run_before=prepare)


def test_picture_while_it_runs(stage: Stage, snap_compare: Callable[..., bool]) -> None:
    standard(stage)

    async def prepare(pilot: Pilot[Any]) -> None:
        await _when_ready(pilot, "schema")
        await change(
            pilot, activity="running", attempt=1, activity_at=NOW, progress_stream="orders", progress_records=0, progress_bytes=0
        )
        await until(pilot, lambda: "orders 0" in shown(pilot))
        stage.clock.advance(timedelta(seconds=2))
        await change(pilot, progress_records=2_480, progress_bytes=620_000, progress_expected=6_000)
        await until(pilot, lambda: "1,240 rec/s" in shown(pilot))
        await quiet(pilot)

    assert snap_compare(stage.app(), terminal_size=(80, 24), run_before=prepare)


async def _when_ready(pilot: Pilot[Any], tab: str) -> None:
    from tests.screens.conftest import settle

    await settle(pilot)
    await show(pilot, tab)
    assert pilot.app.screen.query_one(Flow).lines
    assert pilot.app.screen.query_one(QuickActions).text

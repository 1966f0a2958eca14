"""The Connectors screen: what its cells say, live progress in place, hostile names, exports, pictures."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.app import SyncTermApp
from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import Activity, Outcome
from syncterm.engine.queries import ConnectorQuery, ConnectorRow
from syncterm.engine.status import ConnectorStatus, JobStatus
from syncterm.screens.connector_details import details
from syncterm.screens.connector_rows import connector_query, row_cells
from syncterm.screens.connectors import ConnectorsScreen
from syncterm.screens.look import Look
from syncterm.screens.table_export import safe_cell, to_csv, to_json
from syncterm.settings import Dates, Settings
from syncterm.text import GLYPHS_UNICODE, clean
from syncterm.widgets.table_model import TableQuery, cell_text
from tests.samples import SAMPLES
from tests.screens.conftest import Stage, add, connector_id, picture, seed, settle, until

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
LOOK = Look(GLYPHS_UNICODE, NOW)

ROW = ConnectorRow(
    id="0abc",
    name="billing",
    source_name="pg",
    source_type="postgres",
    destination_name="lake",
    destination_type="delta",
    collection="raw",
    status=ConnectorStatus.ACTIVE,
    job_status=JobStatus.COMPLETED,
    paused_and_broken=False,
    status_reason="",
    activity=Activity.IDLE,
    activity_reason=None,
    active_sync_id=None,
    attempt=None,
    back_off_until=None,
    progress_stream=None,
    progress_records=None,
    progress_bytes=None,
    progress_expected=None,
    schedule_text="Every hour",
    next_fire_at=NOW + timedelta(minutes=5),
    due_since=None,
    last_sync_at=NOW - timedelta(minutes=3),
    last_outcome=Outcome.SUCCESS,
    last_error_class=None,
    last_error_message=None,
    last_duration=timedelta(seconds=83),
    last_records=12_345,
    last_bytes=2_000_000,
    last_rejected=0,
    created_at=NOW - timedelta(days=3),
    created_by="ana",
    version=1,
)


def running(**values: Any) -> ConnectorRow:
    return replace(ROW, activity=Activity.RUNNING, **values)


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        (ROW, "name", "billing"),
        (ROW, "source", "pg → lake"),
        (ROW, "status", "● Active"),
        (running(progress_records=41, progress_expected=100), "status", "● Active ▶ 41%"),
        (running(progress_records=7), "status", "● Active ▶ running"),
        (running(progress_records=7, progress_expected=0), "status", "● Active ▶ running"),
        (running(progress_records=300, progress_expected=100), "status", "● Active ▶ 100%"),
        (replace(ROW, activity=Activity.QUEUED), "status", "● Active ◌ queued"),
        (replace(ROW, activity=Activity.CANCELLING), "status", "● Active ▶ cancelling"),
        (
            replace(ROW, activity=Activity.BACKING_OFF, back_off_until=NOW + timedelta(seconds=250)),
            "status",
            "● Active ◌ backing off until 12:04:10",
        ),
        (replace(ROW, status=ConnectorStatus.BROKEN), "status", "✗ Broken"),
        (replace(ROW, status=ConnectorStatus.INCOMPLETE), "status", "◐ Incomplete"),
        (replace(ROW, status=ConnectorStatus.PAUSED), "status", "‖ Paused"),
        (replace(ROW, status=ConnectorStatus.PAUSED, paused_and_broken=True), "status", "‖ Paused ✗ Broken"),
        (ROW, "last_sync", "3 min ago"),
        (replace(ROW, last_sync_at=NOW - timedelta(seconds=20)), "last_sync", "just now"),
        (replace(ROW, last_sync_at=None, last_outcome=None), "last_sync", "never"),
        (replace(ROW, last_outcome=Outcome.FAILED), "last_sync", "3 min ago ✗"),
        (replace(ROW, last_outcome=Outcome.CANCELLED), "last_sync", "3 min ago ○"),
        (ROW, "next_sync", "in 5 min"),
        (replace(ROW, next_fire_at=NOW + timedelta(seconds=5)), "next_sync", "< 1 min"),
        (replace(ROW, next_fire_at=NOW - timedelta(seconds=5)), "next_sync", "due"),
        (replace(ROW, next_fire_at=None), "next_sync", "-"),
        (replace(ROW, due_since=NOW), "next_sync", "waits"),
        (ROW, "records", "12,345"),
        (replace(ROW, last_records=None), "records", "-"),
        (ROW, "duration", "1m 23s"),
        (replace(ROW, last_duration=None), "duration", "-"),
        (ROW, "progress", ""),
        (running(progress_records=41, progress_expected=100), "progress", "███░░░░░  41%"),
        (running(progress_records=12_345), "progress", "12,345 rec"),
        (replace(ROW, source_name=None, destination_name=None), "source", "- → -"),
    ],
)
def test_cells(row: ConnectorRow, column: str, expected: str) -> None:
    assert cell_text(row_cells(row, LOOK)[column]) == expected


def test_absolute_dates_follow_the_format() -> None:
    look = Look(GLYPHS_UNICODE, NOW, Dates.ABSOLUTE, "%d.%m. %H:%M")
    assert cell_text(row_cells(ROW, look)["last_sync"]) == "04.03. 11:57"
    assert cell_text(row_cells(ROW, look)["next_sync"]) == "04.03. 12:05"
    assert look.exact(NOW) == "04.03. 12:00 UTC"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ConnectorQuery()),
        ("billing", ConnectorQuery(text="billing")),
        ("two words", ConnectorQuery(text="two words")),
        ("!err", ConnectorQuery(text="err", inverse=True)),
        ("source:pg lake", ConnectorQuery(text="lake", fields={"source": "pg"})),
        ("!source:pg", ConnectorQuery(fields={"source": "!pg"})),
        ("status:bro", ConnectorQuery(statuses=frozenset({ConnectorStatus.BROKEN}))),
        ("http://x", ConnectorQuery(text="http://x")),
    ],
)
def test_the_filter_line_means_a_query(text: str, expected: ConnectorQuery) -> None:
    assert connector_query(TableQuery(text=text)) == expected


def test_details_say_what_mends_it() -> None:
    row = replace(
        ROW,
        status=ConnectorStatus.BROKEN,
        status_reason="The last sync failed.",
        last_outcome=Outcome.FAILED,
        last_error_class=ErrorClass.AUTH,
        last_error_message="password \x1b[31mrefused " * 20,
    )
    text = details(row, LOOK, 40).plain
    assert "W says more" in " ".join(text.split())
    assert "\x1b" not in text
    assert all(len(line) <= 40 for line in text.splitlines())


# --- Live


async def test_progress_is_shown_in_place(stage: Stage) -> None:
    """Another process writes progress; the row shows it, and neither cursor nor scroll move."""
    async with stage.open(size=(160, 40)) as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        screen = app.screen
        assert isinstance(screen, ConnectorsScreen)
        screen.table.move_to(connector_id("crm-contacts"))
        assert any("billing-pg" in line and "41%" in line for line in picture(app))
        with sqlite3.connect(stage.workspace.store_path) as store:
            store.execute(
                "UPDATE connectors SET progress_records = 77000, changed_at = (SELECT max(changed_at) + 1 FROM connectors) "
                "WHERE name = 'billing-pg'"
            )
        store.close()
        await until(pilot, lambda: any("billing-pg" in line and "77%" in line for line in picture(app)))
        assert screen.table.cursor_key == connector_id("crm-contacts")


async def test_a_connector_that_appears_elsewhere_appears_here(stage: Stage) -> None:
    async with stage.open() as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        screen = app.screen
        assert isinstance(screen, ConnectorsScreen)
        screen.table.move_to(connector_id("crm-contacts"))
        stage.write(add, [seed("aaa-new")])
        await until(pilot, lambda: any("aaa-new" in line for line in picture(app)))
        assert screen.table.cursor_key == connector_id("crm-contacts")
        await until(pilot, lambda: "All 13" in picture(app)[1])


async def test_time_passes_in_the_cells(stage: Stage) -> None:
    async with stage.open() as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        assert isinstance(app.screen, ConnectorsScreen)
        stage.clock.advance(600)
        app.screen._clock_moved()
        await until(pilot, lambda: any("billing-pg" in line and "13 min ago" in line for line in picture(app)))


# --- Hostile names


HOSTILE = [case for case in json.loads((SAMPLES / "hostile_names.json").read_text())["cases"] if isinstance(case.get("s"), str)]


async def test_hostile_names_are_harmless_on_every_view(empty_stage: Stage) -> None:
    """Nothing of a name reaches the terminal as a control, nothing is markup, and the columns beside it stay aligned."""
    names: dict[str, str] = {}
    for index, case in enumerate(HOSTILE):
        name = case["s"][:200].encode("utf-8", "replace").decode()
        if name and name not in names.values():
            names[f"0h{index:018}"] = name
    empty_stage.seed(
        *(
            seed(
                name,
                id=id_,
                last_error_message=name,
                last_outcome="failed",
                last_error_class="auth",
                collection=name,
                created_by=name,
            )
            for id_, name in names.items()
        ),
        seed("zz-control-row"),
    )
    async with empty_stage.open(size=(160, len(names) + 8)) as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        screen = app.screen
        assert isinstance(screen, ConnectorsScreen)
        assert screen.table.count == len(names) + 1
        lines = picture(app)
        assert not [line for line in lines if clean(line) != line]
        strips = app.screen._compositor.render_strips()
        for y, strip in enumerate(strips[3 : len(names) + 3], start=3):
            assert strip.cell_length == 160, lines[y]
            text = "".join(segment.text for segment in strip.crop(screen.table._arrangement.placed[1].x, 160))
            assert text.startswith("pg-main → warehouse"), lines[y]
        for keys in (("d",), ("m",), ("escape",), ("y",), ("escape",), ("D",), ("escape",), ("colon", *"connector "), ("escape",)):
            await pilot.press(*keys)
            await pilot.pause(0.05)
            assert app.is_running
            assert not [line for line in picture(app) if clean(line) != line]
        for strip in app.screen._compositor.render_strips():
            assert not [segment for segment in strip if segment.style is not None and "@click" in segment.style.meta]


async def test_every_hostile_name_passes_through_details_menu_and_dialog(empty_stage: Stage) -> None:
    chosen = [
        case["s"][:200].encode("utf-8", "replace").decode()
        for case in HOSTILE
        if case["category"] in ("osc", "markup", "bidi", "c0")
    ]
    names = {f"0h{index:018}": name for index, name in enumerate(dict.fromkeys(chosen)) if name}
    empty_stage.seed(*(seed(name, id=id_) for id_, name in names.items()))
    async with empty_stage.open(size=(100, 40)) as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        screen = app.screen
        assert isinstance(screen, ConnectorsScreen)
        for id_ in names:
            screen.table.move_to(id_)
            for key in ("m", "D"):
                await pilot.press(key)
                await until(pilot, lambda: app.screen is not screen)
                await pilot.pause()
                assert not [line for line in picture(app) if clean(line) != line]
                await pilot.press("escape")
                await until(pilot, lambda: app.screen is screen)


# --- Export


@given(st.text())
def test_no_text_cell_of_an_export_is_a_formula(text: str) -> None:
    document = to_csv([replace(ROW, name=text.replace("\x00", ""))], ["name", "last_records"])
    ((_, _), (name, number)) = list(csv.reader(io.StringIO(document.decode("utf-8"), newline="")))
    assert not name.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
    assert number == "12345"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-5, -5),
        (1.5, 1.5),
        (None, None),
        ("-5", "'-5"),
        ("=1+1", "'=1+1"),
        (" =1", "' =1"),
        ("＝1", "'＝1"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_cells_of_an_export(value: object, expected: object) -> None:
    assert safe_cell(value) == expected


def test_an_export_is_json() -> None:
    (document,) = json.loads(to_json([ROW], ["name", "status", "last_sync_at", "last_duration", "last_records", "due_since"]))
    assert document == {
        "name": "billing",
        "status": "Active",
        "last_sync_at": "2026-03-04T11:57:00.000+00:00",
        "last_duration": 83.0,
        "last_records": 12_345,
        "due_since": None,
    }


# --- Pictures


class TestPictures:
    """Snapshots by scenario, at the smallest and at a common size, without colours, and in ASCII."""

    @pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
    @pytest.mark.parametrize("look", ["dark", "light", "mono", "ascii"])
    def test_connectors(self, stage: Stage, snap_compare: Any, size: tuple[int, int], look: str) -> None:
        theme = {"light": "syncterm-light", "mono": "mono"}.get(look, "")
        app = stage.app(settings=Settings(theme=theme), ascii=look == "ascii")
        assert snap_compare(app, terminal_size=size, run_before=settle)

    @pytest.mark.parametrize(
        "keys",
        [("d",), ("m",), ("D",), ("question_mark",), ("colon",), ("o",), ("s",), ("space", "space", "slash", *"pay")],
        ids=["details", "menu", "delete", "help", "palette", "columns", "sort", "filter"],
    )
    def test_overlays(self, stage: Stage, snap_compare: Any, keys: tuple[str, ...]) -> None:
        async def act(pilot: Any) -> None:
            await settle(pilot)
            screen = pilot.app.screen
            screen.table.move_to(connector_id("finance-ledger"))
            await pilot.press(*keys)
            await pilot.pause(0.2)
            await until(
                pilot,
                lambda: not [worker for worker in pilot.app.workers if worker.is_running and worker.group != "connector-actions"],
            )
            for cursor in pilot.app.screen.query("Input"):
                cursor.cursor_blink = False
                cursor._cursor_visible = True
            await pilot.pause()

        assert snap_compare(stage.app(), terminal_size=(100, 30), run_before=act)

    def test_empty(self, empty_stage: Stage, snap_compare: Any) -> None:
        assert snap_compare(empty_stage.app(), terminal_size=(80, 24), run_before=settle)
